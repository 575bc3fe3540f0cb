/*
 * ribbon.c - see ribbon.h.
 */
#include "engine/ribbon.h"

#include "engine/bits.h"

#define FILTER_KIND_RIBBON 2u
#define WINDOW 32u            /* rows that a key is summed over */
#define WINDOW_GROUPS 5u      /* of 8 that these touch */
#define CHUNK_KEYS 8192u      /* at most, of as many keys as were expected */
#define CHUNK_KEYS_MAX 65536u /* of digests that are not uniform; what is over has no filter */
#define OVERHEAD_DIVISOR 7u   /* a seventh more rows than keys: what they need to be free enough */
#define KEYS_ROOM_FIRST 1024u

static unsigned
chunk_of(unsigned prefix_bits, unsigned chunk_bits, uint64_t head)
{
	return chunk_bits == 0 ? 0 : (unsigned)(head << prefix_bits >> (64 - chunk_bits));
}

/* The first row of the key's window in a chunk of `groups`; it rises with the digest. */
static uint64_t
row_of(unsigned prefix_bits, unsigned chunk_bits, uint64_t groups, uint64_t head)
{
	uint64_t fraction = head << (prefix_bits + chunk_bits);

	return (uint64_t)(((unsigned __int128)fraction * (8 * groups - (WINDOW - 1))) >> 64);
}

/* Which rows of its window are added up, the first of them always. */
static uint64_t
sum_of(uint64_t hash)
{
	return (hash & bits_mask(WINDOW)) | 1;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

const char *
ribbon__open(struct ribbon *ribbon, const uint8_t *section, size_t length)
{
	uint64_t chunks, groups, before = 0;

	if (length < RIBBON_HEADER_BYTES)
		return "the filter is too short";
	ribbon->bits = section[4];
	ribbon->prefix_bits = section[5];
	ribbon->chunk_bits = section[6];
	groups = zp_load_u64le(section + 8);
	if (ribbon->bits == 0 || ribbon->bits > RIBBON_BITS_MAX)
		return "the filter has no or too many bits";
	if (section[7] != 0)
		return "a reserved field of the filter is not 0";
	if (ribbon->chunk_bits > RIBBON_CHUNK_BITS_MAX ||
	    ribbon->prefix_bits > RIBBON_HEAD_BITS - ribbon->chunk_bits)
		return "the filter's chunks are impossible";
	chunks = UINT64_C(1) << ribbon->chunk_bits;
	length -= RIBBON_HEADER_BYTES;
	if (length < 4 * (chunks + 1) || groups > UINT32_MAX ||
	    length - 4 * (chunks + 1) != groups * ribbon->bits)
		return "the filter's groups and its length disagree";
	ribbon->offsets = section + RIBBON_HEADER_BYTES;
	ribbon->groups = ribbon->offsets + 4 * (chunks + 1);
	for (uint64_t i = 0; i <= chunks; i++) {
		uint64_t offset = zp_load_u32le(ribbon->offsets + 4 * i);

		if (i == 0 ? offset != 0
			   : offset < before ||
				 (offset > before && offset - before < RIBBON_GROUPS_MIN))
			return "the filter's chunks do not follow each other";
		before = offset;
	}
	return before == groups ? NULL : "the filter's chunks end elsewhere";
}

struct ribbon_place
ribbon__place(const struct ribbon *ribbon, struct ribbon_key key)
{
	const uint8_t *offsets = ribbon->offsets + 4 * (size_t)chunk_of(ribbon->prefix_bits,
							   ribbon->chunk_bits, key.head);
	uint64_t first = zp_load_u32le(offsets), groups = zp_load_u32le(offsets + 4) - first, row;
	struct ribbon_place place = {0};

	if (groups == 0)
		return place;
	row = row_of(ribbon->prefix_bits, ribbon->chunk_bits, groups, key.head);
	place.at = ribbon->groups + (first + row / 8) * ribbon->bits;
	place.rows = sum_of(key.hash) << row % 8;
	__builtin_prefetch(place.at);
	__builtin_prefetch(place.at + WINDOW_GROUPS * ribbon->bits - 1);
	return place;
}

/* Eight rows of all columns are a number of `bits` bytes. A window that begins within one ends
 * within the fifth. */
static inline uint64_t
window_sum(const uint8_t *at, uint64_t rows, unsigned bits)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t sum = 0;

	for (unsigned group = 0; group < WINDOW_GROUPS; group++)
		sum ^= zp_load_u64le(at + group * bits) & (rows >> 8 * group & 255) * ones;
	sum ^= sum >> 4;
	sum ^= sum >> 2;
	sum ^= sum >> 1;
	return sum & ones & bits_mask(8 * bits);
}

bool
ribbon__has(const struct ribbon *ribbon, struct ribbon_place place)
{
	if (place.at == NULL)
		return false;
	switch (ribbon->bits) { /* those that are written have code of their own */
	case 5:
		return window_sum(place.at, place.rows, 5) == 0;
	case 6:
		return window_sum(place.at, place.rows, 6) == 0;
	case 8:
		return window_sum(place.at, place.rows, 8) == 0;
	default:
		return window_sum(place.at, place.rows, ribbon->bits) == 0;
	}
}

/* ---- Making ---------------------------------------------------------------------------------- */

/* Room for all that may come. */
static size_t
section_bytes_max(const struct ribbon_writer *writer, uint64_t keys)
{
	uint64_t chunks = UINT64_C(1) << writer->chunk_bits;
	uint64_t groups = (keys + keys / OVERHEAD_DIVISOR) / 8 + chunks * (WINDOW / 8 + 2);

	return RIBBON_HEADER_BYTES + 4 * (chunks + 1) + groups * writer->bits + RIBBON_SLACK;
}

void
ribbon__writer_init(
    struct ribbon_writer *writer, unsigned bits, uint64_t keys, unsigned prefix_bits)
{
	unsigned chunk_bits = 0;
	size_t head;
	uint8_t *section;

	ZP_ASSERT(bits > 0 && bits <= RIBBON_BITS_MAX);
	while (keys >> chunk_bits > CHUNK_KEYS && chunk_bits < RIBBON_CHUNK_BITS_MAX)
		chunk_bits++;
	*writer = (struct ribbon_writer){
	    .bits = (uint8_t)bits,
	    .prefix_bits = (uint8_t)zp_min_u64(prefix_bits, RIBBON_HEAD_BITS - chunk_bits),
	    .chunk_bits = (uint8_t)chunk_bits,
	};
	zp_buf_init(&writer->section, section_bytes_max(writer, ZP_SEGMENT_RECORDS_MAX));
	head = RIBBON_HEADER_BYTES + 4 * ((UINT64_C(1) << chunk_bits) + 1);
	section = zp_buf_reserve(&writer->section, section_bytes_max(writer, keys));
	ZP_ASSERT(section != NULL);
	memset(section, 0, head);
	zp_store_u32le(section, FILTER_KIND_RIBBON);
	section[4] = writer->bits;
	section[5] = writer->prefix_bits;
	section[6] = writer->chunk_bits;
	writer->section.length = head;
}

void
ribbon__writer_done(struct ribbon_writer *writer)
{
	zp_free(writer->keys);
	zp_free(writer->band);
	zp_buf_done(&writer->section);
	*writer = (struct ribbon_writer){0};
}

static uint64_t
groups_so_far(const struct ribbon_writer *writer)
{
	size_t head = RIBBON_HEADER_BYTES + 4 * ((UINT64_C(1) << writer->chunk_bits) + 1);

	return (writer->section.length - head) / writer->bits;
}

/* Each row that is bound is so by a sum that begins with it: a key's sum takes the first row of its
 * window that is free, after those that are bound were taken out of it. */
static void
band_fill(const struct ribbon_writer *writer, uint64_t groups)
{
	uint64_t *band = writer->band;

	memset(band, 0, 8 * groups * sizeof(*band));
	for (uint64_t i = 0; i < writer->count; i++) {
		uint64_t *row = band + row_of(writer->prefix_bits, writer->chunk_bits, groups,
					   writer->keys[i].head);
		uint64_t sum = sum_of(writer->keys[i].hash);

		while (sum != 0 && *row != 0) {
			unsigned next;

			sum ^= *row;
			next = sum == 0 ? 0 : (unsigned)__builtin_ctzll(sum);
			sum >>= next;
			row += next;
		}
		if (sum != 0) /* otherwise the sums before imply it */
			*row = sum;
	}
}

/*
 * From the last row to the first: a free one is anything, a bound one what makes its sum 0. All
 * columns that a filter may have are made, so that their windows stay in registers.
 */
ZP_CLONES
static void
rows_solve(const struct ribbon_writer *writer, uint64_t groups, uint8_t *rows_out)
{
	uint32_t windows[RIBBON_BITS_MAX] = {0}; /* of each column the rows behind this one */
	uint64_t random = writer->chunk;

	for (uint64_t group = groups; group-- > 0;) {
		for (unsigned row = 8; row-- > 0;) {
			uint64_t bound = writer->band[8 * group + row];
			uint32_t sum = (uint32_t)(bound >> 1);

			if (bound == 0)
				random = random * UINT64_C(6364136223846793005) +
					 UINT64_C(1442695040888963407);
#pragma GCC unroll 8
			for (unsigned column = 0; column < RIBBON_BITS_MAX; column++) {
				uint32_t bit =
				    bound == 0 ? (uint32_t)(random >> (32 + column)) & 1
					       : (uint32_t)__builtin_parity(windows[column] & sum);

				windows[column] = windows[column] << 1 | bit;
			}
		}
		for (unsigned column = 0; column < writer->bits; column++)
			rows_out[group * writer->bits + column] = (uint8_t)windows[column];
	}
}

/* The chunk's keys become rows, and the next chunk begins where these end. */
static void
chunk_end(struct ribbon_writer *writer)
{
	uint64_t rows = writer->count + writer->count / OVERHEAD_DIVISOR + WINDOW;
	uint64_t groups = writer->count == 0 ? 0 : (rows + 7) / 8;
	uint8_t *to = zp_buf_reserve(&writer->section, groups * writer->bits);

	ZP_ASSERT(to != NULL || groups == 0);
	if (groups > 0 && writer->count > CHUNK_KEYS_MAX) {
		groups = RIBBON_GROUPS_MIN; /* all 0: it may be any */
		memset(to, 0, groups * writer->bits);
	} else if (groups > 0) {
		if (8 * groups > writer->band_room) {
			writer->band_room = 8 * groups;
			writer->band =
			    zp_realloc(writer->band, writer->band_room * sizeof(*writer->band));
		}
		band_fill(writer, groups);
		rows_solve(writer, groups, to);
	}
	writer->section.length += groups * writer->bits;
	writer->chunk++;
	writer->count = 0;
	zp_store_u32le(writer->section.data + RIBBON_HEADER_BYTES + 4 * writer->chunk,
	    (uint32_t)groups_so_far(writer));
}

void
ribbon__writer_add(struct ribbon_writer *writer, struct ribbon_key key)
{
	uint64_t chunk = chunk_of(writer->prefix_bits, writer->chunk_bits, key.head);

	ZP_ASSERT(chunk >= writer->chunk);
	while (writer->chunk < chunk)
		chunk_end(writer);
	if (writer->count == writer->keys_room && writer->count < CHUNK_KEYS_MAX) {
		writer->keys_room = zp_max_u64(KEYS_ROOM_FIRST, 2 * writer->keys_room);
		writer->keys = zp_realloc(writer->keys, writer->keys_room * sizeof(*writer->keys));
	}
	if (writer->count < CHUNK_KEYS_MAX)
		writer->keys[writer->count] = key;
	writer->count++;
}

struct zp_slice
ribbon__writer_end(struct ribbon_writer *writer)
{
	if (writer->bits == 0)
		return (struct zp_slice){0};
	while (writer->chunk >> writer->chunk_bits == 0)
		chunk_end(writer);
	zp_store_u64le(writer->section.data + 8, groups_so_far(writer));
	return zp_buf_slice(&writer->section);
}
