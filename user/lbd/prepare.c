// SPDX-License-Identifier: GPL-2.0-only
/*
 * Root's part. Pins of an agent that was root are given to the user as well, so that an upgrade adopts them.
 */
#include "lbd/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "lbd/kernel/bpffs.h"

/* Users may pass through, not look around: what others pinned stays theirs. */
static int open_way(const char *bpffs, struct lb_error *error)
{
	char path[PATH_MAX], *slash;
	struct stat st;

	snprintf(path, sizeof(path), "%s", bpffs);
	while ((slash = strrchr(path, '/')) && slash != path) {
		*slash = '\0';
		if (!bpffs_is(path))
			return 0;
		if (stat(path, &st) < 0 ||
		    chmod(path, (st.st_mode & 07777) | S_IXUSR | S_IXGRP | S_IXOTH) < 0)
			return lb_error_set(error, errno, "Failed to let users through %s: %m", path);
	}
	return 0;
}

/* Its own and, in it, those of a set of maps that was taking over (kernel/maps_set.h). */
static int give_pins(int directory, const struct passwd *user, const char *bpffs, struct lb_error *error)
{
	_cleanup_(closedirp) DIR *list = NULL;
	struct dirent *entry;
	int r = 0, fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	list = fd < 0 ? NULL : fdopendir(fd);
	if (!list) {
		int code = errno;

		if (fd >= 0)
			close(fd);
		return lb_error_set(error, code, "Failed to read %s: %s", bpffs, strerror(code));
	}
	while (r == 0 && (entry = readdir(list))) {
		_cleanup_(closep) int set = -1;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fchownat(directory, entry->d_name, user->pw_uid, user->pw_gid, AT_SYMLINK_NOFOLLOW) < 0)
			return lb_error_set(error, errno, "Failed to give %s/%s to %s: %m", bpffs,
					    entry->d_name, user->pw_name);
		set = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (set >= 0)
			r = give_pins(set, user, bpffs, error);
	}
	return r;
}

/* What root alone may read, the agent's group may read as well; what has another group is as somebody wants
 * it. */
static int let_read(const char *path, int flags, mode_t bits, const struct passwd *user,
		    struct lb_error *error)
{
	_cleanup_(closep) int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | flags);
	struct stat st;

	/* A link, a FIFO, or nothing at all is the agent's to complain of. */
	if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return 0;
	if (st.st_uid != 0 || st.st_gid != 0 || (st.st_mode & bits >> 3) == bits >> 3)
		return 0;
	if (fchown(fd, -1, user->pw_gid) < 0 || fchmod(fd, (st.st_mode & 07777) | bits) < 0)
		return lb_error_set(error, errno, "Failed to let %s read %s: %m", user->pw_name, path);
	return 0;
}

static int let_read_config(const char *path, const struct passwd *user, struct lb_error *error)
{
	char directory[PATH_MAX], *slash;
	int r;

	if (snprintf(directory, sizeof(directory), "%s", path) >= (int)sizeof(directory))
		return 0;
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return 0;
	*slash = '\0';
	r = let_read(directory, O_DIRECTORY, S_IRGRP | S_IXGRP, user, error);
	return r < 0 ? r : let_read(path, 0, S_IRGRP, user, error);
}

int prepare(const char *bpffs, const char *config_file, const char *name, struct lb_error *error)
{
	_cleanup_(closep) int directory = -1;
	const struct passwd *user = getpwnam(name);
	int r;

	if (!user)
		return lb_error_set(error, ESRCH, "there is no user %s: systemd-sysusers makes it", name);
	r = bpffs_mount(bpffs, error);
	if (r == 0)
		r = bpffs_make_directory(bpffs, error);
	if (r < 0)
		return r;
	directory = open(bpffs, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (directory < 0)
		return lb_error_set(error, errno, "Failed to open %s: %m", bpffs);
	if (fchown(directory, user->pw_uid, user->pw_gid) < 0 || fchmod(directory, 0700) < 0)
		return lb_error_set(error, errno, "Failed to give %s to %s: %m", bpffs, name);
	r = give_pins(directory, user, bpffs, error);
	if (r == 0)
		r = open_way(bpffs, error);
	return r < 0 ? r : let_read_config(config_file, user, error);
}
