/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has which part of a table: regions of lines (rings, backend records) and single ids. Book-keeping of
 * the agent alone; nothing here touches the tables.
 *
 * A region that packets could still be reading is given back "fresh". It serves again only when nothing else
 * fits, and the caller then must wait for a grace period before it writes there (*ret_fresh says so);
 * lb_arena_settle() says that one has passed.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct lb_extent {
	__u32 start, length;
	bool fresh;
};

struct lb_arena {
	struct lb_extent *free; /* by start; neighbours that touch differ in fresh */
	size_t n_free, capacity;
	size_t n_taken; /* regions; capacity >= n_free + n_taken, so that giving back cannot fail */
	__u32 size, used;
	__u32 chunk; /* a region lies within one chunk of this many lines */
};

/* chunk divides size. 0 or -ENOMEM. */
int lb_arena_init(struct lb_arena *arena, __u32 size, __u32 chunk);
void lb_arena_done(struct lb_arena *arena);

/* length: 1..chunk. 0, -ENOSPC, -ENOMEM. Lowest place that fits, settled ones first. */
int lb_arena_alloc(struct lb_arena *arena, __u32 length, __u32 *ret_start, bool *ret_fresh);

/* Takes a given region. 0, -EEXIST if some of it is taken, -ERANGE outside or across chunks, -ENOMEM. */
int lb_arena_take(struct lb_arena *arena, __u32 start, __u32 length);

/* Gives a region back; start and length as they were taken. */
void lb_arena_release(struct lb_arena *arena, __u32 start, __u32 length, bool fresh);

/* Nothing that is free can be read any more. */
void lb_arena_settle(struct lb_arena *arena);

/* From now on it has so many lines (chunk divides size). 0, -ENOMEM, or -EBUSY: what would go is in use. */
int lb_arena_resize(struct lb_arena *arena, __u32 size);

/* Everything that is free may still be read (after adoption). */
void lb_arena_unsettle(struct lb_arena *arena);

/* Small numbers, lowest first. */
struct lb_ids {
	__u64 *bits;
	__u32 size, used;
	__u32 lowest; /* none below is free */
};

int lb_ids_init(struct lb_ids *ids, __u32 size);
void lb_ids_done(struct lb_ids *ids);
int lb_ids_resize(struct lb_ids *ids, __u32 size);   /* 0, -ENOMEM, -EBUSY: one of those that go is taken */
int lb_ids_alloc(struct lb_ids *ids, __u32 *ret_id); /* 0 or -ENOSPC */
int lb_ids_take(struct lb_ids *ids, __u32 id);       /* 0, -EEXIST, -ERANGE */
void lb_ids_release(struct lb_ids *ids, __u32 id);
bool lb_ids_taken(const struct lb_ids *ids, __u32 id);
