/*
 * sim_crash.c - what is volatile on the simulated disk, and what syncs and crashes make of it.
 */
#include "sim_internal.h"

#include <stdio.h>

uint64_t
sim__random(struct sim_store *sim, uint64_t limit)
{
	uint64_t z = sim->random += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % limit;
}

void *
sim__grow(void *array, size_t count, size_t *capacity, size_t element_bytes)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity * 2 + 8;
	return zp_realloc(array, *capacity * element_bytes);
}

/* ---- Content -------------------------------------------------------------------------------- */

static void
content_resize(struct sim_content *content, size_t bytes)
{
	if (bytes > content->capacity) {
		content->capacity = bytes * 2;
		content->data = zp_realloc(content->data, content->capacity);
	}
	if (bytes > content->bytes)
		memset(content->data + content->bytes, 0, bytes - content->bytes);
	content->bytes = bytes;
}

static void
content_write(struct sim_content *content, uint64_t offset, const void *data, size_t length)
{
	if (length == 0)
		return;
	if (offset + length > content->bytes)
		content_resize(content, offset + length);
	memcpy(content->data + offset, data, length);
}

static struct sim_write *
write_add(struct sim_file *file)
{
	file->writes = sim__grow(
	    file->writes, file->writes_count, &file->writes_capacity, sizeof(file->writes[0]));
	return &file->writes[file->writes_count++];
}

void
sim__file_write(struct sim_file *file, uint64_t offset, const void *data, size_t length)
{
	struct sim_write *write;

	if (length == 0)
		return;
	content_write(&file->cache, offset, data, length);
	sim__damage_write(file, offset, data, length);
	write = write_add(file);
	*write = (struct sim_write){.offset = offset, .length = length, .data = zp_alloc(length)};
	memcpy(write->data, data, length);
}

void
sim__file_truncate(struct sim_file *file, uint64_t bytes)
{
	content_resize(&file->cache, bytes);
	*write_add(file) = (struct sim_write){.is_truncate = true, .offset = bytes};
}

static void
write_apply(struct sim_file *file, const struct sim_write *write, size_t from, size_t to)
{
	if (write->is_truncate)
		content_resize(&file->disk, write->offset);
	else
		content_write(&file->disk, write->offset + from, write->data + from, to - from);
}

static void
writes_forget(struct sim_file *file)
{
	for (size_t i = 0; i < file->writes_count; i++)
		zp_free(file->writes[i].data);
	file->writes_count = 0;
}

void
sim__file_sync(struct sim_file *file)
{
	for (size_t i = 0; i < file->writes_count; i++)
		write_apply(file, &file->writes[i], 0, file->writes[i].length);
	writes_forget(file);
}

/* Some of one write: a prefix, a suffix, or any of its sectors. */
static void
write_apply_torn(struct sim_store *sim, struct sim_file *file, const struct sim_write *write)
{
	size_t cut = sim__random(sim, write->length + 1);

	switch (sim__random(sim, 3)) {
	case 0:
		write_apply(file, write, 0, cut);
		break;
	case 1:
		write_apply(file, write, cut, write->length);
		break;
	default:
		for (size_t from = 0; from < write->length;) {
			size_t to = (write->offset + from) / 512 * 512 + 512 - write->offset;

			to = zp_min_u64(to, write->length);
			if (sim__random(sim, 2) == 0)
				write_apply(file, write, from, to);
			from = to;
		}
	}
}

/* What a power cut leaves of the writes: none, all up to one that is torn, or any of them. */
static void
writes_apply_random(struct sim_store *sim, struct sim_file *file)
{
	size_t kept = sim__random(sim, file->writes_count + 1);
	bool in_order = sim__random(sim, 2) == 0;

	for (size_t i = 0; i < file->writes_count; i++) {
		const struct sim_write *write = &file->writes[i];
		uint64_t fate = sim__random(sim, 3); /* whole, torn, lost */

		if (in_order)
			fate = i < kept ? 0 : i == kept ? 1 : 2;
		if (fate == 0)
			write_apply(file, write, 0, write->length);
		else if (fate == 1 && !write->is_truncate)
			write_apply_torn(sim, file, write);
	}
}

void
sim__file_sync_fail(struct sim_store *sim, struct sim_file *file)
{
	writes_apply_random(sim, file);
	writes_forget(file);
}

static void
file_lose_power(struct sim_store *sim, struct sim_file *file, bool keep_some)
{
	if (keep_some)
		writes_apply_random(sim, file);
	writes_forget(file);
	content_resize(&file->cache, 0);
	content_write(&file->cache, 0, file->disk.data, file->disk.bytes);
}

void
sim__file_free(struct sim_file *file)
{
	writes_forget(file);
	sim__damage_forget(file);
	zp_free(file->damages);
	zp_free(file->writes);
	zp_free(file->cache.data);
	zp_free(file->disk.data);
	zp_free(file);
}

/* ---- Names ---------------------------------------------------------------------------------- */

struct sim_entry *
sim__names_find(struct sim_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->entries[i].name, name) == 0)
			return &names->entries[i];
	}
	return NULL;
}

void
sim__names_set(struct sim_names *names, const char *name, struct sim_file *file)
{
	struct sim_entry *entry = sim__names_find(names, name);

	if (entry == NULL) {
		names->entries = sim__grow(
		    names->entries, names->count, &names->capacity, sizeof(names->entries[0]));
		entry = &names->entries[names->count++];
		snprintf(entry->name, sizeof(entry->name), "%s", name);
	}
	entry->file = file;
}

void
sim__names_drop(struct sim_names *names, const char *name)
{
	struct sim_entry *entry = sim__names_find(names, name);

	if (entry != NULL)
		*entry = names->entries[--names->count];
}

static void
change_apply(struct sim_names *names, const struct sim_change *change)
{
	struct sim_entry *entry;

	switch (change->kind) {
	case SIM_CHANGE_CREATE:
		sim__names_set(names, change->entry.name, change->entry.file);
		break;
	case SIM_CHANGE_REMOVE:
		sim__names_drop(names, change->entry.name);
		break;
	case SIM_CHANGE_RENAME:
		entry = sim__names_find(names, change->entry.name);
		if (entry != NULL && entry->file == change->entry.file)
			sim__names_drop(names, change->entry.name);
		sim__names_set(names, change->to, change->entry.file);
		break;
	}
}

void
sim__directory_change(struct sim_directory *directory, const struct sim_change *change)
{
	change_apply(&directory->cache, change);
	directory->changes = sim__grow(directory->changes, directory->changes_count,
	    &directory->changes_capacity, sizeof(directory->changes[0]));
	directory->changes[directory->changes_count++] = *change;
}

void
sim__directory_sync(struct sim_directory *directory)
{
	for (size_t i = 0; i < directory->changes_count; i++)
		change_apply(&directory->disk, &directory->changes[i]);
	directory->changes_count = 0;
}

static void
directory_lose_power(struct sim_store *sim, struct sim_directory *directory, bool keep_some)
{
	size_t kept = sim__random(sim, directory->changes_count + 1);
	bool in_order = sim__random(sim, 2) == 0;

	for (size_t i = 0; keep_some && i < directory->changes_count; i++) {
		if (in_order ? i < kept : sim__random(sim, 2) == 0)
			change_apply(&directory->disk, &directory->changes[i]);
	}
	directory->changes_count = 0;
	directory->cache.count = 0;
	for (size_t i = 0; i < directory->disk.count; i++)
		sim__names_set(&directory->cache, directory->disk.entries[i].name,
		    directory->disk.entries[i].file);
}

void
sim__directory_free(struct sim_directory *directory)
{
	zp_free(directory->path);
	zp_free(directory->cache.entries);
	zp_free(directory->disk.entries);
	zp_free(directory->changes);
	zp_free(directory);
}

/* ---- Crashes -------------------------------------------------------------------------------- */

static void
names_mark(const struct sim_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		names->entries[i].file->is_marked = true;
}

void
sim__sweep(struct sim_store *sim)
{
	size_t kept = 0;

	for (size_t i = 0; i < sim->files_count; i++)
		sim->files[i]->is_marked = false;
	for (size_t i = 0; i < sim->handles_count; i++) {
		if (sim->handles[i].file != NULL)
			sim->handles[i].file->is_marked = true;
	}
	for (size_t i = 0; i < sim->directories_count; i++) {
		struct sim_directory *directory = sim->directories[i];

		names_mark(&directory->cache);
		names_mark(&directory->disk);
		for (size_t k = 0; k < directory->changes_count; k++)
			directory->changes[k].entry.file->is_marked = true;
	}
	for (size_t i = 0; i < sim->files_count; i++) {
		if (sim->files[i]->is_marked)
			sim->files[kept++] = sim->files[i];
		else
			sim__file_free(sim->files[i]);
	}
	sim->files_count = kept;
}

void
sim_store_crash(struct sim_store *sim, enum sim_crash kind)
{
	bool keep_some = kind == SIM_CRASH_RANDOM;

	zp_mutex_lock(&sim->lock);
	for (size_t i = 0; i < sim->handles_count; i++) {
		sim->handles[i].is_dead = true;
		sim->handles[i].file = NULL;
		sim->handles[i].directory = NULL;
	}
	for (size_t i = 0; kind != SIM_CRASH_PROCESS && i < sim->files_count; i++)
		file_lose_power(sim, sim->files[i], keep_some);
	for (size_t i = 0; kind != SIM_CRASH_PROCESS && i < sim->directories_count; i++)
		directory_lose_power(sim, sim->directories[i], keep_some);
	sim->is_dead = false;
	sim->die_in = 0;
	sim->die_call_in = 0;
	sim->fail_in = 0;
	sim->short_in = 0;
	sim->misplace_in = 0;
	sim->skip_sites = 0;
	sim__sweep(sim);
	zp_mutex_unlock(&sim->lock);
}
