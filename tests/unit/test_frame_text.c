// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames in one line, well-formed and lying; and any bytes at any length without a read beyond them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packet/frame_text.h"

#define ETH4                                                                                                 \
	"020000000001"                                                                                       \
	"020000000002"                                                                                       \
	"0800"
#define ETH6                                                                                                 \
	"020000000001"                                                                                       \
	"020000000002"                                                                                       \
	"86dd"
#define FROM_TO_4                                                                                            \
	"c6336407"                                                                                           \
	"cb00710a" /* 198.51.100.7 > 203.0.113.10 */
#define FROM_TO_6                                                                                            \
	"20010db8005100000000000000000007"                                                                   \
	"20010db8011300000000000000000010"
#define PORTS "9c400050" /* 40000 > 80 */

static size_t unhex(const char *hex, unsigned char *bytes)
{
	size_t n = 0;

	for (; hex[0] && hex[1]; hex += 2)
		sscanf(hex, "%2hhx", &bytes[n++]);
	return n;
}

static void is(const char *hex, size_t frame_bytes, const char *wanted)
{
	unsigned char bytes[256];
	char text[LB_FRAME_TEXT_MAX];
	size_t n = unhex(hex, bytes);

	assert_string_equal(lb_frame_text(bytes, n, frame_bytes ? frame_bytes : n, text), wanted);
}

static void tcp(void **state)
{
	is(ETH4 "45000028000040004006"
		"0000" FROM_TO_4 PORTS "0000000000000000"
		"5002ffff00000000",
	   60, "TCP 198.51.100.7:40000 > 203.0.113.10:80 [S]");
	is(ETH4 "45000028000040004006"
		"0000" FROM_TO_4 PORTS "0000000000000000"
		"5011ffff00000000",
	   0, "TCP 198.51.100.7:40000 > 203.0.113.10:80 [F.]");
	is(ETH4 "45000028000040004006"
		"0000" FROM_TO_4 PORTS "0000000000000000"
		"2000ffff00000000",
	   0, "TCP 198.51.100.7:40000 > 203.0.113.10:80 [none], data offset 2");
	is(ETH4 "45000028000040004006"
		"0000" FROM_TO_4 PORTS,
	   60, "TCP 198.51.100.7:40000 > 203.0.113.10:80, cut short");
	is(ETH6 "6000000000140640" FROM_TO_6 PORTS "0000000000000000"
		"5004ffff00000000",
	   0, "TCP [2001:db8:51::7]:40000 > [2001:db8:113::10]:80 [R]");
	is("020000000001"
	   "020000000002"
	   "88a80064"
	   "81000005"
	   "0800"
	   "45000028000040004006"
	   "0000" FROM_TO_4 PORTS "0000000000000000"
	   "5002ffff00000000",
	   0, "VLAN 100 VLAN 5 TCP 198.51.100.7:40000 > 203.0.113.10:80 [S]");
}

static void udp(void **state)
{
	is(ETH4 "4500001c000040004011"
		"0000" FROM_TO_4 PORTS "00040000",
	   60, "UDP 198.51.100.7:40000 > 203.0.113.10:80, length 4");
	is(ETH6 "6000000000102c40" FROM_TO_6 "1100000100000001" PORTS "00080000", 0,
	   "UDP [2001:db8:51::7]:40000 > [2001:db8:113::10]:80, length 8, fragment at 0+");
}

static void icmp(void **state)
{
	is(ETH4 "4500001c000040004001"
		"0000" FROM_TO_4 "08000000"
		"00000000",
	   60, "ICMP 198.51.100.7 > 203.0.113.10, echo request");
	is(ETH4 "4500001c000040004001"
		"0000" FROM_TO_4 "03040000"
		"000000c8",
	   60, "ICMP 198.51.100.7 > 203.0.113.10, fragmentation needed, MTU 200");
	is(ETH4 "4500001c000040004001"
		"0000" FROM_TO_4 "03010000"
		"000000c8",
	   60, "ICMP 198.51.100.7 > 203.0.113.10, unreachable");
	is(ETH6 "6000000000083a40" FROM_TO_6 "02000000"
		"00000500",
	   0, "ICMPv6 2001:db8:51::7 > 2001:db8:113::10, packet too big, MTU 1280");
	is(ETH6 "6000000000083a40" FROM_TO_6 "87000000"
		"00000000",
	   0, "ICMPv6 2001:db8:51::7 > 2001:db8:113::10, type 135 code 0");
}

static void others(void **state)
{
	is("ffffffffffff"
	   "020000000002"
	   "0806"
	   "0001",
	   60, "Ethernet type 0x0806, 60 bytes");
	is("ffffffff", 0, "4 bytes: no Ethernet header");
	is(ETH4 "4500", 0, "IPv4, cut short");
	is(ETH6 "6000", 0, "IPv6, cut short");
	is(ETH4 "45000014000040004084"
		"0000" FROM_TO_4,
	   60, "protocol 132 198.51.100.7 > 203.0.113.10");
	is(ETH4 "450005dc000020b94006"
		"0000" FROM_TO_4 PORTS,
	   1514, "protocol 6 198.51.100.7 > 203.0.113.10, fragment at 1480+");
}

static void lies(void **state)
{
	is(ETH4 "41000028000040004006"
		"0000" FROM_TO_4 PORTS "0000000000000000"
		"5002ffff00000000",
	   60, "TCP 198.51.100.7:40000 > 203.0.113.10:80 [S], IP header length 4");
	is(ETH4 "45000200000040004006"
		"0000" FROM_TO_4 PORTS "0000000000000000"
		"5002ffff00000000",
	   54, "TCP 198.51.100.7:40000 > 203.0.113.10:80 [S], IP length 512 in a frame of 54");
	is(ETH4 "45000028000040000106"
		"0000" FROM_TO_4 PORTS "0000000000000000"
		"5002ffff00000000",
	   60, "TCP 198.51.100.7:40000 > 203.0.113.10:80 [S], TTL 1");
	is(ETH6 "6000000000140601" FROM_TO_6 PORTS "0000000000000000"
		"5002ffff00000000",
	   0, "TCP [2001:db8:51::7]:40000 > [2001:db8:113::10]:80 [S], hop limit 1");
}

/* With ASan: memory of exactly that size. */
static void anything(void **state)
{
	static const unsigned short types[] = { 0x0800, 0x86dd, 0x8100, 0x88a8, 0x1234 };
	char text[LB_FRAME_TEXT_MAX];

	srand(7);
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)rand() % 129;
		unsigned char *bytes = malloc(n ? n : 1);

		for (size_t j = 0; j < n; j++)
			bytes[j] = (unsigned char)(rand() % 3 ? rand() : rand() % 64);
		if (n >= 14) {
			unsigned short type = types[rand() % 5];

			bytes[12] = type >> 8;
			bytes[13] = type & 0xff;
		}
		lb_frame_text(bytes, n, n, text);
		assert_true(strlen(text) < LB_FRAME_TEXT_MAX);
		assert_true(strlen(text) > 0);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp),    cmocka_unit_test(udp),  cmocka_unit_test(icmp),
		cmocka_unit_test(others), cmocka_unit_test(lies), cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
