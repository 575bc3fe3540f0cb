/*
 * link.c - a snapshot of a plain directory by hard links.
 *
 * Exact and cheap because published files never change: a link keeps what was, whatever is removed
 * later. Never for a journal's files, which are appended to.
 */
#include "os/os.h"
#include "store/store_internal.h"

#include <errno.h>

static int
refuse_entry(void *context, const char *name)
{
	(void)context;
	(void)name;
	return 1;
}

/* Opens the two directories; the second is made where it is missing and must be empty. */
static int
open_both(struct zp_disk *disk, const char *from_path, const char *to_path, int *from_out,
    int *to_out, struct zp_err *err)
{
	int answer = 0;
	int from = -1;
	int to = -1;
	int rc;

	rc = disk->ops->directory_open(disk, from_path, false, &from);
	if (rc != 0)
		return zp_fail_errno(err, rc, "open directory %s", from_path);
	rc = disk->ops->directory_open(disk, to_path, true, &to);
	if (rc != 0) {
		disk->ops->close(disk, from);
		return zp_fail_errno(err, rc, "open directory %s", to_path);
	}
	rc = disk->ops->directory_list(disk, to, refuse_entry, NULL, &answer);
	if (rc != 0 || answer != 0) {
		disk->ops->close(disk, from);
		disk->ops->close(disk, to);
		return rc != 0 ? zp_fail_errno(err, rc, "list %s", to_path)
			       : zp_fail(err, ZP_E_EXISTS, "%s is not empty", to_path);
	}
	*from_out = from;
	*to_out = to;
	return 0;
}

static int
link_one(struct zp_disk *disk, int from, const char *from_path, const char *name, int to,
    const char *to_path, struct zp_err *err)
{
	int rc = store__name_check(from_path, name, err);

	if (rc < 0)
		return rc;
	rc = disk->ops->link(disk, from, name, to);
	if (rc == 0)
		return 0;
	if (rc == EXDEV)
		return zp_fail(err, ZP_E_UNSUPPORTED, "%s and %s are on different file systems",
		    from_path, to_path);
	return zp_fail_errno(err, rc, "link %s/%s to %s", from_path, name, to_path);
}

int
zp_store_directory_link(struct zp_disk *disk, const char *from_path, const char *const *names,
    size_t names_count, const char *to_path, struct zp_err *err)
{
	size_t done = 0;
	int from = -1;
	int to = -1;
	int rc;

	if (disk == NULL)
		disk = zp_disk_system();
	rc = open_both(disk, from_path, to_path, &from, &to, err);
	if (rc < 0)
		return rc;
	while (rc == 0 && done < names_count) {
		rc = link_one(disk, from, from_path, names[done], to, to_path, err);
		if (rc == 0)
			done++;
	}
	if (rc == 0) {
		rc = disk->ops->directory_sync(disk, to);
		if (rc != 0)
			rc = zp_fail_errno(err, rc, "sync directory %s", to_path);
	}
	/* Half a snapshot must not be taken for one. */
	while (rc < 0 && done > 0)
		zp_ignore(
		    disk->ops->unlink(disk, to, names[--done])); /* the first failure counts */
	disk->ops->close(disk, from);
	disk->ops->close(disk, to);
	if (rc < 0)
		zp_ignore(disk->ops->directory_remove(disk, to_path)); /* the same */
	return rc;
}
