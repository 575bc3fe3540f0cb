/*
 * reader.c - reads for threads that may not wait for ever: who serves clients gives a read up.
 *
 * Flow:    file.c → here when the calling thread is in a hurry (zp_store_hurry) and the bytes are
 *          not in the system's cache. Threads: any; a few readers of the watch's own do the calls.
 *
 * A thread that is inside a call that hangs is gone for as long as that takes. So the call is made
 * by a reader, into memory of its own, and who wanted the bytes leaves after a while. The reader
 * that stays behind is the probe: while it has not come back, nobody else in a hurry is let near
 * that store, and when it comes back the store is as good as before.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <inttypes.h>

/* A client's read is given up after this part of hang_after; while other reads hang, after a part
 * that is so much smaller again, since a node has many stores and they most often share a disk. */
#define PATIENCE_PART 6u
#define PATIENCE_PART_WARNED 10u

#define NS_PER_SECOND UINT64_C(1000000000)

static _Thread_local bool is_hurried;

bool
zp_store_hurry(bool on)
{
	bool was = is_hurried;

	is_hurried = on;
	return was;
}

bool
store__is_hurried(const struct directory_store *store)
{
	return is_hurried && store->watch != NULL;
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* Owned by who wants it until that one leaves, by the reader then. */
struct store_job {
	struct directory_store *store;
	struct directory_file *file; /* NULL: the space of the store is asked for */
	bool is_done;
	bool is_left;
	int rc; /* of the disk */
	uint64_t free_bytes, all_bytes;
	uint64_t offset;
	size_t length, got;
	uint8_t bytes[];
};

struct store_reader {
	struct zp_store_watch *watch;
	struct zp_thread *thread;
	struct zp_cond wake; /* a job, or the end */
	struct zp_cond done;
	struct store_job *job; /* NULL: idle */
};

static void
job_run(struct store_job *job)
{
	if (job->file == NULL)
		job->rc = store__disk_space(job->store, &job->free_bytes, &job->all_bytes);
	else
		job->rc = store__disk_read(job->store, job->file->file, job->file->name,
		    job->offset, job->bytes, job->length, &job->got);
}

/* With the lock held: what hung is back, after all. */
static void
job_return(struct zp_store_watch *watch, struct store_job *job)
{
	struct directory_store *store = job->store;
	struct directory_file *file = job->file;

	watch->stuck--;
	if (--store->stuck == 0)
		atomic_store(&store->stuck_since_ns, 0);
	if (file != NULL && --file->stuck == 0 && file->is_closed)
		store__file_free(file);
	zp_free(job);
	zp_cond_broadcast(&watch->returned);
}

static void
reader_run(void *context)
{
	struct store_reader *reader = context;
	struct zp_store_watch *watch = reader->watch;

	zp_mutex_lock(&watch->lock);
	for (;;) {
		struct store_job *job = reader->job;

		if (job == NULL && watch->stopping)
			break;
		if (job == NULL || job->is_done) {
			zp_cond_wait(&reader->wake, &watch->lock);
			continue;
		}
		zp_mutex_unlock(&watch->lock);
		job_run(job);
		zp_mutex_lock(&watch->lock);
		job->is_done = true;
		if (!job->is_left) {
			zp_cond_signal(&reader->done);
			continue;
		}
		reader->job = NULL;
		job_return(watch, job);
	}
	zp_mutex_unlock(&watch->lock);
}

/* With the lock held. */
static int
reader_idle(struct zp_store_watch *watch, struct store_reader **reader_out, struct zp_err *err)
{
	struct store_reader *reader;
	int rc;

	for (unsigned i = 0; i < watch->readers_count; i++) {
		if (watch->readers[i]->job == NULL) {
			*reader_out = watch->readers[i];
			return 0;
		}
	}
	if (watch->readers_count == STORE_READERS_MAX)
		return zp_fail(err, ZP_E_TIMEOUT,
		    "%u reads of the disk are under way and do not return", STORE_READERS_MAX);
	reader = zp_alloc_zero(1, sizeof(*reader));
	reader->watch = watch;
	zp_cond_init(&reader->wake);
	zp_cond_init(&reader->done);
	rc = zp_thread_start("zpin-read", reader_run, reader, &reader->thread, err);
	if (rc < 0) {
		zp_cond_done(&reader->wake);
		zp_cond_done(&reader->done);
		zp_free(reader);
		return rc;
	}
	watch->readers[watch->readers_count++] = reader;
	*reader_out = reader;
	return 0;
}

void
store__readers_stop(struct zp_store_watch *watch)
{
	zp_mutex_lock(&watch->lock);
	watch->stopping = true;
	for (unsigned i = 0; i < watch->readers_count; i++)
		zp_cond_signal(&watch->readers[i]->wake);
	zp_mutex_unlock(&watch->lock);
	for (unsigned i = 0; i < watch->readers_count; i++) {
		struct store_reader *reader = watch->readers[i];

		zp_thread_join(reader->thread);
		zp_cond_done(&reader->wake);
		zp_cond_done(&reader->done);
		zp_free(reader);
	}
	watch->readers_count = 0;
}

/* ---- Who is in a hurry ------------------------------------------------------------------------
 */

static uint64_t
patience_ns(const struct zp_store_watch *watch)
{
	uint64_t ns = watch->hang_after_ns / PATIENCE_PART;

	return watch->stuck == 0 ? ns : ns / PATIENCE_PART_WARNED;
}

/* With the lock held: nobody waits for this one any more. */
static void
job_leave(struct zp_store_watch *watch, struct store_job *job, uint64_t began_ns)
{
	struct directory_store *store = job->store;

	job->is_left = true;
	watch->stuck++;
	if (store->stuck++ == 0)
		atomic_store(&store->stuck_since_ns, began_ns);
	if (job->file != NULL)
		job->file->stuck++;
}

static int
hang_fail(const struct directory_store *store, uint64_t since_ns, struct zp_err *err)
{
	return zp_fail(err, ZP_E_TIMEOUT,
	    "%s: the disk does not answer, a read hangs for %" PRIu64
	    " s now; nothing is asked of it until that returns",
	    store->path, (zp_clock_monotonic_ns() - since_ns) / NS_PER_SECOND);
}

/* 0: `job` is done, and the caller's again. An error: it is not the caller's any more. */
static int
job_do(struct store_job *job, struct zp_err *err)
{
	struct directory_store *store = job->store;
	struct zp_store_watch *watch = store->watch;
	uint64_t began_ns = zp_clock_monotonic_ns();
	uint64_t since_ns = atomic_load(&store->stuck_since_ns);
	struct store_reader *reader = NULL;
	bool is_done = false;
	int rc;

	if (since_ns != 0) {
		zp_free(job);
		return hang_fail(store, since_ns, err);
	}
	zp_mutex_lock(&watch->lock);
	rc = reader_idle(watch, &reader, err);
	if (rc == 0) {
		uint64_t deadline_ns = began_ns + patience_ns(watch);

		reader->job = job;
		zp_cond_signal(&reader->wake);
		while (
		    !job->is_done && zp_cond_wait_until(&reader->done, &watch->lock, deadline_ns))
			;
		is_done = job->is_done;
		if (is_done)
			reader->job = NULL;
		else
			job_leave(watch, job, began_ns);
	}
	zp_mutex_unlock(&watch->lock);
	if (is_done)
		return 0;
	if (rc < 0) {
		zp_free(job);
		return rc;
	}
	return hang_fail(store, began_ns, err);
}

int
store__read_hurried(struct directory_file *file, uint64_t offset, void *to, size_t length,
    size_t *got_out, struct zp_err *err)
{
	struct store_job *job = zp_alloc(sizeof(*job) + length);
	int rc;

	*job = (struct store_job){
	    .store = file->store, .file = file, .offset = offset, .length = length};
	rc = job_do(job, err);
	if (rc < 0)
		return rc;
	rc = job->rc;
	if (rc == 0) {
		memcpy(to, job->bytes, job->got);
		*got_out = job->got;
	}
	zp_free(job);
	return rc;
}

int
store__space_hurried(
    struct directory_store *store, uint64_t *free_out, uint64_t *all_out, struct zp_err *err)
{
	struct store_job *job = zp_alloc(sizeof(*job));
	int rc;

	*job = (struct store_job){.store = store};
	rc = job_do(job, err);
	if (rc < 0)
		return rc;
	rc = job->rc;
	*free_out = job->free_bytes;
	*all_out = job->all_bytes;
	zp_free(job);
	return rc;
}
