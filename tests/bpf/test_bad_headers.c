/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Headers that lie, and packets cut short. About a service of ours: dropped with their reason; about anything
 * else: left to the host, unchanged. Never forwarded, never uncounted (the rig sees to that).
 */
#include "tunnel.h"

#define ETHER 14
#define V4_L4 (ETHER + 20)
#define V6_L4 (ETHER + 40)

/* TCP and UDP, v4 and v6, to the service and (other) to a port that no service has. */
static const struct frame *tcp4(int port)
{
	return frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, port), DATA(20));
}

static const struct frame *udp4(int port)
{
	return frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, port), DATA(20));
}

static const struct frame *tcp6(int port)
{
	return frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, port), DATA(20));
}

static const struct frame *udp6(int port)
{
	return frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, port), DATA(20));
}

static void serve_all(struct rig *rig)
{
	rig_services(
		rig,
		"{'name':'t4','vip':'" VIP4 "','protocol':'tcp','port':80,'forward':'ipip','ring_size':64,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'u4','vip':'" VIP4 "','protocol':'udp','port':80,'forward':'ipip','ring_size':64,"
		"'backends':[{'name':'a','address':'10.0.1.1'}]},"
		"{'name':'t6','vip':'" VIP6 "','protocol':'tcp','port':80,'forward':'ipip','ring_size':64,"
		"'backends':[{'name':'a','address':'fd00::1'}]},"
		"{'name':'u6','vip':'" VIP6 "','protocol':'udp','port':80,'forward':'ipip','ring_size':64,"
		"'backends':[{'name':'a','address':'fd00::1'}]}");
}

static void set_up_right_the_packets_are_forwarded(void **state)
{
	struct rig *rig = *state;

	serve_all(rig);
	expect_tx(rig, tcp4(80), NULL);
	expect_tx(rig, udp4(80), NULL);
	expect_tx(rig, tcp6(80), NULL);
	expect_tx(rig, udp6(80), NULL);
}

static void ipv4_header_length(void **state)
{
	struct rig *rig = *state;

	serve_all(rig);
	for (int ihl = 0; ihl < 5; ihl++) {
		expect_drop(rig, frame_with8(tcp4(80), ETHER, 0x40 | ihl), IP_HEADER);
		expect_drop(rig, frame_with8(udp4(80), ETHER, 0x40 | ihl), IP_HEADER);
		expect_pass(rig, frame_with8(tcp4(81), ETHER, 0x40 | ihl), NO_SERVICE);
	}
	/* Beyond the total length, of a packet whose ports are found where the header says: 60 bytes of
	 * header. */
	expect_drop(
		rig,
		frame(ETH(), IP4(CLIENT4, VIP4, .ihl = 15, .length = 59, .type = 6, .n = 40), TCP(4000, 80)),
		IP_HEADER);
	expect_pass(
		rig,
		frame(ETH(), IP4(CLIENT4, VIP4, .ihl = 15, .length = 59, .type = 6, .n = 40), TCP(4000, 81)),
		NO_SERVICE);
}

static void ipv4_total_length(void **state)
{
	struct rig *rig = *state;
	const int too_large[] = { 61, 62, 100, 1500, 0xffff }, too_small[] = { 0, 1, 19 };

	serve_all(rig);
	for (size_t i = 0; i < 5; i++) {
		expect_drop(rig, frame_with16(tcp4(80), ETHER + 2, (__u16)too_large[i]), IP_HEADER);
		expect_drop(rig, frame_with16(udp4(80), ETHER + 2, (__u16)too_large[i]), IP_HEADER);
		expect_pass(rig, frame_with16(tcp4(81), ETHER + 2, (__u16)too_large[i]), NO_SERVICE);
	}
	for (size_t i = 0; i < 3; i++) {
		expect_drop(rig, frame_with16(tcp4(80), ETHER + 2, (__u16)too_small[i]), IP_HEADER);
		expect_drop(rig, frame_with16(udp4(80), ETHER + 2, (__u16)too_small[i]), IP_HEADER);
		expect_pass(rig, frame_with16(udp4(81), ETHER + 2, (__u16)too_small[i]), NO_SERVICE);
	}
	/* The transport header is outside of what the IP header counts. */
	expect_drop(rig, frame_with16(tcp4(80), ETHER + 2, 39), TCP_HEADER);
	expect_drop(rig, frame_with16(udp4(80), ETHER + 2, 27), UDP_HEADER);
}

static void ipv6_payload_length(void **state)
{
	struct rig *rig = *state;

	serve_all(rig);
	expect_drop(rig, frame_with16(tcp6(80), ETHER + 4, 41), IP_HEADER);
	expect_drop(rig, frame_with16(udp6(80), ETHER + 4, 29), IP_HEADER);
	expect_drop(rig, frame_with16(tcp6(80), ETHER + 4, 0xffff), IP_HEADER);
	expect_drop(rig, frame_with16(tcp6(80), ETHER + 4, 0xffff - 40), IP_HEADER);
	expect_pass(rig, frame_with16(tcp6(81), ETHER + 4, 0xffff), NO_SERVICE);
	expect_drop(rig, frame_with16(tcp6(80), ETHER + 4, 19), TCP_HEADER);
	expect_drop(rig, frame_with16(tcp6(80), ETHER + 4, 0), TCP_HEADER);
	expect_drop(rig, frame_with16(udp6(80), ETHER + 4, 7), UDP_HEADER);
	expect_drop(rig, frame_with16(udp6(80), ETHER + 4, 0), UDP_HEADER);
}

static void tcp_data_offset(void **state)
{
	struct rig *rig = *state;

	serve_all(rig);
	for (int doff = 0; doff < 16; doff++) {
		const struct frame *in4 = frame_with8(tcp4(80), V4_L4 + 12, (__u8)(doff << 4));
		const struct frame *in6 = frame_with8(tcp6(80), V6_L4 + 12, (__u8)(doff << 4));

		/* 40 bytes are there: 20 of header, 20 of data. */
		if (doff >= 5 && doff <= 10) {
			expect_tx(rig, in4, NULL);
			expect_tx(rig, in6, NULL);
		} else {
			expect_drop(rig, in4, TCP_HEADER);
			expect_drop(rig, in6, TCP_HEADER);
			expect_pass(rig, frame_with8(tcp4(81), V4_L4 + 12, (__u8)(doff << 4)), NO_SERVICE);
			expect_pass(rig, frame_with8(tcp6(81), V6_L4 + 12, (__u8)(doff << 4)), NO_SERVICE);
		}
	}
}

static void udp_length(void **state)
{
	struct rig *rig = *state;
	const int bad[] = { 0, 1, 7, 29, 30, 1000, 0xffff };

	serve_all(rig);
	for (size_t i = 0; i < 7; i++) {
		expect_drop(rig, frame_with16(udp4(80), V4_L4 + 4, (__u16)bad[i]), UDP_HEADER);
		expect_drop(rig, frame_with16(udp6(80), V6_L4 + 4, (__u16)bad[i]), UDP_HEADER);
		expect_pass(rig, frame_with16(udp4(81), V4_L4 + 4, (__u16)bad[i]), NO_SERVICE);
		expect_pass(rig, frame_with16(udp6(81), V6_L4 + 4, (__u16)bad[i]), NO_SERVICE);
	}
	/* Shorter than what IP carries is odd, but possible. */
	for (int length = 8; length <= 28; length++)
		expect_tx(rig, frame_with16(udp4(80), V4_L4 + 4, (__u16)length), NULL);
}

static void version_and_ethertype_disagree(void **state)
{
	struct rig *rig = *state;

	serve_all(rig);
	for (int version = 0; version < 16; version++) {
		if (version != 4)
			expect_pass(rig, frame_with8(tcp4(80), ETHER, (__u8)(version << 4 | 5)), MALFORMED);
		if (version != 6)
			expect_pass(rig, frame_with8(tcp6(80), ETHER, (__u8)(version << 4)), MALFORMED);
	}
	expect_pass(rig, frame_with16(tcp4(80), 12, 0x86dd), MALFORMED);
	expect_pass(rig, frame_with16(tcp6(80), 12, 0x0800), MALFORMED);
}

/* Every packet cut at every byte: passed or dropped, never sent on. */
static void cut_at_every_byte(void **state)
{
	struct rig *rig = *state;
	__u8 options[12] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	const struct frame *whole[] = {
		tcp4(80),
		udp4(80),
		tcp6(80),
		udp6(80),
		tcp4(81),
		udp6(81),
		frame(ETH(), IP4(CLIENT4, VIP4, .bytes = options, .n = 12), TCP(4000, 80)),
		frame(ETH(), VLAN(5), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(8)),
		frame(ETH(), VLAN(5), VLAN(6), IP6(CLIENT6, VIP6), UDP(4000, 80), DATA(8)),
		frame(ETH(), IP6(CLIENT6, VIP6), EXTENSION(0x100), EXTENSION(60), TCP(4000, 80), DATA(8)),
		frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(0, 1, 77), UDP(4000, 80), DATA(8)),
		frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(8, 0, 77, .next = 17), DATA(8)),
		frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 9), UDP(4000, 80), DATA(8)),
		frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(8)),
		frame(ETH(), IP6(CLIENT6, VIP6), ICMP(128, 0), DATA(8)),
		frame(ETH(), IP4("192.0.2.99", VIP4), ICMP(3, 4, .word = 1400), IP4(VIP4, CLIENT4),
		      TCP(80, 4000)),
		frame(ETH(), IP6("2001:db8::99", VIP6), ICMP(2, 0, .word = 1400), IP6(VIP6, CLIENT6),
		      TCP(80, 4000)),
	};

	static struct frame kept[sizeof(whole) / sizeof(whole[0])];

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		kept[i] = *whole[i];
	serve_all(rig);
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		/* The kernel itself takes no frame without an Ethernet header. */
		for (size_t length = 14; length < kept[i].length; length++) {
			struct frame *in = frame_cut(&kept[i], length);

			rig_run(rig, in);
			if (rig->last.action == XDP_TX || rig->last.action == XDP_REDIRECT) {
				frame_show_difference(&rig->last.out, in);
				fail_msg("packet %zu, cut to %zu bytes, was sent on", i, length);
			}
			if (rig->last.action == XDP_PASS)
				assert_memory_equal(rig->last.out.bytes, in->bytes, length);
		}
	}
}

/* Each single byte of the headers with other values: whatever comes of it is counted, and the same twice. */
static void every_byte_with_other_values(void **state)
{
	struct rig *rig = *state;
	static struct frame whole[2];
	const __u8 flips[] = { 0x01, 0x80, 0xff, 0x0f, 0xf0, 0x5a };

	serve_all(rig);
	whole[0] = *tcp4(80);
	whole[1] = *udp6(80);
	for (size_t i = 0; i < 2; i++)
		for (size_t at = 0; at < 64; at++)
			for (size_t k = 0; k < sizeof(flips); k++)
				rig_run(rig, frame_with8(&whole[i], at, whole[i].bytes[at] ^ flips[k]));
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(set_up_right_the_packets_are_forwarded),
	RIG_TEST(ipv4_header_length),
	RIG_TEST(ipv4_total_length),
	RIG_TEST(ipv6_payload_length),
	RIG_TEST(tcp_data_offset),
	RIG_TEST(udp_length),
	RIG_TEST(version_and_ethertype_disagree),
	RIG_TEST(cut_at_every_byte),
	RIG_TEST(every_byte_with_other_values),
};

RIG_MAIN(tests, rig_setup)
