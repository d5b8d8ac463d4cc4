// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweeper: passes over the unsettled rings, the flow table, and the rings again, a bounded piece at a
 * time. A pass takes at least a second, and between what it does to slots and what it concludes from the flow
 * table lies a grace period, so that no packet that saw the slots as they were is still under way.
 *
 * Freed at the end of a pass: what left (a backend, the index of one that returned, a service that was
 * removed) once no slot named it when the pass began and two passes in a row met no flow entry of it.
 *
 * While nothing is unsettled, leaving, or in the flow table, there is nothing to sweep and no pass begins.
 */
#include "engine/engine_internal.h"

#include <stdlib.h>

/* Services looked at that need nothing cost this fraction of a unit. */
#define IDLE_SERVICES_PER_UNIT 16

static void advance_clock(struct lb_engine *engine, __u64 now_s)
{
	struct lb_control *control = engine->tables->control;
	__u64 elapsed = engine->ticked && now_s > engine->now_s ? now_s - engine->now_s : 0;

	if (elapsed > LB_ENGINE_CLOCK_STEP_MAX_S)
		elapsed = LB_ENGINE_CLOCK_STEP_MAX_S;
	if (!control->clock_s)
		elapsed = 1;
	if (elapsed)
		__atomic_store_n(&control->clock_s, control->clock_s + (__u32)elapsed, __ATOMIC_RELEASE);
	if (!engine->ticked || now_s > engine->now_s)
		engine->now_s = now_s;
	engine->ticked = true;
}

/* Whether what was given up cannot be read any more: it is waited for now, or later, or it failed. */
static bool grace_passed(struct lb_engine *engine)
{
	if (!engine->hooks->await)
		return lb_engine_grace(engine) == 0;
	engine->awaited = true;
	engine->hooks->await(engine->hooks->context);
	return false;
}

int lb_engine_await(struct lb_engine *engine)
{
	return engine->awaited ? lb_engine_grace(engine) : 0;
}

/* --- walking the services ------------------------------------------------------------------------ */

/*
 * Visits lines of rings from the cursor on, calling line() for services that have unsettled slots and after()
 * once per service that has a ring (which one that is of those that share it may change in between: is_due()
 * knows what is done). Returns the units of work; *done when the last service is through.
 */
static size_t walk_rings(struct lb_engine *engine, size_t work, bool *done,
			 bool (*is_due)(const struct lb_engine *engine, const struct lb_service *service),
			 void (*line)(struct lb_engine *engine, struct lb_service *service, __u32 line),
			 void (*after)(struct lb_engine *engine, struct lb_service *service))
{
	struct lb_sweep *sweep = &engine->sweep;
	size_t did = 0, idle = 0;

	for (; sweep->service < engine->tables->sizes.services; sweep->service++, sweep->line = 0) {
		struct lb_service *service = engine->by_id[sweep->service];

		if (!service)
			continue;
		if (++idle % IDLE_SERVICES_PER_UNIT == 0)
			did++;
		if (service->leader || !is_due(engine, service))
			continue;
		while (service->unsettled && sweep->line < lb_service_slots(service) / LB_SLOTS_PER_LINE) {
			if (did >= work)
				return did;
			line(engine, service, sweep->line++);
			did++;
		}
		if (did >= work)
			return did ? did : 1;
		after(engine, service);
	}
	sweep->service = sweep->line = 0;
	*done = true;
	return did ? did : 1;
}

static bool is_to_begin(const struct lb_engine *engine, const struct lb_service *service)
{
	return service->begun_pass != (__u32)engine->sweep.begun;
}

/* What the pass did not begin with, it proves nothing of. */
static bool is_to_finish(const struct lb_engine *engine, const struct lb_service *service)
{
	return service->begun_pass == (__u32)engine->sweep.begun &&
	       service->ended_pass != (__u32)engine->sweep.begun;
}

/* Start of a pass: whoever is named by no slot now cannot be named by one later, unless it is taken back. */
static void begin_service(struct lb_engine *engine, struct lb_service *service)
{
	service->begun_pass = (__u32)engine->sweep.begun;
	for (__u32 i = 0; service->n_leaving && i < service->vip.backend_count; i++) {
		struct lb_member *member = &service->members[i];

		if (lb_member_draining(member) || member->leaving || member->ghost)
			lb_drain_begin_pass(engine, service, member);
	}
}

/* End of a pass. */
static void finish_service(struct lb_engine *engine, struct lb_service *service)
{
	service->ended_pass = (__u32)engine->sweep.begun;
	if (!service->unsettled) {
		free(service->ready);
		free(service->moved_s);
		service->ready = NULL;
		service->moved_s = NULL;
	} else {
		engine->sweep.moved = true;
	}
	for (__u32 i = 0; service->n_leaving && i < service->vip.backend_count; i++) {
		struct lb_member *member = &service->members[i];

		if (!lb_member_draining(member) && !member->leaving && !member->ghost)
			continue;
		lb_drain_end_pass(engine, service, member);
		engine->sweep.moved |= member->leaving || member->ghost || !lb_drain_is_over(member);
		if (lb_drain_is_over(member) && (member->leaving || member->ghost) && !engine->plans)
			lb_engine_free_member(engine, service, i);
	}
}

/* --- what is gone -------------------------------------------------------------------------------- */

static void free_gone(struct lb_engine *engine, struct lb_gone *gone)
{
	const struct lb_tables *tables = engine->tables;

	for (size_t i = 0; i < gone->n_ids; i++) {
		tables->backend_meta[gone->ids[i]].used = 0;
		lb_ids_release(&engine->backend_ids, gone->ids[i]);
	}
	if (gone->service != LB_NO_SERVICE) {
		tables->service_meta[gone->service].used = 0;
		lb_ids_release(&engine->service_ids, gone->service);
	}
	free(gone->ids);
}

static void finish_gone(struct lb_engine *engine)
{
	__u64 pass = engine->sweep.begun;
	size_t kept = 0;

	for (size_t i = 0; i < engine->n_gone; i++) {
		struct lb_gone *gone = &engine->gone[i];

		if (gone->mark >= pass || engine->gone_seen[gone->service] == pass)
			gone->clean_passes = 0;
		else if (gone->clean_passes < LB_CLEAN_PASSES)
			gone->clean_passes++;
		if (gone->clean_passes == LB_CLEAN_PASSES && !engine->plans)
			free_gone(engine, gone);
		else
			engine->gone[kept++] = *gone;
	}
	engine->n_gone = kept;
}

/* --- passes -------------------------------------------------------------------------------------- */

static bool may_begin(const struct lb_engine *engine)
{
	const struct lb_sweep *sweep = &engine->sweep;

	return sweep->moved && (!sweep->begun || lb_engine_clock(engine) != sweep->began_s);
}

static size_t sweep_flows(struct lb_engine *engine, size_t work)
{
	struct lb_sweep *sweep = &engine->sweep;
	size_t did = 0;

	/* Slots were stored, or a commit was made, or places were given up: packets must have seen it. */
	if (engine->dirty && sweep->bucket == 0 && !grace_passed(engine))
		return 0;
	while (did < work && sweep->bucket < engine->tables->sizes.flow_buckets)
		did += lb_sweep_bucket(engine, sweep->bucket++);
	if (sweep->bucket == engine->tables->sizes.flow_buckets) {
		sweep->bucket = 0;
		sweep->phase = LB_PHASE_FINISH;
	}
	return did;
}

static void end_pass(struct lb_engine *engine)
{
	struct lb_sweep *sweep = &engine->sweep;

	finish_gone(engine);
	sweep->done = sweep->begun;
	sweep->phase = LB_PHASE_IDLE;
	engine->flow_entries = sweep->entries;
	engine->flow_embryonic = sweep->embryonic;
	sweep->moved |= sweep->entries || sweep->tombs || engine->n_gone;
}

static void begin_pass(struct lb_engine *engine)
{
	struct lb_sweep *sweep = &engine->sweep;

	*sweep = (struct lb_sweep){ .phase = LB_PHASE_RINGS,
				    .begun = sweep->begun + 1,
				    .done = sweep->done,
				    .began_s = lb_engine_clock(engine) };
}

/* One piece of work; 0 when there is none now. */
static size_t sweep_some(struct lb_engine *engine, size_t work)
{
	struct lb_sweep *sweep = &engine->sweep;
	bool done = false;
	size_t did = 0;

	switch (sweep->phase) {
	case LB_PHASE_IDLE:
		if (!may_begin(engine))
			return 0;
		begin_pass(engine);
		return 1;
	case LB_PHASE_RINGS:
		did = walk_rings(engine, work, &done, is_to_begin, lb_sweep_begin_line, begin_service);
		if (done)
			sweep->phase = LB_PHASE_FLOWS;
		return did;
	case LB_PHASE_FLOWS:
		return sweep_flows(engine, work);
	case LB_PHASE_FINISH:
		did = walk_rings(engine, work, &done, is_to_finish, lb_sweep_finish_line, finish_service);
		if (done)
			end_pass(engine);
		return did;
	}
	return 0;
}

/*
 * What commits gave up is made fit to serve again here, so that no commit has to wait for that: once nothing
 * has been committed since the tick before, or half of the banks are used up. If it fails, the commit that
 * needs it tries again, and tells.
 */
static void reclaim(struct lb_engine *engine)
{
	bool quiet = engine->ticked_generation == engine->generation;
	unsigned int fresh = 0;

	for (__u32 i = 0; i < LB_BANKS; i++)
		fresh += engine->bank_fresh[i];
	engine->ticked_generation = engine->generation;
	if (fresh && (quiet || fresh >= LB_BANKS / 2))
		grace_passed(engine);
}

void lb_engine_turn(struct lb_engine *engine, __u64 now_s)
{
	lb_engine_forget_views(engine);
	if (!engine->held)
		reclaim(engine);
	advance_clock(engine, now_s);
}

size_t lb_engine_sweep(struct lb_engine *engine, size_t work)
{
	size_t visited = 0;

	lb_engine_forget_views(engine);
	if (engine->held)
		return 0;
	while (visited < work) {
		size_t did = sweep_some(engine, work - visited);

		if (!did)
			break;
		visited += did;
	}
	return visited;
}

size_t lb_engine_tick(struct lb_engine *engine, __u64 now_s, size_t work)
{
	lb_engine_turn(engine, now_s);
	return lb_engine_sweep(engine, work);
}
