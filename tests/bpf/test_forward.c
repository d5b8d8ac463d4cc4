/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every method, family of VIP and backend, and protocol; out by the interface the packet came in on and by
 * another; and what is counted for it.
 */
#include "tunnel.h"

static void every_way_by_the_same_interface(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80, .flags = TCP_SYN), DATA(0));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(1300));
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80), DATA(10));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80), DATA(0));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80), DATA(1301));
	}
}

static void every_way_by_another_interface(void **state)
{
	struct rig *rig = *state;

	rig->hop.same_interface = false;
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_REDIRECT, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_REDIRECT, ETH(), way_ip(w), UDP(4000, 80), DATA(10));
	}
}

static void counts_packets_bytes_and_syns(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80, .flags = TCP_SYN), PAD(6)));
	assert_int_equal(rig->last.bytes, 54); /* of the packet as it came, without padding */
	assert_int_equal(rig->last.syn, 1);
	rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80, .flags = TCP_SYN | TCP_ACK)));
	assert_int_equal(rig->last.syn, 0);
	rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(100)));
	assert_int_equal(rig->last.bytes, 154);
	assert_int_equal(rig->last.syn, 0);
	assert_int_equal(rig->last.known + rig->last.base + rig->last.refused, 0);
}

/* A zero UDP checksum means none (RFC 768): it is not ours to judge. */
static void udp_without_checksum_is_left_alone(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	way_service(rig, w, "udp", NULL);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80, .check = ZERO), DATA(10));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), UDP(4000, 80, .check = 0x1234), DATA(10));
}

static void jumbo_frame_in_several_parts(void **state)
{
	struct rig *rig = *state;

	rig->hop.mtu = 9000;
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(8800));
	}
}

/* Everything is forwarded whatever part of its headers is in the linear part. */
static void headers_beyond_the_linear_part(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		for (rig->linear = 14; rig->linear < 80; rig->linear += rig->linear < 20 ? 1 : 7)
			EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(200));
		rig->linear = 0;
	}
}

static void one_backend_of_several(void **state)
{
	struct rig *rig = *state;
	int seen[4] = {};

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1','10.0.1.2','10.0.1.3'"));
	for (int port = 1; port <= 300; port++) {
		rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(port, 80)));
		assert_int_equal(rig->last.action, XDP_TX);
		assert_in_range(rig->last.out.bytes[33], 1, 3);
		/* Ethernet and outer header name the same backend. */
		assert_int_equal(rig->last.out.bytes[5], rig->last.out.bytes[33]);
		seen[rig->last.out.bytes[33]]++;
	}
	for (int i = 1; i <= 3; i++)
		assert_in_range(seen[i], 60, 140);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(every_way_by_the_same_interface), RIG_TEST(every_way_by_another_interface),
	RIG_TEST(counts_packets_bytes_and_syns),   RIG_TEST(udp_without_checksum_is_left_alone),
	RIG_TEST(jumbo_frame_in_several_parts),    RIG_TEST(headers_beyond_the_linear_part),
	RIG_TEST(one_backend_of_several),
};

RIG_MAIN(tests, rig_setup)
