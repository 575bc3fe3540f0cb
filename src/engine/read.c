/*
 * read.c - one pin, or a batch of pins, from a view.
 *
 * Flow:   command → view → memtables, then runs from the newest. Any thread; takes no lock.
 * Rule:   the first row found decides; a damaged place where a newer row could be is an error,
 * never a reason to look at older ones.
 */
#include "engine/engine_internal.h"
#include "engine/place_reads.h"
#include "engine/segment_internal.h"

#define BATCH_AHEAD 8u /* keys whose cache lines are under way while one is looked at */
#define ASK_STEP 64u   /* keys that runs are asked for together */
#define PROBE_STEP                                                                      \
	16u /* that are looked up in runs together: more would want more memory at once \
	       than a processor fetches */
#define ROOM_FIRST 32u
#define RUNS_ASKED 8u /* whose filters are asked for one key together */

/* A key whose newest row is not found yet. */
struct wanted {
	const struct zp_key *key;
	struct zp_batch_answer *answer; /* of a batch */
	size_t run;                     /* the newest that may have it, as far as is known */
	uint8_t bytes[ZP_KEY_BYTES];
	bool stays; /* wanted, behind the step that it is in */
	bool is_hashed;
	struct ribbon_key hash; /* for filters, once one is asked */
};

/* One for which the run's block must be read. */
struct block_reading {
	struct wanted wanted;
	const struct segment *segment;
	struct block_wanted block;
};

/* An answer that lacks its texts. */
struct texts_reading {
	struct zp_batch_answer *answer;
	const struct segment *segment;
	struct texts_wanted texts;
	uint8_t kind; /* of the key */
};

struct zp_read_scratch {
	struct segment_scratch segment;
	struct wanted *wanted; /* owned, kept from batch to batch, as all below */
	size_t wanted_max;
	struct block_reading *blocks;
	size_t blocks_max;
	struct texts_reading *texts;
	size_t texts_max;
	struct place_reads block_places; /* each of a block reading */
	struct place_reads texts_places;
};

struct zp_read_scratch *
zp_read_scratch_new(void)
{
	struct zp_read_scratch *scratch = zp_alloc_zero(1, sizeof(*scratch));

	segment__scratch_init(&scratch->segment);
	return scratch;
}

void
zp_read_scratch_free(struct zp_read_scratch *scratch)
{
	if (scratch == NULL)
		return;
	segment__scratch_done(&scratch->segment);
	place_reads__done(&scratch->block_places);
	place_reads__done(&scratch->texts_places);
	zp_free(scratch->wanted);
	zp_free(scratch->blocks);
	zp_free(scratch->texts);
	zp_free(scratch);
}

/* As memcmp of the key and a bound of which `known` bytes are known; nearly always the head
 * decides. */
static int
bound_compare(uint64_t head, const uint8_t key[ZP_KEY_BYTES], const uint8_t *bound, size_t known)
{
	uint64_t bound_head = zp_load_u64be(bound);

	if (head != bound_head)
		return head < bound_head ? -1 : 1;
	return memcmp(key, bound, known);
}

/* Of a damaged segment only the beginnings of its first and last key are known. */
static size_t
bytes_known(const struct version *version, size_t run_at, size_t at)
{
	return version->runs[run_at][at] == NULL ? MANIFEST_KEY_BYTES : ZP_KEY_BYTES;
}

/* The run's segment that may have the key, by its range: true and which. */
static bool
run_segment(const struct version *version, size_t run_at, const uint8_t key[ZP_KEY_BYTES],
    size_t *index_out)
{
	const struct manifest_run *run = &version->manifest.runs[run_at];
	uint64_t head = zp_load_u64be(key);
	size_t at = 0, end = run->segment_count;

	*index_out = 0;
	if (end == 1 && version->runs[run_at][0] != NULL)
		return true; /* as soon found out by asking it */
	while (at < end) {   /* the first that does not end before the key */
		size_t middle = at + (end - at) / 2;

		if (bound_compare(head, key, run->segments[middle].last_key,
			bytes_known(version, run_at, middle)) > 0)
			at = middle + 1;
		else
			end = middle;
	}
	*index_out = at;
	return at < run->segment_count && bound_compare(head, key, run->segments[at].first_key,
					      bytes_known(version, run_at, at)) >= 0;
}

/* Those of family pin: families rise, and pin is the first. */
static size_t
runs_count(const struct version *version)
{
	size_t count = 0;

	while (count < version->manifest.run_count &&
	       version->manifest.runs[count].family == ZP_FAMILY_PIN)
		count++;
	return count;
}

/* Whether a run may have a key, on its way to an answer. */
struct asking {
	const struct segment *segment;       /* that may have it; NULL: none */
	const struct segment_info *unopened; /* that may have it but did not open; NULL: none */
	struct filter_ask filter;
};

static struct filter_ask
filter_begin(const struct filter *filter, struct wanted *wanted)
{
	struct filter_key key = {.bytes = wanted->bytes, .ribbon = wanted->hash};

	if (!wanted->is_hashed) {
		key = filter__key(wanted->bytes);
		wanted->hash = key.ribbon;
		wanted->is_hashed = true;
	}
	return filter__ask(filter, &key);
}

/* In two steps, so that the memory that many filters need is fetched together. */
static void
asking_begin(
    const struct version *version, size_t run_at, struct wanted *wanted, struct asking *asking)
{
	size_t index;

	asking->segment = NULL;
	asking->unopened = NULL;
	if (!run_segment(version, run_at, wanted->bytes, &index))
		return;
	asking->segment = version->runs[run_at][index];
	if (asking->segment == NULL)
		asking->unopened = &version->manifest.runs[run_at].segments[index];
	else if (asking->segment->filter.memory != NULL)
		asking->filter = filter_begin(&asking->segment->filter, wanted);
}

/* 0: it may. ZP_E_NOT_FOUND, or the error of a segment that did not open. */
static int
asking_end(const struct asking *asking, struct zp_err *err)
{
	if (asking->unopened != NULL)
		return segment__unopened_fault(ZP_FAMILY_PIN, asking->unopened, err);
	return asking->segment != NULL && filter__answer(&asking->segment->filter, &asking->filter)
		   ? ZP_OK
		   : ZP_E_NOT_FOUND;
}

/* The newest row of the key in the runs: 0, ZP_E_NOT_FOUND, or an error. */
static int
runs_get(const struct version *version, struct wanted *wanted, struct zp_read_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	struct asking askings[RUNS_ASKED];
	size_t runs = runs_count(version);
	int rc = ZP_E_NOT_FOUND;

	for (size_t at = 0; at < runs && rc == ZP_E_NOT_FOUND; at += RUNS_ASKED) {
		size_t count = zp_min_u64(RUNS_ASKED, runs - at);

		for (size_t i = 0; i < count; i++)
			asking_begin(version, at + i, wanted, &askings[i]);
		for (size_t i = 0; i < count && rc == ZP_E_NOT_FOUND; i++) {
			rc = asking_end(&askings[i], err);
			if (rc == ZP_OK)
				rc = segment__get(askings[i].segment, wanted->key,
				    &scratch->segment, row_out, err);
		}
	}
	return rc;
}

static int
row_get(struct zp_view *view, const struct zp_key *key, struct zp_read_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	struct wanted wanted = {.key = key};

	zp_key_encode(key, wanted.bytes);
	if (view->active != NULL && memtable__get(view->active, wanted.bytes, row_out))
		return ZP_OK;
	if (view->frozen != NULL && memtable__get(view->frozen, wanted.bytes, row_out))
		return ZP_OK;
	return runs_get(view->version, &wanted, scratch, row_out, err);
}

int
zp_view_get(struct zp_view *view, const struct zp_key *key, struct zp_read_scratch *scratch,
    struct zp_record *record_out, struct zp_err *err)
{
	struct segment_row row;
	int rc = row_get(view, key, scratch, &row, err);

	if (rc == ZP_OK && row.operation == ZP_ROW_TOMBSTONE)
		rc = ZP_E_NOT_FOUND;
	if (rc == ZP_E_NOT_FOUND)
		return zp_fail(err, rc, "the pin is not in the shard");
	if (rc == ZP_OK)
		*record_out = row.record;
	return rc;
}

/* ---- Batches --------------------------------------------------------------------------------- */

struct batch {
	const struct zp_view *view;
	struct zp_read_scratch *scratch;
	struct zp_buf *texts;
	struct wanted
	    *wanted; /* in the caller's order, but those that a block was read for come last */
	size_t count;
	size_t runs;
	size_t kept;  /* of those that were asked for; these stay wanted */
	int block_rc; /* of the block that came last */
};

/* The answer's texts go to the end of `texts`; data is an offset until all are there.
 * ZP_E_TOO_LARGE: they are full, which ends the batch. */
static int
answer_give(
    struct batch *batch, struct zp_batch_answer *answer, int rc, const struct zp_record *record)
{
	size_t offset = batch->texts->length;

	answer->rc = rc;
	if (rc != ZP_OK)
		return ZP_OK;
	answer->record = *record;
	zp_buf_append_slice(batch->texts, record->texts);
	answer->record.texts.data = (const uint8_t *)(uintptr_t)offset;
	return batch->texts->overflow ? ZP_E_TOO_LARGE : ZP_OK;
}

static int
answer_settle(
    struct batch *batch, const struct wanted *wanted, int rc, const struct segment_row *row)
{
	if (rc == ZP_OK && row->operation == ZP_ROW_TOMBSTONE)
		rc = ZP_E_NOT_FOUND;
	return answer_give(batch, wanted->answer, rc, &row->record);
}

/* The key at `from` stays wanted. */
static void
wanted_keep(struct batch *batch, size_t from)
{
	if (from != batch->kept)
		batch->wanted[batch->kept] = batch->wanted[from];
	batch->kept++;
}

/* Answers what the memtable knows; the rest stays wanted. */
static int
memtable_batch(struct batch *batch, const struct memtable *memtable)
{
	int rc = ZP_OK;

	if (memtable__entries(memtable) == 0)
		return ZP_OK;
	batch->kept = 0;
	for (size_t i = 0; i < batch->count && rc == ZP_OK; i++) {
		const struct wanted *wanted = &batch->wanted[i];
		struct segment_row row;

		if (i + BATCH_AHEAD < batch->count)
			memtable__prefetch(memtable, wanted[BATCH_AHEAD].bytes);
		if (memtable__get(memtable, wanted->bytes, &row))
			rc = answer_settle(batch, wanted, ZP_OK, &row);
		else
			wanted_keep(batch, i);
	}
	batch->count = batch->kept;
	return rc;
}

/* A key and the newest run's segment that may have it. */
struct passing {
	struct wanted *wanted;
	const struct segment *segment;
};

/* Asks run after run for those of the keys that no newer one may have: each for all of them, then
 * their answers. Returns how many keys some run may have. */
static size_t
runs_ask(const struct batch *batch, struct wanted *wanted, size_t count,
    struct passing passings_out[ASK_STEP])
{
	struct asking askings[ASK_STEP];
	uint8_t open[ASK_STEP];
	size_t open_count = count, passing_count = 0;

	for (size_t i = 0; i < count; i++) {
		open[i] = (uint8_t)i;
		wanted[i].stays = false;
	}
	for (size_t run = 0; run < batch->runs && open_count > 0; run++) {
		size_t kept = 0;

		for (size_t i = 0; i < open_count; i++) {
			if (wanted[open[i]].run == run)
				asking_begin(
				    batch->view->version, run, &wanted[open[i]], &askings[open[i]]);
		}
		for (size_t i = 0; i < open_count; i++) {
			struct wanted *one = &wanted[open[i]];
			int rc = ZP_E_NOT_FOUND;

			if (one->run == run) {
				one->run++;
				rc = asking_end(&askings[open[i]], NULL);
			}
			if (rc == ZP_OK)
				passings_out[passing_count++] =
				    (struct passing){one, askings[open[i]].segment};
			else if (rc == ZP_E_NOT_FOUND)
				open[kept++] = open[i];
			else
				one->answer->rc = rc;
		}
		open_count = kept;
	}
	return passing_count;
}

/* The steps of a probe, each for all of the keys in turn. */
static void
passings_probe(const struct passing *passings, struct segment_probe *probes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		probe__begin(&probes[i], passings[i].segment, passings[i].wanted->key);
	for (size_t i = 0; i < count; i++)
		probe__find(&probes[i]);
	for (size_t i = 0; i < count; i++)
		probe__locate(&probes[i]);
}

/* Leaves the answer's texts for when all keys are looked up, to read them with those of others. */
static void
texts_leave(struct batch *batch, const struct wanted *wanted, const struct segment *segment,
    const struct texts_wanted *texts)
{
	struct zp_read_scratch *scratch = batch->scratch;
	size_t at = scratch->texts_places.count;

	if (at == scratch->texts_max) {
		scratch->texts_max = zp_max_u64(ROOM_FIRST, 2 * scratch->texts_max);
		scratch->texts =
		    zp_realloc(scratch->texts, scratch->texts_max * sizeof(scratch->texts[0]));
	}
	scratch->texts[at] =
	    (struct texts_reading){wanted->answer, segment, *texts, wanted->key->kind};
	place_reads__add(&scratch->texts_places, segment, texts->place.offset,
	    texts->place.compressed_length + CHECKSUM_BYTES, (uint32_t)at);
}

static int
row_settle(struct batch *batch, const struct wanted *wanted, const struct segment *segment, int rc,
    const struct segment_row *row, const struct texts_wanted *texts)
{
	if (rc != ZP_OK || texts->length == 0)
		return answer_settle(batch, wanted, rc, row);
	wanted->answer->record = row->record;
	texts_leave(batch, wanted, segment, texts);
	return ZP_OK;
}

/* Leaves the key for when the others are answered, so that its block is read with those of others.
 * False: it needs none that is not in memory. */
static bool
block_leave(struct batch *batch, const struct wanted *wanted, const struct segment *segment)
{
	struct zp_read_scratch *scratch = batch->scratch;
	size_t at = scratch->block_places.count;
	struct block_reading *reading;

	if (at == scratch->blocks_max) {
		scratch->blocks_max = zp_max_u64(ROOM_FIRST, 2 * scratch->blocks_max);
		scratch->blocks =
		    zp_realloc(scratch->blocks, scratch->blocks_max * sizeof(scratch->blocks[0]));
	}
	reading = &scratch->blocks[at];
	if (!segment__block_wanted(segment, wanted->key, &reading->block))
		return false;
	reading->wanted = *wanted;
	reading->segment = segment;
	place_reads__add(&scratch->block_places, segment, reading->block.place.offset,
	    reading->block.place.length, (uint32_t)at);
	return true;
}

static int
block_came(void *context, uint32_t item, bool is_again, int rc, const uint8_t *bytes)
{
	struct batch *batch = context;
	const struct block_reading *reading = &batch->scratch->blocks[item];
	struct segment_scratch *scratch = &batch->scratch->segment;
	struct texts_wanted texts;
	struct segment_row row;

	if (!is_again || (batch->block_rc == ZP_OK && !scratch->image_is_whole))
		batch->block_rc = rc != ZP_OK
				      ? rc
				      : segment__block_give(reading->segment, &reading->block,
					    reading->wanted.key, bytes, scratch, NULL);
	rc = batch->block_rc;
	if (rc == ZP_OK)
		rc = segment__get_given(
		    reading->segment, reading->wanted.key, scratch, &row, &texts, NULL);
	if (rc != ZP_E_NOT_FOUND)
		return row_settle(batch, &reading->wanted, reading->segment, rc, &row, &texts);
	if (reading->wanted.run < batch->runs)
		batch->wanted[batch->kept++] = reading->wanted;
	return ZP_OK;
}

static int
texts_came(void *context, uint32_t item, bool is_again, int rc, const uint8_t *bytes)
{
	struct batch *batch = context;
	const struct texts_reading *reading = &batch->scratch->texts[item];
	struct zp_record *record = &reading->answer->record;
	struct zp_slice texts;

	(void)is_again; /* a texts block that is in the scratch is not unpacked again */
	if (rc == ZP_OK)
		rc = segment__texts_get(reading->segment, &reading->texts, reading->kind, bytes,
		    &batch->scratch->segment, &texts, NULL);
	if (rc == ZP_OK)
		record->texts = texts;
	return answer_give(batch, reading->answer, rc, record);
}

/* Answers what the runs have or can't tell; the keys that an older one may have stay, or are left
 * for their block to be read. */
static int
passings_end(
    struct batch *batch, const struct passing *passings, struct segment_probe *probes, size_t count)
{
	int rc = ZP_OK;

	for (size_t i = 0; i < count && rc == ZP_OK; i++) {
		struct wanted *wanted = passings[i].wanted;
		const struct segment *segment = passings[i].segment;
		struct texts_wanted texts;
		struct segment_row row;
		int found;

		if (probe__reads(&probes[i]) && block_leave(batch, wanted, segment))
			continue;
		found =
		    probe__end_without(&probes[i], &batch->scratch->segment, &row, &texts, NULL);
		if (found == ZP_E_NOT_FOUND)
			wanted->stays = wanted->run < batch->runs;
		else
			rc = row_settle(batch, wanted, segment, found, &row, &texts);
	}
	return rc;
}

/* Reads where the segments' blocks are, of those that were not asked before. */
static void
indexes_load(const struct passing *passings, size_t count)
{
	const struct segment *before = NULL;

	for (size_t i = 0; i < count; i++) {
		if (passings[i].segment != before) /* what fails is met again, and told then */
			zp_ignore(segment__index_load(passings[i].segment, NULL));
		before = passings[i].segment;
	}
}

/* The keys from `at` on, in one visit of the cache. */
static int
runs_step(struct batch *batch, size_t at, size_t count)
{
	struct wanted *wanted = &batch->wanted[at];
	struct passing passings[ASK_STEP];
	struct segment_probe probes[PROBE_STEP];
	size_t passing_count = runs_ask(batch, wanted, count, passings);
	struct block_cache_visit *visit;
	int rc = ZP_OK;

	indexes_load(passings, passing_count);
	visit = block_cache__enter(batch->view->engine->options.block_cache);
	for (size_t i = 0; i < passing_count && rc == ZP_OK; i += PROBE_STEP) {
		size_t some = zp_min_u64(PROBE_STEP, passing_count - i);

		passings_probe(&passings[i], probes, some);
		rc = passings_end(batch, &passings[i], probes, some);
	}
	block_cache__leave(visit);
	for (size_t i = 0; i < count; i++) {
		if (wanted[i].stays)
			wanted_keep(batch, at + i);
	}
	return rc;
}

/* Each key goes to the newest run that may have it. That it has not is rare, where there are
 * filters: then it stays wanted, of the runs behind that one. */
static int
runs_batch(struct batch *batch)
{
	int rc = ZP_OK;

	batch->kept = 0;
	for (size_t at = 0; at < batch->count && rc == ZP_OK; at += ASK_STEP)
		rc = runs_step(batch, at, zp_min_u64(ASK_STEP, batch->count - at));
	if (rc == ZP_OK)
		rc = place_reads__run(&batch->scratch->block_places, block_came, batch);
	batch->count = batch->kept;
	return rc;
}

static int
sources_batch(struct batch *batch)
{
	const struct zp_view *view = batch->view;
	int rc = ZP_OK;

	if (view->active != NULL)
		rc = memtable_batch(batch, view->active);
	if (rc == ZP_OK && view->frozen != NULL)
		rc = memtable_batch(batch, view->frozen);
	while (rc == ZP_OK && batch->count > 0)
		rc = runs_batch(batch);
	if (rc == ZP_OK)
		rc = place_reads__run(&batch->scratch->texts_places, texts_came, batch);
	return rc;
}

int
zp_view_get_batch(struct zp_view *view, const struct zp_key *const *keys, size_t count,
    struct zp_read_scratch *scratch, struct zp_buf *texts, struct zp_batch_answer *answers_out,
    struct zp_err *err)
{
	struct batch batch = {.view = view,
	    .scratch = scratch,
	    .texts = texts,
	    .count = count,
	    .runs = runs_count(view->version)};

	if (count > scratch->wanted_max) {
		scratch->wanted = zp_realloc(scratch->wanted, count * sizeof(scratch->wanted[0]));
		scratch->wanted_max = count;
	}
	batch.wanted = scratch->wanted;
	scratch->block_places.count = scratch->texts_places.count = 0; /* of one that failed */
	for (size_t i = 0; i < count; i++) {
		if (i + BATCH_AHEAD < count)
			__builtin_prefetch(keys[i + BATCH_AHEAD]);
		answers_out[i].rc = ZP_E_NOT_FOUND;
		batch.wanted[i].key = keys[i];
		batch.wanted[i].answer = &answers_out[i];
		batch.wanted[i].run = 0;
		batch.wanted[i].is_hashed = false;
		zp_key_encode(keys[i], batch.wanted[i].bytes);
	}
	if (sources_batch(&batch) == ZP_E_TOO_LARGE)
		return zp_buf_check(texts, "the texts of a batch", err);
	for (size_t i = 0; i < count; i++) {
		if (answers_out[i].rc == ZP_OK)
			answers_out[i].record.texts.data =
			    texts->data + (uintptr_t)answers_out[i].record.texts.data;
	}
	return ZP_OK;
}
