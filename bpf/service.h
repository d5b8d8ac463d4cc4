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

/* The compiler knows that it is zero. */
#define LB_IS_ZERO(value) (__builtin_constant_p(value) && !(value))

/*
 * The entry with this key, or NULL. mix: lb_mix_vip() of the key; active: which part of the bank is in use.
 * Only IPv6 has a second word of address: in an IPv4 key it is zero, and the tail says which of both it is.
 */
static __always_inline struct lb_vip *vip_find_mixed(struct lb_vip_bank *bank, __u64 active, __u64 address_0,
						     __u64 address_1, __u64 tail, __u64 mix)
{
	__u64 place = mix >> 26; /* 32 - 6: the upper half as a number of lines, in bytes */

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < LB_VIP_PROBES; i++) {
		struct lb_vip *vip = (void *)bank + (place & LB_ACTIVE_MASK_BYTES(active));

		LB_HIDE(vip);
		if (vip->key[0] == address_0 && vip->key[2] == tail &&
		    (LB_IS_ZERO(address_1) || vip->key[1] == address_1))
			return vip;
		if (!vip->flags)
			return NULL;
		place += sizeof(*vip);
	}
	return NULL;
}

static __always_inline struct lb_vip *vip_find(struct lb_vip_bank *bank, __u64 active, __u64 address_0,
					       __u64 address_1, __u64 tail)
{
	struct lb_control *control = control_get();

	if (!control)
		return NULL;
	return vip_find_mixed(
		bank, active, address_0, address_1, tail,
		lb_mix_vip(LB_AFTER(&control->hash_seed[0], active), address_0, address_1, tail));
}

/* flat: whether the tables are. */
static __always_inline struct lb_vip_bank *active_bank_of(__u64 active, bool flat)
{
	struct lb_vip_bank *bank;
	__u32 key;

	if (flat) {
		bank = &LB_FLAT(lb_vips, struct lb_vip_bank)[LB_ACTIVE_BANK(active) & (LB_BANKS - 1)];
		LB_HIDE_POINTER(bank);
		return bank;
	}
	key = LB_ACTIVE_BANK(active);
	return bpf_map_lookup_elem(&lb_vips, &key);
}

static __always_inline struct lb_vip_bank *active_bank(__u64 active)
{
	return active_bank_of(active, lb_flat_slots);
}

/*
 * The service whose address, protocol and port are the packet's. active: lb_control.active, read once; seed:
 * of the same generation. *ret_mix: lb_mix_vip() of them, for the flow's hash. flat: whether the tables are.
 */
static __always_inline struct lb_vip *service_exact(const struct pkt *p, const __u64 *seed, __u64 active,
						    bool flat, __u64 *ret_mix)
{
	__u64 tail = lb_vip_tail_word(p->dport, p->protocol, p->family, 0, 0);
	struct lb_vip_bank *bank = active_bank_of(active, flat);

	if (!bank)
		return NULL;
	*ret_mix = lb_mix_vip(seed, p->daddr[0], p->daddr[1], tail);
	return vip_find_mixed(bank, active, p->daddr[0], p->daddr[1], tail, *ret_mix);
}

#define LB_BUCKET_NONE 0xffffffffu

static __always_inline __u32 bucket_of(const struct lb_vip_bank *bank, const struct lb_vip *vip)
{
	return ((const void *)vip - (const void *)bank) / sizeof(*vip);
}

/*
 * Services that are not exact matches: all ports of an address, port ranges, address prefixes. Tuple space
 * search (Srinivasan, Suri, Varghese 1999): one look-up for each shape in use, most specific first.
 */
static __always_inline struct lb_vip *find_wildcard(struct lb_vip_bank *bank, __u64 active, __u64 address_0,
						    __u64 address_1, __u64 tail)
{
	__u32 key = LB_ACTIVE_BANK(active);
	struct lb_bank *shapes = bpf_map_lookup_elem(&lb_banks, &key);

	for (__u32 i = 0; shapes && i < LB_SHAPES_MAX; i++) {
		struct lb_shape shape = shapes->shape[i];
		struct lb_vip *vip;
		__u64 masked[3];

		if (!shape.used)
			break;
		if (shape.family != (tail >> 24 & 0xff))
			continue;
		lb_vip_mask(&shape, address_0, address_1, tail & 0xffff, tail >> 16 & 0xff, masked);
		vip = vip_find(bank, active, masked[0], masked[1], masked[2]);
		if (vip)
			return vip;
	}
	return NULL;
}

/* The bucket of the most specific service of a packet that no exact one takes, or LB_BUCKET_NONE. */
static __always_inline __u32 wildcard_bucket_of(struct lb_vip_bank *bank, __u64 active, __u64 address_0,
						__u64 address_1, __u64 tail)
{
	struct lb_vip *vip = find_wildcard(bank, active, address_0, address_1, tail);

	return vip && !(vip->flags & LB_VIP_HELD) ? bucket_of(bank, vip) : LB_BUCKET_NONE;
}

/*
 * The bucket of the service of a packet, an exact one or the most specific other, or LB_BUCKET_NONE. active:
 * lb_control.active, read once; the rest: the packet's key.
 */
LB_SUBPROGRAM __u32 service_bucket(__u64 active, __u64 address_0, __u64 address_1, __u64 tail)
{
	struct lb_vip_bank *bank = active_bank(active);
	struct lb_vip *vip;

	if (!bank)
		return LB_BUCKET_NONE;
	vip = vip_find(bank, active, address_0, address_1, tail);
	if (vip)
		return bucket_of(bank, vip);
	return active & LB_ACTIVE_WILDCARD ? wildcard_bucket_of(bank, active, address_0, address_1, tail)
					   : LB_BUCKET_NONE;
}

/* The same where it is known that no exact one takes it. */
LB_SUBPROGRAM __u32 wildcard_bucket(__u64 active, __u64 address_0, __u64 address_1, __u64 tail)
{
	struct lb_vip_bank *bank = active_bank(active);

	return bank ? wildcard_bucket_of(bank, active, address_0, address_1, tail) : LB_BUCKET_NONE;
}

static __always_inline __u32 service_of(const struct pkt *p, __u64 active)
{
	return service_bucket(active, p->daddr[0], p->daddr[1],
			      lb_vip_tail_word(p->dport, p->protocol, p->family, 0, 0));
}

/* The entry in a bucket of the active bank; NULL for LB_BUCKET_NONE. */
static __always_inline struct lb_vip *vip_at(__u64 active, __u32 bucket)
{
	struct lb_vip_bank *bank = active_bank(active);

	return bank && bucket != LB_BUCKET_NONE ? &bank->bucket[bucket & (LB_VIP_BUCKETS - 1)] : NULL;
}

/* --- packets that no service takes ------------------------------------------------------------------------
 */

/* Whether some host record may be of the address; false is certain. */
static __always_inline bool in_filter(__u64 active, __u64 address_0, __u64 address_1)
{
	struct lb_filters *filters = filters_get();
	__u32 bit = lb_vip_filter_bit(address_0, address_1) & (LB_FILTER_BITS - 1);

	return filters &&
	       LB_LOAD(&filters->bank[LB_ACTIVE_BANK(active) & (LB_BANKS - 1)].bits[bit / 8]) >> (bit & 7) &
		       1;
}

/* The same of the prefixes that the address lies in. */
LB_SUBPROGRAM int in_filter_by_prefix(__u64 active, __u64 address_0, __u64 address_1, __u32 family)
{
	__u32 key = LB_ACTIVE_BANK(active), before = 0;
	struct lb_bank *shapes = bpf_map_lookup_elem(&lb_banks, &key);

	for (__u32 i = 0; shapes && i < LB_SHAPES_MAX; i++) {
		struct lb_shape shape = shapes->shape[i];
		__u64 masked[3];

		if (!shape.used)
			break;
		if (shape.family != family || shape.address_bits == before)
			continue;
		before = shape.address_bits;
		lb_vip_mask(&shape, address_0, address_1, 0, 0, masked);
		if (in_filter(active, masked[0], masked[1]))
			return 1;
	}
	return 0;
}

static __always_inline bool may_be_host(const struct pkt *p, __u64 active)
{
	if (in_filter(active, p->daddr[0], p->daddr[1]))
		return true;
	return active & LB_ACTIVE_WILDCARD &&
	       in_filter_by_prefix(active, p->daddr[0], p->daddr[1], p->family);
}

static __always_inline __u32 host_protocol(__u32 family)
{
	return family == LB_FAMILY_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

/* The host record of an address under a prefix length, or NULL. */
static __always_inline struct lb_vip *host_record(struct lb_vip_bank *bank, __u64 active, __u64 address_0,
						  __u64 address_1, __u32 family, __u32 bits)
{
	struct lb_shape shape = { .family = family, .address_bits = bits };
	__u64 key[3];

	lb_vip_mask(&shape, address_0, address_1, 0, 0, key);
	return vip_find(
		bank, active, key[0], key[1],
		lb_vip_tail_word(bpf_htons(bits), host_protocol(family), family, LB_VIP_BITS_ADDRESS, 0));
}

/* Flags of the host record that decides for an address: its own, or that of the longest prefix; 0: there is
 * none. */
LB_SUBPROGRAM __u32 host_flags(__u64 active, __u64 address_0, __u64 address_1, __u32 family)
{
	__u32 key = LB_ACTIVE_BANK(active), before = family == LB_FAMILY_V4 ? 32 : 128;
	struct lb_bank *shapes = bpf_map_lookup_elem(&lb_banks, &key);
	struct lb_vip_bank *bank = active_bank(active);
	struct lb_vip *vip;

	if (!bank)
		return 0;
	vip = vip_find(bank, active, address_0, address_1,
		       lb_vip_tail_word(0, host_protocol(family), family, LB_VIP_BITS_ADDRESS, 0));
	if (vip || !(active & LB_ACTIVE_WILDCARD))
		return vip ? vip->flags : 0;
	vip = host_record(bank, active, address_0, address_1, family, before);
	for (__u32 i = 0; !vip && shapes && i < LB_SHAPES_MAX; i++) {
		struct lb_shape shape = shapes->shape[i];

		if (!shape.used)
			break;
		if (shape.family != family || shape.address_bits == before)
			continue;
		before = shape.address_bits;
		vip = host_record(bank, active, address_0, address_1, family, before);
	}
	return vip ? vip->flags : 0;
}

/* The record that speaks for an address where there is no port: later fragments; or LB_BUCKET_NONE. */
static __always_inline __u32 address_of(const struct pkt *p, __u64 active)
{
	return service_bucket(active & ~LB_ACTIVE_WILDCARD, p->daddr[0], p->daddr[1],
			      lb_vip_tail_word(0, p->protocol, p->family, LB_VIP_BITS_ADDRESS, 0));
}
