/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world of the property test: tables in memory, the real engine over them, the real packet path compiled
 * for the host (tests/host), and two services whose backends come, go, die, return and change weight; a third
 * one, "tls", shares the ring of the first, and which of them comes first and says what of a backend changes.
 * Chance is a generator of its own, so that a seed replays a run on any machine.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "engine/engine.h"
#include "../host/host.h"

enum { SERVICES = 2, BACKENDS = 7, ADDRESSES = 2 };

/* What the world wants of a backend. */
struct world_backend {
	bool present;
	enum lb_state state;
	__u32 weight;
	unsigned int address; /* which of its addresses; another one makes it another backend */
};

/* What has become of an address of a backend, for the oracle. */
struct world_address {
	bool alive;   /* configured and not down, or leaving */
	bool leaving; /* not configured any more; what was alive stays so until the engine forgets it */
	__u32 deaths; /* how often its flows were lost */
};

struct world_service {
	__u8 protocol;
	__u32 ring_size;
	struct world_backend backends[BACKENDS];
	struct world_address addresses[BACKENDS][ADDRESSES];
};

struct world {
	struct lb_tables tables;
	struct lb_engine_hooks hooks;
	struct lb_engine *engine;
	struct lb_nexthop_map nexthops;
	struct host *host;
	struct lb_config *config; /* of the last commit */
	struct world_service services[SERVICES];
	__u64 random;
	bool awaited; /* the sweeper waits for a grace period */
	__u64 now_s;
	unsigned int nexthop_salt;
	bool verbose;
	__u64 commits, restarts;
};

#define WORLD_SHARING_PORT 443
#define WORLD_TCP_IDLE_S   20u
#define WORLD_UDP_IDLE_S   40u
#define WORLD_LEARNING_S   12u
#define WORLD_FLOW_BUCKETS 32u

void world_init(struct world *world, __u64 seed);
void world_done(struct world *world);

/* A number below n. */
__u32 world_random(struct world *world, __u32 n);

/* One change of the desired state, at random, planned and committed. */
void world_change(struct world *world);

/* Time and the sweeper: some work, sometimes a second. */
void world_tick(struct world *world);

/* Another engine adopts the tables. */
void world_restart(struct world *world);

__u32 world_clock(const struct world *world);

/* Sum of refused insertions over all counters. */
__u64 world_refused(const struct world *world);

/* VIP of a service, and address of a backend: host byte order. */
__u32 world_vip(unsigned int service);
__u32 world_address(unsigned int service, unsigned int backend, unsigned int which);

/* Sum of packets over all counters that went to base because nothing knew their flow. */
__u64 world_base(const struct world *world);

/* Entries in the flow table. */
__u32 world_entries(const struct world *world);

/* The slot word that a flow's hash names, as packets see it. */
__u32 world_slot(const struct world *world, unsigned int service, __u64 hash);

/* The address that an index of a service has, or 0. */
__u32 world_index_address(struct world *world, unsigned int service, __u32 index);
