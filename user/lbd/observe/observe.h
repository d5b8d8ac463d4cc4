/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's side of the observer (docs/observer.md): takes what the packet path tells of sampled flows,
 * keeps sums per service and backend, and says how many flows are sampled, so that all of it stays below a
 * hundredth of a core. All of it happens in the loop.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "observe/pace.h"
#include "observe/tally.h"

struct lbd;
struct observe;

/* When the tables are there, and packets may come. 0 or -errno. */
int observe_open(struct lbd *lbd, struct lb_error *error);
void observe_close(struct lbd *lbd);

/* Other tables took over (kernel/migrate.h): lbd->maps are others now. */
void observe_tables_changed(struct lbd *lbd);

/* What it costs and could not keep, since the agent was started. */
struct observe_state {
	bool on;           /* else the rest is of before */
	__u32 level;       /* 1 flow in 2^level is sampled */
	double cost_ratio; /* of one core, lately: packet path and agent */
	__u64 agent_ns;    /* of the agent's processor time */
	__u64 packets;     /* of sampled flows */
	__u64 events, events_lost;
	__u64 handshakes_refused, handshakes_replaced, connections_refused;
	__u64 unknown;   /* events of backends that were gone already */
	__u64 malformed; /* events that could not be: none, unless the packet path has a bug */
};
void observe_get_state(const struct lbd *lbd, struct observe_state *ret_state);

/* What was seen of a service, of a backend of it, by their names; NULL: nothing yet. Valid until the loop
 * goes on. */
const struct lb_tally *observe_service(const struct lbd *lbd, const char *service);
const struct lb_tally *observe_backend(const struct lbd *lbd, const char *service, const char *backend);

/*
 * What happened to the sampled flows of a backend in the last seconds (at most LB_TALLY_WINDOW_S, in steps of
 * LB_TALLY_PERIOD_S), each flow counted once: what passive suspicion judges siblings by. False: nothing was
 * seen of it, and *ret_window is zero.
 */
bool observe_recent(const struct lbd *lbd, const char *service, const char *backend, unsigned int seconds,
		    struct lb_tally_window *ret_window);

/* How many connections are open: an estimate, some seconds old at most. */
__u64 observe_open_connections(const struct lbd *lbd, const struct lb_tally *tally);

/* The clients of flows that are sampled now (observe/places.h). 0 or -ENOMEM. */
struct lb_clients;
int observe_clients(const struct lbd *lbd, struct lb_clients *ret_clients);
