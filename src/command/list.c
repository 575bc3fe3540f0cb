/*
 * list.c - pins of a namespace in key order, shard after shard, or the newest first (newest.c).
 *
 * Flow:  api and replacing imports → here → a shard's scan. Owner: whoever opened the list.
 *
 * A view holds memory and deleted files: after a minute it is given up and the list goes on behind
 * its last key in a new one. So a pin that nobody touched appears exactly once, and one that was
 * changed meanwhile appears as it was or as it is.
 *
 * Damage is remembered over views and shards: what can be read is listed, and nobody takes it for
 * all.
 */
#include "command/command_internal.h"

#define VIEW_NS_MAX (ZP_VIEW_AGE_SECONDS_MAX * UINT64_C(1000000000))
#define LOOK_AT_CLOCK_EVERY 1024u

#define PLACES_KNOWN 64u

struct zp_list {
	struct zp_node *node;
	struct zp_scan_options wanted;
	bool is_filtered; /* by more than the namespace */
	uint32_t shard;   /* of the scan, or of the one to open */
	struct zp_view *view;
	struct zp_scan *scan;
	struct zp_accesses_walk *accesses; /* of the view; NULL: nobody asked */
	uint64_t opened_at_ns;
	uint32_t since_clock;
	bool has_last;
	struct zp_key last;            /* the last key looked at: the list goes on behind it */
	int64_t last_created;          /* of the newest first: and of that time */
	struct newest *newest;         /* owned; NULL: in key order */
	struct zp_err damage;          /* the first; code 0: none */
	uint64_t damaged_places;       /* met; behind many one perhaps more than once */
	uint64_t places[PLACES_KNOWN]; /* command__damage_hash of the first of them */
	struct zp_err accesses_damage; /* likewise of what was asked for beside the pins */
};

int
zp_list_open(struct zp_node *node, uint32_t namespace_id, const uint8_t *cursor,
    struct zp_list **list_out, struct zp_err *err)
{
	struct zp_list *list;
	struct zp_key last = {0};

	if (cursor != NULL && zp_key_decode(cursor, &last, NULL) < 0)
		return zp_fail(err, ZP_E_INVALID, "invalid cursor");
	list = zp_alloc_zero(1, sizeof(*list));
	list->node = node;
	list->wanted.filter.has_namespace = true;
	list->wanted.filter.namespace_id = namespace_id;
	if (cursor != NULL) {
		list->has_last = true;
		list->last = last;
		list->shard = zp_shard_map_find(zp_shards_map(node->shards), &last);
	}
	*list_out = list;
	return ZP_OK;
}

void
zp_list_want(struct zp_list *list, uint32_t columns, const struct zp_scan_filter *filter)
{
	struct zp_scan_filter *wanted = &list->wanted.filter;
	uint32_t namespace_id = wanted->namespace_id;

	ZP_ASSERT(list->scan == NULL);
	list->wanted.columns = columns == 0 ? 0 : columns | ZP_SCAN_KEYS;
	if (filter != NULL)
		*wanted = *filter;
	wanted->has_namespace = true;
	wanted->namespace_id = namespace_id;
	list->is_filtered = wanted->types != 0 || wanted->has_created;
}

static void
scan_close(struct zp_list *list)
{
	zp_scan_close(list->scan);
	zp_accesses_walk_close(list->accesses);
	zp_view_release(list->view);
	list->scan = NULL;
	list->accesses = NULL;
	list->view = NULL;
}

void
zp_list_rest(struct zp_list *list)
{
	scan_close(list);
}

void
zp_list_close(struct zp_list *list)
{
	if (list == NULL)
		return;
	scan_close(list);
	newest__free(list->newest);
	zp_free(list);
}

/* ---- Damage --------------------------------------------------------------------------------- */

static void
fault_take(void *context, const struct zp_err *why)
{
	struct zp_list *list = context;
	struct zp_err named = *why;
	uint64_t hash;

	zp_ignore(command__damage_note(list->node, list->shard, why->code, &named)); /* kept here */
	hash = command__damage_hash(list->shard, named.text);
	for (size_t i = 0; i < zp_min_u64(list->damaged_places, PLACES_KNOWN); i++) {
		if (list->places[i] == hash)
			return;
	}
	if (list->damaged_places < PLACES_KNOWN)
		list->places[list->damaged_places] = hash;
	if (list->damaged_places++ == 0)
		list->damage = named;
}

int
zp_list_damage(const struct zp_list *list, struct zp_err *err)
{
	if (list->damaged_places == 0 && list->accesses_damage.code == ZP_OK)
		return ZP_OK;
	if (list->damaged_places == 0)
		return zp_fail(err, ZP_E_CORRUPT, "the list lacks %s", list->accesses_damage.text);
	/* Also where the disk gave an error: for who reads the list it is the same. */
	if (list->damaged_places == 1)
		return zp_fail(err, ZP_E_CORRUPT, "the list lacks pins that cannot be read: %s",
		    list->damage.text);
	return zp_fail(err, ZP_E_CORRUPT,
	    "the list lacks pins that cannot be read, in %llu places; the first: %s",
	    (unsigned long long)list->damaged_places, list->damage.text);
}

static int
walk_accesses_get(struct zp_list *list, struct zp_accesses *accesses_out, struct zp_err *err)
{
	bool was_hurried = zp_store_hurry(true);
	int rc = ZP_OK;

	if (list->accesses == NULL)
		rc = zp_accesses_walk_open(list->view, &list->last, false, &list->accesses, err);
	if (rc == ZP_OK)
		rc = zp_accesses_walk_get(list->accesses, &list->last, accesses_out, err);
	zp_store_hurry(was_hurried);
	/* The same damage costs many pins theirs: told once. */
	if (rc < 0 && list->accesses_damage.code == ZP_OK)
		rc = command__damage_note(list->node, list->shard, rc, err);
	return rc;
}

int
zp_list_accesses_get(struct zp_list *list, struct zp_accesses *accesses_out, struct zp_err *err)
{
	struct zp_err why = {0};
	int rc;

	ZP_ASSERT(list->has_last);
	rc = list->view == NULL /* it rests, or goes by creation */
		 ? zp_command_accesses_get(list->node, &list->last, accesses_out, &why)
		 : walk_accesses_get(list, accesses_out, &why);
	if (rc == ZP_OK)
		return ZP_OK;
	if (list->accesses_damage.code == ZP_OK)
		list->accesses_damage = why;
	return zp_fail(err, rc, "%s", why.text);
}

/* ---- The newest first ----------------------------------------------------------------------- */

static void
newest_fault(void *context, uint32_t shard, const struct zp_err *why)
{
	struct zp_list *list = context;

	list->shard = shard;
	fault_take(list, why);
}

void
zp_list_newest_first(struct zp_list *list, int64_t after_created)
{
	struct newest_options options = {.wanted = list->wanted.filter,
	    .after = list->has_last ? &list->last : NULL,
	    .after_created = after_created,
	    .fault = newest_fault,
	    .context = list};

	ZP_ASSERT(list->scan == NULL && list->newest == NULL);
	list->last_created = after_created;
	list->newest = newest__new(list->node, &options);
}

static int
newest_next(
    struct zp_list *list, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	int rc = newest__next(list->newest, key_out, record_out, err);

	if (newest__passed(list->newest, &list->last, &list->last_created))
		list->has_last = true;
	if (rc == ZP_END)
		rc = zp_list_damage(list, err);
	else
		return rc;
	return rc < 0 ? rc : ZP_END;
}

/* ---- Scans ---------------------------------------------------------------------------------- */

static int
scan_open(struct zp_list *list, struct zp_err *err)
{
	struct zp_scan_options options = list->wanted;
	int rc;

	options.from = list->has_last ? &list->last : NULL;
	options.fault = fault_take;
	options.context = list;

	list->view = zp_engine_view_get(zp_shards_engine(list->node->shards, list->shard));
	list->opened_at_ns = zp_clock_monotonic_ns();
	rc = zp_scan_open(list->view, &options, &list->scan, err);
	if (rc < 0)
		scan_close(list);
	return rc;
}

/* ---- Walking -------------------------------------------------------------------------------- */

/* None of those that were passed over is wanted. */
static void
passed_note(struct zp_list *list)
{
	struct zp_key passed;

	list->since_clock = LOOK_AT_CLOCK_EVERY;
	if (!zp_scan_passed(list->scan, &passed) ||
	    (list->has_last && zp_key_compare(&passed, &list->last) <= 0))
		return;
	list->has_last = true;
	list->last = passed;
}

/* The next pin that is wanted; moves on from shard to shard, whether the last one ended well or
 * with damage, which is told at the very end. */
static int
next(struct zp_list *list, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	int rc = ZP_OK;

	while (list->shard < zp_shards_map(list->node->shards)->count) {
		if (list->scan == NULL)
			rc = scan_open(list, err);
		if (rc < 0)
			return rc;
		rc = list->is_filtered ? zp_scan_step(list->scan, key_out, record_out, NULL)
				       : zp_scan_next(list->scan, key_out, record_out, NULL);
		if (rc == ZP_SCAN_PASSED) {
			passed_note(list);
			return rc;
		}
		if (rc == ZP_OK) {
			/* A scan begins at its first key; the list goes on behind it. */
			if (list->has_last && zp_key_compare(key_out, &list->last) <= 0)
				continue;
			list->has_last = true;
			list->last = *key_out;
			return ZP_OK;
		}
		scan_close(list);
		list->shard++;
	}
	rc = zp_list_damage(list, err);
	return rc < 0 ? rc : ZP_END;
}

int
zp_list_next(
    struct zp_list *list, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	bool was_hurried = zp_store_hurry(true);
	struct zp_key key;
	struct zp_record record;
	int rc;

	command__pace_serve(&list->node->pace);
	if (++list->since_clock >= LOOK_AT_CLOCK_EVERY) {
		list->since_clock = 0;
		if (list->scan != NULL &&
		    zp_clock_monotonic_ns() - list->opened_at_ns > VIEW_NS_MAX)
			scan_close(list);
	}
	rc = list->newest != NULL ? newest_next(list, &key, &record, err)
				  : next(list, &key, &record, err);
	zp_store_hurry(was_hurried);
	if (rc != ZP_OK)
		return rc;
	*key_out = key;
	*record_out = record;
	return ZP_OK;
}

bool
zp_list_last(const struct zp_list *list, struct zp_key *key_out, int64_t *created_out)
{
	if (list->has_last) {
		*key_out = list->last;
		*created_out = list->last_created;
	}
	return list->has_last;
}
