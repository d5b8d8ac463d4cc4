/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The settled packet path as test_lines.c and bench_scaling.c run it: the tables of the benches, and runs of
 * BPF_PROG_TEST_RUN on a CPU of choice. Each runner has a wrapper (bench_wrap.bpf.c) of its own, so that
 * nothing is shared between two of them but the packet path.
 */
#pragma once

#include <linux/types.h>

#include "bench_wrap.h"

struct bench_wrap_bpf;

/* A wrapper that calls the program, and the floors. 0 or -errno. */
int runner_open(int program_fd, struct bench_wrap_bpf **ret_runner);

/*
 * Runs TCP packets of so many flows to the bench's service tcp4 on a CPU. Nanoseconds per packet, or -1 when
 * that CPU is not ours or a packet was not forwarded.
 */
double runner_run(struct bench_wrap_bpf *runner, int cpu, enum bench_target target, __u32 flows,
		  __u32 packets);
