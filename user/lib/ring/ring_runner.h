/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One runner of the race (ring_race.c): its permutation of the slots, when it gets where, how many slots it
 * may have. Shared with ring_repair.c, which must come to the same result.
 */
#pragma once

#include "ring/ring_internal.h"

#define NOBODY UINT16_MAX

/* Fixed point of time: the expected arrival of one clock of weight 1 is 2^56; the last of 2^16 is < 2^60. */
#define TIME_BITS 56

/* Slack of `bounded`, see capacity_of(). Fractions of 2^20. */
#define SLACK_BITS  20
#define SLACK_MAX   ((3u << SLACK_BITS) / 64)
#define SLACK_USUAL ((5u << SLACK_BITS) / 256)

struct runner {
	__u64 pace;     /* 2^64 / weight */
	__u64 phase;    /* where between two ticks this runner arrives, fraction of 2^64 */
	__u32 position; /* steps done */
	__u32 capacity; /* slots it may still take */
	/* The permutation. */
	__u16 start, shift_by;
	__u16 factor[3];  /* odd */
	__u16 inverse[3]; /* of factor, modulo 2^16 */
	__u16 rank;
};

static inline int half_of(__u32 size)
{
	return (__builtin_ctz(size) + 1) / 2;
}

/* Steps are taken eight at a time. */
#define STRIDE 8
typedef __u16 slots_t __attribute__((vector_size(STRIDE * sizeof(__u16))));

/* The slots of steps k to k + 7 of a runner's permutation. Each line is a bijection of 0..mask. */
static inline slots_t slots_at(const struct runner *runner, __u32 k, __u16 mask, int half)
{
	slots_t slots = (slots_t){ 0, 1, 2, 3, 4, 5, 6, 7 } + (__u16)k;

	slots = ((slots ^ runner->start) * runner->factor[0]) & mask;
	slots ^= slots >> half;
	slots = (slots * runner->factor[1] + runner->shift_by) & mask;
	slots ^= slots >> half;
	slots = (slots * runner->factor[2]) & mask;
	return slots ^ slots >> half;
}

/* The slot of one step. */
static inline __u32 slot_at(const struct runner *runner, __u32 k, __u32 mask, int half)
{
	__u32 slot = ((k ^ runner->start) * runner->factor[0]) & mask;

	slot ^= slot >> half;
	slot = (slot * runner->factor[1] + runner->shift_by) & mask;
	slot ^= slot >> half;
	slot = (slot * runner->factor[2]) & mask;
	return slot ^ slot >> half;
}

/* The step at which a runner gets to a slot. x ^ x >> half undoes itself: half is half of the bits or more.
 */
static inline __u32 steps_to(const struct runner *runner, __u32 slot, __u32 mask, int half)
{
	slot ^= slot >> half;
	slot = (slot * runner->inverse[2]) & mask;
	slot ^= slot >> half;
	slot = ((slot - runner->shift_by) * runner->inverse[1]) & mask;
	slot ^= slot >> half;
	return ((slot * runner->inverse[0]) & mask) ^ runner->start;
}

/* When the runner gets to its k-th slot. Needs clock[k + 1]. */
static inline __u64 time_at(const __u64 *clock, const struct runner *runner, __u32 k)
{
	return ring_scale(clock[k] + ring_scale(clock[k + 1] - clock[k], runner->phase), runner->pace);
}

/* Newton: every round doubles the number of right bits; x is its own inverse in the lowest three. */
static inline __u16 odd_inverse(__u16 odd)
{
	__u32 x = odd;

	for (int i = 0; i < 3; i++)
		x *= 2 - odd * x;
	return (__u16)x;
}

static inline struct runner runner_make(const struct ring_pool *pool, __u32 rank, __u32 capacity)
{
	const struct ring_backend *backend = &pool->backend[rank];
	__u64 a = ring_hash(pool->seed, backend->id, RING_STREAM_RACE);
	__u64 b = ring_hash(pool->seed, backend->id, RING_STREAM_RACE + 1);
	__u64 c = ring_hash(pool->seed, backend->id, RING_STREAM_RACE + 2);

	struct runner runner = {
		.pace = UINT64_MAX / backend->weight,
		.phase = a,
		.capacity = capacity,
		.start = (__u16)b & (pool->size - 1),
		.shift_by = (__u16)(b >> 32),
		.factor = { (__u16)c | 1, (__u16)(c >> 32) | 1, (__u16)(b >> 16) | 1 },
		.rank = (__u16)rank,
	};

	for (int i = 0; i < 3; i++)
		runner.inverse[i] = odd_inverse(runner.factor[i]);
	return runner;
}

static inline __u64 square_root(__u64 value)
{
	__u64 root = 0;

	for (__u64 bit = 1ull << 31; bit; bit >>= 1) {
		if ((root + bit) * (root + bit) <= value)
			root += bit;
	}
	return root;
}

/*
 * Slack, as fraction of 2^SLACK_BITS: half the relative scatter of a random placement, 0.5 * sqrt(n / size),
 * but at most 2 % while size >= 2 n^2, and beyond, where little slack would make much move, in proportion to
 * n / sqrt(size) up to 4.7 % (docs/rings.md).
 */
static inline __u64 slack_of(const struct ring_pool *pool)
{
	__u64 n = pool->n; /* < 2^14: nothing overflows */
	__u64 scatter = square_root((n << (2 * SLACK_BITS)) / pool->size) / 2;
	/* 1 where size is 2 n^2 */
	__u64 crowding = square_root((2 * n * n << (2 * SLACK_BITS - 8)) / pool->size) << 4;
	__u64 most = crowding * SLACK_USUAL >> SLACK_BITS;

	most = most > SLACK_USUAL ? most : SLACK_USUAL;
	most = most < SLACK_MAX ? most : SLACK_MAX;
	return scatter < most ? scatter : most;
}

/* At most slots for a backend: its share and the slack, or its share rounded up, so that the sum suffices. */
static inline __u32 capacity_of(const struct ring_pool *pool, __u64 slack, __u32 weight)
{
	unsigned __int128 total = (unsigned __int128)pool->size * weight;
	__u64 least = (__u64)((total + pool->weight_sum - 1) / pool->weight_sum);
	__u64 most = (__u64)(((total * ((1ull << SLACK_BITS) + slack)) / pool->weight_sum) >> SLACK_BITS);
	__u64 capacity = most > least ? most : least;

	return capacity < pool->size ? (__u32)capacity : pool->size;
}
