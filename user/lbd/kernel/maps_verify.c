// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether the maps are still pinned: without pins the next agent would start with empty ones.
 */
#include "lbd/kernel/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Somebody removed it: there is a new one. 0 or -errno. */
static int make_directory_anew(struct maps *maps)
{
	struct stat st;
	int fd;

	if (fstat(maps->directory_fd, &st) == 0 && st.st_nlink > 0)
		return 0;
	if (mkdir(maps->directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(maps->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	close(maps->directory_fd);
	maps->directory_fd = fd;
	return 0;
}

/* 0: pinned; 1: it is again; -errno. */
static int verify_map(const struct maps *maps, size_t i)
{
	_cleanup_(closep) int pinned = -1;
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%.*s/%s", PATH_MAX, maps->pins, maps->name[i]);
	pinned = bpf_obj_get(path);
	if (pinned >= 0 && map_id_of(pinned) == map_id_of(maps->fd[i]))
		return 0;
	if (pinned < 0 && errno != ENOENT)
		return 0; /* not known: there may be no descriptor left to look with */
	/* The directory is ours, and so are the names of maps in it. */
	if (pinned >= 0 && unlink(path) < 0)
		return -errno;
	return bpf_obj_pin(maps->fd[i], path) < 0 ? -errno : 1;
}

int maps_verify(struct maps *maps, struct lb_error *error)
{
	int r = make_directory_anew(maps), n = 0;

	if (r < 0)
		return lb_error_set(error, -r, "%s is gone, and cannot be made anew: %s", maps->directory,
				    strerror(-r));
	/* lb_control last: it says that all the others are there. */
	for (size_t i = maps->n; i-- > 0;) {
		r = verify_map(maps, i);
		if (r < 0)
			return lb_error_set(error, -r, "Failed to pin %s in %s: %s", maps->name[i],
					    maps->directory, strerror(-r));
		n += r;
	}
	return n;
}
