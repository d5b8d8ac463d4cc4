// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plan for one service: its members by index, its ring's owners, its records, its VIP entry, and whether
 * any of them differs from what packets see now.
 *
 * A backend keeps its index and id while it has the same name and address. Under another address it is
 * another backend, and the old one leaves. One that was down and returns before the sweeper has removed the
 * flow entries that name it gets another index, because those entries must not come to life again; it keeps
 * its id, so its counters go on.
 */
#include "engine_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "header.h"

/* Builds that are quicker than this many slots times members are not worth remembering. */
#define CACHE_FROM (1u << 19)

/* --- members ---------------------------------------------------------------------------------------------
 */

/* Backends by name: chains of indices. */
struct names {
	__u32 *head, *next; /* index + 1 */
	__u32 mask;
};

static int names_init(struct names *names, const struct lb_member *members, __u32 n)
{
	__u32 size = 16;

	while (size < 2 * n)
		size *= 2;
	names->mask = size - 1;
	names->head = calloc(size + n, sizeof(*names->head));
	if (!names->head)
		return -ENOMEM;
	names->next = names->head + size;
	for (__u32 i = 0; i < n; i++) {
		__u32 *head;

		if (!members[i].used || members[i].ghost)
			continue;
		head = &names->head[XXH3_64bits(members[i].name, strlen(members[i].name)) & names->mask];
		names->next[i] = *head;
		*head = i + 1;
	}
	return 0;
}

static bool is_same(const struct lb_member *member, const struct lb_config_backend *backend)
{
	return member->used && !member->ghost && lb_address_equal(&member->address, &backend->address) &&
	       strcmp(member->name, backend->name) == 0;
}

/* The index that has this name and address, or LB_INDEX_NONE. */
static __u32 names_find(const struct names *names, const struct lb_member *members,
			const struct lb_config_backend *backend)
{
	__u32 i = names->head[XXH3_64bits(backend->name, strlen(backend->name)) & names->mask];

	for (; i; i = names->next[i - 1]) {
		if (is_same(&members[i - 1], backend))
			return i - 1;
	}
	return LB_INDEX_NONE;
}

struct build {
	struct lb_plan *plan;
	struct lb_service_change *change;
	const struct lb_config_service *config;
	const struct lb_desired *desired;
	size_t number; /* in the configuration */
	struct lb_error *error;
	__u32 capacity, count, lowest; /* of next->members */
	bool ring_input;               /* what the ring is made of may have changed */
	bool deaths;                   /* some backend goes down */
};

static int out_of_memory(const struct build *build)
{
	return lb_error_set(build->error, ENOMEM, "out of memory");
}

/* The weight that a member has in the ring. */
static __u32 ring_weight(const struct lb_member *member)
{
	if (!member->used || member->leaving || member->ghost || member->state != LB_STATE_ACTIVE)
		return 0;
	return member->weight;
}

static int new_index(struct build *build, __u32 *ret_index)
{
	struct lb_member *members = build->change->next->members;

	while (build->lowest < build->count && members[build->lowest].used)
		build->lowest++;
	if (build->lowest == LB_BACKENDS_PER_SERVICE_MAX)
		return lb_error_set(
			build->error, ENOSPC,
			"service %s has no free backend index: %u are in use or wait until no flow can "
			"name them",
			build->config->name, LB_BACKENDS_PER_SERVICE_MAX);
	if (build->lowest == build->count) {
		build->count++;
		build->change->next->vip.backend_count = (__u16)build->count;
	}
	*ret_index = build->lowest;
	members[build->lowest].used = true;
	return 0;
}

static int add_member(struct build *build, const struct lb_config_backend *backend, __u32 *ret_index)
{
	struct lb_engine *engine = build->plan->engine;
	struct lb_member *member;
	__u32 id;
	int r = new_index(build, ret_index);

	if (r < 0)
		return r;
	member = &build->change->next->members[*ret_index];
	if (lb_ids_alloc(&engine->backend_ids, &id) < 0) {
		member->used = false;
		return lb_error_at(build->error, ENOSPC, "limits.backends", NULL,
				   "all %u backend ids are in use or wait until no flow can name them; raise "
				   "limits.backends",
				   engine->backend_ids.size);
	}
	*member = (struct lb_member){ .used = true, .added = true, .known = true, .id = id };
	member->address = backend->address;
	snprintf(member->name, sizeof(member->name), "%s", backend->name);
	return 0;
}

/* It was down, and entries from before that may still be in the flow table: another index, the same id. */
static int return_member(struct build *build, __u32 *index)
{
	struct lb_member *members = build->change->next->members;
	__u32 fresh;
	int r = new_index(build, &fresh);

	if (r < 0)
		return r;
	members[fresh] = members[*index];
	members[fresh].slots_cur = members[fresh].slots_base = 0;
	members[fresh].entries = (struct lb_count){};
	members[fresh].leaving = false;
	members[*index].ghost = true;
	members[*index].clean_passes = 0;
	members[*index].unnamed = false;
	*index = fresh;
	return 0;
}

/* *index: of the member; another one afterwards if it returns under another. */
static int set_member(struct build *build, __u32 *index, __u32 weight, enum lb_state state)
{
	struct lb_member *member = &build->change->next->members[*index];
	bool was_down = !member->added && member->state == LB_STATE_DOWN;
	__u32 weight_before = ring_weight(member);
	bool certain = member->known;
	int r;

	if (was_down && state != LB_STATE_DOWN && build->plan->engine->sweep.done <= member->dead_mark) {
		r = return_member(build, index);
		if (r < 0)
			return r;
		member = &build->change->next->members[*index];
	}
	build->deaths |= !was_down && !member->added && state == LB_STATE_DOWN;
	if (certain && !member->added &&
	    (member->weight != weight || member->state != state || member->leaving))
		build->change->attributes = true;
	member->leaving = false;
	member->known = true;
	member->weight = weight;
	member->state = state;
	build->ring_input |= !certain || member->added || ring_weight(member) != weight_before;
	return 0;
}

static int compare_backend(const void *name, const void *override)
{
	return strcmp(name, ((const struct lb_override *) override)->backend);
}

/* Gives every desired backend its member. wanted: by index, out. */
static int fill_members(struct build *build, const struct names *names, bool *wanted)
{
	struct lb_member *members = build->change->next->members;
	const struct lb_config_service *config = build->config;
	const struct lb_override *overrides;
	__u32 hint = 0, had = build->count;
	size_t n_overrides;
	int r;

	overrides =
		lb_overrides_of(build->plan->overrides, build->plan->n_overrides, config->name, &n_overrides);
	for (size_t i = 0; i < config->n_backends; i++) {
		const struct lb_config_backend *backend = &config->backends[i];
		const struct lb_override *override =
			bsearch(backend->name, overrides, n_overrides, sizeof(*override), compare_backend);
		enum lb_state state = override && override->has_state ? override->state : backend->state;
		__u32 weight = override && override->has_weight ? override->weight : backend->weight;
		__u32 index = hint < had && is_same(&members[hint], backend)
				      ? hint
				      : names_find(names, members, backend);

		hint = index == LB_INDEX_NONE ? hint : index + 1;
		if (index == LB_INDEX_NONE) {
			r = add_member(build, backend, &index);
			if (r < 0)
				return r;
		}
		r = set_member(build, &index, weight, state);
		if (r < 0)
			return r;
		wanted[index] = true;
		memcpy(members[index].server_id, backend->server_id, sizeof(members[index].server_id));
		members[index].server_id_bytes = backend->server_id_bytes;
	}
	for (__u32 i = 0; i < had; i++) {
		struct lb_member *member = &members[i];

		if (!member->used || member->ghost || member->leaving || wanted[i])
			continue;
		build->change->attributes |= member->known;
		build->ring_input |= !member->known || ring_weight(member);
		member->leaving = member->known = true;
		member->clean_passes = 0;
		member->unnamed = false;
	}
	return 0;
}

static int build_members(struct build *build)
{
	struct lb_service_change *change = build->change;
	const struct lb_service *current = change->current;
	__u32 had = current ? current->vip.backend_count : 0;
	struct lb_service *next;
	struct names names;
	bool *wanted;
	int r;

	/* Every backend may be new, and every one that is there may need another index. */
	build->capacity = 2 * had + (__u32)build->config->n_backends;
	next = change->next = lb_service_new(build->config->name, build->capacity);
	if (!next)
		return out_of_memory(build);
	build->count = had;
	next->vip.backend_count = (__u16)had;
	next->config = build->config;
	lb_service_key_of(build->config, &next->key);
	if (current)
		memcpy(next->members, current->members, had * sizeof(*next->members));
	for (__u32 i = 0; i < had; i++)
		next->members[i].added = false;
	wanted = calloc(build->capacity + 1, sizeof(*wanted));
	if (!wanted || names_init(&names, next->members, had) < 0) {
		free(wanted);
		return out_of_memory(build);
	}
	r = fill_members(build, &names, wanted);
	free(names.head);
	free(wanted);
	for (__u32 i = 0; i < build->count; i++)
		next->n_leaving +=
			next->members[i].used && (next->members[i].leaving || next->members[i].ghost);
	return r;
}

/* --- ring ------------------------------------------------------------------------------------------------
 */

static __u32 ring_slots(const struct build *build)
{
	const struct lb_config_service *config = build->config;
	const struct lb_service *current = build->change->current;
	__u32 slots = config->ring_size ? config->ring_size : lb_config_ring_size(config->n_backends);

	/* A ring whose size the user did not fix never shrinks by itself. */
	if (current && !config->ring_size && lb_service_slots(current) > slots)
		slots = lb_service_slots(current);
	return slots;
}

/* Fills change->target from the ring builder. */
static int build_owners(struct build *build, __u32 slots)
{
	struct lb_service_change *change = build->change;
	struct lb_service *next = change->next, *current = change->current;
	const struct lb_config_service *config = build->config;
	bool reuse = current && current->config && current->config->algorithm == config->algorithm &&
		     lb_service_slots(current) == slots;
	struct lb_ring_member *members = calloc(build->count + 1, sizeof(*members));
	__u16 *index = calloc(build->count + 1, sizeof(*index));
	__u32 *owner = malloc(slots * sizeof(*owner));
	__u32 n = 0;
	int r = -ENOMEM;

	if (members && index && owner) {
		for (__u32 i = 0; i < build->count; i++) {
			if (!ring_weight(&next->members[i]))
				continue;
			index[n] = (__u16)i;
			members[n++] = (struct lb_ring_member){ lb_ring_member_id(next->members[i].name),
								next->members[i].weight };
		}
		r = lb_ring_builder_get(config->algorithm)
			    ->build(lb_ring_seed(build->plan->config->hash_seed, config->name), members, n,
				    slots, reuse ? current->ring_cache : NULL, owner,
				    (__u64)slots * n >= CACHE_FROM ? &next->ring_cache : NULL);
	}
	for (__u32 s = 0; r == 0 && s < slots; s++)
		change->target[s] = owner[s] == LB_RING_NONE ? LB_INDEX_NONE : index[owner[s]];
	free(members);
	free(index);
	free(owner);
	if (r < 0)
		return lb_error_set(build->error, -r, "cannot build the ring of service %s: %s", config->name,
				    strerror(-r));
	return 0;
}

/* Walks the new ring: counts what moves and who has how many slots. True if any slot changes. */
static bool walk_ring(struct build *build, __u8 *dead)
{
	struct lb_service_change *change = build->change;
	struct lb_member *members = change->next->members;
	struct lb_slot_step step;
	bool differs = false;

	lb_slot_step_init(build->plan->engine, change, dead, &step);
	differs = step.slots != step.old_slots;
	for (__u32 i = 0; i < build->count; i++)
		members[i].slots_cur = members[i].slots_base = 0;
	/* A new service: both halves are the target. */
	for (__u32 s = 0; !step.old && s < step.slots; s++) {
		if (change->target[s] != LB_INDEX_NONE)
			members[change->target[s]].slots_cur++;
	}
	for (__u32 i = 0; !step.old && i < build->count; i++)
		members[i].slots_base = members[i].slots_cur;
	for (__u32 s = 0; step.old && s < step.slots; s++) {
		__u32 old = lb_slot_step_old(&step, s);
		__u32 word = lb_slot_next(old, change->target[s], &step.rules);
		__u32 cur = lb_slot_cur(word), base = lb_slot_base(word);

		differs |= word != old;
		change->slots_moved += cur != lb_slot_cur(old);
		if (cur != LB_INDEX_NONE)
			members[cur].slots_cur++;
		if (base != LB_INDEX_NONE)
			members[base].slots_base++;
		for (__u32 o = s; step.slots < step.old_slots && o < step.old_slots; o += step.slots) {
			__u32 was = lb_slot_base(step.old[o]);

			change->slots_at_risk += was != base && was < step.rules.n_dead && !dead[was];
		}
	}
	return differs;
}

static int build_ring(struct build *build)
{
	struct lb_service_change *change = build->change;
	const struct lb_service *current = change->current;
	__u32 slots = ring_slots(build);
	bool rebuild = !current || !current->config || build->ring_input ||
		       slots != lb_service_slots(current) ||
		       current->config->algorithm != build->config->algorithm;
	__u8 *dead;
	int r = 0;

	change->next->vip.ring_mask = slots - 1;
	if (!rebuild && !build->deaths)
		return 0;
	change->target = malloc(slots * sizeof(*change->target));
	dead = calloc(build->count + 1, 1);
	if (!change->target || !dead) {
		free(dead);
		return out_of_memory(build);
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
		free(change->target);
		change->target = NULL;
	}
	free(dead);
	return r;
}

/* A smaller ring moves flows: only with the explicit word. */
static int check_resize(const struct build *build)
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

/* --- records and VIP entry -------------------------------------------------------------------------------
 */

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
			struct lb_backend *record)
{
	static const struct lb_next_hop nowhere = {};

	lb_header_build(rules, &member->address, member->ghost ? &nowhere : &member->next_hop, member->id,
			lb_member_dead(member), record);
}

/* Whether a record of an unchanged service would be another one now. */
int lb_plan_next_hops_changed(const struct lb_engine *engine, const struct lb_service *service,
			      const struct lb_config *config)
{
	const struct lb_backend *records = &engine->tables->backends[lb_vip_backend_first(&service->vip)];
	struct lb_header_rules rules = rules_of(config, service->config);

	for (__u32 i = 0; i < service->vip.backend_count; i++) {
		struct lb_member member = service->members[i];
		struct lb_backend record;

		if (!member.used)
			continue;
		engine->hooks->next_hop(engine->hooks->context, &member.address, &member.next_hop);
		make_record(&rules, &member, &record);
		if (memcmp(&record, &records[i], sizeof(record)) != 0)
			return 1;
	}
	return 0;
}

/* Every record of the service; kept only if one differs from what is there. */
static int build_records(struct build *build)
{
	struct lb_service_change *change = build->change;
	struct lb_engine *engine = build->plan->engine;
	struct lb_service *next = change->next, *current = change->current;
	struct lb_header_rules rules = rules_of(build->plan->config, build->config);
	const struct lb_backend *there =
		current ? &engine->tables->backends[lb_vip_backend_first(&current->vip)] : NULL;
	__u32 had = current ? current->vip.backend_count : 0, highest = 0;
	bool differs = !current;

	change->records = calloc(build->count + 1, sizeof(*change->records));
	if (!change->records)
		return out_of_memory(build);
	for (__u32 i = 0; i < build->count; i++) {
		struct lb_member *member = &next->members[i];

		if (!member->used)
			continue;
		highest = i + 1;
		if (!member->ghost && (i >= had || !current->config || !build->desired->same_next_hops))
			engine->hooks->next_hop(engine->hooks->context, &member->address, &member->next_hop);
		make_record(&rules, member, &change->records[i]);
		differs |= i >= had || memcmp(&change->records[i], &there[i], sizeof(*there)) != 0;
	}
	if (differs) {
		next->vip.backend_count = (__u16)highest;
		change->visible = true;
		return 0;
	}
	free(change->records);
	change->records = NULL;
	return 0;
}

static void build_vip(struct build *build)
{
	static const __u16 affinity_flags[] = {
		[LB_AFFINITY_FLOW] = 0,
		[LB_AFFINITY_SOURCE] = LB_VIP_SOURCE,
		[LB_AFFINITY_QUIC] = LB_VIP_QUIC,
	};
	const struct lb_config_service *service = build->config;
	const struct lb_config *config = build->plan->config;
	struct lb_vip *vip = &build->change->next->vip;
	const struct lb_service *current = build->change->current;

	vip->flags = (__u16)(LB_VIP_USED | affinity_flags[service->affinity]);
	vip->flags |= service->echo ? LB_VIP_ECHO : 0;
	vip->flags |= service->fragments == LB_FRAGMENTS_DROP ? LB_VIP_FRAG_DROP : 0;
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
	     vip->source_mask_v6 != current->vip.source_mask_v6 || vip->gue_port != current->vip.gue_port))
		build->change->visible = true;
}

/* What the agent alone needs to know of a service. */
static bool attributes_differ(const struct lb_service *current, const struct lb_config_service *config)
{
	const struct lb_config_service *before = current->config;

	return before && (before->idle_timeout_s != config->idle_timeout_s ||
			  before->learning_window_s != config->learning_window_s ||
			  before->algorithm != config->algorithm || before->forward != config->forward);
}

static int take_id(struct build *build)
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

int lb_plan_service(struct lb_plan *plan, struct lb_service_change *change,
		    const struct lb_config_service *config, const struct lb_desired *desired, size_t number,
		    struct lb_error *error)
{
	struct build build = { .plan = plan,
			       .change = change,
			       .config = config,
			       .desired = desired,
			       .number = number,
			       .error = error };
	int r = build_members(&build);

	if (r == 0)
		r = take_id(&build);
	if (r == 0)
		r = build_ring(&build);
	if (r == 0)
		r = check_resize(&build);
	if (r == 0)
		r = build_records(&build);
	if (r < 0)
		return r;
	build_vip(&build);
	change->next->records = lb_plan_records_digest(change->next);
	change->visible |= !change->current;
	change->attributes |= change->current && attributes_differ(change->current, config);
	return 0;
}
