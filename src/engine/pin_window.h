/*
 * pin_window.h - live pins of memtables and runs in key order, a window at a time; private to
 * engine/.
 *
 * Flow:   pin_scan.c → here → pin_source.c. One thread.
 * Window: all rows up to the end of the batch that ends first, of every source.
 * Damage: where a run is damaged its other rows come all the same, and wanted.runs.damage has the
 * first fault. Between the rows around the damage no older run is believed: what it has may be
 * replaced or deleted. A block is damaged or whole; only texts are looked at row by row.
 */
#ifndef ZP_ENGINE_PIN_WINDOW_H
#define ZP_ENGINE_PIN_WINDOW_H

#include "engine/pin_source.h"

/* A row of a window. */
struct row_ref {
	uint64_t head; /* where rows were merged */
	struct pin_source *source;
	uint32_t row;
};

/* Of those that are still to be given `dense_at` and `ref_at` are the first: the caller's to move.
 */
struct pin_window {
	struct pin_wanted wanted;
	struct pin_source *sources; /* owned; newest first */
	size_t source_count;
	struct pin_source **live; /* owned: those that are not over, in that order */
	size_t live_count;
	struct pin_source **parts; /* owned: of these the ones with rows in the window */
	size_t part_count;
	/* Its rows, all of which are given: of one source as they stand, or refs. */
	struct pin_source *dense; /* NULL: refs */
	uint32_t dense_at;
	uint32_t dense_end;
	struct row_ref *refs; /* owned; as the next two */
	struct row_ref *spare;
	size_t room;
	size_t *ends; /* owned: room for the parts' */
	size_t ref_at;
	size_t ref_count;
	bool has_passed;                  /* there was a window, */
	uint8_t passed[SOURCE_KEY_BYTES]; /* and this is its end */
};

/* Before the first window. The view stays as long. */
void pin_window__open(
    struct pin_window *window, const struct zp_view *view, const struct zp_scan_options *options);
void pin_window__done(struct pin_window *window);

/* Goes to the next window, which may have no rows; what is given of those that it has is ready.
 * False: that was the last. */
bool pin_window__next(struct pin_window *window);

#endif
