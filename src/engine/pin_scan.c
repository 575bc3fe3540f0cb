/*
 * pin_scan.c - live pins in key order, by rows or by columns.
 *
 * Flow:   command → scan over memtables and runs of a view (pin_source.c). Any thread; one thread a
 * scan. Method: by *windows*: all rows up to the end of the batch that ends first, of every source.
 * Where one source has rows there, they are the window, in columns as they were unpacked. Where
 * several have, their rows are merged by the first 64 bits of their digests, and of equal keys the
 * newest stays. Then the filter has its say: a row that is not wanted has hidden older ones by
 * then. A block is unpacked no further than that takes; of one that is alone in its window and of
 *         whose rows none is wanted, not even the keys.
 * Damage: where a run is damaged the scan goes on behind the damage and answers ZP_E_CORRUPT at the
 * end instead of ZP_END: what can be read is read, and nobody takes the list for whole. Between the
 *         rows around the damage no older run is believed: what it has may be replaced or deleted.
 * A block is damaged or whole; only texts are looked at row by row.
 */
#include "engine/pin_source.h"

#include "engine/segment_iterate.h"

#define STEP_WINDOWS 16u /* of a step without a pin */

/* A row of a window. */
struct row_ref {
	uint64_t head; /* where rows were merged */
	struct pin_source *source;
	uint32_t row;
};

/* Where merged rows are put together, for who wants columns. */
struct gathered {
	size_t room;
	uint8_t (*digests)[32];
	uint64_t *values[SEGMENT_COLUMNS_MAX];
};

struct zp_scan {
	struct zp_view *view; /* held */
	struct pin_wanted wanted;
	bool gives_keys;
	bool gives_texts;
	uint32_t columns;           /* to unpack of rows that are given */
	struct pin_source *sources; /* owned; newest first */
	size_t source_count;
	struct pin_source **live; /* owned: those that are not over, in that order */
	size_t live_count;
	struct pin_source **parts; /* owned: of these the ones with rows in the window */
	size_t part_count;
	/* The window: rows of one source as they stand, or refs. */
	struct pin_source *dense; /* NULL: refs */
	uint32_t dense_at;
	uint32_t dense_end;
	struct row_ref *refs; /* owned; as the next two */
	struct row_ref *spare;
	size_t room;
	size_t *ends; /* owned: room for the parts' */
	size_t ref_at;
	size_t ref_count;
	bool has_passed;
	uint8_t passed[SOURCE_KEY_BYTES]; /* the end of the window */
	struct gathered gathered;
};

/* ---- Opening --------------------------------------------------------------------------------- */

static void
sources_open(struct zp_scan *scan)
{
	const struct zp_view *view = scan->view;
	const struct version *version = view->version;
	struct memtable *const memtables[] = {view->active, view->frozen};

	scan->sources = zp_alloc(
	    (ZP_ARRAY_COUNT(memtables) + version->manifest.run_count) * sizeof(scan->sources[0]));
	for (size_t i = 0; i < ZP_ARRAY_COUNT(memtables); i++) {
		if (memtables[i] != NULL && !memtable__is_empty(memtables[i]))
			pin_source__of_memory(
			    &scan->sources[scan->source_count++], memtables[i], &scan->wanted);
	}
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		if (version->manifest.runs[i].family == ZP_FAMILY_PIN)
			pin_source__of_run(&scan->sources[scan->source_count++], version, i);
	}
	scan->live = zp_alloc(scan->source_count * sizeof(scan->live[0]));
	scan->parts = zp_alloc(scan->source_count * sizeof(scan->parts[0]));
	scan->ends = zp_alloc(scan->source_count * sizeof(scan->ends[0]));
	for (size_t i = 0; i < scan->source_count; i++)
		scan->live[scan->live_count++] = &scan->sources[i];
}

int
zp_scan_open(struct zp_view *view, const struct zp_scan_options *options, struct zp_scan **scan_out,
    struct zp_err *err)
{
	uint32_t columns = options->columns == 0 ? UINT32_MAX : options->columns;
	struct zp_scan *scan = zp_alloc_zero(1, sizeof(*scan));

	(void)err; /* damage is told at the end */
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	scan->view = view;
	pin_wanted__init(&scan->wanted, options);
	scan->gives_keys = (columns & ZP_SCAN_KEYS) != 0;
	scan->gives_texts = (columns & ZP_SCAN_TEXTS) != 0;
	scan->columns = (columns & ZP_SCAN_FACTS) << PIN_FACTS;
	if (scan->gives_keys)
		scan->columns |= BATCH_KEY_COLUMNS;
	if ((columns & ZP_SCAN_NAMESPACE) != 0)
		scan->columns |= BATCH_COLUMN(PIN_NAMESPACE);
	if (scan->gives_texts)
		scan->columns |= BATCH_COLUMN(PIN_TEXTS) | BATCH_COLUMN(PIN_KIND);
	sources_open(scan);
	*scan_out = scan;
	return ZP_OK;
}

void
zp_scan_close(struct zp_scan *scan)
{
	if (scan == NULL)
		return;
	for (size_t i = 0; i < scan->source_count; i++)
		pin_source__done(&scan->sources[i]);
	zp_free(scan->sources);
	zp_free(scan->live);
	zp_free(scan->parts);
	zp_free(scan->ends);
	zp_free(scan->refs);
	zp_free(scan->spare);
	zp_free(scan->gathered.digests);
	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		zp_free(scan->gathered.values[i]);
	zp_view_release(scan->view);
	zp_free(scan);
}

/* ---- Which rows are in the window ------------------------------------------------------------ */

/* Loads what has no rows left. The source whose batch ends first; NULL: all are over. */
static const struct pin_source *
sources_load(struct zp_scan *scan)
{
	const struct pin_source *first = NULL;
	size_t count = scan->live_count;

	scan->live_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct pin_source *source = scan->live[i];

		if (source->at == source->batch->count)
			pin_source__load(source, &scan->wanted);
		if (source->over)
			continue;
		scan->live[scan->live_count++] = source;
		if (first == NULL || source->last.head < first->last.head ||
		    (source->last.head == first->last.head &&
			memcmp(source->last.key, first->last.key, SOURCE_KEY_BYTES) < 0))
			first = source;
	}
	return first;
}

/* Finds the rows up to the end of the batch of `first`. False: a block is damaged, begin again. */
static bool
part_end(struct zp_scan *scan, struct pin_source *source, const struct pin_source *first)
{
	const struct block_batch *batch = source->batch;

	source->end = source->at;
	if (source->last.head == first->last.head &&
	    memcmp(source->last.key, first->last.key, SOURCE_KEY_BYTES) == 0) {
		source->end = batch->count;
		return true;
	}
	if ((batch->has_heads ? batch->heads[source->at] : source->first.head) > first->last.head)
		return true;
	if (!pin_source__heads(source, &scan->wanted))
		return false;
	while (source->end < batch->count && pin_source__is_before(source, source->end, first))
		source->end++;
	return true;
}

/* False: begin again. */
static bool
parts_find(struct zp_scan *scan, const struct pin_source *first)
{
	scan->part_count = 0;
	for (size_t i = 0; i < scan->live_count; i++) {
		struct pin_source *source = scan->live[i];

		if (!part_end(scan, source, first))
			return false;
		if (source->end > source->at)
			scan->parts[scan->part_count++] = source;
	}
	/* What is not wanted of the oldest hides nothing. */
	while (scan->part_count > 0 && scan->parts[scan->part_count - 1]->is_excluded)
		scan->part_count--;
	return true;
}

/* ---- In one order ---------------------------------------------------------------------------- */

static bool
is_behind(const struct row_ref *a, const struct row_ref *b)
{
	if (a->head != b->head)
		return a->head > b->head;
	return batch__rows_compare(a->source->batch, a->row, b->source->batch, b->row) > 0;
}

/* Of equal keys those of `a` come first. */
static struct row_ref *
two_merge(const struct row_ref *a, const struct row_ref *a_end, const struct row_ref *b,
    const struct row_ref *b_end, struct row_ref *to)
{
	while (a < a_end && b < b_end) {
		bool takes_b = a->head > b->head;

		if (__builtin_expect(a->head == b->head, 0))
			takes_b = is_behind(a, b);
		*to++ = takes_b ? *b : *a;
		a += !takes_b;
		b += takes_b;
	}
	memcpy(to, a, (size_t)((const char *)a_end - (const char *)a));
	to += a_end - a;
	memcpy(to, b, (size_t)((const char *)b_end - (const char *)b));
	return to + (b_end - b);
}

static void
room_make(struct zp_scan *scan, size_t rows)
{
	if (rows <= scan->room)
		return;
	zp_free(scan->refs);
	zp_free(scan->spare);
	scan->room = rows + rows / 2;
	scan->refs = zp_alloc(scan->room * sizeof(scan->refs[0]));
	scan->spare = zp_alloc(scan->room * sizeof(scan->spare[0]));
}

/* So many lists of the refs, from ends[i - 1] to ends[i], become one. */
static void
lists_merge(struct zp_scan *scan, size_t count)
{
	size_t *ends = scan->ends;

	while (count > 1) {
		struct row_ref *from = scan->refs, *to = scan->spare;
		size_t begin = 0, left = 0;

		for (size_t i = 0; i < count; i += 2) {
			size_t middle = ends[i], end = i + 1 < count ? ends[i + 1] : middle;

			to = two_merge(from + begin, from + middle, from + middle, from + end, to);
			ends[left++] = begin = end;
		}
		count = left;
		scan->refs = scan->spare;
		scan->spare = from;
	}
}

/* Of equal keys the first stays. */
static void
refs_unique(struct zp_scan *scan)
{
	struct row_ref *refs = scan->refs;
	size_t kept = 0;

	for (size_t i = 0; i < scan->ref_count; i++) {
		if (kept == 0 || refs[kept - 1].head != refs[i].head ||
		    is_behind(&refs[i], &refs[kept - 1]))
			refs[kept++] = refs[i];
	}
	scan->ref_count = kept;
}

/* All rows of the parts as refs, merged where there are several. */
static void
refs_make(struct zp_scan *scan)
{
	size_t rows = 0;

	for (size_t i = 0; i < scan->part_count; i++)
		rows += scan->parts[i]->end - scan->parts[i]->at;
	room_make(scan, rows);
	scan->ref_count = 0;
	for (size_t i = 0; i < scan->part_count; i++) {
		struct pin_source *source = scan->parts[i];

		for (uint32_t row = source->at; row < source->end; row++)
			scan->refs[scan->ref_count++] = (struct row_ref){
			    source->batch->has_heads ? source->batch->heads[row] : 0, source, row};
		scan->ends[i] = scan->ref_count;
	}
	if (scan->part_count < 2)
		return;
	lists_merge(scan, scan->part_count);
	refs_unique(scan);
}

/* ---- Which of them are given ----------------------------------------------------------------- */

/* Whether a run that is newer may have a row of the same key that cannot be read. */
static bool
is_doubtful(const struct zp_scan *scan, const struct row_ref *ref)
{
	uint8_t key[SOURCE_KEY_BYTES];

	batch__key_encode(ref->source->batch, ref->row, key);
	for (const struct pin_source *newer = scan->sources; newer < ref->source; newer++) {
		if (run_source__lacks(&newer->run, key))
			return true;
	}
	return false;
}

static bool
is_given(const struct zp_scan *scan, const struct row_ref *ref)
{
	const struct pin_source *source = ref->source;

	if (batch__value(source->batch, PIN_OPERATION, ref->row) == ZP_ROW_TOMBSTONE)
		return false;
	if (source->is_excluded || (source->is_tested && !source->matches[ref->row]))
		return false;
	return scan->wanted.runs.damage.code == ZP_OK || !is_doubtful(scan, ref);
}

static void
refs_choose(struct zp_scan *scan)
{
	struct row_ref *refs = scan->refs;
	bool has_choice = scan->wanted.runs.damage.code != ZP_OK;
	size_t kept = 0;

	for (size_t i = 0; i < scan->part_count; i++)
		has_choice |= scan->parts[i]->batch->has_tombstones ||
			      scan->parts[i]->is_excluded || scan->parts[i]->tests != 0;
	if (!has_choice)
		return;
	for (size_t i = 0; i < scan->ref_count; i++) {
		refs[kept] = refs[i];
		kept += is_given(scan, &refs[i]);
	}
	scan->ref_count = kept;
}

/* Unpacks what tells which rows are given. False: begin again. */
static bool
parts_judge(struct zp_scan *scan)
{
	bool is_merge = scan->part_count > 1 || scan->wanted.runs.damage.code != ZP_OK;

	for (size_t i = 0; i < scan->part_count; i++) {
		struct pin_source *source = scan->parts[i];

		if (is_merge && !pin_source__heads(source, &scan->wanted))
			return false;
		if (!pin_source__columns(source, &scan->wanted, BATCH_COLUMN(PIN_OPERATION)) ||
		    (!source->is_excluded && !pin_source__test(source, &scan->wanted)))
			return false;
	}
	return true;
}

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
constants_take(const struct zp_scan *scan, struct pin_source *source)
{
	const struct block_batch *batch = source->batch;
	uint32_t constant = scan->columns & ~batch->varying;

	source->given_varying = scan->columns & batch->varying & ~BATCH_COLUMN(PIN_TEXTS);
	source->has_texts = scan->gives_texts && ((batch->varying >> PIN_TEXTS & 1) != 0 ||
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

/* Unpacks what is given of a part's rows. */
static bool
part_ready(struct zp_scan *scan, struct pin_source *source)
{
	if (source->is_ready)
		return true;
	if (!pin_source__columns(source, &scan->wanted, scan->columns) ||
	    (scan->gives_keys && !pin_source__digests(source, &scan->wanted)))
		return false;
	constants_take(scan, source);
	source->is_ready = true;
	return true;
}

/* The same of all that have refs. */
static bool
refs_ready(struct zp_scan *scan)
{
	const struct pin_source *ready = NULL; /* the one before: mostly there is one */

	for (size_t i = 0; i < scan->ref_count; i++) {
		if (scan->refs[i].source != ready && !part_ready(scan, scan->refs[i].source))
			return false;
		ready = scan->refs[i].source;
	}
	return true;
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* False: a block of it turned out to be damaged, so that it is another one. */
static bool
window_fill(struct zp_scan *scan, const struct pin_source *first)
{
	struct pin_source *alone;

	scan->ref_at = scan->ref_count = 0;
	scan->dense = NULL;
	if (!parts_find(scan, first) || !parts_judge(scan))
		return false;
	alone = scan->part_count == 1 ? scan->parts[0] : NULL;
	if (alone != NULL && !alone->batch->has_tombstones && alone->tests == 0 &&
	    scan->wanted.runs.damage.code == ZP_OK) {
		if (!part_ready(scan, alone))
			return false;
		scan->dense = alone;
		scan->dense_at = alone->at;
		scan->dense_end = alone->end;
		return true;
	}
	refs_make(scan);
	refs_choose(scan);
	return refs_ready(scan);
}

/* Goes to the next window, which may have no rows. */
static int
window_next(struct zp_scan *scan, struct zp_err *err)
{
	const struct pin_source *first;

	do {
		first = sources_load(scan);
		if (first == NULL)
			break;
	} while (!window_fill(scan, first));
	if (first == NULL) {
		scan->dense = NULL;
		scan->ref_at = scan->ref_count = 0;
		if (scan->wanted.runs.damage.code == ZP_OK)
			return ZP_END;
		return zp_fail(err, scan->wanted.runs.damage.code,
		    "the list lacks pins that cannot be read: %s", scan->wanted.runs.damage.text);
	}
	memcpy(scan->passed, first->last.key, sizeof(scan->passed));
	scan->has_passed = true;
	for (size_t i = 0; i < scan->live_count; i++)
		scan->live[i]->at = scan->live[i]->end;
	return ZP_OK;
}

bool
zp_scan_passed(const struct zp_scan *scan, struct zp_key *key_out)
{
	uint8_t key[ZP_KEY_BYTES];

	if (!scan->has_passed)
		return false;
	memcpy(key, scan->passed, sizeof(key));
	if (zp_key_decode(key, key_out, NULL) == ZP_OK)
		return true;
	for (size_t i = sizeof(uint64_t); i < sizeof(key); i++) {
		if (key[i] != 0xff)
			return false;
	}
	/* The end of a bucket is no pin's key; this is the last that is one. */
	*key_out =
	    (struct zp_key){.kind = ZP_KIND_OTHER, .namespace_id = UINT32_MAX, .claim = UINT64_MAX};
	memcpy(key_out->digest, key, sizeof(key_out->digest));
	return true;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static bool
ref_next(struct zp_scan *scan, struct row_ref *ref_out)
{
	if (scan->dense != NULL) {
		if (scan->dense_at == scan->dense_end)
			return false;
		ref_out->source = scan->dense;
		ref_out->row = scan->dense_at++;
		return true;
	}
	if (scan->ref_at == scan->ref_count)
		return false;
	*ref_out = scan->refs[scan->ref_at++];
	return true;
}

/* False: the row's texts cannot be read. */
static bool
texts_take(struct zp_scan *scan, const struct row_ref *ref, struct zp_slice *texts_out)
{
	struct pin_source *source = ref->source;
	const struct block_batch *batch = source->batch;
	struct segment_iterator *iterator = source->run.iterator;
	uint64_t length = batch__value(batch, PIN_TEXTS, ref->row);
	struct zp_err why = {0};

	*texts_out = (struct zp_slice){0};
	if (length == 0)
		return true;
	if (source->rows != NULL) {
		*texts_out = batch->texts[ref->row];
		return true;
	}
	if (source->texts_failed || source->run.faults >= FAULTS_MAX)
		return false; /* told */
	if (!texts__is_loaded(iterator->segment, &batch->view.texts, &iterator->scratch) &&
	    iterator__texts_load(iterator, &batch->view, &why) < 0) {
		source->texts_failed = true;
		source->run.faults++;
		run_wanted__damage(&scan->wanted.runs, &why);
		return false;
	}
	*texts_out =
	    (struct zp_slice){iterator->scratch.texts.data + batch->texts_at[ref->row], length};
	if (zp_texts_check(*texts_out, (uint8_t)batch__value(batch, PIN_KIND, ref->row), NULL) == 0)
		return true;
	zp_ignore(segment__block_fault(iterator->segment, batch->view.number,
	    "a row's texts are damaged", &why)); /* its text */
	run_wanted__damage(&scan->wanted.runs, &why);
	return false;
}

static void
row_take(const struct zp_scan *scan, const struct pin_source *source, uint32_t row,
    struct zp_key *key_out, struct zp_record *record_out)
{
	const struct block_batch *batch = source->batch;
	uint32_t some = source->given_varying;

	*key_out = source->key;
	memcpy(record_out->facts, source->facts, sizeof(source->facts));
	if (scan->gives_keys)
		memcpy(key_out->digest, batch->digests[row], sizeof(key_out->digest));
	for (; (some & BATCH_KEY_COLUMNS) != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		key_column_set(key_out, column, batch->values[column][row]);
	}
	for (; some != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		record_out->facts[column - PIN_FACTS] = batch->values[column][row];
	}
}

/* The next pin of the window; ZP_END behind its last. */
static int
window_take(struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out)
{
	struct row_ref ref;

	while (ref_next(scan, &ref)) {
		record_out->texts = (struct zp_slice){0};
		if (ref.source->has_texts && !texts_take(scan, &ref, &record_out->texts))
			continue;
		row_take(scan, ref.source, ref.row, key_out, record_out);
		return ZP_OK;
	}
	return ZP_END;
}

int
zp_scan_next(
    struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	int rc;

	while (window_take(scan, key_out, record_out) == ZP_END) {
		rc = window_next(scan, err);
		if (rc != ZP_OK)
			return rc;
	}
	return ZP_OK;
}

int
zp_scan_step(
    struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	for (unsigned i = 0; window_take(scan, key_out, record_out) == ZP_END; i++) {
		int rc = i == STEP_WINDOWS ? ZP_SCAN_PASSED : window_next(scan, err);

		if (rc != ZP_OK)
			return rc;
	}
	return ZP_OK;
}

/* ---- Columns --------------------------------------------------------------------------------- */

static void
gathered_room_make(struct zp_scan *scan)
{
	struct gathered *gathered = &scan->gathered;

	if (gathered->room >= scan->ref_count)
		return;
	gathered->room = scan->room;
	zp_free(gathered->digests);
	gathered->digests = zp_alloc(gathered->room * sizeof(gathered->digests[0]));
	for (uint32_t some = scan->columns; some != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		zp_free(gathered->values[column]);
		gathered->values[column] = zp_alloc(gathered->room * sizeof(uint64_t));
	}
}

static struct zp_scan_column
column_gather(struct zp_scan *scan, unsigned column)
{
	const struct row_ref *refs = scan->refs;
	uint64_t *to = scan->gathered.values[column];

	for (size_t i = 0; i < scan->ref_count; i++)
		to[i] = batch__value(refs[i].source->batch, column, refs[i].row);
	return (struct zp_scan_column){to, 1};
}

static struct zp_scan_column
column_give(struct zp_scan *scan, unsigned column)
{
	struct zp_scan_column given = {0};

	if ((scan->columns >> column & 1) == 0)
		return given;
	if (scan->dense == NULL)
		return column_gather(scan, column);
	given.values = batch__values(scan->dense->batch, column, &given.step);
	given.values += scan->dense_at * given.step;
	return given;
}

static const uint8_t (*digests_give(struct zp_scan *scan))[32]
{
	uint8_t(*to)[32] = scan->gathered.digests;

	if (!scan->gives_keys)
		return NULL;
	if (scan->dense != NULL)
		return (const uint8_t(*)[32]) & scan->dense->batch->digests[scan->dense_at];
	for (size_t i = 0; i < scan->ref_count; i++)
		memcpy(to[i], scan->refs[i].source->batch->digests[scan->refs[i].row], 32);
	return (const uint8_t(*)[32])to;
}

int
zp_scan_next_rows(struct zp_scan *scan, struct zp_scan_rows *rows_out, struct zp_err *err)
{
	int rc = window_next(scan, err);

	if (rc != ZP_OK)
		return rc;
	if (scan->dense == NULL)
		gathered_room_make(scan);
	rows_out->count = scan->dense != NULL ? scan->dense_end - scan->dense_at : scan->ref_count;
	rows_out->digests = digests_give(scan);
	rows_out->kinds = column_give(scan, PIN_KIND);
	rows_out->versions = column_give(scan, PIN_VERSION);
	rows_out->codecs = column_give(scan, PIN_CODEC);
	rows_out->namespaces = column_give(scan, PIN_NAMESPACE);
	rows_out->claims = column_give(scan, PIN_CLAIM);
	for (unsigned i = 0; i < ZP_FACT_COUNT; i++)
		rows_out->facts[i] = column_give(scan, PIN_FACTS + i);
	return ZP_OK;
}
