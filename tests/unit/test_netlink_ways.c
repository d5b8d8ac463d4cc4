// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways that are more than a route and a neighbour: several next hops, nexthop objects, encapsulation.
 */
#include "ways_fixture.h"

#include "net/route_group.h"

static struct lb_route_group two_members(void)
{
	struct lb_route_group group = { .n = 2 };

	group.member[0] = (struct lb_route_member){ .ifindex = ETH0, .gateway = address_of("10.0.0.1") };
	group.member[1] = (struct lb_route_member){ .ifindex = ETH1, .gateway = address_of("10.0.1.1") };
	return group;
}

static size_t stale(struct lb_nexthops *hops)
{
	struct lb_nexthops_counts counts;

	lb_nexthops_count(hops, &counts);
	return counts.stale;
}

static size_t seeking(struct lb_nexthops *hops)
{
	struct lb_address to;

	return lb_nexthops_seeking(hops, &to, 1);
}

/* --- several next hops ------------------------------------------------------------------------------------
 */

static void the_kernel_is_asked_again_when_a_neighbour_fails(void **state)
{
	struct lb_nexthops *hops = make();

	assert_int_equal(put_neighbor(hops, ETH0, "10.0.0.1", NUD_FAILED, NULL, 1000), LB_NEXTHOPS_LOST);
	assert_int_equal(lb_nexthops_lost_stale(hops, 0, 1000), 0);
	assert_int_equal(stale(hops), 0); /* still believed */
	assert_int_equal(lb_nexthops_lost_stale(hops, 0, 1000 + LB_NEXTHOPS_HOLD_MS), 0);
	assert_int_equal(stale(hops), 1);
	put_route(hops, ETH1, "10.0.1.1");
	assert_int_equal(lb_nexthops_lost_stale(hops, 0, 3000), 0);
	assert_int_equal(stale(hops), 0); /* not twice for the same loss */
	lb_nexthops_free(hops);
}

static void one_that_was_never_usable_and_fails_is_asked_about(void **state)
{
	struct lb_nexthops *hops = make();

	put_route(hops, ETH1, "10.0.1.1");
	assert_int_equal(put_neighbor(hops, ETH1, "10.0.1.1", NUD_INCOMPLETE, NULL, 0), 0);
	assert_int_equal(put_neighbor(hops, ETH1, "10.0.1.1", NUD_FAILED, NULL, 0), LB_NEXTHOPS_SILENT);
	assert_int_equal(lb_nexthops_lost_stale(hops, 0, 0), 0);
	assert_int_equal(stale(hops), 1);
	put_route(hops, ETH1, "10.0.1.1");
	/* The kernel tries again and again: it is no news every time. */
	assert_int_equal(put_neighbor(hops, ETH1, "10.0.1.1", NUD_INCOMPLETE, NULL, 0), 0);
	assert_int_equal(put_neighbor(hops, ETH1, "10.0.1.1", NUD_FAILED, NULL, 0), 0);
	lb_nexthops_free(hops);
}

static struct lb_nexthops *make_with_failed_member(void)
{
	struct lb_nexthops *hops = make();
	struct lb_route_group group = two_members();
	struct lb_address to = address_of(TO);

	put_neighbor(hops, ETH0, "10.0.0.1", NUD_FAILED, NULL, 1000);
	assert_int_equal(lb_nexthops_lost_stale(hops, 0, 3000), 0);
	put_route(hops, ETH0, "10.0.0.1"); /* the kernel, by its hash, stays with it */
	assert_int_equal(seeking(hops), 1);
	lb_nexthops_set_group(hops, &to, &group, 3000);
	assert_int_equal(seeking(hops), 0);
	return hops;
}

static void another_member_is_taken_when_the_kernels_choice_fails(void **state)
{
	struct lb_nexthops *hops = make_with_failed_member();

	assert_false(get(hops, 3000).resolved);
	assert_int_equal(put_neighbor(hops, ETH1, "10.0.1.1", NUD_REACHABLE, mac_b, 3000),
			 LB_NEXTHOPS_CHANGED);
	assert_true(get(hops, 3000).resolved);
	assert_int_equal(get(hops, 3000).ifindex, ETH1);
	assert_memory_equal(get(hops, 3000).destination, mac_b, 6);
	assert_int_equal(put_neighbor(hops, ETH0, "10.0.0.1", NUD_REACHABLE, mac_a, 4000),
			 LB_NEXTHOPS_CHANGED);
	assert_int_equal(get(hops, 4000).ifindex, ETH0);
	lb_nexthops_free(hops);
}

static void a_member_on_a_link_that_is_down_is_not_taken(void **state)
{
	struct lb_nexthops *hops = make_with_failed_member();

	put_neighbor(hops, ETH1, "10.0.1.1", NUD_REACHABLE, mac_b, 3000);
	put_link(hops, (struct link_spec){ .ifindex = ETH1, .name = "eth1", .down = true });
	assert_false(get(hops, 3000).resolved);
	lb_nexthops_free(hops);
}

static void a_choice_whose_link_is_down_is_a_dead_end(void **state)
{
	struct lb_nexthops *hops = make();

	put_link(hops, (struct link_spec){ .ifindex = ETH0, .name = "eth0", .down = true });
	put_route(hops, ETH0, "10.0.0.1"); /* a member without a carrier may be chosen all the same */
	assert_int_equal(seeking(hops), 1);
	put_link(hops, (struct link_spec){ .ifindex = ETH0, .name = "eth0" });
	put_route(hops, ETH0, "10.0.0.1");
	assert_int_equal(seeking(hops), 0);
	lb_nexthops_free(hops);
}

static void count_visit(void *context, int ifindex, const struct lb_address *address)
{
	++*(size_t *)context;
}

static size_t visited(struct lb_nexthops *hops, enum lb_neighbor_request what)
{
	size_t n = 0;

	lb_nexthops_visit(hops, what, count_visit, &n);
	return n;
}

static void all_members_are_kept_resolved_and_let_go(void **state)
{
	struct lb_nexthops *hops = make_with_failed_member();

	assert_int_equal(visited(hops, LB_NEIGHBOR_MANAGE), 2);
	lb_nexthops_want_begin(hops);
	lb_nexthops_want_end(hops);
	assert_int_equal(visited(hops, LB_NEIGHBOR_MANAGE), 0);
	assert_int_equal(visited(hops, LB_NEIGHBOR_PROBE), 0);
	lb_nexthops_free(hops);
}

static void who_has_looked_for_members_does_so_again_when_routes_change(void **state)
{
	struct lb_nexthops *hops = make_with_failed_member();

	assert_false(put_route(hops, ETH0, "10.0.0.1")); /* no other way by itself */
	assert_int_equal(seeking(hops), 1);
	lb_nexthops_free(hops);
}

/* A change would wait for it. */
static void who_stays_needed_is_not_newly_needed(void **state)
{
	struct lb_nexthops *hops = make();

	put_route(hops, ETH1, "10.0.1.1");
	put_neighbor(hops, ETH1, "10.0.1.1", NUD_INCOMPLETE, NULL, 0);
	assert_int_equal(lb_nexthops_fresh(hops, true), 1);
	put_route(hops, ETH1, "10.0.1.1");
	assert_int_equal(lb_nexthops_fresh(hops, true), 0);
	lb_nexthops_free(hops);
}

static void all_routes_are_asked_for_by_and_by(void **state)
{
	struct lb_nexthops *hops = make();

	lb_nexthops_some_stale(hops, 100);
	assert_int_equal(stale(hops), 1);
	lb_nexthops_free(hops);
}

/* --- messages ---------------------------------------------------------------------------------------------
 */

static void add_hop(char *hops, size_t *length, int ifindex, const char *gateway, __u8 flags,
		    __u16 encapsulation)
{
	struct rtnexthop *hop = (struct rtnexthop *)(hops + *length);
	struct lb_address address = address_of(gateway);
	struct rtattr *attribute = (struct rtattr *)(hop + 1);

	memset(hop, 0, sizeof(*hop));
	hop->rtnh_ifindex = ifindex;
	hop->rtnh_flags = flags;
	attribute->rta_type = RTA_GATEWAY;
	attribute->rta_len = RTA_LENGTH(4);
	memcpy(RTA_DATA(attribute), address.bytes, 4);
	hop->rtnh_len = sizeof(*hop) + RTA_SPACE(4);
	if (encapsulation) {
		attribute = (struct rtattr *)((char *)hop + hop->rtnh_len);
		attribute->rta_type = RTA_ENCAP_TYPE;
		attribute->rta_len = RTA_LENGTH(2);
		memset(RTA_DATA(attribute), 0, 4);
		memcpy(RTA_DATA(attribute), &encapsulation, 2);
		hop->rtnh_len += RTA_SPACE(2);
	}
	*length += hop->rtnh_len;
}

static void multipath_message(struct message *message, size_t cut)
{
	struct rtmsg fixed = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	char hops[256] __attribute__((aligned(4)));
	size_t length = 0;

	add_hop(hops, &length, ETH0, "10.0.0.1", 0, 0);
	add_hop(hops, &length, ETH1, "10.0.1.1", RTNH_F_DEAD, 0);
	add_hop(hops, &length, ETH1, "10.0.1.2", 0, LWTUNNEL_ENCAP_MPLS);
	add_hop(hops, &length, ETH1, "10.0.1.3", 0, 0);
	message_begin(message, RTM_NEWROUTE, &fixed, sizeof(fixed));
	message_add(message, RTA_MULTIPATH, hops, length - cut);
}

static void usable_members_of_a_multipath_route_are_read(void **state)
{
	struct lb_address third = address_of("10.0.1.3");
	struct lb_route_group group = {};
	struct message message;

	multipath_message(&message, 0);
	assert_int_equal(lb_route_group_parse(&message.header, &group), 0);
	assert_int_equal(group.n, 2);
	assert_int_equal(group.member[0].ifindex, ETH0);
	assert_int_equal(group.member[1].ifindex, ETH1);
	assert_memory_equal(&group.member[1].gateway, &third, sizeof(third));
}

static void a_truncated_multipath_route_is_refused(void **state)
{
	for (size_t cut = 1; cut < 16; cut++) {
		struct lb_route_group group = {};
		struct message message;

		multipath_message(&message, cut);
		assert_int_equal(lb_route_group_parse(&message.header, &group), -EBADMSG);
	}
}

static void a_group_of_nexthop_objects_is_read_by_and_by(void **state)
{
	struct nexthop_grp entries[] = { { .id = 7 }, { .id = 8 } };
	struct rtmsg route = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	struct nhmsg object = { .nh_family = AF_INET };
	struct lb_route_group group = {};
	struct message message;

	/* With nexthop_compat_mode off the route names the object alone. */
	message_begin(&message, RTM_NEWROUTE, &route, sizeof(route));
	message_add_u32(&message, RTA_NH_ID, 9);
	assert_int_equal(lb_route_group_parse(&message.header, &group), 0);
	assert_int_equal(group.n, 0);
	assert_int_equal(group.n_objects, 1);
	assert_int_equal(group.object[0], 9);
	message_begin(&message, RTM_NEWNEXTHOP, &object, sizeof(object));
	message_add(&message, NHA_GROUP, entries, sizeof(entries));
	assert_int_equal(lb_route_group_parse(&message.header, &group), 0);
	assert_int_equal(group.n_objects, 3);
	message_begin(&message, RTM_NEWNEXTHOP, &object, sizeof(object));
	message_add_u32(&message, NHA_OIF, ETH1);
	message_add_address(&message, NHA_GATEWAY, "10.0.1.1");
	assert_int_equal(lb_route_group_parse(&message.header, &group), 0);
	assert_int_equal(group.n, 1);
	message_begin(&message, RTM_NEWNEXTHOP, &object, sizeof(object));
	message_add(&message, NHA_BLACKHOLE, NULL, 0);
	assert_int_equal(lb_route_group_parse(&message.header, &group), 0);
	assert_int_equal(group.n, 1);
}

static void whatever_changes_routes_has_them_asked_for(void **state)
{
	static const __u16 types[] = { RTM_NEWROUTE,   RTM_DELROUTE,   RTM_NEWRULE,    RTM_DELRULE,
				       RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_NEWNETCONF, RTM_DELNETCONF };
	struct lb_nexthops *hops = make();
	struct rtmsg fixed = {};
	struct message message;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		message_begin(&message, types[i], &fixed, sizeof(fixed));
		assert_int_equal(lb_nexthops_apply(hops, &message.header, 0), LB_NEXTHOPS_ROUTE);
	}
	lb_nexthops_free(hops);
}

static void a_route_that_encapsulates_is_not_a_way(void **state)
{
	struct lb_nexthops *hops = make();
	struct lb_address to = address_of(TO);
	__u16 seg6 = LWTUNNEL_ENCAP_SEG6;
	struct message message;
	struct lb_route route;

	message_route(&message, TO, ETH0, "10.0.0.1", NULL, 0);
	message_add(&message, RTA_ENCAP_TYPE, &seg6, sizeof(seg6));
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	assert_true(lb_nexthops_set_route(hops, &to, &route, 0, 3000));
	assert_false(get(hops, 0).resolved);
	assert_string_equal(get(hops, 0).why, "its route encapsulates (seg6), which XDP cannot");
	lb_nexthops_free(hops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_is_asked_again_when_a_neighbour_fails),
		cmocka_unit_test(one_that_was_never_usable_and_fails_is_asked_about),
		cmocka_unit_test(another_member_is_taken_when_the_kernels_choice_fails),
		cmocka_unit_test(a_member_on_a_link_that_is_down_is_not_taken),
		cmocka_unit_test(a_choice_whose_link_is_down_is_a_dead_end),
		cmocka_unit_test(all_members_are_kept_resolved_and_let_go),
		cmocka_unit_test(who_has_looked_for_members_does_so_again_when_routes_change),
		cmocka_unit_test(who_stays_needed_is_not_newly_needed),
		cmocka_unit_test(all_routes_are_asked_for_by_and_by),
		cmocka_unit_test(usable_members_of_a_multipath_route_are_read),
		cmocka_unit_test(a_truncated_multipath_route_is_refused),
		cmocka_unit_test(a_group_of_nexthop_objects_is_read_by_and_by),
		cmocka_unit_test(whatever_changes_routes_has_them_asked_for),
		cmocka_unit_test(a_route_that_encapsulates_is_not_a_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
