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
#include "lbd/state/store_file.h"
#include "lbd/state/store_kernel.h"
#include "lbd/state/store_record.h"
#include "lbd/state/store_recover.h"

#define FORMAT     "weir-state 1\n"
#define FORMAT_ANY "weir-state " /* of every version */

void store_digest(const void *bytes, size_t length, char ret_digest[STORE_DIGEST])
{
	XXH128_hash_t hash = XXH3_128bits(bytes, length);

	snprintf(ret_digest, STORE_DIGEST, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
		 (uint64_t)hash.low64);
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

static void sync_parent(int at)
{
	_cleanup_(closep) int fd = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)fsync(fd);
}

/* The pid that the lock's file tells of; 0: it tells nothing. */
static long lock_holder(const struct store *store)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;

	return store_read(store, ".", "lock", &text, &length) < 0 ? 0 : strtol(text, NULL, 10);
}

/* The directory itself is locked: its files may be deleted, moved or restored meanwhile. */
static int take_lock(struct store *store, struct lb_error *error)
{
	char pid[32];

	store->lock_fd = openat(store->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->lock_fd < 0)
		return lb_error_set(error, errno, "Failed to open %s: %m", store->directory);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return lb_error_set(error, errno, "Failed to lock %s: %m", store->directory);
		return lb_error_set(
			error, EBUSY,
			"another lbd (pid %ld) uses the state directory %s: stop it first, or give this "
			"one its own --state-dir, --bpffs and --socket",
			lock_holder(store), store->directory);
	}
	/* For people alone: a full disk keeps nobody from starting. */
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	(void)store_write(store, ".", "lock", pid, strlen(pid), false, NULL);
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

/* A directory without the right format is ours all the same if a record in it is. */
static int mend_format(struct store *store, const char *why)
{
	struct stat st;

	if (fstatat(store->fd, "format", &st, AT_SYMLINK_NOFOLLOW) == 0)
		(void)store_set_aside(store, ".", "format", why);
	if (store_write(store, ".", "format", FORMAT, strlen(FORMAT), true, NULL) < 0)
		store_tell(store, "%s/format cannot be written: the state is read all the same",
			   store->directory);
	return 0;
}

static int check_format(struct store *store, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = store_read(store, ".", "format", &text, &length);

	if (r == 0 && strcmp(text, FORMAT) == 0)
		return 0;
	if (store_is_ours(store))
		return mend_format(store, r == 0 ? "it does not say \"weir-state 1\", and the records do"
						 : strerror(-r));
	if (r == -ENOENT && is_empty(store->fd) == 1)
		return store_write(store, ".", "format", FORMAT, strlen(FORMAT), true, error);
	if (r == -ENOENT)
		return lb_error_set(error, EPROTO,
				    "%s is not a Weir state directory (it has files but no \"format\"): "
				    "choose another with --state-dir; nothing in it was touched",
				    store->directory);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to read %s/format: %s", store->directory,
				    strerror(-r));
	return lb_error_set(error, EPROTO,
			    "%s was written by another version of lbd (its format is \"%.32s\", this one "
			    "reads \"weir-state 1\"): start that version, or move the directory away",
			    store->directory, text);
}

/* Somebody else's directory stays as it is: nothing is written before it is known to be ours, or empty. */
static int claim(struct store *store, struct lb_error *error)
{
	bool ours = faccessat(store->fd, "format", F_OK, AT_SYMLINK_NOFOLLOW) == 0 || store_is_ours(store) ||
		    is_empty(store->fd) == 1;
	int r = ours ? take_lock(store, error) : 0;

	return r < 0 ? r : check_format(store, error);
}

int store_open(struct store *store, const char *directory, struct lb_error *error)
{
	static const char *const inner[] = { "configs", "generations" };
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
	r = claim(store, error);
	for (size_t i = 0; r == 0 && i < sizeof(inner) / sizeof(inner[0]); i++) {
		int fd = store_make_subdirectory(store, inner[i]);

		/* Written to later, made then: what there is may be enough to start. */
		if (fd < 0)
			store_tell(store, "Failed to make %s/%s: %s", directory, inner[i], strerror(-fd));
		else
			close(fd);
	}
	if (r < 0) {
		store_close(store);
		return r;
	}
	/* What was just made is to outlive a power cut as well. The parent may not be ours to open. */
	if (fsync(store->fd) < 0)
		store_tell(store, "Failed to sync %s: %s", directory, strerror(errno));
	sync_parent(store->fd);
	return 0;
}

/* By what is in it, whatever version wrote it. */
static bool is_marked(const struct store *store)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;

	if (store_read(store, ".", "format", &text, &length) == 0 &&
	    strncmp(text, FORMAT_ANY, strlen(FORMAT_ANY)) == 0)
		return true;
	return store_is_ours(store);
}

int store_open_to_remove(struct store *store, const char *directory, bool *ret_marked, struct lb_error *error)
{
	bool marked;
	int r;

	store->fd = store->lock_fd = -1;
	snprintf(store->directory, sizeof(store->directory), "%s", directory);
	store->fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store->fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (store->fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return lb_error_at(error, ENOTDIR, "state-dir", directory,
				   "%s is a link, or no directory: nothing is removed behind it; give the "
				   "directory itself as --state-dir",
				   directory);
	if (store->fd < 0)
		return lb_error_at(error, errno, "state-dir", directory,
				   "Failed to open the state directory %s: %m", directory);
	marked = is_marked(store);
	if (marked || is_empty(store->fd) == 1)
		r = take_lock(store, error);
	else
		r = lb_error_at(error, EPROTO, "state-dir", directory,
				"%s is not a Weir state directory (it has files but no \"format\" of ours): "
				"nothing was removed",
				directory);
	if (r < 0)
		store_close(store);
	else
		*ret_marked = marked;
	return r;
}

void store_close(struct store *store)
{
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	if (store->fd >= 0)
		close(store->fd);
	store->fd = store->lock_fd = -1;
	free(store->copying);
	store->copying = NULL;
}

static void config_name(const char digest[STORE_DIGEST], char ret_name[STORE_DIGEST + 8])
{
	snprintf(ret_name, STORE_DIGEST + 8, "%s.json", digest);
}

static int stat_config(const struct store *store, const char digest[STORE_DIGEST], struct stat *ret)
{
	_cleanup_(closep) int at = store_subdirectory(store, "configs");
	char name[STORE_DIGEST + 8];

	config_name(digest, name);
	return at < 0 ? -1 : fstatat(at, name, ret, AT_SYMLINK_NOFOLLOW);
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
	char name[STORE_DIGEST + 8];
	size_t there_length;
	int r = 0;

	config_name(digest, name);
	if (store_read(store, "configs", name, &there, &there_length) < 0 || there_length != length ||
	    memcmp(there, text, length) != 0) {
		if (there)
			(void)store_set_aside(store, "configs", name,
					      "its content is not what its name says");
		r = store_write(store, "configs", name, text, length, true, error);
	}
	if (r == 0)
		note_put(store, digest);
	return r;
}

bool store_has_config(const struct store *store, const char digest[STORE_DIGEST])
{
	struct stat st;

	return strcmp(store->put, digest) == 0 && stat_config(store, digest, &st) == 0 &&
	       S_ISREG(st.st_mode) && st.st_ino == store->put_inode &&
	       st.st_ctim.tv_sec == store->put_changed.tv_sec &&
	       st.st_ctim.tv_nsec == store->put_changed.tv_nsec;
}

int store_put_note(struct store *store, const char *name, const char *text)
{
	return store_write(store, ".", name, text, strlen(text), true, NULL);
}

int store_get_note(const struct store *store, const char *name, char *ret_text, size_t size)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = store_read(store, ".", name, &text, &length);

	if (r < 0)
		return r;
	if (length >= size)
		return -E2BIG;
	memcpy(ret_text, text, length + 1);
	return 0;
}

__u64 store_stamp(const struct store *store)
{
	struct timespec now;
	__u64 now_ms;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ms = (__u64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	return now_ms > store->stamp_ms ? now_ms : store->stamp_ms + 1;
}

int store_put_record(struct store *store, const struct record *record, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	struct record stamped = *record;
	char name[32];
	int r;

	memcpy(stamped.history, store->history, sizeof(stamped.history));
	stamped.stamp_ms = store_stamp(store);
	text = record_print(&stamped);
	if (!text)
		return lb_error_set(error, ENOMEM, "out of memory");
	record_name(record->generation, name);
	r = store_write(store, "generations", name, text, strlen(text), true, error);
	if (r < 0)
		return r;
	store->stamp_ms = stamped.stamp_ms;
	free(store->copying);
	store->copying = text;
	text = NULL;
	memcpy(store->copying_config, record->config, sizeof(store->copying_config));
	return 0;
}

int store_remove_record(struct store *store, __u64 generation)
{
	char name[32];

	record_name(generation, name);
	return store_remove(store, "generations", name);
}

static DIR *open_list(const struct store *store, const char *name)
{
	int fd = store_subdirectory(store, name);
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

int store_read_record(const struct store *store, const char *name, struct record *ret_record,
		      struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	char expected[32];
	size_t length;
	int r = store_read(store, "generations", name, &text, &length);

	if (r == -EPROTO)
		return lb_error_set(error, EPROTO, "it is not a plain file");
	if (r < 0)
		return lb_error_set(error, -r, "%s", strerror(-r));
	r = record_parse(text, length, ret_record, error);
	if (r < 0)
		return r;
	record_name(ret_record->generation, expected);
	if (strcmp(name, expected) == 0)
		return 0;
	record_done(ret_record);
	return lb_error_set(error, EPROTO, "it tells of another generation than its name");
}

int store_scan(const struct store *store, struct record **ret_records, size_t *ret_n,
	       void (*bad)(const struct store *store, const char *name, const char *why))
{
	_cleanup_(closedirp) DIR *directory = open_list(store, "generations");
	struct record *records = NULL, *more;
	struct lb_error why = {};
	struct dirent *entry;
	size_t n = 0;

	while (directory && (entry = readdir(directory))) {
		if (!record_named(entry->d_name))
			continue;
		more = realloc(records, (n + 1) * sizeof(*records));
		if (!more) {
			records_free(records, n);
			return -ENOMEM;
		}
		records = more;
		if (store_read_record(store, entry->d_name, &records[n], &why) == 0)
			n++;
		else if (bad)
			bad(store, entry->d_name, why.text);
	}
	if (n)
		qsort(records, n, sizeof(*records), by_generation);
	*ret_records = records;
	*ret_n = n;
	return 0;
}

/* What goes on beside the loop as a whole: by a store that waits by itself and tells nobody. */
struct alone {
	struct store store;
	struct record *records;
	size_t n;
	int r;
};

static void alone_run(const struct store *store, struct alone *alone, void (*run)(void *context))
{
	*alone = (struct alone){ .store = *store };
	alone->store.beside = NULL;
	alone->store.tell = NULL;
	store_wait(store, run, alone);
}

static void list_alone(void *context)
{
	struct alone *alone = context;

	alone->r = store_scan(&alone->store, &alone->records, &alone->n, NULL);
}

int store_list(const struct store *store, struct record **ret_records, size_t *ret_n, struct lb_error *error)
{
	struct alone alone;

	alone_run(store, &alone, list_alone);
	if (alone.r < 0)
		return lb_error_set(error, -alone.r, "out of memory");
	*ret_records = alone.records;
	*ret_n = alone.n;
	return 0;
}

/* Whether a file is a configuration that we keep: its content is what its name says. */
static bool config_is_ours(const struct store *store, const char *name)
{
	_cleanup_(freep) char *text = NULL;
	char digest[STORE_DIGEST], expected[STORE_DIGEST + 8];
	size_t length;

	if (strlen(name) != STORE_DIGEST - 1 + strlen(".json") ||
	    store_read(store, "configs", name, &text, &length) < 0)
		return false;
	store_digest(text, length, digest);
	config_name(digest, expected);
	return strcmp(name, expected) == 0;
}

/* Removes records beyond their kind's budget; the others move to the front: how many. */
static size_t prune_records(struct store *store, struct record *records, size_t n)
{
	static const size_t budget[RECORD_KINDS] = {
		[RECORD_CONFIG] = STORE_CONFIGS,
		[RECORD_OPERATOR] = STORE_OPERATORS,
	};
	size_t seen[RECORD_KINDS] = {}, kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct record record = records[i];

		if (seen[record.kind]++ >= budget[record.kind]) {
			store_remove_record(store, record.generation);
			continue;
		}
		records[i] = records[kept];
		records[kept++] = record;
	}
	return kept;
}

static void prune_alone(void *context)
{
	struct alone *alone = context;
	struct store *store = &alone->store;
	_cleanup_(closedirp) DIR *directory = NULL;
	struct dirent *entry;
	size_t keep;

	list_alone(alone);
	if (alone->r < 0)
		return;
	keep = prune_records(store, alone->records, alone->n);
	directory = open_list(store, "configs");
	while (directory && (entry = readdir(directory))) {
		size_t i = 0;

		while (i < keep && strncmp(entry->d_name, alone->records[i].config, STORE_DIGEST - 1) != 0)
			i++;
		if (i == keep && config_is_ours(store, entry->d_name))
			(void)store_remove(store, "configs", entry->d_name);
	}
	records_free(alone->records, alone->n);
}

void store_prune(struct store *store)
{
	struct alone alone;

	alone_run(store, &alone, prune_alone);
}
