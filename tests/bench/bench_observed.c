/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same packets with and without observation, in pairs: in each round the program is loaded anew both
 * ways, and the two take many short turns, which goes first alternating. What is reported of the rounds'
 * ratios is the median and an upper bound that it stays below with 95 % confidence (order statistics, as of
 * the sign test). A round of one row is as long as two loads of the program take; with QUICK=1 there are too
 * few for a bound that is worth its name. ROUNDS=n: so many.
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
#define TURNS        100
#define TURN_PACKETS 5000u

static struct {
	struct workload w;
	bool every;
	double target; /* of the bound */
	double off[ROUNDS_MAX], on[ROUNDS_MAX], ratio[ROUNDS_MAX];
	__u32 level;
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

/* Begins with empty places; then, where there are connections, makes them. */
static void prepare(struct bench_wrap_bpf *wrap, struct bench_tables *tables, const struct workload *w)
{
	memset(tables->path.observed, 0, tables->path.tables.sizes.cpus * sizeof(*tables->path.observed));
	if (w->syn)
		return;
	bench_run(wrap, w, BENCH_SUBJECT, w->flows, BENCH_FILL_SYN);
	bench_run(wrap, w, BENCH_SUBJECT, BENCH_PACKETS, BENCH_MEASURE);
}

/* The level that lbd would come to: what is seen of a run is taken for what a second of such packets is. */
static __u32 find_level(struct bench_wrap_bpf *wrap, struct bench_tables *tables, const struct workload *w)
{
	struct lb_pace pace;
	__u64 now_ns = 0;

	lb_pace_begin(&pace, now_ns);
	for (int i = 0; i < 64; i++) {
		__u64 before = packets_seen(tables);
		double ns;

		tables->path.observe->limit = LB_OBSERVE_LIMIT(pace.level);
		ns = bench_run(wrap, w, BENCH_SUBJECT, BENCH_PACKETS, BENCH_MEASURE);
		now_ns += SECOND_NS;
		lb_pace_step(&pace,
			     &(struct lb_pace_load){
				     .allowed_permille = 8,
				     .elapsed_ns = (__u64)(ns * BENCH_PACKETS),
				     .packets = packets_seen(tables) - before,
			     },
			     now_ns);
	}
	return pace.level;
}

/*
 * fds: of the program without and with observation. They take turns, so that what disturbs the machine for a
 * while disturbs both; what counts is the median of the ratios of neighbours.
 */
static void round_of(struct bench_wrap_bpf *wrap, size_t row, int round, const int fds[2])
{
	double turns[2][TURNS], ratios[TURNS];

	for (int i = 0; i < 2 * TURNS; i++) {
		bool on = (i + i / 2 + round) % 2; /* 0110 0110, or 1001 1001 */

		rows[row].w.seed = (__u64)round * TURNS + i / 2 + 1; /* others next time: a flood goes on */
		bench_set_subject(wrap, fds[on]);
		turns[on][i / 2] = bench_run(wrap, &rows[row].w, BENCH_SUBJECT, TURN_PACKETS, BENCH_MEASURE);
	}
	for (int i = 0; i < TURNS; i++)
		ratios[i] = turns[1][i] / turns[0][i];
	rows[row].off[round] = bench_median(turns[0], TURNS);
	rows[row].on[round] = bench_median(turns[1], TURNS);
	rows[row].ratio[round] = bench_median(ratios, TURNS);
}

/* All rounds of a row. What is in the places stays there from one to the next. */
static void rounds_of(struct bench_wrap_bpf *wrap, struct bench_tables *tables, size_t row, int rounds)
{
	bench_load_again(wrap, tables, true);
	if (!rows[row].every)
		rows[row].level = find_level(wrap, tables, &rows[row].w);
	tables->path.observe->limit = LB_OBSERVE_LIMIT(rows[row].level);
	prepare(wrap, tables, &rows[row].w);
	for (int round = 0; round < rounds; round++) {
		int fds[2];

		fds[round % 2] = bench_load(tables, round % 2);
		fds[!(round % 2)] = bench_load(tables, !(round % 2));
		round_of(wrap, row, round, fds);
		close(fds[0]);
		close(fds[1]);
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

static FILE *begin_report(void)
{
	FILE *json = fopen("build/bench/observed.json", "we");

	if (!json) {
		fprintf(stderr, "Failed to open build/bench/observed.json: %m\n");
		exit(1);
	}
	printf("\n%-26s %9s %9s %9s %9s %9s %10s %10s %10s\n", "observed", "off ns", "on ns", "min off",
	       "min on", "1 in", "added", "95 % bound", "target");
	fputs("[", json);
	return json;
}

void bench_observed(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds)
{
	const char *only = getenv("ONLY"), *wanted = getenv("ROUNDS");
	FILE *json = NULL;

	if (wanted)
		rounds = atoi(wanted);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	for (size_t i = 0; i < N_ROWS; i++) {
		bool first = !json;

		if (only && fnmatch(only, rows[i].w.name, FNM_EXTMATCH))
			continue;
		json = json ? json : begin_report();
		rounds_of(wrap, tables, i, rounds);
		report(i, rounds, first, json);
		fflush(stdout);
	}
	tables->path.observe->limit = 0;
	if (!json)
		return;
	fputs("\n]\n", json);
	fclose(json);
}
