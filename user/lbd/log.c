// SPDX-License-Identifier: GPL-2.0-only
/*
 * One line per message, in one write, so that lines never mix. Who floods one kind of line keeps no other
 * from being read. Whoever reads them is not waited for: lines that there is no room for are counted, and the
 * next one tells of them.
 */
#include "lbd/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "lbd/clock.h"

#define KINDS_MAX 32u /* those beyond share the last one */
#define KIND_MAX  24u

#define JOURNAL_AGAIN_MS 1000u

static bool prefixed;
static bool with_debug;
static bool to_journal; /* standard error is a stream of journald's */

static struct kind {
	char name[KIND_MAX];
	__u64 tokens, at_ms; /* thousandths of a line that may be written */
	unsigned long long suppressed;
} kinds[KINDS_MAX];
static unsigned long long all_suppressed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what is above, and of lines in a row */

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
		prefixed = to_journal = true;
}

/* Lines are shorter than PIPE_BUF: where a pipe or a terminal can be written to, a whole one can. */
static bool has_room(void)
{
	struct pollfd poll_fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLOUT | POLLNVAL | POLLERR));
}

static bool send_line(const char *line, size_t length)
{
	ssize_t n = send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = has_room() ? write(STDERR_FILENO, line, length) : -1;
	return n >= 0;
}

/* A journald that was stopped has forgotten its streams: the one that comes after it is asked for another. */
static bool journal_again(void)
{
	static __u64 asked_ms;
	int fd;

	if (!to_journal || (errno != EPIPE && errno != ECONNRESET) ||
	    (asked_ms && now_ms() - asked_ms < JOURNAL_AGAIN_MS))
		return false;
	asked_ms = now_ms();
	fd = sd_journal_stream_fd("lbd", LOG_LEVEL_INFO, true);
	if (fd < 0)
		return false;
	dup2(fd, STDERR_FILENO);
	close(fd);
	return true;
}

static bool deliver(const char *line, size_t length)
{
	return send_line(line, length) || (journal_again() && send_line(line, length));
}

static void send_or_count(const char *line, size_t length)
{
	static unsigned long lost;
	char text[96];
	int n;

	if (lost) {
		n = snprintf(text, sizeof(text), "%sevent=log lost=%lu why=\"nobody read them\"\n",
			     prefixed ? "<4>" : "lbd: ", lost);
		if (!deliver(text, (size_t)n)) {
			lost++;
			return;
		}
		lost = 0;
	}
	if (!deliver(line, length))
		lost++;
}

/* text: without line break. */
static void write_line(enum log_level level, const char *text)
{
	char line[2200];
	int n = prefixed ? snprintf(line, sizeof(line) - 1, "<%d>%s", level, text)
			 : snprintf(line, sizeof(line) - 1, "lbd: %s", text);

	n = n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : n;
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[n] = '\n';
	send_or_count(line, (size_t)n + 1);
}

/* --- by kind ---------------------------------------------------------------------------------------------
 */

static struct kind *kind_of(const char *text)
{
	static const char mark[] = "event=";
	size_t length = 0;
	unsigned int i;

	if (strncmp(text, mark, sizeof(mark) - 1) == 0) {
		text += sizeof(mark) - 1;
		length = strcspn(text, " ");
		length = length < KIND_MAX ? length : KIND_MAX - 1;
	}
	for (i = 0; i < KINDS_MAX - 1 && kinds[i].name[0]; i++)
		if (length && strncmp(kinds[i].name, text, length) == 0 && !kinds[i].name[length])
			return &kinds[i];
	if (!length || i == KINDS_MAX - 1)
		i = KINDS_MAX - 1;
	if (!kinds[i].name[0]) {
		snprintf(kinds[i].name, KIND_MAX, "%.*s", i == KINDS_MAX - 1 ? 5 : (int)length,
			 i == KINDS_MAX - 1 ? "other" : text);
		kinds[i].tokens = LOG_BURST * 1000;
		kinds[i].at_ms = now_ms();
	}
	return &kinds[i];
}

static bool may_write(struct kind *kind)
{
	__u64 now = now_ms();

	kind->tokens += (now - kind->at_ms) * LOG_PER_S;
	kind->at_ms = now;
	if (kind->tokens > LOG_BURST * 1000)
		kind->tokens = LOG_BURST * 1000;
	return kind->tokens >= 1000;
}

static void tell_of(struct kind *kind)
{
	char text[128];

	if (!kind->suppressed)
		return;
	snprintf(text, sizeof(text), "event=log kind=%.23s suppressed=%llu", kind->name, kind->suppressed);
	kind->suppressed = 0;
	write_line(LOG_LEVEL_WARNING, text);
}

static bool admit(struct kind *kind)
{
	if (!may_write(kind)) {
		kind->suppressed++;
		all_suppressed++;
		return false;
	}
	kind->tokens -= 1000;
	tell_of(kind);
	return true;
}

void log_tell_suppressed(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < KINDS_MAX; i++)
		if (kinds[i].suppressed && may_write(&kinds[i]))
			tell_of(&kinds[i]);
	pthread_mutex_unlock(&lock);
}

unsigned long long log_suppressed(void)
{
	return all_suppressed;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[2048];
	int saved = errno;
	va_list ap;

	if (level == LOG_LEVEL_DEBUG && !with_debug)
		return;
	va_start(ap, format);
	errno = saved;
	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	pthread_mutex_lock(&lock);
	if (level == LOG_LEVEL_DEBUG || admit(kind_of(text)))
		write_line(level, text);
	pthread_mutex_unlock(&lock);
	errno = saved;
}
