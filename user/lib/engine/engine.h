/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine: desired state -> plan -> commit, over a struct lb_tables. It is all of the agent that does not
 * talk to the kernel, the disk or people; lbd drives it, unit tests and the property test drive it on
 * plain memory. Single-threaded. Never logs.
 *
 * Every cause of change (configuration, operator override, next hop, link) goes through lb_engine_plan and
 * lb_engine_commit; the sweeper (lb_engine_tick) alone changes tables otherwise, and only as
 * docs/flow-table.md says: it settles slots, ends learning windows, expires flow entries, and frees what
 * nothing names.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "base/error.h"
#include "engine/nexthop.h"
#include "engine/nexthop_map.h"
#include "engine/tables.h"

struct lb_engine;
struct lb_plan;

struct lb_engine_hooks {
	void *context;
	/* Waits until every packet that may have seen what was visible before the call is done (RCU grace
	 * period). */
	int (*grace)(void *context);
	/* Called between the steps of a commit; tests kill the process here. May be NULL. step: a stable
	 * name. */
	void (*step)(void *context, const char *step);
	/* Called often while planning and committing takes its time: what else there is to do may be done. In
	 * there views and lb_engine_tick() are allowed, plans and commits are not. May be NULL. */
	void (*pause)(void *context);
	/* Runs a function that touches nothing but what it is given, and returns when it is done; what else
	 * there is to do may be done meanwhile, as in pause. NULL: it is called at once. */
	void (*beside)(void *context, void (*run)(void *work), void *work);
	/* The sweeper needs a grace period: have lb_engine_await() called soon. NULL: it waits at once. */
	void (*await)(void *context);
};

/* An operator's word on one backend, over the configuration's. */
struct lb_override {
	char service[LB_NAME_MAX];
	char backend[LB_NAME_MAX];
	bool has_weight, has_state;
	__u32 weight;
	enum lb_state state;
};

struct lb_desired {
	/* Borrowed until the next successful commit replaces it (that of an empty plan does as well), and not
	 * to be changed meanwhile: what has the same address is taken to be the same. */
	const struct lb_config *config;
	const struct lb_override *overrides; /* may be NULL */
	size_t n_overrides;
	bool allow_ring_resize; /* the explicit word for changing ring_size on a live service so that flows
				   move */
	bool differs; /* something is recorded that no table holds: the commit counts a generation */
	/* The ways to all backends, leaving ones (lb_engine_addresses) among them; NULL: there is none. Read
	 * by the plan alone. The same map in the same revision means that what was looked up before is so
	 * still: then only those of new backends are. */
	const struct lb_nexthop_map *nexthops;
	const struct lb_address *host_addresses; /* that the host has, on whatever interface */
	size_t n_host_addresses;
	/* So many of them, the first ones, are on others than loopback and dummy devices: they stay the
	 * host's, but for services of that very address. */
	size_t n_held;
};

/*
 * Makes an engine over tables. Adopts what the tables hold (control->active != 0): services, rings, backend
 * indices, leaving backends, unsettled slots; frees ids and regions that only an unfinished commit had
 * taken. 0, -ENOMEM, -EPROTO when the tables contradict themselves (error says where; nothing is changed).
 * tables and hooks must outlive the engine.
 */
int lb_engine_new(const struct lb_tables *tables, const struct lb_engine_hooks *hooks,
		  struct lb_engine **ret_engine, struct lb_error *error);
void lb_engine_free(struct lb_engine *engine);

__u64 lb_engine_generation(const struct lb_engine *engine);

/*
 * What would change; a pure function of what is desired and of the tables, of which none is written. -ENOSPC
 * names the full table and the limit to raise; -EBUSY: flows would move and the explicit word is missing (a
 * smaller ring), or must not (hash_seed on a live table); -EINVAL: services that clash, limits that cannot
 * be. Free the plan before the engine; while it lives, nothing that it may refer to is freed, so do not keep
 * it for long.
 */
int lb_engine_plan(struct lb_engine *engine, const struct lb_desired *desired, struct lb_plan **ret_plan,
		   struct lb_error *error);
void lb_plan_free(struct lb_plan *plan);

/*
 * Takes all that the commit of a plan needs, and waits for packets in flight if it must: if that commit is
 * what comes next, it cannot fail. 0; -ESTALE: the plan is not of the engine's current generation; -ENOMEM,
 * -EIO, or what the hook for the wait returns. Changes nothing.
 */
int lb_engine_prepare(struct lb_engine *engine, struct lb_plan *plan, struct lb_error *error);

/* Makes a plan visible by one store, after preparing it if that was not done. An empty plan commits nothing
 * and keeps the generation. After -errno, as of lb_engine_prepare(), nothing is visible of it. A plan can be
 * committed once; its effects stay readable. */
int lb_engine_commit(struct lb_engine *engine, struct lb_plan *plan, struct lb_error *error);

enum lb_change { LB_CHANGE_NONE, LB_CHANGE_ADD, LB_CHANGE_REMOVE, LB_CHANGE_MODIFY };

/* Effect of a plan on one backend and one service; valid while the plan lives. */
struct lb_plan_backend {
	const char *name;
	enum lb_change change;
	__u32 slots_before, slots_after; /* cur */
	__u64 entries_at_risk;           /* flow entries that would be void */
	bool flows_at_risk; /* old flows of its slots would move (death, removal of the service) */
};
struct lb_plan_service {
	const char *name;
	enum lb_change change;
	__u32 slots, slots_moved;
	__u64 entries_at_risk;
	bool breaks; /* established connections would break, or all new ones be dropped: wants a word */
	const char *why_breaks; /* a sentence or NULL */
	__u32 idle_timeout_s;   /* slots move: a connection that is silent for longer may break; else 0 */
	const char *warning;    /* what nobody may want although it breaks nothing: a sentence, or NULL */
	const struct lb_plan_backend *backends;
	size_t n_backends;
	const char *
		lead; /* it shares this service's ring, of which slots and backends are told there; or NULL */
};
bool lb_plan_is_empty(const struct lb_plan *plan);
/* Two plans are the same when they do the same for the same reasons: what backends and slots become and where
 * packets will go, under which overrides. Not the configuration it came from: the caller adds that. */
__u64 lb_plan_identity(const struct lb_plan *plan);
size_t lb_plan_services(const struct lb_plan *plan,
			const struct lb_plan_service **ret_services); /* changed ones */

/* The coarse clock follows now_s, but after a pause of the agent by no more than this at once: packets were
 * stamped with the time that stood still, and must not look old for that. */
#define LB_ENGINE_CLOCK_STEP_MAX_S 2u

/*
 * The sweeper. now_s: monotonic seconds; work: at most this many flow buckets and ring lines are visited
 * (about). Moves the coarse clock, expires entries, ends learning windows, settles slots, frees retired
 * regions and quarantined indices. Returns the number of units visited.
 */
size_t lb_engine_tick(struct lb_engine *engine, __u64 now_s, size_t work);

/* A tick in pieces, for who looks at the time in between: the turn of the clock once, which also makes fit
 * again what commits before it gave up, and the sweeping in as many pieces as there is time for. */
void lb_engine_turn(struct lb_engine *engine, __u64 now_s);
size_t lb_engine_sweep(struct lb_engine *engine, size_t work);

/* Waits for the grace period that the sweeper needs, if it does; ticks meanwhile move the clock alone. 0 or
 * -errno. */
int lb_engine_await(struct lb_engine *engine);

/* Views for status, stats, explain. Pointers are valid until the next commit or tick. */
struct lb_backend_view {
	const char *name;
	struct lb_address address;
	__u32 id;            /* line in counters */
	__u16 index;         /* within the service */
	__u32 weight;        /* effective: configuration and override */
	enum lb_state state; /* effective */
	bool leaving;        /* no longer configured; kept for its old flows */
	struct lb_nexthop nexthop;
	__u32 slots_cur, slots_base;
	__u64 entries; /* flow entries that name it, as of the last complete sweep */
	bool draining; /* gets no new flows and is kept for its old ones: it is told to drain, or it leaves */
	bool drained;  /* draining, and nothing is left: no slot and no flow entry can name it */
	bool let_go;   /* draining, and no longer waited for */
	__u32 draining_s; /* for so long */
};
struct lb_service_view {
	const char *name;
	const struct lb_config_service *config; /* NULL between adoption and the first commit */
	__u16 id;
	__u32 ring_line, ring_slots;
	__u32 backend_first;
	__u32 unsettled_slots;
	__u64 unsettled_since_s; /* wall clock is the caller's business: same clock as lb_engine_tick; 0:
				    settled */
	__u64 entries;
	const struct lb_backend_view *backends; /* in index order, without free indices */
	size_t n_backends;
	/* Of services that share a ring, which is then told of each of them, as the backends are. */
	const char *lead; /* who else stands for the ring where it is to be counted once; NULL: this one */
	__u32 sharers;    /* how many others share it */
};
size_t lb_engine_services(struct lb_engine *engine);
/* i: 0..lb_engine_services()-1, in configuration order. NULL: there is no such. */
const char *lb_engine_service_name(const struct lb_engine *engine, size_t i);
/* The same; 0 or -ENOENT. */
int lb_engine_service(struct lb_engine *engine, size_t i, struct lb_service_view *ret_view);
int lb_engine_service_by_name(struct lb_engine *engine, const char *name, struct lb_service_view *ret_view);

/* Gives back the memory of all views, as lb_engine_tick() does. Who looks at many services, one after the
 * other, calls it in between: all at once they are 15 MiB of 100,000 backends, and long to free. */
void lb_engine_forget_views(struct lb_engine *engine);

/* Each address that a plan may look for without it being configured: those of the backends that there are. */
void lb_engine_addresses(const struct lb_engine *engine,
			 void (*each)(void *context, const struct lb_address *address), void *context);

/* Each backend that is draining. Nothing may be committed meanwhile. */
void lb_engine_draining(struct lb_engine *engine,
			void (*each)(void *context, const char *service,
				     const struct lb_backend_view *backend),
			void *context);

/* A leaving backend that has had no next hop for so long is let go. */
#define LB_ENGINE_UNREACHED_S 60u

/*
 * Lets a backend that is leaving go: flows that are still on it move, as if it were down, with the next two
 * passes of the sweeper. 0, or -ENOENT: no such backend is leaving.
 */
int lb_engine_let_go(struct lb_engine *engine, const char *service, const char *backend);

struct lb_engine_usage {
	__u32 services, backends, ring_lines; /* in use, of tables->sizes */
	__u64 flow_entries, flow_embryonic;   /* as of the last complete sweep */
	__u64 sweeps;                         /* complete passes over the flow table */
};
void lb_engine_get_usage(struct lb_engine *engine, struct lb_engine_usage *ret_usage);

/*
 * Sizes for what is wanted next, of tables that are in use: those whose limits differ in what runs and what
 * is wanted are as for the latter; nothing else changes, whatever lb_engine_sizes() would say by now. running
 * may be NULL: as if no limit differed. Whether any size is another one than in *now.
 */
bool lb_engine_sizes_next(const struct lb_config *running, const struct lb_config *next, __u32 cpus,
			  __u64 memory_bytes, const struct lb_table_sizes *now,
			  struct lb_table_sizes *ret_sizes);

/*
 * Tables of these sizes are to take the place of those there are, with everything at its place: from now on
 * plans are made for them. Nothing is committed and no other tables are put into *tables meanwhile but these;
 * sizes as they were take it back. 0, -ENOMEM, or -EBUSY and what is in use that would have no place. The
 * sweeper begins its pass anew.
 */
int lb_engine_resize(struct lb_engine *engine, const struct lb_table_sizes *sizes, struct lb_error *error);

/* While the sweeper is held ticks move the clock alone. */
void lb_engine_hold(struct lb_engine *engine, bool hold);

/* Sizes for a configuration: what it asks for, or room to grow from what it needs and the memory given. */
void lb_engine_sizes(const struct lb_config *config, __u32 cpus, __u64 memory_bytes,
		     struct lb_table_sizes *ret_sizes);
