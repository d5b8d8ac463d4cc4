/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happened: the last EVENTS_MAX things worth telling, for GET /v1/events; each is logged as well.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>
#include <time.h>

#include "lbd/api/json.h"
#include "lbd/log.h"

#define EVENTS_MAX 1000u

struct event {
	__u64 id;             /* counts from 1 */
	struct timespec time; /* wall clock */
	const char *kind; /* static: start, apply, rollback, override, reload, nexthop, link, attach, ... */
	char *message;    /* owned */
};

struct events {
	struct event ring[EVENTS_MAX];
	__u64 last;         /* id of the newest; 0: none */
	struct event error; /* newest at level error; id 0: none */
};

void events_done(struct events *events);

/* kind: a static string. */
void events_add(struct events *events, enum log_level level, const char *kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Members of the answer: "events" after since, oldest first. */
void events_write(const struct events *events, __u64 since, struct json *json);

/* RFC 3339, UTC, milliseconds. */
void json_time(struct json *json, const char *key, const struct timespec *time);
