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

/*
 * Folds a sum of 16-bit words (below 3 * 2^31) to 16 bits; not complemented. Of four copies, each 16 bits
 * further on, the last 16 bits are the sum of all its words, and what is carried into them out of the 16 bits
 * before, which are the same sum: the carry that goes round.
 */
LB_INLINE __u16 lb_csum_fold(__u64 sum)
{
	return (__u16)(sum * 0x0001000100010001ull >> 48);
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
