// SPDX-License-Identifier: GPL-2.0-only
/*
 * First fit over a sorted array of free extents, and a bitmap of ids. There are few extents (regions are of a
 * few sizes and change rarely), so an array that is searched and shifted is all it takes.
 */
#include "engine/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lb_arena_init(struct lb_arena *arena, __u32 size, __u32 chunk)
{
	*arena = (struct lb_arena){ .size = size, .chunk = chunk, .capacity = 16 };
	arena->free = calloc(arena->capacity, sizeof(*arena->free));
	if (!arena->free)
		return -ENOMEM;
	if (size)
		arena->free[arena->n_free++] = (struct lb_extent){ .length = size };
	return 0;
}

void lb_arena_done(struct lb_arena *arena)
{
	free(arena->free);
	*arena = (struct lb_arena){};
}

/* Room for taking a region, which may split an extent, and for giving it back. */
static int make_room(struct lb_arena *arena)
{
	size_t need = arena->n_free + arena->n_taken + 3, capacity = arena->capacity;
	struct lb_extent *extents;

	if (need <= capacity)
		return 0;
	while (capacity < need)
		capacity *= 2;
	extents = realloc(arena->free, capacity * sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	arena->free = extents;
	arena->capacity = capacity;
	return 0;
}

static void insert_extent(struct lb_arena *arena, size_t at, struct lb_extent extent)
{
	memmove(&arena->free[at + 1], &arena->free[at], (arena->n_free - at) * sizeof(extent));
	arena->free[at] = extent;
	arena->n_free++;
}

static void remove_extent(struct lb_arena *arena, size_t at)
{
	arena->n_free--;
	memmove(&arena->free[at], &arena->free[at + 1], (arena->n_free - at) * sizeof(arena->free[0]));
}

/* Takes [start, start + length) out of the extent that holds it. */
static void cut(struct lb_arena *arena, size_t at, __u32 start, __u32 length)
{
	struct lb_extent *extent = &arena->free[at];
	struct lb_extent behind = { .start = start + length,
				    .length = extent->start + extent->length - start - length,
				    .fresh = extent->fresh };

	extent->length = start - extent->start;
	if (behind.length)
		insert_extent(arena, at + 1, behind);
	if (!arena->free[at].length)
		remove_extent(arena, at);
	arena->used += length;
	arena->n_taken++;
}

/* The lowest start in an extent such that the region does not cross the end of a chunk; false: none. */
static bool fits(const struct lb_arena *arena, const struct lb_extent *extent, __u32 length, __u32 *ret_start)
{
	__u32 start = extent->start, left = arena->chunk - start % arena->chunk;

	if (left < length)
		start += left;
	if ((__u64)start + length > (__u64)extent->start + extent->length)
		return false;
	*ret_start = start;
	return true;
}

static bool find(const struct lb_arena *arena, __u32 length, bool fresh, size_t *ret_at, __u32 *ret_start)
{
	for (size_t i = 0; i < arena->n_free; i++) {
		if ((fresh || !arena->free[i].fresh) && fits(arena, &arena->free[i], length, ret_start)) {
			*ret_at = i;
			return true;
		}
	}
	return false;
}

/* Joins extents that touch. all: whatever their freshness (the joint one is then as fresh as the freshest).
 */
static void coalesce(struct lb_arena *arena, bool all)
{
	size_t kept = 0;

	for (size_t i = 1; i < arena->n_free; i++) {
		struct lb_extent *last = &arena->free[kept], *next = &arena->free[i];

		if (last->start + last->length == next->start && (all || last->fresh == next->fresh)) {
			last->length += next->length;
			last->fresh |= next->fresh;
		} else {
			arena->free[++kept] = *next;
		}
	}
	if (arena->n_free)
		arena->n_free = kept + 1;
}

int lb_arena_alloc(struct lb_arena *arena, __u32 length, __u32 *ret_start, bool *ret_fresh)
{
	__u32 start;
	size_t at;

	if (make_room(arena) < 0)
		return -ENOMEM;
	if (!length || length > arena->chunk)
		return -ENOSPC;
	if (!find(arena, length, false, &at, &start)) {
		coalesce(arena, true);
		if (!find(arena, length, true, &at, &start))
			return -ENOSPC;
	}
	*ret_fresh = arena->free[at].fresh;
	cut(arena, at, start, length);
	*ret_start = start;
	return 0;
}

int lb_arena_take(struct lb_arena *arena, __u32 start, __u32 length)
{
	__u64 end = (__u64)start + length;

	if (!length || end > arena->size || start / arena->chunk != (end - 1) / arena->chunk)
		return -ERANGE;
	if (make_room(arena) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < arena->n_free; i++) {
		const struct lb_extent *extent = &arena->free[i];

		if (extent->start <= start && end <= (__u64)extent->start + extent->length) {
			cut(arena, i, start, length);
			return 0;
		}
	}
	return -EEXIST;
}

void lb_arena_release(struct lb_arena *arena, __u32 start, __u32 length, bool fresh)
{
	size_t low = 0, high = arena->n_free;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (arena->free[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	insert_extent(arena, low, (struct lb_extent){ .start = start, .length = length, .fresh = fresh });
	arena->used -= length;
	arena->n_taken--;
	/* Only with neighbours of the same kind: a fresh crumb must not make a large extent fresh. */
	if (low + 1 < arena->n_free && start + length == arena->free[low + 1].start &&
	    arena->free[low + 1].fresh == fresh) {
		arena->free[low].length += arena->free[low + 1].length;
		remove_extent(arena, low + 1);
	}
	if (low > 0 && arena->free[low - 1].start + arena->free[low - 1].length == start &&
	    arena->free[low - 1].fresh == fresh) {
		arena->free[low - 1].length += arena->free[low].length;
		remove_extent(arena, low);
	}
}

void lb_arena_settle(struct lb_arena *arena)
{
	for (size_t i = 0; i < arena->n_free; i++)
		arena->free[i].fresh = false;
	coalesce(arena, false);
}

int lb_arena_resize(struct lb_arena *arena, __u32 size)
{
	struct lb_extent *last;

	if (make_room(arena) < 0)
		return -ENOMEM;
	if (size > arena->size) {
		insert_extent(arena, arena->n_free,
			      (struct lb_extent){ .start = arena->size, .length = size - arena->size });
		coalesce(arena, false);
	} else if (size < arena->size) {
		coalesce(arena, true);
		last = arena->n_free ? &arena->free[arena->n_free - 1] : NULL;
		if (!last || last->start + last->length != arena->size || last->start > size)
			return -EBUSY;
		last->length = size - last->start;
		if (!last->length)
			arena->n_free--;
	}
	arena->size = size;
	return 0;
}

void lb_arena_unsettle(struct lb_arena *arena)
{
	for (size_t i = 0; i < arena->n_free; i++)
		arena->free[i].fresh = true;
}

int lb_ids_init(struct lb_ids *ids, __u32 size)
{
	*ids = (struct lb_ids){ .size = size };
	ids->bits = calloc((size + 63) / 64 + 1, sizeof(*ids->bits));
	return ids->bits ? 0 : -ENOMEM;
}

void lb_ids_done(struct lb_ids *ids)
{
	free(ids->bits);
	*ids = (struct lb_ids){};
}

int lb_ids_resize(struct lb_ids *ids, __u32 size)
{
	size_t had = (ids->size + 63) / 64 + 1, words = (size + 63) / 64 + 1;
	__u64 *bits;

	for (__u32 id = size; id < ids->size; id++)
		if (lb_ids_taken(ids, id))
			return -EBUSY;
	if (words > had) {
		bits = realloc(ids->bits, words * sizeof(*bits));
		if (!bits)
			return -ENOMEM;
		memset(bits + had, 0, (words - had) * sizeof(*bits));
		ids->bits = bits;
	}
	ids->size = size;
	if (ids->lowest > size)
		ids->lowest = size;
	return 0;
}

bool lb_ids_taken(const struct lb_ids *ids, __u32 id)
{
	return id < ids->size && ids->bits[id / 64] >> (id % 64) & 1;
}

int lb_ids_alloc(struct lb_ids *ids, __u32 *ret_id)
{
	for (__u32 word = ids->lowest / 64; word * 64 < ids->size; word++) {
		__u32 id;

		if (!~ids->bits[word])
			continue;
		id = word * 64 + (__u32)__builtin_ctzll(~ids->bits[word]);
		if (id >= ids->size)
			break;
		*ret_id = id;
		return lb_ids_take(ids, id);
	}
	return -ENOSPC;
}

int lb_ids_take(struct lb_ids *ids, __u32 id)
{
	if (id >= ids->size)
		return -ERANGE;
	if (lb_ids_taken(ids, id))
		return -EEXIST;
	ids->bits[id / 64] |= 1ull << (id % 64);
	ids->used++;
	if (id == ids->lowest)
		ids->lowest = id + 1;
	return 0;
}

void lb_ids_release(struct lb_ids *ids, __u32 id)
{
	ids->bits[id / 64] &= ~(1ull << (id % 64));
	ids->used--;
	if (id < ids->lowest)
		ids->lowest = id;
}
