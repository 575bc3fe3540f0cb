/*
 * pages.c - memory that is large and read all over: in large pages where the kernel has them.
 *
 * Flow: memtables and what sorts them. A page of 4 KiB costs an entry of the processor's table of
 *       addresses and a fault; what is touched at random pays the first at every touch.
 * Kept: what was given back is used again before the kernel is asked, because a page that comes
 *       from it is cleared first. Until then the kernel may take it (MADV_FREE).
 */
#include "base/base.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)
#define LINE ((size_t)64)
#define KEPT_BYTES_MAX ((size_t)256 << 20)
#define KEPT_MAX 64u

static struct {
	pthread_mutex_t lock;
	struct {
		void *block;
		size_t bytes;
	} blocks[KEPT_MAX];
	size_t count;
	size_t bytes;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t
round_up(size_t bytes, size_t to)
{
	return (bytes + to - 1) & ~(to - 1);
}

/* Of a large block: few sizes, so that one that is kept fits. What nobody touches costs nothing. */
static size_t
large_bytes(size_t bytes)
{
	return (size_t)1 << (64 - __builtin_clzll(bytes - 1));
}

static void *
kept_take(size_t bytes)
{
	void *block = NULL;

	pthread_mutex_lock(&kept.lock);
	for (size_t i = 0; i < kept.count && block == NULL; i++) {
		if (kept.blocks[i].bytes != bytes)
			continue;
		block = kept.blocks[i].block;
		kept.bytes -= bytes;
		kept.count--;
		memmove(&kept.blocks[i], &kept.blocks[i + 1],
		    (kept.count - i) * sizeof(kept.blocks[0]));
	}
	pthread_mutex_unlock(&kept.lock);
	return block;
}

/* The oldest goes, which nobody has asked for. With the lock. */
static void
kept_drop(void)
{
	munmap(kept.blocks[0].block, kept.blocks[0].bytes);
	kept.bytes -= kept.blocks[0].bytes;
	kept.count--;
	memmove(&kept.blocks[0], &kept.blocks[1], kept.count * sizeof(kept.blocks[0]));
}

/* False: it is not one to keep. */
static bool
kept_put(void *block, size_t bytes)
{
	if (bytes > KEPT_BYTES_MAX / 4 || madvise(block, bytes, MADV_FREE) != 0)
		return false;
	pthread_mutex_lock(&kept.lock);
	while (kept.count == KEPT_MAX || bytes > KEPT_BYTES_MAX - kept.bytes)
		kept_drop();
	kept.blocks[kept.count].block = block;
	kept.blocks[kept.count++].bytes = bytes;
	kept.bytes += bytes;
	pthread_mutex_unlock(&kept.lock);
	return true;
}

/* Whole large pages, at an address that is one's: cut out of a mapping that is one page longer. */
static void *
large_map(size_t bytes)
{
	uint8_t *mapped = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (mapped == MAP_FAILED)
		return NULL;
	before = round_up((uintptr_t)mapped, LARGE_PAGE) - (uintptr_t)mapped;
	if (before > 0)
		munmap(mapped, before);
	munmap(mapped + before + bytes, LARGE_PAGE - before);
	madvise(mapped + before, bytes, MADV_HUGEPAGE); /* a wish */
	return mapped + before;
}

static bool
is_large(size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
	(void)bytes;
	return false; /* it must see who goes astray */
#else
	return bytes >= LARGE_PAGE;
#endif
}

void *
zp_pages_alloc(size_t bytes)
{
	void *block;

	if (!is_large(bytes))
		return zp_alloc_check(aligned_alloc(LINE, round_up(bytes + 1, LINE)), bytes);
	bytes = large_bytes(bytes);
	block = kept_take(bytes);
	return block != NULL ? block : zp_alloc_check(large_map(bytes), bytes);
}

void
zp_pages_free(void *block, size_t bytes)
{
	if (block == NULL || !is_large(bytes))
		free(block);
	else if (!kept_put(block, large_bytes(bytes)))
		munmap(block, large_bytes(bytes));
}
