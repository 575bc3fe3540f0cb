/*
 * limits.h - every fixed limit of zpin in one place, with its unit and its reason.
 */
#ifndef ZP_BASE_LIMITS_H
#define ZP_BASE_LIMITS_H

/* Pins. A record is one pin's encoded facts and texts, as the journal and the segments hold it. */
#define ZP_RECORD_BYTES_MAX 65536u
#define ZP_CID_BYTES_MAX 1024u         /* binary; identity CIDs carry their data */
#define ZP_CID_TEXT_MAX 2048u          /* base58 and base32 of the above fit */
#define ZP_METADATA_COUNT_MAX 1024u    /* entries of one pin */
#define ZP_ORIGINS_COUNT_MAX 256u      /* multiaddresses of one pin */
#define ZP_ALLOCATIONS_COUNT_MAX 1024u /* peers in one allocation list */
#define ZP_PEER_ID_BYTES_MAX 128u      /* binary peer id */
#define ZP_TRACK_ERROR_BYTES_MAX 1024u /* why a pin failed at a peer; longer texts are cut */
/* With tags and lengths. */
#define ZP_TRACK_TEXTS_BYTES_MAX (ZP_CID_BYTES_MAX + ZP_TRACK_ERROR_BYTES_MAX + 6u)

/* Shards and engine. */
#define ZP_SHARDS_MAX 4096u /* per node */
#define ZP_PEERS_MAX 65536u /* registered peers, u32 ids never reused */
#define ZP_ALLOCATION_LISTS_MAX 1048576u
#define ZP_SEGMENT_RECORDS_MAX 4294967295u
#define ZP_FILE_NAME_MAX 120u              /* names inside a store */
#define ZP_ACCESS_COUNT_MAX 4294967295u    /* accesses that are told or journaled at once */
#define ZP_ACCESSES_PENDING_MAX 262144u    /* pins whose accesses wait; 96 bytes each, twice */
#define ZP_ACCESS_SECONDS_MAX 253402300799 /* when, since 1970: the end of 9999 */

/* Journal. */
#define ZP_JOURNAL_BATCH_BYTES_MAX ((1u << 20) - 4096u) /* framed; a lane's message holds it */
#define ZP_JOURNAL_BATCH_RECORDS_MAX 65536u

/* HTTP. */
#define ZP_HTTP_HEAD_BYTES_MAX 16384u /* request line and headers */
#define ZP_HTTP_HEADERS_MAX 100u
#define ZP_HTTP_BODY_BYTES_MAX (1u << 20) /* of a request that is read whole */

/* JSON. */
#define ZP_JSON_DEPTH_MAX 64u

/* Listing. */
#define ZP_LIST_PAGE_MAX 10000u
#define ZP_VIEW_AGE_SECONDS_MAX 60u
#define ZP_SNAPSHOT_NAME_MAX 64u
#define ZP_SNAPSHOTS_LISTED_MAX 4096u
#define ZP_MOMENTS_MAX 4u           /* snapshots and checkpoints that are open to be read at once */
#define ZP_MOMENT_IDLE_SECONDS 300u /* one that nobody reads is closed */

#endif
