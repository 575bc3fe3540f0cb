/*
 * arena.c - memory for the unescaped texts and arrays of one pin, given back all at once.
 *
 * Flow: pin_json_read.c takes, zp_pin_reset and zp_pin_done give back. Owner: the pin's.
 *
 * Most pins need none; a line with metadata or origins needs one chunk, which the next line uses
 * again. What it hands out is bounded by the text that is read.
 */
#include "pin/pin_internal.h"

#define CHUNK_BYTES 4096u

struct zp_arena {
	struct zp_arena *older; /* full chunks, newest first; freed at the reset */
	size_t used;            /* bytes */
	size_t capacity;
	_Alignas(max_align_t) uint8_t bytes[];
};

void *
pin__arena_take(struct zp_arena **arena, size_t bytes)
{
	size_t rounded = (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	struct zp_arena *chunk = *arena;
	void *taken;

	ZP_ASSERT(rounded >= bytes);
	if (chunk == NULL || rounded > chunk->capacity - chunk->used) {
		size_t capacity = zp_max_u64(rounded, CHUNK_BYTES);

		chunk = zp_alloc(sizeof(*chunk) + capacity);
		*chunk = (struct zp_arena){.older = *arena, .capacity = capacity};
		*arena = chunk;
	}
	taken = chunk->bytes + chunk->used;
	chunk->used += rounded;
	return taken;
}

void
pin__arena_reset(struct zp_arena *arena)
{
	if (arena == NULL)
		return;
	pin__arena_free(arena->older);
	arena->older = NULL;
	arena->used = 0;
}

void
pin__arena_free(struct zp_arena *arena)
{
	while (arena != NULL) {
		struct zp_arena *older = arena->older;

		zp_free(arena);
		arena = older;
	}
}
