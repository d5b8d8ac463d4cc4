/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See bench_against.h. What a change of the packet path is worth is often less than what the machine's own
 * pace changes by within a second. So the builds and both floors take turns of a few milliseconds; each round
 * loads the programs anew (bench_load()), and the median of the rounds' ratios is what counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_against.h"

#define TURNS      32
#define ROUNDS_MAX 64

enum side { SIDE_NOOP, SIDE_ENCAP, SIDE_FILE, SIDE_TREE, SIDES };

static enum bench_target target_of(enum side side, const struct workload *w)
{
	if (side == SIDE_NOOP)
		return BENCH_NOOP;
	if (side == SIDE_ENCAP)
		return w->family == 4 ? BENCH_ENCAP_V4 : BENCH_ENCAP_V6;
	return BENCH_SUBJECT;
}

/* Median of its turns, of each side. */
static void round_of(struct bench_wrap_bpf *wrap, const struct workload *w, const int fds[SIDES],
		     double ret_ns[SIDES])
{
	double turns[SIDES][TURNS];

	for (int i = 0; i < TURNS * SIDES; i++) {
		enum side side = i % SIDES;

		if (fds[side] >= 0)
			bench_set_target(wrap, BENCH_SUBJECT, fds[side]);
		turns[side][i / SIDES] =
			bench_run(wrap, w, target_of(side, w), BENCH_PACKETS / TURNS, BENCH_MEASURE);
	}
	for (int side = 0; side < SIDES; side++)
		ret_ns[side] = bench_median(turns[side], TURNS);
}

static void report(const struct workload *w, double ns[SIDES][ROUNDS_MAX], double *ratio, double *over,
		   int rounds)
{
	static bool said;

	if (!said)
		printf("%-24s %9s %9s %9s %9s %9s %9s %18s\n", "against the file's", "its ns", "ns",
		       "min its", "min", "no-op ns", "encap ns", "ratio (quartiles)");
	said = true;
	for (int side = 0; side < SIDES; side++)
		(void)bench_median(ns[side], rounds); /* which sorts */
	(void)bench_median(over, rounds);
	(void)bench_median(ratio, rounds);
	printf("%-24s %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f %7.3f (%.3f %.3f), %.2f times %s\n", w->name,
	       ns[SIDE_FILE][rounds / 2], ns[SIDE_TREE][rounds / 2], ns[SIDE_FILE][0], ns[SIDE_TREE][0],
	       ns[SIDE_NOOP][rounds / 2], ns[SIDE_ENCAP][rounds / 2], ratio[rounds / 2], ratio[rounds / 4],
	       ratio[rounds * 3 / 4], over[rounds / 2], w->pass ? "the no-op" : "the encapsulation");
}

void bench_against(struct bench_wrap_bpf *wrap, struct bench_tables *tables, struct workload *w, int rounds,
		   const char *file, bench_prepare *prepare)
{
	double ns[SIDES][ROUNDS_MAX], ratio[ROUNDS_MAX], over[ROUNDS_MAX];

	for (int r = 0; r < rounds; r++) {
		int fds[SIDES] = { -1, -1, packet_path_load_file(&tables->path, file, true),
				   bench_load(tables, true) };
		double of[SIDES];

		if (fds[SIDE_FILE] < 0) {
			fprintf(stderr, "Failed to load %s: %s\n", file, strerror(-fds[SIDE_FILE]));
			exit(1);
		}
		bench_set_target(wrap, BENCH_SUBJECT, fds[SIDE_TREE]);
		if (r == 0)
			prepare(wrap, tables, w);
		round_of(wrap, w, fds, of);
		for (int side = 0; side < SIDES; side++)
			ns[side][r] = of[side];
		ratio[r] = of[SIDE_TREE] / of[SIDE_FILE];
		over[r] = of[SIDE_TREE] / of[w->pass ? SIDE_NOOP : SIDE_ENCAP];
		close(fds[SIDE_FILE]);
		close(fds[SIDE_TREE]);
	}
	report(w, ns, ratio, over, rounds);
}
