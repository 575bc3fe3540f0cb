/*
 * config_value.c - one value: text in, text out, and its end.
 *
 * Flow: config_read.c (YAML and environment) fills values through here; config_show.c prints them.
 * Texts come from operators: whatever is wrong with them is an error that says what would be right.
 */
#include "main/config_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "pin/pin.h"

/* ---- Numbers -------------------------------------------------------------------------------- */

/* Decimal digits with an optional sign, then whatever `rest_out` points at. */
static int
number_parse(const char *text, int64_t *value_out, const char **rest_out, struct zp_err *err)
{
	char *rest;
	long long value;

	if (!isdigit((unsigned char)text[0]) &&
	    !(text[0] == '-' && isdigit((unsigned char)text[1])))
		return zp_fail(err, ZP_E_INVALID, "\"%s\" is not a number", text);
	errno = 0;
	value = strtoll(text, &rest, 10);
	if (errno == ERANGE)
		return zp_fail(err, ZP_E_INVALID, "\"%s\" is too large a number", text);
	*value_out = value;
	*rest_out = rest;
	return 0;
}

static const struct {
	const char *name;
	int64_t bytes;
} size_units[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", INT64_C(1) << 30},
    {"MiB", INT64_C(1) << 20},
    {"KiB", INT64_C(1) << 10},
    {"TB", INT64_C(1000000000000)},
    {"GB", INT64_C(1000000000)},
    {"MB", INT64_C(1000000)},
    {"kB", INT64_C(1000)},
    {"B", 1},
    {"", 1},
};

static int
size_parse(const char *text, int64_t *bytes_out, struct zp_err *err)
{
	const char *unit;
	int64_t value;
	int rc = number_parse(text, &value, &unit, NULL);

	if (rc < 0)
		return zp_fail(
		    err, ZP_E_INVALID, "\"%s\" is not a size such as 64MiB or 1GiB", text);
	while (*unit == ' ')
		unit++;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(size_units); i++) {
		if (strcmp(unit, size_units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, size_units[i].bytes, bytes_out))
			return zp_fail(err, ZP_E_INVALID, "\"%s\" is too large a size", text);
		return 0;
	}
	return zp_fail(err, ZP_E_INVALID,
	    "\"%s\" is not a size: the units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB", text);
}

/* In the unit, of 1024s or of 1000s, that leaves the smallest whole number. */
void
config__size_format(uint64_t bytes, struct zp_buf *text)
{
	size_t best = ZP_ARRAY_COUNT(size_units) - 1;

	for (size_t i = 0; bytes > 0 && i < ZP_ARRAY_COUNT(size_units); i++) {
		uint64_t unit = (uint64_t)size_units[i].bytes;

		if (bytes % unit == 0 && unit > (uint64_t)size_units[best].bytes)
			best = i;
	}
	zp_buf_printf(
	    text, "%" PRIu64 "%s", bytes / (uint64_t)size_units[best].bytes, size_units[best].name);
}

void
config__duration_format(int64_t nanoseconds, struct zp_buf *text)
{
	static const struct {
		const char *name;
		int64_t nanoseconds;
	} units[] = {{"h", 3600 * CONFIG_SECOND}, {"m", 60 * CONFIG_SECOND}, {"s", CONFIG_SECOND},
	    {"ms", CONFIG_SECOND / 1000}, {"us", CONFIG_SECOND / 1000000}, {"ns", 1}};

	if (nanoseconds == 0) {
		zp_buf_append_text(text, "0s");
		return;
	}
	for (size_t i = 0; i < ZP_ARRAY_COUNT(units); i++) {
		if (nanoseconds % units[i].nanoseconds == 0) {
			zp_buf_printf(text, "%" PRId64 "%s", nanoseconds / units[i].nanoseconds,
			    units[i].name);
			return;
		}
	}
}

static void
number_format(enum config_type type, int64_t value, struct zp_buf *text)
{
	if (type == CONFIG_SIZE)
		config__size_format((uint64_t)value, text);
	else if (type == CONFIG_DURATION)
		config__duration_format(value, text);
	else
		zp_buf_append_decimal(text, value);
}

/* Any of the four kinds of number, within the key's range. */
static int
number_of_key(
    const struct config_key *key, const char *text, int64_t *value_out, struct zp_err *err)
{
	ZP_AUTO_BUF(range, 128);
	const char *rest = "";
	int64_t value = 0;
	int rc;

	if (key->type == CONFIG_SIZE)
		rc = size_parse(text, &value, err);
	else if (key->type == CONFIG_DURATION)
		rc = zp_duration_parse(zp_slice_of(text), &value, err);
	else
		rc = number_parse(text, &value, &rest, err);
	if (rc < 0 && key->type == CONFIG_DURATION)
		return zp_fail(err, rc, "\"%s\" is not a duration such as 30s, 5m or 1h30m", text);
	if (rc < 0)
		return rc;
	if (*rest != '\0')
		return zp_fail(err, ZP_E_INVALID, "\"%s\" is not a whole number", text);
	if (value >= key->min && value <= key->max) {
		*value_out = value;
		return 0;
	}
	number_format(key->type, key->min, &range);
	zp_buf_append_text(&range, " to ");
	number_format(key->type, key->max, &range);
	return zp_fail(err, ZP_E_INVALID, "%s is out of range, which is %.*s", text,
	    (int)range.length, range.data);
}

/* ---- Words ---------------------------------------------------------------------------------- */

static int
bool_parse(const char *text, bool *value_out, struct zp_err *err)
{
	bool is_true = strcmp(text, "true") == 0;

	if (!is_true && strcmp(text, "false") != 0)
		return zp_fail(err, ZP_E_INVALID, "\"%s\" is neither true nor false", text);
	*value_out = is_true;
	return 0;
}

static int
choice_parse(const char *choices, const char *text, int64_t *value_out, struct zp_err *err)
{
	const char *at = choices;

	for (int64_t i = 0; *at != '\0'; i++) {
		size_t length = strcspn(at, "|");

		if (strlen(text) == length && memcmp(at, text, length) == 0) {
			*value_out = i;
			return 0;
		}
		at += length + (at[length] == '|');
	}
	return zp_fail(err, ZP_E_INVALID, "\"%s\" is none of %s", text, choices);
}

/* ---- Addresses ------------------------------------------------------------------------------ */

/* Host names are refused: whether one is public isn't known before each look-up. */
static int
host_parse(const char *host, struct zp_config_address *address, struct zp_err *err)
{
	uint8_t bytes[16];

	if (strcmp(host, "*") == 0)
		host = "::";
	else if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, bytes) == 1) {
		address->is_loopback = bytes[0] == 127;
	} else if (inet_pton(AF_INET6, host, bytes) == 1) {
		static const uint8_t loopback[16] = {[15] = 1};

		address->is_loopback = memcmp(bytes, loopback, sizeof(loopback)) == 0;
	} else {
		return zp_fail(
		    err, ZP_E_INVALID, "\"%s\" is not a numeric address, localhost or *", host);
	}
	ZP_ASSERT(strlen(host) < sizeof(address->host));
	memcpy(address->host, host, strlen(host) + 1);
	return 0;
}

static int
address_parse(const char *text, struct zp_config_address *address_out, struct zp_err *err)
{
	struct zp_config_address address = {0};
	char host[sizeof(address.host)];
	const char *colon = strrchr(text, ':');
	const char *rest = "";
	const char *begin = text;
	size_t length;
	int64_t port;
	int rc;

	if (colon == NULL || colon == text || number_parse(colon + 1, &port, &rest, NULL) < 0 ||
	    *rest != '\0')
		return zp_fail(err, ZP_E_INVALID,
		    "\"%s\" is not an address such as 127.0.0.1:9094 or [::1]:9094", text);
	if (port < 0 || port > UINT16_MAX)
		return zp_fail(
		    err, ZP_E_INVALID, "port of \"%s\" is out of range, which is 0 to 65535", text);
	length = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']') {
		begin++;
		length -= 2;
	} else if (memchr(text, ':', length) != NULL) {
		return zp_fail(err, ZP_E_INVALID,
		    "\"%s\" needs brackets around its IPv6 address: [::1]:9094", text);
	}
	if (length >= sizeof(host))
		return zp_fail(err, ZP_E_INVALID, "\"%s\" is too long an address", text);
	memcpy(host, begin, length);
	host[length] = '\0';
	rc = host_parse(host, &address, err);
	if (rc < 0)
		return rc;
	address.port = (uint16_t)port;
	*address_out = address;
	return 0;
}

static int
address_add(const char *text, struct zp_config_addresses *list, struct zp_err *err)
{
	struct zp_config_address address;
	int rc = address_parse(text, &address, err);

	if (rc == 0)
		rc = config__list_check(list->count, err);
	if (rc < 0)
		return rc;
	list->items = config__items_grow(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = address;
	return 0;
}

/* ---- The value of a key --------------------------------------------------------------------- */

static int
scalar_set(const struct config_key *key, const char *text, void *place, struct zp_err *err)
{
	int64_t number = 0;
	int rc;

	switch (key->type) {
	case CONFIG_BOOL:
		return bool_parse(text, place, err);
	case CONFIG_CHOICE:
		return choice_parse(key->choices, text, place, err);
	case CONFIG_INTEGER:
	case CONFIG_DURATION:
		return number_of_key(key, text, place, err);
	case CONFIG_COUNT:
	case CONFIG_SIZE:
		rc = number_of_key(key, text, &number, err);
		if (rc == 0)
			*(uint64_t *)place = (uint64_t)number;
		return rc;
	case CONFIG_ADDRESSES:
		return address_add(text, place, err);
	default:
		return zp_fail(err, ZP_E_INVALID, "needs a mapping, not one value");
	}
}

int
config__value_add(const struct config_key *key, struct zp_slice text, struct zp_config *config,
    struct zp_err *err)
{
	void *place = (char *)config + key->offset;
	char *copy;
	int rc = config__text_check(text, err);

	if (rc < 0)
		return rc;
	if (key->type == CONFIG_TEXTS)
		return config__text_add(text, place, err);
	if (key->type == CONFIG_TEXT || key->type == CONFIG_PATH) {
		config__text_replace(place, text);
		return 0;
	}
	copy = config__text_copy(text);
	rc = scalar_set(key, copy, place, err);
	zp_free(copy);
	return rc;
}

static struct zp_slice
trimmed(struct zp_slice text)
{
	while (text.length > 0 && text.data[0] == ' ') {
		text.data++;
		text.length--;
	}
	while (text.length > 0 && text.data[text.length - 1] == ' ')
		text.length--;
	return text;
}

int
config__value_add_list(const struct config_key *key, struct zp_slice text, struct zp_config *config,
    struct zp_err *err)
{
	struct zp_slice rest = trimmed(text);

	while (rest.length > 0) {
		const uint8_t *comma = memchr(rest.data, ',', rest.length);
		size_t length = comma == NULL ? rest.length : (size_t)(comma - rest.data);
		struct zp_slice item = {rest.data, length};
		int rc = config__value_add(key, trimmed(item), config, err);

		if (rc < 0)
			return rc;
		rest.data += length + (comma != NULL);
		rest.length -= length + (comma != NULL);
	}
	return 0;
}
