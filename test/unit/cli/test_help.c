/*
 * test_help.c - help, manual and completions name every command and option of the table.
 *
 * That the scripts parse and complete in their shells is shown by test_completion.py.
 */
#include "cli/cli_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
assert_has(const struct zp_buf *text, const char *part)
{
	if (memmem(text->data, text->length, part, strlen(part)) == NULL)
		fail_msg("\"%s\" is missing in:\n%.*s", part, (int)text->length,
		    (const char *)text->data);
}

static void
assert_has_options(const struct zp_buf *text, const struct cli_option *options, const char *format)
{
	for (; options != NULL && options->name != NULL; options++) {
		char part[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(part, sizeof(part), format, options->name);
#pragma GCC diagnostic pop
		assert_has(text, part);
	}
}

static void
help_of_each_command_has_all_its_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_command *command = &cli__commands[i];
		ZP_AUTO_BUF(text, 1u << 16);

		cli__help_command(command, &text);
		assert_has(&text, "Usage: zpin ");
		assert_has(&text, command->summary);
		assert_has(&text, command->arguments);
		assert_has(&text, "\nExamples:\n  ");
		assert_has_options(&text, command->options, " --%s");
		/* How a node is asked says nothing to who asks none. */
		assert_has_options(&text,
		    cli__global_options + (cli__is_local(command) ? CLI_ASKING_OPTIONS : 0),
		    " --%s");
		if (cli__is_local(command))
			assert_null(memmem(
			    text.data, text.length, " --credentials", strlen(" --credentials")));
	}
	assert_string_equal(cli__global_options[CLI_ASKING_OPTIONS].name, "config");
}

/* No line of a help is wider than a terminal of 100 columns, but for CIDs of examples. */
static void
help_is_not_wide(void **state)
{
	ZP_AUTO_BUF(text, 1u << 20);

	(void)state;
	cli__help_all(&text);
	for (size_t i = 0; i < cli__commands_count; i++)
		cli__help_command(&cli__commands[i], &text);
	for (size_t at = 0; at < text.length;) {
		const uint8_t *line = text.data + at;
		const uint8_t *end = memchr(line, '\n', text.length - at);
		struct zp_slice whole = {line, (size_t)(end - line)};

		assert_non_null(end);
		if (memmem(line, whole.length, "bafkrei", 7) == NULL &&
		    memmem(line, whole.length, "12D3KooW", 8) == NULL &&
		    memmem(line, whole.length, "Qm", 2) == NULL)
			assert_true(cli__text_width(whole) <= 92);
		at += whole.length + 1;
	}
}

static void
the_list_has_every_command(void **state)
{
	ZP_AUTO_BUF(text, 1u << 16);

	(void)state;
	cli__help_all(&text);
	for (size_t i = 0; i < cli__commands_count; i++) {
		ZP_AUTO_BUF(name, 64);

		zp_buf_append_text(&name, "\n  ");
		cli__command_name(&cli__commands[i], &name);
		zp_buf_append_text(&name, " ");
		zp_buf_append_byte(&name, '\0');
		assert_has(&text, (const char *)name.data);
	}
}

static void
the_manual_is_fresh_and_complete(void **state)
{
	ZP_AUTO_BUF(made, 1u << 20);
	ZP_AUTO_BUF(kept, 1u << 20);
	FILE *file = fopen(SOURCE_ROOT "/man/zpin.1.scd", "r");
	int byte;

	(void)state;
	assert_non_null(file);
	while ((byte = fgetc(file)) != EOF)
		zp_buf_append_byte(&kept, (uint8_t)byte);
	fclose(file);
	cli__help_scdoc(&made);
	zp_buf_append_byte(&made, '\0');
	assert_has(&kept, (const char *)made.data); /* else: man/refresh BUILD/src/main/zpin */
	assert_has_options(&kept, cli__global_options, "*--%s*");
	for (size_t i = 0; i < cli__commands_count; i++)
		assert_has_options(&kept, cli__commands[i].options, "*--%s*");
}

static void
completions_have_every_option(void **state)
{
	ZP_AUTO_BUF(bash, 1u << 20);
	ZP_AUTO_BUF(zsh, 1u << 20);
	ZP_AUTO_BUF(fish, 1u << 20);

	(void)state;
	cli__completion_bash(&bash);
	cli__completion_zsh(&zsh);
	cli__completion_fish(&fish);
	for (size_t i = 0; i <= cli__commands_count; i++) {
		const struct cli_option *options =
		    i == cli__commands_count ? cli__global_options : cli__commands[i].options;

		if (options != NULL && strcmp(options->name, "scdoc") == 0)
			continue; /* the build's own */
		assert_has_options(&bash, options, " --%s");
		assert_has_options(&zsh, options, " --%s");
		assert_has_options(&fish, options, " -l %s ");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(help_of_each_command_has_all_its_options),
	    cmocka_unit_test(help_is_not_wide),
	    cmocka_unit_test(the_list_has_every_command),
	    cmocka_unit_test(the_manual_is_fresh_and_complete),
	    cmocka_unit_test(completions_have_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
