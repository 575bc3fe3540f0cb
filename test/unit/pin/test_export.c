/*
 * Every line of what IPFS Cluster exported comes back byte for byte.
 *
 * Method: each line of the exports goes from JSON to a pin, a record, its encoding, and all the way
 * back; the record that was decoded is encoded once more. The handmade file has what the real
 * exports lack, and each line of the broken one must be refused with a message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "peers.h"

static const char *data_folder;

struct round {
	struct zp_pin pin;
	struct peers peers;
	struct zp_buf texts, encoded, again, allocations, json;
	size_t lines;
};

static void
round_init(struct round *round)
{
	memset(round, 0, sizeof(*round));
	zp_pin_init(&round->pin);
	zp_buf_init(&round->texts, ZP_RECORD_BYTES_MAX);
	zp_buf_init(&round->encoded, ZP_RECORD_BYTES_MAX);
	zp_buf_init(&round->again, ZP_RECORD_BYTES_MAX);
	zp_buf_init(&round->allocations, 1u << 20);
	zp_buf_init(&round->json, 1u << 20);
}

static void
round_done(struct round *round)
{
	zp_pin_done(&round->pin);
	peers_done(&round->peers);
	zp_buf_done(&round->texts);
	zp_buf_done(&round->encoded);
	zp_buf_done(&round->again);
	zp_buf_done(&round->allocations);
	zp_buf_done(&round->json);
}

static void
check_line(struct round *round, struct zp_slice line)
{
	struct zp_record record, decoded;
	struct zp_err err = {0};
	uint8_t key_bytes[ZP_KEY_BYTES];
	struct zp_key key, key_again;
	uint64_t allocations;

	round->lines++;
	if (zp_pin_from_json(line, &round->pin, &err) < 0)
		fail_msg("line %zu: %s", round->lines, err.text);
	allocations = peers_learn(&round->peers, &round->pin);
	if (zp_pin_to_record(&round->pin, allocations, &round->texts, &record, &err) < 0)
		fail_msg("line %zu: %s", round->lines, err.text);
	zp_buf_clear(&round->encoded);
	zp_record_encode(&record, &round->encoded);
	assert_int_equal(zp_record_decode(zp_buf_slice(&round->encoded), &decoded, &err), 0);
	zp_buf_clear(&round->again);
	zp_record_encode(&decoded, &round->again);
	assert_true(zp_slice_equal(zp_buf_slice(&round->encoded), zp_buf_slice(&round->again)));
	zp_key_of_cid(&round->pin.cid, 0, 0, &key);
	zp_key_encode(&key, key_bytes);
	assert_int_equal(zp_key_decode(key_bytes, &key_again, &err), 0);
	assert_int_equal(zp_key_compare(&key, &key_again), 0);
	zp_buf_clear(&round->allocations);
	peers_print(&round->peers, decoded.facts[ZP_FACT_ALLOCATIONS], &round->allocations);
	zp_buf_clear(&round->json);
	if (zp_pin_to_json(&key_again, &decoded, zp_buf_slice(&round->allocations), NULL,
		&round->json, &err) < 0)
		fail_msg("line %zu: %s", round->lines, err.text);
	if (!zp_slice_equal(line, zp_buf_slice(&round->json)))
		fail_msg("line %zu:\n%.*s\n%.*s", round->lines, (int)line.length, line.data,
		    (int)round->json.length, round->json.data);
}

/* Gives each line of `command`'s output to `check`. */
static void
each_line(const char *command_format, const char *file,
    void (*check)(struct round *round, struct zp_slice line), size_t lines_expected)
{
	char command[4096];
	struct round round;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;
	FILE *lines;

	round_init(&round);
	snprintf(command, sizeof(command), command_format, data_folder, file);
	lines = popen(command, "r");
	assert_non_null(lines);
	while ((length = getline(&line, &capacity, lines)) > 0) {
		assert_int_equal(line[length - 1], '\n');
		check(&round,
		    (struct zp_slice){.data = (const uint8_t *)line, .length = (size_t)length - 1});
	}
	assert_int_equal(pclose(lines), 0);
	assert_int_equal(round.lines, lines_expected);
	free(line);
	round_done(&round);
}

static void
real_exports_come_back(void **state)
{
	(void)state;
	each_line("zcat '%s/%s'", "ipfs-cluster-1.1.6-export-plain.ndjson.gz", check_line, 21984);
	each_line("zcat '%s/%s'", "ipfs-cluster-1.1.6-export-mixed.ndjson.gz", check_line, 6000);
}

static void
handmade_lines_come_back(void **state)
{
	(void)state;
	each_line("cat '%s/%s'", "handmade.ndjson", check_line, 49);
}

/* Refused by the reader, or at the latest when the record is made; never without a message. */
static void
check_broken(struct round *round, struct zp_slice line)
{
	struct zp_err err = {0};
	struct zp_record record;
	int rc = zp_pin_from_json(line, &round->pin, &err);

	round->lines++;
	if (rc == ZP_OK)
		rc = zp_pin_to_record(&round->pin, 0, &round->texts, &record, &err);
	if (rc >= 0)
		fail_msg("line %zu was taken: %.200s", round->lines, (const char *)line.data);
	assert_true(rc == ZP_E_INVALID || rc == ZP_E_TOO_LARGE);
	assert_int_equal(err.code, rc);
	assert_true(strlen(err.text) > 0);
}

static void
broken_lines_are_refused(void **state)
{
	(void)state;
	each_line("cat '%s/%s'", "handmade-broken.ndjson", check_broken, 102);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(real_exports_come_back),
	    cmocka_unit_test(handmade_lines_come_back),
	    cmocka_unit_test(broken_lines_are_refused),
	};

	data_folder = argc > 1 ? argv[1] : "test/data";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
