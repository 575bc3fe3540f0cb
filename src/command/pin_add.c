/*
 * pin_add.c - what POST /pins comes to: IPFS Cluster's rules and texts. Pure.
 *
 * Flow:   commit.c asks, with the old record it looked up. Owner: none; no state.
 * Source: ipfs-cluster 1.1.6, cluster.go (pin, setupPin, checkPinType), cluster_config.go
 *         (isReplicationFactorValid), allocate.go. Its refusals answer HTTP 500, hence
 * ZP_E_CONFLICT.
 */
#include "command/command_internal.h"

static int64_t
fact_get(const struct zp_record *record, enum zp_fact fact)
{
	return zp_unzigzag(record->facts[fact]);
}

static const char *
replication_fault(int64_t minimum, int64_t maximum)
{
	if (minimum == 0 || maximum == 0)
		return "cluster.replication_factor_min and max must be set";
	if (minimum > maximum)
		return "cluster.replication_factor_min is larger than max";
	if (minimum < -1)
		return "cluster.replication_factor_min is wrong";
	if (maximum < -1)
		return "cluster.replication_factor_max is wrong";
	if ((minimum == -1) != (maximum == -1))
		return "cluster.replication_factor_min and max must be -1 when one of them is";
	return NULL;
}

int
command__replication_resolve(
    struct zp_record *record, const struct command__rules *rules, struct zp_err *err)
{
	const char *fault;

	if (record->facts[ZP_FACT_REPLICATION_MIN] == 0)
		record->facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(rules->replication_min);
	if (record->facts[ZP_FACT_REPLICATION_MAX] == 0)
		record->facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(rules->replication_max);
	fault = replication_fault(
	    fact_get(record, ZP_FACT_REPLICATION_MIN), fact_get(record, ZP_FACT_REPLICATION_MAX));
	return fault == NULL ? ZP_OK : zp_fail(err, ZP_E_CONFLICT, "%s", fault);
}

void
command__expiry_normalize(struct zp_record *record)
{
	if (record->facts[ZP_FACT_EXPIRE_AT] == zp_zigzag(0) + 1)
		record->facts[ZP_FACT_EXPIRE_AT] = 0;
}

static bool
has_reference(const struct zp_record *record)
{
	enum zp_text_tag tag;
	struct zp_slice value;
	size_t position = 0;

	while (zp_texts_next(record->texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_REFERENCE)
			return true;
	}
	return false;
}

/* checkPinType: IPFS Cluster asks this of repins only. */
static const char *
type_fault(const struct zp_record *record)
{
	int64_t depth = fact_get(record, ZP_FACT_MAX_DEPTH);
	bool reference = has_reference(record);

	switch ((enum zp_pin_type)record->facts[ZP_FACT_TYPE]) {
	case ZP_PIN_DATA:
		return reference ? "data pins should not reference other pins" : NULL;
	case ZP_PIN_SHARD:
		return depth != 1 ? "must pin shards go depth 1" : NULL;
	case ZP_PIN_CLUSTER_DAG:
		if (depth != 0)
			return "must pin roots directly";
		return reference ? NULL : "clusterDAG pins should reference a Meta pin";
	case ZP_PIN_META:
		return reference ? NULL : "metaPins should reference a ClusterDAG";
	default:
		return "unrecognized pin type";
	}
}

static int
repin_check(const struct zp_record *record, const struct zp_record *old, struct zp_err *err)
{
	bool is_direct = record->facts[ZP_FACT_MAX_DEPTH] == 0;
	bool was_direct = old->facts[ZP_FACT_MAX_DEPTH] == 0;
	const char *fault;

	if (old->facts[ZP_FACT_TYPE] != record->facts[ZP_FACT_TYPE])
		return zp_fail(err, ZP_E_CONFLICT,
		    "cannot repin CID with different tracking method, clear state with pin rm to "
		    "proceed. New: %s. Was: %s",
		    zp_pin_type_name((enum zp_pin_type)record->facts[ZP_FACT_TYPE]),
		    zp_pin_type_name((enum zp_pin_type)old->facts[ZP_FACT_TYPE]));
	if (!was_direct && is_direct)
		return zp_fail(err, ZP_E_CONFLICT,
		    "cannot repin a CID which is already pinned in recursive mode (new pin is "
		    "pinned as direct). Unpin it first.");
	fault = type_fault(record);
	return fault == NULL ? ZP_OK : zp_fail(err, ZP_E_CONFLICT, "%s", fault);
}

/* allocate() and obtainAllocations() where this node is the only peer with metrics. */
static int
allocate(const struct zp_record *record, bool self_holds, enum command__allocation *allocation_out,
    struct zp_err *err)
{
	int64_t current = self_holds ? 1 : 0;
	int64_t available = 1 - current;
	int64_t needed = fact_get(record, ZP_FACT_REPLICATION_MIN) - current;
	int64_t wanted = fact_get(record, ZP_FACT_REPLICATION_MAX) - current;

	if (fact_get(record, ZP_FACT_REPLICATION_MIN) < 0) {
		*allocation_out = COMMAND__EVERYWHERE;
		return ZP_OK;
	}
	if (needed <= 0) {
		*allocation_out = COMMAND__KEEP;
		return ZP_OK;
	}
	if (available < needed)
		return zp_fail(err, ZP_E_CONFLICT,
		    "not enough peers to allocate CID. Needed at least: %lld. Wanted at most: "
		    "%lld. Available candidates: %lld. See logs for more info.",
		    (long long)needed, (long long)wanted, (long long)available);
	*allocation_out = COMMAND__SELF;
	return ZP_OK;
}

static bool
is_past(const struct zp_record *record, int64_t now_microseconds)
{
	uint64_t fact = record->facts[ZP_FACT_EXPIRE_AT];

	return fact != 0 && zp_unzigzag(fact - 1) < now_microseconds / 1000000;
}

int
command__pin_add(const struct zp_write *write, const struct zp_record *old, bool self_holds,
    const struct command__rules *rules, struct command__decision *decision_out, struct zp_err *err)
{
	struct command__decision decision = {.has_new = true, .record = write->record};
	struct zp_record *record = &decision.record;
	int rc = command__replication_resolve(record, rules, err);

	if (rc < 0)
		return rc;
	command__expiry_normalize(record);
	if (is_past(record, rules->now_microseconds))
		return zp_fail(err, ZP_E_CONFLICT, "pin.ExpireAt set before current time");
	if (old != NULL)
		rc = repin_check(record, old, err);
	if (rc < 0)
		return rc;
	record->facts[ZP_FACT_CREATED] = zp_zigzag(rules->created);
	record->facts[ZP_FACT_ALLOCATIONS] = old == NULL ? 0 : old->facts[ZP_FACT_ALLOCATIONS];
	decision.allocation = COMMAND__EVERYWHERE;
	if (record->facts[ZP_FACT_TYPE] != ZP_PIN_META)
		rc = allocate(record, self_holds, &decision.allocation, err);
	if (rc < 0)
		return rc;
	*decision_out = decision;
	return ZP_OK;
}
