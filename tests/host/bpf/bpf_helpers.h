/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for libbpf's header when the packet path is compiled for the host (tests/host/host.c): the very
 * same sources, with maps that are plain arrays and helpers that are functions of host.c.
 *
 * A map keeps the shape that BTF reads (struct { type; max_entries; key; value }); on the host `value` points
 * at the map's memory and `max_entries_set` says how many values there are. host.c fills both in.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stddef.h>
#include <string.h>

#define SEC(name)

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline))
#undef __weak
#define __weak __attribute__((weak))
#undef __hidden
#define __hidden __attribute__((visibility("hidden")))
#ifndef __unused
#define __unused __attribute__((unused))
#endif

#define __uint(name, number)                                                                                 \
	union {                                                                                              \
		int (*name)[number];                                                                         \
		__u64 name##_set;                                                                            \
	}
#define __type(name, type)  __typeof__(type) *name
#define __array(name, type) __typeof__(type) *name[1]

#define HOST_MAP_TYPE(map) (sizeof(*(map)->type) / sizeof(int))
#define HOST_IS_ARRAY(map)                                                                                   \
	(HOST_MAP_TYPE(map) == BPF_MAP_TYPE_ARRAY || HOST_MAP_TYPE(map) == BPF_MAP_TYPE_PERCPU_ARRAY)

/* A value of an array, or NULL. Those of a per-CPU array lie CPU after CPU. */
#define HOST_ARRAY_VALUE(map, key)                                                                           \
	((key) < (map)->max_entries_set                                                                      \
		 ? (void *)&(map)                                                                            \
			   ->value[(key) + (HOST_MAP_TYPE(map) == BPF_MAP_TYPE_PERCPU_ARRAY                  \
						    ? bpf_get_smp_processor_id() * (map)->max_entries_set    \
						    : 0)]                                                    \
		 : NULL)

/* Every map that is not an array: by comparing keys, see host.c. */
void *host_hash_lookup(void *map, size_t key_bytes, const void *key, size_t value_bytes);
long host_hash_update(void *map, size_t key_bytes, const void *key, size_t value_bytes, const void *value,
		      __u64 flags);
long host_hash_delete(void *map, size_t key_bytes, const void *key);

#define bpf_map_lookup_elem(map, key_of)                                                                     \
	((__typeof__((map)->value))(HOST_IS_ARRAY(map) ? HOST_ARRAY_VALUE((map), *(const __u32 *)(key_of))   \
						       : host_hash_lookup((map), sizeof(*(map)->key),        \
									  (key_of), sizeof(*(map)->value))))
#define bpf_map_update_elem(map, key_of, value_of, flags)                                                    \
	host_hash_update((map), sizeof(*(map)->key), (key_of), sizeof(*(map)->value), (value_of), (flags))
#define bpf_map_delete_elem(map, key_of) host_hash_delete((map), sizeof(*(map)->key), (key_of))

/* As bpf-helpers(7) has them, for one linear part followed by the rest of the frame. */
long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta);
long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta);
long bpf_xdp_adjust_meta(struct xdp_md *ctx, int delta);
__u64 bpf_xdp_get_buff_len(struct xdp_md *ctx);
long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 offset, void *buffer, __u32 length);
long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 offset, void *buffer, __u32 length);
long bpf_redirect_map(void *map, __u64 key, __u64 flags);
__u32 bpf_get_smp_processor_id(void);
__u32 bpf_get_prandom_u32(void);
__u64 bpf_ktime_get_ns(void);
__u64 bpf_ktime_get_coarse_ns(void);
__u64 bpf_jiffies64(void);
__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed);
long bpf_loop(__u32 turns, void *function, void *context, __u64 flags);
long bpf_ringbuf_output(void *ring, void *data, __u64 size, __u64 flags);
long bpf_perf_event_output(void *ctx, void *map, __u64 flags, void *data, __u64 size);
#define bpf_printk(...) ((void)0)
