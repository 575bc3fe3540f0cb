/*
 * config_check.c - what no single key can say: public addresses need accounts or a word that they
 * need none, no two listeners have one address, TLS needs both files, replication factors fit each
 * other, accounts are complete.
 *
 * Flow: config.c, when every value is good. Pure. Owner: the main thread.
 */
#include "main/config_internal.h"

#include <stdarg.h>
#include <stdio.h>

#define MEMORY_BYTES_MIN (UINT64_C(64) << 20)

struct check {
	const struct zp_config *config;
	struct zp_buf *warnings; /* NULL: not wanted */
	struct zp_config_faults *faults;
};

/* A fault of what was given there; of a default that has no place, of the text alone. */
static void fault_at(struct check *check, const struct zp_config_place *place, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

static void
fault_at(struct check *check, const struct zp_config_place *place, const char *format, ...)
{
	struct zp_err err = {0};
	char text[ZP_ERR_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (place->text != NULL)
		zp_ignore(zp_fail(&err, ZP_E_INVALID, "%s: %s", place->text, text)); /* is noted */
	else
		zp_ignore(zp_fail(&err, ZP_E_INVALID, "%s", text)); /* is noted */
	config__fault_add(check->faults, place->line, &err);
}

static const struct zp_config_place *
place_of(const struct check *check, const char *section, const char *name)
{
	return config__place(check->config, config__key_find(section, name));
}

/* Of two keys that do not go together, the one that somebody gave. */
static const struct zp_config_place *
place_of_either(const struct check *check, const char *section, const char *name, const char *other)
{
	const struct zp_config_place *place = place_of(check, section, name);

	return place->text != NULL ? place : place_of(check, section, other);
}

static void
warn(struct check *check, const char *text)
{
	if (check->warnings == NULL)
		return;
	zp_buf_append_text(check->warnings, text);
	zp_buf_append_byte(check->warnings, '\n');
}

/* ---- Who can reach what --------------------------------------------------------------------- */

static const struct zp_config_address *
public_address(const struct zp_config_addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++) {
		if (!addresses->items[i].is_loopback)
			return &addresses->items[i];
	}
	return NULL;
}

/* Who may reach a listener that everybody can reach, as the operator must have said it. */
static void
exposure_check(struct check *check)
{
	const struct zp_config *config = check->config;
	bool has_accounts = config->access.accounts.count > 0;
	bool is_insecure = config->api.allow_insecure;
	const struct {
		const char *section;
		const struct zp_config_addresses *addresses;
		bool is_allowed;
		const char *why;
	} listeners[] = {
	    {"api", &config->api.listen, has_accounts || is_insecure,
		"there are no accounts. Listen on 127.0.0.1, add accounts (`zpin account NAME` "
		"makes one), or set api.allow_insecure: true to serve everybody"},
	    {"management", &config->management.listen, has_accounts,
		"there are no accounts. Listen on 127.0.0.1, or add accounts (`zpin account NAME` "
		"makes one)"},
	    {"metrics", &config->metrics.listen, is_insecure,
		"this page asks for no account. Listen on 127.0.0.1, or set api.allow_insecure: "
		"true; management.listen has the same page for accounts"},
	};
	bool is_public = false;

	for (size_t i = 0; i < ZP_ARRAY_COUNT(listeners); i++) {
		const struct zp_config_address *address = public_address(listeners[i].addresses);

		if (address == NULL)
			continue;
		is_public |= listeners[i].addresses != &config->metrics.listen;
		if (!listeners[i].is_allowed)
			fault_at(check, place_of(check, listeners[i].section, "listen"),
			    "%s.listen: other machines can reach %s port %u and %s",
			    listeners[i].section, address->host, address->port, listeners[i].why);
	}
	if (!is_public)
		return;
	if (!has_accounts)
		warn(check, "api.allow_insecure: everybody who reaches the public addresses may "
			    "change the pinset");
	else if (config->api.tls_certificate[0] == '\0')
		warn(check, "api.tls_certificate: passwords cross the network in clear unless a "
			    "proxy adds TLS");
	else if (public_address(&config->management.listen) != NULL)
		warn(check, "management.listen: has no TLS of its own, so passwords cross the "
			    "network in clear unless a proxy adds it");
}

/* One that both have, or that one list has twice; NULL: none. Port 0 is another one each time. */
static const struct zp_config_address *
address_twice(
    const struct zp_config_addresses *a, const struct zp_config_addresses *b, bool is_one_list)
{
	for (size_t i = 0; i < a->count; i++) {
		for (size_t j = is_one_list ? i + 1 : 0; j < b->count; j++) {
			if (a->items[i].port == b->items[j].port && a->items[i].port != 0 &&
			    strcmp(a->items[i].host, b->items[j].host) == 0)
				return &b->items[j];
		}
	}
	return NULL;
}

/* The later of two listeners with one address, which else only the start would refuse. */
static void
addresses_check(struct check *check)
{
	const struct {
		const char *section;
		const struct zp_config_addresses *addresses;
	} listeners[] = {
	    {"api", &check->config->api.listen},
	    {"management", &check->config->management.listen},
	    {"metrics", &check->config->metrics.listen},
	};
	const size_t count = ZP_ARRAY_COUNT(listeners);

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j <= i; j++) {
			const struct zp_config_address *twice =
			    address_twice(listeners[j].addresses, listeners[i].addresses, i == j);

			if (twice != NULL)
				fault_at(check, place_of(check, listeners[i].section, "listen"),
				    "%s.listen: %s.listen has %s port %u, too",
				    listeners[i].section, listeners[j].section, twice->host,
				    twice->port);
		}
	}
}

/* ---- Accounts ------------------------------------------------------------------------------- */

/* What is wrong with the account, or NULL. */
static const char *
account_fault(const struct zp_config *config, const struct zp_config_account *account)
{
	bool has_password = account->password[0] != '\0';
	bool has_hash = account->password_hash[0] != '\0';

	if (account->name[0] == '\0')
		return "has no name";
	if (strchr(account->name, ':') != NULL)
		return "the name holds a colon, which Basic authentication can't carry";
	if (config->access.token_key == ZP_CONFIG_TOKEN_KEY_PASSWORD)
		return has_password && !has_hash
			   ? NULL
			   : "access.token_key: password needs `password`, and no password_hash";
	if (has_password)
		return "`password` in clear is only for access.token_key: password; put the "
		       "password_hash that `zpin account NAME` prints";
	if (strncmp(account->password_hash, "$argon2id$", 10) != 0)
		return "password_hash is not an argon2id hash; `zpin account NAME` prints one";
	if (account->token_secret[0] != '\0' && strlen(account->token_secret) < 32)
		return "token_secret is shorter than 32 characters; `zpin account NAME` prints "
		       "one";
	return NULL;
}

static void
accounts_check(struct check *check)
{
	const struct zp_config *config = check->config;
	const struct zp_config_accounts *accounts = &config->access.accounts;

	for (size_t i = 0; i < accounts->count; i++) {
		const struct zp_config_account *account = &accounts->items[i];
		const char *why = account_fault(config, account);

		if (why != NULL)
			fault_at(check, &account->place, "access.accounts: account %zu (%s): %s",
			    i + 1, account->name, why);
		for (size_t j = 0; why == NULL && j < i; j++) {
			if (strcmp(accounts->items[j].name, account->name) != 0)
				continue;
			fault_at(check, &account->place,
			    "access.accounts: account %zu (%s): the name is taken by account %zu",
			    i + 1, account->name, j + 1);
			break;
		}
	}
	if (accounts->count > 0 && config->access.token_key == ZP_CONFIG_TOKEN_KEY_PASSWORD)
		warn(check,
		    "access.token_key: password keeps every password in clear in the config");
	/* An empty file is a slip, and would open the API to everybody. */
	if (config->access.accounts_file[0] != '\0' && accounts->count == 0)
		fault_at(check, place_of(check, "access", "accounts_file"),
		    "access.accounts_file: %s has no account; `zpin account NAME` prints one",
		    config->access.accounts_file);
}

/* ---- The rest ------------------------------------------------------------------------------- */

/* IPFS Cluster's rules, in its words, so that what it refused per pin is refused at the start. */
static void
replication_check(struct check *check)
{
	int64_t min = check->config->replication.factor_min;
	int64_t max = check->config->replication.factor_max;
	const char *why = NULL;

	if (min == 0 || max == 0)
		why = "replication: a factor of 0 would keep no copy; -1 is every peer";
	else if ((min == -1) != (max == -1))
		why = "replication: factor_min and factor_max must be -1 when one of them is";
	else if (min > max)
		why = "replication: factor_min is larger than factor_max";
	if (why == NULL)
		return;
	fault_at(check,
	    max == 0 && min != 0
		? place_of(check, "replication", "factor_max")
		: place_of_either(check, "replication", "factor_min", "factor_max"),
	    "%s", why);
}

static void
files_check(struct check *check)
{
	const struct zp_config *config = check->config;

	if (config->node.data[0] == '\0')
		fault_at(check, place_of(check, "node", "data"), "node.data: needs a directory");
	if ((config->api.tls_certificate[0] == '\0') != (config->api.tls_key[0] == '\0'))
		fault_at(check, place_of_either(check, "api", "tls_certificate", "tls_key"),
		    "api.tls_certificate and api.tls_key must be given together");
}

static void
storage_check(struct check *check)
{
	uint64_t memory_bytes = check->config->storage.memory_bytes;
	uint64_t shards = check->config->storage.shards;

	if ((shards & (shards - 1)) != 0)
		fault_at(
		    check, place_of(check, "storage", "shards"), "storage.shards: a power of two");
	if (memory_bytes != 0 && memory_bytes < MEMORY_BYTES_MIN)
		fault_at(check, place_of(check, "storage", "memory"),
		    "storage.memory: at least 64MiB, or 0 for a quarter of the machine");
	if (!check->config->storage.sync)
		warn(check, "storage.sync: false, so a crash may lose acknowledged writes");
}

void
config__check(
    const struct zp_config *config, struct zp_buf *warnings, struct zp_config_faults *faults)
{
	struct check check = {.config = config, .warnings = warnings, .faults = faults};

	files_check(&check);
	storage_check(&check);
	accounts_check(&check);
	exposure_check(&check);
	addresses_check(&check);
	replication_check(&check);
}

int
zp_config_check(const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err)
{
	struct zp_config_faults faults = {0};

	config__check(config, warnings, &faults);
	return config__faults_first(&faults, err);
}
