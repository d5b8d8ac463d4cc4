/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The header that is put in front: DSCP and ECN (RFC 6040), hops (RFC 2003, RFC 2473), options and padding,
 * the edge of the MTU, and what varies with the flow.
 */
#include <arpa/inet.h>

#include "lb/slot.h"
#include "tunnel.h"

static void dscp_and_ecn_are_copied(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		for (int tos = 1; tos < 256; tos += tos < 4 ? 1 : 9) {
			struct layer ip = way_ip(w);

			ip.tos = tos;
			EXPECT_WAY(rig, w, XDP_TX, ETH(), ip, TCP(4000, 80), DATA(10));
		}
	}
}

/* The outer header's label has nothing of the inner one's; traffic class and label of the inner one stay. */
static void inner_flow_label_stays(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		struct layer ip = way_ip(w);

		if (w->vip != 6)
			continue;
		way_service(rig, w, "udp", NULL);
		ip.label = 0xabcde;
		ip.tos = 0xff;
		EXPECT_WAY(rig, w, XDP_TX, ETH(), ip, UDP(4000, 80), DATA(10));
	}
}

static void every_hop_count(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		for (int ttl = 2; ttl < 256; ttl++) {
			struct layer ip = way_ip(w);

			ip.ttl = ttl;
			EXPECT_WAY(rig, w, XDP_TX, ETH(), ip, TCP(4000, 80), DATA(3));
		}
	}
}

static void ttl_of_one_is_not_forwarded(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		struct layer ip = way_ip(w);

		way_service(rig, w, "tcp", NULL);
		for (int ttl = 0; ttl < 2; ttl++) {
			ip.ttl = ttl ? ttl : ZERO;
			if (way_is_l2(w))
				EXPECT_WAY(rig, w, XDP_TX, ETH(), ip, TCP(4000, 80));
			else
				expect_reply(rig, frame(ETH(), ip, TCP(4000, 80)), TTL, NULL);
		}
	}
}

/* The incremental checksum (RFC 1624) where its field is about to wrap, and elsewhere: the id makes it vary.
 */
static void inner_checksum_at_every_edge(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];
	int edges = 0;

	way_service(rig, w, "tcp", NULL);
	for (int id = 1; id < 0x10000; id++) {
		const struct frame *in = frame(ETH(), IP4(CLIENT4, VIP4, .id = id), TCP(4000, 80));
		int edge = in->bytes[24] >= 0xfe || in->bytes[24] <= 1;

		edges += in->bytes[24] == 0xfe && in->bytes[25] == 0xff; /* + 0x0100 is 0, or 0xffff */
		if ((edge && in->bytes[25] % 15 == 0) || id % 511 == 0)
			EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .id = id), TCP(4000, 80));
	}
	assert_true(edges > 0);
}

static void ipv4_options(void **state)
{
	struct rig *rig = *state;
	__u8 options[40];

	memset(options, 1, sizeof(options)); /* no operation */
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		if (w->vip != 4)
			continue;
		for (int n = 4; n <= 40; n += 4) {
			struct layer ip = way_ip(w);

			ip.bytes = options;
			ip.n = n;
			way_service(rig, w, "tcp", NULL);
			EXPECT_WAY(rig, w, XDP_TX, ETH(), ip, TCP(4000, 80, .bytes = options, .n = n),
				   DATA(10));
			way_service(rig, w, "udp", NULL);
			EXPECT_WAY(rig, w, XDP_TX, ETH(), ip, UDP(4000, 80), DATA(10));
		}
	}
}

/* The packet is encapsulated, not the padding: the outer length is that of the inner packet. */
static void padding_is_not_part_of_the_packet(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80), PAD(18));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80), DATA(1), PAD(1));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80), DATA(1), PAD(1000));
	}
}

static void edge_of_the_mtu(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		int header = w->vip == 4 ? 20 : 40, fits = 1500 - way_overhead(w) - header - 20;

		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(fits - 1));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(fits));
		/* Padding behind does not make it larger. */
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(fits), PAD(4));
		expect_reply(rig, frame(ETH(), way_ip(w), TCP(4000, 80), DATA(fits + 1)), TOO_BIG, NULL);
	}
}

/* The last four bytes of the outer source, and the rest of what varies. */
struct varying {
	__u32 source, label;
	__u16 port;
};

static struct varying varying_of(struct rig *rig, const struct way *w, int sport)
{
	struct varying v = {};
	const __u8 *ip;

	rig_run(rig, frame(ETH(), way_ip(w), UDP(sport, 80), DATA(sport % 7)));
	assert_int_equal(rig->last.action, XDP_TX);
	ip = out_ip(rig);
	memcpy(&v.source, ip + (w->backend == 4 ? 12 : 20), 4);
	v.source = ntohl(v.source);
	if (w->backend == 6)
		v.label = (__u32)(ip[1] & 15) << 16 | ip[2] << 8 | ip[3];
	if (way_is_gue(w))
		v.port = (__u16)(ip[w->backend == 4 ? 20 : 40] << 8 | ip[w->backend == 4 ? 21 : 41]);
	/* The header's own checksum holds whatever the source is. */
	if (w->backend == 4)
		assert_int_equal(frame_checksum(ip, 20, 0), 0);
	return v;
}

static void outer_source_varies_with_the_flow(void **state)
{
	struct rig *rig = *state;

	rig->tunnel_source = "{'ipv4':'172.16.0.0/20','ipv6':'fd00:77::/64'}";
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		__u32 sources = 0, labels = 0, ports = 0;
		struct varying first;

		if (way_is_l2(w))
			continue;
		way_service(rig, w, "udp", NULL);
		first = varying_of(rig, w, 1000);
		for (int sport = 1001; sport < 1065; sport++) {
			struct varying v = varying_of(rig, w, sport), again = varying_of(rig, w, sport);

			assert_memory_equal(&v, &again, sizeof(v));
			sources += v.source != first.source;
			labels += v.label != first.label;
			ports += v.port != first.port;
			/* Within the prefix, the rest as configured. */
			if (w->backend == 4)
				assert_int_equal(v.source & 0xfffff000, 0xac100000);
			else
				assert_memory_equal(out_ip(rig) + 8, "\xfd\x00\x00\x77\0\0\0\0\0\0\0\0", 12);
			if (way_is_gue(w))
				assert_in_range(v.port, 0xc000, 0xffff);
		}
		assert_true(sources > 56);
		assert_true(w->backend == 4 || labels > 56);
		assert_true(!way_is_gue(w) || ports > 56);
	}
}

/* Without a prefix the source is the route's, every bit of it. */
/* The bytes that came out, without a tag. */
static struct frame untagged(const struct rig *rig)
{
	struct frame f = rig->last.out;

	if (f.bytes[12] == 0x81 && f.bytes[13] == 0x00) {
		f.length -= 4;
		memmove(f.bytes + 12, f.bytes + 16, f.length - 12);
	}
	return f;
}

/* Neither the slot's state nor the way through the programs shows in what is put in front of a flow. */
static void one_flow_one_outer_header(void **state)
{
	struct rig *rig = *state;

	rig->tunnel_source = "{'ipv4':'172.16.0.0/12','ipv6':'fd00:77::/64'}";
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		for (int sport = 4000; sport < 4003; sport++) {
			const struct frame *plain = frame(ETH(), way_ip(w), TCP(sport, 80), DATA(3)), *tagged;
			struct frame want, got;

			tagged = frame(ETH(), VLAN(5), way_ip(w), TCP(sport, 80), DATA(3));
			rig_fill_slots(rig, "web", lb_slot_make(0, 0, 0));
			expect_tx(rig, plain, NULL);
			want = rig->last.out;
			for (int unsettled = 0; unsettled < 2; unsettled++) {
				expect_tx(rig, plain, &want);
				expect_tx(rig, tagged, NULL);
				got = untagged(rig);
				assert_int_equal(got.length, want.length);
				assert_memory_equal(got.bytes, want.bytes, want.length);
				rig_fill_slots(rig, "web", lb_slot_make(0, 0, LB_SLOT_UNSETTLED));
			}
		}
	}
}

static void outer_source_of_the_route(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		if (way_is_l2(w))
			continue;
		way_service(rig, w, "udp", NULL);
		for (int sport = 1000; sport < 1032; sport++)
			EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(sport, 80));
	}
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(dscp_and_ecn_are_copied),
	RIG_TEST(inner_flow_label_stays),
	RIG_TEST(every_hop_count),
	RIG_TEST(ttl_of_one_is_not_forwarded),
	RIG_TEST(inner_checksum_at_every_edge),
	RIG_TEST(ipv4_options),
	RIG_TEST(padding_is_not_part_of_the_packet),
	RIG_TEST(edge_of_the_mtu),
	RIG_TEST(outer_source_varies_with_the_flow),
	RIG_TEST(one_flow_one_outer_header),
	RIG_TEST(outer_source_of_the_route),
};

RIG_MAIN(tests, rig_setup)
