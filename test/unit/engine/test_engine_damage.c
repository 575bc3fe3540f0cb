/*
 * test_engine_damage.c - damaged, misplaced and missing files: clear errors, no wrong answers.
 *
 * Method: two runs where the newer one replaces and deletes what the older one has, so that every
 * answer from the wrong run would be seen. Then the files are flipped, exchanged, removed, or
 * refuse to be read. Whatever is answered must be what the model says; the rest must be an error.
 */
#include "engine_model.h"

#include "engine/block_cache.h"

struct answers {
	unsigned right;
	unsigned errors;
};

/* A batch says of each key what a get says of it alone, damage included. */
static void
batch_is_as_gets(struct model *model, struct zp_view *view, struct zp_read_scratch *scratch)
{
	struct zp_batch_answer answers[MODEL_KEYS];
	const struct zp_key *keys[MODEL_KEYS];
	ZP_AUTO_BUF(texts, 1 << 16);

	for (size_t i = 0; i < MODEL_KEYS; i++)
		keys[i] = &model->keys[MODEL_KEYS - 1 - i];
	assert_int_equal(
	    zp_view_get_batch(view, keys, MODEL_KEYS, scratch, &texts, answers, NULL), ZP_OK);
	for (size_t i = 0; i < MODEL_KEYS; i++) {
		struct zp_record record;
		int rc = zp_view_get(view, keys[i], scratch, &record, NULL);

		assert_int_equal(answers[i].rc, rc);
		if (rc != ZP_OK)
			continue;
		assert_memory_equal(answers[i].record.facts, record.facts, sizeof(record.facts));
		assert_true(zp_slice_equal(answers[i].record.texts, record.texts));
	}
}

/* Gets and a scan: nothing wrong, keys rise, errors are counted. */
static struct answers
answers_check(struct model *model)
{
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_view *view = zp_engine_view_get(model->engine);
	struct answers answers = {0};
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_scan *scan;
	struct zp_key key;
	size_t at = 0;
	int rc;

	for (size_t i = 0; i < MODEL_KEYS; i++) {
		rc = zp_view_get(view, &model->keys[i], scratch, &record, &err);
		if (rc == ZP_E_CORRUPT || rc == ZP_E_IO) {
			answers.errors++;
			continue;
		}
		assert_int_equal(rc, model->state.pins[i].there ? ZP_OK : ZP_E_NOT_FOUND);
		assert_true(rc != ZP_OK || model_record_is(&model->state.pins[i], &record));
		answers.right++;
	}
	batch_is_as_gets(model, view, scratch);
	assert_int_equal(zp_scan_open(view, &(struct zp_scan_options){0}, &scan, &err), ZP_OK);
	while ((rc = zp_scan_next(scan, &key, &record, &err)) == ZP_OK) {
		while (at < MODEL_KEYS && zp_key_compare(&model->keys[at], &key) < 0)
			at++;
		assert_true(at < MODEL_KEYS && zp_key_compare(&model->keys[at], &key) == 0);
		assert_true(model->state.pins[at].there &&
			    model_record_is(&model->state.pins[at], &record));
		at++;
	}
	assert_true(rc == ZP_END ? answers.errors == 0 : err.code != ZP_OK);
	zp_scan_close(scan);
	zp_view_release(view);
	zp_read_scratch_free(scratch);
	return answers;
}

/* Run 1: every key. Run 2: a third replaced, a third deleted. */
static struct model *
two_runs(uint64_t seed)
{
	struct model *model = model_new(seed);
	struct zp_err err = {0};

	assert_int_equal(model_open(model, &err), ZP_OK);
	for (uint32_t key = 0; key < MODEL_KEYS; key++)
		model_change(model, key, false);
	assert_int_equal(model_flush(model, &err), ZP_OK);
	for (uint32_t key = 0; key < MODEL_KEYS; key++) {
		if (key % 3 != 0)
			model_change(model, key, key % 3 == 1);
	}
	assert_int_equal(model_flush(model, &err), ZP_OK);
	return model;
}

/* The file name of a family's run, 0 the newest. */
static void
segment_file(struct model *model, enum zp_family family, size_t index, char name[ZP_FILE_NAME_MAX])
{
	struct version *version = engine__version_get(model->engine);
	size_t at = 0;

	while (version->manifest.runs[at].family != family)
		at++;
	segment__name_format(&version->manifest.runs[at + index].segments[0].name, name);
	version__release(version);
}

static void
reopen(struct model *model)
{
	struct zp_err err = {0};

	model_close(model);
	model->warnings = 0;
	if (model_open(model, &err) != ZP_OK)
		fail_msg("%s", err.text);
}

static uint64_t
damages(struct model *model)
{
	struct zp_verify_report report;
	struct zp_err err = {0};
	int rc = zp_engine_verify(model->engine, true, NULL, &report, &err);

	assert_int_equal(rc, report.damages > 0 ? ZP_E_CORRUPT : ZP_OK);
	return report.damages;
}

/* ---- Damage in a segment -------------------------------------------------------------------- */

/* Every byte of either run flipped, found at opening or when read: no answer is wrong, and verify
 * tells. */
static void
any_flipped_byte_gives_no_wrong_answer(void **state)
{
	struct model *model = two_runs(1);
	unsigned read = 0, opened = 0;

	(void)state;
	for (size_t run = 0; run < 2; run++) {
		char name[ZP_FILE_NAME_MAX];
		size_t bytes;

		segment_file(model, ZP_FAMILY_PIN, run, name);
		bytes = sim_store_file_bytes(model->sim, MODEL_PATH, name);
		for (size_t at = 0; at < bytes; at++) {
			sim_store_file_flip(
			    model->sim, MODEL_PATH, name, at, (uint8_t)(1 << at % 8));
			reopen(model);
			read += answers_check(model).errors > 0;
			opened += model->warnings;
			assert_true(damages(model) > 0);
			sim_store_file_flip(
			    model->sim, MODEL_PATH, name, at, (uint8_t)(1 << at % 8));
		}
	}
	assert_true(read > 100 && opened > 100);
	reopen(model);
	assert_true(model_holds(model) && damages(model) == 0);
	model_free(model);
}

static void
stop_set(void *context, const char *text)
{
	(void)text;
	*(bool *)context = true;
}

static int
stop_look(void *context, uint64_t bytes, struct zp_err *err)
{
	(void)bytes;
	return *(const bool *)context ? zp_fail(err, ZP_E_STOPPING, "stopped") : ZP_OK;
}

/* A verify that is stopped in its midst ends there: the second damaged run is not looked at. */
static void
a_verify_ends_when_it_is_told(void **state)
{
	struct model *model = two_runs(5);
	struct zp_verify_report report;
	bool stop = false;
	struct zp_check check = {.step = stop_look, .context = &stop};
	struct zp_err err = {0};
	char name[ZP_FILE_NAME_MAX];

	(void)state;
	for (size_t run = 0; run < 2; run++) {
		segment_file(model, ZP_FAMILY_PIN, run, name);
		sim_store_read_error(model->sim, MODEL_PATH, name, 64, 16);
	}
	assert_int_equal(
	    zp_engine_verify(model->engine, true, &check, &report, &err), ZP_E_CORRUPT);
	assert_true(report.damages > 1 && report.segments > 1);
	zp_err_clear(&err);
	check.damage = stop_set;
	assert_int_equal(
	    zp_engine_verify(model->engine, true, &check, &report, &err), ZP_E_STOPPING);
	assert_int_equal(report.damages, 1);
	assert_int_equal(report.segments, 1);
	model_free(model);
}

/* Bytes that cannot be read are an error of their keys, not of others; verify says so and goes on.
 */
static void
a_read_error_is_an_error_of_its_keys(void **state)
{
	struct model *model = two_runs(2);
	char name[ZP_FILE_NAME_MAX];
	unsigned errors = 0;
	struct zp_err err = {0};
	size_t bytes;

	(void)state;
	/* A block that is in memory needs no reading. */
	model_close(model);
	zp_block_cache_free(model->options.block_cache);
	model->options.block_cache = NULL;
	assert_int_equal(model_open(model, &err), ZP_OK);
	segment_file(model, ZP_FAMILY_PIN, 0, name);
	bytes = sim_store_file_bytes(model->sim, MODEL_PATH, name);
	for (size_t at = 0; at < bytes; at += 16) {
		sim_store_read_error(model->sim, MODEL_PATH, name, at, 16);
		errors += answers_check(model).errors; /* the segment is open already */
		assert_true(damages(model) > 0);
		sim_store_read_error(model->sim, MODEL_PATH, name, at, 0);
	}
	assert_true(errors > 0);
	assert_true(model_holds(model));
	model_free(model);
}

/* Whether the cache takes blocks while the disk is asked. */
struct looking {
	struct zp_block_cache *cache;
	uint64_t number;
	unsigned reads;
	unsigned full;
};

static void
room_look(void *context, enum sim_call call)
{
	struct looking *looking = context;
	uint8_t bytes[sizeof(struct block_cache_entry) + 64] = {0};
	struct block_cache_entry entry = {.serial = UINT64_MAX, .bytes = 64};

	if (call != SIM_CALL_READ)
		return;
	looking->reads++;
	for (unsigned i = 0; i < 2 * MODEL_BLOCK_CACHE_BYTES / sizeof(bytes); i++) {
		entry.number = looking->number++;
		memcpy(bytes, &entry, sizeof(entry));
		block_cache__keep(
		    looking->cache, (const struct block_cache_entry *)(const void *)bytes);
	}
	looking->full += block_cache__find(looking->cache, entry.serial, entry.number) == NULL;
}

/* A batch reads directories and blocks in no visit of the cache, which makes room for nothing
 * while there is one: the disk may be slow. */
static void
a_batch_waits_for_the_disk_in_no_visit(void **state)
{
	struct model *model = two_runs(2);
	struct looking looking = {.cache = model->options.block_cache};
	struct zp_batch_answer answers[MODEL_KEYS];
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	const struct zp_key *keys[MODEL_KEYS];
	ZP_AUTO_BUF(texts, 1 << 16);
	struct zp_err err = {0};
	struct zp_view *view;

	(void)state;
	model_close(model);
	assert_int_equal(model_open(model, &err), ZP_OK);
	view = zp_engine_view_get(model->engine);
	for (size_t i = 0; i < MODEL_KEYS; i++)
		keys[i] = &model->keys[i];
	sim_store_on_call(model->sim, room_look, &looking);
	assert_int_equal(
	    zp_view_get_batch(view, keys, MODEL_KEYS, scratch, &texts, answers, &err), ZP_OK);
	sim_store_on_call(model->sim, NULL, NULL);
	assert_true(looking.reads > 4);
	assert_int_equal(looking.full, 0);
	zp_view_release(view);
	zp_read_scratch_free(scratch);
	model_free(model);
}

enum { MANY_PINS = 4000 };

/* Two runs of many blocks; the second replaces all of the first. */
static struct model *
many_blocks(struct zp_change **changes_out)
{
	struct model *model = model_new(3);
	struct zp_change *changes = zp_alloc_zero(MANY_PINS, sizeof(changes[0]));
	struct zp_err err = {0};

	assert_int_equal(model_open(model, &err), ZP_OK);
	for (unsigned run = 0; run < 2; run++) {
		for (size_t i = 0; i < MANY_PINS; i++) {
			struct zp_change *change = &changes[i];

			change->has_old = run > 0;
			change->has_new = true;
			change->old_record = change->new_record;
			change->key.version = 1;
			change->key.codec = ZP_CODEC_RAW;
			for (size_t j = 0; j < 4; j++)
				zp_store_u64le(change->key.digest + 8 * j,
				    zp_hash64(&(uint64_t[]){i, j}, 16, 9));
			change->key.digest[0] = (uint8_t)(0x40 | (change->key.digest[0] & 0x3f));
			change->new_record.facts[ZP_FACT_SIZE] = 1 + run;
			zp_engine_apply(model->engine, change);
		}
		zp_engine_applied_set(model->engine, 1, 1, 1 + run);
		zp_engine_freeze(model->engine);
		assert_int_equal(zp_engine_flush(model->engine, model->tables, &err), ZP_OK);
	}
	*changes_out = changes;
	return model;
}

struct range_told {
	unsigned long long first, last;
	unsigned count;
};

static void
range_take(void *context, const char *text)
{
	struct range_told *told = context;
	const char *digests = strstr(text, "(digests ");

	told->count++;
	if (digests == NULL ||
	    sscanf(digests, "(digests %llx to %llx)", &told->first, &told->last) != 2)
		fail_msg("no digests in: %s", text);
}

/* One of many blocks is damaged, or cannot be read, in the newer run: scan and gets give all
 * others, right, and the keys that verify tells are those that are not given. */
static void
damage_is_as_small_as_its_block(void **state)
{
	(void)state;
	for (int how = 0; how < 2; how++) {
		struct zp_change *changes;
		struct model *model = many_blocks(&changes);
		struct range_told told = {0};
		struct zp_read_scratch *scratch = zp_read_scratch_new();
		struct zp_err err = {0};
		struct zp_verify_report report;
		struct zp_record record;
		struct zp_view *view;
		struct zp_scan *scan;
		struct zp_key key;
		char name[ZP_FILE_NAME_MAX];
		unsigned given = 0, in_range = 0;
		size_t at;
		int rc;

		segment_file(model, ZP_FAMILY_PIN, 0, name);
		at = sim_store_file_bytes(model->sim, MODEL_PATH, name) / 3;
		if (how == 0)
			sim_store_file_flip(model->sim, MODEL_PATH, name, at, 1);
		reopen(model);
		if (how == 1)
			sim_store_read_error(model->sim, MODEL_PATH, name, at, 1);
		assert_int_equal(model->warnings, 0);
		view = zp_engine_view_get(model->engine);
		assert_int_equal(
		    zp_scan_open(view, &(struct zp_scan_options){0}, &scan, &err), ZP_OK);
		while ((rc = zp_scan_next(scan, &key, &record, &err)) == ZP_OK) {
			assert_int_equal(record.facts[ZP_FACT_SIZE], 2);
			given++;
		}
		assert_int_equal(rc, how == 0 ? ZP_E_CORRUPT : ZP_E_IO);
		zp_scan_close(scan);
		assert_int_equal(
		    zp_engine_verify(model->engine, true,
			&(struct zp_check){.damage = range_take, .context = &told}, &report, &err),
		    ZP_E_CORRUPT);
		assert_int_equal(told.count, 1);
		for (size_t i = 0; i < MANY_PINS; i++) {
			uint64_t head = zp_load_u64be(changes[i].key.digest);
			bool is_told = head >= told.first && head <= told.last;

			rc = zp_view_get(view, &changes[i].key, scratch, &record, NULL);
			assert_int_equal(rc < 0, is_told);
			in_range += is_told;
		}
		assert_in_range(in_range, 1, 255); /* rows of a block at most */
		assert_int_equal(given, MANY_PINS - in_range);
		zp_read_scratch_free(scratch);
		zp_view_release(view);
		zp_free(changes);
		model_free(model);
	}
}

/* ---- Files that are whole and contradict each other ------------------------------------------ */

struct told {
	char text[2000];
};

static void
text_add(void *context, const char *text)
{
	struct told *told = context;
	size_t length = strlen(told->text);

	snprintf(told->text + length, sizeof(told->text) - length, "%s\n", text);
}

static void
deep(struct model *model, struct told *told)
{
	struct zp_check check = {.damage = text_add, .context = told};
	struct zp_verify_report report;
	int rc;

	told->text[0] = '\0';
	rc = zp_engine_verify(model->engine, true, &check, &report, NULL);
	assert_int_equal(rc, told->text[0] == '\0' ? ZP_OK : ZP_E_CORRUPT);
	assert_true(report.entries > 0);
}

static void
change_flush(struct model *model, const struct zp_change *change, uint64_t batch)
{
	zp_engine_apply(model->engine, change);
	zp_engine_applied_set(model->engine, 1, 1, batch);
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, NULL), ZP_OK);
}

static void
assert_tells(const struct told *told, const char *beginning, uint64_t head, const char *rest)
{
	unsigned long long first, last;
	const char *at = strstr(told->text, beginning);

	assert_non_null(at);
	assert_non_null(strstr(at, rest));
	if (sscanf(at + strlen(beginning), " (digests %llx to %llx)", &first, &last) != 2)
		fail_msg("%s", told->text);
	assert_true(head >= first && head <= last);
}

/* An owner that forgets what was there leaves an entry behind; one that says there was what was not
 * takes one away that a later pin would want. Blocks, checksums and order are right: only a recount
 * of the families tells. */
static void
what_families_say_of_each_other_is_recounted(void **state)
{
	struct model *model = model_new(8);
	struct zp_change change = {.key = model->keys[3], .has_new = true};
	struct zp_change other = {.key = model->keys[MODEL_KEYS - 1], .has_new = true};
	uint64_t head = zp_load_u64be(model->keys[3].digest);
	struct told told;

	(void)state;
	assert_int_equal(model_open(model, NULL), ZP_OK);
	zp_engine_apply(model->engine, &other); /* in another range of digests */
	change.new_record.facts[ZP_FACT_CREATED] = zp_zigzag(100);
	change.new_record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(200) + 1;
	change_flush(model, &change, 1);
	deep(model, &told);
	assert_string_equal(told.text, "");

	change.new_record.facts[ZP_FACT_CREATED] = zp_zigzag(101); /* and has_old is a lie */
	change.new_record.facts[ZP_FACT_EXPIRE_AT] = 0;
	change_flush(model, &change, 2);
	deep(model, &told);
	assert_tells(&told, "family time", head, "the pins want 1 entries, there are 2");
	assert_tells(&told, "family expire", head, "the pins want 0 entries, there are 1");

	change.has_old = true; /* the first again: its entries go, and the second one's stays */
	change.has_new = false;
	change.old_record.facts[ZP_FACT_CREATED] = zp_zigzag(100);
	change.old_record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(200) + 1;
	change_flush(model, &change, 3);
	deep(model, &told);
	assert_tells(&told, "family time", head, "the pins want 0 entries, there are 1");
	assert_null(strstr(told.text, "family expire"));

	change.old_record.facts[ZP_FACT_EXPIRE_AT] = 0; /* and that one, too, */
	change.old_record.facts[ZP_FACT_CREATED] = zp_zigzag(101);
	change_flush(model, &change, 4);
	deep(model, &told);
	assert_null(strstr(told.text, "family"));

	change_flush(model, &change, 5); /* and again, which is a lie */
	deep(model, &told);
	assert_tells(&told, "family time", head, "the pins want 0 entries, there are -1");

	change.has_new = true;
	change.has_old = false;
	change.new_record.facts[ZP_FACT_ALLOCATIONS] = 12345u << 1;
	change_flush(model, &change, 6);
	deep(model, &told);
	assert_non_null(strstr(told.text, "pin of digest"));
	model_free(model);
}

/* ---- Files that are not what their names say ------------------------------------------------ */

static void
file_copy(struct model *from_model, const char *from, struct model *to_model, const char *to)
{
	ZP_AUTO_BUF(file, 1 << 20);

	sim_store_file_get(from_model->sim, MODEL_PATH, from, &file);
	sim_store_file_put(to_model->sim, MODEL_PATH, to, file.data, file.length);
}

/* An older segment under a newer one's name, one of another shard, of another family, and none. */
static void
a_misplaced_segment_gives_no_wrong_answer(void **state)
{
	char newest[ZP_FILE_NAME_MAX], other[ZP_FILE_NAME_MAX];

	(void)state;
	for (int how = 0; how < 4; how++) {
		struct model *model = two_runs(4), *stranger = two_runs(5);
		struct zp_err err = {0};
		bool merged;

		segment_file(model, ZP_FAMILY_PIN, 0, newest);
		segment_file(how == 1 ? stranger : model, how == 2 ? ZP_FAMILY_TIME : ZP_FAMILY_PIN,
		    how == 1 ? 0 : 1, other);
		if (how == 3)
			sim_store_file_remove(model->sim, MODEL_PATH, newest);
		else
			file_copy(how == 1 ? stranger : model, other, model, newest);
		reopen(model);
		assert_int_equal(model->warnings, 1);
		assert_int_equal(
		    answers_check(model).errors, MODEL_KEYS - 1); /* the run begins behind key 0 */
		assert_true(damages(model) > 0);
		/* New writes go on beside it, and are read. */
		for (uint32_t key = 0; key < MODEL_KEYS; key += 2)
			model_change(model, key, false);
		assert_int_equal(model_flush(model, &err), ZP_OK);
		assert_int_equal(answers_check(model).right, MODEL_KEYS / 2);
		assert_int_equal(zp_engine_merge(model->engine, NULL, &merged, &err), ZP_OK);
		assert_int_equal(seal_all(model->engine, NULL, &err), ZP_E_CORRUPT);
		model_free(model);
		model_free(stranger);
	}
}

/* Eight runs and one of them gone: the ones before and behind it still merge, so runs don't pile
 * up. */
static void
a_damaged_run_is_stepped_over(void **state)
{
	struct model *model = model_new(6);
	struct zp_engine_facts facts;
	struct zp_err err = {0};
	char name[ZP_FILE_NAME_MAX];
	bool merged = true;

	(void)state;
	assert_int_equal(model_open(model, &err), ZP_OK);
	for (unsigned i = 0; i < 3; i++) {
		model_change_some(model, 20);
		assert_int_equal(model_flush(model, &err), ZP_OK);
	}
	segment_file(model, ZP_FAMILY_PIN, 1, name);
	sim_store_file_remove(model->sim, MODEL_PATH, name);
	reopen(model);
	for (unsigned i = 0; i < 40; i++) {
		model_change_some(model, 20);
		assert_int_equal(model_flush(model, &err), ZP_OK);
		for (merged = true; merged;)
			assert_int_equal(
			    zp_engine_merge(model->engine, NULL, &merged, &err), ZP_OK);
	}
	zp_engine_facts_get(model->engine, &facts);
	assert_int_equal(facts.damaged_segments, 1);
	assert_true(facts.runs < 3 + 5 + MERGE_RUNS);
	answers_check(model);
	model_free(model);
}

/* Damage that only a merge finds stops that merge, and the other families go on. */
static void
damage_in_one_family_lets_the_others_merge(void **state)
{
	struct model *model = model_new(7);
	struct zp_err err = {0};
	char name[ZP_FILE_NAME_MAX];
	bool merged = true;
	unsigned merges = 0;

	(void)state;
	assert_int_equal(model_open(model, &err), ZP_OK);
	for (unsigned i = 0; i < MERGE_RUNS; i++) {
		model_change_some(model, 40);
		assert_int_equal(model_flush(model, &err), ZP_OK);
	}
	segment_file(model, ZP_FAMILY_PIN, 3, name);
	sim_store_file_flip(model->sim, MODEL_PATH, name, 80, 1); /* in its first block */
	while (zp_engine_merge(model->engine, NULL, &merged, &err) == ZP_OK && merged)
		merges++;
	assert_false(merged);
	assert_int_equal(err.code, ZP_E_CORRUPT);
	assert_int_equal(merges, 4); /* of every family but the pins */
	answers_check(model);
	model_free(model);
}

/* When merges have failed for so long that a reader would refuse one run more, a flush is refused
 * and memory goes on answering; what is on the disk still opens. */
static void
a_flush_stops_before_no_reader_takes_it(void **state)
{
	struct model *model = two_runs(12);
	struct version *version = engine__version_get(model->engine);
	struct manifest manifest;
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct zp_err err = {0};
	char name[ZP_FILE_NAME_MAX];
	uint64_t number;

	(void)state;
	manifest__next(&version->manifest, &manifest);
	version__release(version);
	while (manifest.run_count < MANIFEST_RUNS_MAX - 2) { /* of files that are not there */
		struct manifest_run run = {.family = ZP_FAMILY_EXPIRE, .segment_count = 1};

		run.age = 100 + manifest.run_count;
		run.segments = zp_alloc_zero(1, sizeof(run.segments[0]));
		run.segments[0].name.low = run.age;
		run.segments[0].rows = 1;
		manifest__run_add(&manifest, run);
	}
	number = manifest.number;
	manifest__encode(&manifest, &file);
	manifest__name_format(number, name);
	sim_store_file_put(model->sim, MODEL_PATH, name, file.data, file.length);
	manifest__done(&manifest);
	reopen(model);
	assert_int_equal(zp_engine_manifest_number(model->engine), number);
	model_change_some(model, 30);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(model_flush(model, &err), ZP_E_FULL);
		assert_true(model_holds(model));
	}
	reopen(model);
	assert_int_equal(zp_engine_manifest_number(model->engine), number);
	model_free(model);
}

/* Collecting leaves two manifests that say the same, and makes a second one once, not each time. */
static void
the_newest_manifest_has_a_twin(void **state)
{
	struct model *model = two_runs(12);
	struct zp_err err = {0};
	uint64_t numbers[8];

	(void)state;
	assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_OK);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_OK);
		assert_int_equal(model_manifests(model, numbers, ZP_ARRAY_COUNT(numbers)), 2);
		assert_int_equal(zp_engine_manifest_number(model->engine), 5);
	}
	for (size_t i = 0; i < 2; i++) {
		char name[ZP_FILE_NAME_MAX];

		manifest__name_format(numbers[i], name);
		sim_store_file_flip(model->sim, MODEL_PATH, name, 40, 4);
		reopen(model);
		assert_true(model_holds(model));
		sim_store_file_flip(model->sim, MODEL_PATH, name, 40, 4);
	}
	/* One that is damaged is no twin, and is replaced. */
	sim_store_file_flip(model->sim, MODEL_PATH, "manifest-0000000000000004", 40, 4);
	reopen(model);
	assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_OK);
	assert_int_equal(zp_engine_manifest_number(model->engine), 6);
	assert_int_equal(model_manifests(model, numbers, ZP_ARRAY_COUNT(numbers)), 2);
	model_free(model);
}

/* Of the two, how many somebody removed under a running node: no file goes along, and the newest is
 * written again. */
static void
newest_manifests_go(unsigned gone)
{
	struct model *model = two_runs(12);
	struct zp_err err = {0};
	uint64_t numbers[8], newest;
	bool renewed;

	assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_OK);
	newest = zp_engine_manifest_number(model->engine);
	assert_int_equal(model_manifests(model, numbers, ZP_ARRAY_COUNT(numbers)), 2);
	for (unsigned i = 0; i < gone; i++) {
		char name[ZP_FILE_NAME_MAX];

		manifest__name_format(newest - i, name);
		sim_store_file_remove(model->sim, MODEL_PATH, name);
	}
	assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_engine_manifest_renew(model->engine, &renewed, &err), ZP_OK);
	assert_true(renewed);
	assert_int_equal(zp_engine_manifest_number(model->engine), newest + 1);
	assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_OK);
	assert_int_equal(model_manifests(model, numbers, ZP_ARRAY_COUNT(numbers)), 2);
	reopen(model);
	assert_true(model_holds(model));
	model_free(model);
}

static void
a_newest_manifest_that_is_gone_costs_nothing(void **state)
{
	(void)state;
	newest_manifests_go(1);
	newest_manifests_go(2);
}

/* A manifest of another shard, another cluster, other bounds, or another number is refused, not
 * used. */
static void
a_manifest_of_elsewhere_is_refused(void **state)
{
	struct model *model = two_runs(8);
	struct zp_engine_options options = model->options;
	struct zp_engine *engine;
	struct zp_err err = {0};
	char name[ZP_FILE_NAME_MAX];

	(void)state;
	options.read_only = true;
	options.shard_id++;
	assert_int_equal(zp_engine_open(&options, &engine, &err), ZP_E_CORRUPT);
	options.shard_id--;
	options.cluster_id[0]++;
	assert_int_equal(zp_engine_open(&options, &engine, &err), ZP_E_CORRUPT);
	options.cluster_id[0]--;
	options.high[0]++;
	assert_int_equal(zp_engine_open(&options, &engine, &err), ZP_E_CORRUPT);
	options.high[0]--;
	options.incarnation = 2;
	assert_int_equal(zp_engine_open(&options, &engine, &err), ZP_E_CORRUPT);
	manifest__name_format(2, name);
	file_copy(model, name, model, "manifest-0000000000000009");
	options.incarnation = 1;
	assert_int_equal(zp_engine_open(&options, &engine, &err), ZP_E_CORRUPT);
	sim_store_file_put(model->sim, MODEL_PATH, "manifest-0000000000000009", "", 0);
	assert_int_equal(
	    zp_engine_open(&options, &engine, &err), ZP_OK); /* not whole: passed over */
	assert_int_equal(model->warnings, 2);
	zp_engine_close(engine);
	sim_store_read_error(model->sim, MODEL_PATH, "manifest-0000000000000004", 0, 1);
	/* So is one that gives an error, and the one before it is taken. */
	assert_int_equal(zp_engine_open(&options, &engine, &err), ZP_OK);
	assert_int_equal(model->warnings, 5);
	assert_int_equal(zp_engine_manifest_number(engine), 3);
	zp_engine_close(engine);
	model_free(model);
}

/* Tables that are missing, empty or an older copy under the newer name are an error, and verify
 * tells. */
static void
tables_are_what_their_name_says(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		struct model *model = two_runs(9);
		struct zp_tables *older = zp_tables_new(), *read = NULL;
		struct version *version = engine__version_get(model->engine);
		ZP_AUTO_BUF(file, 1 << 20);
		struct zp_err err = {0};
		char name[ZP_FILE_NAME_MAX];

		snprintf(name, sizeof(name), "%016llx%016llx.tab",
		    (unsigned long long)version->manifest.tables.high,
		    (unsigned long long)version->manifest.tables.low);
		version__release(version);
		zp_tables_encode(older, &file);
		if (how == 0)
			sim_store_file_remove(model->sim, MODEL_PATH, name);
		else if (how == 1)
			sim_store_file_put(model->sim, MODEL_PATH, name, "", 0);
		else if (how == 2)
			sim_store_file_put(model->sim, MODEL_PATH, name, file.data, file.length);
		else
			sim_store_file_flip(model->sim, MODEL_PATH, name, 70, 1);
		assert_int_equal(zp_engine_tables_read(model->engine, &read, &err), ZP_E_CORRUPT);
		assert_int_equal(err.code, ZP_E_CORRUPT);
		assert_int_equal(damages(model), 1);
		assert_true(model_holds(model)); /* the pins do not need them */
		zp_tables_free(older);
		model_free(model);
	}
}

/* ---- Pins that are due ---------------------------------------------------------------------- */

static size_t
due_count(struct model *model, struct zp_view *view, int64_t now, size_t keys_max, int *rc_out)
{
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_key keys[2 * MODEL_KEYS];
	uint64_t facts[2 * MODEL_KEYS];
	struct zp_err err = {0};
	size_t count = 0;

	(void)model;
	*rc_out = zp_view_expired(view, now, scratch, keys, facts, keys_max, &count, &err);
	zp_read_scratch_free(scratch);
	return count;
}

static size_t
due_now(struct model *model, int64_t now)
{
	struct zp_view *view = zp_engine_view_get(model->engine);
	int rc;
	size_t count = due_count(model, view, now, 2 * MODEL_KEYS, &rc);

	assert_int_equal(rc, ZP_OK);
	zp_view_release(view);
	return count;
}

/* A pin that comes between a view and the look for what is due, with a freeze in between, is found
 * next time: the view that was looked at does not have it. */
static void
a_due_pin_behind_a_freeze_is_not_forgotten(void **state)
{
	struct model *model = model_new(10);
	struct zp_change change = {.has_new = true};
	struct zp_err err = {0};
	struct zp_view *view;
	int rc;

	(void)state;
	assert_int_equal(model_open(model, &err), ZP_OK);
	change.key = model->keys[0];
	change.new_record.facts[ZP_FACT_SIZE] = 1;
	zp_engine_apply(model->engine, &change);
	view = zp_engine_view_get(model->engine);
	zp_engine_freeze(model->engine);
	change.key = model->keys[2];
	change.new_record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(50) + 1;
	zp_engine_apply(model->engine, &change);
	assert_int_equal(due_count(model, view, 100, MODEL_KEYS, &rc), 0);
	assert_int_equal(rc, ZP_OK);
	zp_view_release(view);
	assert_int_equal(due_now(model, 100), 1);
	assert_int_equal(due_now(model, 100), 1);
	assert_int_equal(due_now(model, 49), 0);
	model_free(model);
}

/* Due pins whose place cannot be read do not keep the others, and are found when it can be. */
static void
what_cannot_be_read_is_due_later(void **state)
{
	struct model *model = two_runs(11);
	char pins[ZP_FILE_NAME_MAX], entries[ZP_FILE_NAME_MAX];
	size_t all = due_now(model, 100), expected = 0;
	struct zp_view *view;
	int rc;

	(void)state;
	for (size_t i = 0; i < MODEL_KEYS; i++)
		expected += model->state.pins[i].there &&
			    model->state.pins[i].facts[ZP_FACT_EXPIRE_AT] != 0;
	assert_int_equal(all, expected);
	assert_true(all > 5);
	segment_file(model, ZP_FAMILY_PIN, 1, pins); /* the older run of pins */
	sim_store_read_error(model->sim, MODEL_PATH, pins, 0, 1 << 20);
	assert_true(due_now(model, 100) < all && due_now(model, 100) > 0);
	sim_store_read_error(model->sim, MODEL_PATH, pins, 0, 0);
	assert_int_equal(due_now(model, 100), all);
	segment_file(model, ZP_FAMILY_EXPIRE, 0, entries); /* the newer run of entries */
	sim_store_read_error(model->sim, MODEL_PATH, entries, 0, 1 << 20);
	assert_true(due_now(model, 100) < all && due_now(model, 100) > 0);
	segment_file(model, ZP_FAMILY_EXPIRE, 1, entries); /* and now all of them */
	sim_store_read_error(model->sim, MODEL_PATH, entries, 0, 1 << 20);
	view = zp_engine_view_get(model->engine);
	assert_int_equal(due_count(model, view, 100, MODEL_KEYS, &rc), 0);
	assert_int_equal(rc, ZP_E_IO);
	zp_view_release(view);
	sim_store_read_error(model->sim, MODEL_PATH, entries, 0, 0);
	segment_file(model, ZP_FAMILY_EXPIRE, 0, entries);
	sim_store_read_error(model->sim, MODEL_PATH, entries, 0, 0);
	assert_int_equal(due_now(model, 100), all);
	model_free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_flipped_byte_gives_no_wrong_answer),
	    cmocka_unit_test(a_verify_ends_when_it_is_told),
	    cmocka_unit_test(a_read_error_is_an_error_of_its_keys),
	    cmocka_unit_test(a_batch_waits_for_the_disk_in_no_visit),
	    cmocka_unit_test(damage_is_as_small_as_its_block),
	    cmocka_unit_test(what_families_say_of_each_other_is_recounted),
	    cmocka_unit_test(a_misplaced_segment_gives_no_wrong_answer),
	    cmocka_unit_test(a_damaged_run_is_stepped_over),
	    cmocka_unit_test(damage_in_one_family_lets_the_others_merge),
	    cmocka_unit_test(a_flush_stops_before_no_reader_takes_it),
	    cmocka_unit_test(the_newest_manifest_has_a_twin),
	    cmocka_unit_test(a_newest_manifest_that_is_gone_costs_nothing),
	    cmocka_unit_test(a_manifest_of_elsewhere_is_refused),
	    cmocka_unit_test(tables_are_what_their_name_says),
	    cmocka_unit_test(a_due_pin_behind_a_freeze_is_not_forgotten),
	    cmocka_unit_test(what_cannot_be_read_is_due_later),
	};

	return cmocka_run_group_tests_name("engine damage", tests, NULL, NULL);
}
