// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's life, its views, and what its parts share. Adoption is in adopt.c, plans in plan*.c, commits
 * in commit.c, the sweeper in sweep*.c.
 */
#include "engine/engine_internal.h"
#include "engine/counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* --- services ------------------------------------------------------------------------------------ */

struct lb_service *lb_service_new(const char *name, __u32 n_members)
{
	struct lb_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	service->members = n_members ? calloc(n_members, sizeof(*service->members)) : NULL;
	if (n_members && !service->members) {
		free(service);
		return NULL;
	}
	snprintf(service->name, sizeof(service->name), "%s", name);
	service->vip.backend_count = (__u16)n_members;
	return service;
}

void lb_service_free(struct lb_service *service)
{
	if (!service)
		return;
	free(service->moved_s);
	free(service->ready);
	free(service->views);
	free(service->server_ids);
	free(service->members);
	free(service);
}

const struct lb_server_id *lb_service_server_id(const struct lb_service *service, __u32 index)
{
	static const struct lb_server_id none = {};

	return service->server_ids ? &service->server_ids[index] : &none;
}

const char *lb_member_name(const struct lb_engine *engine, const struct lb_member *member)
{
	return engine->tables->backend_meta[member->id].name;
}

struct lb_address lb_member_address(const struct lb_engine *engine, const struct lb_member *member)
{
	const struct lb_backend_meta *meta = &engine->tables->backend_meta[member->id];
	struct lb_address address = { .family = meta->family };

	memcpy(address.bytes, meta->address, sizeof(address.bytes));
	return address;
}

void lb_engine_trim_nexthops(struct lb_engine *engine)
{
	__u32 *used;

	if (engine->plans || !lb_nexthop_table_is_full(&engine->nexthops))
		return;
	used = calloc(engine->nexthops.n, sizeof(*used));
	/* Without memory they stay until the next time. */
	for (int round = 0; used && round < 2; round++) {
		for (__u32 id = 0; id < engine->tables->sizes.services; id++) {
			struct lb_service *service = engine->by_id[id];

			if (!service || service->leader)
				continue;
			for (__u32 i = 0; i < service->vip.backend_count; i++) {
				struct lb_member *member = &service->members[i];

				if (round == 0)
					used[member->nexthop] = 1;
				else
					member->nexthop = used[member->nexthop] - 1;
			}
		}
		if (round == 0)
			lb_nexthop_table_keep(&engine->nexthops, used);
	}
	free(used);
}

__u32 lb_service_id_index(const struct lb_service *service, __u32 id)
{
	__u32 i = 0;

	while (i < service->vip.backend_count && !(service->members[i].used && service->members[i].id == id))
		i++;
	return i;
}

/* Counts the slots of each backend, and the unsettled ones, from the ring. */
void lb_service_count_slots(const struct lb_engine *engine, struct lb_service *service)
{
	const __u32 *ring = lb_engine_ring(engine, lb_vip_ring_line(&service->vip));
	__u32 slots = lb_service_slots(service), count = service->vip.backend_count;
	__u32 settled[LB_INDEX_MASK + 1]; /* by owner: close together, unlike members */

	memset(settled, 0, count * sizeof(settled[0]));
	for (__u32 i = 0; i < count; i++)
		service->members[i].slots_cur = service->members[i].slots_base = 0;
	service->unsettled = 0;
	for (__u32 s = 0; s < slots; s++) {
		__u32 cur = lb_slot_cur(ring[s]), base = lb_slot_base(ring[s]);

		if (lb_slot_settled(ring[s]) && cur < count) {
			settled[cur]++;
			continue;
		}
		if (cur < count)
			service->members[cur].slots_cur++;
		if (base < count)
			service->members[base].slots_base++;
		service->unsettled += !lb_slot_settled(ring[s]);
	}
	for (__u32 i = 0; i < count; i++) {
		service->members[i].slots_cur += settled[i];
		service->members[i].slots_base += settled[i];
	}
}

static struct lb_service **name_chain(const struct lb_engine *engine, const char *name)
{
	return &engine->names[XXH3_64bits(name, strlen(name)) & engine->names_mask];
}

struct lb_service *lb_engine_find(const struct lb_engine *engine, const char *name)
{
	struct lb_service *service = *name_chain(engine, name);

	while (service && strcmp(service->name, name) != 0)
		service = service->name_next;
	return service;
}

void lb_engine_link(struct lb_engine *engine, struct lb_service *service)
{
	struct lb_service **chain = name_chain(engine, service->name);

	service->name_next = *chain;
	*chain = service;
	engine->by_id[service->vip.service] = service;
	if (service->leader)
		service->leader->sharers++;
}

void lb_engine_unlink(struct lb_engine *engine, struct lb_service *service)
{
	struct lb_service **link = name_chain(engine, service->name);

	while (*link != service)
		link = &(*link)->name_next;
	*link = service->name_next;
	engine->by_id[service->vip.service] = NULL;
	if (service->leader)
		service->leader->sharers--;
}

/* The id that the backend of an index has at its new address; LB_NO_HEIR: there is none. */
static __u32 heir_of(const struct lb_engine *engine, const struct lb_service *service, __u32 index)
{
	const struct lb_backend_meta *meta = engine->tables->backend_meta;
	__u32 id = service->members[index].id;

	for (__u32 i = 0; i < service->vip.backend_count; i++) {
		const struct lb_member *member = &service->members[i];

		if (member->used && member->id != id && meta[member->id].used &&
		    strcmp(meta[member->id].name, meta[id].name) == 0)
			return member->id;
	}
	return LB_NO_HEIR;
}

void lb_engine_free_member(struct lb_engine *engine, struct lb_service *service, __u32 index)
{
	struct lb_member *member = &service->members[index];
	__u32 record = service->vip.backend_first + index;
	bool shared = false;

	/* Nothing names the index any more: the one place where a record changes under packets. */
	__atomic_store_n(&engine->tables->backends[record].flags, 0, __ATOMIC_RELEASE);
	for (__u32 i = 0; i < service->vip.backend_count; i++)
		shared |= i != index && service->members[i].used && service->members[i].id == member->id;
	if (!shared) {
		lb_counts_keep(engine->tables, member->id, heir_of(engine, service, index));
		engine->tables->backend_meta[member->id].used = 0;
		lb_ids_release(&engine->backend_ids, member->id);
	}
	service->n_leaving -= lb_member_draining(member) || member->leaving || member->ghost;
	*member = (struct lb_member){};
	if (service->server_ids)
		service->server_ids[index] = (struct lb_server_id){};
}

/* --- grace --------------------------------------------------------------------------------------- */

/* Stamps that packets in flight still wrote beside the old ring. */
static void merge_stamps(struct lb_engine *engine, const struct lb_retired_ring *retired)
{
	const __u32 *ring = lb_engine_ring(engine, retired->line);
	const __u32 *from = lb_engine_stamps(engine, retired->line);
	__u32 *to = lb_engine_stamps(engine, retired->next_line);
	__u32 larger = retired->slots > retired->next_slots ? retired->slots : retired->next_slots;

	if (!retired->next_slots)
		return;
	for (__u32 s = 0; s < larger; s++) {
		__u32 old = s & (retired->slots - 1);

		if (!lb_slot_settled(ring[old]))
			lb_stamp_at_least(&to[s & (retired->next_slots - 1)],
					  __atomic_load_n(&from[old], __ATOMIC_RELAXED));
	}
}

int lb_engine_grace(struct lb_engine *engine)
{
	int r;

	engine->held++;
	r = engine->hooks->grace(engine->hooks->context);
	/* Oldest first: a ring may itself have taken another's place. The sweeper concludes nothing before
	 * all of them are through. */
	for (size_t i = 0; r == 0 && i < engine->n_retired; i++) {
		merge_stamps(engine, &engine->retired[i]);
		lb_engine_pause(engine);
	}
	engine->held--;
	if (r < 0)
		return r;
	engine->awaited = false;
	engine->n_retired = 0;
	lb_arena_settle(&engine->rings);
	lb_arena_settle(&engine->records);
	memset(engine->bank_fresh, 0, sizeof(engine->bank_fresh));
	engine->dirty = false;
	return 0;
}

int lb_engine_reserve(struct lb_engine *engine, size_t n)
{
	if (engine->n_retired + n > engine->retired_capacity) {
		size_t capacity = 2 * (engine->n_retired + n);
		struct lb_retired_ring *retired = realloc(engine->retired, capacity * sizeof(*retired));

		if (!retired)
			return -ENOMEM;
		engine->retired = retired;
		engine->retired_capacity = capacity;
	}
	if (engine->n_gone + n > engine->gone_capacity) {
		size_t capacity = 2 * (engine->n_gone + n);
		struct lb_gone *gone = realloc(engine->gone, capacity * sizeof(*gone));

		if (!gone)
			return -ENOMEM;
		engine->gone = gone;
		engine->gone_capacity = capacity;
	}
	return 0;
}

/* --- life ---------------------------------------------------------------------------------------- */

static bool is_power_of_two(__u32 x)
{
	return x && !(x & (x - 1));
}

static int check_sizes(const struct lb_tables *tables, struct lb_error *error)
{
	const struct lb_table_sizes *sizes = &tables->sizes;
	const struct lb_control *control = tables->control;

	if (sizes->flow_buckets < sizes->cpus)
		return lb_error_at(
			error, EINVAL, "limits.flow_entries", NULL,
			"the flow table has %u buckets for %u CPUs; it must have at least one for each: "
			"limits.flow_entries must be 0 or at least %u",
			sizes->flow_buckets, sizes->cpus, sizes->cpus * LB_FLOWS_PER_BUCKET);
	if (!is_power_of_two(sizes->flow_buckets) || sizes->vip_buckets != LB_VIP_BUCKETS ||
	    sizes->ring_lines % LB_CHUNK_LINES || sizes->stamp_lines % LB_CHUNK_LINES ||
	    !is_power_of_two(sizes->stamp_lines) || sizes->backends % LB_CHUNK_LINES || !sizes->cpus ||
	    sizes->services > LB_SERVICES_MAX)
		return lb_error_set(error, EINVAL,
				    "sizes of the tables are not of the form that tables.h asks for");
	if (!control->magic && !control->active)
		return 0;
	if (control->magic != LB_LAYOUT_MAGIC || control->layout != LB_LAYOUT_VERSION)
		return lb_error_set(error, EPROTO,
				    "the tables have magic %#x and layout %u; this version knows layout %u",
				    control->magic, control->layout, LB_LAYOUT_VERSION);
	if (control->hash_version != LB_HASH_VERSION || control->ring_rule != LB_RING_RULE_VERSION)
		return lb_error_set(error, EPROTO,
				    "flows are placed by version %u of the hash and %u of the rule for ring "
				    "sizes; this version knows %u and %u",
				    control->hash_version, control->ring_rule, LB_HASH_VERSION,
				    LB_RING_RULE_VERSION);
	if (control->cpus != sizes->cpus || control->vip_buckets != sizes->vip_buckets ||
	    control->ring_lines != sizes->ring_lines || control->stamp_lines != sizes->stamp_lines ||
	    control->backends != sizes->backends || control->counters != sizes->counters ||
	    control->services != sizes->services || control->flow_buckets != sizes->flow_buckets ||
	    control->flow_mask != sizes->flow_buckets - 1)
		return lb_error_set(error, EPROTO, "control says other table sizes than the tables have");
	return 0;
}

int lb_engine_new(const struct lb_tables *tables, const struct lb_engine_hooks *hooks,
		  struct lb_engine **ret_engine, struct lb_error *error)
{
	struct lb_engine *engine;
	int r = check_sizes(tables, error);

	if (r < 0)
		return r;
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return lb_error_set(error, ENOMEM, "out of memory");
	engine->tables = tables;
	engine->hooks = hooks;
	engine->by_id = calloc(tables->sizes.services + 1, sizeof(*engine->by_id));
	engine->gone_seen = calloc(LB_SERVICES_MAX + 1, sizeof(*engine->gone_seen));
	engine->held_digest = LB_HELD_NONE;
	engine->names_mask = 63;
	while (engine->names_mask < tables->sizes.services)
		engine->names_mask = 2 * engine->names_mask + 1;
	engine->names = calloc(engine->names_mask + 1, sizeof(*engine->names));
	if (!engine->by_id || !engine->gone_seen || !engine->names ||
	    lb_arena_init(&engine->rings, tables->sizes.ring_lines, LB_CHUNK_LINES) < 0 ||
	    lb_arena_init(&engine->records, tables->sizes.backends, LB_CHUNK_LINES) < 0 ||
	    lb_ids_init(&engine->service_ids, tables->sizes.services) < 0 ||
	    lb_ids_init(&engine->backend_ids, tables->sizes.counters) < 0 ||
	    lb_nexthop_table_init(&engine->nexthops) < 0)
		r = lb_error_set(error, ENOMEM, "out of memory");
	else
		r = lb_engine_adopt(engine, error);
	if (r < 0) {
		lb_engine_free(engine);
		return r;
	}
	*ret_engine = engine;
	return 0;
}

void lb_engine_free(struct lb_engine *engine)
{
	if (!engine)
		return;
	for (__u32 id = 0; engine->by_id && id < engine->tables->sizes.services; id++)
		lb_service_free(engine->by_id[id]);
	for (size_t i = 0; i < engine->n_gone; i++)
		free(engine->gone[i].ids);
	free(engine->gone);
	free(engine->gone_seen);
	free(engine->retired);
	free(engine->overrides);
	free(engine->order);
	free(engine->items);
	free(engine->by_id);
	free(engine->names);
	lb_ids_done(&engine->service_ids);
	lb_ids_done(&engine->backend_ids);
	lb_nexthop_table_done(&engine->nexthops);
	lb_arena_done(&engine->rings);
	lb_arena_done(&engine->records);
	free(engine);
}

__u64 lb_engine_generation(const struct lb_engine *engine)
{
	return engine->generation;
}

/* --- views --------------------------------------------------------------------------------------- */

void lb_engine_view_member(const struct lb_engine *engine, const struct lb_service *service, __u32 index,
			   struct lb_backend_view *view)
{
	const struct lb_member *member = &service->members[index];
	bool draining = lb_member_draining(member);

	*view = (struct lb_backend_view){
		.name = lb_member_name(engine, member),
		.address = lb_member_address(engine, member),
		.id = member->id,
		.index = (__u16)index,
		.weight = member->weight,
		.state = (enum lb_state)member->state,
		.leaving = member->leaving,
		.nexthop = *lb_nexthop_table_at(&engine->nexthops, member->nexthop),
		.slots_cur = member->slots_cur,
		.slots_base = member->slots_base,
		.entries = lb_count_of(&member->entries, engine->sweep.done),
		.draining = draining,
		.drained = draining && lb_drain_is_over(member),
		.let_go = draining && lb_drain_let_go(engine, service, member),
		.draining_s = draining ? lb_engine_clock(engine) - member->left_s : 0,
	};
}

static int view_service(struct lb_engine *engine, struct lb_service *service,
			struct lb_service_view *ret_view)
{
	struct lb_service *lead = lb_service_lead(service);
	size_t n = 0;

	if (!lead->views) {
		lead->views = calloc(lead->vip.backend_count + 1u, sizeof(*lead->views));
		if (!lead->views)
			return -ENOMEM;
		if (engine->n_viewed < LB_VIEWED_MAX)
			engine->viewed[engine->n_viewed] = lead->vip.service;
		engine->n_viewed += engine->n_viewed <= LB_VIEWED_MAX;
	}
	for (__u32 i = 0; i < lead->vip.backend_count; i++) {
		if (lead->members[i].used && !lead->members[i].ghost)
			lb_engine_view_member(engine, lead, i, &lead->views[n++]);
	}
	*ret_view = (struct lb_service_view){
		.name = service->name,
		.config = service->config,
		.id = service->vip.service,
		.ring_line = lb_vip_ring_line(&service->vip),
		.ring_slots = lb_service_slots(service),
		.backend_first = service->vip.backend_first,
		.unsettled_slots = lead->unsettled,
		.entries = lb_count_of(&service->entries, engine->sweep.done),
		.backends = lead->views,
		.n_backends = n,
		.lead = service->leader ? lead->name : NULL,
		.sharers = lead->sharers,
	};
	if (lead->unsettled) {
		__u32 age = lb_engine_clock(engine) - lead->unsettled_since_s;

		ret_view->unsettled_since_s = engine->now_s > age ? engine->now_s - age : 1;
	}
	return 0;
}

static void forget_view(struct lb_engine *engine, __u32 id)
{
	if (!engine->by_id[id])
		return;
	free(engine->by_id[id]->views);
	engine->by_id[id]->views = NULL;
}

void lb_engine_forget_views(struct lb_engine *engine)
{
	bool all = engine->n_viewed > LB_VIEWED_MAX;

	for (__u32 i = 0; i < (all ? engine->tables->sizes.services : engine->n_viewed); i++)
		forget_view(engine, all ? i : engine->viewed[i]);
	engine->n_viewed = 0;
}

void lb_engine_addresses(const struct lb_engine *engine,
			 void (*each)(void *context, const struct lb_address *address), void *context)
{
	for (size_t i = 0; i < engine->n_order; i++) {
		const struct lb_service *service = engine->order[i];

		/* Those that share a ring have none of their own. */
		for (__u32 m = 0; !service->leader && m < service->vip.backend_count; m++) {
			struct lb_address address;

			if (!service->members[m].used || service->members[m].ghost)
				continue;
			address = lb_member_address(engine, &service->members[m]);
			each(context, &address);
		}
		lb_engine_pause(engine);
	}
}

size_t lb_engine_services(struct lb_engine *engine)
{
	return engine->n_order;
}

const char *lb_engine_service_name(const struct lb_engine *engine, size_t i)
{
	return i < engine->n_order ? engine->order[i]->name : NULL;
}

int lb_engine_service(struct lb_engine *engine, size_t i, struct lb_service_view *ret_view)
{
	return i < engine->n_order ? view_service(engine, engine->order[i], ret_view) : -ENOENT;
}

int lb_engine_service_by_name(struct lb_engine *engine, const char *name, struct lb_service_view *ret_view)
{
	struct lb_service *service = lb_engine_find(engine, name);

	return service ? view_service(engine, service, ret_view) : -ENOENT;
}

void lb_engine_get_usage(struct lb_engine *engine, struct lb_engine_usage *ret_usage)
{
	*ret_usage = (struct lb_engine_usage){
		.services = engine->service_ids.used,
		.backends = engine->backend_ids.used,
		.ring_lines = engine->rings.used,
		.flow_entries = engine->flow_entries,
		.flow_embryonic = engine->flow_embryonic,
		.sweeps = engine->sweep.done,
	};
}
