/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the ring builders share among themselves: the pool of backends in canonical order, keyed hashing, and
 * the fill functions. Integers only, little-endian hash input: every machine of a fleet gets the same ring.
 */
#pragma once

#include <endian.h>
#include <linux/types.h>
#include <stddef.h>

/* Read by memcpy: the packed unions that xxhash would use break the aliasing rules, seen on arm64. */
#define XXH_FORCE_MEMORY_ACCESS 0
#define XXH_INLINE_ALL
#include <xxhash.h>

/* One backend. The position in the pool is its rank: a seeded shuffle that decides every tie. */
struct ring_backend {
	__u64 id;
	__u64 priority; /* hash of (seed, id): what the pool is sorted by */
	__u32 weight;
	__u32 index; /* in the caller's array */
};

struct ring_pool {
	__u64 seed;
	__u64 weight_sum;
	__u32 size; /* slots, power of two */
	__u32 n;    /* backends, at least 1 */
	struct ring_backend *backend;
};

/* The ring before a change. */
struct ring_before {
	struct ring_pool pool; /* what it was made for; without backend[] */
	const __u32 *weight;   /* then, by rank in the pool of now; 0: it is new */
};

/* What a hash is used for; a number is never given a new meaning, or rings change under running fleets. */
enum ring_stream {
	RING_STREAM_PRIORITY = 1,
	RING_STREAM_MAGLEV = 2,
	RING_STREAM_RACE = 3, /* and the next two */
	RING_STREAM_POINT = 16,
};

static inline __u64 ring_hash(__u64 seed, __u64 id, __u64 stream)
{
	__u64 input[2] = { htole64(id), htole64(stream) };

	return XXH64(input, sizeof(input), seed);
}

/* a * b / 2^64: a fraction of a, or a division by the reciprocal. */
static inline __u64 ring_scale(__u64 a, __u64 b)
{
	return (__u64)(((unsigned __int128)a * b) >> 64);
}

/* Each fills rank[0..size) with positions in pool->backend. 0 or -ENOMEM. */
int ring_fill_maglev(const struct ring_pool *pool, __u16 *rank);
int ring_fill_points(const struct ring_pool *pool, __u16 *rank);
int ring_fill_rendezvous(const struct ring_pool *pool, __u16 *rank);
int ring_fill_bounded(const struct ring_pool *pool, __u16 *rank);

/*
 * The same as ring_fill_bounded, from the ring before: rank[] holds its owners, as ranks in the pool of now,
 * UINT16_MAX for those that are gone. 0; 1: a build from nothing is quicker, rank[] is anything; -ENOMEM.
 */
int ring_repair_bounded(const struct ring_pool *pool, const struct ring_before *before, __u16 *rank);
