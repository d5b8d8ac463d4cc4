// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables of other sizes under an engine that goes on: what limits ask for, what stays at its place, and what
 * is refused because it would have none.
 */
#include "engine_fixture.h"

#include "carry/carry.h"

/* Tables of these sizes with everything that the fixture's have, in their place. */
static void take_over(struct fixture *f, const struct lb_table_sizes *sizes)
{
	struct lb_tables old = f->tables, new;
	struct lb_copy copy;
	struct lb_carry_flows flows = { .copy = &copy,
					.from = old.flows,
					.from_buckets = old.sizes.flow_buckets,
					.to_buckets = sizes->flow_buckets };

	assert_int_equal(lb_tables_new_memory(sizes, &new), 0);
#define TAKE(member, n_old, n_new)                                                                           \
	lb_copy_init_same(&copy, sizeof(*new.member));                                                       \
	assert_true(lb_carry_records(&copy, old.member, n_old, new.member, n_new))
	TAKE(control, 1, 1);
	lb_tables_init_control(sizes, new.control);
	TAKE(vips, (__u64)LB_BANKS * old.sizes.vip_buckets, (__u64)LB_BANKS * sizes->vip_buckets);
	TAKE(banks, LB_BANKS, LB_BANKS);
	TAKE(filters, LB_BANKS, LB_BANKS);
	TAKE(rings, old.sizes.ring_lines, sizes->ring_lines);
	lb_copy_init_same(&copy, sizeof(__u32));
	lb_carry_stamp_more(&copy, (__u64)old.sizes.ring_lines * LB_SLOTS_PER_LINE, old.stamps,
			    (__u64)old.sizes.stamp_lines * LB_SLOTS_PER_LINE, new.stamps,
			    (__u64)sizes->stamp_lines * LB_SLOTS_PER_LINE);
	TAKE(backends, old.sizes.backends, sizes->backends);
	TAKE(backend_ids, old.sizes.backends, sizes->backends);
	TAKE(service_meta, old.sizes.services, sizes->services);
	TAKE(backend_meta, old.sizes.counters, sizes->counters);
#undef TAKE
	lb_copy_init_same(&copy, sizeof(struct lb_flow_bucket));
	flows.to = new.flows;
	lb_carry_flows(&flows);
	lb_tables_free_memory(&f->tables);
	f->tables = new;
}

static int resize(struct fixture *f, const struct lb_table_sizes *sizes)
{
	int r;

	lb_engine_hold(f->engine, true);
	r = lb_engine_resize(f->engine, sizes, &f->error);
	if (r == 0)
		take_over(f, sizes);
	lb_engine_hold(f->engine, false);
	return r;
}

/* So many services of one backend each. */
static struct lb_config *many(struct fixture *f, int n)
{
	struct lb_config *config = fixture_config(f);

	for (int i = 0; i < n; i++) {
		char name[16], vip[32], address[32];

		snprintf(name, sizeof(name), "s%d", i);
		snprintf(vip, sizeof(vip), "203.0.%d.%d", i / 250, i % 250 + 1);
		snprintf(address, sizeof(address), "10.0.%d.%d", i / 250, i % 250 + 1);
		fixture_backend(fixture_service(config, name, vip, 80), "b", address, 100);
	}
	return config;
}

static void test_a_drain_goes_on_in_larger_tables(void **state)
{
	struct lb_table_sizes sizes = fixture_sizes();
	struct fixture f;
	struct lb_flow *flow;
	struct lb_service_view before, after;
	const __u32 *ring;
	__u32 slot = 0;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	fixture_pass(&f, 3);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, -1));
	before = fixture_view(&f, "web");
	assert_true(before.unsettled_slots > 0);
	ring = fixture_ring(&f, "web");
	while (lb_slot_base(ring[slot]) != 2)
		slot++;
	flow = fixture_remember(&f, 12345, before.id, slot, 2, LB_FLOW_ESTABLISHED);
	assert_int_equal(lb_flow_state(flow->word), LB_FLOW_ESTABLISHED);
	sizes.services = 640;
	sizes.counters = 5120;
	sizes.ring_lines *= 4;
	sizes.backends *= 2;
	sizes.flow_buckets *= 64;
	assert_int_equal(resize(&f, &sizes), 0);
	after = fixture_view(&f, "web");
	assert_int_equal(after.unsettled_slots, before.unsettled_slots);
	assert_int_equal(after.ring_line, before.ring_line);
	assert_int_equal(after.n_backends, 3);
	assert_non_null(after.config);
	fixture_pass(&f, 2);
	assert_non_null(fixture_find_backend(&f, "b2"));
	assert_int_equal(fixture_find_backend(&f, "b2")->entries, 1);
	/* What had no room has it now, and another agent sees the same. */
	fixture_pass(&f, 40);
	fixture_apply(&f, many(&f, 200));
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, many(&f, 200)));
	fixture_done(&f);
}

static void test_plans_are_made_for_what_will_be(void **state)
{
	struct lb_table_sizes now = fixture_sizes(), sizes = now;
	struct fixture f;
	struct lb_plan *plan = NULL;

	(void)state;
	fixture_init(&f);
	assert_int_equal(fixture_try(&f, many(&f, 100)), -ENOSPC);
	sizes.services = 128;
	assert_int_equal(lb_engine_resize(f.engine, &sizes, &f.error), 0);
	assert_int_equal(fixture_plan(&f, many(&f, 100), &plan), 0);
	lb_plan_free(plan);
	/* It was only looked at. */
	assert_int_equal(lb_engine_resize(f.engine, &now, &f.error), 0);
	assert_int_equal(fixture_try(&f, many(&f, 100)), -ENOSPC);
	fixture_apply(&f, many(&f, 10));
	fixture_done(&f);
}

static void test_what_is_in_use_stays(void **state)
{
	struct lb_table_sizes sizes = fixture_sizes();
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, many(&f, 50));
	sizes.services = 20;
	assert_int_equal(resize(&f, &sizes), -EBUSY);
	assert_string_equal(f.error.path, "limits.services");
	sizes = fixture_sizes();
	sizes.counters = 49;
	assert_int_equal(resize(&f, &sizes), -EBUSY);
	assert_string_equal(f.error.path, "limits.backends");
	/* Nothing has changed by that. */
	fixture_apply(&f, many(&f, 60));
	sizes.services = 60;
	sizes.counters = 60;
	assert_int_equal(resize(&f, &sizes), 0);
	assert_true(fixture_is_empty(&f, many(&f, 60)));
	assert_int_equal(fixture_try(&f, many(&f, 61)), -ENOSPC);
	fixture_pass(&f, 3);
	fixture_apply(&f, many(&f, 5));
	fixture_done(&f);
}

static void test_only_limits_that_change_change_sizes(void **state)
{
	struct lb_table_sizes now, next;
	struct fixture f;
	struct lb_config *running, *wanted;

	(void)state;
	fixture_init(&f);
	running = many(&f, 10);
	lb_engine_sizes(running, 2, 1ull << 30, &now);
	/* Ten times as many services, and twice the memory: nobody said a limit. */
	wanted = many(&f, 300);
	assert_false(lb_engine_sizes_next(running, wanted, 2, 1ull << 31, &now, &next));
	assert_false(lb_engine_sizes_next(NULL, wanted, 2, 1ull << 31, &now, &next));
	wanted->limits.flow_entries = 1000000;
	assert_true(lb_engine_sizes_next(running, wanted, 2, 1ull << 31, &now, &next));
	assert_true((__u64)next.flow_buckets * LB_FLOWS_PER_BUCKET >= 1000000);
	next.flow_buckets = now.flow_buckets;
	assert_memory_equal(&next, &now, sizeof(now));
	wanted->limits = (struct lb_config_limits){ .services = 5000 };
	assert_true(lb_engine_sizes_next(running, wanted, 2, 1ull << 30, &now, &next));
	assert_true(next.services >= 5000);
	next.services = now.services;
	assert_memory_equal(&next, &now, sizeof(now));
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_drain_goes_on_in_larger_tables),
		cmocka_unit_test(test_plans_are_made_for_what_will_be),
		cmocka_unit_test(test_what_is_in_use_stays),
		cmocka_unit_test(test_only_limits_that_change_change_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
