/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent alone keeps in pinned maps beside the packets' tables, so that names survive the agent.
 * Entries are immutable while in use: they are written before the commit that first names them and freed
 * after nothing names them any more, so they never disagree with the generation that packets see.
 */
#pragma once

#include "lb/types.h"

/* Which totals outlive a backend's id, and which are of its service from then on. */
#define LB_KEPT_BACKEND(of_backend, of_service) of_backend
#define LB_KEPT_SERVICE(of_backend, of_service) of_service

/* What lines of counters have counted that are not looked at any more. */
struct lb_carried {
#define X(A, total, TOTAL, unit, kept, metric, column, help) LB_KEPT_##kept(__u64 total;, )
	LB_TOTALS(X, )
#undef X
};

/* The same of what has no room with a backend. */
struct lb_carried_service {
#define X(A, total, TOTAL, unit, kept, metric, column, help) LB_KEPT_##kept(, __u64 total;)
	LB_TOTALS(X, )
#undef X
};

/* Indexed by service id (lb_vip.service). */
struct lb_service_meta {
	char name[LB_NAME_MAX];
	__u8 used;
	__u8 pad0[7];
	__u64 created_generation;
	struct lb_carried carried; /* of its backends that are gone */
	struct lb_carried_service carried_service;
#if LB_LAYOUT_NEXT
	__u64 pad1[8];
	__u64 more[8];
#endif
};
_Static_assert(sizeof(struct lb_service_meta) == 128 + 128 * LB_LAYOUT_NEXT, "whole lines");

/* Indexed by backend id (lb_backend.counter). */
struct lb_backend_meta {
	char name[LB_NAME_MAX];
	__u8 address[16]; /* IPv4 in the first 4 bytes */
	__u8 family;
	__u8 used;
	__u16 service;
	__u16 index; /* within the service */
	__u16 pad0;
	__u64 created_generation;
	struct lb_carried carried; /* of the same backend when it was at another address */
};
_Static_assert(sizeof(struct lb_backend_meta) == 128, "two lines");
