// SPDX-License-Identifier: GPL-2.0-only
/* Judging how packets are spread over cores; see cores.h. */
#include "observe/cores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of /proc/net/softnet_stat (softnet_seq_show() in net/core/net-procfs.c), all hexadecimal. */
#define SOFTNET_DROPPED  1
#define SOFTNET_SQUEEZED 2
#define SOFTNET_CPU      12 /* since Linux 5.10 */

static void parse_line(const char *line, struct lb_softnet *ret, size_t n)
{
	unsigned long long column[SOFTNET_CPU + 1];

	for (size_t i = 0; i <= SOFTNET_CPU; i++) {
		char *end;

		column[i] = strtoull(line, &end, 16);
		if (end == line)
			return;
		line = end;
	}
	if (column[SOFTNET_CPU] < n)
		ret[column[SOFTNET_CPU]] = (struct lb_softnet){ .backlog_dropped = column[SOFTNET_DROPPED],
								.squeezed = column[SOFTNET_SQUEEZED] };
}

void lb_softnet_parse(const char *text, struct lb_softnet *ret, size_t n)
{
	char line[512];

	memset(ret, 0, n * sizeof(*ret));
	while (*text) {
		size_t length = strcspn(text, "\n");

		/* strtoull() goes over line ends. */
		if (length < sizeof(line)) {
			memcpy(line, text, length);
			line[length] = 0;
			parse_line(line, ret, n);
		}
		text += length + (text[length] == '\n');
	}
}

size_t lb_cpu_list(const char *list, bool *seen, size_t n)
{
	size_t count = 0;

	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first)
			break;
		count += last - first + 1;
		for (unsigned long i = first; seen && i <= last && i < n; i++)
			seen[i] = true;
		list = *end == ',' ? end + 1 : end;
	}
	return count;
}

/* Of two cores the busiest has at most twice the mean. */
static double ratio_limit(size_t cores)
{
	return cores == 2 ? 1.8 : 2.0;
}

/* Without the busiest: about the same, and each far less. */
static bool stands_out(const struct lb_cores *cores, size_t busiest)
{
	double most = 0, sum = 0, mean;

	for (size_t i = 0; i < cores->n; i++) {
		if (i == busiest)
			continue;
		most = (double)cores->packets[i] > most ? (double)cores->packets[i] : most;
		sum += (double)cores->packets[i];
	}
	mean = sum / (double)(cores->n - 1);
	return mean > 0 && most <= 2 * mean && (double)cores->packets[busiest] >= 3 * most;
}

static enum lb_cores_cause cause_of(const struct lb_cores *cores, const struct lb_cores_verdict *verdict)
{
	size_t could = cores->queues && cores->queues < cores->n ? cores->queues : cores->n;

	if (cores->interrupts && cores->interrupt_cpus < could && verdict->busy <= cores->interrupt_cpus)
		return LB_CORES_INTERRUPTS;
	if (could < cores->n && verdict->busy <= could)
		return LB_CORES_QUEUES;
	return stands_out(cores, verdict->busiest) ? LB_CORES_ONE_FLOW : LB_CORES_DISTRIBUTION;
}

void lb_cores_judge(const struct lb_cores *cores, struct lb_cores_verdict *ret_verdict)
{
	struct lb_cores_verdict verdict = {};
	double sum = 0, mean;

	for (size_t i = 0; i < cores->n; i++) {
		sum += (double)cores->packets[i];
		if (cores->packets[i] > cores->packets[verdict.busiest])
			verdict.busiest = i;
	}
	*ret_verdict = verdict;
	if (sum <= 0 || cores->seconds <= 0)
		return;
	mean = sum / (double)cores->n;
	for (size_t i = 0; i < cores->n; i++)
		verdict.busy += (double)cores->packets[i] >= mean / 4;
	verdict.ratio = (double)cores->packets[verdict.busiest] / mean;
	verdict.packets_s = (double)cores->packets[verdict.busiest] / cores->seconds;
	if (cores->n > 1 && sum / cores->seconds >= LB_CORES_PACKETS_S_MIN &&
	    verdict.ratio >= ratio_limit(cores->n))
		verdict.cause = cause_of(cores, &verdict);
	*ret_verdict = verdict;
}

const char *lb_cores_cause_text(enum lb_cores_cause cause)
{
	switch (cause) {
	case LB_CORES_INTERRUPTS:
		return "the interrupts of the receive queues go to too few cores: start irqbalance, or write "
		       "to "
		       "/proc/irq/N/smp_affinity_list";
	case LB_CORES_QUEUES:
		return "there are fewer receive queues than cores: ethtool -L DEV combined N";
	case LB_CORES_ONE_FLOW:
		return "likely one large flow, all of which a NIC gives to one core";
	case LB_CORES_DISTRIBUTION:
		return "the NIC spreads by too few header fields, or over too few of its queues (RSS): "
		       "ethtool -n DEV "
		       "rx-flow-hash tcp4, ethtool -x DEV";
	case LB_CORES_EVEN:
		break;
	}
	return NULL;
}
