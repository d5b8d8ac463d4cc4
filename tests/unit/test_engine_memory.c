// SPDX-License-Identifier: GPL-2.0-only
/*
 * Out of memory: every allocation of a plan and of what prepares its commit fails once, and nothing has
 * changed; the commit itself then needs none. The linker puts the allocators below in the place of the
 * library's.
 */
#include "engine_fixture.h"

static unsigned int allocations, fail_at; /* 0: none fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
	return ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

static void add_service(struct lb_config *config, const char *name, const char *vip, __u8 protocol, __u32 n)
{
	struct lb_config_service *service = fixture_service(config, name, vip, 80);

	service->protocol = protocol;
	for (__u32 i = 0; i < n; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.%u.%u", protocol, i + 1);
		fixture_backend(service, text, text, 100);
	}
}

/* Plans, prepares and commits while one allocation after the other fails. */
static void apply_hard(struct fixture *f, const struct lb_config *config, bool empty)
{
	__u64 generation = lb_engine_generation(f->engine);
	struct lb_engine_usage before, after;
	struct lb_plan *plan;
	unsigned int failed = 0;
	int r = -ENOMEM;

	lb_engine_get_usage(f->engine, &before);
	while (r < 0) {
		allocations = 0;
		fail_at = ++failed;
		r = fixture_plan(f, config, &plan);
		fail_at = 0;
		assert_true(r == 0 || r == -ENOMEM);
		lb_engine_get_usage(f->engine, &after);
		assert_true(r == 0 ||
			    (before.services == after.services && before.backends == after.backends &&
			     before.ring_lines == after.ring_lines));
	}
	assert_true(failed > 2);
	assert_int_equal(lb_plan_is_empty(plan), empty);
	for (r = -ENOMEM, failed = 0; r < 0;) {
		allocations = 0;
		fail_at = ++failed;
		r = lb_engine_prepare(f->engine, plan, &f->error);
		fail_at = 0;
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(lb_engine_generation(f->engine), generation);
	}
	assert_true(failed > 1);
	allocations = 0;
	f->grace_result = -EINTR; /* nor does it wait */
	assert_int_equal(lb_engine_commit(f->engine, plan, &f->error), 0);
	f->grace_result = 0;
	assert_int_equal(allocations, 0);
	assert_int_equal(lb_engine_generation(f->engine), generation + !empty);
	assert_int_equal(lb_engine_prepare(f->engine, plan, &f->error), -ESTALE);
	lb_plan_free(plan);
	assert_true(fixture_is_empty(f, config));
}

static struct lb_config *config_of(struct fixture *f, __u32 n_tcp, __u32 n_udp, bool other)
{
	struct lb_config *config = fixture_config(f);

	add_service(config, "web", "203.0.113.10", IPPROTO_TCP, n_tcp);
	if (n_udp)
		add_service(config, "dns", "203.0.113.11", IPPROTO_UDP, n_udp);
	if (other)
		add_service(config, "other", "203.0.113.12", IPPROTO_TCP, 2);
	return config;
}

static void test_out_of_memory(void **state)
{
	struct lb_config *config;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	apply_hard(&f, config_of(&f, 3, 3, true), false);
	apply_hard(&f, config_of(&f, 4, 2, true), false);  /* slots become unsettled, and learn */
	apply_hard(&f, config_of(&f, 4, 0, true), false);  /* a service goes */
	apply_hard(&f, config_of(&f, 2, 3, false), false); /* and comes; another goes */
	config = config_of(&f, 2, 3, false);
	config->services[0].idle_timeout_s = 99;
	apply_hard(&f, config, false); /* what packets do not see */
	config = config_of(&f, 2, 3, false);
	config->services[0].idle_timeout_s = 99;
	apply_hard(&f, config, true);
	/* Every bank has been used: the next one needs a grace period, which is waited for beforehand. */
	for (__u32 i = 0; i < 20; i++)
		apply_hard(&f, config_of(&f, 2 + i % 2, 3, false), false);
	assert_true(f.graces > 0);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("engine_memory", tests, NULL, NULL);
}
