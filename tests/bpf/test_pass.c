/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is not for a service of ours reaches the host's stack, unchanged and counted under its reason.
 */
#include "tunnel.h"

#define MAC_BROADCAST "ff:ff:ff:ff:ff:ff"
#define MAC_MULTICAST "01:80:c2:00:00:0e"

static void serve(struct rig *rig)
{
	rig_services(rig, "{'name':'web','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]},"
			  "{'name':'dns','vip':'" VIP6 "','protocol':'udp','port':53,'ring_size':64,"
			  "'backends':[{'name':'a','address':'fd00::1'}]}");
}

static void before_the_first_commit(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rig->path.tables.control->active, 0);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, 53)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0)), ICMP);
	expect_pass(rig, frame(ETH(.type = 0x0806), DATA(46)), NOT_IP);
}

/* The VIP unchanged, tags kept, however long the packet, whatever its TTL. */
static void a_backend_that_is_this_host(void **state)
{
	static const char *const forwards[] = { "l2", "ipip", "gue" };
	struct rig *rig = *state;

	for (size_t i = 0; i < 3; i++) {
		rig->hop = (struct lb_nexthop){ .resolved = true, .local = true };
		rig_services(rig, rig_web(forwards[i], "tcp", VIP4, "'10.0.1.1'", NULL));
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), LOCAL);
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), TCP(4000, 80), DATA(1400)),
			    LOCAL);
		expect_pass(rig, frame(ETH(), VLAN(7), IP4(CLIENT4, VIP4), TCP(4000, 80)), LOCAL);
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81)), NO_SERVICE);
		rig_services(rig, rig_web(forwards[i], "udp", VIP6, "'fd00::1'", NULL));
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, 80), DATA(10)), LOCAL);
	}
}

/* It would be sent back here: l2 keeps the VIP as the destination. */
static void a_router_is_no_way_for_l2(void **state)
{
	struct rig *rig = *state;

	rig->hop.routed = true;
	rig_services(rig, rig_web("l2", "tcp", VIP4, "'10.0.1.1'", NULL));
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NEXTHOP);
	rig_services(rig, rig_web("ipip", "tcp", VIP4, "'10.0.1.1'", NULL));
	rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)));
	assert_int_equal(rig->last.action, XDP_TX);
}

static void not_ip(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	expect_pass(rig, frame(ETH(.type = 0x0806), DATA(46)), NOT_IP); /* ARP */
	expect_pass(rig, frame(ETH(.type = 0x8847), DATA(46)), NOT_IP); /* MPLS */
	expect_pass(rig, frame(ETH(.type = 46), DATA(46)), NOT_IP);     /* IEEE 802.3 length */
	expect_pass(rig, frame(ETH(.type = 0xffff), DATA(0)), NOT_IP);
	expect_pass(rig, frame(ETH(), VLAN(7, .next = 0x0806), DATA(46)), NOT_IP);
}

static void multicast_and_broadcast(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	expect_pass(rig, frame(ETH(.to = MAC_BROADCAST, .type = 0x0806), DATA(46)), MULTICAST);
	expect_pass(rig, frame(ETH(.to = MAC_MULTICAST, .type = 0x88cc), DATA(46)), MULTICAST);
	/* Even to a service: the frame has many receivers. */
	expect_pass(rig, frame(ETH(.to = MAC_BROADCAST), IP4(CLIENT4, VIP4), TCP(4000, 80)), MULTICAST);
	expect_pass(rig, frame(ETH(.to = "33:33:00:00:00:01"), IP6(CLIENT6, VIP6), UDP(4000, 53)), MULTICAST);
	expect_pass(rig, frame(ETH(.to = "33:33:00:00:00:01"), VLAN(1), IP6(CLIENT6, VIP6), UDP(4000, 53)),
		    MULTICAST);
}

static void no_service(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 22)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.11"), TCP(4000, 80)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(VIP4, CLIENT4), TCP(80, 4000)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 53)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:113::11"), UDP(4000, 53)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:113:1::10"), UDP(4000, 53)), NO_SERVICE);
	/* An IPv6 address that begins with the bytes of the IPv4 VIP. */
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "cb00:710a::"), TCP(4000, 80)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 22), DATA(1), PAD(5)), NO_SERVICE);
	/* The last hop is the stack's business. */
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), TCP(4000, 22)), NO_SERVICE);
}

static void other_protocols(void **state)
{
	struct rig *rig = *state;
	const int protocols[] = { 2, 4, 41, 47, 50, 51, 89, 103, 112, 132, 136, 255 };

	serve(rig);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .type = protocols[i]), DATA(32)), PROTOCOL);
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6, .type = protocols[i]), DATA(32)), PROTOCOL);
	}
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6, .type = 59)), PROTOCOL); /* no next header */
	/* ICMPv6 over IPv4 and ICMP over IPv6 are nothing. */
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .type = 58), DATA(32)), PROTOCOL);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6, .type = 1), DATA(32)), PROTOCOL);
	/* Encapsulated by others: not ours to look into. */
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), IP4(CLIENT4, VIP4), TCP(4000, 80)), PROTOCOL);
}

static void neighbour_discovery_and_other_icmp(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	for (int type = 0; type < 256; type++) {
		/* Echo is answered; errors quote nothing here. */
		if (type != 8)
			expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(type, 0), DATA(24)), ICMP);
		if (type != 128)
			expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), ICMP(type, 0), DATA(24)), ICMP);
	}
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.11"), ICMP(8, 0), DATA(24)), ICMP);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8::1"), ICMP(128, 0), DATA(24)), ICMP);
}

static void too_many_vlan_tags(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	expect_pass(rig, frame(ETH(), VLAN(1), VLAN(2), VLAN(3), IP4(CLIENT4, VIP4), TCP(4000, 80)), VLAN);
	expect_pass(
		rig,
		frame(ETH(), VLAN(1), VLAN(2), VLAN(3), VLAN(4), VLAN(5), IP4(CLIENT4, VIP4), TCP(4000, 80)),
		VLAN);
}

static void too_many_extension_headers(void **state)
{
	struct rig *rig = *state;
	struct layer l[24] = { ETH(), IP6(CLIENT6, VIP6) };

	serve(rig);
	for (int i = 0; i < 12; i++)
		l[2 + i] = EXTENSION(60);
	l[14] = UDP(4000, 53);
	expect_pass(rig, frame_build(l), IPV6_EXTENSION);
}

static void fragments_to_no_service(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.11", .mf = 1, .id = 5), TCP(4000, 80), DATA(8)),
		    FRAGMENT);
	expect_pass(rig,
		    frame(ETH(), IP4(CLIENT4, "203.0.113.11", .offset = 64, .id = 5, .type = 6), DATA(8)),
		    FRAGMENT);
	expect_pass(rig,
		    frame(ETH(), IP6(CLIENT6, "2001:db8::1"), FRAGMENT6(0, 1, 5), UDP(4000, 53), DATA(8)),
		    FRAGMENT);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8::1"), FRAGMENT6(64, 0, 5, .next = 17), DATA(8)),
		    FRAGMENT);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 5, .type = 47), DATA(8)), FRAGMENT);
}

static void cut_short_before_a_service_is_known(void **state)
{
	struct rig *rig = *state;
	const struct frame *v4 = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80));
	const struct frame *v6 = frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, 53));

	serve(rig);
	expect_pass(rig, frame_cut(v4, 14), MALFORMED);
	expect_pass(rig, frame_cut(v4, 33), MALFORMED);
	expect_pass(rig, frame_cut(v6, 53), MALFORMED);
	expect_pass(rig, frame_cut(frame(ETH(), VLAN(1), IP4(CLIENT4, VIP4), TCP(1, 80)), 16), MALFORMED);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(before_the_first_commit),
	RIG_TEST(not_ip),
	RIG_TEST(a_backend_that_is_this_host),
	RIG_TEST(a_router_is_no_way_for_l2),
	RIG_TEST(multicast_and_broadcast),
	RIG_TEST(no_service),
	RIG_TEST(other_protocols),
	RIG_TEST(neighbour_discovery_and_other_icmp),
	RIG_TEST(too_many_vlan_tags),
	RIG_TEST(too_many_extension_headers),
	RIG_TEST(fragments_to_no_service),
	RIG_TEST(cut_short_before_a_service_is_known),
};

RIG_MAIN(tests, rig_setup)
