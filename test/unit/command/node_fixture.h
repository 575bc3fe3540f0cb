/*
 * node_fixture.h - a node in a directory of its own, and short words for what tests do with it.
 *
 * Everything is real: files, threads, journal. Syncs are left out, since what the tests of this
 * folder show does not depend on them (test/crash does).
 */
#ifndef ZP_TEST_NODE_FIXTURE_H
#define ZP_TEST_NODE_FIXTURE_H

#include "command/command_internal.h"

struct node_fixture {
	char root[64];
	struct zp_node_options options;
	struct zp_node *node;
	struct zp_read_scratch *scratch;
	struct zp_buf texts;
	char log[8192]; /* what the node told, newest last; while it runs: fixture_told */
};

/* How often the node told something with this text. */
unsigned fixture_told(struct node_fixture *fixture, const char *text);

void fixture_make(struct node_fixture *fixture, uint32_t shards); /* creates and opens */
void fixture_open(struct node_fixture *fixture);
int fixture_try_open(struct node_fixture *fixture, struct zp_err *err);
void fixture_close(struct node_fixture *fixture);
void fixture_drop(struct node_fixture *fixture); /* closes and removes the directory */

/* The key of the n-th test pin: digests spread over the key space. */
struct zp_key fixture_key(uint64_t n);
/* A recursive pin everywhere with that name ("" none), in fixture->texts-like storage `texts`. */
struct zp_record fixture_record(const char *name, struct zp_buf *texts);

/* One write each; the answer's code. */
int fixture_pin(struct node_fixture *fixture, uint64_t n, const char *name, struct zp_err *err);
int fixture_unpin(struct node_fixture *fixture, uint64_t n, struct zp_err *err);
int fixture_write(struct node_fixture *fixture, struct zp_write *write, struct zp_err *err);

/* The pin's name ("" without one), or NULL when it is not there. Valid until the next call. */
const char *fixture_name(struct node_fixture *fixture, uint64_t n);
uint64_t fixture_count(struct node_fixture *fixture);      /* by the counters */
uint64_t fixture_list_count(struct node_fixture *fixture); /* by listing */

/* Shell commands on paths below the root; asserts success. */
void fixture_shell(const struct node_fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
