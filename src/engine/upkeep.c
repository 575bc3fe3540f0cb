/*
 * upkeep.c - files that nobody needs any more, snapshots' file lists, incarnations, verify.
 *
 * Flow:  checkpoint and operator commands. Owner: the maintenance thread.
 */
#include "engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Collecting ------------------------------------------------------------------------------ */

struct found_file {
	char name[ZP_FILE_NAME_MAX];
	bool stays;
};

struct found_files {
	struct found_file *items; /* owned */
	size_t count;
};

struct collecting {
	uint64_t manifest_min;
	uint64_t newest;              /* the manifest that is in force */
	struct found_files manifests; /* below manifest_min: to go */
	struct found_files files;     /* segments and tables, all */
	uint64_t *kept;               /* numbers of the manifests that stay */
	size_t kept_count;
	bool has_newest; /* which is one of them, unless somebody removed it */
};

static void
found_add(struct found_files *files, const char *name)
{
	if ((files->count & (files->count - 1)) == 0)
		files->items = zp_realloc(
		    files->items, zp_max_u64(1, files->count * 2) * sizeof(files->items[0]));
	files->items[files->count] = (struct found_file){0};
	snprintf(files->items[files->count++].name, ZP_FILE_NAME_MAX, "%s", name);
}

static bool
ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length && strcmp(name + length - end_length, end) == 0;
}

static int
collecting_add(void *context, const char *name, struct zp_err *err)
{
	struct collecting *collecting = context;
	uint64_t number;

	(void)err;
	if (manifest__name_parse(name, &number) && number < collecting->manifest_min) {
		found_add(&collecting->manifests, name);
	} else if (manifest__name_parse(name, &number)) {
		collecting->kept = zp_realloc(
		    collecting->kept, (collecting->kept_count + 1) * sizeof(collecting->kept[0]));
		collecting->kept[collecting->kept_count++] = number;
		collecting->has_newest |= number == collecting->newest;
	} else if (ends_with(name, ".seg") || ends_with(name, ".tab")) {
		found_add(&collecting->files, name);
	}
	return ZP_OK;
}

static int
found_compare(const void *left, const void *right)
{
	const struct found_file *a = left, *b = right;

	return strcmp(a->name, b->name);
}

int
engine__manifest_files(const struct manifest *manifest,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err)
{
	char name[ZP_FILE_NAME_MAX];
	int rc = ZP_OK;

	for (size_t i = 0; i < manifest->run_count; i++) {
		for (size_t j = 0; j < manifest->runs[i].segment_count && rc == ZP_OK; j++) {
			segment__name_format(&manifest->runs[i].segments[j].name, name);
			rc = each(context, name, err);
		}
	}
	if (rc == ZP_OK && manifest->has_tables) {
		manifest__tables_name_format(&manifest->tables, name);
		rc = each(context, name, err);
	}
	return rc;
}

static int
file_keep(void *context, const char *name, struct zp_err *err)
{
	struct collecting *collecting = context;
	struct found_file wanted = {0}, *found;

	(void)err;
	snprintf(wanted.name, sizeof(wanted.name), "%s", name);
	found = bsearch(&wanted, collecting->files.items, collecting->files.count, sizeof(wanted),
	    found_compare);
	if (found != NULL)
		found->stays = true;
	return ZP_OK;
}

/* What is in force is known from memory, whatever somebody did to its manifest. */
static int
newest_keep(struct zp_engine *engine, struct collecting *collecting, struct zp_err *err)
{
	struct version *version = engine__version_get(engine);
	char name[ZP_FILE_NAME_MAX];
	int rc = engine__manifest_files(&version->manifest, file_keep, collecting, err);

	version__release(version);
	if (rc < 0 || collecting->has_newest)
		return rc;
	manifest__name_format(collecting->newest, name);
	return zp_fail(err, ZP_E_CORRUPT, "no file is removed while %s is gone", name);
}

static int
files_keep(struct zp_engine *engine, struct collecting *collecting, struct zp_err *err)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	int newest_rc = newest_keep(engine, collecting, err);

	if (newest_rc < 0)
		return newest_rc;

	for (size_t i = 0; i < collecting->kept_count; i++) {
		struct manifest manifest = {0};
		char name[ZP_FILE_NAME_MAX];
		int rc;

		manifest__name_format(collecting->kept[i], name);
		rc = zp_store_read_all(engine->options.store, name, MANIFEST_BYTES_MAX, &file, err);
		if (rc == ZP_OK)
			rc = manifest__decode(zp_buf_slice(&file), &manifest, err);
		if (rc == ZP_OK)
			rc = engine__manifest_files(&manifest, file_keep, collecting, err);
		manifest__done(&manifest);
		if (rc < 0)
			return zp_wrap(err, rc, "no file is removed while %s cannot be read", name);
	}
	return ZP_OK;
}

static bool
found_goes(const struct found_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		if (!files->items[i].stays)
			return true;
	}
	return false;
}

/* Whether two manifests say the same of the shard, but for their numbers and how they came about.
 */
static bool
are_twins(const struct manifest *left, const struct manifest *right)
{
	ZP_AUTO_BUF(left_bytes, MANIFEST_BYTES_MAX);
	ZP_AUTO_BUF(right_bytes, MANIFEST_BYTES_MAX);
	struct manifest left_next, right_next;

	manifest__next(left, &left_next);
	manifest__next(right, &right_next);
	right_next.number = left_next.number;
	manifest__encode(&left_next, &left_bytes);
	manifest__encode(&right_next, &right_bytes);
	manifest__done(&left_next);
	manifest__done(&right_next);
	return zp_slice_equal(zp_buf_slice(&left_bytes), zp_buf_slice(&right_bytes));
}

/*
 * When the newest manifest is the only one that stays, a flipped bit in it would cost the shard.
 * The one before it stays too if it is its twin. *found_out: there are two.
 */
static void
twin_keep(struct zp_engine *engine, struct collecting *collecting, bool *found_out)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct version *version;
	struct found_file *before = NULL;
	struct manifest manifest = {0};

	*found_out = collecting->kept_count > 1;
	for (size_t i = 0; !*found_out && i < collecting->manifests.count; i++) {
		struct found_file *found = &collecting->manifests.items[i];

		if (before == NULL || strcmp(before->name, found->name) < 0)
			before = found;
	}
	/* One that can't be read is no twin. */
	if (before == NULL ||
	    zp_store_read_all(
		engine->options.store, before->name, MANIFEST_BYTES_MAX, &file, NULL) < 0 ||
	    manifest__decode(zp_buf_slice(&file), &manifest, NULL) < 0)
		return;
	version = engine__version_get(engine);
	before->stays = are_twins(&manifest, &version->manifest);
	*found_out = before->stays;
	version__release(version);
	manifest__done(&manifest);
}

/* Whether the newest manifest can be read back. */
static bool
newest_is_whole(struct zp_engine *engine)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct manifest manifest = {0};
	char name[ZP_FILE_NAME_MAX];
	bool is_whole;

	manifest__name_format(zp_engine_manifest_number(engine), name);
	is_whole = zp_store_read_all(
		       engine->options.store, name, MANIFEST_BYTES_MAX, &file, NULL) == ZP_OK &&
		   manifest__decode(zp_buf_slice(&file), &manifest, NULL) == ZP_OK;
	manifest__done(&manifest);
	return is_whole;
}

static int
twin_publish(struct zp_engine *engine, struct zp_err *err)
{
	struct version *version = engine__version_get(engine);
	struct manifest manifest;

	manifest__next(&version->manifest, &manifest);
	version__release(version);
	return engine__publish(engine, &manifest, false, err);
}

int
zp_engine_manifest_renew(struct zp_engine *engine, bool *renewed_out, struct zp_err *err)
{
	*renewed_out = false;
	if (zp_engine_is_suspended(engine) || newest_is_whole(engine))
		return ZP_OK;
	*renewed_out = true;
	return twin_publish(engine, err);
}

/* What is removed and comes back after a power cut is removed again: no sync. */
static int
found_remove(struct zp_engine *engine, const struct found_files *files, struct zp_err *err)
{
	int rc = ZP_OK;

	for (size_t i = 0; i < files->count && rc == ZP_OK; i++) {
		if (!files->items[i].stays)
			rc = zp_store_remove(engine->options.store, files->items[i].name, err);
	}
	return rc;
}

int
zp_engine_collect(struct zp_engine *engine, uint64_t manifest_min, struct zp_err *err)
{
	uint64_t newest = zp_engine_manifest_number(engine);
	struct collecting collecting = {
	    .manifest_min = zp_min_u64(manifest_min, newest), .newest = newest};
	bool has_twin = true;
	int rc;

	if (zp_engine_is_suspended(engine))
		return ZP_OK;
	rc = zp_store_list(engine->options.store, collecting_add, &collecting, err);
	if (collecting.files.count > 1)
		qsort(collecting.files.items, collecting.files.count,
		    sizeof(collecting.files.items[0]), found_compare);
	if (rc == ZP_OK)
		rc = files_keep(engine, &collecting, err);
	if (rc == ZP_OK)
		twin_keep(engine, &collecting, &has_twin);
	/* Manifests first, durably: one that is still there must have its files. An earlier call
	 * may have removed them and failed before that was durable, so it is said even when there
	 * are none. */
	if (rc == ZP_OK)
		rc = found_remove(engine, &collecting.manifests, err);
	if (rc == ZP_OK && found_goes(&collecting.files))
		rc = zp_store_sync_directory(engine->options.store, err);
	if (rc == ZP_OK)
		rc = found_remove(engine, &collecting.files, err);
	/* At last, for what was removed may be the room that it needs. */
	if (rc == ZP_OK && !has_twin)
		rc = twin_publish(engine, err);
	zp_free(collecting.manifests.items);
	zp_free(collecting.files.items);
	zp_free(collecting.kept);
	return rc < 0 ? zp_wrap(err, rc, "collect in shard %016llx",
			    (unsigned long long)engine->options.shard_id)
		      : ZP_OK;
}

/* ---- Snapshots, incarnations, tables --------------------------------------------------------- */

int
zp_engine_files(struct zp_engine *engine,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err)
{
	struct version *version;
	char name[ZP_FILE_NAME_MAX];
	int rc = engine__suspended_check(engine, err);

	if (rc < 0)
		return rc;
	version = engine__version_get(engine);
	manifest__name_format(version->manifest.number, name);
	rc = each(context, name, err);
	if (rc == ZP_OK)
		rc = engine__manifest_files(&version->manifest, each, context, err);
	version__release(version);
	return rc;
}

int
zp_engine_incarnation_raise(
    struct zp_engine *engine, uint32_t incarnation, const struct zp_lane *lane, struct zp_err *err)
{
	struct version *version;
	struct manifest manifest;
	int rc = engine__suspended_check(engine, err);

	if (rc < 0)
		return rc;
	version = engine__version_get(engine);
	ZP_ASSERT(incarnation > version->manifest.incarnation);
	manifest__next(&version->manifest, &manifest);
	version__release(version);
	manifest.incarnation = incarnation;
	manifest__lane_set(&manifest, lane);
	rc = engine__publish(engine, &manifest, false, err);
	if (rc < 0)
		return rc;
	engine->incarnation = incarnation;
	engine__memory_drop(engine);
	return ZP_OK;
}

int
zp_engine_tables_read(struct zp_engine *engine, struct zp_tables **tables_out, struct zp_err *err)
{
	ZP_AUTO_BUF(file, TABLES_BYTES_MAX);
	struct version *version = engine__version_get(engine);
	struct segment_name expected = version->manifest.tables;
	char name[ZP_FILE_NAME_MAX];
	struct zp_hash128 hash;
	int rc;

	if (!version->manifest.has_tables) {
		version__release(version);
		return zp_fail(err, ZP_E_NOT_FOUND, "the shard has no tables yet");
	}
	manifest__tables_name_format(&version->manifest.tables, name);
	version__release(version);
	rc = zp_store_read_all(engine->options.store, name, TABLES_BYTES_MAX, &file, err);
	if (rc == ZP_E_NOT_FOUND || rc == ZP_E_TOO_LARGE)
		rc = zp_fail(err, ZP_E_CORRUPT, "the file is missing, empty or too long");
	if (rc == ZP_OK) {
		hash = zp_hash128_of(file.data, file.length);
		if (hash.low != expected.low || hash.high != expected.high)
			rc = zp_fail(err, ZP_E_CORRUPT, "the content is not what the name says");
	}
	if (rc == ZP_OK)
		rc = zp_tables_decode(zp_buf_slice(&file), tables_out, err);
	return rc < 0 ? zp_wrap(err, rc, "%s", name) : ZP_OK;
}

/* ---- Verify ---------------------------------------------------------------------------------- */

struct verifying {
	struct zp_check check; /* counts, then tells the caller's */
	const struct zp_check *told;
	struct zp_verify_report *report;
};

static void
damage_count(void *context, const char *text)
{
	struct verifying *verifying = context;

	verifying->report->damages++;
	zp_check_damage(verifying->told, text);
}

static int
step_pass(void *context, uint64_t bytes, struct zp_err *err)
{
	struct verifying *verifying = context;

	return zp_check_step(verifying->told, bytes, err);
}

static int
segment_verify(struct segment *segment, enum zp_family family, const struct segment_info *info,
    struct verifying *verifying, struct zp_err *err)
{
	struct zp_err why = {0};
	int rc;

	verifying->report->segments++;
	if (segment == NULL) {
		zp_ignore(segment__unopened_fault(family, info, &why)); /* its text */
		damage_count(verifying, why.text);
		return ZP_OK;
	}
	rc = segment__verify(segment, &verifying->check, &why);
	if (rc < 0 && rc != ZP_E_CORRUPT) /* damages were told one by one */
		return zp_fail(err, rc, "%s", why.text);
	verifying->report->rows += info->rows;
	verifying->report->bytes += info->bytes;
	return ZP_OK;
}

static int
segments_verify(const struct version *version, struct verifying *verifying, struct zp_err *err)
{
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		for (size_t j = 0; j < run->segment_count; j++) {
			int rc = segment_verify(
			    version->runs[i][j], run->family, &run->segments[j], verifying, err);

			if (rc < 0)
				return rc;
		}
	}
	return ZP_OK;
}

static void
tables_verify(struct zp_engine *engine, const struct version *version, struct verifying *verifying)
{
	struct zp_tables *tables = NULL;
	struct zp_err why = {0};

	if (version->manifest.has_tables && zp_engine_tables_read(engine, &tables, &why) < 0) {
		zp_ignore(zp_wrap(&why, why.code, "tables")); /* its text */
		damage_count(verifying, why.text);
	}
	zp_tables_free(tables);
}

static int
verify(struct zp_engine *engine, bool deep, bool sets_counters, const struct zp_check *check,
    struct zp_verify_report *report_out, struct zp_err *err)
{
	struct version *version = engine__version_get(engine);
	struct verifying verifying = {.told = check, .report = report_out};
	int rc;

	verifying.check =
	    (struct zp_check){.damage = damage_count, .step = step_pass, .context = &verifying};
	*report_out = (struct zp_verify_report){0};
	rc = segments_verify(version, &verifying, err);
	if (rc == ZP_OK && !zp_engine_is_suspended(engine))
		rc = engine__names_verify(engine, version, &verifying.check, err);
	if (rc == ZP_OK)
		rc = engine__recount(
		    engine, version, sets_counters, &verifying.check, report_out, err);
	if (rc == ZP_OK)
		tables_verify(engine, version, &verifying);
	if (rc == ZP_OK && deep && !zp_engine_is_suspended(engine))
		rc = engine__verify_deep(engine, version, check, report_out, err);
	version__release(version);
	if (rc == ZP_OK && report_out->damages > 0)
		return zp_fail(
		    err, ZP_E_CORRUPT, "%llu damages", (unsigned long long)report_out->damages);
	return rc;
}

int
zp_engine_verify(struct zp_engine *engine, bool deep, const struct zp_check *check,
    struct zp_verify_report *report_out, struct zp_err *err)
{
	return verify(engine, deep, false, check, report_out, err);
}

int
zp_engine_verify_recounting(struct zp_engine *engine, bool deep, const struct zp_check *check,
    struct zp_verify_report *report_out, struct zp_err *err)
{
	return verify(engine, deep, true, check, report_out, err);
}
