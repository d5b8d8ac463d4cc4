// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a plan visible. Everything is written beside what packets read: names and counters of new ids,
 * records, rings, then a whole bank of the VIP table; then one store to lb_control.active. All that can fail
 * comes before the first write. A process that is killed anywhere in between leaves the old generation, or,
 * after the store, the new one; adopt.c clears away what the old one does not name.
 */
#include "engine/engine_internal.h"
#include "engine/counts.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void step(const struct lb_engine *engine, const char *name)
{
	if (engine->hooks->step)
		engine->hooks->step(engine->hooks->context, name);
}

/* --- before the first write ---------------------------------------------------------------------- */

/* Arrays by slot that the sweeper needs while slots are unsettled. */
static int prepare_settling(struct lb_service_change *change)
{
	struct lb_service *next = change->next;
	__u32 slots = lb_service_slots(next);

	if (!change->target || !change->current)
		return 0;
	if (!next->ready)
		next->ready = lb_ready_new(slots);
	if (!next->moved_s)
		next->moved_s = calloc(slots, sizeof(*next->moved_s));
	return next->ready && next->moved_s ? 0 : -ENOMEM;
}

static __u32 other_bank(const struct lb_engine *engine, bool fresh)
{
	for (__u32 i = 1; i < LB_BANKS; i++) {
		__u32 bank = (engine->bank + i) % LB_BANKS;

		if (fresh || !engine->bank_fresh[bank])
			return bank;
	}
	return LB_BANKS;
}

static int prepare_gone(struct lb_plan *plan)
{
	plan->gone_ids = calloc(plan->n_changes + 1, sizeof(*plan->gone_ids));
	if (!plan->gone_ids)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].next)
			continue;
		plan->gone_ids[i] =
			calloc(plan->changes[i].current->vip.backend_count + 1u, sizeof(**plan->gone_ids));
		if (!plan->gone_ids[i])
			return -ENOMEM;
	}
	return 0;
}

void lb_commit_forget(struct lb_plan *plan)
{
	for (size_t i = 0; plan->gone_ids && i < plan->n_changes; i++)
		free(plan->gone_ids[i]);
	free(plan->gone_ids);
	plan->gone_ids = NULL;
}

static int prepare(struct lb_engine *engine, struct lb_plan *plan, struct lb_error *error)
{
	int r = lb_engine_reserve(engine, plan->n_changes);

	for (size_t i = 0; r == 0 && i < plan->n_changes; i++) {
		if (plan->changes[i].next)
			r = prepare_settling(&plan->changes[i]);
		lb_engine_pause(engine);
	}
	if (r == 0)
		r = prepare_gone(plan);
	if (r < 0)
		return lb_error_set(error, -r, "out of memory");
	if (!engine->tables->control->active &&
	    getrandom(plan->flow_key, sizeof(plan->flow_key), 0) != sizeof(plan->flow_key))
		return lb_error_set(error, EIO, "cannot get random bytes for the key of the flow table: %s",
				    strerror(errno));
	if (!lb_plan_is_empty(plan) && (plan->needs_grace || other_bank(engine, false) == LB_BANKS)) {
		r = lb_engine_grace(engine);
		if (r < 0)
			return lb_error_set(error, -r, "cannot wait for packets in flight: %s", strerror(-r));
	}
	plan->bank = other_bank(engine, false);
	return 0;
}

int lb_engine_prepare(struct lb_engine *engine, struct lb_plan *plan, struct lb_error *error)
{
	int r = 0;

	if (plan->engine == engine && !plan->done && plan->generation == engine->generation &&
	    plan->roles != engine->roles)
		return lb_error_set(error, ESTALE, "the plan was made before another one: plan again");
	if (plan->engine != engine || plan->done || plan->generation != engine->generation)
		return lb_error_set(
			error, ESTALE,
			"the plan was made for generation %llu and the tables are at %llu: plan again",
			plan->generation, engine->generation);
	if (!plan->prepared)
		r = prepare(engine, plan, error);
	if (r < 0)
		lb_commit_forget(plan);
	plan->prepared = r == 0;
	return r;
}

/* --- beside the old ------------------------------------------------------------------------------ */

struct commit {
	struct lb_engine *engine;
	struct lb_plan *plan;
	__u32 bank, log2;
	__u64 shapes; /* LB_ACTIVE_SHAPES of the bank */
	__u64 generation;
};

static void write_meta(struct commit *commit, const struct lb_service_change *change)
{
	const struct lb_tables *tables = commit->engine->tables;
	const struct lb_service *next = change->next;
	const struct lb_added *added;

	if (change->new_id) {
		struct lb_service_meta meta = { .used = 1, .created_generation = commit->generation };

		memcpy(meta.name, next->name, sizeof(meta.name));
		tables->service_meta[next->vip.service] = meta;
		for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++)
			tables->service_counters[(size_t)cpu * tables->sizes.services + next->vip.service] =
				(struct lb_service_counter){};
	}
	for (__u32 i = 0; !next->leader && i < next->vip.backend_count; i++) {
		const struct lb_member *member = &next->members[i];
		struct lb_backend_meta meta = { .used = 1,
						.service = next->vip.service,
						.index = (__u16)i,
						.created_generation = commit->generation };

		/* Another of those that share the ring may lead now. */
		if (member->used && !member->added)
			tables->backend_meta[member->id].service = next->vip.service;
		if (!member->added)
			continue;
		added = &commit->plan->added[member->place];
		snprintf(meta.name, sizeof(meta.name), "%s", added->name);
		meta.family = added->address.family;
		memcpy(meta.address, added->address.bytes, sizeof(meta.address));
		tables->backend_meta[member->id] = meta;
		lb_counts_begin(tables, member->id);
	}
}

static void write_records(const struct lb_tables *tables, const struct lb_service_change *change)
{
	__u32 first = change->next->vip.backend_first, n = change->next->vip.backend_count;

	memcpy(&tables->backends[first], change->records, n * sizeof(*change->records));
	for (__u32 i = 0; i < n; i++)
		tables->backend_ids[first + i] = change->records[i].counter;
}

/* The ring of a new service: both halves are the target, nothing is unsettled. */
static void write_new_ring(const struct lb_service_change *change, __u32 *ring)
{
	for (__u32 s = 0; s < lb_service_slots(change->next); s++)
		ring[s] = lb_slot_make(change->target[s], change->target[s], 0);
}

static void write_ring(struct commit *commit, struct lb_service_change *change)
{
	const struct lb_engine *engine = commit->engine;
	struct lb_service *next = change->next;
	const struct lb_service *current = change->current;
	__u32 *ring = lb_engine_ring(engine, lb_vip_ring_line(&next->vip));
	__u32 *stamps = lb_engine_stamps(engine, lb_vip_ring_line(&next->vip));
	const __u32 *old_stamps;
	__u8 dead[LB_BACKENDS_PER_SERVICE_MAX + 1];
	__u32 now = lb_engine_clock(engine);
	struct lb_slot_step walk;

	if (!current) {
		write_new_ring(change, ring);
		return;
	}
	old_stamps = lb_engine_stamps(engine, lb_vip_ring_line(&current->vip));
	lb_slot_step_init(engine, change, dead, &walk);
	for (__u32 s = 0; s < walk.slots; s++) {
		__u32 old = lb_slot_step_old_quick(&walk, s), from = s & (walk.old_slots - 1);
		__u32 word = lb_slot_next_quick(old, change->target[s], &walk.rules);
		bool moved = lb_slot_cur(word) != lb_slot_cur(old) || walk.slots < walk.old_slots;

		ring[s] = word;
		if (lb_slot_settled(word))
			continue;
		lb_stamp_at_least(&stamps[s],
				  moved ? now : __atomic_load_n(&old_stamps[from], __ATOMIC_RELAXED));
		if (next->moved_s)
			next->moved_s[s] = moved || !current->moved_s ? now : current->moved_s[from];
		if (word == old && walk.slots == walk.old_slots && current->ready)
			lb_ready_set(next->ready, s, lb_ready_get(current->ready, s));
	}
}

/* A whole bank: from a new layout, or a copy of the visible one with the entries of changed services. */
static void write_bank(struct commit *commit)
{
	const struct lb_engine *engine = commit->engine;
	const struct lb_plan *plan = commit->plan;
	const struct lb_tables *tables = engine->tables;
	struct lb_vip *bank = &tables->vips[(size_t)commit->bank * tables->sizes.vip_buckets];
	const struct lb_vip *old = &tables->vips[(size_t)engine->bank * tables->sizes.vip_buckets];

	if (plan->new_layout) {
		commit->log2 = plan->layout.log2;
		commit->shapes = (plan->layout.wildcard ? LB_ACTIVE_WILDCARD : 0) |
				 (plan->layout.filtered ? LB_ACTIVE_FILTERED : 0);
		memset(bank, 0, sizeof(*bank) << commit->log2);
		tables->banks[commit->bank] = plan->layout.bank;
		lb_vip_filter_build(plan->items, plan->layout.n_items, &tables->filters[commit->bank]);
		for (size_t i = 0; i < plan->layout.n_items; i++)
			lb_vip_entry(&plan->items[i], &plan->order[plan->items[i].owner]->vip,
				     &bank[plan->items[i].bucket]);
		return;
	}
	commit->log2 = engine->log2;
	commit->shapes = engine->shapes;
	memcpy(bank, old, sizeof(*bank) << commit->log2);
	tables->banks[commit->bank] = tables->banks[engine->bank];
	tables->filters[commit->bank] = tables->filters[engine->bank];
	for (size_t i = 0; i < plan->n_changes; i++)
		plan->changes[i].current->replacement = plan->changes[i].next;
	for (size_t i = 0; i < engine->n_items; i++) {
		const struct lb_service *service = engine->by_id[engine->items[i].owner];

		if (service->replacement)
			lb_vip_entry(&engine->items[i], &service->replacement->vip,
				     &bank[engine->items[i].bucket]);
	}
}

static void write_beside(struct commit *commit)
{
	struct lb_plan *plan = commit->plan;
	const struct lb_engine *engine = commit->engine;

	step(engine, "begin");
	for (size_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].next) {
			write_meta(commit, &plan->changes[i]);
			step(engine, "meta");
		}
		lb_engine_pause(engine);
	}
	for (size_t i = 0; i < plan->n_changes; i++) {
		const struct lb_service_change *change = &plan->changes[i];

		if (change->records) {
			write_records(engine->tables, change);
			step(engine, "records");
		}
		lb_engine_pause(engine);
	}
	for (size_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].target) {
			write_ring(commit, &plan->changes[i]);
			if (plan->changes[i].current)
				lb_service_count_slots(engine, plan->changes[i].next);
			step(engine, "ring");
		}
		lb_engine_pause(engine);
	}
	write_bank(commit);
	step(engine, "bank");
}

/* The one store. The seed and the keys are only ever written while no service is visible. */
static void make_visible(struct commit *commit)
{
	struct lb_engine *engine = commit->engine;
	struct lb_control *control = engine->tables->control;

	if (!control->magic)
		lb_tables_init_control(&engine->tables->sizes, control);
	if (!control->active) {
		memcpy(control->flow_key, commit->plan->flow_key, sizeof(control->flow_key));
		if (!control->clock_s)
			control->clock_s = 1;
		step(engine, "key");
	}
	if (!engine->n_order) {
		memcpy(control->hash_seed, commit->plan->hash_seed, sizeof(control->hash_seed));
		step(engine, "seed");
	}
	__atomic_store_n(&control->active,
			 LB_ACTIVE(commit->bank, commit->log2, commit->shapes, commit->generation),
			 __ATOMIC_RELEASE);
	engine->bank_fresh[engine->bank] = true;
	engine->bank = commit->bank;
	engine->log2 = commit->log2;
	engine->shapes = commit->shapes;
	engine->generation = commit->generation;
	engine->dirty = true;
	step(engine, "visible");
}

/* --- after: the books ---------------------------------------------------------------------------- */

static void retire(struct lb_engine *engine, const struct lb_service_change *change)
{
	const struct lb_service *current = change->current, *next = change->next;
	__u32 count = current->vip.backend_count ? current->vip.backend_count : 1;

	if (current->leader)
		return;
	if (!next || change->target) {
		struct lb_retired_ring *retired = &engine->retired[engine->n_retired++];

		*retired = (struct lb_retired_ring){ .line = lb_vip_ring_line(&current->vip),
						     .slots = lb_service_slots(current) };
		if (next) {
			retired->next_line = lb_vip_ring_line(&next->vip);
			retired->next_slots = lb_service_slots(next);
		}
		lb_arena_release(&engine->rings, retired->line, retired->slots / LB_SLOTS_PER_LINE, true);
	}
	if (!next || change->records)
		lb_arena_release(&engine->records, current->vip.backend_first, count, true);
}

/* What the sweeper counted since the plan was made, and what it settled. */
static void carry_over(struct lb_engine *engine, struct lb_service_change *change)
{
	struct lb_service *current = change->current, *next = change->next;
	bool same_ring = !change->target;
	__u32 count = next->vip.backend_count;

	next->entries = current->entries;
	if (next->leader)
		return;
	next->begun_pass = current->begun_pass;
	next->ended_pass = current->ended_pass;
	if (count > current->vip.backend_count)
		count = current->vip.backend_count;
	if (same_ring)
		next->unsettled = current->unsettled;
	next->unsettled_since_s = current->unsettled_since_s;
	for (__u32 i = 0; i < count; i++) {
		const struct lb_member *before = &current->members[i];
		struct lb_member *after = &next->members[i];

		if (!before->used || after->added || after->id != before->id)
			continue;
		after->entries = before->entries;
		after->seen_pass = before->seen_pass;
		if (same_ring) {
			after->slots_cur = before->slots_cur;
			after->slots_base = before->slots_base;
		}
		if (((before->leaving || before->ghost) && (after->leaving || after->ghost)) ||
		    (lb_member_draining(before) && lb_member_draining(after))) {
			after->clean_passes = before->clean_passes;
			after->unnamed = before->unnamed;
			after->let_go = before->let_go;
		}
	}
	if (same_ring) {
		next->ready = current->ready;
		next->moved_s = current->moved_s;
		current->ready = NULL;
		current->moved_s = NULL;
	}
}

/* Whoever goes down now: the next sweep to begin finds and removes the entries that name it. */
static void mark_deaths(const struct lb_engine *engine, struct lb_service_change *change)
{
	const struct lb_service *current = change->current;

	for (__u32 i = 0; !change->next->leader && i < change->next->vip.backend_count; i++) {
		struct lb_member *member = &change->next->members[i];
		const struct lb_member *there = current && i < current->vip.backend_count &&
								current->members[i].used && !member->added &&
								current->members[i].id == member->id
							? &current->members[i]
							: NULL;
		bool was = there && lb_member_dead(there);

		/* Name and address are in the tables now. */
		if (member->added)
			member->left_s = 0;
		if (member->used && lb_member_dead(member) && !was)
			member->dead_mark = (__u32)engine->sweep.begun;
		if (!lb_member_draining(member))
			member->let_go = false;
		else if (!there || !lb_member_draining(there) || there->leaving != member->leaving)
			lb_drain_start(engine, member);
		member->added = false;
	}
}

static void replace_service(struct lb_engine *engine, struct lb_service_change *change)
{
	struct lb_service *current = change->current, *next = change->next;
	__u32 unsettled_before = current ? current->unsettled : 0;

	mark_deaths(engine, change);
	if (current) {
		carry_over(engine, change);
		lb_engine_unlink(engine, current);
		retire(engine, change);
	}
	lb_engine_link(engine, next);
	if (next->unsettled && !unsettled_before)
		next->unsettled_since_s = lb_engine_clock(engine);
	if (!next->unsettled) {
		free(next->ready);
		free(next->moved_s);
		next->ready = NULL;
		next->moved_s = NULL;
	}
	change->gone = current;
	change->current = NULL;
}

static void remove_service(struct lb_engine *engine, struct lb_service_change *change, __u32 *ids)
{
	struct lb_service *current = change->current;
	struct lb_gone *gone = &engine->gone[engine->n_gone++];

	*gone = (struct lb_gone){ .service = current->vip.service, .ids = ids, .mark = engine->sweep.begun };
	for (__u32 i = 0; !current->leader && i < current->vip.backend_count; i++) {
		if (current->members[i].used &&
		    (!current->n_leaving || lb_service_id_index(current, current->members[i].id) == i))
			ids[gone->n_ids++] = current->members[i].id;
	}
	lb_engine_unlink(engine, current);
	retire(engine, change);
	change->gone = current;
	change->current = NULL;
}

/* Nothing in here can fail. */
static void update_books(struct commit *commit)
{
	struct lb_engine *engine = commit->engine;
	struct lb_plan *plan = commit->plan;

	/* Removals first: a name may come back with another key. */
	for (size_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].next)
			continue;
		remove_service(engine, &plan->changes[i], plan->gone_ids[i]);
		plan->gone_ids[i] = NULL;
	}
	for (size_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].next)
			replace_service(engine, &plan->changes[i]);
	}
	/* The same configuration: services that did not change point into it already. */
	for (size_t i = 0; plan->config != engine->config && i < plan->config->n_services; i++)
		plan->order[i]->config = &plan->config->services[i];
	if (plan->new_layout) {
		for (size_t i = 0; i < plan->layout.n_items; i++)
			plan->items[i].owner = plan->order[plan->items[i].owner]->vip.service;
		free(engine->items);
		engine->items = plan->items;
		engine->n_items = plan->layout.n_items;
		plan->items = NULL;
	}
	free(engine->order);
	engine->order = plan->order;
	engine->n_order = plan->config->n_services;
	plan->order = NULL;
	free(engine->overrides);
	engine->overrides = plan->overrides;
	engine->n_overrides = plan->n_overrides;
	plan->overrides = NULL;
	engine->config = plan->config;
	engine->held_digest = plan->held_digest;
	lb_engine_agree(plan);
	engine->sweep.moved |= plan->n_changes > 0;
	plan->done = true;
}

int lb_engine_commit(struct lb_engine *engine, struct lb_plan *plan, struct lb_error *error)
{
	struct commit commit = { .engine = engine, .plan = plan };
	int r = lb_engine_prepare(engine, plan, error);

	if (r < 0)
		return r;
	commit.bank = plan->bank;
	commit.generation = engine->generation + 1;
	/* What is written is made of what the sweeper would change. */
	engine->held++;
	if (!lb_plan_is_empty(plan)) {
		write_beside(&commit);
		make_visible(&commit);
	}
	update_books(&commit);
	engine->held--;
	return 0;
}
