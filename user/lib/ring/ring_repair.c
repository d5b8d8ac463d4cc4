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

#include "base/cleanup.h"
#include "ring/ring_runner.h"

/* Eight lanes as two words. */
typedef __u64 pairs_t __attribute__((vector_size(sizeof(slots_t))));

/* What a build from nothing costs, in steps of a repair for each slot. Tests want repairs at any cost. */
#ifndef BUILD_COST
#define BUILD_COST 4
#endif

struct holder {
	__u32 held, capacity;
	__u32 last;  /* step of the latest slot that it holds, if any */
	bool hungry; /* is in the queue of those that may want other slots */
};

/* What the way back from slots to steps takes of a runner, see steps_to(). */
enum back { BACK_START, BACK_SHIFT_BY, BACK_INVERSE_0, BACK_INVERSE_1, BACK_INVERSE_2, BACK_N };

struct repair {
	const struct ring_pool *pool;
	__u16 *rank; /* owners, NOBODY for orphans */
	__u32 mask;
	int half;
	struct runner *runner; /* by rank */
	struct holder *holder;
	__u16 *back[BACK_N]; /* by rank, padded to whole strides */
	__u16 *reach;        /* the same: the furthest step at which the runner would take a slot */
	__u64 least_pace;
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

/* The steps to eight slots, or of eight runners. */
static inline slots_t steps_to_each(slots_t slots, const slots_t back[BACK_N], __u16 mask, int half)
{
	slots ^= slots >> half;
	slots = (slots * back[BACK_INVERSE_2]) & mask;
	slots ^= slots >> half;
	slots = ((slots - back[BACK_SHIFT_BY]) * back[BACK_INVERSE_1]) & mask;
	slots ^= slots >> half;
	return ((slots * back[BACK_INVERSE_0]) & mask) ^ back[BACK_START];
}

static inline slots_t splat(__u16 value)
{
	slots_t slots = {};

	return slots + value;
}

static inline slots_t load(const __u16 *from, __u32 n)
{
	slots_t slots = {};

	memcpy(&slots, from, n * sizeof(*from));
	return slots;
}

static void feed(struct repair *repair, __u32 runner)
{
	if (repair->holder[runner].hungry)
		return;
	repair->holder[runner].hungry = true;
	repair->hungry[(repair->first_hungry + repair->n_hungry++) % repair->pool->n] = (__u16)runner;
}

/* A runner with room takes any slot, a full one those that it gets to before its latest. */
static void note_reach(struct repair *repair, __u32 runner)
{
	const struct holder *holder = &repair->holder[runner];

	repair->reach[runner] = (__u16)(holder->held < holder->capacity ? UINT16_MAX : holder->last);
}

/* The slot of step k is no longer the runner's. */
static void lose(struct repair *repair, __u32 runner, __u32 k)
{
	struct holder *holder = &repair->holder[runner];

	if (--holder->held && k == holder->last) {
		do {
			k--;
			repair->cost++;
		} while (repair->rank[slot_at(&repair->runner[runner], k, repair->mask, repair->half)] !=
			 runner);
		holder->last = k;
	}
	note_reach(repair, runner);
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
	note_reach(repair, runner);
	if (holder->held > holder->capacity)
		drop_last(repair, runner);
}

/* The last step that anybody may have made by then, as far as the clock has been wound. */
static __u16 last_step_by(const struct repair *repair, __u64 time)
{
	__u32 low = 0, high = repair->n_clock; /* clock[0] is 0 */

	while (low < high) {
		__u32 middle = (low + high) / 2;

		if (ring_scale(repair->clock[middle], repair->least_pace) > time)
			high = middle;
		else
			low = middle + 1;
	}
	return (__u16)(low == repair->n_clock ? UINT16_MAX : low - 1);
}

/* Who gets to a slot first. */
struct taker {
	__u32 runner, k;
	__u64 time;   /* UINT64_MAX: nobody yet */
	__u64 beyond; /* somebody whose step the clock does not know may be there then, UINT64_MAX: nobody */
	__u16 before; /* a later step is too late */
};

static void try_taker(const struct repair *repair, __u32 i, __u32 k, struct taker *taker)
{
	const struct runner *runner = &repair->runner[i];
	__u64 time;

	if (k + 1 >= repair->n_clock) {
		time = ring_scale(repair->clock[repair->n_clock - 1], runner->pace);
		taker->beyond = time < taker->beyond ? time : taker->beyond;
		return;
	}
	time = time_at(repair->clock, runner, k);
	if (time >= taker->time)
		return;
	taker->time = time;
	taker->runner = i;
	taker->k = k;
	taker->before = last_step_by(repair, time);
}

/* The first runner to get to a slot among those that would have it, as far as the clock has been wound; false
 * if one beyond that may be earlier. */
static bool find_taker(const struct repair *repair, __u16 slot, struct taker *ret_taker)
{
	struct taker taker = { .time = UINT64_MAX, .beyond = UINT64_MAX, .before = UINT16_MAX };
	const slots_t slots = splat(slot);

	for (__u32 i = 0; i < repair->pool->n; i += STRIDE) {
		slots_t back[BACK_N], k, would;

		for (int part = 0; part < BACK_N; part++)
			back[part] = load(&repair->back[part][i], STRIDE);
		k = steps_to_each(slots, back, (__u16)repair->mask, repair->half);
		would = (slots_t)((k <= load(&repair->reach[i], STRIDE)) & (k <= taker.before));
		if (!((pairs_t)would)[0] && !((pairs_t)would)[1])
			continue;
		for (__u32 lane = 0; lane < STRIDE && i + lane < repair->pool->n; lane++) {
			if (would[lane])
				try_taker(repair, i + lane, k[lane], &taker);
		}
	}
	*ret_taker = taker;
	return taker.beyond > taker.time;
}

/* There is always a taker: the capacities hold the ring, so that somebody has room while a slot is free. */
static void place(struct repair *repair, __u32 slot)
{
	struct taker taker;

	repair->cost += repair->pool->n;
	if (!find_taker(repair, (__u16)slot, &taker)) {
		repair->cost += repair->pool->n + repair->pool->size - repair->n_clock;
		wind(repair, repair->pool->size + 1);
		find_taker(repair, (__u16)slot, &taker);
	}
	gain(repair, taker.runner, slot, taker.k);
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

static void make_runner(struct repair *repair, __u32 i)
{
	struct runner runner = runner_make(repair->pool, i, 0);

	repair->runner[i] = runner;
	repair->back[BACK_START][i] = runner.start;
	repair->back[BACK_SHIFT_BY][i] = runner.shift_by;
	repair->back[BACK_INVERSE_0][i] = runner.inverse[0];
	repair->back[BACK_INVERSE_1][i] = runner.inverse[1];
	repair->back[BACK_INVERSE_2][i] = runner.inverse[2];
	if (runner.pace < repair->least_pace)
		repair->least_pace = runner.pace;
}

/* Slots by owner: those of runner i end at end[i], where those of the next one begin. Orphans are not among
 * them. */
static void sort_slots(const struct repair *repair, __u16 *sorted, __u32 *end)
{
	__u32 size = repair->pool->size, sum = 0;

	memset(end, 0, repair->pool->n * sizeof(*end));
	for (__u32 slot = 0; slot < size; slot++) {
		if (repair->rank[slot] != NOBODY)
			end[repair->rank[slot]]++;
	}
	for (__u32 i = 0; i < repair->pool->n; i++) {
		__u32 n = end[i];

		end[i] = sum;
		sum += n;
	}
	for (__u32 slot = 0; slot < size; slot++) {
		if (repair->rank[slot] != NOBODY)
			sorted[end[repair->rank[slot]]++] = (__u16)slot;
	}
}

/* The step at which a runner gets to the last of n slots. */
static __u32 last_step(const struct repair *repair, __u32 runner, const __u16 *slots, __u32 n)
{
	slots_t back[BACK_N], latest = {};
	__u32 last = 0;

	for (int part = 0; part < BACK_N; part++)
		back[part] = splat(repair->back[part][runner]);
	for (__u32 i = 0; i < n; i += STRIDE) {
		slots_t some = n - i < STRIDE ? splat(slots[i]) : load(&slots[i], STRIDE);
		slots_t k, later;

		if (n - i < STRIDE)
			memcpy(&some, &slots[i], (n - i) * sizeof(*slots));
		k = steps_to_each(some, back, (__u16)repair->mask, repair->half);
		later = (slots_t)(k > latest);
		latest = (k & later) | (latest & ~later);
	}
	for (__u32 lane = 0; lane < STRIDE; lane++)
		last = latest[lane] > last ? latest[lane] : last;
	return last;
}

/* Who holds what. Those of another weight nothing: they get everywhere at another time. */
static void count_slots(struct repair *repair, const struct ring_before *before, __u16 *sorted, __u32 *end)
{
	__u32 furthest = 0, from = 0;

	for (__u32 slot = 0; slot < repair->pool->size; slot++) {
		__u16 owner = repair->rank[slot];

		if (owner != NOBODY && before->weight[owner] == repair->pool->backend[owner].weight)
			continue;
		repair->rank[slot] = NOBODY;
		repair->orphan[repair->n_orphans++] = (__u16)slot;
	}
	sort_slots(repair, sorted, end);
	for (__u32 i = 0; i < repair->pool->n; i++) {
		struct holder *holder = &repair->holder[i];

		holder->held = end[i] - from;
		holder->last = last_step(repair, i, &sorted[from], holder->held);
		furthest = holder->last > furthest ? holder->last : furthest;
		from = end[i];
	}
	wind(repair, furthest + 2);
}

/* Who holds what, and whom the change has made discontent. */
static int take_stock(struct repair *repair, const struct ring_before *before)
{
	__u64 slack = slack_of(repair->pool), slack_before = slack_of(&before->pool);
	_cleanup_(freep) __u16 *sorted = malloc(repair->pool->size * sizeof(*sorted));
	_cleanup_(freep) __u32 *end = malloc(repair->pool->n * sizeof(*end));
	__u32 n = repair->pool->n;

	if (!sorted || !end)
		return -ENOMEM;
	for (__u32 i = 0; i < n; i++) {
		repair->holder[i].capacity =
			capacity_of(repair->pool, slack, repair->pool->backend[i].weight);
		make_runner(repair, i);
	}
	count_slots(repair, before, sorted, end);
	for (__u32 i = 0; i < n; i++) {
		struct holder *holder = &repair->holder[i];
		__u32 weight = before->weight[i];

		if (weight != repair->pool->backend[i].weight ||
		    (holder->capacity > holder->held &&
		     holder->held >= capacity_of(&before->pool, slack_before, weight)))
			feed(repair, i);
		while (holder->held > holder->capacity)
			drop_last(repair, i);
		note_reach(repair, i);
		if (holder->held && when(repair, i, holder->last) > repair->latest)
			repair->latest = when(repair, i, holder->last);
	}
	return 0;
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
		.least_pace = UINT64_MAX,
		.n_clock = 1,
		.cost_max = (__u64)pool->size * BUILD_COST,
	};
	__u32 padded = (pool->n + STRIDE - 1) / STRIDE * STRIDE;
	__u16 *rows = calloc(padded, (BACK_N + 1) * sizeof(*rows));
	int r = -ENOMEM;

	repair.runner = malloc(pool->n * sizeof(*repair.runner));
	repair.holder = calloc(pool->n, sizeof(*repair.holder));
	repair.clock = malloc((pool->size + 1) * sizeof(*repair.clock));
	repair.orphan = malloc(pool->size * sizeof(*repair.orphan));
	repair.hungry = malloc(pool->n * sizeof(*repair.hungry));
	if (rows && repair.runner && repair.holder && repair.clock && repair.orphan && repair.hungry) {
		for (int part = 0; part < BACK_N; part++)
			repair.back[part] = rows + part * padded;
		repair.reach = rows + BACK_N * padded;
		repair.clock[0] = 0;
		r = take_stock(&repair, before);
		if (r == 0)
			r = settle(&repair);
	}
	free(rows);
	free(repair.runner);
	free(repair.holder);
	free(repair.clock);
	free(repair.orphan);
	free(repair.hungry);
	return r;
}
