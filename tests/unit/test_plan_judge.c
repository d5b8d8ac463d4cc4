// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a plan says that somebody must want, and by what it is known again: a row for every way in which
 * connections break although no backend dies, and for its neighbour that breaks nothing.
 */
#include "engine_fixture.h"

/* A QUIC service of two backends; layouts and server ids are the caller's to change. */
static struct lb_config *quic_config(struct fixture *f)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "192.0.2.1", 443);

	service->protocol = IPPROTO_UDP;
	service->affinity = LB_AFFINITY_QUIC;
	service->n_quic = 1;
	service->quic[0] = (struct lb_config_quic){ .rotation = 1, .server_id_bytes = 2 };
	for (int i = 0; i < 2; i++) {
		struct lb_config_backend *backend =
			fixture_backend(service, i ? "b1" : "b0", i ? "10.0.0.2" : "10.0.0.1", 100);

		backend->server_id_bytes = 2;
		backend->server_id[0] = (__u8)(i + 1);
	}
	return config;
}

static struct lb_plan_service judged(struct fixture *f, const struct lb_config *config, struct lb_plan **plan)
{
	const struct lb_plan_service *services;

	assert_int_equal(fixture_plan(f, config, plan), 0);
	assert_int_equal(lb_plan_services(*plan, &services), 1);
	return services[0];
}

/* why: NULL: breaks nothing. */
static void expect(struct fixture *f, const struct lb_config *config, const char *why)
{
	struct lb_plan *plan;
	struct lb_plan_service service = judged(f, config, &plan);

	if (why && (!service.why_breaks || !strstr(service.why_breaks, why)))
		fail_msg("\"%s\" is not said, but \"%s\"", why, service.why_breaks ? service.why_breaks : "");
	if (!why && service.breaks)
		fail_msg("it does not break, but \"%s\" is said", service.why_breaks);
	lb_plan_free(plan);
}

static void what_connection_ids_mean(void **state)
{
	struct lb_config *config;
	struct fixture f;

	fixture_init(&f);
	fixture_apply(&f, quic_config(&f));
	config = quic_config(&f);
	config->services[0].quic[0].rotation = 2;
	expect(&f, config, "QUIC connection IDs mean");
	config = quic_config(&f);
	config->services[0].quic[0].server_id_bytes = 3;
	config->services[0].backends[0].server_id_bytes = config->services[0].backends[1].server_id_bytes = 3;
	expect(&f, config, "QUIC connection IDs mean");
	config = quic_config(&f);
	config->services[0].n_quic = 0;
	expect(&f, config, "QUIC connection IDs mean");
	config = quic_config(&f);
	config->services[0].backends[1].server_id[0] = 9;
	expect(&f, config, "server_id of backend b1");
	/* How a layout is rotated: the new one comes beside the old. */
	config = quic_config(&f);
	config->services[0].n_quic = 2;
	config->services[0].quic[1] = (struct lb_config_quic){ .rotation = 5, .server_id_bytes = 2 };
	expect(&f, config, NULL);
	fixture_done(&f);
}

static void the_first_layout_is_another_meaning(void **state)
{
	struct lb_config *config;
	struct fixture f;

	fixture_init(&f);
	config = quic_config(&f);
	config->services[0].n_quic = 0;
	for (int i = 0; i < 2; i++)
		config->services[0].backends[i].server_id_bytes =
			config->services[0].backends[i].server_id[0] = 0;
	fixture_apply(&f, config);
	expect(&f, quic_config(&f), "QUIC connection IDs mean");
	fixture_done(&f);
}

static void nobody_is_left(void **state)
{
	struct lb_config *config;
	struct fixture f;

	fixture_init(&f);
	fixture_apply(&f, quic_config(&f));
	config = quic_config(&f);
	config->services[0].n_backends = 0;
	expect(&f, config, "no backend is left that takes new connections");
	config = quic_config(&f);
	config->services[0].backends[0].state = config->services[0].backends[1].state = LB_STATE_DRAIN;
	expect(&f, config, "no backend is left that takes new connections");
	/* It is said once: whoever has wanted it is not asked again. */
	fixture_apply(&f, config);
	config = quic_config(&f);
	config->services[0].backends[0].state = config->services[0].backends[1].state = LB_STATE_DRAIN;
	config->services[0].idle_timeout_s++;
	expect(&f, config, NULL);
	fixture_done(&f);
}

static void a_way_that_is_lost(void **state)
{
	struct lb_config *config;
	struct fixture f;

	fixture_init(&f);
	fixture_apply(&f, quic_config(&f));
	f.unresolved = true;
	config = quic_config(&f);
	config->services[0].idle_timeout_s++;
	expect(&f, config, "backend b0 cannot be reached any more");
	fixture_done(&f);
}

/* Also where the caller promises that no next hop has changed: what is made of it has. */
static void a_way_that_is_none_for_l2(void **state)
{
	struct lb_config *config;
	struct fixture f;

	fixture_init(&f);
	f.routed = true;
	fixture_apply(&f, quic_config(&f));
	config = quic_config(&f);
	config->services[0].forward = LB_FORWARD_L2;
	expect(&f, config, "backend b0 cannot be reached any more");
	f.same_nexthops = true;
	expect(&f, config, "backend b0 cannot be reached any more");
	fixture_done(&f);
}

static void a_backend_without_slot(void **state)
{
	struct lb_plan_service service;
	struct lb_config *config;
	struct lb_plan *plan;
	struct fixture f;

	fixture_init(&f);
	config = quic_config(&f);
	config->services[0].backends[0].weight = 65535;
	config->services[0].backends[1].weight = 1;
	service = judged(&f, config, &plan);
	assert_false(service.breaks);
	assert_non_null(service.warning);
	assert_non_null(strstr(service.warning, "1 of 2 backends with a weight get no slot of"));
	assert_non_null(strstr(service.warning, "b1"));
	lb_plan_free(plan);
	config->services[0].backends[1].weight = 65535;
	service = judged(&f, config, &plan);
	assert_null(service.warning);
	lb_plan_free(plan);
	fixture_done(&f);
}

static void silence_has_a_limit_where_slots_move(void **state)
{
	struct lb_plan_service service;
	struct lb_config *config;
	struct lb_plan *plan;
	struct fixture f;

	fixture_init(&f);
	fixture_apply(&f, quic_config(&f));
	config = quic_config(&f);
	config->services[0].idle_timeout_s = 77;
	service = judged(&f, config, &plan);
	assert_int_equal(service.idle_timeout_s, 0);
	lb_plan_free(plan);
	config->services[0].backends[0].weight = 1;
	service = judged(&f, config, &plan);
	assert_true(service.slots_moved > 0);
	assert_int_equal(service.idle_timeout_s, 77);
	lb_plan_free(plan);
	fixture_done(&f);
}

static __u64 identity(struct fixture *f, const struct lb_config *config)
{
	struct lb_plan *plan;
	__u64 id;

	assert_int_equal(fixture_plan(f, config, &plan), 0);
	id = lb_plan_identity(plan);
	lb_plan_free(plan);
	return id;
}

static void a_plan_is_known_again(void **state)
{
	struct lb_config *config, *other;
	struct fixture f;
	__u64 id;

	fixture_init(&f);
	fixture_apply(&f, quic_config(&f));
	config = quic_config(&f);
	config->services[0].backends[0].weight = 1;
	other = quic_config(&f);
	other->services[0].backends[0].weight = 2;
	id = identity(&f, config);
	assert_true(identity(&f, config) == id);
	assert_false(identity(&f, other) == id);
	/* Next hops belong to what was approved, and so does what ran. */
	f.nexthop_salt = 1;
	assert_false(identity(&f, config) == id);
	f.nexthop_salt = 0;
	assert_true(identity(&f, config) == id);
	fixture_apply(&f, other);
	assert_false(identity(&f, config) == id);
	fixture_done(&f);
}

static void what_no_table_holds_is_a_generation_too(void **state)
{
	struct lb_config *config;
	struct lb_desired desired = {};
	struct lb_plan *plan;
	struct fixture f;
	__u64 before;

	fixture_init(&f);
	fixture_apply(&f, quic_config(&f));
	config = quic_config(&f);
	before = lb_engine_generation(f.engine);
	desired.config = config;
	desired.differs = true;
	desired.nexthops = &f.nexthops;
	assert_int_equal(lb_engine_plan(f.engine, &desired, &plan, &f.error), 0);
	assert_false(lb_plan_is_empty(plan));
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	assert_int_equal(lb_engine_generation(f.engine), before + 1);
	assert_true(fixture_is_empty(&f, config));
	fixture_done(&f);
}

static struct lb_config *ranges_config(struct fixture *f, const char *first, const char *second)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "192.0.2.1", 443);

	fixture_backend(service, "b0", "10.0.0.1", 100);
	if (first)
		fixture_range(service, first);
	if (second)
		fixture_range(service, second);
	return config;
}

static void fewer_sources_are_let_in(void **state)
{
	static const char why[] = "source_ranges let in less than before";
	struct fixture f;

	fixture_init(&f);
	fixture_apply(&f, ranges_config(&f, NULL, NULL));
	expect(&f, ranges_config(&f, "10.0.0.0/8", NULL), why);
	fixture_apply(&f, ranges_config(&f, "10.0.0.0/8", "192.0.2.0/24"));
	expect(&f, ranges_config(&f, "10.0.0.0/8", NULL), why);
	expect(&f, ranges_config(&f, "10.0.0.0/8", "192.0.2.0/25"), why);
	expect(&f, ranges_config(&f, "192.0.0.0/16", "10.0.0.0/7"), NULL);
	expect(&f, ranges_config(&f, "192.0.2.0/24", "0.0.0.0/0"), NULL);
	expect(&f, ranges_config(&f, NULL, NULL), NULL);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_connection_ids_mean),
		cmocka_unit_test(the_first_layout_is_another_meaning),
		cmocka_unit_test(nobody_is_left),
		cmocka_unit_test(a_way_that_is_lost),
		cmocka_unit_test(a_way_that_is_none_for_l2),
		cmocka_unit_test(a_backend_without_slot),
		cmocka_unit_test(silence_has_a_limit_where_slots_move),
		cmocka_unit_test(fewer_sources_are_let_in),
		cmocka_unit_test(a_plan_is_known_again),
		cmocka_unit_test(what_no_table_holds_is_a_generation_too),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan_judge", tests, NULL, NULL);
}
