/*
 * test_router.c - which route a request takes, and what becomes of unclean paths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "api/api_internal.h"

/* The router's own table for this test: routes.c names handlers, which need a node. The patterns
 * are those of IPFS Cluster that are told apart by order or by form. */
static const struct api_route routes[] = {
    {ZP_HTTP_GET, "/id", NULL},
    {ZP_HTTP_POST, "/pins/*/recover", NULL},
    {ZP_HTTP_POST, "/pins/recover", NULL},
    {ZP_HTTP_GET, "/pins/*", NULL},
    {ZP_HTTP_POST, "/pins/*", NULL},
    {ZP_HTTP_POST, "/pins/@/**", NULL},
    {ZP_HTTP_GET, "/pins", NULL},
    {ZP_HTTP_GET, "/monitor/metrics/*", NULL},
};

static void
first_route_that_fits(void **state)
{
	static const struct {
		enum zp_http_method method;
		const char *path;
		int rc;
		unsigned route;
		const char *captures[2];
	} rows[] = {
	    {ZP_HTTP_GET, "/id", 0, 0, {NULL, NULL}},
	    {ZP_HTTP_POST, "/pins/recover", 0, 2, {NULL, NULL}},
	    {ZP_HTTP_GET, "/pins/recover", 0, 3, {"recover", NULL}},
	    {ZP_HTTP_POST, "/pins/Qm/recover", 0, 1, {"Qm", NULL}},
	    {ZP_HTTP_POST, "/pins/ipfs/recover", 0, 1, {"ipfs", NULL}},
	    {ZP_HTTP_POST, "/pins/Qm", 0, 4, {"Qm", NULL}},
	    {ZP_HTTP_POST, "/pins/ipfs", 0, 4, {"ipfs", NULL}},
	    {ZP_HTTP_POST, "/pins/ipfs/Qm", 0, 5, {"ipfs", "Qm"}},
	    {ZP_HTTP_POST, "/pins/ipns/a/b/c", 0, 5, {"ipns", "a/b/c"}},
	    {ZP_HTTP_POST, "/pins/ipld/", 0, 5, {"ipld", ""}},
	    {ZP_HTTP_GET, "/pins", 0, 6, {NULL, NULL}},
	    {ZP_HTTP_GET, "/monitor/metrics/tag:group", 0, 7, {"tag:group", NULL}},
	    {ZP_HTTP_POST, "/pins/ipxx/Qm", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/ids", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/i", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/id/x", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_OPTIONS, "*", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/pins/", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/monitor/metrics", ZP_E_NOT_FOUND, 0, {NULL, NULL}},
	    {ZP_HTTP_PUT, "/pins", ZP_E_UNSUPPORTED, 0, {NULL, NULL}},
	    {ZP_HTTP_HEAD, "/id", ZP_E_UNSUPPORTED, 0, {NULL, NULL}},
	    {ZP_HTTP_DELETE, "/pins/Qm/recover", ZP_E_UNSUPPORTED, 0, {NULL, NULL}},
	    {ZP_HTTP_GET, "/pins/ipfs/Qm", ZP_E_UNSUPPORTED, 0, {NULL, NULL}},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct zp_slice captures[API_CAPTURES_MAX] = {{0}};
		const struct api_route *route = NULL;
		int rc = api__route_find(routes, ZP_ARRAY_COUNT(routes), rows[i].method,
		    zp_slice_of(rows[i].path), &route, captures);

		if (rc != rows[i].rc || (rc == 0 && route != &routes[rows[i].route]))
			fail_msg("row %zu (%s): %d", i, rows[i].path, rc);
		for (unsigned j = 0; rc == 0 && j < 2; j++)
			if (rows[i].captures[j] != NULL &&
			    !zp_slice_is(captures[j], rows[i].captures[j]))
				fail_msg("row %zu: capture %u", i, j);
	}
}

/* As Go's path.Clean, with a last slash kept, after the escapes are gone. */
static void
paths_are_cleaned(void **state)
{
	static const struct {
		const char *raw;
		const char *clean; /* NULL: refused */
		bool changed;
	} rows[] = {
	    {"/", "/", false},
	    {"/pins", "/pins", false},
	    {"/pins/", "/pins/", false},
	    {"//pins", "/pins", true},
	    {"/pins//x", "/pins/x", true},
	    {"/pins/./x", "/pins/x", true},
	    {"/pins/../id", "/id", true},
	    {"/../../id", "/id", true},
	    {"/a/b/../..", "/", true},
	    {"/a/b/../../", "/", true},
	    {"//", "/", true},
	    {"/pins/%2f", "/pins/", true},
	    {"/pins/%51m", "/pins/Qm", false},
	    {"/pins/ipfs/a%2Fb", "/pins/ipfs/a/b", false},
	    {"/a%2e%2e/b", "/a../b", false},
	    {"/x/%2e%2e/b", "/b", true},
	    {"/a+b", "/a+b", false},
	    {"*", "*", false},
	    {"/%zz", NULL, false},
	    {"/%2", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		ZP_AUTO_BUF(path, 1000);
		bool changed = false;
		int rc = api__path_clean(zp_slice_of(rows[i].raw), &path, &changed);

		if ((rc < 0) != (rows[i].clean == NULL))
			fail_msg("%s: %d", rows[i].raw, rc);
		if (rc < 0)
			continue;
		if (!zp_slice_is(zp_buf_slice(&path), rows[i].clean) || changed != rows[i].changed)
			fail_msg("%s: %.*s, changed %d", rows[i].raw, (int)path.length, path.data,
			    changed);
	}
}

/* The path of a Location never names another host, and escapes as net/url does. */
static void
paths_are_escaped(void **state)
{
	ZP_AUTO_BUF(text, 1000);
	ZP_AUTO_BUF(path, 1000);
	bool changed;

	(void)state;
	assert_int_equal(api__path_clean(zp_slice_of("//evil.example/%20%3Fa%25%C3%A9:@&=+$,;~<\""),
			     &path, &changed),
	    0);
	api__path_escape(zp_buf_slice(&path), &text);
	assert_true(
	    zp_slice_is(zp_buf_slice(&text), "/evil.example/%20%3Fa%25%C3%A9:@&=+$,;~%3C%22"));
}

static void
origins_match_with_one_star(void **state)
{
	static const struct {
		const char *pattern;
		const char *origin;
		bool matches;
	} rows[] = {
	    {"https://a.example", "https://a.example", true},
	    {"https://A.example", "HTTPS://a.EXAMPLE", true},
	    {"https://a.example", "https://a.example.evil", false},
	    {"https://*.example", "https://a.example", true},
	    {"https://*.example", "https://.example", true},
	    {"https://*.example", "https://example", false},
	    {"https://*.example", "http://a.example", false},
	    {"https://ab*ba", "https://aba", false}, /* the two ends may not overlap */
	    {"https://a*", "https://a", true},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++)
		if (api__origin_matches(zp_slice_of(rows[i].pattern),
			zp_slice_of(rows[i].origin)) != rows[i].matches)
			fail_msg("%s, %s", rows[i].pattern, rows[i].origin);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_route_that_fits),
	    cmocka_unit_test(paths_are_cleaned),
	    cmocka_unit_test(paths_are_escaped),
	    cmocka_unit_test(origins_match_with_one_star),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
