/*
 * multiaddr_value.c - the values of multiaddress protocols: checks and normal forms.
 *
 * Flow: multiaddr.c. Owner: none; no state. Each follows the transcoder of its name in
 * go-multiaddr.
 */
#include "pin/pin_internal.h"

#include <arpa/inet.h>

#define ONION_DIGITS 16u
#define ONION3_DIGITS 56u
#define IP_TEXT_MAX 64u /* longer than any IP address in text */

static bool
parse_ip(int family, struct zp_slice text, void *address_out)
{
	char terminated[IP_TEXT_MAX];

	if (text.length >= sizeof(terminated) || memchr(text.data, 0, text.length) != NULL)
		return false;
	memcpy(terminated, text.data, text.length);
	terminated[text.length] = '\0';
	return inet_pton(family, terminated, address_out) == 1;
}

static bool
is_mapped_ip4(const uint8_t address[16])
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(address, prefix, sizeof(prefix)) == 0;
}

static void
print_ip4(const uint8_t address[4], struct zp_buf *normal)
{
	for (size_t i = 0; i < 4; i++) {
		if (i > 0)
			zp_buf_append_byte(normal, '.');
		zp_buf_append_decimal_u64(normal, address[i]);
	}
}

int
pin__multiaddr_ip4(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	uint8_t address[16];

	if (parse_ip(AF_INET, text, address)) {
		print_ip4(address, normal);
		return ZP_OK;
	}
	if (!parse_ip(AF_INET6, text, address) || !is_mapped_ip4(address))
		return zp_fail(err, ZP_E_INVALID, "failed to parse ip4 addr: %.*s",
		    pin__shown(text), text.data);
	print_ip4(address + 12, normal);
	return ZP_OK;
}

/* The longest run of two or more groups of zeros, the first of equals, becomes "::" (RFC 5952). */
static void
print_ip6(const uint8_t address[16], struct zp_buf *normal)
{
	size_t run_start = 8, run_length = 1;

	for (size_t i = 0; i < 8; i++) {
		size_t length = 0;

		while (i + length < 8 && address[2 * (i + length)] == 0 &&
		       address[2 * (i + length) + 1] == 0)
			length++;
		if (length > run_length) {
			run_start = i;
			run_length = length;
		}
	}
	for (size_t i = 0; i < 8; i++) {
		if (i == run_start) {
			zp_buf_append_text(normal, "::");
			i += run_length - 1;
			continue;
		}
		if (i > 0 && i != run_start + run_length)
			zp_buf_append_byte(normal, ':');
		zp_buf_printf(normal, "%x", address[2 * i] << 8 | address[2 * i + 1]);
	}
}

int
pin__multiaddr_ip6(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	uint8_t address[16] = {[10] = 0xff, [11] = 0xff};

	if (!parse_ip(AF_INET, text, address + 12) && !parse_ip(AF_INET6, text, address))
		return zp_fail(err, ZP_E_INVALID, "failed to parse ip6 addr: %.*s",
		    pin__shown(text), text.data);
	if (!is_mapped_ip4(address)) {
		print_ip6(address, normal);
		return ZP_OK;
	}
	zp_buf_append_text(normal, "::ffff:");
	print_ip4(address + 12, normal);
	return ZP_OK;
}

int
pin__multiaddr_zone(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	if (text.length == 0)
		return zp_fail(err, ZP_E_INVALID, "empty ip6zone");
	zp_buf_append_slice(normal, text);
	return ZP_OK;
}

/* Go's strconv.ParseUint. */
static int
parse_decimal(struct zp_slice text, uint64_t maximum, uint64_t *value_out, struct zp_err *err)
{
	const char *problem = text.length == 0 ? "invalid syntax" : NULL;
	struct zp_quoted quoted;
	uint64_t value = 0;

	for (size_t i = 0; problem == NULL && i < text.length; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			problem = "invalid syntax";
		else if (__builtin_mul_overflow(value, 10u, &value) ||
			 __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value) ||
			 value > maximum)
			problem = "value out of range";
	}
	if (problem != NULL)
		return zp_fail(err, ZP_E_INVALID, "strconv.ParseUint: parsing %s: %s",
		    zp_quote(text, ZP_QUOTE_GO, &quoted), problem);
	*value_out = value;
	return ZP_OK;
}

static int
decimal(struct zp_slice text, uint64_t maximum, struct zp_buf *normal, struct zp_err *err)
{
	uint64_t value;
	int rc = parse_decimal(text, maximum, &value, err);

	if (rc == ZP_OK)
		zp_buf_append_decimal_u64(normal, value);
	return rc;
}

int
pin__multiaddr_cidr(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	return decimal(text, UINT8_MAX, normal, err);
}

int
pin__multiaddr_port(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	int rc = decimal(text, UINT16_MAX, normal, err);

	return rc < 0 ? zp_wrap(err, rc, "failed to parse port addr") : rc;
}

int
pin__multiaddr_memory(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	return decimal(text, UINT64_MAX, normal, err);
}

int
pin__multiaddr_dns(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	if (text.length == 0)
		return zp_fail(err, ZP_E_INVALID, "empty dns addr");
	zp_buf_append_slice(normal, text);
	return ZP_OK;
}

/* The value has its slash in front; trailing slashes are gone. */
int
pin__multiaddr_unix(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	if (text.length < 2)
		return zp_fail(err, ZP_E_INVALID, "byte slice too short: %zu", text.length);
	zp_buf_append_slice(normal, text);
	return ZP_OK;
}

static int
onion_fail(struct zp_slice text, const char *problem, struct zp_err *err)
{
	return zp_fail(err, ZP_E_INVALID, "failed to parse onion addr: %.*s %s", pin__shown(text),
	    text.data, problem);
}

/* "<digest in base32>:<port>" with exactly `digits` digits, printed in lower case. */
static int
onion(struct zp_slice text, size_t digits, struct zp_buf *normal, struct zp_err *err)
{
	const uint8_t *colon = text.length == 0 ? NULL : memchr(text.data, ':', text.length);
	struct zp_slice host = text, port;
	uint64_t value;
	int rc;

	if (colon == NULL ||
	    memchr(colon + 1, ':', (size_t)(text.data + text.length - colon - 1)) != NULL)
		return onion_fail(text, "does not contain a port number", err);
	host.length = (size_t)(colon - text.data);
	port = (struct zp_slice){.data = colon + 1, .length = text.length - host.length - 1};
	if (host.length != digits && digits == ONION3_DIGITS)
		return zp_fail(err, ZP_E_INVALID,
		    "failed to parse onion addr: %.*s not a Tor onionv3 address. len == %zu",
		    pin__shown(text), text.data, host.length);
	for (size_t i = 0; i < host.length; i++) {
		if (pin__base32_values[host.data[i]] == 0)
			return zp_fail(err, ZP_E_INVALID,
			    "failed to decode base32 onion addr: %.*s illegal base32 data at input "
			    "byte %zu",
			    pin__shown(text), text.data, i);
	}
	if (host.length != digits)
		return onion_fail(text, "not a Tor onion address", err);
	rc = parse_decimal(port, UINT16_MAX, &value, err);
	if (rc < 0)
		return zp_wrap(err, rc, "failed to parse onion addr");
	if (value == 0)
		return zp_fail(err, ZP_E_INVALID, "failed to parse onion addr: non-zero port");
	for (size_t i = 0; i < digits; i++) {
		uint8_t digit = host.data[i];

		zp_buf_append_byte(normal, digit >= 'A' && digit <= 'Z' ? digit | 0x20 : digit);
	}
	zp_buf_append_byte(normal, ':');
	zp_buf_append_decimal_u64(normal, value);
	return ZP_OK;
}

int
pin__multiaddr_onion(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	return onion(text, ONION_DIGITS, normal, err);
}

int
pin__multiaddr_onion3(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	return onion(text, ONION3_DIGITS, normal, err);
}

/* The decoder is strict, so a text that passes is the normal form. */
int
pin__multiaddr_garlic64(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	static const struct pin__rfc4648 base64i2p = {"base64", 6, true, pin__base64i2p_values};
	size_t length, bad;

	if (!pin__rfc4648_decode(&base64i2p, text, NULL, &length, &bad))
		return zp_fail(err, ZP_E_INVALID,
		    "failed to decode base64 i2p addr: %.*s illegal base64 data at input byte %zu",
		    pin__shown(text), text.data, bad);
	if (length < 386)
		return zp_fail(err, ZP_E_INVALID, "not an i2p base64 address. len: %zu", length);
	zp_buf_append_slice(normal, text);
	return ZP_OK;
}

int
pin__multiaddr_garlic32(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	static const struct pin__rfc4648 base32 = {"base32", 5, false, pin__base32_values};
	size_t length, bad;

	if (text.length % 8 == 0) { /* whole blocks: padding is taken and dropped */
		size_t padding_max = zp_min_u64(text.length, 6);

		while (padding_max-- > 0 && text.data[text.length - 1] == '=')
			text.length--;
	}
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] >= 'A' && text.data[i] <= 'Z')
			return zp_fail(err, ZP_E_INVALID,
			    "failed to decode base32 garlic addr: %.*s", pin__shown(text),
			    text.data);
	}
	if (!pin__rfc4648_decode(&base32, text, NULL, &length, &bad))
		return zp_fail(err, ZP_E_INVALID, "failed to decode base32 garlic addr: %.*s",
		    pin__shown(text), text.data);
	if (length < 35 && length != 32)
		return zp_fail(err, ZP_E_INVALID, "not an i2p base32 address. len: %zu", length);
	zp_buf_append_slice(normal, text);
	return ZP_OK;
}

int
pin__multiaddr_peer(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	uint8_t binary[ZP_PEER_ID_BYTES_MAX];
	size_t length;

	int rc = pin__peer_id_decode(text, PIN__PEER_OF_ADDRESS, binary, &length, err);

	if (rc < 0)
		return rc;
	zp_peer_id_format((struct zp_slice){.data = binary, .length = length}, normal);
	return ZP_OK;
}

int
pin__multiaddr_certhash(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	uint8_t bytes[PIN__MULTIBASE_ROOM];
	struct pin__multihash multihash;
	struct zp_slice binary = {.data = bytes};
	int rc = pin__multibase_decode(text, bytes, &binary.length, err);

	if (rc == ZP_OK)
		rc = pin__multihash_read_whole(binary, &multihash, err);
	if (rc < 0)
		return rc;
	zp_buf_append_byte(normal, 'u');
	pin__base64url_encode(binary, normal);
	return ZP_OK;
}

static int
hex_value(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool
is_unreserved(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
	       byte == '-' || byte == '_' || byte == '.' || byte == '~';
}

static int
escape_fail(struct zp_slice text, size_t at, struct zp_err *err)
{
	struct zp_slice shown = {text.data + at, zp_min_u64(text.length - at, 3)};
	struct zp_quoted quoted;

	return zp_fail(
	    err, ZP_E_INVALID, "invalid URL escape %s", zp_quote(shown, ZP_QUOTE_GO, &quoted));
}

/* Go's url.QueryUnescape and url.QueryEscape, one character after the other. */
int
pin__multiaddr_http_path(struct zp_slice text, struct zp_buf *normal, struct zp_err *err)
{
	static const char digits[] = "0123456789ABCDEF";

	if (text.length == 0)
		return zp_fail(err, ZP_E_INVALID, "empty http path is not allowed");
	for (size_t i = 0; i < text.length; i++) {
		uint8_t byte = text.data[i];

		if (byte == '%') {
			int high = i + 2 < text.length ? hex_value(text.data[i + 1]) : -1;
			int low = i + 2 < text.length ? hex_value(text.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return escape_fail(text, i, err);
			byte = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (byte == '+') {
			byte = ' ';
		}
		if (is_unreserved(byte))
			zp_buf_append_byte(normal, byte);
		else if (byte == ' ')
			zp_buf_append_byte(normal, '+');
		else
			zp_buf_append(
			    normal, (char[3]){'%', digits[byte >> 4], digits[byte & 15]}, 3);
	}
	return ZP_OK;
}
