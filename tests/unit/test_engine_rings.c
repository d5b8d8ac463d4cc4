// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings that the engine makes from the ones before, against an engine that knows the last configuration
 * alone: every balancer of a fleet has the same ring, whatever it went through.
 */
#include "engine_fixture.h"

#define BACKENDS 400
#define STEPS    40

static __u64 random_next(__u64 *state)
{
	__u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void init(struct fixture *f)
{
	struct lb_table_sizes sizes = fixture_sizes();

	sizes.counters = 4096;
	fixture_init_sizes(f, &sizes);
}

/* Weights below 0: not there; from 1000 on: drained, that much less. */
static struct lb_config *make_config(struct fixture *f, const int *weights, enum lb_algorithm algorithm)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "203.0.113.10", 80);

	service->ring_size = 8192;
	service->algorithm = algorithm;
	for (int i = 0; i < BACKENDS; i++) {
		char name[32], address[40];

		if (weights[i] < 0)
			continue;
		snprintf(name, sizeof(name), "b%d", i);
		snprintf(address, sizeof(address), "10.0.%d.%d", i / 200, i % 200 + 1);
		fixture_backend(service, name, address, (__u32)weights[i] % 1000)->state =
			weights[i] >= 1000 ? LB_STATE_DRAIN : LB_STATE_ACTIVE;
	}
	return config;
}

/* The name of the owner of a slot. */
static const char *owner_of(const struct lb_service_view *view, const __u32 *ring, __u32 slot)
{
	for (size_t i = 0; i < view->n_backends; i++) {
		if (view->backends[i].index == lb_slot_cur(ring[slot]))
			return view->backends[i].name;
	}
	return "nobody";
}

static void assert_same_rings(struct fixture *a, struct fixture *b)
{
	struct lb_service_view x = fixture_view(a, "web"), y = fixture_view(b, "web");
	const __u32 *left = a->tables.rings[x.ring_line].slot, *right = b->tables.rings[y.ring_line].slot;

	assert_int_equal(x.ring_slots, y.ring_slots);
	for (__u32 slot = 0; slot < x.ring_slots; slot++)
		assert_string_equal(owner_of(&x, left, slot), owner_of(&y, right, slot));
}

static void test_no_trace_of_history(void **state)
{
	int weights[BACKENDS];
	__u64 random = 1;
	struct fixture f;

	(void)state;
	for (int i = 0; i < BACKENDS; i++)
		weights[i] = i % 8 ? 100 + i % 3 : -1;
	init(&f);
	for (int step = 0; step < STEPS; step++) {
		/* Now and then another algorithm, and an agent that starts again. */
		enum lb_algorithm algorithm = step % 9 == 5 ? LB_ALGORITHM_RENDEZVOUS : LB_ALGORITHM_BOUNDED;
		struct fixture fresh;

		for (__u64 n = 1 + random_next(&random) % 3; n; n--) {
			static const int choices[] = { -1, 0, 50, 100, 100, 101, 102, 200, 999, 1100 };

			weights[random_next(&random) % BACKENDS] = choices[random_next(&random) % 10];
		}
		if (step % 11 == 7)
			assert_int_equal(fixture_restart(&f), 0);
		fixture_apply(&f, make_config(&f, weights, algorithm));
		init(&fresh);
		fixture_apply(&fresh, make_config(&fresh, weights, algorithm));
		assert_same_rings(&f, &fresh);
		fixture_done(&fresh);
		fixture_pass(&f, 1 + step % 30);
	}
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_trace_of_history) };

	return cmocka_run_group_tests_name("engine_rings", tests, NULL, NULL);
}
