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

void
zp_config_init(struct zp_config *config)
{
	*config = (struct zp_config){0};
	config->places = zp_alloc_zero(config__keys_count, sizeof(*config->places));
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
		if (config->places != NULL)
			zp_free(config->places[i].text);
	}
	zp_free(config->places);
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
	return zp_fail(err, ZP_E_INVALID,
	    "%s holds accounts and everyone can read it (mode %04o): chmod o-rwx %s", path,
	    (unsigned)(facts.st_mode & 07777), path);
}

/* A fault of a file as a whole. */
static void
fault_add(int rc, const struct zp_err *err, struct zp_config_faults *faults)
{
	if (rc < 0)
		config__fault_add(faults, 0, err);
}

static void
config_file_read(const char *path, struct zp_config *config, struct zp_config_faults *faults)
{
	ZP_AUTO_BUF(text, ZP_CONFIG_BYTES_MAX);
	struct zp_err err = {0};
	int rc = file_read(path, &text, &err);

	if (rc == 0)
		config__read(zp_buf_slice(&text), path, NULL, config, faults);
	if (rc == 0 && config->access.accounts.count > 0)
		rc = secret_file_check(path, &err);
	fault_add(rc, &err, faults);
}

static void
accounts_file_read(struct zp_config *config, struct zp_config_faults *faults)
{
	ZP_AUTO_BUF(text, ZP_CONFIG_BYTES_MAX);
	const struct config_key *key = config__key_find("access", "accounts_file");
	const struct zp_config_place *place = config__place(config, key);
	const char *path = config->access.accounts_file;
	struct zp_err err = {0};
	int rc;

	if (path[0] == '\0')
		return;
	rc = secret_file_check(path, &err);
	if (rc == 0)
		rc = file_read(path, &text, &err);
	if (rc == 0) {
		config__read(zp_buf_slice(&text), path, config__key_find("access", "accounts"),
		    config, faults);
		return;
	}
	rc = zp_wrap(&err, rc, "access.accounts_file");
	if (place->text != NULL)
		rc = zp_wrap(&err, rc, "%s", place->text);
	config__fault_add(faults, place->line, &err);
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

static void
variable_apply(const struct config_key *key, const char *source, struct zp_slice value,
    struct zp_config *config, struct zp_config_faults *faults)
{
	struct zp_err err = {0};
	int rc;

	config__value_clear(key, config);
	config__place_set(config__place(config, key), source, 0, 0);
	if (key->type == CONFIG_HEADERS || key->type == CONFIG_ACCOUNTS) {
		config__read(value, source, key, config, faults);
		return;
	}
	if (config__type_is_scalar(key->type))
		rc = config__value_add(key, value, config, &err);
	else
		rc = config__value_add_list(key, value, config, &err);
	if (rc < 0)
		fault_add(
		    zp_wrap(&err, rc, "%s: %s.%s", source, key->section, key->name), &err, faults);
}

static void
environment_apply(
    char *const *environment, struct zp_config *config, struct zp_config_faults *faults)
{
	size_t prefix_length = strlen(ENVIRONMENT_PREFIX);

	for (; environment != NULL && *environment != NULL; environment++) {
		const char *equals = strchr(*environment, '=');
		const struct config_key *key;
		struct zp_err err = {0};
		char source[160];
		char section[64];
		char name[64];
		size_t length;

		if (equals == NULL || strncmp(*environment, ENVIRONMENT_PREFIX, prefix_length) != 0)
			continue;
		length = (size_t)(equals - *environment);
		name_split(*environment + prefix_length, length - prefix_length, section, name);
		if (name[0] == '\0' || config__section_find(section) < 0)
			continue; /* ZPIN_API and what belongs to others */
		snprintf(
		    source, sizeof(source), "environment variable %.*s", (int)length, *environment);
		key = config__key_find(section, name);
		if (key != NULL)
			variable_apply(key, source, zp_slice_of(equals + 1), config, faults);
		else
			fault_add(zp_fail(&err, ZP_E_INVALID, "%s: unknown key %s.%s", source,
				      section, name),
			    &err, faults);
	}
}

int
zp_config_override(char *const *environment, struct zp_config *config, struct zp_err *err)
{
	struct zp_config_faults faults = {0};

	environment_apply(environment, config, &faults);
	return config__faults_first(&faults, err);
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

/* A file that was named must be there; the default one may be missing, but not unreadable. Values
 * that are wrong are not judged together: half of what would be told is due to them. */
static void
load_steps(const char *path, char *const *environment, struct zp_config *config,
    struct zp_config_faults *faults)
{
	path = zp_config_path(path, environment);
	if (path != NULL)
		config_file_read(path, config, faults);
	environment_apply(environment, config, faults);
	if (faults->count == 0)
		accounts_file_read(config, faults);
	if (faults->count > 0)
		return;
	config__check(config, NULL, faults);
	config__faults_sort(faults);
}

int
zp_config_load_judged(const char *path, char *const *environment, struct zp_config *config,
    struct zp_config_faults *faults_out)
{
	int rc;

	*faults_out = (struct zp_config_faults){0};
	zp_config_init(config);
	load_steps(path, environment, config, faults_out);
	rc = config__faults_first(faults_out, NULL);
	if (rc < 0)
		zp_config_done(config);
	return rc;
}

int
zp_config_load(
    const char *path, char *const *environment, struct zp_config *config, struct zp_err *err)
{
	struct zp_config_faults faults;
	int rc = zp_config_load_judged(path, environment, config, &faults);
	size_t length;

	if (rc == 0)
		return ZP_OK;
	rc = config__faults_first(&faults, err);
	if (err == NULL || faults.count == 1)
		return rc;
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length,
	    " (and %zu more: `zpin config check` names them)", faults.count - 1);
	return rc;
}
