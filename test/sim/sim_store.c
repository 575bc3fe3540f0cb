/*
 * sim_store.c - making a simulated disk, setting its faults, and hands on its files.
 */
#include "sim_internal.h"

struct sim_store *
sim_store_new(uint64_t seed)
{
	struct sim_store *sim = zp_alloc_zero(1, sizeof(*sim));

	sim->disk.ops = &sim__disk_ops;
	sim->random = seed;
	zp_mutex_init(&sim->lock);
	zp_cond_init(&sim->hang_over);
	return sim;
}

void
sim_store_free(struct sim_store *sim)
{
	if (sim == NULL)
		return;
	for (size_t i = 0; i < sim->files_count; i++)
		sim__file_free(sim->files[i]);
	for (size_t i = 0; i < sim->directories_count; i++)
		sim__directory_free(sim->directories[i]);
	zp_free(sim->files);
	zp_free(sim->directories);
	zp_free(sim->handles);
	zp_cond_done(&sim->hang_over);
	zp_mutex_done(&sim->lock);
	zp_free(sim);
}

struct zp_disk *
sim_store_disk(struct sim_store *sim)
{
	return &sim->disk;
}

int
sim_store_open(
    struct sim_store *sim, const char *path, struct zp_store **store_out, struct zp_err *err)
{
	struct zp_store_directory_options options = {.create = true, .disk = &sim->disk};

	return zp_store_directory_open(path, &options, store_out, err);
}

struct sim_file *
sim__file_new(struct sim_store *sim)
{
	struct sim_file *file = zp_alloc_zero(1, sizeof(*file));

	sim->files =
	    sim__grow(sim->files, sim->files_count, &sim->files_capacity, sizeof(sim->files[0]));
	sim->files[sim->files_count++] = file;
	return file;
}

struct sim_directory *
sim__directory_find(struct sim_store *sim, const char *path, bool create)
{
	struct sim_directory *directory;

	for (size_t i = 0; i < sim->directories_count; i++) {
		if (strcmp(sim->directories[i]->path, path) == 0)
			return sim->directories[i];
	}
	if (!create)
		return NULL;
	directory = zp_alloc_zero(1, sizeof(*directory));
	directory->path = zp_strdup(path);
	sim->directories_count++;
	sim->directories =
	    zp_realloc(sim->directories, sim->directories_count * sizeof(sim->directories[0]));
	sim->directories[sim->directories_count - 1] = directory;
	return directory;
}

/* ---- Faults --------------------------------------------------------------------------------- */

void
sim_store_fail(struct sim_store *sim, unsigned calls, uint64_t nth, int errno_value)
{
	zp_mutex_lock(&sim->lock);
	sim->fail_calls = calls;
	sim->fail_in = nth;
	sim->fail_errno = errno_value;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_die_at(struct sim_store *sim, uint64_t nth)
{
	zp_mutex_lock(&sim->lock);
	sim->die_in = nth;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_die_at_call(struct sim_store *sim, unsigned calls, uint64_t nth)
{
	zp_mutex_lock(&sim->lock);
	sim->die_calls = calls;
	sim->die_call_in = nth;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_short_read(struct sim_store *sim, uint64_t nth)
{
	zp_mutex_lock(&sim->lock);
	sim->short_in = nth;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_misplace(struct sim_store *sim, enum sim_misplace kind, uint64_t nth)
{
	zp_mutex_lock(&sim->lock);
	sim->misplace = kind;
	sim->misplace_in = nth;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_on_call(
    struct sim_store *sim, void (*on_call)(void *context, enum sim_call call), void *context)
{
	zp_mutex_lock(&sim->lock);
	sim->on_call = on_call;
	sim->on_call_context = context;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_hang(struct sim_store *sim, const char *path, unsigned calls)
{
	zp_mutex_lock(&sim->lock);
	sim->hang_path = path;
	sim->hang_calls = calls;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_go_on(struct sim_store *sim)
{
	zp_mutex_lock(&sim->lock);
	sim->hang_path = NULL;
	zp_cond_broadcast(&sim->hang_over);
	zp_mutex_unlock(&sim->lock);
}

unsigned
sim_store_hanging(struct sim_store *sim)
{
	unsigned hanging;

	zp_mutex_lock(&sim->lock);
	hanging = sim->hanging;
	zp_mutex_unlock(&sim->lock);
	return hanging;
}

uint64_t
sim_store_trace(const struct sim_store *sim)
{
	return sim->trace;
}

bool
sim_store_is_dead(const struct sim_store *sim)
{
	struct zp_mutex *lock = (struct zp_mutex *)&sim->lock;
	bool is_dead;

	zp_mutex_lock(lock);
	is_dead = sim->is_dead;
	zp_mutex_unlock(lock);
	return is_dead;
}

void
sim_store_skip_sync(struct sim_store *sim, unsigned sites, uint64_t nth)
{
	zp_mutex_lock(&sim->lock);
	sim->skip_sites = sites;
	sim->skip_in = nth;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_space_set(struct sim_store *sim, uint64_t bytes)
{
	zp_mutex_lock(&sim->lock);
	sim->space_bytes = bytes;
	zp_mutex_unlock(&sim->lock);
}

uint64_t
sim_store_calls(const struct sim_store *sim, unsigned calls)
{
	struct zp_mutex *lock = (struct zp_mutex *)&sim->lock;
	uint64_t total = 0;

	zp_mutex_lock(lock);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(sim->calls); i++) {
		if ((calls & (1u << i)) != 0)
			total += sim->calls[i];
	}
	zp_mutex_unlock(lock);
	return total;
}

size_t
sim_store_reads_together(struct sim_store *sim)
{
	size_t together;

	zp_mutex_lock(&sim->lock);
	together = sim->reads_together;
	sim->reads_together = 0;
	zp_mutex_unlock(&sim->lock);
	return together;
}

uint64_t
sim_store_read_bytes(const struct sim_store *sim)
{
	return sim->read_bytes;
}

/* ---- Hands on the disk ---------------------------------------------------------------------- */

static struct sim_file *
file_find(struct sim_store *sim, const char *path, const char *name)
{
	struct sim_directory *directory = sim__directory_find(sim, path, false);
	struct sim_entry *entry =
	    directory != NULL ? sim__names_find(&directory->cache, name) : NULL;

	return entry != NULL ? entry->file : NULL;
}

/* The file, which must be there: a test that flips bits of nothing tests nothing. */
static struct sim_file *
file_must(struct sim_store *sim, const char *path, const char *name)
{
	struct sim_file *file = file_find(sim, path, name);

	ZP_ASSERT(file != NULL);
	return file;
}

void
sim_store_read_error(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset, uint64_t length)
{
	struct sim_file *file;

	zp_mutex_lock(&sim->lock);
	file = file_must(sim, path, name);
	file->error_offset = offset;
	file->error_length = length;
	file->error_is_once = false;
	file->error_is_short = false;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_read_error_once(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset, uint64_t length)
{
	sim_store_read_error(sim, path, name, offset, length);
	zp_mutex_lock(&sim->lock);
	file_must(sim, path, name)->error_is_once = true;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_short_read_at(struct sim_store *sim, const char *path, const char *name, uint64_t offset)
{
	sim_store_read_error_once(sim, path, name, offset, 1);
	zp_mutex_lock(&sim->lock);
	file_must(sim, path, name)->error_is_short = true;
	zp_mutex_unlock(&sim->lock);
}

size_t
sim_store_file_bytes(struct sim_store *sim, const char *path, const char *name)
{
	struct sim_file *file;
	size_t bytes;

	zp_mutex_lock(&sim->lock);
	file = file_find(sim, path, name);
	bytes = file != NULL ? file->cache.bytes : SIZE_MAX;
	zp_mutex_unlock(&sim->lock);
	return bytes;
}

void
sim_store_file_flip(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset, uint8_t mask)
{
	struct sim_file *file;

	zp_mutex_lock(&sim->lock);
	file = file_must(sim, path, name);
	ZP_ASSERT(offset < file->cache.bytes);
	file->cache.data[offset] ^= mask;
	if (offset < file->disk.bytes)
		file->disk.data[offset] ^= mask;
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_damage(struct sim_store *sim, const char *path, const char *name, uint64_t offset,
    const void *data, size_t length)
{
	zp_mutex_lock(&sim->lock);
	sim__damage_add(file_must(sim, path, name), offset, data, length);
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_heal(struct sim_store *sim)
{
	zp_mutex_lock(&sim->lock);
	for (size_t i = 0; i < sim->files_count; i++) {
		sim__damage_forget(sim->files[i]);
		sim->files[i]->error_length = 0;
	}
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_heal_directory(struct sim_store *sim, const char *path)
{
	struct sim_directory *directory;

	zp_mutex_lock(&sim->lock);
	directory = sim__directory_find(sim, path, false);
	for (size_t i = 0; directory != NULL && i < directory->cache.count; i++) {
		sim__damage_forget(directory->cache.entries[i].file);
		directory->cache.entries[i].file->error_length = 0;
	}
	zp_mutex_unlock(&sim->lock);
}

/* Whether reads give anything else than what was written: another damage may lie on this one. */
static bool
damage_differs(const struct sim_file *file, const struct sim_damage *damage)
{
	size_t there = damage->offset < file->cache.bytes ? file->cache.bytes - damage->offset : 0;
	size_t length = zp_min_u64(there, damage->length);
	const uint8_t *written = file->cache.data + damage->offset;
	uint8_t *read;
	bool differs;

	if (length == 0)
		return false;
	read = memcpy(zp_alloc(length), written, length);
	sim__damage_read(file, damage->offset, read, length);
	differs = memcmp(written, read, length) != 0;
	zp_free(read);
	return differs;
}

void
sim_store_damages(struct sim_store *sim,
    void (*each)(void *context, const char *path, const char *name, uint64_t offset, size_t length),
    void *context)
{
	zp_mutex_lock(&sim->lock);
	for (size_t i = 0; i < sim->directories_count; i++) {
		const struct sim_directory *directory = sim->directories[i];

		for (size_t k = 0; k < directory->cache.count; k++) {
			const struct sim_entry *entry = &directory->cache.entries[k];
			const struct sim_file *file = entry->file;

			for (size_t n = 0; n < file->damages_count; n++) {
				if (damage_differs(file, &file->damages[n]))
					each(context, directory->path, entry->name,
					    file->damages[n].offset, file->damages[n].length);
			}
		}
	}
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_files(struct sim_store *sim,
    void (*each)(void *context, const char *path, const char *name, size_t bytes), void *context)
{
	zp_mutex_lock(&sim->lock);
	for (size_t i = 0; i < sim->directories_count; i++) {
		const struct sim_directory *directory = sim->directories[i];

		for (size_t k = 0; k < directory->cache.count; k++)
			each(context, directory->path, directory->cache.entries[k].name,
			    directory->cache.entries[k].file->cache.bytes);
	}
	zp_mutex_unlock(&sim->lock);
}

uint64_t
sim_store_bytes(struct sim_store *sim)
{
	uint64_t bytes = 0;

	zp_mutex_lock(&sim->lock);
	for (size_t i = 0; i < sim->files_count; i++)
		bytes += sim->files[i]->cache.bytes;
	zp_mutex_unlock(&sim->lock);
	return bytes;
}

void
sim_store_file_put(
    struct sim_store *sim, const char *path, const char *name, const void *data, size_t bytes)
{
	struct sim_directory *directory;
	struct sim_file *file;

	zp_mutex_lock(&sim->lock);
	directory = sim__directory_find(sim, path, true);
	file = sim__file_new(sim);
	sim__file_write(file, 0, data, bytes);
	sim__file_sync(file);
	sim__names_set(&directory->cache, name, file);
	sim__names_set(&directory->disk, name, file);
	sim__sweep(sim);
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_file_remove(struct sim_store *sim, const char *path, const char *name)
{
	struct sim_directory *directory;

	zp_mutex_lock(&sim->lock);
	directory = sim__directory_find(sim, path, true);
	sim__names_drop(&directory->cache, name);
	sim__names_drop(&directory->disk, name);
	sim__sweep(sim);
	zp_mutex_unlock(&sim->lock);
}

void
sim_store_file_get(struct sim_store *sim, const char *path, const char *name, struct zp_buf *to)
{
	struct sim_file *file;

	zp_mutex_lock(&sim->lock);
	file = file_must(sim, path, name);
	zp_buf_append(to, file->cache.data, file->cache.bytes);
	zp_mutex_unlock(&sim->lock);
}
