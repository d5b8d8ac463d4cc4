/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a packet's destination to its service: one bank of the VIP table, chosen once per packet, so that the
 * whole decision is made in one generation.
 */
#pragma once

#include "lb/hash.h"
#include "lb/vip.h"
#include "config.h"
#include "maps.h"
#include "packet.h"

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

static __always_inline __u32 active_mask(__u64 active)
{
	return (1u << LB_ACTIVE_LOG2(active)) - 1;
}

static __always_inline struct lb_vip_bank *active_bank(__u64 active)
{
	__u32 key = LB_ACTIVE_BANK(active);

	return bpf_map_lookup_elem(&lb_vips, &key);
}

/* What the search for a wildcard service needs; small enough to pass on the stack. */
struct wildcard {
	__u64 active;
	__u64 address[2];
	__be16 port;
	__u8 protocol;
	__u8 family;
	__u32 pad;
};

/*
 * Services that are not exact matches: all ports of an address, port ranges, address prefixes. Tuple space
 * search (Srinivasan, Suri, Varghese 1999): one look-up for each shape in use, most specific first. NULL:
 * none.
 */
static __noinline struct lb_vip *find_wildcard(const struct wildcard *w)
{
	__u32 key = LB_ACTIVE_BANK(w->active);
	struct lb_bank *shapes = bpf_map_lookup_elem(&lb_banks, &key);
	struct lb_vip_bank *bank = active_bank(w->active);

	if (!shapes || !bank)
		return NULL;
	for (__u32 i = 0; i < LB_SHAPES_MAX; i++) {
		struct lb_shape shape = shapes->shape[i];
		struct lb_vip *vip;
		__u64 masked[3];

		if (!shape.used)
			break;
		if (shape.family != w->family)
			continue;
		lb_vip_mask(&shape, w->address[0], w->address[1], w->port, w->protocol, masked);
		vip = vip_find(bank, active_mask(w->active), masked[0], masked[1], masked[2]);
		if (vip)
			return vip;
	}
	return NULL;
}

/* The service of a packet. active: lb_control.active, read once. */
static __always_inline struct lb_vip *service_find(const struct pkt *p, __u64 active)
{
	__u64 tail = lb_vip_tail_word(p->dport, p->protocol, p->family, 0, 0);
	struct lb_vip_bank *bank = active_bank(active);
	struct lb_vip *vip;

	if (!bank)
		return NULL;
	vip = vip_find(bank, active_mask(active), p->daddr[0], p->daddr[1], tail);
	if (vip || !(active & LB_ACTIVE_WILDCARD))
		return vip;
	struct wildcard w = { active, { p->daddr[0], p->daddr[1] }, p->dport, p->protocol, p->family, 0 };

	return find_wildcard(&w);
}

/* The record that speaks for an address where there is no port: echo, later fragments. NULL: not a VIP of
 * ours. */
static __always_inline struct lb_vip *address_find(const struct pkt *p, __u64 active)
{
	struct lb_vip_bank *bank = active_bank(active);

	if (!bank)
		return NULL;
	return vip_find(bank, active_mask(active), p->daddr[0], p->daddr[1],
			lb_vip_tail_word(0, p->protocol, p->family, LB_VIP_BITS_ADDRESS, 0));
}

/* Number of an entry in its bank, to find it again. */
static __always_inline __u32 vip_bucket(const struct lb_vip *vip, __u64 active)
{
	__u64 tail = vip->key[2];
	__u32 hash = lb_hash_vip(vip->key[0], vip->key[1], tail);
	struct lb_vip_bank *bank = active_bank(active);

	for (__u32 i = 0; bank && i < LB_VIP_PROBES; i++) {
		struct lb_vip *here = &bank->bucket[(hash + i) & active_mask(active) & (LB_VIP_BUCKETS - 1)];

		if (here->key[0] == vip->key[0] && here->key[2] == tail && here->key[1] == vip->key[1])
			return (hash + i) & active_mask(active);
	}
	return 0;
}
