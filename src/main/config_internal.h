/*
 * config_internal.h - the table of keys and the values behind it, shared by the config_*.c files.
 */
#ifndef ZP_MAIN_CONFIG_INTERNAL_H
#define ZP_MAIN_CONFIG_INTERNAL_H

#include "main/config.h"

/* What a key holds; says how its text is read, shown and freed. */
enum config_type {
	CONFIG_TEXT,      /* char * */
	CONFIG_PATH,      /* char *, of a file or directory */
	CONFIG_BOOL,      /* bool */
	CONFIG_INTEGER,   /* int64_t */
	CONFIG_COUNT,     /* uint64_t */
	CONFIG_SIZE,      /* uint64_t bytes */
	CONFIG_DURATION,  /* int64_t nanoseconds */
	CONFIG_CHOICE,    /* int64_t, place in `choices` */
	CONFIG_ADDRESSES, /* struct zp_config_addresses */
	CONFIG_TEXTS,     /* struct zp_config_texts */
	CONFIG_HEADERS,   /* struct zp_config_headers */
	CONFIG_ACCOUNTS,  /* struct zp_config_accounts */
};

struct config_key {
	const char *section;
	const char *name;
	enum config_type type;
	size_t offset;             /* of the value in struct zp_config */
	const char *value_default; /* as an operator would write it; lists with commas */
	int64_t min;               /* of numbers, in the unit of the struct */
	int64_t max;
	const char *choices; /* "text|json", in the order of the enum */
	const char *about;   /* sentences for the manual */
};

#define CONFIG_KEYS_MAX 64u
#define CONFIG_SECTIONS_MAX 16u
#define CONFIG_SECOND INT64_C(1000000000)

extern const struct config_key config__keys[];
extern const size_t config__keys_count;

/* A section's place in the table or -1, and its sentence for the manual. */
int config__section_find(const char *section);
const char *config__section_about(int section);

/* NULL when there is none. */
const struct config_key *config__key_find(const char *section, const char *name);

/* True where a value is one text; the others are lists or mappings. */
bool config__type_is_scalar(enum config_type type);

/* Ends the value and leaves it empty: zero, "" or no items. */
void config__value_clear(const struct config_key *key, struct zp_config *config);

/*
 * Reads `text` into the value: scalars are replaced, lists grow by one item. The error says what is
 * wrong with the text and what is taken, not where it stood.
 */
ZP_MUST_CHECK int config__value_add(const struct config_key *key, struct zp_slice text,
    struct zp_config *config, struct zp_err *err);

/* The same for "a, b, c": each part is an item. Empty text is no item. */
ZP_MUST_CHECK int config__value_add_list(const struct config_key *key, struct zp_slice text,
    struct zp_config *config, struct zp_err *err);

/* Texts of the config: no control characters, at most ZP_CONFIG_TEXT_BYTES_MAX. */
ZP_MUST_CHECK int config__text_check(struct zp_slice text, struct zp_err *err);
char *config__text_copy(struct zp_slice text);
void config__text_replace(char **place, struct zp_slice text);
ZP_MUST_CHECK int config__text_add(
    struct zp_slice text, struct zp_config_texts *list, struct zp_err *err);

/* ZP_E_TOO_LARGE when a list of `count` items can't take another. */
ZP_MUST_CHECK int config__list_check(size_t count, struct zp_err *err);

/* Room for one more item. The array doubles at powers of two, so that no capacity is kept. */
void *config__items_grow(void *items, size_t count, size_t item_bytes);

ZP_MUST_CHECK int config__header_add(struct zp_slice name, struct zp_slice value,
    struct zp_config_headers *headers, struct zp_err *err);

/* Adds an empty account and returns it, or NULL when there are ZP_CONFIG_ITEMS_MAX. */
struct zp_config_account *config__account_add(struct zp_config_accounts *accounts);

/* Sets one member (name, password_hash, password, token_secret) of an account. */
ZP_MUST_CHECK int config__account_set(struct zp_config_account *account, struct zp_slice member,
    struct zp_slice value, struct zp_err *err);

/* Reads a YAML text: sections, or with `key` the value of that one (environment variables that hold
 * a mapping, and the accounts file: accounts are added to those that are there, other values are
 * replaced). Goes on behind what is wrong and adds it to the faults. */
void config__read(struct zp_slice yaml, const char *source, const struct config_key *key,
    struct zp_config *config, struct zp_config_faults *faults);

/* zp_config_check, all that is wrong. */
void config__check(
    const struct zp_config *config, struct zp_buf *warnings, struct zp_config_faults *faults);

/* ---- Places and faults (config_fault.c) ----------------------------------------------------- */

/* "source:line:column", or `source` alone where line is 0. */
void config__place_set(
    struct zp_config_place *place, const char *source, size_t line, size_t column);
struct zp_config_place *config__place(const struct zp_config *config, const struct config_key *key);

/* False when there is no room for another: enough is known. */
bool config__fault_add(struct zp_config_faults *faults, size_t line, const struct zp_err *err);
/* By line, as they came where it is one line. */
void config__faults_sort(struct zp_config_faults *faults);
/* 0, or the first one's code with its text. */
int config__faults_first(const struct zp_config_faults *faults, struct zp_err *err);

/* How numbers are written in messages and pages: "1GiB", "1h". */
void config__size_format(uint64_t bytes, struct zp_buf *text);
void config__duration_format(int64_t nanoseconds, struct zp_buf *text);

/* The value as YAML on one line; secrets hidden. */
void config__value_show(
    const struct config_key *key, const struct zp_config *config, struct zp_buf *yaml);

#endif
