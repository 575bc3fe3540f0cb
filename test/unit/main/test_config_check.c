/*
 * test_config_check.c - what keys must be together: public addresses, TLS, accounts, replication.
 */
#include "main/config_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HASH "password_hash: \"$argon2id$v=19$x\""
#define SECRET "token_secret: 0123456789abcdef0123456789abcdef"

static const struct {
	const char *yaml;
	const char *message; /* part of the error; NULL: it is good */
	const char *warning; /* part of the warnings; NULL: there are none */
} configs[] = {
    {"", NULL, NULL},
    {"api: {listen: \"0.0.0.0:9094\"}", "api.listen: other machines can reach 0.0.0.0 port 9094",
	NULL},
    {"api: {listen: \"0.0.0.0:9094\"}", "`zpin account NAME`", NULL},
    {"api: {listen: \"0.0.0.0:9094\"}", "api.allow_insecure: true", NULL},
    {"api: {listen: [\"127.0.0.1:1\", \"[2001:db8::1]:9094\"]}", "reach 2001:db8::1 port 9094",
	NULL},
    {"api: {listen: \"*:9094\"}", "api.listen: other machines", NULL},
    {"management: {listen: \"*:9098\"}", "management.listen: other machines", NULL},
    {"management: {listen: \"*:9098\"}\napi: {allow_insecure: true}",
	"management.listen: other machines can reach :: port 9098 and there are no accounts", NULL},
    {"management: {listen: \"*:9098\"}\naccess: {accounts: [{name: a, " HASH "}]}", NULL,
	"passwords cross the network in clear"},
    {"management: {listen: \"*:9098\"}\napi: {tls_certificate: c, tls_key: k}\n"
     "access: {accounts: [{name: a, " HASH "}]}",
	NULL, "management.listen: has no TLS"},
    {"metrics: {listen: \"10.1.2.3:8888\"}", "metrics.listen: other machines", NULL},
    {"metrics: {listen: \"*:8888\"}\naccess: {accounts: [{name: a, " HASH "}]}",
	"metrics.listen: other machines can reach :: port 8888 and this page asks for no account",
	NULL},
    {"metrics: {listen: \"*:8888\"}\napi: {allow_insecure: true}", NULL, NULL},
    {"api: {listen: \"127.9.9.9:9094\"}", NULL, NULL},
    {"api: {listen: \"[::1]:9094\"}", NULL, NULL},
    {"api: {listen: \"*:9094\", allow_insecure: true}", NULL,
	"everybody who reaches the public addresses"},
    {"api: {listen: \"*:9094\"}\naccess: {accounts: [{name: a, " HASH "}]}", NULL,
	"passwords cross the network in clear"},
    {"api: {listen: \"*:9094\", tls_certificate: c, tls_key: k}\n"
     "access: {accounts: [{name: a, " HASH ", " SECRET "}]}",
	NULL, NULL},
    {"api: {listen: \"127.0.0.1:5\"}\nmetrics: {listen: [\"127.0.0.1:4\", \"127.0.0.1:5\"]}",
	"metrics.listen: api.listen has 127.0.0.1 port 5, too", NULL},
    {"management: {listen: [\"[::1]:5\", \"127.0.0.1:5\", \"[::1]:5\"]}",
	"management.listen: management.listen has ::1 port 5, too", NULL},
    {"metrics: {listen: \"127.0.0.1:9094\"}", "metrics.listen: api.listen has", NULL},
    {"api: {listen: \"127.0.0.1:0\"}\nmanagement: {listen: [\"127.0.0.1:0\", \"127.0.0.1:0\"]}",
	NULL, NULL},
    {"api: {tls_certificate: c}", "must be given together", NULL},
    {"api: {tls_key: k}", "must be given together", NULL},
    {"node: {data: \"\"}", "node.data: needs a directory", NULL},
    {"storage: {memory: 1MiB}", "at least 64MiB", NULL},
    {"storage: {shards: 48}", "a power of two", NULL},
    {"storage: {shards: 64}", NULL, NULL},
    {"storage: {sync: false}", NULL, "a crash may lose acknowledged writes"},
    {"replication: {factor_min: 0}", "keep no copy", NULL},
    {"replication: {factor_min: 2}", "must be -1 when one of them is", NULL},
    {"replication: {factor_min: 3, factor_max: 2}", "larger than factor_max", NULL},
    {"replication: {factor_min: 2, factor_max: 3}", NULL, NULL},
    {"access: {accounts: [{" HASH "}]}", "account 1 (): has no name", NULL},
    {"access: {accounts: [{name: a}]}", "account 1 (a): password_hash is not an argon2id", NULL},
    {"access: {accounts: [{name: a, password_hash: secret1}]}",
	"(a): password_hash is not an argon2id hash; `zpin account NAME` prints one", NULL},
    {"access: {accounts: [{name: \"a:b\", " HASH "}]}", "holds a colon", NULL},
    {"access: {accounts: [{name: a, " HASH "}, {name: a, " HASH "}]}",
	"account 2 (a): the name is taken by account 1", NULL},
    {"access: {accounts: [{name: a, " HASH ", token_secret: short}]}", "shorter than 32", NULL},
    {"access: {accounts: [{name: a, password: p}]}", "only for access.token_key: password", NULL},
    {"access: {token_key: password, accounts: [{name: a, password: p}]}", NULL,
	"keeps every password in clear"},
    {"access: {token_key: password, accounts: [{name: a, " HASH "}]}", "needs `password`", NULL},
    {"access: {token_key: password, accounts: [{name: a, password: p, " HASH "}]}",
	"and no password_hash", NULL},
};

static void
each_combination_is_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(configs); i++) {
		ZP_AUTO_BUF(warnings, 4096);
		struct zp_config config;
		struct zp_err err = {0};
		int rc;

		zp_config_init(&config);
		assert_int_equal(
		    zp_config_read(zp_slice_of(configs[i].yaml), "f", &config, &err), 0);
		rc = zp_config_check(&config, &warnings, &err);
		zp_buf_append_byte(&warnings, '\0');
		if (configs[i].message == NULL && rc != 0)
			fail_msg("%zu: %s: %s", i, configs[i].yaml, err.text);
		if (configs[i].message != NULL) {
			assert_int_equal(rc, ZP_E_INVALID);
			if (strstr(err.text, configs[i].message) == NULL)
				fail_msg("%zu: %s: %s", i, configs[i].yaml, err.text);
		} else if (configs[i].warning == NULL) {
			assert_string_equal((const char *)warnings.data, "");
		} else {
			assert_non_null(strstr((const char *)warnings.data, configs[i].warning));
		}
		assert_int_equal(zp_config_check(&config, NULL, NULL), rc);
		zp_config_done(&config);
	}
}

/* Where the key at fault was given is said, in the order of lines. */
static void
faults_have_their_places(void **state)
{
	const char *yaml = "metrics:\n"
			   "  listen: \"*:8888\"\n"
			   "replication:\n"
			   "  factor_max: 0\n"
			   "api:\n"
			   "  listen: [\"127.0.0.1:1\", \"*:9094\"]\n"
			   "  tls_key: k\n"
			   "storage: {memory: 1MiB}\n"
			   "access:\n"
			   "  accounts_file: /empty\n"
			   "node:\n"
			   "  data: \"\"\n";
	static const char *const expected[] = {"f:2:3: metrics.listen: other",
	    "f:4:3: replication: a", "f:6:3: api.listen: other machines can reach :: port 9094",
	    "f:7:3: api.tls_certificate and api.tls_key", "f:8:11: storage.memory: at least",
	    "f:10:3: access.accounts_file: /empty has", "f:12:3: node.data: needs"};
	struct zp_config_faults faults = {0};
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), 0);
	config__check(&config, NULL, &faults);
	config__faults_sort(&faults);
	assert_int_equal(faults.count, ZP_ARRAY_COUNT(expected));
	for (size_t i = 0; i < faults.count; i++) {
		if (strncmp(faults.items[i].err.text, expected[i], strlen(expected[i])) != 0)
			fail_msg("\"%s\" instead of \"%s\"", faults.items[i].err.text, expected[i]);
	}
	zp_config_done(&config);
}

static void
accounts_have_their_places(void **state)
{
	const char *yaml = "access:\n"
			   "  accounts:\n"
			   "    - name: a\n"
			   "      password: b\n"
			   "    - {name: \"c:d\"}\n";
	struct zp_config_faults faults = {0};
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), 0);
	config__check(&config, NULL, &faults);
	assert_int_equal(faults.count, 2);
	assert_non_null(
	    strstr(faults.items[0].err.text, "f:3:7: access.accounts: account 1 (a): `password`"));
	assert_non_null(
	    strstr(faults.items[1].err.text, "f:5:7: access.accounts: account 2 (c:d): "));
	zp_config_done(&config);
}

/* No secret can be seen in what is shown. */
static void
secrets_are_hidden(void **state)
{
	const char *yaml = "access: {token_key: password, accounts: [{name: a, password: Tiger77, "
			   "password_hash: Leopard77, token_secret: Lion77}]}";
	ZP_AUTO_BUF(shown, 65536);
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), 0);
	zp_config_show(&config, &shown);
	zp_buf_append_byte(&shown, '\0');
	assert_null(strstr((const char *)shown.data, "77"));
	assert_non_null(strstr((const char *)shown.data,
	    "{name: \"a\", password_hash: (hidden), password: (hidden), token_secret: (hidden)}"));
	zp_config_done(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_combination_is_judged),
	    cmocka_unit_test(faults_have_their_places),
	    cmocka_unit_test(accounts_have_their_places),
	    cmocka_unit_test(secrets_are_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
