/*
 * compare.c - what the node says against the model.
 */
#include "simulate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void
name_print(uint32_t name, char text[NAME_BYTES])
{
	int length = snprintf(text, NAME_BYTES, "name %" PRIu32, name);

	/* Some are long, so that texts take blocks of their own. */
	for (uint32_t i = 0; name % 5 == 0 && i < name % 250; i++)
		text[length++] = (char)('a' + (name + i) % 26);
	text[length] = '\0';
}

static int
compare_keys_order(const void *key, const void *element)
{
	return zp_key_compare(key, element);
}

uint32_t
key_find(const struct zp_key *key)
{
	const struct zp_key *found =
	    bsearch(key, run.keys, run.keys_count, sizeof(run.keys[0]), compare_keys_order);

	if (found == NULL)
		wrong("a key that nobody has pinned");
	return (uint32_t)(found - run.keys);
}

/* Shards are equal ranges of the digests. */
uint32_t
shard_of(uint32_t key)
{
	return (uint32_t)(run.keys[key].digest[0] * run.shards / 256);
}

static struct model_pin
pin_of(uint32_t key, const struct zp_record *record)
{
	struct model_pin pin = {0};
	char expected[NAME_BYTES];
	enum zp_text_tag tag;
	struct zp_slice value;
	size_t position = 0;

	while (zp_texts_next(record->texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_NAME && value.length > 5 && value.length < NAME_BYTES) {
			snprintf(expected, sizeof(expected), "%.*s", (int)value.length,
			    (const char *)value.data);
			pin.name = (uint32_t)strtoul(expected + 5, NULL, 10);
		} else if (tag != ZP_TEXT_PIN_UPDATE)
			wrong("pin %" PRIu32 " has a text of tag %d", key, (int)tag);
	}
	name_print(pin.name, expected);
	position = 0;
	while (zp_texts_next(record->texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_NAME && !zp_slice_is(value, expected))
			wrong("pin %" PRIu32 " has a name that nobody gave", key);
	}
	if (pin.name == 0 || record->facts[ZP_FACT_MAX_DEPTH] != zp_zigzag(-1) ||
	    record->facts[ZP_FACT_TYPE] != 0 ||
	    record->facts[ZP_FACT_REPLICATION_MIN] != zp_zigzag(-1))
		wrong("pin %" PRIu32 " is none that anybody made", key);
	created_check(key, pin.name, zp_unzigzag(record->facts[ZP_FACT_CREATED]));
	if (record->facts[ZP_FACT_EXPIRE_AT] != 0)
		pin.expire_at = zp_unzigzag(record->facts[ZP_FACT_EXPIRE_AT] - 1);
	return pin;
}

struct model_seen
seen_of(uint32_t key, int rc, const struct zp_record *record)
{
	struct model_seen seen = {0};

	run.counts[COUNT_READS]++;
	if (rc == ZP_OK) {
		seen.pin = pin_of(key, record);
	} else if (rc != ZP_E_NOT_FOUND) {
		if (!fault_excuses_read(key))
			wrong("pin %" PRIu32 " cannot be read: %d", key, rc);
		seen.is_unknown = true;
	}
	return seen;
}

static void
seen_check(uint32_t key, const struct model_seen *seen, const char *by)
{
	const struct model_pin *first = &run.model.states[0].pins[key];

	if (seen->is_unknown || model_permits(&run.model, key, seen))
		return;
	accesses_check(key, seen, by);
	wrong("%s: pin %" PRIu32 " is name %" PRIu32 " expiry %" PRId64
	      ", by the model name %" PRIu32 " expiry %" PRId64 " (or one of %zu states)",
	    by, key, seen->pin.name, seen->pin.expire_at, first->name, first->expire_at,
	    run.model.states_count);
}

void
compare_key(uint32_t key)
{
	struct zp_record record;
	struct zp_err err = {0};
	uint64_t began_ns = sim_world_now_ns();
	bool was_hanging = run.faults.is_hanging;
	int rc = zp_command_get(run.node, &run.keys[key], run.scratch, &run.texts, &record, &err);
	struct model_seen seen = seen_of(key, rc, &record);

	accesses_see(key, &seen);
	now_seconds();
	seen_check(key, &seen, "get");
	if (was_hanging && sim_world_now_ns() - began_ns > 1000000000)
		wrong("a read waited for a disk that hangs in another thread");
}

static void
batch_read(const uint32_t *indexes, size_t count)
{
	struct zp_key keys[KEYS_AT_ONCE] = {0};
	struct zp_err err = {0};

	ZP_ASSERT(count <= KEYS_AT_ONCE);
	for (size_t i = 0; i < count; i++)
		keys[i] = run.keys[indexes[i]];
	if (zp_command_get_batch(
		run.node, keys, count, run.scratch, &run.texts, run.answers, &err) < 0)
		wrong("get batch: %s", err.text);
	for (size_t i = 0; i < count; i++)
		run.seen[indexes[i]] =
		    seen_of(indexes[i], run.answers[i].rc, &run.answers[i].record);
	for (size_t i = 0; i < count; i++)
		accesses_see(indexes[i], &run.seen[indexes[i]]);
}

void
compare_keys(const uint32_t *indexes, size_t count)
{
	batch_read(indexes, count);
	now_seconds();
	for (size_t i = 0; i < count; i++)
		seen_check(indexes[i], &run.seen[indexes[i]], "get batch");
}

/* ---- Lists ---------------------------------------------------------------------------------- */

/* Of the keys from..to none is listed: they may lack. */
static void
gap_check(uint32_t from, uint32_t to, uint32_t namespace_id, bool is_damaged)
{
	for (uint32_t key = from; key < to; key++) {
		if (run.keys[key].namespace_id != namespace_id ||
		    model_permits_none(&run.model, key))
			continue;
		if (is_damaged && fault_excuses_read(key))
			continue;
		wrong("the list lacks pin %" PRIu32, key);
	}
}

void
compare_list(uint32_t namespace_id)
{
	struct zp_list *list;
	struct zp_record record;
	struct zp_key key;
	struct zp_err err = {0};
	uint32_t gaps[2][KEYS_AT_ONCE];
	size_t gaps_count = 0;
	uint32_t next = 0;
	int rc;

	if (zp_list_open(run.node, namespace_id, NULL, &list, &err) < 0)
		wrong("list: %s", err.text);
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_OK) {
		uint32_t index = key_find(&key);
		struct model_seen seen = seen_of(index, ZP_OK, &record);

		run.counts[COUNT_LISTED]++;
		accesses_see_listed(index, list, &seen);
		now_seconds();
		if (index < next)
			wrong("list: the keys do not rise");
		seen_check(index, &seen, "list");
		/* What lacks is judged when it is known whether the list was damaged. */
		if (index > next && gaps_count < KEYS_AT_ONCE) {
			gaps[0][gaps_count] = next;
			gaps[1][gaps_count++] = index;
		} else if (index > next) {
			gap_check(next, index, namespace_id, true);
		}
		next = index + 1;
	}
	zp_list_close(list);
	if (rc < 0 && !fault_excuses_any_read())
		wrong("list: %s", err.text);
	for (size_t i = 0; i < gaps_count; i++)
		gap_check(gaps[0][i], gaps[1][i], namespace_id, rc < 0);
	gap_check(next, (uint32_t)run.keys_count, namespace_id, rc < 0);
}

/* ---- All ------------------------------------------------------------------------------------ */

static void
counters_compare(void)
{
	struct zp_node_facts facts;
	size_t least, most;

	zp_node_facts_get(run.node, &facts);
	now_seconds();
	model_counts(&run.model, &least, &most);
	if (!run.counts_are_off &&
	    (facts.engines.pins[ZP_PIN_DATA] < least || facts.engines.pins[ZP_PIN_DATA] > most))
		wrong("the counters have %" PRIu64 " pins, the model %zu to %zu",
		    facts.engines.pins[ZP_PIN_DATA], least, most);
	if (!facts.is_broken)
		return;
	if (!fault_excuses_write())
		wrong("the node is broken: %s", facts.broken_text);
	outcomes_unknown(); /* a write of the node's own, a due pin's: no client was told */
}

void
compare_all(void)
{
	static const uint8_t stream[16] = {'s'};
	uint32_t indexes[KEYS_AT_ONCE];
	const char *why;

	for (size_t at = 0; at < run.keys_count;) {
		size_t count = zp_min_u64(run.keys_count - at, KEYS_AT_ONCE);

		for (size_t i = 0; i < count; i++)
			indexes[i] = (uint32_t)(at + i);
		batch_read(indexes, count);
		at += count;
	}
	now_seconds();
	/* A node whose journal failed shows what was before: which it was, the next opening
	 * decides. */
	if (run.slots_count == 0 && !run.is_unknown) {
		uint64_t sequence = zp_command_origin_sequence(run.node, stream);

		why = model_settle(&run.model, run.seen, sequence);
		if (why != NULL)
			wrong("all pins: %s", why + 2);
	} else {
		for (uint32_t key = 0; key < run.keys_count; key++)
			seen_check(key, &run.seen[key], "all pins");
	}
	for (uint32_t namespace_id = 0; namespace_id < 4; namespace_id++) {
		if (namespace_id != 0 && run.keys_kind != KEYS_SAME)
			continue;
		compare_list(namespace_id);
		compare_newest(namespace_id);
	}
	if (run.slots_count == 0 && !run.model.is_torn && !fault_excuses_any_read() &&
	    !run.is_unknown && !sim_store_is_dead(run.sim))
		counters_compare();
}

/* ---- Verify --------------------------------------------------------------------------------- */

struct verifying {
	char texts[DAMAGED_MAX][ZP_ERR_TEXT_BYTES];
	size_t count;
	char planted[DAMAGED_MAX][64]; /* files with damage before */
	size_t planted_count;
	bool is_after;
};

static void
damage_hear(void *context, const char *text)
{
	struct verifying *verifying = context;

	if (verifying->count < DAMAGED_MAX)
		snprintf(verifying->texts[verifying->count++], ZP_ERR_TEXT_BYTES, "%s", text);
}

/* Whether verify told of the file, or of its shard that it is suspended. */
static bool
is_told(const struct verifying *verifying, const char *path, const char *name)
{
	const char *shard = strrchr(path, '/') + 1;

	for (size_t i = 0; i < verifying->count; i++) {
		if (strstr(verifying->texts[i], name) != NULL ||
		    (strstr(verifying->texts[i], shard) != NULL &&
			(strstr(verifying->texts[i], "suspended") != NULL ||
			    (strstr(name, ".tab") != NULL &&
				strstr(verifying->texts[i], "tables") != NULL))))
			return true;
	}
	return verifying->count == DAMAGED_MAX;
}

static int
name_keep(void *context, const char *name, struct zp_err *err)
{
	struct verifying *verifying = context;

	(void)err;
	if (verifying->planted_count < DAMAGED_MAX)
		snprintf(verifying->planted[verifying->planted_count++], 64, "%s", name);
	return ZP_OK;
}

static bool
has_name(const struct verifying *names, const char *name)
{
	for (size_t i = 0; i < names->planted_count; i++) {
		if (strcmp(names->planted[i], name) == 0)
			return true;
	}
	return false;
}

static void
damaged_take(void *context, const char *path, const char *name, uint64_t offset, size_t length)
{
	(void)path, (void)offset, (void)length;
	/* One may have many. */
	if (!has_name(context, name))
		zp_ignore(name_keep(context, name, NULL)); /* never fails */
}

/* The damages of files that the newest manifests name, before; after, those of them that are still
 * so must have been told. */
static void
damage_meet(void *context, const char *path, const char *name, uint64_t offset, size_t length)
{
	struct verifying *verifying = context;

	(void)length;
	if (strstr(path, "/shards/") == NULL || strstr(path, "/snapshots") != NULL ||
	    (strstr(name, ".seg") == NULL && strstr(name, ".tab") == NULL) ||
	    strstr(name, ".tmp") != NULL)
		return;
	for (size_t i = 0; i < verifying->planted_count; i++) {
		if (strcmp(verifying->planted[i], name) == 0 && !is_told(verifying, path, name))
			wrong("verify did not find the damage of %s/%s at %" PRIu64, path, name,
			    offset);
	}
}

/* Whether it is told of counts that are off after a replay over damage. */
static bool
is_count(const char *text)
{
	return (run.counts_are_off && strstr(text, ": it counts ") != NULL) ||
	       (run.entries_are_off && (strstr(text, " entries, ") != NULL ||
					   strstr(text, " more ranges of ") != NULL));
}

void
compare_verify(void)
{
	static struct verifying verifying, damaged;
	struct zp_verify_options options = {
	    .deep = one_in(2), .damage = damage_hear, .context = &verifying};
	struct zp_verify_report report;
	struct zp_err err = {0};
	int rc;

	memset(&verifying, 0, sizeof(verifying));
	writes_wait_all();
	if (run.faults
		.is_damaged) /* so that it finds nothing to write, and no file comes or goes */
		zp_ignore(zp_command_checkpoint(run.node, &err)); /* as it says */
	for (uint32_t i = 0; i < run.shards; i++) {
		struct zp_engine *engine = zp_shards_engine(run.node->shards, i);

		if (zp_engine_is_suspended(engine) ||
		    zp_engine_files(engine, name_keep, &verifying, &err) == ZP_OK)
			continue;
		if (!fault_excuses_upkeep())
			wrong("the files of a shard: %s", err.text);
	}
	memset(&damaged, 0, sizeof(damaged));
	sim_store_damages(run.sim, damaged_take, &damaged);
	rc = zp_command_verify(run.node, &options, &report, &err);
	run.counts[COUNT_UPKEEP]++;
	if (run.faults.episode == EPISODE_NONE && !run.is_unknown)
		run.counts_are_off = false; /* it set them right, or tells of none */
	for (size_t i = 0; i < verifying.count && !fault_excuses_any_read(); i++) {
		if (!is_count(verifying.texts[i]))
			wrong("verify: %s", verifying.texts[i]);
	}
	if (rc < 0 && verifying.count == 0 && !fault_excuses_any_read())
		wrong("verify: %s", err.text);
	if ((rc == ZP_OK || rc == ZP_E_CORRUPT) && run.faults.is_damaged) {
		/* Merges may have done away with some meanwhile, and a write of theirs may have
		 * gone astray into others; those that stay live were there. */
		struct verifying now = {0};

		for (uint32_t i = 0; i < run.shards; i++) {
			struct zp_engine *engine = zp_shards_engine(run.node->shards, i);

			if (!zp_engine_is_suspended(engine))
				zp_ignore(zp_engine_files(engine, name_keep, &now, &err)); /* few */
		}
		for (size_t i = 0; i < verifying.planted_count; i++) {
			bool stays = false;

			for (size_t k = 0; k < now.planted_count && !stays; k++)
				stays = strcmp(verifying.planted[i], now.planted[k]) == 0;
			if (!stays || !has_name(&damaged, verifying.planted[i]))
				verifying.planted[i][0] = '\0';
		}
		sim_store_damages(run.sim, damage_meet, &verifying);
	}
}

/* ---- Scrub ---------------------------------------------------------------------------------- */

static void
names_take(struct verifying *names)
{
	struct zp_err err = {0};

	names->planted_count = 0;
	for (uint32_t i = 0; i < run.shards; i++) {
		struct zp_engine *engine = zp_shards_engine(run.node->shards, i);

		if (!zp_engine_is_suspended(engine))
			zp_ignore(zp_engine_files(engine, name_keep, names, &err)); /* few */
	}
}

/* Of a file that was live before and after the pass, and damaged before: what goes astray may be a
 * write of the scrub's own. */
static void
scrubbed_meet(void *context, const char *path, const char *name, uint64_t offset, size_t length)
{
	const struct verifying *names = context;
	const char *shard = strstr(path, "/shards/");

	(void)length;
	if (shard == NULL || strstr(path, "/snapshots") != NULL || strstr(name, ".seg") == NULL ||
	    !has_name(&names[0], name) || !has_name(&names[1], name) || !has_name(&names[2], name))
		return;
	for (uint32_t i = 0; i < run.shards; i++) {
		char id[32];

		snprintf(id, sizeof(id), "%016llx", (unsigned long long)run.shard_ids[i]);
		if (strcmp(shard + strlen("/shards/"), id) == 0 &&
		    !command__damage_has(run.node, i, name))
			wrong("the scrub did not find the damage of %s/%s at %" PRIu64, path, name,
			    offset);
	}
}

/* A whole pass, from now on. False: it did not come to its end. */
static bool
scrub_pass_end(void)
{
	struct zp_scrub_facts before, now;
	struct zp_err err = {0};

	zp_node_scrub_facts_get(run.node, &before);
	if (before.is_running && zp_command_scrub_stop(run.node, &err) < 0)
		wrong("scrub stop: %s", err.text);
	for (unsigned i = 0; i < 100 && before.is_running; i++) {
		sim_world_sleep_ns(1000000000);
		zp_node_scrub_facts_get(run.node, &before);
	}
	if (before.is_running || sim_store_is_dead(run.sim))
		return false;
	if (zp_command_scrub_start(run.node, 1u << 30, &err) < 0)
		wrong("scrub start: %s", err.text);
	for (unsigned i = 0; i < 100; i++) {
		sim_world_sleep_ns(1000000000);
		zp_node_scrub_facts_get(run.node, &now);
		if (now.passes > before.passes || sim_store_is_dead(run.sim))
			break;
	}
	return now.passes == before.passes + 1 && !sim_store_is_dead(run.sim);
}

/* One that begins now: a pass that was cut goes on where it was, and does not read again what has
 * been damaged behind it. */
static bool
scrub_pass(void)
{
	struct zp_scrub_facts facts;

	zp_node_scrub_facts_get(run.node, &facts);
	return (facts.begun_microseconds == 0 || scrub_pass_end()) && scrub_pass_end();
}

/* It finds what is damaged, and where nothing is, nothing is left of what once was. */
void
compare_scrub(void)
{
	static struct verifying names[3]; /* of the files before and after; damaged before */
	bool is_well = run.faults.episode == EPISODE_NONE;
	struct zp_node_facts facts;
	char texts[ZP_NODE_DAMAGES_MAX][ZP_ERR_TEXT_BYTES];

	run.counts[COUNT_UPKEEP]++;
	writes_wait_all();
	names_take(&names[0]);
	names[2].planted_count = 0;
	sim_store_damages(run.sim, damaged_take, &names[2]);
	if (!scrub_pass()) {
		if (is_well)
			wrong("a scrub does not come to its end");
		return;
	}
	now_seconds();
	names_take(&names[1]);
	zp_node_facts_get(run.node, &facts);
	if (is_well &&
	    facts.damages > 0) { /* of counts a verify told, which a scrub knows nothing of */
		size_t count = zp_node_damages_get(run.node, texts);

		for (size_t i = 0; i < count; i++) {
			if (!is_count(texts[i]))
				wrong("the scrub: %s", texts[i]);
		}
	}
	if (run.faults.episode == EPISODE_DAMAGE && !run.faults.reads_may_fail)
		sim_store_damages(run.sim, scrubbed_meet, names);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

void
compare_snapshot(const struct snapshot *snapshot)
{
	struct zp_node_options options = run.options;
	struct zp_node *node = NULL;
	struct zp_err err = {0};
	char root[100];

	snprintf(root, sizeof(root), "node/snapshots/%s", snapshot->name);
	options.root = root;
	options.read_only = true;
	if (command__node_open(&options, &run.seam, &node, &err) < 0 && sim_store_is_dead(run.sim))
		return;
	if (node == NULL)
		wrong("snapshot %s does not open: %s", snapshot->name, err.text);
	for (uint32_t key = 0; key < run.keys_count; key++) {
		const struct model_pin *pin = &snapshot->pins[key];
		struct zp_record record;
		int rc =
		    zp_command_get(node, &run.keys[key], run.scratch, &run.texts, &record, &err);
		struct model_seen seen = seen_of(key, rc, &record);

		if (seen.is_unknown && sim_store_is_dead(run.sim))
			break;
		if (seen.pin.name == 0 && pin->expire_at != 0 &&
		    pin->expire_at <= snapshot->now_seconds)
			continue;
		if (seen.is_unknown || seen.pin.name != pin->name ||
		    seen.pin.expire_at != pin->expire_at)
			wrong("snapshot %s: pin %" PRIu32 " is name %" PRIu32 ", was %" PRIu32,
			    snapshot->name, key, seen.pin.name, pin->name);
		accesses_compare_snapshot(snapshot, node, key);
	}
	zp_node_close(node);
}
