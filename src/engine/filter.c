/*
 * filter.c - which kind a filter is, and asking the blocked Bloom filters of segments that were
 * written before there were ribbons.
 *
 * Flow: filter.h.
 */
#include "engine/filter.h"

#define FILTER_KIND_BLOCKED_BLOOM 1u
#define FILTER_KIND_RIBBON 2u
#define FILTER_HEADER_BYTES 16u
#define FILTER_BLOCK_BYTES 64u
#define FILTER_HASHES_MAX 7u /* 7 × 9 bits are what one product of 64 bits gives */
_Static_assert(FILTER_HEADER_BYTES == RIBBON_HEADER_BYTES, "both kinds begin alike");
_Static_assert(RIBBON_SLACK <= FILTER_BLOCK_BYTES, "there is that much behind a section");

void
filter__add(struct ribbon_writer *writer, const uint8_t key[ZP_KEY_BYTES])
{
	ribbon__writer_add(writer, filter__key(key).ribbon);
}

/* One block's room in front, so that the header ends where aligned blocks begin. */
uint8_t *
filter__section_room(struct filter *filter, size_t length)
{
	uint8_t *blocks;

	filter->memory_bytes = length + 2 * FILTER_BLOCK_BYTES;
	filter->memory = zp_pages_alloc(filter->memory_bytes);
	blocks = filter->memory + FILTER_BLOCK_BYTES;
	memset(blocks - FILTER_HEADER_BYTES + length, 0, FILTER_BLOCK_BYTES);
	filter->blocks = blocks;
	return blocks - FILTER_HEADER_BYTES;
}

void
filter__done(struct filter *filter)
{
	zp_pages_free(filter->memory, filter->memory_bytes);
	*filter = (struct filter){0};
}

/* ---- Blocked Bloom filters ------------------------------------------------------------------- */

/* Which block a hash chooses: its high bits, without a division. */
static const uint8_t *
block_of(const struct filter *filter, uint64_t hash)
{
	uint64_t index = (uint64_t)(((unsigned __int128)hash * filter->blocks_count) >> 64);

	return filter->blocks + index * FILTER_BLOCK_BYTES;
}

static bool
bloom_has(const struct filter *filter, uint64_t hash)
{
	const uint8_t *block = block_of(filter, hash);
	uint64_t bits = hash * UINT64_C(0x9E3779B97F4A7C15); /* those in the block */

	for (uint32_t i = 0; i < filter->hash_count; i++, bits >>= 9) {
		if ((block[(bits & 511) / 8] & (1u << (bits & 7))) == 0)
			return false;
	}
	return true;
}

static const char *
bloom_open(struct filter *filter, const uint8_t *section, size_t length)
{
	size_t blocks_bytes = length - FILTER_HEADER_BYTES;

	filter->hash_count = zp_load_u32le(section + 4);
	if (filter->hash_count == 0 || filter->hash_count > FILTER_HASHES_MAX)
		return "the filter has no or too many hashes";
	if (blocks_bytes == 0 || blocks_bytes % FILTER_BLOCK_BYTES != 0 ||
	    zp_load_u64le(section + 8) != blocks_bytes / FILTER_BLOCK_BYTES)
		return "the filter's block count and its length disagree";
	filter->blocks_count = blocks_bytes / FILTER_BLOCK_BYTES;
	return NULL;
}

/* ---- Either kind ----------------------------------------------------------------------------- */

const char *
filter__section_adopt(struct filter *filter, size_t length, uint64_t seed)
{
	const uint8_t *section = filter->blocks - FILTER_HEADER_BYTES;

	filter->seed = seed;
	if (length < FILTER_HEADER_BYTES)
		return "the filter is too short";
	switch (zp_load_u32le(section)) {
	case FILTER_KIND_BLOCKED_BLOOM:
		return bloom_open(filter, section, length);
	case FILTER_KIND_RIBBON:
		return ribbon__open(&filter->ribbon, section, length);
	default:
		return "the filter is of an unknown kind";
	}
}

struct filter_key
filter__key(const uint8_t bytes[ZP_KEY_BYTES])
{
	return (struct filter_key){
	    .bytes = bytes,
	    .ribbon = {zp_load_u64be(bytes), zp_hash64(bytes, ZP_KEY_BYTES, 0)},
	};
}

struct filter_ask
filter__ask(const struct filter *filter, const struct filter_key *key)
{
	struct filter_ask ask = {0};

	if (filter->memory == NULL)
		return ask;
	if (filter->blocks_count == 0) {
		ask.place = ribbon__place(&filter->ribbon, key->ribbon);
	} else {
		ask.hash = zp_hash64(key->bytes, ZP_KEY_BYTES, filter->seed);
		__builtin_prefetch(block_of(filter, ask.hash));
	}
	return ask;
}

bool
filter__answer(const struct filter *filter, const struct filter_ask *ask)
{
	if (filter->memory == NULL)
		return true;
	return filter->blocks_count == 0 ? ribbon__has(&filter->ribbon, ask->place)
					 : bloom_has(filter, ask->hash);
}

bool
filter__may_contain(const struct filter *filter, const struct filter_key *key)
{
	struct filter_ask ask = filter__ask(filter, key);

	return filter__answer(filter, &ask);
}
