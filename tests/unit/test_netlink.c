// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtnetlink messages in and out: routes, links, neighbours. Every message is also cut at every length and has
 * its attribute lengths spoilt: the parser may refuse, never read beyond (the sanitizers watch).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "net/neighbor.h"
#include "netlink_message.h"
#include "net/route.h"

static const char mac_a[] = "\x02\x00\x00\x00\x00\x0a";

static void check_address(const struct lb_address *address, const char *text)
{
	char buffer[LB_ADDRESS_TEXT_MAX];

	assert_string_equal(lb_address_text(address, buffer), text);
}

static void test_route_v4(void **state)
{
	struct message message;
	struct lb_route route;

	message_route(&message, "10.1.2.3", 7, "10.0.0.1", "10.0.0.2", 1400);
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	assert_int_equal(route.type, RTN_UNICAST);
	assert_int_equal(route.ifindex, 7);
	assert_int_equal(route.mtu, 1400);
	check_address(&route.to, "10.1.2.3");
	check_address(&route.gateway, "10.0.0.1");
	check_address(&route.source, "10.0.0.2");
}

static void test_route_v6_on_link(void **state)
{
	struct message message;
	struct lb_route route;

	message_route(&message, "fd00::3", 9, NULL, "fd00::2", 0);
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	assert_int_equal(route.ifindex, 9);
	assert_int_equal(route.mtu, 0);
	assert_int_equal(route.gateway.family, 0);
	check_address(&route.to, "fd00::3");
}

static void test_route_via_other_family(void **state)
{
	struct lb_address gateway = address_of("fe80::1");
	char via[2 + 16] = { AF_INET6, 0 };
	struct message message;
	struct lb_route route;

	memcpy(via + 2, gateway.bytes, 16);
	message_route(&message, "10.1.2.3", 7, NULL, NULL, 0);
	message_add(&message, RTA_VIA, via, sizeof(via));
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	check_address(&route.gateway, "fe80::1");
	message_route(&message, "10.1.2.3", 7, NULL, NULL, 0);
	message_add(&message, RTA_VIA, via, sizeof(via) - 1);
	assert_int_equal(lb_route_parse(&message.header, &route), -EBADMSG);
}

static void test_route_wrong_kinds(void **state)
{
	struct rtmsg fixed = { .rtm_family = AF_BRIDGE };
	struct message message;
	struct lb_route route = { .ifindex = 4711 };

	message_begin(&message, RTM_NEWROUTE, &fixed, sizeof(fixed));
	assert_int_equal(lb_route_parse(&message.header, &route), -EOPNOTSUPP);
	message_neighbor(&message, RTM_NEWNEIGH, 1, "10.0.0.1", NUD_REACHABLE, mac_a);
	assert_int_equal(lb_route_parse(&message.header, &route), -EOPNOTSUPP);
	message_route(&message, "10.1.2.3", 7, NULL, NULL, 0);
	message_add(&message, RTA_GATEWAY, "123", 3);
	assert_int_equal(lb_route_parse(&message.header, &route), -EBADMSG);
	message_route(&message, "10.1.2.3", 7, NULL, NULL, 0);
	message_add(&message, RTA_OIF, "12", 2);
	assert_int_equal(lb_route_parse(&message.header, &route), -EBADMSG);
	assert_int_equal(route.ifindex, 4711);
}

static void test_link(void **state)
{
	struct message message;
	struct lb_link link;

	message_link(&message, RTM_NEWLINK, 3, "eth0.100", true, 1500, mac_a);
	assert_int_equal(lb_link_parse(&message.header, &link), 0);
	assert_int_equal(link.ifindex, 3);
	assert_string_equal(link.name, "eth0.100");
	assert_int_equal(link.mtu, 1500);
	assert_true(link.up && link.has_mac && !link.removed);
	assert_memory_equal(link.mac, mac_a, 6);
	message_link(&message, RTM_DELLINK, 3, "eth0.100", false, 1500, mac_a);
	assert_int_equal(lb_link_parse(&message.header, &link), 0);
	assert_true(link.removed && !link.up);
}

static void test_link_bridge_port(void **state)
{
	struct ifinfomsg fixed = { .ifi_family = AF_BRIDGE, .ifi_index = 3 };
	struct message message;
	struct lb_link link;

	/* A port leaves its bridge: the link is still there. */
	message_begin(&message, RTM_DELLINK, &fixed, sizeof(fixed));
	assert_int_equal(lb_link_parse(&message.header, &link), -EOPNOTSUPP);
}

static void test_neighbor(void **state)
{
	struct lb_neighbor neighbor;
	struct message message;

	message_neighbor(&message, RTM_NEWNEIGH, 5, "10.0.0.9", NUD_STALE, mac_a);
	message_add_u32(&message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_int_equal(neighbor.ifindex, 5);
	assert_true(neighbor.managed && neighbor.has_mac && lb_neighbor_usable(&neighbor));
	assert_false(lb_neighbor_is_fixed(&neighbor));
	check_address(&neighbor.address, "10.0.0.9");
	message_neighbor(&message, RTM_NEWNEIGH, 5, "fd00::9", NUD_INCOMPLETE, NULL);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_false(lb_neighbor_usable(&neighbor));
	message_neighbor(&message, RTM_NEWNEIGH, 5, "fd00::9", NUD_FAILED, mac_a);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_false(lb_neighbor_usable(&neighbor));
	message_neighbor(&message, RTM_NEWNEIGH, 5, "fd00::9", NUD_PERMANENT, mac_a);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_true(lb_neighbor_usable(&neighbor) && lb_neighbor_is_fixed(&neighbor));
	message_neighbor(&message, RTM_DELNEIGH, 5, "fd00::9", NUD_REACHABLE, mac_a);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_false(lb_neighbor_usable(&neighbor));
}

static void test_neighbor_not_ours(void **state)
{
	struct ndmsg bridge = { .ndm_family = AF_BRIDGE },
		     proxy = { .ndm_family = AF_INET, .ndm_flags = NTF_PROXY };
	struct lb_neighbor neighbor;
	struct message message;

	message_begin(&message, RTM_NEWNEIGH, &bridge, sizeof(bridge));
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), -EOPNOTSUPP);
	message_begin(&message, RTM_NEWNEIGH, &proxy, sizeof(proxy));
	message_add_address(&message, NDA_DST, "10.0.0.1");
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), -EOPNOTSUPP);
	/* An address of Infiniband is longer than we can send to. */
	message_neighbor(&message, RTM_NEWNEIGH, 5, "10.0.0.9", NUD_REACHABLE, NULL);
	message_add(&message, NDA_LLADDR, "01234567890123456789", 20);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_false(lb_neighbor_usable(&neighbor));
}

/* --- requests --------------------------------------------------------------------------------------------
 */

static void test_route_request(void **state)
{
	struct lb_address v4 = address_of("192.0.2.1"), v6 = address_of("2001:db8::1");
	struct message message;
	struct rtmsg *fixed = NLMSG_DATA(&message.header);
	struct rtattr *attribute = (struct rtattr *)(message.bytes + NLMSG_LENGTH(sizeof(*fixed)));
	size_t n = lb_route_request(&v4, 77, &message, sizeof(message));

	assert_int_equal(n, message.header.nlmsg_len);
	assert_int_equal(message.header.nlmsg_type, RTM_GETROUTE);
	assert_int_equal(message.header.nlmsg_seq, 77);
	assert_int_equal(fixed->rtm_family, AF_INET);
	assert_int_equal(fixed->rtm_dst_len, 32);
	assert_int_equal(attribute->rta_type, RTA_DST);
	assert_memory_equal(RTA_DATA(attribute), v4.bytes, 4);
	n = lb_route_request(&v6, 78, &message, sizeof(message));
	assert_int_equal(n, message.header.nlmsg_len);
	assert_int_equal(fixed->rtm_dst_len, 128);
	assert_memory_equal(RTA_DATA(attribute), v6.bytes, 16);
	assert_int_equal(lb_route_request(&v6, 79, &message, n - 1), 0);
}

/* What we ask for reads back as an entry of ours. */
static void test_neighbor_request(void **state)
{
	struct lb_address address = address_of("fd00::7");
	struct lb_neighbor neighbor;
	struct message message;
	size_t n = lb_neighbor_request(LB_NEIGHBOR_MANAGE, 4, &address, 5, &message, sizeof(message));

	assert_int_equal(n, message.header.nlmsg_len);
	assert_true(message.header.nlmsg_flags & NLM_F_ACK && message.header.nlmsg_flags & NLM_F_CREATE);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_true(neighbor.managed);
	assert_int_equal(neighbor.ifindex, 4);
	check_address(&neighbor.address, "fd00::7");
	assert_int_equal(lb_neighbor_request(LB_NEIGHBOR_MANAGE, 4, &address, 5, &message, n - 1), 0);

	lb_neighbor_request(LB_NEIGHBOR_PROBE, 4, &address, 6, &message, sizeof(message));
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_true(neighbor.flags & NTF_USE && !neighbor.managed);
	lb_neighbor_request(LB_NEIGHBOR_RELEASE, 4, &address, 6, &message, sizeof(message));
	assert_false(message.header.nlmsg_flags & NLM_F_CREATE);
	assert_int_equal(lb_neighbor_parse(&message.header, &neighbor), 0);
	assert_false(neighbor.managed);
}

/* --- damage ----------------------------------------------------------------------------------------------
 */

static void parse_any(const struct nlmsghdr *message)
{
	struct lb_neighbor neighbor;
	struct lb_route route;
	struct lb_link link;

	lb_route_parse(message, &route);
	lb_link_parse(message, &link);
	lb_neighbor_parse(message, &neighbor);
}

/* In a heap block of exactly its length, so that a read beyond is seen. */
static void parse_exactly(const struct message *message, size_t length)
{
	struct nlmsghdr *copy = malloc(length);

	assert_non_null(copy);
	memcpy(copy, message, length);
	copy->nlmsg_len = length;
	parse_any(copy);
	free(copy);
}

static void damage(const struct message *whole)
{
	struct message spoilt;

	for (size_t length = sizeof(struct nlmsghdr); length <= whole->header.nlmsg_len; length++)
		parse_exactly(whole, length);
	for (size_t at = sizeof(struct nlmsghdr); at < whole->header.nlmsg_len; at++) {
		for (unsigned int value = 0; value < 256; value += 5) {
			spoilt = *whole;
			spoilt.bytes[at] = value;
			parse_exactly(&spoilt, whole->header.nlmsg_len);
		}
	}
}

static void test_damaged(void **state)
{
	struct message message;

	message_route(&message, "10.1.2.3", 7, "10.0.0.1", "10.0.0.2", 1400);
	damage(&message);
	message_route(&message, "fd00::3", 9, "fd00::1", "fd00::2", 1400);
	damage(&message);
	message_link(&message, RTM_NEWLINK, 3, "eth0", true, 1500, mac_a);
	message_add(&message, IFLA_XDP, "\x08\x00\x04\x00\x01\x00\x00\x00", 8);
	damage(&message);
	message_neighbor(&message, RTM_NEWNEIGH, 5, "10.0.0.9", NUD_STALE, mac_a);
	message_add_u32(&message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	damage(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_v4),
		cmocka_unit_test(test_route_v6_on_link),
		cmocka_unit_test(test_route_via_other_family),
		cmocka_unit_test(test_route_wrong_kinds),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_link_bridge_port),
		cmocka_unit_test(test_neighbor),
		cmocka_unit_test(test_neighbor_not_ours),
		cmocka_unit_test(test_route_request),
		cmocka_unit_test(test_neighbor_request),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
