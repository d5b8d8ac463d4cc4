/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables that the bench runs on, made by the real engine from a configuration; next hops are given. */
#pragma once

#include <stdbool.h>

#include "engine/engine.h"
#include "packet_path.h"

#define BENCH_BACKENDS      100
#define BENCH_MANY_SERVICES 1024 /* power of two: the wrapper spreads flows over them by a mask */

/* The services of many_services: what they have in common, and what they are made to have in common to see
 * what each part costs (nothing that lbd would do). */
struct bench_many {
	__u32 services;  /* power of two; 0: none */
	__u32 ring_size; /* 0: by the number of backends */
	bool different;  /* every service has backends of its own; else all have the same */
	bool sharing;    /* all share a ring, by name */
	bool one_ring, one_region, one_counter; /* all are pointed to one of these */
};

/* First addresses of the services, host byte order (IPv6: the last 32 bits). */
enum {
	BENCH_VIP_IPIP = 0xcb00710a, /* 203.0.113.10: TCP and UDP 80 */
	BENCH_VIP_GUE = 0xcb00710b,
	BENCH_VIP_L2 = 0xcb00710c,
	BENCH_VIP_ANY_PORT = 0xcb00710d,
	BENCH_VIP_UNSETTLED = 0xcb00710e,
	BENCH_VIP_MANY = 0x0a800000, /* 10.128.0.0 */
	BENCH_NOT_A_VIP = 0xc0a80000,
};

struct bench_tables {
	struct packet_path path;
	struct lb_config *config;
	struct lb_engine *engine;
	struct lb_nexthop_map nexthops;
};

/* 0 or a negative errno, with a message on stderr. many: further services; NULL: none. */
int bench_tables_open(struct bench_tables *tables, const struct bench_many *many);
void bench_tables_close(struct bench_tables *tables);

/* Every slot of the ring of a service moves away from its owner: cur is the next backend, base the old one.
 */
int bench_tables_unsettle(struct bench_tables *tables, const char *service);
