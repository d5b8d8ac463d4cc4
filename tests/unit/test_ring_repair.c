// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring repaired after a change against the ring built from nothing: always the same, for pools and rings of
 * all kinds, and along histories of changes. Includes the source, so that no repair is too dear here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lb/types.h"

#define BUILD_COST 1000000
#include "ring/ring_repair.c"

#define BACKENDS_MAX 400

static __u64 random_next(__u64 *state)
{
	__u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Backends are numbered in the order of their ranks; a weight of 0: not in the pool. */
struct world {
	__u32 weight[BACKENDS_MAX];
	__u32 joining[BACKENDS_MAX]; /* at the next step */
	__u32 size;
	__u16 owner[LB_RING_MAX]; /* numbers */
};

static void pool_of(const __u32 *weight, __u32 size, struct ring_pool *pool, __u16 *number, __u16 *rank_of)
{
	*pool = (struct ring_pool){ .seed = 5, .size = size, .backend = pool->backend };
	for (__u32 i = 0; i < BACKENDS_MAX; i++) {
		rank_of[i] = NOBODY;
		if (!weight[i])
			continue;
		pool->backend[pool->n] = (struct ring_backend){ .id = i, .priority = i, .weight = weight[i] };
		pool->weight_sum += weight[i];
		number[pool->n] = (__u16)i;
		rank_of[i] = (__u16)pool->n++;
	}
}

static __u32 random_weight(int kind, __u64 *random)
{
	switch (kind) {
	case 0:
		return 100;
	case 1:
		return (__u32)(random_next(random) % 10 + 1) * 100;
	case 2:
		return 1 + (__u32)(random_next(random) % 65535);
	default:
		return random_next(random) % 8 ? 1 : UINT32_MAX - (__u32)(random_next(random) % 3);
	}
}

/* Another pool; never an empty one. */
static void change(__u32 *weight, __u32 most, int kind, __u64 *random)
{
	__u32 n = random_next(random) % 8 ? 1 : 1 + (__u32)(random_next(random) % 20);
	__u32 left = 0;

	for (__u32 i = 0; i < n; i++) {
		__u32 k = (__u32)(random_next(random) % most);

		weight[k] = random_next(random) % 3 ? random_weight(kind, random) : 0;
	}
	for (__u32 i = 0; i < BACKENDS_MAX; i++)
		left += weight[i] > 0;
	if (!left)
		weight[0] = random_weight(kind, random);
}

static void step(struct world *world, __u32 most, int kind, __u64 *random)
{
	static struct ring_backend backend[2][BACKENDS_MAX];
	static __u16 number[BACKENDS_MAX], rank_of[BACKENDS_MAX], right[LB_RING_MAX], rank[LB_RING_MAX];
	__u32 before_weight[BACKENDS_MAX] = {}, before_by_rank[BACKENDS_MAX];
	struct ring_before before = { .pool.backend = backend[0], .weight = before_by_rank };
	struct ring_pool pool = { .backend = backend[1] };

	memcpy(before_weight, world->weight, sizeof(before_weight));
	pool_of(before_weight, world->size, &before.pool, number, rank_of);
	change(world->weight, most, kind, random);
	for (__u32 i = 0; i < BACKENDS_MAX; i++) {
		world->weight[i] = world->joining[i] ? world->joining[i] : world->weight[i];
		world->joining[i] = 0;
	}
	pool_of(world->weight, world->size, &pool, number, rank_of);
	for (__u32 i = 0; i < pool.n; i++)
		before_by_rank[i] = before_weight[number[i]];
	for (__u32 slot = 0; slot < world->size; slot++)
		rank[slot] = before.pool.n ? rank_of[world->owner[slot]] : NOBODY;
	assert_int_equal(ring_fill_bounded(&pool, right), 0);
	assert_int_equal(ring_repair_bounded(&pool, &before, rank), 0);
	assert_memory_equal(rank, right, world->size * sizeof(*rank));
	for (__u32 slot = 0; slot < world->size; slot++)
		world->owner[slot] = number[rank[slot]];
}

static void check(__u32 size, __u32 most, int kind, int steps)
{
	static struct world world; /* at first without backends: every slot is an orphan */
	__u64 random = size * 31 + most * 7 + (__u32)kind;

	memset(&world, 0, sizeof(world));
	world.size = size;
	step(&world, most, kind, &random);
	for (__u32 i = 0; i < most; i++)
		world.joining[i] = random_next(&random) % 4 ? random_weight(kind, &random) : 0;
	for (int i = 0; i < steps; i++)
		step(&world, most, kind, &random);
}

static void test_small_rings(void **state)
{
	static const __u32 pools[] = { 1, 2, 3, 7, 20, 64, 130, 400 };

	for (int kind = 0; kind < 4; kind++) {
		for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
			for (__u32 size = 64; size <= 1024; size *= 2)
				check(size, pools[i], kind, 60);
		}
	}
}

static void test_large_rings(void **state)
{
	for (int kind = 0; kind < 4; kind++) {
		check(8192, 300, kind, 20);
		check(65536, 400, kind, 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_rings),
		cmocka_unit_test(test_large_rings),
	};

	return cmocka_run_group_tests_name("ring_repair", tests, NULL, NULL);
}
