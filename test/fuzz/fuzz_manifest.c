/*
 * fuzz_manifest.c - arbitrary bytes as a manifest.
 *
 * What is accepted can be written again: it passes the writer's limits, and what is written decodes
 * to the same. Where the input has nothing that a writer may pass over (optional fields, compatible
 * features, another writer's name) the bytes themselves are the same.
 *
 * The first byte of the input: bit 0, length and checksum are set right before.
 */
#include "engine/engine_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether every field is one that is written back as it stands. */
static bool
is_plain(struct zp_slice file)
{
	static const char writer[] = "zpin 0.1.0";
	bool has_writer = false;

	if (zp_load_u64le(file.data + 24) != 0)
		return false;
	for (size_t at = 56; at < file.length;) {
		uint16_t tag = zp_load_u16le(file.data + at);
		uint32_t length = zp_load_u32le(file.data + at + 4);

		if (tag >= 0x8000)
			return false;
		if (tag == 12)
			has_writer = length == sizeof(writer) - 1 &&
				     memcmp(file.data + at + 8, writer, length) == 0;
		at += 8 + length;
	}
	return has_writer;
}

static void
check(struct zp_slice file)
{
	ZP_AUTO_BUF(first, MANIFEST_BYTES_MAX);
	ZP_AUTO_BUF(second, MANIFEST_BYTES_MAX);
	struct manifest manifest, again;

	if (manifest__decode(file, &manifest, NULL) != ZP_OK)
		return;
	ZP_ASSERT(manifest__limits_check(&manifest, NULL) == ZP_OK);
	manifest__encode(&manifest, &first);
	if (is_plain(file))
		ZP_ASSERT(zp_slice_equal(zp_buf_slice(&first), file));
	ZP_ASSERT(manifest__decode(zp_buf_slice(&first), &again, NULL) == ZP_OK);
	ZP_ASSERT(again.checksum == manifest.checksum);
	manifest__encode(&again, &second);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&first), zp_buf_slice(&second)));
	manifest__done(&manifest);
	manifest__done(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);

	if (size < 1 || size > 1 << 20)
		return 0;
	zp_buf_append(&file, data + 1, size - 1);
	if ((data[0] & 1) != 0 && file.length >= 56)
		zp_envelope_end(&file);
	check((struct zp_slice){file.length == 0 ? data : file.data, file.length});
	return 0;
}
