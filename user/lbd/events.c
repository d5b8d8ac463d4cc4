// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring of events.
 */
#include "lbd/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void events_done(struct events *events)
{
	for (size_t i = 0; i < EVENTS_MAX; i++)
		free(events->ring[i].message);
	free(events->error.message);
	memset(events, 0, sizeof(*events));
}

void events_add(struct events *events, enum log_level level, const char *kind, const char *format, ...)
{
	struct event *event;
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_line(level, "event=%s %s", kind, text);

	event = &events->ring[++events->last % EVENTS_MAX];
	free(event->message);
	*event = (struct event){ .id = events->last, .kind = kind, .message = strdup(text) };
	clock_gettime(CLOCK_REALTIME, &event->time);
	if (level <= LOG_LEVEL_ERROR) {
		free(events->error.message);
		events->error = *event;
		events->error.message = strdup(text);
	}
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
	__u64 first = events->last > EVENTS_MAX ? events->last - EVENTS_MAX + 1 : 1;

	if (since >= first)
		first = since + 1;
	json_array(json, "events");
	for (__u64 id = first; id && id <= events->last; id++) {
		const struct event *event = &events->ring[id % EVENTS_MAX];

		json_object(json, NULL);
		json_u64(json, "id", event->id);
		json_time(json, "time", &event->time);
		json_string(json, "kind", event->kind);
		json_string(json, "message", event->message);
		json_object_end(json);
	}
	json_array_end(json);
}
