// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plan for one service: its members by index, its ring's owners, its records, its VIP entry, and whether
 * any of them differs from what packets see now.
 */
#include "engine/plan_build.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_diff.h"
#include "config/source_ranges.h"
#include "net/header.h"

int lb_build_out_of_memory(const struct lb_build *build)
{
	return lb_error_set(build->error, ENOMEM, "out of memory");
}

/* --- ring ---------------------------------------------------------------------------------------- */

static __u32 ring_slots(const struct lb_build *build)
{
	const struct lb_config_service *config = build->config;
	const struct lb_service *current = build->change->current;
	__u32 slots = config->ring_size ? config->ring_size : lb_config_ring_size(config->n_backends);

	/* A ring whose size the user did not fix never shrinks by itself. */
	if (current && !config->ring_size && lb_service_slots(current) > slots)
		slots = lb_service_slots(current);
	return slots;
}

/* What a ring is made of, and who is meant. */
struct pool {
	struct lb_ring_member *members;
	__u16 *index; /* of the service's members */
	size_t n;
};

static void pool_done(struct pool *pool)
{
	free(pool->members);
	free(pool->index);
}

static int pool_init(struct pool *pool, const struct lb_plan *plan, const struct lb_member *members,
		     __u32 count)
{
	*pool = (struct pool){ .members = calloc(count + 1, sizeof(*pool->members)),
			       .index = calloc(count + 1, sizeof(*pool->index)) };
	if (!pool->members || !pool->index)
		return -ENOMEM;
	for (__u32 i = 0; i < count; i++) {
		__u32 weight = lb_member_ring_weight(&members[i]);

		if (!weight)
			continue;
		pool->index[pool->n] = (__u16)i;
		pool->members[pool->n++] =
			(struct lb_ring_member){ lb_ring_member_id(lb_plan_member_name(plan, &members[i])),
						 weight };
	}
	return 0;
}

/* The ring that the tables hold, as the builder gave it. Owners by place in the pool. */
static int known_owners(const struct lb_build *build, const struct pool *pool, __u32 *owner)
{
	const struct lb_service *current = build->change->current;
	const __u32 *ring = lb_engine_ring(build->plan->engine, lb_vip_ring_line(&current->vip));
	__u32 count = current->vip.backend_count;
	__u32 *place = malloc((count + 1u) * sizeof(*place));

	if (!place)
		return -ENOMEM;
	for (__u32 i = 0; i < count; i++)
		place[i] = LB_RING_NONE;
	for (size_t i = 0; i < pool->n; i++)
		place[pool->index[i]] = (__u32)i;
	for (__u32 s = 0; s < lb_service_slots(current); s++) {
		__u32 cur = lb_slot_cur(ring[s]);

		owner[s] = cur < count ? place[cur] : LB_RING_NONE;
	}
	free(place);
	return 0;
}

/* Whether the ring that is there was made by the same rule from the same name. */
static bool same_builder(const struct lb_service *current, const struct lb_config_service *config)
{
	return current->config && current->config->algorithm == config->algorithm &&
	       strcmp(lb_config_ring_name(current->config), lb_config_ring_name(config)) == 0;
}

/* Work on a ring, in slots times backends, that is worth being done beside. */
#define MUCH_WORK (1u << 20)

struct ring_work {
	const struct lb_ring_builder *builder;
	__u64 seed;
	const struct pool *pool;
	__u32 slots;
	const struct lb_ring_previous *previous;
	__u32 *owner;
	int r;
};

static void run_builder(void *context)
{
	struct ring_work *work = context;

	work->r = work->builder->build(work->seed, work->pool->members, work->pool->n, work->slots,
				       work->previous, work->owner);
}

static int build_from(const struct lb_build *build, const struct pool *pool, __u32 slots,
		      const struct lb_ring_previous *previous, __u32 *owner)
{
	const struct lb_config_service *config = build->config;
	struct ring_work work = { lb_ring_builder_get(config->algorithm),
				  lb_ring_seed(build->plan->config->hash_seed, lb_config_ring_name(config)),
				  pool,
				  slots,
				  previous,
				  owner };

	if (slots * (__u64)pool->n >= MUCH_WORK)
		lb_engine_beside(build->plan->engine, run_builder, &work);
	else
		run_builder(&work);
	return work.r;
}

/* Builds the ring of a pool into owner[], with what is known from the current one. */
static int build_pool(const struct lb_build *build, const struct pool *pool, __u32 slots, __u32 *owner)
{
	const struct lb_service *current = build->change->current;
	const struct lb_config_service *config = build->config;
	bool known = current && current->ring_is_built && same_builder(current, config) &&
		     lb_service_slots(current) == slots;
	struct lb_ring_previous previous;
	struct pool before;
	__u32 *last;
	int r;

	if (!known)
		return build_from(build, pool, slots, NULL, owner);
	last = malloc(slots * sizeof(*last));
	r = pool_init(&before, build->plan, current->members, current->vip.backend_count);
	if (r == 0)
		r = last ? known_owners(build, &before, last) : -ENOMEM;
	previous = (struct lb_ring_previous){ before.members, before.n, last };
	if (r == 0)
		r = build_from(build, pool, slots, &previous, owner);
	pool_done(&before);
	free(last);
	return r;
}

/* Fills change->target from the ring builder. */
static int build_owners(struct lb_build *build, __u32 slots)
{
	struct lb_service_change *change = build->change;
	__u32 *owner = malloc(slots * sizeof(*owner));
	struct pool pool;
	int r = pool_init(&pool, build->plan, change->next->members, build->count);

	if (r == 0)
		r = owner ? build_pool(build, &pool, slots, owner) : -ENOMEM;
	for (__u32 s = 0; r == 0 && s < slots; s++)
		change->target[s] = owner[s] == LB_RING_NONE ? LB_INDEX_NONE : pool.index[owner[s]];
	change->next->ring_is_built = true;
	pool_done(&pool);
	free(owner);
	if (r < 0)
		return lb_error_set(build->error, -r, "cannot build the ring of service %s: %s",
				    build->config->name, strerror(-r));
	return 0;
}

/* A new service: both halves are the target. */
static void count_new_slots(struct lb_build *build, __u32 slots)
{
	const struct lb_service_change *change = build->change;
	struct lb_member *members = change->next->members;

	for (__u32 s = 0; s < slots; s++) {
		if (change->target[s] != LB_INDEX_NONE)
			members[change->target[s]].slots_cur++;
	}
	for (__u32 i = 0; i < build->count; i++)
		members[i].slots_base = members[i].slots_cur;
}

/* Slots of a smaller ring: the flows of those that become one, and of whom not all stay. */
static void count_at_risk(struct lb_service_change *change, const struct lb_slot_step *step, __u32 slot,
			  __u32 base)
{
	for (__u32 o = slot; o < step->old_slots; o += step->slots) {
		__u32 was = lb_slot_base(step->old[o]);

		change->slots_at_risk += was != base && was < step->rules.n_dead && !step->rules.dead[was];
	}
}

/* Walks the new ring: counts what moves and who has how many slots. True if any slot changes. */
static bool walk_ring(struct lb_build *build, __u8 *dead)
{
	struct lb_service_change *change = build->change;
	struct lb_member *members = change->next->members;
	__u32 staying[LB_INDEX_MASK + 1]; /* slots by owner: close together, unlike members */
	struct lb_slot_step step;
	bool differs;

	lb_slot_step_init(build->plan->engine, change, dead, &step);
	differs = step.slots != step.old_slots;
	memset(staying, 0, build->count * sizeof(staying[0]));
	for (__u32 i = 0; i < build->count; i++)
		members[i].slots_cur = members[i].slots_base = 0;
	if (!step.old) {
		count_new_slots(build, step.slots);
		return differs;
	}
	for (__u32 s = 0; s < step.slots; s++) {
		__u32 old = lb_slot_step_old_quick(&step, s), target = change->target[s], word, cur, base;

		if (lb_slot_stays(old, target, &step.rules)) {
			staying[target]++;
			base = target;
		} else {
			word = lb_slot_next(old, target, &step.rules);
			cur = lb_slot_cur(word);
			base = lb_slot_base(word);
			differs |= word != old;
			change->slots_moved += cur != lb_slot_cur(old);
			if (cur != LB_INDEX_NONE)
				members[cur].slots_cur++;
			if (base != LB_INDEX_NONE)
				members[base].slots_base++;
		}
		if (step.slots < step.old_slots)
			count_at_risk(change, &step, s, base);
	}
	for (__u32 i = 0; i < build->count; i++) {
		members[i].slots_cur += staying[i];
		members[i].slots_base += staying[i];
	}
	return differs;
}

static int build_ring(struct lb_build *build)
{
	struct lb_service_change *change = build->change;
	const struct lb_service *current = change->current;
	__u32 slots = ring_slots(build);
	bool rebuild = !current || build->ring_input || slots != lb_service_slots(current) ||
		       !same_builder(current, build->config);
	__u8 *dead;
	int r = 0;

	change->next->vip.ring_mask = slots - 1;
	change->next->ring_is_built = current && current->ring_is_built;
	if (!rebuild && !build->deaths)
		return 0;
	change->target = lb_plan_memory(build->plan, slots * sizeof(*change->target));
	dead = calloc(build->count + 1, 1);
	if (!change->target || !dead) {
		free(dead);
		return lb_build_out_of_memory(build);
	}
	if (rebuild) {
		r = build_owners(build, slots);
	} else {
		const __u32 *ring = lb_engine_ring(build->plan->engine, lb_vip_ring_line(&current->vip));

		for (__u32 s = 0; s < slots; s++)
			change->target[s] = (__u16)lb_slot_cur(ring[s]);
	}
	if (r == 0 && walk_ring(build, dead)) {
		change->visible = true;
	} else {
		lb_plan_memory_back(build->plan, change->target);
		change->target = NULL;
	}
	free(dead);
	return r;
}

/* A smaller ring moves flows: only with the explicit word. */
static int check_resize(const struct lb_build *build)
{
	const struct lb_service_change *change = build->change;
	const struct lb_service *current = change->current;
	__u32 slots = lb_service_slots(change->next);
	char path[64], value[16];

	if (!current || slots >= lb_service_slots(current) || build->desired->allow_ring_resize)
		return 0;
	snprintf(path, sizeof(path), "services[%zu].ring_size", build->number);
	snprintf(value, sizeof(value), "%u", slots);
	return lb_error_at(
		build->error, EBUSY, path, value,
		"a ring of %u slots in the place of %u would move the flows of %u slots of service %s (%llu "
		"entries in the flow table stay); keep ring_size, or allow it with the explicit word: "
		"lbctl apply --allow-ring-resize",
		slots, lb_service_slots(current), change->slots_at_risk, current->name,
		lb_count_of(&current->entries, build->plan->engine->sweep.done));
}

/* --- records and VIP entry ----------------------------------------------------------------------- */

static struct lb_header_rules rules_of(const struct lb_config *config,
				       const struct lb_config_service *service)
{
	return (struct lb_header_rules){
		.forward = service->forward,
		.vip_family = service->vip.address.family,
		.source_v4 = &config->tunnel_source_v4,
		.source_v6 = &config->tunnel_source_v6,
	};
}

static void make_record(const struct lb_header_rules *rules, const struct lb_member *member,
			const struct lb_address *address, const struct lb_nexthop *nexthop,
			struct lb_backend *record)
{
	static const struct lb_nexthop nowhere = {};

	lb_header_build(rules, address, member->ghost ? &nowhere : nexthop, member->id,
			lb_member_dead(member), record);
}

/* Whether a record of an unchanged service would be another one now. */
bool lb_plan_nexthops_changed(const struct lb_engine *engine, const struct lb_service *service,
			      const struct lb_desired *desired)
{
	const struct lb_backend *records = &engine->tables->backends[service->vip.backend_first];
	struct lb_header_rules rules = rules_of(desired->config, service->config);

	for (__u32 i = 0; i < service->vip.backend_count; i++) {
		const struct lb_member *member = &service->members[i];
		struct lb_address address;
		struct lb_backend record;

		if (!member->used)
			continue;
		address = lb_member_address(engine, member);
		make_record(&rules, member, &address, lb_nexthop_map_get(desired->nexthops, &address),
			    &record);
		if (memcmp(&record, &records[i], sizeof(record)) != 0)
			return true;
	}
	return false;
}

static int look_up(const struct lb_build *build, const struct lb_header_rules *rules,
		   const struct lb_address *address, struct lb_member *member)
{
	struct lb_nexthop nexthop = *lb_nexthop_map_get(build->desired->nexthops, address);
	__u32 number;
	int r;

	/* What a record of this service has no use for. */
	if (nexthop.routed && rules->forward == LB_FORWARD_L2)
		nexthop.resolved = false;
	r = lb_nexthop_table_get(&build->plan->engine->nexthops, &nexthop, &number);
	if (r == 0)
		member->nexthop = number;
	return r;
}

/* Every record of the service; kept only if one differs from what is there. */
static int build_records(struct lb_build *build)
{
	struct lb_service_change *change = build->change;
	struct lb_engine *engine = build->plan->engine;
	struct lb_service *next = change->next, *current = change->current;
	struct lb_header_rules rules = rules_of(build->plan->config, build->config);
	const struct lb_backend *there =
		current ? &engine->tables->backends[current->vip.backend_first] : NULL;
	__u32 had = current ? current->vip.backend_count : 0, highest = 0;
	bool differs = !current;
	/* A way may be none for packets that are forwarded otherwise. */
	bool known = build->plan->same_nexthops && current && current->config &&
		     current->config->forward == build->config->forward;

	change->records = lb_plan_memory(build->plan, (build->count + 1) * sizeof(*change->records));
	if (!change->records)
		return lb_build_out_of_memory(build);
	for (__u32 i = 0; i < build->count; i++) {
		struct lb_member *member = &next->members[i];
		struct lb_address address;

		if (!member->used)
			continue;
		highest = i + 1;
		address = lb_plan_member_address(build->plan, member);
		if (!member->ghost && (member->added || i >= had || !known) &&
		    look_up(build, &rules, &address, member) < 0)
			return lb_build_out_of_memory(build);
		make_record(&rules, member, &address, lb_nexthop_table_at(&engine->nexthops, member->nexthop),
			    &change->records[i]);
		differs |= i >= had || memcmp(&change->records[i], &there[i], sizeof(*there)) != 0;
	}
	if (differs) {
		next->vip.backend_count = (__u16)highest;
		change->visible = true;
		return 0;
	}
	lb_plan_memory_back(build->plan, change->records);
	change->records = NULL;
	return 0;
}

static bool host_has(const struct lb_desired *desired, const struct lb_prefix *vip)
{
	for (size_t i = 0; i < desired->n_host_addresses; i++)
		if (lb_prefix_contains(vip, &desired->host_addresses[i]))
			return true;
	return false;
}

__u32 lb_plan_unclaimed(const struct lb_desired *desired, const struct lb_config_service *service)
{
	enum lb_unclaimed unclaimed = service->unclaimed ? service->unclaimed : desired->config->unclaimed;

	if (unclaimed == LB_UNCLAIMED_NOT_GIVEN)
		unclaimed = host_has(desired, &service->vip) ? LB_UNCLAIMED_PASS : LB_UNCLAIMED_DROP;
	return unclaimed == LB_UNCLAIMED_DROP     ? LB_VIP_UNCLAIMED_DROP
	       : unclaimed == LB_UNCLAIMED_REJECT ? LB_VIP_UNCLAIMED_REJECT
						  : 0;
}

/* Whether it is one of several. */
static bool shares_ring(const struct lb_build *build)
{
	const struct lb_plan_place *places = build->plan->places;
	__u32 lead = places[build->number].lead;

	return places[lead].after != LB_PLAN_NOWHERE;
}

static void build_vip(struct lb_build *build)
{
	static const __u32 affinity_flags[] = {
		[LB_AFFINITY_FLOW] = 0,
		[LB_AFFINITY_SOURCE] = LB_VIP_SOURCE,
		[LB_AFFINITY_QUIC] = LB_VIP_QUIC,
	};
	const struct lb_config_service *service = build->config;
	const struct lb_config *config = build->plan->config;
	struct lb_vip *vip = &build->change->next->vip;
	const struct lb_service *current = build->change->current;

	vip->flags = LB_VIP_USED | affinity_flags[service->affinity];
	vip->flags |= service->echo ? LB_VIP_ECHO : 0;
	vip->flags |= service->fragments == LB_FRAGMENTS_DROP ? LB_VIP_FRAG_DROP : 0;
	vip->flags |= service->no_backend == LB_NO_BACKEND_REJECT ? LB_VIP_REJECT : 0;
	vip->flags |= shares_ring(build) ? LB_VIP_SHARED : 0;
	vip->flags |= lb_source_ranges_limit(service) ? LB_VIP_RANGES : 0;
	vip->flags |= lb_plan_unclaimed(build->desired, service);
	if (service->forward != LB_FORWARD_L2) {
		vip->source_mask_v4 = lb_header_source_mask(&config->tunnel_source_v4);
		vip->source_mask_v6 = lb_header_source_mask(&config->tunnel_source_v6);
	}
	if (service->forward == LB_FORWARD_GUE)
		vip->gue_port = htons(service->gue_port);
	for (size_t i = 0; i < service->n_quic; i++)
		vip->quic[i] = (__u8)LB_QUIC(service->quic[i].rotation, service->quic[i].server_id_bytes);
	if (current &&
	    (vip->flags != current->vip.flags || vip->source_mask_v4 != current->vip.source_mask_v4 ||
	     vip->source_mask_v6 != current->vip.source_mask_v6 || vip->gue_port != current->vip.gue_port ||
	     memcmp(vip->quic, current->vip.quic, sizeof(vip->quic)) != 0))
		build->change->visible = true;
}

/* What the agent alone needs to know of a service. */
static bool attributes_differ(const struct lb_service *current, const struct lb_config_service *config)
{
	return current->config && !lb_config_same_service(current->config, config);
}

static int take_id(struct lb_build *build)
{
	struct lb_engine *engine = build->plan->engine;
	__u32 id;

	if (build->change->current) {
		build->change->next->vip.service = build->change->current->vip.service;
		return 0;
	}
	if (lb_ids_alloc(&engine->service_ids, &id) < 0)
		return lb_error_at(build->error, ENOSPC, "limits.services", NULL,
				   "all %u service ids are in use or wait until no flow can name them; raise "
				   "limits.services",
				   engine->service_ids.size);
	build->change->new_id = true;
	build->change->next->vip.service = (__u16)id;
	return 0;
}

int lb_plan_sharer(struct lb_plan *plan, struct lb_service_change *change, struct lb_service *lead,
		   bool moves, const struct lb_config_service *config, const struct lb_desired *desired,
		   size_t number, struct lb_error *error)
{
	struct lb_build build = { .plan = plan,
				  .change = change,
				  .config = config,
				  .desired = desired,
				  .number = number,
				  .error = error };
	struct lb_service *next = change->next = lb_service_new(config->name, 0);
	int r;

	if (!next)
		return lb_build_out_of_memory(&build);
	next->leader = lead;
	next->config = config;
	lb_service_key_of(config, &next->key);
	next->vip.ring_mask = lead->vip.ring_mask;
	next->vip.backend_count = lead->vip.backend_count;
	r = take_id(&build);
	if (r < 0)
		return r;
	build_vip(&build);
	next->records = lb_plan_records_digest(next, config);
	change->visible |= !change->current || moves;
	change->attributes |= change->current && attributes_differ(change->current, config);
	return 0;
}

/* Out of the scratch, where there was room for a pool in which nobody stays. */
static int keep_members(struct lb_build *build)
{
	struct lb_service *next = build->change->next;
	struct lb_member *members = malloc((build->count + 1) * sizeof(*members));

	if (!members)
		return lb_build_out_of_memory(build);
	memcpy(members, next->members, (build->count + 1) * sizeof(*members));
	next->members = members;
	if (next->server_ids) {
		struct lb_server_id *server_ids =
			realloc(next->server_ids, (build->count + 1) * sizeof(*server_ids));

		next->server_ids = server_ids ? server_ids : next->server_ids;
	}
	return 0;
}

int lb_plan_service(struct lb_plan *plan, struct lb_service_change *change,
		    const struct lb_config_service *config, const struct lb_desired *desired, size_t number,
		    struct lb_error *error)
{
	struct lb_build build = { .plan = plan,
				  .change = change,
				  .config = config,
				  .desired = desired,
				  .number = number,
				  .error = error };
	int r = lb_build_members(&build);

	if (r == 0)
		r = take_id(&build);
	if (r == 0)
		r = build_ring(&build);
	if (r == 0)
		r = check_resize(&build);
	if (r == 0)
		r = build_records(&build);
	if (r == 0)
		r = keep_members(&build);
	if (r < 0)
		return r;
	build_vip(&build);
	change->next->records = lb_plan_records_digest(change->next, config);
	change->visible |= !change->current;
	change->attributes |= change->current && attributes_differ(change->current, config);
	return 0;
}
