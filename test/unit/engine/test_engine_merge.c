/*
 * test_engine_merge.c - merges that go a span of keys at a time.
 *
 * Files are cut at a few KiB here, so that runs of some thousand pins are many files.
 */
#include "engine/engine_internal.h"
#include "engine/merge_span.h"
#include "engine/segment_internal.h"
#include "sim_store.h"
#include "seal_all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { PINS = 12800, FLUSH_PINS = 200, FILE_BYTES = 16384 };

struct shard {
	struct sim_store *sim;
	struct zp_store *store;
	struct zp_tables *tables;
	struct zp_engine_options options;
	struct zp_engine *engine;
	uint32_t made;       /* pins 0 to here were put */
	uint64_t bytes_most; /* that the disk held at once, while merging */
	unsigned steps;
};

static struct zp_key
key_of(uint32_t number)
{
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW, .namespace_id = 1};

	for (uint32_t i = 0; i < 4; i++)
		zp_store_u64be(key.digest + 8 * i, zp_hash64(&number, sizeof(number), 0x100 + i));
	return key;
}

static struct zp_record
record_of(uint32_t number)
{
	struct zp_record record = {0};

	record.facts[ZP_FACT_CREATED] = zp_zigzag(1000000 + (int64_t)number);
	record.facts[ZP_FACT_SIZE] = number;
	return record;
}

static void
shard_open(struct shard *shard)
{
	struct zp_err err = {0};

	assert_int_equal(sim_store_open(shard->sim, "shard", &shard->store, &err), ZP_OK);
	shard->options.store = shard->store;
	if (shard->tables == NULL) {
		shard->tables = zp_tables_new();
		assert_int_equal(zp_engine_create(&shard->options, &err), ZP_OK);
	}
	assert_int_equal(zp_engine_open(&shard->options, &shard->engine, &err), ZP_OK);
}

static void
shard_close(struct shard *shard)
{
	zp_engine_close(shard->engine);
	zp_store_close(shard->store);
}

static void
shard_begin(struct shard *shard, uint64_t segment_bytes)
{
	*shard = (struct shard){.sim = sim_store_new(1)};
	shard->options = (struct zp_engine_options){
	    .shard_id = 5, .incarnation = 1, .segment_bytes = segment_bytes};
	memset(shard->options.high, 0xff, ZP_KEY_BYTES);
	shard_open(shard);
}

static void
shard_end(struct shard *shard)
{
	shard_close(shard);
	zp_tables_free(shard->tables);
	sim_store_free(shard->sim);
}

static void
pin_change(struct shard *shard, uint32_t number, bool had, bool has)
{
	struct zp_change change = {.key = key_of(number),
	    .has_old = had,
	    .has_new = has,
	    .old_record = record_of(number),
	    .new_record = record_of(number)};

	zp_engine_apply(shard->engine, &change);
}

static void
flush(struct shard *shard)
{
	struct zp_err err = {0};

	zp_engine_applied_set(shard->engine, 1, 1, shard->made + 1);
	zp_engine_freeze(shard->engine);
	assert_int_equal(zp_engine_flush(shard->engine, shard->tables, &err), ZP_OK);
}

static void
pins_put(struct shard *shard, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		pin_change(shard, shard->made++, false, true);
	flush(shard);
}

static void
collect(struct shard *shard)
{
	struct zp_err err = {0};

	shard->bytes_most = zp_max_u64(shard->bytes_most, sim_store_bytes(shard->sim));
	assert_int_equal(
	    zp_engine_collect(shard->engine, zp_engine_manifest_number(shard->engine), &err),
	    ZP_OK);
}

/* Merges, or seals, to the end, and collects after each step. */
static void
merge_all(struct shard *shard, bool seals)
{
	bool merged = true;
	struct zp_err err = {0};

	while (merged) {
		assert_int_equal(seals ? zp_engine_seal(shard->engine, NULL, &merged, &err)
				       : zp_engine_merge(shard->engine, NULL, &merged, &err),
		    ZP_OK);
		collect(shard);
		shard->steps += merged;
	}
}

/* Pins [from, shard->made) are there, the others of all that were made are not. */
static void
pins_check(struct shard *shard, uint32_t from)
{
	struct zp_view *view = zp_engine_view_get(shard->engine);
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_verify_report report;
	struct zp_record record;
	struct zp_err err = {0};

	for (uint32_t i = 0; i < shard->made; i++) {
		struct zp_key key = key_of(i);
		int rc = zp_view_get(view, &key, scratch, &record, &err);

		if (rc != (i < from ? ZP_E_NOT_FOUND : ZP_OK))
			fail_msg("pin %u: %d", i, rc);
		if (rc == ZP_OK)
			assert_int_equal(record.facts[ZP_FACT_SIZE], i);
	}
	zp_read_scratch_free(scratch);
	zp_view_release(view);
	if (zp_engine_verify(shard->engine, true, NULL, &report, &err) != ZP_OK)
		fail_msg("%s", err.text);
	assert_int_equal(report.pins, shard->made - from);
}

/* Runs and files of pins, and the bytes of the longest. */
static size_t
pin_files(struct shard *shard, size_t *files_out, uint64_t *longest_out)
{
	struct version *version = engine__version_get(shard->engine);
	size_t runs = 0;

	*files_out = 0;
	*longest_out = 0;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		if (run->family != ZP_FAMILY_PIN)
			continue;
		runs++;
		*files_out += run->segment_count;
		for (size_t j = 0; j < run->segment_count; j++) {
			const struct segment_info *info = &run->segments[j];
			uint64_t apart =
			    zp_load_u64be(info->first_key) ^ zp_load_u64be(info->last_key);

			*longest_out = zp_max_u64(*longest_out, info->bytes);
			/* Cut at prefixes: the keys of a file share what the directory counts on.
			 */
			assert_true(version->runs[i][j] == NULL ||
				    apart >> (63 - version->runs[i][j]->layout.prefix_bits) <= 1);
			if (j > 0)
				assert_true(memcmp(run->segments[j - 1].last_key, info->first_key,
						ZP_KEY_BYTES) < 0);
		}
	}
	version__release(version);
	return runs;
}

/* ---- Room ------------------------------------------------------------------------------------ */

/* A merge needs the room of one step, however long its runs are. */
static void
a_merge_takes_little_room(void **state)
{
	uint64_t live, longest;
	struct shard shard;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES);
	while (shard.made < PINS - FLUSH_PINS) {
		pins_put(&shard, FLUSH_PINS);
		merge_all(&shard, false);
	}
	assert_int_equal(pin_files(&shard, &files, &longest), 7 + 7);
	pins_put(&shard, FLUSH_PINS); /* the 64th run: all become one of level 2 */
	collect(&shard);
	live = sim_store_bytes(shard.sim);
	shard.bytes_most = 0;
	shard.steps = 0;
	merge_all(&shard, false);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	assert_true(files >= live / FILE_BYTES / 4);
	assert_true(longest <= 2 * FILE_BYTES);
	assert_true(shard.steps >= 4);
	assert_true(live > 2 * (MERGE_RUNS + 2) * FILE_BYTES);
	assert_true(shard.bytes_most < live + (MERGE_RUNS + 2) * FILE_BYTES);
	pins_check(&shard, 0);
	shard_end(&shard);
}

static uint64_t
live_bytes(struct shard *shard)
{
	struct zp_engine_facts facts;

	zp_engine_facts_get(shard->engine, &facts);
	return facts.disk_bytes;
}

static uint64_t
room_coming(struct shard *shard)
{
	return zp_engine_merge_room(shard->engine, ZP_MERGE_COMING).all;
}

/* What a merge takes is known when one more flush makes it due, so that it can be left free. */
static void
the_room_of_a_merge_is_known_before(void **state)
{
	struct shard shard;

	(void)state;
	shard_begin(&shard, 1u << 20);
	for (unsigned run = 1; run < 64; run++) {
		uint64_t room = room_coming(&shard), before;

		pins_put(&shard, FLUSH_PINS);
		collect(&shard);
		/* Of the run that came, the rest was told. */
		assert_true(run % 8 != 0 || room >= live_bytes(&shard) * 7 / (8 * ((run + 7) / 8)));
		before = sim_store_bytes(shard.sim);
		room = room_coming(&shard);
		shard.bytes_most = 0;
		assert_int_equal(
		    zp_engine_merge_room(shard.engine, ZP_MERGE_DUE).all > 0, run % 8 == 0);
		merge_all(&shard, false);
		assert_true(shard.bytes_most <= before + room);
		if (run == 63) /* the next makes all of them one */
			assert_int_equal(room_coming(&shard), live_bytes(&shard));
		else if (run % 8 != 7)
			assert_int_equal(room_coming(&shard), 0);
	}
	shard_end(&shard);
	/* Long ones go by steps. */
	shard_begin(&shard, FILE_BYTES);
	while (shard.made < PINS) {
		pins_put(&shard, FLUSH_PINS);
		assert_true(room_coming(&shard) <= 2 * 2 * MERGE_RUNS * FILE_BYTES);
		merge_all(&shard, false);
	}
	shard_end(&shard);
}

/* Also where runs of one level are of very different lengths: files of the short ones, which lie
 * across all of the long one's, are cut first. */
static void
short_runs_beside_a_long_one_take_little_room(void **state)
{
	uint64_t live, longest;
	struct shard shard;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES);
	for (unsigned run = 0; run < 8; run++)
		pins_put(&shard, 3200);
	merge_all(&shard, false);
	for (unsigned run = 0; run < 7 * 8; run++) {
		pin_change(&shard, run, true, false);
		pins_put(&shard, 20);
		if (run < 7 * 8 - 1)
			merge_all(&shard, false);
	}
	collect(&shard);
	live = sim_store_bytes(shard.sim);
	assert_true(live > 4 * MERGE_RUNS * FILE_BYTES);
	shard.bytes_most = 0;
	merge_all(&shard, false);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	assert_true(shard.bytes_most < live + 2 * MERGE_RUNS * FILE_BYTES);
	pins_check(&shard, 7 * 8);
	shard_end(&shard);
}

/* Sealing too, though small runs lie across the files of the large one. */
static void
sealing_takes_little_room(void **state)
{
	uint64_t live, longest;
	struct shard shard;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES);
	while (shard.made < PINS) {
		pins_put(&shard, FLUSH_PINS);
		merge_all(&shard, false);
	}
	for (unsigned i = 0; i < 5; i++)
		pins_put(&shard, FLUSH_PINS);
	for (uint32_t i = 0; i < FLUSH_PINS; i++)
		pin_change(&shard, i, true, false);
	flush(&shard);
	collect(&shard);
	live = sim_store_bytes(shard.sim);
	shard.bytes_most = 0;
	shard.steps = 0;
	merge_all(&shard, true);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	assert_true(shard.steps > MERGE_RUNS);
	assert_true(shard.bytes_most < live + live / MERGE_RUNS + MERGE_RUNS * FILE_BYTES);
	pins_check(&shard, FLUSH_PINS);
	merge_all(&shard, true); /* there is nothing to do then */
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	shard_end(&shard);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

/* Between any two steps all is there, also for who opens the shard anew, and new runs may come
 * between. */
static void
a_merge_goes_on_where_it_was(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	uint64_t longest;
	size_t files;

	(void)state;
	for (unsigned between = 0; between < 2; between++) {
		bool merged = true;

		shard_begin(&shard, FILE_BYTES / 4);
		while (shard.made < 63 * 40) {
			pins_put(&shard, 40);
			merge_all(&shard, false);
		}
		for (uint32_t i = 0; i < 20; i++)
			pin_change(&shard, i, true, false);
		pins_put(&shard, 40);
		while (merged) {
			assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
			if (between == 1)
				pins_put(&shard, 40);
			shard.steps++;
			pins_check(&shard, 20);
			shard_close(&shard);
			shard_open(&shard);
		}
		assert_true(shard.steps > 8);
		assert_int_equal(seal_all(shard.engine, NULL, &err), ZP_OK);
		assert_int_equal(pin_files(&shard, &files, &longest), 1);
		pins_check(&shard, 20);
		shard_end(&shard);
	}
}

/* An input that a merge has used up is one run less: a newer one takes its place, and has keys that
 * were merged already. */
static void
newer_runs_join_a_merge(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	uint64_t longest;
	bool merged;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES / 4);
	for (unsigned level = 0; level < 8; level++) {
		for (unsigned run = 0; run < 8; run++) {
			if (level < 7) {
				pins_put(&shard, 60);
				continue;
			}
			/* Of the last but the lowest digests: its files are few. */
			while (zp_load_u64be(key_of(shard.made).digest) >> 62 != 0)
				shard.made++;
			pin_change(&shard, shard.made++, false, true);
			flush(&shard);
		}
		if (level < 7)
			merge_all(&shard, false);
	}
	assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
	assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
	for (unsigned run = 0; run < 16; run++) {
		pins_put(&shard, 60);
		shard_close(&shard);
		shard_open(&shard);
		assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
	}
	merge_all(&shard, false);
	shard_close(&shard);
	shard_open(&shard);
	assert_int_equal(seal_all(shard.engine, NULL, &err), ZP_OK);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	shard_end(&shard);
}

/* The name of the first file of pins that a merge under way has made. */
static void
made_find(struct shard *shard, char name[ZP_FILE_NAME_MAX])
{
	struct version *version = engine__version_get(shard->engine);
	const struct manifest_run *runs = version->manifest.runs;
	size_t at = 1;

	while (at < version->manifest.run_count && runs[at].age != runs[at - 1].age)
		at++;
	assert_true(at < version->manifest.run_count);
	segment__name_format(&runs[at].segments[0].name, name);
	version__release(version);
}

/* What a merge has made so far is damaged: newer runs are merged all the same, beside it. */
static void
damage_of_what_was_made_holds_nothing_up(void **state)
{
	struct zp_verify_report report;
	struct zp_err err = {0};
	struct shard shard;
	char name[ZP_FILE_NAME_MAX];
	uint64_t longest;
	bool merged;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES / 4);
	while (shard.made < 64 * 40) {
		pins_put(&shard, 40);
		if (shard.made < 64 * 40)
			merge_all(&shard, false);
	}
	for (unsigned step = 0; step < 3; step++)
		assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
	made_find(&shard, name);
	shard_close(&shard);
	sim_store_file_put(shard.sim, "shard", name, "damage", 6);
	shard_open(&shard);
	for (unsigned run = 0; run < 80; run++) {
		pins_put(&shard, 40);
		do {
			assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
		} while (merged);
	}
	assert_true(pin_files(&shard, &files, &longest) < 32);
	assert_int_equal(zp_engine_verify(shard.engine, false, NULL, &report, &err), ZP_E_CORRUPT);
	assert_int_equal(report.damages, 1);
	shard_end(&shard);
}

/* A shard of one run, whose file, of that name, has damage in a block. */
static void
damaged_begin(struct shard *shard, char name[ZP_FILE_NAME_MAX])
{
	struct version *version;

	shard_begin(shard, 0);
	pins_put(shard, 200);
	version = engine__version_get(shard->engine);
	segment__name_format(&version->manifest.runs[0].segments[0].name, name);
	version__release(version);
	sim_store_damage(shard->sim, "shard", name, 300, "damage", 6);
}

/* A block that cannot be read is met by the merge alone: it is told once, and then the other runs
 * are merged around the one that has it. When the file is whole again, and opened anew, it is
 * merged too. */
static void
a_damaged_block_holds_up_its_run_only(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	char name[ZP_FILE_NAME_MAX];
	unsigned told = 0;
	uint64_t longest;
	bool merged;
	size_t files;

	(void)state;
	damaged_begin(&shard, name);
	for (unsigned run = 0; run < 80; run++) {
		pins_put(&shard, 40);
		do
			told += zp_engine_merge(shard.engine, NULL, &merged, &err) == ZP_E_CORRUPT;
		while (merged);
	}
	assert_int_equal(told, 1);
	assert_true(pin_files(&shard, &files, &longest) < 20);
	sim_store_heal(shard.sim);
	assert_int_equal(zp_engine_reopen(shard.engine, name, &err), ZP_OK);
	assert_int_equal(seal_all(shard.engine, NULL, &err), ZP_OK);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	pins_check(&shard, 0);
	shard_end(&shard);
}

/* They have the same files in the same runs. */
static void
runs_compare(const struct manifest *left, const struct manifest *right)
{
	assert_int_equal(left->run_count, right->run_count);
	for (size_t i = 0; i < left->run_count; i++) {
		const struct manifest_run *a = &left->runs[i], *b = &right->runs[i];

		assert_true(a->level == b->level && a->age == b->age);
		assert_int_equal(a->segment_count, b->segment_count);
		assert_memory_equal(
		    a->segments, b->segments, a->segment_count * sizeof(a->segments[0]));
	}
}

/* The same inputs give the same files. */
static void
the_files_follow_from_the_inputs(void **state)
{
	struct manifest manifests[2];
	struct zp_err err = {0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct version *version;
		struct shard shard;

		shard_begin(&shard, FILE_BYTES / 4);
		for (unsigned n = 0; n < 9; n++)
			pins_put(&shard, 100);
		assert_int_equal(seal_all(shard.engine, NULL, &err), ZP_OK);
		version = engine__version_get(shard.engine);
		manifest__next(&version->manifest, &manifests[i]);
		version__release(version);
		shard_end(&shard);
	}
	assert_true(manifests[0].runs[0].segment_count > 4);
	runs_compare(&manifests[0], &manifests[1]);
	manifest__done(&manifests[0]);
	manifest__done(&manifests[1]);
}

static bool
has_segment(const struct manifest *manifest, const struct segment_name *name)
{
	for (size_t i = 0; i < manifest->run_count; i++) {
		for (size_t j = 0; j < manifest->runs[i].segment_count; j++) {
			if (memcmp(&manifest->runs[i].segments[j].name, name, sizeof(*name)) == 0)
				return true;
		}
	}
	return false;
}

/* What is of `before` and not of `after` was merged, and what was merged is not of `after`. */
static void
edit_check(const struct manifest *before, const struct manifest *after)
{
	size_t gone = 0;

	for (size_t i = 0; i < before->run_count; i++) {
		for (size_t j = 0; j < before->runs[i].segment_count; j++)
			gone += !has_segment(after, &before->runs[i].segments[j].name);
	}
	assert_int_equal(gone, after->merged_count);
	for (size_t i = 0; i < after->merged_count; i++) {
		assert_true(has_segment(before, &after->merged[i]));
		assert_false(has_segment(after, &after->merged[i]));
	}
}

/* A step of a merge, and the manifest that it comes to with what it came from. */
static bool
step_take(struct shard *shard, struct manifest *before_out, struct version **after_out)
{
	struct version *version = engine__version_get(shard->engine);
	struct zp_err err = {0};
	bool merged;

	manifest__next(&version->manifest, before_out);
	version__release(version);
	assert_int_equal(zp_engine_merge(shard->engine, NULL, &merged, &err), ZP_OK);
	*after_out = engine__version_get(shard->engine);
	return merged;
}

/* Each step of a merge is an edit that a manifest tells, and who repeats it where the same inputs
 * are comes to the same manifest. */
static void
a_merge_is_repeated_elsewhere(void **state)
{
	struct shard shards[2];
	unsigned steps = 0;
	bool merged = true;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		shard_begin(&shards[i], FILE_BYTES / 4);
	for (unsigned run = 0; run < 80 || merged;) {
		struct manifest before[2];
		struct version *after[2];

		for (size_t i = 0; i < 2 && !merged; i++)
			pins_put(&shards[i], 40);
		run += !merged;
		merged = step_take(&shards[0], &before[0], &after[0]);
		assert_int_equal(step_take(&shards[1], &before[1], &after[1]), merged);
		assert_int_equal(after[0]->manifest.merged_count, after[1]->manifest.merged_count);
		if (merged) {
			steps++;
			assert_memory_equal(after[0]->manifest.merged, after[1]->manifest.merged,
			    after[0]->manifest.merged_count * sizeof(struct segment_name));
			edit_check(&before[0], &after[0]->manifest);
			edit_check(&before[1], &after[1]->manifest);
		}
		runs_compare(&after[0]->manifest, &after[1]->manifest);
		for (size_t i = 0; i < 2; i++) {
			manifest__done(&before[i]);
			version__release(after[i]);
		}
	}
	assert_true(steps > 20);
	for (size_t i = 0; i < 2; i++)
		shard_end(&shards[i]);
}

/* Digests that share their first bits all: no prefix parts them, and files end all the same. */
static void
alike_digests_are_cut_too(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	uint64_t longest;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES / 4);
	for (uint32_t n = 0; n < 8; n++) {
		for (uint32_t i = 0; i < 400; i++) {
			struct zp_change change = {.has_new = true, .new_record = record_of(i)};

			change.key = key_of(8 * i + n);
			memset(change.key.digest, 0x55, 9);
			zp_engine_apply(shard.engine, &change);
		}
		flush(&shard);
	}
	assert_int_equal(seal_all(shard.engine, NULL, &err), ZP_OK);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	assert_true(files > 4);
	assert_true(longest < 4 * FILE_BYTES);
	shard_end(&shard);
}

/* And when its file is whole again it is merged with those that were merged around it, also where
 * nobody seals: until then it would keep all tombstones of its keys. */
static void
what_was_merged_around_is_merged_later(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	char name[ZP_FILE_NAME_MAX];
	uint64_t longest;
	bool merged;
	size_t files;

	(void)state;
	damaged_begin(&shard, name);
	for (unsigned run = 0; run < 2 * MERGE_RUNS; run++) {
		pins_put(&shard, 40);
		do
			zp_ignore(zp_engine_merge(shard.engine, NULL, &merged, NULL));
		while (merged);
	}
	collect(&shard);
	assert_true(sim_store_file_bytes(shard.sim, "shard", name) != SIZE_MAX);
	sim_store_heal(shard.sim);
	assert_int_equal(zp_engine_reopen(shard.engine, name, &err), ZP_OK);
	for (unsigned run = 0; run < MERGE_RUNS * MERGE_RUNS; run++) {
		pins_put(&shard, 40);
		merge_all(&shard, false);
	}
	collect(&shard);
	assert_true(sim_store_file_bytes(shard.sim, "shard", name) == SIZE_MAX);
	assert_true(pin_files(&shard, &files, &longest) < 20);
	pins_check(&shard, 0);
	shard_end(&shard);
}

/* Keys of one digest that differ in their claims alone: the manifest has not so much of them, so
 * files that are cut between two of them seem to overlap. What a merge has made of them it leaves
 * alone. */
static void
files_that_seem_to_overlap_are_merged_once(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	uint64_t longest;
	bool merged = true;
	size_t files;

	(void)state;
	shard_begin(&shard, FILE_BYTES / 4);
	for (uint32_t n = 0; n < 64; n++) {
		for (uint32_t i = 0; i < 60; i++) {
			struct zp_change change = {.has_new = true, .new_record = record_of(i)};

			change.key = key_of(0);
			memset(change.key.digest, 0, sizeof(change.key.digest));
			change.key.claim = 64 * i + n;
			zp_engine_apply(shard.engine, &change);
		}
		pins_put(&shard, 40);
		if (n < 63)
			merge_all(&shard, false);
	}
	shard.steps = 0;
	for (; merged && shard.steps < 200; shard.steps++)
		assert_int_equal(zp_engine_merge(shard.engine, NULL, &merged, &err), ZP_OK);
	assert_false(merged);
	assert_int_equal(pin_files(&shard, &files, &longest), 1);
	assert_true(files > 8);
	shard_end(&shard);
}

/* The same where such files are the last that a seal comes to, but for a run behind them: it does
 * not begin anew, since they may stay as they are. */
static void
files_that_seem_to_overlap_are_sealed_once(void **state)
{
	struct zp_err err = {0};
	struct shard shard;
	bool merged = true;

	(void)state;
	shard_begin(&shard, FILE_BYTES / 4);
	for (uint32_t i = 0; i < 4000; i++) {
		struct zp_change change = {.has_new = true, .new_record = record_of(i)};

		change.key = key_of(0);
		memset(change.key.digest, 0xfe, sizeof(change.key.digest));
		change.key.claim = i;
		zp_engine_apply(shard.engine, &change);
		if (i % 2000 == 1999)
			flush(&shard);
	}
	assert_int_equal(seal_all(shard.engine, NULL, &err), ZP_OK);
	while (key_of(shard.made).digest[0] != 0xff)
		shard.made++;
	pin_change(&shard, shard.made++, false, true);
	flush(&shard);
	for (shard.steps = 0; merged && shard.steps < 50; shard.steps++)
		assert_int_equal(zp_engine_seal(shard.engine, NULL, &merged, &err), ZP_OK);
	assert_false(merged);
	shard_end(&shard);
}

/* ---- Spans ----------------------------------------------------------------------------------- */

/* A segment with keys that begin with `first` to `last`, of ten bytes. */
static void
span_segment(struct manifest *manifest, uint8_t level, uint64_t age, uint8_t first, uint8_t last)
{
	struct segment_info info = {.bytes = 10, .rows = 2, .tombstones = age == 7};

	info.first_key[0] = first;
	info.last_key[0] = last;
	manifest__segments_add(manifest, ZP_FAMILY_PIN, level, age, &info, 1);
}

static void
span_expect(struct merge_span *span, uint64_t bytes_max, size_t segments, uint8_t first,
    uint8_t last, bool is_oldest)
{
	assert_true(merge_span__next(span, bytes_max));
	assert_int_equal(span->segments, segments);
	assert_int_equal(span->bytes, 10 * segments);
	assert_int_equal(span->rows, 2 * segments);
	assert_int_equal(span->first_key[0], first);
	assert_int_equal(span->last_key[0], last);
	assert_int_equal(merge_span__is_oldest(span), is_oldest);
}

static void
spans_are_what_overlaps(void **state)
{
	struct manifest manifest = {0};
	struct merge_span span;

	(void)state;
	span_segment(&manifest, 0, 9, 0x10, 0x20);
	span_segment(&manifest, 0, 9, 0x60, 0x60);
	span_segment(&manifest, 0, 8, 0x20, 0x30);
	span_segment(&manifest, 0, 8, 0x31, 0x3f);
	span_segment(&manifest, 0, 8, 0x50, 0x70);
	span_segment(&manifest, 2, 3, 0x00, 0x0f); /* older, and not merged */
	span_segment(&manifest, 2, 3, 0x30, 0x30);

	merge_span__init(&span, &manifest, 0, 2);
	span_expect(&span, 0, 2, 0x10, 0x30, false);
	span_expect(&span, 0, 1, 0x31, 0x3f, true);
	span_expect(&span, 0, 2, 0x50, 0x70, true);
	assert_false(merge_span__next(&span, 0));
	merge_span__done(&span);

	/* What is small is merged together, up to a limit. */
	merge_span__init(&span, &manifest, 0, 2);
	span_expect(&span, 30, 3, 0x10, 0x3f, false);
	span_expect(&span, 30, 2, 0x50, 0x70, true);
	assert_false(merge_span__next(&span, 30));
	merge_span__done(&span);

	/* But not again, when it is the output's. */
	merge_span__init(&span, &manifest, 0, 3);
	span.output_level = 2;
	span.output_age = 3;
	span_expect(&span, 1000, 1, 0x00, 0x0f, true);
	span_expect(&span, 1000, 6, 0x10, 0x70, true);
	assert_false(merge_span__next(&span, 1000));
	merge_span__done(&span);
	manifest__done(&manifest);
}

/* A file that lies across several of the longest run is to be cut where these are parted; when it
 * is, there is nothing more to do. */
static void
a_span_is_parted_where_the_longest_run_is(void **state)
{
	struct merge_span span, part;
	struct merge_cuts cuts;

	(void)state;
	for (unsigned is_cut = 0; is_cut < 2; is_cut++) {
		struct manifest manifest = {0};

		span_segment(&manifest, 1, 9, 0x18, is_cut ? 0x1f : 0x3f);
		if (is_cut) {
			span_segment(&manifest, 1, 9, 0x20, 0x2f);
			span_segment(&manifest, 1, 9, 0x30, 0x3f);
		}
		for (uint8_t first = 0x00; first < 0x50; first += 0x10)
			span_segment(&manifest, 1, 3, first, first + 0x0f);
		merge_span__init(&span, &manifest, 0, 2);
		while (merge_span__next(&span, 0) && span.segments == 1)
			;
		assert_int_equal(span.segments, is_cut ? 2 : 4);
		assert_int_equal(merge_span__part(&span, 20, &part, &cuts), !is_cut);
		if (!is_cut) {
			assert_int_equal(part.first_run, 0);
			assert_int_equal(part.segments, 1);
			assert_int_equal(part.first_key[0], 0x18);
			assert_int_equal(part.last_key[0], 0x3f);
			assert_int_equal(cuts.count, 2);
			assert_int_equal(cuts.keys[0][0], 0x20);
			assert_int_equal(cuts.keys[1][0], 0x30);
			merge_span__done(&part);
			zp_free(cuts.keys);
		}
		merge_span__done(&span);
		manifest__done(&manifest);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(spans_are_what_overlaps),
	    cmocka_unit_test(a_span_is_parted_where_the_longest_run_is),
	    cmocka_unit_test(a_merge_takes_little_room),
	    cmocka_unit_test(the_room_of_a_merge_is_known_before),
	    cmocka_unit_test(short_runs_beside_a_long_one_take_little_room),
	    cmocka_unit_test(sealing_takes_little_room),
	    cmocka_unit_test(a_merge_goes_on_where_it_was),
	    cmocka_unit_test(newer_runs_join_a_merge),
	    cmocka_unit_test(damage_of_what_was_made_holds_nothing_up),
	    cmocka_unit_test(a_damaged_block_holds_up_its_run_only),
	    cmocka_unit_test(what_was_merged_around_is_merged_later),
	    cmocka_unit_test(the_files_follow_from_the_inputs),
	    cmocka_unit_test(a_merge_is_repeated_elsewhere),
	    cmocka_unit_test(alike_digests_are_cut_too),
	    cmocka_unit_test(files_that_seem_to_overlap_are_merged_once),
	    cmocka_unit_test(files_that_seem_to_overlap_are_sealed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
