// SPDX-License-Identifier: GPL-2.0-only
/* See path.h. Relies on libbpf and the bench's wrapper. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "bench_tables.h"
#include "bench_wrap.h"
#include "bench_wrap.skel.h"
#include "path.h"

#define FRAME 84

int runner_open(int program_fd, struct bench_wrap_bpf **ret_runner)
{
	struct bench_wrap_bpf *runner = bench_wrap_bpf__open_and_load();
	int fds[BENCH_TARGETS];

	if (!runner)
		return -errno;
	fds[BENCH_NOOP] = bpf_program__fd(runner->progs.bench_noop);
	fds[BENCH_ENCAP_V4] = bpf_program__fd(runner->progs.bench_encap_v4);
	fds[BENCH_ENCAP_V6] = bpf_program__fd(runner->progs.bench_encap_v6);
	fds[BENCH_SUBJECT] = program_fd;
	fds[BENCH_LRU] = bpf_program__fd(runner->progs.bench_lru);
	fds[BENCH_OTHER] = program_fd;
	for (__u32 i = 0; i < BENCH_TARGETS; i++) {
		if (bpf_map_update_elem(bpf_map__fd(runner->maps.bench_targets), &i, &fds[i], BPF_ANY) < 0) {
			bench_wrap_bpf__destroy(runner);
			return -errno;
		}
	}
	*ret_runner = runner;
	return 0;
}

/* An IPv4 TCP acknowledgement; addresses and ports are the wrapper's to write. */
static void make_frame(__u8 frame[FRAME])
{
	const __u8 headers[] = { 2, 0, 0,    0, 0, 0,          2, 0, 0,    0, 0,  2,
				 8, 0, 0x45, 0, 0, FRAME - 14, 0, 0, 0x40, 0, 64, 6 };

	memset(frame, 0, FRAME);
	memcpy(frame, headers, sizeof(headers));
	frame[14 + 20 + 3] = 80;
	frame[14 + 20 + 12] = 0x50;
	frame[14 + 20 + 13] = 0x10;
}

double runner_run(struct bench_wrap_bpf *runner, int cpu, enum bench_target target, __u32 flows,
		  __u32 packets)
{
	struct bench_control *bench = &runner->bss->bench;
	__u8 frame[FRAME];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = FRAME, .repeat = (int)packets);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return -1;
	make_frame(frame);
	memset(bench, 0, sizeof(*bench));
	bench->random = 1;
	bench->total = packets;
	bench->flows = flows;
	bench->grown = target == BENCH_NOOP ? 0 : 20;
	bench->source = 0x0b000000;
	bench->destination = BENCH_VIP_IPIP;
	bench->target = target;
	bench->eth_type = htons(0x0800);
	bench->family = 4;
	memcpy(bench->eth, frame, 12);
	memcpy(&bench->ip_word, frame + 14, 8);
	memcpy(&bench->ttl_word, frame + 22, 4);
	memcpy(&bench->port, frame + 36, 2);
	if (bpf_prog_test_run_opts(bpf_program__fd(runner->progs.bench_wrap), &opts) < 0 ||
	    opts.retval != XDP_TX)
		return -1;
	return (double)(bench->last_ns - bench->first_ns) / (packets - 1);
}
