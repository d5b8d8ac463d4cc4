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
