// SPDX-License-Identifier: GPL-2.0-only
/*
 * Suspicion by clients' handshakes, second by second in virtual time: who is suspected, how soon, who is
 * ejected, and that nobody is by what an attacker can forge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "health/passive.h"

#define SECOND   1000000000ull
#define BACKENDS 20

struct pool {
	size_t n;
	struct lb_passive passive[BACKENDS];
	struct lb_passive *all[BACKENDS];
	struct lb_passive_counts counts[BACKENDS];
	struct lb_passive_config config;
	__u64 now_s;
};

static struct pool *pool_new(size_t n, bool eject)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	assert_non_null(pool);
	pool->n = n;
	pool->now_s = 1000;
	pool->config = (struct lb_passive_config){
		.eject = eject, .min_backends = 5, .min_samples = 100, .hold_ms = 30000
	};
	for (size_t i = 0; i < n; i++)
		pool->all[i] = &pool->passive[i];
	return pool;
}

/* A second in which each backend gets so many handshakes, all of them well. */
static void fill(struct pool *pool, __u32 each)
{
	for (size_t i = 0; i < pool->n; i++)
		pool->counts[i] = (struct lb_passive_counts){ .started = each, .completed = each };
}

/* What a backend that drops everything looks like, since so many seconds: SYNs come again after 1 s. */
static void drops(struct pool *pool, size_t backend, __u32 each, unsigned int since_s)
{
	pool->counts[backend] = (struct lb_passive_counts){ .started = each, .retried = since_s ? each : 0 };
}

static bool judge(struct pool *pool)
{
	pool->now_s++;
	return lb_passive_judge(&pool->config, pool->all, pool->counts, pool->n, pool->now_s * SECOND);
}

static size_t how_many(const struct pool *pool, enum lb_passive_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < pool->n; i++)
		n += pool->passive[i].state == state;
	return n;
}

/* The row of the figures: 1 of 20 drops everything, 100 connections a second in all. */
static void a_backend_that_drops_everything_is_suspected_within_three_seconds(void **state)
{
	struct pool *pool = pool_new(20, false);
	char text[LB_PASSIVE_TEXT_MAX];
	unsigned int s = 0;

	for (int i = 0; i < 10; i++) {
		fill(pool, 5);
		assert_false(judge(pool));
	}
	while (pool->passive[7].state == LB_PASSIVE_FINE) {
		fill(pool, 5);
		drops(pool, 7, 5, s);
		judge(pool);
		assert_true(++s <= 3);
	}
	assert_int_equal(how_many(pool, LB_PASSIVE_SUSPECT), 1);
	assert_int_equal(how_many(pool, LB_PASSIVE_EJECTED), 0);
	assert_non_null(strstr(lb_passive_text(&pool->passive[7], text), "0 % at its siblings"));
	/* Not asked for: however long it lasts, it is not ejected. */
	for (int i = 0; i < 100; i++) {
		fill(pool, 5);
		drops(pool, 7, 5, 5);
		assert_false(judge(pool));
	}
	assert_int_equal(how_many(pool, LB_PASSIVE_EJECTED), 0);
	free(pool);
}

static void what_all_have_in_common_is_nobodys_failure(void **state)
{
	struct pool *pool = pool_new(10, true);

	/* A flood of SYNs that nobody goes on from, twenty to one, repeated. */
	for (int s = 0; s < 60; s++) {
		for (size_t i = 0; i < pool->n; i++)
			pool->counts[i] = (struct lb_passive_counts){ .started = 105 + (__u32)(i * 3),
								      .completed = 5,
								      .retried = 100 + (__u32)(i * 2) };
		assert_false(judge(pool));
	}
	/* All backends silent: the network's, or the checker's own: others judge that. */
	for (int s = 0; s < 60; s++) {
		for (size_t i = 0; i < pool->n; i++)
			drops(pool, i, 20, 5);
		assert_false(judge(pool));
	}
	assert_int_equal(how_many(pool, LB_PASSIVE_FINE), 10);
	free(pool);
}

static void few_samples_and_slow_clients_say_nothing(void **state)
{
	struct pool *pool = pool_new(10, true);

	for (int s = 0; s < 30; s++) { /* 2 in a second are 6 in the window */
		fill(pool, 5);
		drops(pool, 3, 2, 5);
		assert_false(judge(pool));
	}
	free(pool);
	pool = pool_new(10, true);
	for (int s = 0; s < 30; s++) { /* unanswered as yet, but nobody tries again */
		fill(pool, 5);
		pool->counts[3] = (struct lb_passive_counts){ .started = 5 };
		assert_false(judge(pool));
	}
	free(pool);
	pool = pool_new(10, true);
	for (int s = 0; s < 30; s++) { /* a third lost on the way to everybody, one backend somewhat worse */
		for (size_t i = 0; i < pool->n; i++)
			pool->counts[i] =
				(struct lb_passive_counts){ .started = 30, .completed = 20, .retried = 10 };
		pool->counts[3].completed = 12;
		assert_false(judge(pool));
	}
	free(pool);
}

static void nobody_is_suspected_without_siblings(void **state)
{
	struct pool *pool = pool_new(1, true);

	for (int s = 0; s < 30; s++) {
		drops(pool, 0, 50, 5);
		assert_false(judge(pool));
	}
	free(pool);
}

static void two_siblings_of_which_one_fails_are_told_apart(void **state)
{
	struct pool *pool = pool_new(2, true);

	for (int s = 0; s < 30; s++) {
		fill(pool, 50);
		drops(pool, 1, 50, 5);
		judge(pool);
	}
	assert_int_equal(pool->passive[1].state, LB_PASSIVE_SUSPECT); /* too few for an ejection */
	assert_int_equal(pool->passive[0].state, LB_PASSIVE_FINE);
	free(pool);
}

static void a_dead_backend_is_ejected_where_asked_and_after_a_hundred_samples(void **state)
{
	struct pool *pool = pool_new(5, true);
	int s = 0;

	while (pool->passive[2].state != LB_PASSIVE_EJECTED) {
		fill(pool, 20);
		drops(pool, 2, 20, s);
		judge(pool);
		assert_true(++s <= 5);
	}
	assert_int_equal(s, 5); /* 100 of 20 a second */
	assert_int_equal(how_many(pool, LB_PASSIVE_EJECTED), 1);
	free(pool);

	pool = pool_new(4, true); /* one too few */
	for (s = 0; s < 60; s++) {
		fill(pool, 20);
		drops(pool, 2, 20, s);
		judge(pool);
	}
	assert_int_equal(how_many(pool, LB_PASSIVE_EJECTED), 0);
	free(pool);
}

/* Whoever knows which flows are a backend's can add handshakes that come to nothing, send each SYN again and
 * again, and complete handshakes with all others in plenty: as long as clients complete any with it, it
 * stays. */
static void forged_syns_eject_nobody(void **state)
{
	struct pool *pool = pool_new(10, true);

	for (int s = 0; s < 3600; s++) {
		fill(pool, 2000);
		pool->counts[4] =
			(struct lb_passive_counts){ .started = 5000, .retried = 4995, .completed = 5 };
		judge(pool);
		assert_int_equal(how_many(pool, LB_PASSIVE_EJECTED), 0);
	}
	assert_int_equal(pool->passive[4].state, LB_PASSIVE_SUSPECT); /* checks are all that follows */
	/* Without a single SYN of a client's own nothing is lost by it, and repeated SYNs of few flows are
	 * few flows. */
	for (int s = 0; s < 60; s++) {
		fill(pool, 20);
		pool->counts[5] = (struct lb_passive_counts){ .started = 1, .retried = 1, .completed = 1 };
		judge(pool);
		assert_int_equal(pool->passive[5].state, LB_PASSIVE_FINE);
	}
	free(pool);
}

/* A client of its own every third second, and a thousand forged handshakes in each, sent again. */
static void nor_one_with_few_clients(void **state)
{
	struct pool *pool = pool_new(10, true);

	for (int s = 0; s < 600; s++) {
		fill(pool, 20);
		pool->counts[4] = (struct lb_passive_counts){ .started = 1000,
							      .retried = 1000,
							      .completed = s % 3 == 0 };
		judge(pool);
		assert_int_equal(how_many(pool, LB_PASSIVE_EJECTED), 0);
	}
	assert_int_equal(pool->passive[4].state, LB_PASSIVE_SUSPECT);
	free(pool);
}

static void a_completed_handshake_clears_an_ejection(void **state)
{
	struct pool *pool = pool_new(5, true);

	for (int s = 0; s < 10; s++) {
		fill(pool, 20);
		drops(pool, 2, 20, s);
		judge(pool);
	}
	assert_int_equal(pool->passive[2].state, LB_PASSIVE_EJECTED);
	fill(pool, 20);
	assert_true(judge(pool));
	assert_int_not_equal(pool->passive[2].state, LB_PASSIVE_EJECTED);
	for (int s = 0; s < 3; s++) {
		fill(pool, 20);
		judge(pool);
	}
	assert_int_equal(pool->passive[2].state, LB_PASSIVE_FINE);
	free(pool);
}

/* It gets no new flows once it is out: nothing is seen of it any more. */
static void a_suspicion_ends_by_itself_without_evidence(void **state)
{
	struct pool *pool = pool_new(5, true);
	struct lb_passive *passive = &pool->passive[2];
	__u64 last_s;

	for (int s = 0; s < 10; s++) {
		fill(pool, 20);
		drops(pool, 2, 20, s);
		judge(pool);
	}
	assert_int_equal(passive->state, LB_PASSIVE_EJECTED);
	last_s = pool->now_s;
	assert_false(lb_passive_tick(&pool->config, passive, (last_s + 29) * SECOND));
	assert_true(lb_passive_tick(&pool->config, passive, (last_s + 30) * SECOND));
	assert_int_equal(passive->state, LB_PASSIVE_FINE);
	assert_int_equal(passive->unanswered, 0);
	/* Back with no better luck: a hundred more. */
	pool->now_s = last_s + 30;
	for (int s = 0; s < 4; s++) {
		fill(pool, 20);
		drops(pool, 2, 20, 5);
		judge(pool);
		assert_int_not_equal(passive->state, LB_PASSIVE_EJECTED);
	}
	free(pool);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backend_that_drops_everything_is_suspected_within_three_seconds),
		cmocka_unit_test(what_all_have_in_common_is_nobodys_failure),
		cmocka_unit_test(few_samples_and_slow_clients_say_nothing),
		cmocka_unit_test(nobody_is_suspected_without_siblings),
		cmocka_unit_test(two_siblings_of_which_one_fails_are_told_apart),
		cmocka_unit_test(a_dead_backend_is_ejected_where_asked_and_after_a_hundred_samples),
		cmocka_unit_test(forged_syns_eject_nobody),
		cmocka_unit_test(nor_one_with_few_clients),
		cmocka_unit_test(a_completed_handshake_clears_an_ejection),
		cmocka_unit_test(a_suspicion_ends_by_itself_without_evidence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
