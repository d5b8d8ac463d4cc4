// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of the state directory: read, written and set aside below one directory descriptor, one name at a
 * time, so that no link leads elsewhere.
 */
#include "lbd/state/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"

#define TEMPORARIES 10 /* names to write under, should something that is not ours have the first */
#define ASIDES      10

static void step(struct store *store, const char *name)
{
	if (store->step)
		store->step(store->context, name);
}

/* What is done to a file, where the disk may make one wait: even a new name waits for what a file system's
 * journal is at. */
struct transfer {
	int fd;
	const char *text; /* to be written */
	char **ret_text;  /* what is read */
	size_t length;
	int at;             /* directory */
	char temporary[16]; /* file in it, that is written to; empty: not yet made */
	const char *name;   /* that it is to have */
	bool durable;
	int r;
};

void store_wait(const struct store *store, void (*run)(void *context), void *context)
{
	if (store->beside)
		store->beside(run, context);
	else
		run(context);
}

static void sync_it(void *context)
{
	struct transfer *transfer = context;

	transfer->r = fsync(transfer->fd) < 0 ? -errno : 0;
}

int store_sync(const struct store *store, int fd)
{
	struct transfer transfer = { .fd = fd };

	store_wait(store, sync_it, &transfer);
	return transfer.r;
}

void store_tell(const struct store *store, const char *format, ...)
{
	char text[512];
	va_list ap;

	if (!store->tell)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	store->tell(store->context, text);
}

int store_subdirectory(const struct store *store, const char *name)
{
	int fd = openat(store->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int store_make_subdirectory(struct store *store, const char *name)
{
	int fd = store_subdirectory(store, name), r;

	if (fd == -ENOTDIR || fd == -ELOOP) {
		r = store_set_aside(store, ".", name, "it is not a directory");
		if (r < 0)
			return r;
		fd = -ENOENT;
	}
	if (fd != -ENOENT)
		return fd;
	if (mkdirat(store->fd, name, 0750) < 0 && errno != EEXIST)
		return -errno;
	return store_subdirectory(store, name);
}

/* The directory that things are set aside in: the first name that is one, or can be made. */
static int open_aside(const struct store *store, char ret_name[16])
{
	int fd = -EEXIST;

	for (int i = 0; fd < 0 && i < ASIDES; i++) {
		snprintf(ret_name, 16, i ? "aside-%d" : "aside", i);
		if (mkdirat(store->fd, ret_name, 0750) < 0 && errno != EEXIST)
			return -errno;
		fd = store_subdirectory(store, ret_name);
	}
	return fd;
}

/* Not every file system can promise not to replace: it is asked before. */
static int move(int from, const char *name, int to, const char *new_name)
{
	if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	if (faccessat(to, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from, name, to, new_name) < 0 ? -errno : 0;
}

int store_set_aside(struct store *store, const char *directory, const char *name, const char *why)
{
	char aside_name[16], kept[NAME_MAX + 1];
	_cleanup_(closep) int from = store_subdirectory(store, directory), aside = -1;
	const char *slash = strcmp(directory, ".") == 0 ? "" : "/";
	int r = from < 0 ? from : (aside = open_aside(store, aside_name));

	for (unsigned int i = 0; r >= 0 && i < 10000; i++) {
		snprintf(kept, sizeof(kept), "%.40s.%lld.%u", name, (long long)time(NULL), i);
		r = move(from, name, aside, kept);
		if (r != -EEXIST)
			break;
		r = 0;
	}
	if (*slash == '\0')
		directory = "";
	if (r < 0)
		store_tell(store, "%s%s%s is of no use (%s), and cannot be set aside: %s", directory, slash,
			   name, why, strerror(-r));
	else
		store_tell(store, "set aside %s%s%s as %s/%s: %s", directory, slash, name, aside_name, kept,
			   why);
	return r < 0 ? r : 0;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			length -= n;
		}
	}
	return 0;
}

/* A new file to write to. What a write that was cut left behind is removed; what else there is stays. */
static int open_temporary(int at, char ret_name[16])
{
	struct stat st;

	for (int i = 0; i < TEMPORARIES; i++) {
		int fd;

		snprintf(ret_name, 16, i ? ".new-%d" : ".new", i);
		if (fstatat(at, ret_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (!S_ISREG(st.st_mode))
				continue;
			if (unlinkat(at, ret_name, 0) < 0)
				return -errno;
		}
		fd = openat(at, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

/* Something that is not a plain file would be replaced, or would not let itself be. */
static int make_way(struct store *store, int at, const char *directory, const char *name)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(st.st_mode) ? 0 : store_set_aside(store, directory, name, "it is not a plain file");
}

static void write_temporary(void *context)
{
	struct transfer *transfer = context;

	transfer->fd = open_temporary(transfer->at, transfer->temporary);
	transfer->r =
		transfer->fd < 0 ? transfer->fd : write_all(transfer->fd, transfer->text, transfer->length);
	if (transfer->r == 0 && transfer->durable && fsync(transfer->fd) < 0)
		transfer->r = -errno;
}

static void name_it(void *context)
{
	struct transfer *transfer = context;

	if (renameat(transfer->at, transfer->temporary, transfer->at, transfer->name) < 0)
		transfer->r = -errno;
}

static int replace(struct store *store, const char *directory, struct transfer *transfer)
{
	step(store, "store_written");
	transfer->r = make_way(store, transfer->at, directory, transfer->name);
	if (transfer->r == 0)
		store_wait(store, name_it, transfer);
	if (transfer->r < 0)
		return transfer->r;
	step(store, "store_renamed");
	return transfer->durable ? store_sync(store, transfer->at) : 0;
}

int store_write(struct store *store, const char *directory, const char *name, const char *text, size_t length,
		bool durable, struct lb_error *error)
{
	_cleanup_(closep) int at = store_make_subdirectory(store, directory), fd = -1;
	struct transfer transfer = {
		.fd = -1, .text = text, .length = length, .at = at, .name = name, .durable = durable, .r = at
	};
	int r;

	if (at >= 0)
		store_wait(store, write_temporary, &transfer);
	fd = transfer.fd;
	r = transfer.r < 0 ? transfer.r : replace(store, directory, &transfer);
	if (r == 0)
		return 0;
	if (fd >= 0)
		unlinkat(at, transfer.temporary, 0);
	return lb_error_set(error, -r, "Failed to write %s/%s/%s: %s", store->directory, directory, name,
			    strerror(-r));
}

static int read_length(int fd, size_t size, char **ret_text, size_t *ret_length)
{
	_cleanup_(freep) char *text = malloc(size + 1);
	size_t length = 0;

	if (!text)
		return -ENOMEM;
	while (length < size) {
		ssize_t n = read(fd, text + length, size - length);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		if (n > 0)
			length += n;
	}
	text[length] = '\0';
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}

static void read_all(void *context)
{
	struct transfer *transfer = context;

	transfer->r = read_length(transfer->fd, transfer->length, transfer->ret_text, &transfer->length);
}

static int read_whole(const struct store *store, int fd, size_t size, char **ret_text, size_t *ret_length)
{
	struct transfer transfer = { .fd = fd, .ret_text = ret_text, .length = size };

	store_wait(store, read_all, &transfer);
	if (transfer.r == 0)
		*ret_length = transfer.length;
	return transfer.r;
}

int store_read(const struct store *store, const char *directory, const char *name, char **ret_text,
	       size_t *ret_length)
{
	_cleanup_(closep) int at = store_subdirectory(store, directory), fd = -1;
	struct stat st;

	if (at < 0)
		return at;
	/* A FIFO would be waited for. */
	fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EPROTO : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	if (st.st_size > (off_t)LB_CONFIG_BYTES_MAX)
		return -E2BIG;
	return read_whole(store, fd, st.st_size, ret_text, ret_length);
}

static void remove_it(void *context)
{
	struct transfer *transfer = context;

	if (unlinkat(transfer->at, transfer->name, 0) < 0 || fsync(transfer->at) < 0)
		transfer->r = -errno;
}

int store_remove(struct store *store, const char *directory, const char *name)
{
	_cleanup_(closep) int at = store_subdirectory(store, directory);
	struct transfer removal = { .at = at, .name = name };
	struct stat st;

	if (at < 0)
		return at;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	store_wait(store, remove_it, &removal);
	return removal.r;
}
