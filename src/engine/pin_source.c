/*
 * pin_source.c - see pin_source.h.
 */
#include "engine/pin_source.h"

#include "engine/segment_iterate.h"

#define MEMORY_ROWS 128u /* of a memtable at once */
_Static_assert(MEMORY_ROWS <= BLOCK_ROWS_MAX, "a batch holds them");

/* ---- Blocks of a run ------------------------------------------------------------------------- */

static int
views_open(struct segment *segment, const void *from, bool reads_texts,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	return segment__views_open(segment, from, reads_texts, iterator_out, err);
}

static void
bound_set(uint64_t head, int rest, struct key_bound *bound_out)
{
	bound_out->head = head;
	zp_store_u64be(bound_out->key, head);
	memset(bound_out->key + sizeof(head), rest, ZP_KEY_BYTES - sizeof(head));
	memset(bound_out->key + ZP_KEY_BYTES, 0, SOURCE_KEY_BYTES - ZP_KEY_BYTES);
}

/* The key before the one in the fence, which is not the first of all. */
static void
bound_before(const uint8_t *fence, struct key_bound *bound_out)
{
	size_t at = ZP_KEY_BYTES;

	memcpy(bound_out->key, fence, ZP_KEY_BYTES);
	while (bound_out->key[--at]-- == 0)
		;
	bound_out->head = zp_load_u64be(bound_out->key);
}

static void
bound_of(const uint8_t *key, struct key_bound *bound_out)
{
	memcpy(bound_out->key, key, ZP_KEY_BYTES);
	bound_out->head = zp_load_u64be(key);
}

/* Between which keys are those of the block where the iterator stands, and of no other block of the
 * run: of its bucket, of its part of a bucket, of the file, whose first and last bucket others may
 * share. */
static void
block_bounds(const struct segment_iterator *iterator, struct key_bound *first_out,
    struct key_bound *last_out)
{
	const struct segment_layout *layout = &iterator->segment->layout;
	const struct segment_info *info = &iterator->segment->info;
	unsigned shared = layout->prefix_bits + layout->bucket_bits;
	uint64_t head = layout->prefix, span = shared == 0 ? UINT64_MAX : UINT64_MAX >> shared;

	if (layout->bucket_bits > 0)
		head |= (iterator->place.number & bits_mask(40)) << (SEGMENT_HEAD_BITS - shared);
	bound_set(head, 0, first_out);
	bound_set(head | span, 0xff, last_out);
	if (iterator->place_first != NULL) {
		bound_of(iterator->place_first, first_out);
		if (iterator->fence < iterator->fences_end)
			bound_before(
			    segment__fence_key(iterator->segment, iterator->fence), last_out);
	}
	if (memcmp(first_out->key, info->first_key, ZP_KEY_BYTES) < 0)
		bound_of(info->first_key, first_out);
	if (memcmp(last_out->key, info->last_key, ZP_KEY_BYTES) > 0)
		bound_of(info->last_key, last_out);
}

static int
view_next(struct segment_iterator *iterator, void *unit, struct zp_err *err)
{
	struct pin_source *source = unit;
	int rc = iterator__view(iterator, &source->batch->view, err);

	if (rc != ZP_OK)
		return rc;
	batch__of_view(source->batch);
	block_bounds(iterator, &source->first, &source->last);
	source->is_fenced = iterator->place_first != NULL;
	return ZP_OK;
}

static void
block_keys(const struct segment_iterator *iterator, uint8_t first_out[SOURCE_KEY_BYTES],
    uint8_t last_out[SOURCE_KEY_BYTES])
{
	struct key_bound first, last;

	block_bounds(iterator, &first, &last);
	memcpy(first_out, first.key, SOURCE_KEY_BYTES);
	memcpy(last_out, last.key, SOURCE_KEY_BYTES);
}

static const struct unit_kind block_kind = {
    .open = views_open,
    .next = view_next,
    .block_keys = block_keys,
};

/* ---- What is wanted -------------------------------------------------------------------------- */

void
pin_wanted__init(struct pin_wanted *wanted, const struct zp_scan_options *options)
{
	uint32_t columns = options->columns == 0 ? UINT32_MAX : options->columns;
	const struct zp_scan_filter *filter = &options->filter;

	*wanted = (struct pin_wanted){.filter = *filter,
	    .gives_keys = (columns & ZP_SCAN_KEYS) != 0,
	    .gives_texts = (columns & ZP_SCAN_TEXTS) != 0,
	    .columns = (columns & ZP_SCAN_FACTS) << PIN_FACTS};
	if (wanted->gives_keys)
		wanted->columns |= BATCH_KEY_COLUMNS;
	if ((columns & ZP_SCAN_NAMESPACE) != 0)
		wanted->columns |= BATCH_COLUMN(PIN_NAMESPACE);
	if (wanted->gives_texts)
		wanted->columns |= BATCH_COLUMN(PIN_TEXTS) | BATCH_COLUMN(PIN_KIND);
	wanted->runs.kind = &block_kind;
	wanted->runs.family = ZP_FAMILY_PIN;
	wanted->runs.fault = options->fault;
	wanted->runs.context = options->context;
	if (filter->types != 0)
		wanted->filter_columns |= BATCH_COLUMN(PIN_FACTS + ZP_FACT_TYPE);
	if (filter->has_namespace)
		wanted->filter_columns |= BATCH_COLUMN(PIN_NAMESPACE);
	if (filter->has_created)
		wanted->filter_columns |= BATCH_COLUMN(PIN_FACTS + ZP_FACT_CREATED);
	/* Few rows are wanted of those that these are for, and so few of the texts. */
	wanted->runs.reads_texts =
	    wanted->gives_texts && filter->types == 0 && !filter->has_created;
	if (options->from == NULL)
		return;
	wanted->from = *options->from;
	wanted->runs.from = &wanted->from;
	zp_key_encode(options->from, wanted->runs.from_bytes);
}

void
pin_source__of_run(struct pin_source *source, const struct version *version, size_t run)
{
	*source = (struct pin_source){.run = run_source__of(version, run)};
	source->batch = zp_alloc(sizeof(*source->batch));
	source->batch->count = 0;
	source->batch->texts = NULL;
}

void
pin_source__of_memory(
    struct pin_source *source, struct memtable *memtable, const struct pin_wanted *wanted)
{
	*source =
	    (struct pin_source){.rows = memtable__rows_open(memtable,
				    wanted->runs.from == NULL ? NULL : wanted->runs.from_bytes)};
	source->batch = zp_alloc(sizeof(*source->batch));
	source->batch->texts = NULL;
	batch__of_memory(source->batch);
}

void
pin_source__done(struct pin_source *source)
{
	memtable__rows_close(source->rows);
	run_source__done(&source->run);
	if (source->batch != NULL)
		zp_free(source->batch->texts);
	zp_free(source->batch);
}

/* ---- The filter ------------------------------------------------------------------------------ */

/* One that is unknown is a fault, which is told by who looks at the rows. */
static bool
type_is_wanted(const struct zp_scan_filter *filter, uint64_t type)
{
	return type >= ZP_PIN_TYPE_COUNT || (filter->types >> type & 1) != 0;
}

/* The columns that the rows of the batch must be asked for: of constants there is no need. */
static uint32_t
tests_of(const struct block_batch *batch, const struct pin_wanted *wanted)
{
	uint32_t tests = wanted->filter_columns & batch->varying, type = PIN_FACTS + ZP_FACT_TYPE;

	if (batch->constants[type] >= ZP_PIN_TYPE_COUNT)
		tests |= wanted->filter_columns & BATCH_COLUMN(type);
	return tests;
}

static bool
created_is_wanted(const struct zp_scan_filter *filter, uint64_t fact)
{
	int64_t created = zp_unzigzag(fact);

	return created >= filter->created_min && created <= filter->created_max;
}

/* Whether the block's code has no value for a wanted time. Zigzag: even numbers are times since
 * 1970, and rise with them. */
static bool
created_is_excluded(const struct zp_scan_filter *filter, const struct column_code *code)
{
	uint64_t smallest = code->base, span = bits_mask(code->width) << code->shift;

	if (code->encoder == COLUMN_CONSTANT || (code->encoder == COLUMN_FRAME && code->width == 0))
		return !created_is_wanted(filter, smallest);
	if (code->encoder != COLUMN_FRAME || code->shift == 0 || (smallest & 1) != 0 ||
	    span > (UINT64_MAX >> 1) - smallest)
		return false;
	return zp_unzigzag(smallest + span) < filter->created_min ||
	       zp_unzigzag(smallest) > filter->created_max;
}

/* Whether the constants of its block leave no row that is wanted. */
static bool
is_excluded(const struct block_batch *batch, const struct pin_wanted *wanted)
{
	const struct zp_scan_filter *filter = &wanted->filter;
	uint32_t constant = wanted->filter_columns & ~batch->varying;

	if ((constant & BATCH_COLUMN(PIN_NAMESPACE)) != 0 &&
	    batch->constants[PIN_NAMESPACE] != filter->namespace_id)
		return true;
	if ((constant & BATCH_COLUMN(PIN_FACTS + ZP_FACT_TYPE)) != 0 &&
	    !type_is_wanted(filter, batch->constants[PIN_FACTS + ZP_FACT_TYPE]))
		return true;
	return filter->has_created &&
	       created_is_excluded(filter, &batch->view.codes[PIN_FACTS + ZP_FACT_CREATED]);
}

bool
pin_source__test(struct pin_source *source, struct pin_wanted *wanted)
{
	const struct zp_scan_filter *filter = &wanted->filter;
	const struct block_batch *batch = source->batch;
	bool *matches = source->matches;
	const uint64_t *values;
	size_t step;

	if (source->is_tested || source->tests == 0)
		return true;
	if (!pin_source__columns(source, wanted, source->tests))
		return false;
	source->is_tested = true;
	memset(matches, true, batch->count);
	if ((source->tests >> (PIN_FACTS + ZP_FACT_TYPE) & 1) != 0) {
		values = batch__values(batch, PIN_FACTS + ZP_FACT_TYPE, &step);
		for (uint32_t i = 0; i < batch->count; i++)
			matches[i] = values[i * step] < ZP_PIN_TYPE_COUNT &&
				     (filter->types >> values[i * step] & 1) != 0;
	}
	if ((source->tests >> PIN_NAMESPACE & 1) != 0) {
		values = batch__values(batch, PIN_NAMESPACE, &step);
		for (uint32_t i = 0; i < batch->count; i++)
			matches[i] &= values[i * step] == filter->namespace_id;
	}
	if ((source->tests >> (PIN_FACTS + ZP_FACT_CREATED) & 1) != 0) {
		values = batch__values(batch, PIN_FACTS + ZP_FACT_CREATED, &step);
		for (uint32_t i = 0; i < batch->count; i++)
			matches[i] &= created_is_wanted(filter, values[i * step]);
	}
	return true;
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* What is wrong with the block may cost all that it has. */
static void
batch_lose(struct pin_source *source, struct pin_wanted *wanted, const char *fault)
{
	struct zp_err why = {0};

	ZP_ASSERT(source->rows == NULL); /* memory is ours */
	zp_ignore(segment__block_fault(
	    source->run.iterator->segment, source->batch->view.number, fault, &why)); /* its text */
	run_source__lose(&source->run, &wanted->runs, &why);
	source->batch->count = source->at = source->end = 0;
}

/* NULL, or what is wrong with a block whose keys are not where it stands, so that blocks of a run
 * follow each other. Most are right by what their place says of each key; a fence is its block's
 * first key. */
static const char *
bounds_fault(const struct pin_source *source)
{
	const struct block_batch *batch = source->batch;
	uint8_t first[SOURCE_KEY_BYTES], last[SOURCE_KEY_BYTES];

	batch__key_encode(batch, 0, first);
	batch__key_encode(batch, batch->count - 1, last);
	if (source->is_fenced ? memcmp(first, source->first.key, sizeof(first)) != 0
			      : memcmp(first, source->first.key, sizeof(first)) < 0)
		return "a block does not begin where the directory says";
	return memcmp(last, source->last.key, sizeof(last)) > 0 ? "its rows are out of order"
								: NULL;
}

bool
pin_source__heads(struct pin_source *source, struct pin_wanted *wanted)
{
	const char *fault;

	if (source->batch->has_heads)
		return true;
	fault = batch__heads(source->batch);
	if (fault == NULL)
		fault = bounds_fault(source);
	if (fault != NULL)
		batch_lose(source, wanted, fault);
	return fault == NULL;
}

bool
pin_source__digests(struct pin_source *source, struct pin_wanted *wanted)
{
	if (!pin_source__heads(source, wanted))
		return false;
	zp_ignore(batch__digests(source->batch)); /* with heads there is nothing to go wrong */
	return true;
}

bool
pin_source__columns(struct pin_source *source, struct pin_wanted *wanted, uint32_t mask)
{
	const char *fault = batch__columns(source->batch, mask);

	if (fault != NULL)
		batch_lose(source, wanted, fault);
	return fault == NULL;
}

static void
memory_load(struct pin_source *source)
{
	struct segment_cells cells;
	struct zp_slice texts;
	struct block_batch *batch = source->batch;
	bool ends = false;

	batch__of_memory(batch);
	while (batch->count < MEMORY_ROWS && !ends) {
		ends = memtable__rows_next_cells(source->rows, &cells, &texts) == ZP_END;
		if (!ends)
			batch__memory_add(batch, &cells, texts);
	}
	source->over = batch->count == 0;
	if (source->over)
		return;
	source->first.head = batch->heads[0];
	source->last.head = batch->heads[batch->count - 1];
	batch__key_encode(batch, 0, source->first.key);
	batch__key_encode(batch, batch->count - 1, source->last.key);
	if (ends)
		bound_set(UINT64_MAX, 0xff, &source->last);
}

/* Passes the rows before `from`. False: the block is damaged. */
static bool
from_pass(struct pin_source *source, struct pin_wanted *wanted)
{
	const uint8_t *from = wanted->runs.from_bytes;
	const struct block_batch *batch = source->batch;
	uint8_t key[SOURCE_KEY_BYTES];

	if (wanted->runs.from == NULL || memcmp(source->first.key, from, sizeof(key)) >= 0)
		return true;
	if (memcmp(source->last.key, from, sizeof(key)) < 0) {
		source->at = batch->count;
		return true;
	}
	if (!pin_source__heads(source, wanted))
		return false;
	for (; source->at < batch->count; source->at++) {
		batch__key_encode(batch, source->at, key);
		if (memcmp(key, from, sizeof(key)) >= 0)
			break;
	}
	return true;
}

void
pin_source__load(struct pin_source *source, struct pin_wanted *wanted)
{
	do {
		source->at = source->end = 0;
		source->is_tested = source->is_excluded = false;
		source->is_ready = source->texts_failed = false;
		source->tests = wanted->filter_columns;
		if (source->rows != NULL) {
			memory_load(source);
			return;
		}
		run_source__next(&source->run, &wanted->runs, source);
		source->over = source->run.over;
		if (source->over)
			return;
		source->tests = tests_of(source->batch, wanted);
		source->is_excluded =
		    wanted->filter_columns != 0 && is_excluded(source->batch, wanted);
	} while (!from_pass(source, wanted) || source->at == source->batch->count);
}

/* ---- What is given of a batch ---------------------------------------------------------------- */

static void
key_column_set(struct zp_key *key, unsigned column, uint64_t value)
{
	switch (column) {
	case PIN_KIND:
		key->kind = (uint8_t)value;
		break;
	case PIN_VERSION:
		key->version = (uint8_t)value;
		break;
	case PIN_CODEC:
		key->codec = value;
		break;
	case PIN_NAMESPACE:
		key->namespace_id = (uint32_t)value;
		break;
	default:
		key->claim = value;
	}
}

/* Notes what all rows of the batch have that are given. */
static void
constants_take(struct pin_source *source, const struct pin_wanted *wanted)
{
	const struct block_batch *batch = source->batch;
	uint32_t constant = wanted->columns & ~batch->varying;

	source->gives_keys = wanted->gives_keys;
	source->given_varying = wanted->columns & batch->varying & ~BATCH_COLUMN(PIN_TEXTS);
	source->has_texts = wanted->gives_texts && ((batch->varying >> PIN_TEXTS & 1) != 0 ||
						       batch->constants[PIN_TEXTS] != 0);
	source->key = (struct zp_key){0};
	memset(source->facts, 0, sizeof(source->facts));
	for (; constant != 0; constant &= constant - 1) {
		unsigned column = (unsigned)__builtin_ctz(constant);

		if (column < PIN_KEY_COLUMNS)
			key_column_set(&source->key, column, batch->constants[column]);
		else if (column < PIN_TEXTS)
			source->facts[column - PIN_FACTS] = batch->constants[column];
	}
}

bool
pin_source__ready(struct pin_source *source, struct pin_wanted *wanted)
{
	if (source->is_ready)
		return true;
	if (!pin_source__columns(source, wanted, wanted->columns) ||
	    (wanted->gives_keys && !pin_source__digests(source, wanted)))
		return false;
	constants_take(source, wanted);
	source->is_ready = true;
	return true;
}

void
pin_source__row(
    const struct pin_source *source, uint32_t row, struct zp_key *key_out, uint64_t *facts_out)
{
	const struct block_batch *batch = source->batch;
	uint32_t some = source->given_varying;

	*key_out = source->key;
	memcpy(facts_out, source->facts, sizeof(source->facts));
	if (source->gives_keys)
		memcpy(key_out->digest, batch->digests[row], sizeof(key_out->digest));
	for (; (some & BATCH_KEY_COLUMNS) != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		key_column_set(key_out, column, batch->values[column][row]);
	}
	for (; some != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		facts_out[column - PIN_FACTS] = batch->values[column][row];
	}
}

bool
pin_source__texts(
    struct pin_source *source, struct pin_wanted *wanted, uint32_t row, struct zp_slice *texts_out)
{
	const struct block_batch *batch = source->batch;
	struct segment_iterator *iterator = source->run.iterator;
	uint64_t length = batch__value(batch, PIN_TEXTS, row);
	struct zp_err why = {0};

	*texts_out = (struct zp_slice){0};
	if (length == 0)
		return true;
	if (source->rows != NULL) {
		*texts_out = batch->texts[row];
		return true;
	}
	if (source->texts_failed || source->run.faults >= FAULTS_MAX)
		return false; /* told */
	if (!texts__is_loaded(iterator->segment, &batch->view.texts, &iterator->scratch) &&
	    iterator__texts_load(iterator, &batch->view, &why) < 0) {
		source->texts_failed = true;
		source->run.faults++;
		run_wanted__damage(&wanted->runs, &why);
		return false;
	}
	*texts_out = (struct zp_slice){iterator->scratch.texts.data + batch->texts_at[row], length};
	if (zp_texts_check(*texts_out, (uint8_t)batch__value(batch, PIN_KIND, row), NULL) == 0)
		return true;
	zp_ignore(segment__block_fault(iterator->segment, batch->view.number,
	    "a row's texts are damaged", &why)); /* its text */
	run_wanted__damage(&wanted->runs, &why);
	return false;
}
