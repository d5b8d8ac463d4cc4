/* SPDX-License-Identifier: GPL-2.0-only */
/* What observation costs the packet path (docs/observer.md). */
#pragma once

#include "bench_run.h"

/* Rows tcp4_observed_*, where ONLY does not say otherwise: to standard output, and to
 * build/bench/observed.json. */
void bench_observed(struct bench_wrap_bpf *wrap, struct bench_tables *tables, int rounds);
