/*
 * pin_window.c - see pin_window.h.
 *
 * Where one source has rows in the window, they are it, in columns as they were unpacked. Where
 * several have, their rows are merged by the first 64 bits of their digests, and of equal keys the
 * newest stays. Then the filter has its say: a row that is not wanted has hidden older ones by
 * then. A block is unpacked no further than that takes; of one that is alone in its window and of
 * whose rows none is wanted, not even the keys.
 */
#include "engine/pin_window.h"

/* ---- Opening --------------------------------------------------------------------------------- */

static void
sources_open(struct pin_window *window, const struct zp_view *view)
{
	const struct version *version = view->version;
	struct memtable *const memtables[] = {view->active, view->frozen};

	window->sources = zp_alloc(
	    (ZP_ARRAY_COUNT(memtables) + version->manifest.run_count) * sizeof(window->sources[0]));
	for (size_t i = 0; i < ZP_ARRAY_COUNT(memtables); i++) {
		if (memtables[i] != NULL && !memtable__is_empty(memtables[i]))
			pin_source__of_memory(&window->sources[window->source_count++],
			    memtables[i], &window->wanted);
	}
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		if (version->manifest.runs[i].family == ZP_FAMILY_PIN)
			pin_source__of_run(&window->sources[window->source_count++], version, i);
	}
	window->live = zp_alloc(window->source_count * sizeof(window->live[0]));
	window->parts = zp_alloc(window->source_count * sizeof(window->parts[0]));
	window->ends = zp_alloc(window->source_count * sizeof(window->ends[0]));
	for (size_t i = 0; i < window->source_count; i++)
		window->live[window->live_count++] = &window->sources[i];
}

void
pin_window__open(
    struct pin_window *window, const struct zp_view *view, const struct zp_scan_options *options)
{
	*window = (struct pin_window){0};
	pin_wanted__init(&window->wanted, options);
	sources_open(window, view);
}

void
pin_window__done(struct pin_window *window)
{
	for (size_t i = 0; i < window->source_count; i++)
		pin_source__done(&window->sources[i]);
	zp_free(window->sources);
	zp_free(window->live);
	zp_free(window->parts);
	zp_free(window->ends);
	zp_free(window->refs);
	zp_free(window->spare);
}

/* ---- Which rows are in the window ------------------------------------------------------------ */

/* Loads what has no rows left. The source whose batch ends first; NULL: all are over. */
static const struct pin_source *
sources_load(struct pin_window *window)
{
	const struct pin_source *first = NULL;
	size_t count = window->live_count;

	window->live_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct pin_source *source = window->live[i];

		if (source->at == source->batch->count)
			pin_source__load(source, &window->wanted);
		if (source->over)
			continue;
		window->live[window->live_count++] = source;
		if (first == NULL || source->last.head < first->last.head ||
		    (source->last.head == first->last.head &&
			memcmp(source->last.key, first->last.key, SOURCE_KEY_BYTES) < 0))
			first = source;
	}
	return first;
}

/* Finds the rows up to the end of the batch of `first`. False: a block is damaged, begin again. */
static bool
part_end(struct pin_window *window, struct pin_source *source, const struct pin_source *first)
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
	if (!pin_source__heads(source, &window->wanted))
		return false;
	while (source->end < batch->count && pin_source__is_before(source, source->end, first))
		source->end++;
	return true;
}

/* False: begin again. */
static bool
parts_find(struct pin_window *window, const struct pin_source *first)
{
	window->part_count = 0;
	for (size_t i = 0; i < window->live_count; i++) {
		struct pin_source *source = window->live[i];

		if (!part_end(window, source, first))
			return false;
		if (source->end > source->at)
			window->parts[window->part_count++] = source;
	}
	/* What is not wanted of the oldest hides nothing. */
	while (window->part_count > 0 && window->parts[window->part_count - 1]->is_excluded)
		window->part_count--;
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
room_make(struct pin_window *window, size_t rows)
{
	if (rows <= window->room)
		return;
	zp_free(window->refs);
	zp_free(window->spare);
	window->room = rows + rows / 2;
	window->refs = zp_alloc(window->room * sizeof(window->refs[0]));
	window->spare = zp_alloc(window->room * sizeof(window->spare[0]));
}

/* So many lists of the refs, from ends[i - 1] to ends[i], become one. */
static void
lists_merge(struct pin_window *window, size_t count)
{
	size_t *ends = window->ends;

	while (count > 1) {
		struct row_ref *from = window->refs, *to = window->spare;
		size_t begin = 0, left = 0;

		for (size_t i = 0; i < count; i += 2) {
			size_t middle = ends[i], end = i + 1 < count ? ends[i + 1] : middle;

			to = two_merge(from + begin, from + middle, from + middle, from + end, to);
			ends[left++] = begin = end;
		}
		count = left;
		window->refs = window->spare;
		window->spare = from;
	}
}

/* Of equal keys the first stays. */
static void
refs_unique(struct pin_window *window)
{
	struct row_ref *refs = window->refs;
	size_t kept = 0;

	for (size_t i = 0; i < window->ref_count; i++) {
		if (kept == 0 || refs[kept - 1].head != refs[i].head ||
		    is_behind(&refs[i], &refs[kept - 1]))
			refs[kept++] = refs[i];
	}
	window->ref_count = kept;
}

/* All rows of the parts as refs, merged where there are several. */
static void
refs_make(struct pin_window *window)
{
	size_t rows = 0;

	for (size_t i = 0; i < window->part_count; i++)
		rows += window->parts[i]->end - window->parts[i]->at;
	room_make(window, rows);
	window->ref_count = 0;
	for (size_t i = 0; i < window->part_count; i++) {
		struct pin_source *source = window->parts[i];

		for (uint32_t row = source->at; row < source->end; row++)
			window->refs[window->ref_count++] = (struct row_ref){
			    source->batch->has_heads ? source->batch->heads[row] : 0, source, row};
		window->ends[i] = window->ref_count;
	}
	if (window->part_count < 2)
		return;
	lists_merge(window, window->part_count);
	refs_unique(window);
}

/* ---- Which of them are given ----------------------------------------------------------------- */

/* Whether a run that is newer may have a row of the same key that cannot be read. */
static bool
is_doubtful(const struct pin_window *window, const struct row_ref *ref)
{
	uint8_t key[SOURCE_KEY_BYTES];

	batch__key_encode(ref->source->batch, ref->row, key);
	for (const struct pin_source *newer = window->sources; newer < ref->source; newer++) {
		if (run_source__lacks(&newer->run, key))
			return true;
	}
	return false;
}

static bool
is_given(const struct pin_window *window, const struct row_ref *ref)
{
	const struct pin_source *source = ref->source;

	if (batch__value(source->batch, PIN_OPERATION, ref->row) == ZP_ROW_TOMBSTONE)
		return false;
	if (source->is_excluded || (source->is_tested && !source->matches[ref->row]))
		return false;
	return window->wanted.runs.damage.code == ZP_OK || !is_doubtful(window, ref);
}

static void
refs_choose(struct pin_window *window)
{
	struct row_ref *refs = window->refs;
	bool has_choice = window->wanted.runs.damage.code != ZP_OK;
	size_t kept = 0;

	for (size_t i = 0; i < window->part_count; i++)
		has_choice |= window->parts[i]->batch->has_tombstones ||
			      window->parts[i]->is_excluded || window->parts[i]->tests != 0;
	if (!has_choice)
		return;
	for (size_t i = 0; i < window->ref_count; i++) {
		refs[kept] = refs[i];
		kept += is_given(window, &refs[i]);
	}
	window->ref_count = kept;
}

/* Unpacks what tells which rows are given. False: begin again. */
static bool
parts_judge(struct pin_window *window)
{
	bool is_merge = window->part_count > 1 || window->wanted.runs.damage.code != ZP_OK;

	for (size_t i = 0; i < window->part_count; i++) {
		struct pin_source *source = window->parts[i];

		if (is_merge && !pin_source__heads(source, &window->wanted))
			return false;
		if (!pin_source__columns(source, &window->wanted, BATCH_COLUMN(PIN_OPERATION)) ||
		    (!source->is_excluded && !pin_source__test(source, &window->wanted)))
			return false;
	}
	return true;
}

/* The same of all that have refs. */
static bool
refs_ready(struct pin_window *window)
{
	const struct pin_source *ready = NULL; /* the one before: mostly there is one */

	for (size_t i = 0; i < window->ref_count; i++) {
		if (window->refs[i].source != ready &&
		    !pin_source__ready(window->refs[i].source, &window->wanted))
			return false;
		ready = window->refs[i].source;
	}
	return true;
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* False: a block of it turned out to be damaged, so that it is another one. */
static bool
window_fill(struct pin_window *window, const struct pin_source *first)
{
	struct pin_source *alone;

	window->ref_at = window->ref_count = 0;
	window->dense = NULL;
	if (!parts_find(window, first) || !parts_judge(window))
		return false;
	alone = window->part_count == 1 ? window->parts[0] : NULL;
	if (alone != NULL && !alone->batch->has_tombstones && alone->tests == 0 &&
	    window->wanted.runs.damage.code == ZP_OK) {
		if (!pin_source__ready(alone, &window->wanted))
			return false;
		window->dense = alone;
		window->dense_at = alone->at;
		window->dense_end = alone->end;
		return true;
	}
	refs_make(window);
	refs_choose(window);
	return refs_ready(window);
}

bool
pin_window__next(struct pin_window *window)
{
	const struct pin_source *first;

	do {
		first = sources_load(window);
		if (first == NULL) {
			window->dense = NULL;
			window->ref_at = window->ref_count = 0;
			return false;
		}
	} while (!window_fill(window, first));
	memcpy(window->passed, first->last.key, sizeof(window->passed));
	window->has_passed = true;
	for (size_t i = 0; i < window->live_count; i++)
		window->live[i]->at = window->live[i]->end;
	return true;
}
