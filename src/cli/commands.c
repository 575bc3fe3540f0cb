/*
 * commands.c - the table of every command and option.
 *
 * Parsing, --help, zpin(1) and the completions for three shells come from these rows. A test parses
 * every example.
 */
#include "cli/cli_internal.h"

#define OPTION_END           \
	{                    \
		.name = NULL \
	}
#define NO_LIMIT CLI_ARGUMENTS_MAX

#define AS_OF_HELP                                                                            \
	"as it was: a snapshot's name, a time (RFC 3339) for the newest snapshot of then or " \
	"before, or checkpoint for the newest checkpoint"
#define AS_OF                                                                    \
	{                                                                        \
		"as-of", 0, CLI_TEXT, false, "MOMENT", NULL, "as_of", AS_OF_HELP \
	}

#define ACCESS(help)                                                     \
	{                                                                \
		"access", 0, CLI_FLAG, false, NULL, NULL, "access", help \
	}

const struct cli_option cli__global_options[] = {
    {"api", 0, CLI_TEXT, false, "URL", NULL, NULL,
	"the node's API: http://…, https://… or unix:PATH (ZPIN_API; http://127.0.0.1:9094)"},
    {"management", 0, CLI_TEXT, false, "URL", NULL, NULL,
	"the node's management address (ZPIN_MANAGEMENT; http://127.0.0.1:9098)"},
    {"credentials", 0, CLI_TEXT, false, "USER:PASSWORD", NULL, NULL,
	"who asks; better given as ZPIN_CREDENTIALS, which `ps` does not show"},
    {"ca-file", 0, CLI_FILE, false, "FILE", NULL, NULL,
	"PEM file with the authorities to trust for https"},
    {"no-check-certificate", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"take any certificate for https"},
    {"timeout", 't', CLI_DURATION, false, "DURATION", NULL, NULL,
	"give up when the node sends nothing for so long (1m; import, export and upkeep wait)"},
    {"config", 'c', CLI_FILE, false, "FILE", NULL, NULL,
	"zpin.yaml: the node to open, or whose addresses to ask (ZPIN_CONFIG)"},
    {"json", 'j', CLI_FLAG, false, NULL, NULL, NULL, "print the node's JSON as it came"},
    {"quiet", 'q', CLI_FLAG, false, NULL, NULL, NULL, "print no progress and no summaries"},
    {"help", 'h', CLI_FLAG, false, NULL, NULL, NULL, "explain a command"},
    OPTION_END,
};

static const struct cli_option pin_add_options[] = {
    {"name", 'n', CLI_TEXT, false, "NAME", NULL, "name", "name of the pin"},
    {"expire-in", 0, CLI_DURATION, false, "DURATION", NULL, "expire-in",
	"end the pin so long from now"},
    {"expire-at", 0, CLI_TIME, false, "TIME", NULL, "expire-at",
	"end the pin at this time, such as 2026-01-31T12:00:00Z (RFC 3339)"},
    {"mode", 0, CLI_CHOICE, false, "MODE", "recursive|direct", "mode",
	"pin the whole DAG (the default) or its root only"},
    {"replication", 'r', CLI_INTEGER, false, "N", NULL, "replication",
	"copies, at least and at most; -1 is every peer"},
    {"replication-min", 0, CLI_INTEGER, false, "N", NULL, "replication-min", "copies, at least"},
    {"replication-max", 0, CLI_INTEGER, false, "N", NULL, "replication-max", "copies, at most"},
    {"allocations", 0, CLI_TEXT, false, "PEER,…", NULL, "user-allocations", "peers to prefer"},
    {"metadata", 'm', CLI_PAIR, true, "KEY=VALUE", NULL, "meta-", "metadata of the pin"},
    {"origins", 0, CLI_TEXT, false, "ADDRESS,…", NULL, "origins",
	"multiaddresses, with /p2p/, that have the content"},
    {"pin-update", 0, CLI_TEXT, false, "CID", NULL, "pin-update", "take the options of this pin"},
    OPTION_END,
};

static const struct cli_option pin_update_options[] = {
    {"name", 'n', CLI_TEXT, false, "NAME", NULL, "name", "name of the pin"},
    {"expire-in", 0, CLI_DURATION, false, "DURATION", NULL, "expire-in",
	"end the pin so long from now"},
    {"expire-at", 0, CLI_TIME, false, "TIME", NULL, "expire-at",
	"end the pin at this time, such as 2026-01-31T12:00:00Z (RFC 3339)"},
    OPTION_END,
};

static const struct cli_option pin_ls_options[] = {
    {"limit", 'l', CLI_COUNT, false, "N", NULL, NULL, "print at most N pins"},
    {"name", 'n', CLI_TEXT, false, "NAME", NULL, "name", "only pins of this name"},
    {"meta", 'm', CLI_PAIR, true, "KEY=VALUE", NULL, "meta-", "only pins with this metadata"},
    {"type", 0, CLI_CHOICES, false, "TYPE,…", "all|pin|meta-pin|clusterdag-pin|shard-pin", "filter",
	"only pins of these types"},
    {"before", 0, CLI_TIME, false, "TIME", NULL, "before",
	"only pins added before, such as 2026-01-31T12:00:00Z (RFC 3339)"},
    {"after", 0, CLI_TIME, false, "TIME", NULL, "after",
	"only pins added after, such as 2026-01-31T12:00:00Z (RFC 3339)"},
    {"order", 0, CLI_CHOICES, false, "ORDER", "key|newest", "order",
	"newest: those that were pinned last come first; key, which is quickest, unless said"},
    {"cursor", 0, CLI_TEXT, false, "CURSOR", NULL, NULL,
	"go on behind the last pin of an earlier call, which printed this"},
    ACCESS("how often each was read, and when last, where the node keeps it"),
    AS_OF,
    OPTION_END,
};

static const struct cli_option pin_get_options[] = {
    ACCESS("with how often it was read, and when last, where the node keeps it"),
    AS_OF,
    OPTION_END,
};

static const struct cli_option info_options[] = {
    AS_OF,
    OPTION_END,
};

static const struct cli_option pin_status_options[] = {
    {"filter", 'f', CLI_CHOICES, false, "STATUS,…",
	"pinned|pinning|pin_queued|pin_error|unpinned|unpinning|unpin_queued|unpin_error|"
	"cluster_error|error|queued|remote|sharded|unexpectedly_unpinned",
	"filter", "only pins with one of these at a peer"},
    {"local", 0, CLI_FLAG, false, NULL, NULL, "local", "only what the asked node says"},
    AS_OF,
    OPTION_END,
};

static const struct cli_option pin_recover_options[] = {
    {"all", 'a', CLI_FLAG, false, NULL, NULL, NULL, "every pin that failed"},
    {"local", 0, CLI_FLAG, false, NULL, NULL, "local", "only on the asked node"},
    OPTION_END,
};

static const struct cli_option import_options[] = {
    {"mode", 0, CLI_CHOICE, false, "MODE", "merge|replace", NULL,
	"add to the pinset (the default), or make it exactly the input"},
    {"allocations", 0, CLI_CHOICE, false, "WHAT", "keep|drop|map", NULL,
	"keep the peers of each pin (the default), forget them, or rename them by --map"},
    {"map", 0, CLI_PAIR, true, "OLD=NEW", NULL, NULL, "peer NEW takes the place of OLD"},
    {"skip-bad", 0, CLI_FLAG, false, NULL, NULL, NULL, "report lines that are wrong and go on"},
    {"resume", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"go on where an import of the same file stopped, if nobody touched it since"},
    {"offline", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"open the data of a stopped node instead of asking a running one"},
    OPTION_END,
};

static const struct cli_option export_options[] = {
    {"output", 'o', CLI_FILE, false, "FILE", NULL, NULL,
	"write here, in place only when complete; - is standard output (the default)"},
    {"skip-damaged", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"take an export for complete that lacks pins which can't be read; they are told"},
    {"offline", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"open the data of a stopped or killed node; no file is changed"},
    ACCESS("with how often each was read, and when last; of a running node"),
    AS_OF,
    OPTION_END,
};

static const struct cli_option access_note_options[] = {
    {"count", 0, CLI_COUNT, false, "N", NULL, NULL, "so many times (1)"},
    {"last", 0, CLI_TIME, false, "TIME", NULL, NULL,
	"the last of them then, such as 2026-01-31T12:00:00Z (RFC 3339; now)"},
    OPTION_END,
};

static const struct cli_option verify_options[] = {
    {"offline", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"open the data of a stopped or killed node; no file is changed"},
    {"deep", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"recount everything: what pins, their entries of time and expiry and the tables say of "
	"each other, and every record of the journal"},
    {"as-of", 0, CLI_TEXT, false, "MOMENT", NULL, NULL,
	"with --offline, of a snapshot, whether or not the node runs, or of the newest "
	"checkpoint: as for `export`"},
    OPTION_END,
};

static const struct cli_option scrub_start_options[] = {
    {"rate", 0, CLI_TEXT, false, "SIZE", NULL, NULL,
	"read so many bytes a second, as 64MiB (scrub.rate of the config)"},
    OPTION_END,
};

static const struct cli_option repair_options[] = {
    {"accept-loss", 0, CLI_FLAG, false, NULL, NULL, NULL,
	"go on without the writes, or the shard, that are damaged or missing"},
    {"give-up-shard", 0, CLI_TEXT, true, "SHARD", NULL, NULL,
	"a suspended shard of which there is no copy: an empty one takes its place"},
    OPTION_END,
};

static const struct cli_option config_check_options[] = {
    {"show", 0, CLI_FLAG, false, NULL, NULL, NULL, "print every value, secrets hidden"},
    OPTION_END,
};

static const struct cli_option scdoc_options[] = {
    {"scdoc", 0, CLI_FLAG, false, NULL, NULL, NULL, "as a part of the manual page's source"},
    OPTION_END,
};

static const struct cli_option metrics_options[] = {
    {"prometheus", 'p', CLI_FLAG, false, NULL, NULL, NULL,
	"the page for Prometheus, from the management address"},
    OPTION_END,
};

const struct cli_command cli__commands[] = {
    {NULL, "serve", "", 0, 0, "run the node",
	"Runs until SIGTERM or SIGINT, then writes a checkpoint and ends. Tells systemd when it is "
	"ready.",
	NULL, "zpin serve\nzpin serve --config ./zpin-data/zpin.yaml\n", "", cli__cmd_serve},
    {NULL, "init", "[DIRECTORY]", 0, 1, "make a node's data directory, identity and config",
	"With DIRECTORY, everything goes there and the config is DIRECTORY/zpin.yaml. Without, the "
	"config says where.",
	NULL, "zpin init ./zpin-data\nsudo -u zpin zpin init\n", NULL, cli__cmd_init},
    {"config", "check", "", 0, 0, "say whether the config is good",
	"Reads the file and the environment as `serve` would. All that is wrong (20 faults at "
	"most) is named with file, line and column; what is allowed but seldom meant is a warning.",
	config_check_options, "zpin config check\nzpin config check --show --config zpin.yaml\n",
	"", cli__cmd_config_check},
    {"config", "example", "", 0, 0, "print a config with every key and its default", "", NULL,
	"zpin config example\n", "", cli__cmd_config_example},
    {"config", "reference", "", 0, 0, "print the manual of every key as Markdown", "",
	scdoc_options, "zpin config reference\n", "", cli__cmd_config_reference},
    {NULL, "account", "NAME", 1, 1, "make an account for the API",
	"Reads a password from the terminal or from standard input and prints the account for "
	"access.accounts or access.accounts_file, which the config has to name. A password has 8 "
	"bytes at least; it is not kept itself.",
	NULL, "zpin account alice\n", "", cli__cmd_account},
    {"pin", "add", "CID…", 1, NO_LIMIT, "pin CIDs or IPFS paths",
	"`-` reads them from standard input, a CID or a JSON object a line, and sends them as one "
	"request; what an object says goes before what the options say.",
	pin_add_options,
	"zpin pin add QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL --name report\n"
	"zpin pin add --expire-in 24h --metadata app=web "
	"bafkreic26i4svfepsuhd7e7j6fy5uyr74zrjiqf4rv7cp6t3hflt4qhoom\n"
	"zpin pin add --replication 2 - < cids.txt\n",
	"", cli__cmd_pin_add},
    {"pin", "rm", "CID…", 1, NO_LIMIT, "unpin CIDs or IPFS paths",
	"`-` reads them from standard input, one a line.", NULL,
	"zpin pin rm QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL\n", "", cli__cmd_pin_rm},
    {"pin", "ls", "[CID…]", 0, NO_LIMIT, "list pins",
	"Without --limit the whole pinset is streamed. With it, a cursor for the rest is printed "
	"on standard error. As of a moment the list is exact: every pin of then and no other, "
	"however long it takes.",
	pin_ls_options,
	"zpin pin ls --limit 100\nzpin pin ls --name report --meta app=web --json\n"
	"zpin pin ls --as-of before-upgrade\n",
	"", cli__cmd_pin_ls},
    {"pin", "get", "CID", 1, 1, "show everything about a pin", "", pin_get_options,
	"zpin pin get QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL\n", "", cli__cmd_pin_get},
    {"pin", "update", "FROM TO", 2, 2, "pin TO with the options of FROM",
	"FROM stays pinned. Content that both share is not fetched again.", pin_update_options,
	"zpin pin update QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL "
	"QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN\n",
	"", cli__cmd_pin_update},
    {"pin", "status", "[CID…]", 0, NO_LIMIT, "show where pins are and how they fare", "",
	pin_status_options, "zpin pin status --filter error\n", "", cli__cmd_pin_status},
    {"pin", "recover", "[CID…]", 0, NO_LIMIT, "try failed pins again", "", pin_recover_options,
	"zpin pin recover --all\nzpin pin recover QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL\n",
	"", cli__cmd_pin_recover},
    {"access", "note", "CID…", 1, NO_LIMIT, "tell that the content of pins was read",
	"For whoever serves it: the node itself serves none. It keeps that where its config has "
	"storage.accesses, and only of what is pinned. `-` reads lines from standard input, a CID "
	"or an object with cid, access_count and last_accessed, as `zpin export --access` has.",
	access_note_options,
	"zpin access note QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL\n"
	"zpin access note --count 20 --last 2026-01-31T12:00:00Z "
	"QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL\n"
	"zpin access note - < pins.ndjson\n",
	"", cli__cmd_access_note},
    {NULL, "import", "FILE", 1, 1, "read a pinset",
	"FILE is what `ipfs-cluster-service state export` or `zpin export` wrote, or a list of "
	"CIDs; "
	"gzip and zstd are seen by themselves; - is standard input. The first wrong line is "
	"reported with its number and ends the import, unless --skip-bad.",
	import_options,
	"zpin import state.ndjson.zst\n"
	"zpin import --allocations map --map 12D3KooWA=12D3KooWB state.ndjson\n"
	"zpin import --offline --mode replace state.ndjson.gz\n",
	NULL, cli__cmd_import},
    {NULL, "export", "", 0, 0, "write the pinset",
	"One pin a line, in the form of `ipfs-cluster-service state export`. Where files are "
	"damaged, "
	"every pin that can be read is written, what is missing is told, and the exit status is 4; "
	"with -o FILE the pins are then in FILE.partial, unless --skip-damaged. Pins that change "
	"meanwhile are written as they were or as they are; with --as-of it is the pinset of one "
	"moment.",
	export_options,
	"zpin export -o state.ndjson\nzpin export | zstd > state.ndjson.zst\n"
	"zpin export --as-of checkpoint -o state.ndjson\n",
	"", cli__cmd_export},
    {NULL, "verify", "", 0, 0, "read all of a node's data and check it",
	"Every byte is read and every pin counted again, by the node itself while it serves. What "
	"is damaged is listed, and the exit status is then 4.",
	verify_options,
	"zpin verify\nzpin verify --deep\nzpin verify --offline --config ./zpin-data/zpin.yaml\n",
	"", cli__cmd_verify},
    {NULL, "scrub", "", 0, 0, "show how the background check of all files fares",
	"The node reads all its files again and again, at a rate that leaves room for its work "
	"(scrub.rate and scrub.every of the config). What is damaged is listed, with file, block "
	"and the keys that are hit, and the exit status is then 4; what is mended is not known "
	"as damaged any more once a scrub has read it.",
	NULL, "zpin scrub\n", "", cli__cmd_scrub},
    {"scrub", "start", "", 0, 0, "begin or go on with a check of all files",
	"Does not wait for its end. While one runs, this changes its rate or ends its pause.",
	scrub_start_options, "zpin scrub start\nzpin scrub start --rate 200MiB\n", "",
	cli__cmd_scrub_start},
    {"scrub", "pause", "", 0, 0, "let the check of all files wait where it is",
	"Until `zpin scrub start`, or a restart of the node.", NULL, "zpin scrub pause\n", "",
	cli__cmd_scrub_pause},
    {"scrub", "stop", "", 0, 0, "end the check of all files that is under way",
	"The next one begins in its time.", NULL, "zpin scrub stop\n", "", cli__cmd_scrub_stop},
    {NULL, "repair", "", 0, 0, "let a stopped node go on whose journal or shard is lost",
	"Tells what is wrong with the journal and how much of it is whole, and which shards are "
	"suspended, and changes nothing; the exit status is then 4. Restoring the files from a "
	"copy "
	"loses nothing and is better. With --accept-loss everything that is whole in a damaged "
	"journal goes into the shards, also what stands behind the damage, the old files are kept "
	"in "
	"a folder beside, and a new journal begins. With --give-up-shard SHARD (its id, 16 hex "
	"digits; once for each) it tells what would be lost with a suspended shard; with "
	"--accept-loss "
	"too an empty shard takes its place, with what the journal still has of it. Its files stay "
	"in "
	"its folder, as NAME.given-up-NUMBER. A shard that can be opened is never given up.",
	repair_options,
	"zpin repair --config ./zpin-data/zpin.yaml\n"
	"zpin repair --accept-loss --config ./zpin-data/zpin.yaml\n"
	"zpin repair --give-up-shard 00c0ffee00c0ffee --config ./zpin-data/zpin.yaml\n",
	"", cli__cmd_repair},
    {NULL, "checkpoint", "", 0, 0, "write what is in memory into files, and trim the journal",
	"The node does so by itself; this is for before a copy or a restart.", NULL,
	"zpin checkpoint\n", "", cli__cmd_checkpoint},
    {NULL, "seal", "", 0, 0, "merge the files of every shard to one run",
	"For a pinset that is done growing, or before it is copied: lookups then ask one file, "
	"deleted pins take no space, and directories need least memory. Every file is written "
	"anew, some 4 GiB at a time, which is the space it takes; the node does not need it.",
	NULL, "zpin seal\n", "", cli__cmd_seal},
    {NULL, "snapshot", "NAME", 1, 1, "keep the data as it is now under a name",
	"A checkpoint, then hard links of all files in the directory snapshots/NAME of the node's "
	"data, which never change and take no space until the node replaces its own. Of a node "
	"that knows of damage it is made all the same, and has that damage: it is told, and the "
	"exit status is 4.",
	NULL, "zpin snapshot before-upgrade\n", "", cli__cmd_snapshot},
    {"snapshot", "ls", "", 0, 0, "list the snapshots, the oldest first",
	"TIME is the moment that each shows, PINS how many pins it has. BYTES are those of its "
	"files, OWN of those that nothing else has: what its removal gives back. One that was cut "
	"short, or whose checkpoint is damaged, says so in ERROR.",
	NULL, "zpin snapshot ls\n", "", cli__cmd_snapshot_ls},
    {"snapshot", "rm", "NAME…", 1, NO_LIMIT, "remove snapshots",
	"Nothing asks again. One that is being read is not removed: exit status 1.", NULL,
	"zpin snapshot rm before-upgrade\n", "", cli__cmd_snapshot_rm},
    {NULL, "info", "", 0, 0, "show who the node is and how it is",
	"What the management address says comes with it, under the names of its answer: root is "
	"the node's data directory, memtable_bytes the memory of what is not yet in files, "
	"resident_bytes that of the files' directories and filters, last_batch and "
	"checkpoint_batch are positions in the journal. Pins of suspended shards are not counted. "
	"With --as-of it tells of that moment's pinset alone.",
	info_options, "zpin info\nzpin info --as-of before-upgrade\n", "", cli__cmd_info},
    {NULL, "peers", "", 0, 0, "list the cluster's peers", "", NULL, "zpin peers\n", "",
	cli__cmd_peers},
    {"peers", "map", "OLD=NEW", 1, 1, "let a peer take the place of another in every pin",
	"From now on OLD reads as NEW in the allocations of every pin, whether it was imported or "
	"pinned here; both are peer ids.",
	NULL,
	"zpin peers map 12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa="
	"12D3KooWK11PUbq7MsqKBHhV6kjYXnuYeARiLVZKS7RZxGYGNmeR\n",
	"", cli__cmd_peers_map},
    {NULL, "metrics", "[NAME]", 0, 1, "list the cluster's metrics, or one's values", "",
	metrics_options, "zpin metrics\nzpin metrics freespace\nzpin metrics --prometheus\n", "",
	cli__cmd_metrics},
    {NULL, "health", "", 0, 0, "say whether the node is well, and its alerts",
	"Asks the management address, too: a node that can take no writes is told, with exit "
	"status 1, and damage that was met since its start, with exit status 4. A management "
	"address that was named, by option, variable or config, and does not answer is exit status "
	"1; one that is only usual is passed over with a word.",
	NULL, "zpin health\n", "", cli__cmd_health},
    {NULL, "version", "", 0, 0, "print the versions of this program and of the node", "", NULL,
	"zpin version\n", "", cli__cmd_version},
    {NULL, "completion", "SHELL", 1, 1, "print completions for bash, zsh or fish", "", NULL,
	"zpin completion bash > /etc/bash_completion.d/zpin\n", "bash|zsh|fish",
	cli__cmd_completion},
    {NULL, "help", "[COMMAND]", 0, 2, "explain a command", "", scdoc_options, "zpin help pin add\n",
	"", cli__cmd_help},
};

const size_t cli__commands_count = ZP_ARRAY_COUNT(cli__commands);
