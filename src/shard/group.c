/*
 * group.c - writes that are looked up together, decided in order, and applied.
 *
 * Flow:  commit (while running) and replay (at start) fill one, so both see the same old records
 * and keep the same counters. Owner: one thread.
 *
 * A key is looked up once however often it stands in the group: the first item of a key leads, and
 * remembers which item settled the key last. All memory is kept from group to group.
 */
#include "shard/shard_internal.h"

#define NONE UINT32_MAX
#define SLOTS (2u * ZP_GROUP_ITEMS_MAX)
#define TEXTS_BYTES_MAX ((size_t)ZP_GROUP_ITEMS_MAX * ZP_RECORD_BYTES_MAX)
#define TEXTS_BYTES_KEPT (16u << 20) /* what a group of usual pins needs, many times over */

struct track_item {
	struct zp_track_change change;
	uint32_t shard; /* index */
};

struct zp_group {
	struct zp_shards *shards; /* borrowed */
	uint64_t seed; /* of the hash, so that chosen digests can't make all keys collide */
	uint32_t count;
	uint32_t capacity;
	struct zp_group_item *items; /* owned, as all below */
	uint32_t *slots;             /* open addressing: item index + 1 of a key's first item */
	uint32_t *touched_slots;     /* `count` of them at most, to clear without sweeping */
	uint32_t touched_count;

	struct track_item *tracks;
	uint32_t track_count;
	uint32_t track_capacity;

	uint32_t
	    *shard_counts; /* of the lookup: leading items of each shard, then where they begin */
	uint32_t *order;   /* leading items by shard */
	const struct zp_key **keys;
	const struct zp_change **changes; /* of the applying: by shard */
	uint32_t *settled;                /* items of each shard that are */
	struct zp_batch_answer *answers;
	struct zp_read_scratch *scratch;
	struct zp_buf call_texts; /* of one shard's lookup */
	struct zp_buf texts;      /* of all */
};

struct zp_group *
zp_group_new(struct zp_shards *shards, uint64_t seed)
{
	struct zp_group *group = zp_alloc_zero(1, sizeof(*group));

	group->shards = shards;
	group->seed = seed;
	group->slots = zp_alloc_zero(SLOTS, sizeof(*group->slots));
	group->touched_slots = zp_alloc(ZP_GROUP_ITEMS_MAX * sizeof(*group->touched_slots));
	group->shard_counts = zp_alloc_zero(shards->map.count + 1, sizeof(*group->shard_counts));
	group->settled = zp_alloc_zero(shards->map.count, sizeof(*group->settled));
	group->scratch = zp_read_scratch_new();
	zp_buf_init(&group->call_texts, TEXTS_BYTES_MAX);
	zp_buf_init(&group->texts, TEXTS_BYTES_MAX);
	return group;
}

void
zp_group_free(struct zp_group *group)
{
	if (group == NULL)
		return;
	zp_free(group->items);
	zp_free(group->tracks);
	zp_free(group->slots);
	zp_free(group->touched_slots);
	zp_free(group->shard_counts);
	zp_free(group->order);
	zp_free(group->keys);
	zp_free(group->changes);
	zp_free(group->settled);
	zp_free(group->answers);
	zp_read_scratch_free(group->scratch);
	zp_buf_done(&group->call_texts);
	zp_buf_done(&group->texts);
	zp_free(group);
}

static void
texts_clear(struct zp_buf *texts)
{
	if (texts->capacity > TEXTS_BYTES_KEPT)
		zp_buf_done(texts);
	else
		zp_buf_clear(texts);
}

void
zp_group_clear(struct zp_group *group)
{
	for (uint32_t i = 0; i < group->touched_count; i++)
		group->slots[group->touched_slots[i]] = 0;
	group->touched_count = 0;
	group->count = 0;
	group->track_count = 0;
	texts_clear(&group->texts);
	texts_clear(&group->call_texts);
}

static void
grow(struct zp_group *group)
{
	uint32_t capacity = group->capacity == 0 ? 64 : group->capacity * 2;

	group->items = zp_realloc(group->items, capacity * sizeof(*group->items));
	group->order = zp_realloc(group->order, capacity * sizeof(*group->order));
	group->keys = zp_realloc(group->keys, capacity * sizeof(*group->keys));
	group->changes = zp_realloc(group->changes, capacity * sizeof(*group->changes));
	group->answers = zp_realloc(group->answers, capacity * sizeof(*group->answers));
	group->capacity = capacity;
}

static uint64_t
key_hash(const struct zp_group *group, const struct zp_key *key)
{
	uint64_t sub = key->claim * 0x9E3779B97F4A7C15u + key->namespace_id;

	return zp_hash64(key->digest, sizeof(key->digest),
	    group->seed ^ sub ^ key->codec << 16 ^ (uint64_t)key->version << 8 ^ key->kind);
}

uint32_t
zp_group_add(struct zp_group *group, const struct zp_key *key)
{
	uint32_t index = group->count;
	uint32_t slot = (uint32_t)key_hash(group, key) & (SLOTS - 1);
	struct zp_group_item *item;

	ZP_ASSERT(index < ZP_GROUP_ITEMS_MAX);
	if (index == group->capacity)
		grow(group);
	item = &group->items[index];
	item->change.key = *key;
	item->change.accesses.count = 0;
	item->change.has_old = false;
	item->change.old_is_unknown = false;
	item->change.has_new = false;
	item->rc = ZP_OK;
	item->first = index;
	item->latest = NONE;
	item->is_settled = false;
	group->count++;

	for (;; slot = (slot + 1) & (SLOTS - 1)) {
		const struct zp_group_item *first;

		if (group->slots[slot] == 0)
			break;
		first = &group->items[group->slots[slot] - 1];
		if (zp_key_compare(&first->change.key, key) == 0) {
			item->first = group->slots[slot] - 1;
			item->shard = first->shard;
			return index;
		}
	}
	group->slots[slot] = index + 1;
	group->touched_slots[group->touched_count++] = slot;
	item->shard = zp_shard_map_find(&group->shards->map, key);
	return index;
}

void
zp_group_track_add(struct zp_group *group, const struct zp_track_change *change)
{
	struct track_item *item;

	ZP_ASSERT(group->count + group->track_count < ZP_GROUP_ITEMS_MAX);
	if (group->track_count == group->track_capacity) {
		group->track_capacity = group->track_capacity == 0 ? 64 : group->track_capacity * 2;
		group->tracks =
		    zp_realloc(group->tracks, group->track_capacity * sizeof(*group->tracks));
	}
	item = &group->tracks[group->track_count++];
	item->change = *change;
	item->shard = zp_shard_map_find(&group->shards->map, &change->key);
}

/* ---- Lookup --------------------------------------------------------------------------------- */

/* How many each shard has becomes where each begins, one behind the other; there is one more at the
 * end. */
static void
counts_to_begins(uint32_t *counts, uint32_t shards)
{
	uint32_t begin = 0;

	for (uint32_t shard = 0; shard <= shards; shard++) {
		uint32_t count = counts[shard];

		counts[shard] = begin;
		begin += count;
	}
}

/* After each shard's place was moved on for each of its items: it is the end of the shard, which is
 * the beginning of the next. */
static void
ends_to_begins(uint32_t *counts, uint32_t shards)
{
	memmove(counts + 1, counts, shards * sizeof(*counts));
	counts[0] = 0;
}

/* Leading items by shard; shard_counts[i] becomes where shard i begins in `order`. */
static void
order_by_shard(struct zp_group *group)
{
	uint32_t shards = group->shards->map.count;
	uint32_t *counts = group->shard_counts;

	memset(counts, 0, (shards + 1) * sizeof(*counts));
	for (uint32_t i = 0; i < group->count; i++)
		counts[group->items[i].shard] += group->items[i].first == i;
	counts_to_begins(counts, shards);
	for (uint32_t i = 0; i < group->count; i++) {
		if (group->items[i].first == i)
			group->order[counts[group->items[i].shard]++] = i;
	}
	ends_to_begins(counts, shards);
}

/* Takes an answer over; its texts move into the group's buffer, for now as an offset. */
static void
answer_take(
    struct zp_group *group, struct zp_group_item *item, const struct zp_batch_answer *answer)
{
	struct zp_record *old = &item->change.old_record;

	item->change.has_old = answer->rc == ZP_OK;
	item->rc = answer->rc == ZP_E_NOT_FOUND ? ZP_OK : answer->rc;
	if (answer->rc != ZP_OK)
		return;
	*old = answer->record;
	old->texts.data = (const uint8_t *)(uintptr_t)group->texts.length;
	zp_buf_append_slice(&group->texts, answer->record.texts);
}

static int
lookup_shard(
    struct zp_group *group, uint32_t shard, uint32_t begin, uint32_t end, struct zp_err *err)
{
	struct zp_view *view = zp_engine_view_get(group->shards->members[shard].engine);
	int rc;

	for (uint32_t i = begin; i < end; i++)
		group->keys[i - begin] = &group->items[group->order[i]].change.key;
	zp_buf_clear(&group->call_texts);
	rc = zp_view_get_batch(view, group->keys, end - begin, group->scratch, &group->call_texts,
	    group->answers, err);
	for (uint32_t i = begin; rc == ZP_OK && i < end; i++)
		answer_take(group, &group->items[group->order[i]], &group->answers[i - begin]);
	zp_view_release(view);
	return rc;
}

/* What stands now. Where that can't be told there may be a row: then a tombstone must hide it. */
static int
lookup_track(struct zp_group *group, struct track_item *item, struct zp_err *err)
{
	struct zp_track_change *change = &item->change;
	struct zp_view *view = zp_engine_view_get(group->shards->members[item->shard].engine);
	struct zp_err why = {0};
	struct zp_track track;
	struct zp_track_scan *scan;
	struct zp_key key;
	int rc = zp_track_scan_open(view, &change->key, true, &scan, err);

	zp_view_release(view); /* the scan holds it */
	if (rc < 0)
		return rc;
	change->has_old = false;
	change->old_status = 0;
	while (!change->has_old && (rc = zp_track_scan_next(scan, &key, &track, &why)) == ZP_OK) {
		change->has_old = track.peer == change->track.peer;
		change->old_status = change->has_old ? track.status : 0;
	}
	change->has_old |= rc < 0;
	zp_track_scan_close(scan);
	return ZP_OK;
}

int
zp_group_lookup(struct zp_group *group, struct zp_err *err)
{
	order_by_shard(group);
	for (uint32_t i = 0; i < group->track_count; i++) {
		int rc = lookup_track(group, &group->tracks[i], err);

		if (rc < 0)
			return rc;
	}
	for (uint32_t shard = 0; shard < group->shards->map.count; shard++) {
		uint32_t begin = group->shard_counts[shard], end = group->shard_counts[shard + 1];
		int rc = begin == end ? ZP_OK : lookup_shard(group, shard, begin, end, err);

		if (rc < 0)
			return zp_wrap(err, rc, "look up in shard %016llx",
			    (unsigned long long)group->shards->map.ranges[shard].id);
	}
	ZP_ASSERT(!group->texts.overflow); /* the sum of its parts fits by ZP_GROUP_ITEMS_MAX */
	for (uint32_t i = 0; i < group->count; i++) {
		struct zp_change *change = &group->items[i].change;

		if (change->has_old)
			change->old_record.texts.data =
			    group->texts.data + (uintptr_t)change->old_record.texts.data;
	}
	return ZP_OK;
}

/* ---- Deciding and applying ------------------------------------------------------------------ */

struct zp_group_item *
zp_group_turn(struct zp_group *group, uint32_t index)
{
	struct zp_group_item *item = &group->items[index];
	const struct zp_group_item *first = &group->items[item->first];
	const struct zp_group_item *latest;

	ZP_ASSERT(index < group->count);
	if (first->latest != NONE) {
		latest = &group->items[first->latest];
		item->rc = ZP_OK;
		item->change.has_old = latest->change.has_new;
		item->change.old_record = latest->change.new_record;
	} else if (first != item) {
		item->rc = first->rc;
		item->change.has_old = first->change.has_old;
		item->change.old_record = first->change.old_record;
	}
	return item;
}

void
zp_group_settle(struct zp_group *group, uint32_t index)
{
	struct zp_group_item *item = &group->items[index];

	ZP_ASSERT(index < group->count && !item->is_settled);
	item->is_settled = true;
	group->items[item->first].latest = index;
}

void
zp_group_access(struct zp_group *group, uint32_t index, const struct zp_accesses *access)
{
	struct zp_group_item *item = &group->items[index];

	ZP_ASSERT(index < group->count && !item->is_settled && access->count > 0);
	item->is_settled = true;
	item->change.accesses = *access;
}

static bool
is_change(const struct zp_group_item *item)
{
	return item->is_settled &&
	       (item->change.has_old || item->change.has_new || item->change.old_is_unknown ||
		   item->change.accesses.count > 0);
}

/* Changes by shard, each shard's in their order; shard_counts[i] becomes where shard i begins. */
static void
changes_by_shard(struct zp_group *group)
{
	uint32_t shards = group->shards->map.count;
	uint32_t *counts = group->shard_counts;

	memset(counts, 0, (shards + 1) * sizeof(*counts));
	memset(group->settled, 0, shards * sizeof(*group->settled));
	for (uint32_t i = 0; i < group->count; i++) {
		counts[group->items[i].shard] += is_change(&group->items[i]);
		group->settled[group->items[i].shard] += group->items[i].is_settled;
	}
	counts_to_begins(counts, shards);
	for (uint32_t i = 0; i < group->count; i++) {
		if (is_change(&group->items[i]))
			group->changes[counts[group->items[i].shard]++] = &group->items[i].change;
	}
	ends_to_begins(counts, shards);
}

/* Shard by shard, so that each one's memory is near while it is written. */
void
zp_group_apply(struct zp_group *group, uint64_t epoch, uint64_t batch)
{
	const struct zp_shards *shards = group->shards;
	const uint32_t *settled = group->settled;

	changes_by_shard(group);
	for (uint32_t shard = 0; shard < shards->map.count; shard++) {
		uint32_t begin = group->shard_counts[shard], end = group->shard_counts[shard + 1];

		if (begin < end)
			zp_engine_apply_all(
			    shards->members[shard].engine, group->changes + begin, end - begin);
	}
	for (uint32_t i = 0; i < group->track_count; i++)
		zp_engine_track_apply(
		    shards->members[group->tracks[i].shard].engine, &group->tracks[i].change);
	if (shards->keeps_positions)
		return;
	/* Only then: a freeze must never see a position whose changes are half in. */
	for (uint32_t shard = 0; shard < shards->map.count; shard++) {
		if (settled[shard] > 0)
			zp_engine_applied_set(
			    shards->members[shard].engine, shards->map.node, epoch, batch);
	}
	for (uint32_t i = 0; i < group->track_count; i++)
		zp_engine_applied_set(
		    shards->members[group->tracks[i].shard].engine, shards->map.node, epoch, batch);
}
