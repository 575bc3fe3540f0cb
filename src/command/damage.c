/*
 * damage.c - what is known to be damaged, each place counted and named once.
 *
 * Flow: reads, lists, merges, verify, scrub → here → the log, and facts for who looks. Any thread.
 *
 * Files never change, so a damaged block is the same one however often it is met: its text tells it
 * from others. Only the scrubber, which reads all files anew, forgets what it does not meet again.
 */
#include "command/command_internal.h"

#define ADVICE ": restore the file from a snapshot or copy"

uint64_t
command__damage_hash(uint32_t shard, const char *text)
{
	/* What met it stands before the place, and what to do behind it. */
	const char *place = strstr(text, "segment "), *end;

	place = place != NULL ? place : text;
	end = strstr(place, ADVICE);
	return zp_hash64(place, end != NULL ? (size_t)(end - place) : strlen(place), shard);
}

/* Whether it is the first time; in it goes. With the lock held. */
static bool
is_new(struct command__damage *damage, uint32_t shard, const char *text)
{
	uint64_t hash = command__damage_hash(shard, text);

	for (uint32_t i = 0; i < damage->count; i++) {
		if (damage->places[i].hash == hash) {
			damage->places[i].round = damage->round;
			return false;
		}
	}
	if (damage->count == COMMAND__DAMAGES_COUNTED_MAX)
		return false;
	damage->met++;
	damage->places[damage->count++] = (struct command__damage_place){
	    .shard = shard, .round = damage->round, .hash = hash, .text = zp_strdup(text)};
	return true;
}

static void
note(struct zp_node *node, uint32_t shard, const char *text)
{
	bool first;

	zp_mutex_lock(&node->damage.lock);
	first = is_new(&node->damage, shard, text);
	zp_mutex_unlock(&node->damage.lock);
	if (first)
		command__log(node, 3, "%s", text);
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
	if (strstr(text, ADVICE) != NULL) /* it comes from here */
		return zp_fail(err, rc, "%s", text);
	return zp_fail(err, rc, "shard %016llx: %s" ADVICE, id, text);
}

int
command__damage_note(struct zp_node *node, uint32_t shard, int rc, struct zp_err *err)
{
	struct zp_err why = {0};

	if (rc == ZP_E_TIMEOUT)
		return zp_wrap(err, rc, "shard %016llx is suspended until its disk answers",
		    (unsigned long long)zp_shards_map(node->shards)->ranges[shard].id);
	if (rc != ZP_E_CORRUPT && rc != ZP_E_IO)
		return rc;
	rc = shard_name(node, shard, rc, err != NULL ? err->text : "damaged", &why);
	note(node, shard, why.text);
	if (err != NULL)
		*err = why;
	return rc;
}

void
command__damage_note_node(struct zp_node *node, const char *text)
{
	struct zp_err why = {0};
	const char *advice = strncmp(text, "journal-", 8) == 0 || strncmp(text, "mark", 4) == 0
				 ? "the running node has what it says: do not stop it before `zpin "
				   "checkpoint` has succeeded twice"
				 : "what it says is known: a node that runs writes it again";

	zp_ignore(zp_fail(&why, ZP_E_CORRUPT, "%s: %s", text, advice)); /* its text */
	note(node, COMMAND__DAMAGE_NODE, why.text);
}

/* ---- What was mended ------------------------------------------------------------------------ */

uint32_t
command__damage_round(struct zp_node *node)
{
	uint32_t round;

	zp_mutex_lock(&node->damage.lock);
	round = ++node->damage.round;
	zp_mutex_unlock(&node->damage.lock);
	return round;
}

bool
command__damage_met(struct zp_node *node, uint32_t round)
{
	struct command__damage *damage = &node->damage;
	bool met = false;

	zp_mutex_lock(&damage->lock);
	for (uint32_t i = 0; !met && i < damage->count; i++)
		met = damage->places[i].shard == COMMAND__DAMAGE_NODE &&
		      damage->places[i].round >= round;
	zp_mutex_unlock(&damage->lock);
	return met;
}

/* Those of the shard that were not met since `round` and whose text has `name`. Their order stays.
 */
static void
places_remove(struct zp_node *node, uint32_t shard, uint32_t round, const char *name)
{
	struct command__damage *damage = &node->damage;
	uint32_t kept = 0;

	zp_mutex_lock(&damage->lock);
	for (uint32_t i = 0; i < damage->count; i++) {
		struct command__damage_place *place = &damage->places[i];

		if (place->shard == shard && place->round < round &&
		    strstr(place->text, name) != NULL)
			zp_free(place->text);
		else
			damage->places[kept++] = *place;
	}
	damage->count = kept;
	zp_mutex_unlock(&damage->lock);
}

void
command__damage_sweep(struct zp_node *node, uint32_t shard, uint32_t round)
{
	places_remove(node, shard, round, "");
}

void
command__damage_forget(struct zp_node *node, uint32_t shard, const char *name)
{
	places_remove(node, shard, UINT32_MAX, name);
}

bool
command__damage_has(struct zp_node *node, uint32_t shard, const char *name)
{
	struct command__damage *damage = &node->damage;
	bool has = false;

	zp_mutex_lock(&damage->lock);
	for (uint32_t i = 0; !has && i < damage->count; i++)
		has = damage->places[i].shard == shard &&
		      strstr(damage->places[i].text, name) != NULL;
	zp_mutex_unlock(&damage->lock);
	return has;
}

void
command__damage_done(struct zp_node *node)
{
	for (uint32_t i = 0; i < node->damage.count; i++)
		zp_free(node->damage.places[i].text);
	node->damage.count = 0;
}

/* ---- Opening and looking -------------------------------------------------------------------- */

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
	for (uint32_t i = 0; i < count; i++)
		snprintf(texts_out[i], ZP_ERR_TEXT_BYTES, "%s", damage->places[i].text);
	zp_mutex_unlock(&damage->lock);
	return count;
}
