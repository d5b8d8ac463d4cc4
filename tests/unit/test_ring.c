// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ring builders through their public interface: the same ring on every machine (golden checksums), whatever
 * the order of the members or the history; balance and movement within what docs/rings.md promises; limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ring/ring.h"

#define ALGORITHMS 4

struct pool {
	struct lb_ring_member *member;
	size_t n;
};

enum weights { EQUAL, SKEWED };

/* Room for one more than n. */
static struct pool pool_make(size_t n, enum weights weights)
{
	struct pool pool = { calloc(n + 1, sizeof(*pool.member)), n };

	assert_non_null(pool.member);
	for (size_t i = 0; i <= n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "backend-%zu", i);
		pool.member[i].id = lb_ring_member_id(name);
		pool.member[i].weight = weights == SKEWED ? (__u32)(i % 10 + 1) * 100 : 100;
	}
	return pool;
}

static struct pool pool_copy(const struct pool *pool)
{
	struct pool copy = { calloc(pool->n + 1, sizeof(*copy.member)), pool->n };

	assert_non_null(copy.member);
	memcpy(copy.member, pool->member, (pool->n + 1) * sizeof(*copy.member));
	return copy;
}

static __u32 *build(int algorithm, __u64 seed, const struct pool *pool, __u32 size,
		    const struct lb_ring_previous *previous)
{
	__u32 *owner = malloc(size * sizeof(*owner));

	assert_non_null(owner);
	memset(owner, 0xee, size * sizeof(*owner));
	assert_int_equal(
		lb_ring_builder_get(algorithm)->build(seed, pool->member, pool->n, size, previous, owner), 0);
	for (__u32 slot = 0; slot < size; slot++)
		assert_true(pool->n ? owner[slot] < pool->n : owner[slot] == LB_RING_NONE);
	return owner;
}

static size_t *count(const __u32 *owner, __u32 size, size_t n)
{
	size_t *slots = calloc(n, sizeof(*slots));

	assert_non_null(slots);
	for (__u32 slot = 0; slot < size; slot++)
		slots[owner[slot]]++;
	return slots;
}

static __u64 random_next(__u64 *state)
{
	__u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void shuffle(struct pool *pool, __u64 *state)
{
	for (size_t i = pool->n; i > 1; i--) {
		size_t j = random_next(state) % i;
		struct lb_ring_member member = pool->member[i - 1];

		pool->member[i - 1] = pool->member[j];
		pool->member[j] = member;
	}
}

static __u64 checksum(int algorithm, size_t n, enum weights weights, __u32 size)
{
	struct pool pool = pool_make(n, weights);
	__u32 *owner = build(algorithm, lb_ring_seed("fleet", "web"), &pool, size, NULL);
	__u64 sum;

	for (__u32 slot = 0; slot < size; slot++)
		owner[slot] = htole32(owner[slot]);
	sum = XXH64(owner, size * sizeof(*owner), 0);
	free(owner);
	free(pool.member);
	return sum;
}

/*
 * A difference here means that balancers of a fleet in mid-upgrade, or on another architecture, disagree
 * about every service. Never update these numbers without a plan for that.
 */
static void test_golden(void **state)
{
	static const __u64 golden[ALGORITHMS][3] = {
		[LB_ALGORITHM_MAGLEV] = { 0xb7414901a348ec5ull, 0x2652ac0d65a2d604ull,
					  0x3f6cc54f6b8696ebull },
		[LB_ALGORITHM_RING] = { 0x6b14e81194a8688bull, 0x8c71036fb8b1c10ull, 0x81637239de3e82dcull },
		[LB_ALGORITHM_RENDEZVOUS] = { 0xe4329f586face41eull, 0xf74e73ba936de488ull,
					      0xa5ebb08938a82087ull },
		[LB_ALGORITHM_BOUNDED] = { 0x704b0153d090073eull, 0xbd4b13b8f4c26256ull,
					   0xf02d05637178b79ull },
	};

	assert_true(lb_ring_member_id("web-1") == 0x9b194191c55fce52ull);
	assert_true(lb_ring_seed("fleet", "web") == 0x6eaaaba85a0ff1bdull);
	for (int a = 0; a < ALGORITHMS; a++) {
		assert_true(checksum(a, 3, EQUAL, 64) == golden[a][0]);
		assert_true(checksum(a, 20, SKEWED, 8192) == golden[a][1]);
		assert_true(checksum(a, 100, SKEWED, 65536) == golden[a][2]);
	}
}

static void test_names_and_seeds(void **state)
{
	static const char *const names[ALGORITHMS] = { "maglev", "ring", "rendezvous", "bounded" };
	struct pool pool = pool_make(10, EQUAL);

	for (int a = 0; a < ALGORITHMS; a++) {
		__u32 *one = build(a, lb_ring_seed("fleet", "one"), &pool, 4096, NULL);
		__u32 *two = build(a, lb_ring_seed("fleet", "two"), &pool, 4096, NULL);

		assert_string_equal(lb_ring_builder_get(a)->name, names[a]);
		assert_memory_not_equal(one, two, 4096 * sizeof(*one));
		free(one);
		free(two);
	}
	assert_null(lb_ring_builder_get(ALGORITHMS));
	assert_null(lb_ring_builder_get((enum lb_algorithm) - 1));
	assert_true(lb_ring_member_id("a") != lb_ring_member_id("b"));
	assert_true(lb_ring_seed("a", "x") != lb_ring_seed("b", "x"));
	assert_true(lb_ring_seed("a", "x") != lb_ring_seed("x", "a"));
	free(pool.member);
}

static void test_order_does_not_matter(void **state)
{
	struct pool pool = pool_make(50, SKEWED), mixed = pool_copy(&pool);
	__u64 random = 1;

	for (int a = 0; a < ALGORITHMS; a++) {
		__u32 *owner = build(a, 7, &pool, 4096, NULL), *other;

		shuffle(&mixed, &random);
		other = build(a, 7, &mixed, 4096, NULL);
		for (__u32 slot = 0; slot < 4096; slot++)
			assert_true(pool.member[owner[slot]].id == mixed.member[other[slot]].id);
		free(owner);
		free(other);
	}
	free(pool.member);
	free(mixed.member);
}

/* Highest load over the mean at 65536 slots, and lowest. */
static void check_balance(int algorithm, size_t n, enum weights weights, double most, double least)
{
	struct pool pool = pool_make(n, weights);
	__u32 *owner = build(algorithm, 7, &pool, 65536, NULL);
	size_t *slots = count(owner, 65536, n);
	double sum = 0, highest = lb_ring_max_over_mean(owner, 65536, pool.member, n);

	if (highest > most)
		print_message("# algorithm %d, %zu backends, max/mean %.4f\n", algorithm, n, highest);
	assert_true(highest <= most);
	for (size_t i = 0; i < n; i++)
		sum += pool.member[i].weight;
	for (size_t i = 0; i < n; i++)
		assert_true((double)slots[i] * sum / (65536.0 * pool.member[i].weight) >= least);
	free(slots);
	free(owner);
	free(pool.member);
}

static void test_weights_are_respected(void **state)
{
	for (int weights = EQUAL; weights <= SKEWED; weights++) {
		check_balance(LB_ALGORITHM_MAGLEV, 100, weights, 1.01, 0.99);
		check_balance(LB_ALGORITHM_RING, 100, weights, 1.6, 0.5);
		check_balance(LB_ALGORITHM_RENDEZVOUS, 100, weights, 1.25, 0.8);
		check_balance(LB_ALGORITHM_BOUNDED, 10, weights, 1.0063, 0.97);
		check_balance(LB_ALGORITHM_BOUNDED, 100, weights, 1.02, 0.8);
		check_balance(LB_ALGORITHM_BOUNDED, 1000, weights, 1.05, 0.4);
	}
}

enum change { ADD, REMOVE, HALVE };

/* One change to backend k. Returns slots moved over the least that must move. */
static double moved_over_least(int algorithm, __u64 seed, const struct pool *before, enum change change,
			       size_t k)
{
	struct pool after = pool_copy(before);
	double sum_before = 0, sum_after = 0, least = 0;
	__u32 *old, *new, moved = 0;

	if (change == ADD)
		after.n++;
	else if (change == HALVE)
		after.member[k].weight /= 2;
	else
		after.member[k] = after.member[--after.n];
	for (size_t i = 0; i < before->n; i++)
		sum_before += before->member[i].weight;
	for (size_t i = 0; i < after.n; i++)
		sum_after += after.member[i].weight;
	if (change == ADD)
		least = after.member[before->n].weight / sum_after;
	else
		least = before->member[k].weight / sum_before -
			(change == HALVE ? after.member[k].weight / sum_after : 0);

	old = build(algorithm, seed, before, 65536, NULL);
	new = build(algorithm, seed, &after, 65536, NULL);
	for (__u32 slot = 0; slot < 65536; slot++)
		moved += before->member[old[slot]].id != after.member[new[slot]].id;
	free(old);
	free(new);
	free(after.member);
	return moved / (65536 * least);
}

/* The mean over some changes; a single one scatters. */
static void check_movement(int algorithm, size_t n, enum weights weights, double most)
{
	struct pool pool = pool_make(n, weights);

	for (int change = ADD; change <= HALVE; change++) {
		double sum = 0;

		for (int trial = 0; trial < 6; trial++) {
			size_t k = (size_t)trial * 17 % n;

			pool.member[n].weight = pool.member[k].weight;
			sum += moved_over_least(algorithm, (__u64)trial, &pool, change, k);
		}
		if (sum / 6 > most)
			print_message("# algorithm %d, %zu backends, change %d: %.3f\n", algorithm, n, change,
				      sum / 6);
		assert_true(sum / 6 <= most);
	}
	free(pool.member);
}

static void test_changes_move_little(void **state)
{
	for (int weights = EQUAL; weights <= SKEWED; weights++) {
		check_movement(LB_ALGORITHM_RING, 100, weights, 1.15);
		check_movement(LB_ALGORITHM_RENDEZVOUS, 100, weights, 1.06);
		check_movement(LB_ALGORITHM_BOUNDED, 10, weights, 1.05);
		check_movement(LB_ALGORITHM_BOUNDED, 100, weights, 1.25);
		check_movement(LB_ALGORITHM_BOUNDED, 1000, weights, 1.6);
	}
}

/* Rendezvous moves nothing that it need not: a slot changes hands only from or to the changed backend. */
static void test_rendezvous_is_minimal(void **state)
{
	struct pool before = pool_make(30, SKEWED), after = pool_copy(&before);
	__u64 gone = before.member[4].id;
	__u32 *old, *new;

	after.member[4] = after.member[--after.n];
	for (int a = LB_ALGORITHM_RING; a <= LB_ALGORITHM_RENDEZVOUS; a++) {
		old = build(a, 7, &before, 8192, NULL);
		new = build(a, 7, &after, 8192, NULL);
		for (__u32 slot = 0; slot < 8192; slot++) {
			__u64 owner = before.member[old[slot]].id;

			assert_true(owner == gone || owner == after.member[new[slot]].id);
		}
		free(old);
		free(new);
	}
	free(before.member);
	free(after.member);
}

/* Random histories: with what an earlier build left behind, the result is the same as without. */
static void check_history(int algorithm, __u32 size, __u64 random)
{
	struct pool all = pool_make(60, SKEWED), pool = { calloc(61, sizeof(*pool.member)), 0 };
	struct pool before = pool_make(60, EQUAL);
	struct lb_ring_previous previous = { .members = before.member };
	__u32 *last = NULL;

	assert_non_null(pool.member);
	for (int step = 0; step < 40; step++) {
		__u32 *fresh, *reused;

		switch (random_next(&random) % 5) {
		case 0: /* nothing, in another order */
			shuffle(&pool, &random);
			break;
		case 1:
			shuffle(&pool, &random);
			if (pool.n)
				pool.n--;
			break;
		case 2:
			if (pool.n)
				pool.member[random_next(&random) % pool.n].weight =
					1 + (__u32)(random_next(&random) % 65535);
			break;
		default:
			for (size_t i = 0; i < 60; i++) {
				size_t j = 0;

				while (j < pool.n && pool.member[j].id != all.member[i].id)
					j++;
				if (j == pool.n) {
					pool.member[pool.n++] = all.member[i];
					break;
				}
			}
		}
		fresh = build(algorithm, 7, &pool, size, NULL);
		reused = build(algorithm, 7, &pool, size, last ? &previous : NULL);
		assert_memory_equal(fresh, reused, size * sizeof(*fresh));
		free(fresh);
		free(last);
		last = reused;
		memcpy(before.member, pool.member, pool.n * sizeof(*pool.member));
		previous.n_members = pool.n;
		previous.owner = last;
	}
	free(last);
	free(before.member);
	free(all.member);
	free(pool.member);
}

static void test_what_is_known_changes_nothing(void **state)
{
	for (int a = 0; a < ALGORITHMS; a++) {
		for (__u64 seed = 1; seed <= 5; seed++) /* 128 to 32768 slots */
			check_history(a, 32u << 2 * seed, seed);
	}
}

static void test_few_members(void **state)
{
	for (int a = 0; a < ALGORITHMS; a++) {
		for (__u32 size = LB_RING_MIN; size <= LB_RING_MAX; size *= 2) {
			for (size_t n = 0; n <= 3; n++) {
				struct pool pool = pool_make(n, EQUAL);
				__u32 *owner = build(a, size, &pool, size, NULL);
				struct lb_ring_previous previous = { pool.member, n, owner };

				free(build(a, size, &pool, size, &previous));
				if (!n)
					assert_true(lb_ring_max_over_mean(owner, size, pool.member, 0) ==
						    0.0);
				free(owner);
				free(pool.member);
			}
		}
	}
}

static void test_more_members_than_slots(void **state)
{
	for (int a = 0; a < ALGORITHMS; a++) {
		struct pool pool = pool_make(LB_BACKENDS_PER_SERVICE_MAX, EQUAL);
		__u32 *owner = build(a, 7, &pool, LB_RING_MIN, NULL);
		size_t *slots = count(owner, LB_RING_MIN, pool.n);

		for (size_t i = 0; i < pool.n; i++)
			assert_true(slots[i] <= 1 || a == LB_ALGORITHM_RING || a == LB_ALGORITHM_RENDEZVOUS);
		free(slots);
		free(owner);

		/* The heavy ones come first. */
		for (size_t i = 0; i < pool.n; i++)
			pool.member[i].weight = i < 64 ? 65535 : 1;
		owner = build(a, 7, &pool, LB_RING_MIN, NULL);
		slots = count(owner, LB_RING_MIN, pool.n);
		if (a == LB_ALGORITHM_MAGLEV)
			for (size_t i = 0; i < 64; i++)
				assert_int_equal(slots[i], 1);
		free(slots);
		free(owner);
		free(pool.member);
	}
}

static void test_extreme_weights(void **state)
{
	for (int a = 0; a < ALGORITHMS; a++) {
		struct pool pool = pool_make(2, EQUAL);
		__u32 *owner;
		size_t *slots;

		pool.member[0].weight = 65535;
		pool.member[1].weight = 1;
		owner = build(a, 7, &pool, 65536, NULL);
		slots = count(owner, 65536, 2);
		assert_true(slots[0] >= (a == LB_ALGORITHM_RING ? 64000 : 65530));
		free(slots);
		free(owner);

		pool.member[0].weight = UINT32_MAX;
		free(build(a, 7, &pool, 65536, NULL));
		pool.member[1].weight = UINT32_MAX;
		owner = build(a, 7, &pool, 65536, NULL);
		slots = count(owner, 65536, 2);
		assert_true(slots[0] > 20000 && slots[1] > 20000);
		free(slots);
		free(owner);
		free(pool.member);
	}
}

static void test_refusals(void **state)
{
	static const __u32 sizes[] = { 0, 1, 32, 63, 100, 65535, 131072, 1u << 31 };
	struct pool pool = pool_make(LB_BACKENDS_PER_SERVICE_MAX, EQUAL);
	__u32 owner[64] = { 42 };

	for (int a = 0; a < ALGORITHMS; a++) {
		const struct lb_ring_builder *builder = lb_ring_builder_get(a);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			assert_int_equal(builder->build(7, pool.member, 3, sizes[i], NULL, owner), -EINVAL);
		assert_int_equal(builder->build(7, pool.member, pool.n + 1, 64, NULL, owner), -EINVAL);
		pool.member[2].weight = 0;
		assert_int_equal(builder->build(7, pool.member, 3, 64, NULL, owner), -EINVAL);
		pool.member[2] = pool.member[0];
		assert_int_equal(builder->build(7, pool.member, 3, 64, NULL, owner), -EINVAL);
		pool.member[2] = pool.member[3];
		assert_int_equal(owner[0], 42);
	}
	free(pool.member);
}

static void test_max_over_mean(void **state)
{
	const struct lb_ring_member member[] = { { 1, 100 }, { 2, 300 } };
	__u32 owner[64];

	for (__u32 slot = 0; slot < 64; slot++)
		owner[slot] = slot >= 16;
	assert_true(lb_ring_max_over_mean(owner, 64, member, 2) == 1.0);
	for (__u32 slot = 0; slot < 64; slot++)
		owner[slot] = slot >= 32;
	assert_true(lb_ring_max_over_mean(owner, 64, member, 2) == 2.0);
	owner[0] = LB_RING_NONE;
	assert_true(lb_ring_max_over_mean(owner, 64, member, 2) < 2.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_names_and_seeds),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_weights_are_respected),
		cmocka_unit_test(test_changes_move_little),
		cmocka_unit_test(test_rendezvous_is_minimal),
		cmocka_unit_test(test_what_is_known_changes_nothing),
		cmocka_unit_test(test_few_members),
		cmocka_unit_test(test_more_members_than_slots),
		cmocka_unit_test(test_extreme_weights),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_max_over_mean),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
