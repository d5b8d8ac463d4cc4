/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * make bench: nanoseconds per packet of the loaded packet path, next to its floors (a program that does nothing, a
 * constant encapsulation), in the same run and through the same wrapper. Rounds interleave, so that what
 * disturbs the machine disturbs all; the median over rounds is reported.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lb/hash.h"
#include "lb/slot.h"
#include "bench_wrap.h"
#include "bench_wrap.skel.h"
#include "lb_ingress.skel.h"
#include "packet_path.h"

#define BACKENDS 100
#define RING 65536
#define MAX_ROUNDS 64

struct workload {
	const char *name;
	int family;
	int protocol;
	__u32 flows;
	int syn;
	int for_us;
	double *subject, *noop, *encap; /* of each round */
};

static struct workload workloads[] = {
	{ "tcp4_1_flow", 4, IPPROTO_TCP, 1, 0, 1 },	{ "tcp6_1_flow", 6, IPPROTO_TCP, 1, 0, 1 },
	{ "udp4_1_flow", 4, IPPROTO_UDP, 1, 0, 1 },	{ "tcp4_1k_flows", 4, IPPROTO_TCP, 1000, 0, 1 },
	{ "tcp4_100k_flows", 4, IPPROTO_TCP, 100000, 0, 1 }, { "tcp4_1m_flows", 4, IPPROTO_TCP, 1000000, 0, 1 },
	{ "tcp4_4m_flows", 4, IPPROTO_TCP, 4000000, 0, 1 },  { "tcp6_4m_flows", 6, IPPROTO_TCP, 4000000, 0, 1 },
	{ "syn4_random", 4, IPPROTO_TCP, 4000000, 1, 1 },    { "not_for_us", 4, IPPROTO_TCP, 4000000, 0, 0 },
};

static void fill_service(struct lb_tables *t, __u32 n, int family, int protocol)
{
	struct lb_vip vip = { .flags = LB_VIP_USED, .service = n, .ring_mask = RING - 1,
			      .backend_count = BACKENDS,
			      .source_mask_v4 = htonl(0xffff), .source_mask_v6 = htonl(0xffffffff) };
	__u32 bucket;

	lb_vip_place(&vip, n * RING / 16, n * BACKENDS);

	if (family == 4) {
		vip.key[0] = htonl(0xcb00710a);
	} else {
		vip.key[0] = 0x000000000000b80d0120ull & 0;
		__u8 a[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xcb, 0, 0x71, 0xa };
		memcpy(vip.key, a, 16);
	}
	vip.key[2] = (__u64)htons(80) | (__u64)protocol << 16 | (__u64)family << 24;
	bucket = lb_hash_vip(vip.key[0], vip.key[1], vip.key[2]) & 255;
	while (t->vips[bucket].flags)
		bucket = (bucket + 1) & 255;
	t->vips[bucket] = vip;
	for (__u32 i = 0; i < RING; i++)
		t->rings[n * RING / 16 + i / 16].slot[i % 16] = lb_slot_make(i % BACKENDS, i % BACKENDS, 0);
	for (__u32 i = 0; i < BACKENDS; i++) {
		struct lb_backend *b = &t->backends[n * BACKENDS + i];
		b->counter = n * BACKENDS + i;
		b->max_len = 1580;
		b->method = family == 4 ? LB_METHOD_IPIP_V4 : LB_METHOD_IPIP_V6;
		b->flags = LB_BACKEND_USED | LB_BACKEND_TX;
		memset(b->eth, 2, 12);
		b->ip[0] = family == 4 ? 0x45 : 0x60;
		b->ip[9] = 4;
	}
}

static size_t make_packet(const struct workload *w, __u8 *frame)
{
	size_t l4 = 14 + (w->family == 4 ? 20 : 40);
	size_t length = l4 + 20 + 10;

	memset(frame, 0, 128);
	frame[12] = w->family == 4 ? 0x08 : 0x86;
	frame[13] = w->family == 4 ? 0x00 : 0xdd;
	if (w->family == 4) {
		__u8 ip[20] = { 0x45, 0, 0, length - 14, 0, 0, 0x40, 0, 64, w->protocol };
		memcpy(frame + 14, ip, 20);
	} else {
		__u8 ip[40] = { 0x60, 0, 0, 0, 0, length - 54, w->protocol, 64, 0x20, 1, 0xd, 0xb8 };
		memcpy(frame + 14, ip, 40);
		__u8 a[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xcb, 0, 0x71, 0xa };
		memcpy(frame + 14 + 24, a, 16);
	}
	frame[l4 + 3] = 80;
	if (w->protocol == IPPROTO_TCP) {
		frame[l4 + 12] = 0x50;
		frame[l4 + 13] = w->syn ? 0x02 : 0x10;
	} else {
		frame[l4 + 5] = 30;
	}
	return length;
}

static double run(struct bench_wrap_bpf *wrap, const struct workload *w, enum bench_target target, __u32 packets)
{
	struct bench_control *bench = &wrap->bss->bench;
	__u8 frame[128];
	size_t length = make_packet(w, frame);
	int outer = w->family == 4 ? 20 : 40;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = length, .repeat = packets);

	memset(bench, 0, sizeof(*bench));
	bench->random = 1;
	bench->total = packets;
	bench->flows = w->flows;
	bench->grown = target == BENCH_NOOP || (target == BENCH_SUBJECT && !w->for_us) ? 0 : outer;
	bench->source = 0x0a000000;
	bench->destination = w->for_us ? 0xcb00710a : 0xc0a80001;
	bench->service_mask = w->for_us ? 0 : 0xffff;
	bench->target = target;
	bench->eth_type = htons(w->family == 4 ? 0x0800 : 0x86dd);
	bench->family = w->family;
	memcpy(&bench->ip_word, frame + 14, 8);
	memcpy(&bench->ttl_word, frame + 22, 4);
	memcpy(&bench->prefix, frame + 14 + 24, 8);
	memcpy(&bench->port, frame + 14 + (w->family == 4 ? 20 : 40) + 2, 2);
	if (bpf_prog_test_run_opts(bpf_program__fd(wrap->progs.bench_wrap), &opts) < 0) {
		fprintf(stderr, "Failed to run: %s\n", strerror(errno));
		exit(1);
	}
	int expected = target == BENCH_SUBJECT && !w->for_us ? XDP_PASS : XDP_TX;
	if ((int)opts.retval != expected) {
		fprintf(stderr, "%s: verdict %u\n", w->name, opts.retval);
		exit(1);
	}
	return (double)(bench->last_ns - bench->first_ns) / (packets - 1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(void)
{
	struct lb_table_sizes sizes = { .cpus = libbpf_num_possible_cpus(), .vip_buckets = LB_VIP_BUCKETS, .ring_lines = 65536,
					.backends = 16384, .counters = 4096, .services = 64, .flow_buckets = 1 << 16 };
	struct packet_path path;
	struct bench_wrap_bpf *wrap;
	cpu_set_t cpu;
	int rounds = getenv("QUICK") ? 7 : 21;

	CPU_ZERO(&cpu);
	CPU_SET(1, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	if (packet_path_open(&sizes, 0, &path) < 0)
		return 1;
	wrap = bench_wrap_bpf__open_and_load();
	if (!wrap)
		return 1;
	int fds[] = { bpf_program__fd(wrap->progs.bench_noop), bpf_program__fd(wrap->progs.bench_encap_v4),
		      bpf_program__fd(wrap->progs.bench_encap_v6), path.program_fd };
	for (__u32 i = 0; i < 4; i++)
		bpf_map_update_elem(bpf_map__fd(wrap->maps.bench_targets), &i, &fds[i], 0);
	fill_service(&path.tables, 0, 4, IPPROTO_TCP);
	fill_service(&path.tables, 1, 6, IPPROTO_TCP);
	fill_service(&path.tables, 2, 4, IPPROTO_UDP);
	path.tables.control->hash_seed[0] = 0x1234567890abcdefull;
	path.tables.control->hash_seed[1] = 0xfedcba0987654321ull;
	path.tables.control->active = LB_ACTIVE(0, 8, 0, 1);
	size_t n = sizeof(workloads) / sizeof(workloads[0]);
	for (size_t i = 0; i < n; i++) {
		workloads[i].noop = calloc(rounds, 8);
		workloads[i].encap = calloc(rounds, 8);
		workloads[i].subject = calloc(rounds, 8);
	}
	for (int r = 0; r < rounds; r++)
		for (size_t i = 0; i < n; i++) {
			struct workload *w = &workloads[i];
			w->noop[r] = run(wrap, w, BENCH_NOOP, 300000);
			w->encap[r] = run(wrap, w, w->family == 4 ? BENCH_ENCAP_V4 : BENCH_ENCAP_V6, 300000);
			w->subject[r] = run(wrap, w, BENCH_SUBJECT, 300000);
		}
	for (size_t i = 0; i < n; i++) {
		struct workload *w = &workloads[i];
		qsort(w->noop, rounds, 8, compare);
		qsort(w->encap, rounds, 8, compare);
		qsort(w->subject, rounds, 8, compare);
		double s = w->subject[rounds / 2], e = w->encap[rounds / 2], o = w->noop[rounds / 2];
		printf("%-18s %7.1f (min %6.1f)  noop %6.1f  encap %6.1f   x%.2f encap  x%.2f noop\n", w->name, s,
		       w->subject[0], o, e, s / e, s / o);
	}
	packet_path_close(&path);
	return 0;
}
