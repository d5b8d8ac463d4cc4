/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock that the agent's timers, pauses and durations go by.
 */
#pragma once

#include <linux/types.h>
#include <time.h>

#include "base/clock.h"

/* CLOCK_MONOTONIC, milliseconds. */
static inline __u64 now_ms(void)
{
	return lb_now_ns() / 1000000;
}

/* What all threads have used of processors, milliseconds. */
static inline __u64 worked_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (__u64)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}
