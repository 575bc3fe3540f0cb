/*
 * test_engine_scan.c - a scan of pins gives what stands in a table of them, however it is asked.
 *
 * Method: random changes of some thousand pins go into runs of all sizes, memtables and merges, and
 * into a plain table. Then scans with random filters, columns and beginnings, by rows, by columns
 * and in steps, are compared with the table, row by row. Among the keys are such that share the
 * beginning of their digests or all of it, and texts so long that a bucket has several blocks. With
 * blocks that are damaged or cannot be read nothing given is wrong, what is missing lies between
 * keys that were told, and the end says so.
 */
#include "engine_model.h"

#include "engine/pin_source.h"
#include "engine/segment_internal.h"

enum {
	PINS = 3000,
	NAMESPACE = 5,
	TEXT_MAX = 3000,
	FAULTS = 64,
};

struct pin {
	struct zp_key key;
	bool there;
	uint64_t facts[ZP_FACT_COUNT];
	uint32_t text_length; /* of the name, all of one letter; 0: none */
	char letter;
};

struct fixture {
	struct model *model;
	struct pin *pins; /* in the order of keys */
	uint64_t batch;
};

/* ---- Pins ------------------------------------------------------------------------------------ */

static int
pin_order(const void *left, const void *right)
{
	return zp_key_compare(&((const struct pin *)left)->key, &((const struct pin *)right)->key);
}

/* A tenth shares the first 64 bits of a digest, a tenth all of it, as accounts' claims do. */
static void
pins_make(struct fixture *fixture)
{
	struct model *model = fixture->model;

	for (size_t i = 0; i < PINS; i++) {
		struct zp_key *key = &fixture->pins[i].key;

		for (size_t j = 0; j < 4; j++)
			zp_store_u64le(key->digest + 8 * j, model_draw(model, UINT64_MAX));
		key->digest[0] = (uint8_t)(0x40 | (key->digest[0] & 0x3f));
		key->version = (uint8_t)(model_draw(model, 8) != 0);
		key->codec =
		    key->version == 0 || model_draw(model, 2) == 0 ? ZP_CODEC_DAG_PB : ZP_CODEC_RAW;
		if (i % 10 == 1)
			memset(key->digest + 1, 7, 7);
		if (i % 10 == 2)
			memset(key->digest, 0x55, sizeof(key->digest));
		if (i % 10 == 2 || i % 16 == 5) {
			key->namespace_id = NAMESPACE;
			key->claim = i;
		}
	}
	qsort(fixture->pins, PINS, sizeof(fixture->pins[0]), pin_order);
}

static void
pin_draw(struct model *model, struct pin *pin, bool is_plain)
{
	memset(pin->facts, 0, sizeof(pin->facts));
	pin->there = true;
	pin->facts[ZP_FACT_TYPE] =
	    is_plain || model_draw(model, 60) != 0 ? 0 : model_draw(model, ZP_PIN_TYPE_COUNT);
	pin->facts[ZP_FACT_SIZE] =
	    model_draw(model, 2) == 0 ? 262144 : model_draw(model, UINT64_C(1) << 40);
	pin->facts[ZP_FACT_SHARD_SIZE] =
	    model_draw(model, 3) != 0 ? 7 : model_draw(model, UINT64_C(1) << 30);
	pin->facts[ZP_FACT_CREATED] = is_plain ? zp_zigzag((int64_t)(500 + model_draw(model, 30)))
					       : zp_zigzag((int64_t)model_draw(model, 1000) -
							   (model_draw(model, 9) == 0 ? 900 : 0));
	if (!is_plain && model_draw(model, 3) == 0)
		pin->facts[ZP_FACT_EXPIRE_AT] = zp_zigzag((int64_t)model_draw(model, 100)) + 1;
	pin->letter = (char)('a' + model_draw(model, 26));
	pin->text_length = 0;
	if (!is_plain && model_draw(model, 2) == 0)
		pin->text_length = 1 + (uint32_t)model_draw(model, 20);
	if (!is_plain && pin->key.digest[0] == 0x60)
		pin->text_length = TEXT_MAX;
}

static struct zp_record
record_of(const struct pin *pin, struct zp_buf *texts)
{
	struct zp_record record = {0};

	zp_buf_clear(texts);
	memcpy(record.facts, pin->facts, sizeof(record.facts));
	if (pin->text_length > 0) {
		zp_buf_append_byte(texts, ZP_TEXT_NAME);
		zp_buf_append_varint(texts, pin->text_length);
		for (uint32_t i = 0; i < pin->text_length; i++)
			zp_buf_append_byte(texts, (uint8_t)pin->letter);
	}
	record.texts = zp_buf_slice(texts);
	return record;
}

static void
pin_change(struct fixture *fixture, size_t at, bool is_plain)
{
	struct model *model = fixture->model;
	struct pin *pin = &fixture->pins[at];
	ZP_AUTO_BUF(old_texts, 1 << 16);
	ZP_AUTO_BUF(new_texts, 1 << 16);
	struct zp_change change = {.key = pin->key, .has_old = pin->there};

	if (pin->there)
		change.old_record = record_of(pin, &old_texts);
	if (pin->there && model_draw(model, 4) == 0)
		pin->there = false;
	else
		pin_draw(model, pin, is_plain);
	change.has_new = pin->there;
	if (pin->there)
		change.new_record = record_of(pin, &new_texts);
	zp_engine_apply(model->engine, &change);
}

static void
flush(struct fixture *fixture)
{
	struct model *model = fixture->model;

	zp_engine_applied_set(model->engine, 1, 1, ++fixture->batch);
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, NULL), ZP_OK);
}

/* Some of all pins, or of those that are near each other. */
static void
changes_make(struct fixture *fixture)
{
	struct model *model = fixture->model;
	size_t count = model_draw(model, 3) == 0 ? PINS : 1 + model_draw(model, PINS / 8);
	size_t from = model_draw(model, PINS);
	bool is_near = model_draw(model, 2) == 0, is_plain = model_draw(model, 2) == 0;

	for (size_t i = 0; i < count; i++)
		pin_change(
		    fixture, is_near ? (from + i) % PINS : model_draw(model, PINS), is_plain);
}

static struct fixture
fixture_make(uint64_t seed, size_t runs)
{
	struct fixture fixture = {.model = model_new(seed)};
	struct model *model = fixture.model;
	bool merged;

	fixture.pins = zp_alloc_zero(PINS, sizeof(fixture.pins[0]));
	pins_make(&fixture);
	if (model_draw(model, 2) == 0) /* runs of several files */
		model->options.segment_bytes = model_draw(model, 2) == 0 ? 20000 : 2000;
	assert_int_equal(model_open(model, NULL), ZP_OK);
	for (size_t i = 0; i < runs; i++) {
		changes_make(&fixture);
		flush(&fixture);
		if (model_draw(model, 4) == 0)
			assert_int_equal(
			    zp_engine_merge(model->engine, NULL, &merged, NULL), ZP_OK);
	}
	/* Wholly, or a few steps of it. */
	for (size_t i = model_draw(model, 3) == 0 ? model_draw(model, 40) : 0; i > 0; i--)
		assert_int_equal(zp_engine_seal(model->engine, NULL, &merged, NULL), ZP_OK);
	return fixture;
}

static void
fixture_free(struct fixture *fixture)
{
	zp_free(fixture->pins);
	model_free(fixture->model);
}

/* ---- A scan beside the table ----------------------------------------------------------------- */

struct told {
	uint64_t first[FAULTS];
	uint64_t last[FAULTS];
	size_t count;
};

static void
fault_take(void *context, const struct zp_err *why)
{
	struct told *told = context;
	unsigned long long first, last;
	const char *digests = strstr(why->text, "(digests ");

	assert_non_null(digests);
	assert_int_equal(sscanf(digests, "(digests %llx to %llx)", &first, &last), 2);
	assert_true(told->count < FAULTS);
	told->first[told->count] = first;
	told->last[told->count++] = last;
}

static bool
is_told(const struct told *told, const struct zp_key *key)
{
	uint64_t head = zp_load_u64be(key->digest);

	for (size_t i = 0; i < told->count; i++) {
		if (head >= told->first[i] && head <= told->last[i])
			return true;
	}
	return false;
}

static bool
is_wanted(const struct zp_scan_options *options, const struct pin *pin)
{
	const struct zp_scan_filter *filter = &options->filter;
	int64_t created = zp_unzigzag(pin->facts[ZP_FACT_CREATED]);

	return pin->there &&
	       (options->from == NULL || zp_key_compare(&pin->key, options->from) >= 0) &&
	       (filter->types == 0 || (filter->types >> pin->facts[ZP_FACT_TYPE] & 1) != 0) &&
	       (!filter->has_namespace || pin->key.namespace_id == filter->namespace_id) &&
	       (!filter->has_created ||
		   (created >= filter->created_min && created <= filter->created_max));
}

/* What was given next, against the table; what was passed over must have been told. Without keys
 * there is no telling, and the next that is wanted is it. */
static void
row_check(const struct fixture *fixture, const struct zp_scan_options *options,
    const struct told *told, size_t *at, const struct zp_key *key, const struct zp_record *record)
{
	uint32_t columns = options->columns == 0 ? UINT32_MAX : options->columns;
	bool has_keys = (columns & ZP_SCAN_KEYS) != 0;
	const struct pin *pin;
	ZP_AUTO_BUF(texts, 1 << 16);
	struct zp_record expected;

	for (;; (*at)++) {
		assert_true(*at < PINS);
		pin = &fixture->pins[*at];
		if (!is_wanted(options, pin))
			continue;
		if (!has_keys || zp_key_compare(&pin->key, key) == 0)
			break;
		assert_true(zp_key_compare(&pin->key, key) < 0);
		assert_true(is_told(told, &pin->key));
	}
	(*at)++;
	if (has_keys || (columns & ZP_SCAN_NAMESPACE) != 0)
		assert_int_equal(key->namespace_id, pin->key.namespace_id);
	expected = record_of(pin, &texts);
	for (unsigned i = 0; i < ZP_FACT_COUNT; i++)
		assert_int_equal(
		    record->facts[i], (columns & ZP_SCAN_FACT(i)) != 0 ? expected.facts[i] : 0);
	if ((columns & ZP_SCAN_TEXTS) == 0)
		expected.texts = (struct zp_slice){0};
	assert_true(zp_slice_equal(record->texts, expected.texts));
}

static void
end_check(const struct fixture *fixture, const struct zp_scan_options *options,
    const struct told *told, size_t at, int rc)
{
	if (told->count == 0)
		assert_int_equal(rc, ZP_END);
	else
		assert_true(rc == ZP_E_CORRUPT || rc == ZP_E_IO);
	for (; at < PINS; at++)
		assert_true(!is_wanted(options, &fixture->pins[at]) ||
			    is_told(told, &fixture->pins[at].key));
}

enum way { BY_ROWS, BY_STEPS, BY_COLUMNS, WAYS };

static void
rows_check(const struct fixture *fixture, const struct zp_scan_options *options,
    const struct told *told, size_t *at, const struct zp_scan_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		struct zp_record record = {0};
		struct zp_key key = {0};

		for (unsigned fact = 0; fact < ZP_FACT_COUNT; fact++) {
			assert_int_equal(rows->facts[fact].values != NULL,
			    (options->columns & ZP_SCAN_FACT(fact)) != 0);
			if (rows->facts[fact].values != NULL)
				record.facts[fact] = zp_scan_value(&rows->facts[fact], i);
		}
		if (rows->digests != NULL)
			zp_scan_key(rows, i, &key);
		else if (rows->namespaces.values != NULL)
			key.namespace_id = (uint32_t)zp_scan_value(&rows->namespaces, i);
		row_check(fixture, options, told, at, &key, &record);
	}
}

/* All that are passed are not wanted, or were given; what is still to come is behind. */
static void
passed_check(const struct fixture *fixture, const struct zp_scan_options *options,
    const struct told *told, size_t *at, const struct zp_scan *scan)
{
	struct zp_key passed;

	if (!zp_scan_passed(scan, &passed))
		return;
	for (; *at < PINS && zp_key_compare(&fixture->pins[*at].key, &passed) <= 0; (*at)++)
		assert_true(!is_wanted(options, &fixture->pins[*at]) ||
			    is_told(told, &fixture->pins[*at].key));
}

static struct told
scan_check(const struct fixture *fixture, struct zp_scan_options options, enum way way)
{
	struct zp_view *view = zp_engine_view_get(fixture->model->engine);
	struct told told = {.count = 0};
	struct zp_scan_rows rows;
	struct zp_record record;
	struct zp_scan *scan;
	struct zp_key key;
	size_t at = 0;
	int rc;

	options.fault = fault_take;
	options.context = &told;
	assert_int_equal(zp_scan_open(view, &options, &scan, NULL), ZP_OK);
	zp_view_release(view);
	for (;;) {
		if (way == BY_COLUMNS)
			rc = zp_scan_next_rows(scan, &rows, NULL);
		else if (way == BY_STEPS)
			rc = zp_scan_step(scan, &key, &record, NULL);
		else
			rc = zp_scan_next(scan, &key, &record, NULL);
		if (rc == ZP_SCAN_PASSED)
			passed_check(fixture, &options, &told, &at, scan);
		else if (rc != ZP_OK)
			break;
		else if (way == BY_COLUMNS)
			rows_check(fixture, &options, &told, &at, &rows);
		else
			row_check(fixture, &options, &told, &at, &key, &record);
	}
	end_check(fixture, &options, &told, at, rc);
	zp_scan_close(scan);
	return told;
}

static struct zp_scan_options
options_draw(const struct fixture *fixture, enum way way, bool has_damage)
{
	struct model *model = fixture->model;
	struct zp_scan_options options = {0};

	if (model_draw(model, 2) == 0)
		options.from = &fixture->pins[model_draw(model, PINS)].key;
	if (model_draw(model, 3) != 0)
		options.columns = (uint32_t)model_draw(model, 8u << ZP_FACT_COUNT);
	/* A table is no help to find out which of equal rows is missing. */
	if (has_damage)
		options.columns |= ZP_SCAN_KEYS;
	if (way == BY_COLUMNS && options.columns == 0)
		options.columns = ZP_SCAN_FACTS | ZP_SCAN_KEYS;
	if (way == BY_COLUMNS)
		options.columns &= ~ZP_SCAN_TEXTS;
	options.columns |= way == BY_COLUMNS && options.columns == 0;
	if (model_draw(model, 3) == 0)
		options.filter.types = 1 + (uint32_t)model_draw(model, 15);
	options.filter.has_namespace = model_draw(model, 3) == 0;
	options.filter.namespace_id = model_draw(model, 3) == 0 ? NAMESPACE : 0;
	options.filter.has_created = model_draw(model, 3) == 0;
	options.filter.created_min =
	    model_draw(model, 2) == 0 ? INT64_MIN : (int64_t)model_draw(model, 1200) - 50;
	options.filter.created_max =
	    model_draw(model, 2) == 0 ? INT64_MAX : (int64_t)model_draw(model, 1200) - 50;
	return options;
}

static void
a_scan_gives_what_the_table_has(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct fixture fixture = fixture_make(seed, 1 + seed % 10);

		for (unsigned i = 0; i < 60; i++) {
			enum way way = i % WAYS;

			if (i == 30) { /* then with memory too, frozen and not */
				changes_make(&fixture);
				zp_engine_freeze(fixture.model->engine);
				changes_make(&fixture);
			}
			assert_int_equal(
			    scan_check(&fixture, options_draw(&fixture, way, false), way).count, 0);
		}
		fixture_free(&fixture);
	}
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void
runs_damage(struct fixture *fixture, bool is_lasting)
{
	struct model *model = fixture->model;
	struct version *version = engine__version_get(model->engine);
	unsigned count = 1 + (unsigned)model_draw(model, 4);

	for (unsigned i = 0; i < count; i++) {
		size_t run = model_draw(model, version->manifest.run_count);
		const struct segment *segment;
		char name[ZP_FILE_NAME_MAX];
		uint64_t at, end;

		while (version->manifest.runs[run].family != ZP_FAMILY_PIN)
			run = (run + 1) % version->manifest.run_count;
		segment =
		    version
			->runs[run][model_draw(model, version->manifest.runs[run].segment_count)];
		segment__name_format(&segment->info.name, name);
		end = segment->blocks_end;
		at = SEGMENT_HEADER_BYTES + model_draw(model, end - SEGMENT_HEADER_BYTES);
		if (model_draw(model, 2) == 0)
			sim_store_read_error(model->sim, MODEL_PATH, name, at,
			    1 + model_draw(model, model_draw(model, 2) == 0 ? 100 : end - at));
		else
			sim_store_file_flip(model->sim, MODEL_PATH, name, at, 4);
		if (is_lasting && model_draw(model, 8) == 0) /* where no block is */
			sim_store_file_flip(model->sim, MODEL_PATH, name,
			    sim_store_file_bytes(model->sim, MODEL_PATH, name) - 20, 1);
	}
	version__release(version);
}

static void
what_a_damaged_scan_lacks_is_told(void **state)
{
	size_t told = 0;

	(void)state;
	for (uint64_t seed = 101; seed <= 150; seed++) {
		struct fixture fixture = fixture_make(seed, 1 + seed % 10);
		struct model *model = fixture.model;

		runs_damage(&fixture, seed % 2 == 0);
		if (seed % 2 == 0) { /* what opening finds is a damaged run as a whole */
			model_close(model);
			assert_int_equal(model_open(model, NULL), ZP_OK);
		}
		for (unsigned i = 0; i < 24; i++) {
			enum way way = i % WAYS;

			if (i == 12)
				changes_make(&fixture);
			told += scan_check(&fixture, options_draw(&fixture, way, true), way).count;
		}
		fixture_free(&fixture);
	}
	assert_true(told > 500);
}

/* ---- Blocks that are whole and contradict themselves ----------------------------------------- */

/* Changes a byte of a block, and makes its checksum right; `before`: the file as it was. False:
 * there was no such block. */
static bool
block_forge(struct fixture *fixture, char name_out[ZP_FILE_NAME_MAX], struct zp_buf *before)
{
	struct model *model = fixture->model;
	struct version *version = engine__version_get(model->engine);
	ZP_AUTO_BUF(file, 4 << 20);
	const struct segment *segment = NULL;
	struct group_entry group;
	uint64_t bucket;
	uint32_t length;
	uint8_t *block;

	while (segment == NULL) {
		size_t run = model_draw(model, version->manifest.run_count);

		if (version->manifest.runs[run].family == ZP_FAMILY_PIN)
			segment = version->runs[run][model_draw(
			    model, version->manifest.runs[run].segment_count)];
	}
	segment__name_format(&segment->info.name, name_out);
	zp_buf_clear(before);
	sim_store_file_get(model->sim, MODEL_PATH, name_out, before);
	zp_buf_append_slice(&file, zp_buf_slice(before));
	bucket = model_draw(model, UINT64_C(1) << segment->layout.bucket_bits);
	assert_int_equal(segment__index_load(segment, NULL), 0);
	group = segment__group(segment, bucket / SEGMENT_GROUP_BLOCKS);
	block = file.data + group.offset;
	for (uint64_t i = bucket / SEGMENT_GROUP_BLOCKS * SEGMENT_GROUP_BLOCKS; i < bucket; i++) {
		length = zp_load_u16le(group.lengths + 2 * (i % SEGMENT_GROUP_BLOCKS));
		block += length == SEGMENT_FENCED ? 0 : length;
	}
	length = zp_load_u16le(group.lengths + 2 * (bucket % SEGMENT_GROUP_BLOCKS));
	if (length != SEGMENT_FENCED && length > 0) {
		size_t body = length - CHECKSUM_BYTES;

		block[body - 1 - model_draw(model, body / 3)] ^=
		    (uint8_t)(1 + model_draw(model, 255));
		zp_store_u32le(
		    block + body, (uint32_t)zp_hash64(block, body, segment->layout.seed + bucket));
		sim_store_file_put(model->sim, MODEL_PATH, name_out, file.data, file.length);
	}
	version__release(version);
	return length != SEGMENT_FENCED && length > 0;
}

static struct told
faults_of(const struct fixture *fixture)
{
	struct zp_view *view = zp_engine_view_get(fixture->model->engine);
	struct told told = {.count = 0};
	struct zp_scan_options options = {
	    .columns = ZP_SCAN_FACTS | ZP_SCAN_KEYS, .fault = fault_take, .context = &told};
	struct zp_key key, before = {0};
	struct zp_record record;
	struct zp_scan *scan;

	assert_int_equal(zp_scan_open(view, &options, &scan, NULL), ZP_OK);
	zp_view_release(view);
	while (zp_scan_next(scan, &key, &record, NULL) == ZP_OK) {
		assert_true(zp_key_compare(&before, &key) < 0);
		before = key;
	}
	zp_scan_close(scan);
	return told;
}

/* The checksum is right, and what the block says is impossible: it is found when columns are
 * unpacked, and the block is damaged as one whose checksum is wrong. (Where what it says is
 * possible, it is believed.) */
static void
a_block_that_contradicts_itself_is_damaged(void **state)
{
	unsigned found = 0;

	(void)state;
	for (uint64_t seed = 201; seed <= 206; seed++) {
		struct fixture fixture = fixture_make(seed, 1 + seed % 4);
		struct model *model = fixture.model;

		for (unsigned i = 0; i < 250; i++) {
			char name[ZP_FILE_NAME_MAX];
			ZP_AUTO_BUF(before, 4 << 20);

			if (!block_forge(&fixture, name, &before))
				continue;
			model_close(model);
			assert_int_equal(model_open(model, NULL), ZP_OK);
			if (faults_of(&fixture).count > 0) {
				struct zp_scan_options options = {
				    .columns = ZP_SCAN_FACTS | ZP_SCAN_KEYS};

				scan_check(&fixture, options, BY_ROWS);
				scan_check(&fixture, options, BY_COLUMNS);
				found++;
			}
			sim_store_file_put(
			    model->sim, MODEL_PATH, name, before.data, before.length);
			model_close(model);
			assert_int_equal(model_open(model, NULL), ZP_OK);
		}
		fixture_free(&fixture);
	}
	assert_true(found > 40);
}

/* ---- Columns --------------------------------------------------------------------------------- */

/* Of all blocks of all runs the columns that a scan unpacks, though they vary; *varying_out: those
 * that do. */
static uint32_t
columns_unpacked(struct model *model, const struct zp_scan_options *options, uint32_t *varying_out,
    bool *digests_out)
{
	struct version *version = engine__version_get(model->engine);
	uint32_t unpacked = 0;

	*varying_out = 0;
	*digests_out = false;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		struct pin_source source = {0};
		struct pin_wanted wanted = {0};

		if (version->manifest.runs[i].family != ZP_FAMILY_PIN)
			continue;
		pin_wanted__init(&wanted, options);
		pin_source__of_run(&source, version, i);
		for (;;) {
			pin_source__load(&source, &wanted);
			if (source.over)
				break;
			assert_true(source.is_excluded || (pin_source__test(&source, &wanted) &&
							      pin_source__ready(&source, &wanted)));
			*varying_out |= source.batch->varying;
			unpacked |= source.batch->there & source.batch->varying;
			*digests_out = *digests_out || source.batch->has_digests;
			source.at = source.batch->count;
		}
		pin_source__done(&source);
	}
	version__release(version);
	return unpacked;
}

/* A scan unpacks what it was asked for, and what its filter looks at, and nothing else. */
static void
only_what_is_wanted_is_unpacked(void **state)
{
	const uint32_t size = BATCH_COLUMN(PIN_FACTS + ZP_FACT_SIZE),
		       created = BATCH_COLUMN(PIN_FACTS + ZP_FACT_CREATED), key = BATCH_KEY_COLUMNS,
		       deletes = BATCH_COLUMN(PIN_OPERATION); /* are always looked at */
	struct zp_scan_options options = {.columns = ZP_SCAN_FACT(ZP_FACT_SIZE)};
	struct fixture fixture = fixture_make(5, 4);
	uint32_t varying, unpacked;
	bool has_digests;

	(void)state;
	unpacked = columns_unpacked(fixture.model, &options, &varying, &has_digests);
	assert_int_equal(unpacked, size | deletes);
	assert_false(has_digests);
	assert_true((varying & created) != 0 && (varying & key) != 0);
	options.filter = (struct zp_scan_filter){.has_created = true, .created_max = 700};
	unpacked = columns_unpacked(fixture.model, &options, &varying, &has_digests);
	assert_int_equal(unpacked, size | created | deletes);
	assert_false(has_digests);
	options.filter = (struct zp_scan_filter){0};
	options.columns |= ZP_SCAN_KEYS;
	unpacked = columns_unpacked(fixture.model, &options, &varying, &has_digests);
	assert_int_equal(unpacked & ~key, size | deletes);
	assert_true(has_digests);
	options.columns = 0;
	unpacked = columns_unpacked(fixture.model, &options, &varying, &has_digests);
	assert_true((unpacked & (size | created)) == (size | created));
	fixture_free(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_scan_gives_what_the_table_has),
	    cmocka_unit_test(only_what_is_wanted_is_unpacked),
	    cmocka_unit_test(what_a_damaged_scan_lacks_is_told),
	    cmocka_unit_test(a_block_that_contradicts_itself_is_damaged),
	};

	return cmocka_run_group_tests_name("engine scan", tests, NULL, NULL);
}
