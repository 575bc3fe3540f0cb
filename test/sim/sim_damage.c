/*
 * sim_damage.c - bytes that read otherwise than they were written.
 *
 * What was written stays as it is: damage lies over it, so that it can be healed.
 */
#include "sim_internal.h"

#include <string.h>

enum { ELSEWHERE_TRIES = 50 };

void
sim__damage_add(struct sim_file *file, uint64_t offset, const void *data, size_t length)
{
	struct sim_damage *damage;

	if (length == 0)
		return;
	file->damages = sim__grow(
	    file->damages, file->damages_count, &file->damages_capacity, sizeof(file->damages[0]));
	damage = &file->damages[file->damages_count++];
	*damage = (struct sim_damage){.offset = offset, .length = length, .data = zp_alloc(length)};
	memcpy(damage->data, data, length);
}

void
sim__damage_forget(struct sim_file *file)
{
	for (size_t i = 0; i < file->damages_count; i++)
		zp_free(file->damages[i].data);
	file->damages_count = 0;
}

/* Where the two ranges meet. */
static bool
meet(const struct sim_damage *damage, uint64_t offset, size_t length, uint64_t *from_out,
    uint64_t *to_out)
{
	*from_out = zp_max_u64(damage->offset, offset);
	*to_out = zp_min_u64(damage->offset + damage->length, offset + length);
	return *from_out < *to_out;
}

void
sim__damage_write(struct sim_file *file, uint64_t offset, const void *data, size_t length)
{
	uint64_t from, to;

	for (size_t i = 0; i < file->damages_count; i++) {
		struct sim_damage *damage = &file->damages[i];

		if (meet(damage, offset, length, &from, &to))
			memcpy(damage->data + (from - damage->offset),
			    (const uint8_t *)data + (from - offset), to - from);
	}
}

void
sim__damage_read(const struct sim_file *file, uint64_t offset, void *data, size_t length)
{
	uint64_t from, to;

	for (size_t i = 0; i < file->damages_count; i++) {
		const struct sim_damage *damage = &file->damages[i];

		if (meet(damage, offset, length, &from, &to))
			memcpy((uint8_t *)data + (from - offset),
			    damage->data + (from - damage->offset), to - from);
	}
}

/* ---- Writes that go astray ------------------------------------------------------------------ */

/* A file of shards or journal other than the mark and unfinished ones: one that a single
 * misdirected write may hit without taking away what would prove it. */
static struct sim_file *
elsewhere(struct sim_store *sim, const struct sim_file *file)
{
	for (unsigned i = 0; i < ELSEWHERE_TRIES; i++) {
		const struct sim_directory *directory =
		    sim->directories[sim__random(sim, sim->directories_count)];
		const struct sim_entry *entry;

		if (directory->cache.count == 0 || strstr(directory->path, "/snapshots") != NULL)
			continue;
		entry = &directory->cache.entries[sim__random(sim, directory->cache.count)];
		if (entry->file != file && entry->file->cache.bytes > 0 &&
		    strstr(directory->path, "/shards") != NULL)
			return entry->file;
	}
	return NULL;
}

void
sim__write_misplace(struct sim_store *sim, struct sim_file *file, uint64_t offset, const void *data,
    const void *before, size_t length)
{
	struct sim_file *hit = NULL;
	uint64_t at;

	if (sim->misplace == SIM_MISPLACE_ELSEWHERE)
		hit = elsewhere(sim, file);
	if (hit != NULL) {
		at = sim__random(sim, hit->cache.bytes);
		at -= at % 512;
		sim__damage_add(hit, at, data, zp_min_u64(length, hit->cache.bytes - at));
	}
	sim__damage_add(file, offset, before, length);
}
