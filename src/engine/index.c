/*
 * index.c - the ordered families: what a change adds to `time` and `expire`.
 *
 * Flow:   zp_engine_apply → memtable; read back by expiry and listing, which check each entry
 *         against the pin. Owner: the commit thread; pure otherwise.
 * Format: docs/formats.md, "Columns".
 */
#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

struct key_tail
index__key_tail(const uint8_t key[ZP_KEY_BYTES])
{
	return (struct key_tail){
	    .kind_and_version = (uint64_t)key[32] << 8 | key[33],
	    .codec = zp_load_u64be(key + 34),
	    .namespace_id = zp_load_u32be(key + 42),
	    .claim = zp_load_u64be(key + 46),
	};
}

/* Of an encoded key, which is in the order of the columns. */
static void
encoded_columns(const uint8_t key[ZP_KEY_BYTES], uint64_t columns_out[SEGMENT_PIN_COLUMNS])
{
	struct key_tail tail = index__key_tail(key);

	for (size_t i = 0; i < 4; i++)
		columns_out[i] = zp_load_u64be(key + 8 * i);
	columns_out[4] = tail.kind_and_version;
	columns_out[5] = tail.codec;
	columns_out[6] = tail.namespace_id;
	columns_out[7] = tail.claim;
}

void
index__key_columns(const struct zp_key *key, uint64_t columns_out[SEGMENT_PIN_COLUMNS])
{
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(key, bytes);
	encoded_columns(bytes, columns_out);
}

int
index__key_of_columns(
    const uint64_t columns[SEGMENT_PIN_COLUMNS], struct zp_key *key_out, struct zp_err *err)
{
	uint8_t bytes[ZP_KEY_BYTES];

	if (columns[4] > UINT16_MAX || columns[6] > UINT32_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "an entry is not of a key");
	segment__pin_key_encode(columns, bytes);
	return zp_key_decode(bytes, key_out, err);
}

uint64_t
index__created(const struct zp_record *record)
{
	return segment__time_column(zp_unzigzag(record->facts[ZP_FACT_CREATED]));
}

uint64_t
index__expiry(const struct zp_record *record)
{
	ZP_ASSERT(record->facts[ZP_FACT_EXPIRE_AT] != 0);
	return segment__time_column(zp_unzigzag(record->facts[ZP_FACT_EXPIRE_AT] - 1));
}

void
index__entry_columns(enum zp_family family, const uint8_t key[ZP_KEY_BYTES], uint64_t moment,
    uint64_t columns_out[SEGMENT_KEY_COLUMNS_MAX])
{
	struct key_tail tail;

	if (family == ZP_FAMILY_EXPIRE) {
		columns_out[0] = moment;
		encoded_columns(key, columns_out + 1);
		return;
	}
	ZP_ASSERT(family == ZP_FAMILY_TIME);
	tail = index__key_tail(key);
	index__time_columns(&tail, zp_load_u64be(key), moment, columns_out);
}

int
index__expire_key(const struct segment_entry *entry, struct zp_key *key_out, struct zp_err *err)
{
	return index__key_of_columns(entry->columns + 1, key_out, err);
}

/* The moments that a pin has an entry of, before and now: NULL for none. */
static void
entry_move(
    struct memtable *memtable, enum zp_family family, const uint64_t *old, const uint64_t *new)
{
	if (old != NULL && new != NULL &&*old == *new)
		return;
	if (old != NULL)
		memtable__index_add(memtable, family, *old, ZP_ROW_TOMBSTONE);
	if (new != NULL)
		memtable__index_add(memtable, family, *new, ZP_ROW_PUT);
}

static const uint64_t *
created_of(const struct zp_record *record, bool is_there, uint64_t *room)
{
	if (!is_there)
		return NULL;
	*room = index__created(record);
	return room;
}

static const uint64_t *
expiry_of(const struct zp_record *record, bool is_there, uint64_t *room)
{
	if (!is_there || record->facts[ZP_FACT_EXPIRE_AT] == 0)
		return NULL;
	*room = index__expiry(record);
	return room;
}

void
index__apply(struct memtable *memtable, const struct zp_change *change)
{
	const struct zp_record *old = &change->old_record, *new = &change->new_record;
	uint64_t before, now;

	entry_move(memtable, ZP_FAMILY_TIME, created_of(old, change->has_old, &before),
	    created_of(new, change->has_new, &now));
	entry_move(memtable, ZP_FAMILY_EXPIRE, expiry_of(old, change->has_old, &before),
	    expiry_of(new, change->has_new, &now));
}
