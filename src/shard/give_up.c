/*
 * give_up.c - a suspended shard of which there is no copy begins anew.
 *
 * Flow:  zp_node_repair → renew, replay what the journal has of it, end. Owner: the caller's
 * thread; nobody has the node open.
 *
 * The empty shard that zp_shards_renew makes says that it has no batch: until the end, whoever
 * opens the node finds it suspended as before (or whole, when the journal begins with batch 1), and
 * giving it up can be repeated. One manifest ends it: with one incarnation more, so that the old
 * files can't come back under it, and with the position that the journal was replayed to.
 *
 * The old files stay where they are, under other names: the folder may be a file system of its own,
 * and what is looked for later is looked for there.
 */
#include "shard/shard_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define ASIDE ".given-up-"

/* ---- The old files --------------------------------------------------------------------------- */

struct names {
	char (*list)[ZP_FILE_NAME_MAX + 1];
	size_t count;
	unsigned long aside_last; /* the highest number that files were put aside with */
};

static int
name_add(void *context, const char *name, struct zp_err *err)
{
	struct names *names = context;
	const char *aside = strstr(name, ASIDE);
	size_t length = strlen(name);

	(void)err;
	if (aside != NULL) {
		names->aside_last =
		    zp_max_u64(names->aside_last, strtoul(aside + strlen(ASIDE), NULL, 10));
		return ZP_OK;
	}
	if (length > 4 && strcmp(name + length - 4, ".tmp") == 0)
		return ZP_OK; /* a file that never was */
	if ((names->count & (names->count - 1)) == 0)
		names->list = zp_realloc(
		    names->list, zp_max_u64(1, names->count * 2) * sizeof(names->list[0]));
	snprintf(names->list[names->count++], sizeof(names->list[0]), "%s", name);
	return ZP_OK;
}

static bool
is_manifest(const char *name)
{
	return strncmp(name, "manifest-", strlen("manifest-")) == 0;
}

static int
names_put_aside(
    struct zp_store *store, const struct names *names, bool of_manifests, struct zp_err *err)
{
	int rc = ZP_OK;

	for (size_t i = 0; rc == ZP_OK && i < names->count; i++) {
		char to[ZP_FILE_NAME_MAX + 64];

		if (is_manifest(names->list[i]) != of_manifests)
			continue;
		snprintf(to, sizeof(to), "%s" ASIDE "%lu", names->list[i], names->aside_last + 1);
		rc = zp_store_rename(store, names->list[i], to, err);
	}
	return rc;
}

/* Manifests first, durably: one that is there must have its files. What follows is durable with the
 * first manifest of the new shard. */
static int
files_put_aside(struct zp_store *store, struct zp_err *err)
{
	struct names names = {0};
	int rc = zp_store_list(store, name_add, &names, err);

	if (rc == ZP_OK)
		rc = names_put_aside(store, &names, true, err);
	if (rc == ZP_OK)
		rc = zp_store_sync_directory(store, err);
	if (rc == ZP_OK)
		rc = names_put_aside(store, &names, false, err);
	zp_free(names.list);
	return rc;
}

/* ---- The new shard --------------------------------------------------------------------------- */

int
zp_shards_renew(struct zp_shards *shards, uint32_t index, struct zp_err *err)
{
	struct shard__member *member = &shards->members[index];
	unsigned long long id = shards->map.ranges[index].id;
	struct zp_store *store;
	int rc = shard__store_open(&shards->options, id, true, &store, err);

	ZP_ASSERT(zp_engine_is_suspended(member->engine) && !shards->options.read_only);
	if (rc == ZP_OK) {
		rc = files_put_aside(store, err);
		zp_store_close(store);
	}
	if (rc == ZP_OK)
		rc = shard__member_create(&shards->options, &shards->map, index, err);
	if (rc == ZP_OK) {
		zp_engine_close(member->engine);
		*member = (struct shard__member){.is_renewed = true};
		rc = shard__member_open(shards, index, &(bool){false}, err);
	}
	return rc < 0 ? zp_wrap(err, rc, "give up shard %016llx", id) : ZP_OK;
}

int
zp_shards_renewed_end(
    struct zp_shards *shards, uint32_t index, uint64_t epoch, uint64_t batch, struct zp_err *err)
{
	struct zp_engine *engine = shards->members[index].engine;
	int rc;

	ZP_ASSERT(shards->members[index].is_renewed && shards->keeps_positions);
	zp_engine_freeze(engine);
	rc = zp_engine_flush(engine, shards->tables, err);
	if (rc == ZP_OK)
		rc = zp_shards_incarnation_raise(shards, index, epoch, batch, err);
	return rc < 0 ? zp_wrap(err, rc, "give up shard %016llx",
			    (unsigned long long)shards->map.ranges[index].id)
		      : ZP_OK;
}
