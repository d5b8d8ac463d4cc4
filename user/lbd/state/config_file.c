// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading and writing the configuration file.
 */
#include "lbd/state/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "lbd/task.h"

/* Opens a plain file: anything else (a FIFO, a terminal) could keep us waiting. */
static int open_plain(const char *path, struct lb_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return lb_error_set(error, errno, "Failed to open %s: %m", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return lb_error_set(error, EPROTO, "%s is not a plain file: the configuration is read from one alone",
			    path);
}

static int read_all(int fd, const char *path, char **ret_text, size_t *ret_length, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t length = 0, capacity = 0;
	ssize_t n = 1;

	while (n != 0) {
		if (length + 1 >= capacity) {
			char *more;

			capacity = capacity ? 2 * capacity : 65536;
			more = realloc(text, capacity);
			if (!more)
				return lb_error_set(error, ENOMEM, "out of memory");
			text = more;
		}
		n = read(fd, text + length, capacity - length - 1);
		if (n < 0 && errno != EINTR)
			return lb_error_set(error, errno, "Failed to read %s: %m", path);
		length += n > 0 ? n : 0;
		if (length > LB_CONFIG_BYTES_MAX)
			return lb_error_set(error, E2BIG, "%s is larger than %u bytes", path,
					    LB_CONFIG_BYTES_MAX);
	}
	text[length] = '\0';
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}

int config_file_read(const char *path, char **ret_text, size_t *ret_length, struct lb_error *error)
{
	_cleanup_(closep) int fd = open_plain(path, error);

	return fd < 0 ? fd : read_all(fd, path, ret_text, ret_length, error);
}

int config_file_read_trusted(const char *path, char **ret_text, size_t *ret_length, struct lb_error *error)
{
	_cleanup_(closep) int fd = open_plain(path, error);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return lb_error_set(error, errno, "Failed to look at %s: %m", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return lb_error_set(error, EPERM, "it is not root's");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return lb_error_set(error, EPERM, "others than its owner may write it");
	return read_all(fd, path, ret_text, ret_length, error);
}

static int cannot_save(const char *path, struct lb_error *error)
{
	int code = errno;

	return lb_error_set(
		error, code, "Failed to write %s: %m%s", path,
		code == EROFS || code == EACCES || code == EPERM
			? " (lbd must be allowed to write the directory: ReadWritePaths= of its unit)"
			: "");
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text += n;
		length -= (size_t)n;
	}
	return task_fsync(fd);
}

/* The file's owner and mode. */
static int look_like(int fd, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -1;
	if (fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return -1;
	return fchmod(fd, st.st_mode & 07777);
}

int config_save_prepare(const char *path, const char *text, size_t length, struct config_save *ret_save,
			struct lb_error *error)
{
	_cleanup_(closep) int fd = -1;
	struct config_save save = {};
	int r;

	if (!realpath(path, save.target))
		return cannot_save(path, error);
	if (snprintf(save.fresh, sizeof(save.fresh), "%s.XXXXXX", save.target) >= (int)sizeof(save.fresh))
		return lb_error_set(error, ENAMETOOLONG, "the path of %s is too long", path);
	fd = mkostemp(save.fresh, O_CLOEXEC);
	if (fd < 0)
		return cannot_save(path, error);
	if (look_like(fd, save.target) < 0 || write_all(fd, text, length) < 0) {
		r = cannot_save(path, error);
		config_save_cancel(&save);
		return r;
	}
	*ret_save = save;
	return 0;
}

int config_save_commit(struct config_save *save, struct lb_error *error)
{
	_cleanup_(closep) int directory = -1;
	char *slash;

	if (rename(save->fresh, save->target) < 0) {
		int r = cannot_save(save->target, error);

		config_save_cancel(save);
		return r;
	}
	slash = strrchr(save->target, '/');
	slash[slash == save->target] = '\0';
	directory = open(save->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory >= 0)
		(void)task_fsync(directory);
	save->target[0] = '\0';
	return 0;
}

void config_save_cancel(struct config_save *save)
{
	if (save->target[0])
		unlink(save->fresh);
	save->target[0] = '\0';
}
