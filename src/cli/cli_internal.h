/*
 * cli_internal.h - the table of commands and options, what was parsed, and the parts commands
 * share.
 */
#ifndef ZP_CLI_CLI_INTERNAL_H
#define ZP_CLI_CLI_INTERNAL_H

#include <stdio.h>

#include "cli/cli.h"

#define CLI_LINE_BYTES_MAX (ZP_RECORD_BYTES_MAX * 8u) /* one JSON object of a stream */
#define CLI_ERROR_BODY_BYTES_MAX (1u << 20)           /* a verify tells its damages in one */
#define CLI_OPTIONS_MAX 64u                           /* given in one call */
#define CLI_ARGUMENTS_MAX 65536u
#define CLI_URL_BYTES_MAX 65536u
#define CLI_COMMAND_BYTES_MAX (16u << 20) /* of a call: the system takes less, even all quoted */
#define CLI_LIST_PAGE_MAX ZP_LIST_PAGE_MAX

/* ---- The table (commands.c) ----------------------------------------------------------------- */

enum cli_value {
	CLI_FLAG, /* takes none */
	CLI_TEXT,
	CLI_FILE,  /* a path; completion offers files */
	CLI_COUNT, /* whole number from 0 */
	CLI_INTEGER,
	CLI_DURATION,
	CLI_TIME,    /* RFC 3339 */
	CLI_CHOICE,  /* one of `choices` */
	CLI_CHOICES, /* some of `choices`, with commas between */
	CLI_PAIR,    /* KEY=VALUE */
};

#define CLI_ASKING_OPTIONS 6u /* the first of cli__global_options: how a node is asked */

struct cli_option {
	const char *name; /* without the dashes */
	char letter;      /* 0: none */
	enum cli_value value;
	bool is_repeated;      /* may be given more than once */
	const char *argument;  /* how help names the value: "FILE"; NULL for flags */
	const char *choices;   /* "merge|replace" */
	const char *parameter; /* the query parameter it becomes; NULL: none */
	const char *help;
};

struct cli_call;

struct cli_command {
	const char *group; /* "pin" of `pin add`, or NULL */
	const char *name;
	const char *arguments; /* "CID…" or "" */
	unsigned arguments_min;
	unsigned arguments_max;
	const char *summary;              /* one line */
	const char *details;              /* sentences; may be "" */
	const struct cli_option *options; /* ends with name NULL; may be NULL */
	const char *examples;             /* lines, each a call that parses */
	const char *words; /* what arguments can be, for completion: "bash|zsh|fish"; NULL: files */
	int (*run)(struct cli_call *call);
};

extern const struct cli_command cli__commands[];
extern const size_t cli__commands_count;
extern const struct cli_option cli__global_options[]; /* ends with name NULL */

/* ---- What was parsed (options.c) ------------------------------------------------------------ */

struct cli_given {
	const struct cli_option *option;
	const char *value; /* borrowed from argv; "" for flags */
};

struct cli_parsed {
	const struct cli_command *command; /* NULL: none named */
	struct cli_given given[CLI_OPTIONS_MAX];
	size_t given_count;
	const char **arguments; /* owned array of borrowed texts */
	size_t arguments_count;
	bool wants_help;
};

/* Reads argv[1…]. Errors name what is wrong and the help to read. *parsed_out is ended by
 * cli__parsed_done also after a failure. */
ZP_MUST_CHECK int cli__parse(
    int argc, char *const *argv, struct cli_parsed *parsed_out, struct zp_err *err);
void cli__parsed_done(struct cli_parsed *parsed);

/* The last value given, or NULL. */
const char *cli__value(const struct cli_parsed *parsed, const char *name);
bool cli__has(const struct cli_parsed *parsed, const char *name);
/* The value of a CLI_COUNT option, or `otherwise`. */
uint64_t cli__count(const struct cli_parsed *parsed, const char *name, uint64_t otherwise);

/* ---- Help and completion (help.c, completion.c): pure text from the table ------------------- */

void cli__help_all(struct zp_buf *text);
void cli__help_command(const struct cli_command *command, struct zp_buf *text);
void cli__help_scdoc(struct zp_buf *text); /* the COMMANDS part of zpin(1) */
void cli__completion_bash(struct zp_buf *text);
void cli__completion_zsh(struct zp_buf *text);
void cli__completion_fish(struct zp_buf *text);
/* Whether the command never asks a node (cli.c), so that options of how to ask say nothing. */
bool cli__is_local(const struct cli_command *command);
/* Whether commands have this word before their own. */
bool cli__is_group(const char *word);
/* "pin add" */
void cli__command_name(const struct cli_command *command, struct zp_buf *text);

/* ---- One run of a command ------------------------------------------------------------------- */

struct cli_settings {
	const char *api;            /* URL or unix:PATH */
	const char *management;     /* the same, or NULL: not known */
	bool is_management_guessed; /* nobody named it: it may well be elsewhere, or closed */
	const char *credentials;    /* user:password or NULL */
	const char *config_path;    /* or NULL */
	const char *ca_file;        /* or NULL */
	int64_t timeout_ns;         /* without a byte; 0: for ever */
	bool is_timeout_given;
	bool no_certificate_check;
	bool is_json;
	bool is_quiet;
	struct zp_buf config_api; /* what `api` and `management` borrow when the config says */
	struct zp_buf config_management;
};

struct cli_call {
	const struct cli_parsed *parsed;
	struct cli_settings settings;
	const struct zp_cli_node_ops *ops;
	struct cli_client *client; /* made on first use, see cli__client */
	FILE *out;                 /* answers */
	FILE *notes;               /* progress, warnings, errors */
	bool is_out_closed;        /* whoever read our answers went away */
	struct zp_err err;
};

/* Writes to call->out; the error is for sinks, which stop on it. */
ZP_MUST_CHECK int cli__print(struct cli_call *call, struct zp_slice text, struct zp_err *err);
ZP_MUST_CHECK int cli__print_line(struct cli_call *call, struct zp_slice text, struct zp_err *err);
/* ZP_E_IO when something before could not be written. */
ZP_MUST_CHECK int cli__out_check(struct cli_call *call, struct zp_err *err);
/* "zpin: …" on call->notes, made safe for a terminal. */
void cli__note(struct cli_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- HTTP (client.c) ------------------------------------------------------------------------ */

/* Takes a block of an answer's body; an error stops the transfer. */
typedef int (*cli_sink)(void *context, struct zp_slice block, struct zp_err *err);
/* Gives the next bytes of a request's body; *length_out 0 at the end. */
typedef int (*cli_source)(
    void *context, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err);

struct cli_request {
	const char *base; /* NULL: settings.api */
	const char *method;
	const char *path; /* with the query, encoded */
	cli_sink sink;    /* NULL: the body is dropped */
	void *sink_context;
	cli_source source; /* NULL: no body */
	void *source_context;
	bool is_patient;             /* no timeout unless one was given */
	struct zp_buf *cursor;       /* takes X-Next-Cursor; NULL: not wanted */
	struct zp_buf *error_body;   /* takes the body of a failure; NULL: not wanted */
	void (*tick)(void *context); /* about every second while waiting; may be NULL */
	void *tick_context;
	long status; /* out: of the answer, 0 when none came */
	/* Out, beside the error: the answer came to its end, but lacks what the node can't read. */
	bool is_incomplete;
};

/*
 * Performs a request. An answer of 400 and over is an error with the node's message; so is a stream
 * that was cut or came with X-Stream-Error (what came before went to the sink).
 */
ZP_MUST_CHECK int cli__request(struct cli_call *call, struct cli_request *request);
void cli__client_free(struct cli_client *client);
/* A sink: gathers the body in the buffer `context`, up to its limit. */
int cli__body_sink(void *context, struct zp_slice block, struct zp_err *err);

/* GET of a small answer as a whole. */
ZP_MUST_CHECK int cli__get(
    struct cli_call *call, const char *base, const char *path, struct zp_buf *body);

/* What an HTTP status means as ZP_E_*. */
int cli__code_of_status(long status);
/* The code that err.def gives this name, or `otherwise`. */
int cli__code_of_name(struct zp_slice name, int otherwise);

/* Percent-encodes everything but unreserved characters. */
void cli__url_encode(struct zp_slice text, struct zp_buf *url);
/* Appends "/pins/CID", or "/pins/ipfs/…" for an IPFS path. */
void cli__pin_path(const char *cid, struct zp_buf *url);
/* Adds "?name=value" or "&name=value". */
void cli__query_add(struct zp_buf *url, const char *name, const char *value);
/* Adds every given option that has a parameter; pairs as <parameter><key>=<value>. */
void cli__query_add_given(struct zp_buf *url, const struct cli_parsed *parsed);
/* NUL-ends `url` for cli_request.path; error when it grew over CLI_URL_BYTES_MAX. */
ZP_MUST_CHECK int cli__url_end(struct zp_buf *url, struct zp_err *err);

/* ---- Lines of a stream (lines.c) ------------------------------------------------------------ */

/* Cuts blocks at newlines and hands on whole lines without them; blank lines are dropped. */
struct cli_lines {
	struct zp_buf partial;
	uint64_t number; /* of the present line, from 1 on, those that are empty too */
	int (*line)(void *context, struct zp_slice line, struct zp_err *err);
	void *context;
};

void cli__lines_init(struct cli_lines *lines,
    int (*line)(void *context, struct zp_slice line, struct zp_err *err), void *context);
ZP_MUST_CHECK int cli__lines_add(void *lines, struct zp_slice block, struct zp_err *err);
/* Hands on what is left without a newline. */
ZP_MUST_CHECK int cli__lines_end(struct cli_lines *lines, struct zp_err *err);
void cli__lines_done(struct cli_lines *lines);

/* ---- Tables (table.c) ----------------------------------------------------------------------- */

#define CLI_COLUMNS_MAX 12u
#define CLI_TABLE_SAMPLE_ROWS 200u

struct cli_column {
	const char *title;
	unsigned width_min; /* never narrower on a terminal */
	bool is_right;      /* numbers */
	bool is_elastic;    /* gives way when the terminal is too narrow */
};

/* Rows on a terminal (`width` columns) get fitted columns and a header; elsewhere (width 0) cells
 * are separated by tabs and nothing is cut. The first rows decide the widths; later ones stream. */
struct cli_table {
	FILE *out;
	const struct cli_column *columns;
	size_t columns_count;
	unsigned width;
	bool is_bold;  /* header in bold */
	bool is_begun; /* widths are decided and the header is written */
	unsigned widths[CLI_COLUMNS_MAX];
	struct zp_buf *held; /* cells of the first rows, row by row */
	size_t held_count;
};

void cli__table_begin(struct cli_table *table, FILE *out, const struct cli_column *columns,
    size_t columns_count, unsigned width);
/* `cells` are borrowed; they may hold anything and are made safe for a terminal. */
void cli__table_row(struct cli_table *table, const struct zp_slice *cells);
void cli__table_end(struct cli_table *table);

/* Terminal columns that `text` takes: wide characters 2, combining ones 0. */
size_t cli__text_width(struct zp_slice text);
/* Appends text cut to `width` columns, with "…" where something is missing; control characters,
 * and bytes that are not UTF-8, become U+FFFD. Returns the columns taken. width 0: never cut. */
size_t cli__text_fit(struct zp_slice text, size_t width, struct zp_buf *out);
/* Pure: divides `width` among columns whose natural widths are given. */
void cli__table_fit(
    const struct cli_column *columns, size_t count, unsigned width, unsigned *widths);
/* 0 when `out` is no terminal; else COLUMNS or what the terminal says. */
unsigned cli__terminal_width(FILE *out);

/* ---- Members of a JSON object (pick.c) ------------------------------------------------------ */

/* The members `names` of the object as text: strings unescaped, numbers and booleans as they stand,
 * arrays of scalars joined by commas, null and missing "", objects as JSON. */
ZP_MUST_CHECK int cli__pick(struct zp_slice object, const char *const *names, struct zp_buf *values,
    size_t count, struct zp_err *err);
/* Calls `each` with every item of a JSON array, or every value of an object with its name. */
ZP_MUST_CHECK int cli__each(struct zp_slice container,
    int (*each)(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err),
    void *context, struct zp_err *err);
/* A whole number among them; 0 for anything else. */
uint64_t cli__pick_count(const struct zp_buf *value);

/* ---- Progress (progress.c) ------------------------------------------------------------------ */

/* How far and how fast; every function is pure but the last. */
struct cli_progress {
	FILE *notes; /* NULL: show nothing */
	bool is_terminal;
	int64_t begin_ns; /* monotonic */
	int64_t shown_ns; /* when the line was last drawn */
	int64_t rate_ns;  /* time and amounts of the last rate sample */
	uint64_t rate_items;
	double items_per_second; /* smoothed */
};

void cli__progress_begin(struct cli_progress *progress, FILE *notes, bool is_quiet, int64_t now_ns);
/* Smooths the rate: the weight of an old sample halves every 3 s. */
void cli__progress_sample(struct cli_progress *progress, uint64_t items, int64_t now_ns);
/* Seconds left from the share done (0 to 1) and the time it took; -1: can't be said. */
int64_t cli__eta_seconds(double share, int64_t elapsed_ns);
/* "1.23 M", "12.3 GB", "3m05s", "0.12s" */
void cli__format_count(uint64_t count, struct zp_buf *text);
void cli__format_bytes(uint64_t bytes, struct zp_buf *text);
void cli__format_seconds(int64_t seconds, struct zp_buf *text);
void cli__format_elapsed(int64_t elapsed_ns, struct zp_buf *text);
/* One line: share (negative: unknown), counts, rate, time left. */
void cli__progress_line(const struct cli_progress *progress, const struct zp_cli_counts *counts,
    double share, int64_t now_ns, struct zp_buf *text);
/* Draws over the last line at most 5 times a second, on a terminal only. */
void cli__progress_show(struct cli_progress *progress, const struct zp_cli_counts *counts,
    double share, int64_t now_ns);
void cli__progress_clear(struct cli_progress *progress);
int64_t cli__now_ns(void);

/* Appends an address of a node for people, with a NUL: who asks, and the password, are left out. */
void cli__url_show(const char *url, struct zp_buf *text);

/* ---- Going on with an import (resume.c) ----------------------------------------------------- */

/* "zpin import --resume … FILE", with the same options. */
void cli__resume_command(const struct cli_parsed *parsed, struct zp_buf *text);
/* From now on a signal that ends the program tells how to go on; is_known_again: the input is a
 * file. */
void cli__resume_begin(const struct cli_parsed *parsed, bool is_known_again);
void cli__resume_end(void);

/* ---- Input files (input.c) ------------------------------------------------------------------ */

/* A file or standard input, uncompressed on the way by its first bytes (gzip, zstd, or as it is).
 */
struct cli_input;

ZP_MUST_CHECK int cli__input_open(
    const char *path, struct cli_input **input_out, struct zp_err *err);
/* The next bytes; *length_out 0 at the end. Cut or damaged compression is ZP_E_CORRUPT. */
ZP_MUST_CHECK int cli__input_read(
    struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err);
/* The first uncompressed bytes without consuming them. */
ZP_MUST_CHECK int cli__input_peek(
    struct cli_input *input, struct zp_slice *head_out, struct zp_err *err);
/* A name for the input, the same for the same unchanged file; is_file_out tells whether it is one,
 * as only then a second run reads the same. */
ZP_MUST_CHECK int cli__input_name(
    struct cli_input *input, char name_out[33], bool *is_file_out, struct zp_err *err);
/* Of the file's bytes as stored: 0 to 1, negative when the size isn't known. */
double cli__input_share(const struct cli_input *input);
/* Appends line `number` (from 1) of a file, as far as there is room; ZP_E_NOT_FOUND past its end.
 */
ZP_MUST_CHECK int cli__input_line(
    const char *path, uint64_t number, struct zp_buf *text, struct zp_err *err);
void cli__input_close(struct cli_input *input);

/* ---- Commands (cmd_*.c) --------------------------------------------------------------------- */

int cli__cmd_serve(struct cli_call *call);
int cli__cmd_init(struct cli_call *call);
int cli__cmd_config_check(struct cli_call *call);
int cli__cmd_config_example(struct cli_call *call);
int cli__cmd_config_reference(struct cli_call *call);
int cli__cmd_account(struct cli_call *call);
int cli__cmd_pin_add(struct cli_call *call);
/* `pin add -` (cmd_bulk.c): the lines of standard input as one request. */
ZP_MUST_CHECK int cli__pin_add_stream(struct cli_call *call);
/* "pinned CID NAME", or the JSON as it came. */
ZP_MUST_CHECK int cli__pin_report(
    struct cli_call *call, const char *verb, struct zp_slice json, struct zp_err *err);
/* Asks the management address by `method` and waits for as long as it takes, showing `what` on a
 * terminal (cmd_upkeep.c). `body` takes the answer, also of a failure. */
ZP_MUST_CHECK int cli__manage(struct cli_call *call, const char *method, const char *path,
    const char *what, struct zp_buf *body);
/* The node's JSON, or `verb` and its member `first`, and `join` and `second` unless that is NULL.
 */
ZP_MUST_CHECK int cli__manage_print(struct cli_call *call, const struct zp_buf *body,
    const char *verb, const char *first, const char *join, const char *second);
/* A JSON array of objects as a table of the members `names`, or as it came (cmd_node.c). */
struct cli_column;
ZP_MUST_CHECK int cli__array_print(struct cli_call *call, const char *base, const char *path,
    const struct cli_column *columns, const char *const *names, size_t count);
/* "damaged: …" (cmd_upkeep.c). */
ZP_MUST_CHECK int cli__damage_line(struct cli_call *call, struct zp_slice text);
/* An answer of the node with members "damaged_blocks" and the like, or none: prints the places and
 * fails, beginning with `what`, where there is damage. */
ZP_MUST_CHECK int cli__damage_judge(
    struct cli_call *call, struct zp_slice object, const char *what);
int cli__cmd_pin_rm(struct cli_call *call);
int cli__cmd_pin_ls(struct cli_call *call);
int cli__cmd_pin_get(struct cli_call *call);
int cli__cmd_pin_update(struct cli_call *call);
int cli__cmd_pin_status(struct cli_call *call);
int cli__cmd_pin_recover(struct cli_call *call);
int cli__cmd_access_note(struct cli_call *call);
int cli__cmd_import(struct cli_call *call);
int cli__cmd_export(struct cli_call *call);
int cli__cmd_verify(struct cli_call *call);
int cli__cmd_repair(struct cli_call *call);
int cli__cmd_checkpoint(struct cli_call *call);
int cli__cmd_seal(struct cli_call *call);
int cli__cmd_snapshot(struct cli_call *call);
int cli__cmd_scrub(struct cli_call *call);
int cli__cmd_scrub_start(struct cli_call *call);
int cli__cmd_scrub_pause(struct cli_call *call);
int cli__cmd_scrub_stop(struct cli_call *call);
int cli__cmd_snapshot_ls(struct cli_call *call);
int cli__cmd_snapshot_rm(struct cli_call *call);
int cli__cmd_peers_map(struct cli_call *call);
int cli__cmd_info(struct cli_call *call);
int cli__cmd_peers(struct cli_call *call);
int cli__cmd_metrics(struct cli_call *call);
int cli__cmd_health(struct cli_call *call);
int cli__cmd_version(struct cli_call *call);
int cli__cmd_completion(struct cli_call *call);
int cli__cmd_help(struct cli_call *call);

#endif
