/*
 * sim_internal.h - the parts of the simulated disk.
 *
 *   sim_disk.c    the calls of zp_disk
 *   sim_crash.c   what is volatile, what syncs and crashes make of it
 *   sim_damage.c  bytes that read otherwise than they were written
 *   sim_store.c   faults, and hands on the disk
 *
 * Threads: one lock around everything; functions named sim__ are called with it held.
 */
#ifndef ZP_TEST_SIM_SIM_INTERNAL_H
#define ZP_TEST_SIM_SIM_INTERNAL_H

#include "os/os.h"
#include "sim_store.h"

struct sim_content {
	uint8_t *data; /* owned */
	size_t bytes;
	size_t capacity;
};

/* A change of a file that is not on the disk yet. */
struct sim_write {
	bool is_truncate; /* to `offset` bytes */
	uint64_t offset;
	size_t length;
	uint8_t *data; /* owned */
};

/* What reads give in the place of what was written. */
struct sim_damage {
	uint64_t offset;
	size_t length;
	uint8_t *data; /* owned */
};

struct sim_file {
	struct sim_content cache;
	struct sim_content disk;
	struct sim_write *writes; /* oldest first */
	size_t writes_count;
	size_t writes_capacity;
	struct sim_damage *damages; /* the later one counts */
	size_t damages_count;
	size_t damages_capacity;
	uint64_t error_offset; /* reads of these bytes fail */
	uint64_t error_length;
	bool error_is_once;
	bool error_is_short; /* what is before it is given, as if the file ended there */
	bool is_marked;      /* while sweeping */
};

struct sim_entry {
	char name[ZP_FILE_NAME_MAX + 8];
	struct sim_file *file;
};

struct sim_names {
	struct sim_entry *entries;
	size_t count;
	size_t capacity;
};

enum sim_change_kind { SIM_CHANGE_CREATE, SIM_CHANGE_RENAME, SIM_CHANGE_REMOVE };

/* A change of a directory that is not on the disk yet. */
struct sim_change {
	enum sim_change_kind kind;
	struct sim_entry entry;        /* what is made, removed, or renamed from */
	char to[ZP_FILE_NAME_MAX + 8]; /* of a rename */
};

struct sim_directory {
	char *path;
	struct sim_names cache;
	struct sim_names disk;
	struct sim_change *changes; /* oldest first */
	size_t changes_count;
	size_t changes_capacity;
};

struct sim_handle {
	bool is_used;
	bool is_dead; /* opened before a crash */
	struct sim_file *file;
	struct sim_directory *directory;
	const struct sim_directory *home; /* of a file: where it was opened */
	bool is_temporary;                /* the file was made as "*.tmp" */
	bool may_misplace;                /* its writes may go astray */
};

struct sim_store {
	struct zp_disk disk; /* first */
	struct zp_mutex lock;
	uint64_t random;
	struct sim_file **files;
	size_t files_count;
	size_t files_capacity;
	struct sim_directory **directories;
	size_t directories_count;
	struct sim_handle *handles;
	size_t handles_count;

	uint64_t calls[10]; /* by bit of enum sim_call */
	uint64_t read_bytes;
	size_t reads_together; /* the most that were under way */
	unsigned fail_calls;
	uint64_t fail_in; /* 0: no fault */
	int fail_errno;
	uint64_t die_in; /* 0: never */
	bool is_dead;
	unsigned skip_sites;
	uint64_t skip_in;
	uint64_t space_bytes; /* 0: no limit */
	uint64_t die_call_in; /* 0: never */
	unsigned die_calls;   /* those that count */
	uint64_t short_in;    /* 0: no read is short */
	enum sim_misplace misplace;
	uint64_t misplace_in; /* 0: no write is */
	uint64_t trace;
	void (*on_call)(void *context, enum sim_call call);
	void *on_call_context;
	const char *hang_path; /* of the test's; NULL: nothing hangs */
	unsigned hang_calls;
	unsigned hanging;
	struct zp_cond hang_over;
};

/* A number below `limit` (1 at least). */
uint64_t sim__random(struct sim_store *sim, uint64_t limit);

/* Makes room for one more element of an array. */
void *sim__grow(void *array, size_t count, size_t *capacity, size_t element_bytes);

struct sim_file *sim__file_new(struct sim_store *sim);
struct sim_directory *sim__directory_find(struct sim_store *sim, const char *path, bool create);
struct sim_entry *sim__names_find(struct sim_names *names, const char *name);
void sim__names_set(struct sim_names *names, const char *name, struct sim_file *file);
void sim__names_drop(struct sim_names *names, const char *name);

/* Changes of the cache, remembered until a sync. */
void sim__file_write(struct sim_file *file, uint64_t offset, const void *data, size_t length);
void sim__file_truncate(struct sim_file *file, uint64_t bytes);
void sim__directory_change(struct sim_directory *directory, const struct sim_change *change);

/* What the write leaves of earlier damage, and what a read is given. */
void sim__damage_write(struct sim_file *file, uint64_t offset, const void *data, size_t length);
void sim__damage_read(const struct sim_file *file, uint64_t offset, void *data, size_t length);
void sim__damage_add(struct sim_file *file, uint64_t offset, const void *data, size_t length);
void sim__damage_forget(struct sim_file *file);
/* A write that is to go nowhere or elsewhere: notes what reads give instead. After the write;
 * `before` is what stood there. */
void sim__write_misplace(struct sim_store *sim, struct sim_file *file, uint64_t offset,
    const void *data, const void *before, size_t length);

/* Carries what is volatile to the disk. */
void sim__file_sync(struct sim_file *file);
void sim__directory_sync(struct sim_directory *directory);

/* A sync that fails: some of it is on the disk, the rest counts as clean. */
void sim__file_sync_fail(struct sim_store *sim, struct sim_file *file);

/* Frees files that no name and no handle leads to. */
void sim__sweep(struct sim_store *sim);

void sim__file_free(struct sim_file *file);
void sim__directory_free(struct sim_directory *directory);

extern const struct zp_disk_ops sim__disk_ops;

#endif
