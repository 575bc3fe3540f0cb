/*
 * many.c - many reads from files of a directory store, as many under way as the disk takes.
 *
 * Flow:    the engine's batches → here → the disk's reads (os/disk.h); by way of a reader
 * (reader.c) for who is in a hurry. Threads: any.
 */
#include "store/store_internal.h"

/* At most so much memory for the reads of a job. */
#define JOB_BYTES_MAX (1u << 20)

static struct directory_file *
file_of(const struct zp_store_read *read)
{
	return (struct directory_file *)read->file;
}

/* ---- Under way together ---------------------------------------------------------------------- */

struct run_read {
	struct zp_disk_read read; /* first */
	size_t index;
};

/* What is not begun after an answer that is not 0 is not wanted; what is under way has to come. */
int
store__reads_run(struct directory_store *store, const struct zp_store_read *reads, size_t count,
    store__read_came *came, void *context)
{
	struct run_read places[ZP_DISK_READS_MAX];
	struct run_read *free_places[ZP_DISK_READS_MAX];
	struct zp_disk_reads *disk_reads = store->disk->ops->reads_open(store->disk);
	size_t begun = 0, free_count = ZP_DISK_READS_MAX;
	int answer = 0;

	for (size_t i = 0; i < ZP_DISK_READS_MAX; i++)
		free_places[i] = &places[i];
	for (;;) {
		struct run_read *place;

		for (; answer == 0 && begun < count && free_count > 0; begun++) {
			place = free_places[--free_count];
			place->index = begun;
			place->read = (struct zp_disk_read){.file = file_of(&reads[begun])->file,
			    .offset = reads[begun].offset,
			    .length = reads[begun].length};
			store->disk->ops->reads_begin(disk_reads, &place->read);
		}
		if (free_count == ZP_DISK_READS_MAX)
			break;
		place = (struct run_read *)store__disk_reads_wait(
		    store, disk_reads, file_of(&reads[begun - 1])->name);
		if (answer == 0)
			answer = came(context, place->index, place->read.rc, place->read.bytes,
			    place->read.got);
		free_places[free_count++] = place;
	}
	store->disk->ops->reads_close(disk_reads);
	return answer;
}

/* ---- For any thread -------------------------------------------------------------------------- */

struct telling {
	const struct zp_store_read *reads;
	zp_store_read_each *each;
	void *context;
};

static int
tell(void *context, size_t index, int rc, const uint8_t *bytes, size_t got)
{
	const struct telling *telling = context;

	return telling->each(telling->context, index,
	    store__read_answer(&telling->reads[index], rc, got, NULL), bytes);
}

/* What a reader is to read, until it is worth a job. */
struct left {
	struct zp_store_read reads[STORE_JOB_READS_MAX];
	uint32_t indexes[STORE_JOB_READS_MAX];
	size_t count;
	size_t bytes;
};

static int
left_read(struct directory_store *store, struct left *left, const struct telling *telling)
{
	size_t count = left->count;

	left->count = left->bytes = 0;
	return count == 0 ? 0
			  : store__reads_hurried(store, left->reads, left->indexes, count,
				telling->each, telling->context);
}

static bool
is_in_cache(const struct directory_store *store, const struct zp_store_read *read, uint8_t *bytes)
{
	struct zp_disk *disk = store->disk;

	return disk->ops->file_read_cached != NULL &&
	       disk->ops->file_read_cached(
		   disk, file_of(read)->file, read->offset, bytes, read->length) == 0;
}

/* What the system has in its cache is taken from there until it lacks one: others are likely to be
 * lacking too, and a reader is given all that is left, for asking in vain costs more than half of
 * what reading does. */
static int
read_many_hurried(struct directory_store *store, size_t count, const struct telling *telling)
{
	struct left left = {.count = 0};
	uint8_t *bytes = zp_alloc(ZP_STORE_READ_BYTES_MAX);
	bool is_cached = true;
	int answer = 0;

	for (size_t i = 0; answer == 0 && i < count; i++) {
		const struct zp_store_read *read = &telling->reads[i];

		is_cached = is_cached && is_in_cache(store, read, bytes);
		if (is_cached) {
			answer = telling->each(telling->context, i, 0, bytes);
			continue;
		}
		left.reads[left.count] = *read;
		left.indexes[left.count++] = (uint32_t)i;
		left.bytes += read->length;
		if (left.count == STORE_JOB_READS_MAX || left.bytes >= JOB_BYTES_MAX)
			answer = left_read(store, &left, telling);
	}
	if (answer == 0)
		answer = left_read(store, &left, telling);
	zp_free(bytes);
	return answer;
}

/* One has nothing to be under way with. */
static int
read_one(const struct telling *telling)
{
	const struct zp_store_read *read = telling->reads;
	uint8_t *bytes = zp_alloc(read->length);
	int rc = store__file_read(read->file, read->offset, bytes, read->length, NULL);
	int answer = telling->each(telling->context, 0, rc, bytes);

	zp_free(bytes);
	return answer;
}

int
store__read_many(
    const struct zp_store_read *reads, size_t count, zp_store_read_each *each, void *context)
{
	struct directory_store *store = file_of(&reads[0])->store;
	struct telling telling = {reads, each, context};

	if (count == 1)
		return read_one(&telling);
	if (store__is_hurried(store))
		return read_many_hurried(store, count, &telling);
	return store__reads_run(store, reads, count, tell, &telling);
}
