/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Next hops for plans of tests: a table filled from a function of the address.
 */
#pragma once

#include <errno.h>

#include "engine/engine.h"

struct nexthops_filling {
	struct lb_nexthop_map *map;
	void (*nexthop)(void *context, const struct lb_address *to, struct lb_nexthop *ret);
	void *context;
	int r;
};

static inline void nexthops_put(void *context, const struct lb_address *to)
{
	struct nexthops_filling *filling = context;
	struct lb_nexthop nexthop = {};

	filling->nexthop(filling->context, to, &nexthop);
	if (filling->r == 0)
		filling->r = lb_nexthop_map_put(filling->map, to, &nexthop);
}

/* All that a plan for the configuration may look for. The map is zeroed at first, and keeps its place for as
 * long as the engine lives, which knows it again by that. 0 or -ENOMEM. */
static inline int
nexthops_fill(struct lb_nexthop_map *map, const struct lb_config *config, const struct lb_engine *engine,
	      void (*nexthop)(void *context, const struct lb_address *to, struct lb_nexthop *ret),
	      void *context)
{
	struct nexthops_filling filling = { map, nexthop, context, 0 };

	if (!map->size && lb_nexthop_map_init(map) < 0)
		return -ENOMEM;
	lb_nexthop_map_begin(map);
	for (size_t i = 0; i < config->n_services; i++)
		for (size_t j = 0; j < config->services[i].n_backends; j++)
			nexthops_put(&filling, &config->services[i].backends[j].address);
	lb_engine_addresses(engine, nexthops_put, &filling);
	lb_nexthop_map_end(map);
	return filling.r;
}
