/*
 * reader.c - reads for threads that may not wait for ever: who serves clients gives a read up.
 *
 * Flow:    file.c, many.c → here when the calling thread is in a hurry (zp_store_hurry) and the
 * bytes are not in the system's cache. Threads: any; a few readers of the watch's own do the calls.
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

/* So many reads of a job are waited for at a time: fewer would cost more changes of thread. */
#define PARTS_TOGETHER 16u

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

static uint64_t
patience_ns(const struct zp_store_watch *watch)
{
	uint64_t ns = watch->hang_after_ns / PATIENCE_PART;

	return watch->stuck == 0 ? ns : ns / PATIENCE_PART_WARNED;
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* One read of a job, and which of the job's came at this place. */
struct job_part {
	uint8_t *bytes; /* in the job */
	size_t got;
	int rc; /* of the disk */
	uint32_t came;
};

/* Owned by who wants it until that one leaves, by the reader then. */
struct store_job {
	struct directory_store *store;
	struct store_reader *reader;
	bool is_done;
	bool is_left;
	bool is_enough; /* no more reads are wanted */
	int rc;         /* of the disk, for the space */
	uint64_t free_bytes, all_bytes;
	struct zp_store_read *reads; /* in the job's memory, as their bytes */
	uint32_t count;              /* 0: the space of the store is asked for */
	uint32_t came;
	uint32_t came_awaited; /* the caller is woken when so many came */
	struct job_part parts[];
};

struct store_reader {
	struct zp_store_watch *watch;
	struct zp_thread *thread;
	struct zp_cond wake;   /* a job, or the end */
	struct zp_cond done;   /* it, or as much of it as is awaited */
	struct store_job *job; /* NULL: idle */
};

static struct directory_file *
file_of(const struct store_job *job, size_t index)
{
	return (struct directory_file *)job->reads[index].file;
}

static struct store_job *
job_new(struct directory_store *store, const struct zp_store_read *reads, size_t count)
{
	struct store_job *job;
	size_t bytes = 0;
	uint8_t *at;

	for (size_t i = 0; i < count; i++)
		bytes += reads[i].length;
	job = zp_alloc(sizeof(*job) + count * (sizeof(job->parts[0]) + sizeof(reads[0])) + bytes);
	*job = (struct store_job){.store = store, .count = (uint32_t)count};
	job->reads = (struct zp_store_read *)&job->parts[count];
	at = (uint8_t *)&job->reads[count];
	for (size_t i = 0; i < count; i++) {
		job->reads[i] = reads[i];
		job->parts[i] = (struct job_part){.bytes = at};
		at += reads[i].length;
	}
	return job;
}

/* One of the job's reads, whose bytes are where they belong. True: no more are wanted. */
static bool
part_done(struct store_job *job, size_t index, int rc, size_t got)
{
	struct zp_store_watch *watch = job->store->watch;
	bool is_enough;

	job->parts[index].rc = rc;
	job->parts[index].got = got;
	zp_mutex_lock(&watch->lock);
	job->parts[job->came++].came = (uint32_t)index;
	is_enough = job->is_enough || job->is_left;
	if (job->came == job->came_awaited && job->came < job->count)
		zp_cond_signal(&job->reader->done);
	zp_mutex_unlock(&watch->lock);
	return is_enough;
}

static int
part_came(void *context, size_t index, int rc, const uint8_t *bytes, size_t got)
{
	struct store_job *job = context;

	if (rc == 0)
		memcpy(job->parts[index].bytes, bytes, got);
	return part_done(job, index, rc, got) ? ZP_END : 0;
}

static void
job_run(struct store_job *job)
{
	const struct directory_file *file;
	size_t got = 0;
	int rc;

	if (job->count == 0) {
		job->rc = store__disk_space(job->store, &job->free_bytes, &job->all_bytes);
		return;
	}
	if (job->count > 1) {
		/* What it answers is what part_came does. */
		zp_ignore(store__reads_run(job->store, job->reads, job->count, part_came, job));
		return;
	}
	file = file_of(job, 0);
	rc = store__disk_read(job->store, file->file, file->name, job->reads[0].offset,
	    job->parts[0].bytes, job->reads[0].length, &got);
	zp_ignore(part_done(job, 0, rc, got));
}

/* With the lock held: what hung is back, after all. */
static void
job_return(struct zp_store_watch *watch, struct store_job *job)
{
	struct directory_store *store = job->store;

	watch->stuck--;
	if (--store->stuck == 0)
		atomic_store(&store->stuck_since_ns, 0);
	for (size_t i = 0; i < job->count; i++) {
		struct directory_file *file = file_of(job, i);

		if (--file->stuck == 0 && file->is_closed)
			store__file_free(file);
	}
	zp_free(job);
	zp_cond_broadcast(&watch->returned);
	zp_cond_signal(&watch->idle);
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

/* With the lock held: one that has nothing to do, or a new one. */
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

/* The same; where all that may be there are at work, waits for one as it would for the disk. */
static int
reader_get(struct zp_store_watch *watch, struct store_reader **reader_out, struct zp_err *err)
{
	uint64_t until_ns = zp_clock_monotonic_ns() + patience_ns(watch);
	int rc = reader_idle(watch, reader_out, err);
	bool in_time = true;

	/* Also behind the last wait: what woke it may have been a reader, and the time come since.
	 */
	while (rc == ZP_E_TIMEOUT && watch->stuck < STORE_READERS_MAX && in_time) {
		in_time = zp_cond_wait_until(&watch->idle, &watch->lock, until_ns);
		rc = reader_idle(watch, reader_out, err);
	}
	return rc;
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

/* ---- Who is in a hurry ----------------------------------------------------------------------- */

/* With the lock held: nobody waits for this one any more. */
static void
job_leave(struct zp_store_watch *watch, struct store_job *job, uint64_t began_ns)
{
	struct directory_store *store = job->store;

	job->is_left = true;
	watch->stuck++;
	if (store->stuck++ == 0)
		atomic_store(&store->stuck_since_ns, began_ns);
	for (size_t i = 0; i < job->count; i++)
		file_of(job, i)->stuck++;
}

static int
hang_fail(const struct directory_store *store, uint64_t since_ns, struct zp_err *err)
{
	return zp_fail(err, ZP_E_TIMEOUT,
	    "%s: the disk does not answer, a read hangs for %" PRIu64
	    " s now; nothing is asked of it until that returns",
	    store->path, (zp_clock_monotonic_ns() - since_ns) / NS_PER_SECOND);
}

/* How far a job was when it was last seen to go on. */
struct job_seen {
	uint32_t came;
	uint64_t at_ns;
};

/* Gives it to a reader, who may have to be waited for: the disk is from then on. An error: it is
 * freed, and nobody has it. */
static int
job_begin(struct store_job *job, struct job_seen *seen_out, struct zp_err *err)
{
	struct directory_store *store = job->store;
	struct zp_store_watch *watch = store->watch;
	uint64_t since_ns = atomic_load(&store->stuck_since_ns);
	struct store_reader *reader = NULL;
	int rc;

	if (since_ns != 0) {
		zp_free(job);
		return hang_fail(store, since_ns, err);
	}
	zp_mutex_lock(&watch->lock);
	rc = reader_get(watch, &reader, err);
	if (rc == 0) {
		job->reader = reader;
		reader->job = job;
		zp_cond_signal(&reader->wake);
	}
	zp_mutex_unlock(&watch->lock);
	*seen_out = (struct job_seen){0, zp_clock_monotonic_ns()};
	if (rc < 0)
		zp_free(job);
	return rc;
}

/* All of it, or as much as is awaited: the last reads come with its end. */
static bool
job_is_ready(const struct store_job *job)
{
	return job->is_done || (job->came >= job->came_awaited && job->came < job->count);
}

/*
 * Waits until some more of the job's reads came than the `taken` ones: 0 and how many there are,
 * ZP_END when that is all and the job the caller's again. Fewer are given before the job is given
 * up: then nothing came for too long, the job is nobody's any more, and that is the error.
 */
static int
job_wait(struct store_job *job, struct job_seen *seen, uint32_t taken, uint32_t *came_out,
    struct zp_err *err)
{
	struct directory_store *store = job->store;
	struct zp_store_watch *watch = store->watch;
	bool is_done;

	zp_mutex_lock(&watch->lock);
	job->came_awaited = taken + PARTS_TOGETHER;
	while (!job_is_ready(job)) {
		if (zp_cond_wait_until(
			&job->reader->done, &watch->lock, seen->at_ns + patience_ns(watch)) ||
		    job_is_ready(job))
			continue;
		if (job->came == seen->came && job->came > taken)
			break;
		if (job->came == seen->came) {
			job_leave(watch, job, seen->at_ns);
			zp_mutex_unlock(&watch->lock);
			return hang_fail(store, seen->at_ns, err);
		}
		*seen = (struct job_seen){job->came, zp_clock_monotonic_ns()};
	}
	if (job->came != seen->came)
		*seen = (struct job_seen){job->came, zp_clock_monotonic_ns()};
	*came_out = job->came;
	is_done = job->is_done;
	if (is_done) {
		job->reader->job = NULL;
		zp_cond_signal(&watch->idle);
	}
	zp_mutex_unlock(&watch->lock);
	return is_done ? ZP_END : 0;
}

/* 0: `job` is done, and the caller's again. An error: it is not the caller's any more. */
static int
job_do(struct store_job *job, struct zp_err *err)
{
	struct job_seen seen;
	uint32_t came = 0;
	int rc = job_begin(job, &seen, err);

	while (rc == 0)
		rc = job_wait(job, &seen, came, &came, err);
	return rc == ZP_END ? 0 : rc;
}

int
store__read_hurried(struct directory_file *file, uint64_t offset, void *to, size_t length,
    size_t *got_out, struct zp_err *err)
{
	struct zp_store_read read = {&file->base, offset, length};
	struct store_job *job = job_new(file->store, &read, 1);
	int rc = job_do(job, err);

	if (rc < 0)
		return rc;
	rc = job->parts[0].rc;
	if (rc == 0) {
		memcpy(to, job->parts[0].bytes, job->parts[0].got);
		*got_out = job->parts[0].got;
	}
	zp_free(job);
	return rc;
}

int
store__space_hurried(
    struct directory_store *store, uint64_t *free_out, uint64_t *all_out, struct zp_err *err)
{
	struct store_job *job = job_new(store, NULL, 0);
	int rc = job_do(job, err);

	if (rc < 0)
		return rc;
	rc = job->rc;
	*free_out = job->free_bytes;
	*all_out = job->all_bytes;
	zp_free(job);
	return rc;
}

/* ---- Many reads for who is in a hurry -------------------------------------------------------- */

static void
job_stop(struct store_job *job)
{
	struct zp_store_watch *watch = job->store->watch;

	zp_mutex_lock(&watch->lock);
	job->is_enough = true;
	zp_mutex_unlock(&watch->lock);
}

/* Those that came are told while others are read; those that a given-up job leaves, at the end, as
 * the error. */
int
store__reads_hurried(struct directory_store *store, const struct zp_store_read *reads,
    const uint32_t *indexes, size_t count, zp_store_read_each *each, void *context)
{
	struct store_job *job = job_new(store, reads, count);
	bool is_told[STORE_JOB_READS_MAX] = {false};
	struct job_seen seen;
	uint32_t taken = 0, came = 0;
	int answer = 0;
	int rc = job_begin(job, &seen, NULL);

	while (rc == 0) {
		rc = job_wait(job, &seen, came, &came, NULL);
		for (; rc >= 0 && answer == 0 && taken < came; taken++) {
			uint32_t index = job->parts[taken].came;
			const struct job_part *part = &job->parts[index];

			is_told[index] = true;
			answer = each(context, indexes[index],
			    store__read_answer(&job->reads[index], part->rc, part->got, NULL),
			    part->bytes);
		}
		if (rc == 0 && answer != 0)
			job_stop(job);
	}
	if (rc == ZP_END)
		zp_free(job);
	for (size_t i = 0; rc < 0 && answer == 0 && i < count; i++) {
		if (!is_told[i])
			answer = each(context, indexes[i], rc, NULL);
	}
	return answer;
}
