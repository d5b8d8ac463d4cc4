// SPDX-License-Identifier: GPL-2.0-only
/*
 * Draining and leaving: when a backend is drained (never while a connection can live on it), and when it is
 * no longer waited for.
 */
#include "engine_fixture.h"

#define CLOCK(f) ((f)->tables.control->clock_s)

static struct lb_backend_view backend(struct fixture *f, const char *name)
{
	const struct lb_backend_view *view = fixture_find_backend(f, name);

	assert_non_null(view);
	return *view;
}

/* An operator's word on a backend of "web". */
static void say(struct fixture *f, const char *name, enum lb_state state)
{
	struct lb_override *override = &f->overrides[0];

	*override = (struct lb_override){ .service = "web", .has_state = true, .state = state };
	snprintf(override->backend, sizeof(override->backend), "%s", name);
	f->n_overrides = 1;
}

/* b0 and b1 share; then b1 drains. */
static struct lb_config *draining(struct fixture *f, __u8 protocol)
{
	struct lb_config *config;

	fixture_init(f);
	config = POOL(f, protocol, 100, 100);
	fixture_apply(f, config);
	fixture_pass(f, 1);
	say(f, "b1", LB_STATE_DRAIN);
	fixture_apply(f, config);
	return config;
}

static void old_flows_everywhere(struct fixture *f)
{
	for (int s = 0; s < 64; s++)
		fixture_stamps(f, "web")[s] = CLOCK(f);
}

static void drained_when_slots_and_entries_are_gone(void **state)
{
	struct lb_backend_view view;
	struct fixture f;

	(void)state;
	draining(&f, IPPROTO_TCP);
	view = backend(&f, "b1");
	assert_true(view.draining);
	assert_false(view.drained);
	assert_int_equal(view.slots_cur, 0);
	assert_in_range(view.slots_base, 20, 44);
	/* As long as old flows are seen, its slots are kept for them: for twice the idle timeout, by which
	 * those that live have entries. */
	for (int i = 0; i < 18; i++) {
		old_flows_everywhere(&f);
		fixture_pass(&f, 1);
		assert_false(backend(&f, "b1").drained);
	}
	assert_in_range(backend(&f, "b1").draining_s, 18, 19);
	fixture_pass(&f, 10 + 1);
	assert_int_equal(backend(&f, "b1").slots_base, 0);
	fixture_pass(&f, 2);
	assert_true(backend(&f, "b1").drained);
	assert_false(backend(&f, "b0").draining);
	assert_false(backend(&f, "b0").drained);
	fixture_done(&f);
}

/*
 * No slot names it, and the last complete pass met no entry of it: there is one all the same, of a connection
 * that began after that pass.
 */
static void not_drained_while_an_entry_lives(void **state)
{
	struct lb_config *config[2];
	struct lb_flow *flow;
	struct fixture f;
	__u32 slot = 0;

	(void)state;
	fixture_init(&f);
	config[0] = POOL(&f, IPPROTO_TCP, 100, 0, 0);
	config[1] = POOL(&f, IPPROTO_TCP, 0, 100, 0);
	fixture_apply(&f, config[0]);
	fixture_apply(&f, config[1]);
	fixture_pass(&f, 1);
	/* The slot is (1, 0): a handshake is remembered for b1, whose slots then go to b2: (2, 0). */
	flow = fixture_remember(&f, 1, 0, slot, 1, LB_FLOW_ESTABLISHED);
	config[0] = POOL(&f, IPPROTO_TCP, 0, 100, 100);
	say(&f, "b1", LB_STATE_DRAIN);
	fixture_apply(&f, config[0]);
	assert_int_equal(backend(&f, "b1").slots_cur + backend(&f, "b1").slots_base, 0);
	for (int i = 0; i < 30; i++) {
		flow->word = lb_flow_word(1, LB_FLOW_ESTABLISHED, slot, 0, CLOCK(&f));
		assert_false(backend(&f, "b1").drained);
		fixture_pass(&f, 1);
	}
	fixture_pass(&f, 10 + 4);
	assert_int_equal(lb_flow_state(flow->word), 0);
	assert_true(backend(&f, "b1").drained);
	fixture_done(&f);
}

static void taken_back_and_drained_again(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	config = draining(&f, IPPROTO_TCP);
	fixture_pass(&f, 20);
	assert_true(backend(&f, "b1").drained);
	say(&f, "b1", LB_STATE_ACTIVE);
	fixture_apply(&f, config);
	assert_false(backend(&f, "b1").draining);
	fixture_pass(&f, 20);
	say(&f, "b1", LB_STATE_DRAIN);
	fixture_apply(&f, config);
	assert_true(backend(&f, "b1").draining);
	assert_false(backend(&f, "b1").drained);
	assert_int_equal(backend(&f, "b1").draining_s, 0);
	/* A change of something else does not begin it anew. */
	fixture_pass(&f, 5);
	config->services[0].idle_timeout_s = 10;
	f.nexthop_salt++;
	fixture_apply(&f, config);
	assert_int_equal(backend(&f, "b1").draining_s, 5);
	fixture_done(&f);
}

/* Clients that never stop, on a backend that is no longer configured. */
static struct lb_flow *leaving_with_a_client(struct fixture *f, __u32 limit_s)
{
	struct lb_config *config[2] = { NULL };
	struct lb_flow *flow;

	fixture_init(f);
	config[0] = POOL(f, IPPROTO_UDP, 100, 100);
	config[1] = POOL(f, IPPROTO_UDP, 100);
	config[0]->services[0].drain_limit_s = config[1]->services[0].drain_limit_s = limit_s;
	fixture_apply(f, config[0]);
	fixture_pass(f, 1);
	fixture_apply(f, config[1]);
	flow = fixture_remember(f, 1, 0, 5, 1, LB_FLOW_ESTABLISHED);
	return flow;
}

static void talk(struct fixture *f, struct lb_flow *flow, unsigned int seconds)
{
	while (seconds--) {
		if (lb_flow_state(flow->word))
			flow->word = lb_flow_word(1, LB_FLOW_ESTABLISHED, 5, 0, CLOCK(f));
		fixture_pass(f, 1);
	}
}

static void let_go_after_the_limit(void **state)
{
	struct lb_flow *flow;
	struct fixture f;

	(void)state;
	flow = leaving_with_a_client(&f, 100);
	talk(&f, flow, 100);
	assert_int_equal(lb_flow_state(flow->word), LB_FLOW_ESTABLISHED);
	assert_false(backend(&f, "b1").let_go);
	talk(&f, flow, 2);
	assert_int_equal(lb_flow_state(flow->word), 0);
	talk(&f, flow, 3);
	assert_null(fixture_find_backend(&f, "b1"));
	fixture_done(&f);
}

static void let_go_by_an_operator(void **state)
{
	struct lb_flow *flow;
	struct fixture f;

	(void)state;
	flow = leaving_with_a_client(&f, 86400);
	talk(&f, flow, 200);
	assert_int_equal(lb_engine_let_go(f.engine, "web", "b0"), -ENOENT);
	assert_int_equal(lb_engine_let_go(f.engine, "none", "b1"), -ENOENT);
	assert_int_equal(lb_engine_let_go(f.engine, "web", "b1"), 0);
	assert_true(backend(&f, "b1").let_go);
	talk(&f, flow, 5);
	assert_null(fixture_find_backend(&f, "b1"));
	fixture_done(&f);
}

/* One that returns is no longer let go. */
static void let_go_and_returned(void **state)
{
	struct lb_flow *flow;
	struct fixture f;

	(void)state;
	flow = leaving_with_a_client(&f, 86400);
	assert_int_equal(lb_engine_let_go(f.engine, "web", "b1"), 0);
	fixture_apply(&f, POOL(&f, IPPROTO_UDP, 100, 100));
	talk(&f, flow, 5);
	assert_false(backend(&f, "b1").let_go);
	fixture_apply(&f, POOL(&f, IPPROTO_UDP, 100));
	assert_false(backend(&f, "b1").let_go);
	talk(&f, flow, 5);
	assert_non_null(fixture_find_backend(&f, "b1"));
	fixture_done(&f);
}

static void unreachable_while_leaving(void **state)
{
	struct lb_flow *flow;
	struct fixture f;

	(void)state;
	flow = leaving_with_a_client(&f, 86400);
	talk(&f, flow, 100);
	f.unresolved = true;
	fixture_apply(&f, POOL(&f, IPPROTO_UDP, 100));
	talk(&f, flow, LB_ENGINE_UNREACHED_S - 1);
	assert_int_equal(lb_flow_state(flow->word), LB_FLOW_ESTABLISHED);
	talk(&f, flow, 3);
	assert_int_equal(lb_flow_state(flow->word), 0);
	talk(&f, flow, 3);
	assert_null(fixture_find_backend(&f, "b1"));
	fixture_done(&f);
}

/* TCP: slots whose old flows never end move at the limit, and the backend is drained. */
static void drain_limit_of_tcp(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	config = draining(&f, IPPROTO_TCP);
	config->services[0].drain_limit_s = 15;
	for (int i = 0; i < 15; i++) {
		old_flows_everywhere(&f);
		fixture_pass(&f, 1);
	}
	assert_true(backend(&f, "b1").slots_base > 0);
	for (int i = 0; i < 4; i++) {
		old_flows_everywhere(&f);
		fixture_pass(&f, 1);
	}
	assert_int_equal(backend(&f, "b1").slots_base, 0);
	assert_true(backend(&f, "b1").drained);
	fixture_done(&f);
}

/* What ran before the agent was replaced is waited for as what is told now. */
static void draining_through_a_restart(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	config = draining(&f, IPPROTO_TCP);
	old_flows_everywhere(&f);
	fixture_pass(&f, 1);
	assert_int_equal(fixture_restart(&f), 0);
	fixture_apply(&f, config);
	assert_true(backend(&f, "b1").draining);
	assert_false(backend(&f, "b1").drained);
	fixture_pass(&f, 5);
	assert_false(backend(&f, "b1").drained);
	fixture_pass(&f, 20);
	assert_true(backend(&f, "b1").drained);
	fixture_done(&f);
}

/* QUIC connections have no entries: packets tell that some live. */
static void quic_connections_that_go_on(void **state)
{
	struct fixture f;
	__u32 id;

	(void)state;
	fixture_init(&f);
	for (int i = 0; i < 2; i++) {
		struct lb_config *config = POOL(&f, IPPROTO_UDP, 100, 100);
		struct lb_config_service *service = &config->services[0];

		service->affinity = LB_AFFINITY_QUIC;
		service->n_quic = 1;
		service->quic[0].server_id_bytes = 2;
		for (int k = 0; k < 2; k++) {
			service->backends[k].server_id_bytes = 2;
			service->backends[k].server_id[1] = (__u8)(k + 1);
		}
		service->backends[1].state = i ? LB_STATE_DRAIN : LB_STATE_ACTIVE;
		fixture_apply(&f, config);
	}
	id = backend(&f, "b1").id;
	for (int i = 0; i < 50; i++) {
		f.tables.counters[f.tables.sizes.counters + id].tx_packets++;
		fixture_pass(&f, 1);
		assert_false(backend(&f, "b1").drained);
	}
	assert_int_equal(backend(&f, "b1").slots_base, 0);
	fixture_pass(&f, 8);
	assert_false(backend(&f, "b1").drained);
	fixture_pass(&f, 8);
	assert_true(backend(&f, "b1").drained);
	fixture_done(&f);
}

static void see(void *context, const char *service, const struct lb_backend_view *view)
{
	char *text = context;

	assert_string_equal(service, "web");
	strcat(text, view->name);
	strcat(text, view->leaving ? " leaving;" : ";");
}

static void all_that_drain(void **state)
{
	char text[64] = "";
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100, 100));
	lb_engine_draining(f.engine, see, text);
	assert_string_equal(text, "");
	say(&f, "b1", LB_STATE_DRAIN);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	lb_engine_draining(f.engine, see, text);
	assert_string_equal(text, "b1;b2 leaving;");
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drained_when_slots_and_entries_are_gone),
		cmocka_unit_test(not_drained_while_an_entry_lives),
		cmocka_unit_test(taken_back_and_drained_again),
		cmocka_unit_test(let_go_after_the_limit),
		cmocka_unit_test(let_go_by_an_operator),
		cmocka_unit_test(let_go_and_returned),
		cmocka_unit_test(unreachable_while_leaving),
		cmocka_unit_test(drain_limit_of_tcp),
		cmocka_unit_test(draining_through_a_restart),
		cmocka_unit_test(quic_connections_that_go_on),
		cmocka_unit_test(all_that_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
