/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a sender is told of a packet that is not forwarded: that its TTL was used up, that nobody is there.
 * That it was too big is in test_icmp.c, how often anything is said in test_budget.c.
 */
#include "tunnel.h"

#define ROUTER4   "192.0.2.99"
#define BALANCER4 "192.0.2.250"
#define BALANCER6 "2001:db8:250::1"
#define ETHER     14
#define LOOPBACK  1

#define ETH_BACK() ETH(.from = MAC_LB, .to = MAC_CLIENT)

/* The quote of a whole small packet: multiples of four. */
#define QUOTED(in, l3, packet_bytes) DATA((int)(packet_bytes) & ~3, .bytes = (in)->bytes + (l3))

static void with_addresses(struct rig *rig)
{
	struct lb_station_interface *interface = &rig->path.stations->interface[LOOPBACK];
	struct lb_address address;

	interface->ifindex = LOOPBACK;
	assert_int_equal(lb_address_parse(BALANCER4, &address), 0);
	memcpy(&interface->ipv4, address.bytes, 4);
	assert_int_equal(lb_address_parse(BALANCER6, &address), 0);
	memcpy(interface->ipv6, address.bytes, 16);
}

/* --- TTL ---------------------------------------------------------------------------------------------------
 */

/* Traceroute sees the balancer, by an address of its own. */
static void ttl_is_used_up(void **state)
{
	struct rig *rig = *state;

	with_addresses(rig);
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		for (int ttl = 0; ttl < 2; ttl++) {
			struct layer ip = way_ip(w);
			struct frame *in, *tagged;

			ip.ttl = ttl ? ttl : ZERO;
			in = frame(ETH(), ip, UDP(4000, 80), DATA(12));
			tagged = frame(ETH(), VLAN(7), ip, UDP(4000, 80), DATA(12));
			way_service(rig, w, "udp", NULL);
			if (way_is_l2(w)) { /* l2 is no hop */
				rig_run(rig, in);
				assert_int_equal(rig->last.action, XDP_TX);
			} else if (w->vip == 4) {
				expect_reply(rig, in, TTL,
					     frame(ETH_BACK(), IP4(BALANCER4, CLIENT4, .tos = 0xc0, .df = 1),
						   ICMP(11, 0), QUOTED(in, ETHER, 40)));
				expect_reply(rig, tagged, TTL,
					     frame(ETH_BACK(), VLAN(7),
						   IP4(BALANCER4, CLIENT4, .tos = 0xc0, .df = 1), ICMP(11, 0),
						   QUOTED(tagged, ETHER + 4, 40)));
			} else {
				expect_reply(rig, in, TTL,
					     frame(ETH_BACK(), IP6(BALANCER6, CLIENT6), ICMP(3, 0),
						   QUOTED(in, ETHER, 60)));
			}
		}
	}
}

/* An interface without an address speaks by the address that was asked for. */
static void ttl_without_an_address(void **state)
{
	struct rig *rig = *state;
	struct frame *in = frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), TCP(4000, 80), DATA(800));

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_reply(rig, in, TTL,
		     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1), ICMP(11, 0),
			   DATA(548, .bytes = in->bytes + ETHER)));
}

/* --- nobody is there ---------------------------------------------------------------------------------------
 */

static void serve(struct rig *rig, const char *more)
{
	char services[2048];

	snprintf(services, sizeof(services),
		 "{'name':'t4','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,%s'backends':[]},"
		 "{'name':'u4','vip':'" VIP4 "','protocol':'udp','port':80,'ring_size':64,%s'backends':[]},"
		 "{'name':'t6','vip':'" VIP6 "','protocol':'tcp','port':80,'ring_size':64,%s'backends':[]},"
		 "{'name':'u6','vip':'" VIP6 "','protocol':'udp','port':80,'ring_size':64,%s'backends':[]}",
		 more, more, more, more);
	rig_services(rig, services);
}

#define REJECT_NO_BACKEND "'no_backend':'reject',"
#define REJECT_UNCLAIMED  "'unclaimed':'reject',"

/* Segments, and what answers them by RFC 9293 section 3.10.7.1. Numbers of frame.c's TCP are fixed. */
static void reset_bytes(__u8 tcp[20], const struct frame *in, size_t l4, __u32 length)
{
	const __u8 *from = in->bytes + l4;
	bool ack = from[13] & TCP_ACK;
	__u32 sequence = (__u32)from[4] << 24 | (__u32)from[5] << 16 | (__u32)from[6] << 8 | from[7];

	memset(tcp, 0, 20);
	memcpy(tcp, from + 2, 2);
	memcpy(tcp + 2, from, 2);
	tcp[12] = 0x50;
	if (ack) {
		memcpy(tcp + 4, from + 8, 4);
		tcp[13] = TCP_RST;
		return;
	}
	sequence += length;
	tcp[8] = (__u8)(sequence >> 24);
	tcp[9] = (__u8)(sequence >> 16);
	tcp[10] = (__u8)(sequence >> 8);
	tcp[11] = (__u8)sequence;
	tcp[13] = TCP_RST | TCP_ACK;
}

/* The TCP checksum over a pseudo-header, put into place. */
static void check_tcp(__u8 tcp[20], const struct frame *in, size_t source, size_t bytes)
{
	__u8 pseudo[32 + 8 + 20] = {};
	__u16 check;

	memcpy(pseudo, in->bytes + source, 2 * bytes);
	pseudo[2 * bytes + 3] = 20;
	pseudo[2 * bytes + 7] = 6;
	memcpy(pseudo + 2 * bytes + 8, tcp, 20);
	check = frame_checksum(pseudo, 2 * bytes + 8 + 20, 0);
	tcp[16] = (__u8)(check >> 8);
	tcp[17] = (__u8)check;
}

static void expect_reset(struct rig *rig, const struct frame *in, bool v4, bool tagged, int reason,
			 __u32 length)
{
	size_t l3 = ETHER + (tagged ? 4 : 0), l4 = l3 + (v4 ? 20 : 40);
	__u8 tcp[20];
	struct layer ip = v4 ? IP4(VIP4, CLIENT4, .df = 1, .type = 6) : IP6(VIP6, CLIENT6, .type = 6);
	const struct frame *want;

	reset_bytes(tcp, in, l4, length);
	check_tcp(tcp, in, l3 + (v4 ? 12 : 8), v4 ? 4 : 16);
	want = tagged ? frame(ETH_BACK(), VLAN(7), ip, DATA(20, .bytes = tcp))
		      : frame(ETH_BACK(), ip, DATA(20, .bytes = tcp));
	rig_expect(rig, in, XDP_TX, reason, want, __FILE__, __LINE__);
}

static void segments(struct rig *rig, int port, int reason)
{
	static const struct {
		int flags, data;
		__u32 length;
	} cases[] = {
		{ TCP_SYN, 0, 1 },
		{ TCP_SYN, 100, 101 },
		{ TCP_ACK, 0, 0 },
		{ TCP_ACK, 1200, 0 },
		{ TCP_SYN | TCP_ACK, 0, 0 },
		{ TCP_FIN | TCP_ACK, 3, 0 },
		{ TCP_FIN, 3, 4 },
		{ TCP_SYN | TCP_FIN, 0, 2 },
		{ 0x20, 7, 7 },
		{ 0x40, 1000, 1000 },
		{ 0xc2, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layer tcp = TCP(4000, port, .flags = cases[i].flags);
		struct layer data = DATA(cases[i].data);

		expect_reset(rig, frame(ETH(), IP4(CLIENT4, VIP4), tcp, data), true, false, reason,
			     cases[i].length);
		expect_reset(rig, frame(ETH(), IP6(CLIENT6, VIP6), tcp, data), false, false, reason,
			     cases[i].length);
		expect_reset(rig, frame(ETH(), VLAN(7), IP4(CLIENT4, VIP4), tcp, data, PAD(9)), true, true,
			     reason, cases[i].length);
	}
}

static void tcp_is_reset(void **state)
{
	struct rig *rig = *state;

	serve(rig, REJECT_NO_BACKEND REJECT_UNCLAIMED);
	segments(rig, 80, LB_REPLY_NO_BACKEND);
	segments(rig, 81, LB_REPLY_UNCLAIMED);
}

static void udp_is_unreachable(void **state)
{
	struct rig *rig = *state;

	serve(rig, REJECT_NO_BACKEND REJECT_UNCLAIMED);
	for (int port = 80; port < 82; port++) {
		int reason = port == 80 ? LB_REPLY_NO_BACKEND : LB_REPLY_UNCLAIMED;

		for (int n = 0; n < 1400; n += 175) {
			struct frame *in4 = frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, port), DATA(n));
			struct frame *in6 = frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, port), DATA(n));
			int quote4 = n + 28 < 548 ? n + 28 : 548, quote6 = n + 48 < 1232 ? n + 48 : 1232;

			rig_expect(rig, in4, XDP_TX, reason,
				   frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1), ICMP(3, 3),
					 QUOTED(in4, ETHER, quote4)),
				   __FILE__, __LINE__);
			rig_expect(
				rig, in6, XDP_TX, reason,
				frame(ETH_BACK(), IP6(VIP6, CLIENT6), ICMP(1, 4), QUOTED(in6, ETHER, quote6)),
				__FILE__, __LINE__);
		}
	}
}

/* Protocols that no service has. */
static void other_protocols(void **state)
{
	struct rig *rig = *state;
	struct frame *in;

	serve(rig, REJECT_UNCLAIMED);
	in = frame(ETH(), IP4(CLIENT4, VIP4, .type = 47), DATA(40));
	expect_reply(rig, in, UNCLAIMED,
		     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1), ICMP(3, 2),
			   QUOTED(in, ETHER, 60)));
	in = frame(ETH(), IP6(CLIENT6, VIP6, .type = 132), DATA(40));
	expect_reply(rig, in, UNCLAIMED,
		     frame(ETH_BACK(), IP6(VIP6, CLIENT6), ICMP(1, 1), QUOTED(in, ETHER, 80)));
	/* The first fragment has ports, and stands for all. */
	in = frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 5), UDP(4000, 81), DATA(8));
	expect_reply(rig, in, UNCLAIMED,
		     frame(ETH_BACK(), IP4(VIP4, CLIENT4, .tos = 0xc0, .df = 1), ICMP(3, 3),
			   QUOTED(in, ETHER, 36)));
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4. */
static void what_is_never_answered(void **state)
{
	struct rig *rig = *state;
	static const char *const nobody4[] = { "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
					       "240.0.0.1" };
	static const char *const nobody6[] = { "::", "::1", "ff02::1" };

	serve(rig, REJECT_NO_BACKEND REJECT_UNCLAIMED);
	for (int port = 80; port < 82; port++) {
		int reason = port == 80 ? LB_DROP_NO_BACKEND : LB_DROP_UNCLAIMED;
#define SILENT(in) rig_expect(rig, in, XDP_DROP, reason, NULL, __FILE__, __LINE__)

		SILENT(frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, port, .flags = TCP_RST)));
		SILENT(frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, port, .flags = TCP_RST | TCP_ACK)));
		for (size_t i = 0; i < sizeof(nobody4) / sizeof(nobody4[0]); i++) {
			SILENT(frame(ETH(), IP4(nobody4[i], VIP4), TCP(4000, port)));
			SILENT(frame(ETH(), IP4(nobody4[i], VIP4), UDP(4000, port), DATA(9)));
		}
		for (size_t i = 0; i < sizeof(nobody6) / sizeof(nobody6[0]); i++)
			SILENT(frame(ETH(), IP6(nobody6[i], VIP6), UDP(4000, port), DATA(9)));
		/* A part of a segment does not say how long it is. */
		SILENT(frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 9), TCP(4000, port), DATA(8)));
	}
	/* Later fragments, ICMP, headers that lie. */
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 64, .id = 5, .type = 17), DATA(8)),
		    UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(13, 0), DATA(24)), UNCLAIMED);
	expect_drop(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 1), IP4(VIP4, CLIENT4), UDP(81, 4000), DATA(8)),
		    UNCLAIMED);
	expect_drop(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 1), IP4(VIP4, CLIENT4), UDP(80, 4000), DATA(8)),
		    NO_BACKEND);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 81, .length = 900), DATA(8)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81, .doff = 3)), UNCLAIMED);
	/* An error whose TTL is used up. */
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_drop(rig,
		    frame(ETH(), IP4(ROUTER4, VIP4, .ttl = 1), ICMP(3, 1), IP4(VIP4, CLIENT4), TCP(80, 4000)),
		    TTL);
}

/* Nothing is said where nobody asked for it. */
static void dropped_in_silence(void **state)
{
	struct rig *rig = *state;

	serve(rig, "");
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80, .flags = TCP_SYN)), NO_BACKEND);
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, 80), DATA(9)), NO_BACKEND);
}

/* Wherever it was noticed: affinity, prefixes, options, unsettled slots. */
static void no_backend_on_every_way(void **state)
{
	struct rig *rig = *state;
	__u8 options[4] = { 1, 1, 1, 0 };

	rig_services(rig, "{'name':'s','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,"
			  "'affinity':'source','no_backend':'reject','backends':[]}");
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NO_BACKEND, NULL);
	rig_services(rig, "{'name':'p','vip':'203.0.113.0/24','protocol':'tcp','port':'any','ring_size':64,"
			  "'no_backend':'reject','backends':[]}");
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NO_BACKEND, NULL);
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4, .bytes = options, .n = 4), TCP(4000, 80)),
		     NO_BACKEND, NULL);
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'", "'no_backend':'reject'"));
	rig_fill_slots(rig, "web", 0x3fffu | 0x3fffu << 16 | 1u << 31);
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NO_BACKEND, NULL);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(ttl_is_used_up),     RIG_TEST(ttl_without_an_address),  RIG_TEST(tcp_is_reset),
	RIG_TEST(udp_is_unreachable), RIG_TEST(other_protocols),         RIG_TEST(what_is_never_answered),
	RIG_TEST(dropped_in_silence), RIG_TEST(no_backend_on_every_way),
};

RIG_MAIN(tests, rig_setup)
