/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments and IPv6 extension headers. Later fragments follow their first; without it they are treated as
 * the service says. The table of first fragments outlives a test: every test uses identifications of its own.
 */
#include "tunnel.h"

#define HOP_BY_HOP  0x100
#define ROUTING     43
#define DESTINATION 60

static void first_fragment_goes_where_its_flow_goes(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		if (w->vip != 4)
			continue;
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 1),
			   UDP(4000, 80, .length = 3000), DATA(64));
		EXPECT_WAY(rig, w, XDP_TX, ETH(),
			   IP4(CLIENT4, VIP4, .mf = 1, .offset = 72, .id = 1, .type = 17), DATA(64));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .offset = 136, .id = 1, .type = 17),
			   DATA(9), PAD(8));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(6),
			   IP4(CLIENT4, VIP4, .offset = 136, .id = 1, .type = 17), DATA(9));
	}
}

static void ipv6_fragments(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		if (w->vip != 6)
			continue;
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(0, 1, 2),
			   UDP(4000, 80, .length = 3000), DATA(64));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(72, 1, 2, .next = 17),
			   DATA(64));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(136, 0, 2, .next = 17),
			   DATA(3));
		/* Headers in front of the fragment header are in every fragment. */
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION),
			   FRAGMENT6(0, 1, 3), UDP(4000, 80, .length = 3000), DATA(64));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION),
			   FRAGMENT6(72, 0, 3, .next = 17), DATA(64));
	}
}

/* RFC 6946: offset 0 and no more to come is a whole packet. */
static void atomic_fragment_is_a_whole_packet(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		if (w->vip != 6)
			continue;
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(0, 0, 4), TCP(4000, 80),
			   DATA(10));
		expect_drop(rig,
			    frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(0, 0, 4), TCP(4000, 80, .doff = 4)),
			    TCP_HEADER);
	}
}

/* Over many flows and backends: every later fragment goes where its first went. */
static void later_fragments_follow_among_many(void **state)
{
	struct rig *rig = *state;
	int taken[200];

	rig_services(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2','10.0.1.3'"));
	for (int i = 0; i < 200; i++) {
		rig_run(rig, frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 1000 + i),
				   UDP(4000 + i, 80, .length = 999), DATA(8)));
		assert_int_equal(rig->last.action, XDP_TX);
		taken[i] = rig_backend_taken(rig);
	}
	for (int i = 0; i < 200; i++) {
		expect_tx(rig,
			  frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .id = 1000 + i, .type = 17), DATA(8)),
			  NULL);
		assert_int_equal(rig_backend_taken(rig), taken[i]);
	}
	/* The key is all of source, destination, protocol, identification. */
	expect_pass(rig,
		    frame(ETH(), IP4("198.51.100.8", VIP4, .offset = 16, .id = 1000, .type = 17), DATA(8)),
		    FRAGMENT_UNKNOWN);
	expect_pass(rig,
		    frame(ETH(), IP4(CLIENT4, "203.0.113.99", .offset = 16, .id = 1000, .type = 17), DATA(8)),
		    FRAGMENT);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .id = 1000, .type = 6), DATA(8)),
		    FRAGMENT);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .id = 999, .type = 17), DATA(8)),
		    FRAGMENT_UNKNOWN);
}

/* Offsets count from 8, to the last that there can be. */
static void first_and_last_offset(void **state)
{
	struct rig *rig = *state;
	const int offsets[] = { 8, 16, 32760, 65528 };

	rig_services(rig, "{'name':'a','vip':'" VIP4 "','protocol':'udp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]},"
			  "{'name':'b','vip':'" VIP6 "','protocol':'udp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'fd00::1'}]}");
	for (size_t i = 0; i < 4; i++) {
		for (int more = 0; more < 2; more++) {
			expect_pass(rig,
				    frame(ETH(),
					  IP4(CLIENT4, VIP4, .offset = offsets[i], .mf = more, .id = 70),
					  UDP(1, 80)),
				    FRAGMENT_UNKNOWN);
			expect_pass(
				rig,
				frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(offsets[i], more, 70), UDP(1, 80)),
				FRAGMENT_UNKNOWN);
		}
	}
}

static void fragment_before_its_first(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	way_service(rig, w, "udp", NULL);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 20, .type = 17), DATA(8)),
		    FRAGMENT_UNKNOWN);
	way_service(rig, w, "udp", "'fragments':'drop'");
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 20, .type = 17), DATA(8)),
		    FRAGMENT);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 20), UDP(4000, 80, .length = 900),
		   DATA(64));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 20, .type = 17), DATA(8));
	way_service(rig, &all_ways[N_WAYS - 1], "udp", "'fragments':'drop'");
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(72, 0, 20, .next = 17), DATA(8)),
		    FRAGMENT);
}

static void first_fragment_is_forgotten_after_its_time(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	way_service(rig, w, "udp", NULL);
	rig->path.tables.control->clock_s = 5000;
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 30), UDP(4000, 80, .length = 900),
		   DATA(64));
	/* A CPU whose clock was read a tick earlier. */
	rig->path.tables.control->clock_s = 4999;
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 30, .type = 17), DATA(8));
	rig->path.tables.control->clock_s = 5000 + LB_FRAGMENT_AGE_S;
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 30, .type = 17), DATA(8));
	rig->path.tables.control->clock_s = 5001 + LB_FRAGMENT_AGE_S;
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 30, .type = 17), DATA(8)),
		    FRAGMENT_UNKNOWN);
}

/* The service, or the backend, that the first fragment went to is gone when the later one comes. */
static void what_the_first_went_to_is_gone(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	way_service(rig, w, "udp", NULL);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 40), UDP(4000, 80, .length = 900),
		   DATA(64));
	rig_backend(rig, "web", 0)->flags |= LB_BACKEND_DEAD;
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 40, .type = 17), DATA(8)),
		    FRAGMENT_UNKNOWN);
	rig_services(rig, "{'name':'other','vip':'203.0.113.77','protocol':'udp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]}");
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 40, .type = 17), DATA(8)),
		    FRAGMENT);
}

/* With affinity source the address is enough: the same backend, first fragment or not. */
static void by_source_no_first_fragment_is_needed(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2','10.0.1.3'", "'affinity':'source'"));
	for (int i = 1; i < 100; i++) {
		char client[32];
		int taken;

		snprintf(client, sizeof(client), "198.51.100.%d", i);
		rig_run(rig, frame(ETH(), IP4(client, VIP4), UDP(4000, 80), DATA(8)));
		taken = rig_backend_taken(rig);
		expect_tx(rig, frame(ETH(), IP4(client, VIP4, .offset = 72, .id = 50, .type = 17), DATA(8)),
			  NULL);
		assert_int_equal(rig_backend_taken(rig), taken);
	}
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 50, .type = 6), DATA(8)),
		    FRAGMENT);
}

/* A first fragment that holds no whole transport header is an attack (RFC 1858). */
static void tiny_first_fragment(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_drop(
		rig,
		frame_cut(frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 60, .length = 28), TCP(4000, 80)),
			  42),
		TCP_HEADER);
}

static void extension_headers(void **state)
{
	struct rig *rig = *state;
	__u8 long_one[64] = {};

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		if (w->vip != 6)
			continue;
		way_service(rig, w, "tcp", NULL);
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(HOP_BY_HOP), TCP(4000, 80),
			   DATA(9));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION, .n = 24),
			   TCP(4000, 80), DATA(9));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(HOP_BY_HOP),
			   EXTENSION(ROUTING, .n = 24), EXTENSION(DESTINATION), TCP(4000, 80), DATA(9));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(2), IP6(CLIENT6, VIP6, .tos = 0x2e, .label = 0x54321),
			   EXTENSION(DESTINATION, .bytes = long_one, .n = 64),
			   TCP(4000, 80, .flags = TCP_SYN));
		/* As deep as we look, and with the transport header at the end of what we look at. */
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION),
			   EXTENSION(DESTINATION), EXTENSION(DESTINATION), EXTENSION(DESTINATION),
			   EXTENSION(DESTINATION), TCP(4000, 80));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION, .n = 192),
			   TCP(4000, 80));
	}
}

/* Headers that would have the transport header where we do not look: for the host. */
static void extension_headers_too_far(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB6(ipip, tcp, "'fd00::1'"));
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION, .n = 512), TCP(4000, 80)),
		    IPV6_EXTENSION);
	expect_pass(rig,
		    frame(ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION, .n = 128),
			  EXTENSION(DESTINATION, .n = 128), TCP(4000, 80)),
		    IPV6_EXTENSION);
}

/* An extension header that says it is longer than the packet. */
static void extension_headers_that_lie(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB6(ipip, tcp, "'fd00::1'"));
	for (int length = 4; length < 255; length += 25) {
		rig_run(rig, frame(ETH(), IP6(CLIENT6, VIP6), EXTENSION(DESTINATION, .length = length),
				   TCP(4000, 80)));
		assert_int_equal(rig->last.action, XDP_PASS);
	}
	/* It ends within the frame, but not within the packet: padding is no transport header. */
	rig_run(rig, frame(ETH(), IP6(CLIENT6, VIP6, .length = 8), EXTENSION(DESTINATION, .next = 6), DATA(0),
			   PAD(40)));
	assert_int_not_equal(rig->last.action, XDP_TX);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(first_fragment_goes_where_its_flow_goes),
	RIG_TEST(ipv6_fragments),
	RIG_TEST(atomic_fragment_is_a_whole_packet),
	RIG_TEST(later_fragments_follow_among_many),
	RIG_TEST(first_and_last_offset),
	RIG_TEST(fragment_before_its_first),
	RIG_TEST(first_fragment_is_forgotten_after_its_time),
	RIG_TEST(what_the_first_went_to_is_gone),
	RIG_TEST(by_source_no_first_fragment_is_needed),
	RIG_TEST(tiny_first_fragment),
	RIG_TEST(extension_headers),
	RIG_TEST(extension_headers_too_far),
	RIG_TEST(extension_headers_that_lie),
};

RIG_MAIN(tests, rig_setup)
