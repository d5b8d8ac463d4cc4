/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock that timers, pauses and durations go by.
 */
#pragma once

#include <linux/types.h>
#include <time.h>

/* CLOCK_MONOTONIC, nanoseconds. */
static inline __u64 lb_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000ull + (__u64)now.tv_nsec;
}
