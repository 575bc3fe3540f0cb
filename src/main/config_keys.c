/*
 * config_keys.c - the table of every key: type, place, default, range and meaning.
 *
 * Reading, the environment, checking, showing and the manual come from these rows; a key is added
 * here and in config.h and nowhere else. The compiler checks that row and member have one type.
 */
#include "main/config_internal.h"

#define MEMBER(place) (((struct zp_config *)NULL)->place)
/* The offset of a member, which does not compile unless the member has the type. */
#define OFFSET(place, ctype)                                                                   \
	(offsetof(struct zp_config, place) +                                                   \
	    0 * sizeof(char[__builtin_types_compatible_p(__typeof__(MEMBER(place)), ctype) ? 1 \
											   : -1]))

/* clang-format off */
#define ROW(section, key, type, member, ctype, preset, min, max, choices, about) \
	{#section, key, type, OFFSET(section.member, ctype), preset, min, max, choices, about}
#define TEXT(section, key, member, preset, about) \
	ROW(section, key, CONFIG_TEXT, member, char *, preset, 0, 0, NULL, about)
#define PATH(section, key, member, preset, about) \
	ROW(section, key, CONFIG_PATH, member, char *, preset, 0, 0, NULL, about)
#define BOOL(section, key, member, preset, about) \
	ROW(section, key, CONFIG_BOOL, member, bool, preset, 0, 0, NULL, about)
#define INTEGER(section, key, member, preset, min, max, about) \
	ROW(section, key, CONFIG_INTEGER, member, int64_t, preset, min, max, NULL, about)
#define COUNT(section, key, member, preset, min, max, about) \
	ROW(section, key, CONFIG_COUNT, member, uint64_t, preset, min, max, NULL, about)
#define SIZE(section, key, member, preset, min, max, about) \
	ROW(section, key, CONFIG_SIZE, member, uint64_t, preset, min, max, NULL, about)
#define DURATION(section, key, member, preset, min, max, about) \
	ROW(section, key, CONFIG_DURATION, member, int64_t, preset, min, max, NULL, about)
#define CHOICE(section, key, member, preset, choices, about) \
	ROW(section, key, CONFIG_CHOICE, member, int64_t, preset, 0, 0, choices, about)
#define ADDRESSES(section, key, member, preset, about) \
	ROW(section, key, CONFIG_ADDRESSES, member, struct zp_config_addresses, preset, 0, 0, NULL, about)
#define TEXTS(section, key, member, preset, about) \
	ROW(section, key, CONFIG_TEXTS, member, struct zp_config_texts, preset, 0, 0, NULL, about)
#define HEADERS(section, key, member, about) \
	ROW(section, key, CONFIG_HEADERS, member, struct zp_config_headers, "", 0, 0, NULL, about)
#define ACCOUNTS(section, key, member, about) \
	ROW(section, key, CONFIG_ACCOUNTS, member, struct zp_config_accounts, "", 0, 0, NULL, about)
/* clang-format on */

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)
#define MILLISECOND (CONFIG_SECOND / 1000)
#define MINUTE (CONFIG_SECOND * 60)
#define HOUR (MINUTE * 60)

const struct config_key config__keys[] = {
    TEXT(node, "name", name, "", "The name this node shows as its peername. Empty: the host name."),
    PATH(node, "data", data, "/var/lib/zpin",
	"The directory that holds everything the node keeps: journal, shards, identity."),
    PATH(node, "identity", identity, "",
	"The file with the node's Ed25519 key, in the form of IPFS Cluster's identity.json. Empty: "
	"identity.json in node.data, made by `zpin init`."),
    BOOL(node, "read_only", read_only, "false",
	"Refuse every write with 503 and go on serving reads."),

    ADDRESSES(api, "listen", listen, "127.0.0.1:9094",
	"Where the REST API of IPFS Cluster is served. Addresses are numeric, `localhost:PORT` or "
	"`*:PORT` for all. An address that other machines can reach needs access.accounts, or "
	"api.allow_insecure."),
    PATH(api, "tls_certificate", tls_certificate, "",
	"PEM file with the certificate chain. Given together with api.tls_key, the API speaks "
	"HTTPS only."),
    PATH(api, "tls_key", tls_key, "", "PEM file with the certificate's private key."),
    BOOL(api, "allow_insecure", allow_insecure, "false",
	"Let api.listen be public without accounts, so that anybody who reaches it may change the "
	"pinset, and metrics.listen, which asks for no account in any case."),
    DURATION(api, "header_timeout", header_timeout_ns, "5s", 100 * MILLISECOND, 10 * MINUTE,
	"How long a client may take to send the head of a request."),
    DURATION(api, "read_timeout", read_timeout_ns, "30s", CONFIG_SECOND, 24 * HOUR,
	"How long a client may send nothing while its request's body is awaited."),
    DURATION(api, "write_timeout", write_timeout_ns, "30s", CONFIG_SECOND, 24 * HOUR,
	"How long a client may take nothing of an answer."),
    DURATION(api, "idle_timeout", idle_timeout_ns, "2m", CONFIG_SECOND, 24 * HOUR,
	"How long a connection is kept open between requests."),
    SIZE(api, "max_header_bytes", max_header_bytes, "16KiB", KIB, ZP_HTTP_HEAD_BYTES_MAX,
	"The largest request line and headers together; more is answered with 431."),
    COUNT(api, "max_connections", max_connections, "16384", 1, 1000000,
	"Connections open at once, all listeners together; further ones are told 503 and closed."),
    COUNT(api, "workers", workers, "0", 0, 256,
	"Threads that serve requests. 0: one for each processor."),
    HEADERS(api, "headers", headers,
	"Headers added to every answer, as a mapping of name to value or to a list of values."),
    TEXTS(api, "cors_allowed_origins", cors_allowed_origins, "*",
	"Origins whose pages may read answers; `*` is any. Without accounts, one "
	"that is named in full may also ask by a host name."),
    TEXTS(api, "cors_allowed_methods", cors_allowed_methods, "GET",
	"Methods that pages of these origins may use. Pages of other sites may only read."),
    TEXTS(api, "cors_allowed_headers", cors_allowed_headers, "",
	"Request headers that a preflight request allows."),
    TEXTS(api, "cors_exposed_headers", cors_exposed_headers,
	"Content-Type, X-Stream-Output, X-Chunked-Output, X-Content-Length",
	"Answer headers that pages may read."),
    BOOL(api, "cors_allow_credentials", cors_allow_credentials, "true",
	"Let pages send credentials."),
    DURATION(api, "cors_max_age", cors_max_age_ns, "0s", 0, 24 * HOUR,
	"How long a browser may remember a preflight answer. 0s: not said."),

    ACCOUNTS(access, "accounts", accounts,
	"Who may use the API: a list of {name, password_hash, token_secret}, as `zpin account "
	"NAME` "
	"prints them. None: everybody may. A file that holds accounts must not be readable by "
	"everyone."),
    PATH(access, "accounts_file", accounts_file, "",
	"A YAML file with a list of further accounts, so that secrets stay out of this file."),
    CHOICE(access, "token_key", token_key, "secret", "secret|password",
	"What signs bearer tokens. `secret`: each account's token_secret. `password`: the "
	"account's "
	"password, as IPFS Cluster does, for clients that mint their own tokens; each account then "
	"needs `password` in clear in place of password_hash."),

    ADDRESSES(management, "listen", listen, "127.0.0.1:9098",
	"Where metrics and administration are served, and the API too. Empty: nowhere. Where there "
	"are accounts, everything here but /health asks for one; an address that other machines "
	"can reach needs access.accounts, and api.allow_insecure does not do."),
    PATH(management, "socket", socket, "/run/zpin/zpin.sock",
	"Unix socket with the API and the management for the command line. Who may open the file "
	"(its owner and group) may do everything, without an account. Empty: none."),

    ADDRESSES(metrics, "listen", listen, "127.0.0.1:8888",
	"Where /metrics and /health are served alone, as IPFS Cluster has it, to anybody. Empty: "
	"nowhere. An address that other machines can reach needs api.allow_insecure, also where "
	"there are accounts."),

    CHOICE(storage, "kind", kind, "directory", "directory",
	"How shards are kept: `directory` is plain directories with hard-link snapshots."),
    COUNT(storage, "shards", shards, "16", 1, ZP_SHARDS_MAX,
	"How many shards the key space is cut into, a power of two. Read when the data "
	"directory is made and never again."),
    BOOL(storage, "sync", sync, "true",
	"Acknowledge a write when the disk has it. false: a crash may lose acknowledged writes."),
    SIZE(storage, "memory", memory_bytes, "0", 0, 64 * TIB,
	"Memory for write buffers (half of it), the cache of blocks that were read (a quarter), "
	"that "
	"of names that are asked for often (a sixteenth) and filters together. 0: a quarter of the "
	"machine; otherwise at least 64MiB."),

    DURATION(storage, "hang_after", hang_after_ns, "30s", 0, 24 * HOUR,
	"How long a call of the disk may take before it counts as hanging. Then clients whose "
	"writes wait for it are answered 503, further writes are refused until it returns, and "
	"/health names it. A read that a client waits for is given up after a sixth of this. 0s: "
	"everybody waits."),
    CHOICE(storage, "accesses", accesses, "off", "off|relative|exact",
	"Whether it is kept how often a pin's content was read and when last, as those tell who "
	"serve it (`POST /accesses`); zpin itself serves none. `relative`: a pin's are written at "
	"most once in storage.accesses_interval, and what was not written yet is lost by a crash. "
	"`exact`: all of them, and what is answered is durable. What was kept stays when it is "
	"off again."),
    DURATION(storage, "accesses_interval", accesses_interval_ns, "24h", 0, 24 * 365 * HOUR,
	"With `relative`: a time that is kept is right to within this, and a count lags by as "
	"much. A stop writes what there is."),

    SIZE(journal, "size_max", size_max_bytes, "1GiB", 16 * MIB, TIB,
	"A checkpoint begins when the journal has grown by this since the last one."),
    DURATION(journal, "group_delay", group_delay_ns, "0s", 0, CONFIG_SECOND,
	"How long the journal waits for more writers before it syncs. 0s: those that are there "
	"already share a sync, nobody waits."),

    DURATION(checkpoint, "interval", interval_ns, "1h", CONFIG_SECOND, 24 * 7 * HOUR,
	"Time between checkpoints of a node that is written to."),

    INTEGER(replication, "factor_min", factor_min, "-1", -1, INT32_MAX,
	"The least copies of a pin that names no number. -1: on every peer."),
    INTEGER(replication, "factor_max", factor_max, "-1", -1, INT32_MAX,
	"The most copies of a pin that names no number. -1: on every peer."),

    DURATION(expiry, "scan_interval", scan_interval_ns, "5s", 100 * MILLISECOND, 24 * HOUR,
	"Time between looks for pins whose expire_at has passed."),

    SIZE(scrub, "rate", rate_bytes, "8MiB", 0, TIB,
	"How many bytes a second the background check of all files reads; a quarter of it while "
	"the node is at work. 0: it never begins by itself, and `zpin scrub start` names a rate."),
    DURATION(scrub, "every", every_ns, "168h", 0, 24 * 365 * HOUR,
	"Time from the beginning of one check of all files to the next. One that takes longer is "
	"followed by the next after as long again. 0s: only `zpin scrub start` begins one."),

    CHOICE(log, "level", level, "info", "error|warning|info|debug",
	"The least grave messages that are logged."),
    CHOICE(log, "format", format, "text", "text|json",
	"`text`: one line a message with the journal's priorities; `json`: one object a line."),
};

const size_t config__keys_count = ZP_ARRAY_COUNT(config__keys);
_Static_assert(ZP_ARRAY_COUNT(config__keys) <= CONFIG_KEYS_MAX, "raise CONFIG_KEYS_MAX");

static const struct {
	const char *name;
	const char *about;
} sections[] = {
    {"node", "Who this node is and where it keeps its data."},
    {"api", "The REST API that IPFS Cluster's clients speak."},
    {"access", "Who may use the API."},
    {"management", "Metrics and administration."},
    {"metrics", "The page for Prometheus on an address of its own."},
    {"storage", "How pins are kept."},
    {"journal", "The log that a write is in before it is acknowledged."},
    {"checkpoint", "When memory is written out and the journal cut."},
    {"replication", "How many copies a pin gets that names no number."},
    {"expiry", "Pins that end by themselves."},
    {"scrub", "The check of all files in the background."},
    {"log", "What the daemon says on standard error."},
};

_Static_assert(ZP_ARRAY_COUNT(sections) <= CONFIG_SECTIONS_MAX, "raise CONFIG_SECTIONS_MAX");

int
config__section_find(const char *section)
{
	for (size_t i = 0; i < ZP_ARRAY_COUNT(sections); i++) {
		if (strcmp(sections[i].name, section) == 0)
			return (int)i;
	}
	return -1;
}

const char *
config__section_about(int section)
{
	ZP_ASSERT(section >= 0 && (size_t)section < ZP_ARRAY_COUNT(sections));
	return sections[section].about;
}

const struct config_key *
config__key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];

		if (strcmp(key->section, section) == 0 && strcmp(key->name, name) == 0)
			return key;
	}
	return NULL;
}

bool
config__type_is_scalar(enum config_type type)
{
	return type < CONFIG_ADDRESSES;
}
