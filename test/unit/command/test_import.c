/*
 * test_import.c - imports of IPFS Cluster's own exports: merged, replacing, cut short and gone on
 * with, with bad lines and with bare CIDs; and lists of what came of them.
 *
 * Method: test/data has what ipfs-cluster-service 1.1.6 exported; the pinset after an import,
 * printed as it would be exported, must be the same set of lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

static struct zp_buf mixed, plain; /* the two exports */

static void
data_read(const char *name, struct zp_buf *to)
{
	char line[512];
	FILE *pipe;
	size_t got;

	zp_buf_init(to, 64u << 20);
	snprintf(line, sizeof(line), "gzip -dc %s/%s", TEST_DATA, name);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	do {
		uint8_t *at = zp_buf_reserve(to, 65536);

		got = fread(at, 1, 65536, pipe);
		to->length += got;
	} while (got > 0);
	assert_int_equal(pclose(pipe), 0);
	assert_true(to->length > 1000);
}

static uint64_t
lines_of(const struct zp_buf *text)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < text->length; i++)
		lines += text->data[i] == '\n';
	return lines;
}

/* Feeds in chunks of an odd size, waiting where it must. */
static int
feed(struct zp_import *import, const void *bytes, size_t length, struct zp_err *err)
{
	size_t at = 0;

	while (at < length) {
		size_t chunk = zp_min_u64(length - at, 7777), taken;
		int rc = zp_import_feed(import, (const uint8_t *)bytes + at, chunk, &taken, err);

		at += taken;
		if (rc == ZP_OK && taken < chunk)
			rc = zp_import_wait(import, err);
		if (rc < 0)
			return rc;
	}
	return ZP_OK;
}

/* All of it; the failure, or 0. */
static int
import_text(struct node_fixture *fixture, const struct zp_import_options *options,
    const void *bytes, size_t length, struct zp_import_progress *progress, struct zp_err *err)
{
	struct zp_import *import;
	int rc = zp_import_open(fixture->node, options, NULL, NULL, NULL, &import, err);

	if (rc < 0)
		return rc;
	rc = feed(import, bytes, length, err);
	if (rc == ZP_OK)
		rc = zp_import_finish(import, err);
	if (rc == ZP_OK)
		rc = zp_import_wait(import, err);
	zp_ignore(zp_import_progress_get(import, progress, NULL)); /* rc has it */
	zp_import_close(import);
	return rc;
}

static int
compare_lines(const void *a, const void *b)
{
	const struct zp_slice *left = a, *right = b;
	int order = memcmp(left->data, right->data, zp_min_u64(left->length, right->length));

	return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

static struct zp_slice *
lines_sorted(const struct zp_buf *text, size_t *count_out)
{
	struct zp_slice *lines = zp_alloc((lines_of(text) + 1) * sizeof(*lines));
	size_t count = 0, begin = 0;

	for (size_t i = 0; i < text->length; i++) {
		if (text->data[i] != '\n')
			continue;
		lines[count++] = (struct zp_slice){text->data + begin, i - begin};
		begin = i + 1;
	}
	qsort(lines, count, sizeof(*lines), compare_lines);
	*count_out = count;
	return lines;
}

static void
export_all(struct node_fixture *fixture, struct zp_buf *text)
{
	struct zp_list *list;
	struct zp_record record;
	struct zp_slice allocations;
	struct zp_key key;
	struct zp_err err = {0};
	int rc;

	zp_buf_clear(text);
	assert_int_equal(zp_list_open(fixture->node, 0, NULL, &list, &err), 0);
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_OK) {
		rc = zp_tables_allocations_json(zp_node_tables(fixture->node),
		    record.facts[ZP_FACT_ALLOCATIONS], &allocations, &err);
		if (rc == ZP_OK)
			rc = zp_pin_to_json(
			    &key, &record, allocations, &(struct zp_pin_json_style){0}, text, &err);
		if (rc < 0)
			fail_msg("%s", err.text);
		zp_buf_append_byte(text, '\n');
	}
	zp_list_close(list);
	assert_int_equal(rc, ZP_END);
}

/* The node exports the very lines that came in. */
static void
exports_equal(struct node_fixture *fixture, const struct zp_buf *expected)
{
	struct zp_buf text = ZP_BUF_INIT(64u << 20);
	struct zp_slice *left, *right;
	size_t left_count, right_count;

	export_all(fixture, &text);
	left = lines_sorted(expected, &left_count);
	right = lines_sorted(&text, &right_count);
	assert_int_equal(right_count, left_count);
	for (size_t i = 0; i < left_count; i++) {
		if (!zp_slice_equal(left[i], right[i]))
			fail_msg("in:  %.*s\nout: %.*s", (int)left[i].length, left[i].data,
			    (int)right[i].length, right[i].data);
	}
	zp_free(left);
	zp_free(right);
	zp_buf_done(&text);
}

/* What IPFS Cluster exported comes back line by line, also after a stop. */
static void
an_import_comes_back_line_by_line(void **state)
{
	struct node_fixture fixture;
	struct zp_import_options options = {.allocations = ZP_IMPORT_ALLOCATIONS_KEEP};
	struct zp_import_progress progress;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	if (import_text(&fixture, &options, mixed.data, mixed.length, &progress, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(progress.lines, lines_of(&mixed));
	assert_int_equal(progress.lines_durable, progress.lines);
	assert_int_equal(progress.imported, progress.lines);
	assert_int_equal(progress.bytes, mixed.length);
	assert_int_equal(progress.skipped, 0);
	assert_true(progress.finished);
	exports_equal(&fixture, &mixed);
	fixture_close(&fixture);
	fixture_open(&fixture);
	exports_equal(&fixture, &mixed);
	assert_int_equal(fixture_count(&fixture), lines_of(&mixed));
	fixture_drop(&fixture);
}

/* The same lines again write nothing. */
static void
a_repeated_import_writes_nothing(void **state)
{
	struct node_fixture fixture;
	struct zp_import_options options = {.allocations = ZP_IMPORT_ALLOCATIONS_KEEP};
	struct zp_import_progress progress;
	struct zp_node_facts before, after;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	assert_int_equal(
	    import_text(&fixture, &options, mixed.data, mixed.length, &progress, &err), 0);
	zp_node_facts_get(fixture.node, &before);
	assert_int_equal(
	    import_text(&fixture, &options, mixed.data, mixed.length, &progress, &err), 0);
	assert_int_equal(progress.imported, progress.lines);
	zp_node_facts_get(fixture.node, &after);
	assert_int_equal(after.journal.last_batch, before.journal.last_batch);
	fixture_drop(&fixture);
}

/* Merging keeps what is there, replacing does not. */
static void
replacing_removes_what_was_there(void **state)
{
	struct node_fixture fixture;
	struct zp_import_options options = {.allocations = ZP_IMPORT_ALLOCATIONS_KEEP};
	struct zp_import_progress progress;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	for (uint64_t n = 0; n < 10; n++)
		assert_int_equal(fixture_pin(&fixture, n, "before", &err), 0);
	assert_int_equal(
	    import_text(&fixture, &options, plain.data, plain.length, &progress, &err), 0);
	assert_int_equal(fixture_count(&fixture), lines_of(&plain) + 10);
	assert_string_equal(fixture_name(&fixture, 3), "before");
	options.replace = true;
	assert_int_equal(
	    import_text(&fixture, &options, mixed.data, mixed.length, &progress, &err), 0);
	assert_null(fixture_name(&fixture, 3));
	exports_equal(&fixture, &mixed);
	assert_int_equal(fixture_count(&fixture), lines_of(&mixed));
	/* Also with nothing in it. */
	assert_int_equal(import_text(&fixture, &options, NULL, 0, &progress, &err), 0);
	assert_int_equal(fixture_count(&fixture), 0);
	fixture_drop(&fixture);
}

/* Cut short anywhere and gone on with from the stream's own mark, it is the same as in one go; and
 * no line is looked at twice. */
static void
a_stream_goes_on_where_it_was_cut(void **state)
{
	struct zp_import_options options = {
	    .allocations = ZP_IMPORT_ALLOCATIONS_KEEP, .origin = {.id = {'s', 't'}}};
	struct zp_import_progress progress;
	struct zp_err err = {0};

	for (size_t part = 1; part < 4; part++) {
		struct node_fixture fixture;
		struct zp_import *import;
		uint64_t mark;

		fixture_make(&fixture, 4);
		options.replace = part == 2;
		options.lines_done = 0;
		assert_int_equal(
		    zp_import_open(fixture.node, &options, NULL, NULL, NULL, &import, &err), 0);
		assert_int_equal(feed(import, plain.data, plain.length * part / 4, &err), 0);
		zp_import_close(import); /* what was not sent is lost, as at a crash */
		fixture_close(&fixture);
		fixture_open(&fixture);
		mark = zp_command_origin_sequence(fixture.node, options.origin.id);
		assert_true(mark > 0 && mark < lines_of(&plain));
		assert_int_equal(fixture_count(&fixture), mark);
		options.lines_done = mark;
		assert_int_equal(
		    import_text(&fixture, &options, plain.data, plain.length, &progress, &err), 0);
		assert_int_equal(progress.imported, lines_of(&plain) - mark);
		assert_int_equal(progress.lines, lines_of(&plain));
		assert_int_equal(
		    zp_command_origin_sequence(fixture.node, options.origin.id), lines_of(&plain));
		exports_equal(&fixture, &plain);
		fixture_drop(&fixture);
	}
}

struct told {
	uint64_t lines[8];
	size_t count;
};

static void
bad_line_told(void *context, uint64_t line, const char *text)
{
	struct told *told = context;

	assert_true(strlen(text) > 0);
	assert_true(told->count < 8);
	told->lines[told->count++] = line;
}

static const char some_bad[] =
    "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG\n"
    "\n"
    "not a cid\n"
    "  bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy \r\n"
    "{\"cid\":\"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy\",\"name\":7}\n"
    "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"; /* no newline */

/* Bad lines are told with their number and passed over, or end the import with what came before
 * them. */
static void
bad_lines_are_told(void **state)
{
	struct node_fixture fixture;
	struct zp_import_options options = {.skip_bad = true, .origin = {.id = {1}}};
	struct zp_import_progress progress;
	struct told told = {.count = 0};
	struct zp_import *import;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	assert_int_equal(
	    zp_import_open(fixture.node, &options, bad_line_told, NULL, &told, &import, &err), 0);
	assert_int_equal(feed(import, some_bad, sizeof(some_bad) - 1, &err), 0);
	assert_int_equal(zp_import_finish(import, &err), 0);
	assert_int_equal(zp_import_wait(import, &err), 0);
	assert_int_equal(zp_import_progress_get(import, &progress, &err), 0);
	zp_import_close(import);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.lines[0], 3);
	assert_int_equal(told.lines[1], 5);
	assert_int_equal(progress.skipped, 2);
	assert_int_equal(progress.imported, 3);
	assert_int_equal(progress.lines, 6);
	assert_int_equal(fixture_count(&fixture), 3);
	assert_int_equal(zp_command_origin_sequence(fixture.node, options.origin.id), 6);
	fixture_drop(&fixture);

	fixture_make(&fixture, 2);
	options.skip_bad = false;
	assert_int_equal(
	    import_text(&fixture, &options, some_bad, sizeof(some_bad) - 1, &progress, &err),
	    ZP_E_INVALID);
	assert_non_null(strstr(err.text, "line 3"));
	assert_int_equal(fixture_count(&fixture), 1);
	fixture_drop(&fixture);
}

/* A line without an end fails the import once it is too long; one to be passed over is read on. */
static void
an_endless_line_ends_the_import(void **state)
{
	static const uint8_t piece[65536];
	struct node_fixture fixture;

	for (unsigned skip_bad = 0; skip_bad < 2; skip_bad++) {
		struct zp_import_options options = {.skip_bad = skip_bad};
		struct zp_import *import;
		struct zp_err err = {0};
		int rc = 0;

		fixture_make(&fixture, 1);
		assert_int_equal(
		    zp_import_open(fixture.node, &options, NULL, NULL, NULL, &import, &err), 0);
		for (unsigned i = 0; rc == 0 && i < 40; i++) /* 2.5 MiB */
			rc = feed(import, piece, sizeof(piece), &err);
		assert_int_equal(rc, skip_bad ? 0 : ZP_E_TOO_LARGE);
		if (!skip_bad)
			assert_non_null(strstr(err.text, "line 1"));
		zp_import_close(import);
		fixture_drop(&fixture);
	}
}

/* A bare CID is what a pin without options would be. */
static void
a_bare_cid_gets_the_defaults(void **state)
{
	struct node_fixture fixture;
	struct zp_import_options options = {.replace = false};
	struct zp_import_progress progress;
	struct zp_buf text = ZP_BUF_INIT(100000);
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	fixture_close(&fixture);
	fixture.options.replication_min = 1;
	fixture.options.replication_max = 2;
	fixture_open(&fixture);
	assert_int_equal(import_text(&fixture, &options, some_bad, 47, &progress, &err), 0);
	export_all(&fixture, &text);
	zp_buf_append_byte(&text, 0);
	assert_non_null(
	    strstr((char *)text.data, "\"replication_factor_min\":1,\"replication_factor_max\":2"));
	assert_non_null(strstr((char *)text.data, "\"mode\":\"recursive\""));
	assert_non_null(strstr((char *)text.data, "\"allocations\":[\"12D3KooW"));
	assert_null(strstr((char *)text.data, "\"timestamp\":\"0001"));
	zp_buf_done(&text);
	fixture_drop(&fixture);
}

/* Peers can be dropped, or mapped to others as the lines come in. */
static void
allocations_can_be_dropped_and_mapped(void **state)
{
	static const char line[] =
	    "{\"cid\":\"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy\","
	    "\"allocations\":[\"12D3KooWDvY6pisK743Y13jLBBthkZsBo3nZCHWHwqHANQdQPkEL\"],\"max_"
	    "depth\":-1}\n";
	struct node_fixture fixture;
	ZP_AUTO_BUF(old, 256);
	struct zp_import_options options = {.allocations = ZP_IMPORT_ALLOCATIONS_DROP};
	struct zp_import_progress progress;
	struct zp_buf text = ZP_BUF_INIT(100000);
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	assert_int_equal(
	    import_text(&fixture, &options, line, sizeof(line) - 1, &progress, &err), 0);
	export_all(&fixture, &text);
	zp_buf_append_byte(&text, 0);
	assert_non_null(strstr((char *)text.data, "\"allocations\":[]"));
	assert_int_equal(
	    zp_peer_id_parse(
		zp_slice_of("12D3KooWDvY6pisK743Y13jLBBthkZsBo3nZCHWHwqHANQdQPkEL"), &old, &err),
	    0);
	{
		const struct zp_slice map[1][2] = {
		    {zp_buf_slice(&old), {fixture.options.peer_id, fixture.options.peer_id_bytes}}};
		ZP_AUTO_BUF(self, 256);

		options = (struct zp_import_options){
		    .allocations = ZP_IMPORT_ALLOCATIONS_MAP, .map = map, .map_count = 1};
		assert_int_equal(
		    import_text(&fixture, &options, line, sizeof(line) - 1, &progress, &err), 0);
		zp_peer_id_format(map[0][1], &self);
		zp_buf_append_byte(&self, 0);
		export_all(&fixture, &text);
		zp_buf_append_byte(&text, 0);
		assert_non_null(strstr((char *)text.data, (char *)self.data));
		assert_null(strstr((char *)text.data, "DvY6pisK743"));
	}
	zp_buf_done(&text);
	fixture_drop(&fixture);
}

static uint64_t
namespace_count(struct node_fixture *fixture, uint32_t namespace_id)
{
	struct zp_list *list;
	struct zp_record record;
	struct zp_key key;
	struct zp_err err = {0};
	uint64_t count = 0;

	assert_int_equal(zp_list_open(fixture->node, namespace_id, NULL, &list, &err), 0);
	while (zp_list_next(list, &key, &record, &err) == ZP_OK)
		count++;
	zp_list_close(list);
	return count;
}

/* ---- Lists of it ---------------------------------------------------------------------------- */

/* Pages joined by their cursors are the whole list, in key order, whatever their size. */
static void
pages_make_the_list(void **state)
{
	static const size_t sizes[] = {1, 7, 1000, 100000};
	struct node_fixture fixture;
	struct zp_import_options options = {.allocations = ZP_IMPORT_ALLOCATIONS_KEEP};
	struct zp_import_progress progress;
	struct zp_err err = {0};

	fixture_make(&fixture, 8);
	assert_int_equal(
	    import_text(&fixture, &options, mixed.data, mixed.length, &progress, &err), 0);
	for (size_t s = 0; s < ZP_ARRAY_COUNT(sizes); s++) {
		uint8_t cursor[ZP_KEY_BYTES];
		bool has_cursor = false, more = true;
		struct zp_key last = {0};
		uint64_t count = 0;

		while (more) {
			struct zp_list *list;
			struct zp_record record;
			struct zp_key key;
			int rc = ZP_OK;

			assert_int_equal(
			    zp_list_open(fixture.node, 0, has_cursor ? cursor : NULL, &list, &err),
			    0);
			for (size_t i = 0; i < sizes[s] && rc == ZP_OK; i++) {
				rc = zp_list_next(list, &key, &record, &err);
				if (rc != ZP_OK)
					break;
				assert_true(count == 0 || zp_key_compare(&last, &key) < 0);
				last = key;
				count++;
				zp_key_encode(&key, cursor);
				has_cursor = true;
			}
			assert_true(rc >= 0);
			more = rc == ZP_OK;
			zp_list_close(list);
		}
		assert_int_equal(count, lines_of(&mixed));
	}
	assert_int_equal(namespace_count(&fixture, 0), lines_of(&mixed));
	assert_int_equal(namespace_count(&fixture, 1), 0);
	fixture_drop(&fixture);
}

static int
data_load(void **state)
{
	data_read("ipfs-cluster-1.1.6-export-mixed.ndjson.gz", &mixed);
	data_read("ipfs-cluster-1.1.6-export-plain.ndjson.gz", &plain);
	return 0;
}

static int
data_free(void **state)
{
	zp_buf_done(&mixed);
	zp_buf_done(&plain);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_import_comes_back_line_by_line),
	    cmocka_unit_test(an_endless_line_ends_the_import),
	    cmocka_unit_test(a_repeated_import_writes_nothing),
	    cmocka_unit_test(replacing_removes_what_was_there),
	    cmocka_unit_test(a_stream_goes_on_where_it_was_cut),
	    cmocka_unit_test(bad_lines_are_told),
	    cmocka_unit_test(a_bare_cid_gets_the_defaults),
	    cmocka_unit_test(allocations_can_be_dropped_and_mapped),
	    cmocka_unit_test(pages_make_the_list),
	};

	return cmocka_run_group_tests_name("command: import and list", tests, data_load, data_free);
}
