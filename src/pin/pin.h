/*
 * pin.h - the nouns: CID, peer id, key, record, and their text, binary and JSON forms.
 *
 * Pure: no files, clocks, threads or sockets. Everything from outside that is wrong is an error
 * with IPFS Cluster's wording where it has one; nothing here asserts on input.
 *
 * Shapes, outside to inside:
 *   pin       what JSON, query parameters and an export line say      struct zp_pin
 *   key       where a pin stands in the order (digest, sub)           struct zp_key
 *   record    what is stored under the key: numbers and texts         struct zp_record
 */
#ifndef ZP_PIN_PIN_H
#define ZP_PIN_PIN_H

#include "base/base.h"

/* ---- CID ------------------------------------------------------------------------------------ */

#define ZP_CODEC_DAG_PB 0x70u
#define ZP_CODEC_RAW 0x55u
#define ZP_MULTIHASH_IDENTITY 0x00u
#define ZP_MULTIHASH_SHA2_256 0x12u

/*
 * A CID in binary form. Version 0 is the bare sha2-256 multihash (34 bytes); version 1 is
 * varint(1) varint(codec) multihash. Source: github.com/multiformats/cid and /multihash.
 */
struct zp_cid {
	uint8_t version;         /* 0 or 1 */
	uint64_t codec;          /* ZP_CODEC_DAG_PB for version 0 */
	uint64_t multihash_code; /* as in the multicodec table */
	uint32_t digest_offset;  /* of the digest in bytes[] */
	uint32_t digest_length;  /* bytes */
	uint32_t length;         /* of bytes[] in use */
	uint8_t bytes[ZP_CID_BYTES_MAX];
};

/* Text in any multibase that go-cid takes (base58btc v0 and 'z', base32 'b' and 'B', base36 'k',
 * base16 'f', base64 'm' and 'u', …). The message begins as go-cid's: "invalid cid: …".
 * A path prefix "/ipfs/" is not taken here. */
ZP_MUST_CHECK int zp_cid_parse(struct zp_slice text, struct zp_cid *cid_out, struct zp_err *err);

/* Binary form; the whole slice must be one CID. */
ZP_MUST_CHECK int zp_cid_decode(struct zp_slice bytes, struct zp_cid *cid_out, struct zp_err *err);

/* Appends go-cid's String(): base58btc for version 0, lower-case base32 with 'b' for version 1. */
void zp_cid_format(const struct zp_cid *cid, struct zp_buf *text);

/* ---- Key ------------------------------------------------------------------------------------ */

enum zp_key_kind {
	ZP_KIND_SHA2_256 = 0, /* digest is the CID's own 32-byte sha2-256 digest */
	ZP_KIND_OTHER = 1,    /* digest is SHA-256 of the CID's bytes; the record keeps the CID */
};

/*
 * The place of a pin. The order is that of zp_key_encode()'s bytes: digest, kind, version, codec,
 * namespace, claim. For ZP_KIND_OTHER version and codec are 0 (they are inside the kept CID).
 */
struct zp_key {
	uint8_t digest[32];
	uint64_t codec;
	uint64_t claim;        /* which claim of the account; 0 in namespace 0 */
	uint32_t namespace_id; /* 0: the cluster's own pins */
	uint8_t kind;          /* enum zp_key_kind */
	uint8_t version;       /* of the CID, 0 or 1 */
};

#define ZP_KEY_BYTES 54u /* 32 digest, 1 kind, 1 version, 8 codec, 4 namespace, 8 claim */

void zp_key_encode(const struct zp_key *key, uint8_t bytes_out[ZP_KEY_BYTES]);
ZP_MUST_CHECK int zp_key_decode(
    const uint8_t bytes[ZP_KEY_BYTES], struct zp_key *key_out, struct zp_err *err);
int zp_key_compare(const struct zp_key *a, const struct zp_key *b); /* <0, 0, >0 */

/* The key of `cid` in (namespace_id, claim). Uses SHA-256 for other multihashes. */
void zp_key_of_cid(
    const struct zp_cid *cid, uint32_t namespace_id, uint64_t claim, struct zp_key *key_out);

/* ---- Record --------------------------------------------------------------------------------- */

/* The numbers of a pin, one column each in a segment. Ids are final: docs/formats.md, "Facts". */
enum zp_fact {
	ZP_FACT_TYPE = 0,            /* enum zp_pin_type */
	ZP_FACT_MAX_DEPTH = 1,       /* zigzag; -1 recursive, 0 direct */
	ZP_FACT_REPLICATION_MIN = 2, /* zigzag; -1 everywhere */
	ZP_FACT_REPLICATION_MAX = 3, /* zigzag */
	ZP_FACT_SIZE = 4,            /* bytes of the DAG, 0 unknown */
	ZP_FACT_SHARD_SIZE = 5,      /* bytes, as the client said */
	ZP_FACT_CREATED = 6,         /* zigzag seconds since 1970 in namespace 0 */
	ZP_FACT_EXPIRE_AT = 7,       /* 0 never, else zigzag(seconds) + 1 */
	ZP_FACT_ALLOCATIONS = 8, /* 0 none, else (list id << 1) or (placement group id << 1 | 1) */
	ZP_FACT_COUNT = 9,
};

enum zp_pin_type {
	ZP_PIN_DATA = 0,        /* "pin" */
	ZP_PIN_META = 1,        /* "meta-pin" */
	ZP_PIN_CLUSTER_DAG = 2, /* "clusterdag-pin" */
	ZP_PIN_SHARD = 3,       /* "shard-pin" */
};
#define ZP_PIN_TYPE_COUNT 4u

/*
 * Texts are a canonical run of {tag u8, varint length, bytes}, tags rising, each at most once
 * except METADATA_KEY/VALUE pairs (rising by key) and ORIGIN (in the user's order). Empty texts are
 * absent.
 */
enum zp_text_tag {
	ZP_TEXT_CID = 1,          /* binary CID, only for ZP_KIND_OTHER, always there then */
	ZP_TEXT_NAME = 2,         /* UTF-8 */
	ZP_TEXT_METADATA_KEY = 3, /* UTF-8, followed at once by its value */
	ZP_TEXT_METADATA_VALUE = 4,
	ZP_TEXT_ORIGIN = 5,     /* multiaddress in text form */
	ZP_TEXT_PIN_UPDATE = 6, /* binary CID */
	ZP_TEXT_REFERENCE = 7,  /* binary CID */
	ZP_TEXT_ERROR = 8,      /* UTF-8; of a track row only */
};

struct zp_record {
	uint64_t facts[ZP_FACT_COUNT];
	struct zp_slice texts; /* borrowed */
};

/* zigzag: 0,-1,1,-2 … → 0,1,2,3 …, so that small negative numbers stay small. */
static inline uint64_t
zp_zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t
zp_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/*
 * The canonical encoding of a record, drawn in docs/formats.md ("Record"): version byte, mask of
 * facts that are not 0, their varints, varint length of texts, texts. Two equal records have equal
 * bytes. decode checks everything, texts included; texts_out points into `bytes`.
 */
void zp_record_encode(const struct zp_record *record, struct zp_buf *bytes);
/* All of it before the texts; returns how long that is. */
#define ZP_RECORD_HEAD_BYTES_MAX (1 + 10 + 10 * ZP_FACT_COUNT + 10)
size_t zp_record_head_encode(
    const struct zp_record *record, uint8_t head_out[ZP_RECORD_HEAD_BYTES_MAX]);
ZP_MUST_CHECK int zp_record_decode(
    struct zp_slice bytes, struct zp_record *record_out, struct zp_err *err);
/* The same for what this process encoded and never let out of its memory: that it decodes is
 * asserted, and its texts are not looked at again. */
void zp_record_decode_own(
    struct zp_slice bytes, uint64_t facts_out[ZP_FACT_COUNT], struct zp_slice *texts_out);

/* Checks the canonical form of texts (order, UTF-8, CIDs, lengths) against the key's kind. */
ZP_MUST_CHECK int zp_texts_check(struct zp_slice texts, uint8_t kind, struct zp_err *err);

/* Walks texts: 0 and an item, or ZP_END. Only for texts that were checked. *position starts at 0.
 */
int zp_texts_next(
    struct zp_slice texts, size_t *position, enum zp_text_tag *tag_out, struct zp_slice *value_out);

/* The CID of a stored pin, from its key and (for ZP_KIND_OTHER) its texts, verified against the
 * key's digest. ZP_E_CORRUPT where they disagree. */
ZP_MUST_CHECK int zp_cid_of_record(const struct zp_key *key, const struct zp_record *record,
    struct zp_cid *cid_out, struct zp_err *err);

/* ---- Track: a pin's status at one peer ------------------------------------------------------- */

/* IPFS Cluster's, numbered as its bits are. Numbers are final: docs/formats.md, "Columns". */
enum zp_track_status {
	ZP_TRACK_CLUSTER_ERROR = 1,
	ZP_TRACK_PIN_ERROR = 2,
	ZP_TRACK_UNPIN_ERROR = 3,
	ZP_TRACK_PINNED = 4,
	ZP_TRACK_PINNING = 5,
	ZP_TRACK_UNPINNING = 6,
	ZP_TRACK_UNPINNED = 7,
	ZP_TRACK_REMOTE = 8,
	ZP_TRACK_PIN_QUEUED = 9,
	ZP_TRACK_UNPIN_QUEUED = 10,
	ZP_TRACK_SHARDED = 11,
	ZP_TRACK_UNEXPECTEDLY_UNPINNED = 12,
};
#define ZP_TRACK_STATUS_COUNT 13u /* 0 is none */

struct zp_track {
	uint32_t peer;              /* id; never 0 */
	uint8_t status;             /* enum zp_track_status */
	bool is_priority;           /* waits in the queue that goes first */
	uint32_t attempts;          /* so far */
	int64_t since_microseconds; /* when this status began, since 1970 */
	struct zp_slice texts;      /* borrowed; ZP_TEXT_CID as in records, then ZP_TEXT_ERROR */
};

/* Appends a row's texts: the CID of a ZP_KIND_OTHER key (empty for others: the pin may be gone when
 * it is wanted) and the error, cut at ZP_TRACK_ERROR_BYTES_MAX between two characters; empty for
 * none. */
void zp_track_texts(struct zp_slice cid, struct zp_slice error, struct zp_buf *texts);
/* Checks all of a row of a pin of that kind; ZP_E_CORRUPT. */
ZP_MUST_CHECK int zp_track_check(const struct zp_track *track, uint8_t kind, struct zp_err *err);
/* The error text, empty for none; of a row that was checked. */
struct zp_slice zp_track_error(const struct zp_track *track);

/* ---- Pin: the outside form ------------------------------------------------------------------- */

struct zp_pair {
	struct zp_slice key;
	struct zp_slice value;
};

/*
 * A pin as JSON and query parameters have it. All slices are borrowed from the text that was read
 * or from the pin's own arena. Init with zp_pin_init, end with zp_pin_done; zp_pin_reset makes
 * it ready for the next line without freeing.
 */
struct zp_pin {
	struct zp_cid cid;
	enum zp_pin_type type;
	int64_t max_depth;
	int64_t replication_min;
	int64_t replication_max;
	uint64_t size; /* zpin's own "size" member; 0 unknown */
	uint64_t shard_size;
	int64_t created_seconds; /* since 1970; the zero time is ZP_TIME_ZERO_SECONDS */
	uint32_t created_nanoseconds;
	int64_t expire_at_seconds; /* ZP_TIME_ZERO_SECONDS: never */
	struct zp_slice name;
	struct zp_pair *metadata; /* rising by key, unique */
	size_t metadata_count;
	struct zp_slice *origins; /* multiaddress texts in order */
	size_t origins_count;
	struct zp_slice *allocations; /* peer ids, BINARY form (multihash), in order */
	size_t allocations_count;
	struct zp_slice *user_allocations; /* the same */
	size_t user_allocations_count;
	bool has_pin_update;
	bool has_reference;
	struct zp_cid pin_update;
	struct zp_cid reference;
	struct zp_arena
	    *arena; /* owned: unescaped texts and arrays; never moves what it handed out */
};

/* 0001-01-01T00:00:00Z, Go's zero time. */
#define ZP_TIME_ZERO_SECONDS (-62135596800LL)

void zp_pin_init(struct zp_pin *pin);
void zp_pin_reset(struct zp_pin *pin);
void zp_pin_done(struct zp_pin *pin);

/*
 * One JSON object of section "Pin" of IPFS Cluster's API or of a `state export` line. Members may
 * come in any order; unknown members are skipped; missing ones are Go's zero values (so a line
 * without max_depth is direct). `mode` is ignored: max_depth decides. cid is required.
 */
ZP_MUST_CHECK int zp_pin_from_json(struct zp_slice json, struct zp_pin *pin, struct zp_err *err);

/*
 * The same for many lines, of which each looks much like the one before: pin_lines.c. What it reads
 * is zp_pin_from_json's, errors too. `pin` is the last line's; it borrows from that line and from
 * here.
 */
enum { ZP_PIN_LINE_OWN = 3 }; /* strings that each line has for itself */
struct zp_pin_line_place {
	size_t begin; /* of the opening quote */
	size_t end;   /* behind the closing one */
};
struct zp_pin_lines {
	struct zp_pin pin;
	struct zp_buf like; /* the line that was last read member by member; empty: none is kept */
	struct zp_pin_line_place own[ZP_PIN_LINE_OWN];
};
void zp_pin_lines_init(struct zp_pin_lines *lines);
/* Ready for a pin that comes from elsewhere. */
void zp_pin_lines_reset(struct zp_pin_lines *lines);
void zp_pin_lines_done(struct zp_pin_lines *lines);
ZP_MUST_CHECK int zp_pin_lines_read(
    struct zp_pin_lines *lines, struct zp_slice line, struct zp_err *err);

/*
 * Members that have more than one value, for the JSON reader and for query parameters. `key` and
 * `value` are borrowed and sorted in, a present key gets the new value; `text` is checked, brought
 * into normal or binary form, and borrowed or copied. ZP_E_TOO_LARGE past the list's limit.
 */
ZP_MUST_CHECK int zp_pin_metadata_put(
    struct zp_pin *pin, struct zp_slice key, struct zp_slice value, struct zp_err *err);
ZP_MUST_CHECK int zp_pin_origin_add(struct zp_pin *pin, struct zp_slice text, struct zp_err *err);
ZP_MUST_CHECK int zp_pin_allocation_add(
    struct zp_pin *pin, struct zp_slice text, struct zp_err *err);
ZP_MUST_CHECK int zp_pin_user_allocation_add(
    struct zp_pin *pin, struct zp_slice text, struct zp_err *err);

/* The stored form. `texts` is cleared, then receives the texts that record_out->texts borrows.
 * allocations is what the caller's peer registry made of pin->allocations.
 * ZP_E_TOO_LARGE when the encoded record would be over ZP_RECORD_BYTES_MAX. */
ZP_MUST_CHECK int zp_pin_to_record(const struct zp_pin *pin, uint64_t allocations,
    struct zp_buf *texts, struct zp_record *record_out, struct zp_err *err);

/* How a pin object is to be written; the differences of IPFS Cluster between reads and answers to
 * POST (section 1.1 of its API: null and [] and {} are told apart by clients). */
struct zp_pin_json_style {
	bool is_post_answer;          /* metadata {} and origins null where empty */
	uint32_t created_nanoseconds; /* the part of a second that is not stored; 0 on reads */
	const struct zp_slice *user_allocations_json; /* NULL → null */
};

/* Appends the pin object without a newline, fields in IPFS Cluster's order, Go's HTML escaping.
 * allocations_json is a ready JSON array. A NULL style is that of reads. `size` comes last and only
 * where it is known. ZP_E_CORRUPT where key and record do not fit together or break the form,
 * ZP_E_TOO_LARGE where `json` is full; it is then as it was. */
ZP_MUST_CHECK int zp_pin_to_json(const struct zp_key *key, const struct zp_record *record,
    struct zp_slice allocations_json, const struct zp_pin_json_style *style, struct zp_buf *json,
    struct zp_err *err);

/* ---- A user's text in a message (quote.c) ---------------------------------------------------- */

enum zp_quote_style {
	ZP_QUOTE_GO,   /* strconv.Quote */
	ZP_QUOTE_TIME, /* that of Go's package time, which shows ASCII only */
};

#define ZP_QUOTED_BYTES_MAX 100u /* of the text; the rest is left out */

struct zp_quoted {
	char text[4 * ZP_QUOTED_BYTES_MAX + 16]; /* with room for what snprintf adds */
};

/* Quotes, escapes and ends with a NUL; returns quoted->text. */
const char *zp_quote(struct zp_slice text, enum zp_quote_style style, struct zp_quoted *quoted);

/* ---- Peer ids, multiaddresses, times, durations ---------------------------------------------- */

/* Text ("12D3KooW…", "Qm…" or a libp2p-key CID) to the binary multihash; appended to `binary`. */
ZP_MUST_CHECK int zp_peer_id_parse(struct zp_slice text, struct zp_buf *binary, struct zp_err *err);
/* Binary to base58btc text. */
void zp_peer_id_format(struct zp_slice binary, struct zp_buf *text);

/* Checks a multiaddress and appends its normal form as go-multiaddr prints it; on an error `normal`
 * is as it was. */
ZP_MUST_CHECK int zp_multiaddr_normalize(
    struct zp_slice text, struct zp_buf *normal, struct zp_err *err);
/* True where a normal form has a /p2p/<id> part, as origins must. */
bool zp_multiaddr_has_peer(struct zp_slice normal);

/* RFC 3339 as Go's time.Parse(time.RFC3339Nano) takes it: any offset, 0 to 9 fraction digits. */
ZP_MUST_CHECK int zp_time_parse(
    struct zp_slice text, int64_t *seconds_out, uint32_t *nanoseconds_out, struct zp_err *err);
/* Prints in UTC with Z, fraction trimmed of trailing zeros, as Go does. Years 0000 to 9999; a time
 * outside is printed as the nearest second inside. */
void zp_time_format(int64_t seconds, uint32_t nanoseconds, struct zp_buf *text);

/* Go's time.ParseDuration: "240h", "1m30s", "-1.5h", "100ms". */
ZP_MUST_CHECK int zp_duration_parse(
    struct zp_slice text, int64_t *nanoseconds_out, struct zp_err *err);

/* Names of types and modes on the wire. */
const char *zp_pin_type_name(enum zp_pin_type type);
ZP_MUST_CHECK int zp_pin_type_parse(struct zp_slice name, enum zp_pin_type *type_out);

#endif
