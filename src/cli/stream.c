/*
 * stream.c - which of a file's imports a node is asked to go on with.
 *
 * A node passes over the lines of a stream that it has durable. So each import is a stream of its
 * own, or importing a file again after its pins were removed would do nothing; and --resume must
 * find the last one. Hence the name counts: 0, 1, 2, …, and those with lines are the ones begun.
 */
#include "cli/cli_internal.h"

#define STREAMS_MAX 0x10000u
#define COUNT_AT 28 /* of the 32 digits */

struct asking {
	char *stream;
	int (*lines_done)(
	    void *context, const char *stream, uint64_t *lines_out, struct zp_err *err);
	void *context;
};

static int
lines_of(const struct asking *asking, uint32_t number, uint64_t *lines_out, struct zp_err *err)
{
	snprintf(asking->stream + COUNT_AT, 5, "%04x", (unsigned)number & 0xffffu);
	return asking->lines_done(asking->context, asking->stream, lines_out, err);
}

/* The number behind the last one begun: in steps that double, then by halves. */
static int
unused_find(const struct asking *asking, uint32_t *number_out, struct zp_err *err)
{
	uint32_t used = 0; /* one more than a number with lines */
	uint32_t unused = 0;
	uint64_t lines;
	int rc;

	for (;;) {
		rc = lines_of(asking, unused, &lines, err);
		if (rc < 0)
			return rc;
		if (lines == 0)
			break;
		used = unused + 1;
		unused = unused * 2 + 1;
		if (unused >= STREAMS_MAX)
			return zp_fail(err, ZP_E_FULL,
			    "this file was imported too often to be known apart; copy it");
	}
	while (used < unused) {
		uint32_t middle = used + (unused - used) / 2;

		rc = lines_of(asking, middle, &lines, err);
		if (rc < 0)
			return rc;
		if (lines > 0)
			used = middle + 1;
		else
			unused = middle;
	}
	*number_out = unused;
	return 0;
}

int
zp_cli_stream_choose(char stream[33], bool resume,
    int (*lines_done)(void *context, const char *stream, uint64_t *lines_out, struct zp_err *err),
    void *context, uint64_t *lines_out, struct zp_err *err)
{
	const struct asking asking = {stream, lines_done, context};
	uint32_t number = 0;
	int rc;

	*lines_out = 0;
	if (stream[0] == '\0')
		return 0;
	rc = unused_find(&asking, &number, err);
	if (rc < 0)
		return rc;
	if (resume && number > 0)
		return lines_of(&asking, number - 1, lines_out, err);
	snprintf(stream + COUNT_AT, 5, "%04x", (unsigned)number);
	return 0;
}
