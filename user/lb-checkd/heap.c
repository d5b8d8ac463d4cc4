// SPDX-License-Identifier: GPL-2.0-only
/*
 * A binary heap of timers, by when they are due.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "lb-checkd/checkd.h"

static void put(struct heap *heap, size_t at, struct timer *timer)
{
	heap->timers[at] = timer;
	timer->at = at;
}

static void rise_up(struct heap *heap, size_t at)
{
	struct timer *timer = heap->timers[at];

	while (at > 0 && heap->timers[(at - 1) / 2]->due_ns > timer->due_ns) {
		put(heap, at, heap->timers[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(heap, at, timer);
}

static void sink(struct heap *heap, size_t at)
{
	struct timer *timer = heap->timers[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < heap->n && heap->timers[child + 1]->due_ns < heap->timers[child]->due_ns)
			child++;
		if (child >= heap->n || heap->timers[child]->due_ns >= timer->due_ns)
			break;
		put(heap, at, heap->timers[child]);
		at = child;
	}
	put(heap, at, timer);
}

int heap_set(struct heap *heap, struct timer *timer, __u64 due_ns)
{
	if (timer->at != SIZE_MAX) {
		timer->due_ns = due_ns;
		rise_up(heap, timer->at);
		sink(heap, timer->at);
		return 0;
	}
	if (heap->n == heap->room) {
		size_t room = heap->room ? 2 * heap->room : 256;
		struct timer **timers = realloc(heap->timers, room * sizeof(struct timer *));

		if (!timers)
			return -ENOMEM;
		heap->timers = timers;
		heap->room = room;
	}
	timer->due_ns = due_ns;
	put(heap, heap->n, timer);
	rise_up(heap, heap->n++);
	return 0;
}

void heap_remove(struct heap *heap, struct timer *timer)
{
	size_t at = timer->at;

	if (at == SIZE_MAX)
		return;
	timer->at = SIZE_MAX;
	if (at == --heap->n)
		return;
	put(heap, at, heap->timers[heap->n]);
	rise_up(heap, at);
	sink(heap, heap->timers[at]->at);
}

struct timer *heap_first(const struct heap *heap)
{
	return heap->n ? heap->timers[0] : NULL;
}
