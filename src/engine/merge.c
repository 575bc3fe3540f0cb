/*
 * merge.c - many runs of a family become one.
 *
 * Flow:   maintenance → choose (pure) → merge rows, newest first → manifest. Deterministic: the
 * same inputs give the same bytes, so that a merge can be repeated elsewhere instead of sent. Rule:
 * inputs are consecutive in age; tombstones go only when the oldest run is among them; damage in an
 * input stops the merge, so that it is never spread.
 */
#include "engine/accesses.h"
#include "engine/engine_internal.h"
#include "engine/run_walk.h"

struct merge_choice
merge__choose(const uint8_t *levels, size_t count)
{
	/* Newest first, levels never fall with age: so the runs of one level stand together. One
	 * that cannot be read stays where it is and parts them. */
	for (size_t first = 0; first < count;) {
		size_t end = first;

		while (end < count && levels[end] == levels[first])
			end++;
		if (end - first >= MERGE_RUNS && levels[first] < MERGE_LEVEL_NEVER)
			return (struct merge_choice){.first = end - MERGE_RUNS,
			    .count = MERGE_RUNS,
			    .level = (uint8_t)(levels[first] + 1)};
		first = end;
	}
	return (struct merge_choice){0};
}

struct zp_hash128
merge__segment_id(const struct zp_engine *engine, enum zp_family family, enum segment_maker maker,
    bool drops_tombstones, const struct zp_lane *lanes, size_t lane_count,
    const struct segment_name *inputs, size_t input_count)
{
	ZP_AUTO_BUF(made_from, 256 + MANIFEST_LANES_MAX * 24 + MANIFEST_SEGMENTS_MAX * 16);
	const struct zp_engine_options *options = &engine->options;
	const uint8_t kinds[] = {(uint8_t)family, (uint8_t)maker, drops_tombstones, 0};

	zp_buf_append_u64le(&made_from, options->shard_id);
	zp_buf_append_u32le(&made_from, engine->incarnation);
	zp_buf_append(&made_from, kinds, sizeof(kinds));
	zp_buf_append_u16le(&made_from, SEGMENT_ENCODER);
	zp_buf_append_u16le(&made_from, 0);
	zp_buf_append_u32le(&made_from, 0); /* part: runs are one file yet */
	zp_buf_append(&made_from, options->low, ZP_KEY_BYTES);
	zp_buf_append(&made_from, options->high, ZP_KEY_BYTES);
	zp_buf_append_u32le(&made_from, 0);
	for (size_t i = 0; i < lane_count; i++) {
		zp_buf_append_u64le(&made_from, lanes[i].node);
		zp_buf_append_u64le(&made_from, lanes[i].epoch);
		zp_buf_append_u64le(&made_from, lanes[i].applied);
	}
	for (size_t i = 0; i < input_count; i++) {
		zp_buf_append_u64le(&made_from, inputs[i].low);
		zp_buf_append_u64le(&made_from, inputs[i].high);
	}
	ZP_ASSERT(!made_from.overflow);
	return zp_hash128_of(made_from.data, made_from.length);
}

/* ---- The merge ------------------------------------------------------------------------------- */

struct merge {
	struct zp_engine *engine;
	enum zp_family family;
	struct run_walk *inputs; /* newest first */
	size_t input_count;
	struct run_walks walks; /* over them */
	bool drop_tombstones;
	const _Atomic(bool) *stop;
	uint64_t rows_dropped; /* tombstones with nothing to hide */
	uint32_t rows_since_turn;
};

/* Lets others go on now and then. */
static void
turn_take(struct merge *merge)
{
	const struct zp_engine_options *options = &merge->engine->options;

	if (++merge->rows_since_turn < MERGE_TURN_ROWS)
		return;
	merge->rows_since_turn = 0;
	if (options->merge_turn != NULL)
		options->merge_turn(options->merge_turn_context);
}

/* Shows the beginning of each input to the writer; digests are uniform, so that is a fair sample.
 */
static int
inputs_sample(struct merge *merge, struct segment_writer *writer, struct zp_err *err)
{
	int rc = ZP_OK;

	for (size_t i = 0; i < merge->input_count; i++) {
		struct run_walk *input = &merge->inputs[i];

		for (size_t n = 0; n < SAMPLE_ROWS / 2 && rc == ZP_OK; n++) {
			rc = run_walk__next(input, err);
			if (rc < 0 || input->cells == NULL)
				break;
			segment__writer_sample(writer, input->cells);
		}
		run_walk__close(input);
	}
	return rc;
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

static int
rows_merge(
    struct merge *merge, struct segment_writer *writer, uint64_t *written, struct zp_err *err)
{
	struct run_walks *walks = &merge->walks;
	size_t operation = walks->layout.operation_column;
	bool is_summed = merge->family == ZP_FAMILY_ACCESS;
	const struct run_walk *present;
	struct segment_cells sum;
	int rc = run_walks__first(walks, err);

	while (rc == ZP_OK && (present = run_walks__present(walks)) != NULL) {
		const struct segment_cells *cells = is_summed ? &sum : present->cells;

		if (merge->stop != NULL && *merge->stop)
			return zp_fail(err, ZP_E_STOPPING, "the merge was stopped");
		turn_take(merge);
		if (is_summed)
			accesses_merge(walks, merge->drop_tombstones, &sum);
		if (merge->drop_tombstones && cells->columns[operation] == ZP_ROW_TOMBSTONE) {
			merge->rows_dropped++;
		} else {
			rc = segment__writer_add(writer, cells, present->texts, err);
			(*written)++;
		}
		if (rc == ZP_OK)
			rc = run_walks__next(walks, err);
	}
	return rc;
}

/* Merges and fills *info_out; info_out->rows is 0 when nothing was left. */
static int
merge_run(struct merge *merge, const struct segment_plan *plan, struct segment_info *info_out,
    struct zp_err *err)
{
	struct segment_writer *writer;
	uint64_t written = 0;
	int rc = segment__writer_open(merge->engine->options.store, plan, &writer, err);

	if (rc < 0)
		return rc;
	rc = inputs_sample(merge, writer, err);
	run_walks__init(&merge->walks, merge->family, merge->inputs, merge->input_count);
	if (rc == ZP_OK)
		rc = rows_merge(merge, writer, &written, err);
	run_walks__done(&merge->walks);
	*info_out = (struct segment_info){0};
	if (rc < 0 || written == 0) {
		segment__writer_discard(writer);
		return rc;
	}
	ZP_ASSERT(merge->walks.rows_in == written + merge->walks.rows_hidden + merge->rows_dropped);
	rc = segment__writer_finish(writer, info_out, err);
	ZP_ASSERT(rc < 0 || info_out->rows == written);
	return rc;
}

/* Takes the inputs' names in, and refuses where one is damaged. */
static int
inputs_take(struct merge *merge, const struct version *version, size_t first_run,
    struct manifest *manifest, uint64_t *rows_out, struct zp_err *err)
{
	*rows_out = 0;
	for (size_t i = 0; i < merge->input_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[first_run + i];

		merge->inputs[i] = (struct run_walk){
		    .segments = version->runs[first_run + i], .segment_count = run->segment_count};
		for (size_t j = 0; j < run->segment_count; j++) {
			if (version->runs[first_run + i][j] == NULL)
				return zp_fail(
				    err, ZP_E_CORRUPT, "a segment of the runs to merge is damaged");
			*rows_out += run->segments[j].rows;
			manifest->merged = zp_realloc(manifest->merged,
			    (manifest->merged_count + 1) * sizeof(manifest->merged[0]));
			manifest->merged[manifest->merged_count++] = run->segments[j].name;
		}
	}
	return ZP_OK;
}

/* Replaces runs [first, first + count) of the version by their merge. */
static int
runs_merge(struct zp_engine *engine, const struct version *version, size_t first, size_t count,
    uint8_t level, bool seal, const _Atomic(bool) *stop, struct zp_err *err)
{
	const struct manifest *old = &version->manifest;
	enum zp_family family = old->runs[first].family;
	bool oldest = first + count == old->run_count || old->runs[first + count].family != family;
	struct merge merge = {.engine = engine,
	    .family = family,
	    .input_count = count,
	    .drop_tombstones = oldest,
	    .stop = stop};
	struct manifest_run output = {
	    .family = family, .level = level, .age = old->runs[first].age};
	struct manifest manifest;
	struct segment_info info = {0};
	uint64_t rows;
	int rc;

	manifest__next(old, &manifest);
	merge.inputs = zp_alloc_zero(count, sizeof(merge.inputs[0]));
	rc = inputs_take(&merge, version, first, &manifest, &rows, err);
	if (rc == ZP_OK) {
		struct segment_plan plan = {
		    .id = merge__segment_id(engine, family, SEGMENT_BY_MERGE, oldest, NULL, 0,
			manifest.merged, manifest.merged_count),
		    .shard_id = engine->options.shard_id,
		    .family = family,
		    .prefix_bits = engine__prefix_bits(engine),
		    .rows_expected = rows,
		    .filter_bits = seal ? 0 : segment__filter_bits(family, rows),
		};

		rc = merge_run(&merge, &plan, &info, err);
	}
	zp_free(merge.inputs);
	if (rc < 0) {
		manifest__done(&manifest);
		return rc;
	}
	for (size_t i = 0; i < count; i++)
		manifest__run_remove(&manifest, first);
	if (info.rows > 0) {
		output.segment_count = 1;
		output.segments = zp_alloc(sizeof(info));
		output.segments[0] = info;
		manifest__run_add(&manifest, output);
	}
	rc = engine__publish(engine, &manifest, false, err);
	if (rc == ZP_OK) {
		pthread_mutex_lock(&engine->facts_lock);
		engine->merged_bytes += info.bytes;
		pthread_mutex_unlock(&engine->facts_lock);
	}
	return rc;
}

/* The runs of the family that run `first` begins. */
static size_t
family_runs(const struct manifest *manifest, size_t first)
{
	size_t end = first;

	while (
	    end < manifest->run_count && manifest->runs[end].family == manifest->runs[first].family)
		end++;
	return end - first;
}

static bool
run_is_whole(const struct version *version, size_t run)
{
	for (size_t i = 0; i < version->manifest.runs[run].segment_count; i++) {
		if (version->runs[run][i] == NULL)
			return false;
	}
	return true;
}

/* Does one merge of the family whose `count` runs begin at `first`, if it wants one. */
static int
family_merge(struct zp_engine *engine, const struct version *version, size_t first, size_t count,
    const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err)
{
	uint8_t levels[MANIFEST_RUNS_MAX];
	struct merge_choice choice;
	int rc;

	ZP_ASSERT(count <= MANIFEST_RUNS_MAX);
	for (size_t i = 0; i < count; i++)
		levels[i] = run_is_whole(version, first + i)
				? version->manifest.runs[first + i].level
				: MERGE_LEVEL_NEVER;
	choice = merge__choose(levels, count);
	if (choice.count == 0)
		return ZP_OK;
	rc = runs_merge(
	    engine, version, first + choice.first, choice.count, choice.level, false, stop, err);
	*merged_out = rc == ZP_OK;
	return rc;
}

int
zp_engine_merge(
    struct zp_engine *engine, const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err)
{
	struct version *version = engine__version_get(engine);
	const struct manifest *manifest = &version->manifest;
	struct zp_err why = {0};
	int failed = ZP_OK;

	*merged_out = false;
	for (size_t first = 0; first < manifest->run_count && !*merged_out;) {
		size_t count = family_runs(manifest, first);
		int rc = family_merge(engine, version, first, count, stop, merged_out, &why);

		if (rc < 0) /* damage in one family must not keep the others from merging */
			failed = rc;
		if (rc == ZP_E_STOPPING)
			break;
		first += count;
	}
	version__release(version);
	/* While there is something that can be merged, what cannot is told later. */
	return failed < 0 && !*merged_out
		   ? zp_fail(err, failed, "merge in shard %016llx: %s",
			 (unsigned long long)engine->options.shard_id, why.text)
		   : ZP_OK;
}

/* One level above the oldest run; there it stays when there is none above. */
static uint8_t
seal_level(const struct manifest *manifest, size_t last)
{
	return (uint8_t)zp_min_u64(manifest->runs[last].level + 1u, MERGE_LEVEL_NEVER - 1u);
}

int
zp_engine_seal(struct zp_engine *engine, const _Atomic(bool) *stop, struct zp_err *err)
{
	bool again = true;
	int rc = ZP_OK;

	while (again && rc == ZP_OK) {
		struct version *version = engine__version_get(engine);
		const struct manifest *manifest = &version->manifest;

		again = false;
		for (size_t first = 0; first < manifest->run_count && !again;) {
			size_t count = family_runs(manifest, first);

			if (count > 1) {
				rc = runs_merge(engine, version, first, count,
				    seal_level(manifest, first + count - 1), true, stop, err);
				again = true; /* the version is another one now */
			}
			first += count;
		}
		version__release(version);
	}
	return rc < 0 ? zp_wrap(err, rc, "seal shard %016llx",
			    (unsigned long long)engine->options.shard_id)
		      : ZP_OK;
}
