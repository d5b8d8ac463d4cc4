// SPDX-License-Identifier: GPL-2.0-only
/*
 * The race behind `rendezvous` and `bounded` against the plainest form of it: all arrivals of all runners,
 * sorted, and handed out in order. Laps, the sort and the heap of the last slots must make no difference.
 * Includes the source, because what it compares is internal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "config/config.h"
#include "ring/ring_race.c"

struct plain_arrival {
	__u64 time;
	__u32 rank, slot;
};

static int compare_plain(const void *left, const void *right)
{
	const struct plain_arrival *a = left, *b = right;

	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

static __u32 plain_slot_at(const struct runner *runner, __u32 k, __u32 size)
{
	return slots_at(runner, k & ~7u, (__u16)(size - 1), half_of(size))[k & 7];
}

static __u64 *plain_clock(__u32 size)
{
	__u64 *clock = malloc((size + 1) * sizeof(*clock));

	assert_non_null(clock);
	clock[0] = 0;
	for (__u32 k = 1; k <= size; k++)
		clock[k] = clock[k - 1] + (1ull << TIME_BITS) / (size - k + 1);
	return clock;
}

static void plain_fill(const struct ring_pool *pool, bool bounded, __u16 *rank)
{
	__u64 *clock = plain_clock(pool->size), slack = slack_of(pool);
	size_t n = (size_t)pool->n * pool->size, left = pool->size;
	struct plain_arrival *arrival = malloc(n * sizeof(*arrival));
	__u32 *capacity = calloc(pool->n, sizeof(*capacity));

	assert_non_null(arrival);
	assert_non_null(capacity);
	for (__u32 i = 0; i < pool->n; i++) {
		struct runner runner = runner_make(pool, i, 0);

		capacity[i] = bounded ? capacity_of(pool, slack, pool->backend[i].weight) : pool->size;
		for (__u32 k = 0; k < pool->size; k++)
			arrival[(size_t)i * pool->size + k] = (struct plain_arrival){
				time_at(clock, &runner, k),
				i,
				plain_slot_at(&runner, k, pool->size),
			};
	}
	qsort(arrival, n, sizeof(*arrival), compare_plain);
	memset(rank, 0xff, pool->size * sizeof(*rank));
	for (size_t i = 0; i < n && left; i++) {
		if (rank[arrival[i].slot] != NOBODY || !capacity[arrival[i].rank])
			continue;
		rank[arrival[i].slot] = (__u16)arrival[i].rank;
		capacity[arrival[i].rank]--;
		left--;
	}
	assert_int_equal(left, 0);
	free(arrival);
	free(capacity);
	free(clock);
}

static void check(__u32 size, __u32 n, __u64 seed, const __u32 *weights, size_t n_weights)
{
	struct ring_pool pool = { .seed = seed, .size = size, .n = n };
	__u16 *plain = malloc(size * sizeof(*plain)), *rank = malloc(size * sizeof(*rank));

	pool.backend = calloc(n, sizeof(*pool.backend));
	assert_non_null(pool.backend);
	assert_non_null(plain);
	assert_non_null(rank);
	for (__u32 i = 0; i < n; i++) {
		pool.backend[i].id = ring_hash(seed, i, 99);
		pool.backend[i].weight = weights[i % n_weights];
		pool.weight_sum += pool.backend[i].weight;
	}
	for (int bounded = 0; bounded <= 1; bounded++) {
		plain_fill(&pool, bounded, plain);
		assert_int_equal(fill(&pool, bounded, rank), 0);
		assert_memory_equal(plain, rank, size * sizeof(*rank));
	}
	free(pool.backend);
	free(plain);
	free(rank);
}

static void test_same_as_plain(void **state)
{
	static const __u32 equal[] = { 100 },
			   skewed[] = { 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000 },
			   steep[] = { 1, 65535, 1, 1, 255, 3 },
			   huge[] = { UINT32_MAX, 1, UINT32_MAX - 1, 1u << 31 };
	static const __u32 pools[] = { 1, 2, 3, 7, 20, 100, 300 };

	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		for (__u32 size = 64; size <= 2048; size *= 2) {
			check(size, pools[i], size, equal, 1);
			check(size, pools[i], size, skewed, 10);
			check(size, pools[i], size, steep, 6);
			check(size, pools[i], size, huge, 4);
		}
	}
	check(65536, 8, 1, skewed, 10);
	check(64, 5000, 1, steep, 6);
}

static void test_permutations(void **state)
{
	for (__u32 size = 64; size <= 65536; size *= 2) {
		struct ring_backend backend = { .id = size, .weight = 1 };
		struct ring_pool pool = { .seed = 3, .size = size, .n = 1, .backend = &backend };
		struct runner runner = runner_make(&pool, 0, size);
		int half = half_of(size);

		for (__u32 k = 0; k < size; k++) {
			__u32 slot = plain_slot_at(&runner, k, size);

			assert_true(slot < size);
			assert_int_equal(steps_to(&runner, slot, size - 1, half), k);
		}
	}
}

/* Whatever the weights, the capacities hold the ring, and none is more than the slack or a slot too large. */
static void test_capacities(void **state)
{
	for (__u32 n = 1; n <= 2000; n = n * 3 / 2 + 1) {
		for (__u32 size = 64; size <= 65536; size *= 4) {
			struct ring_pool pool = { .size = size, .n = n };
			__u64 sum = 0, slack = slack_of(&pool);

			for (__u32 i = 0; i < n; i++)
				pool.weight_sum += 1 + i * i % 997;
			for (__u32 i = 0; i < n; i++) {
				__u32 weight = 1 + i * i % 997, capacity = capacity_of(&pool, slack, weight);
				double share = (double)size * weight / pool.weight_sum;

				assert_true(capacity >= share);
				assert_true(capacity < share + 1 || capacity <= share * 1.05);
				sum += capacity;
			}
			assert_true(sum >= size);
		}
	}
}

/* Small pools in rings of the size that they get: 2 %. Large ones: more, steadily, and never above 4.7 %. */
static void test_slack(void **state)
{
	__u64 last = 0;

	for (__u32 n = 1; n <= 128; n++) {
		struct ring_pool pool = { .size = lb_config_ring_size(n), .n = n };

		assert_true(slack_of(&pool) <= SLACK_USUAL);
	}
	for (__u32 n = 1; n <= LB_BACKENDS_PER_SERVICE_MAX; n++) {
		struct ring_pool pool = { .size = 65536, .n = n };
		__u64 slack = slack_of(&pool);

		assert_true(slack >= last && slack <= SLACK_MAX);
		/* One backend more changes nobody's capacity by much. */
		assert_true(n < 100 || slack - last <= SLACK_USUAL / 50);
		last = slack;
	}
	assert_int_equal(last, SLACK_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permutations),
		cmocka_unit_test(test_capacities),
		cmocka_unit_test(test_slack),
		cmocka_unit_test(test_same_as_plain),
	};

	return cmocka_run_group_tests_name("ring_race", tests, NULL, NULL);
}
