// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring of events, and its file: a line an event, appended; written anew when it has grown to twice what
 * the ring can hold. A line that was cut off by a crash or a full disk is left out.
 */
#include "lbd/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_MAX    1024u
#define LINE_MAX_BYTES (MESSAGE_MAX + 128)
#define FILE_BYTES_MAX (2u << 20)
#define FILE_NEW       EVENTS_FILE ".new"

static void put(struct events *events, const struct event *event)
{
	struct event *place = &events->ring[event->id % EVENTS_MAX];

	free(place->message);
	*place = *event;
	events->last = event->id;
}

/* Id of the oldest that there is; one above the last: there is none. */
static __u64 first_of(const struct events *events)
{
	__u64 id = events->last > EVENTS_MAX ? events->last - EVENTS_MAX + 1 : 1;

	while (id <= events->last && events->ring[id % EVENTS_MAX].id != id)
		id++;
	return id;
}

/* --- the file --------------------------------------------------------------------------------------------
 */

static int format_line(const struct event *event, char line[LINE_MAX_BYTES])
{
	int n = snprintf(line, LINE_MAX_BYTES, "%llu %lld %ld %d %s %s\n", event->id,
			 (long long)event->time.tv_sec, event->time.tv_nsec, event->level, event->kind,
			 event->message ? event->message : "");

	return n < (int)LINE_MAX_BYTES ? n : 0;
}

/* False: it is none of ours, or not whole. */
static bool parse_line(char *line, struct event *event)
{
	int level, at = 0;
	long long seconds;

	*event = (struct event){};
	if (sscanf(line, "%llu %lld %ld %d %23s %n", &event->id, &seconds, &event->time.tv_nsec, &level,
		   event->kind, &at) != 5 ||
	    at == 0 || event->id == 0 || event->time.tv_nsec < 0 || event->time.tv_nsec > 999999999)
		return false;
	event->time.tv_sec = seconds;
	event->level = (enum log_level)level;
	event->message = strdup(line + at);
	return event->message;
}

static void give_up(struct events *events, const char *what)
{
	log_error("event=events file=%s error=\"%s: %s\" kept=no", EVENTS_FILE, what, strerror(errno));
	if (events->fd >= 0)
		close(events->fd);
	events->fd = -1;
}

/* All of a file's bytes, or none: what was begun is taken back. */
static bool write_whole(int fd, const char *bytes, size_t n, size_t at)
{
	ssize_t written = pwrite(fd, bytes, n, (off_t)at);

	if (written == (ssize_t)n)
		return true;
	if (written >= 0)
		errno = ENOSPC;
	return false;
}

/* What the ring has, as a file. */
static bool write_ring(const struct events *events, int fd, size_t *ret_bytes)
{
	char line[LINE_MAX_BYTES];

	*ret_bytes = 0;
	for (__u64 id = first_of(events); id <= events->last; id++) {
		size_t n = (size_t)format_line(&events->ring[id % EVENTS_MAX], line);

		if (!write_whole(fd, line, n, *ret_bytes))
			return false;
		*ret_bytes += n;
	}
	return true;
}

/* Another file, in the place of this one. */
static void write_anew(struct events *events)
{
	size_t bytes;
	int fd = openat(events->directory_fd, FILE_NEW,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0 || !write_ring(events, fd, &bytes) ||
	    renameat(events->directory_fd, FILE_NEW, events->directory_fd, EVENTS_FILE) < 0) {
		give_up(events, "writing it anew");
		if (fd >= 0)
			close(fd);
		return;
	}
	if (events->fd >= 0)
		close(events->fd);
	events->fd = fd;
	events->file_bytes = bytes;
}

static void append(struct events *events, const struct event *event)
{
	char line[LINE_MAX_BYTES];
	size_t n;

	if (events->fd < 0)
		return;
	n = (size_t)format_line(event, line);
	if (!write_whole(events->fd, line, n, events->file_bytes)) {
		int saved = errno;

		if (ftruncate(events->fd, (off_t)events->file_bytes) == 0 && saved == ENOSPC)
			return; /* this one is not kept; later there may be room */
		errno = saved;
		give_up(events, "writing");
		return;
	}
	events->file_bytes += n;
	if (events->file_bytes > FILE_BYTES_MAX)
		write_anew(events);
}

static void read_file(struct events *events, FILE *file)
{
	char line[LINE_MAX_BYTES];
	struct event event;

	while (fgets(line, sizeof(line), file)) {
		size_t n = strlen(line);

		if (n == 0 || line[n - 1] != '\n')
			continue;
		line[n - 1] = '\0';
		if (!parse_line(line, &event))
			continue;
		/* In order, without holes: what is not is of a file that others wrote into. */
		if (events->last && event.id != events->last + 1) {
			free(event.message);
			continue;
		}
		if (!events->last)
			events->last = event.id - 1;
		put(events, &event);
	}
}

/* What came before the file was there, behind what it has. */
static void add_again(struct events *events, struct event *early, __u64 n)
{
	for (__u64 i = 0; i < n; i++) {
		early[i].id = events->last + 1;
		put(events, &early[i]);
	}
	if (events->error.id && n)
		events->error.id = events->last;
}

void events_open(struct events *events, int directory_fd)
{
	struct event *early = calloc(EVENTS_MAX, sizeof(*early));
	__u64 n = 0, first = first_of(events);
	struct stat st;
	FILE *file;
	int fd;

	if (!early)
		return;
	for (__u64 id = first; id <= events->last; id++)
		early[n++] = events->ring[id % EVENTS_MAX];
	memset(events->ring, 0, sizeof(events->ring));
	events->last = 0;
	events->directory_fd = directory_fd;
	events->fd = -1;
	fd = openat(directory_fd, EVENTS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
	if (file) {
		read_file(events, file);
		fclose(file);
	} else if (fd >= 0) {
		close(fd);
	}
	add_again(events, early, n);
	free(early);
	write_anew(events);
}

/* --- the ring --------------------------------------------------------------------------------------------
 */

void events_done(struct events *events)
{
	for (size_t i = 0; i < EVENTS_MAX; i++)
		free(events->ring[i].message);
	free(events->error.message);
	if (events->directory_fd > 0 && events->fd >= 0)
		close(events->fd);
	memset(events, 0, sizeof(*events));
}

void events_add(struct events *events, enum log_level level, const char *kind, const char *format, ...)
{
	struct event event = { .id = events->last + 1, .level = level };
	char text[MESSAGE_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c;
	log_line(level, "event=%s %s", kind, text);

	snprintf(event.kind, sizeof(event.kind), "%s", kind);
	event.message = strdup(text);
	clock_gettime(CLOCK_REALTIME, &event.time);
	put(events, &event);
	if (events->directory_fd > 0)
		append(events, &event);
	if (level <= LOG_LEVEL_ERROR) {
		free(events->error.message);
		events->error = event;
		events->error.message = strdup(text);
	}
}

const char *events_quoted(const char *text, char buffer[EVENTS_QUOTED_MAX])
{
	snprintf(buffer, EVENTS_QUOTED_MAX, "%s", text);
	for (char *c = buffer; *c; c++)
		*c = *c == '"' ? '\'' : *c;
	return buffer;
}

void events_told(struct events *events, enum log_level level, const char *kind, const char *key,
		 const char *text)
{
	char quoted[EVENTS_QUOTED_MAX];

	events_add(events, level, kind, "%s=\"%s\"", key, events_quoted(text, quoted));
}

void json_time(struct json *json, const char *key, const struct timespec *time)
{
	char text[40];
	struct tm tm;
	size_t n;

	gmtime_r(&time->tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ldZ", time->tv_nsec / 1000000);
	json_string(json, key, text);
}

void events_write(const struct events *events, __u64 since, struct json *json)
{
	__u64 oldest = first_of(events), first = oldest;
	bool ahead = since > events->last;

	if (!ahead && since >= oldest)
		first = since + 1;
	json_array(json, "events");
	for (__u64 id = first; id <= events->last; id++) {
		const struct event *event = &events->ring[id % EVENTS_MAX];

		json_object(json, NULL);
		json_u64(json, "id", event->id);
		json_time(json, "time", &event->time);
		json_string(json, "kind", event->kind);
		json_string(json, "message", event->message);
		json_object_end(json);
	}
	json_array_end(json);
	json_u64(json, "oldest", events->last ? oldest : 0);
	json_u64(json, "last", events->last);
	json_u64(json, "missed", ahead || first <= since + 1 ? 0 : first - since - 1);
	json_bool(json, "ahead", ahead);
}
