// SPDX-License-Identifier: GPL-2.0-only
/*
 * Next hops as data: the table that plans are given, and plans as a function of it.
 */
#include "engine_fixture.h"

static struct lb_address address_of(__u32 number)
{
	return (struct lb_address){ LB_FAMILY_V4,
				    { 10, (__u8)(number >> 16), (__u8)(number >> 8), (__u8)number } };
}

static struct lb_nexthop nexthop_by(__u8 number)
{
	return (struct lb_nexthop){ .resolved = true, .mtu = 1500, .destination = { 2, 0, 0, 0, 0, number } };
}

static void put(struct lb_nexthop_map *map, __u32 to, const struct lb_nexthop *nexthop)
{
	struct lb_address address = address_of(to);

	assert_int_equal(lb_nexthop_map_put(map, &address, nexthop), 0);
}

static const struct lb_nexthop *get(const struct lb_nexthop_map *map, __u32 to)
{
	struct lb_address address = address_of(to);

	return lb_nexthop_map_get(map, &address);
}

static void what_was_put_is_found(void **state)
{
	struct lb_nexthop_map map;

	(void)state;
	assert_int_equal(lb_nexthop_map_init(&map), 0);
	for (__u32 i = 0; i < 10000; i++) {
		struct lb_nexthop by = nexthop_by((__u8)(i % 7));

		put(&map, i, &by);
	}
	assert_int_equal(map.n, 10000);
	assert_int_equal(map.nexthops.n, 1 + 7); /* each once */
	for (__u32 i = 0; i < 10000; i++)
		assert_int_equal(get(&map, i)->destination[5], i % 7);
	assert_false(get(&map, 10000)->resolved);
	assert_false(get(NULL, 0)->resolved);
	lb_nexthop_map_done(&map);
}

static void a_revision_is_of_what_was_known(void **state)
{
	struct lb_nexthop one = nexthop_by(1), two = nexthop_by(2);
	struct lb_nexthop_map map;
	__u64 revision;

	(void)state;
	assert_int_equal(lb_nexthop_map_init(&map), 0);
	put(&map, 1, &one);
	revision = map.revision;
	put(&map, 2, &one); /* is new */
	put(&map, 1, &one); /* is the same */
	assert_true(map.revision == revision);
	put(&map, 1, &two);
	assert_false(map.revision == revision);
	revision = map.revision;
	put(&map, 1, &(struct lb_nexthop){}); /* is lost */
	assert_false(map.revision == revision);
	lb_nexthop_map_done(&map);
}

static void what_is_not_put_again_is_forgotten(void **state)
{
	struct lb_nexthop_map map;
	__u64 revision;

	(void)state;
	assert_int_equal(lb_nexthop_map_init(&map), 0);
	/* As often as it takes for the counter of fillings to wrap, with next hops that are others each time.
	 */
	for (__u32 filling = 0; filling < 600; filling++) {
		lb_nexthop_map_begin(&map);
		for (__u32 i = 0; i < 20; i++) {
			struct lb_nexthop by = nexthop_by((__u8)(i + filling));

			if (i % 10 != filling % 10)
				put(&map, i, &by);
		}
		revision = map.revision;
		lb_nexthop_map_end(&map);
		assert_true(map.revision == revision + (filling > 0));
		assert_int_equal(map.n, 18);
		assert_in_range(map.nexthops.n, 18, 2 * 18 + 2 * 16 + 2);
		for (__u32 i = 0; i < 20; i++) {
			assert_int_equal(get(&map, i)->resolved, i % 10 != filling % 10);
			if (get(&map, i)->resolved)
				assert_int_equal(get(&map, i)->destination[5], (__u8)(i + filling));
		}
	}
	lb_nexthop_map_done(&map);
}

/* --- plans -----------------------------------------------------------------------------------------------
 */

static __u64 plan_with(struct fixture *f, const struct lb_config *config,
		       const struct lb_nexthop_map *nexthops, bool *ret_empty)
{
	struct lb_desired desired = { .config = config, .nexthops = nexthops };
	struct lb_plan *plan;
	__u64 identity;

	assert_int_equal(lb_engine_plan(f->engine, &desired, &plan, &f->error), 0);
	*ret_empty = lb_plan_is_empty(plan);
	identity = lb_plan_identity(plan);
	lb_plan_free(plan);
	return identity;
}

/* The same state, planned for with several tables side by side: each plan is a function of its own. */
static void a_plan_is_a_function_of_its_table(void **state)
{
	static const struct {
		const char *what;
		struct lb_nexthop nexthop;
		bool changes;
	} rows[] = {
		{ "the same", { .resolved = true, .mtu = 1500, .destination = { 2 } }, false },
		{ "MAC", { .resolved = true, .mtu = 1500, .destination = { 2, 1 } }, true },
		{ "our MAC",
		  { .resolved = true, .mtu = 1500, .destination = { 2 }, .source = { 2, 1 } },
		  true },
		{ "width", { .resolved = true, .mtu = 1400, .destination = { 2 } }, true },
		{ "back out",
		  { .resolved = true, .same_interface = true, .mtu = 1500, .destination = { 2 } },
		  true },
		{ "local", { .resolved = true, .local = true, .mtu = 1500, .destination = { 2 } }, true },
		{ "a tag", { .resolved = true, .tagged = true, .mtu = 1500, .destination = { 2 } }, true },
		{ "none", { .mtu = 1500, .destination = { 2 } }, true },
	};
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	struct lb_nexthop_map maps[sizeof(rows) / sizeof(rows[0])];
	struct lb_config *config;
	struct fixture f;
	__u64 identities[sizeof(rows) / sizeof(rows[0])];
	struct lb_desired desired = {};
	struct lb_plan *plan;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 100, 100);
	config->services[0].forward = LB_FORWARD_L2;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(lb_nexthop_map_init(&maps[i]), 0);
		for (size_t b = 0; b < 2; b++)
			assert_int_equal(lb_nexthop_map_put(&maps[i],
							    &config->services[0].backends[b].address,
							    &rows[i].nexthop),
					 0);
	}
	desired = (struct lb_desired){ .config = config, .nexthops = &maps[0] };
	assert_int_equal(lb_engine_plan(f.engine, &desired, &plan, &f.error), 0);
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	/* Forwards and backwards: what was planned before plays no part. */
	for (size_t round = 0; round < 2; round++) {
		for (size_t k = 0; k < n; k++) {
			size_t i = round ? n - 1 - k : k;
			bool empty;
			__u64 identity = plan_with(&f, config, &maps[i], &empty);

			if (empty == rows[i].changes)
				fail_msg("%s: empty %d", rows[i].what, empty);
			if (round && identity != identities[i])
				fail_msg("%s: another identity", rows[i].what);
			identities[i] = identity;
			for (size_t j = 0; round && j < n; j++)
				if (j != i && identities[j] == identity)
					fail_msg("%s and %s: one identity", rows[i].what, rows[j].what);
		}
	}
	for (size_t i = 0; i < n; i++)
		lb_nexthop_map_done(&maps[i]);
	fixture_done(&f);
}

/* Who leaves is not configured any more, and goes by the table as well. */
static void a_leaving_backend_has_its_way(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1));
	f.nexthop_salt = 9;
	fixture_apply(&f, f.configs[1]);
	assert_true(fixture_find_backend(&f, "b1")->leaving);
	assert_int_equal(fixture_find_backend(&f, "b1")->nexthop.destination[2], 9);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_found),
		cmocka_unit_test(a_revision_is_of_what_was_known),
		cmocka_unit_test(what_is_not_put_again_is_forgotten),
		cmocka_unit_test(a_plan_is_a_function_of_its_table),
		cmocka_unit_test(a_leaving_backend_has_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
