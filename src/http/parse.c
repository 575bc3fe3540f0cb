/*
 * parse.c - the head of a request: bytes in, spans out.
 *
 * Flow:  connection.c hands over what has arrived until the head is complete or wrong.
 * Owner: nobody; pure. No allocation: the head keeps offsets into the bytes.
 *
 * Strict on purpose. Whatever RFC 9112 says to reject, and whatever two parsers could read
 * differently, is an error: a proxy in front of us that reads it the other way is how requests are
 * smuggled. Line ends are CR LF; no folding; one length, once, in digits; one coding: "chunked".
 */
#include "http/http_internal.h"

#include <strings.h>

/* clang-format off */

/* 1: may stand in a token (RFC 9110 section 5.6.2). */
static const uint8_t token_bytes[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
    ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1,
};

/* 1: may stand in the host of an authority, outside of brackets (RFC 3986 section 3.2.2). */
static const uint8_t host_bytes[256] = {
    ['!'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['('] = 1, [')'] = 1, ['*'] = 1,
    ['+'] = 1, [','] = 1, ['-'] = 1, ['.'] = 1, [';'] = 1, ['='] = 1, ['_'] = 1, ['~'] = 1,
    ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1,
};

/* clang-format on */

static const struct {
	const char *name;
	uint8_t length;
	uint8_t method;
} methods[] = {
    {"GET", 3, ZP_HTTP_GET},
    {"POST", 4, ZP_HTTP_POST},
    {"HEAD", 4, ZP_HTTP_HEAD},
    {"DELETE", 6, ZP_HTTP_DELETE},
    {"PUT", 3, ZP_HTTP_PUT},
    {"OPTIONS", 7, ZP_HTTP_OPTIONS},
    {"PATCH", 5, ZP_HTTP_PATCH},
};

bool
http__is_token(uint8_t byte)
{
	return token_bytes[byte] != 0;
}

bool
http__is_text(uint8_t byte)
{
	return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

bool
http__text_equal(const uint8_t *text, size_t length, const char *name)
{
	return strlen(name) == length && strncasecmp((const char *)text, name, length) == 0;
}

void
http__head_reset(struct http_head *head)
{
	memset(head, 0, offsetof(struct http_head, fields));
}

static struct http_span
span_of(size_t from, size_t to)
{
	return (struct http_span){.offset = (uint16_t)from, .length = (uint16_t)(to - from)};
}

/* All of [from, to) may stand in a header's value. */
static bool
text_is_valid(const uint8_t *data, size_t from, size_t to)
{
	const uint64_t ones = 0x0101010101010101ull;
	const uint64_t highs = 0x8080808080808080ull;

	/* Eight at a time: is any byte under 0x20, or 0x7f? False alarms are sorted out below. */
	for (; to - from >= 8; from += 8) {
		uint64_t word = zp_load_u64le(data + from);
		uint64_t delete = word ^ (ones * 0x7f);
		uint64_t control = (word - ones * 0x20) & ~word;

		if (((control | ((delete - ones) & ~delete)) & highs) != 0)
			for (size_t i = from; i < from + 8; i++)
				if (!http__is_text(data[i]))
					return false;
	}
	for (; from < to; from++)
		if (!http__is_text(data[from]))
			return false;
	return true;
}

/* host [":" port], as in a Host header: an empty host is allowed by its grammar. */
static bool
host_is_valid(const uint8_t *data, size_t from, size_t to)
{
	if (from < to && data[from] == '[') {
		for (from++; from < to && data[from] != ']'; from++)
			if (strchr("0123456789abcdefABCDEF:.", data[from]) == NULL ||
			    data[from] == 0)
				return false;
		if (from == to)
			return false;
		from++;
	} else {
		while (from < to && host_bytes[data[from]])
			from++;
	}
	if (from == to)
		return true;
	if (data[from] != ':' || to - from > 6)
		return false;
	for (from++; from < to; from++)
		if (data[from] < '0' || data[from] > '9')
			return false;
	return true;
}

static uint8_t
method_of(const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < ZP_ARRAY_COUNT(methods); i++)
		if (methods[i].length == length && memcmp(methods[i].name, data, length) == 0)
			return methods[i].method;
	return ZP_HTTP_OTHER;
}

/* "http://authority" in front of the path. *path_out is where that begins. 0 or minus a status. */
static int
absolute_parse(
    struct http_head *head, const uint8_t *data, size_t from, size_t to, size_t *path_out)
{
	size_t end;

	if (to - from > 7 && strncasecmp((const char *)data + from, "http://", 7) == 0)
		from += 7;
	else if (to - from > 8 && strncasecmp((const char *)data + from, "https://", 8) == 0)
		from += 8;
	else
		return -400;
	for (end = from; end < to && data[end] != '/' && data[end] != '?'; end++)
		;
	if (end == from || data[from] == ':' || !host_is_valid(data, from, end))
		return -400;
	head->host = span_of(from, end);
	head->is_absolute = true;
	*path_out = end;
	return 0;
}

/* The target is [from, to). */
static int
target_parse(struct http_head *head, const uint8_t *data, size_t from, size_t to)
{
	size_t path = from;
	const uint8_t *mark;
	int rc;

	/* Bytes above ASCII should be escaped, but curl sends a UTF-8 name as it is typed. */
	for (size_t i = from; i < to; i++)
		if (data[i] <= 0x20 || data[i] == 0x7f || data[i] == '#')
			return -400;
	head->target = span_of(from, to);
	if (data[from] == '*') {
		head->path = head->target;
		return to - from == 1 && head->method == ZP_HTTP_OPTIONS ? 0 : -400;
	}
	if (data[from] != '/') {
		rc = absolute_parse(head, data, from, to, &path);
		if (rc < 0)
			return rc;
	}
	mark = memchr(data + path, '?', to - path);
	if (mark == NULL) {
		head->path = span_of(path, to);
	} else {
		head->path = span_of(path, (size_t)(mark - data));
		head->query = span_of((size_t)(mark - data) + 1, to);
	}
	return 0;
}

/* "HTTP/1.1". Wrong text is 400; right text with another number is 505. */
static int
version_parse(struct http_head *head, const uint8_t *text, size_t length)
{
	if (length != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.')
		return -400;
	if (text[5] < '0' || text[5] > '9' || text[7] < '0' || text[7] > '9')
		return -400;
	if (text[5] != '1' || text[7] > '1')
		return -505;
	head->is_http_1_1 = text[7] == '1';
	return 0;
}

/* method SP target SP version, each once. */
static int
request_line_parse(struct http_head *head, const uint8_t *data, size_t from, size_t to)
{
	size_t method_end = from;
	const uint8_t *space;
	size_t target_end;
	int rc;

	while (method_end < to && token_bytes[data[method_end]])
		method_end++;
	if (method_end == from || method_end == to || data[method_end] != ' ')
		return -400;
	if (method_end - from > HTTP_METHOD_BYTES_MAX)
		return -501;
	head->method_text = span_of(from, method_end);
	head->method = method_of(data + from, method_end - from);
	space = memchr(data + method_end + 1, ' ', to - method_end - 1);
	if (space == NULL)
		return -400;
	target_end = (size_t)(space - data);
	if (target_end == method_end + 1)
		return -400;
	rc = version_parse(head, space + 1, to - target_end - 1);
	if (rc < 0)
		return rc;
	/* We are no proxy; its authority-form target is of no use to anybody else. */
	if (method_end - from == 7 && memcmp(data + from, "CONNECT", 7) == 0)
		return -501;
	return target_parse(head, data, method_end + 1, target_end);
}

static int
content_length_parse(struct http_head *head, const uint8_t *text, size_t length)
{
	uint64_t value = 0;

	/* Even two equal ones: RFC 9110 allows to reject, and then nobody can disagree on which. */
	if (head->has_length || length == 0)
		return -400;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -400;
		if (value > (uint64_t)INT64_MAX / 10 - 1)
			return -400;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	head->has_length = true;
	head->content_length = value;
	return 0;
}

static void
connection_parse(struct http_head *head, const uint8_t *text, size_t length)
{
	size_t at = 0;

	while (at < length) {
		size_t from = at;
		size_t to;

		while (at < length && text[at] != ',')
			at++;
		for (to = at; to > from && (text[to - 1] == ' ' || text[to - 1] == '\t'); to--)
			;
		while (from < to && (text[from] == ' ' || text[from] == '\t'))
			from++;
		if (http__text_equal(text + from, to - from, "close"))
			head->connection_close = true;
		else if (http__text_equal(text + from, to - from, "keep-alive"))
			head->connection_keep_alive = true;
		at++;
	}
}

/* What the server itself must understand. */
static int
field_understand(struct http_head *head, const uint8_t *data, struct http_field field)
{
	const uint8_t *name = data + field.name.offset;
	const uint8_t *value = data + field.value.offset;
	size_t length = field.value.length;

	if (http__text_equal(name, field.name.length, "host")) {
		if (head->has_host || !host_is_valid(value, 0, length))
			return -400;
		head->has_host = true;
		if (!head->is_absolute)
			head->host = field.value;
	} else if (http__text_equal(name, field.name.length, "content-length")) {
		return content_length_parse(head, value, length);
	} else if (http__text_equal(name, field.name.length, "transfer-encoding")) {
		if (head->has_coding)
			return -400;
		head->has_coding = true;
		head->is_chunked = http__text_equal(value, length, "chunked");
	} else if (http__text_equal(name, field.name.length, "connection")) {
		connection_parse(head, value, length);
	} else if (http__text_equal(name, field.name.length, "expect")) {
		if (http__text_equal(value, length, "100-continue"))
			head->expects_continue = true;
		else
			head->expects_other = true;
	}
	return 0;
}

static int
field_parse(struct http_head *head, const struct http_head_limits *limits, const uint8_t *data,
    size_t from, size_t to)
{
	struct http_field field;
	size_t colon = from;

	while (colon < to && token_bytes[data[colon]])
		colon++;
	/* White space before the colon, a folded line and an empty name all end here. */
	if (colon == from || colon == to || data[colon] != ':')
		return -400;
	if (head->field_count >= limits->headers_max)
		return -431;
	field.name = span_of(from, colon);
	for (from = colon + 1; from < to && (data[from] == ' ' || data[from] == '\t'); from++)
		;
	while (to > from && (data[to - 1] == ' ' || data[to - 1] == '\t'))
		to--;
	if (!text_is_valid(data, from, to))
		return -400;
	field.value = span_of(from, to);
	head->fields[head->field_count++] = field;
	/* The lengths of the names that matter; the rest need no look. */
	switch (field.name.length) {
	case 4:
	case 6:
	case 10:
	case 14:
	case 17:
		return field_understand(head, data, field);
	default:
		return 0;
	}
}

/* The rules that need the whole head. */
static int
head_check(struct http_head *head)
{
	if (head->is_http_1_1 && !head->has_host)
		return -400;
	if (head->has_coding && (head->has_length || !head->is_http_1_1))
		return -400;
	if (head->has_coding && !head->is_chunked)
		return -501;
	if (!head->is_http_1_1)
		head->expects_continue = false;
	else if (head->expects_other)
		return -417;
	return 0;
}

/* One line without its end, [from, to). Returns 1 when it was the head's last, 0, or an error. */
static int
line_parse(struct http_head *head, const struct http_head_limits *limits, const uint8_t *data,
    size_t from, size_t to)
{
	int rc;

	if (head->stage == HTTP_STAGE_FIELDS) {
		if (from < to)
			return field_parse(head, limits, data, from, to);
		rc = head_check(head);
		return rc < 0 ? rc : 1;
	}
	if (from == to) {
		/* Some old clients send one after a body. */
		if (head->skipped_line)
			return -400;
		head->skipped_line = true;
		return 0;
	}
	head->stage = HTTP_STAGE_FIELDS;
	return request_line_parse(head, data, from, to);
}

int
http__head_parse(struct http_head *head, const struct http_head_limits *limits, const uint8_t *data,
    size_t length)
{
	size_t limit = zp_min_u64(length, limits->head_bytes_max);

	ZP_ASSERT(head->stage != HTTP_STAGE_DONE);
	ZP_ASSERT(limits->headers_max <= ZP_HTTP_HEADERS_MAX);
	if (head->stage == HTTP_STAGE_START && length > 0) {
		/* What can't become a request, as a TLS greeting, is told at once. */
		if (!token_bytes[data[0]] && data[0] != '\r')
			return -400;
		head->stage = HTTP_STAGE_LINE;
	}
	for (;;) {
		const uint8_t *end = memchr(data + head->scanned, '\n', limit - head->scanned);
		size_t to;
		int rc;

		if (end == NULL) {
			head->scanned = (uint16_t)limit;
			if (length < limits->head_bytes_max)
				return 0;
			return head->stage == HTTP_STAGE_FIELDS ? -431 : -414;
		}
		to = (size_t)(end - data);
		if (to == head->line_start || data[to - 1] != '\r')
			return -400;
		rc = line_parse(head, limits, data, head->line_start, to - 1);
		if (rc < 0)
			return rc;
		if (rc > 0) {
			head->stage = HTTP_STAGE_DONE;
			head->length = (uint16_t)(to + 1);
			return head->length;
		}
		head->line_start = (uint16_t)(to + 1);
		head->scanned = head->line_start;
	}
}
