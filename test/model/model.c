/*
 * model.c - a node against a table in memory: random commands, and the same answers from both.
 *
 *	model [seed [steps]]
 *
 * The node runs on a disk in memory (test/sim), so that its power can be cut at any change: then
 * everything that was answered must be there, and the one batch that was not must be there
 * wholly or not at all. Checkpoints, merges, stops, tiny memory and tiny journal files come in
 *between. Every few steps gets, batch gets, accesses, the list and the counters are compared.
 *
 * Prints its seed first. The node's threads make a run not exactly repeatable; the commands are.
 */
#include "command/command_internal.h"
#include "sim_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KEYS = 400, /* few, so that most commands meet a pin */
	BATCH_MAX = 40,
	NAME_BYTES = 24,
	STEPS_DEFAULT = 1500,
	COMPARE_EVERY = 20,
};

/* What the model knows of a pin. */
struct entry {
	bool is_there;
	uint32_t name; /* as a number */
	uint64_t expire_fact;
	struct zp_accesses accesses;
};

struct table {
	struct entry entries[KEYS];
};

struct driver {
	uint64_t seed, random, step;
	struct sim_store *sim;
	struct zp_node *node;
	struct zp_node_options options;
	struct command__seam seam;
	struct zp_read_scratch *scratch;
	struct zp_buf texts;
	struct table model;
	struct table maybe; /* what it is if the batch without an answer is in */
	bool has_maybe;
	uint64_t sequence; /* of the driver's own stream */
	uint64_t sequence_maybe;
	uint64_t crashes, reopens, writes;
};

static struct driver driver;

__attribute__((noreturn, format(printf, 1, 2))) static void
wrong(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ": ", driver.seed, driver.step);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* splitmix64 */
static uint64_t
random_below(uint64_t limit)
{
	uint64_t z = (driver.random += 0x9E3779B97F4A7C15u);

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (z ^ z >> 31) % limit;
}

/* ---- Pins ----------------------------------------------------------------------------------- */

static struct zp_key
key_of(uint32_t n)
{
	struct zp_key key = {.codec = ZP_CODEC_DAG_PB, .version = 1};
	uint64_t seed = n / 2; /* two pins of each digest: one as raw */
	struct zp_hash128 low = zp_hash128_of(&seed, sizeof(seed));
	struct zp_hash128 high = zp_hash128_of(&low, sizeof(low));

	memcpy(key.digest, &low, 16);
	memcpy(key.digest + 16, &high, 16);
	if (n % 2 == 1)
		key.codec = ZP_CODEC_RAW;
	return key;
}

static void
name_print(uint32_t name, char text[NAME_BYTES])
{
	snprintf(text, NAME_BYTES, "name %" PRIu32, name);
}

/* The texts of a pin with that name, and pin-update or not. */
static bool
name_is(const struct zp_record *record, uint32_t name)
{
	char expected[NAME_BYTES];
	enum zp_text_tag tag;
	struct zp_slice value;
	size_t position = 0;

	name_print(name, expected);
	while (zp_texts_next(record->texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_NAME)
			return zp_slice_is(value, expected);
	}
	return false;
}

static void
record_fill(struct zp_record *record, uint32_t name, uint64_t expire_fact, uint8_t *texts)
{
	char text[NAME_BYTES];
	size_t length;

	name_print(name, text);
	length = strlen(text);
	texts[0] = ZP_TEXT_NAME;
	texts[1] = (uint8_t)length;
	memcpy(texts + 2, text, length);
	*record = (struct zp_record){.texts = {texts, length + 2}};
	record->facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
	record->facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(-1);
	record->facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(-1);
	record->facts[ZP_FACT_EXPIRE_AT] = expire_fact;
}

/* ---- The node ------------------------------------------------------------------------------- */

static int
node_open(struct zp_err *err)
{
	driver.options.memtable_bytes_max = random_below(3) == 0 ? 1 : 64u << 20;
	driver.options.journal_bytes_max = random_below(3) == 0 ? 10000 : 1u << 30;
	driver.seam.journal_file_bytes = random_below(2) == 0 ? 2000 : 0;
	return command__node_open(&driver.options, &driver.seam, &driver.node, err);
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static bool
entry_fits(const struct entry *entry, int rc, const struct zp_record *record)
{
	if (rc == ZP_E_NOT_FOUND)
		return !entry->is_there;
	return rc == ZP_OK && entry->is_there && name_is(record, entry->name) &&
	       record->facts[ZP_FACT_EXPIRE_AT] == entry->expire_fact;
}

/* What is known of the pin's accesses: none where it is not there. */
static bool
accesses_fit(const struct entry *entry, const struct zp_key *key)
{
	struct zp_accesses accesses;
	struct zp_err err = {0};

	if (zp_command_accesses_get(driver.node, key, &accesses, &err) < 0)
		wrong("accesses: %s", err.text);
	return accesses.count == entry->accesses.count &&
	       accesses.last_seconds == entry->accesses.last_seconds;
}

/* NULL, or what differs. */
static const char *
batch_differs(const struct table *table)
{
	static struct zp_batch_answer answers[KEYS];
	static struct zp_key keys[KEYS];
	static char text[100];
	struct zp_err err = {0};

	for (uint32_t n = 0; n < KEYS; n++)
		keys[n] = key_of(n);
	if (zp_command_get_batch(
		driver.node, keys, KEYS, driver.scratch, &driver.texts, answers, &err) < 0)
		wrong("get batch: %s", err.text);
	for (uint32_t n = 0; n < KEYS; n++) {
		if (!entry_fits(&table->entries[n], answers[n].rc, &answers[n].record)) {
			snprintf(text, sizeof(text),
			    "pin %" PRIu32 ": the node says %d, the model %d, name %" PRIu32, n,
			    answers[n].rc, table->entries[n].is_there, table->entries[n].name);
			return text;
		}
		if (!accesses_fit(&table->entries[n], &keys[n])) {
			snprintf(text, sizeof(text),
			    "accesses of pin %" PRIu32 ": the model has %" PRIu64, n,
			    table->entries[n].accesses.count);
			return text;
		}
	}
	return NULL;
}

static uint64_t
model_count(void)
{
	uint64_t count = 0;

	for (uint32_t n = 0; n < KEYS; n++)
		count += driver.model.entries[n].is_there;
	return count;
}

static uint64_t
model_accesses(void)
{
	uint64_t sum = 0;

	for (uint32_t n = 0; n < KEYS; n++)
		sum += driver.model.entries[n].accesses.count;
	return sum;
}

static void
list_compare(void)
{
	struct zp_list *list;
	struct zp_record record;
	struct zp_key key, last = {0};
	struct zp_err err = {0};
	uint64_t count = 0, accesses_sum = 0;
	struct zp_accesses accesses;
	int rc;

	if (zp_list_open(driver.node, 0, NULL, &list, &err) < 0)
		wrong("list: %s", err.text);
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_OK) {
		if (count > 0 && zp_key_compare(&last, &key) >= 0)
			wrong("list: keys do not rise");
		last = key;
		count++;
		if (zp_list_accesses_get(list, &accesses, &err) < 0)
			wrong("list: accesses: %s", err.text);
		accesses_sum += accesses.count;
	}
	zp_list_close(list);
	if (rc < 0)
		wrong("list: %s", err.text);
	if (count != model_count())
		wrong("list: %" PRIu64 " pins, the model has %" PRIu64, count, model_count());
	if (accesses_sum != model_accesses())
		wrong("list: %" PRIu64 " accesses, the model has %" PRIu64, accesses_sum,
		    model_accesses());
}

static void
compare(void)
{
	const char *difference = batch_differs(&driver.model);
	struct zp_node_facts facts;
	uint32_t n = (uint32_t)random_below(KEYS);
	struct zp_key key = key_of(n);
	struct zp_record record;
	int rc;

	if (difference != NULL)
		wrong("get batch: %s", difference);
	rc = zp_command_get(driver.node, &key, driver.scratch, &driver.texts, &record, NULL);
	if (!entry_fits(&driver.model.entries[n], rc, &record))
		wrong("get: pin %" PRIu32 " answers %d", n, rc);
	list_compare();
	zp_node_facts_get(driver.node, &facts);
	if (facts.engines.pins[ZP_PIN_DATA] != model_count())
		wrong("counters: %" PRIu64 " pins, the model has %" PRIu64,
		    facts.engines.pins[ZP_PIN_DATA], model_count());
	if (zp_command_origin_sequence(driver.node, (const uint8_t[16]){'m'}) != driver.sequence)
		wrong("the stream is at another sequence than %" PRIu64, driver.sequence);
}

/* After a cut: the batch without an answer is in wholly or not at all. */
static void
maybe_settle(void)
{
	const char *without;

	if (!driver.has_maybe)
		return;
	driver.has_maybe = false;
	without = batch_differs(&driver.model);
	if (without != NULL) {
		const char *with = batch_differs(&driver.maybe);

		if (with != NULL)
			wrong("after a cut neither with nor without the last batch: %s", with);
		driver.model = driver.maybe;
	}
	/* Pins may be the same either way; the stream tells. */
	if (driver.sequence_maybe != 0 && zp_command_origin_sequence(driver.node,
					      (const uint8_t[16]){'m'}) == driver.sequence_maybe) {
		driver.model = driver.maybe;
		driver.sequence = driver.sequence_maybe;
	}
}

/* ---- Commands ------------------------------------------------------------------------------- */

/* What the write will answer and do, by the model. */
static int
model_apply(
    struct table *table, const struct zp_write *write, uint32_t n, uint32_t from, uint32_t name)
{
	struct entry *entry = &table->entries[n];
	bool was_there = entry->is_there;
	struct zp_accesses accesses = entry->accesses; /* stay as long as the pin does */

	switch (write->kind) {
	case ZP_WRITE_PIN:
		if (write->has_update_from && from != n) {
			if (!table->entries[from].is_there)
				return ZP_E_NOT_FOUND;
			*entry = table->entries[from];
			entry->accesses = accesses;
			if (!write->update_keeps_name)
				entry->name = name;
			return ZP_OK;
		}
		*entry =
		    (struct entry){true, name, write->record.facts[ZP_FACT_EXPIRE_AT], accesses};
		return ZP_OK;
	case ZP_WRITE_IMPORT:
		*entry =
		    (struct entry){true, name, write->record.facts[ZP_FACT_EXPIRE_AT], accesses};
		return ZP_OK;
	case ZP_WRITE_EXPIRE:
		if (!was_there || entry->expire_fact != write->record.facts[ZP_FACT_EXPIRE_AT])
			return ZP_E_NOT_FOUND;
		*entry = (struct entry){0};
		return ZP_OK;
	case ZP_WRITE_ACCESS:
		if (!was_there)
			return ZP_E_NOT_FOUND;
		entry->accesses.count += write->accesses.count;
		if (accesses.last_seconds < write->accesses.last_seconds)
			entry->accesses.last_seconds = write->accesses.last_seconds;
		return ZP_OK;
	case ZP_WRITE_UNPIN:
		*entry = (struct entry){0};
		return was_there ? ZP_OK : ZP_E_NOT_FOUND;
	default:
		*entry = (struct entry){0};
		return ZP_OK;
	}
}

/* Expiry in the far future, one of two, so that "is it still this" is sometimes true. */
static uint64_t
some_expiry(void)
{
	return random_below(2) == 0 ? 0 : zp_zigzag(40000000000 + (int64_t)random_below(2)) + 1;
}

static void
write_make(struct zp_write *write, uint8_t *texts, int *expected)
{
	static const enum zp_write_kind kinds[] = {ZP_WRITE_PIN, ZP_WRITE_PIN, ZP_WRITE_PIN,
	    ZP_WRITE_IMPORT, ZP_WRITE_IMPORT, ZP_WRITE_UNPIN, ZP_WRITE_UNPIN, ZP_WRITE_EXPIRE,
	    ZP_WRITE_DELETE, ZP_WRITE_ACCESS, ZP_WRITE_ACCESS, ZP_WRITE_ACCESS};
	uint32_t n = (uint32_t)random_below(KEYS), from = (uint32_t)random_below(KEYS);
	uint32_t name = (uint32_t)random_below(1000000);
	struct zp_buf result_texts = write->result_texts;

	*write = (struct zp_write){.kind = kinds[random_below(ZP_ARRAY_COUNT(kinds))],
	    .key = key_of(n),
	    .result_texts = result_texts};
	record_fill(&write->record, name, some_expiry(), texts);
	if (write->kind == ZP_WRITE_ACCESS)
		write->accesses = (struct zp_accesses){
		    .count = 1 + random_below(1000), .last_seconds = (int64_t)random_below(1000)};
	if (write->kind == ZP_WRITE_PIN && random_below(4) == 0) {
		write->has_update_from = true;
		write->update_from = key_of(from);
		write->update_keeps_name = random_below(2) == 0;
		write->update_keeps_expiry = true;
	}
	*expected = model_apply(&driver.maybe, write, n, from, name);
}

/* A disk without power refuses writes one by one where their pins cannot be read, and the rest at
 * the journal: then none may have been told that it is done, but a delete of what is absent. */
static bool
batch_failed(const struct zp_write_batch *batch, int rc)
{
	bool has_failed = batch->count > 1 && rc < 0;
	size_t done = 0;

	for (size_t i = 0; i < batch->count; i++) {
		has_failed = has_failed || batch->writes[i].rc == ZP_E_IO ||
			     batch->writes[i].rc == ZP_E_FULL;
		done += batch->writes[i].rc == ZP_OK && batch->writes[i].kind != ZP_WRITE_DELETE;
	}
	if (has_failed && rc == ZP_OK && done > 0)
		wrong("%zu writes were done and others of their batch failed", done);
	return has_failed;
}

/* One batch, waited for. False: no answer came, the node is to be opened again. */
static bool
do_writes(void)
{
	static struct zp_write writes[BATCH_MAX];
	static uint8_t texts[BATCH_MAX][NAME_BYTES + 8];
	int expected[BATCH_MAX];
	struct zp_write_batch batch = {.writes = writes, .count = 1 + random_below(BATCH_MAX)};
	bool is_of_stream = random_below(4) == 0;
	struct zp_err err = {0};
	int rc;

	driver.maybe = driver.model;
	driver.sequence_maybe = 0;
	for (size_t i = 0; i < batch.count; i++)
		write_make(&writes[i], texts[i], &expected[i]);
	if (is_of_stream) {
		batch.origin =
		    (struct zp_journal_origin){.id = {'m'}, .sequence = driver.sequence + 1};
		driver.sequence_maybe = batch.origin.sequence;
	}
	rc = zp_command_write_wait(driver.node, &batch, &err);
	if (batch_failed(&batch, rc)) {
		if (!sim_store_is_dead(driver.sim))
			wrong("a write failed without a cause: %s%s", err.text, writes[0].err.text);
		driver.has_maybe = true;
		return false;
	}
	for (size_t i = 0; i < batch.count; i++) {
		if (writes[i].rc != expected[i])
			wrong("write %zu of kind %d answers %d (%s), expected %d", i,
			    writes[i].kind, writes[i].rc, writes[i].err.text, expected[i]);
	}
	driver.model = driver.maybe;
	driver.writes += batch.count;
	if (is_of_stream)
		driver.sequence = batch.origin.sequence;
	return true;
}

/* False when the power was cut. */
static bool
do_upkeep(int (*command)(struct zp_node *node, struct zp_err *err))
{
	struct zp_err err = {0};

	if (command(driver.node, &err) == ZP_OK)
		return true;
	if (!sim_store_is_dead(driver.sim))
		wrong("upkeep: %s", err.text);
	return false;
}

static void
verify(void)
{
	struct zp_verify_report report;
	struct zp_err err = {0};

	if (zp_command_verify(
		driver.node, &(struct zp_verify_options){.deep = true}, &report, &err) < 0)
		wrong("verify: %s", err.text);
	if (report.damages != 0)
		wrong("verify: %" PRIu64 " damages", report.damages);
}

/* Closes the node, with or without power, and opens what is there. The cut may come while closing,
 * and once more while opening. */
static void
reopen(void)
{
	static const enum sim_crash kinds[] = {SIM_CRASH_PROCESS, SIM_CRASH_LOSE, SIM_CRASH_RANDOM};

	driver.reopens++;
	do {
		struct zp_err err = {0};

		zp_node_close(driver.node);
		driver.node = NULL;
		if (sim_store_is_dead(driver.sim)) {
			sim_store_crash(driver.sim, kinds[random_below(ZP_ARRAY_COUNT(kinds))]);
			driver.crashes++;
		}
		if (random_below(8) == 0)
			sim_store_die_at(driver.sim, 1 + random_below(20));
		if (node_open(&err) < 0 && !sim_store_is_dead(driver.sim))
			wrong("open: %s", err.text);
		sim_store_die_at(driver.sim, UINT64_MAX); /* not while comparing */
	} while (driver.node == NULL || sim_store_is_dead(driver.sim));
	maybe_settle();
	compare();
}

static void
step(void)
{
	uint64_t choice = random_below(1000);
	bool alive = true;

	if (choice < 850) {
		alive = do_writes();
	} else if (choice < 890) {
		alive = do_upkeep(zp_command_checkpoint);
	} else if (choice < 910) {
		alive = do_upkeep(zp_command_settle);
	} else if (choice < 915) {
		sim_store_die_at(driver.sim, UINT64_MAX); /* it reads all there is */
		if (!sim_store_is_dead(driver.sim))
			verify();
	} else if (choice < 945) {
		sim_store_die_at(driver.sim, 1 + random_below(60));
	} else if (choice < 965) {
		alive = false;
	}
	if (!alive || sim_store_is_dead(driver.sim))
		reopen();
}

int
main(int argument_count, char **arguments)
{
	uint64_t steps = STEPS_DEFAULT;
	struct zp_err err = {0};

	zp_random_bytes(&driver.seed, sizeof(driver.seed));
	if (argument_count > 1)
		driver.seed = strtoull(arguments[1], NULL, 0);
	if (argument_count > 2)
		steps = strtoull(arguments[2], NULL, 0);
	printf("seed %" PRIu64 ", %" PRIu64 " steps\n", driver.seed, steps);
	fflush(stdout);
	driver.random = driver.seed;
	driver.sim = sim_store_new(driver.seed);
	driver.seam.disk = sim_store_disk(driver.sim);
	driver.scratch = zp_read_scratch_new();
	zp_buf_init(&driver.texts, 1u << 20);
	driver.options = (struct zp_node_options){.root = "node",
	    .shards = 1u << random_below(4),
	    .peer_id_bytes = 4,
	    .accesses_mode = ZP_ACCESSES_EXACT};
	if (command__node_create(&driver.options, &driver.seam, &err) < 0)
		wrong("create: %s", err.text);
	if (node_open(&err) < 0)
		wrong("open: %s", err.text);
	for (driver.step = 1; driver.step <= steps; driver.step++) {
		step();
		if (driver.step % COMPARE_EVERY != 0)
			continue;
		sim_store_die_at(driver.sim, UINT64_MAX); /* not while comparing */
		if (sim_store_is_dead(driver.sim))
			reopen();
		else
			compare();
	}
	reopen();
	verify();
	zp_node_close(driver.node);
	sim_store_free(driver.sim);
	zp_read_scratch_free(driver.scratch);
	zp_buf_done(&driver.texts);
	printf("%" PRIu64 " writes, %" PRIu64 " power cuts, %" PRIu64 " stops: the same\n",
	    driver.writes, driver.crashes, driver.reopens);
	return 0;
}
