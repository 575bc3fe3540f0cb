/*
 * sim_store.h - a disk in memory that loses power, lies and fails on command.
 *
 * It stands below the real directory store (as a zp_disk, os/disk.h), so the code under test is
 * the code that runs in production, down to each write, sync and rename. What it models:
 *
 *   files        have what reads see (the system's cache) and what the disk has. A write or a
 *truncate changes the first; a sync carries it to the second. names        the same: create, rename
 *and unlink are volatile until their directory is synced. a crash      of the power throws away
 *what was not synced, or keeps a seeded random part of it: any subset of the writes in any order,
 *each whole or torn at any byte; any subset of the changes of names. A crash of the process alone
 *keeps the cache. a failed     sync leaves a random part of the data on the disk and calls the rest
 *clean, as Linux sync         does: reads still see it, later syncs don't write it, a power cut
 *loses it. short writes a write that fails has written a random part first. damage       bytes that
 *read otherwise than they were written: flipped, old, another place's, lost or misdirected when
 *they were written. What was written is remembered, so that a test can heal the disk and see that
 *nothing was believed meanwhile.
 *
 * Not modelled: the making and removing of directories (durable at once), permissions.
 *
 * How a crash test goes:
 *
 *	struct sim_store *sim = sim_store_new(seed);
 *	sim_store_open(sim, "journal", &store, &err);
 *	sim_store_die_at(sim, n);               // the n-th change from now on is the last one
 *	... run the work until a call fails ... // remember what was acknowledged
 *	zp_store_close(store);                  // everything open must still be closed
 *	sim_store_crash(sim, SIM_CRASH_RANDOM);
 *	sim_store_open(sim, "journal", &store, &err);
 *	... everything acknowledged must be there ...
 *
 * for n = 1, 2, 3 … until a run ends by itself (sim_store_is_dead says no), and a few seeds each.
 *
 * How a test shows that a sync is needed: with sim_store_skip_sync(sim, site, 0) the same test
 * must find something lost for some n and seed.
 *
 * Everything is decided by the seed and the order of the calls. Threads: any may call anything.
 */
#ifndef ZP_TEST_SIM_SIM_STORE_H
#define ZP_TEST_SIM_SIM_STORE_H

#include "store/store.h"

struct sim_store;

struct sim_store *sim_store_new(uint64_t seed);
void sim_store_free(struct sim_store *sim); /* everything opened on it must be closed before */

/* The real directory store in directory `path` of this disk (any text; made when it is not there).
 */
ZP_MUST_CHECK int sim_store_open(
    struct sim_store *sim, const char *path, struct zp_store **store_out, struct zp_err *err);

/* The disk itself, for zp_store_directory_options. Lives as long as the sim. */
struct zp_disk *sim_store_disk(struct sim_store *sim);

/* ---- Crashes -------------------------------------------------------------------------------- */

enum sim_crash {
	SIM_CRASH_PROCESS, /* the cache stays: what was written can be read, synced or not */
	SIM_CRASH_LOSE,    /* power: everything that was not synced is gone */
	SIM_CRASH_RANDOM,  /* power: a random part of it is there */
};

/* Ends every open handle (calls on them fail with EIO; they must still be closed), forgets all
 * faults set below, and leaves what the kind of crash leaves. */
void sim_store_crash(struct sim_store *sim, enum sim_crash kind);

/* ---- Faults --------------------------------------------------------------------------------- */

/* Kinds of calls; may be or-ed. */
enum sim_call {
	SIM_CALL_OPEN = 1 << 0,   /* of an existing file */
	SIM_CALL_CREATE = 1 << 1, /* of a file */
	SIM_CALL_READ = 1 << 2,
	SIM_CALL_WRITE = 1 << 3,
	SIM_CALL_TRUNCATE = 1 << 4,
	SIM_CALL_SYNC_FILE = 1 << 5,
	SIM_CALL_SYNC_DIRECTORY = 1 << 6,
	SIM_CALL_RENAME = 1 << 7,
	SIM_CALL_REMOVE = 1 << 8,
	SIM_CALL_LIST = 1 << 9,
	SIM_CALL_CHANGES = SIM_CALL_CREATE | SIM_CALL_WRITE | SIM_CALL_TRUNCATE |
			   SIM_CALL_SYNC_FILE | SIM_CALL_SYNC_DIRECTORY | SIM_CALL_RENAME |
			   SIM_CALL_REMOVE,
	SIM_CALL_ANY = (1 << 10) - 1,
};

/* The `nth` call (1: the next) of these kinds fails with this errno value, once. Replaces the fault
 * set before. */
void sim_store_fail(struct sim_store *sim, unsigned calls, uint64_t nth, int errno_value);

/* At the `nth` change (1: the next) the machine dies: that call and all later ones fail. */
void sim_store_die_at(struct sim_store *sim, uint64_t nth);
/* The same at the `nth` call of these kinds: while reading too, or at a sync. */
void sim_store_die_at_call(struct sim_store *sim, unsigned calls, uint64_t nth);
bool sim_store_is_dead(const struct sim_store *sim);

/* Where a sync stands in the code, told by what it is to make durable. May be or-ed. */
enum sim_site {
	SIM_SITE_WRITER = 1 << 0, /* the content of an unfinished file, "*.tmp" */
	SIM_SITE_LOG = 1 << 1,    /* what was written to any other file */
	SIM_SITE_CUT = 1 << 2,    /* a file whose last change is a truncate */
	SIM_SITE_RENAME = 1 << 3, /* a directory whose last change is a rename */
	SIM_SITE_CREATE = 1 << 4, /* … a new file */
	SIM_SITE_REMOVE = 1 << 5, /* … a removal */
	SIM_SITE_ANY = (1 << 6) - 1,
};

/* The `nth` sync (1: the next; 0: every one) of these sites says 0 and does nothing. Syncs that
 * have nothing to do are of no site. */
void sim_store_skip_sync(struct sim_store *sim, unsigned sites, uint64_t nth);

/* Writes fail with ENOSPC, after what fits, when all files together would pass `bytes`. 0: no
 * limit. */
void sim_store_space_set(struct sim_store *sim, uint64_t bytes);

/* Reads of file `name` that touch these bytes fail with EIO. Length 0 takes it back. */
void sim_store_read_error(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset, uint64_t length);
/* The next one does, and then no more. */
void sim_store_read_error_once(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset, uint64_t length);

/* The `nth` read (1: the next) gives a part only, as if the file ended there. 0: takes it back. */
void sim_store_short_read(struct sim_store *sim, uint64_t nth);
/* The next read of file `name` that touches the byte at `offset` does, in front of it. */
void sim_store_short_read_at(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset);

/* The `nth` write (1: the next) to a file of shards or journal, but the journal's mark, is answered
 * as any other and does not arrive: reads give what was there before. SIM_MISPLACE_ELSEWHERE: it
 * arrives in another place, of its own file or another of those. */
enum sim_misplace { SIM_MISPLACE_NOWHERE, SIM_MISPLACE_ELSEWHERE };
void sim_store_misplace(struct sim_store *sim, enum sim_misplace kind, uint64_t nth);

/* Called at the beginning of each call, before anything is done and without a lock: for a simulated
 * machine to let others go on, or to hang. */
void sim_store_on_call(
    struct sim_store *sim, void (*on_call)(void *context, enum sim_call call), void *context);

/* Calls of these kinds in the directory `path` (which the test keeps), and on files that were
 * opened there, do not return until sim_store_go_on. */
void sim_store_hang(struct sim_store *sim, const char *path, unsigned calls);
void sim_store_go_on(struct sim_store *sim);
unsigned sim_store_hanging(struct sim_store *sim); /* calls that are in it */

/* A number that follows from all calls so far, their names, places and bytes: equal runs have equal
 * ones. */
uint64_t sim_store_trace(const struct sim_store *sim);

/* How many calls of these kinds there were since the sim was made. */
uint64_t sim_store_calls(const struct sim_store *sim, unsigned calls);
/* The most reads that were under way together since this was asked last. */
size_t sim_store_reads_together(struct sim_store *sim);
/* Bytes that reads gave. */
uint64_t sim_store_read_bytes(const struct sim_store *sim);

/* ---- Hands on the disk ---------------------------------------------------------------------- */

/* Of a file as reads see it. SIZE_MAX where there is none. */
size_t sim_store_file_bytes(struct sim_store *sim, const char *path, const char *name);

/* Flips the bits of `mask` in one byte, in cache and on disk; again flips them back. */
void sim_store_file_flip(
    struct sim_store *sim, const char *path, const char *name, uint64_t offset, uint8_t mask);

/* From now on reads of these bytes give `data`, until they are written again or all is healed. */
void sim_store_damage(struct sim_store *sim, const char *path, const char *name, uint64_t offset,
    const void *data, size_t length);
/* Reads give what was written again, also those that failed with sim_store_read_error. */
void sim_store_heal(struct sim_store *sim);
/* The same of one directory. */
void sim_store_heal_directory(struct sim_store *sim, const char *path);
/* Calls `each` for each damage that makes a difference, of files that have a name. */
void sim_store_damages(struct sim_store *sim,
    void (*each)(void *context, const char *path, const char *name, uint64_t offset, size_t length),
    void *context);
/* Calls `each` for each file as programs see them. */
void sim_store_files(struct sim_store *sim,
    void (*each)(void *context, const char *path, const char *name, size_t bytes), void *context);
/* Bytes of all files together. */
uint64_t sim_store_bytes(struct sim_store *sim);

/* Makes or replaces, or removes, a file for good. */
void sim_store_file_put(
    struct sim_store *sim, const char *path, const char *name, const void *data, size_t bytes);
void sim_store_file_remove(struct sim_store *sim, const char *path, const char *name);

/* Appends the file's content to `to`. */
void sim_store_file_get(
    struct sim_store *sim, const char *path, const char *name, struct zp_buf *to);

#endif
