/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path's tables as the agent sees them: pointers into memory-mapped BPF maps (lbd) or into plain
 * memory (tests, fuzzers, property test). Nobody who has a struct lb_tables needs to know which.
 */
#pragma once

#include <stddef.h>

#include "lb/meta.h"
#include "lb/types.h"

struct lb_table_sizes {
	__u32 cpus;
	__u32 vip_buckets; /* per bank: LB_VIP_BUCKETS */
	__u32 ring_lines;  /* multiple of LB_CHUNK_LINES */
	__u32 stamp_lines; /* the same, and a power of two */
	__u32 backends;    /* records; multiple of LB_CHUNK_LINES */
	__u32 counters;    /* backend ids */
	__u32 services;
	__u32 flow_buckets; /* power of two */
};

struct lb_tables {
	struct lb_table_sizes sizes;
	struct lb_control *control;
	struct lb_vip *vips;       /* LB_BANKS * vip_buckets */
	struct lb_bank *banks;     /* LB_BANKS */
	struct lb_filter *filters; /* LB_BANKS */
	struct lb_ring_line *rings;
	struct lb_stamp_line *stamps;
	struct lb_backend *backends;
	__u32 *backend_ids;                          /* by record: lb_backend.counter */
	struct lb_counter *counters;                 /* cpus * counters */
	struct lb_service_counter *service_counters; /* cpus * services */
	struct lb_reason_block *reasons;             /* cpus */
	struct lb_flow_bucket *flows;
	struct lb_service_meta *service_meta;
	struct lb_backend_meta *backend_meta;
};

/* Fills the cold part of a zeroed lb_control: what tables of these sizes look like, and the flow mask. */
void lb_tables_init_control(const struct lb_table_sizes *sizes, struct lb_control *control);

/* Plain zeroed memory of the given sizes, control filled in. 0 or -ENOMEM; free with lb_tables_free_memory.
 */
int lb_tables_new_memory(const struct lb_table_sizes *sizes, struct lb_tables *ret_tables);
void lb_tables_free_memory(struct lb_tables *tables);
