/*
 * segment_format.c - header, footer, names, and rows as columns.
 *
 * Flow: segment_internal.h. Format: docs/formats.md, "Segment".
 */
#include "engine/accesses.h"
#include "engine/segment_internal.h"

#include <stdio.h>

static const char header_magic[8] = "ZPINsegm";
static const char footer_magic[8] = "ZPINsegf";

#define DICTIONARY_IN_SECTION 1u

/* ---- Families ------------------------------------------------------------------------------- */

/* Key columns, an operation, value columns, and the length of the texts where there are any. */
struct ordered_family {
	uint8_t key_columns;
	uint8_t value_columns;
	bool has_texts;
	uint8_t rising_column; /* the first that differs from row to row, when those are near each
				  other */
};

static const struct ordered_family ordered_families[] = {
    [ZP_FAMILY_TRACK] = {SEGMENT_TRACK_COLUMNS, SEGMENT_TRACK_VALUES, true, SEGMENT_COLUMNS_MAX},
    [ZP_FAMILY_TIME] = {SEGMENT_TIME_COLUMNS, 0, false, 1},
    [ZP_FAMILY_EXPIRE] = {SEGMENT_EXPIRE_COLUMNS, 0, false, 0},
    [ZP_FAMILY_ACCESS] = {SEGMENT_ACCESS_COLUMNS, SEGMENT_ACCESS_VALUES, false, 0},
};
_Static_assert(SEGMENT_TRACK_COLUMNS + 1 + SEGMENT_TRACK_VALUES + 1 <= SEGMENT_COLUMNS_MAX,
    "family track fits");

bool
segment__family_known(unsigned family)
{
	return family == ZP_FAMILY_PIN || (family < ZP_ARRAY_COUNT(ordered_families) &&
					      ordered_families[family].key_columns > 0);
}

bool
segment__is_bucketed(enum zp_family family)
{
	return family == ZP_FAMILY_PIN;
}

bool
segment__has_filter(enum zp_family family)
{
	return family == ZP_FAMILY_PIN || family == ZP_FAMILY_TRACK;
}

/* Most keys are in a few large runs, and memory is for their filters. The small runs are many, and
 * each that says "may be" costs a read of its own, so they are right more often. */
uint8_t
segment__filter_bits(enum zp_family family, uint64_t rows)
{
	if (!segment__has_filter(family))
		return 0;
	return rows < FILTER_SMALL_ROWS ? 6 : 5;
}

size_t
segment__operation_column(enum zp_family family)
{
	return segment__is_bucketed(family) ? PIN_OPERATION : ordered_families[family].key_columns;
}

size_t
segment__key_columns(enum zp_family family)
{
	return ordered_families[family].key_columns;
}

size_t
segment__value_columns(enum zp_family family)
{
	return ordered_families[family].value_columns;
}

size_t
segment__rising_column(enum zp_family family)
{
	return segment__is_bucketed(family) ? SEGMENT_COLUMNS_MAX
					    : ordered_families[family].rising_column;
}

size_t
segment__columns(enum zp_family family)
{
	const struct ordered_family *ordered = &ordered_families[family];

	return segment__is_bucketed(family)
		   ? SEGMENT_COLUMNS_MAX
		   : ordered->key_columns + 1u + ordered->value_columns + ordered->has_texts;
}

void
segment__layout_init(struct segment_layout *layout, enum zp_family family, uint8_t prefix_bits,
    uint8_t bucket_bits, uint64_t head, uint64_t seed)
{
	*layout = (struct segment_layout){
	    .family = family,
	    .is_bucketed = segment__is_bucketed(family),
	    .columns_count = (uint8_t)segment__columns(family),
	    .difference_column = SEGMENT_COLUMNS_MAX,
	    .seed = seed,
	};
	layout->operation_column = (uint8_t)segment__operation_column(family);
	if (layout->is_bucketed || ordered_families[family].has_texts)
		layout->texts_column = (uint8_t)(layout->columns_count - 1);
	layout->values_end =
	    layout->texts_column != 0 ? layout->texts_column : layout->columns_count;
	for (size_t i = 0; i < layout->columns_count; i++)
		layout->ranges[i] = COLUMN_RANGE_NONE;
	if (!layout->is_bucketed)
		return;
	ZP_ASSERT(prefix_bits + bucket_bits + SEGMENT_SLOT_BITS <= SEGMENT_HEAD_BITS);
	layout->prefix_bits = prefix_bits;
	layout->bucket_bits = bucket_bits;
	layout->remainder_bits = SEGMENT_HEAD_BITS - prefix_bits - bucket_bits - SEGMENT_SLOT_BITS;
	layout->prefix = head & ~bits_mask(SEGMENT_HEAD_BITS - prefix_bits);
}

void
segment__places_of(const struct column_code *codes, size_t count, struct column_places *places_out)
{
	*places_out = (struct column_places){0};
	for (size_t i = 0; i < count; i++) {
		places_out->bits_before[i + 1] = places_out->bits_before[i] + codes[i].width;
		if (codes[i].width > 0 || codes[i].encoder >= COLUMN_DICTIONARY)
			places_out->varying |= 1u << i;
		if (column__has_payloads(&codes[i]))
			places_out->classes |= 1u << i;
	}
}

void
segment__layout_ready(struct segment_layout *layout)
{
	segment__places_of(layout->codes, layout->columns_count, &layout->places);
	for (size_t i = 0; i < layout->columns_count; i++) {
		layout->constants[i] = layout->codes[i].base;
		if (layout->codes[i].is_differences)
			layout->difference_column = (uint8_t)i;
	}
}

void
segment__layout_done(struct segment_layout *layout)
{
	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		column__code_done(&layout->codes[i]);
}

/* ---- Header --------------------------------------------------------------------------------- */

void
segment__header_encode(const struct segment_footer *footer, uint8_t bytes_out[SEGMENT_HEADER_BYTES])
{
	memset(bytes_out, 0, SEGMENT_HEADER_BYTES);
	memcpy(bytes_out, header_magic, sizeof(header_magic));
	zp_store_u32le(bytes_out + 16, SEGMENT_VERSION);
	bytes_out[20] = (uint8_t)footer->family;
	bytes_out[21] = segment__is_bucketed(footer->family) ? LAYOUT_BUCKETED : LAYOUT_ORDERED;
	zp_store_u64le(bytes_out + 24, footer->id.low);
	zp_store_u64le(bytes_out + 32, footer->id.high);
	zp_store_u64le(bytes_out + 40, footer->shard_id);
	zp_store_u64le(bytes_out + 8, zp_hash64(bytes_out + 16, SEGMENT_HEADER_BYTES - 16, 0));
}

/* All of a version 1 header is in its footer too, so it is right when it is what we would write. */
int
segment__header_check(const uint8_t bytes[SEGMENT_HEADER_BYTES],
    const struct segment_footer *footer, struct zp_err *err)
{
	uint8_t expected[SEGMENT_HEADER_BYTES];

	segment__header_encode(footer, expected);
	if (memcmp(bytes, expected, SEGMENT_HEADER_BYTES) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "the header is damaged or not this footer's");
	return 0;
}

/* ---- Footer --------------------------------------------------------------------------------- */

/* The dictionary came later. */
size_t
segment__section_at(size_t section)
{
	return section == SECTION_DICTIONARY ? 360 : 256 + 24 * section;
}

bool
segment__has_dictionary(const struct segment_footer *footer)
{
	return (footer->features_incompatible & SEGMENT_FEATURE_DICTIONARY) != 0;
}

void
segment__footer_encode(const struct segment_footer *footer, uint8_t bytes_out[SEGMENT_FOOTER_BYTES])
{
	uint8_t *to = bytes_out;

	memset(to, 0, SEGMENT_FOOTER_BYTES);
	memcpy(to, footer_magic, sizeof(footer_magic));
	zp_store_u32le(to + 16, SEGMENT_VERSION);
	to[20] = (uint8_t)footer->family;
	to[21] = segment__is_bucketed(footer->family) ? LAYOUT_BUCKETED : LAYOUT_ORDERED;
	to[22] = footer->prefix_bits;
	to[23] = footer->bucket_bits;
	zp_store_u64le(to + 24, footer->id.low);
	zp_store_u64le(to + 32, footer->id.high);
	zp_store_u64le(to + 40, footer->shard_id);
	zp_store_u64le(to + 48, footer->features_compatible);
	zp_store_u64le(to + 56, footer->features_read_only);
	zp_store_u64le(to + 64, footer->features_incompatible);
	zp_store_u64le(to + 72, footer->rows);
	zp_store_u64le(to + 80, footer->tombstones);
	zp_store_u64le(to + 88, footer->blocks);
	zp_store_u64le(to + 96, footer->texts_bytes);
	memcpy(to + 112, footer->first_key, SEGMENT_KEY_FIELD_BYTES);
	memcpy(to + 184, footer->last_key, SEGMENT_KEY_FIELD_BYTES);
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		uint8_t *place = to + segment__section_at(i);

		zp_store_u64le(place, footer->sections[i].offset);
		zp_store_u64le(place + 8, footer->sections[i].length);
		zp_store_u64le(place + 16, footer->sections[i].checksum);
	}
	zp_store_u32le(to + 356, segment__has_dictionary(footer) ? DICTIONARY_IN_SECTION : 0);
	zp_store_u16le(to + 354, (uint16_t)segment__columns(footer->family));
	zp_store_u64le(to + 8, zp_hash64(to + 16, SEGMENT_FOOTER_BYTES - 16, 0));
}

/* Magic, checksum, version and features, in this order: see the rules at the top of formats.md. */
static int
footer_believe(const uint8_t *from, struct zp_err *err)
{
	if (memcmp(from, footer_magic, sizeof(footer_magic)) != 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "there is no footer: the file is cut short or not a "
		    "segment");
	if (zp_load_u64le(from + 8) != zp_hash64(from + 16, SEGMENT_FOOTER_BYTES - 16, 0))
		return zp_fail(err, ZP_E_CORRUPT, "the footer's checksum is wrong");
	if (zp_load_u32le(from + 16) != SEGMENT_VERSION)
		return zp_fail(err, ZP_E_VERSION, "version %u was written by a newer zpin",
		    zp_load_u32le(from + 16));
	if ((zp_load_u64le(from + 64) & ~(uint64_t)SEGMENT_FEATURES) != 0)
		return zp_fail(err, ZP_E_VERSION, "a feature (mask %llx) of a newer zpin is used",
		    (unsigned long long)zp_load_u64le(from + 64));
	if (from[352] != 0 || zp_load_u32le(from + 356) > DICTIONARY_IN_SECTION)
		return zp_fail(err, ZP_E_VERSION,
		    "a key transform or texts dictionary of a newer zpin is used");
	return 0;
}

static bool
is_zero(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

/* Numbers that contradict each other, whatever the rest of the file says. */
static const char *
footer_contradiction(const struct segment_footer *footer)
{
	bool is_bucketed = segment__is_bucketed(footer->family);

	if (footer->rows == 0 || footer->rows > ZP_SEGMENT_RECORDS_MAX ||
	    footer->tombstones > footer->rows || footer->blocks == 0 ||
	    footer->blocks > footer->rows || footer->rows > footer->blocks * BLOCK_ROWS_MAX)
		return "the counts of the footer contradict each other";
	if (is_bucketed ? footer->prefix_bits + footer->bucket_bits + SEGMENT_SLOT_BITS >
				  SEGMENT_HEAD_BITS ||
			      footer->bucket_bits > 32
			: footer->prefix_bits != 0 || footer->bucket_bits != 0)
		return "prefix or bucket bits of the footer are impossible";
	if ((footer->features_incompatible & SEGMENT_FEATURE_ADDED) != 0 &&
	    footer->family != ZP_FAMILY_TIME)
		return "rows are added up in a family where they are not";
	if (segment__has_dictionary(footer) && footer->texts_bytes == 0)
		return "there is a dictionary of texts, and no texts";
	if (footer->texts_bytes != 0 && !is_bucketed && !ordered_families[footer->family].has_texts)
		return "there are texts in a family that has none";
	if (memcmp(footer->first_key, footer->last_key, SEGMENT_KEY_FIELD_BYTES) > 0)
		return "the first key is above the last";
	return NULL;
}

int
segment__footer_decode(const uint8_t bytes[SEGMENT_FOOTER_BYTES], struct segment_footer *footer_out,
    struct zp_err *err)
{
	const uint8_t *from = bytes;
	struct segment_footer footer = {0};
	const char *fault = NULL;
	int rc = footer_believe(from, err);

	if (rc != 0)
		return rc;
	if (!segment__family_known(from[20]))
		return zp_fail(
		    err, ZP_E_VERSION, "family %u was written by a newer zpin", from[20]);
	footer.family = (enum zp_family)from[20];
	footer.prefix_bits = from[22];
	footer.bucket_bits = from[23];
	footer.id = (struct zp_hash128){zp_load_u64le(from + 24), zp_load_u64le(from + 32)};
	footer.shard_id = zp_load_u64le(from + 40);
	footer.features_compatible = zp_load_u64le(from + 48);
	footer.features_read_only = zp_load_u64le(from + 56);
	footer.features_incompatible = zp_load_u64le(from + 64);
	footer.rows = zp_load_u64le(from + 72);
	footer.tombstones = zp_load_u64le(from + 80);
	footer.blocks = zp_load_u64le(from + 88);
	footer.texts_bytes = zp_load_u64le(from + 96);
	memcpy(footer.first_key, from + 112, SEGMENT_KEY_FIELD_BYTES);
	memcpy(footer.last_key, from + 184, SEGMENT_KEY_FIELD_BYTES);
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		const uint8_t *place = from + segment__section_at(i);

		footer.sections[i].offset = zp_load_u64le(place);
		footer.sections[i].length = zp_load_u64le(place + 8);
		footer.sections[i].checksum = zp_load_u64le(place + 16);
	}
	if (from[21] != (segment__is_bucketed(footer.family) ? LAYOUT_BUCKETED : LAYOUT_ORDERED))
		fault = "the layout is not that of the family";
	else if (!is_zero(from + 104, 8) || from[353] != 0)
		fault = "reserved bytes of the footer are not 0";
	else if (segment__has_dictionary(&footer) != (zp_load_u32le(from + 356) != 0) ||
		 (!segment__has_dictionary(&footer) &&
		     !is_zero(from + segment__section_at(SECTION_DICTIONARY), 24)))
		fault = "the footer names a texts dictionary, and has none";
	else if (zp_load_u16le(from + 354) != segment__columns(footer.family))
		fault = "the number of columns is not that of the family";
	else
		fault = footer_contradiction(&footer);
	if (fault != NULL)
		return zp_fail(err, ZP_E_CORRUPT, "%s", fault);
	*footer_out = footer;
	return 0;
}

/* ---- Rows as columns ------------------------------------------------------------------------ */

void
segment__key_cells(const uint8_t key[ZP_KEY_BYTES], struct segment_cells *cells_out)
{
	uint64_t *columns = cells_out->columns;

	memcpy(cells_out->digest, key, sizeof(cells_out->digest));
	columns[PIN_KIND] = key[32];
	columns[PIN_VERSION] = key[33];
	columns[PIN_CODEC] = zp_load_u64be(key + 34);
	columns[PIN_NAMESPACE] = zp_load_u32be(key + 42);
	columns[PIN_CLAIM] = zp_load_u64be(key + 46);
}

void
segment__row_cells(const struct segment_row *row, struct segment_cells *cells_out)
{
	uint8_t key[ZP_KEY_BYTES];

	zp_key_encode(&row->key, key);
	segment__key_cells(key, cells_out);
	cells_out->columns[PIN_OPERATION] = row->operation;
	memcpy(cells_out->columns + PIN_FACTS, row->record.facts, sizeof(row->record.facts));
	cells_out->columns[PIN_TEXTS] = row->record.texts.length;
}

void
segment__entry_cells(
    enum zp_family family, const struct segment_entry *entry, struct segment_cells *cells_out)
{
	const struct ordered_family *ordered = &ordered_families[family];
	const struct segment_value *value = entry->value;
	uint64_t *to = cells_out->columns;

	for (size_t i = 0; i < ordered->key_columns; i++)
		*to++ = entry->columns[i];
	*to++ = entry->operation;
	if (value == NULL) {
		for (; to < cells_out->columns + segment__columns(family); to++)
			*to = 0;
		return;
	}
	memcpy(to, value->columns, ordered->value_columns * sizeof(*to));
	to += ordered->value_columns;
	if (ordered->has_texts)
		*to = value->texts.length;
}

const char *
segment__row_columns_fault(const uint64_t columns[SEGMENT_COLUMNS_MAX])
{
	if (columns[PIN_KIND] > ZP_KIND_OTHER || columns[PIN_VERSION] > 1 ||
	    columns[PIN_NAMESPACE] > UINT32_MAX)
		return "a row's key is impossible";
	if (columns[PIN_OPERATION] > ZP_ROW_TOMBSTONE)
		return "a row's operation is unknown";
	if (columns[PIN_OPERATION] == ZP_ROW_TOMBSTONE)
		return columns[PIN_TEXTS] == 0 ? NULL : "a tombstone has texts";
	return columns[PIN_FACTS + ZP_FACT_TYPE] < ZP_PIN_TYPE_COUNT
		   ? NULL
		   : "a row's pin type is unknown";
}

static void
row_fill(const uint64_t columns[SEGMENT_COLUMNS_MAX], struct segment_row *row_out)
{
	row_out->key.kind = (uint8_t)columns[PIN_KIND];
	row_out->key.version = (uint8_t)columns[PIN_VERSION];
	row_out->key.codec = columns[PIN_CODEC];
	row_out->key.namespace_id = (uint32_t)columns[PIN_NAMESPACE];
	row_out->key.claim = columns[PIN_CLAIM];
	row_out->operation = (uint8_t)columns[PIN_OPERATION];
	row_out->record.texts = (struct zp_slice){0};
	if (row_out->operation == ZP_ROW_TOMBSTONE)
		memset(row_out->record.facts, 0, sizeof(row_out->record.facts));
	else
		memcpy(row_out->record.facts, columns + PIN_FACTS, sizeof(row_out->record.facts));
}

const char *
segment__row_of_columns(const uint64_t columns[SEGMENT_COLUMNS_MAX], struct segment_row *row_out)
{
	const char *fault = segment__row_columns_fault(columns);

	if (fault == NULL)
		row_fill(columns, row_out);
	return fault;
}

void
segment__row_of_cells(const struct segment_cells *cells, struct segment_row *row_out)
{
	memcpy(row_out->key.digest, cells->digest, sizeof(row_out->key.digest));
	row_fill(cells->columns, row_out);
}

void
segment__columns_key_encode(
    const uint64_t *columns, size_t count, uint8_t key_out[SEGMENT_KEY_FIELD_BYTES])
{
	memset(key_out, 0, SEGMENT_KEY_FIELD_BYTES);
	for (size_t i = 0; i < count; i++)
		zp_store_u64be(key_out + 8 * i, columns[i]);
}

void
segment__pin_key_encode(const uint64_t *columns, uint8_t key_out[ZP_KEY_BYTES])
{
	for (size_t i = 0; i < 4; i++)
		zp_store_u64be(key_out + 8 * i, columns[i]);
	key_out[32] = (uint8_t)(columns[4] >> 8);
	key_out[33] = (uint8_t)columns[4];
	zp_store_u64be(key_out + 34, columns[5]);
	zp_store_u32be(key_out + 42, (uint32_t)columns[6]);
	zp_store_u64be(key_out + 46, columns[7]);
}

int
segment__columns_compare(const uint64_t *a, const uint64_t *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}

int
segment__cells_compare(const struct segment_layout *layout, const struct segment_cells *a,
    const struct segment_cells *b)
{
	if (layout->is_bucketed) {
		uint64_t head = zp_load_u64be(a->digest), other = zp_load_u64be(b->digest);
		int order;

		if (head != other)
			return head < other ? -1 : 1;
		order = memcmp(a->digest, b->digest, sizeof(a->digest));
		if (order != 0)
			return order;
	}
	/* The key columns stand in the order of the key's bytes. */
	return segment__columns_compare(a->columns, b->columns, layout->operation_column);
}

void
segment__cells_key_encode(const struct segment_layout *layout, const struct segment_cells *cells,
    uint8_t key_out[SEGMENT_KEY_FIELD_BYTES])
{
	if (!layout->is_bucketed) {
		segment__columns_key_encode(cells->columns, layout->operation_column, key_out);
		return;
	}
	memset(key_out, 0, SEGMENT_KEY_FIELD_BYTES);
	segment__cells_pin_key_encode(layout, cells, key_out);
}

void
segment__cells_pin_key_encode(const struct segment_layout *layout,
    const struct segment_cells *cells, uint8_t key_out[ZP_KEY_BYTES])
{
	const uint64_t *columns = cells->columns;

	if (!layout->is_bucketed) {
		segment__pin_key_encode(columns, key_out);
		return;
	}
	memcpy(key_out, cells->digest, sizeof(cells->digest));
	key_out[32] = (uint8_t)columns[PIN_KIND];
	key_out[33] = (uint8_t)columns[PIN_VERSION];
	zp_store_u64be(key_out + 34, columns[PIN_CODEC]);
	zp_store_u32be(key_out + 42, (uint32_t)columns[PIN_NAMESPACE]);
	zp_store_u64be(key_out + 46, columns[PIN_CLAIM]);
}

const char *
segment__entry_fault(enum zp_family family, const struct segment_entry *entry)
{
	return family == ZP_FAMILY_TRACK ? track__entry_fault(entry) : accesses__entry_fault(entry);
}

/* ---- Names ---------------------------------------------------------------------------------- */

#define NAME_DIGITS 32u

void
segment__name_format(const struct segment_name *name, char *text)
{
	snprintf(text, ZP_FILE_NAME_MAX, "%016llx%016llx.seg", (unsigned long long)name->high,
	    (unsigned long long)name->low);
}

static bool
hex_parse(const char *text, uint64_t *value_out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 16; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*value_out = value;
	return true;
}

bool
segment__name_parse(const char *text, struct segment_name *name_out)
{
	struct segment_name name;

	if (!hex_parse(text, &name.high) || !hex_parse(text + NAME_DIGITS / 2, &name.low) ||
	    strcmp(text + NAME_DIGITS, ".seg") != 0)
		return false;
	*name_out = name;
	return true;
}
