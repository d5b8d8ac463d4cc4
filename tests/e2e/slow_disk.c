// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk that does not answer, for a program that this is preloaded into: while the file exists that the
 * environment variable SLOW_DISK names, fsync() waits, and renameat() while the one of SLOW_NAMES does (a
 * journal that is being written holds names up as well). That one waits shows by a file of that name with
 * ".waits" behind.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_while_held(const char *held)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	char waits[PATH_MAX];
	int sign;

	if (!held || access(held, F_OK) != 0)
		return;
	snprintf(waits, sizeof(waits), "%s.waits", held);
	sign = open(waits, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (sign >= 0)
		close(sign);
	while (access(held, F_OK) == 0)
		nanosleep(&moment, NULL);
}

int fsync(int fd)
{
	int (*really)(int fd) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	wait_while_held(getenv("SLOW_DISK"));
	return really(fd);
}

int renameat(int from, const char *name, int to, const char *new_name)
{
	int (*really)(int, const char *, int, const char *) =
		(int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");

	wait_while_held(getenv("SLOW_NAMES"));
	return really(from, name, to, new_name);
}
