/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Internet checksum (RFC 1071) over sums kept unfolded, and its incremental update (RFC 1624).
 * Sums are of 16-bit words in the byte order in which they lie in memory, so no swapping is needed.
 */
#pragma once

#include <linux/types.h>

#ifndef LB_INLINE
#define LB_INLINE static inline __attribute__((always_inline))
#endif

/* Folds a sum of 16-bit words (below 2^32) to 16 bits; not complemented. */
LB_INLINE __u16 lb_csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

/* Adds a 32-bit value as two 16-bit words. */
LB_INLINE __u32 lb_csum_add32(__u32 sum, __u32 value)
{
	return sum + (value & 0xffff) + (value >> 16);
}

/* New checksum field after one 16-bit word changed: HC' = ~(~HC + ~m + m'), RFC 1624 equation 3. */
LB_INLINE __u16 lb_csum_replace16(__u16 check, __u16 from, __u16 to)
{
	__u32 sum = (__u16)~check + (__u32)(__u16)~from + to;

	return (__u16)~lb_csum_fold(sum);
}
