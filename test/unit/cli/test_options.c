/*
 * test_options.c - argv against the table: where options may stand, what is refused and in which
 * words, and that every example of the help parses.
 */
#include "cli/cli_internal.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define WORDS_MAX 16

struct sample {
	const char *line;      /* split at spaces, behind "zpin" */
	const char *command;   /* "pin add"; NULL: none is named */
	const char *options;   /* "name=value name= …" in order */
	const char *arguments; /* "a b" */
	const char *message;   /* the error; NULL: it parses */
};

static const struct sample samples[] = {
    {"serve", "serve", "", "", NULL},
    {"", NULL, "", "", NULL},
    {"--help", NULL, "help= ", "", NULL},
    {"pin ls", "pin ls", "", "", NULL},
    {"pin ls --limit 5", "pin ls", "limit=5 ", "", NULL},
    {"pin ls --limit=5", "pin ls", "limit=5 ", "", NULL},
    {"pin ls -l5", "pin ls", "limit=5 ", "", NULL},
    {"pin ls -l 5", "pin ls", "limit=5 ", "", NULL},
    {"pin ls -jql 5", "pin ls", "json= quiet= limit=5 ", "", NULL},
    {"-j pin -q ls -l 5", "pin ls", "json= quiet= limit=5 ", "", NULL},
    {"--api http://x pin --timeout 5s ls", "pin ls", "api=http://x timeout=5s ", "", NULL},
    {"--limit 5 pin ls a", "pin ls", "limit=5 ", "a", NULL},
    {"pin add a b --name n c", "pin add", "name=n ", "a b c", NULL},
    {"pin add -", "pin add", "", "-", NULL},
    {"pin add -- -a --name", "pin add", "", "-a --name", NULL},
    {"pin add --name= a", "pin add", "name= ", "a", NULL},
    {"pin add --name --x a", "pin add", "name=--x ", "a", NULL},
    {"pin add -m a=b -m c=d=e x", "pin add", "metadata=a=b metadata=c=d=e ", "x", NULL},
    {"pin add --replication -1 a", "pin add", "replication=-1 ", "a", NULL},
    {"pin add --expire-in 1h30m a", "pin add", "expire-in=1h30m ", "a", NULL},
    {"help pin add", "help", "", "pin add", NULL},
    {"import --help", "import", "help= ", "", NULL},
    {"completion bash", "completion", "", "bash", NULL},
    {"snapshot monday", "snapshot", "", "monday", NULL},
    {"-j snapshot -q monday", "snapshot", "json= quiet= ", "monday", NULL},
    {"snapshot ls", "snapshot ls", "", "", NULL},
    {"snapshot rm ls", "snapshot rm", "", "ls", NULL},
    {"snapshot -- ls", "snapshot", "", "ls", NULL},
    {"pin ls --as-of monday", "pin ls", "as-of=monday ", "", NULL},
    {"--as-of monday export", "export", "as-of=monday ", "", NULL},

    {"pim", NULL, "", "", "unknown command `pim`: did you mean `pin`? See `zpin help`"},
    {"pin", NULL, "", "", "`pin` needs a command behind it; see `zpin help pin`"},
    {"pin addd a", NULL, "", "",
	"unknown command `pin addd`: did you mean `pin add`? See `zpin help`"},
    {"pni", NULL, "", "", "unknown command `pni`: did you mean `pin`? See `zpin help`"},
    {"snpashto x", NULL, "", "",
	"unknown command `snpashto`: did you mean `snapshot`? See `zpin help`"},
    {"add a", NULL, "", "", "unknown command `add`; see `zpin help`"},
    {"snapshot", NULL, "", "", "zpin snapshot: needs NAME"},
    {"snapshot rm", NULL, "", "", "zpin snapshot rm: needs NAME…"},
    {"snapshot a b", NULL, "", "", "zpin snapshot: takes only NAME, and \"b\" is one too many"},
    {"peers x", NULL, "", "", "unknown command `peers x`; see `zpin help`"},
    {"serve now", NULL, "", "", "zpin serve: takes no arguments, and \"now\" is one too many"},
    {"pin get a b", NULL, "", "", "zpin pin get: takes only CID, and \"b\" is one too many"},
    {"pin add", NULL, "", "", "zpin pin add: needs CID…"},
    {"pin update a", NULL, "", "", "zpin pin update: needs FROM TO"},
    {"pin ls --limt 5", NULL, "", "", "zpin pin ls: unknown option --limt"},
    {"pin ls -x", NULL, "", "", "zpin pin ls: unknown option -x"},
    {"pin ls --limit", NULL, "", "", "zpin pin ls: --limit needs N"},
    {"pin ls -l", NULL, "", "", "zpin pin ls: -l needs N"},
    {"pin ls --limit x", NULL, "", "", "zpin pin ls: --limit: \"x\" is not a whole number"},
    {"pin ls --limit -1", NULL, "", "", "zpin pin ls: --limit: \"-1\" is not a whole number"},
    {"pin ls --limit 99999999999999999999", NULL, "", "",
	"zpin pin ls: --limit: \"99999999999999999999\" is not a whole number"},
    {"pin ls --limit 1 --limit 2", NULL, "", "", "zpin pin ls: --limit is given twice"},
    {"pin ls --json=yes", NULL, "", "", "zpin pin ls: --json takes no value"},
    {"pin add --mode indirect a", NULL, "", "",
	"zpin pin add: --mode: \"indirect\" is none of recursive|direct"},
    {"pin add --mode recursive|direct a", NULL, "", "",
	"zpin pin add: --mode: \"recursive|direct\" is none of recursive|direct"},
    {"pin add -m novalue a", NULL, "", "",
	"zpin pin add: --metadata: \"novalue\" is not KEY=VALUE"},
    {"pin add -m =v a", NULL, "", "", "zpin pin add: --metadata: \"=v\" is not KEY=VALUE"},
    {"pin add --expire-in soon a", NULL, "", "",
	"zpin pin add: --expire-in: \"soon\" is not a duration such as 30s, 24h or 1h30m"},
    {"pin add --expire-in -5s a", NULL, "", "",
	"zpin pin add: --expire-in: \"-5s\" is not a duration such as 30s, 24h or 1h30m"},
    {"pin add --replication - a", NULL, "", "",
	"zpin pin add: --replication: \"-\" is not a whole number"},
    {"pin ls --type pin,shard-pin", "pin ls", "type=pin,shard-pin ", "", NULL},
    {"pin ls --type pin,", NULL, "", "",
	"zpin pin ls: --type: \"\" is none of all|pin|meta-pin|clusterdag-pin|shard-pin"},
    {"pin ls --type pin,pins,all", NULL, "", "",
	"zpin pin ls: --type: \"pins\" is none of all|pin|meta-pin|clusterdag-pin|shard-pin"},
    {"pin ls --before yesterday", NULL, "", "",
	"zpin pin ls: --before: \"yesterday\" is not a time such as 2026-01-31T12:00:00Z"},
    {"pin ls --after 2026-01-31T12:00:00+01:00", "pin ls", "after=2026-01-31T12:00:00+01:00 ", "",
	NULL},
    {"import --allocations all f", NULL, "", "",
	"zpin import: --allocations: \"all\" is none of keep|drop|map"},
};

/* Splits in place at spaces; returns how many words there are, argv[0] included. */
static int
split(char *line, char *argv[WORDS_MAX])
{
	int argc = 0;

	argv[argc++] = "zpin";
	for (char *word = strtok(line, " "); word != NULL && argc < WORDS_MAX;
	     word = strtok(NULL, " "))
		argv[argc++] = word;
	return argc;
}

static void
assert_parsed(const struct sample *sample, const struct cli_parsed *parsed)
{
	ZP_AUTO_BUF(text, 1024);

	if (sample->command == NULL) {
		assert_null(parsed->command);
	} else {
		cli__command_name(parsed->command, &text);
		assert_true(zp_slice_is(zp_buf_slice(&text), sample->command));
	}
	zp_buf_clear(&text);
	for (size_t i = 0; i < parsed->given_count; i++)
		zp_buf_printf(
		    &text, "%s=%s ", parsed->given[i].option->name, parsed->given[i].value);
	assert_true(zp_slice_is(zp_buf_slice(&text), sample->options));
	zp_buf_clear(&text);
	for (size_t i = 0; i < parsed->arguments_count; i++)
		zp_buf_printf(&text, "%s%s", i > 0 ? " " : "", parsed->arguments[i]);
	assert_true(zp_slice_is(zp_buf_slice(&text), sample->arguments));
}

static void
each_call_parses_or_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++) {
		struct cli_parsed parsed;
		struct zp_err err = {0};
		char line[256];
		char *argv[WORDS_MAX];
		int argc;
		int rc;

		snprintf(line, sizeof(line), "%s", samples[i].line);
		argc = split(line, argv);
		rc = cli__parse(argc, argv, &parsed, &err);
		if (samples[i].message == NULL) {
			if (rc != 0)
				fail_msg("%s: %s", samples[i].line, err.text);
			assert_parsed(&samples[i], &parsed);
		} else {
			assert_int_equal(rc, ZP_E_INVALID);
			assert_string_equal(err.text, samples[i].message);
		}
		cli__parsed_done(&parsed);
	}
}

/* An example may have a shell around it: what counts is from "zpin" to the first <, > or |. */
static void
example_parse(const struct cli_command *command, const char *example, size_t length)
{
	struct cli_parsed parsed;
	struct zp_err err = {0};
	char line[512];
	char *argv[WORDS_MAX];
	char *begin;
	int argc;

	assert_true(length < sizeof(line));
	memcpy(line, example, length);
	line[length] = '\0';
	line[strcspn(line, "<>|")] = '\0';
	begin = strstr(line, "zpin ");
	assert_non_null(begin);
	if (strncmp(line, "sudo -u zpin ", 13) == 0)
		begin = line + 13;
	argc = split(begin + 5, argv);
	if (cli__parse(argc, argv, &parsed, &err) != 0)
		fail_msg("%.*s: %s", (int)length, example, err.text);
	assert_ptr_equal(parsed.command, command);
	cli__parsed_done(&parsed);
}

static void
every_example_parses(void **state)
{
	(void)state;
	for (size_t i = 0; i < cli__commands_count; i++) {
		const char *at = cli__commands[i].examples;

		assert_true(*at != '\0');
		while (*at != '\0') {
			size_t length = strcspn(at, "\n");

			assert_int_equal(at[length], '\n');
			example_parse(&cli__commands[i], at, length);
			at += length + 1;
		}
	}
}

static bool
takes_value(const struct cli_option *option)
{
	return option->value != CLI_FLAG;
}

/* What the parser relies on: an option name takes a value everywhere or nowhere, no name or letter
 * of a command hides a global one, and choices come with CLI_CHOICE(S). */
static void
the_table_is_consistent(void **state)
{
	(void)state;
	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_option *a = cli__commands[i].options;

		assert_non_null(cli__commands[i].run);
		for (; a != NULL && a->name != NULL; a++) {
			assert_true((a->choices != NULL) ==
				    (a->value == CLI_CHOICE || a->value == CLI_CHOICES));
			assert_true((a->argument != NULL) == takes_value(a));
			for (const struct cli_option *b = cli__global_options; b->name != NULL;
			     b++) {
				assert_string_not_equal(a->name, b->name);
				assert_true(a->letter == 0 || a->letter != b->letter);
			}
			for (size_t j = 0; j < cli__commands_count; j++) {
				const struct cli_option *b = cli__commands[j].options;

				for (; b != NULL && b->name != NULL; b++) {
					bool is_same = strcmp(a->name, b->name) == 0 ||
						       (a->letter != 0 && a->letter == b->letter);

					assert_true(!is_same || takes_value(a) == takes_value(b));
				}
			}
		}
	}
}

static void
too_many_options_are_refused(void **state)
{
	static char *argv[2 * (CLI_OPTIONS_MAX + 1) + 4];
	struct cli_parsed parsed;
	struct zp_err err = {0};
	int argc = 0;

	(void)state;
	argv[argc++] = "zpin";
	argv[argc++] = "pin";
	argv[argc++] = "add";
	argv[argc++] = "a";
	for (unsigned i = 0; i < CLI_OPTIONS_MAX + 1; i++) {
		argv[argc++] = "-m";
		argv[argc++] = "k=v";
	}
	assert_int_equal(cli__parse(argc, argv, &parsed, &err), ZP_E_TOO_LARGE);
	cli__parsed_done(&parsed);
}

/* Options become query parameters, pairs become meta-<key>, and everything odd is encoded. */
static void
options_become_a_query(void **state)
{
	char line[] = "pin add a --name x&y/ü -m k=v=w --replication-min 2";
	ZP_AUTO_BUF(url, 1024);
	struct cli_parsed parsed;
	struct zp_err err = {0};
	char *argv[WORDS_MAX];
	int argc = split(line, argv);

	(void)state;
	assert_int_equal(cli__parse(argc, argv, &parsed, &err), 0);
	cli__pin_path("/ipfs/Qm a/b c", &url);
	cli__query_add_given(&url, &parsed);
	assert_true(zp_slice_is(zp_buf_slice(&url),
	    "/pins/ipfs/Qm%20a/b%20c?name=x%26y%2F%C3%BC&meta-k=v%3Dw&replication-min=2"));
	zp_buf_clear(&url);
	cli__pin_path("a/../b", &url);
	assert_true(zp_slice_is(zp_buf_slice(&url), "/pins/a%2F..%2Fb"));
	cli__parsed_done(&parsed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_call_parses_or_is_refused),
	    cmocka_unit_test(every_example_parses),
	    cmocka_unit_test(the_table_is_consistent),
	    cmocka_unit_test(too_many_options_are_refused),
	    cmocka_unit_test(options_become_a_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
