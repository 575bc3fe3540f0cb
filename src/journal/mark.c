/*
 * mark.c - which batch was the last to be acknowledged, said outside of the log's own files.
 *
 * A log says of each batch that those before it were durable, but nobody says so of its last write,
 * and a file that was removed, or cut between two batches, says nothing at all. The mark does: it
 * is written after the sync of a commit and before anybody is told.
 *
 * Flow:    open.c reads and renews it, zp_journal_commit moves it on.
 * Owner:   the thread that appends.
 *
 * Without room for it there is none, and opening says so; a node must start on a full disk.
 *
 * It costs no sync: what a killed process wrote is there, and after a power cut an older mark is a
 * smaller witness, never a wrong one, since the batches it names were durable before it was
 * written. For the same reason a mark that can't be written is left behind and no error.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>

/* The slots take turns, in disk blocks of their own: a torn write spoils one. */
#define SLOT_BYTES 64u
#define SLOT_DISTANCE 4096u
#define SLOTS 2u
#define MARK_BYTES (SLOTS * SLOT_DISTANCE)

static const uint8_t slot_magic[8] = {'Z', 'P', 'I', 'N', 'm', 'a', 'r', 'k'};

static void
slot_encode(const struct journal_identity *identity, const struct journal_mark *mark, unsigned slot,
    uint8_t bytes_out[SLOT_BYTES])
{
	memset(bytes_out, 0, SLOT_BYTES);
	memcpy(bytes_out, slot_magic, sizeof(slot_magic));
	zp_store_u32le(bytes_out + 16, JOURNAL_VERSION);
	zp_store_u32le(bytes_out + 20, identity->node);
	memcpy(bytes_out + 24, identity->cluster_id, 16);
	zp_store_u64le(bytes_out + 40, mark->number);
	zp_store_u64le(bytes_out + 48, mark->checksum);
	zp_store_u64le(bytes_out + 8, zp_hash64(bytes_out + 16, SLOT_BYTES - 16, slot));
}

/* ZP_E_CORRUPT for a slot that is not whole, which the other one may make good. */
static int
slot_decode(const struct journal_identity *identity, const uint8_t bytes[SLOT_BYTES], unsigned slot,
    struct journal_mark *mark_out, struct zp_err *err)
{
	uint32_t version = zp_load_u32le(bytes + 16);

	if (memcmp(bytes, slot_magic, sizeof(slot_magic)) != 0 ||
	    zp_load_u64le(bytes + 8) != zp_hash64(bytes + 16, SLOT_BYTES - 16, slot))
		return zp_fail(
		    err, ZP_E_CORRUPT, "%s: slot %u is damaged", JOURNAL_MARK_NAME, slot);
	if (version != JOURNAL_VERSION)
		return zp_fail(err, ZP_E_VERSION,
		    "%s has version %" PRIu32 ", this zpin knows %u: use a newer zpin",
		    JOURNAL_MARK_NAME, version, JOURNAL_VERSION);
	if (memcmp(bytes + 24, identity->cluster_id, 16) != 0 ||
	    zp_load_u32le(bytes + 20) != identity->node)
		return zp_fail(
		    err, ZP_E_CONFLICT, "%s is of another cluster or node", JOURNAL_MARK_NAME);
	mark_out->number = zp_load_u64le(bytes + 40);
	mark_out->checksum = zp_load_u64le(bytes + 48);
	return 0;
}

int
journal__mark_read(struct zp_journal *journal, struct journal_mark *mark_out, struct zp_err *err)
{
	ZP_AUTO_BUF(file, MARK_BYTES);
	struct journal_mark mark = {0};
	struct zp_err why = {0};
	unsigned whole = 0;
	int rc = zp_store_read_all(journal->store, JOURNAL_MARK_NAME, MARK_BYTES, &file, err);

	if (rc == ZP_E_TOO_LARGE || (rc == 0 && file.length != MARK_BYTES))
		return zp_fail(err, ZP_E_CORRUPT, "%s has a wrong length", JOURNAL_MARK_NAME);
	if (rc < 0)
		return rc;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		struct journal_mark found = {0};

		rc = slot_decode(
		    &journal->identity, file.data + slot * SLOT_DISTANCE, slot, &found, &why);
		if (rc < 0 && rc != ZP_E_CORRUPT)
			return zp_fail(err, rc, "%s", why.text);
		if (rc == 0 && (whole++ == 0 || found.number > mark.number)) {
			mark = found;
			journal->mark_slot = slot;
		}
	}
	if (whole == 0)
		return zp_fail(err, ZP_E_CORRUPT, "%s", why.text);
	*mark_out = mark;
	return 0;
}

int
journal__mark_look(const struct zp_journal *journal, struct zp_err *err)
{
	ZP_AUTO_BUF(file, MARK_BYTES);
	struct journal_mark mark;
	int rc = zp_store_read_all(journal->store, JOURNAL_MARK_NAME, MARK_BYTES, &file, err);

	if (rc == ZP_E_NOT_FOUND)
		rc = zp_fail(err, ZP_E_CORRUPT, "%s: the file is gone", JOURNAL_MARK_NAME);
	if (rc == 0 && file.length != MARK_BYTES)
		rc = zp_fail(err, ZP_E_CORRUPT, "%s has a wrong length", JOURNAL_MARK_NAME);
	if (rc < 0)
		return rc;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		rc = slot_decode(
		    &journal->identity, file.data + slot * SLOT_DISTANCE, slot, &mark, err);
		if (rc == 0)
			break;
	}
	return rc;
}

static int
mark_create(struct zp_journal *journal, struct zp_err *err)
{
	struct journal_mark mark = {journal->committed.number, journal->committed.checksum};
	uint8_t bytes[MARK_BYTES] = {0};

	for (unsigned slot = 0; slot < SLOTS; slot++)
		slot_encode(&journal->identity, &mark, slot, bytes + slot * SLOT_DISTANCE);
	return zp_store_write_all(
	    journal->store, JOURNAL_MARK_NAME, (struct zp_slice){bytes, sizeof(bytes)}, err);
}

int
journal__mark_open(struct zp_journal *journal, bool is_there, struct zp_err *err)
{
	int rc = is_there ? 0 : mark_create(journal, err);

	if (rc == 0)
		rc = zp_store_log_open(
		    journal->store, JOURNAL_MARK_NAME, false, &journal->mark_log, err);
	if (rc == ZP_E_NO_SPACE) {
		zp_err_clear(err);
		return 0;
	}
	if (rc == 0)
		journal__mark_set(journal);
	return rc;
}

int
zp_journal_mark_renew(struct zp_journal *journal, struct zp_err *err)
{
	struct zp_store_log *log, *before = journal->mark_log;
	int rc;

	if (before == NULL || journal__mark_look(journal, NULL) == 0)
		return 0;
	rc = mark_create(journal, err);
	if (rc == 0)
		rc = zp_store_log_open(journal->store, JOURNAL_MARK_NAME, false, &log, err);
	if (rc < 0)
		return rc;
	zp_mutex_lock(&journal->lock); /* who checks looks whether there is one */
	journal->mark_log = log;
	zp_mutex_unlock(&journal->lock);
	zp_store_log_close(before);
	return 0;
}

void
journal__mark_set(struct zp_journal *journal)
{
	struct journal_mark mark = {journal->committed.number, journal->committed.checksum};
	uint8_t bytes[SLOT_BYTES];

	if (journal->mark_log == NULL)
		return;
	journal->mark_slot = (journal->mark_slot + 1) % SLOTS;
	slot_encode(&journal->identity, &mark, journal->mark_slot, bytes);
	zp_ignore(zp_store_log_rewrite(journal->mark_log, journal->mark_slot * SLOT_DISTANCE, bytes,
	    sizeof(bytes), NULL)); /* see above */
}

void
journal__mark_close(struct zp_journal *journal)
{
	/* A clean stop leaves the whole truth; without this sync it would leave a part of it. */
	if (journal->mark_log != NULL)
		zp_ignore(zp_store_log_sync(journal->mark_log, NULL));
	zp_store_log_close(journal->mark_log);
	journal->mark_log = NULL;
}
