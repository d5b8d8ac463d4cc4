// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and runs lb_explain. It is loaded when somebody first asks, and then kept.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/capture/explain.h"
#include "lbd/kernel/flat_tables.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/lbd.h"

#include "lb_explain.skel.h"

struct explain_program {
	struct lb_explain_bpf *skeleton;
	bool several_interfaces; /* that it is for */
};

void explain_program_free(struct explain_program *program)
{
	if (!program)
		return;
	lb_explain_bpf__destroy(program->skeleton);
	free(program);
}

static int load(const struct lbd *lbd, bool frags, struct lb_explain_bpf **ret_skeleton,
		struct lb_error *error)
{
	struct lb_explain_bpf *skeleton = lb_explain_bpf__open();
	int r;

	if (!skeleton)
		return lb_error_set(error, errno, "Failed to open the explaining program's object: %m");
	lb_flat_constants(skeleton->rodata, &lbd->maps.tables.sizes, lbd->maps.flat);
	skeleton->rodata->lb_several_interfaces = lbd->several_interfaces;
	if (frags)
		program_set_frags(skeleton->progs.lb_explain);
	r = program_reuse_maps(&lbd->maps, skeleton->obj, error);
	maps_messages_clear();
	if (r == 0) {
		r = lb_explain_bpf__load(skeleton);
		if (r < 0)
			lb_error_set(error, -r, "the kernel refuses the explaining program: %s (%s)",
				     strerror(-r), maps_message());
	}
	if (r < 0) {
		lb_explain_bpf__destroy(skeleton);
		return r;
	}
	*ret_skeleton = skeleton;
	return 0;
}

struct loading {
	const struct lbd *lbd;
	bool frags;
	struct lb_explain_bpf *skeleton;
	int r;
	struct lb_error *error;
};

static void load_beside(void *context)
{
	struct loading *loading = context;

	loading->r = load(loading->lbd, loading->frags, &loading->skeleton, loading->error);
	if (loading->r == -EINVAL) /* the device map may be of the other kind, as for interfaces_program() */
		loading->r = load(loading->lbd, !loading->frags, &loading->skeleton, loading->error);
}

static int make_program(struct lbd *lbd, struct lb_error *error)
{
	struct loading loading = { .lbd = lbd, .frags = interfaces_frags(lbd), .error = error };
	struct lb_explain_bpf *skeleton;

	task_beside(load_beside, &loading);
	if (loading.r < 0)
		return loading.r;
	skeleton = loading.skeleton;
	explain_program_free(lbd->explain);
	lbd->explain = calloc(1, sizeof(*lbd->explain));
	if (!lbd->explain) {
		lb_explain_bpf__destroy(skeleton);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	lbd->explain->skeleton = skeleton;
	lbd->explain->several_interfaces = lbd->several_interfaces;
	return 0;
}

static int run_once(struct lb_explain_bpf *skeleton, int ifindex, const __u8 *packet, __u32 bytes,
		    struct explain_run *ret_run)
{
	struct xdp_md context = { .data_end = bytes, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = bytes,
		    .data_out = ret_run->packet, .data_size_out = sizeof(ret_run->packet), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);
	__u32 zero = 0;

	if (bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.lb_explain), &run) < 0 ||
	    bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.lb_decision), &zero, &ret_run->decision) < 0)
		return -errno;
	ret_run->verdict = run.retval;
	ret_run->bytes = run.data_size_out;
	return 0;
}

int explain_run(struct lbd *lbd, int ifindex, const __u8 *packet, __u32 bytes, struct explain_run *ret_run,
		struct lb_error *error)
{
	int r;

	if (!lbd->explain || lbd->explain->several_interfaces != lbd->several_interfaces) {
		r = make_program(lbd, error);
		if (r < 0)
			return r;
	}
	r = run_once(lbd->explain->skeleton, ifindex, packet, bytes, ret_run);
	if (r == -EINVAL && ifindex)
		r = run_once(lbd->explain->skeleton, 0, packet, bytes, ret_run);
	return r < 0 ? lb_error_set(error, -r, "Failed to run the packet path: %s", strerror(-r)) : 0;
}
