/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which MAC addresses are ours: from links and lists of addresses to the table that packets read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "net/nexthops_internal.h"
#include "net/stations.h"

static struct lb_stations table;

static struct lb_station station(int ifindex, __u8 last, bool own)
{
	return (struct lb_station){ .ifindex = ifindex, .mac = { 2, 0, 0, 0, 0, last }, .own = own };
}

static void build(const struct lb_station *all, size_t n, int only)
{
	memset(&table, 0, sizeof(table));
	table.closed = 1;
	assert_int_equal(lb_stations_build(all, n, only, 0, &table), 0);
}

static void own_addresses_are_told_by_one_word(void **state)
{
	const struct lb_station all[] = { station(3, 1, true), station(3, 2, false), station(7, 3, true) };

	build(all, 3, 0);
	assert_int_equal(table.first[3], lb_station_word(all[0].mac));
	assert_int_equal(table.first[7], lb_station_word(all[2].mac));
	assert_int_equal(table.first[4], LB_STATION_NONE);
	assert_int_equal(table.only, LB_STATION_NONE);
	build(all, 2, 3);
	assert_int_equal(table.only, lb_station_word(all[0].mac));
}

/* A frame to an address of zeroes is compared as well. */
static void no_frame_has_the_word_of_nothing(void **state)
{
	static const __u8 zeroes[6], ones[6] = { 255, 255, 255, 255, 255, 255 };

	assert_int_not_equal(lb_station_word(zeroes), LB_STATION_NONE);
	assert_int_not_equal(lb_station_word(ones), LB_STATION_NONE);
	build(NULL, 0, 0);
	assert_int_not_equal(lb_station_word(zeroes), table.only);
	assert_false(lb_stations_find(&table, 1, zeroes));
}

/* Interfaces whose indices are equal where places are told apart: neither takes the other's frames. */
static void interfaces_that_share_a_place(void **state)
{
	const struct lb_station all[] = { station(5, 1, true), station(5 + LB_STATION_INTERFACES, 2, true) };

	build(all, 2, 0);
	assert_int_equal(table.first[5], LB_STATION_NONE);
	assert_true(lb_stations_find(&table, 5, all[0].mac));
	assert_true(lb_stations_find(&table, 5 + LB_STATION_INTERFACES, all[1].mac));
	assert_false(lb_stations_find(&table, 5, all[1].mac));
	assert_false(lb_stations_find(&table, 5 + LB_STATION_INTERFACES, all[0].mac));
}

static void more_than_fit(void **state)
{
	static struct lb_station all[LB_STATION_PLACES + 1];

	for (size_t i = 0; i < LB_STATION_PLACES + 1; i++) {
		all[i] = station(1, (__u8)i, false);
		all[i].mac[4] = (__u8)(i >> 8);
	}
	memset(&table, 0, sizeof(table));
	assert_int_equal(lb_stations_build(all, LB_STATION_PLACES + 1, 1, 0, &table), -ENOSPC);
	build(all, LB_STATIONS_MAX, 1);
	for (size_t i = 0; i < LB_STATIONS_MAX; i++)
		assert_true(lb_stations_find(&table, 1, all[i].mac));
}

/* --- links ------------------------------------------------------------------------------------------------
 */

static void put_link(struct lb_nexthops *nexthops, int ifindex, __u8 last, const char *kind, int lower,
		     int master)
{
	struct lb_link link = {
		.ifindex = ifindex, .has_mac = true, .mac = { 2, 0, 0, 0, 0, last }, .lower = lower
	};

	link.master = master;
	snprintf(link.name, sizeof(link.name), "l%d", ifindex);
	snprintf(link.kind, sizeof(link.kind), "%s", kind);
	assert_true(lb_links_put(&nexthops->links, &link) >= 0);
}

static bool has(const struct lb_station *all, size_t n, int ifindex, __u8 last, bool own)
{
	const struct lb_station wanted = station(ifindex, last, own);

	for (size_t i = 0; i < n; i++)
		if (memcmp(&all[i], &wanted, sizeof(wanted)) == 0)
			return true;
	return false;
}

static void what_is_upon_an_interface(void **state)
{
	struct lb_station all[32];
	struct lb_nexthops *nexthops;
	size_t n;

	assert_int_equal(lb_nexthops_new(&nexthops), 0);
	put_link(nexthops, 2, 2, "", 0, 4);        /* eth0, a port of bond0 */
	put_link(nexthops, 3, 3, "", 0, 4);        /* eth1, the same */
	put_link(nexthops, 4, 4, "bond", 0, 5);    /* bond0, a port of br0 */
	put_link(nexthops, 5, 5, "bridge", 0, 0);  /* br0 */
	put_link(nexthops, 6, 6, "macvlan", 5, 0); /* vrrp.1 on br0 */
	put_link(nexthops, 7, 7, "vlan", 2, 0);    /* eth0.7 */
	put_link(nexthops, 8, 8, "veth", 2, 0);    /* whose peer happens to be number 2 */
	put_link(nexthops, 9, 9, "vxlan", 2, 0);   /* its frames are not of the link */
	put_link(nexthops, 10, 10, "", 0, 5);      /* another port of br0 */
	put_link(nexthops, 11, 11, "macvlan", 3, 0);
	n = lb_nexthops_stations(nexthops, 2, all, 32);
	assert_int_equal(n, 5);
	assert_true(has(all, n, 2, 2, true));
	assert_true(has(all, n, 2, 4, false));
	assert_true(has(all, n, 2, 5, false));
	assert_true(has(all, n, 2, 6, false));
	assert_true(has(all, n, 2, 7, false));
	/* On the bond itself, frames may come by the index of the port. */
	n = lb_nexthops_stations(nexthops, 4, all, 32);
	assert_true(has(all, n, 4, 4, true) && has(all, n, 4, 6, false));
	assert_true(has(all, n, 2, 2, true) && has(all, n, 2, 4, false) && has(all, n, 2, 6, false));
	assert_true(has(all, n, 3, 4, false) && has(all, n, 3, 11, false));
	assert_false(has(all, n, 2, 3, true) || has(all, n, 2, 10, false));
	/* No more than there is room for. */
	assert_int_equal(lb_nexthops_stations(nexthops, 4, all, 3), 3);
	assert_int_equal(lb_nexthops_stations(nexthops, 99, all, 3), 0);
	lb_nexthops_free(nexthops);
}

/* --- lists ------------------------------------------------------------------------------------------------
 */

struct fdb_message {
	struct nlmsghdr header;
	struct ndmsg fixed;
	struct rtattr attribute;
	__u8 mac[8];
};

static struct fdb_message fdb(__u8 family, __u8 flags, __u8 first)
{
	struct fdb_message message = {
		.header = { .nlmsg_len = sizeof(message), .nlmsg_type = RTM_NEWNEIGH },
		.fixed = { .ndm_family = family, .ndm_ifindex = 5, .ndm_flags = flags },
		.attribute = { .rta_len = RTA_LENGTH(6), .rta_type = NDA_LLADDR },
		.mac = { first, 0, 0x5e, 0, 1, 7 },
	};

	return message;
}

static void lists_of_unicast_addresses(void **state)
{
	struct fdb_message message = fdb(AF_BRIDGE, NTF_SELF, 0);
	struct lb_station station;

	assert_int_equal(lb_station_parse(&message.header, &station), 0);
	assert_int_equal(station.ifindex, 5);
	assert_memory_equal(station.mac, message.mac, 6);
	assert_false(station.own);
	message.header.nlmsg_type = RTM_DELNEIGH;
	assert_int_equal(lb_station_parse(&message.header, &station), 0);
	message.header.nlmsg_type = RTM_NEWLINK;
	assert_int_equal(lb_station_parse(&message.header, &station), -EOPNOTSUPP);
	/* Group addresses, what a bridge has learnt, neighbours. */
	message = fdb(AF_BRIDGE, NTF_SELF, 1);
	assert_int_equal(lb_station_parse(&message.header, &station), -EOPNOTSUPP);
	message = fdb(AF_BRIDGE, NTF_MASTER, 0);
	assert_int_equal(lb_station_parse(&message.header, &station), -EOPNOTSUPP);
	message = fdb(AF_INET, NTF_SELF, 0);
	assert_int_equal(lb_station_parse(&message.header, &station), -EOPNOTSUPP);
	/* Cut short. */
	message = fdb(AF_BRIDGE, NTF_SELF, 0);
	message.header.nlmsg_len -= 8;
	assert_int_equal(lb_station_parse(&message.header, &station), -EBADMSG);
	message.header.nlmsg_len = NLMSG_LENGTH(4);
	assert_int_equal(lb_station_parse(&message.header, &station), -EBADMSG);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(own_addresses_are_told_by_one_word),
	cmocka_unit_test(no_frame_has_the_word_of_nothing),
	cmocka_unit_test(interfaces_that_share_a_place),
	cmocka_unit_test(more_than_fit),
	cmocka_unit_test(what_is_upon_an_interface),
	cmocka_unit_test(lists_of_unicast_addresses),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
