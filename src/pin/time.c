/*
 * time.c - RFC 3339 as Go's time package reads and prints it.
 *
 * Flow: timestamps and expiries in JSON and queries. Owner: none; no clock is read.
 *
 * Go is a little looser than RFC 3339 and clients may lean on it: the hour may have one digit, the
 * fraction may begin with a comma and have any number of digits, offsets go to 24:60.
 */
#include "pin/pin_internal.h"

#define SECONDS_PER_DAY 86400
#define TIME_MIN (-62167219200LL) /* 0000-01-01T00:00:00Z */
#define TIME_MAX 253402300799LL   /* 9999-12-31T23:59:59Z */

struct date {
	int64_t year;
	unsigned month; /* 1 to 12 */
	unsigned day;   /* 1 to 31 */
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar. Counts years from March, so that the
 * leap day is the last of its year, in eras of 400 years (Howard Hinnant, "chrono-compatible
 * low-level date algorithms"). */
static int64_t
days_of_date(struct date date)
{
	int64_t year = date.year + 400 - (date.month <= 2); /* never negative */
	int64_t era = year / 400;
	int64_t year_of_era = year % 400;
	int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;

	return (era - 1) * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static struct date
date_of_days(int64_t days)
{
	uint64_t shifted = (uint64_t)(days + 719468 + 146097); /* from the era before year 0 */
	uint64_t era = shifted / 146097;
	unsigned day_of_era = (unsigned)(shifted % 146097);
	unsigned year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned shifted_month = (5 * day_of_year + 2) / 153; /* 0 is March */
	struct date date;

	date.day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
	date.month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
	date.year = (int64_t)era * 400 + year_of_era - 400 + (date.month <= 2);
	return date;
}

static unsigned
days_of_month(struct date date)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);

	return days[date.month - 1] + (is_leap && date.month == 2);
}

/* ---- Reading -------------------------------------------------------------------------------- */

struct time_reader {
	struct zp_slice text; /* all of it, for messages */
	const uint8_t *at;
	const uint8_t *end;
	const char *failed; /* the part of the layout that did not fit, NULL while all did */
	const char *range;  /* what is out of range */
};

static bool
is_digit(const struct time_reader *reader, size_t offset)
{
	return (size_t)(reader->end - reader->at) > offset && reader->at[offset] >= '0' &&
	       reader->at[offset] <= '9';
}

static unsigned
read_digits(struct time_reader *reader, unsigned count, const char *layout)
{
	unsigned value = 0;

	for (unsigned i = 0; i < count; i++) {
		if (reader->failed != NULL || !is_digit(reader, i)) {
			if (reader->failed == NULL)
				reader->failed = layout;
			return 0;
		}
		value = value * 10 + (unsigned)(reader->at[i] - '0');
	}
	reader->at += count;
	return value;
}

static void
read_byte(struct time_reader *reader, char byte, const char *layout)
{
	if (reader->failed != NULL)
		return;
	if (reader->at == reader->end || *reader->at != byte)
		reader->failed = layout;
	else
		reader->at++;
}

static void
check_range(struct time_reader *reader, bool is_good, const char *what)
{
	if (reader->failed == NULL && reader->range == NULL && !is_good)
		reader->range = what;
}

/* Digits past the ninth are read over. */
static uint32_t
read_fraction(struct time_reader *reader)
{
	uint32_t nanoseconds = 0;
	uint32_t unit = 100000000;

	if (reader->failed != NULL || reader->at == reader->end ||
	    (*reader->at != '.' && *reader->at != ',') || !is_digit(reader, 1))
		return 0;
	for (reader->at++; is_digit(reader, 0); reader->at++, unit /= 10)
		nanoseconds += unit * (uint32_t)(*reader->at - '0');
	return nanoseconds;
}

/* Seconds east of UTC. */
static int64_t
read_offset(struct time_reader *reader)
{
	unsigned hours, minutes;
	bool is_west;

	if (reader->failed != NULL)
		return 0;
	if (reader->at < reader->end && *reader->at == 'Z') {
		reader->at++;
		return 0;
	}
	if (reader->end - reader->at < 6 || (*reader->at != '+' && *reader->at != '-')) {
		reader->failed = "Z07:00";
		return 0;
	}
	is_west = *reader->at++ == '-';
	hours = read_digits(reader, 2, "Z07:00");
	read_byte(reader, ':', "Z07:00");
	minutes = read_digits(reader, 2, "Z07:00");
	check_range(reader, hours <= 24, "time zone offset hour");
	check_range(reader, minutes <= 60, "time zone offset minute");
	return (is_west ? -1 : 1) * (int64_t)(hours * 60 + minutes) * 60;
}

static int
reader_check(const struct time_reader *reader, struct zp_err *err)
{
	struct zp_slice rest = {reader->at, (size_t)(reader->end - reader->at)};
	struct zp_quoted whole, part;
	const char *text;

	if (reader->range == NULL && reader->failed == NULL && reader->at == reader->end)
		return ZP_OK;
	text = zp_quote(reader->text, ZP_QUOTE_TIME, &whole);
	/* A range is only looked at while nothing failed: it came first. */
	if (reader->range != NULL)
		return zp_fail(
		    err, ZP_E_INVALID, "parsing time %s: %s out of range", text, reader->range);
	if (reader->failed != NULL)
		return zp_fail(err, ZP_E_INVALID,
		    "parsing time %s as \"2006-01-02T15:04:05Z07:00\": cannot parse %s as \"%s\"",
		    text, zp_quote(rest, ZP_QUOTE_TIME, &part), reader->failed);
	return zp_fail(err, ZP_E_INVALID, "parsing time %s: extra text: %s", text,
	    zp_quote(rest, ZP_QUOTE_TIME, &part));
}

/* Two digits; *bad is not 0 any more where one is none. */
static inline unsigned
two_digits(const uint8_t *at, unsigned *bad)
{
	unsigned tens = (unsigned)at[0] - '0', ones = (unsigned)at[1] - '0';

	*bad |= (tens > 9) | (ones > 9);
	return tens * 10 + ones;
}

/* The form that nearly all have: 2006-01-02T15:04:05Z. False: the text is looked at part by part.
 */
static bool
usual_parse(struct zp_slice text, int64_t *seconds_out)
{
	const uint8_t *at = text.data;
	unsigned hour, minute, second, bad = 0;
	struct date date;

	if (text.length != 20 || at[4] != '-' || at[7] != '-' || at[10] != 'T' || at[13] != ':' ||
	    at[16] != ':' || at[19] != 'Z')
		return false;
	date.year = two_digits(at, &bad) * 100 + two_digits(at + 2, &bad);
	date.month = two_digits(at + 5, &bad);
	date.day = two_digits(at + 8, &bad);
	hour = two_digits(at + 11, &bad);
	minute = two_digits(at + 14, &bad);
	second = two_digits(at + 17, &bad);
	if (bad != 0 || date.month < 1 || date.month > 12 || date.day < 1 ||
	    date.day > days_of_month(date) || hour > 23 || minute > 59 || second > 59)
		return false;
	*seconds_out = days_of_date(date) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
	return true;
}

int
zp_time_parse(
    struct zp_slice text, int64_t *seconds_out, uint32_t *nanoseconds_out, struct zp_err *err)
{
	const uint8_t *start = text.length > 0 ? text.data : (const uint8_t *)"";
	struct time_reader reader = {.text = text, .at = start, .end = start + text.length};
	unsigned hour, minute, second;
	uint32_t nanoseconds;
	struct date date;
	int64_t seconds;
	int rc;

	if (usual_parse(text, seconds_out)) {
		*nanoseconds_out = 0;
		return ZP_OK;
	}
	date.year = read_digits(&reader, 4, "2006");
	read_byte(&reader, '-', "-");
	date.month = read_digits(&reader, 2, "01");
	check_range(&reader, date.month >= 1 && date.month <= 12, "month");
	read_byte(&reader, '-', "-");
	date.day = read_digits(&reader, 2, "02");
	read_byte(&reader, 'T', "T");
	hour = read_digits(&reader, is_digit(&reader, 1) ? 2 : 1, "15");
	check_range(&reader, hour < 24, "hour");
	read_byte(&reader, ':', ":");
	minute = read_digits(&reader, 2, "04");
	check_range(&reader, minute < 60, "minute");
	read_byte(&reader, ':', ":");
	second = read_digits(&reader, 2, "05");
	check_range(&reader, second < 60, "second");
	nanoseconds = read_fraction(&reader);
	seconds = -read_offset(&reader);
	if (reader.failed == NULL && reader.range == NULL)
		check_range(&reader, date.day >= 1 && date.day <= days_of_month(date), "day");
	rc = reader_check(&reader, err);
	if (rc < 0)
		return rc;
	seconds += days_of_date(date) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
	if (!pin__time_is_printable(seconds))
		return zp_fail(err, ZP_E_INVALID, "time \"%.*s\": year outside of range [0,9999]",
		    pin__shown(text), text.data);
	*seconds_out = seconds;
	*nanoseconds_out = nanoseconds;
	return ZP_OK;
}

/* ---- Printing ------------------------------------------------------------------------------- */

bool
pin__time_is_printable(int64_t seconds)
{
	return seconds >= TIME_MIN && seconds <= TIME_MAX;
}

static uint8_t *
print_two(uint8_t *to, unsigned value, char after)
{
	to[0] = (uint8_t)('0' + value / 10);
	to[1] = (uint8_t)('0' + value % 10);
	to[2] = (uint8_t)after;
	return to + 3;
}

size_t
pin__time_print(int64_t seconds, uint32_t nanoseconds, uint8_t *to)
{
	/* From year 0 on, so that no division is of a negative number. */
	uint64_t since_min = seconds < TIME_MIN   ? 0
			     : seconds > TIME_MAX ? TIME_MAX - TIME_MIN
						  : (uint64_t)(seconds - TIME_MIN);
	unsigned second_of_day = (unsigned)(since_min % SECONDS_PER_DAY);
	struct date date =
	    date_of_days((int64_t)(since_min / SECONDS_PER_DAY) + TIME_MIN / SECONDS_PER_DAY);
	uint8_t *start = to;

	print_two(to, (unsigned)date.year / 100, '0');
	to = print_two(to + 2, (unsigned)date.year % 100, '-');
	to = print_two(to, date.month, '-');
	to = print_two(to, date.day, 'T');
	to = print_two(to, second_of_day / 3600, ':');
	to = print_two(to, second_of_day / 60 % 60, ':');
	to = print_two(to, second_of_day % 60, 'Z') - 1;
	if (nanoseconds > 0 && nanoseconds < 1000000000) {
		*to++ = '.';
		for (uint32_t unit = 100000000; nanoseconds > 0; unit /= 10) {
			*to++ = (uint8_t)('0' + nanoseconds / unit);
			nanoseconds %= unit;
		}
	}
	*to++ = 'Z';
	return (size_t)(to - start);
}

void
zp_time_format(int64_t seconds, uint32_t nanoseconds, struct zp_buf *text)
{
	uint8_t bytes[PIN__TIME_TEXT_MAX];

	zp_buf_append(text, bytes, pin__time_print(seconds, nanoseconds, bytes));
}
