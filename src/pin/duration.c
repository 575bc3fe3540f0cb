/*
 * duration.c - Go's time.ParseDuration.
 *
 * Flow: expire-in of queries, durations of the configuration. Owner: none; no state.
 */
#include "pin/pin_internal.h"

struct unit {
	const char *name;
	uint64_t nanoseconds;
};

static const struct unit units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* micro sign */
    {"\xce\xbcs", 1000}, /* Greek mu */
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60ull * 1000000000},
    {"h", 3600ull * 1000000000},
};

struct duration_reader {
	const uint8_t *at;
	const uint8_t *end;
};

static bool
is_digit(const struct duration_reader *reader)
{
	return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* Whole digits before the point; false when over 2^63. */
static bool
read_whole(struct duration_reader *reader, uint64_t *value_out)
{
	uint64_t value = 0;

	for (; is_digit(reader); reader->at++) {
		if (value > (1ull << 63) / 10)
			return false;
		value = value * 10 + (uint64_t)(*reader->at - '0');
		if (value > 1ull << 63)
			return false;
	}
	*value_out = value;
	return true;
}

/* Digits behind the point as value / *scale_out; those that no longer fit are dropped, as in Go. */
static uint64_t
read_fraction(struct duration_reader *reader, double *scale_out)
{
	uint64_t value = 0;
	double scale = 1;
	bool is_full = false;

	for (; is_digit(reader); reader->at++) {
		uint64_t next;

		if (is_full || value > ((1ull << 63) - 1) / 10) {
			is_full = true;
			continue;
		}
		next = value * 10 + (uint64_t)(*reader->at - '0');
		if (next > 1ull << 63) {
			is_full = true;
			continue;
		}
		value = next;
		scale *= 10;
	}
	*scale_out = scale;
	return value;
}

static const struct unit *
read_unit(struct duration_reader *reader, struct zp_slice *name_out)
{
	const uint8_t *start = reader->at;

	while (reader->at < reader->end && *reader->at != '.' && !is_digit(reader))
		reader->at++;
	*name_out = (struct zp_slice){.data = start, .length = (size_t)(reader->at - start)};
	for (size_t i = 0; i < ZP_ARRAY_COUNT(units); i++) {
		if (zp_slice_is(*name_out, units[i].name))
			return &units[i];
	}
	return NULL;
}

static int
fail_invalid(struct zp_slice text, struct zp_err *err)
{
	struct zp_quoted quoted;

	return zp_fail(
	    err, ZP_E_INVALID, "time: invalid duration %s", zp_quote(text, ZP_QUOTE_TIME, &quoted));
}

/* One "1.5h" is added to *total. */
static int
read_part(struct duration_reader *reader, struct zp_slice text, uint64_t *total, struct zp_err *err)
{
	const uint8_t *start = reader->at;
	struct zp_quoted whole_text, unit_text;
	uint64_t whole, fraction = 0;
	const struct unit *unit;
	struct zp_slice name;
	size_t digits;
	double scale = 1;

	if (!read_whole(reader, &whole))
		return fail_invalid(text, err);
	digits = (size_t)(reader->at - start);
	if (reader->at < reader->end && *reader->at == '.') {
		start = ++reader->at;
		fraction = read_fraction(reader, &scale);
		digits += (size_t)(reader->at - start);
	}
	if (digits == 0)
		return fail_invalid(text, err);
	unit = read_unit(reader, &name);
	if (name.length == 0)
		return zp_fail(err, ZP_E_INVALID, "time: missing unit in duration %s",
		    zp_quote(text, ZP_QUOTE_TIME, &whole_text));
	if (unit == NULL)
		return zp_fail(err, ZP_E_INVALID, "time: unknown unit %s in duration %s",
		    zp_quote(name, ZP_QUOTE_TIME, &unit_text),
		    zp_quote(text, ZP_QUOTE_TIME, &whole_text));
	if (whole > (1ull << 63) / unit->nanoseconds)
		return fail_invalid(text, err);
	whole *= unit->nanoseconds;
	if (fraction > 0) /* a double, as in Go: below a nanosecond it need not be exact */
		whole += (uint64_t)((double)fraction * ((double)unit->nanoseconds / scale));
	if (whole > 1ull << 63 || *total + whole > 1ull << 63)
		return fail_invalid(text, err);
	*total += whole;
	return ZP_OK;
}

int
zp_duration_parse(struct zp_slice text, int64_t *nanoseconds_out, struct zp_err *err)
{
	struct duration_reader reader;
	bool is_negative = false;
	uint64_t total = 0;

	if (text.length == 0)
		return fail_invalid(text, err);
	reader = (struct duration_reader){.at = text.data, .end = text.data + text.length};
	if (*reader.at == '-' || *reader.at == '+')
		is_negative = *reader.at++ == '-';
	if (reader.end - reader.at == 1 && *reader.at == '0') {
		*nanoseconds_out = 0;
		return ZP_OK;
	}
	if (reader.at == reader.end)
		return fail_invalid(text, err);
	while (reader.at < reader.end) {
		int rc = read_part(&reader, text, &total, err);

		if (rc < 0)
			return rc;
	}
	if (!is_negative && total > INT64_MAX)
		return fail_invalid(text, err);
	*nanoseconds_out = (int64_t)(is_negative ? 0 - total : total);
	return ZP_OK;
}
