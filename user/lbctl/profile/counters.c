// SPDX-License-Identifier: GPL-2.0-only
/* Counters of the processors; see counters.h. */
#include "lbctl/profile/counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lbctl/lbctl.h"

#define MISSES_OF(cache)                                                                                     \
	(PERF_COUNT_HW_CACHE_##cache | PERF_COUNT_HW_CACHE_OP_READ << 8 |                                    \
	 PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

static const struct {
	const char *name, *text;
	__u32 type;
	__u64 config;
} descriptions[COUNTERS] = {
	[COUNTER_CYCLES] = { "cycles", "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES },
	[COUNTER_INSTRUCTIONS] = { "instructions", "instructions", PERF_TYPE_HARDWARE,
				   PERF_COUNT_HW_INSTRUCTIONS },
	[COUNTER_L1D_MISSES] = { "l1d_misses", "misses of the first-level cache", PERF_TYPE_HW_CACHE,
				 MISSES_OF(L1D) },
	[COUNTER_LLC_MISSES] = { "llc_misses", "misses of the last-level cache", PERF_TYPE_HW_CACHE,
				 MISSES_OF(LL) },
	[COUNTER_TLB_MISSES] = { "tlb_misses", "misses of the TLB", PERF_TYPE_HW_CACHE, MISSES_OF(DTLB) },
	[COUNTER_REMOTE] = { "remote_reads", "reads of another node's memory", PERF_TYPE_HW_CACHE,
			     MISSES_OF(NODE) },
};

const char *counter_name(enum counter counter)
{
	return descriptions[counter].name;
}

const char *counter_text(enum counter counter)
{
	return descriptions[counter].text;
}

const char *counter_why(int error)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case EOPNOTSUPP:
		return "this machine has no such counter (virtual ones often have none)";
	case ENOSYS:
		return "this kernel has no performance counters";
	case EACCES:
	case EPERM:
		return "not permitted: it needs root, or CAP_PERFMON";
	default:
		return strerror(error);
	}
}

static int open_one(enum counter counter, int cpu)
{
	struct perf_event_attr attr = {
		.type = descriptions[counter].type,
		.size = sizeof(attr),
		.config = descriptions[counter].config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void counters_open(struct counters *counters, const bool *online, size_t cpus)
{
	*counters = (struct counters){ .cpus = cpus,
				       .fd = calloc(cpus * COUNTERS, sizeof(*counters->fd)),
				       .value = calloc(cpus * COUNTERS, sizeof(*counters->value)) };
	if (!counters->fd || !counters->value)
		lbctl_memory();
	for (size_t i = 0; i < cpus * COUNTERS; i++) {
		enum counter counter = (enum counter)(i % COUNTERS);

		counters->fd[i] = -1;
		if (!online[i / COUNTERS] || counters->missing[counter])
			continue;
		counters->fd[i] = open_one(counter, (int)(i / COUNTERS));
		if (counters->fd[i] < 0)
			counters->missing[counter] = -counters->fd[i];
	}
}

void counters_read(struct counters *counters)
{
	for (size_t i = 0; i < counters->cpus * COUNTERS; i++) {
		struct {
			__u64 value, enabled, running;
		} is;

		if (counters->fd[i] < 0 || read(counters->fd[i], &is, sizeof(is)) != sizeof(is) ||
		    !is.running)
			continue;
		counters->value[i] = (double)is.value * ((double)is.enabled / (double)is.running);
	}
}

void counters_close(struct counters *counters)
{
	for (size_t i = 0; i < counters->cpus * COUNTERS; i++)
		if (counters->fd[i] >= 0)
			close(counters->fd[i]);
	free(counters->fd);
	free(counters->value);
	*counters = (struct counters){};
}
