/*
 * pin_update.c - what a pin with pin-update comes to: a copy of another pin's options. Pure.
 *
 * Flow:   commit.c asks, with the other pin as it is now. Owner: none; no state.
 * Source: ipfs-cluster 1.1.6, cluster.go (PinUpdate): nothing is checked of a pin that is there
 *         already, and `from` stays pinned.
 */
#include "command/command_internal.h"

static void
text_add(struct zp_buf *texts, enum zp_text_tag tag, struct zp_slice value)
{
	zp_buf_append_byte(texts, (uint8_t)tag);
	zp_buf_append_varint(texts, value.length);
	zp_buf_append_slice(texts, value);
}

/* The first text with that tag, or NULL data. */
static struct zp_slice
text_find(struct zp_slice texts, enum zp_text_tag wanted)
{
	enum zp_text_tag tag;
	struct zp_slice value;
	size_t position = 0;

	while (zp_texts_next(texts, &position, &tag, &value) == ZP_OK) {
		if (tag == wanted)
			return value;
	}
	return (struct zp_slice){0};
}

/* Tags rise: the new pin's own CID and name, `from`'s metadata and origins, then what it came from.
 */
static int
texts_make(const struct zp_write *write, const struct zp_record *from, struct zp_buf *texts,
    struct zp_err *err)
{
	struct zp_slice own_cid = text_find(write->record.texts, ZP_TEXT_CID);
	struct zp_slice name =
	    text_find(write->update_keeps_name ? from->texts : write->record.texts, ZP_TEXT_NAME);
	struct zp_slice reference = text_find(from->texts, ZP_TEXT_REFERENCE);
	enum zp_text_tag tag;
	struct zp_slice value;
	struct zp_cid cid;
	size_t position = 0;
	int rc = zp_cid_of_record(&write->update_from, from, &cid, err);

	if (rc < 0)
		return rc;
	if (own_cid.data != NULL)
		text_add(texts, ZP_TEXT_CID, own_cid);
	if (name.length > 0)
		text_add(texts, ZP_TEXT_NAME, name);
	while (zp_texts_next(from->texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_METADATA_KEY || tag == ZP_TEXT_METADATA_VALUE ||
		    tag == ZP_TEXT_ORIGIN)
			text_add(texts, tag, value);
	}
	text_add(texts, ZP_TEXT_PIN_UPDATE, (struct zp_slice){cid.bytes, cid.length});
	if (reference.data != NULL)
		text_add(texts, ZP_TEXT_REFERENCE, reference);
	return zp_buf_check(texts, "the pin", err);
}

int
command__pin_update(const struct zp_write *write, const struct zp_record *from,
    const struct command__rules *rules, struct zp_buf *texts,
    struct command__decision *decision_out, struct zp_err *err)
{
	struct command__decision decision = {.has_new = true, .allocation = COMMAND__KEEP};
	uint64_t expire_at = write->record.facts[ZP_FACT_EXPIRE_AT];
	int rc;

	if (from->facts[ZP_FACT_TYPE] != ZP_PIN_DATA)
		return zp_fail(err, ZP_E_CONFLICT, "this pin type cannot be updated");
	rc = texts_make(write, from, texts, err);
	if (rc < 0)
		return rc;
	decision.record = *from;
	decision.record.texts = zp_buf_slice(texts);
	decision.record.facts[ZP_FACT_CREATED] = zp_zigzag(rules->created);
	if (!write->update_keeps_expiry && expire_at != 0 &&
	    zp_unzigzag(expire_at - 1) > rules->now_microseconds / 1000000)
		decision.record.facts[ZP_FACT_EXPIRE_AT] = expire_at;
	*decision_out = decision;
	return ZP_OK;
}
