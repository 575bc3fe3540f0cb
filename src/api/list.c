/*
 * list.c - listings of any length in constant memory: a stream of everything, or one page.
 *
 * Flow: a handler gives filter and printer → steps over zp_list → pieces of the answer. Owner: the
 *       request's thread.
 *
 * A filter may take nothing out of a billion pins, so no step looks at more than PINS_PER_STEP, or
 * passes over what costs as much: the others on this thread have their turn in between, and a
 * client that has gone away is noticed. A stream begins (with 200, though nothing may follow) when
 * the first step has found nothing; a page may end early, even empty, with the cursor to go on
 * from.
 *
 * A slow reader holds no view of the store: between two pieces more than SLOW_MS apart the list
 * lets go of it and goes on with a new one.
 *
 * Where pins cannot be read the others are listed, and the answer says in X-Stream-Error that some
 * are missing: a stream in its trailer, a page in its head.
 *
 * A cursor says which pinset it goes on in: that of the present, or of one moment (as_of.c).
 */
#include "api/api_internal.h"

#define PINS_PER_STEP 2048u
#define PINS_PER_PASS 64u        /* what ZP_SCAN_PASSED costs, in pins that are looked at */
#define PAGE_PINS_MAX (1u << 20) /* looked at for one page */
#define PAGE_BYTES_MAX (API_JSON_BYTES_MAX - (1u << 20)) /* the last pin may be large */
#define SLOW_MS 2000u

enum step {
	STEP_MORE, /* there may be more */
	STEP_END,  /* that was the last pin */
	STEP_FULL, /* the page's limit is reached, and there are more */
};

struct listing {
	struct api_call *call;
	struct api_list_options options;
	struct api_filter filter;
	struct zp_list *list;   /* NULL: to be opened */
	struct api_cursor last; /* looked at */
	bool has_last;
	int state;         /* enum step, or an error */
	bool is_list_over; /* `state` is what the list ended with */
	uint64_t printed;
	uint64_t looked_at;
	uint64_t produced_ms; /* when the last piece was asked for */
};

/* Of the pinset that is listed; 0: the present one. */
static uint64_t
moment_id(const struct api_call *call)
{
	return call->moment == NULL ? 0 : zp_moment_id(call->moment);
}

static void
listing_free(struct listing *listing)
{
	zp_list_close(listing->list);
	zp_free(listing);
}

static int
listing_open(struct listing *listing)
{
	const uint8_t *cursor = listing->has_last ? listing->last.key : NULL;
	struct zp_scan_filter wanted;
	int rc;

	if (listing->list != NULL)
		return 0;
	rc = zp_list_open(listing->call->node, 0, cursor, &listing->list, &listing->call->err);
	if (rc < 0)
		return rc;
	api__filter_facts(&listing->filter, &wanted);
	zp_list_want(listing->list, 0, &wanted);
	if (listing->filter.newest_first)
		zp_list_newest_first(listing->list, listing->last.created);
	return 0;
}

/* Beside the pin that was printed last. Where they cannot be read it stands without them, and the
 * end tells. */
static int
accesses_print(struct listing *listing, struct zp_buf *out)
{
	struct zp_accesses accesses;

	if (!listing->filter.with_accesses ||
	    zp_list_accesses_get(listing->list, &accesses, NULL) < 0)
		return 0;
	out->length--; /* the newline */
	api__accesses_append(&accesses, out);
	zp_buf_append_byte(out, '\n');
	return zp_buf_check(out, "a piece of the list", &listing->call->err);
}

/* Looks at some pins; leaves what came of it in `state`. */
static void
listing_step(struct listing *listing, struct zp_buf *out, size_t bytes_max)
{
	struct api_call *call = listing->call;
	int rc = listing_open(listing);
	int64_t last_created = 0;
	struct zp_key key, last;
	bool has_last = false;
	unsigned taken = 0;

	while (rc == 0 && taken < PINS_PER_STEP && out->length < bytes_max) {
		struct zp_record record;

		rc = zp_list_next(listing->list, &key, &record, &call->err);
		if (rc == ZP_SCAN_PASSED) {
			has_last = zp_list_last(listing->list, &last, &last_created) || has_last;
			taken += PINS_PER_PASS;
			rc = 0;
			continue;
		}
		listing->is_list_over = rc != 0;
		if (rc == 0 && listing->filter.limit != 0 &&
		    listing->printed == listing->filter.limit)
			rc = STEP_FULL;
		if (rc != 0)
			break;
		rc = listing->options.print(call, &listing->filter, &key, &record, out, &call->err);
		if (rc < 0)
			break;
		listing->printed += (unsigned)rc;
		if (rc > 0 && (rc = accesses_print(listing, out)) < 0)
			break;
		last = key;
		last_created = zp_unzigzag(record.facts[ZP_FACT_CREATED]);
		has_last = true;
		taken++;
		rc = 0;
	}
	if (has_last) {
		zp_key_encode(&last, listing->last.key);
		listing->last.created = last_created;
		listing->has_last = true;
	}
	listing->looked_at += taken;
	_Static_assert(STEP_MORE == 0 && (int)STEP_END == ZP_END, "what zp_list_next says");
	listing->state = rc;
}

/* ---- Stream --------------------------------------------------------------------------------- */

static enum zp_http_produced
stream_over(struct listing *listing, struct zp_http_request *request)
{
	struct zp_slice error = {0};

	if (listing->state < 0) {
		error = zp_slice_of(listing->call->err.text);
		api__note_error(request, listing->call->err.text);
	}
	zp_http_trailer(request, API_STREAM_TRAILER, error);
	if (listing->state < 0 && listing->is_list_over) /* or else it ends too early */
		zp_http_trailer(
		    request, API_ERROR_HEADER, zp_slice_of(zp_err_name(listing->state)));
	return ZP_HTTP_DONE;
}

static enum zp_http_produced
stream_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct listing *listing = context;
	struct zp_buf *first = &listing->call->json;
	uint64_t now_ms = zp_clock_ms();
	bool is_slow = now_ms - listing->produced_ms > SLOW_MS;

	listing->produced_ms = now_ms;
	if (first->length > 0) {
		zp_buf_append_slice(out, zp_buf_slice(first));
		zp_buf_clear(first);
	} else if (listing->state == STEP_MORE) {
		listing_step(listing, out, ZP_HTTP_PIECE_BYTES);
	}
	if (listing->state != STEP_MORE)
		return stream_over(listing, request);
	if (is_slow)
		zp_list_rest(listing->list);
	if (out->length > 0)
		return ZP_HTTP_MORE;
	zp_http_stream_resume(request); /* after the others' turn */
	return ZP_HTTP_WAIT;
}

static void
stream_end(struct zp_http_request *request, void *context, bool sent)
{
	struct listing *listing = context;
	struct api_call *call = listing->call;

	(void)request;
	(void)sent;
	listing_free(listing);
	api__call_put(call);
}

static void
stream_begin(struct listing *listing)
{
	struct zp_http_producer producer = {stream_produce, stream_end, listing};
	struct api_call *call = listing->call;
	bool is_empty;

	listing_step(listing, &call->json, ZP_HTTP_PIECE_BYTES);
	is_empty = call->json.length == 0;
	if (listing->state < 0 && is_empty) {
		int rc = listing->state;

		listing_free(listing);
		api__answer_failure(call, rc);
		return;
	}
	zp_http_answer_header_text(call->request, "Trailer", API_STREAM_TRAILER);
	if (listing->state == STEP_END && is_empty && !listing->options.empty_is_200) {
		listing_free(listing);
		api__answer_empty(call, 204);
		return;
	}
	api__headers_add(call, listing->options.content_type);
	listing->produced_ms = zp_clock_ms();
	zp_http_answer_stream(call->request, 200, &producer);
}

/* ---- Page ----------------------------------------------------------------------------------- */

static void
page_answer(struct listing *listing)
{
	struct api_call *call = listing->call;
	struct zp_err damage = {0};
	int rc = listing->state;

	if (listing->list != NULL && zp_list_damage(listing->list, &damage) < 0) {
		if (listing->is_list_over && rc < 0 && call->json.length > 0)
			rc = STEP_END; /* what can be read */
		if (rc >= 0) {
			api__note_error(call->request, damage.text);
			call->err = damage;
			call->is_incomplete = true;
			zp_http_answer_header_text(call->request, API_STREAM_TRAILER, damage.text);
			zp_http_answer_header_text(
			    call->request, API_ERROR_HEADER, zp_err_name(damage.code));
		}
	}
	if (rc == STEP_MORE || rc == STEP_FULL) {
		zp_buf_clear(&call->text);
		listing->last.moment_id = moment_id(call);
		listing->last.newest_first = listing->filter.newest_first;
		api__cursor_format(&listing->last, &call->text);
		zp_http_answer_header(call->request, "X-Next-Cursor", zp_buf_slice(&call->text));
	}
	listing_free(listing);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__answer_lines(call);
}

/* What all pages hold in memory together is bounded. False: this one has to end. */
static bool
page_account(struct api_call *call)
{
	size_t grown = call->json.capacity - call->page_bytes;

	call->page_bytes += grown;
	return atomic_fetch_add(&call->api->pages_bytes, grown) + grown <= API_PAGES_BYTES_MAX;
}

/* Early. A cursor says where it has come to, so it has to have come somewhere. */
static bool
page_may_end(const struct listing *listing)
{
	const struct api_call *call = listing->call;

	return listing->has_last &&
	       (listing->looked_at >= PAGE_PINS_MAX || call->json.length >= PAGE_BYTES_MAX ||
		   zp_node_work_is_stopping(call->node));
}

static void
page_step(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, task);
	struct listing *listing = call->listing;

	listing_step(listing, &call->json, PAGE_BYTES_MAX);
	if (!page_account(call)) {
		listing->is_list_over = false;
		listing->state = zp_fail(
		    &call->err, ZP_E_FULL, "pages of listings use all of their memory; ask again");
	}
	/* A page that is being made outlives its connection, but not the node: it ends where it is.
	 */
	if (listing->state == STEP_MORE && !listing->has_last &&
	    zp_node_work_is_stopping(call->node))
		listing->state = zp_fail(&call->err, ZP_E_STOPPING, "the node is stopping");
	if (listing->state != STEP_MORE || page_may_end(listing))
		page_answer(listing);
	else
		zp_http_post(call->request, &call->task);
}

void
api__list(
    struct api_call *call, const struct api_filter *filter, const struct api_list_options *options)
{
	struct listing *listing;
	int rc = api__cursor_check(filter, moment_id(call), &call->err);

	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	listing = zp_alloc_zero(1, sizeof(*listing));
	listing->call = call;
	listing->options = *options;
	listing->filter = *filter;
	listing->has_last = filter->has_cursor;
	listing->last = filter->cursor;
	if (filter->limit == 0) {
		stream_begin(listing);
		return;
	}
	call->listing = listing;
	call->task.run = page_step;
	page_step(&call->task);
}
