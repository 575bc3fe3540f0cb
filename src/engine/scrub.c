/*
 * scrub.c - every file of a shard is read and must be what its name says.
 *
 * Flow:  the node's scrubber → here → the store, by name and anew: what is open may be another file
 *        by now. Any thread; flushes, merges and reads go on beside it.
 *
 * Segments and tables are named by the hash of their content, so one pass over the bytes proves
 * each block, text, filter and footer. Only where the hash differs a segment is taken apart, to say
 * which blocks and keys are hit.
 */
#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SCRUB_READ_BYTES (256u << 10)

struct names {
	char (*items)[ZP_FILE_NAME_MAX]; /* owned */
	size_t count;
};

struct scrubbing {
	struct zp_engine *engine;
	const struct zp_check *told; /* the caller's */
	struct zp_check check;       /* counts, then tells the caller's */
	void (*whole)(void *context, const char *name);
	struct zp_scrub_report *report;
	uint8_t *piece; /* owned */
};

/* ---- Names ---------------------------------------------------------------------------------- */

static int
names_add(void *context, const char *name, struct zp_err *err)
{
	struct names *names = context;

	(void)err;
	if ((names->count & (names->count - 1)) == 0)
		names->items = zp_realloc(
		    names->items, zp_max_u64(1, names->count * 2) * sizeof(names->items[0]));
	snprintf(names->items[names->count++], ZP_FILE_NAME_MAX, "%s", name);
	return ZP_OK;
}

static int
name_compare(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* In order, each once. */
static void
names_sort(struct names *names)
{
	size_t kept = 0;

	if (names->count == 0)
		return;
	qsort(names->items, names->count, sizeof(names->items[0]), name_compare);
	for (size_t i = 1; i < names->count; i++) {
		if (strcmp(names->items[kept], names->items[i]) != 0)
			memmove(names->items[++kept], names->items[i], ZP_FILE_NAME_MAX);
	}
	names->count = kept + 1;
}

static bool
names_have(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->items[i], name) == 0)
			return true;
	}
	return false;
}

/* ---- Telling -------------------------------------------------------------------------------- */

static void
damage_count(void *context, const char *text)
{
	struct scrubbing *scrubbing = context;

	scrubbing->report->damages++;
	zp_check_damage(scrubbing->told, text);
}

static int
step_count(void *context, uint64_t bytes, struct zp_err *err)
{
	struct scrubbing *scrubbing = context;

	scrubbing->report->bytes += bytes;
	return zp_check_step(scrubbing->told, bytes, err);
}

static void
damage_tell(struct scrubbing *scrubbing, const char *kind, const char *name, const char *what)
{
	struct zp_err why = {0};

	zp_ignore(zp_fail(&why, ZP_E_CORRUPT, "%s%s: %s", kind, name, what)); /* its text */
	damage_count(scrubbing, why.text);
}

static void
whole_tell(struct scrubbing *scrubbing, const char *name)
{
	scrubbing->report->files++;
	if (scrubbing->whole != NULL)
		scrubbing->whole(scrubbing->told->context, name);
}

/* ---- Manifests ------------------------------------------------------------------------------ */

/* Adds the files that a manifest names. */
static int
manifest_read(struct zp_engine *engine, const char *name, struct names *files, uint64_t *bytes_out,
    struct zp_err *err)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct version *present = engine__version_get(engine);
	struct manifest manifest = {0};
	uint64_t number = 0;
	int rc = zp_store_read_all(engine->options.store, name, MANIFEST_BYTES_MAX, &file, err);

	if (rc == ZP_OK)
		rc = manifest__decode(zp_buf_slice(&file), &manifest, err);
	if (rc == ZP_OK && (!manifest__name_parse(name, &number) || manifest.number != number ||
			       (number == present->manifest.number &&
				   manifest.checksum != present->manifest.checksum)))
		rc = zp_fail(err, ZP_E_CORRUPT, "it is not the manifest of that number");
	if (rc == ZP_OK)
		rc = engine__manifest_files(&manifest, names_add, files, err);
	*bytes_out = file.length;
	manifest__done(&manifest);
	version__release(present);
	return rc;
}

struct manifests {
	struct names names;
	struct names *files; /* of all kinds but manifests that the directory has */
};

static int
directory_add(void *context, const char *name, struct zp_err *err)
{
	struct manifests *manifests = context;
	struct segment_name content;
	uint64_t number;

	if (manifest__name_parse(name, &number))
		return names_add(&manifests->names, name, err);
	if (segment__name_parse(name, &content) || manifest__tables_name_parse(name, &content))
		return names_add(manifests->files, name, err);
	return ZP_OK;
}

/* What a manifest that is still there names must be there. */
static bool
is_named(struct zp_engine *engine, const char *name)
{
	struct names listed = {0}, named = {0};
	struct manifests manifests = {.files = &listed};
	uint64_t bytes;
	bool found;

	if (zp_store_list(engine->options.store, directory_add, &manifests, NULL) < 0)
		return true; /* and cannot be shown not to be */
	for (size_t i = 0; i < manifests.names.count; i++)
		zp_ignore(manifest_read(engine, manifests.names.items[i], &named, &bytes,
		    NULL)); /* a damaged one was told */
	found = names_have(&named, name);
	zp_free(manifests.names.items);
	zp_free(listed.items);
	zp_free(named.items);
	return found;
}

/* The manifests, and in `files` the other files that there are and that there should be. */
static int
manifests_scrub(struct scrubbing *scrubbing, struct names *files, struct zp_err *err)
{
	struct zp_engine *engine = scrubbing->engine;
	struct manifests manifests = {.files = files};
	char present[ZP_FILE_NAME_MAX];
	int rc = zp_store_list(engine->options.store, directory_add, &manifests, err);

	manifest__name_format(zp_engine_manifest_number(engine), present);
	if (rc == ZP_OK)
		rc = names_add(&manifests.names, present, err);
	names_sort(&manifests.names);
	for (size_t i = 0; rc == ZP_OK && i < manifests.names.count; i++) {
		const char *name = manifests.names.items[i];
		struct zp_err why = {0};
		uint64_t bytes;
		int found = manifest_read(engine, name, files, &bytes, &why);

		manifest__name_format(zp_engine_manifest_number(engine), present);
		if (found == ZP_OK)
			whole_tell(scrubbing, name);
		else if (found != ZP_E_NOT_FOUND)
			damage_tell(scrubbing, "", name, why.text);
		else if (strcmp(name, present) == 0)
			damage_tell(scrubbing, "", name, "the file is gone");
		rc = step_count(scrubbing, bytes, err);
	}
	zp_free(manifests.names.items);
	names_sort(files);
	return rc;
}

/* ---- Files named by their content ----------------------------------------------------------- */

/* *fault_out: why the file cannot be read to its end, or 0. The answer is what ended the scrub. */
static int
content_read(struct scrubbing *scrubbing, const char *name, struct zp_hash128 *content_out,
    int *fault_out, struct zp_err *fault, struct zp_err *err)
{
	struct zp_store_file *file = NULL;
	struct segment_hash *hash;
	uint64_t bytes;
	int rc = ZP_OK;

	*fault_out = zp_store_file_open(scrubbing->engine->options.store, name, &file, fault);
	if (*fault_out < 0)
		return ZP_OK;
	hash = segment__hash_new();
	bytes = zp_store_file_bytes(file);
	for (uint64_t at = 0; rc == ZP_OK && at < bytes; at += SCRUB_READ_BYTES) {
		size_t length = zp_min_u64(SCRUB_READ_BYTES, bytes - at);

		*fault_out = zp_store_file_read(file, at, scrubbing->piece, length, fault);
		if (*fault_out < 0)
			break;
		segment__hash_update(hash, scrubbing->piece, length);
		rc = step_count(scrubbing, length, err);
	}
	*content_out = segment__hash_end(hash);
	segment__hash_free(hash);
	zp_store_file_close(file);
	return rc;
}

/* What the present manifest says of the file; false when it does not name it. */
static bool
live_find(struct zp_engine *engine, const struct segment_name *name, enum zp_family *family_out,
    struct segment_info *info_out, bool *is_open_out)
{
	struct version *version = engine__version_get(engine);
	size_t run, at;
	bool found = version__find(version, name, &run, &at);

	if (found) {
		*family_out = version->manifest.runs[run].family;
		*info_out = version->manifest.runs[run].segments[at];
		*is_open_out = version->runs[run][at] != NULL;
	}
	version__release(version);
	return found;
}

bool
zp_engine_misses(struct zp_engine *engine, const char *name)
{
	struct version *version = engine__version_get(engine);
	struct segment_name said;
	size_t run, at;
	bool misses = false;

	if (segment__name_parse(name, &said) && version__find(version, &said, &run, &at)) {
		const struct segment *segment = version->runs[run][at];

		misses =
		    segment == NULL || segment->is_damaged || segment__index_is_damaged(segment);
	}
	version__release(version);
	return misses;
}

/* A live one is told with its keys; one that was not opened at the start as then. */
static void
unopened_tell(struct scrubbing *scrubbing, const struct segment_name *name, const char *why)
{
	struct segment_info info;
	enum zp_family family;
	struct zp_err told = {0};
	bool is_open;

	if (!live_find(scrubbing->engine, name, &family, &info, &is_open)) {
		damage_count(scrubbing, why);
		return;
	}
	if (is_open)
		zp_ignore(segment__file_fault(family, &info, why, &told)); /* its text */
	else
		zp_ignore(segment__unopened_fault(family, &info, &told)); /* likewise */
	damage_count(scrubbing, told.text);
}

/* The file's content is not what its name says, or cannot be read: where and why. */
static int
segment_locate(struct scrubbing *scrubbing, const char *file_name, const struct segment_name *name,
    struct zp_err *err)
{
	struct segment *segment;
	struct zp_err why = {0};
	int rc = segment__open(scrubbing->engine->options.store, name, NULL, &segment, &why);

	if (rc < 0) {
		unopened_tell(scrubbing, name, why.text);
		return ZP_OK;
	}
	rc = segment__verify(segment, &scrubbing->check, &why);
	segment__release(segment);
	if (rc == ZP_OK) /* a read that failed succeeds now */
		whole_tell(scrubbing, file_name);
	return rc == ZP_OK || rc == ZP_E_CORRUPT ? ZP_OK : zp_fail(err, rc, "%s", why.text);
}

static int
file_scrub(struct scrubbing *scrubbing, const char *name, struct zp_err *err)
{
	struct segment_name said;
	bool is_segment = segment__name_parse(name, &said);
	struct zp_hash128 content;
	struct zp_err why = {0};
	int fault;
	int rc;

	if (!is_segment && !manifest__tables_name_parse(name, &said))
		return ZP_OK; /* a manifest names no others */
	rc = content_read(scrubbing, name, &content, &fault, &why, err);
	if (rc != ZP_OK)
		return rc;
	if (fault == ZP_OK && content.low == said.low && content.high == said.high) {
		whole_tell(scrubbing, name);
		return ZP_OK;
	}
	/* A merge may have replaced it, and a checkpoint removed it, since it was listed. */
	if (fault == ZP_E_NOT_FOUND && !is_named(scrubbing->engine, name))
		return ZP_OK;
	if (is_segment)
		return segment_locate(scrubbing, name, &said, err);
	damage_tell(scrubbing, "tables ", name,
	    fault == ZP_OK ? "the content is not what the name says" : why.text);
	return ZP_OK;
}

int
zp_engine_scrub(struct zp_engine *engine, const struct zp_check *check,
    void (*whole)(void *context, const char *name), struct zp_scrub_report *report_out,
    struct zp_err *err)
{
	struct scrubbing scrubbing = {
	    .engine = engine, .told = check, .whole = whole, .report = report_out};
	struct names files = {0};
	int rc;

	*report_out = (struct zp_scrub_report){0};
	if (zp_engine_is_suspended(engine))
		return ZP_OK;
	scrubbing.check =
	    (struct zp_check){.damage = damage_count, .step = step_count, .context = &scrubbing};
	scrubbing.piece = zp_alloc(SCRUB_READ_BYTES);
	rc = manifests_scrub(&scrubbing, &files, err);
	for (size_t i = 0; rc == ZP_OK && i < files.count; i++)
		rc = file_scrub(&scrubbing, files.items[i], err);
	zp_free(files.items);
	zp_free(scrubbing.piece);
	return rc;
}

/* ---- Verify ---------------------------------------------------------------------------------- */

struct lacking {
	struct scrubbing *scrubbing;
	const struct version *version;
	const struct names *listed;
};

/* What is open is read all the same, but not by whoever opens the shard next. */
static int
lacking_tell(void *context, const char *name, struct zp_err *err)
{
	const struct lacking *lacking = context;
	struct segment_name said;
	size_t run, at;

	if (names_have(lacking->listed, name) || !segment__name_parse(name, &said))
		return ZP_OK; /* tables are read by their name */
	if (!version__find(lacking->version, &said, &run, &at) ||
	    lacking->version->runs[run][at] == NULL)
		return ZP_OK; /* told with the segments */
	return segment_locate(lacking->scrubbing, name, &said, err);
}

int
engine__names_verify(struct zp_engine *engine, const struct version *version,
    const struct zp_check *check, struct zp_err *err)
{
	struct zp_scrub_report report = {0};
	struct scrubbing scrubbing = {.engine = engine, .told = check, .report = &report};
	struct names listed = {0}, files = {0};
	struct manifests manifests = {.files = &listed};
	struct lacking lacking = {.scrubbing = &scrubbing, .version = version, .listed = &listed};
	int rc;

	scrubbing.check =
	    (struct zp_check){.damage = damage_count, .step = step_count, .context = &scrubbing};
	rc = manifests_scrub(&scrubbing, &files, err);
	if (rc == ZP_OK)
		rc = zp_store_list(engine->options.store, directory_add, &manifests, err);
	if (rc == ZP_OK)
		rc = engine__manifest_files(&version->manifest, lacking_tell, &lacking, err);
	zp_free(manifests.names.items);
	zp_free(listed.items);
	zp_free(files.items);
	return rc;
}
