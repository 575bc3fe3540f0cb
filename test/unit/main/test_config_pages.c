/*
 * test_config_pages.c - the pages made from the table are not stale, and the example is a config.
 *
 * After a change of the table: `man/refresh BUILD/src/main/zpin`.
 */
#include "main/config_internal.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
file_read(const char *name, struct zp_buf *text)
{
	char path[512];
	FILE *file;
	int byte;

	snprintf(path, sizeof(path), SOURCE_ROOT "/%s", name);
	file = fopen(path, "r");
	assert_non_null(file);
	while ((byte = fgetc(file)) != EOF)
		zp_buf_append_byte(text, (uint8_t)byte);
	fclose(file);
	zp_buf_append_byte(text, '\0');
}

static void
assert_file_is(const char *name, void (*make)(struct zp_buf *text))
{
	ZP_AUTO_BUF(made, 1u << 20);
	ZP_AUTO_BUF(kept, 1u << 20);

	make(&made);
	zp_buf_append_byte(&made, '\0');
	file_read(name, &kept);
	assert_string_equal((const char *)kept.data, (const char *)made.data);
}

static void
the_markdown_page_is_fresh(void **state)
{
	(void)state;
	assert_file_is("docs/configuration.md", zp_config_markdown);
}

static void
the_shipped_config_is_fresh(void **state)
{
	(void)state;
	assert_file_is("packaging/zpin.yaml", zp_config_example);
}

static void
the_manual_page_is_fresh(void **state)
{
	ZP_AUTO_BUF(made, 1u << 20);
	ZP_AUTO_BUF(kept, 1u << 20);

	(void)state;
	zp_config_scdoc(&made);
	zp_buf_append_byte(&made, '\0');
	file_read("man/zpin.yaml.5.scd", &kept);
	assert_non_null(strstr((const char *)kept.data, (const char *)made.data));
}

/* As it is, the example says nothing; with its `#` taken away, it says every default. */
static void
the_example_is_the_defaults(void **state)
{
	ZP_AUTO_BUF(example, 1u << 20);
	ZP_AUTO_BUF(active, 1u << 20);
	ZP_AUTO_BUF(shown, 1u << 20);
	ZP_AUTO_BUF(expected, 1u << 20);
	struct zp_config config;
	struct zp_err err = {0};
	bool at_line_start = true;

	(void)state;
	zp_config_example(&example);
	zp_config_init(&config);
	zp_config_show(&config, &expected);
	assert_int_equal(zp_config_read(zp_buf_slice(&example), "f", &config, &err), 0);
	/* Comments keep a second character; what is a key loses its only '#'. */
	for (size_t i = 0; i < example.length; i++) {
		bool is_key = at_line_start && example.data[i] == '#' && i + 1 < example.length &&
			      example.data[i + 1] != '#' &&
			      !(example.data[i + 1] == ' ' && example.data[i + 2] != ' ');

		at_line_start = example.data[i] == '\n';
		if (!is_key)
			zp_buf_append_byte(&active, example.data[i]);
	}
	zp_config_done(&config);
	config = (struct zp_config){0};
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_buf_slice(&active), "f", &config, &err), 0);
	zp_config_show(&config, &shown);
	assert_true(zp_slice_equal(zp_buf_slice(&shown), zp_buf_slice(&expected)));
	for (size_t i = 0; i < config__keys_count; i++) {
		char line[128];

		snprintf(line, sizeof(line), "\n  %s: ", config__keys[i].name);
		assert_non_null(memmem(active.data, active.length, line, strlen(line)));
	}
	zp_config_done(&config);
}

static size_t
lines_count(const struct zp_buf *text, const char *line)
{
	size_t count = 0;

	for (const uint8_t *at = text->data, *end = at + text->length;
	     (at = memmem(at, (size_t)(end - at), line, strlen(line))) != NULL; at++)
		count++;
	return count;
}

/* What differs from the defaults stands in its own place, and a key uncommented beside it is read:
 * no section is there twice. */
static void
a_written_config_can_be_edited(void **state)
{
	static const char commented[] = "\n#  read_only: false\n";
	ZP_AUTO_BUF(written, 1u << 20);
	struct zp_config config;
	struct zp_err err = {0};
	uint8_t *key;

	(void)state;
	zp_config_init(&config);
	zp_free(config.node.data);
	config.node.data = zp_strdup("/a path/with \"quotes\" \\ and: #");
	zp_config_write(&config, &written);
	zp_config_done(&config);
	assert_int_equal(lines_count(&written, "\nnode:\n"), 1);
	assert_int_equal(lines_count(&written, "\n#node:\n"), 0);
	assert_int_equal(lines_count(&written, "\n#api:\n"), 1);
	key = memmem(written.data, written.length, commented, strlen(commented));
	assert_non_null(key);
	memcpy(key, "\n   read_only: true \n", strlen(commented));
	memmove(key + 1, key + 2, written.length - (size_t)(key + 2 - written.data));
	written.length--;
	zp_config_init(&config);
	if (zp_config_read(zp_buf_slice(&written), "f", &config, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(config.node.data, "/a path/with \"quotes\" \\ and: #");
	assert_true(config.node.read_only);
	zp_config_done(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_markdown_page_is_fresh),
	    cmocka_unit_test(the_shipped_config_is_fresh),
	    cmocka_unit_test(the_manual_page_is_fresh),
	    cmocka_unit_test(the_example_is_the_defaults),
	    cmocka_unit_test(a_written_config_can_be_edited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
