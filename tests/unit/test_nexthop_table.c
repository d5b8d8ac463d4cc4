// SPDX-License-Identifier: GPL-2.0-only
/*
 * Next hops by number: equal ones share a number, and an engine that has seen many forgets what nobody uses.
 */
#include "engine_fixture.h"
#include "engine/nexthop_table.h"

static struct lb_nexthop nexthop_of(unsigned int n)
{
	struct lb_nexthop hop = { .resolved = true, .port = 1, .mtu = 1500 };

	memcpy(hop.destination, &n, sizeof(n));
	return hop;
}

static void test_numbers(void **state)
{
	struct lb_nexthop_table table;
	struct lb_nexthop hop = {}, filthy;
	__u32 number = 7, same;

	(void)state;
	assert_int_equal(lb_nexthop_table_init(&table), 0);
	assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
	assert_int_equal(number, 0);
	assert_false(lb_nexthop_table_at(&table, 0)->resolved);
	for (unsigned int i = 1; i <= 1000; i++) {
		hop = nexthop_of(i);
		assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
		assert_int_equal(number, i);
	}
	for (unsigned int i = 1; i <= 1000; i++) {
		/* Bytes between and behind the fields say nothing. */
		memset(&filthy, 0xff, sizeof(filthy));
		hop = nexthop_of(i);
		filthy.resolved = hop.resolved;
		filthy.local = hop.local;
		filthy.routed = hop.routed;
		filthy.same_interface = hop.same_interface;
		filthy.port = hop.port;
		filthy.tagged = hop.tagged;
		filthy.mtu = hop.mtu;
		memcpy(filthy.destination, hop.destination, sizeof(hop.destination));
		memcpy(filthy.source, hop.source, sizeof(hop.source));
		filthy.source_address = hop.source_address;
		assert_int_equal(lb_nexthop_table_get(&table, &filthy, &same), 0);
		assert_int_equal(same, i);
	}
	/* Any field makes another one. */
	hop = nexthop_of(1);
	hop.same_interface = true;
	assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
	assert_int_equal(number, 1001);
	hop = nexthop_of(1);
	hop.tagged = true;
	assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
	assert_int_equal(number, 1002);
	hop = nexthop_of(1);
	hop.source_address.bytes[15] = 1;
	assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
	assert_int_equal(number, 1003);
	lb_nexthop_table_done(&table);
}

static void test_keep(void **state)
{
	struct lb_nexthop_table table;
	__u32 used[101] = {}, number;

	(void)state;
	assert_int_equal(lb_nexthop_table_init(&table), 0);
	for (unsigned int i = 1; i <= 100; i++) {
		struct lb_nexthop hop = nexthop_of(i);

		assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
		used[i] = i % 10 == 0;
	}
	assert_true(lb_nexthop_table_is_full(&table));
	lb_nexthop_table_keep(&table, used);
	assert_false(lb_nexthop_table_is_full(&table));
	assert_int_equal(used[0], 1);
	for (unsigned int i = 1; i <= 100; i++) {
		struct lb_nexthop hop = nexthop_of(i);

		assert_int_equal(used[i] != 0, i % 10 == 0);
		if (!used[i])
			continue;
		assert_memory_equal(lb_nexthop_table_at(&table, used[i] - 1)->destination, hop.destination,
				    6);
		assert_int_equal(lb_nexthop_table_get(&table, &hop, &number), 0);
		assert_int_equal(number, used[i] - 1);
	}
	lb_nexthop_table_done(&table);
}

/* Every commit brings other next hops for every backend: the table stays small, and views tell the last. */
static void test_engine_forgets(void **state)
{
	struct fixture f;
	struct lb_config *config;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 100, 100, 100);
	for (unsigned int i = 0; i < 100; i++) {
		struct lb_service_view view;

		f.nexthop_salt = i;
		fixture_apply(&f, config);
		view = fixture_view(&f, "web");
		assert_int_equal(view.n_backends, 3);
		for (size_t b = 0; b < view.n_backends; b++) {
			const struct lb_nexthop *hop = &view.backends[b].nexthop;

			assert_true(hop->resolved);
			assert_int_equal(hop->destination[2], i);
			assert_memory_equal(hop->destination + 3, view.backends[b].address.bytes + 1, 3);
		}
		assert_in_range(f.engine->nexthops.n, 4, 2 * 4 + 16);
		for (size_t b = 0; b < view.n_backends; b++)
			assert_in_range(
				lb_engine_find(f.engine, "web")->members[view.backends[b].index].nexthop, 1,
				f.engine->nexthops.n - 1);
	}
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_engine_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
