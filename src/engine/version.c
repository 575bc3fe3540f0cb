/*
 * version.c - versions (a manifest with its segments open), views, and the publishing of a new
 * version.
 *
 * Flow:   opening, flush and merge make versions; readers hold views of them.
 * Owner:  maintenance publishes; the owner freezes; any thread takes and releases views.
 */
#include "engine/engine_internal.h"

/* ---- Versions -------------------------------------------------------------------------------- */

struct version *
version__hold(struct version *version)
{
	atomic_fetch_add_explicit(&version->holds, 1, memory_order_relaxed);
	return version;
}

void
version__release(struct version *version)
{
	if (version == NULL ||
	    atomic_fetch_sub_explicit(&version->holds, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		for (size_t j = 0; j < version->manifest.runs[i].segment_count; j++)
			segment__release(version->runs[i][j]);
		zp_free(version->runs[i]);
	}
	zp_free(version->runs);
	manifest__done(&version->manifest);
	zp_free(version);
}

bool
version__find(
    const struct version *version, const struct segment_name *name, size_t *run_out, size_t *at_out)
{
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		for (size_t j = 0; j < run->segment_count; j++) {
			if (run->segments[j].name.low != name->low ||
			    run->segments[j].name.high != name->high)
				continue;
			*run_out = i;
			*at_out = j;
			return true;
		}
	}
	return false;
}

/* Where the version has that file open (NULL in it: damaged), or NULL. */
static struct segment **
version_find(const struct version *version, const struct segment_name *name)
{
	size_t run, at;

	if (version == NULL || !version__find(version, name, &run, &at))
		return NULL;
	return &version->runs[run][at];
}

/* What the manifest says of a segment must be what its file says. */
static int
segment_check(const struct segment *segment, const struct segment_info *expected,
    enum zp_family family, struct zp_err *err)
{
	const struct segment_info *found = segment__info(segment);

	if (segment__family(segment) != family || found->bytes != expected->bytes ||
	    found->rows != expected->rows || found->tombstones != expected->tombstones ||
	    found->id.low != expected->id.low || found->id.high != expected->id.high ||
	    memcmp(found->first_key, expected->first_key, 48) != 0 ||
	    memcmp(found->last_key, expected->last_key, 48) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "the file is not what the manifest says");
	return ZP_OK;
}

static int
segment_open(struct zp_engine *engine, struct segment_info *info, enum zp_family family,
    struct segment **segment_out, struct zp_err *err)
{
	char name[ZP_FILE_NAME_MAX];
	struct segment *segment;
	int rc =
	    engine->options.without_filters
		? segment__open_unfiltered(engine->options.store, &info->name, NULL, &segment, err)
		: segment__open(engine->options.store, &info->name, NULL, &segment, err);
	bool is_named = rc < 0;

	if (rc == ZP_OK) {
		segment__caches_set(
		    segment, engine->options.texts_cache, engine->options.block_cache);
		rc = segment_check(segment, info, family, err);
		if (rc < 0)
			segment__release(segment);
	}
	if (rc < 0) {
		/* A name in a manifest is a promise: a file that is not there is damage. */
		rc = rc == ZP_E_NOT_FOUND ? ZP_E_CORRUPT : rc;
		segment__name_format(&info->name, name);
		return is_named ? rc : zp_wrap(err, rc, "segment %s", name);
	}
	*info = *segment__info(segment); /* whole keys, where the manifest has their beginning */
	*segment_out = segment;
	return ZP_OK;
}

/* A run's segments: taken from `old`, else opened. With `old` a file that does not open is an
 * error, because it has just been written; without, it is told and its place stays NULL. */
static int
run_open(struct zp_engine *engine, struct manifest_run *run, const struct version *old,
    struct segment **segments, struct zp_err *err)
{
	for (size_t j = 0; j < run->segment_count; j++) {
		struct segment **open = version_find(old, &run->segments[j].name);
		struct zp_err why = {0};
		int rc;

		if (open != NULL) {
			segments[j] = *open == NULL ? NULL : segment__hold(*open);
			continue;
		}
		rc = segment_open(engine, &run->segments[j], run->family, &segments[j], &why);
		if (rc == ZP_OK)
			continue;
		if (old != NULL || rc == ZP_E_VERSION)
			return zp_fail(err, rc, "%s", why.text);
		engine__warn(engine,
		    "shard %016llx: %s; what is in it cannot be read: restore the file from a "
		    "snapshot or copy",
		    (unsigned long long)engine->options.shard_id, why.text);
	}
	return ZP_OK;
}

int
version__open(struct zp_engine *engine, struct manifest *manifest, const struct version *old,
    struct version **version_out, struct zp_err *err)
{
	struct version *version = zp_alloc_zero(1, sizeof(*version));
	int rc = ZP_OK;

	version->holds = 1;
	version->manifest = *manifest;
	manifest__init(manifest);
	version->runs = zp_alloc_zero(version->manifest.run_count, sizeof(version->runs[0]));
	for (size_t i = 0; i < version->manifest.run_count; i++)
		version->runs[i] = zp_alloc_zero(
		    version->manifest.runs[i].segment_count, sizeof(version->runs[i][0]));
	for (size_t i = 0; i < version->manifest.run_count && rc == ZP_OK; i++)
		rc = run_open(engine, &version->manifest.runs[i], old, version->runs[i], err);
	if (rc < 0) {
		version__release(version);
		return rc;
	}
	*version_out = version;
	return ZP_OK;
}

/* ---- Views ----------------------------------------------------------------------------------- */

struct zp_view *
view__new(struct zp_engine *engine, struct version *version, struct memtable *active,
    struct memtable *frozen)
{
	struct zp_view *view = zp_alloc_zero(1, sizeof(*view));

	view->holds = 1;
	view->engine = engine;
	view->version = version__hold(version);
	view->active = active == NULL ? NULL : memtable__hold(active);
	view->frozen = frozen == NULL ? NULL : memtable__hold(frozen);
	return view;
}

struct zp_view *
view__of_version(struct zp_engine *engine, struct version *version)
{
	return view__new(engine, version, NULL, NULL);
}

struct zp_view *
zp_engine_view_get(struct zp_engine *engine)
{
	struct zp_view *view;

	pthread_mutex_lock(&engine->view_lock);
	view = engine->view;
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	pthread_mutex_unlock(&engine->view_lock);
	return view;
}

void
zp_view_release(struct zp_view *view)
{
	if (view == NULL || atomic_fetch_sub_explicit(&view->holds, 1, memory_order_acq_rel) != 1)
		return;
	memtable__release(view->active);
	memtable__release(view->frozen);
	version__release(view->version);
	zp_free(view);
}

void
view__change(struct zp_engine *engine, struct version *version, bool freeze, bool drop_frozen)
{
	struct memtable *fresh = freeze ? engine__memtable_new(engine) : NULL;
	struct zp_view *old, *new;

	pthread_mutex_lock(&engine->view_lock);
	old = engine->view;
	new = view__new(engine, version != NULL ? version : old->version,
	    freeze ? fresh : old->active,
	    freeze ? old->active : (drop_frozen ? NULL : old->frozen));
	engine->view = new;
	pthread_mutex_unlock(&engine->view_lock);
	if (freeze) {
		memtable__release(engine->active);
		engine->active = fresh;
	}
	zp_view_release(old);
}

struct version *
engine__version_get(struct zp_engine *engine)
{
	struct version *version;

	pthread_mutex_lock(&engine->view_lock);
	version = version__hold(engine->view->version);
	pthread_mutex_unlock(&engine->view_lock);
	return version;
}

int
engine__publish(
    struct zp_engine *engine, struct manifest *manifest, bool drop_frozen, struct zp_err *err)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct version *old = engine__version_get(engine);
	struct version *version;
	char name[ZP_FILE_NAME_MAX];
	int rc;

	manifest->number = engine->number_next++;
	manifest__name_format(manifest->number, name);
	rc = manifest__limits_check(manifest, err);
	if (rc == ZP_OK) {
		manifest__encode(manifest, &file);
		/* Opened before it is published: what cannot be read back must not become the
		 * truth. */
		rc = version__open(engine, manifest, old, &version, err);
	}
	if (rc == ZP_OK) {
		rc = zp_store_write_all(engine->options.store, name, zp_buf_slice(&file), err);
		if (rc == ZP_OK)
			view__change(engine, version, false, drop_frozen);
		version__release(version);
	}
	version__release(old);
	manifest__done(manifest);
	return rc < 0 ? zp_wrap(err, rc, "%s", name) : ZP_OK;
}

/* The same manifest, with the file opened anew; the others stay as they are. */
static int
version_reopen(struct zp_engine *engine, const struct version *old, const struct segment_name *name,
    struct version **version_out, struct zp_err *err)
{
	struct segment *segment;
	struct version *version;
	struct manifest manifest;
	size_t run, at;
	int rc;

	if (!version__find(old, name, &run, &at))
		return zp_fail(err, ZP_E_NOT_FOUND, "no run has the file now");
	manifest__next(&old->manifest, &manifest);
	manifest.number = old->manifest.number;
	manifest.checksum = old->manifest.checksum;
	rc = version__open(engine, &manifest, old, &version, err);
	if (rc < 0)
		return rc;
	rc = segment_open(engine, &version->manifest.runs[run].segments[at],
	    version->manifest.runs[run].family, &segment, err);
	if (rc < 0) {
		version__release(version);
		return rc;
	}
	segment__release(version->runs[run][at]);
	version->runs[run][at] = segment;
	*version_out = version;
	return ZP_OK;
}

int
zp_engine_reopen(struct zp_engine *engine, const char *name, struct zp_err *err)
{
	struct segment_name said;
	struct version *old, *version;
	int rc;

	if (!segment__name_parse(name, &said))
		return zp_fail(err, ZP_E_NOT_FOUND, "%s is not held open", name);
	old = engine__version_get(engine);
	rc = version_reopen(engine, old, &said, &version, err);
	version__release(old);
	if (rc < 0)
		return rc;
	view__change(engine, version, false, false);
	version__release(version);
	engine->expire_floor = 0; /* due pins that could not be read are looked for again */
	return ZP_OK;
}

void
zp_engine_unopened(
    struct zp_engine *engine, void (*each)(void *context, const char *text), void *context)
{
	struct version *version = engine__version_get(engine);

	for (size_t i = 0; !zp_engine_is_suspended(engine) && i < version->manifest.run_count;
	     i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		for (size_t j = 0; j < run->segment_count; j++) {
			struct zp_err why = {0};

			if (version->runs[i][j] != NULL)
				continue;
			zp_ignore(segment__unopened_fault(
			    run->family, &run->segments[j], &why)); /* its text */
			each(context, why.text);
		}
	}
	version__release(version);
}
