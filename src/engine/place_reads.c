/*
 * place_reads.c - places of segments that many keys wait for, read together.
 *
 * Flow: place_reads.h. Keys that wait for the same place are told of it by the one read.
 */
#include "engine/place_reads.h"

#include "engine/segment_internal.h"

#include <stdlib.h>

#define PLACES_MIN 64u

void
place_reads__done(struct place_reads *reads)
{
	zp_free(reads->places);
	zp_free(reads->reads);
	zp_free(reads->firsts);
	*reads = (struct place_reads){0};
}

void
place_reads__add(struct place_reads *reads, const struct segment *segment, uint64_t offset,
    uint32_t length, uint32_t item)
{
	if (reads->count == reads->places_max) {
		reads->places_max = zp_max_u64(PLACES_MIN, 2 * reads->places_max);
		reads->places =
		    zp_realloc(reads->places, reads->places_max * sizeof(reads->places[0]));
	}
	reads->places[reads->count++] = (struct place_read){segment, offset, length, item};
}

static bool
is_same_place(const struct place_read *a, const struct place_read *b)
{
	return a->segment == b->segment && a->offset == b->offset && a->length == b->length;
}

static int
compare(const void *a, const void *b)
{
	const struct place_read *left = a, *right = b;

	if (left->segment != right->segment)
		return left->segment->serial < right->segment->serial ? -1 : 1;
	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	if (left->length != right->length)
		return left->length < right->length ? -1 : 1;
	return left->item < right->item ? -1 : left->item > right->item;
}

/* One read for each place. */
static size_t
reads_make(struct place_reads *reads)
{
	size_t made = 0;

	if (reads->count > reads->reads_max) {
		reads->reads_max = reads->places_max;
		reads->reads = zp_realloc(reads->reads, reads->reads_max * sizeof(reads->reads[0]));
		reads->firsts =
		    zp_realloc(reads->firsts, reads->reads_max * sizeof(reads->firsts[0]));
	}
	qsort(reads->places, reads->count, sizeof(reads->places[0]), compare);
	for (size_t i = 0; i < reads->count; i++) {
		const struct place_read *place = &reads->places[i];

		if (i > 0 && is_same_place(place - 1, place))
			continue;
		reads->reads[made] =
		    (struct zp_store_read){place->segment->file, place->offset, place->length};
		reads->firsts[made++] = (uint32_t)i;
	}
	return made;
}

struct telling {
	const struct place_reads *reads;
	place_reads__each *each;
	void *context;
};

static int
place_came(void *context, size_t index, int rc, const uint8_t *bytes)
{
	const struct telling *telling = context;
	const struct place_reads *reads = telling->reads;
	const struct place_read *first = &reads->places[reads->firsts[index]];
	const struct place_read *end = reads->places + reads->count;
	int answer = 0;

	for (const struct place_read *place = first;
	     answer == 0 && place < end && is_same_place(first, place); place++)
		answer = telling->each(telling->context, place->item, place > first, rc, bytes);
	return answer;
}

int
place_reads__run(struct place_reads *reads, place_reads__each *each, void *context)
{
	struct telling telling = {reads, each, context};
	size_t made;
	int answer;

	if (reads->count == 0)
		return 0;
	made = reads_make(reads);
	answer = zp_store_read_many(reads->reads, made, place_came, &telling);
	reads->count = 0;
	return answer;
}
