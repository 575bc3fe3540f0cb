/*
 * multiaddr_value.c - the values of multiaddress protocols: checks and normal forms.
 *
 * Flow: multiaddr.c. Owner: none; no state. Each follows the transcoder of its name in
 * go-multiaddr.
 */
#include "pin/pin_internal.h"

#include <arpa/inet.h>

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

const char *
pin__multiaddr_ip4(struct zp_slice text, struct zp_buf *normal)
{
	uint8_t address[16];

	if (parse_ip(AF_INET, text, address)) {
		print_ip4(address, normal);
		return NULL;
	}
	if (!parse_ip(AF_INET6, text, address) || !is_mapped_ip4(address))
		return "failed to parse ip4 addr";
	print_ip4(address + 12, normal);
	return NULL;
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

const char *
pin__multiaddr_ip6(struct zp_slice text, struct zp_buf *normal)
{
	uint8_t address[16] = {[10] = 0xff, [11] = 0xff};

	if (!parse_ip(AF_INET, text, address + 12) && !parse_ip(AF_INET6, text, address))
		return "failed to parse ip6 addr";
	if (!is_mapped_ip4(address)) {
		print_ip6(address, normal);
		return NULL;
	}
	zp_buf_append_text(normal, "::ffff:");
	print_ip4(address + 12, normal);
	return NULL;
}

const char *
pin__multiaddr_zone(struct zp_slice text, struct zp_buf *normal)
{
	if (text.length == 0)
		return "empty ip6zone";
	zp_buf_append_slice(normal, text);
	return NULL;
}

static bool
parse_decimal(struct zp_slice text, uint64_t maximum, uint64_t *value_out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' ||
		    __builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value) ||
		    value > maximum)
			return false;
	}
	*value_out = value;
	return text.length > 0;
}

static const char *
decimal(struct zp_slice text, uint64_t maximum, struct zp_buf *normal, const char *problem)
{
	uint64_t value;

	if (!parse_decimal(text, maximum, &value))
		return problem;
	zp_buf_append_decimal_u64(normal, value);
	return NULL;
}

const char *
pin__multiaddr_cidr(struct zp_slice text, struct zp_buf *normal)
{
	return decimal(text, UINT8_MAX, normal, "failed to parse mask");
}

const char *
pin__multiaddr_port(struct zp_slice text, struct zp_buf *normal)
{
	return decimal(text, UINT16_MAX, normal, "failed to parse port addr");
}

const char *
pin__multiaddr_memory(struct zp_slice text, struct zp_buf *normal)
{
	return decimal(text, UINT64_MAX, normal, "failed to parse number");
}

const char *
pin__multiaddr_dns(struct zp_slice text, struct zp_buf *normal)
{
	if (text.length == 0)
		return "empty dns addr";
	zp_buf_append_slice(normal, text);
	return NULL;
}

/* The value has its slash in front; trailing slashes are gone. */
const char *
pin__multiaddr_unix(struct zp_slice text, struct zp_buf *normal)
{
	if (text.length < 2)
		return "empty path";
	zp_buf_append_slice(normal, text);
	return NULL;
}

/* "<digest in base32>:<port>" with exactly `digits` digits, printed in lower case. */
static const char *
onion(struct zp_slice text, size_t digits, struct zp_buf *normal)
{
	struct zp_slice port;
	uint64_t value;

	if (text.length <= digits || text.data[digits] != ':')
		return "not an onion address with a port number";
	for (size_t i = 0; i < digits; i++) {
		if (pin__base32_values[text.data[i]] == 0)
			return "failed to decode base32 onion addr";
	}
	port =
	    (struct zp_slice){.data = text.data + digits + 1, .length = text.length - digits - 1};
	if (!parse_decimal(port, UINT16_MAX, &value) || value == 0)
		return "failed to parse onion addr: bad port";
	for (size_t i = 0; i < digits; i++) {
		uint8_t digit = text.data[i];

		zp_buf_append_byte(normal, digit >= 'A' && digit <= 'Z' ? digit | 0x20 : digit);
	}
	zp_buf_append_byte(normal, ':');
	zp_buf_append_decimal_u64(normal, value);
	return NULL;
}

const char *
pin__multiaddr_onion(struct zp_slice text, struct zp_buf *normal)
{
	return onion(text, 16, normal);
}

const char *
pin__multiaddr_onion3(struct zp_slice text, struct zp_buf *normal)
{
	return onion(text, 56, normal);
}

/* The decoder is strict, so a text that passes is the normal form. */
const char *
pin__multiaddr_garlic64(struct zp_slice text, struct zp_buf *normal)
{
	static const struct pin__rfc4648 base64i2p = {"base64", 6, true, pin__base64i2p_values};
	size_t length, bad;

	if (!pin__rfc4648_decode(&base64i2p, text, NULL, &length, &bad))
		return "failed to decode base64 i2p addr";
	if (length < 386)
		return "not an i2p base64 address";
	zp_buf_append_slice(normal, text);
	return NULL;
}

const char *
pin__multiaddr_garlic32(struct zp_slice text, struct zp_buf *normal)
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
			return "failed to decode base32 garlic addr";
	}
	if (!pin__rfc4648_decode(&base32, text, NULL, &length, &bad))
		return "failed to decode base32 garlic addr";
	if (length < 35 && length != 32)
		return "not an i2p base32 address";
	zp_buf_append_slice(normal, text);
	return NULL;
}

const char *
pin__multiaddr_peer(struct zp_slice text, struct zp_buf *normal)
{
	uint8_t binary[ZP_PEER_ID_BYTES_MAX];
	size_t length;

	if (pin__peer_id_decode(text, binary, &length, NULL) < 0)
		return "failed to parse p2p addr";
	zp_peer_id_format((struct zp_slice){.data = binary, .length = length}, normal);
	return NULL;
}

const char *
pin__multiaddr_certhash(struct zp_slice text, struct zp_buf *normal)
{
	uint8_t bytes[PIN__MULTIBASE_ROOM];
	struct pin__multihash multihash;
	struct zp_slice binary = {.data = bytes};

	if (pin__multibase_decode(text, bytes, &binary.length, NULL) < 0)
		return "failed to decode certhash";
	if (pin__multihash_read(binary, &multihash) != NULL || multihash.length != binary.length)
		return "certhash is no multihash";
	zp_buf_append_byte(normal, 'u');
	pin__base64url_encode(binary, normal);
	return NULL;
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

/* Go's url.QueryUnescape and url.QueryEscape, one character after the other. */
const char *
pin__multiaddr_http_path(struct zp_slice text, struct zp_buf *normal)
{
	static const char digits[] = "0123456789ABCDEF";

	if (text.length == 0)
		return "empty http path is not allowed";
	for (size_t i = 0; i < text.length; i++) {
		uint8_t byte = text.data[i];

		if (byte == '%') {
			int high = i + 2 < text.length ? hex_value(text.data[i + 1]) : -1;
			int low = i + 2 < text.length ? hex_value(text.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return "invalid URL escape";
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
	return NULL;
}
