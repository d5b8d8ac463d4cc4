/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hashes of the packet path, the same code in the kernel and in user space: about 3 ns.
 *
 * A flow is summed up as NH does it (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, 1999): each word of 64
 * bits has a word of the key added, and its halves are multiplied. Of any two flows, whoever chose them, the
 * sums are equal under at most one of 2^32 keys, and so is what they differ by: pieces with keys of their own
 * may be added up, and what one changes no other can make up for. A mixing without a key follows (the
 * finaliser of murmur3, Appleby 2011), for the slot is a part of the bits. They are not cryptographic; the
 * keys are secret. The unit tests check avalanche, evenness on sequential and regular inputs, and differences
 * of 1 to 3 bits under many keys.
 *
 * Which slot a flow has is a promise between balancers and between versions: LB_HASH_VERSION (types.h).
 */
#pragma once

#include <linux/types.h>

#include "lb/vip.h"

#define LB_MIX_A 0x9e3779b97f4a7c15ull
#define LB_MIX_B 0xbf58476d1ce4e5b9ull
#define LB_MIX_C 0x94d049bb133111ebull

#ifndef LB_INLINE
#define LB_INLINE static inline __attribute__((always_inline))
#endif

/* 64-bit finaliser: every input bit reaches every output bit. */
LB_INLINE __u64 lb_mix64(__u64 x)
{
	x ^= x >> 32;
	x *= LB_MIX_B;
	x ^= x >> 29;
	x *= LB_MIX_C;
	x ^= x >> 32;
	return x;
}

/* A word under its word of the key. Halves, because only products of 32 bits are whole in 64. */
LB_INLINE __u64 lb_mix_word(__u64 key, __u64 word)
{
	word += key;
	return (word & 0xffffffff) * (word >> 32);
}

/*
 * A service key as 64 mixed bits: the place in the VIP table is its upper half, and a flow's hash takes it in
 * whole, so that the packet path mixes address and port of the VIP once. tail: lb_vip_tail_word(); of an
 * exact key it has 32 bits.
 */
LB_INLINE __u64 lb_mix_vip(const __u64 key[LB_HASH_WORDS], __u64 address_0, __u64 address_1, __u64 tail)
{
	__u64 x;

	if (lb_vip_tail_family(tail) == LB_FAMILY_V4)
		x = lb_mix_word(key[0], address_0 | tail << 32) + (tail >> 32);
	else
		x = lb_mix_word(key[0], address_0) + lb_mix_word(key[1], address_1) + key[2] * tail;
	x ^= x >> 32;
	return x * LB_MIX_C;
}

LB_INLINE __u32 lb_hash_vip(const __u64 key[LB_HASH_WORDS], __u64 address_0, __u64 address_1, __u64 tail)
{
	return lb_mix_vip(key, address_0, address_1, tail) >> 32;
}

/* The client's part of a flow's hash; vip: lb_mix_vip() of the exact key that it is for. */
LB_INLINE __u64 lb_hash_client_v4(const __u64 key[LB_HASH_WORDS], __u32 saddr, __u32 sport, __u64 vip)
{
	return lb_mix64(lb_mix_word(key[3], (__u64)sport << 32 | saddr) + vip);
}

LB_INLINE __u64 lb_hash_client_v6(const __u64 key[LB_HASH_WORDS], const __u64 saddr[2], __u32 sport,
				  __u64 vip)
{
	return lb_mix64(lb_mix_word(key[3], saddr[0]) + lb_mix_word(key[4], saddr[1]) + key[5] * sport + vip);
}

/*
 * Hash of a flow: both addresses, both ports (source in the upper half) and the protocol, all as they lie in
 * memory. A hash of the client alone is one with everything but saddr zero.
 */
LB_INLINE __u64 lb_hash_v4(const __u64 key[LB_HASH_WORDS], __u32 saddr, __u32 daddr, __u32 ports,
			   __u32 protocol)
{
	return lb_hash_client_v4(
		key, saddr, ports >> 16,
		lb_mix_vip(key, daddr, 0, lb_vip_tail_word(ports & 0xffff, protocol, LB_FAMILY_V4, 0, 0)));
}

/* The same for IPv6; addresses as two words each, first bytes first. */
LB_INLINE __u64 lb_hash_v6(const __u64 key[LB_HASH_WORDS], const __u64 saddr[2], const __u64 daddr[2],
			   __u32 ports, __u32 protocol)
{
	return lb_hash_client_v6(key, saddr, ports >> 16,
				 lb_mix_vip(key, daddr[0], daddr[1],
					    lb_vip_tail_word(ports & 0xffff, protocol, LB_FAMILY_V6, 0, 0)));
}
