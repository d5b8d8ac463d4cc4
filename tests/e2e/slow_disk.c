// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk that does not answer, for a program that this is preloaded into: while the file exists that the
 * environment variable SLOW_DISK names, fsync() waits. That one waits shows by a file of that name with
 * ".waits" behind.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fsync(int fd)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	int (*really)(int fd) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	const char *held = getenv("SLOW_DISK");
	char waits[PATH_MAX];
	int sign;

	if (held && access(held, F_OK) == 0) {
		snprintf(waits, sizeof(waits), "%s.waits", held);
		sign = open(waits, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (sign >= 0)
			close(sign);
		while (access(held, F_OK) == 0)
			nanosleep(&moment, NULL);
	}
	return really(fd);
}
