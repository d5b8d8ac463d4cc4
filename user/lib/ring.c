/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame around the ring builders (ring.h): checks the request, brings the members into their canonical
 * order, answers a repeated request from the cache, and maps ranks back to the caller's indices. The
 * algorithms are in ring_maglev.c, ring_points.c and ring_race.c; docs/rings.md explains and compares them.
 */
#include "ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ring_internal.h"

typedef int (*ring_fill_fn)(const struct ring_pool *pool, __u16 *rank);

/* The last result and what it was for. Ranks, not indices: the caller may list the members differently. */
struct lb_ring_cache {
	ring_fill_fn fill;
	struct ring_pool pool; /* backend[] owned */
	__u16 *rank;           /* pool.size of them */
};

static inline void free_p(void *pointer)
{
	free(*(void **)pointer);
}
#define _cleanup_free_ __attribute__((cleanup(free_p)))

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

static bool cache_answers(const struct lb_ring_cache *cache, ring_fill_fn fill, const struct ring_pool *pool)
{
	if (!cache || cache->fill != fill || cache->pool.seed != pool->seed ||
	    cache->pool.size != pool->size || cache->pool.n != pool->n)
		return false;
	for (__u32 i = 0; i < pool->n; i++) {
		if (cache->pool.backend[i].id != pool->backend[i].id ||
		    cache->pool.backend[i].weight != pool->backend[i].weight)
			return false;
	}
	return true;
}

void lb_ring_cache_free(struct lb_ring_cache *cache)
{
	if (!cache)
		return;
	free(cache->pool.backend);
	free(cache->rank);
	free(cache);
}

static int build(ring_fill_fn fill, __u64 seed, const struct lb_ring_member *members, size_t n, __u32 size,
		 const struct lb_ring_cache *previous, __u32 *owner, struct lb_ring_cache **ret_cache)
{
	_cleanup_free_ struct ring_backend *backend = NULL;
	_cleanup_free_ struct lb_ring_cache *cache = NULL;
	_cleanup_free_ __u16 *rank = NULL;
	struct ring_pool pool;
	int r;

	if (size < LB_RING_MIN || size > LB_RING_MAX || (size & (size - 1)) ||
	    n > LB_BACKENDS_PER_SERVICE_MAX)
		return -EINVAL;

	backend = calloc(n ? n : 1, sizeof(*backend));
	rank = malloc(size * sizeof(*rank));
	cache = ret_cache ? calloc(1, sizeof(*cache)) : NULL;
	if (!backend || !rank || (ret_cache && !cache))
		return -ENOMEM;
	pool.backend = backend;
	r = pool_init(&pool, seed, members, n, size);
	if (r < 0)
		return r;

	if (cache_answers(previous, fill, &pool))
		memcpy(rank, previous->rank, size * sizeof(*rank));
	else if (n) {
		r = fill(&pool, rank);
		if (r < 0)
			return r;
	}

	for (__u32 slot = 0; slot < size; slot++)
		owner[slot] = n ? backend[rank[slot]].index : LB_RING_NONE;

	if (ret_cache) {
		*cache = (struct lb_ring_cache){ .fill = n ? fill : NULL, .pool = pool, .rank = rank };
		*ret_cache = cache;
		cache = NULL;
		backend = NULL;
		rank = NULL;
	}
	return 0;
}

#define RING_BUILDER(algorithm)                                                                              \
	static int build_##algorithm(__u64 seed, const struct lb_ring_member *members, size_t n, __u32 size, \
				     const struct lb_ring_cache *previous, __u32 *owner,                     \
				     struct lb_ring_cache **ret_cache)                                       \
	{                                                                                                    \
		return build(ring_fill_##algorithm, seed, members, n, size, previous, owner, ret_cache);     \
	}
RING_BUILDER(maglev)
RING_BUILDER(points)
RING_BUILDER(rendezvous)
RING_BUILDER(bounded)

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
	_cleanup_free_ __u32 *slots = NULL;
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
