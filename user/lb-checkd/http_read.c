// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a peer's bytes libcurl reads. It has no bound of its own: it reads on as long as there is more,
 * and whoever sends HTTP/2 frames that come to nothing, as fast as they are taken, keeps it, and the loop,
 * for ever. So its recv() is this one, by the rules of linking: a program's own symbols come before those of
 * its libraries (test_checkd fails where that does not hold). In one turn it gets so much, and then is told
 * that there is no more for now; of one connection so much in all, and then that it has failed.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lb-checkd/checkd.h"

#define TURN_MAX 65536u /* bytes in one call of libcurl */
#define CONNECTION_MAX                                                                                       \
	(1u << 20) /* of headers, certificates, 64 KiB of a body: all that is of use is less                 \
		    */

static struct {
	bool on;      /* libcurl has been called */
	size_t left;  /* of this turn */
	__u32 *taken; /* by descriptor; owned */
	size_t n;
} reading;

void http_read_begin(void)
{
	reading.on = true;
	reading.left = TURN_MAX;
}

void http_read_end(void)
{
	reading.on = false;
}

int http_read_made(int fd)
{
	size_t n = reading.n ? reading.n : 64;
	__u32 *more;

	while (n <= (size_t)fd)
		n *= 2;
	if (n > reading.n) {
		more = realloc(reading.taken, n * sizeof(*more));
		if (!more)
			return -ENOMEM;
		reading.taken = more;
		reading.n = n;
	}
	reading.taken[fd] = 0;
	return 0;
}

bool http_read_too_much(int fd)
{
	return fd >= 0 && (size_t)fd < reading.n && reading.taken[fd] >= CONNECTION_MAX;
}

static ssize_t receive(int fd, void *buffer, size_t size, int flags)
{
	return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t n;

	if (!reading.on || fd < 0 || (size_t)fd >= reading.n)
		return receive(fd, buffer, size, flags);
	if (http_read_too_much(fd) || !reading.left) {
		errno = reading.left ? ECONNRESET : EAGAIN;
		return -1;
	}
	n = receive(fd, buffer, size < reading.left ? size : reading.left, flags);
	if (n > 0) {
		reading.left -= (size_t)n;
		reading.taken[fd] += (__u32)n;
	}
	return n;
}
