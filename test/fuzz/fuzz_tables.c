/*
 * fuzz_tables.c - arbitrary bytes as the tables of peers and allocation lists.
 *
 * What is accepted encodes to the same bytes (but for what a writer may pass over), and every list
 * in it reads as a JSON array of texts that end: moves have no circle.
 *
 * The first byte of the input: bit 0, length and checksum are set right before.
 */
#include "engine/engine_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_plain(struct zp_slice file)
{
	if (zp_load_u64le(file.data + 24) != 0)
		return false;
	for (size_t at = 56; at < file.length; at += 8 + zp_load_u32le(file.data + at + 4)) {
		if (zp_load_u16le(file.data + at) >= 0x8000)
			return false;
	}
	return true;
}

static void
lists_read(const struct zp_tables *tables)
{
	for (uint64_t id = 1; id < zp_tables_list_next(tables); id++) {
		struct zp_slice text;

		ZP_ASSERT(zp_tables_allocations_json(tables, id << 1, &text, NULL) == ZP_OK);
		ZP_ASSERT(text.length >= 4 && text.data[0] == '[' && text.data[1] == '"');
		ZP_ASSERT(text.data[text.length - 2] == '"' && text.data[text.length - 1] == ']');
		for (size_t i = 1; i + 1 < text.length; i++)
			ZP_ASSERT(text.data[i] == '"' || text.data[i] == ',' ||
				  (text.data[i] >= '1' && text.data[i] <= 'z'));
	}
}

static void
check(struct zp_slice file)
{
	ZP_AUTO_BUF(first, TABLES_BYTES_MAX);
	ZP_AUTO_BUF(second, TABLES_BYTES_MAX);
	struct zp_tables *tables, *again;

	if (zp_tables_decode(file, &tables, NULL) != ZP_OK)
		return;
	lists_read(tables);
	zp_tables_encode(tables, &first);
	if (is_plain(file))
		ZP_ASSERT(zp_slice_equal(zp_buf_slice(&first), file));
	ZP_ASSERT(zp_tables_decode(zp_buf_slice(&first), &again, NULL) == ZP_OK);
	zp_tables_encode(again, &second);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&first), zp_buf_slice(&second)));
	zp_tables_free(tables);
	zp_tables_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(file, TABLES_BYTES_MAX);

	if (size < 1 || size > 1 << 16)
		return 0;
	zp_buf_append(&file, data + 1, size - 1);
	if ((data[0] & 1) != 0 && file.length >= 56)
		zp_envelope_end(&file);
	check((struct zp_slice){file.length == 0 ? data : file.data, file.length});
	return 0;
}
