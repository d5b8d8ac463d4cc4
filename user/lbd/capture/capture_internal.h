/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between capture.c (the program, its ring, who listens), capture_program.c and capture_session.c.
 */
#pragma once

#include <systemd/sd-event.h>

#include "lbd/capture/capture.h"
#include "lbd/api/http.h"
#include "lbd/kernel/maps.h"

/* lb_capture over the maps of the running program, with maps of its own. */
struct capture_program {
	struct lb_capture_bpf *skeleton;
	int fd;      /* of the program; -1: there are only its maps */
	__u32 id;    /* of its ring: of no other capturing program */
	int ring_fd; /* owned by the skeleton, as the next */
	int counts_fd;
	struct lb_capture_filters *filters; /* memory-mapped */
};
/* Opens the object: the running program's maps, and those of another capturing program, if given. */
int capture_program_open(const struct maps *maps, bool several_interfaces, const struct capture_program *of,
			 struct lb_capture_bpf **ret_skeleton, struct lb_error *error);
/* maps_only: for copies of it in dispatchers, which are programs of another type. frags: as program_load().
 */
int capture_program_load(const struct maps *maps, bool several_interfaces, bool maps_only, bool frags,
			 struct capture_program *ret, struct lb_error *error);
void capture_program_unload(struct capture_program *program);

/* Sum over the CPUs. */
void capture_program_count(const struct capture_program *program, __u32 number,
			   struct lb_capture_count *ret_count);

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
