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
};

/* True for "<name>.tmp", an unfinished file. */
bool store__name_is_temporary(const char *name);

/* ZP_E_INVALID unless `name` is one that store.h allows, or that of an unfinished file. */
ZP_MUST_CHECK int store__name_check(const char *path, const char *name, struct zp_err *err);

/* ZP_E_READ_ONLY in a read-only store. */
ZP_MUST_CHECK int store__change_check(const struct directory_store *store, const char *name,
    struct zp_err *err);

/* Syncs the directory, once and for all: see directory_lost. */
ZP_MUST_CHECK int store__directory_sync(struct directory_store *store, struct zp_err *err);

/* The operations of writer.c, file.c and log.c. */
int store__writer_open(struct zp_store *store, const char *name,
    struct zp_store_writer **writer_out, struct zp_err *err);
int store__writer_append(struct zp_store_writer *writer, const void *data, size_t length,
    struct zp_err *err);
int store__writer_publish(struct zp_store_writer *writer, const char *name, struct zp_err *err);
void store__writer_discard(struct zp_store_writer *writer);

int store__file_open(struct zp_store *store, const char *name, struct zp_store_file **file_out,
    struct zp_err *err);
int store__file_read(struct zp_store_file *file, uint64_t offset, void *to, size_t length,
    struct zp_err *err);
uint64_t store__file_bytes(const struct zp_store_file *file);
void store__file_close(struct zp_store_file *file);

int store__log_open(struct zp_store *store, const char *name, bool create,
    struct zp_store_log **log_out, struct zp_err *err);
int store__log_append(struct zp_store_log *log, const void *data, size_t length,
    struct zp_err *err);
int store__log_rewrite(struct zp_store_log *log, uint64_t offset, const void *data, size_t length,
    struct zp_err *err);
int store__log_sync(struct zp_store_log *log, struct zp_err *err);
int store__log_truncate(struct zp_store_log *log, uint64_t bytes, struct zp_err *err);
uint64_t store__log_bytes(const struct zp_store_log *log);
void store__log_close(struct zp_store_log *log);

#endif
