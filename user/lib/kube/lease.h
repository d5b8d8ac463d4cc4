/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who leads, by a Lease (coordination.k8s.io/v1): pure, under the caller's time. No clock but our own counts:
 * a Lease is another's for as long as it has changed within its duration, as we have seen it. Whether we lead
 * is known without asking: from the moment that our last renewal that succeeded was *sent*, for less than the
 * others wait.
 */
#pragma once

#include <cjson/cJSON.h>
#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"

#define LB_KUBE_LEASE_S       15    /* others wait so long */
#define LB_KUBE_LEASE_HOLD_MS 10000 /* we lead for so long after a renewal */
#define LB_KUBE_LEASE_TRY_MS  2000  /* between two tries */

struct lb_kube_lease_seen {
	char holder[256];
	char renewed[40]; /* renewTime, never read as a time */
	char version[64];
	__u32 duration_s;
	__u32 transitions;
	bool exists;
};

struct lb_kube_lease_times {
	__u32 duration_s; /* others wait so long */
	__u32 hold_ms;    /* we lead for so long after a renewal */
	__u32 try_ms;     /* between two tries */
};

struct lb_kube_lease {
	char me[256];
	struct lb_kube_lease_times times; /* by init: those above */
	struct lb_kube_lease_seen seen;
	bool known;       /* it has been read once */
	bool fresh;       /* and may be written over: nothing has failed since */
	__u64 changed_ms; /* when we have seen it change last */
	__u64 sent_ms;    /* our renewal under way */
	__u64 renewed_ms; /* when the last one that succeeded was sent */
	bool held;        /* one has succeeded, and nobody else has been seen since */
	__u64 due_ms;     /* next try */
	bool busy;        /* a request is under way */
};

void lb_kube_lease_init(struct lb_kube_lease *lease, const char *me);

/* Whether we may do what only the leader does. */
bool lb_kube_lease_leads(const struct lb_kube_lease *lease, __u64 now_ms);
/* Until when that is so, if nothing happens. */
__u64 lb_kube_lease_until_ms(const struct lb_kube_lease *lease);

enum lb_kube_lease_turn {
	LB_KUBE_LEASE_NOTHING,
	LB_KUBE_LEASE_READ,   /* GET it */
	LB_KUBE_LEASE_CREATE, /* POST lb_kube_lease_object() */
	LB_KUBE_LEASE_WRITE,  /* PUT it: over the version that was read, so that one of two succeeds */
};
enum lb_kube_lease_turn lb_kube_lease_turn(struct lb_kube_lease *lease, __u64 now_ms);

/* The object to write. wall_us: the time of day in microseconds, for people to read. To be freed with
 * cJSON_Delete(); NULL: out of memory. */
cJSON *lb_kube_lease_object(const struct lb_kube_lease *lease, const char *namespace, const char *name,
			    __u64 wall_us);

/* Answers. object: NULL where it is not there (404). */
int lb_kube_lease_read(struct lb_kube_lease *lease, const cJSON *object, __u64 now_ms,
		       struct lb_error *error);
int lb_kube_lease_written(struct lb_kube_lease *lease, const cJSON *object, __u64 now_ms,
			  struct lb_error *error);
/* Anything else, a 409 or a 429 among it: whoever leads goes on until its time is over. */
void lb_kube_lease_failed(struct lb_kube_lease *lease, __u64 now_ms);

/* We go: the next one need not wait. The object to write, or NULL: it is not ours. */
cJSON *lb_kube_lease_released(const struct lb_kube_lease *lease, const char *namespace, const char *name,
			      __u64 wall_us);
