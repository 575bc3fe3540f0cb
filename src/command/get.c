/*
 * get.c - one pin, or many, as they are now.
 *
 * Flow:  api → here → shard's view. Any thread; takes no lock that a write holds while it works.
 */
#include "command/command_internal.h"

#include <stdlib.h>

int
zp_command_get(struct zp_node *node, const struct zp_key *key, struct zp_read_scratch *scratch,
    struct zp_buf *texts, struct zp_record *record_out, struct zp_err *err)
{
	uint32_t shard = zp_shard_map_find(zp_shards_map(node->shards), key);
	struct zp_view *view = zp_engine_view_get(zp_shards_engine(node->shards, shard));
	bool was_hurried = zp_store_hurry(true);
	struct zp_record record;
	struct zp_err why; /* who asks need not want it: damage is told all the same */
	int rc;

	err = err != NULL ? err : &why;
	rc = command__damage_note(node, shard, zp_view_get(view, key, scratch, &record, err), err);
	command__pace_serve(&node->pace);
	if (rc == ZP_E_NOT_FOUND)
		rc = zp_fail(err, rc, "pin is not part of the pinset");
	if (rc == ZP_OK) {
		zp_buf_clear(texts);
		zp_buf_append_slice(texts, record.texts);
		record.texts = zp_buf_slice(texts);
		rc = zp_buf_check(texts, "the pin's texts", err);
	}
	zp_view_release(view);
	zp_store_hurry(was_hurried);
	if (rc == ZP_OK)
		*record_out = record;
	return rc;
}

int
zp_command_accesses_get(struct zp_node *node, const struct zp_key *key,
    struct zp_accesses *accesses_out, struct zp_err *err)
{
	uint32_t shard = zp_shard_map_find(zp_shards_map(node->shards), key);
	struct zp_view *view = zp_engine_view_get(zp_shards_engine(node->shards, shard));
	bool was_hurried = zp_store_hurry(true);
	struct zp_err why;
	int rc;

	err = err != NULL ? err : &why;
	rc = command__damage_note(
	    node, shard, zp_view_accesses_get(view, key, accesses_out, err), err);
	zp_view_release(view);
	zp_store_hurry(was_hurried);
	return rc;
}

int
command__damage_of_key(struct zp_node *node, const struct zp_key *key, int rc, struct zp_err *err)
{
	uint32_t shard = zp_shard_map_find(zp_shards_map(node->shards), key);
	struct zp_read_scratch *scratch;
	struct zp_record record;
	struct zp_err why = {0};
	struct zp_view *view;

	bool was_hurried;

	if (rc != ZP_E_CORRUPT && rc != ZP_E_IO && rc != ZP_E_TIMEOUT)
		return rc;
	was_hurried = zp_store_hurry(true);
	scratch = zp_read_scratch_new();
	view = zp_engine_view_get(zp_shards_engine(node->shards, shard));
	if (zp_view_get(view, key, scratch, &record, &why) == rc)
		rc = command__damage_note(node, shard, rc, &why);
	zp_view_release(view);
	zp_read_scratch_free(scratch);
	zp_store_hurry(was_hurried);
	return zp_fail(err, rc, "what stands under the CID cannot be read: %s", why.text);
}

/* ---- Many ----------------------------------------------------------------------------------- */

struct wanted {
	const struct zp_key *key;
	uint32_t shard;
	uint32_t index; /* in the caller's order */
};

static int
compare_wanted(const void *a, const void *b)
{
	const struct wanted *left = a, *right = b;

	if (left->shard != right->shard)
		return left->shard < right->shard ? -1 : 1;
	return zp_key_compare(left->key, right->key);
}

/* Where texts are is only known when the last one is in: until then `data` is an offset. */
static void
texts_to_offset(struct zp_batch_answer *answer, const struct zp_buf *texts)
{
	if (answer->rc == ZP_OK)
		answer->record.texts.data =
		    (const uint8_t *)(uintptr_t)(answer->record.texts.data - texts->data);
}

static void
texts_to_data(struct zp_batch_answer *answer, const struct zp_buf *texts)
{
	if (answer->rc == ZP_OK)
		answer->record.texts.data = texts->data + (uintptr_t)answer->record.texts.data;
}

/* The run of keys of one shard; `keys` and `found` have room for them. */
static int
shard_get(struct zp_node *node, const struct wanted *wanted, size_t count,
    const struct zp_key **keys, struct zp_batch_answer *found, struct zp_read_scratch *scratch,
    struct zp_buf *texts, struct zp_err *err)
{
	struct zp_view *view = zp_engine_view_get(zp_shards_engine(node->shards, wanted[0].shard));
	bool was_hurried = zp_store_hurry(true);
	int rc;

	for (size_t i = 0; i < count; i++)
		keys[i] = wanted[i].key;
	rc = zp_view_get_batch(view, keys, count, scratch, texts, found, err);
	zp_view_release(view);
	zp_store_hurry(was_hurried);
	return rc;
}

int
zp_command_get_batch(struct zp_node *node, const struct zp_key *keys, size_t count,
    struct zp_read_scratch *scratch, struct zp_buf *texts, struct zp_batch_answer *answers_out,
    struct zp_err *err)
{
	struct zp_batch_answer *found;
	const struct zp_key **shard_keys;
	struct wanted *wanted;
	size_t at = 0;
	int rc = ZP_OK;

	if (count > ZP_COMMAND_KEYS_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "%zu pins at once, at most %u are possible",
		    count, ZP_COMMAND_KEYS_MAX);
	command__pace_serve(&node->pace);
	zp_buf_clear(texts);
	wanted = zp_alloc(count * sizeof(*wanted) + 1);
	found = zp_alloc(count * sizeof(*found) + 1);
	shard_keys = zp_alloc(count * sizeof(*shard_keys) + 1);
	for (size_t i = 0; i < count; i++)
		wanted[i] = (struct wanted){.key = &keys[i],
		    .index = (uint32_t)i,
		    .shard = zp_shard_map_find(zp_shards_map(node->shards), &keys[i])};
	qsort(wanted, count, sizeof(*wanted), compare_wanted);
	while (rc == ZP_OK && at < count) {
		size_t end = at + 1;

		while (end < count && wanted[end].shard == wanted[at].shard)
			end++;
		rc = shard_get(node, wanted + at, end - at, shard_keys, found, scratch, texts, err);
		for (size_t i = at; rc == ZP_OK && i < end; i++) {
			texts_to_offset(&found[i - at], texts);
			answers_out[wanted[i].index] = found[i - at];
			zp_ignore(command__damage_of_key(
			    node, wanted[i].key, found[i - at].rc, NULL)); /* counted */
		}
		at = end;
	}
	for (size_t i = 0; rc == ZP_OK && i < count; i++)
		texts_to_data(&answers_out[i], texts);
	zp_free(wanted);
	zp_free(found);
	zp_free(shard_keys);
	return rc;
}
