/*
 * parts.c - see parts.h. Owner: the main thread.
 */
#include "main/parts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "main/log.h"
#include "os/os.h"

void
main__identity_path(const struct zp_config *config, char *path, size_t bytes)
{
	if (config->node.identity[0] != '\0')
		snprintf(path, bytes, "%s", config->node.identity);
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
	    .journal_bytes_max = config->journal.size_max_bytes,
	    .checkpoint_interval_seconds = seconds_of(config->checkpoint.interval_ns),
	    .expiry_interval_seconds = seconds_of(config->expiry.scan_interval_ns),
	    .read_only = config->node.read_only,
	    .no_sync = !config->storage.sync,
	    .log = node_log,
	};
}

int
main__node_options(const struct zp_config *config, struct zp_identity *identity_out,
    struct zp_node_options *options_out, struct zp_err *err)
{
	char path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	int rc;

	main__identity_path(config, path, sizeof(path));
	rc = zp_identity_read(path, identity_out, err);
	if (rc == ZP_E_NOT_FOUND)
		return zp_wrap(err, rc, "no node in %s; `%s init %s` makes one", config->node.data,
		    main__program(), config->node.data);
	if (rc < 0)
		return rc;
	options_fill(config, options_out);
	memcpy(options_out->peer_id, identity_out->peer_id, identity_out->peer_id_bytes);
	options_out->peer_id_bytes = identity_out->peer_id_bytes;
	return ZP_OK;
}

/* Makes the directory and the ones above it. */
static int
directories_make(const char *path, struct zp_err *err)
{
	char part[ZP_CONFIG_TEXT_BYTES_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return zp_fail_errno(err, errno, "%s", part);
		*slash = '/';
	}
	if (mkdir(part, 0750) != 0 && errno != EEXIST)
		return zp_fail_errno(err, errno, "%s", part);
	return ZP_OK;
}

int
main__node_make(const struct zp_config *config, bool *made_out, struct zp_err *err)
{
	char identity_path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	char journal_path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	char shards_path[ZP_CONFIG_TEXT_BYTES_MAX + 32];
	struct zp_node_options options;
	struct zp_identity identity;
	int rc = directories_make(config->node.data, err);

	*made_out = false;
	if (rc < 0)
		return rc;
	main__identity_path(config, identity_path, sizeof(identity_path));
	if (access(identity_path, F_OK) != 0) {
		rc = zp_identity_create(identity_path, &identity, err);
		if (rc < 0)
			return rc;
	}
	snprintf(journal_path, sizeof(journal_path), "%s/journal", config->node.data);
	if (access(journal_path, F_OK) == 0)
		return ZP_OK; /* opening tells what is wrong with it, if anything */
	snprintf(shards_path, sizeof(shards_path), "%s/shards", config->node.data);
	if (access(shards_path, F_OK) == 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "%s has shards but no journal: nothing was changed; mount or restore %s", config->node.data,
		    journal_path);
	rc = main__node_options(config, &identity, &options, err);
	if (rc == ZP_OK)
		rc = zp_node_create(&options, err);
	*made_out = rc == ZP_OK;
	return rc;
}
