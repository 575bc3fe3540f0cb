/*
 * config_show.c - the config and its table as text: YAML for people and the shipped example,
 * Markdown for docs/configuration.md, scdoc for zpin.yaml(5).
 */
#include "main/config_internal.h"

#include <ctype.h>
#include <inttypes.h>

#define LINE_WIDTH 100u

/* ---- Values --------------------------------------------------------------------------------- */

/* Double quotes read back as the same text for every text that a value may hold. */
static void
quoted(const char *text, struct zp_buf *yaml)
{
	zp_buf_append_byte(yaml, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			zp_buf_append_byte(yaml, '\\');
		zp_buf_append_byte(yaml, (uint8_t)*text);
	}
	zp_buf_append_byte(yaml, '"');
}

/* Plain where YAML can't take it for anything else: words, paths and addresses. */
static void
scalar(const char *text, struct zp_buf *yaml)
{
	bool is_plain = isalpha((unsigned char)text[0]) || text[0] == '/' || text[0] == '.';

	for (const char *at = text; *at != '\0'; at++)
		is_plain = is_plain && (isalnum((unsigned char)*at) || strchr("-_./", *at) != NULL);
	if (is_plain && strcmp(text, "null") != 0)
		zp_buf_append_text(yaml, text);
	else
		quoted(text, yaml);
}

static void
separate(size_t index, struct zp_buf *yaml)
{
	if (index > 0)
		zp_buf_append_text(yaml, ", ");
}

static void
show_address(const struct zp_config_address *address, struct zp_buf *yaml)
{
	bool has_brackets = strchr(address->host, ':') != NULL;

	zp_buf_printf(
	    yaml, has_brackets ? "\"[%s]:%u\"" : "\"%s:%u\"", address->host, address->port);
}

static void
show_headers(const struct zp_config_headers *headers, struct zp_buf *yaml)
{
	zp_buf_append_byte(yaml, '{');
	for (size_t i = 0; i < headers->count; i++) {
		const char *name = headers->items[i].name;
		bool is_new = i == 0 || strcmp(headers->items[i - 1].name, name) != 0;

		if (is_new) {
			zp_buf_append_text(yaml, i > 0 ? "], " : "");
			quoted(name, yaml);
			zp_buf_append_text(yaml, ": [");
		} else {
			zp_buf_append_text(yaml, ", ");
		}
		quoted(headers->items[i].value, yaml);
	}
	zp_buf_append_text(yaml, headers->count > 0 ? "]}" : "}");
}

static void
show_account(const struct zp_config_account *account, struct zp_buf *yaml)
{
	const struct {
		const char *name;
		const char *value;
		bool is_secret;
	} members[] = {
	    {"name", account->name, false},
	    {"password_hash", account->password_hash, true},
	    {"password", account->password, true},
	    {"token_secret", account->token_secret, true},
	};
	size_t shown = 0;

	zp_buf_append_byte(yaml, '{');
	for (size_t i = 0; i < ZP_ARRAY_COUNT(members); i++) {
		if (members[i].value[0] == '\0')
			continue;
		separate(shown++, yaml);
		zp_buf_printf(yaml, "%s: ", members[i].name);
		if (members[i].is_secret)
			zp_buf_append_text(yaml, "(hidden)");
		else
			quoted(members[i].value, yaml);
	}
	zp_buf_append_byte(yaml, '}');
}

static void
show_list(const struct config_key *key, const void *place, struct zp_buf *yaml)
{
	const struct zp_config_addresses *addresses = place;
	const struct zp_config_texts *texts = place;
	const struct zp_config_accounts *accounts = place;

	zp_buf_append_byte(yaml, '[');
	if (key->type == CONFIG_ADDRESSES) {
		for (size_t i = 0; i < addresses->count; i++) {
			separate(i, yaml);
			show_address(&addresses->items[i], yaml);
		}
	} else if (key->type == CONFIG_TEXTS) {
		for (size_t i = 0; i < texts->count; i++) {
			separate(i, yaml);
			scalar(texts->items[i], yaml);
		}
	} else {
		for (size_t i = 0; i < accounts->count; i++) {
			separate(i, yaml);
			show_account(&accounts->items[i], yaml);
		}
	}
	zp_buf_append_byte(yaml, ']');
}

static void
show_choice(const char *choices, int64_t place, struct zp_buf *yaml)
{
	for (; place > 0; place--)
		choices += strcspn(choices, "|") + 1;
	zp_buf_append(yaml, choices, strcspn(choices, "|"));
}

void
config__value_show(
    const struct config_key *key, const struct zp_config *config, struct zp_buf *yaml)
{
	const void *place = (const char *)config + key->offset;

	switch (key->type) {
	case CONFIG_TEXT:
	case CONFIG_PATH:
		scalar(*(char *const *)place, yaml);
		break;
	case CONFIG_BOOL:
		zp_buf_append_text(yaml, *(const bool *)place ? "true" : "false");
		break;
	case CONFIG_INTEGER:
		zp_buf_append_decimal(yaml, *(const int64_t *)place);
		break;
	case CONFIG_COUNT:
		zp_buf_append_decimal_u64(yaml, *(const uint64_t *)place);
		break;
	case CONFIG_SIZE:
		config__size_format(*(const uint64_t *)place, yaml);
		break;
	case CONFIG_DURATION:
		config__duration_format(*(const int64_t *)place, yaml);
		break;
	case CONFIG_CHOICE:
		show_choice(key->choices, *(const int64_t *)place, yaml);
		break;
	case CONFIG_HEADERS:
		show_headers(place, yaml);
		break;
	case CONFIG_ADDRESSES:
	case CONFIG_TEXTS:
	case CONFIG_ACCOUNTS:
		show_list(key, place, yaml);
		break;
	}
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* Appends `text` in lines of at most LINE_WIDTH, each begun with `prefix`. */
static void
wrapped(const char *text, const char *prefix, struct zp_buf *out)
{
	size_t width = strlen(prefix);

	zp_buf_append_text(out, prefix);
	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (width > strlen(prefix)) {
			bool fits = width + 1 + length <= LINE_WIDTH;

			zp_buf_append_text(out, fits ? " " : "\n");
			if (!fits)
				zp_buf_append_text(out, prefix);
			width = fits ? width + 1 : strlen(prefix);
		}
		zp_buf_append(out, text, length);
		width += length;
		text += length + (text[length] == ' ');
	}
	zp_buf_append_byte(out, '\n');
}

static bool
is_new_section(size_t index)
{
	return index == 0 ||
	       strcmp(config__keys[index - 1].section, config__keys[index].section) != 0;
}

void
zp_config_show(const struct zp_config *config, struct zp_buf *yaml)
{
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];

		if (is_new_section(i))
			zp_buf_printf(yaml, "%s:\n", key->section);
		zp_buf_printf(yaml, "  %s: ", key->name);
		config__value_show(key, config, yaml);
		zp_buf_append_byte(yaml, '\n');
	}
}

static void
range_of(const struct config_key *key, struct zp_buf *text)
{
	if (key->type == CONFIG_SIZE) {
		config__size_format((uint64_t)key->min, text);
		zp_buf_append_text(text, " to ");
		config__size_format((uint64_t)key->max, text);
	} else if (key->type == CONFIG_DURATION) {
		config__duration_format(key->min, text);
		zp_buf_append_text(text, " to ");
		config__duration_format(key->max, text);
	} else if (key->type == CONFIG_INTEGER || key->type == CONFIG_COUNT) {
		zp_buf_printf(text, "%" PRId64 " to %" PRId64, key->min, key->max);
	} else if (key->type == CONFIG_CHOICE) {
		for (const char *at = key->choices; *at != '\0'; at++) {
			if (*at == '|')
				zp_buf_append_text(text, ", ");
			else
				zp_buf_append_byte(text, (uint8_t)*at);
		}
	}
}

static const char *
type_name(enum config_type type)
{
	static const char *const names[] = {
	    [CONFIG_TEXT] = "text",
	    [CONFIG_PATH] = "path",
	    [CONFIG_BOOL] = "true or false",
	    [CONFIG_INTEGER] = "number",
	    [CONFIG_COUNT] = "number",
	    [CONFIG_SIZE] = "size",
	    [CONFIG_DURATION] = "duration",
	    [CONFIG_CHOICE] = "one of",
	    [CONFIG_ADDRESSES] = "list of addresses",
	    [CONFIG_TEXTS] = "list of texts",
	    [CONFIG_HEADERS] = "mapping",
	    [CONFIG_ACCOUNTS] = "list of accounts",
	};

	return names[type];
}

/* "size, 1KiB to 16KiB" */
static void
type_of(const struct config_key *key, struct zp_buf *text)
{
	ZP_AUTO_BUF(range, 256);

	range_of(key, &range);
	zp_buf_append_text(text, type_name(key->type));
	if (range.length > 0)
		zp_buf_append_text(text, key->type == CONFIG_CHOICE ? " " : ", ");
	zp_buf_append_slice(text, zp_buf_slice(&range));
}

static void
variable_of(const struct config_key *key, struct zp_buf *text)
{
	zp_buf_append_text(text, "ZPIN_");
	for (const char *at = key->section; *at != '\0'; at++)
		zp_buf_append_byte(text, (uint8_t)toupper((unsigned char)*at));
	zp_buf_append_byte(text, '_');
	for (const char *at = key->name; *at != '\0'; at++)
		zp_buf_append_byte(text, (uint8_t)toupper((unsigned char)*at));
}

/* Whether the value is written otherwise than the default. */
static bool
is_changed(
    const struct config_key *key, const struct zp_config *config, const struct zp_config *defaults)
{
	ZP_AUTO_BUF(value, 1u << 20);
	ZP_AUTO_BUF(preset, 1u << 20);

	config__value_show(key, config, &value);
	config__value_show(key, defaults, &preset);
	return !zp_slice_equal(zp_buf_slice(&value), zp_buf_slice(&preset));
}

static bool
is_section_changed(size_t index, const struct zp_config *config, const struct zp_config *defaults)
{
	const char *section = config__keys[index].section;

	for (; index < config__keys_count; index++) {
		if (strcmp(config__keys[index].section, section) == 0 &&
		    is_changed(&config__keys[index], config, defaults))
			return true;
	}
	return false;
}

void
zp_config_write(const struct zp_config *config, struct zp_buf *yaml)
{
	struct zp_config defaults;

	zp_config_init(&defaults);
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];

		if (is_new_section(i)) {
			zp_buf_append_byte(yaml, '\n');
			wrapped(
			    config__section_about(config__section_find(key->section)), "## ", yaml);
			zp_buf_printf(yaml, "%s%s:\n",
			    is_section_changed(i, config, &defaults) ? "" : "#", key->section);
		}
		wrapped(key->about, "  # ", yaml);
		zp_buf_printf(
		    yaml, "%s  %s: ", is_changed(key, config, &defaults) ? "" : "#", key->name);
		config__value_show(key, config, yaml);
		zp_buf_append_byte(yaml, '\n');
	}
	zp_config_done(&defaults);
}

void
zp_config_example(struct zp_buf *yaml)
{
	struct zp_config defaults;

	zp_config_init(&defaults);
	zp_buf_append_text(yaml,
	    "# zpin.yaml: every key with its default. See zpin.yaml(5).\n"
	    "# Take the `#` before a section and its key away to change a value;\n"
	    "# `zpin config check` reads the result.\n");
	zp_config_write(&defaults, yaml);
	zp_config_done(&defaults);
}

static const char *const notes[] = {
    "The file is YAML: sections, and keys within them. Unknown and repeated keys are refused with "
    "their line and column, as are aliases, anchors and tags. `zpin config check` reads the file "
    "and the environment as the daemon would and says what is wrong; `zpin config example` prints "
    "a "
    "file with every key.",
    "The file is the one that `--config` names, else `ZPIN_CONFIG`, else `/etc/zpin/zpin.yaml` if "
    "there is one. Every key can be overridden by the environment variable shown with it. There, "
    "lists are separated by commas; mappings and accounts are written as YAML on one line, for "
    "instance `{X-Served-By: zpin}`.",
    "A *duration* is numbers with units: `500ms`, `30s`, `1h30m`. A *size* is a number with B, "
    "KiB, "
    "MiB, GiB or TiB (powers of 1024), or kB, MB, GB or TB (powers of 1000). An *address* is a "
    "numeric host and a port: `127.0.0.1:9094`, `\"[::1]:9094\"`, `localhost:9094`, or "
    "`\"*:9094\"` "
    "for every address of the machine; port 0 lets the kernel choose. In YAML a value that begins "
    "with `[` or `*` is written in quotes.",
};

void
zp_config_markdown(struct zp_buf *text)
{
	struct zp_config defaults;

	zp_config_init(&defaults);
	zp_buf_append_text(text, "# Configuration\n\n<!-- Made by `zpin config reference` from "
				 "src/main/config_keys.c; a test compares them. -->\n");
	for (size_t i = 0; i < ZP_ARRAY_COUNT(notes); i++) {
		zp_buf_append_byte(text, '\n');
		wrapped(notes[i], "", text);
	}
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];

		if (is_new_section(i)) {
			zp_buf_printf(text, "\n## %s\n\n%s\n", key->section,
			    config__section_about(config__section_find(key->section)));
		}
		zp_buf_printf(text, "\n### %s.%s\n\n", key->section, key->name);
		wrapped(key->about, "", text);
		zp_buf_append_text(text, "\n- Type: ");
		type_of(key, text);
		zp_buf_append_text(text, "\n- Default: `");
		config__value_show(key, &defaults, text);
		zp_buf_append_text(text, "`\n- Environment: `");
		variable_of(key, text);
		zp_buf_append_text(text, "`\n");
	}
	zp_config_done(&defaults);
}

/* scdoc takes _ and * for markup; `code` becomes bold, which man pages use for literals. */
static void
scdoc_text(const char *markdown, struct zp_buf *text)
{
	for (const char *at = markdown; *at != '\0'; at++) {
		if (*at == '`') {
			zp_buf_append_byte(text, '*');
			continue;
		}
		if (strchr("_*\\#~", *at) != NULL)
			zp_buf_append_byte(text, '\\');
		zp_buf_append_byte(text, (uint8_t)*at);
	}
}

void
zp_config_scdoc(struct zp_buf *text)
{
	struct zp_config defaults;

	zp_config_init(&defaults);
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];
		ZP_AUTO_BUF(raw, 4096);

		if (is_new_section(i))
			zp_buf_printf(text, "\n## %s\n", key->section);
		zp_buf_printf(text, "\n*%s*\n\t", key->name);
		scdoc_text(key->about, text);
		zp_buf_append_text(&raw, " Type: ");
		type_of(key, &raw);
		zp_buf_append_text(&raw, ". Default: ");
		config__value_show(key, &defaults, &raw);
		zp_buf_append_text(&raw, ". Environment: ");
		variable_of(key, &raw);
		zp_buf_append_byte(&raw, '.');
		zp_buf_append_byte(&raw, '\0');
		scdoc_text((const char *)raw.data, text);
		zp_buf_append_byte(text, '\n');
	}
	zp_config_done(&defaults);
}
