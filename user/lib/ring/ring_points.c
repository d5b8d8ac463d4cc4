/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Consistent hashing (Karger et al., 1997): every backend has points on a circle, and a slot belongs to the
 * first point at or after the slot's own. 150 points for a backend of usual weight. Least movement, poor
 * balance. Slots lie evenly on the circle, so only the first point of each slot's arc can own anything, and
 * nothing needs sorting.
 */
#include "ring/ring_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_PER_BACKEND 150
#define NOBODY             UINT16_MAX

/*
 * The weight that gets POINTS_PER_BACKEND points: the number of the series 1, 2, 5, 10, 20, ... nearest (by
 * ratio) to the mean. Steps that coarse keep it the same when one backend comes, goes or changes; if it
 * followed the mean, every change would touch every backend.
 */
static __u64 usual_weight(const struct ring_pool *pool)
{
	static const __u32 mantissa[] = { 1, 2, 5, 10 };
	__u64 sum = pool->weight_sum, n = pool->n;

	for (__u64 power = 1;; power *= 10) {
		for (int i = 0; i < 3; i++) {
			__u64 low = power * mantissa[i], high = power * mantissa[i + 1];

			/* mean < sqrt(low * high) */
			if ((unsigned __int128)sum * sum < (unsigned __int128)n * n * low * high)
				return low;
		}
	}
}

int ring_fill_points(const struct ring_pool *pool, __u16 *rank)
{
	__u64 *first = malloc(pool->size * sizeof(*first));
	__u64 usual = usual_weight(pool);
	int shift = 64 - __builtin_ctz(pool->size);
	__u16 owner = NOBODY;

	if (!first)
		return -ENOMEM;
	memset(rank, 0xff, pool->size * sizeof(*rank));
	for (__u32 i = 0; i < pool->n; i++) {
		__u64 points = (pool->backend[i].weight * 2ull * POINTS_PER_BACKEND + usual) / (2 * usual);

		for (__u64 p = 0; p < (points ? points : 1); p++) {
			__u64 point = ring_hash(pool->seed, pool->backend[i].id, RING_STREAM_POINT + p);
			__u32 slot = (__u32)(point >> shift); /* slot s is at s << shift */

			if (rank[slot] == NOBODY || point < first[slot]) {
				first[slot] = point;
				rank[slot] = (__u16)i;
			}
		}
	}
	free(first);

	/* An empty arc belongs to the next point: fill backwards, twice for the wrap. */
	for (__u32 i = 2 * pool->size; i-- > 0;) {
		__u32 slot = i & (pool->size - 1);

		if (rank[slot] == NOBODY)
			rank[slot] = owner;
		else
			owner = rank[slot];
	}
	return 0;
}
