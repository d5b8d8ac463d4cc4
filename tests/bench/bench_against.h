/* SPDX-License-Identifier: GPL-2.0-only */
/* Two builds of the packet path, turn by turn over the same tables. */
#pragma once

#include "bench_run.h"

/* Prepares what a workload needs before its turns; the program under test is set. */
typedef void bench_prepare(struct bench_wrap_bpf *wrap, struct bench_tables *tables, struct workload *w);

/*
 * Measures a workload through the program of this tree and through that in file, an lb_ingress.bpf.o with
 * the same tables and load-time constants, and prints both. Exits if it cannot.
 */
void bench_against(struct bench_wrap_bpf *wrap, struct bench_tables *tables, struct workload *w, int rounds,
		   const char *file, bench_prepare *prepare);
