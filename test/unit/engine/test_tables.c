/*
 * test_tables.c - peers, allocation lists and moves: in memory, as a file, and read while one adds.
 *
 * Method: a model of plain arrays says what each list reads as; JSON is compared as text. The file
 * is flipped bit by bit, and made anew from what it was decoded to. Readers and a copier run beside
 * the adder (under ThreadSanitizer too).
 */
#include "engine/engine_internal.h"
#include "engine_golden.h"

#include <pthread.h>
#include <stdatomic.h>

#define FILE_BYTES (1u << 24)

/* A binary peer id that is different for each number: a sha2-256 multihash. */
static struct zp_slice
peer_binary(uint32_t number, uint8_t bytes[34])
{
	bytes[0] = 0x12;
	bytes[1] = 32;
	for (uint32_t i = 0; i < 4; i++)
		zp_store_u64le(bytes + 2 + 8 * i, zp_hash64(&number, sizeof(number), i));
	return (struct zp_slice){bytes, 34};
}

static void
peers_add(struct zp_tables *tables, uint32_t count)
{
	struct zp_err err = {0};
	uint8_t bytes[34];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = zp_tables_peer_next(tables);

		assert_int_equal(
		    zp_tables_peer_add(tables, id, peer_binary(id, bytes), &err), ZP_OK);
	}
}

static uint32_t
list_add(struct zp_tables *tables, size_t count, const uint32_t *peers)
{
	uint32_t id = zp_tables_list_next(tables);
	struct zp_err err = {0};

	if (zp_tables_list_add(tables, id, peers, count, &err) != ZP_OK)
		fail_msg("%s", err.text);
	return id;
}

/* The JSON of these peers. */
static void
json_of(const uint32_t *peers, size_t count, struct zp_buf *json)
{
	uint8_t bytes[34];

	zp_buf_clear(json);
	zp_buf_append_byte(json, '[');
	for (size_t i = 0; i < count; i++) {
		zp_buf_append_text(json, i == 0 ? "\"" : ",\"");
		zp_peer_id_format(peer_binary(peers[i], bytes), json);
		zp_buf_append_byte(json, '"');
	}
	zp_buf_append_byte(json, ']');
}

static void
expect_list(const struct zp_tables *tables, uint32_t list, size_t count, const uint32_t *peers)
{
	ZP_AUTO_BUF(expected, 1 << 20);
	struct zp_err err = {0};
	struct zp_slice json;

	json_of(peers, count, &expected);
	assert_int_equal(
	    zp_tables_allocations_json(tables, (uint64_t)list << 1, &json, &err), ZP_OK);
	assert_int_equal(json.length, expected.length);
	assert_memory_equal(json.data, expected.data, json.length);
}

#define LIST(...)                                                            \
	(sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)), (uint32_t[]) \
	{                                                                    \
		__VA_ARGS__                                                  \
	}

/* ---- In memory ------------------------------------------------------------------------------ */

static void
entries_are_found_by_id_and_by_content(void **state)
{
	struct zp_tables *tables = zp_tables_new();
	struct zp_err err = {0};
	struct zp_slice json;
	uint8_t bytes[34];

	(void)state;
	assert_int_equal(zp_tables_peer_find(tables, peer_binary(1, bytes)), 0);
	assert_int_equal(zp_tables_list_find(tables, (uint32_t[]){1}, 1), 0);
	peers_add(tables, 9000); /* over two chunks, and the index grows */
	for (uint32_t id = 1; id <= 9000; id++)
		assert_int_equal(zp_tables_peer_find(tables, peer_binary(id, bytes)), id);
	assert_int_equal(zp_tables_peer_find(tables, peer_binary(9001, bytes)), 0);
	for (uint32_t i = 1; i < 9000; i++)
		assert_int_equal(list_add(tables, LIST(i, i + 1)), i);
	for (uint32_t i = 1; i < 9000; i++)
		assert_int_equal(zp_tables_list_find(tables, (uint32_t[]){i, i + 1}, 2), i);
	assert_int_equal(zp_tables_list_find(tables, (uint32_t[]){2, 1}, 2), 0); /* order counts */
	assert_int_equal(zp_tables_list_find(tables, (uint32_t[]){1}, 1), 0);
	expect_list(tables, 4096, LIST(4096, 4097));
	assert_int_equal(zp_tables_allocations_json(tables, 0, &json, &err), ZP_OK);
	assert_true(zp_slice_is(json, "[]"));
	assert_int_equal(zp_tables_allocations_json(tables, 2 * 9000, &json, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_allocations_json(tables, 3, &json, &err), ZP_E_CORRUPT);
	assert_int_equal(
	    zp_tables_allocations_json(tables, UINT64_MAX - 1, &json, &err), ZP_E_CORRUPT);
	zp_tables_free(tables);
}

/* Refused: gaps, other content under an id, 0, unknown peers, empty and too long lists and ids. The
 * same again is fine and changes nothing, for replay says it all again. */
static void
what_does_not_fit_is_refused(void **state)
{
	struct zp_tables *tables = zp_tables_new();
	uint32_t peers[ZP_ALLOCATIONS_COUNT_MAX + 1];
	struct zp_err err = {0};
	uint8_t bytes[34], long_id[ZP_PEER_ID_BYTES_MAX + 1] = {1};
	uint64_t generation;

	(void)state;
	peers_add(tables, 3);
	list_add(tables, LIST(3, 1));
	generation = zp_tables_generation(tables);
	assert_int_equal(zp_tables_peer_add(tables, 3, peer_binary(3, bytes), &err), ZP_OK);
	assert_int_equal(zp_tables_list_add(tables, 1, (uint32_t[]){3, 1}, 2, &err), ZP_OK);
	assert_int_equal(zp_tables_peer_add(tables, 3, peer_binary(2, bytes), &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_peer_add(tables, 5, peer_binary(5, bytes), &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_peer_add(tables, 0, peer_binary(5, bytes), &err), ZP_E_CORRUPT);
	assert_int_equal(
	    zp_tables_peer_add(tables, 4, (struct zp_slice){bytes, 0}, &err), ZP_E_INVALID);
	assert_int_equal(
	    zp_tables_peer_add(tables, 4, (struct zp_slice){long_id, sizeof(long_id)}, &err),
	    ZP_E_INVALID);
	assert_int_equal(zp_tables_list_add(tables, 1, (uint32_t[]){1, 3}, 2, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_list_add(tables, 3, (uint32_t[]){1}, 1, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_list_add(tables, 2, (uint32_t[]){4}, 1, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_list_add(tables, 2, (uint32_t[]){0}, 1, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_tables_list_add(tables, 2, peers, 0, &err), ZP_E_INVALID);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(peers); i++)
		peers[i] = 1 + i % 3;
	assert_int_equal(
	    zp_tables_list_add(tables, 2, peers, ZP_ARRAY_COUNT(peers), &err), ZP_E_INVALID);
	assert_int_equal(zp_tables_generation(tables), generation);
	assert_int_equal(
	    zp_tables_list_add(tables, 2, peers, ZP_ALLOCATIONS_COUNT_MAX, &err), ZP_OK);
	assert_true(zp_tables_generation(tables) > generation);
	zp_tables_free(tables);
}

/* Lists follow chains of moves, whatever the order they came in; a peer that stands twice then is
 * said once, where it stood first. Texts that were handed out before stay as they were. */
static void
moved_peers_read_as_what_they_became(void **state)
{
	struct zp_tables *tables = zp_tables_new();
	struct zp_slice before, again;
	struct zp_err err = {0};
	char copy[4096];

	(void)state;
	peers_add(tables, 6);
	list_add(tables, LIST(1, 2, 3));
	list_add(tables, LIST(4, 5));
	assert_int_equal(zp_tables_allocations_json(tables, 2, &before, &err), ZP_OK);
	memcpy(copy, before.data, before.length);
	assert_int_equal(zp_tables_peer_move(tables, 1, 4, &err), ZP_OK);
	expect_list(tables, 1, LIST(4, 2, 3));
	assert_int_equal(zp_tables_peer_move(tables, 4, 6, &err), ZP_OK);
	expect_list(tables, 1, LIST(6, 2, 3));
	expect_list(tables, 2, LIST(6, 5));
	assert_int_equal(zp_tables_peer_move(tables, 3, 1, &err), ZP_OK);
	expect_list(tables, 1, LIST(6, 2));
	assert_int_equal(zp_tables_peer_move(tables, 3, 2, &err), ZP_OK); /* moved elsewhere */
	expect_list(tables, 1, LIST(6, 2));
	assert_int_equal(zp_tables_peer_move(tables, 3, 5, &err), ZP_OK);
	expect_list(tables, 1, LIST(6, 2, 5));
	assert_memory_equal(before.data, copy, before.length);
	/* A list that is made after the moves has them too. */
	expect_list(tables, list_add(tables, LIST(1, 4, 3)), LIST(6, 5));
	/* A move that no list names keeps their texts. */
	assert_int_equal(zp_tables_allocations_json(tables, 4, &before, &err), ZP_OK);
	assert_int_equal(zp_tables_peer_move(tables, 2, 3, &err), ZP_OK);
	assert_int_equal(zp_tables_allocations_json(tables, 4, &again, &err), ZP_OK);
	assert_ptr_equal(before.data, again.data);
	zp_tables_free(tables);
}

/* No order of moves makes a circle: those that would close one are refused and change nothing. The
 * lists are read after each, which would never end. */
static void
moves_never_go_in_a_circle(void **state)
{
	enum { PEERS = 6 };
	struct zp_err err = {0};
	unsigned refused = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct zp_tables *tables = zp_tables_new();
		uint32_t moved[PEERS + 1] = {0}; /* the model */

		peers_add(tables, PEERS);
		list_add(tables, LIST(1, 2, 3, 4, 5, 6));
		for (uint64_t step = 0; step < 20; step++) {
			uint64_t numbers[] = {seed, step};
			uint64_t random = zp_hash64(numbers, sizeof(numbers), 0);
			uint32_t from = 1 + random % PEERS, to = 1 + (random >> 32) % PEERS;
			bool circle = false, seen[PEERS + 1] = {false};
			uint32_t expected[PEERS];
			size_t count = 0;

			for (uint32_t at = to; at != 0; at = moved[at])
				circle = circle || at == from;
			if (moved[from] == to)
				circle = false; /* it is so already */
			assert_int_equal(zp_tables_peer_move(tables, from, to, &err),
			    circle ? ZP_E_INVALID : ZP_OK);
			refused += circle;
			if (!circle)
				moved[from] = to;
			for (uint32_t id = 1; id <= PEERS; id++) {
				uint32_t at = id;

				while (moved[at] != 0)
					at = moved[at];
				if (!seen[at])
					expected[count++] = at;
				seen[at] = true;
			}
			expect_list(tables, 1, count, expected);
		}
		assert_int_equal(zp_tables_peer_move(tables, 0, 1, &err), ZP_E_NOT_FOUND);
		assert_int_equal(zp_tables_peer_move(tables, 1, PEERS + 1, &err), ZP_E_NOT_FOUND);
		zp_tables_free(tables);
	}
	assert_true(refused > 500);
}

/* At each limit, the file's own among them, full is an error, and what is full can still be
 * written. */
static void
full_is_an_error(void **state)
{
	struct zp_tables *tables = zp_tables_new();
	uint32_t peers[ZP_ALLOCATIONS_COUNT_MAX];
	ZP_AUTO_BUF(file, TABLES_BYTES_MAX);
	struct zp_err err = {0};
	uint8_t bytes[34];
	uint32_t id;
	int rc = ZP_OK;

	(void)state;
	peers_add(tables, ZP_PEERS_MAX - 1);
	assert_int_equal(
	    zp_tables_peer_add(tables, ZP_PEERS_MAX, peer_binary(1, bytes), &err), ZP_E_FULL);
	/* Long lists, so that the file is full long before the number of lists is. */
	for (id = 1; rc == ZP_OK; id++) {
		assert_true(id < ZP_ALLOCATION_LISTS_MAX);
		for (size_t i = 0; i < ZP_ALLOCATIONS_COUNT_MAX; i++)
			peers[i] = 1 + id % 60000;
		peers[1] = 1 + id / 60000;
		rc = zp_tables_list_add(tables, id, peers, ZP_ALLOCATIONS_COUNT_MAX, &err);
	}
	assert_int_equal(rc, ZP_E_FULL);
	for (rc = ZP_OK, peers[0] = 1; rc == ZP_OK; peers[0]++) /* the last bytes */
		rc = zp_tables_list_add(tables, zp_tables_list_next(tables), peers, 1, &err);
	assert_int_equal(rc, ZP_E_FULL);
	assert_int_equal(zp_tables_peer_move(tables, 1, 2, &err), ZP_E_FULL);
	zp_tables_encode(tables, &file);
	assert_int_equal(zp_buf_check(&file, "tables", &err), ZP_OK);
	zp_tables_free(tables);
}

/* ---- The file ------------------------------------------------------------------------------- */

static struct zp_tables *
example(void)
{
	struct zp_tables *tables = zp_tables_new();
	struct zp_err err = {0};

	peers_add(tables, 5);
	list_add(tables, LIST(1, 2, 3));
	list_add(tables, LIST(5));
	list_add(tables, LIST(3, 2, 1, 4));
	assert_int_equal(zp_tables_peer_move(tables, 3, 1, &err), ZP_OK);
	assert_int_equal(zp_tables_peer_move(tables, 1, 5, &err), ZP_OK);
	return tables;
}

static void
example_check(const struct zp_tables *tables)
{
	uint8_t bytes[34];

	assert_int_equal(zp_tables_peer_next(tables), 6);
	assert_int_equal(zp_tables_list_next(tables), 4);
	for (uint32_t id = 1; id <= 5; id++)
		assert_int_equal(zp_tables_peer_find(tables, peer_binary(id, bytes)), id);
	assert_int_equal(zp_tables_list_find(tables, (uint32_t[]){3, 2, 1, 4}, 4), 3);
	expect_list(tables, 1, LIST(5, 2));
	expect_list(tables, 2, LIST(5));
	expect_list(tables, 3, LIST(5, 2, 4));
}

static void
golden_file_is_the_same(void **state)
{
	struct zp_tables *tables = example(), *kept_tables;
	ZP_AUTO_BUF(file, FILE_BYTES);
	ZP_AUTO_BUF(kept, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	zp_tables_encode(tables, &file);
	golden_compare("tables-v1.tab", &file, &kept);
	assert_int_equal(zp_tables_decode(zp_buf_slice(&kept), &kept_tables, &err), ZP_OK);
	example_check(kept_tables);
	zp_tables_encode(kept_tables, &file);
	assert_memory_equal(file.data, kept.data, kept.length);
	zp_tables_free(tables);
	zp_tables_free(kept_tables);
}

static void
any_flipped_bit_or_lost_end_is_reported(void **state)
{
	struct zp_tables *tables = example(), *out = NULL;
	ZP_AUTO_BUF(file, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	zp_tables_encode(tables, &file);
	for (size_t bit = 0; bit < 8 * file.length; bit++) {
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(zp_tables_decode(zp_buf_slice(&file), &out, &err), ZP_E_CORRUPT);
		assert_int_equal(err.code, ZP_E_CORRUPT);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t length = 0; length < file.length; length++)
		assert_int_equal(zp_tables_decode((struct zp_slice){file.data, length}, &out, &err),
		    ZP_E_CORRUPT);
	assert_null(out);
	zp_tables_free(tables);
}

struct field {
	uint16_t tag;
	uint32_t numbers[3];
	size_t bytes;
};

/* Whole files that say what cannot be: each is damage. */
static void
a_contradiction_is_damage(void **state)
{
	static const struct field cases[][4] = {
	    {{1, {1, 7}, 8}, {1, {1, 7}, 8}},                 /* a peer twice */
	    {{1, {2, 7}, 8}},                                 /* a gap */
	    {{1, {0, 7}, 8}},                                 /* 0 is no id */
	    {{1, {1}, 4}},                                    /* an empty peer id */
	    {{1, {1}, 3}},                                    /* not even an id */
	    {{1, {1, 7}, 8}, {2, {1, 2}, 8}},                 /* a list of an unknown peer */
	    {{1, {1, 7}, 8}, {2, {1}, 4}},                    /* an empty list */
	    {{1, {1, 7}, 8}, {2, {1, 1}, 7}},                 /* half a peer */
	    {{1, {1, 7}, 8}, {2, {1, 1}, 8}, {2, {1, 1}, 8}}, /* a list twice */
	    {{1, {1, 7}, 8}, {1, {2, 8}, 8}, {3, {1, 1}, 8}}, /* moved to itself */
	    {{1, {1, 7}, 8}, {1, {2, 8}, 8}, {3, {1, 2}, 8}, {3, {2, 1}, 8}}, /* a circle */
	    {{1, {1, 7}, 8}, {1, {2, 8}, 8}, {3, {1, 2}, 8}, {3, {1, 2}, 8}}, /* moved twice */
	    {{1, {1, 7}, 8}, {3, {1, 2}, 8}}, /* to an unknown one */
	    {{1, {1, 7}, 8}, {3, {1, 1}, 12}}, {{2, {1, 1}, 8}, {1, {1, 7}, 8}}, /* tags fall */
	};
	struct zp_tables *out = NULL;
	struct zp_err err = {0};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		ZP_AUTO_BUF(file, FILE_BYTES);

		zp_envelope_begin(&file, "ZPINtabl");
		for (size_t j = 0; j < 4 && cases[i][j].tag != 0; j++)
			zp_envelope_field(
			    &file, cases[i][j].tag, cases[i][j].numbers, cases[i][j].bytes);
		zp_envelope_end(&file);
		if (zp_tables_decode(zp_buf_slice(&file), &out, &err) != ZP_E_CORRUPT)
			fail_msg("case %zu was taken", i);
		assert_int_equal(err.code, ZP_E_CORRUPT);
	}
}

/* A newer zpin's file is not called damaged. */
static void
a_newer_file_is_said_to_be_newer(void **state)
{
	struct zp_tables *out = NULL;
	struct zp_err err = {0};

	(void)state;
	for (size_t at = 16; at <= 40; at += at == 16 ? 16 : 8) {
		ZP_AUTO_BUF(file, FILE_BYTES);

		zp_envelope_begin(&file, "ZPINtabl");
		file.data[at] = 2;
		zp_envelope_end(&file);
		assert_int_equal(zp_tables_decode(zp_buf_slice(&file), &out, &err), ZP_E_VERSION);
		assert_int_equal(err.code, ZP_E_VERSION);
	}
	for (uint16_t tag = 4; tag <= 5;
	     tag++) { /* a field that is reserved, and one that is not known */
		ZP_AUTO_BUF(file, FILE_BYTES);

		zp_envelope_begin(&file, "ZPINtabl");
		zp_envelope_field(&file, tag, "12345678", 8);
		zp_envelope_end(&file);
		assert_int_equal(zp_tables_decode(zp_buf_slice(&file), &out, &err), ZP_E_VERSION);
	}
}

/* ---- One adds, others read and copy --------------------------------------------------------- */

struct shared {
	struct zp_tables *tables;
	_Atomic(bool) done;
	_Atomic(uint32_t) copies;
	_Atomic(uint32_t) wrong;
};

/* A list's text is a JSON array of one to four peers; that is enough to see one that is torn. */
static bool
text_is_whole(struct zp_slice json)
{
	size_t quotes = 0;

	for (size_t i = 0; i < json.length; i++)
		quotes += json.data[i] == '"';
	return json.length > 40 && json.data[0] == '[' && json.data[json.length - 1] == ']' &&
	       quotes >= 2 && quotes <= 8 && quotes % 2 == 0;
}

static void *
reader_run(void *context)
{
	struct shared *shared = context;

	while (!shared->done) {
		uint32_t lists = zp_tables_list_next(shared->tables);

		for (uint32_t id = 1; id < lists; id++) {
			struct zp_slice json;

			if (zp_tables_allocations_json(
				shared->tables, (uint64_t)id << 1, &json, NULL) != ZP_OK ||
			    !text_is_whole(json))
				shared->wrong++;
		}
	}
	return NULL;
}

/* Every copy decodes, and is at least what was there when it was begun. */
static void *
copier_run(void *context)
{
	struct shared *shared = context;

	while (!shared->done || shared->copies == 0) {
		ZP_AUTO_BUF(file, FILE_BYTES);
		uint32_t lists = zp_tables_list_next(shared->tables);
		struct zp_tables *copy = NULL;

		zp_tables_encode(shared->tables, &file);
		if (zp_tables_decode(zp_buf_slice(&file), &copy, NULL) != ZP_OK ||
		    zp_tables_list_next(copy) < lists)
			shared->wrong++;
		zp_tables_free(copy);
		shared->copies++;
	}
	return NULL;
}

static void
readers_and_copies_see_whole_things(void **state)
{
	struct shared shared = {.tables = zp_tables_new()};
	pthread_t reader, copier;
	struct zp_err err = {0};

	(void)state;
	pthread_create(&reader, NULL, reader_run, &shared);
	pthread_create(&copier, NULL, copier_run, &shared);
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t peer = i / 2 + 1;

		if (i % 2 == 0)
			peers_add(shared.tables, 1);
		list_add(shared.tables, LIST(peer, 1 + i % peer, 1 + i * 7 % peer, 1));
		if (i % 10 == 0) { /* most of them moved before: elsewhere now, or refused */
			int rc = zp_tables_peer_move(
			    shared.tables, 1 + i * 13 % peer, 1 + i * 31 % peer, &err);

			assert_true(rc == ZP_OK || rc == ZP_E_INVALID);
		}
	}
	for (uint32_t i = 0; shared.copies < 20;
	     i++) /* two peers that change places all the time */
		zp_ignore(zp_tables_peer_move(shared.tables, 2 + i % 3, 2 + i * 5 % 3, &err));
	shared.done = true;
	pthread_join(reader, NULL);
	pthread_join(copier, NULL);
	assert_int_equal(shared.wrong, 0);
	zp_tables_free(shared.tables);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_are_found_by_id_and_by_content),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	    cmocka_unit_test(moved_peers_read_as_what_they_became),
	    cmocka_unit_test(moves_never_go_in_a_circle),
	    cmocka_unit_test(full_is_an_error),
	    cmocka_unit_test(golden_file_is_the_same),
	    cmocka_unit_test(any_flipped_bit_or_lost_end_is_reported),
	    cmocka_unit_test(a_contradiction_is_damage),
	    cmocka_unit_test(a_newer_file_is_said_to_be_newer),
	    cmocka_unit_test(readers_and_copies_see_whole_things),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
