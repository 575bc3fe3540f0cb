/*
 * sim_disk.c - the calls of zp_disk on the simulated disk.
 */
#include "sim_internal.h"

#include <errno.h>
#include <stdio.h>

static struct sim_store *
sim_of(struct zp_disk *disk)
{
	return (struct sim_store *)disk;
}

/* ---- Faults --------------------------------------------------------------------------------- */

static void
trace_add(struct sim_store *sim, const void *bytes, size_t length)
{
	sim->trace = zp_hash64(bytes, length, sim->trace);
}

static void
lock(struct sim_store *sim, enum sim_call call)
{
	if (sim->on_call != NULL)
		sim->on_call(sim->on_call_context, call);
	zp_mutex_lock(&sim->lock);
}

/* Counts a call and says whether it fails now. */
static int
gate(struct sim_store *sim, enum sim_call call)
{
	sim->calls[__builtin_ctz(call)]++;
	trace_add(sim, &call, sizeof(call));
	if (sim->is_dead)
		return EIO;
	if (sim->die_call_in > 0 && (call & sim->die_calls) != 0 && --sim->die_call_in == 0) {
		sim->is_dead = true;
		return EIO;
	}
	if (sim->die_in > 0 && (call & SIM_CALL_CHANGES) != 0 && --sim->die_in == 0) {
		sim->is_dead = true;
		return EIO;
	}
	if (sim->fail_in > 0 && (call & sim->fail_calls) != 0 && --sim->fail_in == 0)
		return sim->fail_errno;
	return 0;
}

/* True when this sync is one that was to be left out. */
static bool
is_skipped(struct sim_store *sim, unsigned site)
{
	if ((sim->skip_sites & site) == 0)
		return false;
	if (sim->skip_in == 0)
		return true;
	if (--sim->skip_in > 0)
		return false;
	sim->skip_sites = 0;
	return true;
}

static unsigned
file_site(const struct sim_handle *handle)
{
	const struct sim_file *file = handle->file;

	if (file->writes_count == 0)
		return 0;
	if (handle->is_temporary)
		return SIM_SITE_WRITER;
	return file->writes[file->writes_count - 1].is_truncate ? SIM_SITE_CUT : SIM_SITE_LOG;
}

static unsigned
directory_site(const struct sim_directory *directory)
{
	if (directory->changes_count == 0)
		return 0;
	switch (directory->changes[directory->changes_count - 1].kind) {
	case SIM_CHANGE_RENAME:
		return SIM_SITE_RENAME;
	case SIM_CHANGE_CREATE:
		return SIM_SITE_CREATE;
	default:
		return SIM_SITE_REMOVE;
	}
}

/* ---- Handles -------------------------------------------------------------------------------- */

static int
handle_new(struct sim_store *sim, const struct sim_handle *content)
{
	size_t i = 0;

	while (i < sim->handles_count && sim->handles[i].is_used)
		i++;
	if (i == sim->handles_count) {
		sim->handles_count++;
		sim->handles =
		    zp_realloc(sim->handles, sim->handles_count * sizeof(sim->handles[0]));
	}
	sim->handles[i] = *content;
	sim->handles[i].is_used = true;
	return (int)i;
}

static struct sim_handle *
handle_of(struct sim_store *sim, int handle)
{
	ZP_ASSERT(handle >= 0 && (size_t)handle < sim->handles_count);
	ZP_ASSERT(sim->handles[handle].is_used);
	return &sim->handles[handle];
}

static void
hang(struct sim_store *sim, int handle, enum sim_call call)
{
	const struct sim_handle *found = handle_of(sim, handle);
	const struct sim_directory *home =
	    found->directory != NULL ? found->directory : found->home;

	sim->hanging++;
	while (sim->hang_path != NULL && (sim->hang_calls & call) != 0 &&
	       strcmp(sim->hang_path, home->path) == 0)
		zp_cond_wait(&sim->hang_over, &sim->lock);
	sim->hanging--;
}

/* The directory, or the file, of a handle, through the gate: 0 or an errno value. A call that fails
 * at the gate still gets its object, unless all was over before: it may do half of its work. */
static int
directory_enter(
    struct sim_store *sim, int handle, enum sim_call call, struct sim_directory **directory_out)
{
	bool was_dead = sim->is_dead;
	struct sim_handle *found;
	int rc;

	hang(sim, handle, call);
	rc = gate(sim, call);
	found = handle_of(sim, handle);
	if (found->is_dead || was_dead)
		return EIO;
	ZP_ASSERT(found->directory != NULL);
	*directory_out = found->directory;
	return rc;
}

static int
file_enter(struct sim_store *sim, int handle, enum sim_call call, struct sim_file **file_out)
{
	bool was_dead = sim->is_dead;
	struct sim_handle *found;
	int rc;

	hang(sim, handle, call);
	rc = gate(sim, call);
	found = handle_of(sim, handle);
	if (found->is_dead || was_dead)
		return EIO;
	ZP_ASSERT(found->file != NULL);
	*file_out = found->file;
	return rc;
}

/* ---- Directories ---------------------------------------------------------------------------- */

static int
sim_directory_open(struct zp_disk *disk, const char *path, bool create, int *directory_out)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_handle handle = {0};
	int rc;

	zp_mutex_lock(&sim->lock);
	rc = sim->is_dead ? EIO : ENOENT;
	if (!sim->is_dead)
		handle.directory = sim__directory_find(sim, path, create);
	if (handle.directory != NULL) {
		*directory_out = handle_new(sim, &handle);
		rc = 0;
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_directory_sync(struct zp_disk *disk, int handle)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_directory *directory;
	int rc;

	lock(sim, SIM_CALL_SYNC_DIRECTORY);
	rc = directory_enter(sim, handle, SIM_CALL_SYNC_DIRECTORY, &directory);
	if (rc == 0 && !is_skipped(sim, directory_site(directory)))
		sim__directory_sync(directory);
	sim__sweep(sim);
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_directory_list(struct zp_disk *disk, int handle, int (*each)(void *context, const char *name),
    void *context, int *answer_out)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_directory *directory;
	struct sim_entry *entries = NULL;
	size_t count = 0;
	int answer = 0;
	int rc;

	lock(sim, SIM_CALL_LIST);
	rc = directory_enter(sim, handle, SIM_CALL_LIST, &directory);
	if (rc == 0) {
		count = directory->cache.count;
		entries = zp_alloc(count * sizeof(entries[0]));
		if (count > 0)
			memcpy(entries, directory->cache.entries, count * sizeof(entries[0]));
	}
	zp_mutex_unlock(&sim->lock);
	for (size_t i = 0; answer == 0 && i < count; i++)
		answer = each(context, entries[i].name);
	zp_free(entries);
	if (rc == 0)
		*answer_out = answer;
	return rc;
}

static uint64_t
space_used(const struct sim_store *sim)
{
	uint64_t used = 0;

	for (size_t i = 0; i < sim->files_count; i++)
		used += sim->files[i]->cache.bytes;
	return used;
}

static int
sim_directory_space(struct zp_disk *disk, int handle, uint64_t *free_out, uint64_t *total_out)
{
	struct sim_store *sim = sim_of(disk);
	uint64_t total;
	uint64_t used;

	(void)handle;
	zp_mutex_lock(&sim->lock);
	total = sim->space_bytes != 0 ? sim->space_bytes : UINT64_C(1) << 40;
	used = space_used(sim);
	zp_mutex_unlock(&sim->lock);
	*total_out = total;
	*free_out = used < total ? total - used : 0;
	return 0;
}

static int
sim_rename(struct zp_disk *disk, int handle, const char *from, const char *to)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_directory *directory;
	int rc;

	lock(sim, SIM_CALL_RENAME);
	trace_add(sim, to, strlen(to));
	rc = directory_enter(sim, handle, SIM_CALL_RENAME, &directory);
	if (rc == 0) {
		struct sim_entry *entry = sim__names_find(&directory->cache, from);
		struct sim_change change = {.kind = SIM_CHANGE_RENAME};

		if (entry == NULL) {
			rc = ENOENT;
		} else {
			change.entry = *entry;
			snprintf(change.to, sizeof(change.to), "%s", to);
			sim__directory_change(directory, &change);
		}
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_unlink(struct zp_disk *disk, int handle, const char *name)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_directory *directory;
	int rc;

	lock(sim, SIM_CALL_REMOVE);
	trace_add(sim, name, strlen(name));
	rc = directory_enter(sim, handle, SIM_CALL_REMOVE, &directory);
	if (rc == 0) {
		struct sim_entry *entry = sim__names_find(&directory->cache, name);
		struct sim_change change = {.kind = SIM_CHANGE_REMOVE};

		if (entry == NULL) {
			rc = ENOENT;
		} else {
			change.entry = *entry;
			sim__directory_change(directory, &change);
		}
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_link(struct zp_disk *disk, int handle, const char *name, int to_handle)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_directory *directory, *to;
	int rc;

	lock(sim, SIM_CALL_CREATE);
	trace_add(sim, name, strlen(name));
	rc = directory_enter(sim, handle, SIM_CALL_CREATE, &directory);
	if (rc == 0) {
		struct sim_entry *entry = sim__names_find(&directory->cache, name);
		struct sim_change change = {.kind = SIM_CHANGE_CREATE};

		to = handle_of(sim, to_handle)->directory;
		if (entry == NULL) {
			rc = ENOENT;
		} else if (sim__names_find(&to->cache, name) != NULL) {
			rc = EEXIST;
		} else {
			change.entry = *entry;
			sim__directory_change(to, &change);
		}
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

/* Stays in the table, as one that is not there: handles may lead to it. */
static int
sim_directory_remove(struct zp_disk *disk, const char *path)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_directory *directory;
	int rc = ENOENT;

	lock(sim, SIM_CALL_REMOVE);
	directory = sim__directory_find(sim, path, false);
	if (sim->is_dead)
		rc = EIO;
	else if (directory != NULL)
		rc = directory->cache.count > 0 ? ENOTEMPTY : 0;
	if (rc == 0) {
		directory->path[0] = '\0';
		sim__directory_sync(directory);
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

/* ---- Files ---------------------------------------------------------------------------------- */

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);

	return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static int
file_create(struct sim_store *sim, struct sim_directory *directory, const char *name,
    struct sim_handle *handle)
{
	struct sim_change change = {.kind = SIM_CHANGE_CREATE};

	if (sim__names_find(&directory->cache, name) != NULL)
		return EEXIST;
	snprintf(change.entry.name, sizeof(change.entry.name), "%s", name);
	change.entry.file = sim__file_new(sim);
	sim__directory_change(directory, &change);
	handle->file = change.entry.file;
	handle->is_temporary = ends_with(name, ".tmp");
	return 0;
}

static int
sim_file_open(
    struct zp_disk *disk, int handle, const char *name, enum zp_disk_mode mode, int *file_out)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_handle opened = {0};
	struct sim_directory *directory;
	int rc;

	lock(sim, mode == ZP_DISK_CREATE ? SIM_CALL_CREATE : SIM_CALL_OPEN);
	trace_add(sim, name, strlen(name));
	rc = directory_enter(
	    sim, handle, mode == ZP_DISK_CREATE ? SIM_CALL_CREATE : SIM_CALL_OPEN, &directory);
	if (rc == 0 && mode == ZP_DISK_CREATE) {
		rc = file_create(sim, directory, name, &opened);
	} else if (rc == 0) {
		struct sim_entry *entry = sim__names_find(&directory->cache, name);

		opened.file = entry != NULL ? entry->file : NULL;
		rc = entry != NULL ? 0 : ENOENT;
	}
	opened.home = directory;
	opened.may_misplace = rc == 0 && strcmp(name, "mark") != 0 &&
			      (strstr(directory->path, "/shards") != NULL ||
				  strstr(directory->path, "/journal") != NULL);
	if (rc == 0)
		*file_out = handle_new(sim, &opened);
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_file_read(
    struct zp_disk *disk, int handle, uint64_t offset, void *to, size_t length, size_t *read_out)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_file *file;
	uint64_t end = UINT64_MAX;
	int rc;

	lock(sim, SIM_CALL_READ);
	trace_add(sim, &offset, sizeof(offset));
	rc = file_enter(sim, handle, SIM_CALL_READ, &file);
	if (rc == 0 && file->error_length > 0 && offset < file->error_offset + file->error_length &&
	    offset + length > file->error_offset) {
		if (file->error_is_short)
			end = file->error_offset;
		else
			rc = EIO;
		if (file->error_is_once)
			file->error_length = 0;
	}
	if (rc == 0) {
		size_t there;

		end = zp_min_u64(end, file->cache.bytes);
		there = offset < end ? end - offset : 0;

		*read_out = zp_min_u64(there, length);
		if (sim->short_in > 0 && --sim->short_in == 0)
			*read_out = sim__random(sim, *read_out + 1);
		if (*read_out > 0)
			memcpy(to, file->cache.data + offset, *read_out);
		sim__damage_read(file, offset, to, *read_out);
		sim->read_bytes += *read_out;
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

/* ---- Reads that are under way together ------------------------------------------------------- */

struct sim_read {
	struct zp_disk_read *read;
	uint8_t *bytes; /* owned */
};

struct zp_disk_reads {
	struct sim_store *sim;
	struct sim_read under_way[ZP_DISK_READS_MAX];
	size_t count;
	uint8_t *given; /* owned */
};

static struct zp_disk_reads *
sim_reads_open(struct zp_disk *disk)
{
	struct zp_disk_reads *reads = zp_alloc_zero(1, sizeof(*reads));

	reads->sim = sim_of(disk);
	return reads;
}

static void
sim_reads_begin(struct zp_disk_reads *reads, struct zp_disk_read *read)
{
	ZP_ASSERT(reads->count < ZP_DISK_READS_MAX);
	reads->under_way[reads->count++] =
	    (struct sim_read){.read = read, .bytes = zp_alloc(read->length)};
	zp_mutex_lock(&reads->sim->lock);
	reads->sim->reads_together = zp_max_u64(reads->sim->reads_together, reads->count);
	zp_mutex_unlock(&reads->sim->lock);
}

/* Any of them: which follows from what is read, so that no other fault is drawn another time. Each
 * is a read like any other, with its own faults. */
static struct zp_disk_read *
sim_reads_wait(struct zp_disk_reads *reads)
{
	struct sim_read done;
	uint64_t mixed;
	size_t at;

	ZP_ASSERT(reads->count > 0);
	mixed = zp_hash64(&reads->under_way[0].read->offset, sizeof(uint64_t), reads->count);
	at = mixed % reads->count;
	done = reads->under_way[at];
	reads->under_way[at] = reads->under_way[--reads->count];
	zp_free(reads->given);
	reads->given = done.bytes;
	done.read->got = 0;
	done.read->bytes = done.bytes;
	done.read->rc = sim_file_read(&reads->sim->disk, done.read->file, done.read->offset,
	    done.bytes, done.read->length, &done.read->got);
	return done.read;
}

static void
sim_reads_close(struct zp_disk_reads *reads)
{
	ZP_ASSERT(reads->count == 0);
	zp_free(reads->given);
	zp_free(reads);
}

static void
write_misplaced(
    struct sim_store *sim, struct sim_file *file, uint64_t offset, const void *data, size_t length)
{
	uint8_t *before = zp_alloc_zero(1, length + 1);

	if (offset < file->cache.bytes)
		memcpy(before, file->cache.data + offset,
		    zp_min_u64(length, file->cache.bytes - offset));
	sim__file_write(file, offset, data, length);
	sim__write_misplace(sim, file, offset, data, before, length);
	zp_free(before);
}

static int
sim_file_write(struct zp_disk *disk, int handle, uint64_t offset, const void *data, size_t length)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_file *file = NULL;
	size_t part = length;
	int rc;

	lock(sim, SIM_CALL_WRITE);
	trace_add(sim, data, length);
	trace_add(sim, &offset, sizeof(offset));
	rc = file_enter(sim, handle, SIM_CALL_WRITE, &file);
	if (rc == 0 && sim->space_bytes > 0) {
		uint64_t used = space_used(sim);
		uint64_t left = used < sim->space_bytes ? sim->space_bytes - used : 0;
		uint64_t end = zp_max_u64(offset, file->cache.bytes) + left;

		if (offset + length > end) {
			part = end > offset ? end - offset : 0;
			rc = ENOSPC;
		}
	} else if (rc != 0) {
		part = sim__random(sim, length + 1);
	}
	if (file != NULL && rc == 0 && sim->misplace_in > 0 &&
	    handle_of(sim, handle)->may_misplace && --sim->misplace_in == 0)
		write_misplaced(sim, file, offset, data, length);
	else if (file != NULL)
		sim__file_write(file, offset, data, part);
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_file_truncate(struct zp_disk *disk, int handle, uint64_t bytes)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_file *file;
	int rc;

	lock(sim, SIM_CALL_TRUNCATE);
	rc = file_enter(sim, handle, SIM_CALL_TRUNCATE, &file);
	if (rc == 0)
		sim__file_truncate(file, bytes);
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_file_sync(struct zp_disk *disk, int handle)
{
	struct sim_store *sim = sim_of(disk);
	struct sim_file *file = NULL;
	int rc;

	lock(sim, SIM_CALL_SYNC_FILE);
	rc = file_enter(sim, handle, SIM_CALL_SYNC_FILE, &file);
	if (rc == 0) {
		if (!is_skipped(sim, file_site(handle_of(sim, handle))))
			sim__file_sync(file);
	} else if (file != NULL && !sim->is_dead) {
		sim__file_sync_fail(sim, file);
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static int
sim_file_bytes(struct zp_disk *disk, int handle, uint64_t *bytes_out)
{
	struct sim_store *sim = sim_of(disk);
	const struct sim_handle *found;
	int rc = EIO;

	zp_mutex_lock(&sim->lock);
	found = handle_of(sim, handle);
	if (!found->is_dead && !sim->is_dead) {
		*bytes_out = found->file->cache.bytes;
		rc = 0;
	}
	zp_mutex_unlock(&sim->lock);
	return rc;
}

static void
sim_close(struct zp_disk *disk, int handle)
{
	struct sim_store *sim = sim_of(disk);

	zp_mutex_lock(&sim->lock);
	*handle_of(sim, handle) = (struct sim_handle){0};
	sim__sweep(sim);
	zp_mutex_unlock(&sim->lock);
}

const struct zp_disk_ops sim__disk_ops = {
    .directory_open = sim_directory_open,
    .directory_sync = sim_directory_sync,
    .directory_list = sim_directory_list,
    .directory_space = sim_directory_space,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .link = sim_link,
    .directory_remove = sim_directory_remove,
    .file_open = sim_file_open,
    .file_read = sim_file_read,
    .reads_open = sim_reads_open,
    .reads_begin = sim_reads_begin,
    .reads_wait = sim_reads_wait,
    .reads_close = sim_reads_close,
    .file_write = sim_file_write,
    .file_truncate = sim_file_truncate,
    .file_sync = sim_file_sync,
    .file_bytes = sim_file_bytes,
    .close = sim_close,
};
