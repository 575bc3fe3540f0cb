/*
 * files.c - numbered files in the node's directory, and writing the map and checkpoints there.
 *
 * Flow:  open.c looks for them, checkpoint.c and create write and remove them. Owner: the caller.
 */
#include "shard/shard_internal.h"

#include <stdio.h>

void
shard__name(const char *prefix, uint64_t number, char name_out[SHARD__NAME_BYTES])
{
	int length =
	    snprintf(name_out, SHARD__NAME_BYTES, "%s-%016llx", prefix, (unsigned long long)number);

	ZP_ASSERT(length > 0 && length < (int)SHARD__NAME_BYTES);
}

struct listing {
	const char *prefix;
	uint64_t *numbers; /* falling */
	size_t numbers_max;
	size_t count;
};

/* The number in "<prefix>-<16 hex digits>"; false for any other name. */
static bool
name_number(const char *name, const char *prefix, uint64_t *number_out)
{
	size_t length = strlen(prefix);
	uint64_t number = 0;

	if (strncmp(name, prefix, length) != 0 || name[length] != '-' ||
	    strlen(name + length + 1) != 16)
		return false;
	for (const char *at = name + length + 1; *at != '\0'; at++) {
		uint64_t digit;

		if (*at >= '0' && *at <= '9')
			digit = (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			digit = (uint64_t)(*at - 'a' + 10);
		else
			return false;
		number = number << 4 | digit;
	}
	*number_out = number;
	return true;
}

static int
each_name(void *context, const char *name, struct zp_err *err)
{
	struct listing *listing = context;
	uint64_t number;
	size_t at;

	if (!name_number(name, listing->prefix, &number))
		return ZP_OK;
	for (at = 0; at < listing->count && listing->numbers[at] > number; at++)
		;
	if (at == listing->numbers_max)
		return ZP_OK;
	if (listing->count < listing->numbers_max)
		listing->count++;
	memmove(listing->numbers + at + 1, listing->numbers + at,
	    (listing->count - 1 - at) * sizeof(*listing->numbers));
	listing->numbers[at] = number;
	return ZP_OK;
}

int
shard__numbers_list(struct zp_store *store, const char *prefix, uint64_t *numbers_out,
    size_t numbers_max, size_t *count_out, struct zp_err *err)
{
	struct listing listing = {
	    .prefix = prefix, .numbers = numbers_out, .numbers_max = numbers_max};
	int rc = zp_store_list(store, each_name, &listing, err);

	if (rc < 0)
		return rc;
	*count_out = listing.count;
	return ZP_OK;
}

struct unfinished {
	char name[ZP_FILE_NAME_MAX];
	bool found;
};

static int
each_unfinished(void *context, const char *name, struct zp_err *err)
{
	struct unfinished *unfinished = context;
	size_t length = strlen(name);

	if (length < 4 || length >= sizeof(unfinished->name) ||
	    strcmp(name + length - 4, ".tmp") != 0)
		return ZP_OK;
	strcpy(unfinished->name, name);
	unfinished->found = true;
	return ZP_END; /* a directory is not changed while it is walked */
}

int
shard__unfinished_remove(struct zp_store *store, struct zp_err *err)
{
	for (;;) {
		struct unfinished unfinished = {.found = false};
		int rc = zp_store_list(store, each_unfinished, &unfinished, err);

		if (rc < 0)
			return rc;
		if (!unfinished.found)
			return ZP_OK;
		rc = zp_store_remove(store, unfinished.name, err);
		if (rc < 0)
			return rc;
	}
}

int
shard__map_write(struct zp_store *store, const struct zp_shard_map *map, struct zp_err *err)
{
	ZP_AUTO_BUF(file, SHARD__MAP_BYTES_MAX);
	char name[SHARD__NAME_BYTES];
	int rc;

	zp_shard_map_encode(map, &file);
	shard__name(SHARD__MAP_COPY, map->number, name);
	rc = zp_store_write_all(store, name, zp_buf_slice(&file), err);
	if (rc < 0)
		return rc;
	shard__name("map", map->number, name);
	return zp_store_write_all(store, name, zp_buf_slice(&file), err);
}

int
shard__checkpoint_write(
    struct zp_store *store, const struct zp_checkpoint *checkpoint, struct zp_err *err)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	char name[SHARD__NAME_BYTES];

	shard__name("checkpoint", checkpoint->number, name);
	zp_checkpoint_encode(checkpoint, &file);
	return zp_store_write_all(store, name, zp_buf_slice(&file), err);
}

int
shard__mixed_up(uint64_t number, uint64_t found, struct zp_err *err)
{
	char name[SHARD__NAME_BYTES];

	shard__name("checkpoint", number, name);
	return zp_fail(err, ZP_E_CONFLICT,
	    "%s is checkpoint %llu of another node: files were mixed up", name,
	    (unsigned long long)found);
}

int
zp_checkpoints_list(struct zp_store *store, uint64_t *numbers_out, size_t numbers_max,
    size_t *count_out, struct zp_err *err)
{
	return shard__numbers_list(store, "checkpoint", numbers_out, numbers_max, count_out, err);
}

int
zp_checkpoint_read(struct zp_store *store, uint64_t number, struct zp_checkpoint *checkpoint_out,
    struct zp_err *err)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	char name[SHARD__NAME_BYTES];
	uint64_t found;
	int rc;

	shard__name("checkpoint", number, name);
	rc = zp_store_read_all(store, name, SHARD__CHECKPOINT_BYTES_MAX, &file, err);
	/* Longer than any checkpoint is as damaged as a wrong checksum. */
	if (rc == ZP_E_TOO_LARGE)
		rc = ZP_E_CORRUPT;
	if (rc == ZP_OK)
		rc = zp_checkpoint_decode(zp_buf_slice(&file), checkpoint_out, err);
	if (rc < 0)
		return zp_wrap(err, rc, "%s", name);
	found = checkpoint_out->number;
	if (found == number)
		return ZP_OK;
	zp_checkpoint_done(checkpoint_out);
	return shard__mixed_up(number, found, err);
}
