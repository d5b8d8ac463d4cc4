/* SPDX-License-Identifier: GPL-2.0-only */
/* See bench_run.h. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_run.h"

#include "lb_ingress.skel.h"

#define TCP IPPROTO_TCP

/* Of one connection: its SYN, and a segment with the number that follows; where the table is asked, an
 * acknowledgement without payload, which may come again and again. */
static size_t make_packet(const struct workload *w, bool syn, __u8 frame[128])
{
	size_t ip = 14, l4 = ip + (w->family == 4 ? 20 : 40), length = l4 + 30;
	size_t end = w->fill ? l4 + 20 : length; /* what is behind it pads the frame */
	const __u8 prefix[8] = { 0x20, 0x01, 0x0d, 0xb8 };

	memset(frame, 0, 128);
	frame[0] = frame[6] = 2;
	frame[12] = w->family == 4 ? 0x08 : 0x86;
	frame[13] = w->family == 4 ? 0x00 : 0xdd;
	if (w->family == 4) {
		const __u8 header[] = { 0x45, 0, 0, (__u8)(end - ip), 0, 0, 0x40, 0, 64, (__u8)w->protocol };

		memcpy(frame + ip, header, sizeof(header));
	} else {
		const __u8 header[] = { 0x60, 0, 0, 0, 0, (__u8)(end - l4), (__u8)w->protocol, 64 };

		memcpy(frame + ip, header, sizeof(header));
		memcpy(frame + ip + 8, prefix, sizeof(prefix));
		memcpy(frame + ip + 24, prefix, sizeof(prefix));
	}
	frame[l4 + 3] = 80;
	if (w->protocol == TCP) {
		frame[l4 + 12] = 0x50;
		frame[l4 + 13] = syn ? 0x02 : 0x10;
		frame[l4 + 7] = syn ? 0 : 1;
	} else {
		frame[l4 + 5] = (__u8)(length - l4);
	}
	return length;
}

double bench_run(struct bench_wrap_bpf *wrap, const struct workload *w, enum bench_target target,
		 __u32 packets, enum bench_pass pass)
{
	struct bench_control *bench = &wrap->bss->bench;
	bool path = target == BENCH_SUBJECT;
	int expected = path && w->pass ? XDP_PASS : XDP_TX;
	__u8 frame[128];
	size_t length = make_packet(w, w->syn || pass == BENCH_FILL_SYN, frame);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)length,
		    .repeat = (int)packets);

	memset(bench, 0, sizeof(*bench));
	bench->random = w->seed ? w->seed : 1;
	bench->total = packets;
	bench->flows = w->flows;
	bench->sequential = pass != BENCH_MEASURE;
	bench->grown = target == BENCH_NOOP ? 0 : path ? w->grown : w->family == 4 ? 20 : 40;
	bench->source = 0x0b000000;
	bench->destination = w->vip;
	bench->service_mask = w->vip_mask;
	bench->target = target;
	bench->turn_packets = pass == BENCH_MEASURE ? w->turn_packets : 0;
	bench->swap = w->swap;
	bench->eth_type = htons(w->family == 4 ? 0x0800 : 0x86dd);
	bench->family = w->family;
	memcpy(bench->eth, frame, 12);
	memcpy(&bench->ip_word, frame + 14, 8);
	memcpy(&bench->ttl_word, frame + 22, 4);
	memcpy(&bench->prefix, frame + 38, 8);
	memcpy(&bench->port, frame + 14 + (w->family == 4 ? 20 : 40) + 2, 2);
	if (bpf_prog_test_run_opts(bpf_program__fd(wrap->progs.bench_wrap), &opts) < 0) {
		fprintf(stderr, "Failed to run %s: %s\n", w->name, strerror(errno));
		exit(1);
	}
	if ((int)opts.retval != expected) {
		fprintf(stderr, "%s: verdict %u where %d is right\n", w->name, opts.retval, expected);
		exit(1);
	}
	return (double)(bench->last_ns - bench->first_ns) / (packets - 1);
}

int bench_load(const struct bench_tables *tables, bool observed)
{
	int fd = packet_path_load_again(&tables->path, observed);

	if (fd >= 0)
		return fd;
	fprintf(stderr, "Failed to load the program again: %s\n", strerror(-fd));
	exit(1);
}

void bench_set_target(struct bench_wrap_bpf *wrap, enum bench_target target, int fd)
{
	__u32 key = target;

	if (bpf_map_update_elem(bpf_map__fd(wrap->maps.bench_targets), &key, &fd, BPF_ANY) == 0)
		return;
	fprintf(stderr, "Failed to run the program: %m\n");
	exit(1);
}

void bench_load_again(struct bench_wrap_bpf *wrap, const struct bench_tables *tables, bool observed)
{
	int fd = bench_load(tables, observed);

	bench_set_target(wrap, BENCH_SUBJECT, fd);
	close(fd);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}
