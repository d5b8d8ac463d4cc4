// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet path's tables in plain memory, for tests, fuzzers and the property test. Small ones come from
 * the allocator, so that a sanitizer sees what runs over them; large ones are mapped, so that pages that
 * nobody touches cost nothing.
 */
#include "engine/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAPPED_FROM_BYTES (4ull << 20)

static void *table_new(__u64 count, size_t size)
{
	__u64 bytes = count * size;
	void *table;

	if (bytes < MAPPED_FROM_BYTES) {
		table = aligned_alloc(LB_CACHE_LINE,
				      (bytes + LB_CACHE_LINE - 1) & ~(__u64)(LB_CACHE_LINE - 1));
		return table ? memset(table, 0, bytes) : NULL;
	}
	table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return table == MAP_FAILED ? NULL : table;
}

static void table_free(void *table, __u64 count, size_t size)
{
	__u64 bytes = count * size;

	if (!table)
		return;
	if (bytes < MAPPED_FROM_BYTES)
		free(table);
	else
		(void)munmap(table, bytes);
}

/* Every table: its member in struct lb_tables and how many of its elements there are. */
#define TABLES(X, s)                                                                                         \
	X(control, 1)                                                                                        \
	X(vips, (__u64)LB_BANKS *(s)->vip_buckets)                                                           \
	X(banks, LB_BANKS)                                                                                   \
	X(filters, LB_BANKS)                                                                                 \
	X(rings, (s)->ring_lines)                                                                            \
	X(stamps, (s)->stamp_lines)                                                                          \
	X(backends, (s)->backends)                                                                           \
	X(backend_ids, (s)->backends)                                                                        \
	X(counters, (__u64)(s)->cpus *(s)->counters)                                                         \
	X(service_counters, (__u64)(s)->cpus *(s)->services)                                                 \
	X(reasons, (s)->cpus)                                                                                \
	X(flows, (s)->flow_buckets)                                                                          \
	X(service_meta, (s)->services)                                                                       \
	X(backend_meta, (s)->counters)

void lb_tables_init_control(const struct lb_table_sizes *sizes, struct lb_control *control)
{
	control->magic = LB_LAYOUT_MAGIC;
	control->layout = LB_LAYOUT_VERSION;
	control->hash_version = LB_HASH_VERSION;
	control->ring_rule = LB_RING_RULE_VERSION;
	control->cpus = sizes->cpus;
	control->vip_buckets = sizes->vip_buckets;
	control->ring_lines = sizes->ring_lines;
	control->stamp_lines = sizes->stamp_lines;
	control->backends = sizes->backends;
	control->counters = sizes->counters;
	control->services = sizes->services;
	control->flow_buckets = sizes->flow_buckets;
	control->flow_mask = sizes->flow_buckets - 1;
}

int lb_tables_new_memory(const struct lb_table_sizes *sizes, struct lb_tables *ret_tables)
{
	struct lb_tables tables = { .sizes = *sizes };

#define MAKE(name, count)                                                                                    \
	tables.name = table_new((count), sizeof(*tables.name));                                              \
	if (!tables.name)                                                                                    \
		goto failed;
	TABLES(MAKE, sizes)
#undef MAKE
	lb_tables_init_control(sizes, tables.control);
	*ret_tables = tables;
	return 0;
failed:
	lb_tables_free_memory(&tables);
	return -ENOMEM;
}

void lb_tables_free_memory(struct lb_tables *tables)
{
#define DROP(name, count)                                                                                    \
	table_free(tables->name, (count), sizeof(*tables->name));                                            \
	tables->name = NULL;
	TABLES(DROP, &tables->sizes)
#undef DROP
}
