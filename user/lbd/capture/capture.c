// SPDX-License-Identifier: GPL-2.0-only
/*
 * The captures that run, and the program that the interfaces have for as long as there are any.
 */
#include "lbd/capture/capture.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "lbd/capture/capture_internal.h"
#include "lb/access.h"
#include "lbd/clock.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/lbd.h"

/* Records in one go; then others have their turn. */
#define RECORDS_AT_ONCE 1024u
/* More than are in the ring at any moment. */
#define RECORDS_IN_RING (LB_CAPTURE_RING / sizeof(struct lb_capture_record) + 1)

struct capture {
	struct lbd *lbd;
	struct capture_program program;
	struct ring_buffer *ring;
	sd_event_source *io;
	struct session *session[LB_CAPTURES_MAX];
	bool several_interfaces; /* that the program is for */
	unsigned int budget;
};

static __u64 monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static __u64 realtime_offset_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (__u64)ts.tv_sec * 1000000000 + ts.tv_nsec - monotonic_ns();
}

/* --- the ring --------------------------------------------------------------------------------------------
 */

static int on_record(void *context, void *data, size_t size)
{
	const struct lb_capture_record *record = data;
	struct capture *capture = context;

	if (size < sizeof(*record))
		return 0;
	for (__u32 i = 0; i < LB_CAPTURES_MAX; i++)
		if (capture->session[i] && record->captures >> i & 1)
			session_take(capture->session[i], record);
	return --capture->budget ? 0 : -EAGAIN;
}

/* Hands on what is in the ring, at most so many records. */
static void drain(struct capture *capture, unsigned int budget)
{
	__u64 offset_ns = realtime_offset_ns();

	for (__u32 i = 0; i < LB_CAPTURES_MAX; i++)
		if (capture->session[i])
			capture->session[i]->offset_ns = offset_ns;
	capture->budget = budget;
	ring_buffer__consume(capture->ring);
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct capture *capture = context;

	drain(capture, RECORDS_AT_ONCE);
	for (__u32 i = 0; i < LB_CAPTURES_MAX; i++) {
		struct session *session = capture->session[i];

		if (!session)
			continue;
		if (session->full)
			capture_end_session(session, "it has its packets");
		else if (session->end > session->begin)
			http_stream_wake(session->stream);
	}
	return 0;
}

/* --- the program -----------------------------------------------------------------------------------------
 */

static void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	sd_event_source_disable_unref(capture->io);
	ring_buffer__free(capture->ring);
	capture_program_unload(&capture->program);
	free(capture);
}

static bool any_attached(const struct lbd *lbd, enum attached_by by)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by == by)
			return true;
	return false;
}

/* More than a second of the verifier's, beside the loop. */
struct loading {
	const struct lbd *lbd;
	struct capture_program *program;
	bool maps_only, frags;
	int r;
	struct lb_error *error;
};

static void load_beside(void *context)
{
	struct loading *loading = context;
	const struct lbd *lbd = loading->lbd;

	loading->r = capture_program_load(&lbd->maps, lbd->several_interfaces, loading->maps_only,
					  loading->frags, loading->program, loading->error);
	/* As interfaces_program() does: whatever kind the device map is of. */
	if (loading->r == -EINVAL)
		loading->r = capture_program_load(&lbd->maps, lbd->several_interfaces, loading->maps_only,
						  !loading->frags, loading->program, loading->error);
}

static int load(struct lbd *lbd, struct capture_program *ret, struct lb_error *error)
{
	struct loading loading = {
		.lbd = lbd,
		.program = ret,
		.maps_only = !any_attached(lbd, ATTACHED_LINK),
		.frags = interfaces_frags(lbd),
		.error = error,
	};

	task_beside(load_beside, &loading);
	return loading.r;
}

static int capture_new(struct lbd *lbd, struct capture **ret, struct lb_error *error)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int r;

	if (!capture)
		return lb_error_set(error, ENOMEM, "out of memory");
	capture->lbd = lbd;
	capture->program.fd = -1;
	capture->several_interfaces = lbd->several_interfaces;
	r = load(lbd, &capture->program, error);
	if (r < 0)
		goto undo;
	capture->ring = ring_buffer__new(capture->program.ring_fd, on_record, capture, NULL);
	r = capture->ring ? sd_event_add_io(lbd->event, &capture->io, capture->program.ring_fd, EPOLLIN,
					    on_ring, capture)
			  : -errno;
	if (r >= 0)
		r = sd_event_source_set_priority(capture->io, SD_EVENT_PRIORITY_IDLE);
	if (r < 0) {
		r = lb_error_set(error, -r, "Failed to read the ring of the capturing program: %s",
				 strerror(-r));
		goto undo;
	}
	*ret = capture;
	return 0;
undo:
	capture_free(capture);
	return r;
}

/* Loads the program and has the interfaces run it. */
static int switch_on(struct lbd *lbd, struct lb_error *error)
{
	struct lb_error ignored;
	int r;

	if (!any_attached(lbd, ATTACHED_LINK) && !any_attached(lbd, ATTACHED_DISPATCHER))
		return lb_error_set(error, ENODEV,
				    "the packet path is attached to no interface: there is nothing to "
				    "capture");
	r = capture_new(lbd, &lbd->capture, error);
	if (r < 0)
		return r;
	r = interfaces_reprogram(lbd, error);
	if (r == 0)
		return 0;
	capture_free(lbd->capture);
	lbd->capture = NULL;
	interfaces_reprogram(lbd, &ignored);
	return r;
}

static void switch_off(struct lbd *lbd, bool swap)
{
	struct capture *capture = lbd->capture;
	struct lb_error error = {};

	lbd->capture = NULL;
	if (swap && interfaces_reprogram(lbd, &error) < 0)
		events_told(&lbd->events, LOG_LEVEL_ERROR, "capture", "error", error.text);
	capture_free(capture);
}

/* Ends captures whose program is for another number of interfaces than there now are. */
static const struct capture_program *capture_program(struct lbd *lbd)
{
	if (lbd->capture && lbd->capture->several_interfaces != lbd->several_interfaces)
		capture_stop_all(lbd, "the interfaces change", false);
	return lbd->capture ? &lbd->capture->program : NULL;
}

/* --- sessions --------------------------------------------------------------------------------------------
 */

size_t capture_count(const struct lbd *lbd)
{
	size_t n = 0;

	for (__u32 i = 0; lbd->capture && i < LB_CAPTURES_MAX; i++)
		n += !!lbd->capture->session[i];
	return n;
}

/* Everything but the program. */
static void conclude(struct session *session, const char *why)
{
	struct capture *capture = session->capture;
	struct lb_capture_count now;

	LB_STORE(&capture->program.filters->capture[session->number].by, 0);
	if (session->stream) /* else nobody wants it */
		drain(capture, RECORDS_IN_RING);
	capture_program_count(&capture->program, session->number, &now);
	session_conclude(session, &now);
	capture->session[session->number] = NULL;
	session->capture = NULL;
	session->deadline = sd_event_source_disable_unref(session->deadline);
	if (session->stream)
		http_stream_wake(session->stream);
	events_add(&session->lbd->events, LOG_LEVEL_INFO, "capture",
		   "ended=yes why=\"%s\" packets=%llu lost=%llu", why, session->packets, session->lost);
}

/* Unless somebody has come meanwhile. */
static void switch_off_idle(void *context)
{
	struct lbd *lbd = context;

	if (lbd->capture && capture_count(lbd) == 0)
		switch_off(lbd, true);
}

void capture_end_session(struct session *session, const char *why)
{
	struct lbd *lbd = session->lbd;

	if (!session->capture)
		return;
	conclude(session, why);
	if (capture_count(lbd) == 0)
		task_call(lbd->tasks, &lbd->task.capture, switch_off_idle, lbd);
}

void capture_stop_all(struct lbd *lbd, const char *why, bool swap)
{
	for (__u32 i = 0; lbd->capture && i < LB_CAPTURES_MAX; i++)
		if (lbd->capture->session[i])
			conclude(lbd->capture->session[i], why);
	if (lbd->capture)
		switch_off(lbd, swap);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *context)
{
	capture_end_session(context, "its time is over");
	return 0;
}

static int enter(struct capture *capture, struct session *session)
{
	struct lb_capture_filter *filter;
	__u32 number = 0;
	int r = 0;

	while (number < LB_CAPTURES_MAX && capture->session[number])
		number++;
	if (number == LB_CAPTURES_MAX)
		return -EBUSY;
	if (session->wish.seconds)
		r = sd_event_add_time(capture->lbd->event, &session->deadline, CLOCK_MONOTONIC,
				      now_ms() * 1000 + session->wish.seconds * 1000000, 1000, on_deadline,
				      session);
	if (r < 0)
		return r;
	capture_program_count(&capture->program, number, &session->before);
	session->number = number;
	session->capture = capture;
	session->started_ns = monotonic_ns();
	capture->session[number] = session;
	filter = &capture->program.filters->capture[number];
	*filter = session->wish.filter;
	filter->by = 0;
	LB_STORE(&filter->by, session->wish.filter.by | LB_CAPTURE_ON);
	return 0;
}

int capture_start(struct lbd *lbd, const struct capture_wish *wish, struct http_stream **ret_stream,
		  struct lb_error *error)
{
	struct session *session;
	int r;

	if (capture_count(lbd) == LB_CAPTURES_MAX)
		return lb_error_set(error, EBUSY, "%u captures run already: end one of them",
				    LB_CAPTURES_MAX);
	session = session_new(lbd, wish);
	if (!session)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = lbd->capture ? 0 : switch_on(lbd, error);
	if (r == 0) {
		r = enter(lbd->capture, session);
		if (r < 0)
			lb_error_set(error, -r, "Failed to start the capture: %s", strerror(-r));
		if (r < 0 && capture_count(lbd) == 0)
			switch_off(lbd, true);
	}
	if (r < 0) {
		http_stream_free(session->stream);
		return r;
	}
	events_add(&lbd->events, LOG_LEVEL_INFO, "capture", "started=yes %s", wish->text);
	*ret_stream = session->stream;
	return 0;
}

static void stop(struct lbd *lbd, const char *why)
{
	capture_stop_all(lbd, why, false);
}

void capture_init(struct lbd *lbd)
{
	lbd->capture_program = capture_program;
	lbd->capture_stop = stop;
}
