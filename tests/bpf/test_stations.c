/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose frames are ours: those to the addresses of the interface they come in by, and nobody else's.
 */
#include "tunnel.h"

#define MAC_OTHER  "02:00:00:00:00:1c"
#define MAC_VRRP   "00:00:5e:00:01:07"
#define MAC_SECOND "02:00:00:00:00:2b"

#define LOOPBACK 1

static struct lb_station station(int ifindex, const char *mac, bool own)
{
	struct lb_station station = { .ifindex = ifindex, .own = own };

	assert_int_equal(sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &station.mac[0], &station.mac[1],
				&station.mac[2], &station.mac[3], &station.mac[4], &station.mac[5]),
			 6);
	return station;
}

static void serve(struct rig *rig)
{
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
}

#define TO(mac) frame(ETH(.to = (mac)), IP4(CLIENT4, VIP4), TCP(4000, 80), DATA(9))

/* Flooded by a switch, mirrored, seen because the interface is promiscuous: whatever is in the frame. */
static void frames_of_another_host(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	expect_tx(rig, TO(MAC_LB), NULL);
	expect_pass(rig, TO(MAC_OTHER), OTHER_HOST);
	expect_pass(rig, frame(ETH(.to = MAC_OTHER), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7)), OTHER_HOST);
	expect_pass(rig, frame(ETH(.to = MAC_OTHER), VLAN(5), IP4(CLIENT4, VIP4), TCP(4000, 80)), OTHER_HOST);
	expect_pass(rig, frame(ETH(.to = MAC_OTHER), IP4(CLIENT4, VIP4, .offset = 64, .type = 6), DATA(8)),
		    OTHER_HOST);
	expect_pass(rig, frame(ETH(.to = MAC_OTHER, .type = 0x0806), DATA(46)), OTHER_HOST);
	/* A packet with a bad header is not ours to drop either. */
	expect_pass(rig, frame(ETH(.to = MAC_OTHER), IP4(CLIENT4, VIP4), TCP(4000, 80, .doff = 3)),
		    OTHER_HOST);
	expect_pass(rig, TO("00:00:00:00:00:00"), OTHER_HOST);
	/* Every byte of an address counts. */
	for (int byte = 0; byte < 6; byte++)
		for (int bit = byte ? 0 : 1; bit < 8; bit++)
			expect_pass(rig,
				    frame_with8(TO(MAC_LB), (size_t)byte,
						TO(MAC_LB)->bytes[byte] ^ (__u8)(1 << bit)),
				    OTHER_HOST);
	/* The source's address says nothing. */
	expect_tx(rig, frame(ETH(.from = MAC_OTHER), IP4(CLIENT4, VIP4), TCP(4000, 80)), NULL);
}

/* A master's, a VRRP router's. */
static void further_addresses(void **state)
{
	struct rig *rig = *state;
	const struct lb_station all[] = { station(LOOPBACK, MAC_LB, true), station(LOOPBACK, MAC_VRRP, false),
					  station(LOOPBACK, MAC_SECOND, false) };

	serve(rig);
	expect_pass(rig, TO(MAC_VRRP), OTHER_HOST);
	rig_stations(rig, all, 3, LOOPBACK);
	expect_tx(rig, TO(MAC_LB), NULL);
	expect_tx(rig, TO(MAC_VRRP), NULL);
	expect_tx(rig, TO(MAC_SECOND), NULL);
	expect_pass(rig, TO(MAC_OTHER), OTHER_HOST);
	expect_tx(rig, frame(ETH(.to = MAC_VRRP), VLAN(5), IP4(CLIENT4, VIP4), TCP(4000, 80)), NULL);
	expect_reply(rig, frame(ETH(.to = MAC_VRRP), IP4(CLIENT4, VIP4), ICMP(8, 0), DATA(7)), ECHO,
		     frame(ETH(.from = MAC_VRRP, .to = MAC_CLIENT), IP4(VIP4, CLIENT4), ICMP(0, 0), DATA(7)));
}

/* As many as there may be, which crowd each other's places. */
static void many_addresses(void **state)
{
	struct rig *rig = *state;
	static struct lb_station all[LB_STATIONS_MAX];

	for (int i = 0; i < (int)LB_STATIONS_MAX; i++) {
		all[i] = station(LOOPBACK, MAC_LB, false);
		all[i].mac[4] = (__u8)(i >> 8);
		all[i].mac[5] = (__u8)i;
	}
	serve(rig);
	rig_stations(rig, all, LB_STATIONS_MAX, 0);
	for (int i = 0; i < (int)LB_STATIONS_MAX; i += 7) {
		struct frame *in = TO(MAC_LB);

		memcpy(in->bytes, all[i].mac, 6);
		expect_tx(rig, in, NULL);
		in->bytes[3] = 1;
		expect_pass(rig, in, OTHER_HOST);
	}
}

/* Before the agent has said whose they are, as with tables of a version that did not know. */
static void not_yet_known(void **state)
{
	struct rig *rig = *state;

	serve(rig);
	rig->path.stations->closed = 0;
	expect_tx(rig, TO(MAC_OTHER), NULL);
	expect_tx(rig, TO(MAC_LB), NULL);
	expect_pass(rig, frame(ETH(.to = "01:80:c2:00:00:0e"), IP4(CLIENT4, VIP4), TCP(4000, 80)), MULTICAST);
	expect_pass(rig, frame(ETH(.to = "ff:ff:ff:ff:ff:ff"), IP4(CLIENT4, VIP4), TCP(4000, 80)), MULTICAST);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(frames_of_another_host),
	RIG_TEST(further_addresses),
	RIG_TEST(many_addresses),
	RIG_TEST(not_yet_known),
};

RIG_MAIN(tests, rig_setup)
