// SPDX-License-Identifier: GPL-2.0-only
/*
 * Damage, drawn at random. Snapshots and copies are made by cp, which keeps links and FIFOs what they are.
 */
#include "damage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX     512
#define STRANGERS_MAX 64

static __u64 state;
static char strangers[STRANGERS_MAX][PATH_MAX];
static size_t n_strangers;

void random_seed(__u64 seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 1;
}

__u64 random_next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull >> 11;
}

static void run(const char *command)
{
	if (system(command) != 0) {
		fprintf(stderr, "# failed: %s\n", command);
		abort();
	}
}

void snapshot_take(void)
{
	run("test ! -d " STATE " || { rm -rf " SNAPSHOT " && cp -a " STATE " " SNAPSHOT "; }");
}

void snapshot_restore(void)
{
	n_strangers = 0;
	if (access(SNAPSHOT, F_OK) == 0)
		run("rm -rf " STATE " && cp -a " SNAPSHOT " " STATE);
}

long read_plain(const char *path, char *buffer, size_t size)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	int fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	struct stat st;
	long n = -1;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)size)
		n = read(fd, buffer, size);
	close(fd);
	return n;
}

void write_plain(const char *path, const void *bytes, size_t length)
{
	struct open_how how = { .flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK,
				.mode = 0644,
				.resolve = RESOLVE_NO_SYMLINKS };
	int fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0)
		return;
	if (write(fd, bytes, length) < 0) {
		/* A full disk is one more damage. */
	}
	close(fd);
}

/* --- what there is ---------------------------------------------------------------------------------------
 */

static char files[FILES_MAX][PATH_MAX];
static size_t n_files;

static void list(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) && n_files < FILES_MAX) {
		char path[PATH_MAX];
		struct stat st;

		if (entry->d_name[0] == '.' || strncmp(entry->d_name, "aside", 5) == 0)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) >= (int)sizeof(path) ||
		    lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			list(path);
		else if (S_ISREG(st.st_mode))
			memcpy(files[n_files++], path, sizeof(path));
	}
	if (dir)
		closedir(dir);
}

/* A file of the state at random, the newest record and the copies more often than others; NULL: none. */
static const char *pick_file(void)
{
	const char *best = NULL;

	n_files = 0;
	list(STATE);
	if (n_files == 0)
		return NULL;
	if (random_below(2))
		return files[random_below(n_files)];
	for (size_t i = 0; i < n_files; i++)
		if (strstr(files[i], "/generations/0") && (!best || strcmp(files[i], best) > 0))
			best = files[i];
	return best ? best : files[random_below(n_files)];
}

static void pick_place(char path[PATH_MAX])
{
	static const char *const directories[] = { STATE, STATE "/generations", STATE "/configs",
						   STATE "/copy" };
	static const char *const names[] = {
		"README", "00000000000000000001.json~", "lost+found", ".new",        "x.json",
		"backup", "00000000000000000007.json",  "lock",       "record.json", "format"
	};

	snprintf(path, PATH_MAX, "%s/%s", directories[random_below(4)], names[random_below(10)]);
}

static const char *pick_directory(void)
{
	static const char *const directories[] = { STATE "/generations", STATE "/configs", STATE "/copy" };

	return directories[random_below(3)];
}

/* --- what is done to it ----------------------------------------------------------------------------------
 */

static void cut(void)
{
	const char *path = pick_file();
	struct stat st;

	if (path && stat(path, &st) == 0 && truncate(path, random_below(st.st_size + 1)) < 0)
		abort();
}

static void flip(void)
{
	const char *path = pick_file();
	static char buffer[1 << 16];
	long n = path ? read_plain(path, buffer, sizeof(buffer)) : -1;

	for (__u64 i = random_below(3) + 1; n > 0 && i > 0; i--)
		buffer[random_below(n)] ^= 1 << random_below(8);
	if (n > 0)
		write_plain(path, buffer, n);
}

static void delete (void)
{
	const char *path = pick_file();

	if (path)
		unlink(path);
}

static void empty(void)
{
	const char *path = pick_file();

	if (path && truncate(path, 0) < 0)
		abort();
}

/* The name of something else gets the content of a file. */
static void duplicate(void)
{
	const char *path = pick_file();
	static char buffer[1 << 16];
	char other[PATH_MAX];
	long n = path ? read_plain(path, buffer, sizeof(buffer)) : -1;

	if (n < 0)
		return;
	if (random_below(2)) {
		pick_place(other);
	} else {
		path = pick_file();
		snprintf(other, sizeof(other), "%s", path);
	}
	write_plain(other, buffer, n);
}

/* One file as it was in the snapshot. */
static void restore_file(void)
{
	static char buffer[1 << 16];
	char old[PATH_MAX + 16];
	const char *path = pick_file();
	long n;

	if (!path)
		return;
	snprintf(old, sizeof(old), SNAPSHOT "%s", path + strlen(STATE));
	n = read_plain(old, buffer, sizeof(buffer));
	if (n >= 0)
		write_plain(path, buffer, n);
}

/* Records of somebody else's state, of higher numbers. */
static void foreign_record(void)
{
	run("test -L " STATE "/generations || cp -a --remove-destination " OTHER "/generations/*.json " STATE
	    "/generations/ 2>/dev/null; true");
}

static void stranger(void)
{
	char path[PATH_MAX];
	bool ours;

	snprintf(path, sizeof(path), "%s/stranger-%llu",
		 random_below(2) ? STATE "/generations" : STATE "/configs", random_next());
	write_plain(path, "precious", 8);
	ours = random_below(2);
	if (access(path, F_OK) == 0 && !ours && n_strangers < STRANGERS_MAX)
		memcpy(strangers[n_strangers++], path, sizeof(path));
}

/* Damage of ours is not to be what follows a link. */
static bool below_link(const char *path)
{
	char directory[PATH_MAX];
	struct stat st;

	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
	return lstat(directory, &st) < 0 || !S_ISDIR(st.st_mode);
}

static void replace_by(const char *path, __u64 kind)
{
	char moved[PATH_MAX + 32];

	if (below_link(path))
		return;

	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		snprintf(moved, sizeof(moved), "moved-%llu", random_next());
		if (rename(path, moved) < 0)
			return;
	}
	if (kind == 0 && symlink("../" PRECIOUS, path) < 0)
		return;
	if (kind == 1 && symlink("../../" PRECIOUS "/file", path) < 0)
		return;
	if (kind == 2 && mkfifo(path, 0600) < 0)
		return;
	if (kind == 3 && mkdir(path, 0700) < 0)
		return;
	if (kind == 4)
		write_plain(path, "file", 4);
}

static void odd_file(void)
{
	const char *path = pick_file();
	char place[PATH_MAX];

	if (!path || random_below(3) == 0) {
		pick_place(place);
		path = place;
	}
	replace_by(path, random_below(4));
}

static void odd_directory(void)
{
	replace_by(pick_directory(), random_below(5));
}

void damage(bool loud)
{
	static const struct {
		const char *name;
		void (*act)(void);
	} kinds[] = {
		{ "cut", cut },
		{ "flip", flip },
		{ "delete", delete },
		{ "empty", empty },
		{ "duplicate", duplicate },
		{ "restore a file", restore_file },
		{ "foreign records", foreign_record },
		{ "stranger", stranger },
		{ "odd file", odd_file },
		{ "odd directory", odd_directory },
	};
	size_t i = random_below(sizeof(kinds) / sizeof(kinds[0]));

	/* What was put in before may be what is damaged now. */
	n_strangers = 0;
	kinds[i].act();
	if (loud)
		printf("#   %s\n", kinds[i].name);
}

size_t strangers_missing(void)
{
	size_t missing = 0;
	char text[16];

	for (size_t i = 0; i < n_strangers; i++)
		missing += read_plain(strangers[i], text, sizeof(text)) != 8;
	n_strangers = 0;
	return missing;
}
