/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Next hops by number: very many backends go by few next hops, so each is kept once. Internal to the engine.
 * Numbers stay valid until lb_nexthop_table_keep(); 0 is the next hop that is not resolved.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "engine/nexthop.h"

struct lb_nexthop_table {
	struct lb_nexthop *at; /* n of them, room for capacity */
	__u32 n, capacity;
	__u32 *index; /* size of them, power of two: number + 1; 0: free */
	__u32 size;
	__u32 kept; /* n after the last lb_nexthop_table_keep() */
};

int lb_nexthop_table_init(struct lb_nexthop_table *table); /* 0 or -ENOMEM */
void lb_nexthop_table_done(struct lb_nexthop_table *table);

/* The number of a next hop, which is added if it is new. 0 or -ENOMEM. */
int lb_nexthop_table_get(struct lb_nexthop_table *table, const struct lb_nexthop *nexthop, __u32 *ret_number);

static inline const struct lb_nexthop *lb_nexthop_table_at(const struct lb_nexthop_table *table, __u32 number)
{
	return &table->at[number];
}

/* Whether it is worth the while to look for what nobody uses any more. */
bool lb_nexthop_table_is_full(const struct lb_nexthop_table *table);

/* Forgets those whose number has 0 in used[] (n of them), and puts the new number + 1 of the others there. */
void lb_nexthop_table_keep(struct lb_nexthop_table *table, __u32 *used);
