/*
 * test_config_read.c - YAML that is not a config: each shape is refused with its place, none is
 * followed into the depth.
 */
#include "main/config_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
	const char *yaml;
	const char *message; /* the beginning of the error; NULL: it is taken */
} texts[] = {
    {"", NULL},
    {"# only a comment\n", NULL},
    {"---\n...\n", NULL},
    {"~\n", NULL},
    {"api:\n", NULL},
    {"api: ~\n", NULL},
    {"api:\n  listen:\n", NULL},
    {"\xef\xbb\xbfnode: {name: a}\n", NULL},
    {"[1, 2]\n", "f:1:1: a config is a mapping of sections"},
    {"text\n", "f:1:1: a config is a mapping of sections"},
    {"api: text\n", "f:1:6: a section is a mapping"},
    {"api: [a]\n", "f:1:6: a section is a mapping"},
    {"apy:\n  listen: x\n", "f:1:1: unknown section apy; `zpin config example`"},
    {"api:\n  lisen: x\n", "f:2:3: unknown key api.lisen; `zpin config example`"},
    {"api:\n  ? [a]\n  : b\n", "f:2:5: not the name of a key"},
    {"? [a]\n: b\n", "f:1:3: not the name of a section"},
    {"log:\n  level: info\n  level: debug\n", "f:3:3: log.level: is given twice"},
    {"log:\n  level: info\nlog:\n  format: json\n", "f:3:1: a section is given twice"},
    {"log:\n  level:\n", "f:2:9: log.level: needs a value"},
    {"log:\n  level: ~\n", "f:2:10: log.level: needs a value"},
    {"log: {level: info}\n---\nlog: {level: info}\n", "f:2:1: a second document is not taken"},
    {"a: &a [x]\nb: *a\n", "f:1:1: unknown section a"},
    {"node: &a\n  name: x\n", "f:1:7: anchors (&name) are not taken"},
    {"node:\n  name: &a x\n", "f:2:9: anchors (&name) are not taken"},
    {"api:\n  cors_allowed_origins: &a [x]\n", "f:2:25: anchors (&name) are not taken"},
    {"node:\n  name: *a\n", "f:2:9: aliases (*name) are not taken"},
    {"node:\n  name: !!str x\n", "f:2:9: tags (!name) are not taken"},
    {"node: !x {name: y}\n", "f:1:7: tags (!name) are not taken"},
    {"api: {listen: !x [y]}\n", "f:1:15: tags (!name) are not taken"},
    {"node:\n\tname: x\n", "f:2:1: a tab: YAML takes only spaces"},
    {"node:\n  name: x\n\tdata: y\n", "f:3:1: a tab: YAML takes only spaces"},
    {"\xef\xbb\xbfnode:\n  name: \xc3\xa4\n\tdata: y\n", "f:3:1: a tab: YAML takes only spaces"},
    {"api:\n  listen: |\n\t a\n", "f:3:1: a tab: YAML takes only spaces"},
    {"node:\n  name:\tx\n", NULL},
    {"node: {name: x\n", "f:"},
    {"node: \"\n", "f:"},
    {"node:\n  name: \xff\n", "f:"},
    {"node:\n  name: \"a\\0b\"\n", "f:2:9: node.name: value holds the control character 0x00"},
    {"node:\n  \"na\\0me\": x\n", "f:2:3: not the name of a key"},
    {"access:\n  accounts: {name: a}\n", "f:2:13: access.accounts: needs a list of accounts"},
    {"access:\n  accounts: [a]\n", "f:2:14: access.accounts: an account is a mapping"},
    {"access:\n  accounts: [{name: [a]}]\n", "f:2:21: access.accounts: a member must be one text"},
    {"access:\n  accounts: [{name: a, name: b}]\n", "f:2:30: access.accounts: name is given twice"},
    {"access:\n  accounts: [{name: \"\"}]\n", "f:2:21: access.accounts: name is empty"},
    {"access:\n  accounts: [{? [a] : b}]\n", "f:2:17: access.accounts: not the name of a member"},
    {"api:\n  headers: [a]\n", "f:2:12: api.headers: needs a mapping"},
    {"api:\n  headers: {X-A: {b: c}}\n", "f:2:18: api.headers: a header's value is a text"},
    {"api:\n  headers: {X-A: [[b]]}\n", "f:2:19: api.headers: a header's value is a text"},
    {"api:\n  headers: {X-A: \"b\\r\\nX-C: d\"}\n",
	"f:2:18: api.headers: value holds the control character 0x0d"},
    {"api:\n  listen: 10.0.0.1.1:80\n", "f:2:11: api.listen: \"10.0.0.1.1\" is not a numeric"},
    {"api:\n  listen: example.com:80\n", "f:2:11: api.listen: \"example.com\" is not a numeric"},
    {"api:\n  listen: [\"127.0.0.1:80\", \"[::1:80\"]\n", "f:2:28: api.listen: \"[::1:80\" needs"},
    {"api:\n  max_connections: 99999999999999999999\n",
	"f:2:20: api.max_connections: \"99999999999999999999\" is too large a number"},
    {"storage:\n  memory: 9999999999TiB\n",
	"f:2:11: storage.memory: \"9999999999TiB\" is too large"},
};

static void
each_shape_is_taken_or_refused_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++) {
		struct zp_config config;
		struct zp_err err = {0};
		int rc;

		zp_config_init(&config);
		rc = zp_config_read(zp_slice_of(texts[i].yaml), "f", &config, &err);
		if (texts[i].message == NULL) {
			assert_int_equal(rc, 0);
		} else {
			assert_int_equal(rc, ZP_E_INVALID);
			if (strncmp(err.text, texts[i].message, strlen(texts[i].message)) != 0)
				fail_msg("%zu: \"%s\" gave \"%s\"", i, texts[i].yaml, err.text);
		}
		zp_config_done(&config);
	}
}

/* One reading tells all that is wrong, in the order of lines, and takes nothing for a fault that
 * only stands behind one. */
static void
every_fault_is_told(void **state)
{
	const char *yaml = "node:\n"
			   "  name: [a, {b: [c]}]\n"
			   "  dta: {x: [y]}\n"
			   "  data: /kept\n"
			   "api:\n"
			   "  headers: {X-A: [[b, [c]]], X-B: c}\n"
			   "  tls_key: key\n"
			   "apy:\n"
			   "  a: {b: [c, d]}\n"
			   "log: [text]\n"
			   "storage:\n"
			   "  ? [a, b]\n"
			   "  : {c: d}\n"
			   "  sync: perhaps\n"
			   "  sync: true\n"
			   "  shards: 4\n"
			   "access:\n"
			   "  accounts: [{name: a, nme: b}, {c: [d]}]\n"
			   "  token_key:\n"
			   "metrics: *x\n"
			   "  what: ever\n";
	static const char *const expected[] = {"f:2:9: node.name: needs one value",
	    "f:3:3: unknown key node.dta", "f:6:19: api.headers: a header's value",
	    "f:8:1: unknown section apy", "f:10:6: a section is a mapping",
	    "f:12:5: not the name of a key", "f:14:9: storage.sync: \"perhaps\"",
	    "f:15:3: storage.sync: is given twice",
	    "f:18:29: access.accounts: unknown member \"nme\"",
	    "f:19:13: access.token_key: needs a value", "f:20:10: aliases"};
	struct zp_config_faults faults = {0};
	struct zp_config config;

	(void)state;
	zp_config_init(&config);
	config__read(zp_slice_of(yaml), "f", NULL, &config, &faults);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(expected) && i < faults.count; i++) {
		if (strncmp(faults.items[i].err.text, expected[i], strlen(expected[i])) != 0)
			fail_msg("\"%s\" instead of \"%s\"", faults.items[i].err.text, expected[i]);
		assert_int_equal(faults.items[i].line, atoi(expected[i] + 2));
	}
	assert_int_equal(faults.count, ZP_ARRAY_COUNT(expected));
	/* What stands between them is read. */
	assert_string_equal(config.node.data, "/kept");
	assert_string_equal(config.api.tls_key, "key");
	assert_int_equal(config.storage.shards, 4);
	zp_config_done(&config);
}

static void
faults_have_a_limit(void **state)
{
	ZP_AUTO_BUF(yaml, 1u << 16);
	struct zp_config_faults faults = {0};
	struct zp_config config;

	(void)state;
	for (int i = 0; i < 1000; i++)
		zp_buf_printf(&yaml, "s%d: {a: [b]}\n", i);
	zp_config_init(&config);
	config__read(zp_buf_slice(&yaml), "f", NULL, &config, &faults);
	assert_int_equal(faults.count, ZP_CONFIG_FAULTS_MAX);
	assert_non_null(
	    strstr(faults.items[ZP_CONFIG_FAULTS_MAX - 1].err.text, "f:20:1: unknown section s19"));
	config__read(zp_buf_slice(&yaml), "g", NULL, &config, &faults); /* nor with another text */
	assert_int_equal(faults.count, ZP_CONFIG_FAULTS_MAX);
	assert_int_equal(faults.items[ZP_CONFIG_FAULTS_MAX - 1].line, 20);
	zp_config_done(&config);
}

/* Nine layers of nine aliases would be 400 million values. The first anchor ends it. */
static void
an_alias_bomb_is_refused(void **state)
{
	const char *yaml = "api:\n  cors_allowed_origins: &a [x,x,x,x,x,x,x,x,x]\n"
			   "  cors_allowed_methods: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
			   "  cors_allowed_headers: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_slice_of(yaml), "f", &config, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "anchors"));
	zp_config_done(&config);
}

/* Depth is bounded by the grammar: 500,000 brackets are refused at the second. */
static void
deep_nesting_is_refused(void **state)
{
	ZP_AUTO_BUF(yaml, ZP_CONFIG_BYTES_MAX);
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_buf_append_text(&yaml, "api: {listen: ");
	for (int i = 0; i < 500000; i++)
		zp_buf_append_byte(&yaml, '[');
	zp_config_init(&config);
	assert_int_equal(zp_config_read(zp_buf_slice(&yaml), "f", &config, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "f:1:16: api.listen: an item must be one value"));
	zp_config_done(&config);
}

static void
too_much_is_refused(void **state)
{
	ZP_AUTO_BUF(yaml, ZP_CONFIG_BYTES_MAX + 1);
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	while (yaml.length < ZP_CONFIG_BYTES_MAX + 1)
		zp_buf_append_byte(&yaml, '#');
	assert_int_equal(zp_config_read(zp_buf_slice(&yaml), "f", &config, &err), ZP_E_TOO_LARGE);
	yaml.length--;
	assert_int_equal(zp_config_read(zp_buf_slice(&yaml), "f", &config, &err), 0);

	zp_buf_clear(&yaml);
	zp_buf_append_text(&yaml, "node: {name: ");
	for (unsigned i = 0; i < ZP_CONFIG_TEXT_BYTES_MAX + 1; i++)
		zp_buf_append_byte(&yaml, 'x');
	zp_buf_append_byte(&yaml, '}');
	assert_int_equal(zp_config_read(zp_buf_slice(&yaml), "f", &config, &err), ZP_E_TOO_LARGE);

	zp_buf_clear(&yaml);
	zp_buf_append_text(&yaml, "api: {cors_allowed_origins: [");
	for (unsigned i = 0; i < ZP_CONFIG_ITEMS_MAX + 1; i++)
		zp_buf_append_text(&yaml, "x,");
	zp_buf_append_text(&yaml, "]}");
	assert_int_equal(zp_config_read(zp_buf_slice(&yaml), "f", &config, &err), ZP_E_TOO_LARGE);
	assert_int_equal(config.api.cors_allowed_origins.count, ZP_CONFIG_ITEMS_MAX);

	zp_buf_clear(&yaml);
	zp_buf_append_text(&yaml, "access: {accounts: [");
	for (unsigned i = 0; i < ZP_CONFIG_ITEMS_MAX + 1; i++)
		zp_buf_append_text(&yaml, "{name: a},");
	zp_buf_append_text(&yaml, "]}");
	assert_int_equal(zp_config_read(zp_buf_slice(&yaml), "f", &config, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "too many accounts"));
	zp_config_done(&config);
}

/* A key that is given replaces the whole list that was there. */
static void
lists_are_replaced_not_added_to(void **state)
{
	struct zp_config config;
	struct zp_err err = {0};

	(void)state;
	zp_config_init(&config);
	assert_int_equal(
	    zp_config_read(zp_slice_of("api: {listen: [\"127.0.0.1:1\"]}"), "f", &config, &err), 0);
	assert_int_equal(config.api.listen.count, 1);
	assert_int_equal(config.api.listen.items[0].port, 1);
	assert_int_equal(zp_config_read(zp_slice_of("api: {listen: }"), "f", &config, &err), 0);
	assert_int_equal(config.api.listen.count, 0);
	zp_config_done(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_shape_is_taken_or_refused_with_its_place),
	    cmocka_unit_test(every_fault_is_told),
	    cmocka_unit_test(faults_have_a_limit),
	    cmocka_unit_test(an_alias_bomb_is_refused),
	    cmocka_unit_test(deep_nesting_is_refused),
	    cmocka_unit_test(too_much_is_refused),
	    cmocka_unit_test(lists_are_replaced_not_added_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
