/*
 * import.c - a stream of lines into batches of writes, a few under way at a time.
 *
 * Flow:  bytes → lines → batch → commit thread → `done` here. Owner: the feeding thread, but what
 *        `lock` guards.
 *
 * Each batch carries the number of its last line as the stream's sequence, so that after a crash
 * the stream goes on behind the last line that is durable, without a line lost or taken twice. A
 * replacing import first deletes what is there; that is not part of the stream: cut short, it
 * begins again.
 */
#include "command/import_internal.h"

struct zp_import {
	struct zp_node *node;
	struct zp_import_options options; /* origin and map are our own copies */
	struct zp_slice (*map)[2];
	void (*bad_line)(void *context, uint64_t line, const char *text);
	void (*ready)(void *context);
	void *context;

	/* The feeding thread's. */
	struct import__reader reader;
	struct import__batch batches[IMPORT__BATCHES];
	struct import__batch *filling; /* NULL: the next free one */
	struct zp_buf line;            /* a line that began in an earlier chunk */
	uint64_t lines;                /* taken so far; told in `progress` once per feed */
	bool line_is_too_long;         /* its rest is passed over */
	bool line_is_whole;            /* it only waits for room */
	struct zp_list *deleting;      /* replace: what is there */
	bool is_deleting;
	uint64_t deletes_sent;
	bool is_finishing;

	/* Shared with the commit thread. */
	struct zp_mutex lock;
	struct zp_cond changed;
	struct zp_import_progress progress;
	uint32_t answers_awaited; /* batches whose `done` has not returned */
	bool wants_ready;         /* the feeder was told to wait */
	int failure;              /* the first failed write's, 0 */
	struct zp_err failure_err;
};

/* ---- Opening and closing -------------------------------------------------------------------- */

static void
map_copy(struct zp_import *import, const struct zp_import_options *options)
{
	import->map = zp_alloc_zero(options->map_count + 1, sizeof(*import->map));
	for (size_t i = 0; i < options->map_count; i++) {
		for (size_t side = 0; side < 2; side++) {
			size_t length = options->map[i][side].length;
			uint8_t *bytes = zp_alloc(length + 1);

			memcpy(bytes, options->map[i][side].data, length);
			import->map[i][side] = (struct zp_slice){bytes, length};
		}
	}
	import->options.map = (const struct zp_slice(*)[2])import->map;
}

int
zp_import_open(struct zp_node *node, const struct zp_import_options *options,
    void (*bad_line)(void *context, uint64_t line, const char *text), void (*ready)(void *context),
    void *context, struct zp_import **import_out, struct zp_err *err)
{
	struct zp_import *import;
	int rc = ZP_OK;

	if (node->read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the node is read-only");
	import = zp_alloc_zero(1, sizeof(*import));
	import->node = node;
	import->options = *options;
	import->bad_line = bad_line;
	import->ready = ready;
	import->context = context;
	map_copy(import, options);
	import__reader_init(&import->reader, node, &import->options);
	zp_buf_init(&import->line, IMPORT__LINE_BYTES_MAX);
	zp_mutex_init(&import->lock);
	zp_cond_init(&import->changed);
	for (uint32_t i = 0; i < IMPORT__BATCHES; i++) {
		struct import__batch *batch = &import->batches[i];

		batch->import = import;
		batch->writes = zp_alloc_zero(IMPORT__BATCH_WRITES_MAX, sizeof(*batch->writes));
		batch->arena = zp_alloc(IMPORT__ARENA_BYTES);
		batch->batch.writes = batch->writes;
	}
	/* A stream that goes on has deleted already: its lines came only after that. */
	import->is_deleting = options->replace && options->lines_done == 0;
	if (import->is_deleting)
		rc = zp_list_open(node, 0, NULL, &import->deleting, err);
	if (import->deleting != NULL)
		zp_list_want(import->deleting, ZP_SCAN_KEYS, NULL);
	if (rc < 0) {
		zp_import_close(import);
		return rc;
	}
	*import_out = import;
	return ZP_OK;
}

static void
under_way_wait(struct zp_import *import)
{
	zp_mutex_lock(&import->lock);
	while (import->answers_awaited > 0)
		zp_cond_wait(&import->changed, &import->lock);
	zp_mutex_unlock(&import->lock);
}

void
zp_import_close(struct zp_import *import)
{
	if (import == NULL)
		return;
	under_way_wait(import);
	zp_list_close(import->deleting);
	for (uint32_t i = 0; i < IMPORT__BATCHES; i++) {
		struct import__batch *batch = &import->batches[i];

		for (uint32_t j = 0; j < IMPORT__BATCH_WRITES_MAX; j++)
			zp_buf_done(&batch->writes[j].result_texts);
		zp_free(batch->writes);
		zp_free(batch->arena);
	}
	for (size_t i = 0; i < import->options.map_count; i++) {
		zp_free((void *)(uintptr_t)import->map[i][0].data);
		zp_free((void *)(uintptr_t)import->map[i][1].data);
	}
	zp_free(import->map);
	import__reader_done(&import->reader);
	zp_buf_done(&import->line);
	zp_cond_done(&import->changed);
	zp_mutex_done(&import->lock);
	zp_free(import);
}

/* ---- Batches under way ---------------------------------------------------------------------- */

/* With the lock held. Everything that was sent is answered in order, so the last line of a batch
 * without failure means all before it. */
static void
batch_count(struct zp_import *import, const struct import__batch *batch)
{
	enum { AHEAD = 8 }; /* writes that are brought nearer */

	for (size_t i = 0; i < batch->batch.count; i++) {
		const struct zp_write *write = &batch->writes[i];

		if (i + AHEAD < batch->batch.count)
			__builtin_prefetch(write + AHEAD);
		if (write->rc < 0 && import->failure == 0) {
			import->failure = zp_fail(&import->failure_err, write->rc,
			    "lines %llu to %llu: %.300s", (unsigned long long)batch->line_first,
			    (unsigned long long)batch->line_last, write->err.text);
		}
		import->progress.imported += write->rc == ZP_OK && write->kind == ZP_WRITE_IMPORT;
	}
	if (import->failure == 0)
		import->progress.lines_durable = batch->line_last;
}

/* With the lock held. */
static bool
is_any_under_way(const struct zp_import *import)
{
	for (uint32_t i = 0; i < IMPORT__BATCHES; i++) {
		if (import->batches[i].is_under_way)
			return true;
	}
	return false;
}

static void
batch_done(struct zp_write_batch *done)
{
	struct import__batch *batch = done->context;
	struct zp_import *import = batch->import;
	bool is_ready;

	zp_mutex_lock(&import->lock);
	batch_count(import, batch);
	import__batch_clear(batch);
	batch->is_under_way = false;
	import->progress.finished = import->is_finishing && !is_any_under_way(import);
	is_ready = import->wants_ready && (!import->is_finishing || import->progress.finished);
	if (is_ready)
		import->wants_ready = false;
	zp_mutex_unlock(&import->lock);
	if (is_ready && import->ready != NULL)
		import->ready(import->context);
	/* Last of all: a closer waits for this, and then the import is gone. */
	zp_mutex_lock(&import->lock);
	import->answers_awaited--;
	zp_cond_broadcast(&import->changed);
	zp_mutex_unlock(&import->lock);
}

/* A batch to fill, or NULL when all are under way: then `ready` follows. */
static struct import__batch *
filling_get(struct zp_import *import)
{
	if (import->filling != NULL)
		return import->filling;
	zp_mutex_lock(&import->lock);
	for (uint32_t i = 0; i < IMPORT__BATCHES && import->filling == NULL; i++) {
		if (!import->batches[i].is_under_way)
			import->filling = &import->batches[i];
	}
	import->wants_ready = import->filling == NULL;
	zp_mutex_unlock(&import->lock);
	if (import->filling != NULL)
		import->filling->line_first = import->lines + 1;
	return import->filling;
}

static int
filling_send(struct zp_import *import, struct zp_err *err)
{
	struct import__batch *batch = import->filling;
	int rc;

	batch->line_last = import->lines;
	batch->batch.done = batch_done;
	batch->batch.context = batch;
	batch->batch.origin = (struct zp_journal_origin){0};
	if (!import->is_deleting) {
		batch->batch.origin = import->options.origin;
		batch->batch.origin.sequence = batch->line_last;
	}
	zp_mutex_lock(&import->lock);
	batch->is_under_way = true;
	import->answers_awaited++;
	zp_mutex_unlock(&import->lock);
	import->filling = NULL;
	batch->batch.bytes = batch->journal_bytes;
	rc = command__write_queue(import->node, &batch->batch, true, err);
	if (rc < 0) {
		zp_mutex_lock(&import->lock);
		batch->is_under_way = false;
		import->answers_awaited--;
		if (import->failure == 0)
			import->failure = zp_fail(&import->failure_err, rc, "%s",
			    err == NULL ? "the write was refused" : err->text);
		zp_mutex_unlock(&import->lock);
		import__batch_clear(batch);
	}
	return rc;
}

static int
failure_get(struct zp_import *import, struct zp_err *err)
{
	int rc;

	zp_mutex_lock(&import->lock);
	rc = import->failure;
	if (rc < 0)
		rc = zp_fail(err, rc, "%s", import->failure_err.text);
	zp_mutex_unlock(&import->lock);
	return rc;
}

/* ---- Replace: deleting what is there -------------------------------------------------------- */

/* To look for damage first would be to read everything twice. */
static int
delete_stop(struct zp_import *import, const struct zp_err *why, struct zp_err *err)
{
	return zp_fail(err, why->code,
	    "%llu pins were deleted already, nothing was imported, and the rest cannot all be "
	    "deleted: %.300s",
	    (unsigned long long)import->deletes_sent, why->text);
}

/* ZP_E_FULL: it goes on when a batch is free. */
static int
delete_go_on(struct zp_import *import, struct zp_err *err)
{
	while (import->deleting != NULL) {
		struct import__batch *batch = filling_get(import);
		struct zp_record record;
		struct zp_err why = {0};
		struct zp_key key;
		int rc = ZP_OK;

		if (batch == NULL)
			return ZP_E_FULL;
		while (batch->batch.count < IMPORT__BATCH_WRITES_MAX &&
		       (rc = zp_list_next(import->deleting, &key, &record, &why)) == ZP_OK) {
			/* What cannot be listed cannot be removed: rather early than at the end. */
			rc = zp_list_damage(import->deleting, &why);
			if (rc < 0)
				break;
			import__delete_add(batch, &key);
		}
		if (rc < 0)
			return delete_stop(import, &why, err);
		if (rc == ZP_END) {
			zp_list_close(import->deleting);
			import->deleting = NULL;
		}
		import->deletes_sent += batch->batch.count;
		rc = batch->batch.count > 0 ? filling_send(import, err) : ZP_OK;
		if (rc < 0)
			return rc;
	}
	import->is_deleting = false;
	return ZP_OK;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct zp_slice
trimmed(struct zp_slice line)
{
	while (line.length > 0 && is_blank(line.data[0])) {
		line.data++;
		line.length--;
	}
	while (line.length > 0 && is_blank(line.data[line.length - 1]))
		line.length--;
	return line;
}

static int
line_refuse(struct zp_import *import, int rc, const struct zp_err *why, struct zp_err *err)
{
	uint64_t number = import->lines + 1;

	if (import->bad_line != NULL)
		import->bad_line(import->context, number, why->text);
	if (!import->options.skip_bad)
		return zp_fail(err, rc == ZP_E_TOO_LARGE ? rc : ZP_E_INVALID, "line %llu: %.400s",
		    (unsigned long long)number, why->text);
	zp_mutex_lock(&import->lock);
	import->progress.skipped++;
	zp_mutex_unlock(&import->lock);
	return ZP_OK;
}

/* One whole line. ZP_E_FULL: no batch is free, the line has to come again. */
static int
line_take(struct zp_import *import, struct zp_slice line, struct zp_err *err)
{
	struct zp_err
	    why; /* of a line: its text is long, so it is not filled with zeroes for each */
	int rc = ZP_OK;

	zp_err_clear(&why);
	line = trimmed(line);
	if (import->lines >= import->options.lines_done && import->line_is_too_long) {
		rc = zp_fail(&why, ZP_E_TOO_LARGE, "the line is longer than %u bytes",
		    IMPORT__LINE_BYTES_MAX);
	} else if (import->lines >= import->options.lines_done && line.length > 0) {
		do {
			struct import__batch *batch = filling_get(import);

			if (batch == NULL)
				return ZP_E_FULL;
			zp_err_clear(&why);
			rc = import__line_add(&import->reader, line, batch, &why);
			if (rc == ZP_E_FULL && filling_send(import, err) < 0)
				return failure_get(import, err);
		} while (rc == ZP_E_FULL);
	}
	if (rc < 0)
		rc = line_refuse(import, rc, &why, err);
	if (rc == ZP_OK)
		import->lines++;
	return rc;
}

/* The rest of a line that began earlier; *taken_out: what of `bytes` went into it. */
static int
line_complete(struct zp_import *import, const uint8_t *bytes, size_t length, size_t *taken_out,
    struct zp_err *err)
{
	const uint8_t *end = length == 0 ? NULL : memchr(bytes, '\n', length);
	size_t part = end == NULL ? length : (size_t)(end - bytes);
	int rc;

	*taken_out = 0;
	if (!import->line_is_whole) {
		if (!import->line_is_too_long)
			zp_buf_append(&import->line, bytes, part);
		import->line_is_too_long = import->line_is_too_long || import->line.overflow;
		*taken_out = part + (end != NULL);
		/* Where it ends the import, its own end may never come. */
		import->line_is_whole =
		    end != NULL || (import->line_is_too_long && !import->options.skip_bad &&
				       import->lines >= import->options.lines_done);
	}
	if (!import->line_is_whole)
		return ZP_OK;
	rc = line_take(import, zp_buf_slice(&import->line), err);
	if (rc == ZP_E_FULL)
		return rc;
	zp_buf_clear(&import->line);
	import->line_is_whole = false;
	import->line_is_too_long = false;
	return rc;
}

/* Whole lines straight from the chunk; the last part of one is kept for the next chunk. */
static int
lines_take(struct zp_import *import, const uint8_t *bytes, size_t length, size_t *taken_out,
    struct zp_err *err)
{
	size_t at = 0;
	int rc = ZP_OK;

	while (rc == ZP_OK && at < length) {
		const uint8_t *end;
		size_t taken = 0;

		if (import->line_is_whole || import->line.length > 0 || import->line_is_too_long) {
			rc = line_complete(import, bytes + at, length - at, &taken, err);
			at += taken;
			continue;
		}
		end = memchr(bytes + at, '\n', length - at);
		if (end == NULL) {
			rc = line_complete(import, bytes + at, length - at, &taken, err);
			at += taken;
			continue;
		}
		rc = line_take(
		    import, (struct zp_slice){bytes + at, (size_t)(end - bytes) - at}, err);
		if (rc != ZP_E_FULL)
			at = (size_t)(end - bytes) + 1;
	}
	*taken_out = at;
	return rc;
}

/* ---- Feeding -------------------------------------------------------------------------------- */

int
zp_import_feed(struct zp_import *import, const void *bytes, size_t length, size_t *taken_out,
    struct zp_err *err)
{
	size_t taken = 0;
	int rc = failure_get(import, err);

	ZP_ASSERT(!import->is_finishing);
	if (rc == ZP_OK && import->is_deleting)
		rc = delete_go_on(import, err);
	if (rc == ZP_OK)
		rc = lines_take(import, bytes, length, &taken, err);
	if (rc == ZP_E_FULL)
		rc = ZP_OK; /* `ready` follows */
	if (rc < 0 && !import->is_deleting && import->filling != NULL &&
	    import->filling->batch.count > 0)
		zp_ignore(filling_send(import, NULL)); /* what came before a bad line is kept */
	zp_mutex_lock(&import->lock);
	import->progress.lines = import->lines;
	import->progress.bytes += taken;
	zp_mutex_unlock(&import->lock);
	*taken_out = taken;
	return rc;
}

void
zp_import_push(struct zp_import *import)
{
	bool idle;

	if (import->filling == NULL || import->filling->batch.count == 0)
		return;
	zp_mutex_lock(&import->lock);
	idle = !is_any_under_way(import);
	zp_mutex_unlock(&import->lock);
	if (idle)
		zp_ignore(filling_send(import, NULL)); /* kept as the import's failure */
}

/* A free batch is waited for here: what is left is less than a line and a batch. */
static int
rest_take(struct zp_import *import, struct zp_err *err)
{
	int rc;

	while (import->is_deleting) {
		rc = delete_go_on(import, err);
		if (rc == ZP_E_FULL)
			under_way_wait(import);
		else if (rc < 0)
			return rc;
	}
	while (import->line_is_whole || import->line.length > 0 || import->line_is_too_long) {
		size_t taken;

		import->line_is_whole = true;
		rc = line_complete(import, NULL, 0, &taken, err);
		if (rc == ZP_E_FULL)
			under_way_wait(import);
		else if (rc < 0)
			return rc;
	}
	return ZP_OK;
}

/* Also without writes: lines that were skipped at the end count as taken. */
static int
rest_send(struct zp_import *import, struct zp_err *err)
{
	while (filling_get(import) == NULL)
		under_way_wait(import);
	return filling_send(import, err);
}

int
zp_import_finish(struct zp_import *import, struct zp_err *err)
{
	void (*ready)(void *context) = NULL;
	int rc = failure_get(import, err);

	if (rc == ZP_OK) {
		rc = rest_take(import, err);
		if (rc == ZP_OK)
			rc = rest_send(import, err);
		else if (!import->is_deleting)
			zp_ignore(rest_send(import, NULL)); /* the bad line is the answer */
	}
	zp_mutex_lock(&import->lock);
	import->is_finishing = true;
	import->progress.lines = import->lines;
	import->progress.finished = !is_any_under_way(import);
	import->wants_ready = !import->progress.finished;
	if (import->progress.finished)
		ready = import->ready;
	zp_mutex_unlock(&import->lock);
	if (ready != NULL)
		ready(import->context);
	return rc;
}

int
zp_import_wait(struct zp_import *import, struct zp_err *err)
{
	under_way_wait(import);
	return failure_get(import, err);
}

int
zp_import_progress_get(
    struct zp_import *import, struct zp_import_progress *progress_out, struct zp_err *err)
{
	zp_mutex_lock(&import->lock);
	*progress_out = import->progress;
	zp_mutex_unlock(&import->lock);
	return failure_get(import, err);
}
