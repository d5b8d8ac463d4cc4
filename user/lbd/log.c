// SPDX-License-Identifier: GPL-2.0-only
/*
 * One line per message, in one write, so that lines never mix. Whoever reads them is not waited for: lines
 * that there is no room for are counted, and the next one tells of them.
 */
#include "lbd/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool prefixed;
static bool with_debug;

void log_open(bool journal, bool debug)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long device, inode;
	struct stat st;

	with_debug = debug;
	prefixed = journal;
	/* The variable is inherited by children whose stderr goes elsewhere: systemd.exec(5). */
	if (stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	    st.st_dev == device && st.st_ino == inode)
		prefixed = true;
}

/* Lines are shorter than PIPE_BUF: where a pipe or a terminal can be written to, a whole one can. */
static bool has_room(void)
{
	struct pollfd poll_fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLOUT | POLLNVAL | POLLERR));
}

static bool write_line(const char *line, size_t length)
{
	ssize_t n = send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = has_room() ? write(STDERR_FILENO, line, length) : -1;
	return n >= 0;
}

static void write_or_count(const char *line, size_t length)
{
	static unsigned long lost;
	unsigned long before = __atomic_exchange_n(&lost, 0, __ATOMIC_RELAXED);
	char text[96];
	int n;

	if (before) {
		n = snprintf(text, sizeof(text), "%sevent=log lost=%lu why=\"nobody read them\"\n",
			     prefixed ? "<4>" : "lbd: ", before);
		if (!write_line(text, n)) {
			__atomic_add_fetch(&lost, before + 1, __ATOMIC_RELAXED);
			return;
		}
	}
	if (!write_line(line, length))
		__atomic_add_fetch(&lost, 1, __ATOMIC_RELAXED);
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[2048];
	int saved = errno, at = 0, n;
	va_list ap;

	if (level == LOG_LEVEL_DEBUG && !with_debug)
		return;
	if (prefixed)
		at = snprintf(line, sizeof(line), "<%d>", level);
	else
		at = snprintf(line, sizeof(line), "lbd: ");
	va_start(ap, format);
	errno = saved;
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	n = at + n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : at + n;
	for (int i = at; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[n] = '\n';
	write_or_count(line, n + 1);
	errno = saved;
}
