/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of the observer share: packets of flows that are sampled, and what is told of them. */
#pragma once

#include <arpa/inet.h>
#include <bpf/libbpf.h>

#include "lb/observe.h"
#include "tunnel.h"

#define SERVICE WEB(ipip, tcp, "'10.0.1.1','10.0.1.2'")
#define ISN     1000u
#define EVENTS  4096

static struct {
	struct ring_buffer *ring;
	struct lb_observe_event event[EVENTS];
	__u8 data[EVENTS][64]; /* the first bytes */
	size_t n;
} told;

static inline int take(void *context, void *data, size_t bytes)
{
	const struct lb_observe_event *event = data;

	assert_true(bytes >= sizeof(*event));
	assert_int_equal(bytes, sizeof(*event) + event->data_bytes);
	assert_true(told.n < EVENTS);
	told.event[told.n] = *event;
	memcpy(told.data[told.n++], event + 1, event->data_bytes < 64 ? event->data_bytes : 64);
	return 0;
}

/* What has been told since the last call. */
static inline size_t listen_now(struct rig *rig)
{
	if (!told.ring)
		told.ring = ring_buffer__new(rig->path.observe_events, take, NULL, NULL);
	assert_non_null(told.ring);
	told.n = 0;
	assert_true(ring_buffer__consume(told.ring) >= 0);
	return told.n;
}

static inline void observing(struct rig *rig, const char *service, __u32 level)
{
	rig_services(rig, service);
	rig->alone = true;
	rig->path.observe->limit = LB_OBSERVE_LIMIT(level);
	listen_now(rig);
}

static inline void segment(struct rig *rig, int sport, int flags, __u32 seq, int bytes)
{
	expect_tx(rig,
		  frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80, .flags = flags, .seq = seq), DATA(bytes)),
		  NULL);
}

static inline void connect_from(struct rig *rig, int sport)
{
	segment(rig, sport, TCP_SYN, ISN, 0);
	segment(rig, sport, TCP_ACK, ISN + 1, 0);
}

/* The one event that is there. */
static inline const struct lb_observe_event *only(struct rig *rig, enum lb_observe_event_kind kind)
{
	assert_int_equal(listen_now(rig), 1);
	assert_int_equal(told.event[0].kind, kind);
	return &told.event[0];
}
