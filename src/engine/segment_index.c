/*
 * segment_index.c - where a segment's blocks are: read when that is first asked, checked, and kept.
 *
 * Flow:    segment_open.c checks what the footer says of it; who looks for a block that is not in
 * memory loads it: lookups (segment_get.c) and iterators. So opening a shard costs by its files,
 * not by its pins. Of bucketed segments directory and fences stay in memory, of ordered ones less
 * (segment_ordered.c).
 * Threads: who comes while another reads it reads it too: nobody waits for another's disk. What the
 * first one has read stays.
 */
#include "engine/segment_internal.h"

/* ---- Groups and fences of bucketed segments -------------------------------------------------- */

uint64_t
segment__groups_count(const struct segment_layout *layout)
{
	uint64_t buckets = UINT64_C(1) << layout->bucket_bits;

	return (buckets + SEGMENT_GROUP_BLOCKS - 1) / SEGMENT_GROUP_BLOCKS;
}

static struct group_entry
group_at(const uint8_t *index, uint64_t group)
{
	const uint8_t *entry = index + group * SEGMENT_GROUP_ENTRY_BYTES;

	return (struct group_entry){
	    .offset = zp_load_u64le(entry),
	    .bytes = zp_load_u32le(entry + 8),
	    .lengths = entry + 12,
	};
}

struct group_entry
segment__group(const struct segment *segment, uint64_t group)
{
	return group_at(segment__index(segment), group);
}

/* The fences stand behind the directory, in memory as in the file. */
static const uint8_t *
fence_at(const struct segment *segment, const uint8_t *index, uint64_t fence)
{
	return index + segment->footer.sections[SECTION_DIRECTORY].length +
	       fence * SEGMENT_FENCE_BYTES;
}

static uint32_t
fence_bucket(const uint8_t *fence)
{
	return zp_load_u32le(fence);
}

static const uint8_t *
fence_key(const uint8_t *fence)
{
	return fence + 16;
}

const uint8_t *
segment__fence_key(const struct segment *segment, uint64_t fence)
{
	return fence_key(fence_at(segment, segment__index(segment), fence));
}

static struct block_place
fence_place(const uint8_t *fence, uint64_t part)
{
	return (struct block_place){
	    .offset = zp_load_u64le(fence + 8),
	    .length = zp_load_u32le(fence + 4),
	    .number = fence_bucket(fence) | part << 40,
	};
}

struct block_place
segment__fence_place(const struct segment *segment, uint64_t fence, uint64_t first)
{
	return fence_place(fence_at(segment, segment__index(segment), fence), fence - first);
}

/* The first fence of a bucket at or above `bucket`. */
static uint64_t
fence_of_bucket(const struct segment *segment, uint64_t bucket)
{
	const uint8_t *index = segment__index(segment);
	uint64_t low = 0, high = segment__fences_count(segment);

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (fence_bucket(fence_at(segment, index, middle)) < bucket)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
segment__fences_of(
    const struct segment *segment, uint64_t bucket, uint64_t *first_out, uint64_t *end_out)
{
	*first_out = fence_of_bucket(segment, bucket);
	*end_out = fence_of_bucket(segment, bucket + 1);
}

uint64_t
segment__fence_find(
    const struct segment *segment, uint64_t first, uint64_t end, const uint8_t key[ZP_KEY_BYTES])
{
	uint64_t low = first + 1;

	while (low < end) {
		uint64_t middle = (low + end) / 2;

		if (memcmp(segment__fence_key(segment, middle), key, ZP_KEY_BYTES) <= 0)
			low = middle + 1;
		else
			end = middle;
	}
	return low - 1;
}

/* ---- Checks of them -------------------------------------------------------------------------- */

/* The lengths of one group's blocks; counts what it finds. */
static const char *
group_check(const struct group_entry *group, uint64_t *blocks, uint64_t *fenced)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < SEGMENT_GROUP_BLOCKS; i++) {
		uint16_t length = zp_load_u16le(group->lengths + 2 * i);

		if (length == SEGMENT_FENCED) {
			++*fenced;
		} else if (length > 0) {
			if (length < BLOCK_BYTES_MIN)
				return "a block is too short";
			sum += length;
			++*blocks;
		}
	}
	return sum == group->bytes ? NULL : "the lengths of a group's blocks disagree";
}

static const char *
groups_check(
    const struct segment *segment, const uint8_t *index, uint64_t *blocks, uint64_t *fenced)
{
	uint64_t groups = segment__groups_count(&segment->layout);
	uint64_t at = SEGMENT_HEADER_BYTES;

	for (uint64_t i = 0; i < groups; i++) {
		struct group_entry group = group_at(index, i);
		const char *fault = group_check(&group, blocks, fenced);

		if (fault != NULL)
			return fault;
		if (group.offset < at || group.offset > segment->blocks_end ||
		    group.bytes > segment->blocks_end - group.offset)
			return "a group is outside the file";
		at = group.offset + group.bytes;
	}
	return zp_load_u64le(index + groups * SEGMENT_GROUP_ENTRY_BYTES) == segment->blocks_end
		   ? NULL
		   : "the directory's end is not where it is";
}

static bool
is_fenced(const uint8_t *index, uint64_t bucket)
{
	struct group_entry group = group_at(index, bucket / SEGMENT_GROUP_BLOCKS);

	return zp_load_u16le(group.lengths + 2 * (bucket % SEGMENT_GROUP_BLOCKS)) == SEGMENT_FENCED;
}

static const char *
fence_check(const struct segment *segment, const uint8_t *index, const uint8_t *fence)
{
	struct block_place place = fence_place(fence, 0);
	uint64_t head = zp_load_u64be(fence_key(fence));

	if (place.number >> segment->layout.bucket_bits != 0 || !is_fenced(index, place.number) ||
	    segment__bucket_of(&segment->layout, head) != place.number ||
	    !segment__prefix_matches(&segment->layout, head))
		return "a fence is not of its bucket";
	if (place.length < BLOCK_BYTES_MIN || place.length > BLOCK_BYTES_MAX ||
	    place.offset < SEGMENT_HEADER_BYTES || place.offset > segment->blocks_end ||
	    place.length > segment->blocks_end - place.offset)
		return "a fence points outside the file";
	return NULL;
}

static const char *
bucketed_check(const struct segment *segment, const uint8_t *index)
{
	uint64_t blocks = 0, fenced = 0, buckets_with_fences = 0;
	uint64_t fences = segment__fences_count(segment);
	const uint8_t *before = NULL;
	const char *fault = groups_check(segment, index, &blocks, &fenced);

	for (uint64_t i = 0; fault == NULL && i < fences; i++) {
		const uint8_t *fence = fence_at(segment, index, i);

		fault = fence_check(segment, index, fence);
		if (fault == NULL && before != NULL &&
		    memcmp(fence_key(before), fence_key(fence), ZP_KEY_BYTES) >= 0)
			fault = "the fences are out of order";
		buckets_with_fences +=
		    before == NULL || fence_bucket(before) != fence_bucket(fence);
		before = fence;
	}
	if (fault != NULL)
		return fault;
	return blocks + fences == segment->footer.blocks && buckets_with_fences == fenced
		   ? NULL
		   : "footer, directory and fences count different blocks";
}

/* ---- Loading --------------------------------------------------------------------------------- */

static uint64_t
bucketed_bytes(const struct segment *segment)
{
	return segment->footer.sections[SECTION_DIRECTORY].length +
	       segment->footer.sections[SECTION_FENCES].length;
}

static int
bucketed_read(const struct segment *segment, uint8_t *index_out, struct zp_err *err)
{
	const char *fault;
	int rc = segment__section_read(segment, SECTION_DIRECTORY, index_out, err);

	if (rc == 0)
		rc = segment__section_read(segment, SECTION_FENCES,
		    index_out + segment->footer.sections[SECTION_DIRECTORY].length, err);
	if (rc != 0)
		return rc;
	fault = bucketed_check(segment, index_out);
	return fault == NULL ? 0 : zp_fail(err, ZP_E_CORRUPT, "%s", fault);
}

static const char *
bucketed_lengths_check(const struct segment *segment)
{
	const struct segment_section_place *places = segment->footer.sections;

	if (places[SECTION_DIRECTORY].length !=
	    segment__groups_count(&segment->layout) * SEGMENT_GROUP_ENTRY_BYTES + 8)
		return "the directory's length is not that of its buckets";
	return places[SECTION_FENCES].length % SEGMENT_FENCE_BYTES == 0 ? NULL
									: "the fences end early";
}

int
segment__index_open(struct segment *segment, struct zp_err *err)
{
	const char *fault = segment->layout.is_bucketed ? bucketed_lengths_check(segment)
							: segment__ordered_lengths_check(segment);

	if (fault != NULL)
		return zp_fail(err, ZP_E_CORRUPT, "%s", fault);
	segment->index = zp_alloc_zero(1, sizeof(*segment->index));
	return 0;
}

void
segment__index_close(struct segment *segment)
{
	if (segment->index != NULL)
		zp_free(atomic_load_explicit(&segment->index->loaded, memory_order_relaxed));
	zp_free(segment->index);
}

static uint64_t
loaded_bytes(const struct segment *segment)
{
	return segment->layout.is_bucketed ? bucketed_bytes(segment)
					   : segment__ordered_bytes(segment);
}

uint64_t
segment__index_bytes(const struct segment *segment)
{
	return segment__index(segment) == NULL ? 0 : loaded_bytes(segment);
}

bool
segment__index_is_damaged(const struct segment *segment)
{
	return atomic_load_explicit(&segment->index->is_damaged, memory_order_relaxed);
}

int
segment__index_load(const struct segment *segment, struct zp_err *err)
{
	struct segment_index *index = segment->index;
	enum zp_family family = segment->layout.family;
	struct zp_err why = {0};
	void *loaded, *none = NULL;
	int rc;

	if (segment__index(segment) != NULL)
		return 0;
	if (segment__index_is_damaged(segment))
		return segment__file_fault(family, &segment->info, "its directory is damaged", err);
	loaded = zp_alloc(loaded_bytes(segment));
	rc = segment->layout.is_bucketed ? bucketed_read(segment, loaded, &why)
					 : segment__ordered_read(segment, loaded, &why);
	if (rc != 0 || !atomic_compare_exchange_strong_explicit(&index->loaded, &none, loaded,
			   memory_order_acq_rel, memory_order_acquire))
		zp_free(loaded);
	if (rc == ZP_E_CORRUPT) { /* until it is opened anew: each lookup would read it again */
		atomic_store_explicit(&index->is_damaged, true, memory_order_relaxed);
		return segment__file_fault(family, &segment->info, why.text, err);
	}
	return rc == 0 ? 0 : zp_fail(err, rc, "%s: %s", segment->label, why.text);
}
