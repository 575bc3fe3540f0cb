/*
 * fuzz_scrub.c - the scrubber's state from any bytes.
 *
 * The first byte chooses: 0 a file, else the fields of one whose frame is made whole.
 *
 * Holds: what decodes encodes again, to the same when it is decoded.
 */
#include "command/command_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES_MAX (1u << 20)

static void
check(struct zp_slice file)
{
	ZP_AUTO_BUF(again, FILE_BYTES_MAX);
	struct command__scrub_state first, second;

	if (command__scrub_state_decode(file, &first, NULL) < 0)
		return;
	ZP_ASSERT(first.damaged_count <= ZP_SHARDS_MAX);
	command__scrub_state_encode(&first, &again);
	ZP_ASSERT(command__scrub_state_decode(zp_buf_slice(&again), &second, NULL) == ZP_OK);
	ZP_ASSERT(first.last_begun_us == second.last_begun_us &&
		  first.last_ended_us == second.last_ended_us &&
		  first.begun_us == second.begun_us && first.damaged_count == second.damaged_count);
	for (size_t i = 0; i < first.damaged_count; i++)
		ZP_ASSERT(first.damaged[i] == second.damaged[i]);
	command__scrub_state_done(&first);
	command__scrub_state_done(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(file, FILE_BYTES_MAX);
	struct zp_slice rest = {data + 1, size - 1};

	if (size == 0)
		return 0;
	if (data[0] == 0) {
		check(rest);
		return 0;
	}
	zp_envelope_begin(&file, "ZPINscrb");
	zp_buf_append_slice(&file, rest);
	if (!file.overflow) {
		zp_envelope_end(&file);
		check(zp_buf_slice(&file));
	}
	return 0;
}
