/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same packets with and without observation, in pairs: in each round the program is loaded anew both
 * ways, and the two take short turns of some 0.2 ms, which goes first alternating. What is reported of the
 * rounds' ratios is the median and an upper bound that it stays below with 95 % confidence (order statistics,
 * as of the sign test). With QUICK=1 there are too few for a bound that is worth its name. ROUNDS=n: so many.
 *
 * With observation means as lbd would have it: at the level to which the pace (observe/pace.h) comes under
 * such a load, with flows in their places as far as there are places. Rows *_every look at every packet, as
 * lbd never would under such a load: they tell what one costs (LB_PACE_PACKET_NS).
 */
#include <fnmatch.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_observed.h"

#include "observe/pace.h"

#define ROUNDS_MAX   512
#define SECOND_NS    1000000000ull
#define PAIRS        ((int)BENCH_TURNS_MAX / 2 - 1) /* of turns */
#define TURN_PACKETS 2000u                          /* enough for some to be sampled in each */

static struct {
	struct workload w;
	bool every;
	double target; /* of the bound */
	double off[ROUNDS_MAX], on[ROUNDS_MAX], ratio[ROUNDS_MAX];
	__u32 level;
	bool wanted;
} rows[] = {
	{ { "tcp4_observed_1k_flows", 4, IPPROTO_TCP, 1000, BENCH_VIP_IPIP, 0, 20 }, .target = 1.015 },
	{ { "tcp4_observed_1m_flows", 4, IPPROTO_TCP, 1000000, BENCH_VIP_IPIP, 0, 20 }, .target = 1.015 },
	{ { "tcp4_observed_flood", 4, IPPROTO_TCP, 4000000, BENCH_VIP_IPIP, 0, 20, .syn = true },
	  .target = 1.03 },
	{ { "tcp4_observed_1k_every", 4, IPPROTO_TCP, 1000, BENCH_VIP_IPIP, 0, 20 }, .every = true },
	{ { "tcp4_observed_flood_every", 4, IPPROTO_TCP, 4000000, BENCH_VIP_IPIP, 0, 20, .syn = true },
	  .every = true },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static __u64 packets_seen(const struct bench_tables *tables)
{
	__u64 sum = 0;

	for (__u32 cpu = 0; cpu < tables->path.tables.sizes.cpus; cpu++)
		sum += tables->path.observed[cpu].counts.packets;
	return sum;
}

/* Where there are connections, makes them; they stay in their places. */
static void prepare(struct bench_wrap_bpf *wrap, struct bench_tables *tables, const struct workload *w)
{
	if (w->syn)
		return;
	bench_run(wrap, w, BENCH_SUBJECT, w->flows, BENCH_FILL_SYN);
	bench_run(wrap, w, BENCH_SUBJECT, BENCH_PACKETS, BENCH_MEASURE);
}

/* The level that lbd would come to: what is seen of a run is taken for what a second of such packets is. */
static __u32 find_level(struct bench_wrap_bpf *wrap, struct bench_tables *tables, const struct workload *w)
{
	double fastest = HUGE_VAL; /* what else the machine did is not the load's */
	struct lb_pace pace;
	__u64 now_ns = 0;

	lb_pace_begin(&pace, now_ns);
	for (int i = 0; i < 64; i++) {
		__u64 before = packets_seen(tables);
		double ns;

		tables->path.observe->limit = LB_OBSERVE_LIMIT(pace.level);
		ns = bench_run(wrap, w, BENCH_SUBJECT, BENCH_PACKETS, BENCH_MEASURE);
		fastest = ns < fastest ? ns : fastest;
		now_ns += SECOND_NS;
		lb_pace_step(&pace,
			     &(struct lb_pace_load){
				     .allowed_permille = 8,
				     .elapsed_ns = (__u64)(fastest * BENCH_PACKETS),
				     .packets = packets_seen(tables) - before,
			     },
			     now_ns);
	}
	return pace.level;
}

/*
 * The program without and that with observation take turns within one run, so that what disturbs the machine
 * for a while disturbs both; what counts is the median of the ratios of neighbours.
 */
static void round_of(struct bench_wrap_bpf *wrap, struct bench_tables *tables, size_t row, int round)
{
	const struct bench_control *bench = &wrap->bss->bench;
	double ns[2][PAIRS], ratios[PAIRS];
	struct workload w = rows[row].w;

	w.seed = (__u64)round + 1; /* other flows next time: a flood goes on */
	w.turn_packets = TURN_PACKETS;
	w.swap = round % 2;
	tables->path.observe->limit = LB_OBSERVE_LIMIT(rows[row].level);
	bench_run(wrap, &w, BENCH_SUBJECT, 2 * PAIRS * TURN_PACKETS + 1, BENCH_MEASURE);
	for (int turn = 0; turn < 2 * PAIRS; turn++)
		ns[BENCH_WHOSE_TURN(turn, w.swap)][turn / 2] = (double)bench->took_ns[turn] / TURN_PACKETS;
	for (int i = 0; i < PAIRS; i++)
		ratios[i] = ns[1][i] / ns[0][i];
	rows[row].off[round] = bench_median(ns[0], PAIRS);
	rows[row].on[round] = bench_median(ns[1], PAIRS);
	rows[row].ratio[round] = bench_median(ratios, PAIRS);
}

static void rounds_of_all(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (!rows[i].wanted)
			continue;
		if (!rows[i].every)
			rows[i].level = find_level(wrap, tables, &rows[i].w);
		tables->path.observe->limit = LB_OBSERVE_LIMIT(rows[i].level);
		prepare(wrap, tables, &rows[i].w);
	}
	for (int round = 0; round < rounds; round++) {
		int on = round / 2 % 2; /* which is loaded first */
		int fds[2];

		fds[on] = bench_load(tables, on);
		fds[!on] = bench_load(tables, !on);
		bench_set_target(wrap, BENCH_SUBJECT, fds[0]);
		bench_set_target(wrap, BENCH_OTHER, fds[1]);
		close(fds[0]);
		close(fds[1]);
		for (size_t i = 0; i < N_ROWS; i++)
			if (rows[i].wanted)
				round_of(wrap, tables, i, round);
	}
}

/* Of sorted values: their median is below with 95 % confidence, one-sided. */
static double upper_bound(const double *sorted, int n)
{
	int i = (int)ceil(n / 2.0 + 1.645 * sqrt(n) / 2);

	return sorted[i < n ? i : n - 1];
}

static void report(size_t row, int rounds, bool first, FILE *json)
{
	double off = bench_median(rows[row].off, rounds), on = bench_median(rows[row].on, rounds);
	double ratio = bench_median(rows[row].ratio, rounds), bound = upper_bound(rows[row].ratio, rounds);
	double target = rows[row].target;

	printf("%-26s %9.1f %9.1f %9.1f %9.1f %9u %+8.2f %% %+8.2f %%", rows[row].w.name, off, on,
	       rows[row].off[0], rows[row].on[0], 1u << rows[row].level, 100 * (ratio - 1),
	       100 * (bound - 1));
	if (target > 0)
		printf(" %+8.2f %%%s", 100 * (target - 1), bound > target ? "  above" : "");
	putchar('\n');
	fprintf(json,
		"%s\n  { \"workload\": \"%s\", \"off_ns\": %.1f, \"on_ns\": %.1f, \"one_in\": %u, \"added\": "
		"%.4f, "
		"\"added_bound\": %.4f, \"rounds\": %d",
		first ? "" : ",", rows[row].w.name, off, on, 1u << rows[row].level, ratio - 1, bound - 1,
		rounds);
	fputs(", \"ratios\": [", json);
	for (int i = 0; i < rounds; i++)
		fprintf(json, "%s%.4f", i ? ", " : "", rows[row].ratio[i]);
	fputs("]", json);
	if (target > 0)
		fprintf(json, ", \"target\": %.4f", target - 1);
	fputs(" }", json);
}

static void report_all(int rounds)
{
	FILE *json = fopen("build/bench/observed.json", "we");
	bool first = true;

	if (!json) {
		fprintf(stderr, "Failed to open build/bench/observed.json: %m\n");
		exit(1);
	}
	printf("\n%-26s %9s %9s %9s %9s %9s %10s %10s %10s\n", "observed", "off ns", "on ns", "min off",
	       "min on", "1 in", "added", "95 % bound", "target");
	fputs("[", json);
	for (size_t i = 0; i < N_ROWS; i++) {
		if (!rows[i].wanted)
			continue;
		report(i, rounds, first, json);
		first = false;
	}
	fputs("\n]\n", json);
	fclose(json);
}

void bench_observed(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds)
{
	const char *only = getenv("ONLY"), *wanted = getenv("ROUNDS");
	bool any = false;

	if (wanted)
		rounds = atoi(wanted);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	for (size_t i = 0; i < N_ROWS; i++) {
		rows[i].wanted = !only || !fnmatch(only, rows[i].w.name, FNM_EXTMATCH);
		any |= rows[i].wanted;
	}
	if (!any)
		return;
	bench_load_again(wrap, tables, true);
	rounds_of_all(wrap, tables, rounds);
	tables->path.observe->limit = 0;
	report_all(rounds);
}
