/*
 * read.c - one pin, or a batch of pins, from a view.
 *
 * Flow:   command → view → memtables, then runs from the newest. Any thread; takes no lock.
 * Rule:   the first row found decides; a damaged place where a newer row could be is an error, never
 *         a reason to look at older ones.
 */
#include "engine/engine_internal.h"

struct zp_read_scratch {
	struct segment_scratch segment;
};

struct zp_read_scratch *
zp_read_scratch_new(void)
{
	struct zp_read_scratch *scratch = zp_alloc_zero(1, sizeof(*scratch));

	segment__scratch_init(&scratch->segment);
	return scratch;
}

void
zp_read_scratch_free(struct zp_read_scratch *scratch)
{
	if (scratch == NULL)
		return;
	segment__scratch_done(&scratch->segment);
	zp_free(scratch);
}

/* The run's segment whose range holds the key: true and which. */
static bool
run_segment(const struct version *version, size_t run_at, const uint8_t key[ZP_KEY_BYTES],
    size_t *index_out)
{
	const struct manifest_run *run = &version->manifest.runs[run_at];

	for (size_t i = 0; i < run->segment_count; i++) {
		const struct segment_info *info = &run->segments[i];
		struct segment *segment = version->runs[run_at][i];
		/* Of a damaged one only the beginnings of its first and last key are known. */
		size_t known = segment == NULL ? 48 : ZP_KEY_BYTES;

		if (memcmp(key, info->first_key, known) < 0)
			return false;
		if (memcmp(key, info->last_key, known) <= 0) {
			*index_out = i;
			return true;
		}
	}
	return false;
}

/* The newest row of the key in the runs: 0, ZP_E_NOT_FOUND, or an error. */
static int
runs_get(const struct version *version, const struct zp_key *key,
    const uint8_t bytes[ZP_KEY_BYTES], struct zp_read_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		struct segment *segment;
		size_t index;
		int rc;

		if (version->manifest.runs[i].family != ZP_FAMILY_PIN)
			break; /* families rise, and pin is the first */
		if (!run_segment(version, i, bytes, &index))
			continue;
		segment = version->runs[i][index];
		if (segment == NULL)
			return segment__unopened_fault(&version->manifest.runs[i].segments[index], err);
		if (!segment__may_contain(segment, key))
			continue;
		rc = segment__get(segment, key, &scratch->segment, row_out, err);
		if (rc != ZP_E_NOT_FOUND)
			return rc;
	}
	return ZP_E_NOT_FOUND;
}

static int
row_get(struct zp_view *view, const struct zp_key *key, struct zp_read_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(key, bytes);
	if (view->active != NULL && memtable__get(view->active, bytes, row_out))
		return ZP_OK;
	if (view->frozen != NULL && memtable__get(view->frozen, bytes, row_out))
		return ZP_OK;
	return runs_get(view->version, key, bytes, scratch, row_out, err);
}

int
zp_view_get(struct zp_view *view, const struct zp_key *key, struct zp_read_scratch *scratch,
    struct zp_record *record_out, struct zp_err *err)
{
	struct segment_row row;
	int rc = row_get(view, key, scratch, &row, err);

	if (rc == ZP_OK && row.operation == ZP_ROW_TOMBSTONE)
		rc = ZP_E_NOT_FOUND;
	if (rc == ZP_E_NOT_FOUND)
		return zp_fail(err, rc, "the pin is not in the shard");
	if (rc == ZP_OK)
		*record_out = row.record;
	return rc;
}

/* The answer's texts go to the end of `texts`; data is an offset until answers_settle. */
static int
answer_take(const struct segment_row *row, struct zp_buf *texts, struct zp_batch_answer *answer)
{
	size_t offset = texts->length;

	answer->rc = row->operation == ZP_ROW_TOMBSTONE ? ZP_E_NOT_FOUND : ZP_OK;
	if (answer->rc != ZP_OK)
		return ZP_OK;
	answer->record = row->record;
	zp_buf_append_slice(texts, row->record.texts);
	answer->record.texts.data = (const uint8_t *)(uintptr_t)offset;
	return texts->overflow ? ZP_E_TOO_LARGE : ZP_OK;
}

int
zp_view_get_batch(struct zp_view *view, const struct zp_key *const *keys, size_t count,
    struct zp_read_scratch *scratch, struct zp_buf *texts, struct zp_batch_answer *answers_out,
    struct zp_err *err)
{
	enum { AHEAD = 8 };
	uint8_t bytes[ZP_KEY_BYTES];

	for (size_t i = 0; i < count; i++) {
		struct segment_row row;
		int rc;

		if (view->active != NULL && i + AHEAD < count) {
			zp_key_encode(keys[i + AHEAD], bytes);
			memtable__prefetch(view->active, bytes);
		}
		answers_out[i] = (struct zp_batch_answer){.rc = ZP_E_NOT_FOUND};
		rc = row_get(view, keys[i], scratch, &row, NULL); /* only which error is told */
		if (rc == ZP_OK)
			rc = answer_take(&row, texts, &answers_out[i]);
		else
			answers_out[i].rc = rc;
		if (rc == ZP_E_TOO_LARGE)
			return zp_buf_check(texts, "the texts of a batch", err);
	}
	for (size_t i = 0; i < count; i++) {
		if (answers_out[i].rc == ZP_OK)
			answers_out[i].record.texts.data =
			    texts->data + (uintptr_t)answers_out[i].record.texts.data;
	}
	return ZP_OK;
}
