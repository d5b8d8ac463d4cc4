/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inside of the engine, shared by engine.c, adopt.c, plan*.c, commit.c and sweep*.c and by nobody else.
 *
 * A struct lb_service is what the agent knows of a service beside the tables. A plan makes a changed copy
 * (next) of each service that changes; the commit puts it in the place of the current one. What the sweeper
 * counts lives in the same structures and is carried over at the commit.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/arena.h"
#include "engine/engine.h"
#include "engine/nexthop_table.h"
#include "lb/slot.h"
#include "ring/ring.h"
#include "engine/vip_table.h"

/* A count of flow entries by passes of the sweeper: a pass and the one before. Passes are numbered from 1,
 * and for more than a century. */
struct lb_count {
	__u32 pass, n, last_n;
};

static inline void lb_count_add(struct lb_count *count, __u64 pass)
{
	if (count->pass != pass) {
		count->last_n = count->pass + 1 == pass ? count->n : 0;
		count->pass = (__u32)pass;
		count->n = 0;
	}
	count->n += count->n < UINT32_MAX;
}

/* As of a complete pass: the last one. */
static inline __u64 lb_count_of(const struct lb_count *count, __u64 pass)
{
	if (count->pass == pass)
		return count->n;
	return count->pass == pass + 1 ? count->last_n : 0;
}

/*
 * A backend of a service, at its index. There are very many, so what is elsewhere is not here: name and
 * address are in the tables under its id (lb_member_name), next hops in a table of their own, QUIC server ids
 * with the few services that have them.
 */
struct lb_member {
	struct lb_count entries;
	__u32 id;
	__u32 dead_mark; /* sweeps begun when it went down: its entries are void and swept by the next one */
	__u32 seen_pass; /* last pass that met an entry of it */
	union {
		__u32 left_s; /* coarse clock when it began to drain, or to leave */
		__u32 place;  /* added: in plan->added */
	};
	__u32 slots_cur, slots_base;
	__u32 nexthop;   /* number in engine->nexthops */
	__u32 reached_s; /* leaving: coarse clock when it last had a next hop */
	__u16 weight;
	__u8 clean_passes : 2;
	__u8 let_go : 1; /* an operator wants it gone, whoever is still on it */
	__u8 state : 2;  /* enum lb_state; LB_STATE_DOWN exactly when the record says dead */
	__u8 used : 1;
	__u8 leaving : 1; /* no longer configured */
	/* Index of a backend that returned under another index before its void entries were swept. */
	__u8 ghost : 1;
	__u8 known : 1;   /* weight and state are the configuration's, not guessed at adoption */
	__u8 added : 1;   /* by the plan: its id is new */
	__u8 unnamed : 1; /* no slot named it when the running pass began */
};
_Static_assert(sizeof(struct lb_member) == 48, "there are very many");

/* What a backend puts into its QUIC connection IDs; zero-padded. */
struct lb_server_id {
	__u8 id[LB_QUIC_SERVER_ID_MAX];
	__u8 bytes; /* 0: none */
	/* While it drains: what it had counted when a pass last looked, and when that had changed (coarse
	 * clock). */
	__u32 heard_s;
	__u64 packets;
};

struct lb_service {
	struct lb_service *name_next; /* chain of the engine's table of names */
	char name[LB_NAME_MAX];
	struct lb_service_key key;
	const struct lb_config_service *config; /* borrowed; NULL after adoption, before the first commit */
	struct lb_vip vip; /* what its VIP entries hold; key zero; backend_count indices */
	/* Of the services that share a ring one leads: it has the ring, the members and the records, and the
	 * others none of that. It is the first of them in the configuration that has it already. NULL: it has
	 * its own, whether others share it or not. */
	struct lb_service *leader;
	__u32 sharers;                   /* others that share its ring */
	__u32 begun_pass, ended_pass;    /* of the sweeper: the last one that began with it, and that ended */
	struct lb_member *members;       /* vip.backend_count of them, by index */
	struct lb_server_id *server_ids; /* by index; NULL: nobody has one */
	__u32 n_leaving;                 /* leaving, draining and ghosts */
	__u32 unsettled;                 /* slots */
	__u32 unsettled_since_s;         /* coarse clock */
	__u32 *moved_s;                  /* by slot: coarse clock when it moved; NULL: none is unsettled */
	__u64 *ready; /* bit by slot: set while the running pass looks for entries that disagree; NULL: none
			 unsettled */
	struct lb_count entries;
	bool ring_is_built; /* this process has built it: who owns a slot is what the builder said */
	struct lb_backend_view *views;
	__u64 claimed;                  /* serial of the plan that met it in the desired configuration */
	__u64 wanted;                   /* the same, before it is known whether it goes on */
	__u64 ring_claimed;             /* serial of the plan in which its ring goes on */
	struct lb_service *replacement; /* while a commit writes: what comes in its place */
	__u64 records; /* digest of what the bank holds for it besides its own entries; 0: not known */
};

/* Who has the ring and the members of a service. */
static inline struct lb_service *lb_service_lead(struct lb_service *service)
{
	return service->leader ? service->leader : service;
}

static inline const struct lb_service *lb_service_lead_of(const struct lb_service *service)
{
	return service->leader ? service->leader : service;
}

static inline __u32 lb_service_slots(const struct lb_service *service)
{
	return service->vip.ring_mask + 1;
}

static inline __u64 *lb_ready_new(__u32 slots)
{
	return (__u64 *)calloc((slots + 63) / 64, sizeof(__u64));
}

static inline bool lb_ready_get(const __u64 *ready, __u32 slot)
{
	return ready[slot / 64] >> (slot & 63) & 1;
}

static inline void lb_ready_set(__u64 *ready, __u32 slot, bool is_ready)
{
	__u64 bit = 1ull << (slot & 63);

	ready[slot / 64] = is_ready ? ready[slot / 64] | bit : ready[slot / 64] & ~bit;
}

static inline bool lb_member_dead(const struct lb_member *member)
{
	return !member->used || member->ghost || member->state == LB_STATE_DOWN;
}

/* Gets no new flows, and is kept for its old ones: drained by somebody's word, or no longer configured. */
static inline bool lb_member_draining(const struct lb_member *member)
{
	return member->used && !member->ghost && member->state != LB_STATE_DOWN &&
	       (member->leaving || member->state == LB_STATE_DRAIN);
}

/* A ring region that packets in flight may still stamp, and the one that took its place (slots 0: none). */
struct lb_retired_ring {
	__u32 line, slots;
	__u32 next_line, next_slots;
};

/* Ids of a removed service, kept until no flow entry can name it. */
struct lb_gone {
	__u32 service; /* id, or LB_NO_SERVICE: stray backend ids alone */
	__u32 *ids;    /* of backends; owned */
	size_t n_ids;
	__u64 mark; /* sweeps begun when it went */
	__u8 clean_passes;
};
#define LB_NO_SERVICE LB_SERVICES_MAX

/* Passes in a row that must meet no entry of what is to be freed. */
#define LB_CLEAN_PASSES 2

enum lb_phase { LB_PHASE_IDLE, LB_PHASE_RINGS, LB_PHASE_FLOWS, LB_PHASE_FINISH };

struct lb_sweep {
	enum lb_phase phase;
	__u64 begun, done;           /* passes */
	__u32 service, line, bucket; /* cursor */
	__u32 began_s;               /* coarse clock */
	bool moved;                  /* something happened since the pass began that asks for another */
	__u64 entries, embryonic;    /* of the running pass */
	__u64 tombs;                 /* places that it leaves as such */
};

#define LB_VIEWED_MAX 16u

struct lb_engine {
	const struct lb_tables *tables;
	const struct lb_engine_hooks *hooks;
	__u64 generation;
	__u32 bank, log2;
	__u64 shapes; /* LB_ACTIVE_SHAPES of the visible bank */
	bool bank_fresh[LB_BANKS];
	__u64 ticked_generation; /* visible at the last tick */
	bool dirty;              /* packets may be deciding by what is no longer visible */
	bool awaited;            /* the sweeper needs a grace period */
	unsigned int held; /* what the sweeper looks at is being changed, or waited for: it stands still */
	struct lb_arena rings, records;
	struct lb_ids service_ids, backend_ids;
	struct lb_nexthop_table nexthops;
	struct lb_service **by_id; /* sizes.services of them */
	struct lb_service **names; /* chains; a power of two of them, so that nothing is allocated later */
	__u32 names_mask;
	struct lb_service **order; /* as configured */
	size_t n_order;
	struct lb_vip_item *items; /* the visible bank's; owner: service id; NULL after adoption */
	size_t n_items;
	__u64 held_digest; /* of the host's own addresses in it (lb_plan_layout()); 0: not known */
#define LB_HELD_NONE 1
	const struct lb_config *config; /* of the last commit; NULL after adoption */
	/* All records that there are agree with these next hops; NULL: with none that are known. */
	const struct lb_nexthop_map *nexthops_agreed;
	__u64 nexthops_revision;
	struct lb_override *overrides; /* of the last commit, sorted */
	size_t n_overrides;
	struct lb_retired_ring *retired;
	size_t n_retired, retired_capacity;
	struct lb_gone *gone;
	size_t n_gone, gone_capacity;
	__u64 *gone_seen;   /* by service id: last pass that met an entry of a service that is gone */
	unsigned int plans; /* alive: what they refer to is not freed */
	__u64 plan_serial;
	__u64 roles;                 /* how often another service has come to lead a ring */
	__u32 viewed[LB_VIEWED_MAX]; /* ids of services that have views, as far as there is room */
	size_t n_viewed;             /* above LB_VIEWED_MAX: others have as well */
	bool ticked;
	__u64 now_s;
	struct lb_sweep sweep;
	__u64 flow_entries, flow_embryonic; /* of the last complete pass */
};

/* --- plan ---------------------------------------------------------------------------------------- */

struct lb_service_change {
	struct lb_service *current; /* NULL: added */
	struct lb_service *next;    /* NULL: removed; owned until the commit */
	/* Of the plan's memory: */
	__u16 *target;              /* owner by slot (index or LB_INDEX_NONE); NULL: the ring stays */
	struct lb_backend *records; /* by index; NULL: the region stays */
	bool visible;               /* packets will see it */
	bool attributes;            /* only the agent will */
	bool new_ring_region, new_record_region; /* reserved and not yet in use */
	bool ring_fresh, records_fresh;          /* reserved from what packets may still read */
	bool new_id;
	__u32 slots_moved;                /* cur changes */
	__u32 slots_at_risk;              /* base changes although it is alive: a smaller ring */
	struct lb_plan_backend *backends; /* effects */
	char *why;                        /* owned */
	struct lb_service *gone;          /* what was current before the commit; owned */
};

/* Who is not in the tables yet. */
struct lb_added {
	const char *name; /* the configuration's */
	struct lb_address address;
};

/* A service of the desired configuration among those that share its ring. */
struct lb_plan_place {
	struct lb_service *current; /* what it goes on from; NULL: it is added */
	__u32 lead;                 /* place of the one that leads */
	__u32 after;                /* place of the next one, after the lead; LB_PLAN_NOWHERE: none */
};
#define LB_PLAN_NOWHERE UINT32_MAX

struct lb_plan {
	struct lb_engine *engine;
	struct lb_plan_block *blocks; /* its memory */
	struct lb_member *scratch;    /* members of the service that is being planned */
	__u32 scratch_members;
	struct lb_added *added; /* by place */
	__u32 n_added, added_capacity;
	__u64 generation; /* that it was made for */
	const struct lb_config *config;
	const struct lb_nexthop_map *nexthops; /* that it was made with; may be gone when it is committed */
	__u64 nexthops_revision;
	bool same_nexthops;            /* as those that all records agree with */
	struct lb_override *overrides; /* sorted */
	size_t n_overrides;
	struct lb_service_change *changes;
	size_t n_changes, changes_capacity;
	struct lb_service **order;       /* by place in config: current or next */
	struct lb_plan_place *places;    /* by place in config */
	__u64 roles;                     /* engine->roles that it was made for */
	struct lb_plan_service *effects; /* of changes that are not nothing */
	size_t n_effects;
	const struct lb_address *held; /* the host's own addresses, n_held of them; while the plan is made */
	size_t n_held;
	__u64 held_digest;
	bool new_layout; /* keys or records came, went or changed */
	struct lb_vip_layout layout;
	struct lb_vip_item *items; /* owner: place in order; NULL unless new_layout */
	bool needs_grace;
	bool differs; /* lb_desired */
	bool done;
	__u64 hash_seed[LB_HASH_WORDS];
	__u64 identity;
	/* What the commit needs, from lb_engine_prepare(): */
	bool prepared;
	__u32 bank;
	__u64 flow_key[LB_HASH_WORDS];
	__u32 **gone_ids; /* by change: backend ids of removed services */
};

/* plan_memory.c: zeroed memory that goes with the plan; NULL when there is none. The last piece can be given
 * back. */
void *lb_plan_memory(struct lb_plan *plan, size_t bytes);
void lb_plan_memory_back(struct lb_plan *plan, void *last);
/* Zeroed room for members while a service is planned; until the next call. */
struct lb_member *lb_plan_scratch(struct lb_plan *plan, __u32 n_members);
void lb_plan_memory_done(struct lb_plan *plan);

/* Name and address of a member of a plan. */
const char *lb_plan_member_name(const struct lb_plan *plan, const struct lb_member *member);
struct lb_address lb_plan_member_address(const struct lb_plan *plan, const struct lb_member *member);

/* What a slot becomes. by_index: one byte per index, 1 if flows of that backend are lost anyway. */
struct lb_slot_rules {
	const __u8 *dead;
	__u32 n_dead;
	bool learns;  /* protocol without SYN, with a learning window */
	bool forgets; /* protocol without SYN and without learning window: old flows move at once */
};
__u32 lb_slot_next(__u32 old, __u32 target, const struct lb_slot_rules *rules);

/* A settled slot that stays where it is: most of them, in most changes. */
static inline bool lb_slot_stays(__u32 old, __u32 target, const struct lb_slot_rules *rules)
{
	return old == lb_slot_make(target, target, 0) && target < rules->n_dead && !rules->dead[target];
}

static inline __u32 lb_slot_next_quick(__u32 old, __u32 target, const struct lb_slot_rules *rules)
{
	return lb_slot_stays(old, target, rules) ? old : lb_slot_next(old, target, rules);
}

/* The old words of slots that become one; n: power of two. */
__u32 lb_slot_merge(const __u32 *words, __u32 n, __u32 stride, const struct lb_slot_rules *rules);

/* Walks the slots of a ring that changes: old word and new word of each. */
struct lb_slot_step {
	const struct lb_service_change *change;
	const __u32 *old; /* the current ring; NULL: added */
	__u32 old_slots, slots;
	struct lb_slot_rules rules;
};
int lb_slot_step_init(const struct lb_engine *engine, const struct lb_service_change *change, __u8 *dead,
		      struct lb_slot_step *ret_step);
__u32 lb_slot_step_old(const struct lb_slot_step *step, __u32 slot);

static inline __u32 lb_slot_step_old_quick(const struct lb_slot_step *step, __u32 slot)
{
	return step->slots == step->old_slots ? step->old[slot] : lb_slot_step_old(step, slot);
}

/* plan_rings.c: fills plan->places, and has those lead that are to. */
int lb_plan_rings(struct lb_plan *plan, struct lb_error *error);
/* A service that shares the ring of another one. lead: of the plan; moves: it is to be seen. */
int lb_plan_sharer(struct lb_plan *plan, struct lb_service_change *change, struct lb_service *lead,
		   bool moves, const struct lb_config_service *config, const struct lb_desired *desired,
		   size_t number, struct lb_error *error);
int lb_plan_service(struct lb_plan *plan, struct lb_service_change *change,
		    const struct lb_config_service *config, const struct lb_desired *desired, size_t number,
		    struct lb_error *error);
/* LB_VIP_UNCLAIMED bits of a service, as the configuration and the host's addresses have it now. */
__u32 lb_plan_unclaimed(const struct lb_desired *desired, const struct lb_config_service *service);
bool lb_plan_nexthops_changed(const struct lb_engine *engine, const struct lb_service *service,
			      const struct lb_desired *desired);
void lb_engine_agree(const struct lb_plan *plan);
int lb_plan_layout(struct lb_plan *plan, struct lb_error *error);
__u64 lb_plan_records_digest(const struct lb_service *service, const struct lb_config_service *config);
int lb_plan_effects(struct lb_plan *plan, struct lb_error *error);
/* plan_judge.c */
int lb_plan_breaks(struct lb_plan_service *effect, struct lb_service_change *change, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int lb_plan_judge(struct lb_plan *plan, struct lb_service_change *change, struct lb_plan_service *effect);
void lb_plan_identify(struct lb_plan *plan);
/* The weight that a member has in the ring; 0: it is not in it. */
__u32 lb_member_ring_weight(const struct lb_member *member);
const struct lb_override *lb_overrides_of(const struct lb_override *overrides, size_t n, const char *service,
					  size_t *ret_n);

/* --- shared -------------------------------------------------------------------------------------- */

/* n_members 0: without members, which the caller adds. */
struct lb_service *lb_service_new(const char *name, __u32 n_members);
void lb_service_free(struct lb_service *service);
/* The server id of a member, or one of no bytes. */
const struct lb_server_id *lb_service_server_id(const struct lb_service *service, __u32 index);

/* Name and address of a member that is not just being added, from the tables. */
const char *lb_member_name(const struct lb_engine *engine, const struct lb_member *member);
struct lb_address lb_member_address(const struct lb_engine *engine, const struct lb_member *member);

/* Forgets next hops that no member has any more; not while there are plans. */
void lb_engine_trim_nexthops(struct lb_engine *engine);

/* The first index that has an id; a ghost shares its id with the backend that returned. */
__u32 lb_service_id_index(const struct lb_service *service, __u32 id);
void lb_service_count_slots(const struct lb_engine *engine, struct lb_service *service);

static inline __u32 *lb_engine_ring(const struct lb_engine *engine, __u32 line)
{
	return engine->tables->rings[line].slot;
}

static inline __u32 *lb_engine_stamps(const struct lb_engine *engine, __u32 line)
{
	return engine->tables->stamps[line & (engine->tables->sizes.stamp_lines - 1)].stamp_s;
}

/* A stamp is only made younger: other slots may have the same one (lb/types.h). */
static inline void lb_stamp_at_least(__u32 *stamp, __u32 at_s)
{
	__u32 now = __atomic_load_n(stamp, __ATOMIC_RELAXED);

	while ((__s32)(at_s - now) > 0 &&
	       !__atomic_compare_exchange_n(stamp, &now, at_s, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static inline __u32 lb_engine_clock(const struct lb_engine *engine)
{
	return engine->tables->control->clock_s;
}

struct lb_service *lb_engine_find(const struct lb_engine *engine, const char *name);
void lb_engine_link(struct lb_engine *engine, struct lb_service *service);
void lb_engine_unlink(struct lb_engine *engine, struct lb_service *service);
/* engine_rings.c: has a service lead the ring that it shares. No table knows who does. */
void lb_engine_lead(struct lb_engine *engine, struct lb_service *service);

/* Waits for a grace period: afterwards nothing that was given up before can be read any more. */
int lb_engine_grace(struct lb_engine *engine);

static inline void lb_engine_pause(const struct lb_engine *engine)
{
	if (engine->hooks->pause)
		engine->hooks->pause(engine->hooks->context);
}

static inline void lb_engine_beside(const struct lb_engine *engine, void (*run)(void *work), void *work)
{
	if (engine->hooks->beside)
		engine->hooks->beside(engine->hooks->context, run, work);
	else
		run(work);
}

void lb_engine_view_member(const struct lb_engine *engine, const struct lb_service *service, __u32 index,
			   struct lb_backend_view *view);

/* Frees an index and its id (unless another index has the same). */
void lb_engine_free_member(struct lb_engine *engine, struct lb_service *service, __u32 index);

/* Frees what was prepared for a commit. */
void lb_commit_forget(struct lb_plan *plan);

int lb_engine_adopt(struct lb_engine *engine, struct lb_error *error);

/* Room for n more retired rings and gone services, so that a commit cannot fail after the store. */
int lb_engine_reserve(struct lb_engine *engine, size_t n);

/* drain.c: a pass over the flow table begins and ends; a member is draining or leaving. */
/* A member begins to drain, or to leave. */
void lb_drain_start(const struct lb_engine *engine, struct lb_member *member);
void lb_drain_begin_pass(const struct lb_engine *engine, struct lb_service *service,
			 struct lb_member *member);
void lb_drain_end_pass(const struct lb_engine *engine, const struct lb_service *service,
		       struct lb_member *member);
/* Whether nothing is left of it: no slot named it when two passes began, and they met no entry. */
bool lb_drain_is_over(const struct lb_member *member);
/* Whether it is no longer waited for: its old flows go to whoever has their slots now. */
bool lb_drain_let_go(const struct lb_engine *engine, const struct lb_service *service,
		     const struct lb_member *member);

/* sweep_flows.c: one bucket; returns units of work. */
size_t lb_sweep_bucket(struct lb_engine *engine, __u32 bucket);
/* sweep_slots.c: one line of a service's ring at the start and at the end of a pass. */
void lb_sweep_begin_line(struct lb_engine *engine, struct lb_service *service, __u32 line);
void lb_sweep_finish_line(struct lb_engine *engine, struct lb_service *service, __u32 line);
