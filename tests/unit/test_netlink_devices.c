// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways by devices that lie above the one that takes frames, or take none; the host's own addresses; paths
 * that are narrower than their first hop.
 */
#include "ways_fixture.h"

#define NDO_XMIT 4u

/* --- devices ----------------------------------------------------------------------------------------------
 */

/* The route leads by a device above the others. */
static struct lb_nexthops *make_above(struct link_spec spec)
{
	struct lb_nexthops *hops = make();

	spec.ifindex = UPPER;
	put_link(hops, spec);
	put_route(hops, UPPER, "10.0.0.1");
	put_neighbor(hops, UPPER, "10.0.0.1", NUD_REACHABLE, mac_a, 0);
	return hops;
}

static void a_bridge_takes_no_frames(void **state)
{
	struct lb_nexthops *hops = make_above((struct link_spec){ .name = "br1", .kind = "bridge" });
	int two[] = { ETH0, ETH1 }, upper = UPPER;

	lb_nexthops_set_xdp(hops, two, 2, false);
	assert_string_equal(get(hops, 0).why, "br1 takes no XDP frames");
	assert_true(lb_nexthops_set_xdp(hops, two, 2, true));
	assert_true(get(hops, 0).resolved); /* generic mode: any device does */
	lb_nexthops_set_xdp(hops, &upper, 1, false);
	assert_true(get(hops, 0).resolved); /* sent back by the interface itself */
	assert_false(lb_nexthops_set_xdp(hops, &upper, 1, false));
	lb_nexthops_free(hops);
}

static void what_the_driver_says_counts(void **state)
{
	struct lb_nexthops *hops = make();

	assert_true(lb_nexthops_set_features(hops, ETH0, 1));
	assert_string_equal(get(hops, 0).why,
			    "eth0 takes no XDP frames: its driver cannot, or not before an XDP "
			    "program is attached to it");
	assert_false(lb_nexthops_set_features(hops, ETH0, 1 | 2)); /* not what matters */
	assert_true(lb_nexthops_set_features(hops, ETH0, 1 | NDO_XMIT));
	assert_true(get(hops, 0).resolved);
	lb_nexthops_free(hops);
}

static void frames_for_a_macvlan_go_to_the_device_below(void **state)
{
	struct lb_nexthops *hops =
		make_above((struct link_spec){ .name = "mv0", .kind = "macvlan", .lower = ETH1 });

	assert_true(get(hops, 0).resolved);
	assert_int_equal(get(hops, 0).ifindex, UPPER);
	assert_int_equal(get(hops, 0).egress, ETH1);
	put_link(hops, (struct link_spec){ .ifindex = ETH1, .name = "eth1", .down = true });
	assert_string_equal(get(hops, 0).why, "eth1 is down");
	lb_nexthops_free(hops);
}

static void frames_for_a_vlan_go_to_the_device_below_with_its_tag(void **state)
{
	struct lb_nexthops *hops = make_above(
		(struct link_spec){ .name = "eth1.100", .kind = "vlan", .lower = ETH1, .vlan = 100 });

	lb_nexthops_set_features(hops, UPPER, 0); /* as the kernel says of it */
	assert_true(get(hops, 0).resolved);
	assert_int_equal(get(hops, 0).ifindex, UPPER);
	assert_int_equal(get(hops, 0).egress, ETH1);
	assert_int_equal(get(hops, 0).vlan_tag, 0x81000064u);
	assert_true(lb_nexthops_has_tag(hops, 0x81000064u));
	assert_false(lb_nexthops_has_tag(hops, 0x88a80064u));
	put_link(hops, (struct link_spec){ .ifindex = ETH1, .name = "eth1", .down = true });
	assert_string_equal(get(hops, 0).why, "eth1 is down");
	lb_nexthops_free(hops);
}

/* Of a VLAN on a VLAN only the upper tag would be pushed. */
static void two_tags_are_refused(void **state)
{
	struct lb_nexthops *hops = make_above(
		(struct link_spec){ .name = "q.7", .kind = "vlan", .lower = UPPER + 1, .vlan = 7 });

	put_link(hops,
		 (struct link_spec){
			 .ifindex = UPPER + 1, .name = "q", .kind = "vlan", .lower = ETH1, .vlan = 100 });
	assert_false(get(hops, 0).resolved);
	assert_string_equal(get(hops, 0).why, "q is a VLAN below another, and only one tag is pushed");
	put_link(hops,
		 (struct link_spec){ .ifindex = UPPER + 1, .name = "q", .kind = "macvlan", .lower = ETH1 });
	assert_int_equal(get(hops, 0).vlan_tag, 0x81000007u);
	assert_int_equal(get(hops, 0).egress, ETH1);
	lb_nexthops_free(hops);
}

static void a_device_below_in_another_namespace_is_out_of_reach(void **state)
{
	struct lb_nexthops *hops = make_above(
		(struct link_spec){ .name = "mv0", .kind = "macvlan", .lower = ETH1, .elsewhere = true });

	assert_string_equal(get(hops, 0).why,
			    "mv0 takes no XDP frames, and the device below is in another network "
			    "namespace");
	lb_nexthops_free(hops);
}

static void frames_for_a_bond_go_to_the_port_that_sends(void **state)
{
	struct lb_nexthops *hops =
		make_above((struct link_spec){ .name = "bond0", .kind = "bond", .active_port = ETH1 });

	assert_int_equal(get(hops, 0).egress, ETH1);
	put_link(hops, (struct link_spec){ .ifindex = UPPER, .name = "bond0", .kind = "bond" });
	assert_string_equal(get(hops, 0).why, "bond0 has no port that sends");
	put_link(hops, (struct link_spec){ .ifindex = ETH0,
					   .name = "eth0",
					   .master = UPPER,
					   .port_kind = "bond",
					   .backup = true });
	put_link(hops,
		 (struct link_spec){ .ifindex = ETH1, .name = "eth1", .master = UPPER, .port_kind = "bond" });
	assert_int_equal(get(hops, 0).egress, ETH1);
	lb_nexthops_free(hops);
}

static void a_configured_mtu_is_a_limit(void **state)
{
	struct lb_address to = address_of(TO);
	struct lb_nexthops *hops = make();

	lb_nexthops_want_begin(hops);
	lb_nexthops_want(hops, &to);
	lb_nexthops_limit(hops, &to, 1400);
	lb_nexthops_limit(hops, &to, 1300);
	lb_nexthops_limit(hops, &to, 1450);
	lb_nexthops_want_end(hops);
	assert_int_equal(get(hops, 0).mtu, 1300);
	assert_int_equal(get(hops, 0).mtu_from, LB_MTU_FROM_CONFIGURATION);
	lb_nexthops_want_begin(hops);
	lb_nexthops_want(hops, &to);
	lb_nexthops_limit(hops, &to, 9000);
	lb_nexthops_want_end(hops);
	assert_int_equal(get(hops, 0).mtu, 1500);
	assert_int_equal(get(hops, 0).mtu_from, LB_MTU_FROM_WAY);
	lb_nexthops_want_begin(hops);
	lb_nexthops_want(hops, &to);
	lb_nexthops_want_end(hops);
	assert_int_equal(get(hops, 0).mtu, 1500);
	lb_nexthops_free(hops);
}

static void a_router_is_heard_about_ways_in_use(void **state)
{
	struct lb_address to = address_of(TO), other = address_of("10.9.9.9");
	struct lb_nexthops *hops = make();

	assert_int_equal(lb_nexthops_learn_mtu(hops, &other, 1400, 5), 0);
	assert_int_equal(lb_nexthops_learn_mtu(hops, &to, 1500, 5), 0); /* fits anyhow */
	assert_int_equal(lb_nexthops_learn_mtu(hops, &to, 1400, 5), 1);
	assert_int_equal(get(hops, 5).mtu, 1400);
	assert_int_equal(get(hops, 5).mtu_from, LB_MTU_FROM_ROUTER);
	/* Whatever is configured anew meanwhile. */
	lb_nexthops_want_begin(hops);
	lb_nexthops_want(hops, &to);
	lb_nexthops_want_end(hops);
	assert_int_equal(get(hops, 5).mtu, 1400);
	assert_false(lb_nexthops_forget_mtus(hops, 600000));
	assert_true(lb_nexthops_forget_mtus(hops, 600005));
	assert_int_equal(get(hops, 0).mtu, 1500);
	lb_nexthops_free(hops);
}

/* --- addresses --------------------------------------------------------------------------------------------
 */

static int put_address(struct lb_nexthops *hops, __u16 type, const char *text, int ifindex)
{
	struct ifaddrmsg fixed = { .ifa_index = ifindex,
				   .ifa_family = strchr(text, ':') ? AF_INET6 : AF_INET };
	struct message message;

	message_begin(&message, type, &fixed, sizeof(fixed));
	message_add_address(&message, IFA_ADDRESS, text);
	return lb_nexthops_apply(hops, &message.header, 0);
}

static void addresses_of_the_host_are_known(void **state)
{
	struct lb_nexthops *hops = make();
	size_t n;

	assert_true(put_address(hops, RTM_NEWADDR, "10.0.0.9", ETH0) & LB_NEXTHOPS_ADDRESS);
	assert_int_equal(put_address(hops, RTM_NEWADDR, "10.0.0.9", ETH0),
			 0); /* as its lifetime is renewed */
	lb_nexthops_addresses(hops, &n);
	assert_int_equal(n, 1);
	assert_true(put_address(hops, RTM_DELADDR, "10.0.0.9", ETH0) & LB_NEXTHOPS_ADDRESS);
	lb_nexthops_addresses(hops, &n);
	assert_int_equal(n, 0);
	put_address(hops, RTM_NEWADDR, "10.0.0.9", ETH0);
	lb_nexthops_resync_begin(hops);
	put_link(hops, (struct link_spec){ .ifindex = ETH0, .name = "eth0" });
	put_address(hops, RTM_NEWADDR, "10.0.0.8", ETH0);
	lb_nexthops_resync_end(hops, 0);
	lb_nexthops_addresses(hops, &n);
	assert_int_equal(n, 1);
	lb_nexthops_free(hops);
}

static void a_link_without_a_link_local_address_is_said(void **state)
{
	struct lb_address to = address_of("fd00::1");
	struct lb_nexthops *hops = make();
	struct lb_nexthop_state hop;
	struct message message;
	struct lb_route route;

	lb_nexthops_want_begin(hops);
	lb_nexthops_want(hops, &to);
	lb_nexthops_want_end(hops);
	message_route(&message, "fd00::1", ETH0, NULL, NULL, 0);
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	lb_nexthops_set_route(hops, &to, &route, 0, 3000);
	lb_nexthops_get(hops, &to, 0, &hop);
	assert_string_equal(hop.why, "its neighbour cannot be asked: eth0 has no link-local IPv6 address");
	put_address(hops, RTM_NEWADDR, "fe80::1", ETH0);
	lb_nexthops_get(hops, &to, 0, &hop);
	assert_string_equal(hop.why, "its neighbour does not answer");
	lb_nexthops_free(hops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bridge_takes_no_frames),
		cmocka_unit_test(what_the_driver_says_counts),
		cmocka_unit_test(frames_for_a_macvlan_go_to_the_device_below),
		cmocka_unit_test(frames_for_a_vlan_go_to_the_device_below_with_its_tag),
		cmocka_unit_test(two_tags_are_refused),
		cmocka_unit_test(a_device_below_in_another_namespace_is_out_of_reach),
		cmocka_unit_test(frames_for_a_bond_go_to_the_port_that_sends),
		cmocka_unit_test(a_configured_mtu_is_a_limit),
		cmocka_unit_test(a_router_is_heard_about_ways_in_use),
		cmocka_unit_test(addresses_of_the_host_are_known),
		cmocka_unit_test(a_link_without_a_link_local_address_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
