/*
 * store_internal.h - the directory store's parts.
 *
 * Owner:   zp_store_directory_open makes the store; writers, files and logs point back to it.
 * Threads: any; all fields but the flag are fixed after opening.
 */
#ifndef ZP_STORE_STORE_INTERNAL_H
#define ZP_STORE_STORE_INTERNAL_H

#include <stdatomic.h>

#include "os/os.h"
#include "store/store.h"

#define STORE_TEMPORARY_SUFFIX ".tmp"
#define STORE_TEMPORARY_NAME_BYTES (ZP_FILE_NAME_MAX + sizeof(STORE_TEMPORARY_SUFFIX))

struct directory_store {
	struct zp_store base; /* first */
	struct zp_disk *disk;
	int directory; /* handle of disk */
	char *path;    /* for messages; owned */
	bool read_only;
	bool no_sync;
	atomic_bool directory_lost; /* a sync of it failed: names may be gone or not, for good */

	struct zp_store_watch *watch; /* borrowed; NULL: none */
	unsigned stuck; /* reads that were given up and have not returned; under the watch's lock */
	_Atomic(uint64_t) stuck_since_ns; /* the first of them; 0: there is none */
};

struct directory_file {
	struct zp_store_file base; /* first */
	struct directory_store *store;
	int file;       /* handle of disk */
	uint64_t bytes; /* when it was opened */
	unsigned stuck; /* as in the store; the last one frees a file that is closed meanwhile */
	bool is_closed;
	char name[STORE_TEMPORARY_NAME_BYTES];
};

/* ---- Calls under way (watch.c) --------------------------------------------------------------- */

#define STORE_SLOTS_MAX 128u /* calls under way that are told apart */
#define STORE_SLOT_NAME_WORDS ((STORE_TEMPORARY_NAME_BYTES + 7) / 8)
#define STORE_READERS_MAX 64u

/* One call, in words that may be read while they change. */
struct store_slot {
	_Alignas(64) _Atomic(uint64_t) began_ns; /* 0: free */
	_Atomic(struct directory_store *) store;
	_Atomic(const char *) what;
	_Atomic(uint64_t) name[STORE_SLOT_NAME_WORDS];
};

struct store_reader;

struct zp_store_watch {
	struct store_slot slots[STORE_SLOTS_MAX];
	uint64_t hang_after_ns;
	struct zp_mutex lock;    /* guards the rest; a store ends under it */
	struct zp_cond returned; /* a read that was given up */
	struct zp_cond idle;     /* a reader, for who waits for one */
	struct store_reader *readers[STORE_READERS_MAX];
	unsigned readers_count;
	unsigned stuck; /* of all stores */
	bool stopping;
};

/* `what` is a word that stays, `name` of a file or "". To be ended when it returns; NULL is allowed
 * there. */
struct store_slot *store__call_begin(
    struct directory_store *store, const char *what, const char *name);
void store__call_end(struct store_slot *slot);

/* ---- Reads that are given up (reader.c) ------------------------------------------------------ */

/* Whether the calling thread may not wait for ever. */
bool store__is_hurried(const struct directory_store *store);
/* As the disk's calls, 0 or an errno value, or a negative code with `err` set when the disk does
 * not answer. */
int store__read_hurried(struct directory_file *file, uint64_t offset, void *to, size_t length,
    size_t *got_out, struct zp_err *err);
int store__space_hurried(
    struct directory_store *store, uint64_t *free_out, uint64_t *all_out, struct zp_err *err);
/* Tells each of `reads`, of which `indexes` are the numbers to tell them by. */
#define STORE_JOB_READS_MAX 128u
int store__reads_hurried(struct directory_store *store, const struct zp_store_read *reads,
    const uint32_t *indexes, size_t count, zp_store_read_each *each, void *context);
void store__readers_stop(struct zp_store_watch *watch); /* waits for those that hang */

/* ---- Many reads (many.c) --------------------------------------------------------------------- */

/* Told of the read at `index`: of the disk 0 and its bytes, or an errno value. Not 0: no more are
 * read. */
typedef int store__read_came(void *context, size_t index, int rc, const uint8_t *bytes, size_t got);
/* In the calling thread, however long that takes. */
int store__reads_run(struct directory_store *store, const struct zp_store_read *reads, size_t count,
    store__read_came *came, void *context);

/* What a read answers by what the disk did: an errno value and how much it read, or a code with
 * `err` set. */
int store__read_answer(const struct zp_store_read *read, int rc, size_t got, struct zp_err *err);

/* A file that nobody reads. */
void store__file_free(struct directory_file *file);

/* ---- The disk's calls, watched (calls.c) ----------------------------------------------------- */

/* As in os/disk.h; `name` is for people. */
int store__disk_list(struct directory_store *store, int (*each)(void *context, const char *name),
    void *context, int *answer_out);
int store__disk_space(struct directory_store *store, uint64_t *free_out, uint64_t *all_out);
int store__disk_rename(struct directory_store *store, const char *from, const char *to);
int store__disk_unlink(struct directory_store *store, const char *name);
int store__disk_open(struct directory_store *store, const char *name, enum zp_disk_mode mode,
    int *file_out, uint64_t *bytes_out);
int store__disk_read(struct directory_store *store, int file, const char *name, uint64_t offset,
    void *to, size_t length, size_t *got_out);
struct zp_disk_read *store__disk_reads_wait(
    struct directory_store *store, struct zp_disk_reads *reads, const char *name);
int store__disk_write(struct directory_store *store, int file, const char *name, uint64_t offset,
    const void *data, size_t length);
int store__disk_truncate(struct directory_store *store, int file, const char *name, uint64_t bytes);
int store__disk_sync(struct directory_store *store, int file, const char *name);
int store__disk_sync_directory(struct directory_store *store);
void store__disk_close(struct directory_store *store, int file, const char *name);

/* True for "<name>.tmp", an unfinished file. */
bool store__name_is_temporary(const char *name);

/* ZP_E_INVALID unless `name` is one that store.h allows, or that of an unfinished file. */
ZP_MUST_CHECK int store__name_check(const char *path, const char *name, struct zp_err *err);

/* ZP_E_READ_ONLY in a read-only store. */
ZP_MUST_CHECK int store__change_check(
    const struct directory_store *store, const char *name, struct zp_err *err);

/* Syncs the directory, once and for all: see directory_lost. */
ZP_MUST_CHECK int store__directory_sync(struct directory_store *store, struct zp_err *err);

/* The operations of writer.c, file.c and log.c. */
int store__writer_open(struct zp_store *store, const char *name,
    struct zp_store_writer **writer_out, struct zp_err *err);
int store__writer_append(
    struct zp_store_writer *writer, const void *data, size_t length, struct zp_err *err);
int store__writer_publish(struct zp_store_writer *writer, const char *name, struct zp_err *err);
void store__writer_discard(struct zp_store_writer *writer);

int store__file_open(
    struct zp_store *store, const char *name, struct zp_store_file **file_out, struct zp_err *err);
int store__file_read(
    struct zp_store_file *file, uint64_t offset, void *to, size_t length, struct zp_err *err);
int store__read_many(
    const struct zp_store_read *reads, size_t count, zp_store_read_each *each, void *context);
uint64_t store__file_bytes(const struct zp_store_file *file);
void store__file_close(struct zp_store_file *file);

int store__log_open(struct zp_store *store, const char *name, bool create,
    struct zp_store_log **log_out, struct zp_err *err);
int store__log_append(
    struct zp_store_log *log, const void *data, size_t length, struct zp_err *err);
int store__log_rewrite(
    struct zp_store_log *log, uint64_t offset, const void *data, size_t length, struct zp_err *err);
int store__log_sync(struct zp_store_log *log, struct zp_err *err);
int store__log_truncate(struct zp_store_log *log, uint64_t bytes, struct zp_err *err);
uint64_t store__log_bytes(const struct zp_store_log *log);
void store__log_close(struct zp_store_log *log);

#endif
