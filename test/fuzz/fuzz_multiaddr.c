/*
 * fuzz_multiaddr.c - multiaddresses of any bytes.
 *
 * Holds: the normal form is its own normal form; a refusal leaves the buffer as it was.
 */
#include "pin/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_slice text = {.data = data, .length = size};
	ZP_AUTO_BUF(normal, 8u << 20);
	ZP_AUTO_BUF(again, 8u << 20);
	struct zp_err err = {0};
	int rc;

	zp_multiaddr_has_peer(text);
	rc = zp_multiaddr_normalize(text, &normal, &err);
	if (rc < 0) {
		ZP_ASSERT(normal.length == 0);
		ZP_ASSERT(err.code == rc && err.text[0] != '\0');
		return 0;
	}
	rc = zp_multiaddr_normalize(zp_buf_slice(&normal), &again, &err);
	ZP_ASSERT(rc == ZP_OK);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&normal), zp_buf_slice(&again)));
	zp_multiaddr_has_peer(zp_buf_slice(&normal));
	return 0;
}
