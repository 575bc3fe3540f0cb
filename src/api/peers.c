/*
 * peers.c - who this node is and which peers there are; signing in for good. One node is a cluster
 * of one.
 */
#include "api/api_internal.h"

void
api__id(struct api_call *call)
{
	zp_buf_append_text(&call->json, call->api->id_json);
	api__answer_json(call);
}

void
api__version(struct api_call *call)
{
	zp_buf_append_text(&call->json, call->api->version_json);
	api__answer_json(call);
}

void
api__peers(struct api_call *call)
{
	zp_buf_append_text(&call->json, call->api->id_json);
	zp_buf_append_byte(&call->json, '\n');
	api__answer_lines(call);
}

/* ---- Adding and removing, as IPFS Cluster's CRDT mode does it ------------------------------- */

/* In any case, as Go takes the names of members. */
static bool
is_peer_id(const struct zp_json_string *name)
{
	static const char wanted[] = "peer_id";
	uint8_t text[6 * sizeof(wanted)]; /* all escaped */

	return name->raw.length <= sizeof(text) && zp_json_unescape(name, text) == strlen(wanted) &&
	       strncasecmp((const char *)text, wanted, strlen(wanted)) == 0;
}

static int
peer_id_member(struct zp_json *json, struct zp_buf *text, struct zp_err *err)
{
	struct zp_json_string name, value;
	int rc;

	if (zp_json_take_null(json))
		return 0; /* Go: an object without members */
	rc = zp_json_object_begin(json, err);
	while (rc == 0 && (rc = zp_json_object_next(json, &name, err)) == 0) {
		if (!is_peer_id(&name)) {
			rc = zp_json_skip(json, err);
			continue;
		}
		if (zp_json_take_null(json))
			continue;
		rc = zp_json_read_string(json, &value, err);
		if (rc < 0)
			break;
		zp_buf_clear(text);
		zp_json_string_append(&value, text);
	}
	return rc == ZP_END ? 0 : rc;
}

/* The id as base58 text in call->text. */
static int
peer_id_normalize(struct api_call *call, struct zp_slice text)
{
	ZP_AUTO_BUF(binary, ZP_PEER_ID_BYTES_MAX);
	int rc = zp_peer_id_parse(text, &binary, &call->err);

	if (rc < 0)
		return rc;
	zp_buf_clear(&call->text);
	zp_peer_id_format(zp_buf_slice(&binary), &call->text);
	return 0;
}

static void
peer_add_read(struct zp_http_request *request, void *context, int error, struct zp_slice body)
{
	struct api_call *call = context;
	struct zp_json json;

	(void)request;
	if (error == ZP_E_TOO_LARGE) {
		api__answer_error(call, 413, "the request body is over the limit of %u bytes",
		    API_BODY_BYTES_MAX);
		return;
	}
	if (error == ZP_E_TIMEOUT) {
		api__answer_error(call, 408, "the request body did not come in time");
		return;
	}
	zp_json_init(&json, body);
	if (error < 0 || peer_id_member(&json, &call->texts, &call->err) < 0)
		api__answer_error(call, 400, "error decoding request body");
	else if (peer_id_normalize(call, zp_buf_slice(&call->texts)) < 0)
		api__answer_error(call, 400, "error decoding peer_id");
	else if (zp_slice_is(zp_buf_slice(&call->text), call->api->self.id))
		api__id(call);
	else
		api__answer_error(call, 500, "failed to find any peer in table");
}

void
api__peer_add(struct api_call *call)
{
	zp_http_body_read(call->request, API_BODY_BYTES_MAX, peer_add_read, call);
}

void
api__peer_remove(struct api_call *call)
{
	if (peer_id_normalize(call, call->captures[0]) < 0)
		api__answer_error(call, 400, "error decoding Peer ID: %s", call->err.text);
	else
		api__answer_error(call, 500, "crdt consensus component cannot remove peers");
}

/* ---- Token ---------------------------------------------------------------------------------- */

void
api__token(struct api_call *call)
{
	int rc;

	if (call->user == NULL) {
		api__answer_error(call, 401, "unauthorized");
		return;
	}
	rc = zp_access_token_mint(call->api->access, call->user, &call->text, &call->err);
	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	zp_buf_append_text(&call->json, "{\"token\":");
	zp_json_put_string(&call->json, zp_buf_slice(&call->text));
	zp_buf_append_byte(&call->json, '}');
	api__answer_json(call);
}
