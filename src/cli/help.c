/*
 * help.c - the table of commands as text for people: --help and the manual page's source.
 */
#include "cli/cli_internal.h"

#define OPTION_COLUMN 32u
#define HELP_WIDTH 90u

void
cli__command_name(const struct cli_command *command, struct zp_buf *text)
{
	if (command->group != NULL)
		zp_buf_printf(text, "%s ", command->group);
	zp_buf_append_text(text, command->name);
}

static void
spaces(size_t count, struct zp_buf *text)
{
	while (count-- > 0)
		zp_buf_append_byte(text, ' ');
}

/* `text` from column `indent` on, where the line is already. */
static void
wrapped(const char *words, size_t indent, struct zp_buf *text)
{
	size_t column = indent;

	while (*words != '\0') {
		size_t length = strcspn(words, " ");

		if (column > indent && column + 1 + length > HELP_WIDTH) {
			zp_buf_append_byte(text, '\n');
			spaces(indent, text);
			column = indent;
		}
		if (column > indent)
			zp_buf_append_byte(text, ' ');
		column += length + (column > indent);
		zp_buf_append(text, words, length);
		words += length + (words[length] == ' ');
	}
	zp_buf_append_byte(text, '\n');
}

/* "  -n, --name NAME" */
static void
option_usage(const struct cli_option *option, struct zp_buf *text)
{
	if (option->letter != 0)
		zp_buf_printf(text, "  -%c, --%s", option->letter, option->name);
	else
		zp_buf_printf(text, "      --%s", option->name);
	if (option->argument != NULL)
		zp_buf_printf(text, " %s", option->argument);
}

/* What the option does, with what it takes: "a|b: …" of one, "…: a, b" of some. */
static void
option_about(const struct cli_option *option, struct zp_buf *text)
{
	if (option->value == CLI_CHOICE)
		zp_buf_printf(text, "%s: ", option->choices);
	zp_buf_append_text(text, option->help);
	if (option->value != CLI_CHOICES)
		return;
	zp_buf_append_text(text, ": ");
	for (const char *choice = option->choices; *choice != '\0';) {
		size_t length = strcspn(choice, "|");

		zp_buf_append(text, choice, length);
		choice += length;
		if (*choice == '|') {
			zp_buf_append_text(text, ", ");
			choice++;
		}
	}
}

static void
option_help(const struct cli_option *option, struct zp_buf *text)
{
	ZP_AUTO_BUF(usage, 256);
	ZP_AUTO_BUF(about, 1024);
	size_t width;

	option_usage(option, &usage);
	width = cli__text_width(zp_buf_slice(&usage));
	zp_buf_append_slice(text, zp_buf_slice(&usage));
	if (width + 2 > OPTION_COLUMN) {
		zp_buf_append_byte(text, '\n');
		width = 0;
	}
	spaces(OPTION_COLUMN - width, text);
	option_about(option, &about);
	zp_buf_append_byte(&about, '\0');
	wrapped((const char *)about.data, OPTION_COLUMN, text);
}

static void
options_help(const char *title, const struct cli_option *options, struct zp_buf *text)
{
	if (options == NULL)
		return;
	zp_buf_printf(text, "\n%s:\n", title);
	for (; options->name != NULL; options++)
		option_help(options, text);
}

static void
examples_help(const char *examples, struct zp_buf *text)
{
	zp_buf_append_text(text, "\nExamples:\n");
	while (*examples != '\0') {
		size_t length = strcspn(examples, "\n");

		zp_buf_append_text(text, "  ");
		zp_buf_append(text, examples, length);
		zp_buf_append_byte(text, '\n');
		examples += length + (examples[length] == '\n');
	}
}

void
cli__help_command(const struct cli_command *command, struct zp_buf *text)
{
	zp_buf_append_text(text, "Usage: zpin ");
	cli__command_name(command, text);
	zp_buf_printf(text, " [OPTION…]%s%s\n\n", command->arguments[0] != '\0' ? " " : "",
	    command->arguments);
	zp_buf_append_text(text, "zpin ");
	cli__command_name(command, text);
	zp_buf_printf(text, ": %s.\n", command->summary);
	if (command->details[0] != '\0')
		wrapped(command->details, 0, text);
	options_help("Options", command->options, text);
	options_help("Options of every command",
	    cli__global_options + (cli__is_local(command) ? CLI_ASKING_OPTIONS : 0), text);
	examples_help(command->examples, text);
}

void
cli__help_all(struct zp_buf *text)
{
	zp_buf_append_text(text,
	    "Usage: zpin COMMAND [OPTION…] [ARGUMENT…]\n\n"
	    "Keeps an IPFS pinset. `zpin serve` is the node; the rest asks it.\n\n"
	    "Commands:\n");
	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_command *command = &cli__commands[i];
		ZP_AUTO_BUF(usage, 256);

		zp_buf_append_text(&usage, "  ");
		cli__command_name(command, &usage);
		if (command->arguments[0] != '\0')
			zp_buf_printf(&usage, " %s", command->arguments);
		zp_buf_append_slice(text, zp_buf_slice(&usage));
		spaces(OPTION_COLUMN - cli__text_width(zp_buf_slice(&usage)), text);
		wrapped(command->summary, OPTION_COLUMN, text);
	}
	options_help("Options of every command", cli__global_options, text);
	zp_buf_append_text(text,
	    "\nExit status: 0 done, 1 failed, 2 wrong call, config or input, 3 no such pin, 4 "
	    "damaged\n"
	    "data, 62 no answer in time.\n\n"
	    "`zpin help COMMAND` explains a command. Manuals: zpin(1), zpin.yaml(5), "
	    "zpin-serve(8).\n");
}

/* ---- The manual page ------------------------------------------------------------------------ */

/* scdoc takes these for markup, and `…` for literals is bold in a manual. */
static void
scdoc_text(const char *words, struct zp_buf *text)
{
	for (; *words != '\0'; words++) {
		if (*words == '`') {
			zp_buf_append_byte(text, '*');
			continue;
		}
		if (strchr("_*\\#~<>", *words) != NULL)
			zp_buf_append_byte(text, '\\');
		zp_buf_append_byte(text, (uint8_t)*words);
	}
}

static void
options_scdoc(const struct cli_option *options, struct zp_buf *text)
{
	for (; options != NULL && options->name != NULL; options++) {
		ZP_AUTO_BUF(about, 1024);

		option_about(options, &about);
		zp_buf_append_byte(&about, '\0');
		zp_buf_append_byte(text, '\n');
		if (options->letter != 0)
			zp_buf_printf(text, "*-%c*, ", options->letter);
		zp_buf_printf(text, "*--%s*", options->name);
		if (options->argument != NULL)
			zp_buf_printf(text, " _%s_", options->argument);
		zp_buf_append_text(text, "\n\t");
		scdoc_text((const char *)about.data, text);
		zp_buf_append_text(text, "\n");
	}
}

void
cli__help_scdoc(struct zp_buf *text)
{
	zp_buf_append_text(text, "# OPTIONS OF EVERY COMMAND\n");
	options_scdoc(cli__global_options, text);
	zp_buf_append_text(text, "\n# COMMANDS\n");
	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_command *command = &cli__commands[i];

		zp_buf_append_text(text, "\n## zpin ");
		cli__command_name(command, text);
		if (command->arguments[0] != '\0') {
			zp_buf_append_byte(text, ' ');
			scdoc_text(command->arguments, text);
		}
		zp_buf_append_text(text, "\n\n");
		zp_buf_append_byte(text, (uint8_t)(command->summary[0] - 'a' + 'A'));
		scdoc_text(command->summary + 1, text);
		zp_buf_append_text(text, ".\n");
		if (command->details[0] != '\0') {
			zp_buf_append_byte(text, '\n');
			scdoc_text(command->details, text);
			zp_buf_append_byte(text, '\n');
		}
		options_scdoc(command->options, text);
		zp_buf_append_text(text, "\n```\n");
		zp_buf_append_text(text, command->examples);
		zp_buf_append_text(text, "```\n");
	}
}
