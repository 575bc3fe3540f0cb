/*
 * options.c - argv against the table: which command, which options, which arguments.
 *
 * Options may stand anywhere; "--" ends them and "-" is an argument. Values are checked here by
 * their kind, so that commands need not. Pure but for the array of arguments.
 */
#include "cli/cli_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "pin/pin.h"

/* ---- Finding -------------------------------------------------------------------------------- */

static const struct cli_option *
option_in(const struct cli_option *options, const char *name, size_t length, char letter)
{
	for (; options != NULL && options->name != NULL; options++) {
		if (letter != 0 ? options->letter == letter
				: strlen(options->name) == length &&
				      memcmp(options->name, name, length) == 0)
			return options;
	}
	return NULL;
}

static const struct cli_option *
option_find(const struct cli_command *command, const char *name, size_t length, char letter)
{
	const struct cli_option *option = NULL;

	if (command != NULL)
		option = option_in(command->options, name, length, letter);
	if (option == NULL)
		option = option_in(cli__global_options, name, length, letter);
	return option;
}

bool
cli__is_group(const char *word)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		if (cli__commands[i].group != NULL && strcmp(cli__commands[i].group, word) == 0)
			return true;
	}
	return false;
}

static const struct cli_command *
command_find(const char *group, const char *name)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_command *command = &cli__commands[i];

		if (strcmp(command->name, name) != 0)
			continue;
		if (group == NULL ? command->group == NULL
				  : command->group != NULL && strcmp(command->group, group) == 0)
			return command;
	}
	return NULL;
}

/* Whether the option, wherever it belongs, takes the word behind it. Needed while the command isn't
 * known yet; the table has no name that takes a value in one place and none in another. */
static bool
takes_next_word(const char *word)
{
	bool is_long = word[1] == '-';
	const char *name = word + (is_long ? 2 : 1);
	const struct cli_option *option =
	    option_find(NULL, name, strlen(name), is_long ? 0 : name[0]);

	if (!is_long && name[1] != '\0')
		return false;
	for (size_t i = 0; option == NULL && i < cli__commands_count; i++)
		option = option_find(&cli__commands[i], name, strlen(name), is_long ? 0 : name[0]);
	return option != NULL && option->value != CLI_FLAG;
}

static bool
is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/* Whether so many letters at most are to be put in, taken away, changed or swapped with the next
 * until the words are one. */
static bool
is_near(const char *a, const char *b, unsigned changes)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	if (*a == '\0' && *b == '\0')
		return true;
	if (changes == 0)
		return false;
	return (*a != '\0' && is_near(a + 1, b, changes - 1)) ||
	       (*b != '\0' && is_near(a, b + 1, changes - 1)) ||
	       (*a != '\0' && *b != '\0' && is_near(a + 1, b + 1, changes - 1)) ||
	       (*a != '\0' && a[0] == b[1] && a[1] == b[0] && is_near(a + 2, b + 2, changes - 1));
}

/* The word of the table that was probably meant, behind this group (NULL: the first word), or NULL.
 * One letter is wrong in short words, two in others. */
static const char *
word_meant(const char *group, const char *word)
{
	unsigned changes = strlen(word) < 3 ? 0 : strlen(word) > 5 ? 2 : 1;

	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_command *command = &cli__commands[i];
		bool is_group = command->group != NULL;
		const char *known = group == NULL && is_group ? command->group : command->name;

		if (group != NULL && (!is_group || strcmp(command->group, group) != 0))
			continue;
		if (is_near(word, known, changes))
			return known;
	}
	return NULL;
}

static int
unknown_fail(const char *group, const char *word, struct zp_err *err)
{
	const char *meant = word_meant(group, word);
	const char *before = group != NULL ? group : "", *space = group != NULL ? " " : "";

	if (meant == NULL)
		return zp_fail(err, ZP_E_INVALID, "unknown command `%s%s%s`; see `zpin help`",
		    before, space, word);
	return zp_fail(err, ZP_E_INVALID,
	    "unknown command `%s%s%s`: did you mean `%s%s%s`? See `zpin help`", before, space, word,
	    before, space, meant);
}

/*
 * The command's words are the first one or two that are no options. Writes their places in argv
 * (0: none), so that the second pass can leave them out.
 */
static int
command_read(
    int argc, char *const *argv, struct cli_parsed *parsed, int words_out[2], struct zp_err *err)
{
	int found = 0;

	for (int i = 1; i < argc && found < 2; i++) {
		if (strcmp(argv[i], "--") == 0)
			break;
		if (is_option(argv[i])) {
			i += takes_next_word(argv[i]);
			continue;
		}
		words_out[found++] = i;
		if (!cli__is_group(argv[i]))
			break;
	}
	if (found == 0)
		return 0;
	if (found == 2)
		parsed->command = command_find(argv[words_out[0]], argv[words_out[1]]);
	else
		parsed->command = command_find(NULL, argv[words_out[0]]);
	/* `snapshot NAME` beside `snapshot ls`: what is no word of the group is an argument. */
	if (parsed->command == NULL && found == 2) {
		parsed->command = command_find(NULL, argv[words_out[0]]);
		if (parsed->command != NULL && parsed->command->arguments_max == 0)
			parsed->command = NULL;
		if (parsed->command != NULL)
			words_out[1] = 0;
	}
	if (parsed->command != NULL)
		return 0;
	if (found == 1 && cli__is_group(argv[words_out[0]]))
		return zp_fail(err, ZP_E_INVALID,
		    "`%s` needs a command behind it; see `zpin help %s`", argv[words_out[0]],
		    argv[words_out[0]]);
	if (found == 2)
		return unknown_fail(argv[words_out[0]], argv[words_out[1]], err);
	return unknown_fail(NULL, argv[words_out[0]], err);
}

/* ---- Values --------------------------------------------------------------------------------- */

static bool
is_choice(const char *choices, const char *value, size_t length)
{
	for (const char *at = choices; *at != '\0';) {
		size_t span = strcspn(at, "|");

		if (span == length && memcmp(at, value, length) == 0)
			return true;
		at += span + (at[span] == '|');
	}
	return false;
}

static bool
is_number(const char *value, bool may_be_negative)
{
	char *rest;

	if (!isdigit((unsigned char)value[0]) && !(may_be_negative && value[0] == '-'))
		return false;
	errno = 0;
	strtoll(value, &rest, 10);
	return errno == 0 && *rest == '\0' && rest != value;
}

/* Each part of "a,b"; the first that is none of the choices is named. */
static int
choices_check(const struct cli_option *option, const char *value, struct zp_err *err)
{
	const char *at = value;

	for (;;) {
		size_t length = strcspn(at, ",");

		if (!is_choice(option->choices, at, length))
			return zp_fail(err, ZP_E_INVALID, "--%s: \"%.*s\" is none of %s",
			    option->name, (int)length, at, option->choices);
		if (at[length] == '\0')
			return 0;
		at += length + 1;
	}
}

static int
value_check(const struct cli_option *option, const char *value, struct zp_err *err)
{
	const char *equals = strchr(value, '=');
	int64_t duration_ns, seconds;
	uint32_t nanoseconds;

	switch (option->value) {
	case CLI_COUNT:
	case CLI_INTEGER:
		if (is_number(value, option->value == CLI_INTEGER))
			return 0;
		return zp_fail(
		    err, ZP_E_INVALID, "--%s: \"%s\" is not a whole number", option->name, value);
	case CLI_DURATION:
		if (zp_duration_parse(zp_slice_of(value), &duration_ns, NULL) == 0 &&
		    duration_ns >= 0)
			return 0;
		return zp_fail(err, ZP_E_INVALID,
		    "--%s: \"%s\" is not a duration such as 30s, 24h or 1h30m", option->name,
		    value);
	case CLI_TIME:
		if (zp_time_parse(zp_slice_of(value), &seconds, &nanoseconds, NULL) == 0)
			return 0;
		return zp_fail(err, ZP_E_INVALID,
		    "--%s: \"%s\" is not a time such as 2026-01-31T12:00:00Z", option->name, value);
	case CLI_CHOICE:
		if (is_choice(option->choices, value, strlen(value)))
			return 0;
		return zp_fail(err, ZP_E_INVALID, "--%s: \"%s\" is none of %s", option->name, value,
		    option->choices);
	case CLI_CHOICES:
		return choices_check(option, value, err);
	case CLI_PAIR:
		if (equals != NULL && equals != value)
			return 0;
		return zp_fail(err, ZP_E_INVALID, "--%s: \"%s\" is not %s", option->name, value,
		    option->argument);
	default:
		return 0;
	}
}

static int
given_add(struct cli_parsed *parsed, const struct cli_option *option, const char *value,
    struct zp_err *err)
{
	int rc = value_check(option, value, err);

	if (rc < 0)
		return rc;
	if (!option->is_repeated && cli__has(parsed, option->name))
		return zp_fail(err, ZP_E_INVALID, "--%s is given twice", option->name);
	if (parsed->given_count >= CLI_OPTIONS_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "more than %u options", CLI_OPTIONS_MAX);
	parsed->given[parsed->given_count++] = (struct cli_given){.option = option, .value = value};
	if (strcmp(option->name, "help") == 0)
		parsed->wants_help = true;
	return 0;
}

/* ---- The second pass ------------------------------------------------------------------------ */

/* `--name`, `--name=value`, `--name value`. Returns how many words were used. */
static int
long_option(int argc, char *const *argv, int at, struct cli_parsed *parsed, struct zp_err *err)
{
	const char *name = argv[at] + 2;
	size_t length = strcspn(name, "=");
	bool has_value = name[length] == '=';
	const struct cli_option *option = option_find(parsed->command, name, length, 0);
	int rc;

	if (option == NULL)
		return zp_fail(err, ZP_E_INVALID, "unknown option --%.*s", (int)length, name);
	if (option->value == CLI_FLAG) {
		if (has_value)
			return zp_fail(err, ZP_E_INVALID, "--%s takes no value", option->name);
		rc = given_add(parsed, option, "", err);
		return rc < 0 ? rc : 1;
	}
	if (!has_value && at + 1 >= argc)
		return zp_fail(err, ZP_E_INVALID, "--%s needs %s", option->name, option->argument);
	rc = given_add(parsed, option, has_value ? name + length + 1 : argv[at + 1], err);
	return rc < 0 ? rc : has_value ? 1 : 2;
}

/* `-x`, `-xy` for flags, `-x value`, `-xvalue`. */
static int
short_options(int argc, char *const *argv, int at, struct cli_parsed *parsed, struct zp_err *err)
{
	for (const char *letter = argv[at] + 1; *letter != '\0'; letter++) {
		const struct cli_option *option = option_find(parsed->command, "", 0, *letter);
		int rc;

		if (option == NULL)
			return zp_fail(err, ZP_E_INVALID, "unknown option -%c", *letter);
		if (option->value == CLI_FLAG) {
			rc = given_add(parsed, option, "", err);
			if (rc < 0)
				return rc;
			continue;
		}
		if (letter[1] == '\0' && at + 1 >= argc)
			return zp_fail(
			    err, ZP_E_INVALID, "-%c needs %s", *letter, option->argument);
		rc = given_add(parsed, option, letter[1] != '\0' ? letter + 1 : argv[at + 1], err);
		return rc < 0 ? rc : letter[1] != '\0' ? 1 : 2;
	}
	return 1;
}

static int
words_read(
    int argc, char *const *argv, const int words[2], struct cli_parsed *parsed, struct zp_err *err)
{
	bool options_ended = false;

	for (int i = 1; i < argc;) {
		int used = 1;

		if (i == words[0] || i == words[1]) {
			/* a word of the command */
		} else if (!options_ended && strcmp(argv[i], "--") == 0) {
			options_ended = true;
		} else if (!options_ended && is_option(argv[i])) {
			used = argv[i][1] == '-' ? long_option(argc, argv, i, parsed, err)
						 : short_options(argc, argv, i, parsed, err);
			if (used < 0)
				return used;
		} else {
			parsed->arguments[parsed->arguments_count++] = argv[i];
		}
		i += used;
	}
	return 0;
}

static int
arguments_check(const struct cli_parsed *parsed, struct zp_err *err)
{
	const struct cli_command *command = parsed->command;

	if (command == NULL || parsed->wants_help)
		return 0;
	if (parsed->arguments_count < command->arguments_min)
		return zp_fail(err, ZP_E_INVALID, "needs %s", command->arguments);
	if (parsed->arguments_count > command->arguments_max)
		return zp_fail(err, ZP_E_INVALID, "takes %s%s, and \"%s\" is one too many",
		    command->arguments_max == 0 ? "no arguments" : "only ", command->arguments,
		    parsed->arguments[command->arguments_max]);
	return 0;
}

int
cli__parse(int argc, char *const *argv, struct cli_parsed *parsed, struct zp_err *err)
{
	int words[2] = {0, 0};
	int rc;

	*parsed = (struct cli_parsed){0};
	if (argc > (int)CLI_ARGUMENTS_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE,
		    "more than %u arguments; give them on standard "
		    "input with -",
		    CLI_ARGUMENTS_MAX);
	parsed->arguments = zp_alloc_zero((size_t)argc + 1, sizeof(*parsed->arguments));
	rc = command_read(argc, argv, parsed, words, err);
	if (rc < 0)
		return rc;
	rc = words_read(argc, argv, words, parsed, err);
	if (rc == 0)
		rc = arguments_check(parsed, err);
	if (rc < 0 && parsed->command != NULL) {
		const struct cli_command *command = parsed->command;
		const char *group = command->group != NULL ? command->group : "";
		const char *space = command->group != NULL ? " " : "";

		return zp_wrap(err, rc, "zpin %s%s%s", group, space, command->name);
	}
	return rc;
}

void
cli__parsed_done(struct cli_parsed *parsed)
{
	zp_free(parsed->arguments);
	parsed->arguments = NULL;
	parsed->arguments_count = 0;
}

const char *
cli__value(const struct cli_parsed *parsed, const char *name)
{
	for (size_t i = parsed->given_count; i > 0; i--) {
		if (strcmp(parsed->given[i - 1].option->name, name) == 0)
			return parsed->given[i - 1].value;
	}
	return NULL;
}

bool
cli__has(const struct cli_parsed *parsed, const char *name)
{
	return cli__value(parsed, name) != NULL;
}

uint64_t
cli__count(const struct cli_parsed *parsed, const char *name, uint64_t otherwise)
{
	const char *value = cli__value(parsed, name);

	return value == NULL ? otherwise : strtoull(value, NULL, 10);
}
