/*
 * newest.c - lists by time of creation: what order they have, and that nothing lacks.
 */
#include "simulate.h"

#include <inttypes.h>
#include <string.h>

enum {
	BURST_SECONDS = 1500000000, /* of which a third of the imported are */
	NEAR_SECONDS = 1000,
	CLOCK_SECONDS = 1600000000, /* before every time of the node's own */
	PAGE_MAX = 300,
};

/* Many of one second, many near to it, some of any time that is far from the clock's. */
int64_t
created_of(uint32_t name)
{
	uint64_t mixed = name * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	switch (name % 4) {
	case 0:
		return BURST_SECONDS + (int64_t)(mixed % NEAR_SECONDS);
	case 1:
		return mixed % 2 == 0 ? -(int64_t)(mixed % 100000000)
				      : 200000000000 + (int64_t)(mixed % 100000000);
	default:
		return BURST_SECONDS;
	}
}

void
created_check(uint32_t key, uint32_t name, int64_t created)
{
	int64_t seconds = run.keys[key].namespace_id == 0 ? created : created / 1000000;

	if (created != created_of(name) &&
	    (seconds < CLOCK_SECONDS || seconds > 2 * (int64_t)CLOCK_SECONDS))
		wrong(
		    "pin %" PRIu32 " was created at %" PRId64 ", which nobody said", key, created);
}

struct newest_walk {
	uint32_t namespace_id;
	const struct zp_scan_filter *filter; /* NULL: all */
	uint64_t clock;                      /* of the model, when it began */
	bool has_last;
	struct zp_key last;
	int64_t last_created;
	bool is_damaged;
	bool *listed; /* by key */
};

static void
pin_take(struct newest_walk *walk, const struct zp_key *key, const struct zp_record *record)
{
	const struct zp_scan_filter *filter = walk->filter;
	int64_t created = zp_unzigzag(record->facts[ZP_FACT_CREATED]);
	uint32_t index = key_find(key);
	struct model_seen seen = seen_of(index, ZP_OK, record);

	run.counts[COUNT_LISTED]++;
	now_seconds();
	if (walk->has_last &&
	    (created > walk->last_created ||
		(created == walk->last_created && zp_key_compare(key, &walk->last) <= 0)))
		wrong("newest: pin %" PRIu32 " of %" PRId64 " comes behind one of %" PRId64, index,
		    created, walk->last_created);
	if (filter != NULL && (created < filter->created_min || created > filter->created_max))
		wrong("newest: pin %" PRIu32 " of %" PRId64 " was not asked for", index, created);
	if (run.model.changed_at[index] <= walk->clock) {
		if (walk->listed[index])
			wrong("newest: pin %" PRIu32 " comes twice", index);
		if (!model_permits(&run.model, index, &seen))
			wrong("newest: pin %" PRIu32 " is name %" PRIu32, index, seen.pin.name);
	}
	walk->listed[index] = true;
	walk->has_last = true;
	walk->last = *key;
	walk->last_created = created;
}

/* At most so many pins; ZP_OK: there may be more. */
static int
page_walk(struct newest_walk *walk, uint64_t pins_max, struct zp_err *err)
{
	uint8_t cursor[ZP_KEY_BYTES];
	struct zp_record record;
	struct zp_list *list;
	struct zp_key key;
	int rc;

	zp_key_encode(&walk->last, cursor);
	rc = zp_list_open(run.node, walk->namespace_id, walk->has_last ? cursor : NULL, &list, err);
	if (rc < 0)
		return rc;
	zp_list_want(list, 0, walk->filter);
	zp_list_newest_first(list, walk->last_created);
	for (uint64_t pins = 0; pins < pins_max && (rc == ZP_OK || rc == ZP_SCAN_PASSED);) {
		rc = zp_list_next(list, &key, &record, err);
		if (rc == ZP_OK) {
			pin_take(walk, &key, &record);
			pins++;
		}
	}
	if (zp_list_damage(list, err) < 0) {
		walk->is_damaged = true;
		if (!fault_excuses_any_read())
			wrong("newest: %s", err->text);
	}
	zp_list_close(list);
	return rc;
}

/* By the name that the model has. */
static bool
was_asked_for(const struct newest_walk *walk, const struct model_pin *pin)
{
	int64_t created = created_of(pin->name);

	/* One that the node made itself may be of any time of its own. */
	return walk->filter == NULL || (!pin->is_of_clock && created >= walk->filter->created_min &&
					   created <= walk->filter->created_max);
}

static void
lacking_check(const struct newest_walk *walk)
{
	for (uint32_t key = 0; key < run.keys_count; key++) {
		if (walk->listed[key] || run.keys[key].namespace_id != walk->namespace_id ||
		    run.model.changed_at[key] > walk->clock ||
		    model_permits_none(&run.model, key) ||
		    !was_asked_for(walk, &run.model.states[0].pins[key]) ||
		    (walk->is_damaged && fault_excuses_read(key)))
			continue;
		wrong("the list of the newest lacks pin %" PRIu32, key);
	}
}

void
compare_newest(uint32_t namespace_id)
{
	uint64_t drawn = run.seed * 31 + run.step; /* takes no numbers of the run's own */
	struct zp_scan_filter filter = {.has_created = true,
	    .created_min = BURST_SECONDS - (int64_t)(drawn % 3),
	    .created_max = BURST_SECONDS + (int64_t)(drawn % 500)};
	struct newest_walk walk = {.namespace_id = namespace_id,
	    .filter = drawn % 3 == 0 ? &filter : NULL,
	    .clock = model_clock_answered(&run.model),
	    .listed = zp_alloc_zero(run.keys_count, sizeof(bool))};
	struct zp_err err = {0};
	int rc;

	do
		rc = page_walk(&walk, drawn % 2 == 0 ? UINT64_MAX : 1 + drawn % PAGE_MAX, &err);
	while (rc == ZP_OK);
	if (rc < 0 && !walk.is_damaged && !fault_excuses_any_read())
		wrong("newest: %s", err.text);
	if (!run.entries_are_off)
		lacking_check(&walk);
	zp_free(walk.listed);
}
