/* SPDX-License-Identifier: GPL-2.0-only */
/* How the rig runs a packet: through every form of the packet path, each from the same state. See rig.h. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "rig.h"
#include "rig_internal.h"
#include "lb/types.h"

#define STAMPS_KEPT 256u /* lines of stamps that are compared */

/* --- packets ---------------------------------------------------------------------------------------------
 */

/* All that packets count, over all CPUs; and what they remember. */
struct totals {
	__u64 reason[LB_REASONS_MAX];
	struct lb_counter backend[256];
	struct lb_flow_bucket flows[RIG_BUCKETS];
	struct lb_stamp_line stamps[STAMPS_KEPT];
};

static void take_totals(const struct rig *rig, struct totals *ret)
{
	const struct lb_tables *t = &rig->path.tables;

	memset(ret, 0, sizeof(*ret));
	for (__u32 cpu = 0; cpu < t->sizes.cpus; cpu++) {
		for (__u32 i = 0; i < LB_REASONS_MAX; i++)
			ret->reason[i] += t->reasons[cpu].reason[i].packets;
		for (__u32 i = 0; i < t->sizes.counters; i++) {
			const __u64 *from = (const __u64 *)&t->counters[cpu * t->sizes.counters + i];
			__u64 *to = (__u64 *)&ret->backend[i];

			for (size_t k = 0; k < sizeof(struct lb_counter) / 8; k++)
				to[k] += from[k];
		}
	}
	memcpy(ret->flows, t->flows, sizeof(ret->flows));
	memcpy(ret->stamps, t->stamps, sizeof(ret->stamps));
}

static void put_back(struct rig *rig, const struct totals *totals)
{
	memcpy(rig->path.tables.flows, totals->flows, sizeof(totals->flows));
	memcpy(rig->path.tables.stamps, totals->stamps, sizeof(totals->stamps));
}

/* What was counted between two totals; fails unless it is exactly one packet. */
static void read_result(const struct totals *before, const struct totals *after, struct result *ret)
{
	__u64 counted = 0;

	ret->reason = 0;
	ret->backend = -1;
	ret->bytes = ret->syn = ret->known = ret->base = ret->refused = 0;
	for (int i = 0; i < (int)LB_REASONS_MAX; i++) {
		if (after->reason[i] == before->reason[i])
			continue;
		counted += after->reason[i] - before->reason[i];
		ret->reason = i;
	}
	for (int i = 0; i < 256; i++) {
		const struct lb_counter *a = &after->backend[i], *b = &before->backend[i];
		__u64 packets = a->tx_packets - b->tx_packets + a->redirect_packets - b->redirect_packets;

		if (!packets && !memcmp(a, b, sizeof(*a)))
			continue;
		counted += packets;
		ret->backend = i;
		ret->bytes = a->tx_bytes - b->tx_bytes + a->redirect_bytes - b->redirect_bytes;
		ret->syn = a->syn_packets - b->syn_packets;
		ret->known = a->known_packets - b->known_packets;
		ret->base = a->base_packets - b->base_packets;
		ret->refused = a->refused_inserts - b->refused_inserts;
		if (ret->action == XDP_TX)
			assert_int_equal(a->tx_packets - b->tx_packets, 1);
		else
			assert_int_equal(a->redirect_packets - b->redirect_packets, 1);
	}
	if (counted != 1)
		fail_msg("%llu packets were counted for one", (unsigned long long)counted);
}

static void run_kernel(struct rig *rig, int fd, const struct frame *in, struct result *ret)
{
	static __u8 data_in[FRAME_MAX + 64], data_out[FRAME_MAX + 1024];
	size_t linear = rig->linear && rig->linear < in->length ? rig->linear : in->length;
	struct xdp_md context_in = { .data_end = (__u32)linear,
				     .ingress_ifindex = (__u32)rig->ingress_ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data_in, .data_size_in = (__u32)in->length,
		    .data_out = data_out, .data_size_out = sizeof(data_out), .repeat = 1);

	memcpy(data_in, in->bytes, in->length);
	if (rig->ingress_ifindex || linear != in->length) {
		opts.ctx_in = &context_in;
		opts.ctx_size_in = sizeof(context_in);
	}
	if (bpf_prog_test_run_opts(fd, &opts) < 0)
		fail_msg("BPF_PROG_TEST_RUN of %zu bytes (%zu linear): %s", in->length, linear,
			 strerror(errno));
	ret->action = (int)opts.retval;
	ret->out.length = opts.data_size_out;
	assert_true(ret->out.length <= FRAME_MAX);
	memcpy(ret->out.bytes, data_out, ret->out.length);
}

static void run_host(struct rig *rig, const struct frame *in, struct result *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	rig->host->now_ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
	rig->host->linear = rig->linear;
	rig->host->ingress_ifindex = (__u32)(rig->ingress_ifindex ? rig->ingress_ifindex : 1);
	ret->out.length = in->length;
	memcpy(ret->out.bytes, in->bytes, in->length);
	ret->action = host_packet(rig->host, ret->out.bytes, &ret->out.length, FRAME_MAX);
}

static bool results_agree(const struct result *a, const struct result *b)
{
	if (a->action == b->action && a->reason == b->reason && a->backend == b->backend &&
	    a->bytes == b->bytes && a->syn == b->syn && a->known == b->known && a->base == b->base &&
	    a->refused == b->refused && a->out.length == b->out.length &&
	    !memcmp(a->out.bytes, b->out.bytes, a->out.length))
		return true;
	printf("# loaded: action %d, reason %d, backend %d; other: action %d, reason %d, backend %d\n",
	       a->action, a->reason, a->backend, b->action, b->reason, b->backend);
	frame_show_difference(&b->out, &a->out);
	return false;
}

/* Fails unless another program, that ran from the same state, did the same and remembers the same. */
static void compare(struct rig *rig, const char *who, const struct totals *after, struct result *other)
{
	static struct totals other_after;

	take_totals(rig, &other_after);
	read_result(after, &other_after, other);
	if (!results_agree(&rig->last, other))
		fail_msg("the loaded program and the %s one disagree", who);
	if (memcmp(after->flows, other_after.flows, sizeof(after->flows)) ||
	    memcmp(after->stamps, other_after.stamps, sizeof(after->stamps)))
		fail_msg("the loaded program and the %s one remember different things", who);
}

void rig_explain(struct rig *rig, const struct frame *in, struct result *ret,
		 struct lb_decision *ret_decision)
{
	run_kernel(rig, rig_explain_fd(rig->explain), in, ret);
	rig_explain_decision(rig->explain, ret_decision);
}

/* Explains a packet, and fails if that left a trace. */
static void explain_first(struct rig *rig, const struct frame *in, struct result *ret_explained,
			  struct lb_decision *ret_decision)
{
	static struct totals before, after;

	take_totals(rig, &before);
	rig_explain(rig, in, ret_explained, ret_decision);
	take_totals(rig, &after);
	if (memcmp(&before, &after, sizeof(before)))
		fail_msg("the explaining program counted or remembered something");
}

static void capture_again(struct rig *rig, const struct frame *in, const struct totals *before,
			  const struct totals *after)
{
	static struct result other;

	put_back(rig, before);
	run_kernel(rig, rig_capture_fd(rig->capture), in, &other);
	compare(rig, "capturing", after, &other);
	rig_capture_check(rig->capture, in, &rig->last);
}

void rig_run(struct rig *rig, const struct frame *in)
{
	static struct totals before, after, counted;
	static struct result other, explained;
	struct lb_decision decision;

	if (rig->explain)
		explain_first(rig, in, &explained, &decision);
	take_totals(rig, &before);
	run_kernel(rig, rig->program_fd < 0 ? rig->path.program_fd : rig->program_fd, in, &rig->last);
	take_totals(rig, &after);
	read_result(&before, &after, &rig->last);
	if (rig->alone)
		return;
	if (rig->explain)
		rig_explain_check(rig->explain, &explained, &decision, &rig->last);
	if (rig->capture)
		capture_again(rig, in, &before, &after);
	put_back(rig, &before);
	take_totals(rig, &counted);
	memcpy(counted.flows, after.flows, sizeof(after.flows));
	memcpy(counted.stamps, after.stamps, sizeof(after.stamps));
	run_host(rig, in, &other);
	compare(rig, "host-compiled", &counted, &other);
}

static const char *reason_name(int reason)
{
	switch (reason) {
#define X(number, name, action, text, help)                                                                  \
	case number:                                                                                         \
		return #name;
		LB_REASONS(X)
#undef X
	default:
		return "none: forwarded";
	}
}

void rig_expect(struct rig *rig, const struct frame *in, int action, int reason, const struct frame *want,
		const char *file, int line)
{
	const struct result *r = &rig->last;
	bool same;

	rig_run(rig, in);
	if (r->action != action || r->reason != reason) {
		printf("# got action %d (%s), wanted %d (%s)\n", r->action, reason_name(r->reason), action,
		       reason_name(reason));
		frame_show_difference(&r->out, want ? want : in);
		_fail(file, line);
	}
	if ((reason == 0) != (r->backend >= 0)) {
		printf("# backend %d was counted\n", r->backend);
		_fail(file, line);
	}
	same = !want || (r->out.length == want->length && !memcmp(r->out.bytes, want->bytes, want->length));
	if (!same) {
		frame_show_difference(&r->out, want);
		_fail(file, line);
	}
}

void rig_expect_same(struct rig *rig, const struct frame *in, int action, int reason, const char *file,
		     int line)
{
	rig_expect(rig, in, action, reason, in, file, line);
}
