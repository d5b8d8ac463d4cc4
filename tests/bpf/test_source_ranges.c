/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services that let some sources in only: every way through the packet path asks, nobody else is asked.
 */
#include "unsettled.h"

#define ROUTER4  "192.0.2.99"
#define OUTSIDE4 "198.51.101.7"
#define OUTSIDE6 "2001:db8:d::7"
#define RANGES4  "'source_ranges':[{'prefix':'198.51.100.0/24'},{'prefix':'192.0.2.1'}]"
#define RANGES6  "'source_ranges':[{'prefix':'2001:db8:c::/48'},{'prefix':'2001:db8:e::1'}]"

#define expect_refused(rig, in) expect_drop(rig, in, SOURCE)

static const char *ranges_of(const struct way *w)
{
	return w->vip == 4 ? RANGES4 : RANGES6;
}

static void sources_outside_are_dropped(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		for (int tcp = 0; tcp < 2; tcp++) {
			const struct layer l4 = tcp ? TCP(4000, 80) : UDP(4000, 80);

			way_service(rig, w, tcp ? "tcp" : "udp", ranges_of(w));
			if (w->vip == 4) {
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4), l4, DATA(9));
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4("192.0.2.1", VIP4), l4, DATA(9));
				expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), l4, DATA(9)));
				expect_refused(rig, frame(ETH(), IP4("192.0.2.2", VIP4), l4, DATA(9)));
				expect_refused(rig, frame(ETH(), VLAN(3), IP4(OUTSIDE4, VIP4), l4, DATA(9)));
			} else {
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6(CLIENT6, VIP6), l4, DATA(9));
				EXPECT_WAY(rig, w, XDP_TX, ETH(), IP6("2001:db8:e::1", VIP6), l4, DATA(9));
				expect_refused(rig, frame(ETH(), IP6(OUTSIDE6, VIP6), l4, DATA(9)));
				expect_refused(rig, frame(ETH(), IP6("2001:db8:e::2", VIP6), l4, DATA(9)));
				expect_refused(rig, frame(ETH(), VLAN(3), IP6(OUTSIDE6, VIP6), l4, DATA(9)));
			}
		}
	}
}

static void whoever_is_not_asked_passes(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	way_service(rig, w, "tcp", RANGES4);
	/* Other ports of the VIP, and pings, are not the service's. */
	expect_pass(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 81)), NO_SERVICE);
	expect_reply(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), ICMP(8, 0)), ECHO, NULL);
	/* Everybody, said in one way or another. */
	way_service(rig, w, "tcp", "'source_ranges':[]");
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 80));
	way_service(rig, w, "tcp", "'source_ranges':[{'prefix':'192.0.2.1'},{'prefix':'0.0.0.0/0'}]");
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 80));
}

/* Each service has ranges of its own, also where the address is the same. */
static void services_do_not_share_ranges(void **state)
{
	struct rig *rig = *state;

#define PORT(name, port, n, ranges)                                                                          \
	"{'name':'" name "','vip':'203.0.113.10','protocol':'tcp','port':" port ",'ring_size':64," ranges    \
	"'backends':[{'name':'b','address':'10.0.1." #n "'}]}"
	rig_services(rig,
		     PORT("a", "80", 1, "'source_ranges':[{'prefix':'198.51.100.0/24'}],") "," PORT(
			     "b", "81", 2,
			     "'source_ranges':[{'prefix':'198.51.101.0/24'}],") "," PORT("c", "82", 3, ""));
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NULL);
	expect_refused(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 81)));
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 82)), NULL);
	expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 80)));
	expect_tx(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 81)), NULL);
	expect_tx(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 82)), NULL);
}

static void every_prefix_length(void **state)
{
	struct rig *rig = *state;
	unsigned char client[16] = { 0x20, 1, 0xd, 0xb8, 0, 0xc };

	client[15] = 7;
	for (int bits = 1; bits <= 128; bits++) {
		unsigned char net[16] = { 0 };
		char range[2][64], more[256];

		for (int i = 0; i < bits; i++)
			net[i / 8] |= (unsigned char)(client[i / 8] & 0x80 >> i % 8);
		for (int k = 0; k < 2; k++) {
			char *at = range[k];

			for (int i = 0; i < 16; i += 2)
				at += sprintf(at, "%s%x", i ? ":" : "", net[i] << 8 | net[i + 1]);
			net[(bits - 1) / 8] ^=
				(unsigned char)(0x80 >> (bits - 1) % 8); /* the one beside it */
		}
		snprintf(more, sizeof(more), "'source_ranges':[{'prefix':'%s/%d'}]", range[0], bits);
		rig_services(rig, rig_web("ipip", "tcp", VIP6, "'fd00::1'", more, NULL));
		expect_tx(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80)), NULL);
		snprintf(more, sizeof(more), "'source_ranges':[{'prefix':'%s/%d'}]", range[1], bits);
		rig_services(rig, rig_web("ipip", "tcp", VIP6, "'fd00::1'", more, NULL));
		expect_refused(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80)));
	}
}

/* As many prefix lengths as there may be, of which the last is the client's. */
static void all_lengths_are_compared(void **state)
{
	struct rig *rig = *state;
	char more[2048] = "'source_ranges':[";

	for (unsigned int i = 0; i < LB_RANGE_LENGTHS_MAX - 1; i++)
		sprintf(more + strlen(more), "{'prefix':'10.0.0.0/%u'},", 8 + i);
	strcat(more, "{'prefix':'198.51.100.0/30'},{'prefix':'198.51.100.4/30'}]");
	rig_services(rig, rig_web("ipip", "tcp", VIP4, "'10.0.1.1'", more, NULL));
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), NULL);
	expect_tx(rig, frame(ETH(), IP4("10.200.0.1", VIP4), TCP(4000, 80)), NULL);
	expect_refused(rig, frame(ETH(), IP4("198.51.100.8", VIP4), TCP(4000, 80)));
}

/* What the flow table knows makes no difference. A list that is not there lets nobody in. */
static void flows_that_are_known_are_dropped_as_well(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
	rig_vip(rig, "web")->flags |= LB_VIP_RANGES;
	expect_refused(rig, packet(4000, TCP_ACK));
	expect_refused(rig, packet(4001, TCP_SYN));
	/* One that lets it in leaves it where it was. */
	moving(rig, rig_web("ipip", "tcp", VIP4, "'10.0.1.1','10.0.1.2'", RANGES4, NULL));
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
}

static void wildcards_and_affinities_ask(void **state)
{
	struct rig *rig = *state;
	static const char *const affinities[] = { "'affinity':'source'," RANGES4,
						  "'affinity':'quic','quic':{'configs':[{'rotation':0,"
						  "'server_id_bytes':1}]}," RANGES4 };

	rig_services(
		rig,
		"{'name':'any','vip':'203.0.113.0/24','protocol':'tcp','port':'any','ring_size':64," RANGES4
		",'backends':[{'name':'b','address':'10.0.1.1'}]}");
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 999)), NULL);
	expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 999)));
	for (int quic = 0; quic < 2; quic++) {
		char service[1024];

		snprintf(service, sizeof(service),
			 "{'name':'s','vip':'203.0.113.10','protocol':'udp','port':80,'ring_size':64,%s,"
			 "'backends':[{'name':'b','address':'10.0.1.1'%s}]}",
			 affinities[quic], quic ? ",'server_id':'01'" : "");
		rig_services(rig, service);
		expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(4000, 80), DATA(40)), NULL);
		expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), UDP(4000, 80), DATA(40)));
	}
}

/* An error's sender is a router: its flow's client is who must be in a range. */
static void errors_belong_to_the_client_that_they_are_about(void **state)
{
	struct rig *rig = *state;
	const struct way *w4 = &all_ways[2], *w6 = &all_ways[4];

	assert_int_equal(w6->vip, 6);
	way_service(rig, w4, "tcp", RANGES4);
	EXPECT_WAY(rig, w4, XDP_TX, ETH(), IP4(ROUTER4, VIP4), ICMP(3, 1), IP4(VIP4, CLIENT4), TCP(80, 4000));
	expect_refused(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(3, 1), IP4(VIP4, OUTSIDE4), TCP(80, 4000)));
	way_service(rig, w6, "udp", RANGES6);
	EXPECT_WAY(rig, w6, XDP_TX, ETH(), IP6("2001:db8:99::1", VIP6), ICMP(1, 0), IP6(VIP6, CLIENT6),
		   UDP(80, 4000));
	expect_refused(rig, frame(ETH(), IP6(CLIENT6, VIP6), ICMP(1, 0), IP6(VIP6, OUTSIDE6), UDP(80, 4000)));
}

/* The table of first fragments outlives a change of the ranges. */
static void fragments_ask(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	way_service(rig, w, "udp", RANGES4);
	expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4, .mf = 1, .id = 101),
				  UDP(4000, 80, .length = 3000), DATA(64)));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 102),
		   UDP(4000, 80, .length = 3000), DATA(64));
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 102, .type = 17), DATA(9));
	way_service(rig, w, "udp", NULL);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .mf = 1, .id = 104),
		   UDP(4000, 80, .length = 3000), DATA(64));
	rig_vip(rig, "web")->flags |= LB_VIP_RANGES;
	expect_refused(rig, frame(ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 104, .type = 17), DATA(9)));
	/* Without its first, by source alone. */
	way_service(rig, w, "udp", "'affinity':'source'," RANGES4);
	EXPECT_WAY(rig, w, XDP_TX, ETH(), IP4(CLIENT4, VIP4, .offset = 72, .id = 103, .type = 17), DATA(9));
	expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4, .offset = 72, .id = 103, .type = 17), DATA(9)));
}

/* Who is refused is told nothing, and a header that lies is called one first. */
static void refusals_are_silent(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, rig_web("ipip", "tcp", VIP4, "", "'no_backend':'reject'," RANGES4, NULL));
	expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 80, .flags = TCP_SYN)));
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80, .flags = TCP_SYN)), NO_BACKEND,
		     NULL);
	way_service(rig, &all_ways[2], "tcp", RANGES4);
	expect_refused(rig, frame(ETH(), IP4(OUTSIDE4, VIP4, .ttl = 1), TCP(4000, 80)));
	expect_drop(rig, frame(ETH(), IP4(OUTSIDE4, VIP4), TCP(4000, 80, .doff = 1)), TCP_HEADER);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(sources_outside_are_dropped),
	RIG_TEST(whoever_is_not_asked_passes),
	RIG_TEST(services_do_not_share_ranges),
	RIG_TEST(every_prefix_length),
	RIG_TEST(all_lengths_are_compared),
	RIG_TEST(flows_that_are_known_are_dropped_as_well),
	RIG_TEST(wildcards_and_affinities_ask),
	RIG_TEST(errors_belong_to_the_client_that_they_are_about),
	RIG_TEST(fragments_ask),
	RIG_TEST(refusals_are_silent),
};

RIG_MAIN(tests, rig_setup)
