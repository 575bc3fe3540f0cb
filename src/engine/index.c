/*
 * index.c - the ordered families: what a change adds to `time` and `expire`.
 *
 * Flow:   zp_engine_apply → memtable; read back by expiry and listing, which check each entry
 *         against the pin. Owner: the commit thread; pure otherwise.
 * Format: docs/formats.md, "Columns".
 */
#include "engine/engine_internal.h"

#define SIGN_BIT (1ull << 63)

uint64_t
index__time_column(int64_t seconds)
{
	return (uint64_t)seconds ^ SIGN_BIT;
}

static uint64_t
kind_and_version(const struct zp_key *key)
{
	return (uint64_t)key->kind << 8 | key->version;
}

void
index__time_entry(const struct zp_key *key, const struct zp_record *record,
    struct segment_entry *entry_out)
{
	*entry_out = (struct segment_entry){
	    .columns = {key->namespace_id,
		index__time_column(zp_unzigzag(record->facts[ZP_FACT_CREATED])),
		zp_load_u64be(key->digest), kind_and_version(key), key->codec, key->claim},
	};
}

void
index__expire_entry(const struct zp_key *key, const struct zp_record *record,
    struct segment_entry *entry_out)
{
	int64_t seconds = zp_unzigzag(record->facts[ZP_FACT_EXPIRE_AT] - 1);

	ZP_ASSERT(record->facts[ZP_FACT_EXPIRE_AT] != 0);
	*entry_out = (struct segment_entry){
	    .columns = {index__time_column(seconds), zp_load_u64be(key->digest),
		zp_load_u64be(key->digest + 8), zp_load_u64be(key->digest + 16),
		zp_load_u64be(key->digest + 24), kind_and_version(key), key->codec,
		key->namespace_id, key->claim},
	};
}

int
index__expire_key(const struct segment_entry *entry, struct zp_key *key_out, struct zp_err *err)
{
	struct zp_key key = {
	    .kind = (uint8_t)(entry->columns[5] >> 8),
	    .version = (uint8_t)entry->columns[5],
	    .codec = entry->columns[6],
	    .namespace_id = (uint32_t)entry->columns[7],
	    .claim = entry->columns[8],
	};
	uint8_t bytes[ZP_KEY_BYTES];

	for (size_t i = 0; i < 4; i++)
		zp_store_u64be(key.digest + 8 * i, entry->columns[1 + i]);
	if (entry->columns[5] > UINT16_MAX || entry->columns[7] > UINT32_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "an expire entry is not of a key");
	zp_key_encode(&key, bytes);
	return zp_key_decode(bytes, key_out, err);
}

static void
apply_one(struct memtable *memtable, const struct zp_key *key, const struct zp_record *record,
    uint8_t operation)
{
	struct segment_entry entry;

	index__time_entry(key, record, &entry);
	entry.operation = operation;
	memtable__entry_add(memtable, ZP_FAMILY_TIME, &entry);
	if (record->facts[ZP_FACT_EXPIRE_AT] == 0)
		return;
	index__expire_entry(key, record, &entry);
	entry.operation = operation;
	memtable__entry_add(memtable, ZP_FAMILY_EXPIRE, &entry);
}

void
index__apply(struct memtable *memtable, const struct zp_change *change)
{
	bool same = change->has_old && change->has_new &&
	    change->old_record.facts[ZP_FACT_CREATED] ==
		change->new_record.facts[ZP_FACT_CREATED] &&
	    change->old_record.facts[ZP_FACT_EXPIRE_AT] ==
		change->new_record.facts[ZP_FACT_EXPIRE_AT];

	if (same)
		return;
	if (change->has_old)
		apply_one(memtable, &change->key, &change->old_record, ZP_ROW_TOMBSTONE);
	if (change->has_new)
		apply_one(memtable, &change->key, &change->new_record, ZP_ROW_PUT);
}
