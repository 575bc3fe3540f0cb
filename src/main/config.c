/*
 * config.c - the order in which a config comes together: defaults, file, environment, accounts,
 * check.
 *
 * Flow: called once by main. config_read.c reads YAML, config_value.c single values.
 */
#include "main/config_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ENVIRONMENT_PREFIX "ZPIN_"
#define MEMORY_BYTES_MIN (UINT64_C(64) << 20)

void
zp_config_init(struct zp_config *config)
{
	*config = (struct zp_config){0};
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];
		struct zp_slice text = zp_slice_of(key->value_default);
		int rc = 0;

		config__value_clear(key, config);
		if (config__type_is_scalar(key->type))
			rc = config__value_add(key, text, config, NULL);
		else
			rc = config__value_add_list(key, text, config, NULL);
		ZP_ASSERT(rc == 0);
	}
}

void
zp_config_done(struct zp_config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config__keys_count; i++) {
		const struct config_key *key = &config__keys[i];

		config__value_clear(key, config);
		if (key->type == CONFIG_TEXT || key->type == CONFIG_PATH)
			zp_free(*(char **)((char *)config + key->offset));
	}
	*config = (struct zp_config){0};
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* A file that is not there is a slip in the call or the config, and no pin that is not found. */
static int
file_fail(const char *path, struct zp_err *err)
{
	if (errno == ENOENT)
		return zp_fail(err, ZP_E_INVALID, "read %s: %s", path, strerror(errno));
	return zp_fail_errno(err, errno, "read %s", path);
}

/* Reads at most one byte over the limit, so that a huge file (or /dev/zero) is refused early. */
static int
file_read(const char *path, struct zp_buf *text, struct zp_err *err)
{
	FILE *file = fopen(path, "rbe");
	int rc = 0;

	if (file == NULL)
		return file_fail(path, err);
	for (;;) {
		uint8_t block[8192];
		size_t length = fread(block, 1, sizeof(block), file);

		zp_buf_append(text, block, length);
		if (text->overflow) {
			rc = zp_fail(
			    err, ZP_E_TOO_LARGE, "%s is over %u bytes", path, ZP_CONFIG_BYTES_MAX);
			break;
		}
		if (length < sizeof(block)) {
			if (ferror(file))
				rc = zp_fail_errno(err, errno, "read %s", path);
			break;
		}
	}
	fclose(file);
	return rc;
}

/* Secrets that everyone can read are a mistake that no later check would find. */
static int
secret_file_check(const char *path, struct zp_err *err)
{
	struct stat facts;

	if (stat(path, &facts) != 0)
		return file_fail(path, err);
	if (!S_ISREG(facts.st_mode) || (facts.st_mode & S_IROTH) == 0)
		return 0;
	return zp_fail(err, ZP_E_DENIED,
	    "%s holds accounts and everyone can read it (mode %04o): chmod o-rwx %s", path,
	    (unsigned)(facts.st_mode & 07777), path);
}

static int
config_file_read(const char *path, struct zp_config *config, struct zp_err *err)
{
	ZP_AUTO_BUF(text, ZP_CONFIG_BYTES_MAX);
	int rc = file_read(path, &text, err);

	if (rc == 0)
		rc = zp_config_read(zp_buf_slice(&text), path, config, err);
	if (rc == 0 && config->access.accounts.count > 0)
		rc = secret_file_check(path, err);
	return rc;
}

static int
accounts_file_read(struct zp_config *config, struct zp_err *err)
{
	ZP_AUTO_BUF(text, ZP_CONFIG_BYTES_MAX);
	const char *path = config->access.accounts_file;
	int rc;

	if (path[0] == '\0')
		return 0;
	rc = secret_file_check(path, err);
	if (rc == 0)
		rc = file_read(path, &text, err);
	if (rc == 0)
		rc = config__read_value(
		    zp_buf_slice(&text), path, config__key_find("access", "accounts"), config, err);
	return rc < 0 ? zp_wrap(err, rc, "access.accounts_file") : 0;
}

/* ---- Environment ---------------------------------------------------------------------------- */

/* "API_TLS_KEY" is "api" and "tls_key": section names have no underscore. */
static void
name_split(const char *name, size_t length, char section[64], char key[64])
{
	size_t i = 0;
	size_t j = 0;

	section[0] = key[0] = '\0';
	if (length >= 64)
		return;
	for (; i < length && name[i] != '_'; i++)
		section[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : '?');
	section[i] = '\0';
	for (i++; i < length; i++, j++)
		key[j] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	key[j] = '\0';
}

static int
variable_apply(const struct config_key *key, const char *source, struct zp_slice value,
    struct zp_config *config, struct zp_err *err)
{
	int rc;

	config__value_clear(key, config);
	if (key->type == CONFIG_HEADERS || key->type == CONFIG_ACCOUNTS)
		return config__read_value(value, source, key, config, err);
	if (config__type_is_scalar(key->type))
		rc = config__value_add(key, value, config, err);
	else
		rc = config__value_add_list(key, value, config, err);
	return rc < 0 ? zp_wrap(err, rc, "%s: %s.%s", source, key->section, key->name) : 0;
}

int
zp_config_override(char *const *environment, struct zp_config *config, struct zp_err *err)
{
	size_t prefix_length = strlen(ENVIRONMENT_PREFIX);

	for (; environment != NULL && *environment != NULL; environment++) {
		const char *equals = strchr(*environment, '=');
		const struct config_key *key;
		char source[128];
		char section[64];
		char name[64];
		size_t length;
		int rc;

		if (equals == NULL || strncmp(*environment, ENVIRONMENT_PREFIX, prefix_length) != 0)
			continue;
		length = (size_t)(equals - *environment);
		name_split(*environment + prefix_length, length - prefix_length, section, name);
		if (name[0] == '\0' || config__section_find(section) < 0)
			continue; /* ZPIN_API and what belongs to others */
		snprintf(source, sizeof(source), "%.*s", (int)length, *environment);
		key = config__key_find(section, name);
		if (key == NULL)
			return zp_fail(err, ZP_E_INVALID,
			    "environment variable %s: unknown key %s.%s", source, section, name);
		rc = variable_apply(key, source, zp_slice_of(equals + 1), config, err);
		if (rc < 0)
			return zp_wrap(err, rc, "environment variable");
	}
	return 0;
}

static const char *
environment_get(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; environment != NULL && *environment != NULL; environment++) {
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	}
	return NULL;
}

const char *
zp_config_path(const char *path, char *const *environment)
{
	struct stat facts;

	if (path == NULL)
		path = environment_get(environment, "ZPIN_CONFIG");
	if (path == NULL && (stat(ZP_CONFIG_PATH_DEFAULT, &facts) == 0 || errno != ENOENT))
		path = ZP_CONFIG_PATH_DEFAULT;
	return path;
}

/* A file that was named must be there; the default one may be missing, but not unreadable. */
static int
load_steps(const char *path, char *const *environment, struct zp_config *config, struct zp_err *err)
{
	int rc = 0;

	path = zp_config_path(path, environment);
	if (path != NULL)
		rc = config_file_read(path, config, err);
	if (rc == 0)
		rc = zp_config_override(environment, config, err);
	if (rc == 0)
		rc = accounts_file_read(config, err);
	if (rc == 0)
		rc = zp_config_check(config, NULL, err);
	return rc;
}

int
zp_config_load(
    const char *path, char *const *environment, struct zp_config *config, struct zp_err *err)
{
	int rc;

	zp_config_init(config);
	rc = load_steps(path, environment, config, err);
	if (rc < 0)
		zp_config_done(config);
	return rc;
}

/* ---- What no single key can say ------------------------------------------------------------- */

static const struct zp_config_address *
public_address(const struct zp_config_addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++) {
		if (!addresses->items[i].is_loopback)
			return &addresses->items[i];
	}
	return NULL;
}

static void
warn(struct zp_buf *warnings, const char *text)
{
	if (warnings == NULL)
		return;
	zp_buf_append_text(warnings, text);
	zp_buf_append_byte(warnings, '\n');
}

/* Who may reach a listener that everybody can reach, as the operator must have said it. */
static int
exposure_check(const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err)
{
	bool has_accounts = config->access.accounts.count > 0;
	bool is_insecure = config->api.allow_insecure;
	const struct {
		const char *key;
		const struct zp_config_addresses *addresses;
		bool is_allowed;
		const char *why;
	} listeners[] = {
	    {"api.listen", &config->api.listen, has_accounts || is_insecure,
		"there are no accounts. Listen on 127.0.0.1, add accounts (`zpin account NAME` "
		"makes one), or set api.allow_insecure: true to serve everybody"},
	    {"management.listen", &config->management.listen, has_accounts,
		"there are no accounts. Listen on 127.0.0.1, or add accounts (`zpin account NAME` "
		"makes one)"},
	    {"metrics.listen", &config->metrics.listen, is_insecure,
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
			return zp_fail(err, ZP_E_INVALID,
			    "%s: other machines can reach %s port %u and %s", listeners[i].key,
			    address->host, address->port, listeners[i].why);
	}
	if (!is_public)
		return 0;
	if (!has_accounts)
		warn(warnings, "api.allow_insecure: everybody who reaches the public addresses may "
			       "change the pinset");
	else if (config->api.tls_certificate[0] == '\0')
		warn(warnings, "api.tls_certificate: passwords cross the network in clear unless a "
			       "proxy adds TLS");
	else if (public_address(&config->management.listen) != NULL)
		warn(warnings, "management.listen: has no TLS of its own, so passwords cross the "
			       "network in clear unless a proxy adds it");
	return 0;
}

static int
account_check(
    const struct zp_config *config, const struct zp_config_account *account, struct zp_err *err)
{
	bool has_password = account->password[0] != '\0';
	bool has_hash = account->password_hash[0] != '\0';

	if (account->name[0] == '\0')
		return zp_fail(err, ZP_E_INVALID, "has no name");
	if (strchr(account->name, ':') != NULL)
		return zp_fail(err, ZP_E_INVALID,
		    "the name holds a colon, which Basic authentication can't carry");
	if (config->access.token_key == ZP_CONFIG_TOKEN_KEY_PASSWORD) {
		if (!has_password || has_hash)
			return zp_fail(err, ZP_E_INVALID,
			    "access.token_key: password needs `password`, and no password_hash");
		return 0;
	}
	if (has_password)
		return zp_fail(err, ZP_E_INVALID,
		    "`password` in clear is only for access.token_key: password; put the "
		    "password_hash that `zpin account %s` prints",
		    account->name);
	if (strncmp(account->password_hash, "$argon2id$", 10) != 0)
		return zp_fail(err, ZP_E_INVALID,
		    "password_hash is not an argon2id hash; `zpin account %s` prints one",
		    account->name);
	if (account->token_secret[0] != '\0' && strlen(account->token_secret) < 32)
		return zp_fail(err, ZP_E_INVALID,
		    "token_secret is shorter than 32 characters; `zpin account %s` prints one",
		    account->name);
	return 0;
}

static int
accounts_check(const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err)
{
	const struct zp_config_accounts *accounts = &config->access.accounts;

	for (size_t i = 0; i < accounts->count; i++) {
		const char *name = accounts->items[i].name;
		int rc = account_check(config, &accounts->items[i], err);

		for (size_t j = 0; rc == 0 && j < i; j++) {
			if (strcmp(accounts->items[j].name, name) == 0)
				rc = zp_fail(
				    err, ZP_E_INVALID, "the name is taken by account %zu", j + 1);
		}
		if (rc < 0)
			return zp_wrap(err, rc, "access.accounts: account %zu (%s)", i + 1, name);
	}
	if (accounts->count > 0 && config->access.token_key == ZP_CONFIG_TOKEN_KEY_PASSWORD)
		warn(warnings,
		    "access.token_key: password keeps every password in clear in the config");
	return 0;
}

/* IPFS Cluster's rules, in its words, so that what it refused per pin is refused at the start. */
static int
replication_check(const struct zp_config *config, struct zp_err *err)
{
	int64_t min = config->replication.factor_min;
	int64_t max = config->replication.factor_max;

	if (min == 0 || max == 0)
		return zp_fail(err, ZP_E_INVALID,
		    "replication: a factor of 0 would keep no copy; -1 is every peer");
	if ((min == -1) != (max == -1))
		return zp_fail(err, ZP_E_INVALID,
		    "replication: factor_min and factor_max must be -1 when one of them is");
	if (min > max)
		return zp_fail(
		    err, ZP_E_INVALID, "replication: factor_min is larger than factor_max");
	return 0;
}

int
zp_config_check(const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err)
{
	uint64_t memory_bytes = config->storage.memory_bytes;
	int rc;

	if (config->node.data[0] == '\0')
		return zp_fail(err, ZP_E_INVALID, "node.data: needs a directory");
	if ((config->api.tls_certificate[0] == '\0') != (config->api.tls_key[0] == '\0'))
		return zp_fail(err, ZP_E_INVALID,
		    "api.tls_certificate and api.tls_key must be given together");
	if (memory_bytes != 0 && memory_bytes < MEMORY_BYTES_MIN)
		return zp_fail(err, ZP_E_INVALID,
		    "storage.memory: at least 64MiB, or 0 for a quarter of the machine");
	/* An empty file is a slip, and would open the API to everybody. */
	if (config->access.accounts_file[0] != '\0' && config->access.accounts.count == 0)
		return zp_fail(err, ZP_E_INVALID,
		    "access.accounts_file: %s has no account; `zpin account NAME` prints one",
		    config->access.accounts_file);
	if (!config->storage.sync)
		warn(warnings, "storage.sync: false, so a crash may lose acknowledged writes");
	rc = accounts_check(config, warnings, err);
	if (rc == 0)
		rc = exposure_check(config, warnings, err);
	if (rc == 0)
		rc = replication_check(config, err);
	return rc;
}
