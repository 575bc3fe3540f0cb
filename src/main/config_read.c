/*
 * config_read.c - YAML into values, with the line and column of whatever is wrong.
 *
 * A walk over libyaml's events along the only shape there is (section, key, value), so depth and
 * size are bounded by the grammar and not by the text. libcyaml would be shorter, but version 1.3
 * can't say where a duration or an address that we refuse stood, and takes a key given twice.
 * Refused: aliases, anchors, tags, second documents, unknown and repeated keys.
 *
 * Behind a key or value that is wrong it goes on with the next key, so that one reading tells all
 * of them. What the parser refuses, and an alias, anchor or tag, ends it: nothing sure stands
 * behind.
 *
 * Owner: the main thread.
 */
#include "main/config_internal.h"

#include <yaml.h>

#define SKIPPED_DEPTH_MAX 32u

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	bool has_event;
	const char *source; /* for messages */
	struct zp_config *config;
	struct zp_config_faults *faults;
	struct zp_err *err; /* of the fault at hand, until it is noted */
	size_t err_line;    /* where that stands */
	struct zp_slice text;
	unsigned depth;             /* mappings and lists that are open */
	bool is_at_key;             /* the event is one; its value is still to come */
	bool has_ended;             /* nothing more can be read */
	bool seen[CONFIG_KEYS_MAX]; /* by index in config__keys */
	bool sections_seen[CONFIG_SECTIONS_MAX];
};

/* Puts "source:line:column: " in front of the error; YAML marks count from 0. */
static int
at_mark(struct reader *reader, yaml_mark_t mark, int rc)
{
	reader->err_line = mark.line + 1;
	return zp_wrap(
	    reader->err, rc, "%s:%zu:%zu", reader->source, mark.line + 1, mark.column + 1);
}

static int
fail_here(struct reader *reader, const char *text)
{
	return at_mark(
	    reader, reader->event.start_mark, zp_fail(reader->err, ZP_E_INVALID, "%s", text));
}

static bool
is_event(const struct reader *reader, yaml_event_type_t type)
{
	return reader->event.type == type;
}

/* Whether the character of that number, counted from 0, is a tab. */
static bool
is_tab(struct zp_slice text, size_t number)
{
	static const uint8_t byte_order_mark[3] = {0xef, 0xbb, 0xbf};
	size_t at = text.length >= 3 && memcmp(text.data, byte_order_mark, 3) == 0 ? 3 : 0;

	for (; at < text.length; at++) {
		if ((text.data[at] & 0xc0) == 0x80) /* within a character */
			continue;
		if (number-- == 0)
			return text.data[at] == '\t';
	}
	return false;
}

/* Aliases can make a small text a huge one; with anchors gone there is nothing to alias. */
static int
event_check(struct reader *reader)
{
	const yaml_event_t *event = &reader->event;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return fail_here(reader, "aliases (*name) are not taken; write the value out");
	case YAML_SCALAR_EVENT:
		if (event->data.scalar.anchor != NULL)
			return fail_here(reader, "anchors (&name) are not taken");
		if (event->data.scalar.tag != NULL)
			return fail_here(reader, "tags (!name) are not taken");
		return 0;
	case YAML_SEQUENCE_START_EVENT:
		if (event->data.sequence_start.anchor != NULL)
			return fail_here(reader, "anchors (&name) are not taken");
		if (event->data.sequence_start.tag != NULL)
			return fail_here(reader, "tags (!name) are not taken");
		return 0;
	case YAML_MAPPING_START_EVENT:
		if (event->data.mapping_start.anchor != NULL)
			return fail_here(reader, "anchors (&name) are not taken");
		if (event->data.mapping_start.tag != NULL)
			return fail_here(reader, "tags (!name) are not taken");
		return 0;
	default:
		return 0;
	}
}

/* libyaml's words, but for tabs, which it names in words that nobody understands. */
static int
parser_fail(struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
	const char *problem = parser->problem != NULL ? parser->problem : "not YAML";

	if (strstr(problem, "tab character") != NULL || is_tab(reader->text, mark.index))
		problem = "a tab: YAML takes only spaces in front of a key or value";
	return at_mark(reader, mark, zp_fail(reader->err, ZP_E_INVALID, "%s", problem));
}

static int
next(struct reader *reader)
{
	yaml_parser_t *parser = &reader->parser;

	int rc;

	if (reader->has_event)
		yaml_event_delete(&reader->event);
	reader->has_event = yaml_parser_parse(parser, &reader->event) == 1;
	if (!reader->has_event) {
		reader->event = (yaml_event_t){0};
		reader->has_ended = true;
		return parser_fail(reader);
	}
	if (is_event(reader, YAML_MAPPING_START_EVENT) ||
	    is_event(reader, YAML_SEQUENCE_START_EVENT))
		reader->depth++;
	if (is_event(reader, YAML_MAPPING_END_EVENT) || is_event(reader, YAML_SEQUENCE_END_EVENT))
		reader->depth--;
	rc = event_check(reader);
	reader->has_ended = rc < 0;
	return rc;
}

/* To the end of what the event begins. libyaml's time grows with the square of the depth, so that
 * what is nested deeper than any config ends the reading. */
static int
skip(struct reader *reader, unsigned depth)
{
	int rc = ZP_OK;

	while (rc == ZP_OK && reader->depth > depth) {
		rc = next(reader);
		if (reader->depth > SKIPPED_DEPTH_MAX) {
			reader->has_ended = true;
			return ZP_E_INVALID; /* the fault is noted */
		}
	}
	return rc;
}

/* Adds the error at hand to the faults. False: there is no room for more. */
static bool
fault_note(struct reader *reader)
{
	bool has_room = config__fault_add(reader->faults, reader->err_line, reader->err);

	zp_err_clear(reader->err);
	reader->err_line = 0;
	return has_room;
}

/* After an error of a mapping's key or value: notes it and goes behind the value. `depth` is the
 * mapping's. Negative where the reading is at its end. */
static int
recover(struct reader *reader, unsigned depth, int rc)
{
	if (reader->has_ended)
		return rc;
	if (!fault_note(reader)) {
		reader->has_ended = true;
		return rc;
	}
	rc = skip(reader, depth);
	if (rc == ZP_OK && reader->is_at_key) {
		rc = next(reader);
		if (rc == ZP_OK)
			rc = skip(reader, depth);
	}
	return rc;
}

static struct zp_slice
scalar_of(const struct reader *reader)
{
	return (struct zp_slice){reader->event.data.scalar.value, reader->event.data.scalar.length};
}

/* `key:` with nothing behind it, or the plain words YAML has for nothing. */
static bool
is_null(const struct reader *reader)
{
	struct zp_slice text;

	if (!is_event(reader, YAML_SCALAR_EVENT) ||
	    reader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	text = scalar_of(reader);
	return text.length == 0 || zp_slice_is(text, "~") || zp_slice_is(text, "null");
}

/* The current scalar as a name in `name_out`; false where it is none or too long. */
static bool
name_of(const struct reader *reader, char *name_out, size_t bytes)
{
	struct zp_slice text;

	if (!is_event(reader, YAML_SCALAR_EVENT))
		return false;
	text = scalar_of(reader);
	if (text.length == 0 || text.length >= bytes ||
	    memchr(text.data, '\0', text.length) != NULL)
		return false;
	memcpy(name_out, text.data, text.length);
	name_out[text.length] = '\0';
	return true;
}

static int
at_key(struct reader *reader, yaml_mark_t mark, const struct config_key *key, int rc)
{
	rc = zp_wrap(reader->err, rc, "%s.%s", key->section, key->name);
	return at_mark(reader, mark, rc);
}

static int
fail_at_key(struct reader *reader, const struct config_key *key, const char *text)
{
	return at_key(
	    reader, reader->event.start_mark, key, zp_fail(reader->err, ZP_E_INVALID, "%s", text));
}

/* ---- Values: each begins at the value's first event and ends at its last -------------------- */

/* A list is a sequence of scalars, or one scalar with commas. */
static int
read_list(struct reader *reader, const struct config_key *key)
{
	int rc;

	if (is_event(reader, YAML_SCALAR_EVENT)) {
		rc = config__value_add_list(key, scalar_of(reader), reader->config, reader->err);
		return rc < 0 ? at_key(reader, reader->event.start_mark, key, rc) : 0;
	}
	if (!is_event(reader, YAML_SEQUENCE_START_EVENT))
		return fail_at_key(reader, key, "needs a list, not a mapping");
	for (;;) {
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_SEQUENCE_END_EVENT))
			return 0;
		if (!is_event(reader, YAML_SCALAR_EVENT))
			return fail_at_key(reader, key, "an item must be one value");
		rc = config__value_add(key, scalar_of(reader), reader->config, reader->err);
		if (rc < 0)
			return at_key(reader, reader->event.start_mark, key, rc);
	}
}

/* The value of one header: a scalar, or a sequence of them. */
static int
read_header(struct reader *reader, const struct config_key *key, const char *name,
    struct zp_config_headers *headers)
{
	bool is_sequence = is_event(reader, YAML_SEQUENCE_START_EVENT);
	int rc;

	for (;;) {
		if (is_sequence) {
			rc = next(reader);
			if (rc < 0)
				return rc;
			if (is_event(reader, YAML_SEQUENCE_END_EVENT))
				return 0;
		}
		if (!is_event(reader, YAML_SCALAR_EVENT))
			return fail_at_key(
			    reader, key, "a header's value is a text or a list of texts");
		rc = config__header_add(zp_slice_of(name), scalar_of(reader), headers, reader->err);
		if (rc < 0)
			return at_key(reader, reader->event.start_mark, key, rc);
		if (!is_sequence)
			return 0;
	}
}

static int
read_headers(struct reader *reader, const struct config_key *key)
{
	struct zp_config_headers *headers =
	    (struct zp_config_headers *)((char *)reader->config + key->offset);
	char name[128];
	int rc;

	if (!is_event(reader, YAML_MAPPING_START_EVENT))
		return fail_at_key(reader, key, "needs a mapping of names to values");
	for (;;) {
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_MAPPING_END_EVENT))
			return 0;
		if (!name_of(reader, name, sizeof(name)))
			return fail_at_key(reader, key, "not the name of a header");
		rc = next(reader);
		if (rc == 0)
			rc = read_header(reader, key, name, headers);
		if (rc < 0)
			return rc;
	}
}

/* Where the event stands. */
static void
place_set(const struct reader *reader, struct zp_config_place *place)
{
	yaml_mark_t mark = reader->event.start_mark;

	config__place_set(place, reader->source, mark.line + 1, mark.column + 1);
}

static int
read_account(struct reader *reader, const struct config_key *key, struct zp_config_account *account)
{
	char name[64];
	int rc;

	if (!is_event(reader, YAML_MAPPING_START_EVENT))
		return fail_at_key(
		    reader, key, "an account is a mapping: {name: …, password_hash: …}");
	for (;;) {
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_MAPPING_END_EVENT))
			return 0;
		if (!name_of(reader, name, sizeof(name)))
			return fail_at_key(reader, key, "not the name of a member");
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (!is_event(reader, YAML_SCALAR_EVENT))
			return fail_at_key(reader, key, "a member must be one text");
		rc =
		    config__account_set(account, zp_slice_of(name), scalar_of(reader), reader->err);
		if (rc < 0)
			return at_key(reader, reader->event.start_mark, key, rc);
	}
}

static int
read_accounts(struct reader *reader, const struct config_key *key)
{
	struct zp_config_accounts *accounts =
	    (struct zp_config_accounts *)((char *)reader->config + key->offset);
	struct zp_config_account *account;
	int rc;

	if (!is_event(reader, YAML_SEQUENCE_START_EVENT))
		return fail_at_key(reader, key, "needs a list of accounts");
	for (;;) {
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_SEQUENCE_END_EVENT))
			return 0;
		account = config__account_add(accounts);
		if (account == NULL)
			return fail_at_key(reader, key, "too many accounts");
		place_set(reader, &account->place);
		rc = read_account(reader, key, account);
		if (rc < 0)
			return rc;
	}
}

static int
read_value(struct reader *reader, const struct config_key *key)
{
	int rc;

	if (is_null(reader)) {
		if (config__type_is_scalar(key->type) && key->type != CONFIG_TEXT &&
		    key->type != CONFIG_PATH)
			return fail_at_key(
			    reader, key, "needs a value; leave the key out for the default");
		return 0;
	}
	if (key->type == CONFIG_HEADERS)
		return read_headers(reader, key);
	if (key->type == CONFIG_ACCOUNTS)
		return read_accounts(reader, key);
	if (!config__type_is_scalar(key->type))
		return read_list(reader, key);
	if (!is_event(reader, YAML_SCALAR_EVENT))
		return fail_at_key(reader, key, "needs one value, not a list or mapping");
	rc = config__value_add(key, scalar_of(reader), reader->config, reader->err);
	return rc < 0 ? at_key(reader, reader->event.start_mark, key, rc) : 0;
}

/* ---- The document --------------------------------------------------------------------------- */

static int
fail_unknown_key(struct reader *reader, const char *section, const char *name)
{
	return at_mark(reader, reader->event.start_mark,
	    zp_fail(reader->err, ZP_E_INVALID,
		"unknown key %s.%s; `zpin config example` shows every key", section, name));
}

/* The event is the key. */
static int
read_key(struct reader *reader, const char *section)
{
	const struct config_key *key;
	char name[64];
	int rc;

	if (!name_of(reader, name, sizeof(name)))
		return fail_here(reader, "not the name of a key");
	key = config__key_find(section, name);
	if (key == NULL)
		return fail_unknown_key(reader, section, name);
	if (reader->seen[key - config__keys])
		return fail_at_key(reader, key, "is given twice");
	reader->seen[key - config__keys] = true;
	config__value_clear(key, reader->config);
	place_set(reader, config__place(reader->config, key));
	rc = next(reader);
	reader->is_at_key = false;
	return rc < 0 ? rc : read_value(reader, key);
}

/* Calls `each` with every key of the mapping, and goes on behind those that are wrong. */
static int
read_mapping(struct reader *reader, const char *section,
    int (*each)(struct reader *reader, const char *section))
{
	unsigned depth = reader->depth;

	for (;;) {
		int rc = next(reader);

		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_MAPPING_END_EVENT))
			return 0;
		reader->is_at_key = true;
		rc = each(reader, section);
		if (rc < 0)
			rc = recover(reader, depth, rc);
		if (rc < 0)
			return rc;
	}
}

/* The event is the name. */
static int
read_section(struct reader *reader, const char *root)
{
	char name[64];
	int section;
	int rc;

	(void)root;
	if (!name_of(reader, name, sizeof(name)))
		return fail_here(reader, "not the name of a section");
	section = config__section_find(name);
	if (section < 0)
		return at_mark(reader, reader->event.start_mark,
		    zp_fail(reader->err, ZP_E_INVALID,
			"unknown section %s; `zpin config example` shows every key", name));
	if (reader->sections_seen[section])
		return fail_here(reader, "a section is given twice");
	reader->sections_seen[section] = true;
	rc = next(reader);
	reader->is_at_key = false;
	if (rc < 0 || is_null(reader))
		return rc;
	if (!is_event(reader, YAML_MAPPING_START_EVENT))
		return fail_here(reader, "a section is a mapping of keys to values");
	return read_mapping(reader, name, read_key);
}

static int
read_sections(struct reader *reader)
{
	if (is_null(reader))
		return 0;
	if (!is_event(reader, YAML_MAPPING_START_EVENT))
		return fail_here(reader, "a config is a mapping of sections");
	return read_mapping(reader, NULL, read_section);
}

/* The whole text: nothing or one document, whose root is sections or the value of `key`. */
static int
read_document(struct reader *reader, const struct config_key *key)
{
	int rc = next(reader);

	if (rc == 0)
		rc = next(reader);
	if (rc < 0 || is_event(reader, YAML_STREAM_END_EVENT))
		return rc;
	rc = next(reader);
	if (rc == 0)
		rc = key != NULL ? read_value(reader, key) : read_sections(reader);
	if (rc == 0)
		rc = next(reader);
	if (rc == 0)
		rc = next(reader);
	if (rc == 0 && !is_event(reader, YAML_STREAM_END_EVENT))
		return fail_here(reader, "a second document is not taken");
	return rc;
}

void
config__read(struct zp_slice yaml, const char *source, const struct config_key *key,
    struct zp_config *config, struct zp_config_faults *faults)
{
	struct zp_err err = {0};
	struct reader reader = {
	    .source = source, .config = config, .faults = faults, .err = &err, .text = yaml};
	int rc;

	if (yaml.length > ZP_CONFIG_BYTES_MAX) {
		rc = zp_fail(&err, ZP_E_TOO_LARGE, "%s: %zu bytes are over %u", source, yaml.length,
		    ZP_CONFIG_BYTES_MAX);
	} else if (yaml_parser_initialize(&reader.parser) != 1) {
		rc = zp_fail(&err, ZP_E_MEMORY, "%s: out of memory", source);
	} else {
		/* libyaml asserts that even no bytes have an address. */
		yaml_parser_set_input_string(
		    &reader.parser, yaml.length > 0 ? yaml.data : (const uint8_t *)"", yaml.length);
		rc = read_document(&reader, key);
		if (reader.has_event)
			yaml_event_delete(&reader.event);
		yaml_parser_delete(&reader.parser);
	}
	if (rc < 0 && err.code != 0)
		fault_note(&reader);
}

int
zp_config_read(
    struct zp_slice yaml, const char *source, struct zp_config *config, struct zp_err *err)
{
	struct zp_config_faults faults = {0};

	config__read(yaml, source, NULL, config, &faults);
	return config__faults_first(&faults, err);
}
