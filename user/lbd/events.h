/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happened: the last EVENTS_MAX things worth telling, for GET /v1/events; each is logged as well, and
 * kept in a file of the state directory, so that the next agent goes on with them. Messages are key=value.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lbd/api/json.h"
#include "lbd/log.h"

#define EVENTS_MAX      1000u
#define EVENTS_KIND_MAX 24u
#define EVENTS_FILE     "events" /* in the state directory */

struct event {
	__u64 id;             /* counts from 1; goes on over restarts */
	struct timespec time; /* wall clock */
	enum log_level level;
	char kind[EVENTS_KIND_MAX]; /* start, apply, rollback, override, reload, nexthop, link, attach, ... */
	char *message;              /* owned; NULL without memory */
};

struct events {
	struct event ring[EVENTS_MAX];
	__u64 last;         /* id of the newest; 0: none */
	struct event error; /* newest at level error since the start; id 0: none */
	int directory_fd;   /* ours; -1 or 0: nothing is kept */
	int fd;             /* of the file; -1: it cannot be written */
	size_t file_bytes;
};

/* Goes on with what is kept in the directory (a descriptor, which stays the caller's), and keeps what is to
 * come there. What cannot be read or written is told in the log, once: events go on without. */
void events_open(struct events *events, int directory_fd);
void events_done(struct events *events);

/* kind: below EVENTS_KIND_MAX letters. Line breaks and control characters become spaces. */
void events_add(struct events *events, enum log_level level, const char *kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same of one text: key="text". */
void events_told(struct events *events, enum log_level level, const char *kind, const char *key,
		 const char *text);

/* Text for a value in quotes: without quotes of its own. Returns the buffer. */
#define EVENTS_QUOTED_MAX 600u
const char *events_quoted(const char *text, char buffer[EVENTS_QUOTED_MAX]);

/*
 * Members of the answer: "events" after since, oldest first; "oldest" and "last", ids of what there is;
 * "missed": so many after since are no longer there; "ahead": since is beyond the last one, so it is of
 * another history, and all that there is is told.
 */
void events_write(const struct events *events, __u64 since, struct json *json);

/* RFC 3339, UTC, milliseconds. */
void json_time(struct json *json, const char *key, const struct timespec *time);
