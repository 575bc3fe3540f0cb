/*
 * lines.c - blocks of a stream into whole lines.
 *
 * Flow: sinks of cli__request and readers of standard input; the commands see a line at a time.
 */
#include "cli/cli_internal.h"

void
cli__lines_init(struct cli_lines *lines,
    int (*line)(void *context, struct zp_slice line, struct zp_err *err), void *context)
{
	*lines = (struct cli_lines){.line = line, .context = context};
	zp_buf_init(&lines->partial, CLI_LINE_BYTES_MAX);
}

static int
hand_on(struct cli_lines *lines, struct zp_slice line, struct zp_err *err)
{
	lines->number++;
	while (line.length > 0 &&
	       (line.data[line.length - 1] == '\r' || line.data[line.length - 1] == ' '))
		line.length--;
	return line.length == 0 ? 0 : lines->line(lines->context, line, err);
}

int
cli__lines_end(struct cli_lines *lines, struct zp_err *err)
{
	int rc = hand_on(lines, zp_buf_slice(&lines->partial), err);

	zp_buf_clear(&lines->partial);
	return rc;
}

int
cli__lines_add(void *context, struct zp_slice block, struct zp_err *err)
{
	struct cli_lines *lines = context;

	while (block.length > 0) {
		const uint8_t *newline = memchr(block.data, '\n', block.length);
		size_t length = newline == NULL ? block.length : (size_t)(newline - block.data);
		struct zp_slice part = {block.data, length};
		int rc = 0;

		if (newline != NULL && lines->partial.length == 0) {
			rc = hand_on(lines, part, err);
		} else {
			zp_buf_append_slice(&lines->partial, part);
			rc = zp_buf_check(&lines->partial, "a line of the stream", err);
			if (rc == 0 && newline != NULL)
				rc = cli__lines_end(lines, err);
		}
		if (rc < 0)
			return rc;
		block.data += length + (newline != NULL);
		block.length -= length + (newline != NULL);
	}
	return 0;
}

void
cli__lines_done(struct cli_lines *lines)
{
	zp_buf_done(&lines->partial);
}
