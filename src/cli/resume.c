/*
 * resume.c - the command that goes on with an import which ended before its time.
 *
 * Flow:  cmd_import.c begins and ends it around the import. Owner: the main thread; a signal that
 *        ends the program finds the text ready, since a handler may make none.
 */
#include "cli/cli_internal.h"

#include <signal.h>
#include <unistd.h>

static struct zp_buf interrupted = {.length_max = 2 * CLI_COMMAND_BYTES_MAX};

/* As a shell takes it for one word. */
static void
word_append(const char *word, struct zp_buf *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~/=:,+@%";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
		zp_buf_append_text(text, word);
		return;
	}
	zp_buf_append_byte(text, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			zp_buf_append_text(text, "'\\''");
		else
			zp_buf_append_byte(text, (uint8_t)*word);
	}
	zp_buf_append_byte(text, '\'');
}

static void
url_append(const char *url, struct zp_buf *text)
{
	ZP_AUTO_BUF(shown, CLI_COMMAND_BYTES_MAX);

	cli__url_show(url, &shown);
	word_append((const char *)shown.data, text);
}

/* A password is not for a terminal, nor for what keeps its lines. */
static void
value_append(const struct cli_given *given, struct zp_buf *text)
{
	const char *name = given->option->name;

	if (strcmp(name, "credentials") == 0)
		zp_buf_append_text(text, "USER:PASSWORD");
	else if (strcmp(name, "api") == 0 || strcmp(name, "management") == 0)
		url_append(given->value, text);
	else
		word_append(given->value, text);
}

void
cli__resume_command(const struct cli_parsed *parsed, struct zp_buf *text)
{
	zp_buf_append_text(text, "zpin import --resume");
	for (size_t i = 0; i < parsed->given_count; i++) {
		const struct cli_given *given = &parsed->given[i];

		if (strcmp(given->option->name, "resume") == 0)
			continue;
		zp_buf_printf(text, " --%s", given->option->name);
		if (given->option->value == CLI_FLAG)
			continue;
		zp_buf_append_byte(text, ' ');
		value_append(given, text);
	}
	zp_buf_append_byte(text, ' ');
	word_append(parsed->arguments[0], text);
}

/* SA_RESETHAND: the second time the signal does what it does by itself. */
static void
on_interrupt(int number)
{
	ssize_t written = write(STDERR_FILENO, interrupted.data, interrupted.length);

	(void)written; /* nobody is left to be told */
	raise(number);
}

void
cli__resume_begin(const struct cli_parsed *parsed, bool is_known_again)
{
	const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};
	ZP_AUTO_BUF(text, CLI_COMMAND_BYTES_MAX);

	zp_buf_clear(&interrupted);
	zp_buf_append_text(&interrupted, isatty(STDERR_FILENO) ? "\r\033[K" : "");
	zp_buf_append_text(&interrupted, "zpin: interrupted; what was imported stays");
	if (is_known_again) {
		cli__resume_command(parsed, &text);
		zp_buf_append_text(&interrupted, ". Go on with: ");
		cli__text_fit(zp_buf_slice(&text), 0, &interrupted);
	} else {
		zp_buf_append_text(&interrupted, ", and is taken again by the next import");
	}
	zp_buf_append_byte(&interrupted, '\n');
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

void
cli__resume_end(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	zp_buf_done(&interrupted); /* no handler reads it any more */
}
