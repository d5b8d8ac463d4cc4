// SPDX-License-Identifier: GPL-2.0-only
/*
 * One client's capture: records become pcapng in a bounded buffer that the HTTP server empties. A client that
 * reads more slowly than packets come loses packets, and is told how many.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lbd/capture/capture_internal.h"
#include "lbd/lbd.h"
#include "packet/pcapng.h"
#include "lbd/stats/stats.h"

#define BUFFER_BYTES (4u << 20) /* at most */
#define BUFFER_FIRST (64u << 10)

enum { INTERFACE_IN, INTERFACE_OUT };

static __u64 clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (__u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Room for bytes behind end; whether there is. */
static bool make_room(struct session *session, size_t bytes)
{
	size_t used = session->end - session->begin, capacity = session->capacity;
	char *buffer;

	if (session->begin && session->end + bytes > session->capacity) {
		memmove(session->buffer, session->buffer + session->begin, used);
		session->begin = 0;
		session->end = used;
	}
	if (session->end + bytes <= session->capacity)
		return true;
	while (capacity < used + bytes)
		capacity = capacity ? 2 * capacity : BUFFER_FIRST;
	if (capacity > BUFFER_BYTES)
		return false;
	buffer = realloc(session->buffer, capacity);
	if (!buffer)
		return false;
	session->buffer = buffer;
	session->capacity = capacity;
	return true;
}

static const char *verdict_name(__u32 verdict)
{
	static const char *const names[] = { [XDP_ABORTED] = "XDP_ABORTED",
					     [XDP_DROP] = "XDP_DROP",
					     [XDP_PASS] = "XDP_PASS",
					     [XDP_TX] = "XDP_TX",
					     [XDP_REDIRECT] = "XDP_REDIRECT" };

	return verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "?";
}

static const char *service_name(const struct session *session, __u32 id)
{
	const struct lb_tables *tables = &session->lbd->maps.tables;

	return id < tables->sizes.services && tables->service_meta[id].used ? tables->service_meta[id].name
									    : "-";
}

static const char *backend_name(const struct session *session, __u32 id)
{
	const struct lb_tables *tables = &session->lbd->maps.tables;

	return id < tables->sizes.counters && tables->backend_meta[id].used ? tables->backend_meta[id].name
									    : "-";
}

static const char *interface_name(const struct lbd *lbd, __u32 ifindex)
{
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].ifindex == (int)ifindex)
			return lbd->attachments[i].wanted.name;
	return "-";
}

static void comment(const struct session *session, const struct lb_capture_record *record, char *text,
		    size_t size)
{
	const struct reason_text *reason = reason_find(record->decision.reason);

	snprintf(text, size, "verdict=%s reason=%s service=%s backend=%s generation=%llu interface=%s",
		 verdict_name(record->verdict), reason ? reason->name : "-",
		 service_name(session, record->decision.service),
		 backend_name(session, record->decision.backend), record->decision.generation,
		 interface_name(session->lbd, record->ifindex));
}

/* Ids are used again after a while: what the filter names must still be what it was. */
static bool still_means_the_same(const struct session *session, const struct lb_capture_record *record)
{
	const struct capture_wish *wish = &session->wish;

	return (!wish->service[0] ||
		strcmp(wish->service, service_name(session, record->decision.service)) == 0) &&
	       (!wish->backend[0] ||
		strcmp(wish->backend, backend_name(session, record->decision.backend)) == 0);
}

void session_take(struct session *session, const struct lb_capture_record *record)
{
	struct lb_pcapng_packet packet = {
		.interface = INTERFACE_IN,
		.time_ns = record->enter_ns + session->offset_ns,
		.data = record->in,
		.bytes = record->in_snap < LB_CAPTURE_SNAP ? record->in_snap : LB_CAPTURE_SNAP,
		.frame_bytes = record->in_bytes,
		.id = session->packets + 1,
		.xdp_verdict = record->verdict,
	};
	char text[512];

	/* Of a former session with this number, or of what once had this id. */
	if (session->full || record->enter_ns < session->started_ns || !still_means_the_same(session, record))
		return;
	if (!make_room(session, 2 * LB_PCAPNG_BLOCK_MAX)) {
		session->buffer_lost++;
		return;
	}
	comment(session, record, text, sizeof(text));
	packet.comment = text;
	session->end +=
		lb_pcapng_packet(session->buffer + session->end, session->capacity - session->end, &packet);
	if (record->out_bytes) {
		packet.interface = INTERFACE_OUT;
		packet.outbound = true;
		packet.time_ns = record->leave_ns + session->offset_ns;
		packet.data = record->out;
		packet.bytes = record->out_snap < LB_CAPTURE_SNAP ? record->out_snap : LB_CAPTURE_SNAP;
		packet.frame_bytes = record->out_bytes;
		session->end += lb_pcapng_packet(session->buffer + session->end,
						 session->capacity - session->end, &packet);
	}
	session->full = ++session->packets == session->wish.packets;
}

void session_conclude(struct session *session, const struct lb_capture_count *now)
{
	__u64 ring_lost = now->lost - session->before.lost;
	struct lb_pcapng_statistics statistics = {
		.start_ns = session->started_ns + session->offset_ns,
		.end_ns = clock_ns(CLOCK_REALTIME),
	};

	session->lost = session->buffer_lost + ring_lost;
	statistics.received = session->packets + session->lost;
	statistics.dropped = session->lost;
	for (__u32 i = INTERFACE_IN; i <= INTERFACE_OUT; i++) {
		statistics.interface = i;
		/* A buffer that is full has room for this: packets leave twice LB_PCAPNG_BLOCK_MAX free. */
		if (make_room(session, LB_PCAPNG_BLOCK_MAX))
			session->end += lb_pcapng_statistics(session->buffer + session->end,
							     session->capacity - session->end, &statistics);
	}
}

/* --- the stream ------------------------------------------------------------------------------------------
 */

static ssize_t stream_read(void *context, char *to, size_t room)
{
	struct session *session = context;
	size_t n = session->end - session->begin;

	if (!n)
		return session->capture ? 0 : -1;
	n = n < room ? n : room;
	memcpy(to, session->buffer + session->begin, n);
	session->begin += n;
	if (session->begin == session->end)
		session->begin = session->end = 0;
	return n;
}

static void stream_finish(void *context)
{
	capture_end_session(context, "its client has enough");
}

static void stream_closed(void *context)
{
	struct session *session = context;

	session->stream = NULL;
	capture_end_session(session, "its client is gone");
	free(session->buffer);
	free(session);
}

struct session *session_new(struct lbd *lbd, const struct capture_wish *wish)
{
	const struct http_source source = { stream_read, stream_finish, stream_closed, NULL };
	struct session *session = calloc(1, sizeof(*session));
	struct http_source own = source;
	char application[96];
	size_t n;

	if (!session)
		return NULL;
	own.context = session;
	session->lbd = lbd;
	session->wish = *wish;
	session->started_ns = clock_ns(CLOCK_MONOTONIC);
	session->offset_ns = clock_ns(CLOCK_REALTIME) - session->started_ns;
	session->stream = http_stream_new(&own);
	if (!session->stream || !make_room(session, 3 * LB_PCAPNG_BLOCK_MAX)) {
		session->capture = NULL;
		if (session->stream)
			http_stream_free(session->stream);
		else
			free(session);
		return NULL;
	}
	snprintf(application, sizeof(application), "Weir lbd %s", lbd_version);
	n = lb_pcapng_section(session->buffer, session->capacity, application);
	n += lb_pcapng_interface(session->buffer + n, session->capacity - n, "in", "packets as they came in",
				 LB_CAPTURE_SNAP);
	n += lb_pcapng_interface(session->buffer + n, session->capacity - n, "out",
				 "the same packets as they left", LB_CAPTURE_SNAP);
	session->end = n;
	return session;
}
