// SPDX-License-Identifier: GPL-2.0-only
/*
 * Histories of changes through the builders' own door (ring.h): every ring is made with the one before it at
 * hand, in any order of members, and must be the ring that is made from nothing. With the costs as they are,
 * so that repairs, builds from nothing and unchanged pools take turns.
 * SEED and STEPS in the environment: other and longer ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lb/types.h"
#include "ring/ring.h"

#define BACKENDS_MAX 1200

static __u64 random_next(__u64 *state)
{
	__u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static __u32 random_below(__u64 *random, __u32 limit)
{
	return (__u32)(random_next(random) % limit);
}

struct pool {
	struct lb_ring_member members[BACKENDS_MAX];
	size_t n;
	__u32 owner[LB_RING_MAX];
};

static __u32 random_weight(int kind, __u64 *random)
{
	switch (kind) {
	case 0:
		return 100;
	case 1:
		return (random_below(random, 10) + 1) * 100;
	case 2:
		return 1 + random_below(random, 65535);
	default:
		return random_below(random, 8) ? 1 : 65535;
	}
}

static size_t find(const struct pool *pool, __u64 id)
{
	size_t i = 0;

	while (i < pool->n && pool->members[i].id != id)
		i++;
	return i;
}

/* Some come, some go, some get another weight, all at once; sizes keep near to `usual`. */
static void change(struct pool *pool, __u32 usual, int kind, __u64 *random)
{
	static const __u32 counts[] = { 0, 1, 1, 1, 2, 3, 10, 60 };
	__u32 n = counts[random_below(random, 8)];

	for (; n; n--) {
		__u64 id = random_below(random, usual + usual / 8 + 2) * 0x9e3779b97f4a7c15ull;
		size_t i = find(pool, id);

		if (i == pool->n && pool->n < BACKENDS_MAX)
			pool->members[pool->n++] = (struct lb_ring_member){ id, random_weight(kind, random) };
		else if (i < pool->n && random_below(random, 3))
			pool->members[i].weight = random_weight(kind, random);
		else if (i < pool->n)
			pool->members[i] = pool->members[--pool->n];
	}
	if (!random_below(random, 60))
		pool->n = random_below(random, (__u32)pool->n + 1);
	if (!random_below(random, 40))
		for (size_t i = 0; i < pool->n; i++)
			pool->members[i].weight = random_weight(kind, random);
	for (__u32 i = 0; i < usual && pool->n < usual && random_below(random, 40); i++) {
		__u64 id = i * 0x9e3779b97f4a7c15ull;

		if (find(pool, id) == pool->n)
			pool->members[pool->n++] = (struct lb_ring_member){ id, random_weight(kind, random) };
	}
	/* Another order. */
	for (size_t i = pool->n; i > 1 && random_below(random, 2); i--) {
		size_t k = random_below(random, (__u32)i);
		struct lb_ring_member swap = pool->members[k];

		pool->members[k] = pool->members[i - 1];
		pool->members[i - 1] = swap;
	}
}

static void run(enum lb_algorithm algorithm, __u32 size, __u32 usual, int kind, int steps, __u64 random)
{
	const struct lb_ring_builder *builder = lb_ring_builder_get(algorithm);
	struct pool *now = calloc(1, sizeof(*now)), *then = calloc(1, sizeof(*then));
	__u32 *right = calloc(size, sizeof(*right));

	assert_non_null(now);
	assert_non_null(then);
	assert_non_null(right);
	for (__u32 i = 0; i < usual; i++)
		then->members[then->n++] =
			(struct lb_ring_member){ i * 0x9e3779b97f4a7c15ull, random_weight(kind, &random) };
	assert_int_equal(builder->build(3, then->members, then->n, size, NULL, then->owner), 0);
	for (int step = 0; step < steps; step++) {
		struct lb_ring_previous previous = { then->members, then->n, then->owner };
		struct pool *swap;

		memcpy(now->members, then->members, sizeof(now->members));
		now->n = then->n;
		change(now, usual, kind, &random);
		assert_int_equal(builder->build(3, now->members, now->n, size, &previous, now->owner), 0);
		assert_int_equal(builder->build(3, now->members, now->n, size, NULL, right), 0);
		assert_memory_equal(now->owner, right, size * sizeof(*right));
		swap = now;
		now = then;
		then = swap;
	}
	free(now);
	free(then);
	free(right);
}

static void test_bounded(void **state)
{
	static const __u32 pools[] = { 255, 256, 257, 300, 1000 };
	__u64 seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 1;
	int steps = getenv("STEPS") ? atoi(getenv("STEPS")) : 16;

	(void)state;
	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		for (int kind = 0; kind < 4; kind++) {
			for (__u32 size = 64; size <= 4096; size *= 4)
				run(LB_ALGORITHM_BOUNDED, size, pools[i], kind, steps, seed++);
			run(LB_ALGORITHM_BOUNDED, 65536, pools[i], kind, steps / 8, seed++);
		}
	}
}

static void test_others(void **state)
{
	(void)state;
	for (int algorithm = LB_ALGORITHM_MAGLEV; algorithm <= LB_ALGORITHM_BOUNDED; algorithm++) {
		run(algorithm, 1024, 3, 1, 60, 1);
		run(algorithm, 1024, 256, 2, 20, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("ring_history", tests, NULL, NULL);
}
