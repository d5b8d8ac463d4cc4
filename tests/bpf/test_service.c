/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which service a packet is for: exact services, all ports, port ranges, prefixes; the most specific wins.
 * Each service has one backend, so that the backend tells the service.
 */
#include "tunnel.h"

#define SERVICE(name, vip, protocol, port, n)                                                                \
	"{'name':'" name "','vip':'" vip "','protocol':'" protocol "','port':" port ",'ring_size':64,"       \
	"'backends':[{'name':'b','address':'10.0.1." #n "'}]}"
static const char *const many[] = {
	SERVICE("exact", "203.0.113.10", "tcp", "80", 1),
	SERVICE("range", "203.0.113.10", "tcp", "'80-99'", 2),
	SERVICE("wide", "203.0.113.10", "tcp", "'64-8191'", 3),
	SERVICE("any", "203.0.113.10", "tcp", "'any'", 4),
	SERVICE("net-port", "203.0.113.0/24", "tcp", "443", 5),
	SERVICE("net", "203.0.113.0/24", "tcp", "'any'", 6),
	SERVICE("wide-net", "203.0.0.0/16", "tcp", "'any'", 7),
	SERVICE("dns", "203.0.113.10", "udp", "53", 8),
	SERVICE("all-udp", "8.0.0.0/8", "udp", "'any'", 9),
};

static void serve_many(struct rig *rig)
{
	char text[4096] = "";

	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		strcat(text, i ? "," : "");
		strcat(text, many[i]);
	}
	rig_services(rig, text);
}

static void to(struct rig *rig, const char *address, int port, int want, const char *file, int line)
{
	const struct frame *in = frame(ETH(), IP4(CLIENT4, address), TCP(4000, port));

	if (!want) {
		rig_expect_same(rig, in, XDP_PASS, LB_PASS_NO_SERVICE, file, line);
		return;
	}
	rig_expect(rig, in, XDP_TX, 0, NULL, file, line);
	if (rig_backend_taken(rig) != want) {
		printf("# %s port %d went to %d, wanted %d\n", address, port, rig_backend_taken(rig), want);
		_fail(file, line);
	}
}
#define TO(rig, address, port, want) to(rig, address, port, want, __FILE__, __LINE__)

static void most_specific_wins(void **state)
{
	struct rig *rig = *state;

	serve_many(rig);
	TO(rig, "203.0.113.10", 80, 1);
	TO(rig, "203.0.113.10", 81, 2);
	TO(rig, "203.0.113.10", 99, 2);
	TO(rig, "203.0.113.10", 100, 3);
	TO(rig, "203.0.113.10", 79, 3);
	TO(rig, "203.0.113.10", 64, 3);
	TO(rig, "203.0.113.10", 8191, 3);
	TO(rig, "203.0.113.10", 63, 4);
	TO(rig, "203.0.113.10", 8192, 4);
	TO(rig, "203.0.113.10", 65535, 4);
	TO(rig, "203.0.113.10", 0, 4);
	TO(rig, "203.0.113.10", 443, 3); /* an address wins over a prefix, whatever the port */
	TO(rig, "203.0.113.11", 443, 5);
	TO(rig, "203.0.113.255", 444, 6);
	TO(rig, "203.0.113.0", 1, 6);
	TO(rig, "203.0.112.255", 443, 7);
	TO(rig, "203.0.114.0", 443, 7);
	TO(rig, "203.1.0.0", 443, 0);
	TO(rig, "202.255.255.255", 443, 0);
}

static void protocols_are_apart(void **state)
{
	struct rig *rig = *state;

	serve_many(rig);
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 53)), NULL);
	assert_int_equal(rig_backend_taken(rig), 8);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80)), NO_SERVICE);
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, "8.8.8.8"), UDP(4000, 80)), NULL);
	assert_int_equal(rig_backend_taken(rig), 9);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, 80)), NO_SERVICE);
	/* Echo is answered for it; other ICMP to it is the host's. */
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, "8.8.8.8"), ICMP(8, 0)), ECHO,
		     frame(ETH(.from = MAC_LB, .to = MAC_CLIENT), IP4("8.8.8.8", CLIENT4), ICMP(0, 0)));
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "8.8.8.8"), ICMP(13, 0)), ICMP);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, VIP6), ICMP(128, 0)), ICMP);
}

static void every_prefix_length_v6(void **state)
{
	struct rig *rig = *state;

	/* Shorter ones would hold the backend itself. */
	for (int bits = 8; bits <= 128; bits++) {
		char services[512], address[8][64];
		unsigned char net[16] = {}, inside[16], outside[16];

		for (int i = 0; i < bits; i++)
			net[i / 8] |= (unsigned char)(0x80 >> i % 8 & (0x25 + i * 7));
		net[0] &= 0x3f; /* never multicast */
		memcpy(inside, net, 16);
		memcpy(outside, net, 16);
		for (int i = bits; i < 128; i++)
			inside[i / 8] |= (unsigned char)(0x80 >> i % 8);
		outside[(bits - 1) / 8] ^= (unsigned char)(0x80 >> (bits - 1) % 8);
		for (int k = 0; k < 3; k++) {
			const unsigned char *from = k == 0 ? net : k == 1 ? inside : outside;
			char *at = address[k];

			for (int i = 0; i < 16; i += 2)
				at += sprintf(at, "%s%x", i ? ":" : "", from[i] << 8 | from[i + 1]);
		}
		snprintf(services, sizeof(services),
			 "{'name':'s','vip':'%s/%d','protocol':'tcp','port':80,'ring_size':64,"
			 "'backends':[{'name':'b','address':'fd00::1'}]}",
			 address[0], bits);
		rig_services(rig, services);
		expect_tx(rig, frame(ETH(), IP6(CLIENT6, address[0]), TCP(4000, 80)), NULL);
		expect_tx(rig, frame(ETH(), IP6(CLIENT6, address[1]), TCP(4000, 80)), NULL);
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, address[2]), TCP(4000, 80)), NO_SERVICE);
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, address[0]), TCP(4000, 81)), NO_SERVICE);
	}
}

/* A range of ports with awkward edges: every port is in or out as it should be. */
static void every_port_of_a_range(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, SERVICE("odd", "203.0.113.10", "tcp", "'1235-4098'", 1));
	rig->alone = true;
	for (int port = 0; port<65536; port += port> 1200 && port < 1300 ? 1
			   : port > 4050 && port < 4200                  ? 1
									 : 37)
		TO(rig, VIP4, port, port >= 1235 && port <= 4098 ? 1 : 0);
}

/* Lies about a wildcard service are dropped like those about an exact one; tags and the rest work as well. */
static void wildcard_services_on_the_slow_path(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	rig_services(rig, SERVICE("net", "203.0.113.0/24", "tcp", "'any'", 1));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(3), IP4(CLIENT4, VIP4), TCP(4000, 999));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4("192.0.2.99", VIP4), ICMP(3, 4, .word = 1400),
		   IP4(VIP4, CLIENT4), TCP(999, 4000));
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 999, .doff = 2)), TCP_HEADER);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .length = 90), TCP(4000, 999)), IP_HEADER);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.114.1"), TCP(4000, 999, .doff = 2)), NO_SERVICE);
}

/* Port 0 and other odd keys are keys like any other. */
static void odd_ports(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, SERVICE("exact", "203.0.113.10", "tcp", "65535", 1));
	TO(rig, VIP4, 65535, 1);
	TO(rig, VIP4, 0, 0);
	TO(rig, VIP4, 65534, 0);
}

static void affinity_source(void **state)
{
	struct rig *rig = *state;
	int seen[5] = {};

	rig_services(rig,
		     WEB(ipip, tcp, "'10.0.1.1','10.0.1.2','10.0.1.3','10.0.1.4'", "'affinity':'source'"));
	for (int i = 1; i < 250; i++) {
		char client[32];
		int taken;

		snprintf(client, sizeof(client), "198.51.100.%d", i);
		rig_run(rig, frame(ETH(), IP4(client, VIP4), TCP(1000, 80, .flags = TCP_SYN)));
		taken = rig_backend_taken(rig);
		seen[taken]++;
		for (int sport = 1; sport < 60000; sport += 9999) {
			rig_run(rig, frame(ETH(), IP4(client, VIP4), TCP(sport, 80)));
			assert_int_equal(rig_backend_taken(rig), taken);
		}
	}
	for (int i = 1; i < 5; i++)
		assert_in_range(seen[i], 30, 95);
}

static void affinity_source_v6(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB6(ipip, udp, "'fd00::1','fd00::2','fd00::3'", "'affinity':'source'"));
	for (int i = 1; i < 50; i++) {
		char client[64];
		int taken;

		snprintf(client, sizeof(client), "2001:db8:c::%x", i);
		rig_run(rig, frame(ETH(), IP6(client, VIP6), UDP(1000, 80)));
		taken = rig_backend_taken(rig);
		rig_run(rig, frame(ETH(), IP6(client, VIP6), UDP(2000, 80)));
		assert_int_equal(rig_backend_taken(rig), taken);
	}
}

/* A full table: every service finds its own entry, misses are misses. */
static void many_services(void **state)
{
	struct rig *rig = *state;
	static char text[64 * 256];
	int n = 0;

	for (int i = 0; i < 60; i++)
		n += snprintf(
			text + n, sizeof(text) - (size_t)n,
			"%s{'name':'s%d','vip':'203.0.113.%d','protocol':'tcp','port':%d,'ring_size':64,"
			"'backends':[{'name':'b','address':'10.0.1.%d'}]}",
			i ? "," : "", i, i + 1, 80 + i % 7, i + 1);
	rig_services(rig, text);
	for (int i = 0; i < 60; i++) {
		char vip[32];

		snprintf(vip, sizeof(vip), "203.0.113.%d", i + 1);
		TO(rig, vip, 80 + i % 7, i + 1);
		TO(rig, vip, 87 + i % 7, 0);
	}
}

/* Neighbours in one /64 differ in the second word of the key alone: each has its own entry, or none. */
static void neighbours_v6(void **state)
{
	struct rig *rig = *state;
	static char text[64 * 256];
	int n = 0;

	for (int i = 0; i < 60; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      "%s{'name':'s%d','vip':'2001:db8:113::%x','protocol':'tcp','port':80,"
			      "'ring_size':64,'backends':[{'name':'b','address':'fd00::%x'}]}",
			      i ? "," : "", i, i + 1, i + 1);
	rig_services(rig, text);
	rig->alone = true;
	for (int i = 1; i < 600; i++) {
		char vip[64];

		snprintf(vip, sizeof(vip), "2001:db8:113::%x", i);
		if (i <= 60) {
			expect_tx(rig, frame(ETH(), IP6(CLIENT6, vip), TCP(4000, 80)), NULL);
			assert_int_equal(rig_backend_taken(rig), i);
			expect_tx(rig, frame(ETH(), VLAN(3), IP6(CLIENT6, vip), TCP(4000, 80)), NULL);
			assert_int_equal(rig_backend_taken(rig), i);
			continue;
		}
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, vip), TCP(4000, 80)), NO_SERVICE);
		expect_pass(rig, frame(ETH(), VLAN(3), IP6(CLIENT6, vip), TCP(4000, 80)), NO_SERVICE);
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, vip), ICMP(128, 0)), ICMP);
	}
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(most_specific_wins),
	RIG_TEST(protocols_are_apart),
	RIG_TEST(every_prefix_length_v6),
	RIG_TEST(every_port_of_a_range),
	RIG_TEST(wildcard_services_on_the_slow_path),
	RIG_TEST(odd_ports),
	RIG_TEST(affinity_source),
	RIG_TEST(affinity_source_v6),
	RIG_TEST(many_services),
	RIG_TEST(neighbours_v6),
};

RIG_MAIN(tests, rig_setup)
