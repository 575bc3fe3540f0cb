/*
 * status.h - the status of a pin as IPFS Cluster tells it. Pure (status_json.c).
 */
#ifndef ZP_API_STATUS_H
#define ZP_API_STATUS_H

#include "pin/pin.h"

/* In the order of IPFS Cluster's bits. */
enum api_status {
	API_STATUS_CLUSTER_ERROR = 1u << 1,
	API_STATUS_PIN_ERROR = 1u << 2,
	API_STATUS_UNPIN_ERROR = 1u << 3,
	API_STATUS_PINNED = 1u << 4,
	API_STATUS_PINNING = 1u << 5,
	API_STATUS_UNPINNING = 1u << 6,
	API_STATUS_UNPINNED = 1u << 7,
	API_STATUS_REMOTE = 1u << 8,
	API_STATUS_PIN_QUEUED = 1u << 9,
	API_STATUS_UNPIN_QUEUED = 1u << 10,
	API_STATUS_SHARDED = 1u << 11,
	API_STATUS_UNEXPECTEDLY_UNPINNED = 1u << 12,
};

const char *api__status_name(enum api_status status);

/* What a status object needs to know about this node. */
struct api_self {
	char *id; /* base58 */
	char *name;
	char *name_json; /* in quotes */
};

struct api_status_pin {
	const struct zp_cid *cid;
	const struct zp_record *record; /* NULL: not in the pinset */
	struct zp_slice allocations;    /* JSON array */
	bool local;                     /* only this node's word */
	int64_t now_us;
};

/* The bits of all peers of the pin. */
uint32_t api__status_bits(const struct api_self *self, const struct api_status_pin *pin);

/* Appends IPFS Cluster's GlobalPinInfo, without a newline. */
int api__status_json(const struct api_self *self, const struct api_status_pin *pin,
    struct zp_buf *json, struct zp_err *err);

#endif
