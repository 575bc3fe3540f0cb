/*
 * test_config_load.c - files and environment together: which file is read, what wins, whose secrets
 * may be seen by whom. On real files in a folder of their own.
 */
#include "main/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ACCOUNT "{name: a, password_hash: \"$argon2id$v=19$x\"}"

static char folder[64];

static int
folder_make(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/zpin-config-XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int
folder_remove(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static const char *
file_write(const char *name, mode_t mode, const char *text)
{
	static char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void
the_environment_wins_over_the_file(void **state)
{
	char *environment[] = {"PATH=/bin", "ZPIN_LOG_LEVEL=debug", "ZPIN_API=http://x",
	    "ZPIN_CREDENTIALS=a:b", "ZPIN_ODD", "ZPIN_SHELL_KIND=zsh", NULL};
	const char *path = file_write("c.yaml", 0644, "log: {level: error, format: json}\n");
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(zp_config_load(path, environment, &config, &err), 0);
	assert_int_equal(config.log.level, ZP_CONFIG_LOG_DEBUG);
	assert_int_equal(config.log.format, ZP_CONFIG_LOG_JSON);
	zp_config_done(&config);
}

static void
zpin_config_names_the_file_unless_told(void **state)
{
	char variable[128];
	char *environment[] = {variable, NULL};
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	snprintf(variable, sizeof(variable), "ZPIN_CONFIG=%s",
	    file_write("env.yaml", 0644, "node: {name: from-env}\n"));
	assert_int_equal(zp_config_load(NULL, environment, &config, &err), 0);
	assert_string_equal(config.node.name, "from-env");
	zp_config_done(&config);
	assert_int_equal(zp_config_load(file_write("arg.yaml", 0644, "node: {name: from-arg}\n"),
			     environment, &config, &err),
	    0);
	assert_string_equal(config.node.name, "from-arg");
	zp_config_done(&config);
}

/* A file that was named and isn't there is an error that names it; so is a folder. */
static void
a_missing_file_is_named(void **state)
{
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(zp_config_load("/nowhere/zpin.yaml", NULL, &config, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "/nowhere/zpin.yaml"));
	assert_true(zp_config_load(folder, NULL, &config, &err) < 0);
	assert_non_null(strstr(err.text, folder));
}

static void
an_endless_file_is_refused(void **state)
{
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(zp_config_load("/dev/zero", NULL, &config, &err), ZP_E_TOO_LARGE);
}

static void
a_wrong_variable_is_named(void **state)
{
	char *unknown[] = {"ZPIN_LOG_LEVLE=debug", NULL};
	char *bad[] = {"ZPIN_LOG_LEVEL=loud", NULL};
	char *bad_yaml[] = {"ZPIN_API_HEADERS={X-A: [}", NULL};
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(zp_config_override(unknown, &config, &err), ZP_E_INVALID);
	assert_string_equal(err.text, "environment variable ZPIN_LOG_LEVLE: unknown key log.levle");
	assert_int_equal(zp_config_override(bad, &config, &err), ZP_E_INVALID);
	assert_string_equal(err.text,
	    "environment variable ZPIN_LOG_LEVEL: log.level: \"loud\" is none of "
	    "error|warning|info|debug");
	assert_int_equal(zp_config_override(bad_yaml, &config, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "environment variable ZPIN_API_HEADERS:1:"));
	zp_config_done(&config);
}

static void
accounts_of_the_file_come_after_those_of_the_config(void **state)
{
	char yaml[512];
	struct zp_config config;
	struct zp_err err = {0};
	const char *path;

	(void)state;
	path =
	    file_write("accounts.yaml", 0640, "- name: b\n  password_hash: \"$argon2id$v=19$y\"\n");
	snprintf(
	    yaml, sizeof(yaml), "access:\n  accounts: [" ACCOUNT "]\n  accounts_file: %s\n", path);
	assert_int_equal(zp_config_load(file_write("c.yaml", 0600, yaml), NULL, &config, &err), 0);
	assert_int_equal(config.access.accounts.count, 2);
	assert_string_equal(config.access.accounts.items[0].name, "a");
	assert_string_equal(config.access.accounts.items[1].name, "b");
	zp_config_done(&config);
}

/* What a redirect leaves of a failed `zpin account`: it must not open the API to everybody. */
static void
an_accounts_file_without_accounts_is_refused(void **state)
{
	static const char *const empty[] = {"", "\n", "[]\n", "# none yet\n"};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(empty); i++) {
		char yaml[512];
		struct zp_config config;
		struct zp_err err = {0};

		snprintf(yaml, sizeof(yaml), "access: {accounts_file: %s}\n",
		    file_write("accounts.yaml", 0640, empty[i]));
		assert_int_equal(
		    zp_config_load(file_write("c.yaml", 0600, yaml), NULL, &config, &err),
		    ZP_E_INVALID);
		assert_non_null(strstr(err.text, "access.accounts_file: "));
		assert_non_null(strstr(err.text, "`zpin account NAME` prints one"));
	}
}

static void
secrets_that_everyone_can_read_are_refused(void **state)
{
	char yaml[512];
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(
	    zp_config_load(file_write("c.yaml", 0644, "access: {accounts: [" ACCOUNT "]}\n"), NULL,
		&config, &err),
	    ZP_E_INVALID);
	assert_non_null(strstr(err.text, "(mode 0644): chmod o-rwx "));
	snprintf(yaml, sizeof(yaml), "access: {accounts_file: %s}\n",
	    file_write("accounts.yaml", 0604, "[" ACCOUNT "]"));
	assert_int_equal(
	    zp_config_load(file_write("c.yaml", 0644, yaml), NULL, &config, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "accounts.yaml"));
}

/* load() checks as well; after a failure the config is ended and can be ended again. */
static void
a_failed_load_leaves_nothing(void **state)
{
	char *environment[] = {"ZPIN_API_LISTEN=0.0.0.0:9094", NULL};
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(zp_config_load("/dev/null", environment, &config, &err), ZP_E_INVALID);
	assert_null(config.api.listen.items);
	assert_null(config.node.data);
	zp_config_done(&config);
	zp_config_done(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_environment_wins_over_the_file),
	    cmocka_unit_test(zpin_config_names_the_file_unless_told),
	    cmocka_unit_test(a_missing_file_is_named),
	    cmocka_unit_test(an_endless_file_is_refused),
	    cmocka_unit_test(a_wrong_variable_is_named),
	    cmocka_unit_test(accounts_of_the_file_come_after_those_of_the_config),
	    cmocka_unit_test(an_accounts_file_without_accounts_is_refused),
	    cmocka_unit_test(secrets_that_everyone_can_read_are_refused),
	    cmocka_unit_test(a_failed_load_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
