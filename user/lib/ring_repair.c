/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `bounded` after a change, from the ring before it. The race (ring_race.c) ends in the one stable matching
 * of slots and backends: no slot and backend would both rather have each other. So does anything else that
 * ends in a stable matching, and that is what this does: it starts from the old one and satisfies whoever the
 * change has made discontent.
 *
 *   A slot that lost its owner goes to the first to arrive among those that have room, or hold a later slot.
 *   A backend that has room again takes what it reaches before the owner does, on its way from its start.
 *   A backend with too much gives up the slots that it reached last.
 *
 * Every step replaces arrivals by earlier ones, so it comes to an end; when it takes long, or would, a build
 * from nothing is quicker and the caller makes that.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ring_runner.h"

/* What a build from nothing costs, in steps of a repair for each slot. Tests want repairs at any cost. */
#ifndef BUILD_COST
#define BUILD_COST 4
#endif

struct holder {
	__u32 held, capacity;
	__u32 last;  /* step of the latest slot that it holds, if any */
	bool hungry; /* is in the queue of those that may want other slots */
};

struct repair {
	const struct ring_pool *pool;
	__u16 *rank; /* owners, NOBODY for orphans */
	__u32 mask;
	int half;
	struct runner *runner; /* by rank */
	struct holder *holder;
	__u64 *clock; /* clock[0..n_clock), see wind() */
	__u32 n_clock;
	__u16 *orphan; /* slots without owner */
	__u32 n_orphans;
	__u16 *hungry; /* queue: runners */
	__u32 first_hungry, n_hungry;
	__u64 latest; /* no owner got to its slot later than this */
	__u64 cost, cost_max;
};

/* The same clock as the race's. */
static void wind(struct repair *repair, __u32 n_clock)
{
	__u32 size = repair->pool->size;

	for (; repair->n_clock < n_clock; repair->n_clock++)
		repair->clock[repair->n_clock] = repair->clock[repair->n_clock - 1] +
						 (1ull << TIME_BITS) / (size - repair->n_clock + 1);
}

static __u64 when(struct repair *repair, __u32 runner, __u32 k)
{
	wind(repair, k + 2);
	return time_at(repair->clock, &repair->runner[runner], k);
}

static void feed(struct repair *repair, __u32 runner)
{
	if (repair->holder[runner].hungry)
		return;
	repair->holder[runner].hungry = true;
	repair->hungry[(repair->first_hungry + repair->n_hungry++) % repair->pool->n] = (__u16)runner;
}

/* The slot of step k is no longer the runner's. */
static void lose(struct repair *repair, __u32 runner, __u32 k)
{
	struct holder *holder = &repair->holder[runner];

	if (--holder->held == 0 || k != holder->last)
		return;
	do {
		k--;
		repair->cost++;
	} while (repair->rank[slot_at(&repair->runner[runner], k, repair->mask, repair->half)] != runner);
	holder->last = k;
}

static void drop_last(struct repair *repair, __u32 runner)
{
	__u32 k = repair->holder[runner].last;
	__u32 slot = slot_at(&repair->runner[runner], k, repair->mask, repair->half);

	repair->rank[slot] = NOBODY;
	repair->orphan[repair->n_orphans++] = (__u16)slot;
	lose(repair, runner, k);
}

static void gain(struct repair *repair, __u32 runner, __u32 slot, __u32 k)
{
	struct holder *holder = &repair->holder[runner];
	__u64 time = when(repair, runner, k);

	repair->rank[slot] = (__u16)runner;
	if (!holder->held++ || k > holder->last)
		holder->last = k;
	if (time > repair->latest)
		repair->latest = time;
	if (holder->held > holder->capacity)
		drop_last(repair, runner);
}

/* The first runner to get to a slot among those that would have it, as far as the clock has been wound; false
 * if one beyond that may be earlier. */
static bool find_taker(const struct repair *repair, __u32 slot, __u32 *ret_runner, __u32 *ret_k)
{
	__u64 best = UINT64_MAX, beyond = UINT64_MAX;

	for (__u32 i = 0; i < repair->pool->n; i++) {
		const struct holder *holder = &repair->holder[i];
		const struct runner *runner = &repair->runner[i];
		__u32 k = steps_to(runner, slot, repair->mask, repair->half);
		__u64 time;

		if (holder->held >= holder->capacity && k > holder->last)
			continue;
		if (k + 1 >= repair->n_clock) {
			time = ring_scale(repair->clock[repair->n_clock - 1], runner->pace);
			beyond = time < beyond ? time : beyond;
			continue;
		}
		time = time_at(repair->clock, runner, k);
		if (time < best) {
			best = time;
			*ret_runner = i;
			*ret_k = k;
		}
	}
	return beyond > best;
}

/* There is always a taker: the capacities hold the ring, so that somebody has room while a slot is free. */
static void place(struct repair *repair, __u32 slot)
{
	__u32 runner = 0, k = 0;

	repair->cost += repair->pool->n;
	if (!find_taker(repair, slot, &runner, &k)) {
		repair->cost += repair->pool->n + repair->pool->size - repair->n_clock;
		wind(repair, repair->pool->size + 1);
		find_taker(repair, slot, &runner, &k);
	}
	gain(repair, runner, slot, k);
}

/* Gives a runner what it gets to before the owner. Orphans ask by themselves. */
static void walk(struct repair *repair, __u32 runner)
{
	const struct holder *holder = &repair->holder[runner];

	for (__u32 k = 0; k < repair->pool->size; k++, repair->cost++) {
		__u32 slot = slot_at(&repair->runner[runner], k, repair->mask, repair->half);
		__u32 owner = repair->rank[slot], owner_k;
		__u64 mine = when(repair, runner, k), theirs;
		bool was_full;

		if (mine > repair->latest || (holder->held >= holder->capacity && k > holder->last))
			break;
		if (owner == runner || owner == NOBODY)
			continue;
		owner_k = steps_to(&repair->runner[owner], slot, repair->mask, repair->half);
		theirs = when(repair, owner, owner_k);
		if (mine > theirs || (mine == theirs && runner > owner))
			continue;
		was_full = repair->holder[owner].held >= repair->holder[owner].capacity;
		gain(repair, runner, slot, k);
		lose(repair, owner, owner_k);
		if (was_full)
			feed(repair, owner);
	}
}

/* Who holds what, and whom the change has made discontent. */
static void take_stock(struct repair *repair, const struct ring_before *before)
{
	__u64 slack = slack_of(repair->pool), slack_before = slack_of(&before->pool);
	__u32 n = repair->pool->n, furthest = 0;

	for (__u32 i = 0; i < n; i++) {
		repair->holder[i].capacity =
			capacity_of(repair->pool, slack, repair->pool->backend[i].weight);
		repair->runner[i] = runner_make(repair->pool, i, 0);
	}
	for (__u32 slot = 0; slot < repair->pool->size; slot++) {
		__u32 owner = repair->rank[slot], k;

		/* Another weight: it gets everywhere at another time. */
		if (owner == NOBODY || before->weight[owner] != repair->pool->backend[owner].weight) {
			repair->rank[slot] = NOBODY;
			repair->orphan[repair->n_orphans++] = (__u16)slot;
			continue;
		}
		k = steps_to(&repair->runner[owner], slot, repair->mask, repair->half);
		if (!repair->holder[owner].held++ || k > repair->holder[owner].last)
			repair->holder[owner].last = k;
		furthest = k > furthest ? k : furthest;
	}
	wind(repair, furthest + 2);
	for (__u32 i = 0; i < n; i++) {
		struct holder *holder = &repair->holder[i];
		__u32 weight = before->weight[i];

		if (weight != repair->pool->backend[i].weight ||
		    (holder->capacity > holder->held &&
		     holder->held >= capacity_of(&before->pool, slack_before, weight)))
			feed(repair, i);
		while (holder->held > holder->capacity)
			drop_last(repair, i);
		if (holder->held && when(repair, i, holder->last) > repair->latest)
			repair->latest = when(repair, i, holder->last);
	}
}

/* 0, or 1 when it would take longer than a build. */
static int settle(struct repair *repair)
{
	__u64 size = repair->pool->size, n = repair->pool->n;

	/* A walk is some 12 times as long as what it ends with. */
	repair->cost += repair->n_orphans * n + repair->n_hungry * 12 * (size / n);
	if (repair->cost > repair->cost_max)
		return 1;
	repair->cost = 0;
	while (repair->n_orphans || repair->n_hungry) {
		__u32 runner;

		if (repair->cost > repair->cost_max)
			return 1;
		if (repair->n_orphans) {
			place(repair, repair->orphan[--repair->n_orphans]);
			continue;
		}
		runner = repair->hungry[repair->first_hungry];
		repair->first_hungry = (repair->first_hungry + 1) % repair->pool->n;
		repair->n_hungry--;
		repair->holder[runner].hungry = false;
		walk(repair, runner);
	}
	return 0;
}

int ring_repair_bounded(const struct ring_pool *pool, const struct ring_before *before, __u16 *rank)
{
	struct repair repair = {
		.pool = pool,
		.rank = rank,
		.mask = pool->size - 1,
		.half = half_of(pool->size),
		.n_clock = 1,
		.cost_max = (__u64)pool->size * BUILD_COST,
	};
	int r = -ENOMEM;

	repair.runner = malloc(pool->n * sizeof(*repair.runner));
	repair.holder = calloc(pool->n, sizeof(*repair.holder));
	repair.clock = malloc((pool->size + 1) * sizeof(*repair.clock));
	repair.orphan = malloc(pool->size * sizeof(*repair.orphan));
	repair.hungry = malloc(pool->n * sizeof(*repair.hungry));
	if (repair.runner && repair.holder && repair.clock && repair.orphan && repair.hungry) {
		repair.clock[0] = 0;
		take_stock(&repair, before);
		r = settle(&repair);
	}
	free(repair.runner);
	free(repair.holder);
	free(repair.clock);
	free(repair.orphan);
	free(repair.hungry);
	return r;
}
