/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of the processors (perf_event_open(2)), each on every CPU that is online, of all that runs there.
 * A virtual machine often has none; which are missing, and why, is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum counter {
	COUNTER_CYCLES,
	COUNTER_INSTRUCTIONS,
	COUNTER_L1D_MISSES,
	COUNTER_LLC_MISSES,
	COUNTER_TLB_MISSES,
	COUNTER_REMOTE,
	COUNTERS,
};

struct counters {
	size_t cpus;
	int *fd;               /* cpu * COUNTERS + counter; -1: none. Owned. */
	double *value;         /* the same order: at the end, since counters_open(). Owned. */
	int missing[COUNTERS]; /* errno; 0: it is counted */
};

/* Counting begins. online: of so many CPUs. */
void counters_open(struct counters *counters, const bool *online, size_t cpus);

/* Counting ends, and values are there; scaled where the hardware had too few registers for all at once. */
void counters_read(struct counters *counters);
void counters_close(struct counters *counters);

/* As a member of JSON, and in words. */
const char *counter_name(enum counter counter);
const char *counter_text(enum counter counter);

/* Why it is missing, in words. */
const char *counter_why(int error);
