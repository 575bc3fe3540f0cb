/*
 * peers.h - the smallest registry of peers and allocation lists, for tests of whole lines.
 *
 * A list's id is its place in the order in which lists were first seen. The JSON of a list is
 * printed from the binary ids, so that both directions of peer ids are shown by a round trip.
 */
#ifndef ZP_TEST_PEERS_H
#define ZP_TEST_PEERS_H

#include "pin/pin.h"

#define PEERS_LISTS_MAX 256u

struct peers {
	size_t count;
	struct zp_buf lists[PEERS_LISTS_MAX]; /* {length u8, binary id}… */
};

/* The allocations fact of `pin`. */
static inline uint64_t
peers_learn(struct peers *peers, const struct zp_pin *pin)
{
	struct zp_buf list;
	size_t id = 0;

	if (pin->allocations_count == 0)
		return 0;
	zp_buf_init(&list, 1u << 20);
	for (size_t i = 0; i < pin->allocations_count; i++) {
		zp_buf_append_byte(&list, (uint8_t)pin->allocations[i].length);
		zp_buf_append_slice(&list, pin->allocations[i]);
	}
	while (id < peers->count &&
	       !zp_slice_equal(zp_buf_slice(&list), zp_buf_slice(&peers->lists[id])))
		id++;
	if (id < peers->count) {
		zp_buf_done(&list);
	} else {
		ZP_ASSERT(id < PEERS_LISTS_MAX);
		peers->lists[peers->count++] = list;
	}
	return (uint64_t)(id + 1) << 1;
}

/* The JSON array of an allocations fact. */
static inline void
peers_print(const struct peers *peers, uint64_t fact, struct zp_buf *json)
{
	zp_buf_append_byte(json, '[');
	for (size_t at = 0; fact != 0 && at < peers->lists[(fact >> 1) - 1].length;) {
		const struct zp_buf *list = &peers->lists[(fact >> 1) - 1];
		struct zp_slice id = {.data = list->data + at + 1, .length = list->data[at]};

		zp_buf_append_text(json, at == 0 ? "\"" : ",\"");
		zp_peer_id_format(id, json);
		zp_buf_append_byte(json, '"');
		at += 1 + id.length;
	}
	zp_buf_append_byte(json, ']');
}

static inline void
peers_done(struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		zp_buf_done(&peers->lists[i]);
	peers->count = 0;
}

#endif
