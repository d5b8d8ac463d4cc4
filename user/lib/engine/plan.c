// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the desired state to a plan: which services come, go and change. What a change of one service is, is
 * plan_service.c's business; what it does to slots, plan_slots.c's; how it is told, plan_effects.c's.
 *
 * A plan writes no table. It reserves ids and regions in the engine's books, so that what it says about room
 * is exact, and gives them back when it is freed without a commit.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "config/config_diff.h"

/* --- overrides ----------------------------------------------------------------------------------- */

static int compare_overrides(const void *a, const void *b)
{
	const struct lb_override *x = a, *y = b;
	int r = strcmp(x->service, y->service);

	return r ? r : strcmp(x->backend, y->backend);
}

/* By name; those for the same backend stay in their order. */
static int compare_places(const void *a, const void *b)
{
	const struct lb_override *x = *(const struct lb_override *const *)a;
	const struct lb_override *y = *(const struct lb_override *const *)b;
	int r = compare_overrides(x, y);

	return r ? r : (x > y) - (x < y);
}

/* A sorted copy; of several for one backend, later ones add to and win over earlier ones. */
static int sort_overrides(const struct lb_override *from, size_t n, struct lb_override **ret, size_t *ret_n)
{
	const struct lb_override **place = calloc(n + 1, sizeof(struct lb_override *));
	struct lb_override *sorted = calloc(n + 1, sizeof(*sorted));
	size_t kept = 0;

	if (!place || !sorted) {
		free(place);
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		place[i] = &from[i];
	qsort(place, n, sizeof(struct lb_override *), compare_places);
	for (size_t i = 0; i < n; i++) {
		struct lb_override *same = kept ? &sorted[kept - 1] : NULL;

		if (!same || compare_overrides(same, place[i]) != 0) {
			sorted[kept++] = *place[i];
			continue;
		}
		if (place[i]->has_weight)
			same->weight = place[i]->weight;
		if (place[i]->has_state)
			same->state = place[i]->state;
		same->has_weight |= place[i]->has_weight;
		same->has_state |= place[i]->has_state;
	}
	free(place);
	*ret = sorted;
	*ret_n = kept;
	return 0;
}

const struct lb_override *lb_overrides_of(const struct lb_override *overrides, size_t n, const char *service,
					  size_t *ret_n)
{
	size_t low = 0, high = n, end;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(overrides[middle].service, service) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < n && strcmp(overrides[end].service, service) == 0;)
		end++;
	*ret_n = end - low;
	return overrides + low;
}

static bool same_overrides(const struct lb_plan *plan, const char *service)
{
	const struct lb_engine *engine = plan->engine;
	const struct lb_override *now, *then;
	size_t n_now, n_then;

	if (!plan->n_overrides && !engine->n_overrides)
		return true;
	now = lb_overrides_of(plan->overrides, plan->n_overrides, service, &n_now);
	then = lb_overrides_of(engine->overrides, engine->n_overrides, service, &n_then);
	if (n_now != n_then)
		return false;
	for (size_t i = 0; i < n_now; i++) {
		if (strcmp(now[i].backend, then[i].backend) != 0 || now[i].has_weight != then[i].has_weight ||
		    now[i].has_state != then[i].has_state ||
		    (now[i].has_weight && now[i].weight != then[i].weight) ||
		    (now[i].has_state && now[i].state != then[i].state))
			return false;
	}
	return true;
}

/* Every record there is was found to be as the next hops of a plan have it, or has become so. */
void lb_engine_agree(const struct lb_plan *plan)
{
	plan->engine->nexthops_agreed = plan->nexthops;
	plan->engine->nexthops_revision = plan->nexthops_revision;
}

/* --- the plan as a whole ------------------------------------------------------------------------- */

static void seed_of(const struct lb_config *config, __u64 seed[LB_HASH_WORDS])
{
	for (__u32 i = 0; i < LB_HASH_WORDS; i++)
		seed[i] = XXH3_64bits_withSeed(config->hash_seed, strlen(config->hash_seed), i);
}

static int check_config(struct lb_plan *plan, struct lb_error *error)
{
	const struct lb_engine *engine = plan->engine;
	const struct lb_config *config = plan->config;
	const struct lb_control *control = engine->tables->control;
	__u64 entries = config->limits.flow_entries;

	seed_of(config, plan->hash_seed);
	if (engine->n_order && memcmp(plan->hash_seed, control->hash_seed, sizeof(plan->hash_seed)) != 0)
		return lb_error_at(
			error, EBUSY, "hash_seed", NULL, /* the value is a secret */
			"hash_seed differs from that of the running tables: nearly all flows of all "
			"%zu services would move; keep it, or change it where nothing runs: with no "
			"services (apply \"services\": [] first), or with new tables (stop lbd, run lbd "
			"--detach, start it)",
			engine->n_order);
	if (entries && entries < (__u64)engine->tables->sizes.cpus * LB_FLOWS_PER_BUCKET)
		return lb_error_at(
			error, EINVAL, "limits.flow_entries", NULL,
			"limits.flow_entries is %llu, less than one bucket of %u for each of %u CPUs; "
			"it must be 0 or at least %u",
			entries, LB_FLOWS_PER_BUCKET, engine->tables->sizes.cpus,
			engine->tables->sizes.cpus * LB_FLOWS_PER_BUCKET);
	return 0;
}

static struct lb_service_change *add_change(struct lb_plan *plan)
{
	if (plan->n_changes == plan->changes_capacity) {
		size_t capacity = plan->changes_capacity ? 2 * plan->changes_capacity : 16;
		struct lb_service_change *changes = realloc(plan->changes, capacity * sizeof(*changes));

		if (!changes)
			return NULL;
		plan->changes = changes;
		plan->changes_capacity = capacity;
	}
	plan->changes[plan->n_changes] = (struct lb_service_change){};
	return &plan->changes[plan->n_changes++];
}

static int no_room(struct lb_engine *engine, int r, bool rings, __u64 need, struct lb_error *error)
{
	if (r == -ENOMEM)
		return lb_error_set(error, ENOMEM, "out of memory");
	if (rings)
		return lb_error_at(
			error, ENOSPC, "limits.ring_slots", NULL,
			"the ring table is full: %llu slots more do not fit beside the %u in use (it has "
			"%u, twice what may be in use, because a change is written beside the old); "
			"raise limits.ring_slots, or use smaller rings",
			need * LB_SLOTS_PER_LINE, engine->rings.used * LB_SLOTS_PER_LINE,
			engine->rings.size * LB_SLOTS_PER_LINE);
	return lb_error_at(
		error, ENOSPC, "limits.backends", NULL,
		"the backend table is full: %llu records more do not fit beside the %u in use (it has "
		"%u, twice what may be in use, because a change is written beside the old); raise "
		"limits.backends",
		need, engine->records.used, engine->records.size);
}

/* What new services need at least, before any ring is built: a configuration that is far too large is refused
 * at once. */
static int check_room(const struct lb_plan *plan, struct lb_error *error)
{
	struct lb_engine *engine = plan->engine;
	__u64 lines = 0, records = 0;

	for (size_t i = 0; i < plan->config->n_services; i++) {
		const struct lb_config_service *service = &plan->config->services[i];
		__u32 slots =
			service->ring_size ? service->ring_size : lb_config_ring_size(service->n_backends);

		if (plan->places[i].current || plan->places[i].lead != i)
			continue;
		lines += slots / LB_SLOTS_PER_LINE;
		records += service->n_backends ? service->n_backends : 1;
	}
	if (engine->rings.used + lines > engine->rings.size)
		return no_room(engine, -ENOSPC, true, lines, error);
	if (engine->records.used + records > engine->records.size)
		return no_room(engine, -ENOSPC, false, records, error);
	return 0;
}

/* Whether a service is as it was, as far as it alone is concerned. */
static bool is_unchanged(const struct lb_plan *plan, const struct lb_desired *desired, bool sources_same,
			 size_t i)
{
	const struct lb_config_service *config = &plan->config->services[i];
	const struct lb_service *current = plan->places[i].current;

	return current && current->config && sources_same &&
	       lb_config_same_service(current->config, config) && same_overrides(plan, config->name) &&
	       (current->vip.flags & LB_VIP_UNCLAIMED) == lb_plan_unclaimed(desired, config);
}

/* Whether the tables say that the members are of the service that leads; if not, they are to before another
 * one goes. All of them are said to be of the same. */
static bool is_said_to_lead(const struct lb_engine *engine, const struct lb_service *service)
{
	for (__u32 i = 0; i < service->vip.backend_count; i++) {
		const struct lb_member *member = &service->members[i];

		if (member->used)
			return engine->tables->backend_meta[member->id].service == service->vip.service;
	}
	return true;
}

/* Whether nothing of a ring and its services has changed. */
static bool stays(struct lb_plan *plan, const struct lb_desired *desired, bool sources_same, __u32 lead)
{
	const struct lb_service *current;

	for (__u32 at = lead; at != LB_PLAN_NOWHERE; at = plan->places[at].after) {
		if (!is_unchanged(plan, desired, sources_same, at))
			return false;
	}
	current = plan->places[lead].current;
	return is_said_to_lead(plan->engine, current) &&
	       !(current->vip.flags & LB_VIP_SHARED) == (plan->places[lead].after == LB_PLAN_NOWHERE) &&
	       (plan->same_nexthops || !lb_plan_nexthops_changed(plan->engine, current, desired));
}

/* ring: number of the change of the one that leads. */
static int plan_service(struct lb_plan *plan, const struct lb_desired *desired, __u32 at, size_t ring,
			struct lb_error *error)
{
	const struct lb_config_service *config = &plan->config->services[at];
	struct lb_service_change *change = add_change(plan);
	__u32 lead = plan->places[at].lead;
	int r;

	if (!change)
		return lb_error_set(error, ENOMEM, "out of memory");
	change->current = plan->places[at].current;
	if (at == lead)
		r = lb_plan_service(plan, change, config, desired, at, error);
	else
		r = lb_plan_sharer(plan, change, plan->order[lead], plan->changes[ring].visible, config,
				   desired, at, error);
	plan->order[at] = change->next;
	return r;
}

/* A ring and all services that have it: together, because they name the same regions. */
static int plan_ring(struct lb_plan *plan, const struct lb_desired *desired, bool sources_same, __u32 lead,
		     struct lb_error *error)
{
	bool same = stays(plan, desired, sources_same, lead);
	size_t ring = plan->n_changes;
	int r = 0;

	for (__u32 at = lead; r == 0 && at != LB_PLAN_NOWHERE; at = plan->places[at].after) {
		struct lb_service *current = plan->places[at].current;

		if (current)
			current->claimed = plan->engine->plan_serial;
		if (same)
			plan->order[at] = current;
		else
			r = plan_service(plan, desired, at, ring, error);
	}
	return r;
}

/* Services that the desired configuration does not have any more. */
static int plan_removals(struct lb_plan *plan, struct lb_error *error)
{
	struct lb_engine *engine = plan->engine;

	if (plan->config == engine->config)
		return 0;
	for (size_t i = 0; i < engine->n_order; i++) {
		struct lb_service_change *change;

		if (engine->order[i]->claimed == engine->plan_serial)
			continue;
		change = add_change(plan);
		if (!change)
			return lb_error_set(error, ENOMEM, "out of memory");
		change->current = engine->order[i];
		change->visible = true;
	}
	return 0;
}

/* Regions for what is written beside the old. */
static int reserve_regions(struct lb_plan *plan, struct lb_service_change *change, struct lb_error *error)
{
	struct lb_engine *engine = plan->engine;
	struct lb_service *next = change->next, *current = change->current;
	__u32 ring_line = current ? lb_vip_ring_line(&current->vip) : 0;
	__u32 first = current ? current->vip.backend_first : 0;
	__u32 need;
	int r;

	if (next->leader) {
		next->vip.ring_mask = next->leader->vip.ring_mask;
		next->vip.backend_count = next->leader->vip.backend_count;
		lb_vip_place(&next->vip, lb_vip_ring_line(&next->leader->vip),
			     next->leader->vip.backend_first);
		return 0;
	}
	if (change->target) {
		need = lb_service_slots(next) / LB_SLOTS_PER_LINE;
		r = lb_arena_alloc(&engine->rings, need, &ring_line, &change->ring_fresh);
		if (r < 0)
			return no_room(engine, r, true, need, error);
		change->new_ring_region = true;
	}
	if (change->records) {
		need = next->vip.backend_count ? next->vip.backend_count : 1;
		r = lb_arena_alloc(&engine->records, need, &first, &change->records_fresh);
		if (r < 0) {
			lb_vip_place(&next->vip, ring_line, 0);
			return no_room(engine, r, false, need, error);
		}
		change->new_record_region = true;
	}
	lb_vip_place(&next->vip, ring_line, first);
	plan->needs_grace |= change->ring_fresh || change->records_fresh;
	return 0;
}

static int plan_all(struct lb_plan *plan, const struct lb_desired *desired, struct lb_error *error)
{
	const struct lb_engine *engine = plan->engine;
	bool sources_same =
		engine->config && lb_config_same_key(engine->config, plan->config, "tunnel_source");
	int r = check_config(plan, error);

	plan->held = desired->host_addresses;
	plan->n_held = desired->n_held;
	if (r == 0)
		r = lb_plan_rings(plan, error);
	if (r == 0)
		r = check_room(plan, error);
	for (size_t i = 0; r == 0 && i < plan->config->n_services; i++) {
		if (plan->places[i].lead == i)
			r = plan_ring(plan, desired, sources_same, (__u32)i, error);
		lb_engine_pause(engine);
	}
	if (r == 0)
		r = plan_removals(plan, error);
	for (size_t i = 0; r == 0 && i < plan->n_changes; i++) {
		if (plan->changes[i].next)
			r = reserve_regions(plan, &plan->changes[i], error);
		lb_engine_pause(engine);
	}
	if (r == 0)
		r = lb_plan_layout(plan, error);
	lb_engine_pause(engine);
	if (r == 0)
		r = lb_plan_effects(plan, error);
	if (r == 0 && !plan->n_changes)
		lb_engine_agree(plan);
	if (r == 0 && !plan->n_changes && !plan->new_layout)
		plan->engine->held_digest = plan->held_digest;
	return r;
}

int lb_engine_plan(struct lb_engine *engine, const struct lb_desired *desired, struct lb_plan **ret_plan,
		   struct lb_error *error)
{
	struct lb_plan *plan = calloc(1, sizeof(*plan));
	int r;

	if (!plan)
		return lb_error_set(error, ENOMEM, "out of memory");
	plan->engine = engine;
	plan->generation = engine->generation;
	plan->config = desired->config;
	plan->differs = desired->differs;
	plan->nexthops = desired->nexthops;
	plan->nexthops_revision = desired->nexthops ? desired->nexthops->revision : 0;
	plan->same_nexthops = plan->nexthops && plan->nexthops == engine->nexthops_agreed &&
			      plan->nexthops_revision == engine->nexthops_revision;
	engine->plans++;
	engine->plan_serial++;
	plan->order = calloc(desired->config->n_services + 1, sizeof(*plan->order));
	r = plan->order ? sort_overrides(desired->overrides, desired->n_overrides, &plan->overrides,
					 &plan->n_overrides)
			: -ENOMEM;
	if (r < 0)
		lb_error_set(error, -r, "out of memory");
	else
		r = plan_all(plan, desired, error);
	if (r < 0) {
		lb_plan_free(plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

/* Gives back what a change that was not committed had reserved. */
static void give_back(struct lb_engine *engine, struct lb_service_change *change,
		      const struct lb_member *scratch)
{
	struct lb_service *next = change->next;

	if (!next)
		return;
	if (change->new_ring_region)
		lb_arena_release(&engine->rings, lb_vip_ring_line(&next->vip),
				 lb_service_slots(next) / LB_SLOTS_PER_LINE, change->ring_fresh);
	if (change->new_record_region)
		lb_arena_release(&engine->records, next->vip.backend_first,
				 next->vip.backend_count ? next->vip.backend_count : 1,
				 change->records_fresh);
	for (__u32 i = 0; !next->leader && i < next->vip.backend_count; i++) {
		if (next->members[i].added)
			lb_ids_release(&engine->backend_ids, next->members[i].id);
	}
	if (change->new_id)
		lb_ids_release(&engine->service_ids, next->vip.service);
	if (next->members == scratch)
		next->members = NULL;
	lb_service_free(next);
}

void lb_plan_free(struct lb_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_changes; i++) {
		struct lb_service_change *change = &plan->changes[i];

		if (!plan->done)
			give_back(plan->engine, change, plan->scratch);
		free(change->why);
		lb_service_free(change->gone);
		lb_engine_pause(plan->engine);
	}
	plan->engine->plans--;
	lb_engine_trim_nexthops(plan->engine);
	lb_commit_forget(plan);
	lb_plan_memory_done(plan);
	free(plan->added);
	free(plan->items);
	free(plan->changes);
	free(plan->order);
	free(plan->places);
	free(plan->effects);
	free(plan->overrides);
	free(plan);
}

bool lb_plan_is_empty(const struct lb_plan *plan)
{
	return plan->n_effects == 0 && !plan->new_layout && !plan->differs;
}

size_t lb_plan_services(const struct lb_plan *plan, const struct lb_plan_service **ret_services)
{
	*ret_services = plan->effects;
	return plan->n_effects;
}
