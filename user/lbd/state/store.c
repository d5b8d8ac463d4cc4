// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state directory on disk. Works below one directory descriptor, so that nothing is written elsewhere if
 * the path changes meanwhile.
 */
#include "lbd/state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "lbd/state/store_record.h"

#define FORMAT "weir-state 1\n"

static void step(struct store *store, const char *name)
{
	if (store->step)
		store->step(store->context, name);
}

void store_digest(const void *bytes, size_t length, char ret_digest[STORE_DIGEST])
{
	XXH128_hash_t hash = XXH3_128bits(bytes, length);

	snprintf(ret_digest, STORE_DIGEST, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
		 (uint64_t)hash.low64);
}

static int sync_directory(int at, const char *name)
{
	_cleanup_(closep) int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
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

/* Whole or absent: written beside, synced, renamed, directory synced. directory: below the state directory.
 */
static int write_file(struct store *store, const char *directory, const char *name, const char *text,
		      size_t length, struct lb_error *error)
{
	char temporary[NAME_MAX + 1], path[NAME_MAX + 1];
	_cleanup_(closep) int fd = -1;
	int r;

	snprintf(temporary, sizeof(temporary), "%s/.new", directory);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = openat(store->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	r = fd < 0 ? -errno : write_all(fd, text, length);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	step(store, "store_written");
	if (r == 0 && renameat(store->fd, temporary, store->fd, path) < 0)
		r = -errno;
	step(store, "store_renamed");
	if (r == 0)
		r = sync_directory(store->fd, directory);
	if (r < 0) {
		unlinkat(store->fd, temporary, 0);
		return lb_error_set(error, -r, "Failed to write %s/%s: %s", store->directory, path,
				    strerror(-r));
	}
	return 0;
}

static int read_file(const struct store *store, const char *path, char **ret_text, size_t *ret_length)
{
	_cleanup_(closep) int fd = openat(store->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_(freep) char *text = NULL;
	size_t length = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	if (st.st_size > (off_t)LB_CONFIG_BYTES_MAX)
		return -E2BIG;
	text = malloc(st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (length < (size_t)st.st_size) {
		ssize_t n = read(fd, text + length, st.st_size - length);

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

/* Whether the directory has nothing that is not ours in the state it is in before the first start has come to
 * its end: ".new" is left by one that was cut. */
static int is_empty(int at)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "lock") != 0 && strcmp(entry->d_name, ".new") != 0 &&
		    strcmp(entry->d_name, "lost+found") != 0 && strcmp(entry->d_name, "generations") != 0 &&
		    strcmp(entry->d_name, "configs") != 0)
			return 0;
	return 1;
}

static int take_lock(struct store *store, struct lb_error *error)
{
	char text[32] = "";
	long pid;

	store->lock_fd = openat(store->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (store->lock_fd < 0)
		return lb_error_set(error, errno, "Failed to open %s/lock: %m", store->directory);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return lb_error_set(error, errno, "Failed to lock %s/lock: %m", store->directory);
		if (pread(store->lock_fd, text, sizeof(text) - 1, 0) < 0)
			text[0] = '\0';
		pid = strtol(text, NULL, 10);
		return lb_error_set(
			error, EBUSY,
			"another lbd (pid %ld) uses the state directory %s: stop it first, or give this "
			"one its own --state-dir, --bpffs and --socket",
			pid, store->directory);
	}
	if (ftruncate(store->lock_fd, 0) < 0 || dprintf(store->lock_fd, "%d\n", getpid()) < 0)
		return lb_error_set(error, errno, "Failed to write %s/lock: %m", store->directory);
	return 0;
}

/* Makes every directory of a path. */
static int make_directories(const char *path)
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	for (char *slash = copy + 1;; slash++) {
		if (*slash != '/' && *slash != '\0')
			continue;
		char kept = *slash;

		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (!kept)
			return 0;
		*slash = kept;
	}
}

static int check_format(struct store *store, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = read_file(store, "format", &text, &length);

	if (r == -ENOENT) {
		r = is_empty(store->fd);
		if (r == 0)
			return lb_error_set(
				error, EPROTO,
				"%s is not a Weir state directory (it has files but no \"format\"): "
				"choose another with --state-dir; nothing in it was touched",
				store->directory);
		if (r < 0)
			return lb_error_set(error, -r, "Failed to read %s: %s", store->directory,
					    strerror(-r));
		return write_file(store, ".", "format", FORMAT, strlen(FORMAT), error);
	}
	if (r < 0)
		return lb_error_set(error, -r, "Failed to read %s/format: %s", store->directory,
				    strerror(-r));
	if (strcmp(text, FORMAT) != 0)
		return lb_error_set(
			error, EPROTO,
			"%s was written by another version of lbd (its format is \"%.32s\", this one "
			"reads \"weir-state 1\"): start that version, or move the directory away",
			store->directory, text);
	return 0;
}

int store_open(struct store *store, const char *directory, struct lb_error *error)
{
	int r;

	store->fd = store->lock_fd = -1;
	snprintf(store->directory, sizeof(store->directory), "%s", directory);
	r = make_directories(directory);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to make the state directory %s: %s", directory,
				    strerror(-r));
	store->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->fd < 0)
		return lb_error_set(error, errno, "Failed to open the state directory %s: %m", directory);
	/* Before anything is written: somebody else's directory stays as it is. */
	r = faccessat(store->fd, "format", F_OK, 0) == 0 ? 1 : is_empty(store->fd);
	if (r == 1)
		r = take_lock(store, error);
	else
		r = 0;
	if (r == 0)
		r = check_format(store, error);
	if (r == 0 && ((mkdirat(store->fd, "configs", 0750) < 0 && errno != EEXIST) ||
		       (mkdirat(store->fd, "generations", 0750) < 0 && errno != EEXIST)))
		r = lb_error_set(error, errno, "Failed to make a directory in %s: %m", directory);
	/* What was just made is to outlive a power cut as well. The parent may not be ours to open. */
	if (r == 0 && (r = sync_directory(store->fd, ".")) < 0)
		r = lb_error_set(error, -r, "Failed to sync %s: %s", directory, strerror(-r));
	if (r == 0)
		(void)sync_directory(store->fd, "..");
	if (r < 0)
		store_close(store);
	return r;
}

void store_close(struct store *store)
{
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	if (store->fd >= 0)
		close(store->fd);
	store->fd = store->lock_fd = -1;
}

static int stat_config(const struct store *store, const char digest[STORE_DIGEST], struct stat *ret)
{
	char path[STORE_DIGEST + 16];

	snprintf(path, sizeof(path), "configs/%s.json", digest);
	return fstatat(store->fd, path, ret, AT_SYMLINK_NOFOLLOW);
}

static void note_put(struct store *store, const char digest[STORE_DIGEST])
{
	struct stat st;

	store->put[0] = '\0';
	if (stat_config(store, digest, &st) < 0)
		return;
	memcpy(store->put, digest, sizeof(store->put));
	store->put_inode = st.st_ino;
	store->put_changed = st.st_ctim;
}

int store_put_config(struct store *store, const char *text, size_t length, const char digest[STORE_DIGEST],
		     struct lb_error *error)
{
	_cleanup_(freep) char *there = NULL;
	char name[STORE_DIGEST + 8], path[STORE_DIGEST + 16];
	size_t there_length;
	int r = 0;

	snprintf(name, sizeof(name), "%s.json", digest);
	snprintf(path, sizeof(path), "configs/%s", name);
	if (read_file(store, path, &there, &there_length) < 0 || there_length != length ||
	    memcmp(there, text, length) != 0)
		r = write_file(store, "configs", name, text, length, error);
	if (r == 0)
		note_put(store, digest);
	return r;
}

bool store_has_config(const struct store *store, const char digest[STORE_DIGEST])
{
	struct stat st;

	return strcmp(store->put, digest) == 0 && stat_config(store, digest, &st) == 0 &&
	       st.st_ino == store->put_inode && st.st_ctim.tv_sec == store->put_changed.tv_sec &&
	       st.st_ctim.tv_nsec == store->put_changed.tv_nsec;
}

int store_get_config(const struct store *store, const char digest[STORE_DIGEST], char **ret_text,
		     size_t *ret_length, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	char path[STORE_DIGEST + 16], actual[STORE_DIGEST];
	size_t length;
	int r;

	snprintf(path, sizeof(path), "configs/%s.json", digest);
	r = read_file(store, path, &text, &length);
	if (r < 0)
		return lb_error_set(error, r == -ENOENT ? EPROTO : -r,
				    "the stored configuration %s/%s cannot be read: %s", store->directory,
				    path, strerror(-r));
	store_digest(text, length, actual);
	if (strcmp(actual, digest) != 0)
		return lb_error_set(
			error, EPROTO,
			"the stored configuration %s/%s is damaged (its content is not what its name "
			"says): move the state directory away to start from the configuration file",
			store->directory, path);
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}

int store_put_note(struct store *store, const char *name, const char *text)
{
	return write_file(store, ".", name, text, strlen(text), NULL);
}

int store_get_note(const struct store *store, const char *name, char *ret_text, size_t size)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = read_file(store, name, &text, &length);

	if (r < 0)
		return r;
	if (length >= size)
		return -E2BIG;
	memcpy(ret_text, text, length + 1);
	return 0;
}

static void record_name(__u64 generation, char name[32])
{
	snprintf(name, 32, "%020llu.json", generation);
}

int store_put_record(struct store *store, const struct record *record, struct lb_error *error)
{
	_cleanup_(freep) char *text = record_print(record);
	char name[32];

	if (!text)
		return lb_error_set(error, ENOMEM, "out of memory");
	record_name(record->generation, name);
	return write_file(store, "generations", name, text, strlen(text), error);
}

int store_remove_record(struct store *store, __u64 generation)
{
	char name[32], path[48];

	record_name(generation, name);
	snprintf(path, sizeof(path), "generations/%s", name);
	if (unlinkat(store->fd, path, 0) < 0)
		return -errno;
	return sync_directory(store->fd, "generations");
}

static DIR *open_list(const struct store *store, const char *name)
{
	int fd = openat(store->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory;

	if (fd < 0)
		return NULL;
	directory = fdopendir(fd);
	if (!directory)
		close(fd);
	return directory;
}

static int by_generation(const void *a, const void *b)
{
	const struct record *left = a, *right = b;

	return (left->generation < right->generation) - (left->generation > right->generation);
}

static int read_record(const struct store *store, const char *name, struct record *ret_record,
		       struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	struct lb_error why = {};
	char path[NAME_MAX + 16], expected[32];
	size_t length;
	int r;

	snprintf(path, sizeof(path), "generations/%s", name);
	r = read_file(store, path, &text, &length);
	if (r < 0)
		lb_error_set(&why, -r, "%s", strerror(-r));
	else
		r = record_parse(text, length, ret_record, &why);
	if (r == 0) {
		record_name(ret_record->generation, expected);
		if (strcmp(name, expected) == 0)
			return 0;
		record_done(ret_record);
		lb_error_set(&why, EPROTO, "it tells of another generation than its name");
	}
	return lb_error_set(
		error, EPROTO,
		"the record %s/%s cannot be read (%.200s): move it away to start from the next older "
		"one, or move the state directory away to start from the configuration file",
		store->directory, path, why.text);
}

int store_list(const struct store *store, struct record **ret_records, size_t *ret_n, struct lb_error *error)
{
	_cleanup_(closedirp) DIR *directory = open_list(store, "generations");
	struct record *records = NULL, *more;
	struct dirent *entry;
	size_t n = 0;
	int r = 0;

	if (!directory)
		return lb_error_set(error, errno, "Failed to read %s/generations: %m", store->directory);
	while (r == 0 && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		more = realloc(records, (n + 1) * sizeof(*records));
		if (!more) {
			r = lb_error_set(error, ENOMEM, "out of memory");
			break;
		}
		records = more;
		r = read_record(store, entry->d_name, &records[n], error);
		if (r == 0)
			n++;
	}
	if (r < 0) {
		records_free(records, n);
		return r;
	}
	if (n)
		qsort(records, n, sizeof(*records), by_generation);
	*ret_records = records;
	*ret_n = n;
	return 0;
}

void store_prune(struct store *store)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	struct record *records = NULL;
	struct dirent *entry;
	size_t n = 0, keep;

	if (store_list(store, &records, &n, NULL) < 0)
		return;
	keep = n < STORE_GENERATIONS ? n : STORE_GENERATIONS;
	for (size_t i = keep; i < n; i++)
		store_remove_record(store, records[i].generation);
	directory = open_list(store, "configs");
	while (directory && (entry = readdir(directory))) {
		char path[NAME_MAX + 16];
		size_t i = 0;

		if (entry->d_name[0] == '.')
			continue;
		while (i < keep && strncmp(entry->d_name, records[i].config, STORE_DIGEST - 1) != 0)
			i++;
		if (i < keep)
			continue;
		snprintf(path, sizeof(path), "configs/%s", entry->d_name);
		unlinkat(store->fd, path, 0);
	}
	records_free(records, n);
}
