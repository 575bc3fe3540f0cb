/*
 * pin_scan.c - live pins in key order, by rows or by columns.
 *
 * Flow:   command → scan over a view, by windows of it (pin_window.h). Any thread; one thread a
 * scan. Damage: the scan goes on behind it and answers ZP_E_CORRUPT at the end instead of ZP_END:
 * what can be read is read, and nobody takes the list for whole.
 */
#include "engine/pin_window.h"

#define STEP_WINDOWS 16u /* of a step without a pin */

/* Where merged rows are put together, for who wants columns. */
struct gathered {
	size_t room;
	uint8_t (*digests)[32];
	uint64_t *values[SEGMENT_COLUMNS_MAX];
};

struct zp_scan {
	struct zp_view *view; /* held */
	struct pin_window window;
	struct gathered gathered;
};

/* ---- Opening --------------------------------------------------------------------------------- */

int
zp_scan_open(struct zp_view *view, const struct zp_scan_options *options, struct zp_scan **scan_out,
    struct zp_err *err)
{
	struct zp_scan *scan = zp_alloc_zero(1, sizeof(*scan));

	(void)err; /* damage is told at the end */
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	scan->view = view;
	pin_window__open(&scan->window, view, options);
	*scan_out = scan;
	return ZP_OK;
}

void
zp_scan_close(struct zp_scan *scan)
{
	if (scan == NULL)
		return;
	pin_window__done(&scan->window);
	zp_free(scan->gathered.digests);
	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		zp_free(scan->gathered.values[i]);
	zp_view_release(scan->view);
	zp_free(scan);
}

/* Goes to the next window, which may have no rows. */
static int
window_next(struct zp_scan *scan, struct zp_err *err)
{
	const struct zp_err *damage = &scan->window.wanted.runs.damage;

	if (pin_window__next(&scan->window))
		return ZP_OK;
	return damage->code == ZP_OK
		   ? ZP_END
		   : zp_fail(err, damage->code, "the list lacks pins that cannot be read: %s",
			 damage->text);
}

bool
zp_scan_passed(const struct zp_scan *scan, struct zp_key *key_out)
{
	uint8_t key[ZP_KEY_BYTES];

	if (!scan->window.has_passed)
		return false;
	memcpy(key, scan->window.passed, sizeof(key));
	if (zp_key_decode(key, key_out, NULL) == ZP_OK)
		return true;
	for (size_t i = sizeof(uint64_t); i < sizeof(key); i++) {
		if (key[i] != 0xff)
			return false;
	}
	/* The end of a bucket is no pin's key; this is the last that is one. */
	*key_out =
	    (struct zp_key){.kind = ZP_KIND_OTHER, .namespace_id = UINT32_MAX, .claim = UINT64_MAX};
	memcpy(key_out->digest, key, sizeof(key_out->digest));
	return true;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static bool
ref_next(struct pin_window *window, struct row_ref *ref_out)
{
	if (window->dense != NULL) {
		if (window->dense_at == window->dense_end)
			return false;
		ref_out->source = window->dense;
		ref_out->row = window->dense_at++;
		return true;
	}
	if (window->ref_at == window->ref_count)
		return false;
	*ref_out = window->refs[window->ref_at++];
	return true;
}

/* The next pin of the window; ZP_END behind its last. */
static int
window_take(struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out)
{
	struct pin_window *window = &scan->window;
	struct row_ref ref;

	while (ref_next(window, &ref)) {
		record_out->texts = (struct zp_slice){0};
		if (ref.source->has_texts &&
		    !pin_source__texts(ref.source, &window->wanted, ref.row, &record_out->texts))
			continue;
		pin_source__row(ref.source, ref.row, key_out, record_out->facts);
		return ZP_OK;
	}
	return ZP_END;
}

int
zp_scan_next(
    struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	int rc;

	while (window_take(scan, key_out, record_out) == ZP_END) {
		rc = window_next(scan, err);
		if (rc != ZP_OK)
			return rc;
	}
	return ZP_OK;
}

int
zp_scan_step(
    struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err)
{
	for (unsigned i = 0; window_take(scan, key_out, record_out) == ZP_END; i++) {
		int rc = i == STEP_WINDOWS ? ZP_SCAN_PASSED : window_next(scan, err);

		if (rc != ZP_OK)
			return rc;
	}
	return ZP_OK;
}

/* ---- Columns --------------------------------------------------------------------------------- */

static void
gathered_room_make(struct zp_scan *scan)
{
	const struct pin_window *window = &scan->window;
	struct gathered *gathered = &scan->gathered;

	if (gathered->room >= window->ref_count)
		return;
	gathered->room = window->room;
	zp_free(gathered->digests);
	gathered->digests = zp_alloc(gathered->room * sizeof(gathered->digests[0]));
	for (uint32_t some = window->wanted.columns; some != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		zp_free(gathered->values[column]);
		gathered->values[column] = zp_alloc(gathered->room * sizeof(uint64_t));
	}
}

static struct zp_scan_column
column_gather(struct zp_scan *scan, unsigned column)
{
	const struct pin_window *window = &scan->window;
	const struct row_ref *refs = window->refs;
	uint64_t *to = scan->gathered.values[column];

	for (size_t i = 0; i < window->ref_count; i++)
		to[i] = batch__value(refs[i].source->batch, column, refs[i].row);
	return (struct zp_scan_column){to, 1};
}

static struct zp_scan_column
column_give(struct zp_scan *scan, unsigned column)
{
	const struct pin_window *window = &scan->window;
	struct zp_scan_column given = {0};

	if ((window->wanted.columns >> column & 1) == 0)
		return given;
	if (window->dense == NULL)
		return column_gather(scan, column);
	given.values = batch__values(window->dense->batch, column, &given.step);
	given.values += window->dense_at * given.step;
	return given;
}

static const uint8_t (*digests_give(struct zp_scan *scan))[32]
{
	const struct pin_window *window = &scan->window;
	uint8_t(*to)[32] = scan->gathered.digests;

	if (!window->wanted.gives_keys)
		return NULL;
	if (window->dense != NULL)
		return (const uint8_t(*)[32]) & window->dense->batch->digests[window->dense_at];
	for (size_t i = 0; i < window->ref_count; i++)
		memcpy(to[i], window->refs[i].source->batch->digests[window->refs[i].row], 32);
	return (const uint8_t(*)[32])to;
}

int
zp_scan_next_rows(struct zp_scan *scan, struct zp_scan_rows *rows_out, struct zp_err *err)
{
	const struct pin_window *window = &scan->window;
	int rc = window_next(scan, err);

	if (rc != ZP_OK)
		return rc;
	if (window->dense == NULL)
		gathered_room_make(scan);
	rows_out->count =
	    window->dense != NULL ? window->dense_end - window->dense_at : window->ref_count;
	rows_out->digests = digests_give(scan);
	rows_out->kinds = column_give(scan, PIN_KIND);
	rows_out->versions = column_give(scan, PIN_VERSION);
	rows_out->codecs = column_give(scan, PIN_CODEC);
	rows_out->namespaces = column_give(scan, PIN_NAMESPACE);
	rows_out->claims = column_give(scan, PIN_CLAIM);
	for (unsigned i = 0; i < ZP_FACT_COUNT; i++)
		rows_out->facts[i] = column_give(scan, PIN_FACTS + i);
	return ZP_OK;
}
