/*
 * offline.c - init, and import, export, verify and repair on the data of a stopped node.
 *
 * Flow: cli → here → a node in this process that does not listen. Owner: the main thread.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "main/log.h"
#include "main/parts.h"
#include "main/serve.h"
#include "os/disk.h"
#include "store/store.h"

#define LINE_BYTES_MAX (1u << 20)
#define READ_BYTES 262144u
#define MAP_MAX 4096u
#define SOCKET_PATH_BYTES_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* What root writes into another user's folder that user, whose node it is, cannot open again. */
static int
owner_check(const char *root, struct zp_err *err)
{
	const struct passwd *owner;
	struct stat found;

	if (geteuid() != 0 || stat(root, &found) != 0 || found.st_uid == 0)
		return ZP_OK;
	owner = getpwuid(found.st_uid);
	if (owner == NULL)
		return zp_fail(err, ZP_E_DENIED,
		    "%s belongs to user id %u, who could not read what root writes there: run this "
		    "as that user (sudo -u '#%u' zpin ...)",
		    root, (unsigned)found.st_uid, (unsigned)found.st_uid);
	return zp_fail(err, ZP_E_DENIED,
	    "%s belongs to %s, who could not read what root writes there: run this as that user "
	    "(sudo -u %s zpin ...)",
	    root, owner->pw_name, owner->pw_name);
}

/* ---- Init ------------------------------------------------------------------------------------ */

/* Writes <directory>/zpin.yaml, unless there is one: all defaults as comments but where the data
 * and the socket are. */
static int
config_write(const char *directory, const char *absolute, struct zp_err *err)
{
	char path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	ZP_AUTO_BUF(yaml, ZP_CONFIG_BYTES_MAX);
	struct zp_config config;
	int rc;

	zp_config_init(&config);
	zp_free(config.node.data);
	config.node.data = zp_strdup(absolute);
	snprintf(path, sizeof(path), "%s/zpin.sock", absolute);
	zp_free(config.management.socket);
	/* The kernel takes no longer path for a socket; commands then ask by the address. */
	config.management.socket = zp_strdup(strlen(path) < SOCKET_PATH_BYTES_MAX ? path : "");
	zp_buf_append_text(&yaml,
	    "# zpin.yaml: made by `zpin init`; see zpin.yaml(5). What is a comment shows the "
	    "default;\n"
	    "# take the `#` before a key, and before its section, away to change it.\n");
	zp_config_write(&config, &yaml);
	zp_config_done(&config);
	snprintf(path, sizeof(path), "%s/zpin.yaml", directory);
	/* Whole or not there: an empty or half config is a good one that leads to another data
	 * directory, and the next init takes what is there for the user's own. Not for everybody to
	 * read, since accounts may come into it. */
	rc = zp_disk_file_create(path, 0640, yaml.data, yaml.length);
	return rc == 0 || rc == EEXIST ? ZP_OK : zp_fail_errno(err, rc, "%s", path);
}

/* Takes the directory in place of what the config says. */
static int
directory_set(struct zp_config *config, const char *directory, struct zp_err *err)
{
	char *absolute;
	int rc = main__directory_make(directory, 0750, err);

	if (rc < 0)
		return rc;
	absolute = realpath(directory, NULL);
	if (absolute == NULL)
		return zp_fail_errno(err, errno, "%s", directory);
	zp_free(config->node.data);
	config->node.data = absolute;
	return config_write(directory, absolute, err);
}

/* Of a node that was just made, whose config is `path`, NULL where there is none. */
static void
init_report(const struct zp_config *config, const char *peer_id, bool is_whole, const char *path,
    struct zp_buf *report)
{
	zp_buf_printf(report, "made %s in %s\npeer id %s\nstart it: ",
	    is_whole ? "a node" : "an identity for the node", config->node.data, peer_id);
	main__command("serve", path, report);
	zp_buf_append_byte(report, '\n');
}

static void
init_report_json(const struct zp_config *config, const char *peer_id, bool is_whole,
    const char *path, struct zp_buf *report)
{
	zp_buf_printf(report, "{\"made\":\"%s\",\"data\":", is_whole ? "node" : "identity");
	zp_json_put_text(report, config->node.data);
	zp_buf_printf(report, ",\"peer_id\":\"%s\",\"config\":", peer_id);
	if (path != NULL)
		zp_json_put_text(report, path);
	else
		zp_buf_append_text(report, "null");
	zp_buf_append_text(report, "}\n");
}

int
zp_node_init(const char *config_path, const char *directory, bool as_json, struct zp_buf *report,
    struct zp_err *err)
{
	struct zp_identity identity;
	struct zp_config config;
	char path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	enum main__made made = MAIN__MADE_NOTHING;
	int rc = zp_config_load(config_path, environ, &config, err);

	if (rc < 0)
		return rc;
	rc = owner_check(directory != NULL ? directory : config.node.data, err);
	if (rc == ZP_OK && directory != NULL)
		rc = directory_set(&config, directory, err);
	if (rc == ZP_OK)
		rc = main__node_make(&config, &made, err);
	main__identity_path(&config, path, sizeof(path));
	if (rc == ZP_OK)
		rc = zp_identity_read(path, &identity, err);
	if (rc == ZP_OK && made == MAIN__MADE_NOTHING)
		rc = zp_fail(err, ZP_E_EXISTS, "there is a node in %s already", config.node.data);
	if (rc == ZP_OK) {
		snprintf(path, sizeof(path), "%s/zpin.yaml", directory != NULL ? directory : "");
		(as_json ? init_report_json : init_report)(&config, identity.text,
		    made == MAIN__MADE_NODE,
		    directory != NULL ? path : zp_config_path(config_path, environ), report);
	}
	zp_config_done(&config);
	return rc;
}

/* ---- A node without listeners ---------------------------------------------------------------- */

struct offline {
	struct zp_config config;
	struct zp_identity identity;
	struct zp_node *node;
};

/* The options' node, or of it what `as_of` says. */
static int
node_open(const struct zp_node_options *options, const char *as_of, struct zp_node **node_out,
    struct zp_err *err)
{
	if (as_of != NULL)
		return zp_node_open_as_of(options, as_of, node_out, err);
	if (options->at_checkpoint && !options->read_only)
		return zp_fail(err, ZP_E_READ_ONLY,
		    "%s is a snapshot, which is only read: copy it elsewhere to go on with it",
		    options->root);
	return zp_node_open(options, node_out, err);
}

static int
offline_open(struct offline *offline, const char *config_path, bool read_only, const char *as_of,
    struct zp_err *err)
{
	struct zp_node_options options;
	int rc = zp_config_load(config_path, environ, &offline->config, err);

	offline->node = NULL;
	if (rc < 0)
		return rc;
	zp_log_setup(ZP_LOG_WARNING, false);
	rc = main__node_options(&offline->config, config_path, &offline->identity, &options, err);
	if (rc == ZP_OK) {
		options.offline = true;
		options.read_only = read_only;
		rc = read_only ? ZP_OK : owner_check(options.root, err);
	}
	if (rc == ZP_OK)
		rc = node_open(&options, as_of, &offline->node, err);
	if (rc < 0)
		zp_config_done(&offline->config);
	return rc;
}

static void
offline_close(struct offline *offline)
{
	zp_node_close(offline->node);
	zp_config_done(&offline->config);
}

/* ---- Import ---------------------------------------------------------------------------------- */

/* "OLD=NEW" pairs as binary peer ids, kept in `binary`. */
static int
maps_parse(const struct zp_cli_import *import, struct zp_buf *binary, struct zp_slice (*pairs)[2],
    struct zp_err *err)
{
	size_t offsets[MAP_MAX * 2 + 1] = {0};

	if (import->maps_count > MAP_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "more than %u maps", MAP_MAX);
	for (size_t i = 0; i < import->maps_count; i++) {
		const char *text = import->maps[i];
		const char *equals = strchr(text, '=');
		int rc;

		if (equals == NULL)
			return zp_fail(err, ZP_E_INVALID, "\"%s\" is not OLD=NEW", text);
		rc = zp_peer_id_parse(
		    (struct zp_slice){(const uint8_t *)text, (size_t)(equals - text)}, binary, err);
		offsets[2 * i + 1] = binary->length;
		if (rc == ZP_OK)
			rc = zp_peer_id_parse(zp_slice_of(equals + 1), binary, err);
		offsets[2 * i + 2] = binary->length;
		if (rc < 0)
			return zp_wrap(err, rc, "--map %s", text);
	}
	for (size_t i = 0; i < import->maps_count * 2; i++)
		pairs[i / 2][i % 2] =
		    (struct zp_slice){binary->data + offsets[i], offsets[i + 1] - offsets[i]};
	return ZP_OK;
}

static void
bad_line(void *context, uint64_t line, const char *text)
{
	const struct zp_cli_import *import = context;

	import->bad_line(import->context, line, (struct zp_slice){(const uint8_t *)"", 0}, text);
}

static void
counts_of(struct zp_import *import, struct zp_cli_counts *counts)
{
	struct zp_import_progress progress;

	zp_ignore(zp_import_progress_get(import, &progress, NULL)); /* failures come with wait */
	*counts = (struct zp_cli_counts){.line = progress.lines,
	    .imported = progress.imported,
	    .skipped = progress.skipped,
	    .bytes = progress.bytes};
}

/* Feeds a piece; waits where the node cannot take more yet. */
static int
piece_feed(struct zp_import *import, const uint8_t *bytes, size_t length, struct zp_err *err)
{
	while (length > 0) {
		size_t taken = 0;
		int rc = zp_import_feed(import, bytes, length, &taken, err);

		if (rc < 0 && rc != ZP_E_FULL)
			return rc;
		bytes += taken;
		length -= taken;
		if (length > 0) {
			rc = zp_import_wait(import, err);
			if (rc < 0)
				return rc;
		}
	}
	return ZP_OK;
}

static int
input_feed(const struct zp_cli_import *from, struct zp_import *import, struct zp_cli_counts *counts,
    struct zp_err *err)
{
	uint8_t *bytes = zp_alloc(READ_BYTES);
	size_t length = 1;
	int rc = ZP_OK;

	while (rc == ZP_OK && length > 0) {
		rc = from->read(from->context, bytes, READ_BYTES, &length, err);
		if (rc == ZP_OK)
			rc = piece_feed(import, bytes, length, err);
		counts_of(import, counts);
		from->progress(from->context, counts);
	}
	zp_free(bytes);
	if (rc == ZP_OK)
		rc = zp_import_finish(import, err);
	return rc;
}

static void
stream_id(const char *hex, uint8_t id[16])
{
	for (size_t i = 0; i < 16 && hex[2 * i] != '\0' && hex[2 * i + 1] != '\0'; i++) {
		char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		id[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

static int
lines_done(void *context, const char *stream, uint64_t *lines_out, struct zp_err *err)
{
	uint8_t id[16] = {0};

	(void)err;
	stream_id(stream, id);
	*lines_out = zp_command_origin_sequence(context, id);
	return ZP_OK;
}

/* Names the stream and says where it goes on. */
static int
stream_choose(const struct zp_cli_import *from, struct zp_node *node,
    struct zp_import_options *options, struct zp_err *err)
{
	char stream[sizeof(from->stream)];
	int rc;

	memcpy(stream, from->stream, sizeof(stream));
	rc =
	    zp_cli_stream_choose(stream, from->resume, lines_done, node, &options->lines_done, err);
	if (rc < 0)
		return rc;
	stream_id(stream, options->origin.id);
	if (from->resume)
		from->resumed(from->context, options->lines_done);
	return ZP_OK;
}

/* From the first line to the last one durable. */
static int
import_run(const struct zp_cli_import *from, struct zp_node *node,
    struct zp_import_options *options, struct zp_cli_counts *counts_out, struct zp_err *err)
{
	struct zp_err err_wait = {0};
	struct zp_import *import;
	int rc_wait;
	int rc = stream_choose(from, node, options, err);

	if (rc == ZP_OK)
		rc = zp_import_open(node, options, bad_line, NULL, (void *)from, &import, err);
	if (rc < 0)
		return rc;
	rc = input_feed(from, import, counts_out, err);
	rc_wait = zp_import_wait(import, &err_wait); /* also what came before a bad line */
	counts_of(import, counts_out);
	zp_import_close(import);
	return rc == ZP_OK && rc_wait < 0 ? zp_fail(err, rc_wait, "%s", err_wait.text) : rc;
}

int
zp_node_import(const char *config_path, const struct zp_cli_import *from,
    struct zp_cli_counts *counts_out, struct zp_err *err)
{
	static const enum zp_import_allocations kinds[] = {
	    [ZP_CLI_ALLOCATIONS_KEEP] = ZP_IMPORT_ALLOCATIONS_KEEP,
	    [ZP_CLI_ALLOCATIONS_DROP] = ZP_IMPORT_ALLOCATIONS_DROP,
	    [ZP_CLI_ALLOCATIONS_MAP] = ZP_IMPORT_ALLOCATIONS_MAP,
	};
	ZP_AUTO_BUF(binary, MAP_MAX * 2 * ZP_PEER_ID_BYTES_MAX);
	struct zp_slice(*pairs)[2] = zp_alloc_zero(from->maps_count, sizeof(*pairs));
	struct zp_import_options options = {.allocations = kinds[from->allocations],
	    .map = (const struct zp_slice(*)[2])pairs,
	    .map_count = from->maps_count,
	    .replace = from->mode == ZP_CLI_IMPORT_REPLACE,
	    .skip_bad = from->skip_bad};
	struct offline offline;
	int rc = maps_parse(from, &binary, pairs, err);

	*counts_out = (struct zp_cli_counts){0};
	if (rc == ZP_OK)
		rc = offline_open(&offline, config_path, false, NULL, err);
	if (rc == ZP_OK) {
		rc = import_run(from, offline.node, &options, counts_out, err);
		offline_close(&offline);
	}
	zp_free(pairs);
	return rc;
}

/* ---- Export, verify -------------------------------------------------------------------------- */

static int
pin_append(struct zp_node *node, const struct zp_key *key, const struct zp_record *record,
    struct zp_buf *lines, struct zp_err *err)
{
	const struct zp_pin_json_style style = {0};
	struct zp_slice allocations;
	int rc = zp_tables_allocations_json(
	    zp_node_tables(node), record->facts[ZP_FACT_ALLOCATIONS], &allocations, err);

	if (rc == ZP_OK)
		rc = zp_pin_to_json(key, record, allocations, &style, lines, err);
	zp_buf_append_byte(lines, '\n');
	return rc;
}

static int
lines_write(struct zp_cli_export *to, struct zp_buf *lines, struct zp_cli_counts *counts,
    struct zp_err *err)
{
	int rc = to->write(to->context, zp_buf_slice(lines), err);

	counts->bytes += lines->length;
	zp_buf_clear(lines);
	to->progress(to->context, counts);
	return rc;
}

static int
pins_write(struct zp_node *node, struct zp_cli_export *to, struct zp_cli_counts *counts,
    struct zp_err *err)
{
	ZP_AUTO_BUF(lines, LINE_BYTES_MAX);
	struct zp_record record;
	struct zp_list *list;
	struct zp_key key;
	int rc_list = ZP_OK; /* of the list: ZP_END, or that it lacks pins */
	int rc = zp_list_open(node, 0, NULL, &list, err);

	if (rc < 0)
		return rc;
	while (rc == ZP_OK && (rc_list = zp_list_next(list, &key, &record, err)) == ZP_OK) {
		rc = pin_append(node, &key, &record, &lines, err);
		counts->line++;
		counts->imported++;
		if (rc == ZP_OK && lines.length > LINE_BYTES_MAX / 4)
			rc = lines_write(to, &lines, counts, err);
	}
	zp_list_close(list);
	if (rc == ZP_OK && lines.length > 0)
		rc = lines_write(to, &lines, counts, err);
	if (rc < 0 || rc_list == ZP_END)
		return rc;
	to->is_incomplete = true;
	return rc_list;
}

int
zp_node_export(const char *config_path, struct zp_cli_export *to, struct zp_cli_counts *counts_out,
    struct zp_err *err)
{
	struct offline offline;
	int rc = offline_open(&offline, config_path, true, to->as_of, err);

	*counts_out = (struct zp_cli_counts){0};
	if (rc < 0)
		return rc;
	rc = pins_write(offline.node, to, counts_out, err);
	offline_close(&offline);
	return rc;
}

static void
damage_tell(void *context, const char *text)
{
	struct zp_cli_verify *verify = context;

	verify->damages++;
	verify->damage(verify->context, text);
}

static void
progress_tell(void *context, uint64_t bytes, uint64_t bytes_all)
{
	struct zp_cli_verify *verify = context;

	verify->progress(verify->context, bytes, bytes_all);
}

int
zp_node_verify(const char *config_path, struct zp_cli_verify *verify, struct zp_err *err)
{
	struct zp_verify_options options = {.deep = verify->deep,
	    .damage = damage_tell,
	    .progress = progress_tell,
	    .context = verify};
	struct zp_verify_report report = {0};
	struct zp_node_facts facts;
	struct offline offline;
	int rc = offline_open(&offline, config_path, true, verify->as_of, err);

	if (rc < 0)
		return rc;
	zp_node_facts_get(offline.node, &facts);
	verify->journal_records = facts.replayed_records;
	rc = zp_command_verify(offline.node, &options, &report, err);
	verify->pins = report.pins;
	verify->segments = report.segments;
	verify->rows = report.rows;
	verify->bytes = report.bytes;
	verify->entries = report.entries;
	offline_close(&offline);
	return rc;
}

/* The beginnings of two keys, the second empty at the end of all. */
static void
keys_print(const struct zp_repair_shard *shard, char *text, size_t bytes)
{
	int length = snprintf(text, bytes, "%08x", zp_load_u32be(shard->low));

	if (zp_load_u32be(shard->high) != UINT32_MAX)
		snprintf(text + length, bytes - (size_t)length, " to before %08x",
		    zp_load_u32be(shard->high));
	else
		snprintf(text + length, bytes - (size_t)length, " or higher");
}

static void
shards_tell(const struct zp_repair_shard *shards, struct zp_cli_repair *repair)
{
	for (size_t i = 0; i < repair->give_up_count; i++) {
		struct zp_cli_repair_shard *to = &repair->shards[i];

		to->id = shards[i].id;
		to->has_count = shards[i].has_count;
		to->pins = shards[i].pins;
		to->journal_records = shards[i].journal_records;
		to->pins_left = shards[i].pins_left;
		snprintf(to->why, sizeof(to->why), "%s", shards[i].why);
		keys_print(&shards[i], to->keys, sizeof(to->keys));
	}
}

int
zp_node_mend(const char *config_path, struct zp_cli_repair *repair, struct zp_err *err)
{
	struct zp_repair_shard *shards = zp_alloc_zero(repair->give_up_count, sizeof(*shards));
	struct zp_repair_options how = {.accept_loss = repair->accept_loss,
	    .give_up = repair->give_up,
	    .shards = shards,
	    .give_up_count = repair->give_up_count};
	struct zp_repair_report report = {0};
	struct zp_node_options options;
	struct zp_identity identity;
	struct zp_config config;
	int rc = zp_config_load(config_path, environ, &config, err);

	if (rc == ZP_OK) {
		zp_log_setup(ZP_LOG_WARNING, false);
		rc = main__node_options(&config, config_path, &identity, &options, err);
		if (rc == ZP_OK && options.at_checkpoint)
			rc = zp_fail(err, ZP_E_READ_ONLY,
			    "%s is a snapshot, which is never repaired: what is wrong with it, "
			    "`zpin "
			    "verify --offline` tells",
			    options.root);
		if (rc == ZP_OK)
			rc = owner_check(options.root, err);
		if (rc == ZP_OK)
			rc = zp_node_repair(&options, &how, &report, err);
		zp_config_done(&config);
	}
	if (rc == ZP_OK)
		shards_tell(shards, repair);
	zp_free(shards);
	snprintf(repair->damage, sizeof(repair->damage), "%s", report.damage);
	snprintf(repair->kept_in, sizeof(repair->kept_in), "%s", report.kept_in);
	snprintf(repair->suspended_why, sizeof(repair->suspended_why), "%s", report.suspended_why);
	repair->batches = report.journal.batches;
	repair->missing = report.journal.missing;
	repair->is_repaired = report.is_repaired;
	repair->records = report.replayed_records;
	repair->lost_lists = report.lost_lists;
	repair->is_given_up = report.is_given_up;
	repair->suspended = report.suspended;
	repair->suspended_first = report.suspended_first;
	return rc;
}
