/*
 * merge.c - many runs of a family become one, a span of keys at a time.
 *
 * Flow:    maintenance → choose (pure) → the next span (merge_span.c) → its files (merge_files.c)
 *          → manifest.
 * Rule:    inputs are consecutive in age; tombstones go only where no older run may have the key.
 *          What a step has done stays done: the manifest has the new run beside what is left of
 *          its inputs. The same inputs give the same bytes, so that a merge can be repeated
 *          elsewhere instead of sent.
 * Damage:  in an input stops the merge, so that it is never spread; from then on other runs are
 *          merged around that one, until its file is replaced or the node starts anew.
 */
#include "engine/merge_internal.h"
#include "engine/segment_internal.h"

/* The runs from `first` on that are of that level. */
static size_t
level_runs(const struct merge_candidate *runs, size_t count, size_t first, uint8_t level)
{
	size_t end = first;

	while (end < count && runs[end].level == level)
		end++;
	return end - first;
}

static uint64_t
bytes_sum(const struct merge_candidate *runs, size_t first, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = first; i < first + count; i++)
		bytes += runs[i].bytes;
	return bytes;
}

struct merge_choice
merge__choose(const struct merge_candidate *runs, size_t count, uint64_t step_bytes)
{
	struct merge_choice choice = {0};

	/* Newest first, levels never fall with age: so the runs of one level stand together. One
	 * that cannot be read stays where it is and parts them. */
	for (size_t first = 0, alike; first < count && choice.count == 0; first += alike) {
		alike = level_runs(runs, count, first, runs[first].level);
		if (alike >= MERGE_RUNS && runs[first].level < MERGE_LEVEL_NEVER)
			choice = (struct merge_choice){.first = first + alike - MERGE_RUNS,
			    .count = MERGE_RUNS,
			    .level = (uint8_t)(runs[first].level + 1)};
	}
	/* What would be made is the last that the next merge waits for: written to be read and
	 * written again. Long runs are merged a span at a time, which short ones lie across. */
	while (
	    choice.count > 0 && choice.level < MERGE_LEVEL_NEVER &&
	    level_runs(runs, count, choice.first + choice.count, choice.level) == MERGE_RUNS - 1 &&
	    bytes_sum(runs, choice.first, choice.count + MERGE_RUNS - 1) <= step_bytes) {
		choice.count += MERGE_RUNS - 1;
		choice.level++;
	}
	return choice;
}

struct zp_hash128
merge__segment_id(const struct zp_engine *engine, enum zp_family family, enum segment_maker maker,
    bool drops_tombstones, uint32_t part, const struct zp_lane *lanes, size_t lane_count,
    const struct segment_name *inputs, size_t input_count)
{
	/* More than a manifest may say were merged is refused at the end, with words. */
	ZP_AUTO_BUF(made_from, 256 + MANIFEST_LANES_MAX * 24 + MANIFEST_BYTES_MAX);
	const struct zp_engine_options *options = &engine->options;
	const uint8_t kinds[] = {(uint8_t)family, (uint8_t)maker, drops_tombstones, 0};

	zp_buf_append_u64le(&made_from, options->shard_id);
	zp_buf_append_u32le(&made_from, engine->incarnation);
	zp_buf_append(&made_from, kinds, sizeof(kinds));
	zp_buf_append_u16le(&made_from, SEGMENT_ENCODER);
	zp_buf_append_u16le(&made_from, 0);
	zp_buf_append_u32le(&made_from, part);
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

/* The room that one step should do with, */
static uint64_t
step_bytes(const struct zp_engine *engine)
{
	return MERGE_RUNS * merge__segment_bytes(engine);
}

/* and what it takes at most: a longer span is parted. */
static uint64_t
step_bytes_max(const struct zp_engine *engine)
{
	return 2 * step_bytes(engine);
}

/* What is to be merged: runs [first, first + count) of the version into one of `level`. */
struct merging {
	struct zp_engine *engine;
	const struct version *version;
	size_t first;
	size_t count;
	uint8_t level;
	uint64_t age;
	bool seals; /* without filters */
	const _Atomic(bool) *stop;
};

/* Rows of the inputs, and of what was made of them already. */
static uint64_t
rows_sum(const struct merging *merging)
{
	const struct manifest *manifest = &merging->version->manifest;
	enum zp_family family = manifest->runs[merging->first].family;
	uint64_t rows = 0;

	for (size_t i = merging->first; i < manifest->run_count; i++) {
		const struct manifest_run *run = &manifest->runs[i];
		bool is_output = run->family == family && run->level == merging->level &&
				 run->age == merging->age;

		if (is_output || i < merging->first + merging->count)
			rows += manifest__run_sum(run).rows;
	}
	return rows;
}

/* Whether the span's segments can be of the new run as they are: they are of one run, and several
 * only where their keys differ behind what the manifest has of them. */
static bool
is_done(const struct merge_span *span, bool drops_tombstones)
{
	return span->is_of_one && (!drops_tombstones || span->tombstones == 0);
}

/* The segments of the span leave their runs, as the first that they still have. */
static void
span_remove(const struct merge_span *span, struct manifest *manifest)
{
	for (size_t i = 0; i < span->run_count; i++)
		manifest__segments_remove(
		    &manifest->runs[span->first_run + i], 0, span->end[i] - span->from[i]);
}

static void
span_name(const struct merge_span *span, struct manifest *manifest)
{
	manifest->merged = zp_realloc(manifest->merged,
	    (manifest->merged_count + span->segments) * sizeof(manifest->merged[0]));
	for (size_t i = 0; i < span->run_count; i++) {
		const struct segment_info *segments =
		    span->manifest->runs[span->first_run + i].segments;

		for (size_t j = span->from[i]; j < span->end[i]; j++)
			manifest->merged[manifest->merged_count++] = segments[j].name;
	}
}

/* The span's segments, which are of one run, go to the new run as they are: true when that is
 * another one than they were in. */
static bool
span_move(const struct merge_span *span, struct merge_files *moved)
{
	const struct manifest_run *run = &span->manifest->runs[span->first_run];
	size_t nth = 0;

	while (span->from[nth] == span->end[nth])
		nth++;
	run += nth;
	moved->infos =
	    zp_realloc(moved->infos, (moved->count + span->segments) * sizeof(moved->infos[0]));
	memcpy(moved->infos + moved->count, run->segments + span->from[nth],
	    span->segments * sizeof(moved->infos[0]));
	moved->count += span->segments;
	return !span->is_made;
}

/* Merges the span, whose segments leave their runs. */
static int
span_merge(const struct merging *merging, const struct merge_plan *plan, struct manifest *manifest,
    struct merge_files *files, struct zp_err *err)
{
	int rc = merge__span(plan, files, err);

	files->level = merging->level;
	files->age = merging->age;
	span_name(plan->span, manifest);
	span_remove(plan->span, manifest);
	return rc;
}

/* Cuts a segment of the span where others are cut, and leaves it in its run, so that the span
 * becomes several. */
static int
segment_cut(const struct merge_plan *plan, const struct merge_span *part,
    const struct merge_cuts *cuts, struct manifest *manifest, struct merge_files *files,
    struct zp_err *err)
{
	const struct merge_span *span = plan->span;
	const struct manifest_run *run = &part->manifest->runs[part->first_run];
	struct merge_plan cutting = *plan;
	int rc;

	cutting.span = part;
	cutting.cuts = cuts;
	cutting.drops_tombstones = false;
	rc = merge__span(&cutting, files, err);
	files->level = run->level;
	files->age = run->age;
	span_name(part, manifest);
	manifest__segments_remove(&manifest->runs[part->first_run],
	    part->from[0] - span->from[part->first_run - span->first_run], 1);
	return rc;
}

/* What is to be merged at once, or parted. */
static int
span_step(const struct merging *merging, const struct merge_plan *plan, struct manifest *manifest,
    struct merge_files *files, struct zp_err *err)
{
	const struct merge_span *span = plan->span;
	struct merge_span part;
	struct merge_cuts cuts;
	int rc;

	if (span->bytes <= step_bytes_max(merging->engine) ||
	    !merge_span__part(span, step_bytes(merging->engine), &part, &cuts))
		return span_merge(merging, plan, manifest, files, err);
	rc = segment_cut(plan, &part, &cuts, manifest, files, err);
	merge_span__done(&part);
	zp_free(cuts.keys);
	return rc;
}

/* Goes through the spans up to the first that must be merged, and merges it, or a part.
 * *changed_out: something did. */
static int
spans_pass(const struct merging *merging, struct manifest *manifest, struct merge_files *moved,
    struct merge_files *files, bool *changed_out, struct zp_err *err)
{
	const struct manifest *old = &merging->version->manifest;
	enum zp_family family = old->runs[merging->first].family;
	struct merge_plan plan = {.engine = merging->engine,
	    .version = merging->version,
	    .filter_bits = merging->seals ? 0 : segment__filter_bits(family, rows_sum(merging)),
	    .stop = merging->stop};
	struct merge_span span;
	bool is_merged = false;
	int rc = ZP_OK;

	*changed_out = false;
	plan.span = &span;
	merge_span__init(&span, old, merging->first, merging->count);
	span.output_level = merging->level;
	span.output_age = merging->age;
	while (!is_merged && merge_span__next(&span, merge__segment_bytes(merging->engine))) {
		plan.drops_tombstones = merge_span__is_oldest(&span);
		is_merged = !is_done(&span, plan.drops_tombstones);
		if (is_merged) {
			rc = span_step(merging, &plan, manifest, files, err);
			*changed_out = true;
		} else {
			*changed_out = span_move(&span, moved) || *changed_out;
			span_remove(&span, manifest);
		}
	}
	merge_span__done(&span);
	return rc;
}

/* One step of a merge; *merged_out: there was something to do. */
static int
runs_merge(const struct merging *merging, bool *merged_out, struct zp_err *err)
{
	const struct manifest *old = &merging->version->manifest;
	enum zp_family family = old->runs[merging->first].family;
	struct merge_files moved = {0}, files = {0};
	struct zp_engine *engine = merging->engine;
	struct manifest manifest;
	bool is_changed;
	int rc;

	manifest__next(old, &manifest);
	rc = spans_pass(merging, &manifest, &moved, &files, &is_changed, err);
	if (rc == ZP_OK && is_changed) {
		manifest__runs_tidy(&manifest);
		manifest__segments_add(
		    &manifest, family, merging->level, merging->age, moved.infos, moved.count);
		manifest__segments_add(
		    &manifest, family, files.level, files.age, files.infos, files.count);
		rc = engine__publish(engine, &manifest, false, err);
	} else {
		manifest__done(&manifest);
	}
	zp_free(moved.infos);
	zp_free(files.infos);
	*merged_out = rc == ZP_OK && is_changed;
	if (*merged_out) {
		pthread_mutex_lock(&engine->facts_lock);
		engine->merged_bytes += files.bytes;
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

/* As far as is known: what a merge or a deep verify could not read is noted. */
static bool
run_is_whole(const struct version *version, size_t run)
{
	for (size_t i = 0; i < version->manifest.runs[run].segment_count; i++) {
		if (version->runs[run][i] == NULL || version->runs[run][i]->is_damaged)
			return false;
	}
	return true;
}

/* Whether run `next`, behind the inputs of a merge to that level, is what a merge of other inputs
 * has made under the age of the oldest. */
static bool
is_output(const struct manifest *manifest, size_t next, size_t family_end, uint8_t level)
{
	const struct manifest_run *runs = manifest->runs;

	return next < family_end && runs[next].age == runs[next - 1].age &&
	       runs[next].level == level;
}

/*
 * The new run has the age of the oldest input. What a merge of other inputs has made under that age
 * is merged too where newer rows of its keys have come since; where it is damaged, another age is
 * taken, so that newer runs do not wait for it.
 */
static void
output_choose(struct merging *merging, size_t family_end)
{
	const struct manifest_run *runs = merging->version->manifest.runs;
	size_t next = merging->first + merging->count;

	merging->age = runs[next - 1].age;
	if (!is_output(&merging->version->manifest, next, family_end, merging->level))
		return;
	if (run_is_whole(merging->version, next))
		merging->count++;
	else
		merging->age = runs[merging->first].age;
}

/*
 * What the choice goes by. A run that others were merged around, and that is whole again, has a
 * lower level than newer ones: it counts as one of theirs, or it would part them for ever. Not
 * while there is damage: then a run of the age of what is made may have any level.
 */
static void
candidates_of(const struct version *version, size_t first, size_t count,
    struct merge_candidate candidates_out[MANIFEST_RUNS_MAX])
{
	bool is_whole = true;

	for (size_t i = 0; i < count; i++) {
		const struct manifest_run *run = &version->manifest.runs[first + i];
		bool run_is = run_is_whole(version, first + i);

		candidates_out[i] =
		    (struct merge_candidate){.level = run_is ? run->level : MERGE_LEVEL_NEVER,
			.bytes = manifest__run_sum(run).bytes};
		is_whole = is_whole && run_is;
	}
	for (size_t i = 1; is_whole && i < count; i++)
		candidates_out[i].level =
		    (uint8_t)zp_max_u64(candidates_out[i].level, candidates_out[i - 1].level);
}

/* Does one merge of the family whose `count` runs begin at `first`, if it wants one. */
static int
family_merge(struct zp_engine *engine, const struct version *version, size_t first, size_t count,
    const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err)
{
	struct merge_candidate candidates[MANIFEST_RUNS_MAX];
	struct merging merging = {.engine = engine, .version = version, .stop = stop};
	struct merge_choice choice;

	ZP_ASSERT(count <= MANIFEST_RUNS_MAX);
	candidates_of(version, first, count, candidates);
	choice = merge__choose(candidates, count, step_bytes(engine));
	if (choice.count == 0)
		return ZP_OK;
	merging.first = first + choice.first;
	merging.count = choice.count;
	merging.level = choice.level;
	output_choose(&merging, first + count);
	return runs_merge(&merging, merged_out, err);
}

int
zp_engine_merge(
    struct zp_engine *engine, const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err)
{
	struct version *version = engine__version_get(engine);
	const struct manifest *manifest = &version->manifest;
	struct zp_err failed = {0};

	*merged_out = false;
	for (size_t first = 0;
	     first < manifest->run_count && !*merged_out && failed.code != ZP_E_STOPPING;) {
		size_t count = family_runs(manifest, first);
		int rc = family_merge(engine, version, first, count, stop, merged_out, &failed);

		/* Damage in one family must not keep the others from merging, and is not met again:
		 * the next merge goes around it. */
		if (rc == ZP_E_CORRUPT || rc == ZP_E_IO)
			engine->merge_fault = failed;
		first += count;
	}
	version__release(version);
	/* While there is something that can be merged, what cannot is told later. */
	if (*merged_out)
		return ZP_OK;
	if (failed.code == ZP_OK)
		failed = engine->merge_fault;
	if (failed.code != ZP_E_STOPPING)
		zp_err_clear(&engine->merge_fault);
	return failed.code < 0 ? zp_fail(err, failed.code, "merge in shard %016llx: %s",
				     (unsigned long long)engine->options.shard_id, failed.text)
			       : ZP_OK;
}

/* ---- Room ------------------------------------------------------------------------------------ */

/* Of the family whose `count` runs begin at `first`. */
static uint64_t
family_room(const struct zp_engine *engine, const struct version *version, size_t first,
    size_t count, enum zp_merge_kind kind)
{
	struct merge_candidate candidates[MANIFEST_RUNS_MAX + 1];
	size_t coming = kind == ZP_MERGE_COMING;
	struct merge_choice choice = {.count = count >= 2 ? count : 0};
	size_t next;

	ZP_ASSERT(count <= MANIFEST_RUNS_MAX);
	candidates[0] = (struct merge_candidate){0}; /* how long it will be nobody knows */
	candidates_of(version, first, count, candidates + coming);
	if (kind != ZP_MERGE_SEAL)
		choice = merge__choose(candidates, coming + count, step_bytes(engine));
	next = first + choice.first + choice.count - coming;
	if (choice.count > 0 &&
	    is_output(&version->manifest, next, first + count, choice.level)) /* then it goes in */
		choice.count++;
	return zp_min_u64(
	    bytes_sum(candidates, choice.first, choice.count), step_bytes_max(engine));
}

struct zp_merge_room
zp_engine_merge_room(struct zp_engine *engine, enum zp_merge_kind kind)
{
	struct zp_merge_room room = {0};
	struct version *version;

	if (zp_engine_is_suspended(engine))
		return room;
	version = engine__version_get(engine);
	for (size_t first = 0; first < version->manifest.run_count;) {
		size_t count = family_runs(&version->manifest, first);
		uint64_t bytes = family_room(engine, version, first, count, kind);

		room.all += bytes;
		room.most = zp_max_u64(room.most, bytes);
		first += count;
	}
	version__release(version);
	return room;
}

/* ---- Seal ------------------------------------------------------------------------------------ */

/* One level above the oldest run, and there it stays when there is none above. That of the merge
 * under way when this is one. */
static uint8_t
seal_level(const struct manifest_run *runs, size_t count)
{
	const struct manifest_run *oldest = &runs[count - 1];

	if (oldest->age == runs[count - 2].age)
		return oldest->level;
	return (uint8_t)zp_min_u64(oldest->level + 1u, MERGE_LEVEL_NEVER - 1u);
}

static int
family_seal(struct zp_engine *engine, const struct version *version, size_t first, size_t count,
    const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err)
{
	const struct manifest_run *runs = &version->manifest.runs[first];
	struct merging merging = {
	    .engine = engine, .version = version, .first = first, .stop = stop};

	if (count < 2)
		return ZP_OK;
	merging.count = count;
	merging.seals = true;
	merging.level = seal_level(runs, count);
	merging.age = runs[count - 1].age;
	return runs_merge(&merging, merged_out, err);
}

int
zp_engine_seal(
    struct zp_engine *engine, const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err)
{
	struct version *version = engine__version_get(engine);
	const struct manifest *manifest = &version->manifest;
	int rc = ZP_OK;

	*merged_out = false;
	for (size_t first = 0; first < manifest->run_count && rc == ZP_OK && !*merged_out;) {
		size_t count = family_runs(manifest, first);

		rc = family_seal(engine, version, first, count, stop, merged_out, err);
		first += count;
	}
	version__release(version);
	return rc < 0 ? zp_wrap(err, rc, "seal shard %016llx",
			    (unsigned long long)engine->options.shard_id)
		      : ZP_OK;
}
