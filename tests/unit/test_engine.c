// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's commits on plain memory: what packets see after each, what stays as it is, banks and grace
 * periods, rings that grow and shrink, errors and their texts.
 */
#include "engine_fixture.h"

static void test_first_commit(void **state)
{
	struct fixture f;
	struct lb_config *config;
	struct lb_service_view view;
	const struct lb_vip *vip;
	__u64 active;

	(void)state;
	fixture_init(&f);
	assert_int_equal(lb_engine_generation(f.engine), 0);
	config = POOL(&f, IPPROTO_TCP, 100, 100, 0);
	fixture_apply(&f, config);
	active = f.tables.control->active;
	assert_int_equal(LB_ACTIVE_GENERATION(active), 1);
	assert_int_equal(lb_engine_generation(f.engine), 1);
	assert_false(active & LB_ACTIVE_WILDCARD);
	assert_int_equal(LB_ACTIVE_LOG2(active), 6);
	assert_true(f.tables.control->clock_s >= 1);
	assert_true(f.tables.control->flow_key[0] && f.tables.control->flow_key[1]);
	vip = lb_vip_resolve(&f.tables.vips[LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS], LB_ACTIVE_LOG2(active),
			     &f.tables.banks[LB_ACTIVE_BANK(active)], &config->services[0].vip.address,
			     IPPROTO_TCP, 80);
	assert_non_null(vip);
	assert_int_equal(vip->flags, LB_VIP_USED);
	assert_int_equal(vip->ring_mask, 63);
	assert_int_equal(vip->backend_count, 3);
	view = fixture_view(&f, "web");
	assert_int_equal(view.ring_line, lb_vip_ring_line(vip));
	assert_int_equal(view.backend_first, lb_vip_backend_first(vip));
	assert_int_equal(view.n_backends, 3);
	assert_ptr_equal(view.config, &config->services[0]);
	assert_int_equal(view.backends[0].slots_cur + view.backends[1].slots_cur, 64);
	assert_int_equal(view.backends[2].slots_cur, 0);
	for (int s = 0; s < 64; s++)
		assert_true(lb_slot_settled(fixture_ring(&f, "web")[s]));
	assert_string_equal(f.tables.service_meta[view.id].name, "web");
	assert_string_equal(f.tables.backend_meta[view.backends[1].id].name, "b1");
	assert_true(fixture_is_empty(&f, config));
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, 100, 0)));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 0));
	assert_int_equal(lb_engine_generation(f.engine), 1);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
