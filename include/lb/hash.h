/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hashes of the packet path, the same code in the kernel and in user space.
 *
 * Keyed multiply-mix (64-bit multiply, fold by shift; the construction of murmur3's finaliser, Appleby
 * 2011): about 3 ns. They are not cryptographic; what protects them is that the keys are secret. The unit
 * tests check avalanche and evenness on sequential and regular inputs.
 */
#pragma once

#include <linux/types.h>

#include "lb/vip.h"

#define LB_MIX_A 0x9e3779b97f4a7c15ull
#define LB_MIX_B 0xbf58476d1ce4e5b9ull
#define LB_MIX_C 0x94d049bb133111ebull
#define LB_MIX_D 0xd6e8feb86659fd93ull

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

/*
 * A service key as 64 well-mixed bits: the place in the VIP table is its upper half, and a flow's hash takes
 * it in whole, so that the packet path mixes address and port of the VIP once. Not keyed: a miss costs at
 * most LB_VIP_PROBES lines whatever comes. tail: lb_vip_tail_word() of an exact key.
 */
LB_INLINE __u64 lb_mix_vip(__u64 address_0, __u64 address_1, __u64 tail)
{
	__u64 x = address_0 * LB_MIX_A + address_1 * LB_MIX_B + tail * LB_MIX_D;

	x ^= x >> 32;
	return x * LB_MIX_C;
}

LB_INLINE __u32 lb_hash_vip(__u64 address_0, __u64 address_1, __u64 tail)
{
	return lb_mix_vip(address_0, address_1, tail) >> 32;
}

/* The client's part of a flow's hash; vip: lb_mix_vip() of the exact key that it is for. */
LB_INLINE __u64 lb_hash_client_v4(const __u64 key[2], __u32 saddr, __u32 sport, __u64 vip)
{
	__u64 from = (__u64)sport << 32 | saddr;

	return lb_mix64((from ^ key[0]) + (vip ^ key[1]));
}

/*
 * The same for IPv6. Whoever has a /64 chooses saddr[1] and a port: the ports (source in the upper half) go
 * in before the shift, for what is only added to saddr[1] can be made up for by it, under any key.
 */
LB_INLINE __u64 lb_hash_client_v6(const __u64 key[2], const __u64 saddr[2], __u32 ports, __u64 vip)
{
	__u64 from = (saddr[0] ^ key[0]) * LB_MIX_A + ports * LB_MIX_B;

	from ^= from >> 32;
	from = (from + saddr[1]) * LB_MIX_D;
	return lb_mix64(from + (vip ^ key[1]));
}

/*
 * Hash of a flow: both addresses, both ports (source in the upper half) and the protocol, all as they lie in
 * memory. A hash of the client alone is one with everything but saddr zero.
 */
LB_INLINE __u64 lb_hash_v4(const __u64 key[2], __u32 saddr, __u32 daddr, __u32 ports, __u32 protocol)
{
	return lb_hash_client_v4(
		key, saddr, ports >> 16,
		lb_mix_vip(daddr, 0, lb_vip_tail_word(ports & 0xffff, protocol, LB_FAMILY_V4, 0, 0)));
}

/* The same for IPv6; addresses as two words each, first bytes first. */
LB_INLINE __u64 lb_hash_v6(const __u64 key[2], const __u64 saddr[2], const __u64 daddr[2], __u32 ports,
			   __u32 protocol)
{
	return lb_hash_client_v6(key, saddr, ports,
				 lb_mix_vip(daddr[0], daddr[1],
					    lb_vip_tail_word(ports & 0xffff, protocol, LB_FAMILY_V6, 0, 0)));
}
