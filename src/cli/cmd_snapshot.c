/*
 * cmd_snapshot.c - snapshot ls and rm. cmd_upkeep.c makes them.
 *
 * Flow: GET and DELETE of the management address. Owner: the main thread.
 */
#include "cli/cli_internal.h"

int
cli__cmd_snapshot_ls(struct cli_call *call)
{
	static const struct cli_column columns[] = {
	    {"NAME", 12, false, true},
	    {"TIME", 20, false, false},
	    {"PINS", 8, true, false},
	    {"BYTES", 8, true, false},
	    {"OWN", 8, true, false},
	    {"ERROR", 5, false, true},
	};
	static const char *const names[] = {"name", "time", "pins", "bytes", "bytes_own", "error"};

	if (call->settings.management == NULL)
		return zp_fail(
		    &call->err, ZP_E_INVALID, "a node elsewhere needs --management URL for this");
	return cli__array_print(
	    call, call->settings.management, "/snapshots", columns, names, ZP_ARRAY_COUNT(names));
}

static int
snapshot_remove(struct cli_call *call, const char *name)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, CLI_ERROR_BODY_BYTES_MAX);
	int rc;

	zp_buf_append_text(&url, "/snapshot");
	cli__query_add(&url, "name", name);
	rc = cli__url_end(&url, &call->err);
	if (rc == 0)
		rc = cli__manage(
		    call, "DELETE", (const char *)url.data, "removing a snapshot", &body);
	return rc < 0 ? rc
		      : cli__manage_print(call, &body, "removed snapshot ", "removed", "", NULL);
}

/* Does the rest of the list although one failed; the exit code is that of the first failure. */
int
cli__cmd_snapshot_rm(struct cli_call *call)
{
	const struct cli_parsed *parsed = call->parsed;
	int rc_first = 0;

	for (size_t i = 0; i < parsed->arguments_count && !call->is_out_closed; i++) {
		int rc = snapshot_remove(call, parsed->arguments[i]);

		if (rc < 0 && parsed->arguments_count > 1) {
			cli__note(call, "%s: %s", parsed->arguments[i], call->err.text);
			zp_err_clear(&call->err);
		}
		if (rc_first == 0)
			rc_first = rc;
	}
	return rc_first;
}
