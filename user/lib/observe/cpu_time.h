/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the time of CPUs goes: the lines of /proc/stat (proc(5)). */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* X(name, column of /proc/stat behind the CPU's name). Guests' time is in user's. */
#define LB_CPU_TIMES(X)                                                                                      \
	X(user, 0)                                                                                           \
	X(nice, 1)                                                                                           \
	X(system, 2)                                                                                         \
	X(idle, 3)                                                                                           \
	X(iowait, 4)                                                                                         \
	X(irq, 5)                                                                                            \
	X(softirq, 6)                                                                                        \
	X(steal, 7)

/* In ticks of the kernel's clock, from the start of the system. */
struct lb_cpu_time {
	bool online;
#define X(name, column) __u64 name;
	LB_CPU_TIMES(X)
#undef X
};

/* Of CPU number N, ret[N]; those without a line are not online. Lines of CPUs from n on are ignored. */
void lb_cpu_time_parse(const char *text, struct lb_cpu_time *ret, size_t n);

/* What passed in between. A kind of time that ran backwards (idle and iowait may) is 0. */
struct lb_cpu_time lb_cpu_time_between(const struct lb_cpu_time *before, const struct lb_cpu_time *after);

/* All kinds together. */
__u64 lb_cpu_time_all(const struct lb_cpu_time *time);
