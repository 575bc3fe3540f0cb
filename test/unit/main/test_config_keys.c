/*
 * test_config_keys.c - every key: its default, another value, the environment, and what it refuses.
 *
 * One row a key; a test fails when the table of the program has a key that has no row here.
 */
#include "main/config_internal.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct sample {
	const char *section;
	const char *name;
	const char *preset;  /* shown when nothing is said */
	const char *yaml;    /* another value, as written in a file */
	const char *shown;   /* the same as zp_config_show writes it */
	const char *env;     /* the same as written in the environment */
	const char *bad;     /* a value that is refused; NULL: every text is taken */
	const char *message; /* part of the error */
};

static const struct sample samples[] = {
    {"node", "name", "\"\"", "node one", "\"node one\"", "node one", "\"a\\tb\"",
	"control character"},
    {"node", "data", "/var/lib/zpin", "./zpin-data", "./zpin-data", "./zpin-data", "[a]",
	"needs one value"},
    {"node", "identity", "\"\"", "/etc/id.json", "/etc/id.json", "/etc/id.json", "{a: b}",
	"needs one value"},
    {"node", "read_only", "false", "true", "true", "true", "yes", "neither true nor false"},
    {"api", "listen", "[\"127.0.0.1:9094\"]", "[\"127.0.0.1:1\", \"[::1]:2\"]",
	"[\"127.0.0.1:1\", \"[::1]:2\"]", "127.0.0.1:1, [::1]:2", "127.0.0.1:70000",
	"port of \"127.0.0.1:70000\" is out of range"},
    {"api", "tls_certificate", "\"\"", "/c.pem", "/c.pem", "/c.pem", "[/c.pem]", "needs one value"},
    {"api", "tls_key", "\"\"", "/k.pem", "/k.pem", "/k.pem", "[/k.pem]", "needs one value"},
    {"api", "allow_insecure", "false", "true", "true", "true", "1", "neither true nor false"},
    {"api", "header_timeout", "5s", "1m30s", "90s", "90s", "50ms", "out of range, which is 100ms"},
    {"api", "read_timeout", "30s", "24h", "24h", "24h", "25h", "out of range, which is 1s to 24h"},
    {"api", "write_timeout", "30s", "1s", "1s", "1s", "30", "not a duration such as 30s"},
    {"api", "idle_timeout", "2m", "10s", "10s", "10s", "-1s", "out of range"},
    {"api", "max_header_bytes", "16KiB", "8192", "8KiB", "8 KiB", "17KiB",
	"which is 1KiB to 16KiB"},
    {"api", "max_connections", "16384", "1", "1", "1", "0", "which is 1 to 1000000"},
    {"api", "workers", "0", "256", "256", "256", "257", "which is 0 to 256"},
    {"api", "headers", "{}", "{X-A: [b, c], X-D: e}", "{\"X-A\": [\"b\", \"c\"], \"X-D\": [\"e\"]}",
	"{X-A: [b, c], X-D: e}", "{\"a b\": c}", "not the name of a header"},
    {"api", "cors_allowed_origins", "[\"*\"]", "[\"https://a.example\", b]",
	"[\"https://a.example\", b]", "https://a.example,b", "[a, [b]]", "must be one value"},
    {"api", "cors_allowed_methods", "[GET]", "[GET, POST]", "[GET, POST]", "GET, POST", "[\"\"]",
	"an item is empty"},
    {"api", "cors_allowed_headers", "[]", "[X-A]", "[X-A]", "X-A", "{a: b}", "needs a list"},
    {"api", "cors_exposed_headers",
	"[Content-Type, X-Stream-Output, X-Chunked-Output, X-Content-Length]", "[]", "[]", "",
	"{a: b}", "needs a list"},
    {"api", "cors_allow_credentials", "true", "false", "false", "false", "TRUE",
	"neither true nor false"},
    {"api", "cors_max_age", "0s", "5m", "5m", "5m", "1x", "not a duration"},
    {"access", "accounts", "[]", "[{name: a, password_hash: \"$argon2id$x\"}]",
	"[{name: \"a\", password_hash: (hidden)}]", "[{name: a, password_hash: \"$argon2id$x\"}]",
	"[{nam: a}]", "unknown member \"nam\""},
    {"access", "accounts_file", "\"\"", "/a.yaml", "/a.yaml", "/a.yaml", "[]", "needs one value"},
    {"access", "token_key", "secret", "password", "password", "password", "hash",
	"none of secret|password"},
    {"management", "listen", "[\"127.0.0.1:9098\"]", "[]", "[]", "", "localhost",
	"not an address such as"},
    {"management", "socket", "/run/zpin/zpin.sock", "\"\"", "\"\"", "", "[]", "needs one value"},
    {"metrics", "listen", "[\"127.0.0.1:8888\"]", "localhost:0", "[\"127.0.0.1:0\"]", "localhost:0",
	"::1:80", "needs brackets"},
    {"storage", "kind", "directory", "directory", "directory", "directory", "zfs",
	"none of directory"},
    {"storage", "shards", "16", "4096", "4096", "4096", "4097", "which is 1 to 4096"},
    {"storage", "sync", "true", "false", "false", "false", "off", "neither true nor false"},
    {"storage", "memory", "0", "2GB", "2GB", "2GB", "2XB", "the units are"},
    {"storage", "hang_after", "30s", "2s", "2s", "2s", "25h", "which is 0s to 24h"},
    {"storage", "accesses", "off", "relative", "relative", "relative", "on",
	"none of off|relative|exact"},
    {"storage", "accesses_interval", "24h", "1h", "1h", "1h", "9000h", "which is 0s to 8760h"},
    {"journal", "size_max", "1GiB", "64MiB", "64MiB", "64MiB", "1MiB", "which is 16MiB to 1TiB"},
    {"journal", "group_delay", "0s", "250us", "250us", "250us", "2s", "which is 0s to 1s"},
    {"checkpoint", "interval", "1h", "1m", "1m", "1m", "1ms", "which is 1s to 168h"},
    {"replication", "factor_min", "-1", "2", "2", "2", "-2", "which is -1 to 2147483647"},
    {"replication", "factor_max", "-1", "3", "3", "3", "3x", "not a whole number"},
    {"expiry", "scan_interval", "5s", "1m", "1m", "1m", "0s", "which is 100ms to 24h"},
    {"scrub", "rate", "8MiB", "64MiB", "64MiB", "64MiB", "2TiB", "which is 0 to 1TiB"},
    {"scrub", "every", "168h", "24h", "24h", "24h", "9000h", "which is 0s to 8760h"},
    {"log", "level", "info", "debug", "debug", "debug", "trace",
	"none of error|warning|info|debug"},
    {"log", "format", "text", "json", "json", "json", "xml", "none of text|json"},
};

static void
assert_shows(const struct sample *sample, const struct zp_config *config, const char *expected)
{
	ZP_AUTO_BUF(text, 65536);

	config__value_show(config__key_find(sample->section, sample->name), config, &text);
	zp_buf_append_byte(&text, '\0');
	assert_string_equal((const char *)text.data, expected);
}

static void
every_key_has_a_sample(void **state)
{
	(void)state;
	assert_int_equal(ZP_ARRAY_COUNT(samples), config__keys_count);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++) {
		assert_string_equal(samples[i].section, config__keys[i].section);
		assert_string_equal(samples[i].name, config__keys[i].name);
	}
}

static void
defaults_are_as_documented(void **state)
{
	struct zp_config config;

	(void)state;
	zp_config_init(&config);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++)
		assert_shows(&samples[i], &config, samples[i].preset);
	zp_config_done(&config);
}

static void
a_file_sets_each_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++) {
		struct zp_config config;
		struct zp_err err = {0};
		char yaml[256];

		snprintf(yaml, sizeof(yaml), "%s:\n  %s: %s\n", samples[i].section, samples[i].name,
		    samples[i].yaml);
		zp_config_init(&config);
		assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), 0);
		assert_shows(&samples[i], &config, samples[i].shown);
		zp_config_done(&config);
	}
}

static void
the_environment_sets_each_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++) {
		struct zp_config config;
		struct zp_err err = {0};
		char variable[256];
		char *environment[] = {variable, NULL};

		snprintf(variable, sizeof(variable), "ZPIN_%s_%s=%s", samples[i].section,
		    samples[i].name, samples[i].env);
		for (char *at = variable; *at != '='; at++)
			*at = (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
		zp_config_init(&config);
		assert_int_equal(zp_config_override(environment, &config, &err), 0);
		assert_shows(&samples[i], &config, samples[i].shown);
		zp_config_done(&config);
	}
}

/* The bad value stands on line 3 behind "  name: ", which the message must say. */
static void
a_bad_value_is_refused_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++) {
		struct zp_config config;
		struct zp_err err = {0};
		char yaml[256];
		char place[128];

		snprintf(yaml, sizeof(yaml), "# a comment\n%s:\n  %s: %s\n", samples[i].section,
		    samples[i].name, samples[i].bad);
		zp_config_init(&config);
		assert_int_equal(
		    zp_config_read(zp_slice_of(yaml), "dir/f.yaml", &config, &err), ZP_E_INVALID);
		assert_non_null(strstr(err.text, samples[i].message));
		/* Inside a list or mapping the column is that of the item. */
		if (strchr("[{", samples[i].bad[0]) == NULL)
			snprintf(place, sizeof(place),
			    "dir/f.yaml:3:%zu: %s.%s: ", strlen(samples[i].name) + 5,
			    samples[i].section, samples[i].name);
		else
			snprintf(place, sizeof(place), "dir/f.yaml:3:");
		assert_int_equal(strncmp(err.text, place, strlen(place)), 0);
		assert_non_null(strstr(err.text, samples[i].name));
		zp_config_done(&config);
	}
}

/* What is shown can be read again and shows the same; the environment doesn't know the secrets. */
static void
what_is_shown_reads_back(void **state)
{
	ZP_AUTO_BUF(once, 65536);
	ZP_AUTO_BUF(twice, 65536);
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(samples); i++) {
		char yaml[256];

		if (strcmp(samples[i].name, "accounts") == 0)
			continue;
		snprintf(yaml, sizeof(yaml), "%s: {%s: %s}", samples[i].section, samples[i].name,
		    samples[i].yaml);
		assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), 0);
	}
	zp_config_show(&config, &once);
	zp_config_done(&config);
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_buf_slice(&once), "f", &config, &err), 0);
	zp_config_show(&config, &twice);
	assert_true(zp_slice_equal(zp_buf_slice(&once), zp_buf_slice(&twice)));
	zp_config_done(&config);
}

/* Numbers land in the struct in the struct's unit. */
static void
units_are_those_of_the_struct(void **state)
{
	const char *yaml = "api: {header_timeout: 1m30s, max_header_bytes: 8KiB}\n"
			   "journal: {size_max: 2GiB, group_delay: 1ms}\n"
			   "storage: {memory: 1GB}\n"
			   "log: {level: debug, format: json}\n"
			   "metrics: {listen: \"*:80\"}\n"
			   "management: {listen: \"[::1]:81\"}\n";
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), 0);
	assert_true(config.api.header_timeout_ns == INT64_C(90000000000));
	assert_int_equal(config.api.max_header_bytes, 8192);
	assert_true(config.journal.size_max_bytes == UINT64_C(2147483648));
	assert_int_equal(config.journal.group_delay_ns, 1000000);
	assert_int_equal(config.storage.memory_bytes, 1000000000);
	assert_int_equal(config.log.level, ZP_CONFIG_LOG_DEBUG);
	assert_int_equal(config.log.format, ZP_CONFIG_LOG_JSON);
	assert_string_equal(config.metrics.listen.items[0].host, "::");
	assert_int_equal(config.metrics.listen.items[0].port, 80);
	assert_false(config.metrics.listen.items[0].is_loopback);
	assert_string_equal(config.management.listen.items[0].host, "::1");
	assert_true(config.management.listen.items[0].is_loopback);
	zp_config_done(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_key_has_a_sample),
	    cmocka_unit_test(defaults_are_as_documented),
	    cmocka_unit_test(a_file_sets_each_key),
	    cmocka_unit_test(the_environment_sets_each_key),
	    cmocka_unit_test(a_bad_value_is_refused_with_its_place),
	    cmocka_unit_test(what_is_shown_reads_back),
	    cmocka_unit_test(units_are_those_of_the_struct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
