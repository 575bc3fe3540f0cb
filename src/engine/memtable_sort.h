/*
 * memtable_sort.h - sorts what is mostly told apart by 64 bits that are uniform; private to
 * engine/.
 *
 * Flow:    memtable_sorted.c and memtable_entries.c. Pure.
 * Digests: are uniform, so items are spread into as many buckets as there are; chosen ones cost a
 *          sort.
 */
#ifndef ZP_ENGINE_MEMTABLE_SORT_H
#define ZP_ENGINE_MEMTABLE_SORT_H

#include "base/base.h"

/* What is sorted: by its prefix first, which mostly tells it from all others. */
struct sort_item {
	uint64_t prefix;
	uint64_t at; /* in a log: of equal keys the newest, which is the highest, comes first */
};

/* Of items with the same prefix the keys. */
typedef int (*keys_compare)(const void *context, uint64_t a, uint64_t b);

/* Room for sorting, used again and again, and what is sorted in it. */
struct sort {
	struct sort_item *items;
	struct sort_item *spare;
	uint32_t *ends;
	size_t room;
	size_t count;
	keys_compare compare;
	const void *context;
};

/* Empties it, and makes room. A zeroed one is fine. */
void sort__begin(struct sort *sort, size_t room);
/* By prefix, then key, then the highest `at` first. */
void sort__items(struct sort *sort);
/* Of sorted items: keeps the first of equal keys. */
void sort__unique(struct sort *sort);
void sort__done(struct sort *sort);

#endif
