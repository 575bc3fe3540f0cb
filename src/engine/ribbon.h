/*
 * ribbon.h - a filter of 5 to 8 bits a key, made of keys that come in order; private to engine/.
 *
 * Flow:   the segment writer adds each key; filter.c asks what was written. Pure.
 * Shape:  "Homogeneous ribbon" (Dillinger, Hübschle-Schneider, Sanders, Walzer, "Fast Succinct
 * Retrieval and Approximate Membership using Ribbon", 2022): a key's hash chooses which of the 32
 * rows behind its place are added up, and rows are chosen so that for every key of the set the sum
 * is 0 in each of `bits` columns. For another key it is so by chance, once in 2^bits. Ours:   a
 * key's place follows from its digest, so keys come in the order of their places, and a chunk of a
 * few thousand is solved in the first caches. Digests that are not uniform, because somebody chose
 *         them, make a part of the filter say "may be" to all, never "no" to a key of the set.
 * Format: docs/formats.md, "Filter", kind 2.
 */
#ifndef ZP_ENGINE_RIBBON_H
#define ZP_ENGINE_RIBBON_H

#include "base/base.h"

#define RIBBON_BITS_MAX 8u
#define RIBBON_HEADER_BYTES 16u
#define RIBBON_HEAD_BITS \
	58u /* of a digest, that prefix and chunk may take: the rest is the place */
#define RIBBON_CHUNK_BITS_MAX 24u
#define RIBBON_GROUPS_MIN 4u /* of 8 rows: a chunk with keys has 32 rows or more */
#define RIBBON_SLACK 16u     /* readable bytes behind the section */

struct ribbon_key {
	uint64_t head; /* the first 8 bytes of the digest, as a number */
	uint64_t hash; /* of the key, as for a table */
};

/* ---- Asking: of a section that was checked --------------------------------------------------- */

struct ribbon {
	const uint8_t *offsets; /* 1 more than chunks, u32: their first groups */
	const uint8_t *groups;  /* of `bits` bytes; each byte is 8 rows of a column */
	uint8_t bits;
	uint8_t prefix_bits;
	uint8_t chunk_bits;
};

/* Where the sum of a key is found. */
struct ribbon_place {
	const uint8_t *at; /* the first group; NULL: the chunk has no keys */
	uint64_t rows;     /* from that group on, that are added up */
};

/* NULL, or what is wrong with the section. `section` must outlive the ribbon. */
const char *ribbon__open(struct ribbon *ribbon, const uint8_t *section, size_t length);
/* Also fetches what ribbon__has will look at. */
struct ribbon_place ribbon__place(const struct ribbon *ribbon, struct ribbon_key key);
bool ribbon__has(const struct ribbon *ribbon, struct ribbon_place place);

/* ---- Making ---------------------------------------------------------------------------------- */

struct ribbon_writer {
	uint8_t bits; /* 0: nothing is made */
	uint8_t prefix_bits;
	uint8_t chunk_bits;
	uint64_t chunk;          /* that keys go to */
	uint64_t count;          /* of its keys */
	struct ribbon_key *keys; /* owned; the chunk's */
	uint64_t *band;          /* owned; what the chunk's rows are bound by */
	uint64_t keys_room, band_room;
	struct zp_buf section;
};

/* For about `keys` keys, whose digests all begin with the same `prefix_bits` bits. */
void ribbon__writer_init(
    struct ribbon_writer *writer, unsigned bits, uint64_t keys, unsigned prefix_bits);
void ribbon__writer_done(struct ribbon_writer *writer); /* a zeroed one is fine */
/* `head` never falls. */
void ribbon__writer_add(struct ribbon_writer *writer, struct ribbon_key key);
/* Ends the adding; the section is the writer's. */
struct zp_slice ribbon__writer_end(struct ribbon_writer *writer);

#endif
