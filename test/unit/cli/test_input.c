/*
 * test_input.c - files as they are, by gzip and by zstd give the same bytes; cut and damaged ones
 * are errors; lines are cut alike however the blocks fall; members of JSON become text.
 */
#include "cli/cli_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char path[] = "/tmp/zpin-input-XXXXXX";

static int
file_make(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd < 0;
}

static int
file_remove(void **state)
{
	(void)state;
	return unlink(path);
}

static void
file_write(const void *data, size_t length)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	if (length > 0)
		assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* Text that compresses, is longer than any buffer inside, and tells its place. */
static void
text_make(struct zp_buf *text, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		zp_buf_printf(text, "line %zu of some text\n", i);
}

static void
gzip_add(struct zp_buf *to, struct zp_slice text)
{
	z_stream gzip = {0};

	assert_int_equal(deflateInit2(&gzip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	gzip.next_in = (Bytef *)text.data;
	gzip.avail_in = (uInt)text.length;
	gzip.avail_out = (uInt)deflateBound(&gzip, text.length);
	gzip.next_out = zp_buf_reserve(to, gzip.avail_out);
	assert_int_equal(deflate(&gzip, Z_FINISH), Z_STREAM_END);
	to->length += gzip.total_out;
	deflateEnd(&gzip);
}

static void
zstd_add(struct zp_buf *to, struct zp_slice text)
{
	size_t bound = ZSTD_compressBound(text.length);
	size_t length = ZSTD_compress(zp_buf_reserve(to, bound), bound, text.data, text.length, 3);

	assert_false(ZSTD_isError(length));
	to->length += length;
}

/* Reads the file in pieces of `piece` bytes, after a peek. */
static int
file_read(size_t piece, struct zp_buf *to, struct zp_err *err)
{
	struct cli_input *input = NULL;
	struct zp_slice head;
	size_t length = 1;
	int rc = cli__input_open(path, &input, err);

	if (rc == 0)
		rc = cli__input_peek(input, &head, err);
	while (rc == 0 && length > 0) {
		rc = cli__input_read(input, zp_buf_reserve(to, piece), piece, &length, err);
		if (rc == 0)
			to->length += length;
	}
	if (rc == 0)
		assert_true(cli__input_share(input) == 1 || to->length == 0);
	cli__input_close(input);
	return rc;
}

enum form {
	PLAIN,
	GZIP,
	ZSTD,
	FORM_COUNT,
};

static void
form_add(enum form form, struct zp_buf *to, struct zp_slice text)
{
	if (form == GZIP)
		gzip_add(to, text);
	else if (form == ZSTD)
		zstd_add(to, text);
	else
		zp_buf_append_slice(to, text);
}

/* Also with two members or frames behind each other, as `cat a.gz b.gz` makes. */
static void
every_form_gives_the_same_bytes(void **state)
{
	static const size_t lines[] = {0, 1, 3000, 20000};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(lines); i++) {
		for (enum form form = PLAIN; form < FORM_COUNT; form++) {
			ZP_AUTO_BUF(text, 1u << 22);
			ZP_AUTO_BUF(both, 1u << 22);
			ZP_AUTO_BUF(stored, 1u << 22);
			ZP_AUTO_BUF(back, 1u << 22);
			struct zp_err err = {0};

			text_make(&text, lines[i]);
			form_add(form, &stored, zp_buf_slice(&text));
			form_add(form, &stored, zp_buf_slice(&text));
			zp_buf_append_slice(&both, zp_buf_slice(&text));
			zp_buf_append_slice(&both, zp_buf_slice(&text));
			file_write(stored.data, stored.length);
			assert_int_equal(file_read(lines[i] > 10 ? 5000 : 1, &back, &err), 0);
			assert_int_equal(back.length, both.length);
			assert_memory_equal(back.data, both.data, back.length);
		}
	}
}

/* Half a pinset must not look like a whole one. */
static void
every_cut_of_compressed_data_is_an_error(void **state)
{
	(void)state;
	for (enum form form = GZIP; form < FORM_COUNT; form++) {
		ZP_AUTO_BUF(text, 1u << 16);
		ZP_AUTO_BUF(stored, 1u << 16);

		text_make(&text, 40);
		form_add(form, &stored, zp_buf_slice(&text));
		for (size_t length = 4; length < stored.length; length++) {
			ZP_AUTO_BUF(back, 1u << 16);
			struct zp_err err = {0};

			file_write(stored.data, length);
			assert_int_equal(file_read(512, &back, &err), ZP_E_CORRUPT);
		}
	}
}

/* gzip has a CRC, zstd's is on in the tool but not here: at least nothing breaks. */
static void
damage_is_reported_or_harmless(void **state)
{
	(void)state;
	for (enum form form = GZIP; form < FORM_COUNT; form++) {
		ZP_AUTO_BUF(text, 1u << 16);
		ZP_AUTO_BUF(stored, 1u << 16);

		text_make(&text, 40);
		form_add(form, &stored, zp_buf_slice(&text));
		for (size_t at = 10; at < stored.length; at++) {
			ZP_AUTO_BUF(back, 1u << 20);
			struct zp_err err = {0};
			int rc;

			stored.data[at] ^= 0x55;
			file_write(stored.data, stored.length);
			rc = file_read(512, &back, &err);
			assert_true(rc == ZP_E_CORRUPT || (rc == 0 && form == ZSTD));
			stored.data[at] ^= 0x55;
		}
	}
}

static void
a_missing_file_is_an_error(void **state)
{
	struct cli_input *input;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(cli__input_open("/nowhere/file", &input, &err), ZP_E_INVALID);
	assert_true(cli__input_open("/tmp", &input, &err) < 0);
}

/* The same file has the same name; a longer one that begins alike has another. */
static void
an_input_is_known_again(void **state)
{
	ZP_AUTO_BUF(text, 1u << 20);
	char names[3][33];

	(void)state;
	text_make(&text, 20000);
	for (int i = 0; i < 3; i++) {
		struct cli_input *input;
		struct zp_err err = {0};
		bool is_file;

		if (i != 1)
			file_write(text.data, text.length - (i == 2));
		assert_int_equal(cli__input_open(path, &input, &err), 0);
		assert_int_equal(cli__input_name(input, names[i], &is_file, &err), 0);
		assert_true(is_file);
		assert_int_equal(strlen(names[i]), 32);
		cli__input_close(input);
	}
	assert_string_equal(names[0], names[1]);
	assert_string_not_equal(names[0], names[2]);
}

/* A file that changed behind its head, with the length and the time of modification that it had, is
 * another; so is a copy with them. */
static void
a_changed_input_is_not_known_again(void **state)
{
	ZP_AUTO_BUF(text, 4u << 20);
	struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	char names[3][33];

	(void)state;
	text_make(&text, 20000);
	for (int i = 0; i < 3; i++) {
		struct cli_input *input;
		struct zp_err err = {0};
		bool is_file;
		int fd = open(path, i == 0 ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY, 0600);

		if (i == 2) { /* a copy that takes the other's place */
			close(fd);
			assert_int_equal(unlink(path), 0);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		}
		if (i == 1)
			text.data[text.length - 2] ^= 1;
		/* The file system's clock goes in steps. */
		usleep(20000);
		assert_int_equal(write(fd, text.data, text.length), text.length);
		assert_int_equal(futimens(fd, times), 0);
		close(fd);
		assert_int_equal(cli__input_open(path, &input, &err), 0);
		assert_int_equal(cli__input_name(input, names[i], &is_file, &err), 0);
		cli__input_close(input);
	}
	assert_string_not_equal(names[0], names[1]);
	assert_string_not_equal(names[1], names[2]);
}

static int
line_note(void *context, struct zp_slice line, struct zp_err *err)
{
	(void)err;
	zp_buf_append_slice(context, line);
	zp_buf_append_byte(context, '|');
	return zp_slice_is(line, "stop") ? ZP_E_INVALID : 0;
}

static void
lines_do_not_depend_on_blocks(void **state)
{
	const char *text = "one\n\n two \r\n\n\nthree";

	(void)state;
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		ZP_AUTO_BUF(seen, 256);
		struct cli_lines lines;
		struct zp_err err = {0};

		cli__lines_init(&lines, line_note, &seen);
		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t length = zp_min_u64(piece, strlen(text) - at);

			assert_int_equal(
			    cli__lines_add(&lines,
				(struct zp_slice){(const uint8_t *)text + at, length}, &err),
			    0);
		}
		assert_int_equal(cli__lines_end(&lines, &err), 0);
		assert_true(zp_slice_is(zp_buf_slice(&seen), "one| two|three|"));
		cli__lines_done(&lines);
	}
}

static void
lines_stop_and_are_limited(void **state)
{
	static const uint8_t block[65536] = "xxxx";
	ZP_AUTO_BUF(seen, 1u << 20);
	struct cli_lines lines;
	struct zp_err err = {0};
	int rc = 0;

	(void)state;
	cli__lines_init(&lines, line_note, &seen);
	assert_int_equal(cli__lines_add(&lines, zp_slice_of("a\nstop\nb\n"), &err), ZP_E_INVALID);
	assert_true(zp_slice_is(zp_buf_slice(&seen), "a|stop|"));
	cli__lines_done(&lines);

	cli__lines_init(&lines, line_note, &seen);
	for (unsigned i = 0; rc == 0 && i <= CLI_LINE_BYTES_MAX / sizeof(block); i++)
		rc = cli__lines_add(&lines, (struct zp_slice){block, sizeof(block)}, &err);
	assert_int_equal(rc, ZP_E_TOO_LARGE);
	cli__lines_done(&lines);
}

static void
members_become_text(void **state)
{
	static const char *const names[] = {"s", "n", "b", "z", "a", "o", "missing"};
	static const char *const expected[] = {
	    "a\"\xc3\xbc", "-12", "true", "", "x,y,3", "{\"k\":[1]}", ""};
	const char *object = "{\"other\": {\"s\": 1}, \"s\": \"a\\\"\\u00fc\", \"n\": -12 , "
			     "\"b\": true, \"z\": null, \"a\": [\"x\", \"y\", 3], "
			     "\"o\": {\"k\":[1]}}";
	struct zp_buf values[ZP_ARRAY_COUNT(names)];
	struct zp_err err = {0};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		zp_buf_init(&values[i], 64);
	assert_int_equal(
	    cli__pick(zp_slice_of(object), names, values, ZP_ARRAY_COUNT(names), &err), 0);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		assert_true(zp_slice_is(zp_buf_slice(&values[i]), expected[i]));
	assert_int_equal(cli__pick(zp_slice_of("[1]"), names, values, 1, &err), ZP_E_IO);
	assert_int_equal(cli__pick(zp_slice_of("{\"s\":1}x"), names, values, 1, &err), ZP_E_IO);
	assert_int_equal(cli__pick(zp_slice_of("<html>"), names, values, 1, &err), ZP_E_IO);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		zp_buf_done(&values[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_form_gives_the_same_bytes),
	    cmocka_unit_test(every_cut_of_compressed_data_is_an_error),
	    cmocka_unit_test(damage_is_reported_or_harmless),
	    cmocka_unit_test(a_missing_file_is_an_error),
	    cmocka_unit_test(an_input_is_known_again),
	    cmocka_unit_test(a_changed_input_is_not_known_again),
	    cmocka_unit_test(lines_do_not_depend_on_blocks),
	    cmocka_unit_test(lines_stop_and_are_limited),
	    cmocka_unit_test(members_become_text),
	};

	return cmocka_run_group_tests(tests, file_make, file_remove);
}
