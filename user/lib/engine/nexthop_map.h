/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Next hops by address: what a plan is given of the world around it. A plain table, filled by its owner (lbd:
 * from what netlink told; tests: from anything) and read by plans, which ask nobody else.
 *
 * An address that is not in it is not resolved. The table has a revision, by which an engine knows that what
 * it looked up before is still so.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/address.h"
#include "engine/nexthop.h"
#include "engine/nexthop_table.h"

/* There are very many. */
struct lb_nexthop_entry {
	struct lb_address to;
	__u8 pass; /* of filling that put it last; it may wrap */
	__u32 number;
};
_Static_assert(sizeof(struct lb_nexthop_entry) == 24, "there are very many");

struct lb_nexthop_map {
	struct lb_nexthop_table nexthops; /* each once: very many addresses are reached by few next hops */
	struct lb_nexthop_entry *at;      /* n of them, room for capacity */
	__u32 n, capacity;
	__u32 *index; /* size of them, power of two: place in at[] + 1; 0: free */
	__u32 size;
	__u8 pass;
	__u64 revision; /* another one when the next hop of an address that was here is another one */
};

int lb_nexthop_map_init(struct lb_nexthop_map *map); /* 0 or -ENOMEM */
void lb_nexthop_map_done(struct lb_nexthop_map *map);

/* Filling anew: begin, put each, end, which forgets what was not put. Without begin and end: what is put
 * comes beside the others. put: 0 or -ENOMEM, and then the address is as it was. */
void lb_nexthop_map_begin(struct lb_nexthop_map *map);
int lb_nexthop_map_put(struct lb_nexthop_map *map, const struct lb_address *to,
		       const struct lb_nexthop *nexthop);
void lb_nexthop_map_end(struct lb_nexthop_map *map);

/* The next hop to an address: one that is not resolved where nothing is known, or map is NULL. Valid until
 * the map is changed. */
const struct lb_nexthop *lb_nexthop_map_get(const struct lb_nexthop_map *map, const struct lb_address *to);
