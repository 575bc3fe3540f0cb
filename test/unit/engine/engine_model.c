/*
 * engine_model.c - see engine_model.h.
 */
#include "engine_model.h"

bool
model_broken(struct model *model, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (model->broken[0] == '\0')
		vsnprintf(model->broken, sizeof(model->broken), format, args);
	va_end(args);
	return false;
}

uint64_t
model_draw(struct model *model, uint64_t limit)
{
	model->random++;
	return zp_hash64(&model->random, sizeof(model->random), 0) % limit;
}

/* ---- Life ----------------------------------------------------------------------------------- */

static int
key_order(const void *left, const void *right)
{
	return zp_key_compare(left, right);
}

static void
keys_make(struct model *model)
{
	for (size_t i = 0; i < MODEL_KEYS; i++) {
		struct zp_key *key = &model->keys[i];

		for (size_t j = 0; j < 4; j++)
			zp_store_u64le(key->digest + 8 * j, model_draw(model, UINT64_MAX));
		key->digest[0] = (uint8_t)(0x40 | (key->digest[0] & 0x3f));
		key->version = 1;
		key->codec = ZP_CODEC_RAW;
		if (i % 4 == 1) { /* an account's claim on the CID before it */
			*key = model->keys[i - 1];
			key->namespace_id = 5;
			key->claim = i;
		}
		if (i % 4 == 3) { /* of six a beginning that somebody chose */
			memcpy(key->digest, model->keys[i / 24 * 24].digest, 8);
			key->codec = i % 8 == 3 ? ZP_CODEC_RAW : ZP_CODEC_DAG_PB;
		}
	}
	qsort(model->keys, MODEL_KEYS, sizeof(model->keys[0]), key_order);
}

static void
warning_count(void *context, const char *text)
{
	struct model *model = context;

	model->warnings++;
	(void)text;
}

struct model *
model_new(uint64_t seed)
{
	struct model *model = zp_alloc_zero(1, sizeof(*model));
	struct zp_err err = {0};

	model->random = seed << 32;
	model->sim = sim_store_new(seed);
	model->options = (struct zp_engine_options){.shard_id = 77,
	    .incarnation = 1,
	    .warn = warning_count,
	    .warn_context = model,
	    .texts_cache = zp_texts_cache_new(MODEL_CACHE_BYTES),
	    .block_cache = zp_block_cache_new(MODEL_BLOCK_CACHE_BYTES),
	    .cluster_id = "the-cluster-0001"};
	/* Of every other seed merges are cut to files of a few rows. */
	model->options.segment_bytes = seed % 2 == 0 ? 0 : 10000;
	model->options.low[0] = 0x40;
	model->options.high[0] = 0x80;
	model->tables = zp_tables_new();
	for (uint32_t i = 1; i <= MODEL_PEERS; i++) {
		uint8_t peer[34] = {0x12, 32, (uint8_t)i};

		assert_int_equal(
		    zp_tables_peer_add(model->tables, i, (struct zp_slice){peer, 34}, &err), ZP_OK);
	}
	keys_make(model);
	assert_int_equal(sim_store_open(model->sim, MODEL_PATH, &model->store, &err), ZP_OK);
	model->options.store = model->store;
	assert_int_equal(zp_engine_create(&model->options, &err), ZP_OK);
	model->number = 1;
	model->incarnation = model->incarnation_tried = 1;
	model->options.incarnation = 0; /* any */
	zp_store_close(model->store);
	model->store = NULL;
	return model;
}

void
model_free(struct model *model)
{
	model_close(model);
	sim_store_free(model->sim);
	zp_texts_cache_free(model->options.texts_cache);
	zp_block_cache_free(model->options.block_cache);
	zp_tables_free(model->tables);
	zp_free(model);
}

int
model_open(struct model *model, struct zp_err *err)
{
	int rc = ZP_OK;

	sim_store_skip_sync(model->sim, model->skip_opening, 0);
	if (model->store == NULL)
		rc = sim_store_open(model->sim, MODEL_PATH, &model->store, err);
	model->options.store = model->store;
	if (rc == ZP_OK)
		rc = zp_engine_open(&model->options, &model->engine, err);
	sim_store_skip_sync(model->sim, model->skip_running, 0);
	return rc;
}

void
model_close(struct model *model)
{
	zp_engine_close(model->engine);
	zp_store_close(model->store);
	model->engine = NULL;
	model->store = NULL;
	model->frozen = 0;
}

/* ---- Changes -------------------------------------------------------------------------------- */

struct zp_record
model_record(const struct model_pin *pin, struct zp_buf *texts)
{
	struct zp_record record = {0};

	zp_buf_clear(texts);
	memcpy(record.facts, pin->facts, sizeof(record.facts));
	if (pin->name[0] != '\0') {
		zp_buf_append_byte(texts, 2);
		zp_buf_append_varint(texts, strlen(pin->name));
		zp_buf_append_text(texts, pin->name);
	}
	record.texts = zp_buf_slice(texts);
	return record;
}

bool
model_record_is(const struct model_pin *pin, const struct zp_record *record)
{
	ZP_AUTO_BUF(texts, 64);
	struct zp_record expected = model_record(pin, &texts);

	return memcmp(expected.facts, record->facts, sizeof(expected.facts)) == 0 &&
	       zp_slice_equal(expected.texts, record->texts);
}

/* A new list now and then, of which the pin is the first to speak. */
static uint64_t
allocations_draw(struct model *model)
{
	uint32_t peers[2] = {1 + (uint32_t)model_draw(model, MODEL_PEERS),
	    1 + (uint32_t)model_draw(model, MODEL_PEERS)};
	uint32_t id = zp_tables_list_find(model->tables, peers, 2);
	struct zp_err err = {0};

	if (model_draw(model, 3) != 0)
		return 0;
	if (id == 0) {
		id = zp_tables_list_next(model->tables);
		assert_int_equal(zp_tables_list_add(model->tables, id, peers, 2, &err), ZP_OK);
	}
	return (uint64_t)id << 1;
}

static void
pin_draw(struct model *model, struct model_pin *pin)
{
	*pin = (struct model_pin){.there = true};
	pin->facts[ZP_FACT_TYPE] = model_draw(model, ZP_PIN_TYPE_COUNT);
	pin->facts[ZP_FACT_SIZE] = model_draw(model, 1000);
	/* Often the same second, which pins whose digests begin alike share an entry of. */
	pin->facts[ZP_FACT_CREATED] =
	    zp_zigzag((int64_t)model_draw(model, model_draw(model, 2) ? 2 : 50));
	pin->facts[ZP_FACT_ALLOCATIONS] = allocations_draw(model);
	if (model_draw(model, 3) == 0)
		pin->facts[ZP_FACT_EXPIRE_AT] = zp_zigzag((int64_t)model_draw(model, 100)) + 1;
	if (model_draw(model, 3) != 0)
		snprintf(pin->name, sizeof(pin->name), "pin-%u", (unsigned)model_draw(model, 1000));
}

static void
track_draw(struct model *model, struct model_track *track)
{
	*track = (struct model_track){.there = true,
	    .is_priority = model_draw(model, 4) == 0,
	    .status = (uint8_t)(1 + model_draw(model, ZP_TRACK_STATUS_COUNT - 1)),
	    .attempts = (uint32_t)model_draw(model, 5),
	    .since = (int64_t)model_draw(model, 1000) - 500};
	if (model_draw(model, 2) == 0)
		snprintf(track->error, sizeof(track->error), "error %u",
		    (unsigned)model_draw(model, 1000));
}

static struct zp_track
track_of(const struct model_track *track, uint32_t peer, struct zp_buf *texts)
{
	zp_buf_clear(texts);
	zp_track_texts((struct zp_slice){0}, zp_slice_of(track->error), texts);
	return (struct zp_track){.peer = peer,
	    .status = track->status,
	    .is_priority = track->is_priority,
	    .attempts = track->attempts,
	    .since_microseconds = track->since,
	    .texts = zp_buf_slice(texts)};
}

static bool
track_is(const struct model_track *expected, const struct zp_track *track)
{
	return expected->status == track->status && expected->is_priority == track->is_priority &&
	       expected->attempts == track->attempts &&
	       expected->since == track->since_microseconds &&
	       zp_slice_is(zp_track_error(track), expected->error);
}

static void
track_apply(
    struct model *model, const struct model_change *logged, const struct model_track *before)
{
	ZP_AUTO_BUF(texts, 64);
	struct zp_track_change change = {.key = model->keys[logged->key],
	    .has_old = before->there,
	    .old_status = before->status,
	    .has_new = logged->track.there,
	    .track = track_of(&logged->track, logged->peer, &texts)};

	zp_engine_track_apply(model->engine, &change);
}

static void
pin_apply(struct model *model, const struct model_change *logged, const struct model_pin *before)
{
	struct zp_change change = {.key = model->keys[logged->key]};
	ZP_AUTO_BUF(old_texts, 64);
	ZP_AUTO_BUF(new_texts, 64);

	change.has_old = before->there;
	change.has_new = logged->pin.there;
	if (change.has_old)
		change.old_record = model_record(before, &old_texts);
	if (change.has_new)
		change.new_record = model_record(&logged->pin, &new_texts);
	zp_engine_apply(model->engine, &change);
}

/* Change `number` of the log in the state alone. */
static void
state_follow(const struct model *model, uint64_t number, struct model_state *state)
{
	const struct model_change *logged = &model->log[number];

	if (logged->accesses.count > 0) {
		struct zp_accesses *access = &state->accesses[logged->key];

		access->count += logged->accesses.count;
		if (access->last_seconds < logged->accesses.last_seconds)
			access->last_seconds = logged->accesses.last_seconds;
	} else if (logged->peer == 0) {
		state->pins[logged->key] = logged->pin;
		if (!logged->pin.there)
			state->accesses[logged->key] = (struct zp_accesses){0};
	} else {
		state->tracks[logged->key][logged->peer - 1] = logged->track;
	}
}

/* Change `number` of the log, where `state` is what was before and becomes what is then. */
static void
apply(struct model *model, uint64_t number, struct model_state *state)
{
	const struct model_change *logged = &model->log[number];

	if (logged->accesses.count > 0)
		zp_engine_apply(model->engine, &(struct zp_change){.key = model->keys[logged->key],
						   .accesses = logged->accesses});
	else if (logged->peer == 0)
		pin_apply(model, logged, &state->pins[logged->key]);
	else
		track_apply(model, logged, &state->tracks[logged->key][logged->peer - 1]);
	zp_engine_applied_set(model->engine, 1, 1, number);
	state_follow(model, number, state);
}

static struct model_change *
log_add(struct model *model, uint32_t key, uint32_t peer)
{
	struct model_change *logged = &model->log[model->log_count + 1];

	assert_true(model->log_count < MODEL_LOG_MAX);
	model->log_count++;
	*logged = (struct model_change){.key = key, .peer = peer};
	return logged;
}

void
model_change(struct model *model, uint32_t key, bool remove)
{
	struct model_change *logged;

	if (remove && !model->state.pins[key].there)
		return;
	logged = log_add(model, key, 0);
	if (!remove)
		pin_draw(model, &logged->pin);
	apply(model, model->log_count, &model->state);
}

void
model_track(struct model *model, uint32_t key, uint32_t peer, bool remove)
{
	struct model_change *logged;

	if (remove && !model->state.tracks[key][peer - 1].there)
		return;
	logged = log_add(model, key, peer);
	if (!remove)
		track_draw(model, &logged->track);
	apply(model, model->log_count, &model->state);
}

void
model_access(struct model *model, uint32_t key)
{
	if (!model->state.pins[key].there)
		return;
	log_add(model, key, 0)->accesses =
	    (struct zp_accesses){.count = 1 + model_draw(model, model_draw(model, 2) ? 3 : 100000),
		.last_seconds = (int64_t)model_draw(model, 1000)};
	apply(model, model->log_count, &model->state);
}

void
model_change_some(struct model *model, uint32_t count)
{
	while (count-- > 0) {
		uint32_t key = (uint32_t)model_draw(model, MODEL_KEYS);
		bool remove = model_draw(model, 3) == 0;

		if (model_draw(model, 3) == 0)
			model_track(model, key, 1 + (uint32_t)model_draw(model, MODEL_TRACK_PEERS),
			    remove || model_draw(model, 3) == 0);
		else if (model_draw(model, 2) == 0)
			model_access(model, key);
		else
			model_change(model, key, remove);
	}
}

static void
state_at(const struct model *model, uint64_t position, struct model_state *state)
{
	memset(state, 0, sizeof(*state));
	for (uint64_t i = 1; i <= position; i++)
		state_follow(model, i, state);
}

void
model_replay(struct model *model, uint64_t from)
{
	struct model_state state;

	state_at(model, from - 1, &state);
	for (uint64_t i = from; i <= model->log_count; i++)
		apply(model, i, &state);
}

/* ---- Maintenance ---------------------------------------------------------------------------- */

static void
acknowledge(struct model *model)
{
	model->number = zp_engine_manifest_number(model->engine);
	model->acknowledged = zp_engine_lane_get(model->engine, 1);
	model->incarnation = zp_engine_incarnation(model->engine);
}

int
model_flush(struct model *model, struct zp_err *err)
{
	struct zp_view *view = zp_engine_view_get(model->engine);
	bool is_frozen = view->frozen != NULL;
	int rc;

	zp_view_release(view);
	if (!is_frozen) {
		zp_engine_freeze(model->engine);
		model->frozen = model->log_count;
	}
	rc = zp_engine_flush(model->engine, model->tables, err);
	if (rc == ZP_OK)
		acknowledge(model);
	return rc;
}

struct manifests {
	uint64_t *numbers;
	size_t count;
	size_t max;
};

static int
manifests_add(void *context, const char *name, struct zp_err *err)
{
	struct manifests *manifests = context;
	uint64_t number;

	(void)err;
	if (manifest__name_parse(name, &number) && manifests->count < manifests->max)
		manifests->numbers[manifests->count++] = number;
	return ZP_OK;
}

static int
number_order(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

size_t
model_manifests(struct model *model, uint64_t *numbers, size_t max)
{
	struct manifests manifests = {.numbers = numbers, .max = max};

	if (zp_store_list(model->store, manifests_add, &manifests, NULL) != ZP_OK)
		return 0;
	qsort(numbers, manifests.count, sizeof(numbers[0]), number_order);
	return manifests.count;
}

int
model_collect(struct model *model, uint64_t keep, struct zp_err *err)
{
	uint64_t numbers[200];
	size_t count = model_manifests(model, numbers, ZP_ARRAY_COUNT(numbers));

	return zp_engine_collect(model->engine, count > keep ? numbers[count - keep] : 0, err);
}

int
model_raise(struct model *model, struct zp_err *err)
{
	struct zp_lane lane = {1, 1, model->log_count};
	int rc;

	model->incarnation_tried = zp_engine_incarnation(model->engine) + 1;
	rc = zp_engine_incarnation_raise(model->engine, model->incarnation_tried, &lane, err);
	if (rc == ZP_OK)
		acknowledge(model);
	return rc;
}

/* ---- Checks --------------------------------------------------------------------------------- */

static bool
gets_hold(struct model *model, struct zp_view *view, const struct model_pin *pins)
{
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_batch_answer answers[MODEL_KEYS];
	const struct zp_key *keys[MODEL_KEYS];
	ZP_AUTO_BUF(texts, 1 << 16);
	struct zp_err err = {0};
	bool holds = true;

	for (size_t i = 0; i < MODEL_KEYS; i++) {
		struct zp_record record;
		int rc = zp_view_get(view, &model->keys[i], scratch, &record, &err);

		keys[i] = &model->keys[i];
		if (rc != (pins[i].there ? ZP_OK : ZP_E_NOT_FOUND) ||
		    (rc == ZP_OK && !model_record_is(&pins[i], &record)))
			holds = model_broken(model, "get of key %zu: %s", i,
			    rc == ZP_OK ? "another record" : err.text);
	}
	if (zp_view_get_batch(view, keys, MODEL_KEYS, scratch, &texts, answers, &err) != ZP_OK)
		holds = model_broken(model, "batch: %s", err.text);
	for (size_t i = 0; i < MODEL_KEYS && holds; i++) {
		if (answers[i].rc != (pins[i].there ? ZP_OK : ZP_E_NOT_FOUND) ||
		    (answers[i].rc == ZP_OK && !model_record_is(&pins[i], &answers[i].record)))
			holds = model_broken(model, "batch: key %zu is another", i);
	}
	zp_read_scratch_free(scratch);
	return holds;
}

static bool
scan_holds(struct model *model, struct zp_view *view, const struct model_pin *pins, size_t from)
{
	struct zp_scan_options options = {.from = from == 0 ? NULL : &model->keys[from]};
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_scan *scan;
	bool holds = true;
	struct zp_key key;
	int rc = ZP_OK;

	if (zp_scan_open(view, &options, &scan, &err) != ZP_OK)
		return model_broken(model, "scan: %s", err.text);
	for (size_t i = from; i < MODEL_KEYS && holds; i++) {
		if (!pins[i].there)
			continue;
		rc = zp_scan_next(scan, &key, &record, &err);
		if (rc != ZP_OK || zp_key_compare(&key, &model->keys[i]) != 0 ||
		    !model_record_is(&pins[i], &record))
			holds = model_broken(
			    model, "scan: at key %zu: %s", i, rc < 0 ? err.text : "another row");
	}
	rc = holds ? zp_scan_next(scan, &key, &record, &err) : ZP_END;
	if (rc != ZP_END)
		holds = model_broken(
		    model, "scan: %s where it should end", rc < 0 ? err.text : "another row");
	zp_scan_close(scan);
	return holds;
}

static bool
counters_hold(struct model *model, struct zp_engine *engine, const struct model_pin *pins)
{
	uint64_t counts[2][ZP_PIN_TYPE_COUNT] = {{0}}, size = 0;
	struct zp_engine_facts facts;

	for (size_t i = 0; i < MODEL_KEYS; i++) {
		if (!pins[i].there)
			continue;
		counts[model->keys[i].namespace_id == 5][pins[i].facts[ZP_FACT_TYPE]]++;
		size += pins[i].facts[ZP_FACT_SIZE];
	}
	zp_engine_facts_get(engine, &facts);
	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++) {
		if (zp_engine_count(engine, 0, type) != counts[0][type] ||
		    zp_engine_count(engine, 5, type) != counts[1][type] ||
		    facts.pins[type] != counts[0][type] + counts[1][type])
			return model_broken(model, "counters of type %u are others", type);
	}
	return facts.size_bytes == size || model_broken(model, "the sum of sizes is another");
}

/* The statuses from key `from` on, or of that key alone: all that are there, in order, and no more.
 */
static bool
tracks_hold(struct model *model, struct zp_view *view, const struct model_state *state, size_t from,
    bool only)
{
	struct zp_err err = {0};
	struct zp_track track;
	struct zp_track_scan *scan;
	bool holds = true;
	struct zp_key key;
	int rc = zp_track_scan_open(
	    view, from == 0 && !only ? NULL : &model->keys[from], only, &scan, &err);

	if (rc != ZP_OK)
		return model_broken(model, "statuses: %s", err.text);
	for (size_t i = from; i < (only ? from + 1 : MODEL_KEYS) && holds; i++) {
		for (uint32_t peer = 1; peer <= MODEL_TRACK_PEERS && holds; peer++) {
			const struct model_track *expected = &state->tracks[i][peer - 1];

			if (!expected->there)
				continue;
			rc = zp_track_scan_next(scan, &key, &track, &err);
			if (rc != ZP_OK || zp_key_compare(&key, &model->keys[i]) != 0 ||
			    track.peer != peer || !track_is(expected, &track))
				holds = model_broken(model, "statuses: at key %zu peer %u: %s", i,
				    peer, rc < 0 ? err.text : "another row");
		}
	}
	rc = holds ? zp_track_scan_next(scan, &key, &track, &err) : ZP_END;
	if (rc != ZP_END)
		holds = model_broken(
		    model, "statuses: %s where they should end", rc < 0 ? err.text : "another row");
	zp_track_scan_close(scan);
	return holds;
}

bool
model_tracks_are_honest(struct model *model, struct zp_view *view, size_t at)
{
	unsigned given = 0, there = 0;
	struct zp_track track;
	struct zp_track_scan *scan;
	struct zp_key key;
	int rc;

	for (uint32_t peer = 1; peer <= MODEL_TRACK_PEERS; peer++)
		there += model->state.tracks[at][peer - 1].there;
	if (zp_track_scan_open(view, &model->keys[at], true, &scan, NULL) != ZP_OK)
		return false;
	while ((rc = zp_track_scan_next(scan, &key, &track, NULL)) == ZP_OK) {
		const struct model_track *expected = &model->state.tracks[at][track.peer - 1];

		given++;
		if (!expected->there || !track_is(expected, &track))
			break;
	}
	zp_track_scan_close(scan);
	return rc == ZP_E_CORRUPT || (rc == ZP_END && given == there);
}

static bool
track_counters_hold(struct model *model, struct zp_engine *engine, const struct model_state *state)
{
	for (uint32_t peer = 1; peer <= MODEL_TRACK_PEERS; peer++) {
		for (unsigned status = 1; status < ZP_TRACK_STATUS_COUNT; status++) {
			uint64_t count = 0;

			for (size_t i = 0; i < MODEL_KEYS; i++)
				count += state->tracks[i][peer - 1].there &&
					 state->tracks[i][peer - 1].status == status;
			if (zp_engine_track_count(engine, peer, status) != count)
				return model_broken(model,
				    "the counter of peer %u status %u is another", peer, status);
		}
	}
	return true;
}

bool
model_access_is_honest(struct model *model, struct zp_view *view, size_t at)
{
	const struct zp_accesses *expected = &model->state.accesses[at];
	struct zp_accesses accesses;
	int rc = zp_view_accesses_get(view, &model->keys[at], &accesses, NULL);

	return rc == ZP_E_CORRUPT || (rc == ZP_OK && accesses.count == expected->count &&
					 accesses.last_seconds == expected->last_seconds);
}

/* The accesses of keys `from` and up by a walk, and each alone. */
static bool
accesses_hold(
    struct model *model, struct zp_view *view, const struct model_state *state, size_t from)
{
	struct zp_accesses_walk *walk;
	struct zp_err err = {0};
	bool holds = true;

	if (zp_accesses_walk_open(view, from == 0 ? NULL : &model->keys[from], false, &walk, &err) <
	    0)
		return model_broken(model, "accesses: %s", err.text);
	for (size_t i = from; i < MODEL_KEYS && holds; i++) {
		const struct zp_accesses *expected = &state->accesses[i];
		struct zp_accesses walked, got;

		if (zp_accesses_walk_get(walk, &model->keys[i], &walked, &err) < 0 ||
		    zp_view_accesses_get(view, &model->keys[i], &got, &err) < 0)
			holds = model_broken(model, "accesses of key %zu: %s", i, err.text);
		else if (walked.count != expected->count ||
			 walked.last_seconds != expected->last_seconds ||
			 got.count != expected->count || got.last_seconds != expected->last_seconds)
			holds = model_broken(model,
			    "accesses of key %zu: %llu at %lld, walked %llu at %lld, not %llu at "
			    "%lld",
			    i, (unsigned long long)got.count, (long long)got.last_seconds,
			    (unsigned long long)walked.count, (long long)walked.last_seconds,
			    (unsigned long long)expected->count, (long long)expected->last_seconds);
	}
	zp_accesses_walk_close(walk);
	return holds;
}

static bool
engine_holds(struct model *model, struct zp_engine *engine, const struct model_state *state)
{
	struct zp_view *view = zp_engine_view_get(engine);
	const struct model_pin *pins = state->pins;
	bool holds =
	    gets_hold(model, view, pins) && scan_holds(model, view, pins, 0) &&
	    scan_holds(model, view, pins, model_draw(model, MODEL_KEYS)) &&
	    counters_hold(model, engine, pins) && tracks_hold(model, view, state, 0, false) &&
	    tracks_hold(model, view, state, model_draw(model, MODEL_KEYS), false) &&
	    track_counters_hold(model, engine, state) && accesses_hold(model, view, state, 0) &&
	    accesses_hold(model, view, state, model_draw(model, MODEL_KEYS));

	for (size_t i = model_draw(model, 8); i < MODEL_KEYS && holds; i += 8)
		holds = tracks_hold(model, view, state, i, true);
	zp_view_release(view);
	return holds;
}

bool
model_holds(struct model *model)
{
	return engine_holds(model, model->engine, &model->state);
}

/* Every allocation list that a row names is in the shard's own tables. */
static bool
tables_hold(struct model *model, struct zp_engine *engine, const struct model_pin *pins)
{
	struct zp_tables *tables = NULL;
	struct zp_err err = {0};
	int rc = zp_engine_tables_read(engine, &tables, &err);
	bool holds = true;

	if (rc < 0 && rc != ZP_E_NOT_FOUND)
		return model_broken(model, "tables: %s", err.text);
	for (size_t i = 0; i < MODEL_KEYS; i++) {
		struct zp_slice json, expected;
		uint64_t fact = pins[i].facts[ZP_FACT_ALLOCATIONS];

		if (!pins[i].there || fact == 0)
			continue;
		if (tables == NULL || zp_tables_allocations_json(tables, fact, &json, &err) < 0 ||
		    zp_tables_allocations_json(model->tables, fact, &expected, &err) < 0 ||
		    !zp_slice_equal(json, expected))
			holds = model_broken(model, "the tables lack what key %zu names", i);
	}
	zp_tables_free(tables);
	return holds;
}

static bool
files_hold(struct model *model, struct zp_engine *engine)
{
	uint64_t position = zp_engine_lane_get(engine, 1);
	struct zp_verify_report report;
	struct model_state state;
	struct zp_err err = {0};

	if (position > model->log_count)
		return model_broken(model, "it says it has what there never was");
	state_at(model, position, &state);
	if (!engine_holds(model, engine, &state) || !tables_hold(model, engine, state.pins))
		return false;
	if (zp_engine_verify(engine, true, NULL, &report, &err) != ZP_OK)
		return model_broken(model, "verify: %s", err.text);
	return true;
}

/* One manifest as it is on the disk, opened like a snapshot. */
static bool
manifest_holds(struct model *model, uint64_t number)
{
	struct zp_engine_options options = model->options;
	struct zp_engine *engine;
	struct zp_err err = {0};
	bool holds;

	options.read_only = true;
	options.manifest_max = number;
	if (zp_engine_open(&options, &engine, &err) != ZP_OK)
		return model_broken(
		    model, "manifest %llu: %s", (unsigned long long)number, err.text);
	holds = files_hold(model, engine);
	if (holds && zp_engine_manifest_number(engine) != number)
		holds =
		    model_broken(model, "manifest %llu is passed over", (unsigned long long)number);
	zp_engine_close(engine);
	return holds;
}

bool
model_files_hold(struct model *model)
{
	uint64_t position = zp_engine_lane_get(model->engine, 1);
	uint32_t incarnation = zp_engine_incarnation(model->engine);
	uint64_t numbers[200];
	size_t count = model_manifests(model, numbers, ZP_ARRAY_COUNT(numbers));

	if (position < model->acknowledged ||
	    zp_engine_manifest_number(model->engine) < model->number)
		return model_broken(model, "what was published is gone");
	if (incarnation < model->incarnation || incarnation > model->incarnation_tried)
		return model_broken(model, "the incarnation is another");
	for (size_t i = 0; i < count; i++) {
		if (!manifest_holds(model, numbers[i]))
			return false;
	}
	if (model->warnings > 0)
		return model_broken(model, "there was a warning");
	acknowledge(model);
	return true;
}

/* ---- For tests ------------------------------------------------------------------------------- */

struct model *
model_begin(uint64_t seed)
{
	struct model *model = model_new(seed);
	struct zp_err err = {0};

	if (model_open(model, &err) != ZP_OK)
		fail_msg("%s", err.text);
	return model;
}

void
model_flush_well(struct model *model)
{
	struct zp_err err = {0};

	if (model_flush(model, &err) != ZP_OK)
		fail_msg("%s", err.text);
}

void
model_expect_holds(struct model *model)
{
	if (!model_holds(model) || !model_files_hold(model))
		fail_msg("%s", model->broken);
}
