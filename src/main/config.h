/*
 * config.h - what the operator decided: zpin.yaml, then ZPIN_<SECTION>_<KEY> of the environment.
 *
 * One table (config_keys.c) names every key with its type, default, range and meaning; reading,
 * overriding, checking, showing and docs/configuration.md all come from it.
 *
 * Flow:   main reads it once at the start; serve.c hands each part its values.
 * Owner:  the main thread; read-only afterwards. All texts belong to the struct.
 * Errors: ZP_E_INVALID with "file:line:column: section.key: what is wrong and what to do".
 */
#ifndef ZP_MAIN_CONFIG_H
#define ZP_MAIN_CONFIG_H

#include "base/base.h"

#define ZP_CONFIG_PATH_DEFAULT "/etc/zpin/zpin.yaml"
#define ZP_CONFIG_BYTES_MAX (1u << 20) /* of a config or accounts file */
#define ZP_CONFIG_ITEMS_MAX 1024u      /* of a list */
#define ZP_CONFIG_TEXT_BYTES_MAX 4096u /* of one value */

/* Where to listen. `*:9094` is every address of the machine: host "::", both families. */
struct zp_config_address {
	char host[46];    /* numeric, IPv6 without brackets */
	uint16_t port;    /* 0: the kernel chooses; the log says which */
	bool is_loopback; /* 127.0.0.0/8 or ::1 */
};

struct zp_config_addresses {
	struct zp_config_address *items;
	size_t count;
};

struct zp_config_texts {
	char **items;
	size_t count;
};

struct zp_config_header {
	char *name;
	char *value;
};

struct zp_config_headers {
	struct zp_config_header *items;
	size_t count;
};

/* Where a value was given, as messages begin: "zpin.yaml:12:5". Default values have none: NULL. */
struct zp_config_place {
	char *text;
	size_t line; /* of the file; faults are told in this order */
};

/* One user of the API. Empty texts are "not given"; zp_config_check() says what must be there. */
struct zp_config_account {
	char *name;
	char *password_hash; /* argon2id, as `zpin account` prints it */
	char *password;      /* in clear; only with access.token_key: password */
	char *token_secret;  /* signs this account's tokens with access.token_key: secret */
	struct zp_config_place place;
};

struct zp_config_accounts {
	struct zp_config_account *items;
	size_t count;
};

enum zp_config_token_key {
	ZP_CONFIG_TOKEN_KEY_SECRET = 0,
	ZP_CONFIG_TOKEN_KEY_PASSWORD = 1,
};

enum zp_config_storage_kind {
	ZP_CONFIG_STORAGE_DIRECTORY = 0,
};

enum zp_config_accesses {
	ZP_CONFIG_ACCESSES_OFF = 0,
	ZP_CONFIG_ACCESSES_RELATIVE = 1,
	ZP_CONFIG_ACCESSES_EXACT = 2,
};

enum zp_config_log_level {
	ZP_CONFIG_LOG_ERROR = 0,
	ZP_CONFIG_LOG_WARNING = 1,
	ZP_CONFIG_LOG_INFO = 2,
	ZP_CONFIG_LOG_DEBUG = 3,
};

enum zp_config_log_format {
	ZP_CONFIG_LOG_TEXT = 0,
	ZP_CONFIG_LOG_JSON = 1,
};

/* Members are named as the keys, with the unit they are held in. Durations are nanoseconds. */
struct zp_config {
	struct {
		char *name;     /* shown as peername; empty: the host name */
		char *data;     /* directory of everything the node keeps */
		char *identity; /* identity file; empty: <data>/identity.json */
		bool read_only; /* refuse writes, serve reads */
	} node;
	struct {
		struct zp_config_addresses listen;
		char *tls_certificate;     /* PEM chain; empty: plain HTTP */
		char *tls_key;             /* PEM; given exactly when tls_certificate is */
		bool allow_insecure;       /* public addresses without accounts */
		int64_t header_timeout_ns; /* for a whole request head */
		int64_t read_timeout_ns;   /* without a byte of a body that is awaited */
		int64_t write_timeout_ns;  /* without a byte taken of an answer */
		int64_t idle_timeout_ns;   /* between requests */
		uint64_t max_header_bytes;
		uint64_t max_connections;         /* of all listeners together */
		uint64_t workers;                 /* threads; 0: one for each processor */
		struct zp_config_headers headers; /* added to every answer */
		struct zp_config_texts cors_allowed_origins;
		struct zp_config_texts cors_allowed_methods;
		struct zp_config_texts cors_allowed_headers;
		struct zp_config_texts cors_exposed_headers;
		bool cors_allow_credentials;
		int64_t cors_max_age_ns;
	} api;
	struct {
		struct zp_config_accounts accounts; /* accounts_file's come after these */
		char *accounts_file;
		int64_t token_key; /* enum zp_config_token_key */
	} access;
	struct {
		struct zp_config_addresses listen; /* empty: none */
		char *socket;                      /* Unix socket; empty: none */
	} management;
	struct {
		struct zp_config_addresses listen; /* empty: none */
	} metrics;
	struct {
		int64_t kind;                 /* enum zp_config_storage_kind */
		uint64_t shards;              /* only used when the data directory is made */
		bool sync;                    /* false: a crash may lose acknowledged writes */
		uint64_t memory_bytes;        /* 0: a quarter of the machine */
		int64_t hang_after_ns;        /* of a call of the disk; 0: nobody looks */
		int64_t accesses;             /* enum zp_config_accesses */
		int64_t accesses_interval_ns; /* relative: the same pin's are written no sooner */
	} storage;
	struct {
		uint64_t
		    size_max_bytes;     /* a checkpoint begins when the journal has grown by this */
		int64_t group_delay_ns; /* wait for more writers before a sync */
	} journal;
	struct {
		int64_t interval_ns; /* between checkpoints of a node that is written to */
	} checkpoint;
	struct {
		int64_t factor_min; /* for pins that name none; -1 everywhere */
		int64_t factor_max;
	} replication;
	struct {
		int64_t scan_interval_ns; /* between looks for pins that have expired */
	} expiry;
	struct {
		uint64_t rate_bytes; /* a second; 0: no pass begins by itself */
		int64_t every_ns;    /* from pass to pass; 0: likewise */
	} scrub;
	struct {
		int64_t level;  /* enum zp_config_log_level */
		int64_t format; /* enum zp_config_log_format */
	} log;
	struct zp_config_place *places; /* of the keys, in the order of their table */
};

#define ZP_CONFIG_FAULTS_MAX 20u /* told of one config; behind these nothing more is looked at */

/* All that is wrong with a config. Each text is whole, with its place. */
struct zp_config_faults {
	size_t count;
	struct {
		size_t line;
		struct zp_err err;
	} items[ZP_CONFIG_FAULTS_MAX];
};

/* Every key at its default. */
void zp_config_init(struct zp_config *config);
void zp_config_done(struct zp_config *config); /* NULL and all-zero are fine */

/* The file that load reads: `path`, else ZPIN_CONFIG of the environment, else
 * ZP_CONFIG_PATH_DEFAULT where there is one, else NULL: no file. */
const char *zp_config_path(const char *path, char *const *environment);

/*
 * Defaults, then the file, then `environment` ("NAME=value" texts, NULL-ended; may be NULL), then
 * accounts_file, then zp_config_check(). `path` as for zp_config_path(). *config is initialised
 * here; on failure it is left ended.
 */
ZP_MUST_CHECK int zp_config_load(
    const char *path, char *const *environment, struct zp_config *config, struct zp_err *err);

/* The same, and says everything that is wrong, in the order of lines: what a file and the
 * environment have; then, where each value is good, what they are together. Returns the first one's
 * code. */
ZP_MUST_CHECK int zp_config_load_judged(const char *path, char *const *environment,
    struct zp_config *config, struct zp_config_faults *faults_out);

/* The steps of load. `source` names the text in messages. A key in `yaml` replaces the whole value
 * that was there. On failure *config may hold part of what was read, and is still to be ended. */
ZP_MUST_CHECK int zp_config_read(
    struct zp_slice yaml, const char *source, struct zp_config *config, struct zp_err *err);
ZP_MUST_CHECK int zp_config_override(
    char *const *environment, struct zp_config *config, struct zp_err *err);

/*
 * What no single key can say: public addresses need accounts or allow_insecure, TLS needs
 * both files, replication factors fit each other, accounts are complete. Things that are allowed
 * but seldom meant are appended to `warnings`, a line each (NULL: not wanted).
 */
ZP_MUST_CHECK int zp_config_check(
    const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err);

/* The whole config as YAML, secrets replaced by "(hidden)"; for `zpin config check --show`. */
void zp_config_show(const struct zp_config *config, struct zp_buf *yaml);

/* Every key with its meaning, each section once; what is at its default is a comment. Secrets are
 * hidden. */
void zp_config_write(const struct zp_config *config, struct zp_buf *yaml);

/* The same of the defaults, under a heading: the file that the package starts with. */
void zp_config_example(struct zp_buf *yaml);

/* docs/configuration.md and the OPTIONS part of zpin.yaml(5) in scdoc. */
void zp_config_markdown(struct zp_buf *text);
void zp_config_scdoc(struct zp_buf *text);

#endif
