/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of the packet path. Sizes of 1 are placeholders: the agent sets max_entries before it loads
 * (lb_control tells readers what it chose). All are pinned. All arrays are memory-mapped by the agent.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lb/access.h"
#include "lb/layout.h"
#include "lb/meta.h"
#include "lb/observe.h"
#include "lb/station.h"
#include "lb/types.h"

#define LB_ARRAY(map_name, value_type)                                                                       \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(max_entries, 1);                                                                      \
		__uint(map_flags, BPF_F_MMAPABLE);                                                           \
		__type(key, __u32);                                                                          \
		__type(value, value_type);                                                                   \
	} map_name SEC(".maps")

/*
 * Written by the agent: the active generation, keys, clock. In the kernel a data section, because the program
 * then has its address and needs no look-up (3 ns a packet); still a map of one entry for everybody else,
 * that libbpf calls LB_CONTROL_MAP.
 */
#ifdef __bpf__
struct lb_control lb_control SEC(LB_CONTROL_MAP);
#else
LB_ARRAY(lb_control, struct lb_control);
#endif

/* Written by the agent: whose frames are ours (lb/station.h). A data section for the same reason. */
#ifdef __bpf__
struct lb_stations lb_stations SEC(LB_STATIONS_MAP);
#else
LB_ARRAY(lb_stations, struct lb_stations);
#endif

/* Written by the agent: which addresses have host records (types.h), by bank. The same. */
#ifdef __bpf__
struct lb_filters lb_filters SEC(LB_FILTERS_MAP);
#else
LB_ARRAY(lb_filters, struct lb_filters);
#endif

/* Written by the agent: which flows are observed (lb/observe.h). The same. */
#ifdef __bpf__
struct lb_observe lb_observe SEC(LB_OBSERVE_MAP);
#else
LB_ARRAY(lb_observe, struct lb_observe);
#endif

/* Written by packets: counts by the CPU with that number, places by any; the agent marks and frees those.
 * Key: block. */
LB_ARRAY(lb_observed, struct lb_observe_cpu);

/* Written by packets: struct lb_observe_event; read by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LB_OBSERVE_RING_BYTES);
} lb_observe_events SEC(".maps");

/* Written by the agent. Key: bank. */
LB_ARRAY(lb_vips, struct lb_vip_bank);

/* Written by the agent. Key: bank. Shapes of wildcard services. */
LB_ARRAY(lb_banks, struct lb_bank);

/* Written by the agent. Key: lb_vip.ring_chunk. */
LB_ARRAY(lb_rings, struct lb_ring_chunk);

/* Written by packets (unsettled slots), read by the agent. Key: lb_vip.ring_chunk, of as many as there are.
 */
LB_ARRAY(lb_stamps, struct lb_stamp_chunk);

/* Written by the agent. Key: lb_vip.backend_chunk. */
LB_ARRAY(lb_backends, struct lb_backend_chunk);

/* Written by the agent. Key: as lb_backends. What each record says of its counters, so that a packet need not
 * wait for the record to ask for them. */
LB_ARRAY(lb_backend_ids, struct lb_backend_id_chunk);

/* Written by packets, each CPU its own block. Key: cpu * lb_control.counters + backend id. */
LB_ARRAY(lb_counters, struct lb_counter);

/* Written by packets, each CPU its own block. Key: cpu * lb_control.services + service id. */
LB_ARRAY(lb_service_counters, struct lb_service_counter);

/* Written by packets, each CPU its own block. Key: cpu. */
LB_ARRAY(lb_reasons, struct lb_reason_block);

/* Written by packets (claim, refresh) and the agent (expire). Key: bucket. */
LB_ARRAY(lb_flows, struct lb_flow_bucket);

/* Agent only: names. Here so that they are created, pinned and checked with the rest. */
LB_ARRAY(lb_service_meta, struct lb_service_meta);
LB_ARRAY(lb_backend_meta, struct lb_backend_meta);

/* Agent only: what all these look like, for the next version of it (user/lib/carry/carry.h has a line for
 * each map, and wants one for a new map as well). */
LB_ARRAY(lb_layout, struct lb_layout_text);

/* Written by the agent. Key: lb_backend.port. Value: egress ifindex (redirect). */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, LB_PORTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} lb_devmap SEC(".maps");

/* Written by the agent. Key: lb_backend.port. Value: lb_port(): the ifindex, to tell TX from redirect when
 * several interfaces run the program, and the VLAN tag that frames get. */
LB_ARRAY(lb_ports, __u64);

/* Written by packets, each CPU its own block. Key: cpu * LB_REASONS_MAX + reason. */
LB_ARRAY(lb_samples, struct lb_sample);

/* Written by packets. Key: bucket. Flushed by age alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LB_FRAGMENT_BUCKETS);
	__type(key, __u32);
	__type(value, struct lb_fragment_bucket);
} lb_fragments SEC(".maps");

/*
 * Five of the tables come in two shapes: lb_vips, lb_rings, lb_backends, lb_backend_ids and lb_counters as
 * declared above, looked up by key; or flat, one value each, where the kernel takes that. Then the loader has
 * turned what refers to the map into the address of its value (user/lbd/kernel/flat_tables.h), and this is
 * that address. Only under lb_flat_*.
 */
#define LB_FLAT(map, type)                                                                                   \
	({                                                                                                   \
		type *lb_table = (type *)&(map);                                                             \
		LB_HIDE(lb_table);                                                                           \
		lb_table;                                                                                    \
	})

static __always_inline struct lb_control *control_get(void)
{
#ifdef __bpf__
	return &lb_control;
#else
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_control, &zero);
#endif
}

static __always_inline struct lb_filters *filters_get(void)
{
#ifdef __bpf__
	return &lb_filters;
#else
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_filters, &zero);
#endif
}

static __always_inline struct lb_stations *stations_get(void)
{
#ifdef __bpf__
	return &lb_stations;
#else
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_stations, &zero);
#endif
}
