/*
 * newest.c - pins in the order of their creation, the newest first; of one second in key order.
 *
 * Flow:   list.c → here → zp_view_created_keys of each shard, then lookups of what these give.
 * Owner:  the list's.
 *
 * Walks a window of time after the other, back from the newest pin: all shards' keys of a window
 * are gathered, put in order and looked up. A window is made as wide as gives some dozen keys at
 * first, for who wants one page, and then some thousand; of a second that has more than that (an
 * import), it is a range of digests. No view is held between two windows: when a pin was created
 * does not change, so one that nobody touches appears exactly once, and one that is written anew
 * meanwhile as the pin that it is then, or not at all where that is newer than what was listed.
 */
#include "command/command_internal.h"

#include <stdlib.h>

#define KEYS_FIRST 64u      /* of the first window, */
#define KEYS_WANTED 1024u   /* and of later ones, or as many as there are shards */
#define KEYS_MAX (1u << 18) /* that one second and first 8 bytes of a digest may have */
#define LOOKED_UP_TOGETHER 64u
#define SHARDS_TOGETHER 16u /* until others have their turn: cold ones wait for the disk */
#define WIDTH_FIRST 64u     /* seconds */
#define WIDTH_MAX \
	(UINT64_C(1) << 62) /* of them: where entries cannot be read, all times are walked */
#define NARROWER 16u        /* times, when a window has too many; */
#define WIDER 4u            /* when it has few */

struct found_key {
	int64_t created;
	struct zp_key key;
};

enum phase {
	PHASE_GIVING, /* what the window has; when there is no more, the next one begins */
	PHASE_FINDING,
	PHASE_GATHERING,
};

struct newest {
	struct zp_node *node;
	struct zp_scan_filter wanted;
	void (*fault)(void *context, uint32_t shard, const struct zp_err *why);
	void *context;
	bool is_over;   /* there is no window behind the present one */
	int64_t last;   /* the latest time that is not passed, */
	uint64_t head;  /* and of it, where digests begin that are not */
	uint64_t width; /* seconds of the next window; */
	uint64_t span;  /* where that is one: beginnings of digests, less 1 */
	bool has_begun;
	enum phase phase;
	uint32_t shard; /* that is looked at next, while finding or gathering */
	bool has_latest;
	int64_t latest;                /* of the shards before, while finding */
	struct zp_created_range range; /* while gathering: what the window will be */
	bool has_after;                /* it and what comes before it are passed */
	struct found_key after;
	bool has_end; /* behind the present window */
	struct found_key end;
	struct found_key *keys; /* owned: of the window, in order */
	size_t count;
	size_t capacity;
	size_t keys_wanted;
	size_t keys_max;
	size_t at; /* the next to look up */
	struct zp_read_scratch *scratch;
	struct zp_buf texts;
	struct zp_batch_answer answers[LOOKED_UP_TOGETHER]; /* of the keys before `at` */
	size_t answer_count;
	size_t answer_at;
	bool has_given; /* one of them */
};

struct newest *
newest__new(struct zp_node *node, const struct newest_options *options)
{
	const struct zp_scan_filter *wanted = &options->wanted;
	struct newest *newest = zp_alloc_zero(1, sizeof(*newest));

	newest->node = node;
	newest->wanted = *wanted;
	if (!wanted->has_created) {
		newest->wanted.created_min = INT64_MIN;
		newest->wanted.created_max = INT64_MAX;
	}
	newest->fault = options->fault;
	newest->context = options->context;
	newest->last = newest->wanted.created_max;
	newest->width = WIDTH_FIRST;
	newest->keys_wanted = KEYS_FIRST;
	newest->span = UINT64_MAX;
	if (options->after != NULL && options->after_created <= newest->last) {
		newest->has_after = true;
		newest->after = (struct found_key){options->after_created, *options->after};
		newest->last = options->after_created;
		newest->head = zp_load_u64be(options->after->digest);
	}
	newest->is_over = newest->wanted.created_min > newest->last;
	newest->scratch = zp_read_scratch_new();
	zp_buf_init(&newest->texts, LOOKED_UP_TOGETHER * (size_t)ZP_RECORD_BYTES_MAX);
	return newest;
}

void
newest__free(struct newest *newest)
{
	if (newest == NULL)
		return;
	zp_read_scratch_free(newest->scratch);
	zp_buf_done(&newest->texts);
	zp_free(newest->keys);
	zp_free(newest);
}

/* ---- A window -------------------------------------------------------------------------------- */

struct gathering {
	struct newest *newest;
	uint32_t shard;
};

/* Newest first, of one time in the order of keys. */
static int
found_order(const void *left, const void *right)
{
	const struct found_key *a = left, *b = right;

	if (a->created != b->created)
		return a->created > b->created ? -1 : 1;
	return zp_key_compare(&a->key, &b->key);
}

static int
key_take(void *context, int64_t created, const struct zp_key *key)
{
	struct newest *newest = ((struct gathering *)context)->newest;
	struct found_key found = {created, *key};

	if (newest->has_after && found_order(&found, &newest->after) <= 0)
		return ZP_OK;
	if (newest->count == newest->keys_max)
		return ZP_E_FULL;
	if (newest->count == newest->capacity) {
		newest->capacity = 2 * newest->capacity + KEYS_FIRST;
		newest->keys = zp_realloc(newest->keys, newest->capacity * sizeof(newest->keys[0]));
	}
	newest->keys[newest->count++] = found;
	return ZP_OK;
}

static void
fault_take(void *context, const struct zp_err *why)
{
	struct gathering *gathering = context;

	gathering->newest->fault(gathering->newest->context, gathering->shard, why);
}

/* Nothing up to there is given any more. */
static void
after_set(struct newest *newest, const struct found_key *found)
{
	if (newest->has_after && found_order(found, &newest->after) <= 0)
		return;
	newest->has_after = true;
	newest->after = *found;
}

/* In order, each once. */
static void
keys_settle(struct newest *newest)
{
	size_t kept = 0;

	if (newest->count > 0)
		qsort(newest->keys, newest->count, sizeof(newest->keys[0]), found_order);
	for (size_t i = 0; i < newest->count; i++) {
		if (i == 0 || found_order(&newest->keys[i], &newest->keys[kept - 1]) != 0)
			newest->keys[kept++] = newest->keys[i];
	}
	newest->count = kept;
}

/* Of a shard that is suspended nothing is read, so no read tells it. */
static void
suspended_tell(struct newest *newest)
{
	const struct zp_shard_map *map = zp_shards_map(newest->node->shards);

	for (uint32_t shard = 0; shard < map->count; shard++) {
		const struct zp_engine *engine = zp_shards_engine(newest->node->shards, shard);
		struct zp_err why = {0};

		if (!zp_engine_is_suspended(engine))
			continue;
		zp_ignore(zp_fail(&why, ZP_E_CORRUPT, "%s", zp_engine_suspended_why(engine)));
		newest->fault(newest->context, shard, &why);
	}
}

static void
find_begin(struct newest *newest)
{
	newest->phase = PHASE_FINDING;
	newest->shard = 0;
	newest->has_latest = false;
}

/* Goes back to the newest time that is not passed, by some more shards; ZP_SCAN_PASSED: there are
 * others; ZP_END: there is no such time. */
static int
find_some(struct newest *newest, struct zp_err *err)
{
	const struct zp_shard_map *map = zp_shards_map(newest->node->shards);

	for (unsigned looked_at = 0; newest->shard < map->count; newest->shard++) {
		struct zp_err why = {0};
		struct zp_view *view;
		int64_t created;
		int rc;

		if (looked_at++ == SHARDS_TOGETHER)
			return ZP_SCAN_PASSED;
		view = zp_engine_view_get(zp_shards_engine(newest->node->shards, newest->shard));
		rc = zp_view_created_last(
		    view, newest->wanted.namespace_id, newest->last, &created, &why);
		zp_view_release(view);
		if (rc == ZP_OK && (!newest->has_latest || created > newest->latest)) {
			newest->latest = created;
			newest->has_latest = true;
		} else if (rc < 0 && rc != ZP_E_CORRUPT) { /* of one that is suspended */
			return zp_fail(err, rc, "%s", why.text);
		}
	}
	if (!newest->has_latest || newest->latest < newest->wanted.created_min)
		return ZP_END;
	newest->last = newest->latest;
	return ZP_OK;
}

/* What the next window is to be. */
static struct zp_created_range
window_range(const struct newest *newest)
{
	uint64_t most = (uint64_t)newest->last - (uint64_t)newest->wanted.created_min;
	uint64_t width = newest->head > 0 ? 1 : newest->width;
	struct zp_created_range range = {.namespace_id = newest->wanted.namespace_id,
	    .first = newest->last - (int64_t)zp_min_u64(width - 1, most),
	    .last = newest->last,
	    .head_first = newest->head,
	    .head_last = UINT64_MAX};

	if (range.first == range.last)
		range.head_last =
		    newest->head + zp_min_u64(newest->span, UINT64_MAX - newest->head);
	return range;
}

/* The last place that a window may have a pin in. */
static struct found_key
window_end(const struct zp_created_range *range)
{
	struct found_key end = {.created = range->first,
	    .key = {.kind = ZP_KIND_OTHER, .namespace_id = UINT32_MAX, .claim = UINT64_MAX}};

	memset(end.key.digest, 0xff, sizeof(end.key.digest));
	zp_store_u64be(end.key.digest, range->head_last);
	return end;
}

static void
gather_begin(struct newest *newest)
{
	newest->phase = PHASE_GATHERING;
	newest->range = window_range(newest);
	newest->shard = 0;
	newest->count = 0;
	newest->at = 0;
	newest->keys_max = newest->range.first == newest->range.last && newest->span == 0
			       ? KEYS_MAX
			       : 4 * newest->keys_wanted;
}

static bool
shard_may_have(const struct zp_shard_range *shard, const struct zp_created_range *range)
{
	return zp_load_u64be(shard->low) <= range->head_last &&
	       zp_load_u64be(shard->high) >= range->head_first;
}

/* Of some more shards the keys that they have; ZP_SCAN_PASSED: there are others; ZP_E_FULL: there
 * are too many keys. */
static int
gather_some(struct newest *newest, struct zp_err *err)
{
	const struct zp_shard_map *map = zp_shards_map(newest->node->shards);
	struct gathering gathering = {.newest = newest};
	struct zp_created_wanted wanted = {
	    .range = newest->range, .each = key_take, .fault = fault_take, .context = &gathering};
	int rc = ZP_OK;

	for (unsigned looked_at = 0; rc == ZP_OK && newest->shard < map->count; newest->shard++) {
		struct zp_err why = {0};
		struct zp_view *view;

		if (!shard_may_have(&map->ranges[newest->shard], &newest->range))
			continue;
		if (looked_at++ == SHARDS_TOGETHER)
			return ZP_SCAN_PASSED;
		gathering.shard = newest->shard;
		wanted.keys_max = newest->keys_max - newest->count;
		view = zp_engine_view_get(zp_shards_engine(newest->node->shards, newest->shard));
		rc = zp_view_created_keys(view, &wanted, &why);
		zp_view_release(view);
		if (rc == ZP_E_CORRUPT) /* each place was told */
			rc = ZP_OK;
		else if (rc < 0)
			rc = zp_fail(err, rc, "%s", why.text);
	}
	if (rc == ZP_OK)
		keys_settle(newest);
	return rc;
}

static void
window_pass(struct newest *newest)
{
	const struct zp_created_range *range = &newest->range;

	newest->phase = PHASE_GIVING;
	newest->has_end = true;
	newest->end = window_end(range);
	newest->head = 0;
	if (range->head_last < UINT64_MAX)
		newest->head = range->head_last + 1;
	else if (range->first == newest->wanted.created_min)
		newest->is_over = true;
	else
		newest->last = range->first - 1;
	newest->keys_wanted = zp_min_u64(WIDER * newest->keys_wanted,
	    zp_max_u64(KEYS_WANTED, zp_shards_map(newest->node->shards)->count));
	if (newest->count >= newest->keys_wanted / WIDER)
		return;
	if (newest->span < UINT64_MAX)
		newest->span =
		    newest->span < UINT64_MAX / WIDER ? newest->span * WIDER + 3 : UINT64_MAX;
	else
		newest->width = zp_min_u64(newest->width * WIDER, WIDTH_MAX);
}

/* False: it cannot be narrower. */
static bool
window_narrow(struct newest *newest)
{
	const struct zp_created_range *range = &newest->range;
	uint64_t width = (uint64_t)range->last - (uint64_t)range->first + 1;
	bool can = width > 1 || newest->span > 0;

	if (width > 1)
		newest->width = zp_max_u64(width / NARROWER, 1);
	else
		newest->span = (range->head_last - range->head_first) / NARROWER;
	return can;
}

/* Behind the present window. */
static int
window_begin(struct newest *newest)
{
	if (!newest->has_begun)
		suspended_tell(newest);
	newest->has_begun = true;
	if (newest->has_end)
		after_set(newest, &newest->end);
	if (newest->is_over)
		return ZP_END;
	if (newest->head == 0)
		find_begin(newest);
	else
		gather_begin(newest);
	return ZP_OK;
}

/* Goes on to the keys of the next window, which may be none. ZP_SCAN_PASSED: it is under way;
 * ZP_END behind the last. */
static int
window_next(struct newest *newest, struct zp_err *err)
{
	int rc = newest->phase == PHASE_GIVING ? window_begin(newest) : ZP_OK;

	if (rc == ZP_OK && newest->phase == PHASE_FINDING) {
		rc = find_some(newest, err);
		if (rc == ZP_OK)
			gather_begin(newest);
	}
	if (rc == ZP_OK)
		rc = gather_some(newest, err);
	if (rc == ZP_OK)
		window_pass(newest);
	if (rc != ZP_E_FULL)
		return rc;
	if (!window_narrow(newest))
		return zp_fail(err, ZP_E_TOO_LARGE,
		    "more than %u pins of one second have digests that begin alike", KEYS_MAX);
	gather_begin(newest);
	return ZP_SCAN_PASSED;
}

/* ---- Pins ------------------------------------------------------------------------------------ */

static int
answers_get(struct newest *newest, struct zp_err *err)
{
	size_t count = zp_min_u64(LOOKED_UP_TOGETHER, newest->count - newest->at);
	struct zp_key keys[LOOKED_UP_TOGETHER];
	int rc;

	for (size_t i = 0; i < count; i++)
		keys[i] = newest->keys[newest->at + i].key;
	rc = zp_command_get_batch(
	    newest->node, keys, count, newest->scratch, &newest->texts, newest->answers, err);
	newest->at += count;
	newest->answer_count = count;
	newest->answer_at = 0;
	newest->has_given = false;
	return rc;
}

/* Whether the answer is a pin of the list. */
static bool
is_wanted(
    struct newest *newest, const struct found_key *found, const struct zp_batch_answer *answer)
{
	const struct zp_record *record = &answer->record;
	struct zp_err why = {0};
	int rc = answer->rc;

	if (rc == ZP_OK)
		return zp_unzigzag(record->facts[ZP_FACT_CREATED]) == found->created &&
		       (newest->wanted.types == 0 ||
			   (newest->wanted.types >> record->facts[ZP_FACT_TYPE] & 1) != 0);
	if (rc == ZP_E_NOT_FOUND)
		return false;
	rc = command__damage_of_key(newest->node, &found->key, rc, &why);
	if (why.code == ZP_OK)
		zp_ignore(zp_fail(&why, rc, "a pin cannot be read")); /* told below */
	newest->fault(newest->context,
	    zp_shard_map_find(zp_shards_map(newest->node->shards), &found->key), &why);
	return false;
}

/* The next of the keys that were looked up whose pin is wanted; false behind the last. */
static bool
answer_next(struct newest *newest, struct zp_key *key_out, struct zp_record *record_out)
{
	size_t first = newest->at - newest->answer_count;

	while (newest->answer_at < newest->answer_count) {
		const struct found_key *found = &newest->keys[first + newest->answer_at];
		const struct zp_batch_answer *answer = &newest->answers[newest->answer_at++];

		after_set(newest, found);
		if (!is_wanted(newest, found, answer))
			continue;
		newest->has_given = true;
		*key_out = found->key;
		*record_out = answer->record;
		return true;
	}
	return false;
}

int
newest__next(
    struct newest *newest, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	int rc;

	for (;;) {
		bool had_answers = newest->answer_count > 0;

		if (answer_next(newest, key_out, record_out))
			return ZP_OK;
		newest->answer_count = newest->answer_at = 0;
		if (had_answers && !newest->has_given)
			return ZP_SCAN_PASSED;
		if (newest->phase != PHASE_GIVING || newest->at == newest->count) {
			rc = window_next(newest, err);
			return rc == ZP_OK ? ZP_SCAN_PASSED : rc;
		}
		rc = answers_get(newest, err);
		if (rc < 0)
			return rc;
	}
}

bool
newest__passed(const struct newest *newest, struct zp_key *key_out, int64_t *created_out)
{
	if (newest->has_after) {
		*key_out = newest->after.key;
		*created_out = newest->after.created;
	}
	return newest->has_after;
}
