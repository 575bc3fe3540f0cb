/*
 * entry_walk.c - see entry_walk.h.
 */
#include "engine/entry_walk.h"

#include "engine/segment_iterate.h"

#define MEMORY_SOURCES 2u /* memtables of a view */

/* ---- Rows of a run --------------------------------------------------------------------------- */

static int
entries_open(struct segment *segment, const void *from, bool reads_texts,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	(void)reads_texts; /* they are part of what an entry says */
	return segment__entries_open(segment, from, iterator_out, err);
}

static int
entry_next(struct segment_iterator *iterator, void *unit, struct zp_err *err)
{
	int rc = segment__entries_next(iterator, &((struct entry_source *)unit)->entry, err);

	if (rc < 0)
		iterator->is_over = false; /* it stands behind the damage */
	return rc;
}

static void
row_key(const void *unit, uint8_t key_out[SOURCE_KEY_BYTES])
{
	const struct entry_source *source = unit; /* of a run: memory has no damage */
	enum zp_family family = segment__family(source->run.iterator->segment);

	segment__columns_key_encode(source->entry.columns, segment__key_columns(family), key_out);
}

static const struct unit_kind entry_kind = {
    .open = entries_open,
    .next = entry_next,
    .row_key = row_key,
};

/* ---- One input ------------------------------------------------------------------------------- */

/* False: it is over. */
static bool
source_next(struct entry_walk *walk, struct entry_source *source)
{
	if (source->is_memory) {
		if (source->entry_at == source->entry_count)
			return false;
		source->entry = source->entries[source->entry_at++];
		return true;
	}
	run_source__next(&source->run, &walk->wanted, source);
	for (size_t i = 0; walk->hole != NULL && i < source->run.hole_count; i++)
		walk->hole(walk->context, &source->run.holes[i]);
	return !source->run.over;
}

void
entry_walk__init(
    struct entry_walk *walk, enum zp_family family, const uint64_t *from, const struct zp_key *only)
{
	size_t keys = segment__key_columns(family);

	*walk = (struct entry_walk){
	    .wanted = {.kind = &entry_kind, .family = family, .only = only}, .key_columns = keys};
	if (from == NULL)
		return;
	memcpy(walk->from, from, keys * sizeof(walk->from[0]));
	walk->wanted.from = walk->from;
	segment__columns_key_encode(walk->from, keys, walk->wanted.from_bytes);
}

void
entry_walk__memory_add(struct entry_walk *walk, struct segment_entry *entries, size_t count)
{
	if (walk->sources == NULL)
		walk->sources = zp_alloc_zero(MEMORY_SOURCES, sizeof(walk->sources[0]));
	ZP_ASSERT(walk->source_count < MEMORY_SOURCES);
	walk->sources[walk->source_count++] =
	    (struct entry_source){.is_memory = true, .entries = entries, .entry_count = count};
}

void
entry_walk__done(struct entry_walk *walk)
{
	for (size_t i = 0; i < walk->source_count; i++) {
		zp_free(walk->sources[i].entries);
		run_source__done(&walk->sources[i].run);
	}
	zp_free(walk->sources);
	zp_free(walk->order);
}

/* ---- In one order ---------------------------------------------------------------------------- */

static int
compare(const struct entry_walk *walk, const struct entry_source *a, const struct entry_source *b)
{
	return segment__columns_compare(a->entry.columns, b->entry.columns, walk->key_columns);
}

/* Puts the source among order[from] and those behind it, which are in order. There is room. */
static void
order_insert(struct entry_walk *walk, struct entry_source *source, size_t from)
{
	size_t at = from;

	for (; at < walk->order_count; at++) {
		int difference = compare(walk, source, walk->order[at]);

		if (difference < 0 || (difference == 0 && source < walk->order[at]))
			break;
	}
	memmove(&walk->order[at + 1], &walk->order[at],
	    (walk->order_count - at) * sizeof(walk->order[0]));
	walk->order[at] = source;
	walk->order_count++;
}

void
entry_walk__begin(struct entry_walk *walk, const struct version *version)
{
	size_t runs = version->manifest.run_count;

	walk->sources =
	    zp_realloc(walk->sources, (MEMORY_SOURCES + runs) * sizeof(walk->sources[0]));
	for (size_t i = 0; i < runs; i++) {
		if (version->manifest.runs[i].family == walk->wanted.family)
			walk->sources[walk->source_count++] =
			    (struct entry_source){.run = run_source__of(version, i)};
	}
	walk->order = zp_alloc(walk->source_count * sizeof(walk->order[0]));
	for (size_t i = 0; i < walk->source_count; i++) {
		if (source_next(walk, &walk->sources[i]))
			order_insert(walk, &walk->sources[i], 0);
	}
}

/* Moves order[at] to its next row and its new place, which is there or behind. */
static void
advance(struct entry_walk *walk, size_t at)
{
	struct entry_source *source = walk->order[at];
	bool has_row = source_next(walk, source);

	if (has_row &&
	    (at + 1 == walk->order_count || compare(walk, source, walk->order[at + 1]) < 0))
		return;
	walk->order_count--;
	memmove(&walk->order[at], &walk->order[at + 1],
	    (walk->order_count - at) * sizeof(walk->order[0]));
	if (has_row)
		order_insert(walk, source, at);
}

const struct entry_source *
entry_walk__older(const struct entry_walk *walk, size_t nth)
{
	return nth < walk->order_count && compare(walk, walk->order[0], walk->order[nth]) == 0
		   ? walk->order[nth]
		   : NULL;
}

void
entry_walk__next(struct entry_walk *walk)
{
	while (entry_walk__older(walk, 1) != NULL)
		advance(walk, 1);
	advance(walk, 0);
}

bool
entry_walk__is_doubtful(const struct entry_walk *walk)
{
	const struct entry_source *present = walk->order[0];
	uint8_t key[SOURCE_KEY_BYTES];

	if (walk->wanted.damage.code == ZP_OK)
		return false;
	segment__columns_key_encode(present->entry.columns, walk->key_columns, key);
	for (const struct entry_source *newer = walk->sources; newer < present; newer++) {
		if (run_source__lacks(&newer->run, key))
			return true;
	}
	return false;
}
