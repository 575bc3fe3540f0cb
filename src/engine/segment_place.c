/*
 * segment_place.c - where damage is, in words: the file, the block, and the keys that it may cost.
 *
 * Flow:  whoever meets a fault → here → the error's text, which is the same however it is met.
 * Bounds are taken from what opening has checked (directory, fences, footer), never from the block
 * itself.
 */
#include "engine/segment_internal.h"

#include <stdio.h>

#define PLACE_BYTES 384u
#define SECONDS_MIN INT64_C(-62167219200) /* the year 0 */
#define SECONDS_MAX INT64_C(253402300799) /* the end of 9999 */

/* First and last key that may be in a block, as far as people want to know: the first key columns,
 * of families pin and track the first 64 bits of the digest. */
struct range {
	uint64_t first[2];
	uint64_t last[2];
};

/* ---- Bounds --------------------------------------------------------------------------------- */

static struct range
bucket_range(const struct segment *segment, uint64_t bucket, uint64_t part)
{
	const struct segment_layout *layout = &segment->layout;
	unsigned shared = layout->prefix_bits + layout->bucket_bits;
	uint64_t low = layout->prefix, span = shared == 0 ? UINT64_MAX : UINT64_MAX >> shared;
	uint64_t first, end;
	struct range range;

	if (layout->bucket_bits > 0)
		low |= bucket << (SEGMENT_HEAD_BITS - shared);
	range = (struct range){.first = {low}, .last = {low | span}};
	segment__fences_of(segment, bucket, &first, &end);
	if (part < end - first)
		range.first[0] = zp_load_u64be(segment__fence_key(segment, first + part));
	if (part + 1 < end - first)
		range.last[0] = zp_load_u64be(segment__fence_key(segment, first + part + 1));
	return range;
}

static struct range
info_range(const struct segment_info *info)
{
	return (struct range){
	    .first = {zp_load_u64be(info->first_key), zp_load_u64be(info->first_key + 8)},
	    .last = {zp_load_u64be(info->last_key), zp_load_u64be(info->last_key + 8)},
	};
}

static struct range
ordered_range(const struct segment *segment, uint64_t block)
{
	uint64_t first[SEGMENT_KEY_COLUMNS_MAX], last[SEGMENT_KEY_COLUMNS_MAX];

	segment__ordered_bounds(segment, block, first, last);
	return (struct range){.first = {first[0], first[1]}, .last = {last[0], last[1]}};
}

/* ---- Words ---------------------------------------------------------------------------------- */

static void
seconds_append(uint64_t column, uint32_t namespace_id, struct zp_buf *text)
{
	int64_t seconds = segment__time_of_column(column);

	/* Namespace 0 keeps seconds, the others microseconds (docs/formats.md, "Facts"). */
	if (namespace_id != 0)
		seconds /= 1000000;
	seconds = seconds < SECONDS_MIN ? SECONDS_MIN : seconds;
	zp_time_format(seconds > SECONDS_MAX ? SECONDS_MAX : seconds, 0, text);
}

static void
range_append(enum zp_family family, const struct range *range, struct zp_buf *text)
{
	switch (family) {
	case ZP_FAMILY_TIME:
		zp_buf_printf(text, "creation times of namespace %llu from ",
		    (unsigned long long)range->first[0]);
		seconds_append(range->first[1], (uint32_t)range->first[0], text);
		if (range->last[0] != range->first[0])
			zp_buf_printf(
			    text, " to namespace %llu", (unsigned long long)range->last[0]);
		zp_buf_append_text(text, " to ");
		seconds_append(range->last[1], (uint32_t)range->last[0], text);
		break;
	case ZP_FAMILY_EXPIRE:
		zp_buf_append_text(text, "expiry times from ");
		seconds_append(range->first[0], 0, text);
		zp_buf_append_text(text, " to ");
		seconds_append(range->last[0], 0, text);
		break;
	default:
		zp_buf_printf(text, "digests %016llx to %016llx",
		    (unsigned long long)range->first[0], (unsigned long long)range->last[0]);
	}
}

/* "segment NAME: block 5 part 0 (digests … to …)" */
static void
block_append(const struct segment *segment, uint64_t number, struct zp_buf *text)
{
	uint64_t block = number & bits_mask(40), part = number >> 40;
	struct range range = segment->layout.is_bucketed ? bucket_range(segment, block, part)
							 : ordered_range(segment, block);

	zp_buf_printf(text, "%s: block %llu part %llu (", segment->label, (unsigned long long)block,
	    (unsigned long long)part);
	range_append(segment->layout.family, &range, text);
	zp_buf_append_byte(text, ')');
}

int
segment__block_wrap(const struct segment *segment, uint64_t number, int rc, struct zp_err *err)
{
	ZP_AUTO_BUF(place, PLACE_BYTES);

	if (err == NULL) /* a batch of reads: nobody is told where */
		return rc;
	block_append(segment, number, &place);
	return zp_wrap(err, rc, "%.*s", (int)place.length, (const char *)place.data);
}

int
segment__block_fault(
    const struct segment *segment, uint64_t number, const char *fault, struct zp_err *err)
{
	return segment__block_wrap(segment, number, zp_fail(err, ZP_E_CORRUPT, "%s", fault), err);
}

int
segment__file_fault(
    enum zp_family family, const struct segment_info *info, const char *fault, struct zp_err *err)
{
	struct range range = info_range(info);
	ZP_AUTO_BUF(keys, PLACE_BYTES);
	char name[ZP_FILE_NAME_MAX];

	if (err == NULL)
		return ZP_E_CORRUPT;
	segment__name_format(&info->name, name);
	range_append(family, &range, &keys);
	return zp_fail(err, ZP_E_CORRUPT, "segment %s (%.*s): %s", name, (int)keys.length,
	    (const char *)keys.data, fault);
}

int
segment__unopened_fault(enum zp_family family, const struct segment_info *info, struct zp_err *err)
{
	return segment__file_fault(family, info, "missing or damaged: it could not be opened", err);
}
