// SPDX-License-Identifier: GPL-2.0-only
/*
 * The next hop table: what links, neighbours and routes together say about an address, and what is to be
 * asked again when one of them changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>

#include "netlink_message.h"
#include "net/nexthops.h"

static const char mac_a[] = "\x02\x00\x00\x00\x00\x0a", mac_b[] = "\x02\x00\x00\x00\x00\x0b",
		  mac_link[] = "\x02\x00\x00\x00\x00\x01";

#define LINK 3

static int feed(struct lb_nexthops *hops, const struct message *message, __u64 now_ms)
{
	return lb_nexthops_apply(hops, &message->header, now_ms);
}

static int feed_link(struct lb_nexthops *hops, __u16 type, bool up, __u32 mtu)
{
	struct message message;

	message_link(&message, type, LINK, "eth0", up, mtu, mac_link);
	return feed(hops, &message, 0);
}

static int feed_neighbor(struct lb_nexthops *hops, __u16 type, const char *address, __u16 state,
			 const char *mac, __u64 now_ms)
{
	struct message message;

	message_neighbor(&message, type, LINK, address, state, mac);
	return feed(hops, &message, now_ms);
}

static bool set_route(struct lb_nexthops *hops, const char *to, const char *gateway, __u32 mtu)
{
	struct lb_address address = address_of(to);
	struct message message;
	struct lb_route route;

	message_route(&message, to, LINK, gateway, NULL, mtu);
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	return lb_nexthops_set_route(hops, &address, &route, 0, 0);
}

static void want(struct lb_nexthops *hops, const char *one, const char *two)
{
	struct lb_address address = address_of(one);

	lb_nexthops_want_begin(hops);
	assert_int_equal(lb_nexthops_want(hops, &address), 0);
	if (two) {
		address = address_of(two);
		assert_int_equal(lb_nexthops_want(hops, &address), 0);
	}
	lb_nexthops_want_end(hops);
}

static struct lb_nexthop_state get(struct lb_nexthops *hops, const char *to, __u64 now_ms)
{
	struct lb_address address = address_of(to);
	struct lb_nexthop_state hop;

	lb_nexthops_get(hops, &address, now_ms, &hop);
	return hop;
}

/* A table with a link, one destination behind a gateway, resolved. */
static struct lb_nexthops *make(void)
{
	struct lb_nexthops *hops;

	assert_int_equal(lb_nexthops_new(&hops), 0);
	assert_int_equal(feed_link(hops, RTM_NEWLINK, true, 1500),
			 LB_NEXTHOPS_LINK | LB_NEXTHOPS_ROUTE | LB_NEXTHOPS_CHANGED);
	want(hops, "10.1.0.1", NULL);
	assert_true(set_route(hops, "10.1.0.1", "10.0.0.1", 0));
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_REACHABLE, mac_a, 0),
			 LB_NEXTHOPS_CHANGED);
	return hops;
}

static void test_resolved(void **state)
{
	struct lb_nexthops *hops = make();
	struct lb_nexthop_state hop = get(hops, "10.1.0.1", 0);

	assert_true(hop.resolved);
	assert_string_equal(hop.why, "");
	assert_int_equal(hop.ifindex, LINK);
	assert_int_equal(hop.mtu, 1500);
	assert_memory_equal(hop.destination, mac_a, 6);
	assert_memory_equal(hop.source, mac_link, 6);
	assert_false(get(hops, "10.1.0.2", 0).resolved);
	assert_string_equal(get(hops, "10.1.0.2", 0).why, "not asked yet");
	lb_nexthops_free(hops);
}

static void test_route_mtu(void **state)
{
	struct lb_nexthops *hops = make();

	assert_false(set_route(hops, "10.1.0.1", "10.0.0.1", 0));
	assert_true(set_route(hops, "10.1.0.1", "10.0.0.1", 1400));
	assert_int_equal(get(hops, "10.1.0.1", 0).mtu, 1400);
	assert_true(set_route(hops, "10.1.0.1", "10.0.0.1", 9000));
	assert_int_equal(get(hops, "10.1.0.1", 0).mtu, 1500);
	assert_int_equal(feed_link(hops, RTM_NEWLINK, true, 1300),
			 LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE);
	assert_int_equal(get(hops, "10.1.0.1", 0).mtu, 1300);
	lb_nexthops_free(hops);
}

static void test_mac_changes(void **state)
{
	struct lb_nexthops *hops = make();

	/* Only what matters is told: the same again is silence, as are strangers. */
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_STALE, mac_a, 0), 0);
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.77", NUD_REACHABLE, mac_b, 0), 0);
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_REACHABLE, mac_b, 0),
			 LB_NEXTHOPS_CHANGED);
	assert_memory_equal(get(hops, "10.1.0.1", 0).destination, mac_b, 6);
	lb_nexthops_free(hops);
}

static void test_hold(void **state)
{
	struct lb_nexthops *hops = make();

	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_FAILED, NULL, 5000),
			 LB_NEXTHOPS_LOST);
	assert_int_equal(lb_nexthops_hold_ms(hops, 5400), LB_NEXTHOPS_HOLD_MS - 400);
	assert_int_equal(lb_nexthops_hold_ms(hops, 5000 + LB_NEXTHOPS_HOLD_MS), 0);
	assert_true(get(hops, "10.1.0.1", 5000 + LB_NEXTHOPS_HOLD_MS - 1).resolved);
	assert_false(get(hops, "10.1.0.1", 5000 + LB_NEXTHOPS_HOLD_MS).resolved);
	assert_string_equal(get(hops, "10.1.0.1", 9000).why, "its neighbour does not answer");
	/* Failing on does not begin the hold anew. */
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_FAILED, NULL, 9000), 0);
	assert_false(get(hops, "10.1.0.1", 9001).resolved);
	/* Back with the MAC that it had: after the hold that is a change, within it none. */
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_REACHABLE, mac_a, 9500),
			 LB_NEXTHOPS_CHANGED);
	assert_true(get(hops, "10.1.0.1", 9500).resolved);
	assert_int_equal(lb_nexthops_hold_ms(hops, 9500), 0);
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_FAILED, NULL, 9600),
			 LB_NEXTHOPS_LOST);
	assert_int_equal(feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_REACHABLE, mac_a, 9700), 0);
	lb_nexthops_free(hops);
}

static size_t visited;
static char visited_last[LB_ADDRESS_TEXT_MAX];

static void visit(void *context, int ifindex, const struct lb_address *address)
{
	assert_int_equal(ifindex, LINK);
	lb_address_text(address, visited_last);
	visited++;
}

static size_t visits(struct lb_nexthops *hops, enum lb_neighbor_request what)
{
	visited = 0;
	lb_nexthops_visit(hops, what, visit, NULL);
	return visited;
}

static void test_flush_asks_again(void **state)
{
	struct lb_nexthops *hops = make();

	assert_int_equal(visits(hops, LB_NEIGHBOR_MANAGE), 1);
	assert_string_equal(visited_last, "10.0.0.1");
	assert_int_equal(visits(hops, LB_NEIGHBOR_MANAGE), 0);
	assert_int_equal(feed_neighbor(hops, RTM_DELNEIGH, "10.0.0.1", NUD_REACHABLE, mac_a, 100),
			 LB_NEXTHOPS_LOST | LB_NEXTHOPS_CHANGED);
	assert_true(get(hops, "10.1.0.1", 101).resolved);
	assert_int_equal(visits(hops, LB_NEIGHBOR_MANAGE), 1);
	lb_nexthops_free(hops);
}

static void test_fixed_is_left_alone(void **state)
{
	struct lb_nexthops *hops = make();

	feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_PERMANENT, mac_b, 0);
	assert_int_equal(visits(hops, LB_NEIGHBOR_MANAGE), 0);
	assert_int_equal(visits(hops, LB_NEIGHBOR_PROBE), 0);
	assert_memory_equal(get(hops, "10.1.0.1", 0).destination, mac_b, 6);
	lb_nexthops_free(hops);
}

static void test_release(void **state)
{
	struct lb_nexthops *hops = make();
	struct lb_nexthops_counts counts;
	struct message message;

	visits(hops, LB_NEIGHBOR_MANAGE);
	message_neighbor(&message, RTM_NEWNEIGH, LINK, "10.0.0.1", NUD_REACHABLE, mac_a);
	message_add_u32(&message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	feed(hops, &message, 0);
	assert_int_equal(visits(hops, LB_NEIGHBOR_RELEASE), 0);
	want(hops, "10.1.0.2", NULL);
	lb_nexthops_count(hops, &counts);
	assert_int_equal(counts.destinations, 1);
	assert_int_equal(visits(hops, LB_NEIGHBOR_RELEASE), 1);
	assert_int_equal(visits(hops, LB_NEIGHBOR_RELEASE), 0);
	lb_nexthops_free(hops);
}

static void test_probe(void **state)
{
	struct lb_nexthops *hops = make();

	assert_int_equal(visits(hops, LB_NEIGHBOR_PROBE), 0);
	feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.1", NUD_STALE, mac_a, 0);
	assert_int_equal(visits(hops, LB_NEIGHBOR_PROBE), 1);
	lb_nexthops_free(hops);
}

static void test_link_down_and_gone(void **state)
{
	struct lb_nexthops *hops = make();

	assert_int_equal(feed_link(hops, RTM_NEWLINK, false, 1500),
			 LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE);
	assert_string_equal(get(hops, "10.1.0.1", 0).why, "the interface of its route is down");
	feed_link(hops, RTM_NEWLINK, true, 1500);
	assert_true(get(hops, "10.1.0.1", 0).resolved);
	assert_non_null(lb_nexthops_link_by_name(hops, "eth0"));
	assert_int_equal(feed_link(hops, RTM_DELLINK, false, 1500),
			 LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE);
	assert_string_equal(get(hops, "10.1.0.1", 0).why, "the interface of its route is gone");
	assert_null(lb_nexthops_link_by_name(hops, "eth0"));
	/* What the old link's neighbours said does not speak for a new link. */
	feed_link(hops, RTM_NEWLINK, true, 1500);
	assert_false(get(hops, "10.1.0.1", 0).resolved);
	lb_nexthops_free(hops);
}

static void test_no_route(void **state)
{
	struct lb_nexthops *hops = make();
	struct lb_address to = address_of("10.1.0.1");
	struct lb_route local = { .type = RTN_LOCAL, .ifindex = 1 };

	assert_true(lb_nexthops_set_route(hops, &to, NULL, ENETUNREACH, 0));
	assert_string_equal(get(hops, "10.1.0.1", 0).why, "no route");
	assert_false(lb_nexthops_set_route(hops, &to, NULL, ENETUNREACH, 0));
	assert_true(lb_nexthops_set_route(hops, &to, &local, 0, 0));
	assert_true(get(hops, "10.1.0.1", 0).resolved && get(hops, "10.1.0.1", 0).local);
	lb_nexthops_free(hops);
}

static void test_stale(void **state)
{
	struct lb_nexthops *hops = make();
	struct lb_address stale[4];
	struct message message;

	assert_int_equal(lb_nexthops_stale(hops, stale, 4), 0);
	want(hops, "10.1.0.1", "10.1.0.2");
	assert_int_equal(lb_nexthops_stale(hops, stale, 4), 1);
	assert_true(set_route(hops, "10.1.0.2", NULL, 0));
	assert_int_equal(lb_nexthops_stale(hops, stale, 4), 0);
	message_route(&message, "10.9.0.0", LINK, NULL, NULL, 0);
	assert_int_equal(feed(hops, &message, 0), LB_NEXTHOPS_ROUTE);
	lb_nexthops_routes_stale(hops);
	assert_int_equal(lb_nexthops_stale(hops, stale, 4), 2);
	assert_int_equal(lb_nexthops_stale(hops, stale, 1), 1);
	/* Until the answer comes the old one holds. */
	assert_true(get(hops, "10.1.0.1", 0).resolved);
	lb_nexthops_free(hops);
}

static void test_fresh(void **state)
{
	struct lb_nexthops *hops = make();

	assert_int_equal(lb_nexthops_fresh(hops, false), 0);
	want(hops, "10.1.0.1", "10.0.0.9");
	set_route(hops, "10.0.0.9", NULL, 0);
	assert_int_equal(lb_nexthops_fresh(hops, false), 1);
	feed_neighbor(hops, RTM_NEWNEIGH, "10.0.0.9", NUD_REACHABLE, mac_b, 0);
	assert_int_equal(lb_nexthops_fresh(hops, false), 0);
	want(hops, "10.1.0.1", "10.0.0.10");
	set_route(hops, "10.0.0.10", NULL, 0);
	assert_int_equal(lb_nexthops_fresh(hops, true), 1);
	assert_int_equal(lb_nexthops_fresh(hops, false), 0);
	lb_nexthops_free(hops);
}

static void test_resync(void **state)
{
	struct lb_nexthops *hops = make();

	lb_nexthops_resync_begin(hops);
	feed_link(hops, RTM_NEWLINK, true, 1500);
	/* The neighbour vanished while we were not listening. */
	assert_int_equal(lb_nexthops_resync_end(hops, 100), LB_NEXTHOPS_LOST | LB_NEXTHOPS_CHANGED);
	assert_false(get(hops, "10.1.0.1", 100 + LB_NEXTHOPS_HOLD_MS).resolved);
	lb_nexthops_resync_begin(hops);
	assert_int_equal(lb_nexthops_resync_end(hops, 200),
			 LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE);
	assert_null(lb_nexthops_link(hops, LINK));
	lb_nexthops_free(hops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolved),
		cmocka_unit_test(test_route_mtu),
		cmocka_unit_test(test_mac_changes),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_flush_asks_again),
		cmocka_unit_test(test_fixed_is_left_alone),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_link_down_and_gone),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_resync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
