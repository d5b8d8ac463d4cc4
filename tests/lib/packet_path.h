/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The real packet path for tests and benches: lb_ingress loaded with maps of given sizes, memory-mapped as
 * struct lb_tables. Nothing is pinned; everything goes when it is closed.
 */
#pragma once

#include <linux/bpf.h>

#include "engine/tables.h"
#include "lb/observe.h"
#include "lb/neighbor.h"
#include "lb/station.h"

struct lb_ingress_bpf;

struct packet_path {
	struct lb_ingress_bpf *skeleton;
	struct lb_tables tables;
	struct lb_stations *stations;    /* zeroed: every unicast frame is taken */
	struct lb_observe *observe;      /* zeroed: no flow is observed */
	struct lb_observe_cpu *observed; /* by CPU */
	int observe_events;              /* descriptor of the ring */
	struct lb_neighbors *neighbors;
	int program_fd;
};

/* 0 or a negative errno; messages of libbpf go to stderr. several: load for several interfaces. */
int packet_path_open(const struct lb_table_sizes *sizes, int several, struct packet_path *ret_path);

/* The same with other rates of answers, per second and CPU. */
struct packet_path_rates {
	__u32 echo, error, reset, source;
};
#define PACKET_PATH_NO_LIMITS                                                                                \
	(struct packet_path_rates)                                                                           \
	{                                                                                                    \
		0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff                                               \
	}
int packet_path_open_rates(const struct lb_table_sizes *sizes, int several,
			   const struct packet_path_rates *rates, struct packet_path *ret_path);

/* Loads the program once more, over the same maps, with or without what observes flows: its descriptor, owned
 * by the caller, or a negative errno. */
int packet_path_load_again(const struct packet_path *path, int observed);

/* The same of the program in another build's lb_ingress.bpf.o, whose tables and load-time constants must be
 * those of this one. */
int packet_path_load_file(const struct packet_path *path, const char *file, int observed);

void packet_path_close(struct packet_path *path);
