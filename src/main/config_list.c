/*
 * config_list.c - texts, lists, headers and accounts: how they grow, and how every value ends.
 *
 * Flow: config_value.c and config_read.c fill them. All memory is the config's own.
 */
#include "main/config_internal.h"

#include <ctype.h>

int
config__text_check(struct zp_slice text, struct zp_err *err)
{
	if (text.length > ZP_CONFIG_TEXT_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "value of %zu bytes is over %u", text.length,
		    ZP_CONFIG_TEXT_BYTES_MAX);
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < 0x20 || text.data[i] == 0x7f)
			return zp_fail(err, ZP_E_INVALID,
			    "value holds the control character 0x%02x", text.data[i]);
	}
	return 0;
}

char *
config__text_copy(struct zp_slice text)
{
	char *copy = zp_alloc(text.length + 1);

	if (text.length > 0)
		memcpy(copy, text.data, text.length);
	copy[text.length] = '\0';
	return copy;
}

void
config__text_replace(char **place, struct zp_slice text)
{
	zp_free(*place);
	*place = config__text_copy(text);
}

void *
config__items_grow(void *items, size_t count, size_t item_bytes)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return items;
	return zp_realloc(items, (count == 0 ? 1 : count * 2) * item_bytes);
}

static void
account_done(struct zp_config_account *account)
{
	zp_free(account->name);
	zp_free(account->password_hash);
	zp_free(account->password);
	zp_free(account->token_secret);
	zp_free(account->place.text);
}

void
config__value_clear(const struct config_key *key, struct zp_config *config)
{
	void *place = (char *)config + key->offset;

	switch (key->type) {
	case CONFIG_TEXT:
	case CONFIG_PATH:
		config__text_replace(place, (struct zp_slice){0});
		break;
	case CONFIG_BOOL:
		*(bool *)place = false;
		break;
	case CONFIG_INTEGER:
	case CONFIG_DURATION:
	case CONFIG_CHOICE:
		*(int64_t *)place = 0;
		break;
	case CONFIG_COUNT:
	case CONFIG_SIZE:
		*(uint64_t *)place = 0;
		break;
	case CONFIG_ADDRESSES: {
		struct zp_config_addresses *list = place;

		zp_free(list->items);
		*list = (struct zp_config_addresses){0};
		break;
	}
	case CONFIG_TEXTS: {
		struct zp_config_texts *list = place;

		for (size_t i = 0; i < list->count; i++)
			zp_free(list->items[i]);
		zp_free(list->items);
		*list = (struct zp_config_texts){0};
		break;
	}
	case CONFIG_HEADERS: {
		struct zp_config_headers *list = place;

		for (size_t i = 0; i < list->count; i++) {
			zp_free(list->items[i].name);
			zp_free(list->items[i].value);
		}
		zp_free(list->items);
		*list = (struct zp_config_headers){0};
		break;
	}
	case CONFIG_ACCOUNTS: {
		struct zp_config_accounts *list = place;

		for (size_t i = 0; i < list->count; i++)
			account_done(&list->items[i]);
		zp_free(list->items);
		*list = (struct zp_config_accounts){0};
		break;
	}
	}
}

int
config__list_check(size_t count, struct zp_err *err)
{
	if (count < ZP_CONFIG_ITEMS_MAX)
		return 0;
	return zp_fail(err, ZP_E_TOO_LARGE, "more than %u items", ZP_CONFIG_ITEMS_MAX);
}

int
config__text_add(struct zp_slice text, struct zp_config_texts *list, struct zp_err *err)
{
	int rc = config__list_check(list->count, err);

	if (rc < 0)
		return rc;
	if (text.length == 0)
		return zp_fail(err, ZP_E_INVALID, "an item is empty");
	list->items = config__items_grow(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = config__text_copy(text);
	return 0;
}

/* RFC 9110: a name is a token. */
static bool
is_token(struct zp_slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (!isalnum(text.data[i]) && strchr("!#$%&'*+-.^_`|~", text.data[i]) == NULL)
			return false;
	}
	return text.length > 0;
}

int
config__header_add(struct zp_slice name, struct zp_slice value, struct zp_config_headers *headers,
    struct zp_err *err)
{
	int rc = config__list_check(headers->count, err);

	if (rc == 0)
		rc = config__text_check(name, err);
	if (rc == 0)
		rc = config__text_check(value, err);
	if (rc < 0)
		return rc;
	if (!is_token(name))
		return zp_fail(err, ZP_E_INVALID, "\"%.*s\" is not the name of a header",
		    (int)name.length, name.data);
	headers->items =
	    config__items_grow(headers->items, headers->count, sizeof(*headers->items));
	headers->items[headers->count++] = (struct zp_config_header){
	    .name = config__text_copy(name),
	    .value = config__text_copy(value),
	};
	return 0;
}

struct zp_config_account *
config__account_add(struct zp_config_accounts *accounts)
{
	struct zp_config_account *account;

	if (accounts->count >= ZP_CONFIG_ITEMS_MAX)
		return NULL;
	accounts->items =
	    config__items_grow(accounts->items, accounts->count, sizeof(*accounts->items));
	account = &accounts->items[accounts->count++];
	*account = (struct zp_config_account){
	    .name = zp_strdup(""),
	    .password_hash = zp_strdup(""),
	    .password = zp_strdup(""),
	    .token_secret = zp_strdup(""),
	};
	return account;
}

int
config__account_set(struct zp_config_account *account, struct zp_slice member,
    struct zp_slice value, struct zp_err *err)
{
	const struct {
		const char *name;
		char **place;
	} members[] = {
	    {"name", &account->name},
	    {"password_hash", &account->password_hash},
	    {"password", &account->password},
	    {"token_secret", &account->token_secret},
	};
	int rc = config__text_check(value, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(members); i++) {
		if (!zp_slice_is(member, members[i].name))
			continue;
		if ((*members[i].place)[0] != '\0')
			return zp_fail(err, ZP_E_INVALID, "%s is given twice", members[i].name);
		if (value.length == 0)
			return zp_fail(err, ZP_E_INVALID, "%s is empty", members[i].name);
		config__text_replace(members[i].place, value);
		return 0;
	}
	return zp_fail(err, ZP_E_INVALID,
	    "unknown member \"%.*s\" of an account, which has name, password_hash, token_secret "
	    "and "
	    "password",
	    (int)zp_min_u64(member.length, 64), member.data);
}
