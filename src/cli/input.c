/*
 * input.c - a file or standard input, uncompressed by what its first bytes say.
 *
 * gzip may have several members and zstd several frames, as `cat` of two files has. An input that
 * ends within one is damaged: half a pinset must not look like a whole one.
 */
#include "cli/cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define BLOCK_BYTES 65536u
#define HEAD_BYTES 65536u
#define ZSTD_WINDOW_LOG_MAX 27 /* 128 MiB, what the zstd tool takes without being asked */

enum form {
	FORM_PLAIN,
	FORM_GZIP,
	FORM_ZSTD,
};

struct cli_input {
	int fd;
	bool owns_fd;
	bool at_end;    /* of the file */
	bool is_within; /* a member or frame is begun and not ended */
	enum form form;
	const char *path; /* for messages */
	uint64_t size;    /* of the file, 0 unknown */
	struct timespec modified;
	struct timespec changed; /* which nobody can set */
	uint64_t inode;
	uint64_t position;          /* bytes of the file that were read */
	uint8_t block[BLOCK_BYTES]; /* as stored */
	size_t block_at;
	size_t block_length;
	uint8_t head[HEAD_BYTES]; /* uncompressed, looked at before it is read */
	size_t head_at;
	size_t head_length;
	z_stream gzip;
	ZSTD_DStream *zstd;
};

/* Fills the block up to its end or the file's. */
static int
block_fill(struct cli_input *input, struct zp_err *err)
{
	if (input->block_at > 0) {
		memmove(input->block, input->block + input->block_at,
		    input->block_length - input->block_at);
		input->block_length -= input->block_at;
		input->block_at = 0;
	}
	while (!input->at_end && input->block_length < 4) {
		ssize_t length = read(input->fd, input->block + input->block_length,
		    BLOCK_BYTES - input->block_length);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return zp_fail_errno(err, errno, "read %s", input->path);
		input->at_end = length == 0;
		input->block_length += (size_t)length;
		input->position += (uint64_t)length;
	}
	return 0;
}

/* ---- The three forms: each reads what it can and says how much ------------------------------ */

static int
plain_read(struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out)
{
	size_t length = zp_min_u64(bytes, input->block_length - input->block_at);

	memcpy(to, input->block + input->block_at, length);
	input->block_at += length;
	*length_out = length;
	return 0;
}

static int
gzip_read(
    struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	z_stream *gzip = &input->gzip;
	int state;

	gzip->next_in = input->block + input->block_at;
	gzip->avail_in = (uInt)(input->block_length - input->block_at);
	gzip->next_out = to;
	gzip->avail_out = (uInt)zp_min_u64(bytes, 1u << 30);
	*length_out = gzip->avail_out;
	state = inflate(gzip, Z_NO_FLUSH);
	input->block_at = input->block_length - gzip->avail_in;
	*length_out -= gzip->avail_out;
	input->is_within = state != Z_STREAM_END;
	if (state == Z_STREAM_END)
		state = inflateReset(gzip);
	if (state == Z_OK || state == Z_BUF_ERROR)
		return 0;
	return zp_fail(err, ZP_E_CORRUPT, "%s: damaged gzip data (%s)", input->path,
	    gzip->msg != NULL ? gzip->msg : "no reason given");
}

static int
zstd_read(
    struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	ZSTD_inBuffer in = {input->block, input->block_length, input->block_at};
	ZSTD_outBuffer out = {to, bytes, 0};
	size_t state = ZSTD_decompressStream(input->zstd, &out, &in);

	if (ZSTD_isError(state))
		return zp_fail(err, ZP_E_CORRUPT, "%s: damaged zstd data (%s)", input->path,
		    ZSTD_getErrorName(state));
	input->block_at = in.pos;
	input->is_within = state != 0;
	*length_out = out.pos;
	return 0;
}

static int
form_read(
    struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	if (input->form == FORM_GZIP)
		return gzip_read(input, to, bytes, length_out, err);
	if (input->form == FORM_ZSTD)
		return zstd_read(input, to, bytes, length_out, err);
	return plain_read(input, to, bytes, length_out);
}

/* Reads until some bytes came out or the input ended, which must be between members. */
static int
uncompressed_read(
    struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	size_t length = 0;

	while (length == 0) {
		size_t before;
		int rc = 0;

		if (input->block_at == input->block_length)
			rc = block_fill(input, err);
		if (rc < 0)
			return rc;
		before = input->block_at;
		if (input->block_at == input->block_length && !input->is_within)
			break;
		rc = form_read(input, to, bytes, &length, err);
		if (rc < 0)
			return rc;
		if (length == 0 && input->at_end && input->block_at == before && input->is_within)
			return zp_fail(
			    err, ZP_E_CORRUPT, "%s: compressed data ends too early", input->path);
	}
	*length_out = length;
	return 0;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static int
form_detect(struct cli_input *input, struct zp_err *err)
{
	static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	int rc = block_fill(input, err);

	if (rc < 0)
		return rc;
	if (input->block_length >= 2 && input->block[0] == 0x1f && input->block[1] == 0x8b) {
		input->form = FORM_GZIP;
		if (inflateInit2(&input->gzip, 15 + 16) != Z_OK)
			return zp_fail(err, ZP_E_MEMORY, "zlib can't begin");
	} else if (input->block_length >= 4 && memcmp(input->block, zstd_magic, 4) == 0) {
		input->zstd = ZSTD_createDStream();
		if (input->zstd == NULL)
			return zp_fail(err, ZP_E_MEMORY, "libzstd can't begin");
		input->form = FORM_ZSTD;
		ZSTD_DCtx_setParameter(input->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	}
	return 0;
}

int
cli__input_open(const char *path, struct cli_input **input_out, struct zp_err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	struct cli_input *input;
	struct stat facts;
	int rc;

	if (fd < 0 && errno == ENOENT) /* a slip in the call, and no pin that is not there */
		return zp_fail(err, ZP_E_INVALID, "read %s: %s", path, strerror(errno));
	if (fd < 0)
		return zp_fail_errno(err, errno, "read %s", path);
	input = zp_alloc_zero(1, sizeof(*input));
	input->fd = fd;
	input->owns_fd = !is_stdin;
	input->path = is_stdin ? "standard input" : path;
	if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0) {
		input->size = (uint64_t)facts.st_size;
		input->modified = facts.st_mtim;
		input->changed = facts.st_ctim;
		input->inode = facts.st_ino;
	}
	rc = form_detect(input, err);
	if (rc < 0) {
		cli__input_close(input);
		return rc;
	}
	*input_out = input;
	return 0;
}

int
cli__input_peek(struct cli_input *input, struct zp_slice *head_out, struct zp_err *err)
{
	while (input->head_length < HEAD_BYTES) {
		size_t length;
		int rc = uncompressed_read(input, input->head + input->head_length,
		    HEAD_BYTES - input->head_length, &length, err);

		if (rc < 0)
			return rc;
		if (length == 0)
			break;
		input->head_length += length;
	}
	*head_out = (struct zp_slice){input->head, input->head_length};
	return 0;
}

int
cli__input_read(
    struct cli_input *input, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	size_t length = zp_min_u64(bytes, input->head_length - input->head_at);

	if (length == 0)
		return uncompressed_read(input, to, bytes, length_out, err);
	memcpy(to, input->head + input->head_at, length);
	input->head_at += length;
	*length_out = length;
	return 0;
}

/*
 * Two exports of one pinset may begin alike and go on differently, also with the same length, and a
 * time of modification can be set. So the name has what the file system changes with every write:
 * then a file that could have changed is never taken for the same. A copy is not known again
 * either, nor a file that was renamed: all of it is read again then, which costs time and loses
 * nothing.
 */
int
cli__input_name(struct cli_input *input, char name_out[33], bool *is_file_out, struct zp_err *err)
{
	struct zp_slice head;
	struct zp_hash128 hash;
	uint64_t facts[7];
	int rc = cli__input_peek(input, &head, err);

	if (rc < 0)
		return rc;
	facts[0] = zp_hash64(head.data, head.length, 0);
	facts[1] = input->size;
	facts[2] = (uint64_t)input->modified.tv_sec;
	facts[3] = (uint64_t)input->modified.tv_nsec;
	facts[4] = (uint64_t)input->changed.tv_sec;
	facts[5] = (uint64_t)input->changed.tv_nsec;
	facts[6] = input->inode;
	hash = zp_hash128_of(facts, sizeof(facts));
	snprintf(name_out, 33, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
	*is_file_out = input->size > 0;
	return 0;
}

double
cli__input_share(const struct cli_input *input)
{
	uint64_t used = input->position - (input->block_length - input->block_at);

	if (input->size == 0)
		return -1;
	return used >= input->size ? 1 : (double)used / (double)input->size;
}

/* Takes what belongs to line `number` out of a block; `line` is the one that the block begins in.
 */
static uint64_t
line_take(struct zp_slice block, uint64_t line, uint64_t number, struct zp_buf *text)
{
	for (size_t i = 0; i < block.length && line <= number; i++) {
		if (block.data[i] == '\n')
			line++;
		else if (line == number)
			zp_buf_append_byte(text, block.data[i]);
	}
	return line;
}

int
cli__input_line(const char *path, uint64_t number, struct zp_buf *text, struct zp_err *err)
{
	struct cli_input *input;
	uint64_t line = 1;
	size_t length = 1;
	int rc = cli__input_open(path, &input, err);

	if (rc < 0)
		return rc;
	while (rc == 0 && length > 0 && line <= number) {
		uint8_t block[16384];

		rc = cli__input_read(input, block, sizeof(block), &length, err);
		if (rc == 0)
			line = line_take((struct zp_slice){block, length}, line, number, text);
	}
	if (rc == 0 && line < number)
		rc = zp_fail(err, ZP_E_NOT_FOUND, "%s has no line %" PRIu64, path, number);
	cli__input_close(input);
	return rc;
}

void
cli__input_close(struct cli_input *input)
{
	if (input == NULL)
		return;
	if (input->form == FORM_GZIP)
		inflateEnd(&input->gzip);
	ZSTD_freeDStream(input->zstd);
	if (input->owns_fd)
		close(input->fd);
	zp_free(input);
}
