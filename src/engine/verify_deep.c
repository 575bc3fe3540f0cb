/*
 * verify_deep.c - what the families of a shard say of each other: each pin has its time and expiry
 * entry, each entry its pin, each list of allocations is in the tables, each key in the shard, each
 * row of accesses has its pin.
 *
 * Flow:  `zpin verify --deep`, behind zp_engine_verify, which has read every block. Owner: the
 *        caller's thread.
 *
 * Pins come in the order of digests and entries in that of times, so that they cannot be walked
 * together, and both may be more than memory holds. Instead what the pins want is added up, by
 * ranges of digests, and what the entries are is taken away: sums of a keyed hash, which are 0 only
 * where both are the same, and counts. A range that is not 0 is told.
 */
#include "engine/accesses.h"
#include "engine/engine_internal.h"
#include "engine/run_walk.h"
#include "engine/times.h"

#include <stdio.h>

#define RANGE_BITS_MAX 14u
#define RANGE_ROWS 64u /* fewer than that on the mean tell no more of where it is */
#define TOLD_MAX 16u   /* of a kind, one by one */
#define STEP_EVERY_ROWS 1024u

struct range_sum {
	uint64_t hash; /* wanted less there */
	uint64_t wanted;
	int64_t there; /* more were taken away than came where it is below 0 */
};

/* One ordered family. */
struct family_sum {
	enum zp_family family;
	size_t columns;
	size_t head_column;       /* has the first 64 bits of the digest */
	struct range_sum *ranges; /* owned */
};

struct deep {
	struct zp_engine *engine;
	struct version *version; /* held */
	const struct zp_check *check;
	struct zp_verify_report *report;
	struct zp_tables *tables; /* owned; NULL: the shard has none */
	uint64_t allocations;     /* found in the tables last */
	uint64_t wrong_allocations, wrong_keys;
	unsigned range_bits; /* at least 1 */
	struct family_sum time, expire;
	struct zp_accesses_walk *accesses; /* owned */
	uint64_t rows;
};

static void
damage_tell(struct deep *deep, const char *text)
{
	deep->report->damages++;
	zp_check_damage(deep->check, text);
}

static int
step(struct deep *deep, struct zp_err *err)
{
	return ++deep->rows % STEP_EVERY_ROWS == 0 ? zp_check_step(deep->check, 0, err) : ZP_OK;
}

/* ---- Sums ----------------------------------------------------------------------------------- */

static unsigned
prefix_bits(const struct deep *deep)
{
	return (unsigned)zp_min_u64(
	    engine__prefix_bits(deep->engine), SEGMENT_HEAD_BITS - RANGE_BITS_MAX);
}

static unsigned
range_bits_for(const struct manifest *manifest)
{
	uint64_t rows = 0;

	for (size_t i = 0; i < manifest->run_count; i++) {
		for (size_t j = 0; j < manifest->runs[i].segment_count; j++)
			rows += manifest->runs[i].segments[j].rows;
	}
	return (unsigned)zp_max_u64(1, zp_min_u64(bits_needed(rows / RANGE_ROWS), RANGE_BITS_MAX));
}

static struct range_sum *
range_of(const struct deep *deep, const struct family_sum *sum, uint64_t head)
{
	return &sum->ranges[head << prefix_bits(deep) >> (SEGMENT_HEAD_BITS - deep->range_bits)];
}

static uint64_t
entry_hash(const struct deep *deep, const struct family_sum *sum, const uint64_t *columns)
{
	return zp_hash64(columns, sum->columns * sizeof(uint64_t), deep->engine->options.hash_seed);
}

static void
entry_want(struct deep *deep, struct family_sum *sum, const uint64_t *columns)
{
	struct range_sum *range = range_of(deep, sum, columns[sum->head_column]);

	range->hash += entry_hash(deep, sum, columns);
	range->wanted++;
}

/* That so many pins want. */
static void
entry_found(struct deep *deep, struct family_sum *sum, const uint64_t *columns, int64_t pins)
{
	struct range_sum *range = range_of(deep, sum, columns[sum->head_column]);

	range->hash -= (uint64_t)pins * entry_hash(deep, sum, columns);
	range->there += pins;
	deep->report->entries += pins > 0;
}

static void
sums_tell(struct deep *deep, const struct family_sum *sum)
{
	const char *name = sum->family == ZP_FAMILY_TIME ? "time" : "expire";
	unsigned shift = SEGMENT_HEAD_BITS - deep->range_bits - prefix_bits(deep);
	uint64_t low = zp_load_u64be(deep->engine->options.low);
	uint64_t base = prefix_bits(deep) == 0 ? 0 : low & ~(UINT64_MAX >> prefix_bits(deep));
	uint64_t differing = 0;

	for (uint64_t i = 0; i < UINT64_C(1) << deep->range_bits; i++) {
		const struct range_sum *range = &sum->ranges[i];
		bool is_same = (int64_t)range->wanted == range->there;
		struct zp_err why = {0};

		if (range->hash == 0 && is_same)
			continue;
		if (++differing > TOLD_MAX)
			continue;
		zp_ignore(zp_fail(&why, ZP_E_CORRUPT,
		    "family %s (digests %016llx to %016llx): the pins want %llu entries, there are "
		    "%lld%s",
		    name, (unsigned long long)(base | i << shift),
		    (unsigned long long)(base | i << shift | ((UINT64_C(1) << shift) - 1)),
		    (unsigned long long)range->wanted, (long long)range->there,
		    is_same ? " others" : "")); /* its text */
		damage_tell(deep, why.text);
	}
	if (differing > TOLD_MAX) {
		char text[96];

		snprintf(text, sizeof(text), "family %s: so in %llu more ranges of digests", name,
		    (unsigned long long)(differing - TOLD_MAX));
		damage_tell(deep, text);
	}
}

/* ---- Pins ----------------------------------------------------------------------------------- */

static void
pin_tell(struct deep *deep, const struct zp_key *key, uint64_t *count, const char *what)
{
	struct zp_err why = {0};

	if (++*count > TOLD_MAX)
		return;
	zp_ignore(zp_fail(&why, ZP_E_CORRUPT, "pin of digest %016llx…: %s",
	    (unsigned long long)zp_load_u64be(key->digest), what)); /* its text */
	damage_tell(deep, why.text);
}

static void
allocations_check(struct deep *deep, const struct zp_key *key, uint64_t allocations)
{
	struct zp_slice json;
	struct zp_err why = {0};

	if (allocations == 0 || allocations == deep->allocations)
		return;
	if (deep->tables == NULL && deep->version->manifest.has_tables)
		return; /* they are damaged, which was told */
	if (deep->tables == NULL)
		pin_tell(deep, key, &deep->wrong_allocations,
		    "it names allocations, and the shard has no tables");
	else if (zp_tables_allocations_json(deep->tables, allocations, &json, &why) < 0)
		pin_tell(deep, key, &deep->wrong_allocations, why.text);
	else
		deep->allocations = allocations;
}

static void
key_check(struct deep *deep, const struct zp_key *key)
{
	const struct zp_engine_options *options = &deep->engine->options;
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(key, bytes);
	if (memcmp(bytes, options->low, sizeof(bytes)) < 0 ||
	    memcmp(bytes, options->high, sizeof(bytes)) >= 0)
		pin_tell(deep, key, &deep->wrong_keys, "its key is not of this shard");
}

/* *whole_out: no pin was passed over. */
static int
pins_walk(struct deep *deep, bool *whole_out, struct zp_err *err)
{
	struct zp_view *view = view__of_version(deep->engine, deep->version);
	struct zp_scan_options options = {.columns = ZP_SCAN_KEYS | ZP_SCAN_FACT(ZP_FACT_CREATED) |
						     ZP_SCAN_FACT(ZP_FACT_EXPIRE_AT) |
						     ZP_SCAN_FACT(ZP_FACT_ALLOCATIONS)};
	uint64_t columns[SEGMENT_KEY_COLUMNS_MAX];
	uint8_t bytes[ZP_KEY_BYTES];
	struct zp_accesses accesses;
	struct zp_record record;
	struct zp_scan *scan;
	struct zp_err why = {0};
	struct zp_key key;
	int ended = ZP_OK;
	int rc = zp_scan_open(view, &options, &scan, &why);

	ZP_ASSERT(zp_accesses_walk_open(view, NULL, false, &deep->accesses, NULL) == ZP_OK);
	while (rc == ZP_OK && ended == ZP_OK &&
	       (rc = zp_scan_next(scan, &key, &record, &why)) == ZP_OK) {
		key_check(deep, &key);
		/* One that can't be read was told with its block. */
		zp_ignore(zp_accesses_walk_get(deep->accesses, &key, &accesses, NULL));
		allocations_check(deep, &key, record.facts[ZP_FACT_ALLOCATIONS]);
		zp_key_encode(&key, bytes);
		index__entry_columns(ZP_FAMILY_TIME, bytes, index__created(&record), columns);
		entry_want(deep, &deep->time, columns);
		if (record.facts[ZP_FACT_EXPIRE_AT] != 0) {
			index__entry_columns(
			    ZP_FAMILY_EXPIRE, bytes, index__expiry(&record), columns);
			entry_want(deep, &deep->expire, columns);
		}
		ended = step(deep, err);
	}
	zp_scan_close(scan);
	zp_view_release(view);
	*whole_out = rc == ZP_END;
	return ended;
}

/* ---- Entries -------------------------------------------------------------------------------- */

/* How many pins want the present entry, by what the files say: of expire one or none. */
static int64_t
entry_pins(const struct family_sum *family, const struct run_walks *walks)
{
	if (family->family != ZP_FAMILY_TIME)
		return !segment__is_tombstone(&walks->layout, run_walks__present(walks)->cells);
	return times__of_rows(walks).pins;
}

/* *whole_out: no entry was passed over. */
static int
walks_sum(struct deep *deep, struct family_sum *sum, struct run_walks *walks, bool *whole_out,
    struct zp_err *err)
{
	const struct run_walk *present;
	int ended = ZP_OK;
	int rc = run_walks__first(walks, NULL);

	while (rc == ZP_OK && ended == ZP_OK && (present = run_walks__present(walks)) != NULL) {
		entry_found(deep, sum, present->cells->columns, entry_pins(sum, walks));
		rc = run_walks__next(walks, NULL);
		ended = step(deep, err);
	}
	*whole_out = rc == ZP_OK && ended == ZP_OK;
	return ended;
}

static int
entries_walk(struct deep *deep, struct family_sum *sum, bool *whole_out, struct zp_err *err)
{
	const struct manifest *manifest = &deep->version->manifest;
	struct run_walk *runs = zp_alloc_zero(manifest->run_count + 1, sizeof(runs[0]));
	struct run_walks walks;
	size_t count = 0;
	int rc;

	for (size_t i = 0; i < manifest->run_count; i++) {
		if (manifest->runs[i].family == sum->family)
			runs[count++] = (struct run_walk){.segments = deep->version->runs[i],
			    .segment_count = manifest->runs[i].segment_count};
	}
	run_walks__init(&walks, sum->family, runs, count);
	rc = walks_sum(deep, sum, &walks, whole_out, err);
	run_walks__done(&walks);
	zp_free(runs);
	return rc;
}

static int
family_check(struct deep *deep, struct family_sum *sum, struct zp_err *err)
{
	bool whole;
	int rc = entries_walk(deep, sum, &whole, err);

	if (rc == ZP_OK && whole)
		sums_tell(deep, sum);
	return rc;
}

static void
accesses_check(struct deep *deep)
{
	uint64_t strays = accesses__walk_end(deep->accesses);
	char text[96];

	if (strays == 0)
		return;
	snprintf(text, sizeof(text), "family access: %llu rows are of no pin",
	    (unsigned long long)strays);
	damage_tell(deep, text);
}

int
engine__verify_deep(struct zp_engine *engine, struct version *version, const struct zp_check *check,
    struct zp_verify_report *report, struct zp_err *err)
{
	struct deep deep = {
	    .engine = engine,
	    .version = version,
	    .check = check,
	    .report = report,
	    .time = {.family = ZP_FAMILY_TIME, .columns = SEGMENT_TIME_COLUMNS, .head_column = 2},
	    .expire = {.family = ZP_FAMILY_EXPIRE,
		.columns = SEGMENT_EXPIRE_COLUMNS,
		.head_column = 1},
	};
	bool whole;
	int rc;

	deep.range_bits = range_bits_for(&version->manifest);
	deep.time.ranges = zp_alloc_zero((size_t)1 << deep.range_bits, sizeof(deep.time.ranges[0]));
	deep.expire.ranges =
	    zp_alloc_zero((size_t)1 << deep.range_bits, sizeof(deep.expire.ranges[0]));
	if (zp_engine_tables_read(engine, &deep.tables, NULL) < 0)
		deep.tables = NULL;
	rc = pins_walk(&deep, &whole, err);
	/* Where pins could not be read, which was told, their entries cannot be judged. */
	if (rc == ZP_OK && whole)
		rc = family_check(&deep, &deep.time, err);
	if (rc == ZP_OK && whole)
		rc = family_check(&deep, &deep.expire, err);
	if (rc == ZP_OK && whole)
		accesses_check(&deep);
	zp_accesses_walk_close(deep.accesses);
	zp_tables_free(deep.tables);
	zp_free(deep.time.ranges);
	zp_free(deep.expire.ranges);
	return rc;
}
