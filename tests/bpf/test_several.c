/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program on several interfaces: what leaves by the interface it came in on is sent back, what leaves by
 * another is redirected; the record alone does not tell. Two interfaces: the rig's veth pair.
 */
#include "tunnel.h"

#define OTHER_PORT 5

static void by_the_interface_it_came_in_on(void **state)
{
	struct rig *rig = *state;

	rig_plug(rig, OTHER_PORT, rig->ifindex);
	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		rig->hop.port = OTHER_PORT;
		way_service(rig, w, "tcp", NULL);
		rig->ingress_ifindex = rig->ifindex;
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
		EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(4), way_ip(w), TCP(4000, 80), DATA(10));
		rig->ingress_ifindex = rig->peer_ifindex;
		EXPECT_WAY(rig, w, XDP_REDIRECT, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
		EXPECT_WAY(rig, w, XDP_REDIRECT, ETH(), VLAN(4), way_ip(w), TCP(4000, 80), DATA(10));

		rig->hop.port = RIG_PORT;
		way_service(rig, w, "tcp", NULL);
		rig->ingress_ifindex = rig->ifindex;
		EXPECT_WAY(rig, w, XDP_REDIRECT, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
		rig->ingress_ifindex = rig->peer_ifindex;
		EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80), DATA(10));
	}
}

/* The record's TX flag, which one interface lives by, says nothing here. */
static void the_flag_of_the_record_is_ignored(void **state)
{
	struct rig *rig = *state;
	const struct way *w = &all_ways[2];

	rig->ingress_ifindex = rig->ifindex;
	for (int same = 0; same < 2; same++) {
		rig->hop.same_interface = same;
		way_service(rig, w, "udp", NULL);
		EXPECT_WAY(rig, w, XDP_REDIRECT, ETH(), way_ip(w), UDP(4000, 80), DATA(10));
	}
}

static void an_interface_that_is_gone(void **state)
{
	struct rig *rig = *state;

	rig_plug(rig, RIG_PORT, 0);
	rig->ingress_ifindex = rig->ifindex;
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80)), EGRESS);
}

/* Answers of our own leave where the question came in. */
static void answers_go_back(void **state)
{
	struct rig *rig = *state;

	rig->ingress_ifindex = rig->ifindex;
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), ICMP(8, 0, .word = 7), DATA(20)), ECHO, NULL);
	expect_reply(rig, frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(1460)), TOO_BIG, NULL);
}

/* What is the address of one interface is a stranger's on another. */
static void each_has_its_own_address(void **state)
{
	struct rig *rig = *state;
	struct lb_station all[2] = { { .ifindex = rig->ifindex, .own = true },
				     { .ifindex = rig->peer_ifindex, .own = true } };
	const struct frame *to_first, *to_second;

	memcpy(all[0].mac, "\x02\x00\x00\x00\x00\x1b", 6);
	memcpy(all[1].mac, "\x02\x00\x00\x00\x00\x1c", 6);
	to_first = frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80));
	to_second = frame(ETH(.to = "02:00:00:00:00:1c"), IP4(CLIENT4, VIP4), TCP(4000, 80));
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	rig_stations(rig, all, 2, 0);
	rig->ingress_ifindex = rig->ifindex;
	expect_redirect(rig, to_first, NULL);
	expect_pass(rig, to_second, OTHER_HOST);
	rig->ingress_ifindex = rig->peer_ifindex;
	expect_tx(rig, to_second, NULL);
	expect_pass(rig, to_first, OTHER_HOST);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(by_the_interface_it_came_in_on), RIG_TEST(the_flag_of_the_record_is_ignored),
	RIG_TEST(an_interface_that_is_gone),      RIG_TEST(answers_go_back),
	RIG_TEST(each_has_its_own_address),
};

RIG_MAIN(tests, rig_setup_several)
