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
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ring/ring_runner.h"

/* A lap's arrivals are sorted into so many buckets, power of two. */
#define BUCKETS_MAX 4096u

struct arrival {
	__u64 time;
	__u16 slot;
	__u16 runner; /* in race.runner, which is in order of rank */
};

struct race {
	const struct ring_pool *pool;
	__u16 *rank;      /* owners, NOBODY while free */
	__u64 *free_bits; /* by slot: 1 while free; the walk reads this, for it stays in the nearest cache */
	__u32 left;       /* free slots */
	struct runner *runner; /* still running, by rank */
	__u32 n_runners;
	__u64 *clock; /* clock[k]: expected time of the k-th of size clocks, clock[0] = 0 */
	__u32 n_clock;
	struct arrival *arrival, *sorted;
	size_t n_arrivals, arrivals_max;
	__u32 bucket[BUCKETS_MAX + 1];
};

/*
 * Fills the clock as far as the runner gets before the limit. Rényi: the gaps between the order statistics
 * of m exponential clocks are on average 1/m, 1/(m-1), ..., 1.
 */
static void wind_clock(struct race *race, const struct runner *runner, __u64 limit)
{
	__u32 size = race->pool->size;

	while (race->n_clock <= size &&
	       (race->n_clock < 2 || time_at(race->clock, runner, race->n_clock - 2) < limit)) {
		__u64 gap = (1ull << TIME_BITS) / (size - race->n_clock + 1);

		race->clock[race->n_clock] = race->clock[race->n_clock - 1] + gap;
		race->n_clock++;
	}
}

static int make_room(struct race *race, size_t n)
{
	struct arrival *grown;

	if (n <= race->arrivals_max)
		return 0;
	grown = realloc(race->arrival, 2 * n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	race->arrival = grown;
	grown = realloc(race->sorted, 2 * n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	race->sorted = grown;
	race->arrivals_max = 2 * n;
	return 0;
}

/* The first step that a runner does not make before the limit. */
static __u32 steps_before(const __u64 *clock, const struct runner *runner, __u32 size, __u64 limit)
{
	__u32 low = runner->position, stride = STRIDE;

	while (low + stride <= size && time_at(clock, runner, low + stride - 1) < limit) {
		low += stride;
		stride *= 2;
	}
	for (; stride; stride /= 2) {
		if (low + stride <= size && time_at(clock, runner, low + stride - 1) < limit)
			low += stride;
	}
	return low;
}

/* Notes steps to slots[0..n) and keeps those to free ones: a step to a taken slot is written and then
 * overwritten, for the processor could not guess which slots are free. Returns the number of arrivals. */
static inline size_t note(const __u64 *restrict free_bits, slots_t slots, __u32 n, __u32 k, __u16 number,
			  struct arrival *restrict arrival, size_t n_arrivals)
{
	for (__u32 i = 0; i < n; i++) {
		arrival[n_arrivals] = (struct arrival){ k + i, slots[i], number };
		n_arrivals += free_bits[slots[i] / 64] >> (slots[i] & 63) & 1;
	}
	return n_arrivals;
}

/* The runner's arrivals at free slots on its way to a step, to arrival[0..]. Returns how many. */
static size_t advance(const struct race *race, struct runner *runner, __u16 number, __u32 end,
		      struct arrival *restrict arrival)
{
	__u32 size = race->pool->size, k = runner->position;
	__u16 mask = (__u16)(size - 1);
	int half = half_of(size);
	size_t n = 0;

	for (; k + STRIDE <= end; k += STRIDE)
		n = note(race->free_bits, slots_at(runner, k, mask, half), STRIDE, k, number, arrival, n);
	if (k < end)
		n = note(race->free_bits, slots_at(runner, k, mask, half), end - k, k, number, arrival, n);
	for (size_t i = 0; i < n; i++)
		arrival[i].time = time_at(race->clock, runner, (__u32)arrival[i].time);
	runner->position = end;
	return n;
}

/* Collects, by rank, who reaches a slot that is still free before the limit. */
static int collect(struct race *race, __u64 limit)
{
	race->n_arrivals = 0;
	for (__u32 i = 0; i < race->n_runners; i++) {
		struct runner *runner = &race->runner[i];
		__u32 end;
		int r;

		wind_clock(race, runner, limit);
		end = steps_before(race->clock, runner, race->n_clock - 1, limit);
		r = make_room(race, race->n_arrivals + end - runner->position + 1);
		if (r < 0)
			return r;
		race->n_arrivals += advance(race, runner, (__u16)i, end, &race->arrival[race->n_arrivals]);
	}
	return 0;
}

/* race->sorted: the arrivals by time, then rank. All are within [from, from + span). */
static void sort_arrivals(struct race *race, __u64 from, __u64 span)
{
	__u32 buckets = BUCKETS_MAX;
	int shift = 0;

	while (buckets > 16 && buckets > race->n_arrivals)
		buckets /= 2;
	while (span >> shift >= buckets)
		shift++;
	memset(race->bucket, 0, (buckets + 1) * sizeof(race->bucket[0]));
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
		race->rank[arrival->slot] = runner->rank;
		race->free_bits[arrival->slot / 64] &= ~(1ull << (arrival->slot & 63));
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

/* The earliest arrival at a free slot among the runners that still want slots. False if there is none. */
static bool first_arrival(const struct race *race, __u32 slot, struct arrival *ret_first)
{
	__u32 mask = race->pool->size - 1;
	int half = half_of(race->pool->size);
	struct arrival first = { .time = UINT64_MAX };

	for (__u32 i = 0; i < race->n_runners; i++) {
		const struct runner *runner = &race->runner[i];
		__u64 time = time_at(race->clock, runner, steps_to(runner, slot, mask, half));

		if (time < first.time && runner->capacity)
			first = (struct arrival){ time, (__u16)slot, (__u16)i };
	}
	*ret_first = first;
	return first.time != UINT64_MAX;
}

static bool is_earlier(const struct arrival *a, const struct arrival *b)
{
	return a->time != b->time ? a->time < b->time : a->runner < b->runner;
}

static void sift_down(struct arrival *heap, size_t n, size_t i)
{
	struct arrival moving = heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && is_earlier(&heap[child + 1], &heap[child]))
			child++;
		if (!is_earlier(&heap[child], &moving))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
}

/*
 * The last slots take as long as all before, for most of what the runners pass is taken. So these look for
 * their runners instead: a heap of free slots by first arrival; who finds that runner full looks again.
 */
static int finish(struct race *race)
{
	struct arrival *heap;
	size_t n = 0;
	int r = make_room(race, race->left);

	if (r < 0)
		return r;
	heap = race->arrival;
	wind_clock(race, &race->runner[0], UINT64_MAX);
	for (__u32 slot = 0; slot < race->pool->size; slot++) {
		if (race->rank[slot] == NOBODY && first_arrival(race, slot, &heap[n]))
			n++;
	}
	for (size_t i = n / 2; i-- > 0;)
		sift_down(heap, n, i);
	while (n) {
		struct runner *runner = &race->runner[heap[0].runner];

		if (runner->capacity) {
			race->rank[heap[0].slot] = runner->rank;
			runner->capacity--;
			race->left--;
			heap[0] = heap[--n];
		} else if (!first_arrival(race, heap[0].slot, &heap[0]))
			heap[0] = heap[--n];
		sift_down(heap, n, 0);
	}
	return 0;
}

/*
 * Runs in laps, so that what was claimed in one is final and only arrivals at free slots need sorting. A lap
 * yields about size / 16 of them, so that all stays in the cache. Neither where laps end nor when finish()
 * takes over has any influence on the result.
 */
static int run(struct race *race)
{
	__u64 now = 0, weight = retire(race);

	while (race->left && weight) {
		__u64 span;
		int r;

		if ((__u64)race->left * race->n_runners <= race->pool->size)
			return finish(race);
		/* No overflow: size / left < n_runners, and n_runners <= weight. */
		span = (1ull << (TIME_BITS - 4)) / weight * (race->pool->size / race->left) + 1;
		r = collect(race, now + span);
		if (r < 0)
			return r;
		sort_arrivals(race, now, span);
		claim(race);
		now += span;
		weight = retire(race);
	}
	return 0;
}

static int fill(const struct ring_pool *pool, bool bounded, __u16 *rank)
{
	struct race race = { .pool = pool, .rank = rank, .left = pool->size, .n_runners = pool->n };
	__u64 slack = slack_of(pool);
	int r = -ENOMEM;

	race.arrivals_max = pool->size / 4; /* of a lap, usually */
	race.free_bits = malloc(pool->size / 8);
	race.runner = malloc(pool->n * sizeof(*race.runner));
	race.clock = malloc((pool->size + 1) * sizeof(*race.clock));
	race.arrival = malloc(race.arrivals_max * sizeof(*race.arrival));
	race.sorted = malloc(race.arrivals_max * sizeof(*race.sorted));
	if (race.free_bits && race.runner && race.clock && race.arrival && race.sorted) {
		race.clock[0] = 0;
		race.n_clock = 1;
		memset(rank, 0xff, pool->size * sizeof(*rank));
		memset(race.free_bits, 0xff, pool->size / 8);
		for (__u32 i = 0; i < pool->n; i++) {
			__u32 capacity =
				bounded ? capacity_of(pool, slack, pool->backend[i].weight) : pool->size;

			race.runner[i] = runner_make(pool, i, capacity);
		}
		r = run(&race);
	}
	free(race.free_bits);
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
