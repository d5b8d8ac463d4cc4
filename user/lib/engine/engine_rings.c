// SPDX-License-Identifier: GPL-2.0-only
/*
 * Services that share a ring: the one that leads has the ring, the members and the records; the others are a
 * key, a name and an id each, and point to it. Packets see no difference: their VIP entries name the same
 * regions.
 */
#include "engine/engine_internal.h"

void lb_engine_lead(struct lb_engine *engine, struct lb_service *service)
{
	struct lb_service *old = service->leader;

#define TAKE(field)                                                                                          \
	service->field = old->field;                                                                         \
	old->field = 0
	TAKE(members);
	TAKE(server_ids);
	TAKE(n_leaving);
	TAKE(unsettled);
	TAKE(unsettled_since_s);
	TAKE(moved_s);
	TAKE(ready);
	TAKE(ring_is_built);
	TAKE(begun_pass);
	TAKE(ended_pass);
	TAKE(sharers);
#undef TAKE
	for (__u32 id = 0; id < engine->tables->sizes.services; id++) {
		struct lb_service *sharer = engine->by_id[id];

		if (sharer && sharer->leader == old)
			sharer->leader = service;
	}
	service->leader = NULL;
	old->leader = service;
	/* Plans that are alive take the old one for it. */
	engine->roles++;
	/* A pass that is under way may meet it for the second time, or not at all. */
	engine->sweep.moved = true;
}
