/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How evenly packets are spread over cores, and why not. A core takes the packets of the receive queues whose
 * interrupts go to it, and the NIC puts all packets of a flow into one queue: where one core has much more to
 * do than the mean, one of a few things is the reason, and what a look at the cores and the NIC shows tells
 * which.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* What /proc/net/softnet_stat has of a CPU; all count from the start of the system. */
struct lb_softnet {
	__u64 backlog_dropped; /* packets that found the CPU's backlog full */
	__u64 squeezed;        /* times that receiving gave up its turn with work left */
};

/* Reads the file's text: of CPU number N, ret[N]. Lines of CPUs from n on, and what is no line, are ignored;
 * CPUs without a line (offline) are zero. */
void lb_softnet_parse(const char *text, struct lb_softnet *ret, size_t n);

/* How many CPUs a list like "0-3,8" names; what is wrong in it ends it. seen: NULL, or of n CPUs: those are
 * set. */
size_t lb_cpu_list(const char *list, bool *seen, size_t n);

enum lb_cores_cause {
	LB_CORES_EVEN,         /* or nobody asks: too few packets, or a single core */
	LB_CORES_INTERRUPTS,   /* those of the queues go to too few cores */
	LB_CORES_QUEUES,       /* fewer of them than cores */
	LB_CORES_ONE_FLOW,     /* one core has far more than the others, which have about the same */
	LB_CORES_DISTRIBUTION, /* the NIC fills few of its queues, or by fields that are nearly all the same
				*/
};

struct lb_cores {
	const __u64 *packets; /* of each core that is online, within the window */
	size_t n;
	double seconds;              /* the window */
	unsigned int queues;         /* receive queues of the interfaces; 0: not known */
	unsigned int interrupts;     /* of them; 0: not known */
	unsigned int interrupt_cpus; /* to how many cores those go */
};

/* Of fewer packets a second in all, nothing is said. */
#define LB_CORES_PACKETS_S_MIN 20000.0

struct lb_cores_verdict {
	enum lb_cores_cause cause;
	double ratio;     /* the busiest core against the mean; 0: not known */
	size_t busiest;   /* of packets[] */
	double packets_s; /* of the busiest */
	size_t busy;      /* cores with at least a quarter of the mean */
};

void lb_cores_judge(const struct lb_cores *cores, struct lb_cores_verdict *ret_verdict);

/* The cause in words and what to do; NULL for LB_CORES_EVEN. */
const char *lb_cores_cause_text(enum lb_cores_cause cause);
