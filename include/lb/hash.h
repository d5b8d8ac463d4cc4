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

/* Hash of a flow's 12 bytes (IPv4): both addresses, both ports and the protocol, any byte order. */
LB_INLINE __u64 lb_hash_v4(const __u64 key[2], __u32 saddr, __u32 daddr, __u32 ports, __u32 protocol)
{
	__u64 a = ((__u64)saddr << 32 | daddr) ^ key[0];
	__u64 b = ((__u64)ports << 8 | protocol) ^ key[1];

	return lb_mix64((a ^ a >> 32) * LB_MIX_A + b * LB_MIX_D);
}

/* Hash of a flow's 36 bytes (IPv6); addresses as two words each, first bytes first. */
LB_INLINE __u64 lb_hash_v6(const __u64 key[2], const __u64 saddr[2], const __u64 daddr[2], __u32 ports,
			   __u32 protocol)
{
	__u64 a = (saddr[0] ^ key[0]) * LB_MIX_A;
	__u64 b = (saddr[1] ^ key[1]) * LB_MIX_B;

	a ^= a >> 32;
	b ^= b >> 31;
	a = (a + daddr[0]) * LB_MIX_C;
	b = (b + daddr[1]) * LB_MIX_D;
	a ^= a >> 30;
	b ^= b >> 32;
	return lb_mix64(a + b * LB_MIX_A + ((__u64)ports << 8 | protocol));
}

/* Place of a service key in the VIP table. Not keyed: a miss costs at most LB_VIP_PROBES lines whatever
 * comes. */
LB_INLINE __u32 lb_hash_vip(__u64 address_0, __u64 address_1, __u64 tail)
{
	__u64 x = address_0 * LB_MIX_A + address_1 * LB_MIX_B + tail * LB_MIX_D;

	x ^= x >> 32;
	x *= LB_MIX_C;
	return x >> 32;
}
