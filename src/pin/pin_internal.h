/*
 * pin_internal.h - what the files of pin share.
 *
 * Flow: text → multibase → CID → key and record; see pin.h. Owner: none, no state.
 */
#ifndef ZP_PIN_PIN_INTERNAL_H
#define ZP_PIN_PIN_INTERNAL_H

#include "base/json.h"
#include "pin/pin.h"

/* ---- Arena: memory that a pin gives back all at once (arena.c) ------------------------------- */

/* Made on first use: *arena may be NULL. What it hands out stays where it is until the reset. */
void *pin__arena_take(struct zp_arena **arena, size_t bytes);
void pin__arena_reset(struct zp_arena *arena); /* keeps a little for the next pin; NULL is fine */
void pin__arena_free(struct zp_arena *arena);

/* ---- JSON (pin_json_read.c) ------------------------------------------------------------------ */

/* Where the strings stand that each line of an export has for itself: name, CID, timestamp. */
struct pin__places {
	struct zp_pin_line_place own[ZP_PIN_LINE_OWN];
	size_t found;  /* so many of them, in this order */
	bool is_usual; /* all members came in IPFS Cluster's order, these once and as strings */
};

/* zp_pin_from_json, which also says where they stand; `places` may be NULL. */
ZP_MUST_CHECK int pin__from_json(
    struct zp_slice text, struct zp_pin *pin, struct pin__places *places, struct zp_err *err);

/* ---- Radix: bytes as a number in base 58 or 36 (radix.c) ------------------------------------- */

struct pin__radix {
	uint32_t base;       /* 58 or 36 */
	const char *digits;  /* in order of value */
	uint8_t values[256]; /* of each byte: its value + 1, 0 where it is no digit */
};

extern const struct pin__radix pin__base58btc;
extern const struct pin__radix pin__base58flickr;
extern const struct pin__radix pin__base36;

/* Leading zero bytes are leading zero digits, one for one. At most ZP_CID_BYTES_MAX bytes. */
void pin__radix_encode(const struct pin__radix *radix, struct zp_slice bytes, struct zp_buf *text);

/* `bytes_out` has room for ZP_CID_BYTES_MAX. *bad_out is the offset of what is no digit. */
enum pin__decoded {
	PIN__DECODED,
	PIN__NOT_A_DIGIT,
	PIN__BAD_LENGTH, /* empty */
	PIN__TOO_LONG,
};
enum pin__decoded pin__radix_decode(const struct pin__radix *radix, struct zp_slice text,
    uint8_t *bytes_out, size_t *length_out, size_t *bad_out);

/* ---- Multibase (multibase.c) ----------------------------------------------------------------- */

/* Decodes a text with its prefix to at most ZP_CID_BYTES_MAX bytes; go-multibase's messages. The
 * room is what is needed before the length is known. */
#define PIN__MULTIBASE_ROOM ZP_CID_TEXT_MAX
ZP_MUST_CHECK int pin__multibase_decode(struct zp_slice text,
    uint8_t bytes_out[PIN__MULTIBASE_ROOM], size_t *length_out, struct zp_err *err);

/* Bare base32 of RFC 4648 in lower case, unpadded; without a prefix. */
void pin__base32_encode(struct zp_slice bytes, struct zp_buf *text);

/* Bare base64url, unpadded. */
void pin__base64url_encode(struct zp_slice bytes, struct zp_buf *text);

/* An alphabet of RFC 4648. */
struct pin__rfc4648 {
	const char *name;      /* for messages: "base32", "base64" */
	unsigned digit_bits;   /* 5 or 6 */
	bool is_padded;        /* '=' to whole blocks of 8 or 4; else there must be none */
	const uint8_t *values; /* of each byte: its value + 1, 0 where it is no digit */
};

/* Strict: no stray characters, no line ends, no bits that no byte uses. With bytes_out NULL only
 * checks; else it has room for text.length. False: *bad_out is the offset of what is wrong. */
bool pin__rfc4648_decode(const struct pin__rfc4648 *alphabet, struct zp_slice text,
    uint8_t *bytes_out, size_t *length_out, size_t *bad_out);

extern const uint8_t pin__base32_values[256];    /* both cases */
extern const uint8_t pin__base64i2p_values[256]; /* with '-' and '~' */

/* The byte that base256emoji's `character` stands for, or -1 (base256emoji.c). */
int pin__emoji_value(uint32_t character);

/* ---- Multihash (cid.c) ----------------------------------------------------------------------- */

struct pin__multihash {
	uint64_t code;
	size_t digest_offset;
	size_t digest_length;
	size_t length; /* of the multihash; what follows is the caller's concern */
};

/* NULL and *multihash_out, or go-multihash's message. */
const char *pin__multihash_read(struct zp_slice bytes, struct pin__multihash *multihash_out);

/* The same where nothing may follow; its messages. */
ZP_MUST_CHECK int pin__multihash_read_whole(
    struct zp_slice bytes, struct pin__multihash *multihash_out, struct zp_err *err);

/* ---- Keys (key.c)
 * -------------------------------------------------------------------------------- */

enum zp_key_kind pin__kind_of(const struct zp_cid *cid);

/* ---- Peer ids (peer_id.c)
 * ------------------------------------------------------------------------ */

/* Alone, or in a multiaddress: go-libp2p and go-multiaddr say differently what is wrong. */
enum pin__peer_place { PIN__PEER_ALONE, PIN__PEER_OF_ADDRESS };

ZP_MUST_CHECK int pin__peer_id_decode(struct zp_slice text, enum pin__peer_place place,
    uint8_t binary_out[ZP_PEER_ID_BYTES_MAX], size_t *length_out, struct zp_err *err);

/* ---- Texts of a record (record.c) ------------------------------------------------------------ */

void pin__text_append(struct zp_buf *texts, enum zp_text_tag tag, struct zp_slice value);
/* The text at *position, which moves behind it; false when there is no whole one. */
bool pin__text_read(
    struct zp_slice texts, size_t *position, uint8_t *tag_out, struct zp_slice *value_out);
/* What is wrong with a text ZP_TEXT_CID, or NULL. */
const char *pin__text_cid_problem(struct zp_slice value);

/* Length of the canonical encoding. */
size_t pin__record_bytes(const struct zp_record *record);

/* zp_texts_check with the code that a failure has: ZP_E_CORRUPT for what was stored, ZP_E_INVALID
 * for what a user says. `kind` < 0: of either kind. */
ZP_MUST_CHECK int pin__texts_check(struct zp_slice texts, int kind, int code, struct zp_err *err);

/* ---- Multiaddress values (multiaddr_value.c) ------------------------------------------------- */

/* Checks the text of a component's value and appends its normal form. */
typedef int pin__multiaddr_value(struct zp_slice text, struct zp_buf *normal, struct zp_err *err);

pin__multiaddr_value pin__multiaddr_ip4, pin__multiaddr_ip6, pin__multiaddr_zone;
pin__multiaddr_value pin__multiaddr_cidr, pin__multiaddr_port, pin__multiaddr_dns;
pin__multiaddr_value pin__multiaddr_onion, pin__multiaddr_onion3, pin__multiaddr_garlic64;
pin__multiaddr_value pin__multiaddr_garlic32, pin__multiaddr_peer, pin__multiaddr_certhash;
pin__multiaddr_value pin__multiaddr_http_path, pin__multiaddr_memory, pin__multiaddr_unix;

/* ---- Times ----------------------------------------------------------------------------------- */

#define PIN__TIME_TEXT_MAX 30u /* 9999-12-31T23:59:59.999999999Z */

/* Years 0000 to 9999, what RFC 3339 can print. */
bool pin__time_is_printable(int64_t seconds);

/* zp_time_format to memory with room for PIN__TIME_TEXT_MAX; returns the length. */
size_t pin__time_print(int64_t seconds, uint32_t nanoseconds, uint8_t *to);

/* How much of a user's text a message shows. */
#define PIN__SHOWN_MAX ZP_QUOTED_BYTES_MAX
static inline int
pin__shown(struct zp_slice text)
{
	return (int)zp_min_u64(text.length, PIN__SHOWN_MAX);
}

#endif
