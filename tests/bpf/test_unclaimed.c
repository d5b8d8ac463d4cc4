/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets to a VIP that no service takes: what its services say becomes of them.
 */
#include "tunnel.h"

#define ROUTER4 "192.0.2.99"

#define SERVICE(name, vip, protocol, port, more)                                                             \
	"{'name':'" name "','vip':'" vip "','protocol':'" protocol "','port':" port ",'ring_size':64," more  \
	"'backends':[{'name':'a','address':'10.0.1.1'}]}"
#define SERVICE6(name, vip, protocol, port, more)                                                            \
	"{'name':'" name "','vip':'" vip "','protocol':'" protocol "','port':" port ",'ring_size':64," more  \
	"'backends':[{'name':'a','address':'fd00::1'}]}"

/* The host has none of these addresses, and the configuration says nothing. */
static void dropped_by_itself(void **state)
{
	struct rig *rig = *state;
	const int protocols[] = { 2, 4, 41, 47, 50, 51, 89, 112, 132, 255 };

	rig->unclaimed = NULL;
	rig_services(rig, SERVICE("web", VIP4, "tcp", "80", "") "," SERVICE6("dns", VIP6, "udp", "53", ""));
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(9)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(4000, 54)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 53)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), VLAN(7), IP4(CLIENT4, VIP4), TCP(4000, 81)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .ttl = 1), TCP(4000, 81)), UNCLAIMED);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .type = protocols[i]), DATA(32)), UNCLAIMED);
		expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6, .type = protocols[i]), DATA(32)), UNCLAIMED);
	}
	/* Fragments of what was not seen, and first ones to another port. */
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 64, .id = 5, .type = 6), DATA(8)),
		    UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 64, .id = 5, .type = 17), DATA(8)),
		    UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 5), TCP(4000, 81), DATA(8)),
		    UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, VIP6), FRAGMENT6(64, 0, 5, .next = 17), DATA(8)),
		    UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 64, .id = 5, .type = 1), DATA(8)),
		    UNCLAIMED);
	/* ICMP that is about nothing of ours, and errors about another port. */
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(13, 0), DATA(24)), UNCLAIMED);
	expect_drop(
		rig,
		frame(ETH(), IP4(ROUTER4, VIP4), ICMP(3, 4, .word = 1400), IP4(VIP4, CLIENT4), TCP(81, 4000)),
		UNCLAIMED);
	/* Headers further on than we look, ports that are not there. */
	expect_drop(rig,
		    frame(ETH(), IP6(CLIENT6, VIP6), EXTENSION(60), EXTENSION(60), EXTENSION(60),
			  EXTENSION(60), EXTENSION(60), EXTENSION(60), EXTENSION(60), UDP(1, 53)),
		    UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4, .type = 6), DATA(3)), UNCLAIMED);
	/* What is for the service is; what is to another address is the host's. */
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NULL);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.11"), TCP(4000, 80)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(VIP4, CLIENT4), TCP(80, 4000)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:113::11"), UDP(4000, 53)), NO_SERVICE);
}

/* A neighbour that asks for the VIP's address is answered by the host, or by nobody. */
static void neighbour_discovery_is_passed(void **state)
{
	struct rig *rig = *state;

	rig->unclaimed = ",'unclaimed':'drop'";
	rig_services(rig, SERVICE6("dns", VIP6, "udp", "53", ""));
	for (int type = 0; type < 256; type++) {
		const struct frame *in =
			frame(ETH(), IP6(CLIENT6, VIP6, .ttl = 255), ICMP(type, 0), DATA(24));

		if (type >= 133 && type <= 137)
			expect_pass(rig, in, ICMP);
		else if (type != 128)
			expect_drop(rig, in, UNCLAIMED);
	}
	/* A quoted packet is not looked at for that. */
	expect_drop(rig,
		    frame(ETH(), IP6(CLIENT6, VIP6), ICMP(1, 0), IP6(VIP6, CLIENT6), ICMP(135, 0), DATA(24)),
		    UNCLAIMED);
}

static void ping_that_is_not_answered(void **state)
{
	struct rig *rig = *state;

	rig->unclaimed = ",'unclaimed':'drop'";
	rig_services(rig, SERVICE("web", VIP4, "tcp", "80", "'echo':false,"));
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7)), UNCLAIMED);
	rig_services(rig, SERVICE("web", VIP4, "tcp", "80", ""));
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7)), ECHO, NULL);
	/* From whom there is nobody to answer. */
	expect_drop(rig, frame(ETH(), IP4("224.0.0.1", VIP4), ICMP(8, 0), DATA(7)), UNCLAIMED);
}

/* A service says it for its VIP; the top for those that do not. */
static void by_service(void **state)
{
	struct rig *rig = *state;

	rig->unclaimed = ",'unclaimed':'drop'";
	rig_services(rig, SERVICE("a", "203.0.113.1", "tcp", "80", "'unclaimed':'pass',") "," SERVICE(
				  "b", "203.0.113.2", "tcp", "80",
				  "") "," SERVICE("c", "203.0.113.3", "tcp", "80", "'unclaimed':'drop',"));
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.1"), TCP(4000, 81)), NO_SERVICE);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.2"), TCP(4000, 81)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.3"), TCP(4000, 81)), UNCLAIMED);
	/* Who wants them passed wins: something else of the host's may be there. */
	rig_services(rig, SERVICE("a", VIP4, "tcp", "80", "'unclaimed':'pass',") "," SERVICE(
				  "b", VIP4, "udp", "53", "'unclaimed':'drop',"));
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81)), NO_SERVICE);
}

/* Under a prefix, what the host has the address of is the host's: flows, fragments, pings, what else there
 * is. But for a service of that very address. */
static void an_address_of_the_host_under_a_prefix(void **state)
{
	static const struct lb_address held[] = { { LB_FAMILY_V4, { 203, 0, 113, 7 } },
						  { LB_FAMILY_V6,
						    { 0x20, 1, 0xd, 0xb8, 0, 0x50, [15] = 7 } } };
	struct rig *rig = *state;

	for (int held_now = 0; held_now < 2; held_now++) {
		rig->held = held;
		rig->n_held = held_now ? 2 : 0;
		rig->unclaimed = ",'unclaimed':'drop'";
		rig_services(
			rig,
			"{'name':'net','vip':'203.0.113.0/24','protocol':'tcp','port':'any','echo':true,"
			"'backends':[{'name':'b1','address':'10.0.1.1'}]},"
			"{'name':'net6','vip':'2001:db8:50::/64','protocol':'tcp','port':80,"
			"'backends':[{'name':'b1','address':'fd00::1'}]},"
			"{'name':'one','vip':'203.0.113.7','protocol':'tcp','port':443,'unclaimed':'pass',"
			"'backends':[{'name':'b1','address':'10.0.1.1'}]}");
		rig_run(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.7"), TCP(4000, 443)));
		assert_int_equal(rig->last.action, XDP_TX);
		rig_run(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.8"), TCP(4000, 80)));
		assert_int_equal(rig->last.action, XDP_TX);
		rig_run(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:50::8"), TCP(4000, 80)));
		assert_int_equal(rig->last.action, XDP_TX);
		if (!held_now)
			continue;
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.7"), TCP(4000, 22)), NO_SERVICE);
		expect_pass(rig, frame(ETH(), VLAN(3), IP4(CLIENT4, "203.0.113.7"), TCP(4000, 22)),
			    NO_SERVICE);
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.7"), UDP(4000, 53)), NO_SERVICE);
		expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:50::7"), TCP(4000, 80)), NO_SERVICE);
		expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.7", .offset = 512), DATA(100)),
			    FRAGMENT);
	}
}

/* The longest prefix decides, an address before all. */
static void by_prefix(void **state)
{
	struct rig *rig = *state;

	rig->unclaimed = NULL;
	rig_services(
		rig,
		SERVICE("wide", "203.0.112.0/22", "tcp", "80", "'unclaimed':'drop',") "," SERVICE(
			"inner", "203.0.113.0/24", "tcp", "80",
			"'unclaimed':'pass','echo':false,") "," SERVICE("one", "203.0.113.7", "udp", "53",
									"'unclaimed':'drop',") "," SERVICE("o"
													   "p"
													   "e"
													   "n",
													   "2"
													   "0"
													   "3"
													   "."
													   "0"
													   "."
													   "1"
													   "1"
													   "2"
													   "."
													   "9",
													   "u"
													   "d"
													   "p",
													   "5"
													   "3",
													   "'"
													   "u"
													   "n"
													   "c"
													   "l"
													   "a"
													   "i"
													   "m"
													   "e"
													   "d"
													   "'"
													   ":"
													   "'"
													   "p"
													   "a"
													   "s"
													   "s"
													   "'"
													   ","
													   "'"
													   "e"
													   "c"
													   "h"
													   "o"
													   "'"
													   ":"
													   "f"
													   "a"
													   "l"
													   "s"
													   "e"
													   ",") "," SERVICE6("six",
															     "2001:db8:113::/48",
															     "udp",
															     "'1000-1999'",
															     "'unclaimed':'drop',"));
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, "203.0.112.1"), TCP(4000, 81)), UNCLAIMED);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, "203.0.115.255"), UDP(4000, 80)), UNCLAIMED);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.116.0"), TCP(4000, 81)), NO_SERVICE);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.1"), TCP(4000, 81)), NO_SERVICE);
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.7"), TCP(4000, 81)), UNCLAIMED);
	expect_pass(rig, frame(ETH(), IP4(CLIENT4, "203.0.112.9"), TCP(4000, 81)), NO_SERVICE);
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.7"), TCP(4000, 80)), NULL);
	expect_drop(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:113::8"), UDP(1, 2000)), UNCLAIMED);
	expect_pass(rig, frame(ETH(), IP6(CLIENT6, "2001:db8:114::8"), UDP(1, 2000)), NO_SERVICE);
}

/* A change of the word alone is seen by the next packet. */
static void a_word_that_changes(void **state)
{
	struct rig *rig = *state;
	const struct frame *in = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81));

	rig->unclaimed = ",'unclaimed':'pass'";
	rig_services(rig, SERVICE("web", VIP4, "tcp", "80", ""));
	expect_pass(rig, in, NO_SERVICE);
	rig->unclaimed = ",'unclaimed':'drop'";
	rig_change(rig, SERVICE("web", VIP4, "tcp", "80", ""));
	expect_drop(rig, in, UNCLAIMED);
	rig_change(rig, SERVICE("web", VIP4, "tcp", "80", "'unclaimed':'pass',"));
	expect_pass(rig, in, NO_SERVICE);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(dropped_by_itself),
	RIG_TEST(neighbour_discovery_is_passed),
	RIG_TEST(ping_that_is_not_answered),
	RIG_TEST(by_service),
	RIG_TEST(by_prefix),
	RIG_TEST(an_address_of_the_host_under_a_prefix),
	RIG_TEST(a_word_that_changes),
};

RIG_MAIN(tests, rig_setup)
