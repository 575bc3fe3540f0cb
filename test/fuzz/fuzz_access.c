/*
 * fuzz_access.c - a body of POST /accesses: what is accepted is within the limits, is what its
 * lines say one by one, and reads again as it is shown.
 */
#include "api/api_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1000000000 };

/* What a read shows of these accesses is a line that tells the same. */
static void
shown_reads_back(const struct zp_accesses *accesses)
{
	ZP_AUTO_BUF(object, 1000);
	struct zp_accesses_note note;
	struct zp_err err = {0};

	zp_buf_append_text(&object, "{\"cid\":\"QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR\"}");
	api__accesses_append(accesses, &object);
	ZP_ASSERT(api__access_line_read(zp_buf_slice(&object), NOW, &note, &err) == 0);
	ZP_ASSERT(note.accesses.count == accesses->count &&
		  note.accesses.last_seconds == accesses->last_seconds);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct zp_accesses_note notes[API_ACCESS_LINES_MAX];
	const char *rest = (const char *)data, *end = rest + size;
	struct zp_slice body = {data, size};
	struct zp_err err = {0};
	size_t count = 0, lines = 0;

	if (size == 0 || api__access_lines_read(body, NOW, notes, &count, &err) < 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		const struct zp_accesses *accesses = &notes[i].accesses;

		ZP_ASSERT(accesses->count > 0 && accesses->count <= ZP_ACCESS_COUNT_MAX);
		ZP_ASSERT(
		    accesses->last_seconds >= 0 && accesses->last_seconds <= ZP_ACCESS_SECONDS_MAX);
		shown_reads_back(accesses);
	}
	while (rest < end) { /* the lines, cut here in another way */
		const char *newline = memchr(rest, '\n', (size_t)(end - rest));
		const char *stop = newline == NULL ? end : newline;
		struct zp_accesses_note note;
		size_t begin = 0, length = (size_t)(stop - rest);

		while (begin < length && strchr("\t\r ", rest[begin]) != NULL && rest[begin] != 0)
			begin++;
		while (length > begin && (rest[length - 1] == ' ' || rest[length - 1] == '\t' ||
					     rest[length - 1] == '\r'))
			length--;
		if (length > begin) {
			struct zp_slice line = {(const uint8_t *)rest + begin, length - begin};

			ZP_ASSERT(api__access_line_read(line, NOW, &note, &err) == 0);
			if (note.accesses.count > 0) {
				ZP_ASSERT(lines < count &&
					  zp_key_compare(&note.key, &notes[lines].key) == 0);
				ZP_ASSERT(note.accesses.count == notes[lines].accesses.count);
				lines++;
			}
		}
		rest = newline == NULL ? end : newline + 1;
	}
	ZP_ASSERT(lines == count);
	return 0;
}
