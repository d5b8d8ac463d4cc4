// SPDX-License-Identifier: GPL-2.0-only
/*
 * Book-keeping for tables of other sizes. Places, ids and rings stay what and where they are, so that the
 * tables can be copied as they stand; what would have no place any more is in the way.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void lb_engine_hold(struct lb_engine *engine, bool hold)
{
	engine->held += hold ? 1 : -1u;
}

/* Room by service id for the larger of both, until the tables are other ones. */
static int grow_services(struct lb_engine *engine, __u32 services)
{
	__u32 had = engine->service_ids.size, was = engine->tables->sizes.services;
	struct lb_service **by_id, **order;

	if (had < was)
		had = was;
	if (services <= had)
		return 0;
	by_id = realloc(engine->by_id, (services + 1) * sizeof(*by_id));
	if (!by_id)
		return -ENOMEM;
	memset(by_id + had, 0, (services + 1 - had) * sizeof(*by_id));
	engine->by_id = by_id;
	order = realloc(engine->order, (services + 1) * sizeof(*order));
	if (!order)
		return -ENOMEM;
	engine->order = order;
	return 0;
}

struct part {
	const char *what, *limit;
	int r;
};

static int refuse(const struct part *part, struct lb_error *error)
{
	if (part->r == -ENOMEM)
		return lb_error_set(error, ENOMEM, "out of memory");
	return lb_error_at(
		error, EBUSY, part->limit, NULL,
		"%s cannot be made that much smaller now: some in use, or that old flows may still "
		"name, would have no place; choose a larger %s, or try again when nothing is "
		"unsettled",
		part->what, part->limit);
}

static int resize(struct lb_engine *engine, const struct lb_table_sizes *sizes, struct lb_error *error)
{
	struct part parts[] = {
		{ "the table of services", "limits.services",
		  lb_ids_resize(&engine->service_ids, sizes->services) },
		{ "the table of backends", "limits.backends",
		  lb_ids_resize(&engine->backend_ids, sizes->counters) },
		{ "the table of records", "limits.backends",
		  lb_arena_resize(&engine->records, sizes->backends) },
		{ "the table of rings", "limits.ring_slots",
		  lb_arena_resize(&engine->rings, sizes->ring_lines) },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].r < 0)
			return refuse(&parts[i], error);
	return 0;
}

static void abandon_pass(struct lb_engine *engine)
{
	struct lb_sweep *sweep = &engine->sweep;

	/* As after one that ended without a result: the next one begins from nothing. */
	sweep->phase = LB_PHASE_IDLE;
	sweep->service = sweep->line = sweep->bucket = 0;
	sweep->moved = true;
}

int lb_engine_resize(struct lb_engine *engine, const struct lb_table_sizes *sizes, struct lb_error *error)
{
	struct lb_table_sizes before = { .services = engine->service_ids.size,
					 .counters = engine->backend_ids.size,
					 .backends = engine->records.size,
					 .ring_lines = engine->rings.size };
	int r;

	if (grow_services(engine, sizes->services) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = resize(engine, sizes, error);
	if (r < 0) {
		(void)resize(engine, &before, NULL);
		return r;
	}
	abandon_pass(engine);
	return 0;
}
