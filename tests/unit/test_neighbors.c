// SPDX-License-Identifier: GPL-2.0-only
/*
 * VIPs on a LAN: the table that packets read, who is master by what is on the wire, and what the LAN is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "announce/gratuitous.h"
#include "announce/neighbors.h"
#include "announce/vrrp.h"

static const __u8 mac[] = { 2, 0, 0, 0, 0, 0x1b };

static struct lb_address address(const char *text)
{
	struct lb_address address;

	assert_int_equal(lb_address_parse(text, &address), 0);
	return address;
}

static struct lb_address numbered(unsigned int i)
{
	char text[32];

	snprintf(text, sizeof(text), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
	return address(text);
}

static void a_vip_and_what_became_of_it(void **state)
{
	struct lb_neighbors *all = calloc(1, sizeof(*all));
	struct lb_address v4 = address("203.0.113.10"), v6 = address("2001:db8::10"), back;
	struct lb_neighbor_vip *place;

	assert_int_equal(lb_neighbors_set(all, &v4, 51, LB_ANNOUNCE_WITHDRAWN), 0);
	assert_int_equal(lb_neighbors_set(all, &v6, 51, LB_ANNOUNCE_SERVING), 0);
	assert_int_equal(all->used, 2);
	place = lb_neighbors_find(all, &v4);
	assert_int_equal(lb_neighbor_state(place), LB_ANNOUNCE_WITHDRAWN);
	lb_neighbor_address(place, &back);
	assert_true(lb_address_equal(&back, &v4));
	lb_neighbor_address(lb_neighbors_find(all, &v6), &back);
	assert_true(lb_address_equal(&back, &v6));
	assert_int_equal(lb_neighbors_set(all, &v4, 51, LB_ANNOUNCE_DRAINING), 0);
	assert_ptr_equal(lb_neighbors_find(all, &v4), place);
	assert_int_equal(lb_neighbor_state(place), LB_ANNOUNCE_DRAINING);
	lb_neighbors_forget(all, &v4);
	assert_null(lb_neighbors_find(all, &v4));
	lb_neighbors_forget(all, &v4);
	assert_int_equal(all->used, 1);
	free(all);
}

static void changes_are_counted_and_nothing_else_is(void **state)
{
	struct lb_neighbors *all = calloc(1, sizeof(*all));
	struct lb_address vip = address("203.0.113.10");
	__u32 before;

	lb_neighbors_set(all, &vip, 51, LB_ANNOUNCE_SERVING);
	lb_neighbors_place_group(all, 51, 3, mac);
	before = all->changes;
	lb_neighbors_set(all, &vip, 51, LB_ANNOUNCE_SERVING);
	lb_neighbors_place_group(all, 51, 3, mac);
	assert_int_equal(all->changes, before);
	lb_neighbors_set(all, &vip, 52, LB_ANNOUNCE_SERVING);
	lb_neighbors_place_group(all, 51, 4, mac);
	assert_int_equal(all->changes, before + 2);
	free(all);
}

/* As many as there may be, through which others come and go for long. */
static void the_table_is_full_and_stays_usable(void **state)
{
	struct lb_neighbors *all = calloc(1, sizeof(*all));
	struct lb_address vip;

	for (unsigned int i = 0; i < LB_NEIGHBORS_MAX; i++) {
		vip = numbered(i);
		assert_int_equal(lb_neighbors_set(all, &vip, 1, LB_ANNOUNCE_SERVING), 0);
	}
	vip = numbered(LB_NEIGHBORS_MAX);
	assert_int_equal(lb_neighbors_set(all, &vip, 1, LB_ANNOUNCE_SERVING), -ENOSPC);
	for (unsigned int i = 0; i < 50 * LB_NEIGHBORS_MAX; i++) {
		vip = numbered(i);
		lb_neighbors_forget(all, &vip);
		vip = numbered(i + LB_NEIGHBORS_MAX);
		assert_int_equal(lb_neighbors_set(all, &vip, 1, LB_ANNOUNCE_SERVING), 0);
	}
	for (unsigned int i = 0; i < LB_NEIGHBORS_MAX; i++) {
		vip = numbered(i + 50 * LB_NEIGHBORS_MAX);
		assert_non_null(lb_neighbors_find(all, &vip));
	}
	assert_int_equal(all->used, LB_NEIGHBORS_MAX);
	free(all);
}

static void leadership_ends_and_is_in_doubt(void **state)
{
	struct lb_neighbors *all = calloc(1, sizeof(*all));
	const struct lb_neighbor_group *group = &all->group[51];

	assert_false(lb_neighbor_leads(group, 100));
	lb_neighbors_lead(all, 51, 200, 100);
	assert_true(lb_neighbor_leads(group, 199));
	assert_false(lb_neighbor_leads(group, 200));
	all->group[51].heard_ns = 150;
	assert_false(lb_neighbor_leads(group, 160));
	lb_neighbors_lead(all, 51, 300, 151);
	assert_true(lb_neighbor_leads(group, 160));
	lb_neighbors_follow(all, 51);
	assert_false(lb_neighbor_leads(group, 160));
	lb_neighbors_lead(all, 51, LB_NEIGHBOR_ALWAYS, 1);
	assert_true(lb_neighbor_leads(group, 160));
	free(all);
}

static void fitness(void **state)
{
	struct lb_neighbors *all = calloc(1, sizeof(*all));
	struct lb_address vip;

	assert_int_equal(lb_neighbors_fitness(all, 51), LB_FITNESS_NONE);
	lb_neighbors_place_group(all, 51, 3, mac);
	assert_int_equal(lb_neighbors_fitness(all, 51), LB_FITNESS_NONE);
	for (unsigned int i = 0; i < 3; i++) {
		vip = numbered(i);
		lb_neighbors_set(all, &vip, 51, LB_ANNOUNCE_SERVING);
	}
	assert_int_equal(lb_neighbors_fitness(all, 51), 0);
	lb_neighbors_set(all, &vip, 51, LB_ANNOUNCE_WITHDRAWN);
	assert_int_equal(lb_neighbors_fitness(all, 51), -1);
	for (unsigned int i = 0; i < 2; i++) {
		vip = numbered(i);
		lb_neighbors_set(all, &vip, 51, LB_ANNOUNCE_DRAINING);
	}
	assert_int_equal(lb_neighbors_fitness(all, 51), -101);
	lb_neighbors_place_group(all, 51, 0, mac);
	assert_int_equal(lb_neighbors_fitness(all, 51), LB_FITNESS_NONE);
	free(all);
}

/* As keepalived sends it; each line spoils one byte of it. */
static void advertisements(void **state)
{
	static const __u8 v3[] = {
		0x45, 0xc0, 0, 32, 0,    1,  0,   0, 255, 112, 0,    0,    10,  77,  0,  2,
		224,  0,    0, 18, 0x31, 51, 150, 1, 0,   20,  0xab, 0xcd, 169, 254, 51, 51
	};
	static const struct {
		size_t at;
		__u8 value;
		const char *why;
	} bad[] = {
		{ 0, 0x44, "a header that cannot be" }, { 8, 254, "through a router" },
		{ 9, 6, "another protocol" },           { 20, 0x32, "another message" },
		{ 20, 0x11, "another version" },        { 21, 0, "no virtual router" },
	};
	struct lb_vrrp_advert advert;
	__u8 bytes[80];

	assert_true(lb_vrrp_read(v3, sizeof(v3), &advert));
	assert_int_equal(advert.version, 3);
	assert_int_equal(advert.router, 51);
	assert_int_equal(advert.priority, 150);
	assert_int_equal(advert.interval_ms, 200);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		memcpy(bytes, v3, sizeof(v3));
		bytes[bad[i].at] = bad[i].value;
		if (lb_vrrp_read(bytes, sizeof(v3), &advert))
			fail_msg("taken: %s", bad[i].why);
	}
	for (size_t length = 0; length < 28; length++) {
		__u8 *cut = malloc(length ? length : 1); /* ASan watches its end */

		memcpy(cut, v3, length);
		assert_false(lb_vrrp_read(cut, length, &advert));
		free(cut);
	}
	/* Version 2: authentication type, seconds. */
	memcpy(bytes, v3, sizeof(v3));
	bytes[20] = 0x21;
	bytes[24] = 1;
	bytes[25] = 2;
	assert_true(lb_vrrp_read(bytes, sizeof(v3), &advert));
	assert_int_equal(advert.interval_ms, 2000);
	/* IPv6. */
	memset(bytes, 0, sizeof(bytes));
	bytes[0] = 0x60;
	bytes[6] = 112;
	bytes[7] = 255;
	memcpy(bytes + 40, v3 + 20, 8);
	assert_true(lb_vrrp_read(bytes, 48, &advert));
	assert_int_equal(advert.priority, 150);
	assert_false(lb_vrrp_read(bytes, 47, &advert));
	bytes[7] = 64;
	assert_false(lb_vrrp_read(bytes, 48, &advert));
}

static void what_the_lan_is_told(void **state)
{
	struct lb_address v4 = address("203.0.113.10"), v6 = address("2001:db8:113::10");
	__u8 frame[LB_GRATUITOUS_MAX], group[16];
	__u32 sum = 32 + 58;

	assert_int_equal(lb_gratuitous_frame(&v4, mac, frame), 42);
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x1b\x08\x06", 14);
	assert_memory_equal(frame + 14,
			    "\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x1b\xcb\x00\x71\x0a", 18);
	assert_memory_equal(frame + 32, "\x00\x00\x00\x00\x00\x00\xcb\x00\x71\x0a", 10);
	assert_int_equal(lb_gratuitous_frame(&v6, mac, frame), 86);
	assert_memory_equal(frame, "\x33\x33\x00\x00\x00\x01\x02\x00\x00\x00\x00\x1b\x86\xdd", 14);
	assert_int_equal(frame[14 + 7], 255);
	assert_int_equal(frame[54], 136);
	assert_int_equal(frame[58], 0x20);
	assert_memory_equal(frame + 78, "\x02\x01\x02\x00\x00\x00\x00\x1b", 8);
	for (size_t i = 22; i < 86; i += 2)
		sum += (__u32)frame[i] << 8 | frame[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	lb_solicited_node(&v6, group);
	assert_memory_equal(group, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\x00\x00\x10", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vip_and_what_became_of_it),
		cmocka_unit_test(changes_are_counted_and_nothing_else_is),
		cmocka_unit_test(the_table_is_full_and_stays_usable),
		cmocka_unit_test(leadership_ends_and_is_in_doubt),
		cmocka_unit_test(fitness),
		cmocka_unit_test(advertisements),
		cmocka_unit_test(what_the_lan_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
