// SPDX-License-Identifier: GPL-2.0-only
/*
 * make bench-scaling: the settled path on one CPU, on the other, and on both at once, with the constant
 * encapsulation beside it for what the machine itself loses when two of its cores work. 2.00 is perfect.
 * Rounds interleave, medians count. Prints JSON; report.py writes build/bench/scaling.json and the table.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_tables.h"
#include "bench_wrap.h"
#include "bench_wrap.skel.h"
#include "path.h"

#define PACKETS 500000u
#define ROUNDS  9
#define CPUS    2

struct worker {
	struct bench_wrap_bpf *runner;
	int cpu;
	enum bench_target target;
	__u32 flows;
	double ns;
	pthread_barrier_t *start;
};

static void *work(void *context)
{
	struct worker *worker = context;

	if (worker->start)
		pthread_barrier_wait(worker->start);
	worker->ns = runner_run(worker->runner, worker->cpu, worker->target, worker->flows, PACKETS);
	return NULL;
}

/* Million packets per second of each worker, alone or together; the sum. */
static double run(struct worker *workers, int n, enum bench_target target, __u32 flows)
{
	pthread_barrier_t start;
	pthread_t threads[CPUS];
	double sum = 0;

	pthread_barrier_init(&start, NULL, (unsigned int)n);
	for (int i = 0; i < n; i++) {
		workers[i].target = target;
		workers[i].flows = flows;
		workers[i].start = &start;
		if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			exit(1);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		if (workers[i].ns <= 0) {
			fprintf(stderr, "bench_scaling: a run failed\n");
			exit(1);
		}
		sum += 1e3 / workers[i].ns;
	}
	pthread_barrier_destroy(&start);
	return sum;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	return values[ROUNDS / 2];
}

static void row(struct worker workers[CPUS], const char *name, enum bench_target target, __u32 flows,
		const char *comma)
{
	double first[ROUNDS], second[ROUNDS], both[ROUNDS], one, two;

	for (int r = 0; r < ROUNDS; r++) {
		first[r] = run(workers, 1, target, flows);
		second[r] = run(workers + 1, 1, target, flows);
		both[r] = run(workers, CPUS, target, flows);
	}
	one = (median(first) + median(second)) / 2;
	two = median(both);
	printf("{ \"name\": \"%s\", \"one_mpps\": %.3f, \"two_mpps\": %.3f, \"scaling\": %.3f }%s\n", name,
	       one, two, two / one, comma);
}

int main(void)
{
	struct worker workers[CPUS] = {};
	struct bench_tables tables;
	cpu_set_t allowed;
	int n = 0;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE && n < CPUS; cpu++) {
		if (CPU_ISSET(cpu, &allowed))
			workers[n++].cpu = cpu;
	}
	if (n < CPUS) {
		fprintf(stderr, "bench_scaling: one CPU only: there is nothing to compare\n");
		return 77;
	}
	if (bench_tables_open(&tables, NULL) < 0)
		return 1;
	for (int i = 0; i < CPUS; i++) {
		if (runner_open(tables.path.program_fd, &workers[i].runner) < 0)
			return 1;
	}
	printf("[\n");
	row(workers, "constant encapsulation", BENCH_ENCAP_V4, 1, ",");
	row(workers, "settled, 1 flow each", BENCH_SUBJECT, 1, ",");
	row(workers, "settled, 100,000 flows", BENCH_SUBJECT, 100000, ",");
	row(workers, "settled, 4,000,000 flows", BENCH_SUBJECT, 4000000, "");
	printf("]\n");
	for (int i = 0; i < CPUS; i++)
		bench_wrap_bpf__destroy(workers[i].runner);
	bench_tables_close(&tables);
	return 0;
}
