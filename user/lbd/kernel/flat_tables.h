/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flat tables: lb_vips, lb_rings, lb_backends, lb_backend_ids and lb_counters as one value each, whose
 * address the program has, rather than as arrays of chunks that it looks up in: 3 ns a packet. Before
 * Linux 6.8 a value has at most 4 MiB (array_map_alloc_check()), and the verifier wants offsets below 512 MiB
 * (BPF_MAX_VAR_OFF): then they are chunks. For user space the memory is the same. Relies on libbpf.
 */
#pragma once

#include <stdbool.h>

#include "engine/tables.h"

/* Whether this kernel takes tables of these sizes flat. */
bool lb_flat_possible(const struct lb_table_sizes *sizes);

/* Bytes of a table when it is flat; 0: it never is. name: of the map. */
__u64 lb_flat_bytes(const struct lb_table_sizes *sizes, const char *name);

/* Makes one: a descriptor, owned by the caller, or -errno. */
int lb_flat_create(const char *name, __u64 bytes);

/* Whether the tables are flat of which this is lb_vips. */
bool lb_flat_is(int vips_fd);

/*
 * From now on, in objects that are opened later, libbpf (and libxdp by it) gives each program in section
 * "xdp" or "tc" that refers to lb_vips the addresses of flat tables, and folds its load-time constants into
 * its instructions. Once per process; not thread-safe, like all of libbpf's registrations. 0 or -errno.
 */
int lb_flat_install(void);

/* Sets the constants in a skeleton's rodata that tell of the tables. */
#define lb_flat_constants(rodata, sizes, flat)                                                               \
	do {                                                                                                 \
		(rodata)->lb_counter_stride = (sizes)->counters;                                             \
		(rodata)->lb_flat_slots = (flat) ? (sizes)->ring_lines * LB_SLOTS_PER_LINE : 0;              \
		(rodata)->lb_flat_records = (flat) ? (sizes)->backends : 0;                                  \
		(rodata)->lb_flat_counters = (flat) ? (sizes)->cpus * (sizes)->counters : 0;                 \
	} while (0)
