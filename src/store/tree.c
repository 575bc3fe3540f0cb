/*
 * tree.c - folders with folders in them, as snapshots of a plain directory are: listed, measured
 * and removed.
 *
 * Flow:    command's snapshots → here. Threads: any; one at a time for one folder.
 *
 * Everything goes by handles of the folders and never by a symbolic link, so that nothing outside
 * is reached whatever stands in there.
 */
#include "os/os.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8u /* a snapshot has three */

/* A folder that is open, and the way to it for people. */
struct folder {
	const struct folder *above; /* NULL: `name` is a path */
	const char *name;
	DIR *listing;
	unsigned depth;
};

static int
handle_of(const struct folder *folder)
{
	return folder == NULL ? AT_FDCWD : dirfd(folder->listing);
}

/* An error of `name` in the folder, with the whole way to it. */
static int
fail_at(
    const struct folder *folder, const char *name, int number, const char *what, struct zp_err *err)
{
	const char *names[DEPTH_MAX + 2] = {name};
	ZP_AUTO_BUF(path, 8192);
	size_t count = 1;

	for (; folder != NULL; folder = folder->above)
		names[count++] = folder->name;
	for (; count > 0; count--)
		zp_buf_printf(&path, "%s%s", names[count - 1], count > 1 ? "/" : "");
	return zp_fail_errno(
	    err, number, "%s %.*s", what, (int)path.length, (const char *)path.data);
}

static int
folder_open(const struct folder *above, const char *name, struct folder *folder, struct zp_err *err)
{
	unsigned depth = above == NULL ? 0 : above->depth + 1;
	int handle;

	if (depth > DEPTH_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "%s: folders in folders, %u deep", name, depth);
	handle = openat(handle_of(above), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (handle < 0 && (errno == ENOTDIR || errno == ELOOP))
		return zp_fail(err, ZP_E_INVALID, "%s is no folder", name);
	if (handle < 0)
		return fail_at(above, name, errno, "open directory", err);
	*folder = (struct folder){above, name, fdopendir(handle), depth};
	if (folder->listing != NULL)
		return ZP_OK;
	close(handle);
	return fail_at(above, name, errno, "list", err);
}

/* The next entry but "." and "..": 0, ZP_END, or an error. */
static int
entry_next(struct folder *folder, const char **name_out, struct stat *facts_out, struct zp_err *err)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(folder->listing);
		if (entry == NULL && errno != 0)
			return fail_at(folder->above, folder->name, errno, "list", err);
		if (entry == NULL)
			return ZP_END;
	} while (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	*name_out = entry->d_name;
	if (fstatat(handle_of(folder), entry->d_name, facts_out, AT_SYMLINK_NOFOLLOW) == 0)
		return ZP_OK;
	return fail_at(folder, entry->d_name, errno, "look at", err);
}

/* ---- Listing, measuring ---------------------------------------------------------------------- */

int
zp_store_folders_list(const char *path,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err)
{
	struct folder folder = {.name = path, .listing = opendir(path)};
	struct stat facts;
	const char *name;
	int rc;

	if (folder.listing == NULL && errno == ENOENT)
		return ZP_OK;
	if (folder.listing == NULL)
		return fail_at(NULL, path, errno, "list", err);
	while ((rc = entry_next(&folder, &name, &facts, err)) == ZP_OK) {
		if (S_ISDIR(facts.st_mode))
			rc = each(context, name, err);
		if (rc != ZP_OK)
			break;
	}
	closedir(folder.listing);
	return rc == ZP_END ? ZP_OK : rc;
}

static int
measure(
    const struct folder *above, const char *name, struct zp_store_tree *tree, struct zp_err *err)
{
	struct folder folder;
	struct stat facts;
	int rc = folder_open(above, name, &folder, err);

	if (rc < 0)
		return rc;
	while ((rc = entry_next(&folder, &name, &facts, err)) == ZP_OK) {
		if (S_ISDIR(facts.st_mode))
			rc = measure(&folder, name, tree, err);
		if (rc < 0)
			break;
		if (!S_ISREG(facts.st_mode))
			continue;
		tree->files++;
		tree->bytes += (uint64_t)facts.st_size;
		if (facts.st_nlink == 1)
			tree->bytes_own += (uint64_t)facts.st_size;
	}
	closedir(folder.listing);
	return rc == ZP_END ? ZP_OK : rc;
}

int
zp_store_tree_measure(const char *path, struct zp_store_tree *tree_out, struct zp_err *err)
{
	struct zp_store_tree tree = {0};
	int rc = measure(NULL, path, &tree, err);

	if (rc == ZP_OK)
		*tree_out = tree;
	return rc;
}

/* ---- Removing -------------------------------------------------------------------------------- */

static int folder_remove(const struct folder *above, const char *name, struct zp_err *err);

/* What a folder shows while it is changed is not said anywhere: so it is looked at again until it
 * shows nothing. */
static int
entries_remove(struct folder *folder, struct zp_err *err)
{
	struct stat facts;
	const char *name;
	unsigned removed;
	int rc;

	do {
		removed = 0;
		rewinddir(folder->listing);
		while ((rc = entry_next(folder, &name, &facts, err)) == ZP_OK) {
			if (S_ISDIR(facts.st_mode))
				rc = folder_remove(folder, name, err);
			else if (unlinkat(handle_of(folder), name, 0) != 0)
				rc = fail_at(folder, name, errno, "remove", err);
			if (rc < 0)
				return rc;
			removed++;
		}
		if (rc < 0)
			return rc;
	} while (removed > 0);
	return ZP_OK;
}

static int
folder_remove(const struct folder *above, const char *name, struct zp_err *err)
{
	struct folder folder;
	int rc = folder_open(above, name, &folder, err);

	if (rc < 0)
		return rc;
	rc = entries_remove(&folder, err);
	closedir(folder.listing);
	if (rc == ZP_OK && unlinkat(handle_of(above), name, AT_REMOVEDIR) != 0)
		return fail_at(above, name, errno, "remove", err);
	return rc;
}

int
zp_store_tree_remove(const char *path, const char *first, struct zp_err *err)
{
	struct folder folder;
	int rc = folder_open(NULL, path, &folder, err);

	if (rc < 0)
		return rc;
	rc = folder_remove(&folder, first, err);
	closedir(folder.listing);
	if (rc == ZP_E_NOT_FOUND) { /* a removal was cut short here before */
		zp_err_clear(err);
		rc = ZP_OK;
	}
	if (rc == ZP_OK)
		rc = folder_remove(NULL, path, err);
	if (rc < 0)
		return rc;
	rc = zp_disk_entry_sync(path);
	return rc == 0 ? ZP_OK : zp_fail_errno(err, rc, "sync the directory of %s", path);
}
