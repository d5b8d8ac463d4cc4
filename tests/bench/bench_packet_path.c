/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * make bench: nanoseconds per packet of the loaded packet path, next to its floors (a program that does
 * nothing, a constant encapsulation), in the same run and through the same wrapper. Rounds interleave, so
 * that what disturbs the machine disturbs all; medians over rounds are reported, and a run whose floors are
 * unstable says so.
 *
 * QUICK=1: fewer rounds. ONLY=pattern: workloads whose name matches it (a shell's, extended). FEW=1: no more
 * than eight services are loaded, not the 1,024 of many_services besides. MANY=...: other ones than 1,024
 * services over the same 100 hosts, see many_of(). Writes build/bench/packet-path.json; with MANY
 * many-one.json beside it, which many.py collects. AGAINST=FILE: nothing of that, but the same rows through
 * this tree's program and through that in FILE, another build's lb_ingress.bpf.o, in turns
 * (bench_against.h).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_against.h"
#include "bench_observed.h"
#include "bench_run.h"

#include "lb/types.h"
#include "lb_ingress.skel.h"

#define ROUNDS_MAX 64
#define UNSTABLE   1.25 /* third quartile over first of a floor: say that the machine is busy */

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP
#define M   1000000u

static struct workload workloads[] = {
	{ "tcp4_1_flow", 4, TCP, 1, BENCH_VIP_IPIP, 0, 20 },
	{ "tcp6_1_flow", 6, TCP, 1, BENCH_VIP_IPIP, 0, 40 },
	{ "udp4_1_flow", 4, UDP, 1, BENCH_VIP_IPIP, 0, 20 },
	{ "tcp4_1k_flows", 4, TCP, 1000, BENCH_VIP_IPIP, 0, 20 },
	{ "tcp4_100k_flows", 4, TCP, 100000, BENCH_VIP_IPIP, 0, 20 },
	{ "tcp4_1m_flows", 4, TCP, M, BENCH_VIP_IPIP, 0, 20 },
	{ "tcp4_4m_flows", 4, TCP, 4 * M, BENCH_VIP_IPIP, 0, 20 },
	{ "tcp6_4m_flows", 6, TCP, 4 * M, BENCH_VIP_IPIP, 0, 40 },
	{ "udp4_4m_flows", 4, UDP, 4 * M, BENCH_VIP_IPIP, 0, 20 },
	{ "syn4_random", 4, TCP, 4 * M, BENCH_VIP_IPIP, 0, 20, .syn = true },
	{ "not_for_us", 4, TCP, 4 * M, BENCH_NOT_A_VIP, 0xffff, 0, .pass = true, .exact = true },
	{ "not_for_us_wildcards", 4, TCP, 4 * M, BENCH_NOT_A_VIP, 0xffff, 0, .pass = true },
	{ "gue4_1m_flows", 4, TCP, M, BENCH_VIP_GUE, 0, 28 },
	{ "gue6_1m_flows", 6, TCP, M, BENCH_VIP_GUE, 0, 48 },
	{ "l2_1m_flows", 4, TCP, M, BENCH_VIP_L2, 0, 0 },
	{ "any_port_1m_flows", 4, TCP, M, BENCH_VIP_ANY_PORT, 0, 20 },
	{ "many_services_1k_flows", 4, TCP, 1024, BENCH_VIP_MANY, BENCH_MANY_SERVICES - 1, 20 },
	{ "many_services_100k_flows", 4, TCP, 100000, BENCH_VIP_MANY, BENCH_MANY_SERVICES - 1, 20 },
	{ "many_services_4m_flows", 4, TCP, 4 * M, BENCH_VIP_MANY, BENCH_MANY_SERVICES - 1, 20 },
	{ "unsettled_1k_known", 4, TCP, 1000, BENCH_VIP_UNSETTLED, 0, 20, .fill = 1000 },
	{ "unsettled_1m_known", 4, TCP, M, BENCH_VIP_UNSETTLED, 0, 20, .fill = M },
	{ "unsettled_10m_known", 4, TCP, 10 * M, BENCH_VIP_UNSETTLED, 0, 20, .fill = 10 * M },
	{ "lru_1k_known", 4, TCP, 1000, BENCH_VIP_UNSETTLED, 0, 20, .fill = 1000, .lru = true },
	{ "lru_1m_known", 4, TCP, M, BENCH_VIP_UNSETTLED, 0, 20, .fill = M, .lru = true },
};
#define N_WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

/* Fills the table under test with a workload's flows, each established. */
static void fill(struct bench_wrap_bpf *wrap, struct bench_tables *tables, struct workload *w)
{
	struct lb_tables *t = &tables->path.tables;

	if (!w->lru) {
		memset(t->flows, 0, (size_t)t->sizes.flow_buckets * sizeof(*t->flows));
		bench_tables_unsettle(tables, "unsettled");
	}
	bench_run(wrap, w, w->lru ? BENCH_LRU : BENCH_SUBJECT, w->fill, BENCH_FILL_SYN);
	bench_run(wrap, w, w->lru ? BENCH_LRU : BENCH_SUBJECT, w->fill, BENCH_FILL_ACK);
}

/* Packets that the path found in its flow table so far. */
static __u64 known_packets(const struct lb_tables *t)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < t->sizes.cpus * t->sizes.counters; i++)
		sum += t->counters[i].known_packets;
	return sum;
}

/* Exits if the packets of a round were not what the workload says: known. before: known_packets() then. */
static void check_known(const struct bench_wrap_bpf *wrap, const struct lb_tables *t,
			const struct workload *w, __u64 before)
{
	if (w->fill && !w->lru && known_packets(t) - before < BENCH_PACKETS * 95ull / 100) {
		fprintf(stderr, "%s: only %llu of %u packets were known\n", w->name,
			known_packets(t) - before, BENCH_PACKETS);
		exit(1);
	}
	if (w->lru && wrap->bss->bench.known < BENCH_PACKETS * 95ull / 100)
		fprintf(stderr, "%s: only %llu of %u look-ups hit\n", w->name, wrap->bss->bench.known,
			BENCH_PACKETS);
}

static void round_of(struct bench_wrap_bpf *wrap, struct bench_tables *tables, struct workload *w, int round)
{
	struct lb_control *control = tables->path.tables.control;
	__u64 active = control->active, known = known_packets(&tables->path.tables);

	w->noop[round] = bench_run(wrap, w, BENCH_NOOP, BENCH_PACKETS, BENCH_MEASURE);
	w->encap[round] = bench_run(wrap, w, w->family == 4 ? BENCH_ENCAP_V4 : BENCH_ENCAP_V6, BENCH_PACKETS,
				    BENCH_MEASURE);
	if (w->exact)
		control->active = active & ~LB_ACTIVE_WILDCARD;
	w->subject[round] =
		bench_run(wrap, w, w->lru ? BENCH_LRU : BENCH_SUBJECT, BENCH_PACKETS, BENCH_MEASURE);
	control->active = active;
	check_known(wrap, &tables->path.tables, w, known);
}

static void report(int rounds, FILE *json)
{
	bool unstable = false, first = true;

	printf("%-24s %9s %9s %9s %9s %9s %9s %9s\n", "workload", "median ns", "min ns", "no-op ns",
	       "encap ns", "/ encap", "/ no-op", "min/min");
	fputs("[", json);
	for (size_t i = 0; i < N_WORKLOADS; i++) {
		struct workload *w = &workloads[i];
		double subject, noop, encap;

		if (!w->subject)
			continue;
		subject = bench_median(w->subject, rounds);
		noop = bench_median(w->noop, rounds);
		encap = bench_median(w->encap, rounds);
		unstable |= w->encap[rounds * 3 / 4] > UNSTABLE * w->encap[rounds / 4];
		printf("%-24s %9.1f %9.1f %9.1f %9.1f %9.2f %9.2f %9.2f\n", w->name, subject, w->subject[0],
		       noop, encap, subject / encap, subject / noop, w->subject[0] / w->encap[0]);
		fprintf(json,
			"%s\n  { \"workload\": \"%s\", \"median_ns\": %.1f, \"min_ns\": %.1f, "
			"\"noop_median_ns\": %.1f, \"encap_median_ns\": %.1f, \"rounds\": %d }",
			first ? "" : ",", w->name, subject, w->subject[0], noop, encap, rounds);
		first = false;
	}
	fputs("\n]\n", json);
	if (unstable)
		printf("The floors themselves vary by more than %.0f %% within this run: the machine is "
		       "busy, "
		       "trust no ratio to better than that.\n",
		       (UNSTABLE - 1) * 100);
}

static int load_targets(struct bench_wrap_bpf *wrap, int subject_fd)
{
	int fds[BENCH_TARGETS] = {
		bpf_program__fd(wrap->progs.bench_noop),     bpf_program__fd(wrap->progs.bench_encap_v4),
		bpf_program__fd(wrap->progs.bench_encap_v6), subject_fd,
		bpf_program__fd(wrap->progs.bench_lru),      subject_fd
	};

	for (__u32 i = 0; i < BENCH_TARGETS; i++) {
		if (bpf_map_update_elem(bpf_map__fd(wrap->maps.bench_targets), &i, &fds[i], BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static bool is_wanted(const struct workload *w)
{
	const char *only = getenv("ONLY");

	return (!only || !fnmatch(only, w->name, FNM_EXTMATCH)) &&
	       !(getenv("FEW") && w->vip == BENCH_VIP_MANY);
}

/* Settled workloads interleave round by round; those with a table to fill run all their rounds after filling.
 */
static void measure(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds)
{
	bool settled = false;

	for (size_t i = 0; i < N_WORKLOADS; i++) {
		struct workload *w = &workloads[i];

		if (!is_wanted(w))
			continue;
		w->subject = calloc(ROUNDS_MAX, sizeof(double));
		w->noop = calloc(ROUNDS_MAX, sizeof(double));
		w->encap = calloc(ROUNDS_MAX, sizeof(double));
		if (!w->subject || !w->noop || !w->encap)
			exit(1);
		settled |= !w->fill;
	}
	for (int r = 0; settled && r < rounds; r++) {
		bench_load_again(wrap, tables, true);
		for (size_t i = 0; i < N_WORKLOADS; i++) {
			if (workloads[i].subject && !workloads[i].fill)
				round_of(wrap, tables, &workloads[i], r);
		}
	}
	for (size_t i = 0; i < N_WORKLOADS; i++) {
		if (!workloads[i].subject || !workloads[i].fill)
			continue;
		fill(wrap, tables, &workloads[i]);
		for (int r = 0; r < rounds; r++) {
			bench_load_again(wrap, tables, true);
			round_of(wrap, tables, &workloads[i], r);
		}
	}
}

static void prepare(struct bench_wrap_bpf *wrap, struct bench_tables *tables, struct workload *w)
{
	if (w->fill)
		fill(wrap, tables, w);
}

static void measure_against(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds,
			    const char *file)
{
	struct lb_control *control = tables->path.tables.control;
	__u64 active = control->active;

	for (size_t i = 0; i < N_WORKLOADS; i++) {
		struct workload *w = &workloads[i];

		if (!is_wanted(w) || w->lru)
			continue;
		if (w->exact)
			control->active = active & ~LB_ACTIVE_WILDCARD;
		bench_against(wrap, tables, w, rounds, file, prepare);
		control->active = active;
	}
}

/* The last CPU: interrupts and housekeeping tend to be on the first. */
static void pin(void)
{
	cpu_set_t allowed, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (CPU_ISSET(cpu, &allowed)) {
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
	}
}

/* "1024 2048 different one_ring": a power of two, the size of their rings (0: the usual one), and words. */
static struct bench_many many_of(const char *text)
{
	struct bench_many many = { .services = BENCH_MANY_SERVICES };
	char *end;

	if (!text)
		return many;
	many.services = (__u32)strtoul(text, &end, 10);
	many.ring_size = (__u32)strtoul(end, NULL, 10);
	many.different = strstr(text, "different");
	many.sharing = strstr(text, "sharing");
	many.one_ring = strstr(text, "one_ring");
	many.one_region = strstr(text, "one_region");
	many.one_counter = strstr(text, "one_counter");
	if (!many.services || many.services & (many.services - 1) || many.services > BENCH_MANY_SERVICES) {
		fprintf(stderr, "MANY must begin with a power of two, at most %u\n", BENCH_MANY_SERVICES);
		exit(2);
	}
	return many;
}

/* All that is measured without AGAINST. path: of the results. 0 or -1. */
static int measure_and_write(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds,
			     const char *path)
{
	FILE *json;

	measure(wrap, tables, rounds);
	mkdir("build", 0777);
	mkdir("build/bench", 0777);
	json = fopen(path, "we");
	if (!json) {
		fprintf(stderr, "Failed to open %s: %s\n", path, strerror(errno));
		return -1;
	}
	report(rounds, json);
	fclose(json);
	bench_observed(wrap, tables, rounds);
	for (size_t i = 0; i < N_WORKLOADS; i++) {
		free(workloads[i].subject);
		free(workloads[i].noop);
		free(workloads[i].encap);
	}
	return 0;
}

int main(void)
{
	int rounds = getenv("QUICK") ? 9 : 61;
	struct bench_many many = many_of(getenv("MANY"));
	const char *path = getenv("MANY") ? "build/bench/many-one.json" : "build/bench/packet-path.json";
	struct bench_tables tables;
	struct bench_wrap_bpf *wrap;

	pin();
	if (getenv("FEW"))
		many.services = 0;
	for (size_t i = 0; i < N_WORKLOADS && many.services; i++) {
		if (workloads[i].vip == BENCH_VIP_MANY)
			workloads[i].vip_mask = many.services - 1;
	}
	if (bench_tables_open(&tables, &many) < 0)
		return 1;
	wrap = bench_wrap_bpf__open_and_load();
	if (!wrap || load_targets(wrap, tables.path.program_fd) < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("AGAINST"))
		measure_against(wrap, &tables, getenv("QUICK") ? 5 : 21, getenv("AGAINST"));
	else if (measure_and_write(wrap, &tables, rounds, path) < 0)
		return 1;
	bench_wrap_bpf__destroy(wrap);
	bench_tables_close(&tables);
	return 0;
}
