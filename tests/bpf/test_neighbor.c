/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ARP requests and neighbour solicitations for VIPs: answered for what this balancer leads and serves, and
 * only while nobody else announces it.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <time.h>

#include "announce/neighbors.h"
#include "tunnel.h"

#define GROUP      51
#define LOOPBACK   1
#define FOREVER    (~0ull - 1)
#define MAC_OTHER  "02:00:00:00:00:0f"
#define MAC_ALL    "ff:ff:ff:ff:ff:ff"
#define MAC_NODES  "33:33:00:00:00:01"
#define MAC_GROUP6 "33:33:ff:00:00:10"
#define GROUP6     "ff02::1:ff00:10"
#define NODES      "ff02::1"
#define LINK6      "fe80::7"

static const __u8 lb_mac[] = { 2, 0, 0, 0, 0, 0x1b };

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
}

static struct lb_address address(const char *text)
{
	struct lb_address address;

	assert_int_equal(lb_address_parse(text, &address), 0);
	return address;
}

static void say(struct rig *rig, const char *vip, enum lb_announce_state state)
{
	const struct lb_address at = address(vip);

	assert_int_equal(lb_neighbors_set(rig->path.neighbors, &at, GROUP, state), 0);
}

/* Two VIPs, which this balancer leads. */
static void lead(struct rig *rig)
{
	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1'"));
	say(rig, VIP4, LB_ANNOUNCE_SERVING);
	say(rig, VIP6, LB_ANNOUNCE_SERVING);
	lb_neighbors_place_group(rig->path.neighbors, GROUP, LOOPBACK, lb_mac);
	lb_neighbors_lead(rig->path.neighbors, GROUP, FOREVER, 1);
}

static void read_mac(const char *text, __u8 mac[6])
{
	assert_int_equal(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
				&mac[4], &mac[5]),
			 6);
}

/* RFC 826, in a frame of 60 bytes. */
static struct frame *arp(const char *to, const char *from, int operation, const char *sender,
			 const char *target_mac, const char *target)
{
	static __u8 bytes[8][28];
	static int next;
	__u8 *at = bytes[next++ % 8];

	memcpy(at, "\x00\x01\x08\x00\x06\x04\x00", 7);
	at[7] = (__u8)operation;
	read_mac(from, at + 8);
	read_mac(target_mac, at + 18);
	assert_int_equal(inet_pton(AF_INET, sender, at + 14), 1);
	assert_int_equal(inet_pton(AF_INET, target, at + 24), 1);
	return frame(ETH(.from = from, .to = to, .type = 0x0806), DATA(28, .bytes = at), PAD(18, .seed = 1));
}

#define NOBODY       "00:00:00:00:00:00"
#define ASK(target)  arp(MAC_ALL, MAC_CLIENT, 1, CLIENT4, NOBODY, target)
#define TELL(target) arp(MAC_CLIENT, MAC_LB, 2, target, MAC_CLIENT, CLIENT4)

/* A message of neighbour discovery about a target, with an option that names a MAC address, or none. */
static struct frame *ndisc(const struct layer eth, const struct layer ip, int type, __u32 flags,
			   const char *target, int option, const char *mac, int more)
{
	static __u8 bytes[8][80];
	static int next;
	__u8 *at = bytes[next++ % 8];
	int n = 16;

	memset(at, 0, sizeof(bytes[0]));
	assert_int_equal(inet_pton(AF_INET6, target, at), 1);
	if (option) {
		at[n] = (__u8)option;
		at[n + 1] = 1;
		read_mac(mac, at + n + 2);
		n += 8;
	}
	for (; more > 0; more--, n += 8) {
		at[n] = 14; /* a nonce, RFC 3971 */
		at[n + 1] = 1;
	}
	return frame(eth, ip, ICMP(type, 0, .word = flags), DATA(n, .bytes = at));
}

#define SOLICIT(option, more)                                                                                \
	ndisc(ETH(.to = MAC_GROUP6), IP6(LINK6, GROUP6, .ttl = 255), 135, 0, VIP6, option, MAC_CLIENT, more)
#define ADVERT                                                                                               \
	ndisc(ETH(.from = MAC_LB, .to = MAC_CLIENT), IP6(VIP6, LINK6, .ttl = 255), 136, 0x60000000, VIP6, 2, \
	      MAC_LB, 0)

static void arp_is_answered(void **state)
{
	struct rig *rig = *state;

	lead(rig);
	expect_reply(rig, ASK(VIP4), NEIGHBOR, TELL(VIP4));
	/* Asked again by who knows us. */
	expect_reply(rig, arp(MAC_LB, MAC_CLIENT, 1, CLIENT4, MAC_LB, VIP4), NEIGHBOR, TELL(VIP4));
	/* Who wants the address for itself is told that it is taken (RFC 5227). */
	expect_reply(rig, arp(MAC_ALL, MAC_CLIENT, 1, "0.0.0.0", NOBODY, VIP4), NEIGHBOR,
		     arp(MAC_CLIENT, MAC_LB, 2, VIP4, MAC_CLIENT, "0.0.0.0"));
}

static void arp_that_is_not_ours(void **state)
{
	struct rig *rig = *state;
	struct frame *ask;

	lead(rig);
	expect_pass(rig, ASK("203.0.113.11"), MULTICAST);
	expect_pass(rig, arp(MAC_CLIENT, MAC_OTHER, 1, CLIENT4, NOBODY, VIP4), OTHER_HOST);
	expect_pass(rig, arp(MAC_ALL, MAC_CLIENT, 3, CLIENT4, NOBODY, VIP4), MULTICAST);
	expect_pass(rig, arp(MAC_LB, MAC_CLIENT, 2, CLIENT4, NOBODY, VIP4), NOT_IP);
	ask = ASK(VIP4);
	for (size_t at = 14; at < 20; at++)
		expect_pass(rig, frame_with8(ask, at, ask->bytes[at] ^ 0x10), MULTICAST);
	for (size_t length = 14; length < 42; length++)
		expect_pass(rig, frame_cut(ask, length), MULTICAST);
}

static void solicitations_are_answered(void **state)
{
	struct rig *rig = *state;

	lead(rig);
	expect_reply(rig, SOLICIT(1, 0), NEIGHBOR, ADVERT);
	/* Shorter and longer than the answer. */
	expect_reply(rig, SOLICIT(0, 0), NEIGHBOR, ADVERT);
	expect_reply(rig, SOLICIT(1, 3), NEIGHBOR, ADVERT);
	/* Asked again by who knows us (RFC 4861 section 7.3.3). */
	expect_reply(rig, ndisc(ETH(), IP6(LINK6, VIP6, .ttl = 255), 135, 0, VIP6, 1, MAC_CLIENT, 0),
		     NEIGHBOR, ADVERT);
	/* Who wants the address for itself (RFC 4862). */
	expect_reply(rig,
		     ndisc(ETH(.to = MAC_GROUP6), IP6("::", GROUP6, .ttl = 255), 135, 0, VIP6, 0, NULL, 1),
		     NEIGHBOR,
		     ndisc(ETH(.from = MAC_LB, .to = MAC_NODES), IP6(VIP6, NODES, .ttl = 255), 136,
			   0x20000000, VIP6, 2, MAC_LB, 0));
}

static void solicitations_that_are_not_ours(void **state)
{
	struct rig *rig = *state;
	const struct frame *good = SOLICIT(1, 0);

	lead(rig);
	expect_pass(
		rig,
		ndisc(ETH(.to = MAC_GROUP6), IP6(LINK6, GROUP6, .ttl = 254), 135, 0, VIP6, 1, MAC_CLIENT, 0),
		MULTICAST);
	expect_pass(rig,
		    ndisc(ETH(.to = MAC_GROUP6), IP6(LINK6, GROUP6, .ttl = 255), 135, 0, "2001:db8:113::11",
			  1, MAC_CLIENT, 0),
		    MULTICAST);
	/* A checksum that is wrong, a code, lengths that cannot be. */
	expect_pass(rig, frame_with16(good, 56, 0x1234), MULTICAST);
	expect_pass(rig, frame_with8(good, 55, 1), MULTICAST);
	expect_pass(rig, frame_with16(good, 18, 16), MULTICAST);
	expect_pass(rig, frame_with16(good, 18, 31), MULTICAST);
	expect_pass(rig, frame_with16(good, 18, 40), MULTICAST);
	expect_pass(rig, frame_with16(good, 18, 0xffff), MULTICAST);
	for (size_t length = 14; length < good->length; length++)
		expect_pass(rig, frame_cut(good, length), MULTICAST);
	expect_pass(rig,
		    ndisc(ETH(), IP6(LINK6, VIP6, .ttl = 255), 135, 0, "2001:db8:113::11", 1, MAC_CLIENT, 0),
		    ICMP);
}

static void only_who_leads_and_serves(void **state)
{
	struct rig *rig = *state;

	lead(rig);
	lb_neighbors_follow(rig->path.neighbors, GROUP);
	expect_pass(rig, ASK(VIP4), MULTICAST);
	expect_pass(rig, SOLICIT(1, 0), MULTICAST);
	/* A deadline that has passed. */
	lb_neighbors_lead(rig->path.neighbors, GROUP, 2, 1);
	expect_pass(rig, ASK(VIP4), MULTICAST);
	lb_neighbors_lead(rig->path.neighbors, GROUP, FOREVER, 1);
	expect_reply(rig, ASK(VIP4), NEIGHBOR, TELL(VIP4));
	/* Each VIP for itself. */
	say(rig, VIP4, LB_ANNOUNCE_WITHDRAWN);
	expect_pass(rig, ASK(VIP4), MULTICAST);
	expect_reply(rig, SOLICIT(1, 0), NEIGHBOR, ADVERT);
	say(rig, VIP4, LB_ANNOUNCE_DRAINING);
	expect_reply(rig, ASK(VIP4), NEIGHBOR, TELL(VIP4));
	/* On the interface that was said, and no other. */
	lb_neighbors_place_group(rig->path.neighbors, GROUP, LOOPBACK + 1, lb_mac);
	expect_pass(rig, ASK(VIP4), MULTICAST);
}

static void stands_back(struct rig *rig, const struct frame *in)
{
	struct lb_neighbors *all = rig->path.neighbors;

	/* The host-compiled path's clock is a coarse one. */
	lb_neighbors_lead(all, GROUP, FOREVER, now_ns() - 100000000);
	expect_pass(rig, in, MULTICAST);
	assert_true(all->group[GROUP].heard > 0);
	expect_pass(rig, ASK(VIP4), MULTICAST);
	expect_pass(rig, SOLICIT(1, 0), MULTICAST);
	lb_neighbors_lead(all, GROUP, FOREVER, now_ns());
	expect_reply(rig, ASK(VIP4), NEIGHBOR, TELL(VIP4));
}

static void stands_back_when_another_announces(void **state)
{
	struct rig *rig = *state;

	lead(rig);
	stands_back(rig, arp(MAC_ALL, MAC_OTHER, 1, VIP4, NOBODY, VIP4));
	stands_back(rig, arp(MAC_ALL, MAC_OTHER, 2, VIP4, MAC_ALL, VIP4));
	stands_back(rig, ndisc(ETH(.from = MAC_OTHER, .to = MAC_NODES), IP6(LINK6, NODES, .ttl = 255), 136,
			       0x20000000, VIP6, 2, MAC_OTHER, 0));
}

static void does_not_stand_back_otherwise(void **state)
{
	struct rig *rig = *state;
	struct lb_neighbors *all = rig->path.neighbors;

	lead(rig);
	/* Its own announcement, come back. */
	expect_pass(rig, arp(MAC_ALL, MAC_LB, 1, VIP4, NOBODY, VIP4), MULTICAST);
	/* A backend that has the VIP on loopback and asks with it. */
	expect_pass(rig, arp(MAC_ALL, MAC_OTHER, 1, VIP4, NOBODY, CLIENT4), MULTICAST);
	/* Of another address; from behind a router. */
	expect_pass(rig, arp(MAC_ALL, MAC_OTHER, 1, "203.0.113.11", NOBODY, "203.0.113.11"), MULTICAST);
	expect_pass(rig,
		    ndisc(ETH(.from = MAC_OTHER, .to = MAC_NODES), IP6(LINK6, NODES, .ttl = 254), 136,
			  0x20000000, VIP6, 2, MAC_OTHER, 0),
		    MULTICAST);
	assert_int_equal(all->group[GROUP].heard, 0);
	/* Who always leads is in no doubt. */
	lb_neighbors_lead(all, GROUP, LB_NEIGHBOR_ALWAYS, 1);
	expect_pass(rig, arp(MAC_ALL, MAC_OTHER, 1, VIP4, NOBODY, VIP4), MULTICAST);
	expect_reply(rig, ASK(VIP4), NEIGHBOR, TELL(VIP4));
}

/* 10,000 a second, an eighth of a second's at once. */
static void as_many_as_there_may_be(void **state)
{
	struct rig *rig = *state;
	static __u8 bytes[FRAME_MAX];
	const struct frame *in = ASK(VIP4);
	int answered = 0;

	lead(rig);
	rig->host->unlimited = false;
	rig->host->ingress_ifindex = LOOPBACK;
	for (int i = 0; i < 100000; i++) {
		size_t length = in->length;

		memcpy(bytes, in->bytes, length);
		rig->host->now_ns = 1000000000ull + (__u64)i * 10000; /* one second in all */
		answered += host_packet(rig->host, bytes, &length, sizeof(bytes)) == XDP_TX;
	}
	rig->host->unlimited = true;
	assert_in_range(answered, 11000, 11500);
	assert_int_equal(rig->host->tables->reasons[0].reason[LB_DROP_NEIGHBOR_LIMIT].packets,
			 100000 - answered);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(arp_is_answered),
	RIG_TEST(arp_that_is_not_ours),
	RIG_TEST(solicitations_are_answered),
	RIG_TEST(solicitations_that_are_not_ours),
	RIG_TEST(only_who_leads_and_serves),
	RIG_TEST(stands_back_when_another_announces),
	RIG_TEST(does_not_stand_back_otherwise),
	RIG_TEST(as_many_as_there_may_be),
};

RIG_MAIN(tests, rig_setup)
