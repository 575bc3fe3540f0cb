/*
 * cmd_export.c - the pinset into a file or standard output, by the API or in this process.
 *
 * A file appears under its name only when it is complete and on the disk: half a pinset must never
 * be taken for a whole one.
 */
#include "cli/cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct export
{
	struct cli_call *call;
	struct cli_progress progress;
	struct zp_cli_counts counts;
	FILE *file;
	char *path;         /* NULL: standard output */
	char *path_partial; /* the same directory, so that a rename is enough */
	uint8_t last;       /* byte written */
	bool is_incomplete; /* pins are missing that can't be read; the others are there */
};

static int
write_failed(struct export *export, struct zp_err *err)
{
	if (export->path == NULL)
		return cli__out_check(export->call, err);
	return zp_fail_errno(err, errno, "write %s", export->path_partial);
}

static int
on_text(void *context, struct zp_slice text, struct zp_err *err)
{
	struct export *export = context;

	if (text.length == 0)
		return 0;
	if (fwrite(text.data, 1, text.length, export->file) != text.length)
		return write_failed(export, err);
	export->counts.bytes += text.length;
	export->last = text.data[text.length - 1];
	for (const uint8_t *at = text.data, *end = at + text.length;
	     (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		export->counts.imported++;
	cli__progress_show(&export->progress, &export->counts, -1, cli__now_ns());
	return 0;
}

/* The rename that ends an export would put a file in the place of a device or a pipe. */
static int
path_check(const char *path, struct zp_err *err)
{
	struct stat facts;

	if (stat(path, &facts) != 0 || S_ISREG(facts.st_mode))
		return 0;
	if (S_ISDIR(facts.st_mode))
		return zp_fail(err, ZP_E_INVALID, "%s is a directory: name a file in it", path);
	return zp_fail(err, ZP_E_INVALID,
	    "%s is no regular file, and would be replaced by one: write into it with `> %s`", path,
	    path);
}

static int
file_open(struct export *export, const char *path, struct zp_err *err)
{
	int fd;
	int rc;

	if (path == NULL || strcmp(path, "-") == 0) {
		export->file = export->call->out;
		return 0;
	}
	rc = path_check(path, err);
	if (rc < 0)
		return rc;
	export->path = zp_strdup(path);
	if (asprintf(&export->path_partial, "%s.partial", path) < 0) {
		export->path_partial = NULL;
		return zp_fail(err, ZP_E_MEMORY, "out of memory");
	}
	fd = open(export->path_partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		rc = zp_fail_errno(err, errno, "write %s", export->path_partial);
		return rc == ZP_E_NOT_FOUND ? ZP_E_INVALID : rc; /* no folder, and not no pin */
	}
	export->file = fdopen(fd, "w");
	if (export->file == NULL) {
		close(fd);
		return zp_fail_errno(err, errno, "write %s", export->path_partial);
	}
	return 0;
}

/* Makes the name last: a rename alone may be forgotten in a power cut. Where a directory may be
 * written but not read, or its file system knows no sync of one, there is nothing more to be done.
 */
static int
name_sync(const char *path, struct zp_err *err)
{
	char *copy = zp_strdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	zp_free(copy);
	if (fd < 0)
		return errno == EACCES ? 0 : zp_fail_errno(err, errno, "the directory of %s", path);
	if (fsync(fd) != 0 && errno != EINVAL)
		rc = zp_fail_errno(err, errno, "sync the directory of %s", path);
	close(fd);
	return rc;
}

/* Makes the file last and closes it. */
static int
file_close(struct export *export, int rc, struct zp_err *err)
{
	bool is_kept = rc == 0 || export->is_incomplete;

	if (is_kept && (fflush(export->file) != 0 || fsync(fileno(export->file)) != 0)) {
		export->is_incomplete = false;
		rc = write_failed(export, err);
	}
	if (fclose(export->file) != 0 && is_kept) {
		export->is_incomplete = false;
		rc = write_failed(export, err);
	}
	return rc;
}

/* Gives the file its name; or, after a failure, takes it away. What lacks pins keeps the other
 * name, which says that it is not all. */
static int
file_end(struct export *export, int rc, struct zp_err *err)
{
	if (export->path == NULL)
		return rc;
	if (export->file != NULL) {
		rc = file_close(export, rc, err);
		if (rc == 0 && rename(export->path_partial, export->path) != 0)
			rc = zp_fail_errno(err, errno, "rename to %s", export->path);
		if (rc == 0)
			rc = name_sync(export->path, err);
		else if (!export->is_incomplete)
			unlink(export->path_partial);
	}
	return rc;
}

static void
on_progress(void *context, const struct zp_cli_counts *counts)
{
	(void)context; /* on_text counts what is really written */
	(void)counts;
}

static int
export_run(struct export *export)
{
	struct cli_call *call = export->call;
	struct zp_cli_export job = {.write = on_text, .progress = on_progress, .context = export};
	struct zp_cli_counts counts;
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	struct cli_request request = {
	    .method = "GET",
	    .sink = on_text,
	    .sink_context = export,
	    .is_patient = true,
	};
	int rc;

	job.as_of = cli__value(call->parsed, "as-of");
	if (!cli__has(call->parsed, "offline")) {
		zp_buf_append_text(&url, "/export");
		cli__query_add_given(&url, call->parsed);
		rc = cli__url_end(&url, &call->err);
		request.path = (const char *)url.data;
		if (rc == 0)
			rc = cli__request(call, &request);
		job.is_incomplete = request.is_incomplete;
	} else if (cli__has(call->parsed, "access")) {
		rc = zp_fail(&call->err, ZP_E_INVALID,
		    "--access is told by a running node: not with --offline");
	} else if (call->ops->export == NULL) {
		rc = zp_fail(&call->err, ZP_E_UNSUPPORTED, "--offline: not in this build");
	} else {
		rc = call->ops->export(call->settings.config_path, &job, &counts, &call->err);
	}
	export->is_incomplete = rc < 0 && job.is_incomplete;
	if (rc == 0 && export->counts.bytes > 0 && export->last != '\n')
		rc = zp_fail(&call->err, ZP_E_IO, "the node's answer ends within a line");
	return rc;
}

static void
summary_print(struct export *export, int64_t now_ns)
{
	ZP_AUTO_BUF(text, 256);

	zp_buf_printf(&text, "exported %" PRIu64 " pins, ", export->counts.imported);
	cli__format_bytes(export->counts.bytes, &text);
	zp_buf_append_text(&text, " in ");
	cli__format_elapsed(now_ns - export->progress.begin_ns, &text);
	cli__note(export->call, "%.*s", (int)text.length, (const char *)text.data);
}

/* An export that lacks pins is taken for whole only by who said so. */
static int
damage_judge(struct export *export, int rc)
{
	struct cli_call *call = export->call;

	if (!export->is_incomplete || !cli__has(call->parsed, "skip-damaged"))
		return rc;
	cli__note(call, "warning: %s", call->err.text);
	zp_err_clear(&call->err);
	export->is_incomplete = false;
	return 0;
}

int
cli__cmd_export(struct cli_call *call)
{
	struct export export = {.call = call};
	int rc = file_open(&export, cli__value(call->parsed, "output"), &call->err);

	cli__progress_begin(&export.progress, call->notes, call->settings.is_quiet, cli__now_ns());
	if (rc == 0)
		rc = export_run(&export);
	cli__progress_clear(&export.progress);
	rc = damage_judge(&export, rc);
	rc = file_end(&export, rc, &call->err);
	if ((rc == 0 || export.is_incomplete) && !call->settings.is_quiet)
		summary_print(&export, cli__now_ns());
	if (rc == 0 && export.path != NULL && call->settings.is_json)
		fprintf(call->out,
		    "{\"done\":true,\"exported\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
		    export.counts.imported, export.counts.bytes);
	if (export.is_incomplete && export.path != NULL)
		cli__note(call,
		    "incomplete: what can be read is in %s; %s was not written "
		    "(--skip-damaged takes it for complete)",
		    export.path_partial, export.path);
	zp_free(export.path);
	free(export.path_partial); /* of asprintf */
	return rc;
}
