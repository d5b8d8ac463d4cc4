/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between capture.c (the program, its ring, who listens), capture_program.c and capture_session.c.
 */
#pragma once

#include <systemd/sd-event.h>

#include "lbd/capture/capture.h"
#include "lbd/api/http_stream.h"
#include "lbd/capture/capture_program.h"

/* One client's capture. It lives until its stream is closed; the owner is told when it has come to its end.
 */
struct session {
	struct lbd *lbd;
	struct capture *capture;    /* NULL once ended */
	struct http_stream *stream; /* not owned: it owns the session */
	struct capture_wish wish;
	__u32 number; /* of its filter */
	sd_event_source *deadline;
	struct lb_capture_count before; /* counts of its number when it began */
	__u64 started_ns;               /* CLOCK_MONOTONIC */
	__u64 offset_ns;                /* CLOCK_REALTIME - CLOCK_MONOTONIC, of late */
	__u64 packets;                  /* written */
	__u64 lost;                     /* for want of room: ring and buffer */
	__u64 buffer_lost;              /* of them, here */
	bool full;                      /* wish.packets are there */
	char *buffer;
	size_t begin, end, capacity; /* filled part of buffer */
};

struct session *session_new(struct lbd *lbd, const struct capture_wish *wish);

/* Takes a record that the filter let through. */
void session_take(struct session *session, const struct lb_capture_record *record);

/* Statistics, then nothing more. matched: of the packet path's count. */
void session_conclude(struct session *session, const struct lb_capture_count *now);

/* Ends a session (capture.c): also called when its client is gone. */
void capture_end_session(struct session *session, const char *why);
