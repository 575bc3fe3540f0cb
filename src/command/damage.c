/*
 * damage.c - what could not be read since the node was opened, each place counted and named once.
 *
 * Flow: reads, lists, merges, verify → here → the log, and facts for who looks. Any thread.
 *
 * Files never change, so a damaged block is the same one however often it is met: its text tells it
 * from others.
 */
#include "command/command_internal.h"

/* Whether it is the first time; in it goes. With the lock held. */
static bool
is_new(struct command__damage *damage, const char *text)
{
	uint64_t hash = zp_hash64(text, strlen(text), 0);

	for (uint32_t i = 0; i < damage->count; i++) {
		if (damage->hashes[i] == hash)
			return false;
	}
	if (damage->count == COMMAND__DAMAGES_COUNTED_MAX)
		return false;
	if (damage->count < ZP_NODE_DAMAGES_MAX)
		snprintf(damage->texts[damage->count], ZP_ERR_TEXT_BYTES, "%s", text);
	damage->hashes[damage->count++] = hash;
	return true;
}

/* Where the whole shard could not be opened, the file that a read missed says nothing. */
static int
shard_name(const struct zp_node *node, uint32_t shard, int rc, const char *text, struct zp_err *err)
{
	unsigned long long id = zp_shards_map(node->shards)->ranges[shard].id;
	const char *suspended = zp_engine_suspended_why(zp_shards_engine(node->shards, shard));

	if (suspended[0] != '\0')
		return zp_fail(err, rc,
		    "shard %016llx is suspended: %s: mount or restore it, then start again; "
		    "without any copy: zpin repair --give-up-shard %016llx",
		    id, suspended, id);
	return zp_fail(
	    err, rc, "shard %016llx: %s: restore the file from a snapshot or copy", id, text);
}

int
command__damage_note(struct zp_node *node, uint32_t shard, int rc, struct zp_err *err)
{
	struct zp_err why = {0};
	bool first;

	if (rc != ZP_E_CORRUPT && rc != ZP_E_IO)
		return rc;
	rc = shard_name(node, shard, rc, err != NULL ? err->text : "damaged", &why);
	zp_mutex_lock(&node->damage.lock);
	first = is_new(&node->damage, why.text);
	zp_mutex_unlock(&node->damage.lock);
	if (first)
		command__log(node, 3, "%s", why.text);
	if (err != NULL)
		*err = why;
	return rc;
}

struct beginning {
	struct zp_node *node;
	uint32_t shard;
};

static void
unopened_note(void *context, const char *text)
{
	const struct beginning *beginning = context;
	struct zp_err why = {0};
	int rc = zp_fail(&why, ZP_E_CORRUPT, "%s", text);

	zp_ignore(command__damage_note(beginning->node, beginning->shard, rc, &why)); /* counted */
}

void
command__damage_begin(struct zp_node *node)
{
	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct zp_engine *engine = zp_shards_engine(node->shards, i);
		struct beginning beginning = {.node = node, .shard = i};

		if (zp_engine_is_suspended(engine))
			zp_ignore(command__damage_note(node, i, ZP_E_CORRUPT, NULL)); /* counted */
		else
			zp_engine_unopened(engine, unopened_note, &beginning);
	}
}

uint32_t
zp_node_damages_get(struct zp_node *node, char (*texts_out)[ZP_ERR_TEXT_BYTES])
{
	struct command__damage *damage = &node->damage;
	uint32_t count;

	zp_mutex_lock(&damage->lock);
	count = damage->count < ZP_NODE_DAMAGES_MAX ? damage->count : ZP_NODE_DAMAGES_MAX;
	memcpy(texts_out, damage->texts, count * sizeof(texts_out[0]));
	zp_mutex_unlock(&damage->lock);
	return count;
}
