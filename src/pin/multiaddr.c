/*
 * multiaddr.c - multiaddresses in text form: which protocols there are and how parts follow.
 *
 * Flow: origins of pins, Kubo's and the listeners' addresses. Owner: none; no state.
 *
 * The table and the normal form are those of go-multiaddr, whose values are in multiaddr_value.c.
 */
#include "pin/pin_internal.h"

struct protocol {
	const char *name;
	const char *normal_name;     /* what it is printed as; NULL: the same */
	pin__multiaddr_value *value; /* NULL: it has none */
	bool is_path;                /* the value is all the rest, slashes included */
};

static const struct protocol protocols[] = {
    {"ip4", NULL, pin__multiaddr_ip4, false},
    {"ip6", NULL, pin__multiaddr_ip6, false},
    {"tcp", NULL, pin__multiaddr_port, false},
    {"udp", NULL, pin__multiaddr_port, false},
    {"p2p", NULL, pin__multiaddr_peer, false},
    {"ipfs", "p2p", pin__multiaddr_peer, false},
    {"quic-v1", NULL, NULL, false},
    {"quic", NULL, NULL, false},
    {"dns", NULL, pin__multiaddr_dns, false},
    {"dns4", NULL, pin__multiaddr_dns, false},
    {"dns6", NULL, pin__multiaddr_dns, false},
    {"dnsaddr", NULL, pin__multiaddr_dns, false},
    {"webtransport", NULL, NULL, false},
    {"certhash", NULL, pin__multiaddr_certhash, false},
    {"ws", NULL, NULL, false},
    {"wss", NULL, NULL, false},
    {"tls", NULL, NULL, false},
    {"sni", NULL, pin__multiaddr_dns, false},
    {"noise", NULL, NULL, false},
    {"http", NULL, NULL, false},
    {"https", NULL, NULL, false},
    {"http-path", NULL, pin__multiaddr_http_path, false},
    {"p2p-circuit", NULL, NULL, false},
    {"webrtc-direct", NULL, NULL, false},
    {"webrtc", NULL, NULL, false},
    {"p2p-webrtc-direct", NULL, NULL, false},
    {"p2p-websocket-star", NULL, NULL, false},
    {"ip6zone", NULL, pin__multiaddr_zone, false},
    {"ipcidr", NULL, pin__multiaddr_cidr, false},
    {"sctp", NULL, pin__multiaddr_port, false},
    {"dccp", NULL, pin__multiaddr_port, false},
    {"utp", NULL, NULL, false},
    {"udt", NULL, NULL, false},
    {"unix", NULL, pin__multiaddr_unix, true},
    {"onion", NULL, pin__multiaddr_onion, false},
    {"onion3", NULL, pin__multiaddr_onion3, false},
    {"garlic64", NULL, pin__multiaddr_garlic64, false},
    {"garlic32", NULL, pin__multiaddr_garlic32, false},
    {"plaintextv2", NULL, NULL, false},
    {"memory", NULL, pin__multiaddr_memory, false},
};

static const struct protocol *
protocol_of(struct zp_slice name)
{
	for (size_t i = 0; i < ZP_ARRAY_COUNT(protocols); i++) {
		if (zp_slice_is(name, protocols[i].name))
			return &protocols[i];
	}
	return NULL;
}

/* What stands between the slash at *at and the next one or the end; *at moves there. */
static struct zp_slice
part_take(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *start = *at + 1;
	const uint8_t *slash = memchr(start, '/', (size_t)(end - start));

	*at = slash != NULL ? slash : end;
	return (struct zp_slice){.data = start, .length = (size_t)(*at - start)};
}

static int
fail_parse(struct zp_slice text, struct zp_err *err, const char *problem)
{
	struct zp_quoted quoted;

	return zp_fail(err, ZP_E_INVALID, "failed to parse multiaddr %s: %s",
	    zp_quote(text, ZP_QUOTE_GO, &quoted), problem);
}

/* One protocol and its value, from the slash in front of it. */
static int
component_normalize(struct zp_slice text, const uint8_t **at, const uint8_t *end,
    struct zp_buf *normal, struct zp_err *err)
{
	struct zp_slice name = part_take(at, end);
	const struct protocol *protocol = protocol_of(name);
	struct zp_quoted whole, part;
	struct zp_slice value;
	int rc;

	if (protocol == NULL)
		return zp_fail(err, ZP_E_INVALID,
		    "failed to parse multiaddr %s: unknown protocol %.*s",
		    zp_quote(text, ZP_QUOTE_GO, &whole), pin__shown(name), name.data);
	zp_buf_append_byte(normal, '/');
	zp_buf_append_text(
	    normal, protocol->normal_name != NULL ? protocol->normal_name : protocol->name);
	if (protocol->value == NULL)
		return ZP_OK;
	if (*at == end)
		return fail_parse(text, err, "unexpected end of multiaddr");
	if (protocol->is_path) { /* its own slash stands for the one between name and value */
		value = (struct zp_slice){.data = *at, .length = (size_t)(end - *at)};
		*at = end;
	} else {
		value = part_take(at, end);
		zp_buf_append_byte(normal, '/');
	}
	rc = protocol->value(value, normal, err);
	if (rc < 0)
		return zp_wrap(err, rc,
		    "failed to parse multiaddr %s: invalid value %s for protocol %s",
		    zp_quote(text, ZP_QUOTE_GO, &whole), zp_quote(value, ZP_QUOTE_GO, &part),
		    protocol->normal_name != NULL ? protocol->normal_name : protocol->name);
	return ZP_OK;
}

int
zp_multiaddr_normalize(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	const size_t length_before = normal->length;
	const bool was_full = normal->overflow;
	const uint8_t *at, *end;
	int rc = ZP_OK;

	while (text.length > 0 && text.data[text.length - 1] == '/')
		text.length--;
	if (text.length == 0)
		return fail_parse(text, err, "empty multiaddr");
	if (text.data[0] != '/')
		return fail_parse(text, err, "must begin with /");
	at = text.data;
	end = text.data + text.length;
	while (rc == ZP_OK && at < end)
		rc = component_normalize(text, &at, end, normal, err);
	if (rc == ZP_OK)
		rc = zp_buf_check(normal, "multiaddr", err);
	if (rc < 0) {
		normal->length = length_before;
		normal->overflow = was_full;
	}
	return rc;
}

bool
zp_multiaddr_has_peer(struct zp_slice normal)
{
	const uint8_t *at = normal.data;
	const uint8_t *end = normal.data + normal.length;

	while (at < end) {
		const struct protocol *protocol = protocol_of(part_take(&at, end));

		if (protocol == NULL || protocol->is_path)
			return false;
		if (protocol->value == pin__multiaddr_peer)
			return true;
		if (protocol->value != NULL && at < end)
			part_take(&at, end);
	}
	return false;
}
