/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP: errors about a flow follow it, echo to a VIP is answered, packets that do not fit are answered with
 * the size that would.
 */
#include "tunnel.h"

#define ROUTER4 "192.0.2.99"
#define ROUTER6 "2001:db8:99::1"
#define ETHER   14

/* Back to where the packet came from. */
#define ETH_BACK() ETH(.from = MAC_LB, .to = MAC_CLIENT)

static void errors_go_the_way_of_their_flow(void **state)
{
	struct rig *rig = *state;
	const int types4[][2] = { { 3, 0 }, { 3, 1 }, { 3, 3 }, { 3, 13 }, { 11, 0 }, { 11, 1 }, { 12, 0 } };
	const int types6[][2] = { { 1, 0 }, { 1, 4 }, { 3, 0 }, { 3, 1 }, { 4, 1 } };

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		for (int tcp = 0; tcp < 2; tcp++) {
			const struct layer l4 = tcp ? TCP(80, 4000) : UDP(80, 4000);

			way_service(rig, w, tcp ? "tcp" : "udp", NULL);
			for (size_t i = 0; w->vip == 4 && i < 7; i++)
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(ROUTER4, VIP4),
					   ICMP(types4[i][0], types4[i][1]), IP4(VIP4, CLIENT4, .ttl = 1), l4,
					   DATA(30));
			for (size_t i = 0; w->vip == 6 && i < 5; i++)
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(ROUTER6, VIP6),
					   ICMP(types6[i][0], types6[i][1]), IP6(VIP6, CLIENT6, .ttl = 1), l4,
					   DATA(30));
			if (w->vip == 4) {
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(ROUTER4, VIP4),
					   ICMP(3, 4, .word = 1400), IP4(VIP4, CLIENT4), l4);
				EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(5), IP4(ROUTER4, VIP4),
					   ICMP(3, 4, .word = 576), IP4(VIP4, CLIENT4), l4);
			} else {
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(ROUTER6, VIP6),
					   ICMP(2, 0, .word = 1280), IP6(VIP6, CLIENT6), l4);
				EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(5), IP6(ROUTER6, VIP6),
					   ICMP(2, 0, .word = 1400), IP6(VIP6, CLIENT6), l4);
			}
		}
	}
}

/* RFC 792 promises eight bytes of the transport header, not more. */
static void eight_bytes_of_transport_are_enough(void **state)
{
	struct rig *rig = *state;
	static const __u8 ports[8] = { 0, 80, 0x0f, 0xa0, 1, 2, 3, 4 };
	__u8 options[40] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	const struct way *w = &all_ways[2];

	way_service(rig, w, "tcp", NULL);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 1400),
		   IP4(VIP4, CLIENT4, .length = 1500, .type = 6), DATA(8, .bytes = ports));
	/* Options, in the error's own header and in the quoted one. */
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(ROUTER4, VIP4, .bytes = options, .n = 40), ICMP(11, 0),
		   IP4(VIP4, CLIENT4, .length = 1500, .type = 6, .bytes = options, .n = 40),
		   DATA(8, .bytes = ports));
	/* Fewer, or those of padding alone, name no flow. */
	expect_pass(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 1400),
			  IP4(VIP4, CLIENT4, .length = 1500, .type = 6), DATA(3, .bytes = ports)),
		    ICMP);
	expect_pass(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 1400),
			  IP4(VIP4, CLIENT4, .length = 1500, .type = 6), PAD(8, .bytes = ports)),
		    ICMP);
}

static void extension_headers_in_the_quote(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[5 - 1];

	assert_int_equal(w->vip, 6);
	way_service(rig, w, "udp", NULL);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(ROUTER6, VIP6), ICMP(2, 0, .word = 1300), IP6(VIP6, CLIENT6),
		   EXTENSION(60), EXTENSION(43), UDP(80, 4000), DATA(20));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(ROUTER6, VIP6), EXTENSION(0x100), ICMP(2, 0, .word = 1300),
		   IP6(VIP6, CLIENT6), FRAGMENT6(0, 1, 88), UDP(80, 4000), DATA(20));
	/* A later fragment has no ports. */
	expect_pass(rig,
		    frame(ETH(), IP6(ROUTER6, VIP6), ICMP(2, 0, .word = 1300), IP6(VIP6, CLIENT6),
			  FRAGMENT6(64, 0, 88, .next = 17), DATA(20)),
		    ICMP);
}

/* Whatever the affinity: the error reaches the backend that the flow has. */
static void every_affinity(void **state)
{
	struct rig *rig = *state;
	const char *affinities[] = { "'affinity':'flow'", "'affinity':'source'", "'affinity':'quic'" };
	int seen[4] = {};

	for (int a = 0; a < 3; a++) {
		rig_services(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2','10.0.1.3'", affinities[a]));
		for (int i = 0; i < 60; i++) {
			char client[32];
			int taken;

			snprintf(client, sizeof(client), "198.51.100.%d", i + 1);
			rig_run(rig, frame(ETH(), IP4(client, VIP4), UDP(4000 + i, 80), DATA(8)));
			taken = rig_backend_taken(rig);
			expect_tx(rig,
				  frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 1400),
					IP4(VIP4, client), UDP(80, 4000 + i)),
				  NULL);
			assert_int_equal(rig_backend_taken(rig), taken);
			seen[taken]++;
		}
	}
	assert_true(seen[1] > 20 && seen[2] > 20 && seen[3] > 20);
}

static void errors_about_nothing_of_ours(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	/* Another port, another protocol, somebody else's packet, no packet. */
	expect_pass(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(VIP4, CLIENT4), TCP(81, 4000)),
		    ICMP);
	expect_pass(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(VIP4, CLIENT4), UDP(80, 4000)),
		    ICMP);
	expect_pass(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4("192.0.2.1", CLIENT4), TCP(80, 4000)),
		    ICMP);
	expect_pass(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(CLIENT4, VIP4), TCP(4000, 80)),
		    ICMP);
	expect_pass(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4)), ICMP);
	expect_pass(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(VIP4, CLIENT4, .type = 50), DATA(20)),
		    ICMP);
	expect_pass(
		rig,
		frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(VIP4, CLIENT4, .offset = 8), TCP(80, 4000)),
		ICMP);
	expect_pass(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(VIP4, CLIENT4, .ihl = 3), TCP(80, 4000)),
		    ICMP);
	expect_pass(
		rig,
		frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4), IP4(VIP4, CLIENT4, .version = 6), TCP(80, 4000)),
		ICMP);
	/* Redirects and the rest are the host's. */
	expect_pass(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(5, 1), IP4(VIP4, CLIENT4), TCP(80, 4000)),
		    ICMP);
	expect_pass(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(4, 0), IP4(VIP4, CLIENT4), TCP(80, 4000)),
		    ICMP);
}

static void silly_mtu(void **state)
{
	const __u32 silly[] = { 1, 67, 68, 296, 551 }, heeded[] = { 0, 552, 575, 576, 1006, 1500, 65535 };
	struct rig *rig = *state;

	rig_services(rig, "{'name':'a','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]},"
			  "{'name':'b','vip':'" VIP6 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'fd00::1'}]}");
	for (size_t i = 0; i < sizeof(silly) / sizeof(silly[0]); i++)
		expect_drop(rig,
			    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = silly[i]), IP4(VIP4, CLIENT4),
				  TCP(80, 4000)),
			    ICMP_MTU);
	/* 0 is of routers from before RFC 1191; the kernel's own minimum is 552. */
	for (size_t i = 0; i < sizeof(heeded) / sizeof(heeded[0]); i++)
		expect_tx(rig,
			  frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = heeded[i]), IP4(VIP4, CLIENT4),
				TCP(80, 4000)),
			  NULL);
	/* What stands in front of the MTU is reserved. */
	expect_drop(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 0x12340044), IP4(VIP4, CLIENT4),
			  TCP(80, 4000)),
		    ICMP_MTU);
	for (unsigned int mtu = 0; mtu < 1280; mtu += 1279)
		expect_drop(rig,
			    frame(ETH(), IP6(ROUTER6, VIP6), ICMP(2, 0, .word = mtu), IP6(VIP6, CLIENT6),
				  TCP(80, 4000)),
			    ICMP_MTU);
	/* About somebody else's packets it is none of our business. */
	expect_pass(
		rig,
		frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 68), IP4(VIP4, CLIENT4), TCP(81, 4000)),
		ICMP);
	expect_pass(
		rig,
		frame(ETH(), IP6(ROUTER6, VIP6), ICMP(2, 0, .word = 68), IP6(VIP6, CLIENT6), TCP(81, 4000)),
		ICMP);
}

static void echo_is_answered(void **state)
{
	struct rig *rig = *state;
	__u8 options[4] = { 1, 1, 1, 0 };

	rig_services(rig, "{'name':'a','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1'}]},"
			  "{'name':'b','vip':'" VIP6 "','protocol':'udp','port':53,'ring_size':64,"
			  "'backends':[{'name':'a','address':'fd00::1'}]}");
	for (int n = 0; n < 1400; n += 99) {
		expect_reply(rig,
			     frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 3, .id = 77),
				   ICMP(8, 0, .word = 0x12340001), DATA(n)),
			     ECHO,
			     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .id = 77), ICMP(0, 0, .word = 0x12340001),
				   DATA(n)));
		expect_reply(
			rig,
			frame(ETH(), IP6(CLIENT6, VIP6, .ttl = 3), ICMP(128, 0, .word = 0x12340001), DATA(n)),
			ECHO,
			frame(ETH_BACK(), IP6(VIP6, CLIENT6), ICMP(129, 0, .word = 0x12340001), DATA(n)));
	}
	expect_reply(rig, frame(ETH(), VLAN(9), VLAN(10), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7), PAD(30)),
		     ECHO,
		     frame(ETH_BACK(), VLAN(9), VLAN(10), IP4(VIP4, CLIENT4), ICMP(0, 0), DATA(7), PAD(30)));
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4, .bytes = options, .n = 4), ICMP(8, 0), DATA(7)),
		     ECHO,
		     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .bytes = options, .n = 4), ICMP(0, 0), DATA(7)));
}

/* Other options go back as they came. */
static void echo_with_a_source_route(void **state)
{
	struct rig *rig = *state;
	/* Options, how long they are in 32-bit words, and whether they can be sent back. */
	static const struct {
		__u8 bytes[40];
		int words;
		bool fit;
	} cases[] = {
		{ { 1, 1, 1, 1 }, 1, true },
		{ { 0 }, 1, true },
		{ { 148, 4, 0, 0 }, 1, true },                            /* router alert */
		{ { 7, 7, 4, 0, 0, 0, 0, 0 }, 2, true },                  /* record route */
		{ { 68, 12, 5, 0 }, 3, true },                            /* timestamps */
		{ { 7, 39, 4 }, 10, true },                               /* to the last byte */
		{ { 0, 131, 7, 4 }, 2, true },                            /* behind the end */
		{ { 131, 7, 4, 192, 0, 2, 1, 0 }, 2, false },             /* loose */
		{ { 1, 137, 7, 4, 192, 0, 2, 1 }, 2, false },             /* strict */
		{ { 148, 4, 0, 0, 1, 1, 1, 131, 3, 4, 0, 0 }, 3, false }, /* last of several */
		{ { [36] = 131, 3, 4, 1, [0] = 7, 36, 37 }, 10, false },  /* at the end of all */
		{ { 148, 0, 0, 0 }, 1, false },                           /* no length */
		{ { 148, 1, 0, 0 }, 1, false },                           /* nor this */
		{ { 148, 5, 0, 0 }, 1, false },                           /* more than there is */
		{ { 1, 1, 1, 148 }, 1, false },                           /* cut off */
	};

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct layer from = IP4(CLIENT4, VIP4, .bytes = cases[i].bytes,
					      .n = 4 * cases[i].words),
				   back = IP4(VIP4, CLIENT4, .bytes = cases[i].bytes,
					      .n = 4 * cases[i].words);

		if (cases[i].fit)
			expect_reply(rig, frame(ETH(), from, ICMP(8, 0, .word = 5), DATA(7)), ECHO,
				     frame(ETH_BACK(), back, ICMP(0, 0, .word = 5), DATA(7)));
		else
			expect_pass(rig, frame(ETH(), from, ICMP(8, 0, .word = 5), DATA(7)), ICMP);
		/* Errors are forwarded whatever they have. */
		expect_tx(rig,
			  frame(ETH(), IP4(ROUTER4, VIP4, .bytes = cases[i].bytes, .n = 4 * cases[i].words),
				ICMP(11, 0), IP4(VIP4, CLIENT4), TCP(80, 4000)),
			  NULL);
	}
}

#define PINGED(rig, from, to, v)                                                                             \
	expect_reply(rig, frame(ETH(), IP##v(from, to), ICMP(IP##v##_ECHO, 0), DATA(9)), ECHO,               \
		     frame(ETH_BACK(), IP##v(to, from), ICMP(IP##v##_REPLY, 0), DATA(9)))
#define NOT_PINGED(rig, from, to, v)                                                                         \
	expect_pass(rig, frame(ETH(), IP##v(from, to), ICMP(IP##v##_ECHO, 0), DATA(9)), ICMP)
#define IP4_ECHO  8
#define IP4_REPLY 0
#define IP6_ECHO  128
#define IP6_REPLY 129

/* Of a prefix service every address is answered, unless a longer prefix, or the address, says otherwise. */
static void echo_to_a_prefix(void **state)
{
	struct rig *rig = *state;

	rig_services(
		rig,
		"{'name':'wide','vip':'203.0.112.0/22','protocol':'tcp','port':80,'ring_size':64,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'quiet','vip':'203.0.113.0/"
		"24','protocol':'udp','port':53,'ring_size':64,'echo':false,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'inner','vip':'203.0.113.64/26','protocol':'udp','port':'any','ring_size':64,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'mute','vip':'203.0.113.64/"
		"26','protocol':'tcp','port':22,'ring_size':64,'echo':false,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'down','vip':'203.0.113.70','protocol':'udp','port':'1-3','ring_size':64,"
		"'backends':[{'name':'a','address':'10.0.1.1','state':'down'}]},"
		"{'name':'one','vip':'203.0.113.3','protocol':'udp','port':9,'ring_size':64,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'six','vip':'2001:db8:113::/48','protocol':'udp','port':'1000-1999','ring_size':64,"
		"'backends':[{'name':'a','address':'fd00::1'}]},"
		"{'name':'six-one','vip':'2001:db8:113::7','protocol':'udp','port':9,'ring_size':64,"
		"'echo':false,'backends':[{'name':'a','address':'fd00::1'}]}");
	PINGED(rig, CLIENT4, "203.0.112.0", 4);
	PINGED(rig, CLIENT4, "203.0.115.255", 4);
	NOT_PINGED(rig, CLIENT4, "203.0.116.0", 4);
	NOT_PINGED(rig, CLIENT4, "203.0.111.255", 4);
	NOT_PINGED(rig, CLIENT4, "203.0.113.1", 4);
	PINGED(rig, CLIENT4, "203.0.113.3", 4);
	PINGED(rig, CLIENT4, "203.0.113.64", 4);
	PINGED(rig, CLIENT4, "203.0.113.127", 4);
	NOT_PINGED(rig, CLIENT4, "203.0.113.128", 4);
	NOT_PINGED(rig, CLIENT4, "203.0.113.70", 4);
	NOT_PINGED(rig, "224.0.0.1", "203.0.112.1", 4);
	PINGED(rig, CLIENT6, "2001:db8:113::8", 6);
	PINGED(rig, CLIENT6, "2001:db8:113:ffff:ffff:ffff:ffff:ffff", 6);
	NOT_PINGED(rig, CLIENT6, "2001:db8:114::8", 6);
	NOT_PINGED(rig, CLIENT6, "2001:db8:113::7", 6);
}

/* While the prefix's services have an active backend. */
static void echo_to_a_prefix_without_backends(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, "{'name':'a','vip':'203.0.113.0/24','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1','state':'drain'}]}");
	NOT_PINGED(rig, CLIENT4, "203.0.113.1", 4);
}

/* The checksum field of an echo reply, at every value that the request's can have. */
static void echo_checksum_at_every_value(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	for (__u32 word = 0; word < 700; word++) {
		__u32 id = word < 256 ? 0xf700 + word : word * 93;

		expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0, .word = id)), ECHO,
			     frame(ETH_BACK(), IP4(VIP4, CLIENT4), ICMP(0, 0, .word = id)));
	}
	/* A message of zeroes has 0xffff: an incremental update does not find that by itself. */
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0)), ECHO,
		     frame(ETH_BACK(), IP4(VIP4, CLIENT4), ICMP(0, 0)));
}

static void echo_is_left_to_the_host(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'", "'echo':false"));
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7)), ICMP);
	rig_services(rig, "{'name':'a','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'backends':[{'name':'a','address':'10.0.1.1','state':'down'}]}");
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7)), ICMP);
	/* A source that is not one host is never answered. */
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_pass(rig, frame(ETH(), IP4("0.0.0.0", VIP4), ICMP(8, 0), DATA(7)), ICMP);
	expect_pass(rig, frame(ETH(), IP4("127.0.0.1", VIP4), ICMP(8, 0), DATA(7)), ICMP);
	expect_pass(rig, frame(ETH(), IP4("224.0.0.1", VIP4), ICMP(8, 0), DATA(7)), ICMP);
	expect_pass(rig, frame(ETH(), IP4("255.255.255.255", VIP4), ICMP(8, 0), DATA(7)), ICMP);
}

/* Every fragment goes back by itself: the checksum, in the first, changes by the type alone. */
static void echo_in_fragments(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	/* Not before the first has been seen. */
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .id = 3, .type = 1), DATA(8)),
		    FRAGMENT);
	expect_reply(
		rig,
		frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 3, .ttl = 9), ICMP(8, 0, .word = 7), DATA(8)),
		ECHO,
		frame(ETH_BACK(), IP4(VIP4, CLIENT4, .mf = 1, .id = 3), ICMP(0, 0, .word = 7), DATA(8)));
	expect_reply(
		rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .mf = 1, .id = 3, .type = 1), DATA(1200)),
		ECHO,
		frame(ETH_BACK(), IP4(VIP4, CLIENT4, .offset = 16, .mf = 1, .id = 3, .type = 1), DATA(1200)));
	expect_reply(rig,
		     frame(ETH(), VLAN(4), IP4(CLIENT4, VIP4, .offset = 1216, .id = 3, .type = 1, .ttl = 1),
			   DATA(9), PAD(20)),
		     ECHO,
		     frame(ETH_BACK(), VLAN(4), IP4(VIP4, CLIENT4, .offset = 1216, .id = 3, .type = 1),
			   DATA(9), PAD(20)));
	/* Another datagram, another sender. */
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .id = 4, .type = 1), DATA(8)),
		    FRAGMENT);
	expect_pass(rig, frame(ETH(), IP4("198.51.100.8", VIP4, .offset = 16, .id = 3, .type = 1), DATA(8)),
		    FRAGMENT);
	/* A liar's. */
	expect_drop(
		rig,
		frame(ETH(), IP4(CLIENT4, VIP4, .offset = 16, .id = 3, .type = 1, .length = 900), DATA(8)),
		IP_HEADER);
	rig_services(rig, WEB6(ipip, tcp, "'fd00::1'"));
	expect_reply(
		rig,
		frame(ETH(), IP6(CLIENT6, VIP6, .ttl = 9), FRAGMENT6(0, 1, 5), ICMP(128, 0, .word = 7),
		      DATA(8)),
		ECHO,
		frame(ETH_BACK(), IP6(VIP6, CLIENT6), FRAGMENT6(0, 1, 5), ICMP(129, 0, .word = 7), DATA(8)));
	expect_reply(rig,
		     frame(ETH(), IP6(CLIENT6, VIP6, .ttl = 9), FRAGMENT6(16, 0, 5, .next = 58), DATA(80)),
		     ECHO, frame(ETH_BACK(), IP6(VIP6, CLIENT6), FRAGMENT6(16, 0, 5, .next = 58), DATA(80)));
	/* Errors and the rest have no business in fragments. */
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(0, 1, 6), ICMP(129, 0), DATA(8)), ICMP);
}

/* What RFC 1812 (IPv4) and RFC 4443 let an answer of 576 and 1280 bytes quote. */
#define QUOTE4 548
#define QUOTE6 1232

/* Fragmentation needed (RFC 1191) and packet too big (RFC 8201). */
static void too_big_is_answered(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		__u32 mtu = 1500u - (__u32)way_overhead(w);
		struct frame *in = frame(ETH(), way_ip(w), TCP(4000, 80), DATA(1500));
		struct frame *tagged = frame(ETH(), VLAN(4), way_ip(w), TCP(4000, 80), DATA(1500));
		struct layer quote = DATA(w->vip == 4 ? QUOTE4 : QUOTE6, .bytes = in->bytes + ETHER);

		way_service(rig, w, "tcp", NULL);
		if (w->vip == 4) {
			expect_reply(rig, in, TOO_BIG,
				     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1),
					   ICMP(3, 4, .word = mtu), quote));
			expect_reply(rig, tagged, TOO_BIG,
				     frame(ETH_BACK(), VLAN(4), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1),
					   ICMP(3, 4, .word = mtu), quote));
		} else {
			expect_reply(rig, in, TOO_BIG,
				     frame(ETH_BACK(), IP6(VIP6, CLIENT6), ICMP(2, 0, .word = mtu), quote));
			expect_reply(rig, tagged, TOO_BIG,
				     frame(ETH_BACK(), VLAN(4), IP6(VIP6, CLIENT6), ICMP(2, 0, .word = mtu),
					   quote));
		}
	}
}

/* An answer with what lay behind it in the frame that it was made of. */
static const struct frame *not_shortened(struct frame *answer, const struct frame *in)
{
	memcpy(answer->bytes + answer->length, in->bytes + answer->length, in->length - answer->length);
	answer->length = in->length;
	return answer;
}

/* What lies in several buffers keeps its length: the kernel's way of shortening it damages the kernel. The
 * answer ends where its IP header says. */
static void too_big_in_several_parts(void **state)
{
	struct rig *rig = *state;
	struct frame *in = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(8900));

	rig->linear = 1000;
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_reply(rig, in, TOO_BIG,
		     not_shortened(frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1),
					 ICMP(3, 4, .word = 1480), DATA(QUOTE4, .bytes = in->bytes + ETHER)),
				   in));
	rig_services(rig, WEB6(ipip, tcp, "'fd00::1'"));
	in = frame(ETH(), VLAN(5), IP6(CLIENT6, VIP6), TCP(4000, 80), DATA(8900));
	expect_reply(rig, in, TOO_BIG,
		     not_shortened(frame(ETH_BACK(), VLAN(5), IP6(VIP6, CLIENT6), ICMP(2, 0, .word = 1460),
					 DATA(QUOTE6, .bytes = in->bytes + ETHER + 4)),
				   in));
	/* However little is in the first buffer. */
	rig->linear = 64;
	in = frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80), DATA(1460));
	expect_reply(rig, in, TOO_BIG,
		     not_shortened(frame(ETH_BACK(), IP6(VIP6, CLIENT6), ICMP(2, 0, .word = 1460),
					 DATA(QUOTE6, .bytes = in->bytes + ETHER)),
				   in));
}

/* A packet that is shorter than a quote may be: all of it but for what the answer's own headers need. */
static void too_big_on_a_narrow_link(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, udp, "'10.0.1.1'"));
	rig_backend(rig, "web", 0)->max_len = 100;
	for (int n = 73; n < 700; n += n < 80 ? 1 : 31) {
		struct frame *in = frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(n));
		int quote = n & ~3; /* n + 28 - 28 */

		expect_reply(rig, in, TOO_BIG,
			     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1),
				   ICMP(3, 4, .word = 100),
				   DATA(quote < QUOTE4 ? quote : QUOTE4, .bytes = in->bytes + ETHER)));
	}
	/* Not even the header and the eight bytes that RFC 792 promises. */
	rig_backend(rig, "web", 0)->max_len = 30;
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(5)), TOO_BIG);
	/* What lies behind the packet is not quoted. */
	struct frame *padded = frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(12), PAD(60));
	expect_reply(rig, padded, TOO_BIG,
		     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1), ICMP(3, 4, .word = 30),
			   DATA(40, .bytes = padded->bytes + ETHER)));
}

/*
 * IPv6 has no path for less than 1280 bytes (RFC 8200 section 5) and no sender goes below (RFC 8201 section
 * 4): it is told 1280, and nothing about packets that small.
 */
static void too_big_below_the_least_of_ipv6(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB6(ipip, tcp, "'fd00::1'"));
	rig_backend(rig, "web", 0)->max_len = 1240;
	for (int n = 1221; n < 1400; n += 20) {
		struct frame *in = frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80), DATA(n));

		expect_reply(rig, in, TOO_BIG,
			     frame(ETH_BACK(), IP6(VIP6, CLIENT6), ICMP(2, 0, .word = 1280),
				   DATA(n + 60 - 48 < QUOTE6 ? (n + 60 - 48) & ~3 : QUOTE6,
					.bytes = in->bytes + ETHER)));
	}
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80), DATA(1220)), TOO_BIG);
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80), DATA(1181)), TOO_BIG);
	expect_tx(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80), DATA(1180)), NULL);
}

/* An error is no packet of its flow: it neither remembers nor refreshes it. */
static void errors_remember_nothing(void **state)
{
	struct rig *rig = *state;
	static const struct lb_flow_bucket nothing[RIG_BUCKETS];

	rig_services(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2'"));
	rig_fill_slots(rig, "web", 1u | 0u << 16 | 1u << 31 | 1u << 30);
	expect_tx(rig, frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 3), IP4(VIP4, CLIENT4), UDP(80, 4000)), NULL);
	assert_int_equal(rig_backend_taken(rig), 1);
	assert_memory_equal(rig->path.tables.flows, nothing, sizeof(nothing));
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(errors_go_the_way_of_their_flow),
	RIG_TEST(eight_bytes_of_transport_are_enough),
	RIG_TEST(extension_headers_in_the_quote),
	RIG_TEST(every_affinity),
	RIG_TEST(errors_about_nothing_of_ours),
	RIG_TEST(silly_mtu),
	RIG_TEST(echo_is_answered),
	RIG_TEST(echo_with_a_source_route),
	RIG_TEST(echo_to_a_prefix),
	RIG_TEST(echo_to_a_prefix_without_backends),
	RIG_TEST(echo_checksum_at_every_value),
	RIG_TEST(echo_in_fragments),
	RIG_TEST(echo_is_left_to_the_host),
	RIG_TEST(too_big_is_answered),
	RIG_TEST(too_big_in_several_parts),
	RIG_TEST(too_big_on_a_narrow_link),
	RIG_TEST(too_big_below_the_least_of_ipv6),
	RIG_TEST(errors_remember_nothing),
};

RIG_MAIN(tests, rig_setup)
