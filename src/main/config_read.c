/*
 * config_read.c - YAML into values, with the line and column of whatever is wrong.
 *
 * A walk over libyaml's events along the only shape there is (section, key, value), so depth and
 * size are bounded by the grammar and not by the text. libcyaml would be shorter, but version 1.3
 * can't say where a duration or an address that we refuse stood, and takes a key given twice.
 * Refused: aliases, anchors, tags, second documents, unknown and repeated keys.
 *
 * Owner: the main thread.
 */
#include "main/config_internal.h"

#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	bool has_event;
	const char *source; /* for messages */
	struct zp_config *config;
	struct zp_err *err;
	bool seen[CONFIG_KEYS_MAX]; /* by index in config__keys */
	bool sections_seen[CONFIG_SECTIONS_MAX];
};

/* Puts "source:line:column: " in front of the error; YAML marks count from 0. */
static int
at_mark(struct reader *reader, yaml_mark_t mark, int rc)
{
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

static int
next(struct reader *reader)
{
	yaml_parser_t *parser = &reader->parser;

	if (reader->has_event)
		yaml_event_delete(&reader->event);
	reader->has_event = yaml_parser_parse(parser, &reader->event) == 1;
	if (reader->has_event)
		return event_check(reader);
	reader->event = (yaml_event_t){0};
	return at_mark(reader,
	    parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark,
	    zp_fail(reader->err, ZP_E_INVALID, "%s",
		parser->problem != NULL ? parser->problem : "not YAML"));
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

static int
read_section(struct reader *reader, const char *section)
{
	const struct config_key *key;
	char name[64];
	int rc;

	if (is_null(reader))
		return 0;
	if (!is_event(reader, YAML_MAPPING_START_EVENT))
		return fail_here(reader, "a section is a mapping of keys to values");
	for (;;) {
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_MAPPING_END_EVENT))
			return 0;
		if (!name_of(reader, name, sizeof(name)))
			return fail_here(reader, "not the name of a key");
		key = config__key_find(section, name);
		if (key == NULL)
			return fail_unknown_key(reader, section, name);
		if (reader->seen[key - config__keys])
			return fail_at_key(reader, key, "is given twice");
		reader->seen[key - config__keys] = true;
		rc = next(reader);
		if (rc < 0)
			return rc;
		config__value_clear(key, reader->config);
		rc = read_value(reader, key);
		if (rc < 0)
			return rc;
	}
}

static int
read_sections(struct reader *reader)
{
	char name[64];
	int section;
	int rc;

	if (is_null(reader))
		return 0;
	if (!is_event(reader, YAML_MAPPING_START_EVENT))
		return fail_here(reader, "a config is a mapping of sections");
	for (;;) {
		rc = next(reader);
		if (rc < 0)
			return rc;
		if (is_event(reader, YAML_MAPPING_END_EVENT))
			return 0;
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
		if (rc == 0)
			rc = read_section(reader, name);
		if (rc < 0)
			return rc;
	}
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

static int
read_text(struct zp_slice yaml, const char *source, const struct config_key *key,
    struct zp_config *config, struct zp_err *err)
{
	struct reader reader = {.source = source, .config = config, .err = err};
	int rc;

	if (yaml.length > ZP_CONFIG_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "%s: %zu bytes are over %u", source,
		    yaml.length, ZP_CONFIG_BYTES_MAX);
	if (yaml_parser_initialize(&reader.parser) != 1)
		return zp_fail(err, ZP_E_MEMORY, "%s: out of memory", source);
	/* libyaml asserts that even no bytes have an address. */
	yaml_parser_set_input_string(
	    &reader.parser, yaml.length > 0 ? yaml.data : (const uint8_t *)"", yaml.length);
	rc = read_document(&reader, key);
	if (reader.has_event)
		yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	return rc;
}

int
zp_config_read(
    struct zp_slice yaml, const char *source, struct zp_config *config, struct zp_err *err)
{
	return read_text(yaml, source, NULL, config, err);
}

int
config__read_value(struct zp_slice yaml, const char *source, const struct config_key *key,
    struct zp_config *config, struct zp_err *err)
{
	return read_text(yaml, source, key, config, err);
}
