/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `rendezvous` and `bounded`: a race. Every backend walks its own permutation of the slots at a speed
 * proportional to its weight, and owns the slots it reaches first; with `bounded` it leaves the race when it
 * has its fill. The arrival time is the score of the pair: both sides prefer the earliest, so greedy in
 * order of time is the one stable matching, whatever the order or the history.
 *
 * Time is stretched so that arrivals are spread like those of independent exponential clocks, which is what
 * makes shares proportional to weights (weighted rendezvous hashing, -ln(u) / weight), but the k-th arrival
 * of every backend comes when the k-th of R such clocks is expected to ring. That takes half of the variance
 * out of the loads, and costs a walk of about 12 R steps in all, not one score for each backend and slot.
 */
#include "ring_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT16_MAX

/* Fixed point of time: the expected arrival of one clock of weight 1 is 2^56; the last of 2^16 is < 2^60. */
#define TIME_BITS 56

/* Slack of `bounded`, see capacity_of(). Fractions of 2^20. */
#define SLACK_BITS 20
#define SLACK_MAX  ((1u << SLACK_BITS) / 20)

struct runner {
	__u64 pace;     /* 2^64 / weight */
	__u64 phase;    /* where between two ticks this runner arrives, fraction of 2^64 */
	__u32 position; /* steps done */
	__u32 capacity; /* slots it may still take */
	__u32 start, shift_by;
	__u32 factor[3]; /* odd */
	__u16 rank;
};

struct arrival {
	__u64 time;
	__u16 slot;
	__u16 rank;
	__u32 runner; /* in race.runner */
};

struct race {
	const struct ring_pool *pool;
	__u16 *rank;           /* owners, NOBODY while free */
	__u32 left;            /* free slots */
	struct runner *runner; /* still running, by rank */
	__u32 n_runners;
	__u64 *clock; /* clock[k]: expected time of the k-th of size clocks, clock[0] = 0 */
	__u32 n_clock;
	struct arrival *arrival, *sorted;
	size_t n_arrivals, arrivals_max;
	__u32 bucket[(1u << 12) + 1];
};

/* The k-th slot of a runner's permutation: each step is a bijection of size slots. */
static inline __u32 slot_at(const struct runner *runner, __u32 k, __u32 mask, int half)
{
	__u32 slot = ((k ^ runner->start) * runner->factor[0]) & mask;

	slot ^= slot >> half;
	slot = (slot * runner->factor[1] + runner->shift_by) & mask;
	slot ^= slot >> half;
	slot = (slot * runner->factor[2]) & mask;
	return slot ^ slot >> half;
}

/* When the runner gets to its k-th slot. Needs clock[k + 1]. */
static inline __u64 time_at(const struct race *race, const struct runner *runner, __u32 k)
{
	__u64 tick = race->clock[k + 1] - race->clock[k];

	return ring_scale(race->clock[k] + ring_scale(tick, runner->phase), runner->pace);
}

/* Rényi: the gaps between the order statistics of m exponential clocks are 1/m, 1/(m-1), ..., 1. */
static inline void wind_clock(struct race *race, __u32 k)
{
	while (race->n_clock <= k) {
		__u64 gap = (1ull << TIME_BITS) / (race->pool->size - race->n_clock + 1);

		race->clock[race->n_clock] = race->clock[race->n_clock - 1] + gap;
		race->n_clock++;
	}
}

static struct runner runner_make(const struct ring_pool *pool, __u32 rank, __u32 capacity)
{
	const struct ring_backend *backend = &pool->backend[rank];
	__u64 a = ring_hash(pool->seed, backend->id, RING_STREAM_RACE);
	__u64 b = ring_hash(pool->seed, backend->id, RING_STREAM_RACE + 1);
	__u64 c = ring_hash(pool->seed, backend->id, RING_STREAM_RACE + 2);

	return (struct runner){
		.pace = UINT64_MAX / backend->weight,
		.phase = a,
		.capacity = capacity,
		.start = (__u32)b & (pool->size - 1),
		.shift_by = (__u32)(b >> 32),
		.factor = { (__u32)c | 1, (__u32)(c >> 32) | 1, (__u32)(b >> 16) | 1 },
		.rank = (__u16)rank,
	};
}

/* Collects, by rank, who reaches a slot that is still free before the limit. */
static int collect(struct race *race, __u64 limit)
{
	__u32 size = race->pool->size, mask = size - 1;
	int half = __builtin_ctz(size) / 2;

	race->n_arrivals = 0;
	for (__u32 i = 0; i < race->n_runners; i++) {
		struct runner *runner = &race->runner[i];

		for (; runner->position < size; runner->position++) {
			__u64 time;
			__u32 slot;

			wind_clock(race, runner->position + 1);
			time = time_at(race, runner, runner->position);
			if (time >= limit)
				break;
			slot = slot_at(runner, runner->position, mask, half);
			if (race->rank[slot] != NOBODY)
				continue;
			if (race->n_arrivals == race->arrivals_max) {
				size_t max = race->arrivals_max * 2;
				struct arrival *grown = realloc(race->arrival, max * sizeof(*grown));

				if (!grown)
					return -ENOMEM;
				race->arrival = grown;
				grown = realloc(race->sorted, max * sizeof(*grown));
				if (!grown)
					return -ENOMEM;
				race->sorted = grown;
				race->arrivals_max = max;
			}
			race->arrival[race->n_arrivals++] =
				(struct arrival){ time, (__u16)slot, runner->rank, i };
		}
	}
	return 0;
}

/* race->sorted: the arrivals by time, then rank. All are within [from, from + span). */
static void sort_arrivals(struct race *race, __u64 from, __u64 span)
{
	const __u32 buckets = sizeof(race->bucket) / sizeof(race->bucket[0]) - 1;
	int shift = 0;

	while (span >> shift >= buckets)
		shift++;
	memset(race->bucket, 0, sizeof(race->bucket));
	for (size_t i = 0; i < race->n_arrivals; i++)
		race->bucket[((race->arrival[i].time - from) >> shift) + 1]++;
	for (__u32 i = 0; i < buckets; i++)
		race->bucket[i + 1] += race->bucket[i];
	for (size_t i = 0; i < race->n_arrivals; i++)
		race->sorted[race->bucket[(race->arrival[i].time - from) >> shift]++] = race->arrival[i];

	/* Only neighbours of one bucket are still out of order. Stable: equal times stay by rank. */
	for (size_t i = 1; i < race->n_arrivals; i++) {
		struct arrival moving = race->sorted[i];
		size_t j = i;

		for (; j > 0 && race->sorted[j - 1].time > moving.time; j--)
			race->sorted[j] = race->sorted[j - 1];
		race->sorted[j] = moving;
	}
}

/* Hands out the free slots in order of arrival. */
static void claim(struct race *race)
{
	for (size_t i = 0; i < race->n_arrivals; i++) {
		const struct arrival *arrival = &race->sorted[i];
		struct runner *runner = &race->runner[arrival->runner];

		if (race->rank[arrival->slot] != NOBODY || !runner->capacity)
			continue;
		race->rank[arrival->slot] = arrival->rank;
		runner->capacity--;
		race->left--;
	}
}

/* Lets go of runners that have their fill or have seen every slot. Returns the weight still running. */
static __u64 retire(struct race *race)
{
	__u64 weight = 0;
	__u32 kept = 0;

	for (__u32 i = 0; i < race->n_runners; i++) {
		const struct runner *runner = &race->runner[i];

		if (!runner->capacity || runner->position == race->pool->size)
			continue;
		weight += race->pool->backend[runner->rank].weight;
		race->runner[kept++] = *runner;
	}
	race->n_runners = kept;
	return weight;
}

/*
 * Runs in laps, so that what was claimed in one is final and only arrivals at free slots need sorting. A lap
 * lasts while a quarter of the ring is walked; where laps end has no influence on the result.
 */
static int run(struct race *race)
{
	__u64 now = 0, weight = retire(race);

	while (race->left && weight) {
		__u64 span = (1ull << (TIME_BITS - 2)) / weight + 1;
		int r = collect(race, now + span);

		if (r < 0)
			return r;
		sort_arrivals(race, now, span);
		claim(race);
		now += span;
		weight = retire(race);
	}
	return 0;
}

static __u64 square_root(__u64 value)
{
	__u64 root = 0;

	for (__u64 bit = 1ull << 31; bit; bit >>= 1) {
		if ((root + bit) * (root + bit) <= value)
			root += bit;
	}
	return root;
}

/*
 * Slack: half the relative standard deviation 1 / sqrt(slots per backend) of a random placement, at most
 * 5 %. As fraction of 2^SLACK_BITS.
 */
static __u64 slack_of(const struct ring_pool *pool)
{
	__u64 slack = square_root(((__u64)pool->n << (2 * SLACK_BITS)) / pool->size) / 2;

	return slack < SLACK_MAX ? slack : SLACK_MAX;
}

/* At most slots for a backend: its share and the slack, or its share rounded up, so that the sum suffices. */
static __u32 capacity_of(const struct ring_pool *pool, __u64 slack, __u32 weight)
{
	unsigned __int128 total = (unsigned __int128)pool->size * weight;
	__u64 least = (__u64)((total + pool->weight_sum - 1) / pool->weight_sum);
	__u64 most = (__u64)(((total * ((1ull << SLACK_BITS) + slack)) / pool->weight_sum) >> SLACK_BITS);
	__u64 capacity = most > least ? most : least;

	return capacity < pool->size ? (__u32)capacity : pool->size;
}

static int fill(const struct ring_pool *pool, bool bounded, __u16 *rank)
{
	struct race race = { .pool = pool, .rank = rank, .left = pool->size, .n_runners = pool->n };
	__u64 slack = slack_of(pool);
	int r = -ENOMEM;

	race.arrivals_max = pool->size;
	race.runner = malloc(pool->n * sizeof(*race.runner));
	race.clock = malloc((pool->size + 1) * sizeof(*race.clock));
	race.arrival = malloc(race.arrivals_max * sizeof(*race.arrival));
	race.sorted = malloc(race.arrivals_max * sizeof(*race.sorted));
	if (race.runner && race.clock && race.arrival && race.sorted) {
		race.clock[0] = 0;
		race.n_clock = 1;
		memset(rank, 0xff, pool->size * sizeof(*rank));
		for (__u32 i = 0; i < pool->n; i++) {
			__u32 capacity =
				bounded ? capacity_of(pool, slack, pool->backend[i].weight) : pool->size;

			race.runner[i] = runner_make(pool, i, capacity);
		}
		r = run(&race);
	}
	free(race.runner);
	free(race.clock);
	free(race.arrival);
	free(race.sorted);
	return r;
}

int ring_fill_rendezvous(const struct ring_pool *pool, __u16 *rank)
{
	return fill(pool, false, rank);
}

int ring_fill_bounded(const struct ring_pool *pool, __u16 *rank)
{
	return fill(pool, true, rank);
}
