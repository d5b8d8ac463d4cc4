/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame around the ring builders (ring.h): checks the request, brings the members into their canonical
 * order, hands on what is known from before a change, and maps ranks back to the caller's indices. The
 * algorithms are in ring_maglev.c, ring_points.c and ring_race.c; docs/rings.md explains and compares them.
 */
#include "ring/ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ring/ring_internal.h"

/* In a smaller pool a change concerns so many that a build from nothing is quicker. */
#define REPAIR_FROM 256 /* backends */

typedef int (*ring_fill_fn)(const struct ring_pool *pool, __u16 *rank);
typedef int (*ring_repair_fn)(const struct ring_pool *pool, const struct ring_before *before, __u16 *rank);

__u64 lb_ring_member_id(const char *name)
{
	return XXH64(name, strlen(name), 0x62656e64);
}

__u64 lb_ring_seed(const char *hash_seed, const char *service_name)
{
	__u64 fleet = XXH64(hash_seed, strlen(hash_seed), 0x666c7420);

	return XXH64(service_name, strlen(service_name), fleet);
}

static int compare_backends(const void *left, const void *right)
{
	const struct ring_backend *a = left, *b = right;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Fills *pool; pool->backend has room for n. */
static int pool_init(struct ring_pool *pool, __u64 seed, const struct lb_ring_member *members, size_t n,
		     __u32 size)
{
	pool->seed = seed;
	pool->size = size;
	pool->n = (__u32)n;
	pool->weight_sum = 0;
	for (size_t i = 0; i < n; i++) {
		if (!members[i].weight)
			return -EINVAL;
		pool->weight_sum += members[i].weight;
		pool->backend[i] = (struct ring_backend){
			.id = members[i].id,
			.priority = ring_hash(seed, members[i].id, RING_STREAM_PRIORITY),
			.weight = members[i].weight,
			.index = (__u32)i,
		};
	}
	qsort(pool->backend, n, sizeof(*pool->backend), compare_backends);
	for (size_t i = 1; i < n; i++) {
		if (pool->backend[i].id == pool->backend[i - 1].id)
			return -EINVAL;
	}
	return 0;
}

/* Finds the backends of before in the pool: rank_of by index of before, NOBODY if it is gone; weight by rank.
 */
static void match(const struct ring_pool *before, const struct ring_pool *pool, __u16 *rank_of, __u32 *weight)
{
	__u32 rank = 0;

	for (__u32 i = 0; i < before->n; i++) {
		const struct ring_backend *backend = &before->backend[i];

		while (rank < pool->n && compare_backends(&pool->backend[rank], backend) < 0)
			rank++;
		rank_of[backend->index] = UINT16_MAX;
		if (rank == pool->n || pool->backend[rank].id != backend->id)
			continue;
		rank_of[backend->index] = (__u16)rank;
		weight[rank] = backend->weight;
	}
}

static bool is_same_pool(const struct ring_pool *before, const struct ring_pool *pool, const __u32 *weight)
{
	for (__u32 i = 0; before->n == pool->n && i < pool->n; i++) {
		if (pool->backend[i].weight != weight[i])
			return false;
	}
	return before->n == pool->n;
}

/* 0; 1 if what is known does not help, rank[] is anything then; -ENOMEM. */
static int rebuild(ring_repair_fn repair, const struct lb_ring_previous *previous,
		   const struct ring_pool *pool, __u16 *rank)
{
	_cleanup_(freep) struct ring_backend *backend = calloc(previous->n_members, sizeof(*backend));
	_cleanup_(freep) __u16 *rank_of = calloc(previous->n_members, sizeof(*rank_of));
	_cleanup_(freep) __u32 *weight = calloc(pool->n, sizeof(*weight));
	struct ring_before before = { .pool.backend = backend, .weight = weight };
	bool same;

	if (!backend || !rank_of || !weight)
		return -ENOMEM;
	if (pool_init(&before.pool, pool->seed, previous->members, previous->n_members, pool->size) < 0)
		return 1;
	match(&before.pool, pool, rank_of, weight);
	same = is_same_pool(&before.pool, pool, weight);
	if (!same && (!repair || pool->n < REPAIR_FROM))
		return 1;
	for (__u32 slot = 0; slot < pool->size; slot++) {
		if (previous->owner[slot] >= previous->n_members)
			return 1;
		rank[slot] = rank_of[previous->owner[slot]];
	}
	return same ? 0 : repair(pool, &before, rank);
}

static int build(ring_fill_fn fill, ring_repair_fn repair, __u64 seed, const struct lb_ring_member *members,
		 size_t n, __u32 size, const struct lb_ring_previous *previous, __u32 *owner)
{
	_cleanup_(freep) struct ring_backend *backend = NULL;
	_cleanup_(freep) __u16 *rank = NULL;
	struct ring_pool pool;
	int r;

	if (size < LB_RING_MIN || size > LB_RING_MAX || (size & (size - 1)) ||
	    n > LB_BACKENDS_PER_SERVICE_MAX)
		return -EINVAL;

	backend = calloc(n ? n : 1, sizeof(*backend));
	rank = malloc(size * sizeof(*rank));
	if (!backend || !rank)
		return -ENOMEM;
	pool.backend = backend;
	r = pool_init(&pool, seed, members, n, size);
	if (r < 0)
		return r;

	r = n && previous && previous->n_members ? rebuild(repair, previous, &pool, rank) : 1;
	if (r == 1)
		r = n ? fill(&pool, rank) : 0;
	if (r < 0)
		return r;

	for (__u32 slot = 0; slot < size; slot++)
		owner[slot] = n ? backend[rank[slot]].index : LB_RING_NONE;
	return 0;
}

#define RING_BUILDER(algorithm, repair)                                                                      \
	static int build_##algorithm(__u64 seed, const struct lb_ring_member *members, size_t n, __u32 size, \
				     const struct lb_ring_previous *previous, __u32 *owner)                  \
	{                                                                                                    \
		return build(ring_fill_##algorithm, repair, seed, members, n, size, previous, owner);        \
	}
RING_BUILDER(maglev, NULL)
RING_BUILDER(points, NULL)
RING_BUILDER(rendezvous, NULL)
RING_BUILDER(bounded, ring_repair_bounded)

const struct lb_ring_builder *lb_ring_builder_get(enum lb_algorithm algorithm)
{
	static const struct lb_ring_builder builders[] = {
		[LB_ALGORITHM_MAGLEV] = { "maglev", build_maglev },
		[LB_ALGORITHM_RING] = { "ring", build_points },
		[LB_ALGORITHM_RENDEZVOUS] = { "rendezvous", build_rendezvous },
		[LB_ALGORITHM_BOUNDED] = { "bounded", build_bounded },
	};

	if ((size_t)algorithm >= sizeof(builders) / sizeof(builders[0]))
		return NULL;
	return &builders[algorithm];
}

double lb_ring_max_over_mean(const __u32 *owner, __u32 size, const struct lb_ring_member *members,
			     size_t n_members)
{
	_cleanup_(freep) __u32 *slots = NULL;
	double weight_sum = 0, highest = 0;

	if (!n_members || !size)
		return 0.0;
	slots = calloc(n_members, sizeof(*slots));
	if (!slots)
		return 0.0;
	for (__u32 slot = 0; slot < size; slot++) {
		if (owner[slot] < n_members)
			slots[owner[slot]]++;
	}
	for (size_t i = 0; i < n_members; i++) {
		weight_sum += members[i].weight;
		if (members[i].weight && (double)slots[i] / members[i].weight > highest)
			highest = (double)slots[i] / members[i].weight;
	}
	return highest * weight_sum / size;
}
