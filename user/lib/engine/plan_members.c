// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is at which index of a service's next state.
 *
 * A backend keeps its index and id while it has the same name and address. Under another address it is
 * another backend, and the old one leaves. One that was down and returns before the sweeper has removed the
 * flow entries that name it gets another index, because those entries must not come to life again; it keeps
 * its id, so its counters go on.
 */
#include "engine/plan_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* --- members ------------------------------------------------------------------------------------- */

/* Backends by name: chains of indices. */
struct names {
	__u32 *head, *next; /* index + 1 */
	__u32 mask;
};

static int names_init(struct names *names, const struct lb_engine *engine, const struct lb_member *members,
		      __u32 n)
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
		const char *name;
		__u32 *head;

		if (!members[i].used || members[i].ghost)
			continue;
		name = lb_member_name(engine, &members[i]);
		head = &names->head[XXH3_64bits(name, strlen(name)) & names->mask];
		names->next[i] = *head;
		*head = i + 1;
	}
	return 0;
}

static bool is_same(const struct lb_engine *engine, const struct lb_member *member,
		    const struct lb_config_backend *backend)
{
	struct lb_address address;

	if (!member->used || member->ghost || member->added)
		return false;
	address = lb_member_address(engine, member);
	return lb_address_equal(&address, &backend->address) &&
	       strcmp(lb_member_name(engine, member), backend->name) == 0;
}

/* The index that has this name and address, or LB_INDEX_NONE. */
static __u32 names_find(const struct names *names, const struct lb_engine *engine,
			const struct lb_member *members, const struct lb_config_backend *backend)
{
	__u32 i = names->head[XXH3_64bits(backend->name, strlen(backend->name)) & names->mask];

	for (; i; i = names->next[i - 1]) {
		if (is_same(engine, &members[i - 1], backend))
			return i - 1;
	}
	return LB_INDEX_NONE;
}

const char *lb_plan_member_name(const struct lb_plan *plan, const struct lb_member *member)
{
	return member->added ? plan->added[member->place].name : lb_member_name(plan->engine, member);
}

struct lb_address lb_plan_member_address(const struct lb_plan *plan, const struct lb_member *member)
{
	return member->added ? plan->added[member->place].address : lb_member_address(plan->engine, member);
}

__u32 lb_member_ring_weight(const struct lb_member *member)
{
	if (!member->used || member->leaving || member->ghost || member->state != LB_STATE_ACTIVE)
		return 0;
	return member->weight;
}

static int new_index(struct lb_build *build, __u32 *ret_index)
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

static int remember_added(struct lb_build *build, const struct lb_config_backend *backend)
{
	struct lb_plan *plan = build->plan;

	if (plan->n_added == plan->added_capacity) {
		__u32 capacity = plan->added_capacity ? 2 * plan->added_capacity : 16;
		struct lb_added *added = realloc(plan->added, capacity * sizeof(*added));

		if (!added)
			return lb_build_out_of_memory(build);
		plan->added = added;
		plan->added_capacity = capacity;
	}
	plan->added[plan->n_added++] = (struct lb_added){ backend->name, backend->address };
	return 0;
}

static int add_member(struct lb_build *build, const struct lb_config_backend *backend, __u32 *ret_index)
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
	*member = (struct lb_member){
		.used = true, .added = true, .known = true, .id = id, .place = build->plan->n_added
	};
	return remember_added(build, backend);
}

/* It was down, and entries from before that may still be in the flow table: another index, the same id. */
static int return_member(struct lb_build *build, __u32 *index)
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
static int set_member(struct lb_build *build, __u32 *index, __u32 weight, enum lb_state state)
{
	struct lb_member *member = &build->change->next->members[*index];
	bool was_down = !member->added && member->state == LB_STATE_DOWN;
	__u32 weight_before = lb_member_ring_weight(member);
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
	build->ring_input |= !certain || member->added || lb_member_ring_weight(member) != weight_before;
	return 0;
}

static int compare_backend(const void *name, const void *override)
{
	return strcmp(name, ((const struct lb_override *) override)->backend);
}

/* What is said of the backends of the services that share a ring. */
struct sayings {
	struct saying {
		const struct lb_override *overrides;
		size_t n;
	} * of;           /* owned: of each service of which something is said */
	size_t n, silent; /* silent: services of which nothing is said */
};

static int sayings_init(struct sayings *sayings, const struct lb_build *build)
{
	const struct lb_plan *plan = build->plan;
	size_t n_services = 0;

	for (__u32 at = (__u32)build->number; at != LB_PLAN_NOWHERE; at = plan->places[at].after)
		n_services++;
	*sayings = (struct sayings){ .of = calloc(n_services, sizeof(*sayings->of)) };
	if (!sayings->of)
		return lb_build_out_of_memory(build);
	for (__u32 at = (__u32)build->number; at != LB_PLAN_NOWHERE; at = plan->places[at].after) {
		struct saying *saying = &sayings->of[sayings->n];

		saying->overrides = lb_overrides_of(plan->overrides, plan->n_overrides,
						    plan->config->services[at].name, &saying->n);
		sayings->n += saying->n > 0;
		sayings->silent += !saying->n;
	}
	return 0;
}

/* A backend is in the ring what it is in the worst of its services. */
static void worst_of(const struct sayings *sayings, const struct lb_config_backend *backend,
		     enum lb_state *ret_state, __u32 *ret_weight)
{
	enum lb_state state = sayings->silent ? backend->state : LB_STATE_ACTIVE;
	__u32 weight = sayings->silent ? backend->weight : UINT32_MAX;

	for (size_t i = 0; i < sayings->n; i++) {
		const struct saying *saying = &sayings->of[i];
		const struct lb_override *override = bsearch(backend->name, saying->overrides, saying->n,
							     sizeof(*override), compare_backend);
		enum lb_state its_state = override && override->has_state ? override->state : backend->state;
		__u32 its_weight = override && override->has_weight ? override->weight : backend->weight;

		state = its_state > state ? its_state : state;
		weight = its_weight < weight ? its_weight : weight;
	}
	*ret_state = state;
	*ret_weight = weight;
}

/* Gives every desired backend its member. wanted: by index, out. */
static int fill_members(struct lb_build *build, const struct names *names, const struct sayings *sayings,
			bool *wanted)
{
	const struct lb_engine *engine = build->plan->engine;
	struct lb_member *members = build->change->next->members;
	struct lb_server_id *server_ids = build->change->next->server_ids;
	const struct lb_config_service *config = build->config;
	__u32 hint = 0, had = build->count;
	int r;

	for (size_t i = 0; i < config->n_backends; i++) {
		const struct lb_config_backend *backend = &config->backends[i];
		enum lb_state state;
		__u32 weight;
		__u32 index = hint < had && is_same(engine, &members[hint], backend)
				      ? hint
				      : names_find(names, engine, members, backend);

		worst_of(sayings, backend, &state, &weight);
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
		if (!server_ids)
			continue;
		memcpy(server_ids[index].id, backend->server_id, sizeof(server_ids[index].id));
		server_ids[index].bytes = backend->server_id_bytes;
	}
	for (__u32 i = 0; i < had; i++) {
		struct lb_member *member = &members[i];

		if (!member->used || member->ghost || member->leaving || wanted[i])
			continue;
		build->change->attributes |= member->known;
		build->ring_input |= !member->known || lb_member_ring_weight(member);
		member->leaving = member->known = true;
		member->clean_passes = 0;
		member->unnamed = false;
	}
	return 0;
}

int lb_build_members(struct lb_build *build)
{
	struct lb_service_change *change = build->change;
	const struct lb_service *current = change->current;
	__u32 had = current ? current->vip.backend_count : 0;
	struct lb_service *next;
	struct sayings sayings = {};
	struct names names;
	bool *wanted;
	int r;

	/* Every backend may be new, and every one that is there may need another index. */
	build->capacity = 2 * had + (__u32)build->config->n_backends;
	next = change->next = lb_service_new(build->config->name, 0);
	if (!next)
		return lb_build_out_of_memory(build);
	next->members = lb_plan_scratch(build->plan, build->capacity + 1);
	if (!next->members)
		return lb_build_out_of_memory(build);
	build->count = had;
	next->vip.backend_count = (__u16)had;
	next->config = build->config;
	lb_service_key_of(build->config, &next->key);
	if (had)
		memcpy(next->members, current->members, had * sizeof(*next->members));
	if (build->config->n_quic || (current && current->server_ids)) {
		next->server_ids = calloc(build->capacity + 1, sizeof(*next->server_ids));
		if (!next->server_ids)
			return lb_build_out_of_memory(build);
	}
	if (current && current->server_ids)
		memcpy(next->server_ids, current->server_ids, had * sizeof(*next->server_ids));
	wanted = calloc(build->capacity + 1, sizeof(*wanted));
	if (!wanted || names_init(&names, build->plan->engine, next->members, had) < 0) {
		free(wanted);
		return lb_build_out_of_memory(build);
	}
	r = sayings_init(&sayings, build);
	if (r == 0)
		r = fill_members(build, &names, &sayings, wanted);
	free(sayings.of);
	free(names.head);
	free(wanted);
	for (__u32 i = 0; i < build->count; i++)
		next->n_leaving +=
			next->members[i].used && (next->members[i].leaving || next->members[i].ghost ||
						  lb_member_draining(&next->members[i]));
	return r;
}
