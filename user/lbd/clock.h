/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock that the agent's timers, pauses and durations go by.
 */
#pragma once

#include <linux/types.h>
#include <time.h>

/* CLOCK_MONOTONIC, milliseconds. */
static inline __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What all threads have used of processors, milliseconds. */
static inline __u64 worked_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (__u64)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}
