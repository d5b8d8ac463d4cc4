/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why packets to a service are dropped: no backend, no next hop, no room, no interface, broken tables,
 * limits; and the sample that lbctl drops shows. Headers that lie are in test_bad_headers.c.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lb/types.h"
#include "lb_ingress.skel.h"
#include "low_headroom.skel.h"
#include "lb/slot.h"
#include "tunnel.h"

static const struct frame *web(void)
{
	return frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(4));
}

static void no_backend(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, "{'name':'web','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1','state':'down'}]}");
	expect_drop(rig, web(), NO_BACKEND);
	rig_services(rig, "{'name':'web','vip':'" VIP4
			  "','protocol':'tcp','port':80,'ring_size':64,'backends':[]}");
	expect_drop(rig, web(), NO_BACKEND);
}

static void unresolved_nexthop(void **state)
{
	struct rig *rig = *state;

	rig->hop.resolved = false;
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		expect_drop(rig, frame(ETH(), way_ip(w), TCP(4000, 80), DATA(4)), NEXTHOP);
		expect_drop(rig, frame(ETH(), VLAN(9), way_ip(w), TCP(4000, 80), DATA(4)), NEXTHOP);
	}
}

static void egress_is_gone(void **state)
{
	struct rig *rig = *state;

	rig->hop.same_interface = false;
	rig_plug(rig, RIG_PORT, 0);
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		expect_drop(rig, frame(ETH(), way_ip(w), TCP(4000, 80), DATA(4)), EGRESS);
		expect_drop(rig, frame(ETH(), VLAN(9), way_ip(w), TCP(4000, 80), DATA(4)), EGRESS);
	}
	rig_plug(rig, RIG_PORT, rig->peer_ifindex);
	expect_redirect(rig, frame(ETH(), way_ip(&all_ways[N_WAYS - 1]), TCP(4000, 80)), NULL);
}

/* Nobody tells the sender of an ICMP error, or of a later fragment (RFC 1122). */
static void too_big_without_a_reply(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_drop(rig,
		    frame(ETH(), IP4("192.0.2.99", VIP4), ICMP(3, 1), IP4(VIP4, CLIENT4), TCP(80, 4000),
			  DATA(1440)),
		    TOO_BIG);
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 8), TCP(4000, 80), DATA(8)), NULL);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 32, .id = 8, .type = 6), DATA(1464)),
		    TOO_BIG);
}

/* All that backends' packets were counted by. */
static __u64 words_counted(const struct lb_tables *t)
{
	const __u64 *word = (const __u64 *)t->counters;
	size_t n = (size_t)t->sizes.cpus * t->sizes.counters * sizeof(*t->counters) / sizeof(*word);
	__u64 sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += word[i];
	return sum;
}

static void no_headroom(void **state)
{
	struct rig *rig = *state;
	struct low_headroom_bpf *low = low_headroom_bpf__open_and_load();
	const __u32 zero = 0;

	assert_non_null(low);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(low->maps.low_headroom_next), &zero,
					     &rig->path.program_fd, 0),
			 0);
	rig->program_fd = bpf_program__fd(low->progs.low_headroom);
	rig->alone = true;
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		int room = way_overhead(w);

		way_service(rig, w, "tcp", NULL);
		/* 256 bytes are there, of which the kernel keeps 40 to itself. */
		for (int spare = -6; spare <= 1; spare++) {
			const struct frame *in =
				frame(ETH(), way_ip(w), TCP(4000, 80, .flags = TCP_SYN), DATA(28));
			const struct frame *tagged =
				frame(ETH(), VLAN(4), way_ip(w), TCP(4000, 80), DATA(28));

			low->bss->low_headroom_taken = 216 - room - spare;
			if (low->bss->low_headroom_taken > 216)
				continue;
			if (spare < 0) {
				/* It was counted as sent before there was known to be no room: no word
				 * of that is left. */
				__u64 before = words_counted(&rig->path.tables);

				expect_drop(rig, in, HEADROOM);
				assert_int_equal(words_counted(&rig->path.tables), before);
			} else {
				expect_tx(rig, in, NULL);
			}
			/* The tag that comes off makes room. */
			if (spare < -4)
				expect_drop(rig, tagged, HEADROOM);
			else
				expect_tx(rig, tagged, NULL);
		}
	}
	low_headroom_bpf__destroy(low);

	/* The same, host-compiled. */
	rig->host->headroom = 40 + 19;
	way_service(rig, &all_ways[2], "udp", NULL);
	struct frame *in = frame(ETH(), way_ip(&all_ways[2]), UDP(4000, 80), DATA(40));
	assert_int_equal(host_packet(rig->host, in->bytes, &in->length, FRAME_MAX), XDP_DROP);
	/* An answer that is longer than what it answers needs room as well: without, there is none. */
	for (__u32 room = 27; room <= 28; room++) {
		in = frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), UDP(4000, 80), DATA(40));
		rig->host->headroom = 40 + room;
		assert_int_equal(host_packet(rig->host, in->bytes, &in->length, FRAME_MAX),
				 room < 28 ? XDP_DROP : XDP_TX);
	}
	rig->host->headroom = HOST_HEADROOM;
}

static void tables_that_name_nothing(void **state)
{
	struct rig *rig = *state;
	struct lb_vip kept, *vip;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	vip = rig_vip(rig, "web");
	kept = *vip;
	/* Tables in chunks are entered by the chunk, flat ones by the flat number. */
	vip->ring_chunk = 999;
	vip->ring_first = 0xfffffff0;
	expect_drop(rig, web(), INTERNAL);
	*vip = kept;
	vip->backend_chunk = 999;
	vip->backend_first = 0xfffffff0;
	expect_drop(rig, web(), INTERNAL);
	*vip = kept;
	rig->path.tables.backend_ids[kept.backend_first] = rig_backend(rig, "web", 0)->counter = 1u << 30;
	expect_drop(rig, web(), INTERNAL);
}

/* A method that no version knows is as good as no next hop. */
static void unknown_method(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	rig_backend(rig, "web", 0)->method = 99;
	expect_drop(rig, web(), NEXTHOP);
}

static void sample_of_a_drop(void **state)
{
	struct rig *rig = *state;
	const struct frame *in = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(300));
	int fd = bpf_map__fd(rig->path.skeleton->maps.lb_samples);
	struct lb_sample sample;
	bool found = false;

	rig_services(rig, "{'name':'web','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1','state':'down'}]}");
	expect_drop(rig, in, NO_BACKEND);
	for (__u32 cpu = 0; cpu < rig->path.tables.sizes.cpus; cpu++) {
		__u32 key = cpu * LB_REASONS_MAX + LB_DROP_NO_BACKEND;

		assert_int_equal(bpf_map_lookup_elem(fd, &key, &sample), 0);
		if (!sample.taken_ns || sample.frame_bytes != in->length)
			continue;
		found = true;
		assert_int_equal(sample.sample_bytes, LB_SAMPLE_BYTES);
		assert_memory_equal(sample.data, in->bytes, LB_SAMPLE_BYTES);
	}
	assert_true(found);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(no_backend),
	RIG_TEST(unresolved_nexthop),
	RIG_TEST(egress_is_gone),
	RIG_TEST(too_big_without_a_reply),
	RIG_TEST(no_headroom),
	RIG_TEST(unknown_method),
	RIG_TEST(tables_that_name_nothing),
	RIG_TEST(sample_of_a_drop),
};

RIG_MAIN(tests, rig_setup)
