/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the observer. */
#pragma once

#include <systemd/sd-event.h>
#include <uthash.h>

#include "engine/tables.h"
#include "lb/types.h"
#include "lbd/observe/observe.h"
#include "observe/hellos.h"

/* Tallies by name, so that a backend keeps its sums when its id or its address changes. */
struct backend_tally {
	char name[LB_NAME_MAX];
	struct lb_tally tally;
	__u32 id;         /* that it had last */
	__u64 generation; /* in which that id was given to it */
	__u64 seen_s;     /* of the last event */
	UT_hash_handle hh;
};

struct service_tally {
	char name[LB_NAME_MAX];
	struct lb_tally tally;
	struct backend_tally *backends;
	__u32 idle_s; /* its idle timeout, as of that round */
	__u64 idle_round;
	UT_hash_handle hh;
};

/* Where the tally of a backend id is; void when the epoch is another, or the id was given away. */
struct tally_place {
	struct service_tally *service;
	struct backend_tally *backend;
	__u64 generation;
	__u64 epoch;
};

struct tallies {
	const struct lb_tables *tables;
	struct service_tally *services;
	struct tally_place *places; /* by backend id */
	__u32 n_places;             /* tables->sizes.counters, or fewer if there was no memory */
	__u64 epoch;                /* from 1; another one whenever a tally is freed */
	char cursor[LB_NAME_MAX];   /* the service that was looked after last */
};

int tallies_init(struct tallies *tallies, const struct lb_tables *tables);
void tallies_done(struct tallies *tallies);
/* The tables may have another number of backend ids by now. Without memory the new ones are not counted. */
void tallies_resize(struct tallies *tallies);

/* The tallies of a backend id, made if need be; NULL: nobody has the id, or memory is short. */
struct tally_place *tallies_of(struct tallies *tallies, __u32 id, __u64 now_s);

/* Frees, of one service at a time, the tallies of backends that are gone and of which nothing was heard for
 * a while; and those of services without any. */
void tallies_tidy(struct tallies *tallies, __u64 now_s);

struct observe {
	struct lbd *lbd;
	struct lb_observe *control;
	struct lb_observe_cpu *blocks;
	__u32 cpus; /* and blocks */
	struct ring_buffer *ring;
	sd_event_source *timer;
	struct lb_pace pace;
	struct lb_levels levels;
	struct lb_hellos *hellos;
	struct tallies tallies;

	struct lb_observe_counts counts, base; /* over all CPUs: last time; when the agent was started */
	__u64 paced_ns;                        /* time of the last step of the pace */
	__u64 drained_ns;                      /* processor time since then, for what grows with the events */
	__u64 agent_ns;                        /* processor time of all of it */
	__u64 unknown, malformed;

	__u32 next_block;    /* whose places are looked at next */
	__u64 round;         /* times that all were */
	bool looked;         /* all were, since the last step of the pace */
	__u32 used_permille; /* of the fullest of them, in this round */
};
