/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maglev's table (Eisenbud et al., NSDI 2016): backends take turns, and each takes the next free slot of its
 * own permutation. Adapted: the size is a power of two, so a permutation is offset + k * odd skip, and the
 * turns come in proportion to weight. Balance is perfect up to one slot; changes move more than they need to.
 */
#include "ring/ring_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct turn {
	__u64 time; /* of the next turn: (turns had + 1) / weight */
	__u64 step; /* 1 / weight */
	__u32 rank;
	__u32 next; /* slot to look at next */
	__u32 skip;
};

static bool comes_before(const struct turn *a, const struct turn *b)
{
	return a->time != b->time ? a->time < b->time : a->rank < b->rank;
}

/* Restores the heap order (earliest turn first) below position i. */
static void sift_down(struct turn *heap, __u32 n, __u32 i)
{
	struct turn moving = heap[i];

	for (;;) {
		__u32 child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && comes_before(&heap[child + 1], &heap[child]))
			child++;
		if (!comes_before(&heap[child], &moving))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
}

#define NOBODY UINT16_MAX

int ring_fill_maglev(const struct ring_pool *pool, __u16 *rank)
{
	struct turn *heap = malloc(pool->n * sizeof(*heap));
	__u32 mask = pool->size - 1;

	if (!heap)
		return -ENOMEM;
	for (__u32 i = 0; i < pool->n; i++) {
		__u64 hash = ring_hash(pool->seed, pool->backend[i].id, RING_STREAM_MAGLEV);
		/* At most 2^16 turns of 2^47 / weight: no overflow. */
		__u64 step = (1ull << 47) / pool->backend[i].weight;

		heap[i] = (struct turn){ step, step, i, (__u32)hash & mask, (__u32)(hash >> 32) | 1 };
	}
	for (__u32 i = pool->n / 2; i-- > 0;)
		sift_down(heap, pool->n, i);

	memset(rank, 0xff, pool->size * sizeof(*rank));
	for (__u32 left = pool->size; left; left--) {
		struct turn *turn = &heap[0];

		while (rank[turn->next] != NOBODY)
			turn->next = (turn->next + turn->skip) & mask;
		rank[turn->next] = (__u16)turn->rank;
		turn->time += turn->step;
		sift_down(heap, pool->n, 0);
	}
	free(heap);
	return 0;
}
