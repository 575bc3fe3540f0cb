/*
 * fuzz_access.c - a line of POST /accesses: what is accepted is within the limits, and reading it
 * again gives the same.
 */
#include "api/api_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { NOW = 1000000000 };
	struct zp_accesses_note note, again;
	struct zp_err err = {0};

	if (size == 0 || api__access_line_read((struct zp_slice){data, size}, NOW, &note, &err) < 0)
		return 0;
	ZP_ASSERT(note.accesses.count <= ZP_ACCESS_COUNT_MAX);
	ZP_ASSERT(
	    note.accesses.last_seconds >= 0 && note.accesses.last_seconds <= ZP_ACCESS_SECONDS_MAX);
	ZP_ASSERT(api__access_line_read((struct zp_slice){data, size}, NOW, &again, &err) == 0);
	ZP_ASSERT(zp_key_compare(&note.key, &again.key) == 0 &&
		  note.accesses.count == again.accesses.count &&
		  note.accesses.last_seconds == again.accesses.last_seconds);
	return 0;
}
