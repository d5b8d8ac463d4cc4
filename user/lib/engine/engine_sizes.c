// SPDX-License-Identifier: GPL-2.0-only
/*
 * How large the tables are made: what the configuration asks for, or room to grow from what it needs. Rings
 * and records are written beside the old ones, so that their tables hold everything twice, and a little more
 * because regions come in different sizes.
 */
#include "engine/engine.h"

#include <stdint.h>
#include <string.h>

/* 2.5 to a bucket of four. Beyond that look-ups grow long (docs/flow-table.md). */
#define FLOWS_PER_10_BUCKETS 25u
#define FLOW_BUCKETS_MIN     (1u << 14)
#define FLOW_BUCKETS_MAX     (1u << 19) /* 64 MiB; who needs more says so, at any time, and breaks nothing */
#define FLOW_MEMORY_SHARE    64u
/* 16 MiB: half a million handshakes (5 s of 100,000 a second), for so many backends; more have more flows. */
#define FLOW_BUCKETS_FEW (1u << 17)
#define FLOW_FEW         64u /* backends */

/* Room for rings where few are configured: what a source brings is not known before. */
#define SLOTS_MIN        (1u << 17)
#define SLOTS_MIN_SOURCE (1u << 20)

/* Of stamps: 16 MiB, for 4 million slots that are unsettled at a time; more share theirs (lb/types.h). */
#define STAMP_LINES_MAX (16u * LB_CHUNK_LINES)

static __u64 max64(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

static __u64 min64(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* unit: how many numbers of 32 bits a line takes. */
static __u32 whole_chunks(__u64 lines, __u32 unit)
{
	__u64 most = UINT32_MAX / unit / LB_CHUNK_LINES * (__u64)LB_CHUNK_LINES;

	lines = (lines + LB_CHUNK_LINES - 1) / LB_CHUNK_LINES * LB_CHUNK_LINES;
	return (__u32)min64(max64(lines, LB_CHUNK_LINES), most);
}

static __u32 stamp_lines(__u32 ring_lines)
{
	__u32 lines = LB_CHUNK_LINES;

	while (lines < ring_lines && lines < STAMP_LINES_MAX)
		lines *= 2;
	return lines;
}

/* What an installation of so many backends needs at most, as far as nobody says it. */
static __u64 flow_buckets_usual(const struct lb_config *config, __u64 backends)
{
	__u64 buckets = FLOW_BUCKETS_FEW;

	if (config->n_sources)
		return FLOW_BUCKETS_MAX;
	for (__u64 n = FLOW_FEW; n < backends && buckets < FLOW_BUCKETS_MAX; n *= 2)
		buckets *= 2;
	return buckets;
}

static __u32 flow_buckets(const struct lb_config *config, __u64 backends, __u64 memory_bytes)
{
	__u64 want = memory_bytes / FLOW_MEMORY_SHARE / sizeof(struct lb_flow_bucket);
	__u64 flow_entries = config->limits.flow_entries;
	__u64 buckets = 1;

	if (flow_entries) {
		want = (flow_entries * 10 + FLOWS_PER_10_BUCKETS - 1) / FLOWS_PER_10_BUCKETS;
		while (buckets < want && buckets < 1u << 31)
			buckets *= 2;
		return (__u32)buckets;
	}
	while (buckets * 2 <= want)
		buckets *= 2;
	return (__u32)min64(max64(buckets, FLOW_BUCKETS_MIN), flow_buckets_usual(config, backends));
}

void lb_engine_sizes(const struct lb_config *config, __u32 cpus, __u64 memory_bytes,
		     struct lb_table_sizes *ret_sizes)
{
	const struct lb_config_limits *limits = &config->limits;
	struct lb_config_needs needs = lb_config_needs(config);
	__u64 backends = needs.backends, slots = needs.slots, services;
	__u32 flows = flow_buckets(config, needs.backends, memory_bytes);
	__u32 slots_min = config->n_sources ? SLOTS_MIN_SOURCE : SLOTS_MIN;

	services = limits->services ? limits->services : max64(256, 2 * config->n_services);
	backends = limits->backends ? limits->backends : max64(1024, backends + backends / 2);
	slots = limits->ring_slots ? limits->ring_slots : max64(slots_min, slots + slots / 4);
	*ret_sizes = (struct lb_table_sizes){
		.cpus = cpus,
		.vip_buckets = LB_VIP_BUCKETS,
		.ring_lines =
			whole_chunks(2 * slots / LB_SLOTS_PER_LINE + LB_CHUNK_LINES / 4, LB_SLOTS_PER_LINE),
		.backends = whole_chunks(2 * backends + backends / 2, 1),
		/* Ids of what was removed serve again only after a few sweeps. */
		.counters = (__u32)min64(backends + backends / 4 + 64, 1u << 30),
		.services = (__u32)min64(services + services / 8 + 8, LB_SERVICES_MAX),
		.flow_buckets = flows,
	};
	ret_sizes->stamp_lines = stamp_lines(ret_sizes->ring_lines);
}

bool lb_engine_sizes_next(const struct lb_config *running, const struct lb_config *next, __u32 cpus,
			  __u64 memory_bytes, const struct lb_table_sizes *now,
			  struct lb_table_sizes *ret_sizes)
{
	struct lb_table_sizes wanted, sizes = *now;

	lb_engine_sizes(next, cpus, memory_bytes, &wanted);
	if (running && running->limits.services != next->limits.services)
		sizes.services = wanted.services;
	if (running && running->limits.backends != next->limits.backends) {
		sizes.backends = wanted.backends;
		sizes.counters = wanted.counters;
	}
	if (running && running->limits.ring_slots != next->limits.ring_slots) {
		sizes.ring_lines = wanted.ring_lines;
		sizes.stamp_lines = wanted.stamp_lines;
	}
	if (running && running->limits.flow_entries != next->limits.flow_entries)
		sizes.flow_buckets = wanted.flow_buckets;
	*ret_sizes = sizes;
	return memcmp(&sizes, now, sizeof(sizes)) != 0;
}
