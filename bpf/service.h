/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a packet's destination to its service: one bank of the VIP table, chosen once per packet, so that the
 * whole decision is made in one generation.
 */
#pragma once

#include "lb/hash.h"
#include "config.h"
#include "maps.h"
#include "packet.h"

static __always_inline __u64 vip_tail(const struct pkt *p)
{
	return (__u64)p->dport | (__u64)p->protocol << 16 | (__u64)p->family << 24;
}

/* The entry with this key, or NULL. */
static __always_inline struct lb_vip *vip_find(struct lb_vip_bank *bank, __u32 mask, __u64 address_0,
					       __u64 address_1, __u64 tail)
{
	__u32 hash = lb_hash_vip(address_0, address_1, tail);

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < LB_VIP_PROBES; i++) {
		struct lb_vip *vip = &bank->bucket[(hash + i) & mask & (LB_VIP_BUCKETS - 1)];

		if (vip->key[0] == address_0 && vip->key[2] == tail && vip->key[1] == address_1)
			return vip;
		if (!vip->flags)
			return NULL;
	}
	return NULL;
}

/* active: lb_control.active, read once. */
static __always_inline struct lb_vip *service_find(const struct pkt *p, __u64 active)
{
	__u32 key = LB_ACTIVE_BANK(active);
	struct lb_vip_bank *bank = bpf_map_lookup_elem(&lb_vips, &key);
	__u32 mask = (1u << LB_ACTIVE_LOG2(active)) - 1;

	if (!bank)
		return NULL;
	return vip_find(bank, mask, p->daddr[0], p->daddr[1], vip_tail(p));
}
