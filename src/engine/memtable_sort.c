/*
 * memtable_sort.c - see memtable_sort.h.
 */
#include "engine/memtable_sort.h"

#include <stdlib.h>

enum {
	SORT_PART_ITEMS = 4096,
	SORT_PARTS_MAX = 1024,
};

static int
keys_order(const struct sort *sort, const struct sort_item *a, const struct sort_item *b)
{
	/* What the items are of lies anywhere in memory: mostly there is no need to look at it. */
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	return sort->compare(sort->context, a->at, b->at);
}

static int
item_order(const void *left, const void *right, void *sort)
{
	const struct sort_item *a = left, *b = right;
	int order = keys_order(sort, a, b);

	return order != 0 ? order : a->at > b->at ? -1 : 1;
}

/* A range of prefixes, cut into equal buckets. */
struct buckets {
	uint64_t low;
	unsigned shift; /* brings the range's highest bit to the top */
	uint64_t count;
};

static struct buckets
buckets_of(const struct sort_item *items, size_t count, uint64_t buckets)
{
	uint64_t low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < count; i++) {
		low = zp_min_u64(low, items[i].prefix);
		high = zp_max_u64(high, items[i].prefix);
	}
	return (struct buckets){.low = low,
	    .shift = high == low ? 0 : (unsigned)__builtin_clzll(high - low),
	    .count = buckets};
}

/* Never falls as the prefix rises. */
static size_t
bucket_of(const struct buckets *buckets, const struct sort_item *item)
{
	uint64_t above = (item->prefix - buckets->low) << buckets->shift;

	return (size_t)(((unsigned __int128)above * buckets->count) >> 64);
}

/* Moves items from one array to the other by their buckets. ends[i] is then where bucket i ends;
 * there is room for one more. */
static void
items_spread(const struct sort_item *from, struct sort_item *to, size_t count,
    const struct buckets *buckets, uint32_t *ends)
{
	memset(ends, 0, (buckets->count + 1) * sizeof(*ends));
	for (size_t i = 0; i < count; i++)
		ends[bucket_of(buckets, &from[i]) + 1]++;
	for (size_t i = 0; i < buckets->count; i++)
		ends[i + 1] += ends[i];
	for (size_t i = 0; i < count; i++)
		to[ends[bucket_of(buckets, &from[i])]++] = from[i];
}

/* A bucket. Nearly all have few items, which are not worth a call of qsort. */
static void
bucket_sort(struct sort *sort, struct sort_item *items, size_t count)
{
	enum { FEW = 16 };

	if (count > FEW) {
		qsort_r(items, count, sizeof(*items), item_order, sort);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct sort_item item = items[i];
		size_t at = i;

		for (; at > 0 && item_order(&item, &items[at - 1], sort) < 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/*
 * Digests are uniform, so as many buckets as items leave about one in each. Prefixes that are not
 * (chosen ones) share buckets, which are sorted like any array.
 */
static void
part_sort(struct sort *sort, const struct sort_item *from, struct sort_item *to, size_t count)
{
	struct buckets buckets = buckets_of(from, count, count);
	const uint32_t *ends = sort->ends;

	items_spread(from, to, count, &buckets, sort->ends);
	for (size_t i = 0, begin = 0; i < count; begin = ends[i++]) {
		if (ends[i] - begin > 1)
			bucket_sort(sort, &to[begin], ends[i] - begin);
	}
}

/* First into parts that the processor's cache holds, so that no item goes to a page of its own. */
void
sort__items(struct sort *sort)
{
	uint32_t part_ends[SORT_PARTS_MAX + 1];
	struct buckets parts = buckets_of(sort->items, sort->count,
	    zp_min_u64(sort->count / SORT_PART_ITEMS + 1, SORT_PARTS_MAX));

	items_spread(sort->items, sort->spare, sort->count, &parts, part_ends);
	for (size_t i = 0, begin = 0; i < parts.count; begin = part_ends[i++])
		part_sort(sort, &sort->spare[begin], &sort->items[begin], part_ends[i] - begin);
}

void
sort__unique(struct sort *sort)
{
	struct sort_item *items = sort->items;
	size_t kept = 0;

	for (size_t i = 0; i < sort->count; i++) {
		if (kept == 0 || keys_order(sort, &items[kept - 1], &items[i]) != 0)
			items[kept++] = items[i];
	}
	sort->count = kept;
}

void
sort__done(struct sort *sort)
{
	zp_pages_free(sort->items, sort->room * sizeof(sort->items[0]));
	zp_pages_free(sort->spare, sort->room * sizeof(sort->spare[0]));
	zp_pages_free(sort->ends, (sort->room + 1) * sizeof(sort->ends[0]));
}

void
sort__begin(struct sort *sort, size_t room)
{
	sort->count = 0;
	if (room <= sort->room)
		return;
	sort__done(sort);
	sort->room = room + room / 4; /* the next is about as large */
	sort->items = zp_pages_alloc(sort->room * sizeof(sort->items[0]));
	sort->spare = zp_pages_alloc(sort->room * sizeof(sort->spare[0]));
	sort->ends = zp_pages_alloc((sort->room + 1) * sizeof(sort->ends[0]));
}
