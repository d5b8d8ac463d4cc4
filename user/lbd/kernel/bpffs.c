// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bpf file system that pins are on.
 */
#include "lbd/kernel/bpffs.h"

#include <errno.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

bool bpffs_is(const char *path)
{
	char copy[PATH_MAX];
	struct statfs fs;
	char *slash;

	snprintf(copy, sizeof(copy), "%s", path);
	while (statfs(copy, &fs) < 0) {
		slash = strrchr(copy, '/');
		if ((errno != ENOENT && errno != EACCES) || !slash || slash == copy)
			return false;
		*slash = '\0';
	}
	return (__u64)fs.f_type == BPF_FS_MAGIC;
}

/* 1: made; 0: it is there. */
static int make_directory(const char *directory)
{
	char copy[PATH_MAX], *slash;

	if (mkdir(directory, 0700) == 0)
		return 1;
	if (errno != ENOENT)
		return errno == EEXIST ? 0 : -errno;
	snprintf(copy, sizeof(copy), "%s", directory);
	slash = strrchr(copy, '/');
	if (!slash || slash == copy)
		return -ENOENT;
	*slash = '\0';
	if (make_directory(copy) < 0)
		return -errno;
	if (mkdir(directory, 0700) == 0)
		return 1;
	return errno == EEXIST ? 0 : -errno;
}

/* Whether our mounts are not those of the machine (or container): they end with us. */
static bool mounts_are_private(void)
{
	struct stat ours, first;

	return stat("/proc/self/ns/mnt", &ours) == 0 && stat("/proc/1/ns/mnt", &first) == 0 &&
	       ours.st_ino != first.st_ino;
}

int bpffs_mount(const char *directory, struct lb_error *error)
{
	/* systemd mounts it; minimal systems and containers may not. */
	if (bpffs_is(directory))
		return 0;
	if (strncmp(directory, "/sys/fs/bpf/", 12) != 0)
		return lb_error_set(
			error, ENOTSUP,
			"%s is not on a bpf file system: mount one (mount -t bpf bpf DIR) or choose "
			"another place with --bpffs",
			directory);
	if (mounts_are_private())
		return lb_error_set(error, ENOTSUP,
				    "no bpf file system is mounted on /sys/fs/bpf, and one mounted from here "
				    "would end with this service: mount -t bpf bpf /sys/fs/bpf");
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") < 0)
		return lb_error_set(error, errno,
				    "Failed to mount a bpf file system on /sys/fs/bpf: %m; as root: mount -t "
				    "bpf bpf /sys/fs/bpf");
	return 0;
}

int bpffs_make_directory(const char *directory, struct lb_error *error)
{
	int r = make_directory(directory);

	if (r == -EACCES || r == -EPERM)
		return lb_error_set(error, -r, "Failed to make %s: %s; as root: lbd --prepare USER",
				    directory, strerror(-r));
	return r < 0 ? lb_error_set(error, -r, "Failed to make %s: %s", directory, strerror(-r)) : r;
}
