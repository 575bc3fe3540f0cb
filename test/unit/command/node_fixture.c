/*
 * node_fixture.c - see node_fixture.h.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

/* Any thread of the node logs. */
static void
log_keep(void *context, int level, const char *text)
{
	struct node_fixture *fixture = context;
	size_t length;

	(void)level;
	pthread_mutex_lock(&log_lock);
	length = strlen(fixture->log);
	snprintf(fixture->log + length, sizeof(fixture->log) - length, "%s\n", text);
	pthread_mutex_unlock(&log_lock);
}

unsigned
fixture_told(struct node_fixture *fixture, const char *text)
{
	unsigned count = 0;

	pthread_mutex_lock(&log_lock);
	for (const char *at = fixture->log; (at = strstr(at, text)) != NULL; at++)
		count++;
	pthread_mutex_unlock(&log_lock);
	return count;
}

void
fixture_make(struct node_fixture *fixture, uint32_t shards)
{
	struct zp_err err = {0};

	memset(fixture, 0, sizeof(*fixture));
	strcpy(fixture->root, "/tmp/zpin-test-XXXXXX");
	assert_non_null(mkdtemp(fixture->root));
	fixture->options = (struct zp_node_options){
	    .root = fixture->root,
	    .shards = shards,
	    .replication_min = -1,
	    .replication_max = -1,
	    .memtable_bytes_max = UINT64_C(256) << 20,
	    .journal_bytes_max = UINT64_C(1) << 30,
	    .no_sync = true,
	    .log = log_keep,
	    .log_context = fixture,
	};
	memcpy(fixture->options.peer_id, "\x00\x24\x08\x01\x12\x20", 6);
	memset(fixture->options.peer_id + 6, 7, 32);
	fixture->options.peer_id_bytes = 38;
	fixture->scratch = zp_read_scratch_new();
	zp_buf_init(&fixture->texts, ZP_RECORD_BYTES_MAX);
	if (zp_node_create(&fixture->options, &err) < 0)
		fail_msg("%s", err.text);
	fixture_open(fixture);
}

int
fixture_try_open(struct node_fixture *fixture, struct zp_err *err)
{
	fixture->log[0] = '\0';
	return zp_node_open(&fixture->options, &fixture->node, err);
}

void
fixture_open(struct node_fixture *fixture)
{
	struct zp_err err = {0};

	if (fixture_try_open(fixture, &err) < 0)
		fail_msg("%s", err.text);
}

void
fixture_close(struct node_fixture *fixture)
{
	zp_node_close(fixture->node);
	fixture->node = NULL;
}

void
fixture_drop(struct node_fixture *fixture)
{
	fixture_close(fixture);
	zp_read_scratch_free(fixture->scratch);
	zp_buf_done(&fixture->texts);
	fixture_shell(fixture, "rm -rf .");
}

void
fixture_shell(const struct node_fixture *fixture, const char *format, ...)
{
	char command[1024], line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	/* rm of the present directory is refused, so that one is spelled out. */
	if (strcmp(command, "rm -rf .") == 0)
		snprintf(line, sizeof(line), "rm -rf %s", fixture->root);
	else
		snprintf(line, sizeof(line), "cd %s && %s", fixture->root, command);
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

/* ---- Pins ----------------------------------------------------------------------------------- */

struct zp_key
fixture_key(uint64_t n)
{
	struct zp_key key = {.codec = ZP_CODEC_DAG_PB, .version = 1};
	struct zp_hash128 low = zp_hash128_of(&n, sizeof(n));
	struct zp_hash128 high = zp_hash128_of(&low, sizeof(low));

	memcpy(key.digest, &low, 16);
	memcpy(key.digest + 16, &high, 16);
	return key;
}

struct zp_record
fixture_record(const char *name, struct zp_buf *texts)
{
	struct zp_record record = {0};

	zp_buf_clear(texts);
	if (name[0] != '\0') {
		zp_buf_append_byte(texts, ZP_TEXT_NAME);
		zp_buf_append_varint(texts, strlen(name));
		zp_buf_append_text(texts, name);
	}
	record.facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
	record.facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(-1);
	record.facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(-1);
	record.texts = zp_buf_slice(texts);
	return record;
}

int
fixture_write(struct node_fixture *fixture, struct zp_write *write, struct zp_err *err)
{
	struct zp_write_batch batch = {.writes = write, .count = 1};

	return zp_command_write_wait(fixture->node, &batch, err);
}

int
fixture_pin(struct node_fixture *fixture, uint64_t n, const char *name, struct zp_err *err)
{
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_write write = {.kind = ZP_WRITE_PIN, .key = fixture_key(n)};
	int rc;

	write.record = fixture_record(name, &texts);
	rc = fixture_write(fixture, &write, err);
	zp_buf_done(&write.result_texts);
	return rc;
}

int
fixture_unpin(struct node_fixture *fixture, uint64_t n, struct zp_err *err)
{
	struct zp_write write = {.kind = ZP_WRITE_UNPIN, .key = fixture_key(n)};
	int rc = fixture_write(fixture, &write, err);

	zp_buf_done(&write.result_texts);
	return rc;
}

const char *
fixture_name(struct node_fixture *fixture, uint64_t n)
{
	static char name[256];
	struct zp_key key = fixture_key(n);
	struct zp_record record;
	enum zp_text_tag tag;
	struct zp_slice value;
	size_t position = 0;
	struct zp_err err = {0};
	int rc =
	    zp_command_get(fixture->node, &key, fixture->scratch, &fixture->texts, &record, &err);

	if (rc == ZP_E_NOT_FOUND)
		return NULL;
	if (rc < 0)
		fail_msg("%s", err.text);
	name[0] = '\0';
	while (zp_texts_next(record.texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_NAME)
			snprintf(name, sizeof(name), "%.*s", (int)value.length, value.data);
	}
	return name;
}

uint64_t
fixture_count(struct node_fixture *fixture)
{
	struct zp_node_facts facts;
	uint64_t count = 0;

	zp_node_facts_get(fixture->node, &facts);
	for (unsigned i = 0; i < ZP_PIN_TYPE_COUNT; i++)
		count += facts.engines.pins[i];
	return count;
}

uint64_t
fixture_list_count(struct node_fixture *fixture)
{
	struct zp_list *list;
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_key key;
	uint64_t count = 0;
	int rc;

	assert_int_equal(zp_list_open(fixture->node, 0, NULL, &list, &err), 0);
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_OK)
		count++;
	zp_list_close(list);
	if (rc < 0)
		fail_msg("%s", err.text);
	return count;
}
