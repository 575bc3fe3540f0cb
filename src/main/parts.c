/*
 * parts.c - see parts.h. Owner: the main thread.
 */
#include "main/parts.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/http.h"
#include "main/log.h"
#include "os/os.h"

/* Whether the data directory is one of the snapshots in a node's: <node>/snapshots/<name>. `node`
 * (NULL: nobody asks) gets that directory. A copy that stands elsewhere is a node to go on with. */
static bool
is_snapshot(const struct zp_config *config, char *node, size_t bytes)
{
	static const char folder[] = "/snapshots/";
	char path[PATH_MAX], *name;
	bool is_one = false;

	if (realpath(config->node.data, path) == NULL)
		return false;
	name = strrchr(path, '/');
	if (name != NULL && (size_t)(name - path) >= sizeof(folder) - 1 &&
	    memcmp(name - (sizeof(folder) - 2), folder, sizeof(folder) - 1) == 0) {
		name -= sizeof(folder) - 2;
		snprintf(name, sizeof(path) - (size_t)(name - path), "/journal");
		is_one = access(path, F_OK) == 0;
		*name = '\0';
	}
	if (is_one && node != NULL)
		snprintf(node, bytes, "%s", path);
	return is_one;
}

void
main__identity_path(const struct zp_config *config, char *path, size_t bytes)
{
	char node[PATH_MAX];

	if (config->node.identity[0] != '\0')
		snprintf(path, bytes, "%s", config->node.identity);
	else if (is_snapshot(config, node, sizeof(node)))
		snprintf(path, bytes, "%.*s/identity.json", (int)bytes - 16, node);
	else
		snprintf(path, bytes, "%s/identity.json", config->node.data);
}

const char *
main__program(void)
{
	return strchr(program_invocation_name, '/') != NULL ? program_invocation_name : "zpin";
}

static void
node_log(void *context, int level, const char *text)
{
	(void)context;
	zp_log_line((enum zp_log_level)level, text, NULL, 0);
}

static uint32_t
seconds_of(int64_t nanoseconds)
{
	int64_t seconds = (nanoseconds + 999999999) / 1000000000;

	return (uint32_t)(seconds < 0 ? 0 : zp_min_u64((uint64_t)seconds, UINT32_MAX));
}

_Static_assert((int)ZP_ACCESSES_RELATIVE == (int)ZP_CONFIG_ACCESSES_RELATIVE &&
		   (int)ZP_ACCESSES_EXACT == (int)ZP_CONFIG_ACCESSES_EXACT,
    "the modes are the choices");

/* Everything but the identity. */
static void
options_fill(const struct zp_config *config, struct zp_node_options *options)
{
	uint64_t memory = config->storage.memory_bytes != 0 ? config->storage.memory_bytes
							    : zp_machine_memory_bytes() / 4;

	*options = (struct zp_node_options){
	    .root = config->node.data,
	    .shards = (uint32_t)config->storage.shards,
	    .replication_min = (int32_t)config->replication.factor_min,
	    .replication_max = (int32_t)config->replication.factor_max,
	    .memtable_bytes_max = memory / 2,
	    .texts_cache_bytes_max = memory / 16,
	    .block_cache_bytes_max = memory / 4,
	    .journal_bytes_max = config->journal.size_max_bytes,
	    .checkpoint_interval_seconds = seconds_of(config->checkpoint.interval_ns),
	    .expiry_interval_seconds = seconds_of(config->expiry.scan_interval_ns),
	    .accesses_mode = (enum zp_accesses_mode)config->storage.accesses,
	    .accesses_interval_seconds = seconds_of(config->storage.accesses_interval_ns),
	    .scrub_bytes_per_second = config->scrub.rate_bytes,
	    .scrub_interval_seconds = seconds_of(config->scrub.every_ns),
	    .hang_after_ns = (uint64_t)config->storage.hang_after_ns,
	    .read_only = config->node.read_only,
	    .no_sync = !config->storage.sync,
	    .log = node_log,
	};
}

/* 1 when there is something of that name in the data directory, 0 when not. Nothing else is taken
 * for "not there": a directory that cannot be looked into may have a node. */
static int
data_has(const struct zp_config *config, const char *name, struct zp_err *err)
{
	char path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	struct stat info;

	snprintf(path, sizeof(path), "%s/%s", config->node.data, name);
	if (stat(path, &info) == 0)
		return 1;
	return errno == ENOENT ? 0 : zp_fail_errno(err, errno, "%s", path);
}

/* 1 when the data directory has a node, 0 when it has nothing of one. */
static int
node_is_there(const struct zp_config *config, struct zp_err *err)
{
	int rc = data_has(config, "journal", err);

	if (rc != 0)
		return rc; /* opening tells what is wrong with it, if anything */
	rc = data_has(config, "shards", err);
	if (rc <= 0)
		return rc;
	return zp_fail(err, ZP_E_CORRUPT,
	    "%s has shards but no journal: nothing was changed; mount or restore %s/journal",
	    config->node.data, config->node.data);
}

/* In a log nobody sees as whom the node runs, and files of another user would not help it. */
static const char *
user_name(void)
{
	const struct passwd *user = isatty(STDERR_FILENO) ? NULL : getpwuid(geteuid());

	return user == NULL ? "" : user->pw_name;
}

void
main__command(const char *command, const char *config_path, struct zp_buf *text)
{
	const char *path = zp_config_path(config_path, environ);

	zp_buf_printf(text, "%s %s", main__program(), command);
	if (path != NULL)
		zp_buf_printf(text, " --config %s", path);
}

static int
node_missing(const struct zp_config *config, const char *config_path, struct zp_err *err)
{
	const char *user = user_name();
	ZP_AUTO_BUF(command, ZP_CONFIG_TEXT_BYTES_MAX);

	main__command("init", config_path, &command);
	return zp_fail(err, ZP_E_NOT_FOUND,
	    "there is no node in %s: if it is new, make it with `%.*s`%s%s; if not, is the file "
	    "system "
	    "mounted?",
	    config->node.data, (int)command.length, (const char *)command.data,
	    user[0] != '\0' ? " as user " : "", user);
}

static int
identity_missing(const struct zp_config *config, const char *config_path, struct zp_err *err)
{
	ZP_AUTO_BUF(command, ZP_CONFIG_TEXT_BYTES_MAX);

	main__command("init", config_path, &command);
	return zp_wrap(err, ZP_E_NOT_FOUND,
	    "the identity of the node in %s is gone: restore the file, or give the node another "
	    "peer id "
	    "with `%.*s`",
	    config->node.data, (int)command.length, (const char *)command.data);
}

int
main__node_options(const struct zp_config *config, const char *config_path,
    struct zp_identity *identity_out, struct zp_node_options *options_out, struct zp_err *err)
{
	char path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	int rc = node_is_there(config, err);

	if (rc == 0)
		return node_missing(config, config_path, err);
	main__identity_path(config, path, sizeof(path));
	if (rc > 0)
		rc = zp_identity_read(path, identity_out, err);
	if (rc == ZP_E_NOT_FOUND)
		return identity_missing(config, config_path, err);
	if (rc < 0)
		return rc;
	options_fill(config, options_out);
	options_out->at_checkpoint = is_snapshot(config, NULL, 0);
	memcpy(options_out->peer_id, identity_out->peer_id, identity_out->peer_id_bytes);
	options_out->peer_id_bytes = identity_out->peer_id_bytes;
	return ZP_OK;
}

int
main__directory_make(const char *path, mode_t mode, struct zp_err *err)
{
	int rc;

	if (mkdir(path, mode) != 0)
		return errno == EEXIST ? ZP_OK : zp_fail_errno(err, errno, "%s", path);
	rc = zp_disk_entry_sync(path);
	return rc == 0 ? ZP_OK : zp_fail_errno(err, rc, "sync the directory of %s", path);
}

/* Makes the directory and the ones above it. */
static int
directories_make(const char *path, struct zp_err *err)
{
	char part[ZP_CONFIG_TEXT_BYTES_MAX];
	int rc = ZP_OK;

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); rc == ZP_OK && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		rc = main__directory_make(part, 0755, err);
		*slash = '/';
	}
	return rc < 0 ? rc : main__directory_make(part, 0750, err);
}

int
main__node_make(const struct zp_config *config, enum main__made *made_out, struct zp_err *err)
{
	char path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	struct zp_node_options options;
	struct zp_identity identity;
	int rc = directories_make(config->node.data, err);

	*made_out = MAIN__MADE_NOTHING;
	if (rc == ZP_OK)
		rc = node_is_there(config, err);
	if (rc < 0)
		return rc;
	main__identity_path(config, path, sizeof(path));
	if (access(path, F_OK) != 0) {
		int rc_identity = zp_identity_create(path, &identity, err);

		if (rc_identity < 0)
			return rc_identity;
		*made_out = MAIN__MADE_IDENTITY;
	}
	if (rc > 0)
		return ZP_OK;
	options_fill(config, &options);
	rc = zp_node_create(&options, err);
	if (rc == ZP_OK)
		*made_out = MAIN__MADE_NODE;
	return rc;
}

static void
socket_try(const char *path, struct zp_buf *warnings)
{
	char folder[ZP_CONFIG_TEXT_BYTES_MAX];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		slash[slash == folder] = '\0';
	if (access(folder, W_OK | X_OK) == 0)
		return;
	zp_buf_printf(warnings,
	    errno == ENOENT ? "management.socket: %s does not exist; zpin.service makes /run/zpin "
			      "at its start\n"
			    : "management.socket: no file can be made in %s by this user\n",
	    folder);
}

int
main__config_try(const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err)
{
	int rc = ZP_OK;

	if (config->api.tls_certificate[0] != '\0')
		rc = zp_http_tls_check(config->api.tls_certificate, config->api.tls_key, err);
	if (rc < 0)
		return zp_wrap(err, rc, "api.tls_certificate, api.tls_key");
	if (config->management.socket[0] != '\0')
		socket_try(config->management.socket, warnings);
	return ZP_OK;
}
