/*
 * segment_testing.c - see segment_testing.h.
 */
#include "segment_testing.h"

#define CACHE_BYTES (1u << 20)

/* ---- The store ------------------------------------------------------------------------------ */

struct memory_file *
memory_store_find(struct memory_store *store, const char *name)
{
	for (size_t i = 0; i < store->count; i++) {
		if (strcmp(store->files[i].name, name) == 0)
			return &store->files[i];
	}
	return NULL;
}

struct memory_file *
memory_store_put(struct memory_store *store, const char *name, const void *bytes, size_t length)
{
	struct memory_file *file = memory_store_find(store, name);

	if (file == NULL) {
		ZP_ASSERT(store->count < MEMORY_FILES_MAX);
		file = &store->files[store->count++];
		snprintf(file->name, sizeof(file->name), "%s", name);
		zp_buf_init(&file->bytes, SIZE_MAX);
	}
	zp_buf_clear(&file->bytes);
	zp_buf_append(&file->bytes, bytes, length);
	return file;
}

static int
memory_writer_open(struct zp_store *base, const char *name, struct zp_store_writer **writer_out,
    struct zp_err *err)
{
	struct memory_writer *writer = zp_alloc_zero(1, sizeof(*writer));

	(void)name;
	(void)err;
	writer->base.ops = base->ops;
	writer->store = (struct memory_store *)base;
	zp_buf_init(&writer->bytes, SIZE_MAX);
	*writer_out = &writer->base;
	return 0;
}

static int
memory_writer_append(
    struct zp_store_writer *base, const void *data, size_t length, struct zp_err *err)
{
	struct memory_writer *writer = (struct memory_writer *)base;

	if (++writer->store->appends == writer->store->append_fails_at)
		return zp_fail(err, ZP_E_NO_SPACE, "no space in memory");
	zp_buf_append(&writer->bytes, data, length);
	return 0;
}

static void
memory_writer_discard(struct zp_store_writer *base)
{
	struct memory_writer *writer = (struct memory_writer *)base;

	zp_buf_done(&writer->bytes);
	zp_free(writer);
}

static int
memory_writer_publish(struct zp_store_writer *base, const char *name, struct zp_err *err)
{
	struct memory_writer *writer = (struct memory_writer *)base;

	(void)err;
	memory_store_put(writer->store, name, writer->bytes.data, writer->bytes.length);
	memory_writer_discard(base);
	return 0;
}

static int
memory_file_open(
    struct zp_store *base, const char *name, struct zp_store_file **file_out, struct zp_err *err)
{
	struct memory_file *file = memory_store_find((struct memory_store *)base, name);
	struct memory_reader *reader;

	if (file == NULL)
		return zp_fail(err, ZP_E_NOT_FOUND, "%s", name);
	reader = zp_alloc_zero(1, sizeof(*reader));
	reader->base.ops = base->ops;
	reader->store = (struct memory_store *)base;
	reader->file = file;
	*file_out = &reader->base;
	return 0;
}

static int
memory_file_read(
    struct zp_store_file *base, uint64_t offset, void *to, size_t length, struct zp_err *err)
{
	struct memory_reader *reader = (struct memory_reader *)base;
	const struct zp_buf *bytes = &reader->file->bytes;

	reader->store->reads++;
	if (offset > bytes->length || length > bytes->length - offset)
		return zp_fail(err, ZP_E_CORRUPT, "%s ends early", reader->file->name);
	memcpy(to, bytes->data + offset, length);
	return 0;
}

static uint64_t
memory_file_bytes(const struct zp_store_file *base)
{
	return ((const struct memory_reader *)base)->file->bytes.length;
}

static void
memory_file_close(struct zp_store_file *base)
{
	zp_free(base);
}

static const struct zp_store_ops memory_ops = {
    .writer_open = memory_writer_open,
    .writer_append = memory_writer_append,
    .writer_publish = memory_writer_publish,
    .writer_discard = memory_writer_discard,
    .file_open = memory_file_open,
    .file_read = memory_file_read,
    .file_bytes = memory_file_bytes,
    .file_close = memory_file_close,
};

void
memory_store_init(struct memory_store *store)
{
	*store = (struct memory_store){.base = {.ops = &memory_ops}};
}

void
memory_store_done(struct memory_store *store)
{
	for (size_t i = 0; i < store->count; i++)
		zp_buf_done(&store->files[i].bytes);
	store->count = 0;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

void
random_digest(uint64_t *state, uint8_t digest[32])
{
	for (size_t i = 0; i < 32; i += 8)
		zp_store_u64be(digest + i, random_next(state));
}

uint64_t
random_size(uint64_t *state)
{
	uint64_t part = random_next(state) % 100, bits;

	if (part < 45)
		return 262144;
	if (part < 60)
		return 1048576;
	if (part < 70)
		return 1000 + 37 * (random_next(state) % 100);
	bits = 4 + random_next(state) % 27;
	return (UINT64_C(1) << bits) + (random_next(state) & bits_mask((unsigned)bits));
}

struct rows *
rows_new(size_t count)
{
	struct rows *rows = zp_alloc(sizeof(*rows));

	rows->count = count;
	rows->texts_count = count;
	rows->rows = zp_alloc_zero(count, sizeof(*rows->rows));
	rows->texts = zp_alloc_zero(count, sizeof(*rows->texts));
	for (size_t i = 0; i < count; i++) {
		rows->rows[i].key.version = 1;
		rows->rows[i].key.codec = ZP_CODEC_RAW;
	}
	return rows;
}

void
rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->texts_count; i++)
		zp_free(rows->texts[i]);
	zp_free(rows->texts);
	zp_free(rows->rows);
	zp_free(rows);
}

void
row_facts(struct segment_row *row, uint64_t *state)
{
	uint64_t *facts = row->record.facts;

	facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
	facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(2);
	facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(3);
	facts[ZP_FACT_SIZE] = random_size(state);
	facts[ZP_FACT_CREATED] =
	    zp_zigzag((int64_t)(1700000000 + random_next(state) % (2 * 365 * 86400)));
	facts[ZP_FACT_ALLOCATIONS] = 6;
}

void
row_name(struct rows *rows, size_t index, const void *name, size_t length)
{
	uint8_t *texts = zp_alloc(length + 11);
	size_t at = 1;

	texts[0] = ZP_TEXT_NAME;
	at += zp_varint_put(texts + at, length);
	memcpy(texts + at, name, length);
	zp_free(rows->texts[index]);
	rows->texts[index] = texts;
	rows->rows[index].record.texts = (struct zp_slice){texts, at + length};
}

static int
row_order(const void *a, const void *b)
{
	const struct segment_row *left = a, *right = b;

	return zp_key_compare(&left->key, &right->key);
}

/* Texts stay reachable from rows->texts[], whose order no longer matters. */
void
rows_sort(struct rows *rows)
{
	size_t kept = 0;

	qsort(rows->rows, rows->count, sizeof(*rows->rows), row_order);
	for (size_t i = 0; i < rows->count; i++) {
		if (kept == 0 || row_order(&rows->rows[kept - 1], &rows->rows[i]) != 0)
			rows->rows[kept++] = rows->rows[i];
	}
	rows->count = kept;
}

/* ---- Segments ------------------------------------------------------------------------------- */

struct segment_plan
plan_of(const struct rows *rows)
{
	return (struct segment_plan){
	    .id = {.low = UINT64_C(0x0123456789abcdef), .high = 42},
	    .shard_id = 7,
	    .family = ZP_FAMILY_PIN,
	    .rows_expected = rows->count,
	    .filter_bits = 5,
	};
}

static void
row_sample(struct segment_writer *writer, const struct segment_row *row)
{
	struct segment_cells cells;

	segment__row_cells(row, &cells);
	segment__writer_sample(writer, &cells, row->record.texts);
}

int
row_add(struct segment_writer *writer, const struct segment_row *row, struct zp_err *err)
{
	struct segment_cells cells;

	segment__row_cells(row, &cells);
	return segment__writer_add(writer, &cells, row->record.texts, err);
}

int
entry_add(struct segment_writer *writer, enum zp_family family, const struct segment_entry *entry,
    struct zp_err *err)
{
	struct segment_cells cells;

	segment__entry_cells(family, entry, &cells);
	return segment__writer_add(
	    writer, &cells, entry->value == NULL ? (struct zp_slice){0} : entry->value->texts, err);
}

struct segment *
rows_write(struct memory_store *store, const struct rows *rows, const struct segment_plan *plan,
    struct segment_info *info_out)
{
	struct segment_writer *writer = NULL;
	struct segment *segment = NULL;
	struct segment_info info;
	struct zp_err err = {0};
	size_t step = rows->count / 1000 + 1;

	assert_int_equal(segment__writer_open(&store->base, plan, &writer, &err), 0);
	for (size_t i = 0; i < rows->count; i += step)
		row_sample(writer, &rows->rows[i]);
	for (size_t i = 0; i < rows->count; i++)
		assert_int_equal(row_add(writer, &rows->rows[i], &err), 0);
	assert_int_equal(segment__writer_finish(writer, &info, &err), 0);
	assert_int_equal(info.rows, rows->count);
	if (segment__open(&store->base, &info.name, &info, &segment, &err) != 0)
		fail_msg("%s", err.text);
	if (info_out != NULL)
		*info_out = info;
	return segment;
}

void
row_assert_equal(const struct segment_row *a, const struct segment_row *b)
{
	assert_int_equal(zp_key_compare(&a->key, &b->key), 0);
	assert_int_equal(a->operation, b->operation);
	assert_memory_equal(a->record.facts, b->record.facts, sizeof(a->record.facts));
	assert_int_equal(a->record.texts.length, b->record.texts.length);
	if (a->record.texts.length > 0)
		assert_memory_equal(
		    a->record.texts.data, b->record.texts.data, a->record.texts.length);
}

static const struct segment_row *
rows_find(const struct rows *rows, const struct zp_key *key, size_t *at_or_above_out)
{
	size_t low = 0, high = rows->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (zp_key_compare(&rows->rows[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*at_or_above_out = low;
	return low < rows->count && zp_key_compare(&rows->rows[low].key, key) == 0
		   ? &rows->rows[low]
		   : NULL;
}

/* Asks for `key` and expects what the array says. */
static void
get_assert(const struct rows *rows, const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch)
{
	size_t at;
	const struct segment_row *expected = rows_find(rows, key, &at);
	struct segment_row row;
	struct zp_err err = {0};
	int rc = segment__get(segment, key, scratch, &row, &err);

	if (rc != 0 && rc != ZP_E_NOT_FOUND)
		fail_msg("%s", err.text);
	assert_int_equal(rc == 0, expected != NULL);
	if (expected != NULL) {
		row_assert_equal(&row, expected);
		assert_true(segment__may_contain(segment, key));
	}
}

/* A key that differs from this one in one place; mostly not there, but any answer is checked. */
static struct zp_key
key_near(struct zp_key key, unsigned which)
{
	switch (which) {
	case 0:
		key.digest[31] ^= 1;
		break;
	case 1:
		key.digest[0] ^= 0x80;
		break;
	case 2:
		key.digest[2] += 1;
		break;
	case 3:
		key.claim++;
		break;
	case 4:
		key.namespace_id ^= 1u << 31;
		break;
	case 5:
		key.codec ^= 1;
		break;
	default:
		key.version ^= 1;
		break;
	}
	return key;
}
#define NEAR_KINDS 7u

/* All rows from `from` on, at most `count_max` of them, are those of the array. */
static void
scan_assert(const struct rows *rows, struct segment *segment, const struct zp_key *from,
    enum segment_read read, size_t count_max)
{
	struct segment_iterator *iterator = NULL;
	struct segment_row row, expected;
	struct zp_err err = {0};
	size_t at = 0;
	int rc;

	if (from != NULL)
		rows_find(rows, from, &at);
	assert_int_equal(segment__iterator_open(segment, from, read, &iterator, &err), 0);
	for (size_t i = 0; i < count_max; i++) {
		rc = segment__iterator_next(iterator, &row, &err);
		if (rc < 0)
			fail_msg("%s", err.text);
		assert_int_equal(rc == ZP_END, at == rows->count);
		if (rc == ZP_END)
			break;
		expected = rows->rows[at++];
		if (read == SEGMENT_READ_WITHOUT_TEXTS)
			expected.record.texts.length = 0;
		row_assert_equal(&row, &expected);
	}
	segment__iterator_close(iterator);
}

static void
damage_print(void *context, const char *what)
{
	(void)context;
	print_error("%s\n", what);
}

/* Get of each, and misses near. */
static void
gets_assert(const struct rows *rows, const struct segment *segment)
{
	struct segment_scratch scratch;

	segment__scratch_init(&scratch);
	for (size_t i = 0; i < rows->count; i++) {
		get_assert(rows, segment, &rows->rows[i].key, &scratch);
		if (i % 16 == 0 || rows->count < 2000) {
			struct zp_key key = key_near(rows->rows[i].key, (unsigned)(i % NEAR_KINDS));

			get_assert(rows, segment, &key, &scratch);
		}
	}
	segment__scratch_done(&scratch);
}

void
rows_assert_in(const struct rows *rows, struct segment *segment)
{
	struct zp_block_cache *cache = zp_block_cache_new(CACHE_BYTES);
	struct zp_err err = {0};
	size_t step = rows->count / 200 + 1;

	gets_assert(rows, segment);
	segment__caches_set(segment, NULL, cache);
	gets_assert(
	    rows, segment); /* each block is read once and then found, if it is not gone by then */
	segment__caches_set(segment, NULL, NULL);
	zp_block_cache_free(cache);
	scan_assert(rows, segment, NULL, SEGMENT_READ_ALL, SIZE_MAX);
	scan_assert(rows, segment, NULL, SEGMENT_READ_WITHOUT_TEXTS, SIZE_MAX);
	for (size_t i = 0; i < rows->count; i += step) {
		scan_assert(rows, segment, &rows->rows[i].key, SEGMENT_READ_ALL, 300);
		for (unsigned which = 0; which < NEAR_KINDS; which++) {
			struct zp_key key = key_near(rows->rows[i].key, which);

			scan_assert(rows, segment, &key, SEGMENT_READ_ALL, 3);
		}
	}
	if (segment__verify(segment, &(struct zp_check){.damage = damage_print}, &err) != 0)
		fail_msg("%s", err.text);
}
