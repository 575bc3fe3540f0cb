/*
 * cli.h - the `zpin` command line: every subcommand, most of them clients of a running node.
 *
 * Flow:   main.c calls zp_cli_main(); commands talk HTTP to the daemon. What needs a node inside
 * this process (serve, init, offline import and export, verify, config) goes through struct
 * zp_cli_node_ops, which main fills, so that this folder includes no daemon folder. Owner:  the
 * main thread.
 *
 * Beyond IPFS Cluster's REST API the commands use, of the node:
 *   GET /allocations   query limit, cursor, before, after, name, meta-<key>; the header
 * X-Next-Cursor is the `cursor` of the next page, which even an empty page may have. POST /pins
 * NDJSON of pins or a CID a line. Answers NDJSON in the body's order: the pin, or
 *                      {"line": n, "error": why}.
 *   POST /import       NDJSON of pins or a CID a line. Query replace, skip_bad, allocations,
 * map=OLD:NEW (repeated), origin (names the input) and lines_done (which to pass over). Answers
 * NDJSON while it reads: {"lines", "lines_done", "imported", "skipped"} now and then, {"bad_line":
 * n, "error": why} for a line skipped, and last
 *                      {"done": true, …} or {"error": why, "error_code": name in err.def, "line":
 * n, …}. GET /import        query origin: {"lines_done": n}, how far that input is in the journal.
 *   GET /export        NDJSON, a pin a line, as `ipfs-cluster-service state export` writes it.
 *   as_of              a query of GET /allocations, /pins, /export (and /info): the pinset of then.
 *   GET /info, /snapshots, /metrics, /scrub; POST /scrub?do=&rate=, /verify?deep=, /checkpoint,
 * /seal, /snapshot?name=, /peers/move?from=&to=; DELETE /snapshot?name=  of the management address,
 * or of the Unix socket, which has the API too. X-Zpin-Error       of failures: the name in
 * err.def, from which the exit code comes. With X-Stream-Error, CORRUPT means that all was listed
 * which can be read.
 */
#ifndef ZP_CLI_CLI_H
#define ZP_CLI_CLI_H

#include "base/base.h"

enum zp_cli_import_mode {
	ZP_CLI_IMPORT_MERGE,   /* add and overwrite, keep the rest */
	ZP_CLI_IMPORT_REPLACE, /* the pinset is the input afterwards */
};

enum zp_cli_allocations {
	ZP_CLI_ALLOCATIONS_KEEP,
	ZP_CLI_ALLOCATIONS_DROP,
	ZP_CLI_ALLOCATIONS_MAP, /* by `maps`, others kept */
};

/* How far an import or export is. */
struct zp_cli_counts {
	uint64_t line;     /* the last line read or written, from 1 */
	uint64_t imported; /* pins taken, or written by an export */
	uint64_t skipped;  /* bad lines passed over */
	uint64_t bytes;    /* of uncompressed text */
};

/* One import. All pointers are borrowed for the call. */
struct zp_cli_import {
	enum zp_cli_import_mode mode;
	enum zp_cli_allocations allocations;
	const char *const *maps; /* "OLD=NEW" peer ids */
	size_t maps_count;
	bool skip_bad;
	bool resume;
	bool is_cids;    /* a bare CID a line instead of JSON */
	char stream[33]; /* hex; names file and options for zp_cli_stream_choose; "": no file */

	/* The next uncompressed bytes; *length_out 0 at the end. */
	int (*read)(
	    void *context, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err);
	void (*progress)(void *context, const struct zp_cli_counts *counts);
	/* A line that is skipped; `text` may be cut. */
	void (*bad_line)(void *context, uint64_t line, struct zp_slice text, const char *why);
	/* With `resume`: how many lines an earlier import has in the node. */
	void (*resumed)(void *context, uint64_t lines);
	void *context; /* of the four */
};

/* One export. */
struct zp_cli_export {
	int (*write)(void *context, struct zp_slice text, struct zp_err *err);
	void (*progress)(void *context, const struct zp_cli_counts *counts);
	void *context;
	const char *as_of; /* of which moment; NULL: as the node is */
	/* Out, beside the error: all pins were written but those that can't be read. */
	bool is_incomplete;
};

/* One check of all data. */
struct zp_cli_verify {
	bool deep; /* recount everything */
	void (*damage)(void *context, const char *text);
	void (*progress)(void *context, uint64_t bytes, uint64_t bytes_all);
	void *context;
	const char *as_of; /* of which moment; NULL: as the node is */
	/* Out, also on failure: what was read. */
	uint64_t pins; /* in files */
	uint64_t
	    journal_records; /* writes that only the journal has: pins beside those, or of them */
	uint64_t segments;
	uint64_t rows;
	uint64_t bytes;
	uint64_t entries;      /* of time and expiry; deep only */
	uint64_t counters_set; /* that were off; not offline, which changes nothing */
	uint64_t damages;
};

/* A shard that is to be given up, or was. */
struct zp_cli_repair_shard {
	uint64_t id;
	char why[512];  /* it is suspended */
	char keys[64];  /* beginnings of the digests of its pins: from, and the first behind */
	bool has_count; /* the last checkpoint counted `pins` in it */
	uint64_t pins;
	uint64_t journal_records; /* what the journal still has of it */
	uint64_t pins_left;
};

/* A look at a node whose journal is damaged or one of whose shards is lost, or its repair. */
struct zp_cli_repair {
	bool accept_loss;
	const uint64_t *give_up; /* ids of shards */
	size_t give_up_count;
	/* Out. */
	struct zp_cli_repair_shard *shards; /* the caller's: one for each of them */
	bool is_given_up;
	uint32_t suspended; /* shards that were found so; the first of them: */
	uint64_t suspended_first;
	char suspended_why[512];
	char damage[512]; /* empty: there is none, and nothing was done */
	uint64_t batches; /* of the journal that are whole */
	uint64_t missing; /* that are known to be missing between them or behind them */
	bool is_repaired;
	uint64_t records;    /* that went into the shards */
	uint64_t lost_lists; /* allocations of pins that name a stand-in now */
	char kept_in[4200];  /* where the old files are; empty: there were none */
};

/*
 * What the program can do without another process. `config_path` is --config or NULL; the ops read
 * the config themselves. An op that is NULL answers "not in this build".
 */
struct zp_cli_node_ops {
	/* Runs until SIGTERM or SIGINT. */
	int (*serve)(const char *config_path, struct zp_err *err);
	/* Makes a data directory, its identity and, with `directory`, <directory>/zpin.yaml.
	 * `report` takes lines for people, or a JSON object. */
	int (*init)(const char *config_path, const char *directory, bool as_json,
	    struct zp_buf *report, struct zp_err *err);
	/* On the data of a stopped node; ZP_E_LOCKED when one runs. *counts_out is also set on
	 * failure. */
	int (*import)(const char *config_path, const struct zp_cli_import *import,
	    struct zp_cli_counts *counts_out, struct zp_err *err);
	int (*export)(const char *config_path, struct zp_cli_export *export,
	    struct zp_cli_counts *counts_out, struct zp_err *err);
	/* ZP_E_CORRUPT when something is damaged. */
	int (*verify)(const char *config_path, struct zp_cli_verify *verify, struct zp_err *err);
	/* On the data of a stopped node. ZP_E_CORRUPT when it can't be mended so. */
	int (*repair)(const char *config_path, struct zp_cli_repair *repair, struct zp_err *err);
	/* Reads and checks the config: all that is wrong, a line each; or warnings, a line each,
	 * and with `show` the values. An error without a line is in `err`. */
	int (*config_check)(const char *config_path, bool show, struct zp_buf *faults,
	    struct zp_buf *warnings, struct zp_buf *values, struct zp_err *err);
	/* Where the node of that config listens, as for --api and --management; empty: nowhere. */
	int (*addresses)(const char *config_path, struct zp_buf *api, struct zp_buf *management,
	    struct zp_err *err);
	void (*config_example)(struct zp_buf *text);
	void (*config_reference)(bool as_scdoc, struct zp_buf *text);
};

/*
 * Completes the name of an import's stream and tells how many of its lines to pass over: with
 * `resume` the stream that was begun last, else a new one with none. `lines_done` tells what a
 * node has of a stream.
 */
ZP_MUST_CHECK int zp_cli_stream_choose(char stream[33], bool resume,
    int (*lines_done)(void *context, const char *stream, uint64_t *lines_out, struct zp_err *err),
    void *context, uint64_t *lines_out, struct zp_err *err);

/* Runs the command that argv names and returns the exit code: 0, or that of base/err.def. */
int zp_cli_main(int argc, char **argv, const struct zp_cli_node_ops *ops);

#endif
