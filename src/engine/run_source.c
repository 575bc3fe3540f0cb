/*
 * run_source.c - see run_source.h.
 */
#include "engine/run_source.h"

#define INFO_KEY_BYTES 48u /* that the manifest has of a segment's first and last key */

struct run_source
run_source__of(const struct version *version, size_t run)
{
	return (struct run_source){
	    .segments = version->runs[run],
	    .infos = version->manifest.runs[run].segments,
	    .segment_count = version->manifest.runs[run].segment_count,
	};
}

void
run_source__done(struct run_source *source)
{
	segment__iterator_close(source->iterator);
	zp_free(source->holes);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

void
run_wanted__damage(struct run_wanted *wanted, const struct zp_err *why)
{
	if (wanted->damage.code == ZP_OK)
		wanted->damage = *why;
	if (wanted->fault != NULL)
		wanted->fault(wanted->context, why);
}

/* The keys of the present segment from `first` on, or from where keys are missing already, cannot
 * be given, up to its end. */
static struct hole *
hole_open(struct run_source *source, const uint8_t first[SOURCE_KEY_BYTES])
{
	const struct segment_info *info = &source->infos[source->segment_at - 1];
	struct hole *hole;

	if (source->hole_count > 0 && source->holes[source->hole_count - 1].is_open)
		return &source->holes[source->hole_count - 1];
	if (source->hole_count == source->hole_room) {
		source->hole_room = 2 * source->hole_room + 1;
		source->holes =
		    zp_realloc(source->holes, source->hole_room * sizeof(source->holes[0]));
	}
	hole = &source->holes[source->hole_count++];
	hole->is_open = true;
	memcpy(hole->first, first, SOURCE_KEY_BYTES);
	memcpy(hole->last, info->last_key, SOURCE_KEY_BYTES);
	if (source->segments[source->segment_at - 1] == NULL) /* behind what is known are zeros */
		memset(hole->last + INFO_KEY_BYTES, 0xff, SOURCE_KEY_BYTES - INFO_KEY_BYTES);
	return hole;
}

/* A row ends it, with its key, or the segment's end (NULL). */
static void
hole_close(struct run_source *source, const uint8_t last[SOURCE_KEY_BYTES])
{
	struct hole *hole;

	if (source->hole_count == 0)
		return;
	hole = &source->holes[source->hole_count - 1];
	if (!hole->is_open)
		return;
	hole->is_open = false;
	if (last != NULL)
		memcpy(hole->last, last, SOURCE_KEY_BYTES);
}

bool
run_source__lacks(const struct run_source *source, const uint8_t key[SOURCE_KEY_BYTES])
{
	for (size_t i = 0; i < source->hole_count; i++) {
		if (memcmp(key, source->holes[i].first, SOURCE_KEY_BYTES) >= 0 &&
		    memcmp(key, source->holes[i].last, SOURCE_KEY_BYTES) <= 0)
			return true;
	}
	return false;
}

/* The block where the iterator stands is damaged, or some rows behind the last that was given. */
static void
damage_pass(struct run_source *source, struct run_wanted *wanted, const void *unit,
    const struct zp_err *why)
{
	const struct unit_kind *kind = wanted->kind;
	bool gives_up = ++source->faults >= FAULTS_MAX;
	uint8_t first[SOURCE_KEY_BYTES], last[SOURCE_KEY_BYTES];

	run_wanted__damage(wanted, why);
	if (kind->block_keys != NULL) {
		kind->block_keys(source->iterator, first, last);
		hole_open(source, first);
		if (!gives_up)
			hole_close(source, last);
	} else {
		if (source->has_unit)
			kind->row_key(unit, first);
		else
			memcpy(
			    first, source->infos[source->segment_at - 1].first_key, sizeof(first));
		hole_open(source, first);
	}
	if (gives_up) {
		segment__iterator_close(source->iterator);
		source->iterator = NULL;
	}
}

void
run_source__lose(struct run_source *source, struct run_wanted *wanted, const struct zp_err *why)
{
	ZP_ASSERT(wanted->kind->block_keys != NULL);
	damage_pass(source, wanted, NULL, why);
	source->is_lost = true;
}

/* ---- Segment after segment ------------------------------------------------------------------- */

/* Whether the segment (NULL: damaged) may have what is wanted. */
static bool
segment_is_wanted(
    const struct run_wanted *wanted, const struct segment *segment, const struct segment_info *info)
{
	if (wanted->from == NULL)
		return true;
	if (memcmp(info->last_key, wanted->from_bytes, INFO_KEY_BYTES) < 0)
		return false;
	if (wanted->only == NULL)
		return true;
	return memcmp(info->first_key, wanted->from_bytes, INFO_KEY_BYTES) <= 0 &&
	       (segment == NULL || !segment__has_filter(wanted->family) ||
		   segment__may_contain(segment, wanted->only));
}

static void
open_next(struct run_source *source, struct run_wanted *wanted)
{
	while (source->iterator == NULL && source->segment_at < source->segment_count) {
		size_t at = source->segment_at++;
		const struct segment_info *info = &source->infos[at];
		struct segment *segment = source->segments[at];
		struct zp_err why = {0};
		int rc;

		source->has_unit = false;
		hole_close(source, NULL);
		if (!segment_is_wanted(wanted, segment, info))
			continue;
		rc = segment == NULL ? segment__unopened_fault(wanted->family, info, &why)
				     : wanted->kind->open(segment, wanted->from,
					   wanted->reads_texts, &source->iterator, &why);
		if (rc == ZP_OK)
			return;
		source->iterator = NULL;
		run_wanted__damage(wanted, &why);
		hole_open(source, info->first_key);
	}
	source->over = source->iterator == NULL;
}

static void
row_hole_close(struct run_source *source, const struct run_wanted *wanted, const void *unit)
{
	uint8_t key[SOURCE_KEY_BYTES];

	if (source->hole_count == 0 || !source->holes[source->hole_count - 1].is_open)
		return;
	wanted->kind->row_key(unit, key); /* holes of blocks are closed by then */
	hole_close(source, key);
}

void
run_source__next(struct run_source *source, struct run_wanted *wanted, void *unit)
{
	if (!source->is_lost)
		source->hole_count = 0;
	source->is_lost = false;
	for (;;) {
		struct zp_err
		    why; /* not cleared for each of a million rows: read after a failure only */
		int rc;

		if (source->iterator == NULL)
			open_next(source, wanted);
		if (source->over)
			return;
		why.code = ZP_OK;
		why.text[0] = '\0';
		rc = wanted->kind->next(source->iterator, unit, &why);
		if (rc == ZP_OK) {
			source->has_unit = true;
			row_hole_close(source, wanted, unit);
			return;
		}
		if (rc < 0) {
			damage_pass(source, wanted, unit, &why);
			continue;
		}
		segment__iterator_close(source->iterator);
		source->iterator = NULL;
	}
}
