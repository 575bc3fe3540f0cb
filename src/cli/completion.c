/*
 * completion.c - completions for bash, zsh and fish from the table of commands.
 *
 * Each script is one function over words that are written out, with no call back into zpin: a
 * completion must not wait for a node.
 */
#include "cli/cli_internal.h"

/* ---- Pieces that all three share ------------------------------------------------------------ */

static void
name_of(const struct cli_command *command, struct zp_buf *text)
{
	zp_buf_append_byte(text, '\'');
	cli__command_name(command, text);
	zp_buf_append_byte(text, '\'');
}

/* Calls `each` with every group name once. */
static void
groups(void (*each)(const char *group, struct zp_buf *text), struct zp_buf *text)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		const char *group = cli__commands[i].group;
		bool is_first = group != NULL;

		for (size_t j = 0; is_first && j < i; j++)
			is_first = cli__commands[j].group == NULL ||
				   strcmp(cli__commands[j].group, group) != 0;
		if (is_first)
			each(group, text);
	}
}

static void
put_word(const char *word, struct zp_buf *text)
{
	zp_buf_printf(text, " %s", word);
}

static bool
is_command(const char *word)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		if (cli__commands[i].group == NULL && strcmp(cli__commands[i].name, word) == 0)
			return true;
	}
	return false;
}

/* A group that is a command as well (`peers`, `peers map`) stands there already. */
static void
put_first_word(const char *group, struct zp_buf *text)
{
	if (!is_command(group))
		put_word(group, text);
}

static void
put_alternative(const char *word, struct zp_buf *text)
{
	zp_buf_printf(text, "%s%s", text->data[text->length - 1] == '\t' ? "" : "|", word);
}

/* The words that can stand first: commands without a group, and groups. */
static void
first_words(struct zp_buf *text)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		if (cli__commands[i].group == NULL)
			put_word(cli__commands[i].name, text);
	}
	groups(put_first_word, text);
}

static void
group_words(const char *group, struct zp_buf *text)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		if (cli__commands[i].group != NULL && strcmp(cli__commands[i].group, group) == 0)
			put_word(cli__commands[i].name, text);
	}
}

static void
option_words(const struct cli_option *options, struct zp_buf *text)
{
	for (; options != NULL && options->name != NULL; options++) {
		if (strcmp(options->name, "scdoc") != 0) /* the build's own */
			zp_buf_printf(text, " --%s", options->name);
	}
}

/* "a|b" → "a b" */
static void
choice_words(const char *choices, struct zp_buf *text)
{
	for (; choices != NULL && *choices != '\0'; choices++)
		zp_buf_append_byte(text, (uint8_t)(*choices == '|' ? ' ' : *choices));
}

/* "--api|--timeout|-t": global options that take the next word, so that it isn't the command. */
static void
global_value_labels(const char *separator, struct zp_buf *text)
{
	for (const struct cli_option *option = cli__global_options; option->name != NULL;
	     option++) {
		if (option->value == CLI_FLAG)
			continue;
		zp_buf_printf(
		    text, "%s--%s", option == cli__global_options ? "" : separator, option->name);
		if (option->letter != 0)
			zp_buf_printf(text, "%s-%c", separator, option->letter);
	}
}

/* ---- bash and zsh: one body of shell, with what differs handed in --------------------------- */

struct dialect {
	const char *files; /* a command that offers files */
	const char *words; /* a command that offers the words of its argument */
	const char *list;  /* the same behind the last comma of what is typed */
};

static void
put_offer(const char *command, const struct zp_buf *words, struct zp_buf *text)
{
	zp_buf_printf(text, "\t\t%s '", command);
	zp_buf_append_slice(text, zp_buf_slice(words));
	zp_buf_append_text(text, "' ;;\n");
}

static void
put_words(const struct dialect *dialect, const struct zp_buf *words, struct zp_buf *text)
{
	put_offer(dialect->words, words, text);
}

static void
put_files(const struct dialect *dialect, struct zp_buf *text)
{
	zp_buf_printf(text, "\t\t%s ;;\n", dialect->files);
}

/* Calls for every option that takes a value, with its case label: 'pin add --name', *' --api'. */
static void
value_labels(void (*each)(const struct dialect *dialect, const struct cli_option *option,
		 const struct zp_buf *label, struct zp_buf *text),
    const struct dialect *dialect, struct zp_buf *text)
{
	for (size_t i = 0; i <= cli__commands_count; i++) {
		bool is_global = i == cli__commands_count;
		const struct cli_option *option =
		    is_global ? cli__global_options : cli__commands[i].options;

		for (; option != NULL && option->name != NULL; option++) {
			ZP_AUTO_BUF(label, 256);

			if (option->value == CLI_FLAG)
				continue;
			zp_buf_append_text(&label, is_global ? "*'" : "'");
			if (!is_global)
				cli__command_name(&cli__commands[i], &label);
			zp_buf_printf(&label, " --%s'", option->name);
			if (option->letter != 0) {
				zp_buf_append_text(&label, is_global ? " | *'" : " | '");
				if (!is_global)
					cli__command_name(&cli__commands[i], &label);
				zp_buf_printf(&label, " -%c'", option->letter);
			}
			each(dialect, option, &label, text);
		}
	}
}

static void
known_value_case(const struct dialect *dialect, const struct cli_option *option,
    const struct zp_buf *label, struct zp_buf *text)
{
	ZP_AUTO_BUF(words, 1024);

	if (option->value != CLI_FILE && option->choices == NULL)
		return;
	zp_buf_append_byte(text, '\t');
	zp_buf_append_slice(text, zp_buf_slice(label));
	zp_buf_append_text(text, ")\n");
	choice_words(option->choices, &words);
	if (option->value == CLI_FILE)
		put_files(dialect, text);
	else
		put_offer(
		    option->value == CLI_CHOICES ? dialect->list : dialect->words, &words, text);
}

/* Values that only the caller can know: nothing is offered, least of all more options. */
static void
free_value_label(const struct dialect *dialect, const struct cli_option *option,
    const struct zp_buf *label, struct zp_buf *text)
{
	(void)dialect;
	if (option->value == CLI_FILE || option->choices != NULL)
		return;
	if (text->data[text->length - 1] != '\t')
		zp_buf_append_text(text, " |\\\n\t");
	zp_buf_append_slice(text, zp_buf_slice(label));
}

/* case "$command": its options and arguments. */
static void
command_case(const struct dialect *dialect, const struct cli_command *command, struct zp_buf *text)
{
	ZP_AUTO_BUF(words, 4096);

	zp_buf_append_text(text, "\t");
	name_of(command, text);
	zp_buf_append_text(text, ")\n");
	choice_words(command->words, &words);
	if (command->run == cli__cmd_help)
		first_words(&words);
	if (command->group == NULL)
		group_words(command->name, &words);
	option_words(command->options, &words);
	option_words(
	    cli__global_options + (cli__is_local(command) ? CLI_ASKING_OPTIONS : 0), &words);
	if (command->words != NULL) {
		put_words(dialect, &words, text);
		return;
	}
	zp_buf_append_text(text, "\t\tcase \"$current\" in\n\t\t-*)\n");
	put_words(dialect, &words, text);
	zp_buf_append_text(text, "\t\t*)\n");
	put_files(dialect, text);
	zp_buf_append_text(text, "\t\tesac ;;\n");
}

static void
script_body(const struct dialect *dialect, struct zp_buf *text)
{
	ZP_AUTO_BUF(words, 4096);

	zp_buf_append_text(text, "\tcase \"$command $previous\" in\n");
	value_labels(known_value_case, dialect, text);
	zp_buf_append_byte(text, '\t');
	value_labels(free_value_label, dialect, text);
	zp_buf_append_text(text, ") ;;\n\t*)\n\t\tcase \"$command\" in\n");
	for (size_t i = 0; i < cli__commands_count; i++)
		command_case(dialect, &cli__commands[i], text);
	for (size_t i = 0; i < cli__commands_count; i++) {
		const char *group = cli__commands[i].group;

		/* Each group once, at the first of its commands, unless it is one itself. */
		if (group == NULL || is_command(group) ||
		    (i > 0 && cli__commands[i - 1].group != NULL &&
			strcmp(cli__commands[i - 1].group, group) == 0))
			continue;
		zp_buf_clear(&words);
		group_words(group, &words);
		zp_buf_printf(text, "\t%s)\n", group);
		put_words(dialect, &words, text);
	}
	zp_buf_clear(&words);
	first_words(&words);
	option_words(cli__global_options, &words);
	zp_buf_append_text(text, "\t'')\n");
	put_words(dialect, &words, text);
	zp_buf_append_text(text, "\t\tesac ;;\n\tesac\n");
}

/* The loop that finds the command among the words before the cursor. */
static void
command_loop(const char *begin, struct zp_buf *text)
{
	zp_buf_append_text(text, begin);
	zp_buf_append_text(text, "\t\tcase \"$word\" in\n\t\t");
	global_value_labels("|", text);
	zp_buf_append_text(text, ") skip=1 ;;\n\t\t-*) ;;\n\t\t*)\n"
				 "\t\t\tcase \"$command\" in\n\t\t\t'') command=$word ;;\n\t\t\t");
	groups(put_alternative, text);
	zp_buf_append_text(
	    text, ") command=\"$command $word\" ;;\n\t\t\tesac ;;\n\t\tesac\n\tdone\n");
}

void
cli__completion_bash(struct zp_buf *text)
{
	static const struct dialect bash = {
	    .files = "mapfile -t COMPREPLY < <(compgen -f -- \"$current\")",
	    .words = "_zpin_words",
	    .list = "_zpin_list",
	};

	zp_buf_append_text(text,
	    "# bash completion for zpin, made by `zpin completion bash`\n"
	    "_zpin_words() {\n"
	    "\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
	    "}\n"
	    "_zpin_list() {\n"
	    "\tlocal last=${COMP_WORDS[COMP_CWORD]##*,}\n"
	    "\tmapfile -t COMPREPLY < <(compgen -P \"${COMP_WORDS[COMP_CWORD]%\"$last\"}\" "
	    "-W \"$1\" -- \"$last\")\n"
	    "}\n"
	    "_zpin() {\n"
	    "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	    "\tlocal command='' skip=0 word\n"
	    "\tCOMPREPLY=()\n");
	command_loop("\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD - 1}\"; do\n"
		     "\t\tif ((skip)); then\n\t\t\tskip=0\n\t\t\tcontinue\n\t\tfi\n",
	    text);
	script_body(&bash, text);
	zp_buf_append_text(text, "}\ncomplete -o filenames -F _zpin zpin\n");
}

void
cli__completion_zsh(struct zp_buf *text)
{
	static const struct dialect zsh = {
	    .files = "_files",
	    .words = "_zpin_words",
	    .list = "_zpin_list",
	};

	zp_buf_append_text(text,
	    "#compdef zpin\n# zsh completion for zpin, made by `zpin completion zsh`\n"
	    "_zpin_words() {\n\tcompadd -- ${=1}\n}\n"
	    "_zpin_list() {\n\tcompset -P '*,'\n\tcompadd -- ${=1}\n}\n"
	    "_zpin() {\n"
	    "\tlocal current=${words[CURRENT]} previous=${words[CURRENT-1]}\n"
	    "\tlocal command='' skip=0 word\n");
	command_loop("\tfor word in \"${(@)words[2,CURRENT-1]}\"; do\n"
		     "\t\tif ((skip)); then\n\t\t\tskip=0\n\t\t\tcontinue\n\t\tfi\n",
	    text);
	script_body(&zsh, text);
	zp_buf_append_text(text, "}\nif [ \"${funcstack[1]}\" = _zpin ]; then\n\t_zpin \"$@\"\n"
				 "else\n\tcompdef _zpin zpin\nfi\n");
}

/* ---- fish ----------------------------------------------------------------------------------- */

static void
fish_quoted(const char *words, struct zp_buf *text)
{
	zp_buf_append_byte(text, '\'');
	for (; *words != '\0'; words++) {
		if (*words == '\'' || *words == '\\')
			zp_buf_append_byte(text, '\\');
		zp_buf_append_byte(text, (uint8_t)*words);
	}
	zp_buf_append_byte(text, '\'');
}

/* One `complete` line for an option, where `condition` holds ("" is everywhere). */
static void
fish_option(const struct cli_option *option, const char *condition, struct zp_buf *text)
{
	zp_buf_append_text(text, "complete -c zpin");
	if (condition[0] != '\0')
		zp_buf_printf(text, " -n \"%s\"", condition);
	zp_buf_printf(text, " -l %s", option->name);
	if (option->letter != 0)
		zp_buf_printf(text, " -s %c", option->letter);
	if (option->value == CLI_FILE)
		zp_buf_append_text(text, " -r -F");
	else if (option->value != CLI_FLAG)
		zp_buf_append_text(text, " -x");
	if (option->choices != NULL) {
		bool is_list = option->value == CLI_CHOICES;

		zp_buf_append_text(text, is_list ? " -a '(__zpin_list " : " -a '");
		choice_words(option->choices, text);
		zp_buf_append_text(text, is_list ? ")'" : "'");
	}
	zp_buf_append_text(text, " -d ");
	fish_quoted(option->help, text);
	zp_buf_append_byte(text, '\n');
}

static void
fish_command(const struct cli_command *command, struct zp_buf *text)
{
	ZP_AUTO_BUF(condition, 128);

	zp_buf_printf(text, "complete -c zpin -n \"__zpin_at '%s'\" -x -a %s -d ",
	    command->group != NULL ? command->group : "", command->name);
	fish_quoted(command->summary, text);
	zp_buf_append_byte(text, '\n');
	zp_buf_append_text(&condition, "__zpin_at ");
	name_of(command, &condition);
	zp_buf_append_byte(&condition, '\0');
	if (command->words == NULL)
		zp_buf_printf(text, "complete -c zpin -n \"%s\" -F\n", condition.data);
	if (command->words != NULL && command->words[0] != '\0') {
		zp_buf_printf(text, "complete -c zpin -n \"%s\" -x -a '", condition.data);
		choice_words(command->words, text);
		zp_buf_append_text(text, "'\n");
	}
	if (command->run == cli__cmd_help) {
		zp_buf_printf(text, "complete -c zpin -n \"%s\" -x -a '", condition.data);
		first_words(text);
		zp_buf_append_text(text, "'\n");
	}
	for (const struct cli_option *option = command->options;
	     option != NULL && option->name != NULL; option++) {
		if (strcmp(option->name, "scdoc") != 0) /* the build's own */
			fish_option(option, (const char *)condition.data, text);
	}
}

/* Where the options of how a node is asked mean something. */
static void
fish_asks(struct zp_buf *text)
{
	zp_buf_append_text(text, "function __zpin_asks\n    set -l command (__zpin_command)\n"
				 "    not contains -- \"$command\"");
	for (size_t i = 0; i < cli__commands_count; i++) {
		if (!cli__is_local(&cli__commands[i]))
			continue;
		zp_buf_append_byte(text, ' ');
		name_of(&cli__commands[i], text);
	}
	zp_buf_append_text(text, "\nend\n");
}

static void
fish_group(const char *group, struct zp_buf *text)
{
	if (!is_command(group))
		zp_buf_printf(text, "complete -c zpin -n \"__zpin_at ''\" -x -a %s\n", group);
}

void
cli__completion_fish(struct zp_buf *text)
{
	zp_buf_append_text(text,
	    "# fish completion for zpin, made by `zpin completion fish`\n"
	    "function __zpin_command\n"
	    "    set -l command\n"
	    "    set -l skip 0\n"
	    "    for word in (commandline -opc)[2..-1]\n"
	    "        if test $skip = 1\n            set skip 0\n            continue\n        end\n"
	    "        switch $word\n            case ");
	global_value_labels(" ", text);
	zp_buf_append_text(text, "\n                set skip 1\n"
				 "            case '-*'\n"
				 "            case '*'\n"
				 "                if test (count $command) -eq 0\n"
				 "                    set command $word\n"
				 "                else if contains -- \"$command\"");
	groups(put_word, text);
	zp_buf_append_text(text, "\n                    set command \"$command $word\"\n"
				 "                end\n        end\n    end\n"
				 "    echo \"$command\"\nend\n"
				 "function __zpin_at\n"
				 "    set -l command (__zpin_command)\n"
				 "    test \"$command\" = \"$argv\"\nend\n"
				 "function __zpin_list\n"
				 "    set -l token (commandline -ct)\n"
				 "    set -l before (string replace -r '[^,=]*$' '' -- $token)\n"
				 "    for word in $argv\n"
				 "        echo \"$before$word\"\n    end\nend\n");
	fish_asks(text);
	zp_buf_append_text(text, "complete -c zpin -f\n");
	groups(fish_group, text);
	for (size_t i = 0; i < cli__commands_count; i++)
		fish_command(&cli__commands[i], text);
	for (size_t i = 0; cli__global_options[i].name != NULL; i++)
		fish_option(
		    &cli__global_options[i], i < CLI_ASKING_OPTIONS ? "__zpin_asks" : "", text);
}
