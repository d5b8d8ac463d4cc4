/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unsettled slots and the flow table, set and read by hand, for the tests of both. Backend index 0 is at
 * 10.0.1.1, index 1 at 10.0.1.2.
 */
#pragma once

#include "lb/slot.h"
#include "tunnel.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

#define FIRST       0u
#define SECOND      1u
#define NONE        LB_INDEX_NONE
#define CLOCK_S     1000u
#define TCP_SERVICE WEB(ipip, tcp, "'10.0.1.1','10.0.1.2'")
#define UDP_SERVICE WEB(ipip, udp, "'10.0.1.1','10.0.1.2'")

static inline const struct frame *packet(int sport, int flags)
{
	return frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80, .flags = flags),
		     DATA(flags & TCP_SYN ? 0 : 5));
}

static inline const struct frame *datagram(int sport)
{
	return frame(ETH(), IP4(CLIENT4, VIP4), UDP(sport, 80), DATA(5));
}

/* All slots of the service alike. */
static inline void set_slots(struct rig *rig, __u32 cur, __u32 base, __u32 flags)
{
	rig_fill_slots(rig, "web", lb_slot_make(cur, base, flags));
}

/* A service whose slots move from the first backend to the second. */
static inline void moving(struct rig *rig, const char *service)
{
	rig_services(rig, service);
	rig->path.tables.control->clock_s = CLOCK_S;
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED);
}

static inline void goes_to(struct rig *rig, const struct frame *in, __u32 index, const char *file, int line)
{
	rig_expect(rig, in, XDP_TX, 0, NULL, file, line);
	if (rig_backend_taken(rig) != index + 1) {
		printf("# went to backend index %d\n", rig_backend_taken(rig) - 1);
		_fail(file, line);
	}
}
#define GOES_TO(rig, in, index) goes_to(rig, in, index, __FILE__, __LINE__)

/* Flows that are remembered, and the word of the last of them. */
static inline unsigned int remembered(const struct rig *rig, __u64 *ret_word)
{
	const struct lb_flow_bucket *flows = rig->path.tables.flows;
	unsigned int n = 0;

	for (__u32 i = 0; i < RIG_BUCKETS * LB_FLOWS_PER_BUCKET; i++) {
		__u64 word = flows[i / LB_FLOWS_PER_BUCKET].flow[i % LB_FLOWS_PER_BUCKET].word;

		if (!lb_flow_state(word))
			continue;
		n++;
		if (ret_word)
			*ret_word = word;
	}
	return n;
}

/* The place of the only flow that is remembered. */
static inline __u32 only_place(const struct rig *rig)
{
	const struct lb_flow_bucket *flows = rig->path.tables.flows;
	__u32 place = LB_FLOW_NOWHERE;

	for (__u32 i = 0; i < RIG_BUCKETS * LB_FLOWS_PER_BUCKET; i++) {
		if (!lb_flow_state(flows[i / LB_FLOWS_PER_BUCKET].flow[i % LB_FLOWS_PER_BUCKET].word))
			continue;
		assert_int_equal(place, LB_FLOW_NOWHERE);
		place = i;
	}
	assert_int_not_equal(place, LB_FLOW_NOWHERE);
	return place;
}

/* The marks and counts (struct lb_flow_numbers: rest) of the only flow that is remembered. */
static inline __u64 only_rest(const struct rig *rig)
{
	__u32 place = only_place(rig);

	return rig->path.tables.flows[place / LB_FLOWS_PER_BUCKET]
		.flow[place % LB_FLOWS_PER_BUCKET]
		.numbers.rest;
}

/* The newest stamp beside the service's ring. */
static inline __u32 newest_stamp_of(struct rig *rig, const char *service)
{
	__u32 newest = 0, line = lb_vip_ring_line(rig_vip(rig, service)) % LB_CHUNK_LINES;

	for (__u32 i = 0; i < 64; i++) {
		__u32 stamp = rig->path.tables.stamps[line + i / 16].stamp_s[i % 16];

		newest = stamp > newest ? stamp : newest;
	}
	return newest;
}

static inline __u32 newest_stamp(struct rig *rig)
{
	return newest_stamp_of(rig, "web");
}
