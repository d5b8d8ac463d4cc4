// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plans: pure (no table changes until the commit), empty exactly when nothing changes, and right about what
 * moves, what is at risk, and what would break.
 */
#include "engine_fixture.h"

#include <time.h>
#include <xxhash.h>

static __u64 digest_tables(const struct lb_tables *tables)
{
	const struct lb_table_sizes *s = &tables->sizes;
	__u64 digest = 0;

#define ADD(name, n) digest = XXH3_64bits_withSeed(tables->name, (n) * sizeof(*tables->name), digest)
	ADD(control, 1);
	ADD(vips, (size_t)LB_BANKS * s->vip_buckets);
	ADD(banks, LB_BANKS);
	ADD(rings, s->ring_lines);
	ADD(stamps, s->stamp_lines);
	ADD(backends, s->backends);
	ADD(backend_ids, s->backends);
	ADD(counters, (size_t)s->cpus * s->counters);
	ADD(flows, s->flow_buckets);
	ADD(service_meta, s->services);
	ADD(backend_meta, s->counters);
#undef ADD
	return digest;
}

static void test_pure(void **state)
{
	struct lb_engine_usage before, after;
	struct lb_plan *plan;
	struct fixture f;
	__u64 digest;

	(void)state;
	fixture_init(&f);
	for (int turn = 0; turn < 3; turn++) {
		struct lb_config *config =
			POOL(&f, IPPROTO_TCP, 100, turn == 1 ? 1000 : 100, turn == 2 ? -1 : 50);

		digest = digest_tables(&f.tables);
		lb_engine_get_usage(f.engine, &before);
		assert_int_equal(fixture_plan(&f, config, &plan), 0);
		assert_int_equal(digest_tables(&f.tables), digest);
		lb_plan_free(plan);
		lb_engine_get_usage(f.engine, &after);
		assert_true(before.services == after.services && before.backends == after.backends &&
			    before.ring_lines == after.ring_lines);
		assert_int_equal(digest_tables(&f.tables), digest);
		fixture_apply(&f, config);
		assert_int_not_equal(digest_tables(&f.tables), digest);
	}
	fixture_done(&f);
}

static void test_empty(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_true(fixture_is_empty(&f, fixture_config(&f)));
	assert_false(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100)));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 50));
#define CHANGED(statement)                                                                                   \
	do {                                                                                                 \
		config = POOL(&f, IPPROTO_TCP, 100, 50);                                                     \
		statement;                                                                                   \
		assert_false(fixture_is_empty(&f, config));                                                  \
	} while (0)
	CHANGED(config->services[0].idle_timeout_s = 11);
	CHANGED(config->services[0].half_closed_timeout_s = 11);
	CHANGED(config->services[0].learning_window_s = 11);
	CHANGED(config->services[0].drain_limit_s = 11);
	CHANGED(config->services[0].echo = true);
	CHANGED(config->services[0].affinity = LB_AFFINITY_SOURCE);
	CHANGED(config->services[0].fragments = LB_FRAGMENTS_DROP);
	CHANGED(config->services[0].forward = LB_FORWARD_GUE);
	CHANGED(config->services[0].algorithm = LB_ALGORITHM_RENDEZVOUS);
	CHANGED(config->services[0].backends[1].weight = 51);
	CHANGED(config->services[0].backends[1].state = LB_STATE_DRAIN);
	CHANGED(config->services[0].gue_port = 1);
	CHANGED(config->services[0].n_backends = 1);
	CHANGED(config = fixture_config(&f));
	CHANGED(assert_int_equal(lb_prefix_parse("172.16.0.0/16", &config->tunnel_source_v4), 0));
	CHANGED(f.nexthop_salt = 1);
	f.nexthop_salt = 0;
	config = POOL(&f, IPPROTO_TCP, 100, 50);
	/* Order in the file is no change; neither is what does not reach the packets or the sweeper. */
	{
		struct lb_config_backend swap = config->services[0].backends[0];

		config->services[0].backends[0] = config->services[0].backends[1];
		config->services[0].backends[1] = swap;
		config->sweeper.cpu_permille = 99;
	}
	assert_true(fixture_is_empty(&f, config));
	fixture_done(&f);
}

static void test_order(void **state)
{
	struct lb_config *config[2];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (int i = 0; i < 2; i++) {
		config[i] = fixture_config(&f);
		fixture_service(config[i], i ? "b" : "a", i ? "192.0.2.2" : "192.0.2.1", 80);
		fixture_service(config[i], i ? "a" : "b", i ? "192.0.2.1" : "192.0.2.2", 80);
	}
	fixture_apply(&f, config[0]);
	assert_true(fixture_is_empty(&f, config[1]));
	fixture_apply(&f, config[1]);
	{
		struct lb_service_view view;

		assert_int_equal(lb_engine_services(f.engine), 2);
		assert_int_equal(lb_engine_service(f.engine, 0, &view), 0);
		assert_string_equal(view.name, "b");
		assert_ptr_equal(view.config, &config[1]->services[0]);
		assert_int_equal(lb_engine_service(f.engine, 2, &view), -ENOENT);
		assert_int_equal(lb_engine_service_by_name(f.engine, "c", &view), -ENOENT);
	}
	fixture_done(&f);
}

static const struct lb_plan_backend *effect_of(const struct lb_plan_service *service, const char *name)
{
	for (size_t i = 0; i < service->n_backends; i++) {
		if (strcmp(service->backends[i].name, name) == 0)
			return &service->backends[i];
	}
	return NULL;
}

static struct lb_plan_service effects(struct fixture *f, const struct lb_config *config,
				      struct lb_plan **plan)
{
	const struct lb_plan_service *services;

	assert_int_equal(fixture_plan(f, config, plan), 0);
	assert_int_equal(lb_plan_services(*plan, &services), 1);
	assert_string_equal(services[0].name, "web");
	return services[0];
}

static void test_drain(void **state)
{
	struct lb_plan_service service;
	const struct lb_plan_backend *backend;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	service = effects(&f, POOL(&f, IPPROTO_TCP, 100, 100), &plan);
	assert_int_equal(service.change, LB_CHANGE_ADD);
	assert_int_equal(service.slots, 64);
	assert_int_equal(service.slots_moved, 0);
	assert_false(service.breaks);
	assert_int_equal(effect_of(&service, "b0")->change, LB_CHANGE_ADD);
	lb_plan_free(plan);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));

	service = effects(&f, POOL(&f, IPPROTO_TCP, 100, 0, 100), &plan);
	assert_int_equal(service.change, LB_CHANGE_MODIFY);
	assert_in_range(service.slots_moved, 32, 63);
	assert_false(service.breaks);
	assert_null(service.why_breaks);
	assert_int_equal(service.entries_at_risk, 0);
	backend = effect_of(&service, "b1");
	assert_int_equal(backend->change, LB_CHANGE_MODIFY);
	assert_int_equal(backend->slots_before, 32);
	assert_int_equal(backend->slots_after, 0);
	assert_false(backend->flows_at_risk);
	backend = effect_of(&service, "b2");
	assert_int_equal(backend->change, LB_CHANGE_ADD);
	assert_int_equal(backend->slots_before, 0);
	assert_int_equal(backend->slots_after, 32);
	lb_plan_free(plan);

	service = effects(&f, POOL(&f, IPPROTO_TCP, 100, -1), &plan);
	assert_int_equal(effect_of(&service, "b1")->change, LB_CHANGE_REMOVE);
	assert_int_equal(effect_of(&service, "b0")->change, LB_CHANGE_NONE);
	assert_false(service.breaks);
	/* Effects stay readable after the commit, and after what they name has gone. */
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	fixture_apply(&f, fixture_config(&f));
	assert_string_equal(service.backends[0].name, "b0");
	lb_plan_free(plan);
	fixture_done(&f);
}

static void test_nexthop_only(void **state)
{
	struct lb_plan_service service;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	f.nexthop_salt = 1;
	service = effects(&f, POOL(&f, IPPROTO_TCP, 100, 100), &plan);
	assert_int_equal(service.slots_moved, 0);
	assert_false(service.breaks);
	assert_int_equal(effect_of(&service, "b1")->change, LB_CHANGE_MODIFY);
	assert_int_equal(effect_of(&service, "b1")->slots_after, 32);
	lb_plan_free(plan);
	f.unresolved = true;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	assert_int_equal(f.tables.backends[fixture_view(&f, "web").backend_first].method, LB_METHOD_NONE);
	assert_false(fixture_find_backend(&f, "b0")->nexthop.resolved);
	fixture_done(&f);
}

static void test_death(void **state)
{
	struct lb_plan_service service;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 0));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	for (__u64 i = 0; i < 5; i++)
		fixture_remember(&f, 100 + i, 0, 5, 1, LB_FLOW_ESTABLISHED);
	fixture_pass(&f, 1);
	service = effects(&f, POOL(&f, IPPROTO_TCP, 100, 1000, 100), &plan);
	assert_true(service.breaks);
	assert_string_equal(service.why_breaks, "backend b1 goes down: its connections are lost");
	assert_true(effect_of(&service, "b1")->flows_at_risk);
	assert_false(effect_of(&service, "b0")->flows_at_risk);
	if (lb_slot_cur(fixture_ring(&f, "web")[5]) != 1)
		assert_int_equal(service.entries_at_risk, 5);
	lb_plan_free(plan);
	/* Nobody is there any more: nothing to lose. */
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 1000, 100));
	fixture_pass(&f, 3);
	service = effects(&f, POOL(&f, IPPROTO_TCP, 100, -1, 100), &plan);
	assert_false(service.breaks);
	lb_plan_free(plan);
	fixture_done(&f);
}

static void test_breaks(void **state)
{
	struct lb_plan_service service;
	struct lb_config *config;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_UDP, 100, 100));
	service = effects(&f, fixture_config(&f), &plan);
	assert_int_equal(service.change, LB_CHANGE_REMOVE);
	assert_true(service.breaks);
	assert_non_null(strstr(service.why_breaks, "goes away"));
	assert_true(effect_of(&service, "b0")->flows_at_risk);
	lb_plan_free(plan);
	config = POOL(&f, IPPROTO_UDP, 100, 100);
	config->services[0].affinity = LB_AFFINITY_SOURCE;
	service = effects(&f, config, &plan);
	assert_true(service.breaks);
	assert_non_null(strstr(service.why_breaks, "affinity"));
	lb_plan_free(plan);
	config = POOL(&f, IPPROTO_UDP, 100, 50);
	config->services[0].learning_window_s = 0;
	service = effects(&f, config, &plan);
	assert_true(service.breaks);
	assert_non_null(strstr(service.why_breaks, "learning_window_s"));
	lb_plan_free(plan);
	config = POOL(&f, IPPROTO_UDP, 100, 100);
	config->services[0].ring_size = 1024;
	service = effects(&f, config, &plan);
	assert_false(service.breaks);
	lb_plan_free(plan);
	fixture_done(&f);
}

static void override(struct fixture *f, const char *backend, int weight, int state)
{
	struct lb_override *o = &f->overrides[f->n_overrides++];

	*o = (struct lb_override){ .service = "web", .has_weight = weight >= 0, .has_state = state >= 0 };
	snprintf(o->backend, sizeof(o->backend), "%s", backend);
	o->weight = (__u32)weight;
	o->state = (enum lb_state)state;
}

static void test_overrides(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 100, 100, 100);
	fixture_apply(&f, config);
	override(&f, "b2", -1, LB_STATE_DRAIN);
	override(&f, "b0", 300, -1);
	override(&f, "nobody", 1, LB_STATE_DOWN);
	assert_false(fixture_is_empty(&f, config));
	fixture_apply(&f, config);
	assert_true(fixture_is_empty(&f, config));
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100)));
	assert_int_equal(fixture_find_backend(&f, "b2")->state, LB_STATE_DRAIN);
	assert_int_equal(fixture_find_backend(&f, "b2")->slots_cur, 0);
	assert_int_equal(fixture_find_backend(&f, "b0")->weight, 300);
	assert_in_range(fixture_find_backend(&f, "b0")->slots_cur, 46, 50);
	/* The last word on one backend counts, field by field; taken back, all is as configured. */
	override(&f, "b2", -1, LB_STATE_ACTIVE);
	override(&f, "b2", 0, -1);
	fixture_apply(&f, config);
	assert_int_equal(fixture_find_backend(&f, "b2")->state, LB_STATE_ACTIVE);
	assert_int_equal(fixture_find_backend(&f, "b2")->weight, 0);
	f.n_overrides = 0;
	assert_false(fixture_is_empty(&f, config));
	fixture_apply(&f, config);
	assert_int_equal(fixture_find_backend(&f, "b0")->weight, 100);
	/* The same overrides after a restart are no change either. */
	override(&f, "b1", 7, LB_STATE_DRAIN);
	fixture_apply(&f, config);
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, config));
	fixture_done(&f);
}

/* Very many, in the worst order, with several words on the same backends: the last ones count, and it does
 * not take long. */
static void test_many_overrides(void **state)
{
	enum { N = 12000 };
	struct lb_override *overrides = calloc(N, sizeof(*overrides));
	__u32 weight[3] = { 100, 100, 100 };
	struct lb_desired desired = { .overrides = overrides, .n_overrides = N };
	struct lb_plan *plan;
	struct fixture f;
	clock_t begin;

	(void)state;
	fixture_init(&f);
	assert_non_null(overrides);
	desired.config = POOL(&f, IPPROTO_TCP, 100, 100, 100);
	for (__u32 i = 0; i < N; i++) {
		struct lb_override *override = &overrides[i];

		strcpy(override->service, "web");
		override->has_weight = true;
		override->weight = 1 + i % 200;
		if (i % 100 == 0) {
			snprintf(override->backend, sizeof(override->backend), "b%u", i / 100 % 3);
			weight[i / 100 % 3] = override->weight;
		} else {
			snprintf(override->backend, sizeof(override->backend), "nobody-%05u", N - i);
		}
	}
	strcpy(overrides[50].backend, "b1");
	overrides[50].has_state = true; /* the weight comes again later, the state does not */
	overrides[50].state = LB_STATE_DRAIN;
	begin = clock();
	assert_int_equal(lb_engine_plan(f.engine, &desired, &plan, &f.error), 0);
	assert_in_range(clock() - begin, 0, CLOCKS_PER_SEC / 2);
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	for (__u32 i = 0; i < 3; i++) {
		struct lb_service_view view = fixture_view(&f, "web");

		assert_int_equal(view.backends[i].weight, weight[i]);
		assert_int_equal(view.backends[i].state, i == 1 ? LB_STATE_DRAIN : LB_STATE_ACTIVE);
	}
	free(overrides);
	fixture_done(&f);
}

/* Drained away entirely, and back: nobody's flows move. */
static void test_all_drained(void **state)
{
	struct lb_plan_service service;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100));
	service = effects(&f, POOL(&f, IPPROTO_TCP, 0), &plan);
	assert_true(service.breaks);
	assert_non_null(strstr(service.why_breaks, "no backend is left that takes new connections"));
	assert_string_equal(service.warning,
			    "no backend is active with a weight above 0: new connections will be dropped");
	lb_plan_free(plan);
	service = effects(&f, POOL(&f, IPPROTO_TCP, 50), &plan);
	assert_null(service.warning);
	lb_plan_free(plan);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 0));
	for (int s = 0; s < 64; s++)
		assert_int_equal(fixture_ring(&f, "web")[s],
				 lb_slot_make(LB_INDEX_NONE, 0, LB_SLOT_UNSETTLED));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100));
	for (int s = 0; s < 64; s++)
		assert_int_equal(fixture_ring(&f, "web")[s], lb_slot_make(0, 0, LB_SLOT_UNSETTLED));
	fixture_pass(&f, 3);
	assert_int_equal(fixture_view(&f, "web").unsettled_slots, 0);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pure),         cmocka_unit_test(test_empty),
		cmocka_unit_test(test_order),        cmocka_unit_test(test_drain),
		cmocka_unit_test(test_nexthop_only), cmocka_unit_test(test_death),
		cmocka_unit_test(test_breaks),       cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_all_drained),  cmocka_unit_test(test_many_overrides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
