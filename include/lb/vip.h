/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keys of the VIP table: how a packet's destination, and a service's, become three words, and how a key is
 * masked to the shape of a wildcard service. The builder (user/lib/engine/vip_table.c) and the packet path
 * use these very functions. Addresses and ports are words as they lie in memory, network byte order; an IPv4
 * address is the first word, zero-extended.
 */
#pragma once

#include "lb/types.h"

#ifndef LB_INLINE
#define LB_INLINE static inline __attribute__((always_inline))
#endif

/* struct lb_vip_tail as one word. address_bits and port_bits are 0 for an exact key. */
LB_INLINE __u64 lb_vip_tail_word(__be16 port, __u32 protocol, __u32 family, __u32 address_bits,
				 __u32 port_bits)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)port | (__u64)(protocol & 0xff) << 16 | (__u64)(family & 0xff) << 24 |
	       (__u64)(address_bits & 0xff) << 32 | (__u64)(port_bits & 0xff) << 40;
#else
	return (__u64)port << 48 | (__u64)(protocol & 0xff) << 40 | (__u64)(family & 0xff) << 32 |
	       (__u64)(address_bits & 0xff) << 24 | (__u64)(port_bits & 0xff) << 16;
#endif
}

/* The last word of the key of a service's range record; bits 0: of its range list. */
LB_INLINE __u64 lb_vip_range_tail(__u32 service, __u32 family, __u32 bits)
{
	return lb_vip_tail_word((__be16)service, 0, family, LB_VIP_BITS_RANGE, bits);
}

/* The family in such a word. */
LB_INLINE __u32 lb_vip_tail_family(__u64 tail)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return tail >> 24 & 0xff;
#else
	return tail >> 32 & 0xff;
#endif
}

/* The first n bits (0..64) of 8 bytes in memory, as a word. */
LB_INLINE __u64 lb_vip_mask64(__u32 n)
{
	__u64 mask = n == 0 ? 0 : n >= 64 ? ~0ull : ~0ull << (64 - n);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	mask = __builtin_bswap64(mask);
#endif
	return mask;
}

/* The first n bits (0..16) of a port in memory. */
LB_INLINE __u32 lb_vip_port_mask(__u32 n)
{
	__u32 mask = (0xffff0000u >> n) & 0xffff;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	mask = __builtin_bswap16((__u16)mask);
#endif
	return mask;
}

/* The bit of an address in struct lb_filter. Not keyed: whoever finds others of the same bit gains a look-up.
 */
LB_INLINE __u32 lb_vip_filter_bit(__u64 address_0, __u64 address_1)
{
	address_0 ^= address_1 * 0xbf58476d1ce4e5b9ull;
	return (address_0 * 0x9e3779b97f4a7c15ull) >> (64 - LB_FILTER_LOG2);
}

/*
 * Masks an exact key to a shape: what to look for in the table. port, protocol: of the packet. The shape's
 * family must be the packet's.
 */
LB_INLINE void lb_vip_mask(const struct lb_shape *shape, __u64 address_0, __u64 address_1, __be16 port,
			   __u32 protocol, __u64 masked[3])
{
	__u32 bits = shape->address_bits;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	masked[0] = address_0 & lb_vip_mask64(bits < 64 ? bits : 64);
#else
	/* An IPv4 address lies in the last 4 bytes of the word here. */
	masked[0] = address_0 & lb_vip_mask64(shape->family == LB_FAMILY_V4 ? bits + 32
					      : bits < 64                   ? bits
									    : 64);
#endif
	masked[1] = bits > 64 ? address_1 & lb_vip_mask64(bits - 64) : 0;
	masked[2] = lb_vip_tail_word((__be16)(port & lb_vip_port_mask(shape->port_bits)), protocol,
				     shape->family, bits, shape->port_bits);
}
