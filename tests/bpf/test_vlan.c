/* SPDX-License-Identifier: GPL-2.0-only */
/* IEEE 802.1Q and 802.1ad: up to two tags come off, whatever else the packet is; the one of the way is
 * pushed. */
#include "tunnel.h"

static void one_tag_every_way(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(0xa123), way_ip(w), TCP(4000, 80), DATA(10));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7, .type = 0x88a8), way_ip(w), TCP(4000, 80),
			   DATA(10));
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(0), way_ip(w), UDP(4000, 80), DATA(1), PAD(20));
	}
}

static void two_tags_every_way(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7, .type = 0x88a8), VLAN(4095), way_ip(w),
			   TCP(4000, 80), DATA(9));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7), VLAN(8), way_ip(w), TCP(4000, 80), DATA(9));
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7), VLAN(8), way_ip(w), UDP(4000, 80), DATA(1200));
	}
}

/* A tag is not part of the flow: with and without it, the same backend. */
static void a_tag_does_not_move_the_flow(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1','10.0.1.2','10.0.1.3'"));
	for (int sport = 1; sport < 100; sport++) {
		int taken;

		rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80)));
		taken = rig_backend_taken(rig);
		rig_run(rig, frame(ETH(), VLAN(sport), IP4(CLIENT4, VIP4), TCP(sport, 80)));
		assert_int_equal(rig_backend_taken(rig), taken);
	}
}

static void options_and_ttl_behind_a_tag(void **state)
{
	struct rig *rig = *state;
	__u8 options[8] = { 1, 1, 1, 1, 1, 1, 1, 0 };
	const struct way *w = &all_ways[2];

	way_service(rig, w, "tcp", NULL);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(3),
		   IP4(CLIENT4, VIP4, .tos = 0xb9, .ttl = 2, .bytes = options, .n = 8), TCP(4000, 80));
	expect_reply(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, VIP4, .ttl = 1), TCP(4000, 80)), TTL, NULL);
	expect_pass(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, VIP4), TCP(4000, 81)), NO_SERVICE);
}

static void bad_headers_behind_a_tag(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_drop(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, VIP4, .length = 41), TCP(4000, 80)), IP_HEADER);
	expect_drop(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, VIP4, .ihl = 4), TCP(4000, 80)), IP_HEADER);
	expect_drop(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, VIP4), TCP(4000, 80, .doff = 6)), TCP_HEADER);
	expect_pass(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, VIP4), TCP(4000, 81, .doff = 6)), NO_SERVICE);
}

/* The same edge of the MTU as without tags: the MTU is of the IP packet. */
static void edge_of_the_mtu_with_tags(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		int fits = 1500 - way_overhead(w) - (w->vip == 4 ? 20 : 40) - 20;

		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7), VLAN(8), way_ip(w), TCP(4000, 80), DATA(fits));
		expect_reply(rig, frame(ETH(), VLAN(7), VLAN(8), way_ip(w), TCP(4000, 80), DATA(fits + 1)),
			     TOO_BIG, NULL);
	}
}

#define TAG (0x8100a064u) /* 802.1Q, priority 5, VLAN 100 */

/* A way with a tag: pushed upon packets of every form, instead of what they came with. */
static void the_tag_of_the_way_is_pushed(void **state)
{
	struct rig *rig = *state;

	for (int tx = 0; tx < 2; tx++)
		for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
			int action = tx ? XDP_TX : XDP_REDIRECT;

			rig_plug_tagged(rig, RIG_PORT, rig->peer_ifindex, tx ? TAG : 0x88a80007u);
			rig->hop.same_interface = tx;
			way_service(rig, w, "tcp", NULL);
			EXPECT_WAY(rig, w, action, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
			EXPECT_WAY(rig, w, action, ETH(), way_ip(w), TCP(4000, 80, .flags = 2));
			EXPECT_WAY(rig, w, action, ETH(), VLAN(0xa123), way_ip(w), TCP(4000, 80), DATA(10));
			EXPECT_WAY(rig, w, action, ETH(), VLAN(7), VLAN(8), way_ip(w), TCP(4000, 80));
			way_service(rig, w, "udp", NULL);
			EXPECT_WAY(rig, w, action, ETH(), way_ip(w), UDP(4000, 80), DATA(1), PAD(20));
		}
}

/* As without: the MTU is of the IP packet, the answer names what fits, a TTL that is used up is told of. */
static void what_a_tagged_way_does_not_take(void **state)
{
	struct rig *rig = *state;

	rig_plug_tagged(rig, RIG_PORT, rig->peer_ifindex, TAG);
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		int fits = 1500 - way_overhead(w) - (w->vip == 4 ? 20 : 40) - 20;

		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(fits));
		expect_reply(rig, frame(ETH(), way_ip(w), TCP(4000, 80), DATA(fits + 1)), TOO_BIG, NULL);
		expect_reply(rig, frame(ETH(), VLAN(7), way_ip(w), TCP(4000, 80), DATA(fits + 1)), TOO_BIG,
			     NULL);
	}
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), TCP(4000, 80)), TTL, NULL);
}

/* Wildcard services, and slots that are not settled, come to the same end. */
static void a_tag_whatever_the_service(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	rig_plug_tagged(rig, RIG_PORT, rig->peer_ifindex, TAG);
	way_service(rig, w, "tcp", "'affinity':'source'");
	EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(the_tag_of_the_way_is_pushed), RIG_TEST(what_a_tagged_way_does_not_take),
	RIG_TEST(a_tag_whatever_the_service),   RIG_TEST(one_tag_every_way),
	RIG_TEST(two_tags_every_way),           RIG_TEST(a_tag_does_not_move_the_flow),
	RIG_TEST(options_and_ttl_behind_a_tag), RIG_TEST(bad_headers_behind_a_tag),
	RIG_TEST(edge_of_the_mtu_with_tags),
};

RIG_MAIN(tests, rig_setup)
