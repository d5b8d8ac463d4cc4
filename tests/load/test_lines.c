// SPDX-License-Identifier: GPL-2.0-only
/*
 * No cache line is written by two CPUs on the settled path. The real program runs the same flows on one CPU
 * after the other; what each of them changed in the memory of the maps is compared, line by line. That the
 * settled path writes its CPU's counters and nothing else is seen in passing.
 */
#define XXH_INLINE_ALL
#include <bpf/libbpf.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "bench_tables.h"
#include "bench_wrap.h"
#include "bench_wrap.skel.h"
#include "path.h"

#define FLOWS   100000u
#define PACKETS 400000u
#define CPUS    2

static int tests, failures;

static void check(bool right, const char *name)
{
	printf("%sok %d - %s\n", right ? "" : "not ", ++tests, name);
	failures += !right;
}

/* The memory of one map. */
struct area {
	const char *name;
	void *memory;
	size_t lines;
	__u64 *before; /* digest by line */
	__u8 *written; /* bit per CPU */
	bool may;      /* the settled path writes here */
};

static struct area area_make(const char *name, void *memory, size_t bytes, bool may)
{
	struct area area = { .name = name, .memory = memory, .lines = bytes / LB_CACHE_LINE, .may = may };

	area.before = malloc(area.lines * sizeof(*area.before));
	area.written = calloc(area.lines, 1);
	if (!area.before || !area.written)
		abort();
	return area;
}

static __u64 digest(const struct area *area, size_t line)
{
	return XXH64((const __u8 *)area->memory + line * LB_CACHE_LINE, LB_CACHE_LINE, 0);
}

static void remember(struct area *areas, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t line = 0; line < areas[i].lines; line++)
			areas[i].before[line] = digest(&areas[i], line);
	}
}

/* Marks the lines that are others than before. */
static void compare(struct area *areas, size_t n, int number)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t line = 0; line < areas[i].lines; line++) {
			if (digest(&areas[i], line) != areas[i].before[line])
				areas[i].written[line] |= (__u8)(1 << number);
		}
	}
}

static void judge(struct area *area)
{
	size_t by[CPUS] = {}, shared = 0;
	char name[128];

	for (size_t line = 0; line < area->lines; line++) {
		for (int i = 0; i < CPUS; i++)
			by[i] += area->written[line] >> i & 1;
		shared += area->written[line] == (1 << CPUS) - 1;
	}
	printf("# %s: %zu lines, written by the first CPU %zu, by the second %zu, by both %zu\n", area->name,
	       area->lines, by[0], by[1], shared);
	snprintf(name, sizeof(name), "no line of %s is written by two CPUs", area->name);
	check(!shared, name);
	if (area->may)
		snprintf(name, sizeof(name), "each CPU writes lines of its own in %s", area->name);
	else
		snprintf(name, sizeof(name), "the settled path does not write %s", area->name);
	check(area->may ? by[0] && by[1] : !by[0] && !by[1], name);
	free(area->before);
	free(area->written);
}

/* The first two CPUs that we may use. */
static bool find_cpus(int cpus[CPUS])
{
	cpu_set_t allowed;
	int n = 0;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE && n < CPUS; cpu++) {
		if (CPU_ISSET(cpu, &allowed))
			cpus[n++] = cpu;
	}
	return n == CPUS;
}

int main(void)
{
	struct bench_tables tables;
	struct bench_wrap_bpf *runner;
	struct lb_tables *t = &tables.path.tables;
	struct lb_table_sizes *s = &t->sizes;
	int cpus[CPUS];

	if (!find_cpus(cpus)) {
		printf("ok 1 - lines written by two CPUs # SKIP one CPU only\n1..1\n");
		return 0;
	}
	if (bench_tables_open(&tables, NULL) < 0 || runner_open(tables.path.program_fd, &runner) < 0) {
		printf("not ok 1 - the packet path loads\n1..1\n");
		return 1;
	}
	struct area areas[] = {
		area_make("lb_counters", t->counters, (size_t)s->cpus * s->counters * sizeof(*t->counters),
			  true),
		area_make("lb_reasons", t->reasons, s->cpus * sizeof(*t->reasons), false),
		area_make("lb_control", t->control, sizeof(*t->control), false),
		area_make("lb_vips", t->vips, (size_t)LB_BANKS * s->vip_buckets * sizeof(*t->vips), false),
		area_make("lb_rings", t->rings, s->ring_lines * sizeof(*t->rings), false),
		area_make("lb_stamps", t->stamps, s->stamp_lines * sizeof(*t->stamps), false),
		area_make("lb_backends", t->backends, s->backends * sizeof(*t->backends), false),
		area_make("lb_backend_ids", t->backend_ids, s->backends * sizeof(*t->backend_ids), false),
		area_make("lb_flows", t->flows, s->flow_buckets * sizeof(*t->flows), false),
	};
	size_t n = sizeof(areas) / sizeof(areas[0]);

	for (int i = 0; i < CPUS; i++) {
		remember(areas, n);
		check(runner_run(runner, cpus[i], BENCH_SUBJECT, FLOWS, PACKETS) >= 0,
		      "packets of many flows are forwarded");
		compare(areas, n, i);
	}
	for (size_t i = 0; i < n; i++)
		judge(&areas[i]);
	printf("1..%d\n", tests);
	bench_wrap_bpf__destroy(runner);
	bench_tables_close(&tables);
	return failures > 0;
}
