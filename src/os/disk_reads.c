/*
 * disk_reads.c - reads of the machine's own disk that are under way together.
 *
 * Flow:    store/ begins reads and waits for any of them (disk.h).
 * Threads: a set of reads is one thread's from open to close; idle sets are kept, under a lock.
 * Memory:  the bytes are the set's: the kernel may write to them until it has said that it is done.
 *
 * The kernel does them by io_uring. Where it does not let us (a sandbox, an old kernel, a build
 * without liburing), it is told of all that is begun, and reads them ahead while one after the
 * other is waited for. Past the system's cache neither goes: what it holds is given at once, and
 * ZFS, whose own cache it is, has nothing else.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#if ZP_HAVE_URING
#include <liburing.h>
#endif

#define SLOTS (ZP_DISK_READS_MAX + 1) /* and one whose bytes the caller looks at */
#define SLOT_BYTES_MIN 4096u
#define IDLE_SETS_MAX 4u
#define NONE SLOTS

struct slot {
	struct zp_disk_read *read;
	uint8_t *bytes; /* owned */
	size_t capacity;
};

struct zp_disk_reads {
	struct slot slots[SLOTS];
	uint8_t free_slots[SLOTS];
	unsigned free_count;
	unsigned given;                   /* its bytes are the caller's until the next wait */
	uint8_t queue[ZP_DISK_READS_MAX]; /* that the kernel was told of at most: a circle */
	unsigned queue_first, queue_count;
	struct zp_disk_reads *next_idle;
#if ZP_HAVE_URING
	bool has_ring;
	struct io_uring ring;
	unsigned prepared;  /* and not handed to the kernel */
	unsigned in_kernel; /* and not looked at since */
#endif
};

/* ---- One after the other --------------------------------------------------------------------- */

/* What was not read, which may be all of it. */
static void
rest_read(struct slot *slot, size_t done)
{
	struct zp_disk_read *read = slot->read;
	struct zp_disk *disk = zp_disk_system();
	size_t got = 0;

	read->rc = disk->ops->file_read(
	    disk, read->file, read->offset + done, slot->bytes + done, read->length - done, &got);
	read->got = read->rc == 0 ? done + got : 0;
}

static void
queue_add(struct zp_disk_reads *reads, unsigned at)
{
	reads->queue[(reads->queue_first + reads->queue_count++) % ZP_DISK_READS_MAX] = (uint8_t)at;
}

static unsigned
queue_read(struct zp_disk_reads *reads)
{
	unsigned at = reads->queue[reads->queue_first];

	ZP_ASSERT(reads->queue_count > 0);
	reads->queue_first = (reads->queue_first + 1) % ZP_DISK_READS_MAX;
	reads->queue_count--;
	rest_read(&reads->slots[at], 0);
	return at;
}

/* ---- By io_uring ----------------------------------------------------------------------------- */

#if ZP_HAVE_URING

#define SUBMIT_AT 16u /* prepared reads that are not kept from the kernel any longer */

/* False where the kernel does not let us, which the first call may not tell: a filter of calls may
 * allow to make a ring and nothing more. */
static bool
ring_open(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	bool works = false;

	if (io_uring_queue_init(ZP_DISK_READS_MAX, ring, IORING_SETUP_COOP_TASKRUN) != 0 &&
	    io_uring_queue_init(ZP_DISK_READS_MAX, ring, 0) != 0) /* before Linux 5.19 */
		return false;
	io_uring_prep_nop(io_uring_get_sqe(ring));
	if (io_uring_submit_and_wait(ring, 1) == 1 && io_uring_peek_cqe(ring, &cqe) == 0) {
		io_uring_cqe_seen(ring, cqe);
		works = true;
	}
	if (!works)
		io_uring_queue_exit(ring);
	return works;
}

/* The kernel takes no more reads, and has none: what it was not given is read here. */
static void
ring_give_up(struct zp_disk_reads *reads)
{
	ZP_ASSERT(reads->in_kernel == 0);
	io_uring_queue_exit(&reads->ring);
	reads->has_ring = false;
	reads->prepared = 0;
	reads->queue_first = reads->queue_count = 0;
	for (unsigned at = 0; at < SLOTS; at++) {
		if (reads->slots[at].read != NULL)
			queue_add(reads, at);
	}
}

/* Hands over what is prepared, and waits for one where `wait` is 1. */
static int
ring_enter(struct zp_disk_reads *reads, unsigned wait)
{
	int rc = io_uring_submit_and_wait(&reads->ring, wait);

	if (rc < 0)
		return rc;
	reads->prepared -= (unsigned)rc;
	reads->in_kernel += (unsigned)rc;
	return 0;
}

static void
ring_begin(struct zp_disk_reads *reads, unsigned at)
{
	struct slot *slot = &reads->slots[at];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&reads->ring);

	ZP_ASSERT(sqe != NULL); /* it has room for all that may be under way */
	io_uring_prep_read(
	    sqe, slot->read->file, slot->bytes, (unsigned)slot->read->length, slot->read->offset);
	io_uring_sqe_set_data64(sqe, at);
	/* A failure will be met again, by who waits. */
	if (++reads->prepared >= SUBMIT_AT)
		zp_ignore(ring_enter(reads, 0));
}

/* The kernel's answer; whatever is not the whole of it is asked again the plain way, whose word
 * counts: an interrupted or short read, one that it had no room for, and errors. */
static void
ring_answer(struct slot *slot, int result)
{
	struct zp_disk_read *read = slot->read;

	read->rc = 0;
	read->got = read->length;
	if (result < 0 || (size_t)result < read->length)
		rest_read(slot, result < 0 ? 0 : (size_t)result);
}

/* A slot that is done; NONE when there is no ring any more. */
static unsigned
ring_wait(struct zp_disk_reads *reads)
{
	struct io_uring_cqe *cqe;
	unsigned at;

	while (io_uring_peek_cqe(&reads->ring, &cqe) != 0) {
		int rc = ring_enter(reads, 1);

		if (rc == 0 || rc == -EINTR)
			continue;
		if (reads->in_kernel == 0) {
			ring_give_up(reads);
			return NONE;
		}
		usleep(1000); /* what it has comes all the same */
	}
	at = (unsigned)io_uring_cqe_get_data64(cqe);
	ring_answer(&reads->slots[at], cqe->res);
	io_uring_cqe_seen(&reads->ring, cqe);
	reads->in_kernel--;
	return at;
}

#endif

/* ---- The disk's calls ------------------------------------------------------------------------ */

static struct {
	struct zp_mutex lock;
	struct zp_disk_reads *first; /* rings are dear to make, and memory to touch */
	unsigned count;
} idle = {.lock = {PTHREAD_MUTEX_INITIALIZER}};

static struct zp_disk_reads *
reads_new(void)
{
	struct zp_disk_reads *reads = zp_alloc_zero(1, sizeof(*reads));

	for (unsigned at = 0; at < SLOTS; at++)
		reads->free_slots[reads->free_count++] = (uint8_t)at;
	reads->given = NONE;
#if ZP_HAVE_URING
	reads->has_ring = ring_open(&reads->ring);
#endif
	return reads;
}

static void
reads_free(struct zp_disk_reads *reads)
{
#if ZP_HAVE_URING
	if (reads->has_ring)
		io_uring_queue_exit(&reads->ring);
#endif
	for (unsigned at = 0; at < SLOTS; at++)
		zp_free(reads->slots[at].bytes);
	zp_free(reads);
}

struct zp_disk_reads *
zp_disk_reads_open(struct zp_disk *disk)
{
	struct zp_disk_reads *reads;

	(void)disk;
	zp_mutex_lock(&idle.lock);
	reads = idle.first;
	if (reads != NULL) {
		idle.first = reads->next_idle;
		idle.count--;
	}
	zp_mutex_unlock(&idle.lock);
	return reads != NULL ? reads : reads_new();
}

static void
given_take(struct zp_disk_reads *reads)
{
	if (reads->given == NONE)
		return;
	reads->free_slots[reads->free_count++] = (uint8_t)reads->given;
	reads->given = NONE;
}

void
zp_disk_reads_begin(struct zp_disk_reads *reads, struct zp_disk_read *read)
{
	struct slot *slot;
	unsigned at;

	ZP_ASSERT(reads->free_count > 0);
	at = reads->free_slots[--reads->free_count];
	slot = &reads->slots[at];
	slot->read = read;
	if (slot->capacity < read->length) {
		zp_free(slot->bytes);
		slot->capacity = zp_max_u64(SLOT_BYTES_MIN, read->length);
		slot->bytes = zp_alloc(slot->capacity);
	}
#if ZP_HAVE_URING
	if (reads->has_ring) {
		ring_begin(reads, at);
		return;
	}
#endif
	posix_fadvise(read->file, (off_t)read->offset, (off_t)read->length, POSIX_FADV_WILLNEED);
	queue_add(reads, at);
}

struct zp_disk_read *
zp_disk_reads_wait(struct zp_disk_reads *reads)
{
	struct zp_disk_read *read;
	unsigned at = NONE;

	given_take(reads);
#if ZP_HAVE_URING
	if (reads->has_ring)
		at = ring_wait(reads);
#endif
	if (at == NONE)
		at = queue_read(reads);
	read = reads->slots[at].read;
	read->bytes = reads->slots[at].bytes;
	reads->slots[at].read = NULL;
	reads->given = at;
	return read;
}

void
zp_disk_reads_close(struct zp_disk_reads *reads)
{
	given_take(reads);
	ZP_ASSERT(reads->free_count == SLOTS);
	zp_mutex_lock(&idle.lock);
	if (idle.count < IDLE_SETS_MAX) {
		reads->next_idle = idle.first;
		idle.first = reads;
		idle.count++;
		reads = NULL;
	}
	zp_mutex_unlock(&idle.lock);
	if (reads != NULL)
		reads_free(reads);
}
