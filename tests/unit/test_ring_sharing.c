// SPDX-License-Identifier: GPL-2.0-only
/*
 * Services that share a ring: they have one, and one pool; what is said of a backend in one of them holds for
 * all; nothing of it is given away while a flow of any of them may name it; and it goes on when the one goes
 * that came first. (Agents that are killed: test_engine_adopt.c.)
 */
#include "engine_fixture.h"

/* Which services, and what b0 weighs in each; order: by letter. 'a': web 80, 'b': web 443, 'c': web 8443. */
static struct lb_config *sharing(struct fixture *f, const char *which, const char *ring)
{
	struct lb_config *config = fixture_config(f);

	for (; *which; which++) {
		__u16 port = *which == 'a' ? 80 : *which == 'b' ? 443 : 8443;
		struct lb_config_service *service =
			fixture_service(config, (char[]){ *which, '\0' }, "203.0.113.10", port);

		snprintf(service->ring, sizeof(service->ring), "%s", ring);
		service->affinity = LB_AFFINITY_SOURCE;
		for (int i = 0; i < 3; i++)
			fixture_backend(service, (char[]){ 'b', (char)('0' + i), '\0' },
					(const char *[]){ "10.0.0.1", "10.0.0.2", "10.0.0.3" }[i], 100);
	}
	return config;
}

static void say(struct fixture *f, const char *service, const char *backend, enum lb_state state)
{
	struct lb_override *override = &f->overrides[f->n_overrides++];

	*override = (struct lb_override){ .has_state = true, .state = state };
	snprintf(override->service, sizeof(override->service), "%s", service);
	snprintf(override->backend, sizeof(override->backend), "%s", backend);
}

static const struct lb_backend_view *backend_of(struct fixture *f, const char *service, const char *name)
{
	struct lb_service_view view = fixture_view(f, service);

	for (size_t i = 0; i < view.n_backends; i++) {
		if (strcmp(view.backends[i].name, name) == 0)
			return &view.backends[i];
	}
	return NULL;
}

static void assert_one_ring(struct fixture *f, const char *which)
{
	struct lb_service_view first = fixture_view(f, (char[]){ which[0], '\0' });
	struct lb_engine_usage usage;

	lb_engine_get_usage(f->engine, &usage);
	assert_int_equal(usage.ring_lines, 64 / LB_SLOTS_PER_LINE);
	assert_null(first.lead);
	for (const char *at = which; *at; at++) {
		struct lb_service_view view = fixture_view(f, (char[]){ *at, '\0' });

		assert_int_equal(view.ring_line, first.ring_line);
		assert_int_equal(view.backend_first, first.backend_first);
		assert_int_equal(view.sharers, strlen(which) - 1);
		assert_int_equal(view.n_backends, first.n_backends);
		/* Packets are told by their entries that they are counted. */
		assert_int_equal(!!(f->engine->by_id[view.id]->vip.flags & LB_VIP_SHARED), strlen(which) > 1);
		assert_true(at == which || view.id != first.id);
		if (at != which)
			assert_string_equal(view.lead, first.name);
		for (size_t i = 0; i < view.n_backends; i++)
			assert_int_equal(view.backends[i].id, first.backends[i].id);
	}
}

static void test_one_ring(void **state)
{
	struct lb_engine_usage usage;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	assert_one_ring(&f, "abc");
	lb_engine_get_usage(f.engine, &usage);
	assert_int_equal(usage.services, 3);
	assert_int_equal(usage.backends, 3);
	assert_true(fixture_is_empty(&f, sharing(&f, "abc", "pool")));
	/* Packets of each find it, and the next agent. */
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, sharing(&f, "abc", "pool")));
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	assert_one_ring(&f, "abc");
	fixture_done(&f);
}

/* The ring is made from its name: the same, whoever has it. */
static void test_made_from_its_name(void **state)
{
	__u32 slots[64];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	memcpy(slots, fixture_ring(&f, "a"), sizeof(slots));
	fixture_done(&f);
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "c", "pool"));
	assert_memory_equal(slots, fixture_ring(&f, "c"), sizeof(slots));
	/* Another name, another ring; by a planned move. */
	fixture_apply(&f, sharing(&f, "c", "other"));
	assert_true(fixture_view(&f, "c").unsettled_slots > 0);
	fixture_done(&f);
}

static void test_a_word_on_one_holds_for_all(void **state)
{
	const struct lb_plan_service *effects;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	say(&f, "b", "b0", LB_STATE_DRAIN);
	assert_int_equal(fixture_plan(&f, sharing(&f, "abc", "pool"), &plan), 0);
	assert_int_equal(lb_plan_services(plan, &effects), 3);
	assert_string_equal(effects[0].name, "a");
	assert_null(effects[0].lead);
	assert_true(effects[0].slots_moved > 0);
	assert_int_equal(effects[0].n_backends, 3);
	for (int i = 1; i < 3; i++) {
		assert_string_equal(effects[i].lead, "a");
		assert_int_equal(effects[i].change, LB_CHANGE_MODIFY);
		assert_int_equal(effects[i].slots_moved, 0);
		assert_int_equal(effects[i].n_backends, 0);
		assert_false(effects[i].breaks);
	}
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	assert_one_ring(&f, "abc");
	for (const char *at = "abc"; *at; at++)
		assert_int_equal(backend_of(&f, (char[]){ *at, '\0' }, "b0")->state, LB_STATE_DRAIN);
	/* The worst word counts; none of the others lifts it. */
	say(&f, "a", "b0", LB_STATE_DOWN);
	say(&f, "c", "b0", LB_STATE_ACTIVE);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	assert_int_equal(backend_of(&f, "c", "b0")->state, LB_STATE_DOWN);
	/* And it is lifted when nobody says it any more. */
	f.n_overrides = 0;
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	assert_int_equal(backend_of(&f, "c", "b0")->state, LB_STATE_ACTIVE);
	fixture_done(&f);
}

static void test_weights(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.overrides[0] =
		(struct lb_override){ .service = "b", .backend = "b1", .has_weight = true, .weight = 7 };
	f.overrides[1] =
		(struct lb_override){ .service = "a", .backend = "b1", .has_weight = true, .weight = 9 };
	f.n_overrides = 2;
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	assert_int_equal(backend_of(&f, "a", "b1")->weight, 7);
	f.overrides[0].weight = 300;
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	assert_int_equal(backend_of(&f, "a", "b1")->weight, 9);
	/* One that says nothing says what is configured. */
	f.overrides[1].weight = 200;
	f.n_overrides = 2;
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	assert_int_equal(backend_of(&f, "a", "b1")->weight, 100);
	fixture_done(&f);
}

/* A slot whose owner was b0 and is another one now. */
static __u32 moved_slot(struct fixture *f, const char *service, __u32 b0)
{
	__u32 *ring = fixture_ring(f, service);

	for (__u32 s = 0; s < 64; s++) {
		if (lb_slot_base(ring[s]) == b0 && lb_slot_cur(ring[s]) != b0)
			return s;
	}
	fail();
	return 0;
}

/* b0 leaves; a flow of b keeps its slot and its index, although a has none. */
static void test_flows_of_each_count(void **state)
{
	struct lb_config *config;
	struct lb_flow *flow;
	struct fixture f;
	__u32 b0, slot;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	b0 = backend_of(&f, "a", "b0")->index;
	config = sharing(&f, "ab", "pool");
	for (size_t i = 0; i < 2; i++) {
		memmove(&config->services[i].backends[0], &config->services[i].backends[1],
			2 * sizeof(struct lb_config_backend));
		config->services[i].n_backends = 2;
	}
	fixture_apply(&f, config);
	slot = moved_slot(&f, "b", b0);
	flow = fixture_remember(&f, 5, fixture_view(&f, "b").id, slot, b0, LB_FLOW_ESTABLISHED);
	for (int i = 0; i < 30; i++) {
		/* It goes on: a packet of it comes every second. */
		flow->word = lb_flow_word(b0, LB_FLOW_ESTABLISHED, slot, fixture_view(&f, "b").id,
					  f.tables.control->clock_s);
		fixture_pass(&f, 1);
	}
	assert_int_equal(fixture_view(&f, "a").unsettled_slots, 1);
	assert_int_equal(fixture_view(&f, "a").entries, 0);
	assert_int_equal(fixture_view(&f, "b").entries, 1);
	assert_non_null(backend_of(&f, "a", "b0"));
	assert_false(backend_of(&f, "a", "b0")->drained);
	/* It is silent for the idle timeout. */
	fixture_pass(&f, 16);
	assert_int_equal(fixture_view(&f, "a").unsettled_slots, 0);
	assert_null(backend_of(&f, "b", "b0"));
	fixture_done(&f);
}

/* The one that leads goes in the middle of a change: the others keep ring, slots and flows. */
static void test_the_first_goes(void **state)
{
	const struct lb_plan_service *effects;
	struct lb_service_view before;
	__u32 slots[64], n_flows = 0;
	struct lb_plan *plan;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	say(&f, "a", "b0", LB_STATE_DRAIN);
	say(&f, "c", "b0", LB_STATE_DRAIN);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	before = fixture_view(&f, "c");
	memcpy(slots, fixture_ring(&f, "c"), sizeof(slots));
	fixture_remember(&f, 3, fixture_view(&f, "a").id, moved_slot(&f, "a", 0), 0, LB_FLOW_ESTABLISHED);
	fixture_remember(&f, 9, before.id, moved_slot(&f, "a", 0), 0, LB_FLOW_ESTABLISHED);
	assert_int_equal(fixture_plan(&f, sharing(&f, "bc", "pool"), &plan), 0);
	for (size_t i = 0; i < lb_plan_services(plan, &effects); i++) {
		assert_int_equal(effects[i].breaks, strcmp(effects[i].name, "a") == 0);
		assert_int_equal(effects[i].slots_moved, 0);
		assert_int_equal(effects[i].change, LB_CHANGE_REMOVE);
	}
	assert_int_equal(lb_engine_commit(f.engine, plan, &f.error), 0);
	lb_plan_free(plan);
	assert_one_ring(&f, "bc");
	assert_int_equal(fixture_view(&f, "c").unsettled_slots, before.unsettled_slots);
	assert_memory_equal(slots, fixture_ring(&f, "c"), sizeof(slots));
	assert_int_equal(lb_engine_service_by_name(f.engine, "a", &before), -ENOENT);
	fixture_pass(&f, 3);
	for (__u32 b = 0; b < f.tables.sizes.flow_buckets; b++)
		for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++)
			n_flows += lb_flow_state(f.tables.flows[b].flow[i].word) != 0;
	assert_int_equal(n_flows, 1);
	assert_int_equal(fixture_view(&f, "c").entries, 1);
	fixture_pass(&f, 30);
	assert_int_equal(fixture_view(&f, "c").unsettled_slots, 0);
	assert_true(backend_of(&f, "b", "b0")->drained);
	/* The next agent finds it as it is. */
	assert_int_equal(fixture_restart(&f), 0);
	assert_true(fixture_is_empty(&f, sharing(&f, "bc", "pool")));
	fixture_done(&f);
}

/* Passes end with what they began with, whoever leads meanwhile: a backend is drained after two whole ones.
 */
static void test_the_lead_changes_within_a_pass(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	say(&f, "a", "b0", LB_STATE_DRAIN);
	fixture_apply(&f, sharing(&f, "abc", "pool"));
	for (unsigned int turn = 0; turn < 400 && fixture_view(&f, "a").unsettled_slots; turn++) {
		lb_engine_tick(f.engine, ++f.now_s, 1 + turn % 37);
		fixture_apply(&f, sharing(&f, turn % 3 == 0 ? "abc" : turn % 3 == 1 ? "cba" : "bca", "pool"));
	}
	assert_int_equal(fixture_view(&f, "a").unsettled_slots, 0);
	for (unsigned int turn = 0; turn < 400 && !backend_of(&f, "b", "b0")->drained; turn++) {
		lb_engine_tick(f.engine, ++f.now_s, 1 + turn % 37);
		fixture_apply(&f, sharing(&f, turn % 2 ? "abc" : "cba", "pool"));
	}
	assert_true(backend_of(&f, "c", "b0")->drained);
	fixture_done(&f);
}

static void test_a_plan_from_before_is_stale(void **state)
{
	struct lb_plan *early, *late;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	say(&f, "a", "b0", LB_STATE_DRAIN);
	assert_int_equal(fixture_plan(&f, sharing(&f, "ab", "pool"), &early), 0);
	assert_int_equal(fixture_plan(&f, sharing(&f, "ba", "pool"), &late), 0);
	assert_int_equal(lb_engine_commit(f.engine, early, &f.error), -ESTALE);
	assert_int_equal(lb_engine_commit(f.engine, late, &f.error), 0);
	lb_plan_free(early);
	lb_plan_free(late);
	assert_one_ring(&f, "ba");
	fixture_done(&f);
}

static bool breaks(struct fixture *f, const struct lb_config *config, const char *service, const char *why)
{
	const struct lb_plan_service *effects;
	struct lb_plan *plan;
	bool found = false;
	size_t n;

	assert_int_equal(fixture_plan(f, config, &plan), 0);
	n = lb_plan_services(plan, &effects);
	for (size_t i = 0; i < n; i++) {
		if (!effects[i].breaks)
			continue;
		assert_string_equal(effects[i].name, service);
		assert_non_null(strstr(effects[i].why_breaks, why));
		found = true;
	}
	lb_plan_free(plan);
	return found;
}

static void test_joining_and_leaving(void **state)
{
	struct lb_config *config;
	struct lb_engine_usage usage;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	/* Both have rings of their own; the first takes its own along into the shared one. */
	fixture_apply(&f, sharing(&f, "ab", ""));
	lb_engine_get_usage(f.engine, &usage);
	assert_int_equal(usage.ring_lines, 8);
	config = sharing(&f, "ab", "pool");
	assert_true(breaks(&f, config, "b", "takes another ring"));
	fixture_apply(&f, config);
	assert_one_ring(&f, "ab");
	assert_true(fixture_view(&f, "a").unsettled_slots > 0);
	/* One leaves it again. */
	config = sharing(&f, "ab", "pool");
	config->services[0].ring[0] = '\0';
	assert_true(breaks(&f, config, "a", "takes another ring"));
	fixture_apply(&f, config);
	assert_int_equal(fixture_view(&f, "b").sharers, 0);
	assert_int_not_equal(fixture_view(&f, "b").ring_line, fixture_view(&f, "a").ring_line);
	assert_false(f.engine->by_id[fixture_view(&f, "b").id]->vip.flags & LB_VIP_SHARED);
	/* The last one may: nobody else has it. */
	config = sharing(&f, "ab", "");
	assert_false(breaks(&f, config, "", ""));
	fixture_apply(&f, config);
	/* So may one whose ring loses all others at once. */
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	config = sharing(&f, "b", "");
	assert_true(breaks(&f, config, "a", "goes away"));
	fixture_apply(&f, config);
	lb_engine_get_usage(f.engine, &usage);
	assert_int_equal(usage.ring_lines, 4);
	assert_int_equal(fixture_view(&f, "b").sharers, 0);
	fixture_done(&f);
}

/* Two rings from one, and one from two. */
static void test_groups_change(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config = sharing(&f, "abc", "pool");
	strcpy(config->services[2].ring, "other");
	fixture_apply(&f, config);
	assert_int_equal(fixture_view(&f, "c").sharers, 0);
	config = sharing(&f, "abc", "other");
	strcpy(config->services[0].ring, "pool");
	fixture_apply(&f, config);
	assert_int_equal(fixture_view(&f, "a").sharers, 0);
	assert_string_equal(fixture_view(&f, "b").lead, "c");
	fixture_apply(&f, sharing(&f, "cab", "pool"));
	assert_one_ring(&f, "cab");
	fixture_apply(&f, fixture_config(&f));
	fixture_pass(&f, 5);
	{
		struct lb_engine_usage usage;

		lb_engine_get_usage(f.engine, &usage);
		assert_int_equal(usage.ring_lines + usage.backends + usage.services, 0);
	}
	fixture_done(&f);
}

static void test_another_ring_is_refused(void **state)
{
	struct lb_vip *bank, *b = NULL;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, sharing(&f, "ab", "pool"));
	bank = &f.tables.vips[(size_t)LB_ACTIVE_BANK(f.tables.control->active) * LB_VIP_BUCKETS];
	for (__u32 i = 0; i <= LB_ACTIVE_MASK(f.tables.control->active); i++) {
		if (bank[i].flags & LB_VIP_USED && bank[i].service == fixture_view(&f, "b").id)
			b = &bank[i];
	}
	assert_non_null(b);
	b->backend_count--;
	assert_int_equal(fixture_restart(&f), -EPROTO);
	assert_non_null(strstr(f.error.text, "not the same one"));
	b->backend_count++;
	f.tables.backend_meta[0].service = 40;
	assert_int_equal(fixture_restart(&f), -EPROTO);
	assert_non_null(strstr(f.error.text, "another service's"));
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_ring),
		cmocka_unit_test(test_made_from_its_name),
		cmocka_unit_test(test_a_word_on_one_holds_for_all),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_flows_of_each_count),
		cmocka_unit_test(test_the_first_goes),
		cmocka_unit_test(test_the_lead_changes_within_a_pass),
		cmocka_unit_test(test_a_plan_from_before_is_stale),
		cmocka_unit_test(test_joining_and_leaving),
		cmocka_unit_test(test_groups_change),
		cmocka_unit_test(test_another_ring_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
