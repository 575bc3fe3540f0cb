/*
 * merge_files.c - the rows of one span, merged into files.
 *
 * Flow:  merge.c → here: rows in one order (run_walk.c), of each key what counts → segment writer.
 * Rule:  a file is cut where the digest's first bits change, so that the files of runs of any size
 * meet at the same keys, and what the next merge must do at once stays small. Rows in = rows out +
 *        hidden + dropped, asserted.
 */
#include "engine/accesses.h"
#include "engine/merge_internal.h"
#include "engine/run_walk.h"
#include "engine/times.h"

#define SEGMENT_BYTES_DEFAULT (UINT64_C(512) << 20)
#define CUT_BITS_MAX 52u /* of a digest: more are shared by chosen keys alone */
#define SKEW 4u          /* a file of so many times the rows that were expected is cut at any key */

struct merge {
	const struct merge_plan *plan;
	enum zp_family family;
	struct run_walk *inputs;          /* owned, newest first */
	struct run_walks walks;           /* over them */
	const struct segment_name *names; /* of the inputs, borrowed */
	size_t name_count;
	unsigned prefix_bits; /* that the digests of a file share */
	unsigned cut_shift; /* digest heads of one file are equal behind it; 64: they need not be */
	size_t cut_at;      /* of the plan's cuts the next */
	uint64_t file_rows; /* that are expected */
	uint64_t file_rows_max;
	struct segment_writer *writer; /* of the file under way, or NULL */
	uint64_t writer_head;          /* of its first row */
	uint64_t writer_rows;
	struct merge_files files; /* that are done */
	uint64_t written;
	uint64_t rows_dropped; /* that say nothing: tombstones with nothing to hide, sums of 0 */
	uint32_t rows_since_turn;
};

uint64_t
merge__segment_bytes(const struct zp_engine *engine)
{
	return engine->options.segment_bytes == 0 ? SEGMENT_BYTES_DEFAULT
						  : engine->options.segment_bytes;
}

/* ---- Where files are cut --------------------------------------------------------------------- */

/* Keys of these families begin with the digest. */
static bool
has_head(enum zp_family family)
{
	return family == ZP_FAMILY_PIN || family == ZP_FAMILY_TRACK || family == ZP_FAMILY_ACCESS;
}

static uint64_t
head_of(enum zp_family family, const struct segment_cells *cells)
{
	return segment__is_bucketed(family) ? zp_load_u64be(cells->digest) : cells->columns[0];
}

static unsigned
bits_shared(uint64_t first_head, uint64_t last_head)
{
	return first_head == last_head ? 64 : (unsigned)__builtin_clzll(first_head ^ last_head);
}

static void
cuts_choose(struct merge *merge)
{
	const struct merge_span *span = merge->plan->span;
	unsigned shared =
	    bits_shared(zp_load_u64be(span->first_key), zp_load_u64be(span->last_key));
	unsigned bits = 0; /* the files are 1 << bits */

	merge->cut_shift = 64;
	merge->file_rows_max = UINT64_MAX;
	if (merge->plan->cuts != NULL) {
		merge->file_rows = zp_max_u64(1, span->rows / (merge->plan->cuts->count + 1));
		return;
	}
	while (span->bytes >> bits > merge__segment_bytes(merge->plan->engine))
		bits++;
	merge->file_rows = zp_max_u64(1, span->rows >> bits);
	if (bits > 0)
		merge->file_rows_max = merge->file_rows;
	if (!has_head(merge->family))
		return;
	merge->prefix_bits = shared;
	if (bits > 0 && shared + bits <= CUT_BITS_MAX) {
		merge->prefix_bits = shared + bits;
		merge->cut_shift = 64 - merge->prefix_bits;
		merge->file_rows_max *= SKEW;
	}
}

/* Whether the row is at the plan's next cut or behind. */
static bool
is_behind_cut(const struct merge *merge, const struct segment_cells *cells)
{
	const struct merge_cuts *cuts = merge->plan->cuts;
	uint8_t key[SEGMENT_KEY_FIELD_BYTES];

	if (merge->cut_at == cuts->count)
		return false;
	segment__cells_key_encode(&merge->walks.layout, cells, key);
	return memcmp(key, cuts->keys[merge->cut_at], MANIFEST_KEY_BYTES) >= 0;
}

/* The highest bits that a key before the cut may begin with. */
static uint64_t
head_before(const uint8_t cut[MANIFEST_KEY_BYTES])
{
	static const uint8_t zeros[MANIFEST_KEY_BYTES];
	uint64_t head = zp_load_u64be(cut);

	return memcmp(cut + sizeof(head), zeros, MANIFEST_KEY_BYTES - sizeof(head)) == 0 ? head - 1
											 : head;
}

/* The file that begins now goes from one of the plan's cuts to the next. */
static void
cut_pass(struct merge *merge, const struct segment_cells *cells)
{
	const struct merge_span *span = merge->plan->span;
	const struct merge_cuts *cuts = merge->plan->cuts;
	uint64_t first = zp_load_u64be(span->first_key), last = zp_load_u64be(span->last_key);

	while (is_behind_cut(merge, cells))
		merge->cut_at++;
	if (merge->cut_at > 0)
		first = zp_load_u64be(cuts->keys[merge->cut_at - 1]);
	if (merge->cut_at < cuts->count)
		last = head_before(cuts->keys[merge->cut_at]);
	if (has_head(merge->family))
		merge->prefix_bits = bits_shared(first, last);
}

/* Whether the file under way ends before the row. */
static bool
is_cut(const struct merge *merge, const struct segment_cells *cells)
{
	if (merge->plan->cuts != NULL)
		return is_behind_cut(merge, cells);
	if (merge->writer_rows >= merge->file_rows_max)
		return true;
	return merge->cut_shift < 64 &&
	       (head_of(merge->family, cells) ^ merge->writer_head) >> merge->cut_shift != 0;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Shows the beginning of each input to the writer; digests are uniform, so that is a fair sample.
 */
static int
inputs_sample(const struct merge *merge, struct zp_err *err)
{
	for (size_t i = 0; i < merge->plan->span->run_count; i++) {
		struct run_walk input = {.segments = merge->inputs[i].segments,
		    .segment_count = merge->inputs[i].segment_count};
		int rc = ZP_OK;

		for (size_t n = 0; n < SAMPLE_ROWS / 2 && rc == ZP_OK; n++) {
			rc = run_walk__next(&input, err);
			if (rc < 0 || input.cells == NULL)
				break;
			segment__writer_sample(merge->writer, input.cells, input.texts);
		}
		run_walk__close(&input);
		if (rc < 0)
			return rc;
	}
	return ZP_OK;
}

static int
file_begin(struct merge *merge, const struct segment_cells *cells, struct zp_err *err)
{
	struct zp_engine *engine = merge->plan->engine;
	uint64_t head = has_head(merge->family) ? head_of(merge->family, cells) : 0;
	struct segment_plan plan = {
	    .id = merge__segment_id(engine, merge->family, SEGMENT_BY_MERGE,
		merge->plan->drops_tombstones, (uint32_t)merge->files.count, NULL, 0, merge->names,
		merge->name_count),
	    .shard_id = engine->options.shard_id,
	    .family = merge->family,
	    .rows_expected = merge->file_rows,
	    .filter_bits = merge->plan->filter_bits,
	};
	int rc;

	if (merge->plan->cuts != NULL)
		cut_pass(merge, cells);
	plan.prefix_bits = (uint8_t)merge->prefix_bits;
	rc = segment__writer_open(engine->options.store, &plan, &merge->writer, err);
	if (rc < 0) {
		merge->writer = NULL;
		return rc;
	}
	merge->writer_head = head;
	merge->writer_rows = 0;
	return inputs_sample(merge, err);
}

static int
file_end(struct merge *merge, struct zp_err *err)
{
	struct merge_files *files = &merge->files;
	struct segment_writer *writer = merge->writer;
	struct segment_info *info;
	int rc;

	if (writer == NULL)
		return ZP_OK;
	merge->writer = NULL;
	files->infos = zp_realloc(files->infos, (files->count + 1) * sizeof(files->infos[0]));
	info = &files->infos[files->count];
	rc = segment__writer_finish(writer, info, err);
	if (rc < 0)
		return rc;
	ZP_ASSERT(info->rows == merge->writer_rows);
	files->count++;
	files->bytes += info->bytes;
	return ZP_OK;
}

/* Files that no manifest names: what a failure leaves behind is collected with others. */
static void
files_discard(struct merge *merge)
{
	segment__writer_discard(merge->writer);
	for (size_t i = 0; i < merge->files.count; i++) {
		char name[ZP_FILE_NAME_MAX];

		segment__name_format(&merge->files.infos[i].name, name);
		zp_ignore(zp_store_remove(merge->plan->engine->options.store, name, NULL));
	}
	zp_free(merge->files.infos);
	merge->files = (struct merge_files){0};
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Lets others go on now and then. */
static void
turn_take(struct merge *merge)
{
	const struct zp_engine_options *options = &merge->plan->engine->options;

	if (++merge->rows_since_turn < MERGE_TURN_ROWS)
		return;
	merge->rows_since_turn = 0;
	if (options->merge_turn != NULL)
		options->merge_turn(options->merge_turn_context, merge->files.bytes);
}

/* Of accesses all rows of the key count: what they come to. */
static void
accesses_merge(const struct run_walks *walks, bool is_oldest, struct segment_cells *cells_out)
{
	const struct segment_cells *newest = run_walks__present(walks)->cells;
	struct accesses_sum sum = accesses__of_cells(newest);
	const struct run_walk *older;

	for (size_t nth = 1; (older = run_walks__older(walks, nth)) != NULL; nth++) {
		struct accesses_sum added = accesses__of_cells(older->cells);

		accesses__combine(&sum, &added);
	}
	*cells_out = *newest;
	accesses__to_cells(&sum, cells_out);
	if (is_oldest)
		accesses__cells_oldest(cells_out);
}

/* The same of pins that want an entry of time; NULL where no row is left of it. Nearly all have one
 * row, which stays as it is. */
static const struct segment_cells *
times_merge(const struct run_walks *walks, bool is_oldest, struct segment_cells *room)
{
	const struct segment_cells *newest = run_walks__present(walks)->cells;
	size_t operation = walks->layout.operation_column;
	struct times_sum sum;

	if (newest->columns[operation] == ZP_ROW_PUT && times__is_one_row(walks))
		return newest;
	sum = times__of_rows(walks);
	if (is_oldest)
		sum.replaces = false;
	if (times__is_nothing(&sum))
		return NULL;
	*room = *newest;
	room->columns[operation] = times__operation(&sum);
	return room;
}

/* What the present row and older ones of its key become, which may be in `room`; NULL: nothing. */
static const struct segment_cells *
row_merge(const struct merge *merge, struct segment_cells *room)
{
	const struct run_walks *walks = &merge->walks;
	bool is_oldest = merge->plan->drops_tombstones;
	const struct segment_cells *cells = run_walks__present(walks)->cells;

	if (merge->family == ZP_FAMILY_ACCESS) {
		accesses_merge(walks, is_oldest, room);
		cells = room;
	} else if (merge->family == ZP_FAMILY_TIME) {
		cells = times_merge(walks, is_oldest, room);
	}
	if (cells == NULL || (is_oldest && segment__is_tombstone(&walks->layout, cells)))
		return NULL;
	return cells;
}

static int
row_write(struct merge *merge, const struct segment_cells *cells, struct zp_slice texts,
    struct zp_err *err)
{
	int rc = ZP_OK;

	if (merge->writer != NULL && is_cut(merge, cells))
		rc = file_end(merge, err);
	if (rc == ZP_OK && merge->writer == NULL)
		rc = file_begin(merge, cells, err);
	if (rc == ZP_OK)
		rc = segment__writer_add(merge->writer, cells, texts, err);
	merge->writer_rows++;
	merge->written++;
	return rc;
}

static int
rows_merge(struct merge *merge, struct zp_err *err)
{
	struct run_walks *walks = &merge->walks;
	const _Atomic(bool) *stop = merge->plan->stop;
	const struct run_walk *present;
	struct segment_cells room;
	int rc = run_walks__first(walks, err);

	while (rc == ZP_OK && (present = run_walks__present(walks)) != NULL) {
		const struct segment_cells *cells;

		if (stop != NULL && *stop)
			return zp_fail(err, ZP_E_STOPPING, "the merge was stopped");
		turn_take(merge);
		cells = row_merge(merge, &room);
		if (cells == NULL)
			merge->rows_dropped++;
		else
			rc = row_write(merge, cells, present->texts, err);
		if (rc == ZP_OK)
			rc = run_walks__next(walks, err);
	}
	if (rc == ZP_OK)
		rc = file_end(merge, err);
	ZP_ASSERT(
	    rc < 0 || walks->rows_in == merge->written + walks->rows_hidden + merge->rows_dropped);
	return rc;
}

/* ---- A span ---------------------------------------------------------------------------------- */

/* The inputs' names, newest first; refuses where one is damaged. */
static int
inputs_take(struct merge *merge, struct segment_name *names, struct zp_err *err)
{
	const struct merge_span *span = merge->plan->span;

	for (size_t i = 0; i < span->run_count; i++) {
		size_t run = span->first_run + i, count = span->end[i] - span->from[i];
		struct segment **segments = merge->plan->version->runs[run] + span->from[i];

		merge->inputs[i] = (struct run_walk){.segments = segments, .segment_count = count};
		for (size_t j = 0; j < count; j++) {
			if (segments[j] == NULL)
				return zp_fail(
				    err, ZP_E_CORRUPT, "a segment of the runs to merge is damaged");
			names[merge->name_count++] =
			    span->manifest->runs[run].segments[span->from[i] + j].name;
		}
	}
	return ZP_OK;
}

int
merge__span(const struct merge_plan *plan, struct merge_files *files_out, struct zp_err *err)
{
	const struct merge_span *span = plan->span;
	struct merge merge = {.plan = plan,
	    .family = span->manifest->runs[span->first_run].family,
	    .inputs = zp_alloc_zero(span->run_count, sizeof(merge.inputs[0]))};
	struct segment_name *names = zp_alloc(span->segments * sizeof(names[0]));
	int rc = inputs_take(&merge, names, err);

	if (rc == ZP_OK) {
		merge.names = names;
		cuts_choose(&merge);
		run_walks__init(&merge.walks, merge.family, merge.inputs, span->run_count);
		rc = rows_merge(&merge, err);
		run_walks__done(&merge.walks);
	}
	if (rc < 0)
		files_discard(&merge);
	zp_free(merge.inputs);
	zp_free(names);
	*files_out = merge.files;
	return rc;
}
