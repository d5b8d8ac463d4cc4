/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rig's fourth opinion: the packet path that explains (bpf/lb_explain.bpf.c) over the same maps. It must
 * do what the plain one then does, say so, and leave everything as it was.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/kernel/flat_tables.h"
#include "rig.h"
#include "rig_internal.h"
#include "lb/types.h"
#include "lb_explain.skel.h"
#include "lb_ingress.skel.h"

struct rig_explain {
	struct lb_explain_bpf *skeleton;
};

int rig_explain_new(const struct rig *rig, int several, struct rig_explain **ret_explain)
{
	struct rig_explain *explain = calloc(1, sizeof(*explain));

	if (!explain)
		return -1;
	explain->skeleton = lb_explain_bpf__open();
	if (explain->skeleton) {
		lb_flat_constants(explain->skeleton->rodata, &rig->path.tables.sizes,
				  lb_flat_is(bpf_map__fd(rig->path.skeleton->maps.lb_vips)));
		explain->skeleton->rodata->lb_several_interfaces = (__u8)several;
		RIG_COPY_CONSTANTS(rig->path.skeleton->rodata, explain->skeleton->rodata);
		bpf_program__set_flags(explain->skeleton->progs.lb_explain, BPF_F_XDP_HAS_FRAGS);
	}
	if (!explain->skeleton || rig_share_maps(rig, explain->skeleton->obj) ||
	    lb_explain_bpf__load(explain->skeleton)) {
		rig_explain_free(explain);
		return -1;
	}
	*ret_explain = explain;
	return 0;
}

void rig_explain_free(struct rig_explain *explain)
{
	if (!explain)
		return;
	lb_explain_bpf__destroy(explain->skeleton);
	free(explain);
}

int rig_explain_fd(const struct rig_explain *explain)
{
	return bpf_program__fd(explain->skeleton->progs.lb_explain);
}

void rig_explain_decision(const struct rig_explain *explain, struct lb_decision *ret_decision)
{
	const __u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(explain->skeleton->maps.lb_decision), &zero, ret_decision))
		fail_msg("the decision cannot be read");
}

/* What the plain program then did with the packet, and what it counted. */
static void check_how(const struct lb_decision *decision, const struct result *result)
{
	assert_true(decision->decided & LB_DECIDED_INDEX || decision->backend == (__u32)result->backend);
	if (!(decision->decided & LB_DECIDED_INDEX))
		return;
	assert_int_equal(decision->how == LB_HOW_KNOWN, result->known);
	assert_int_equal(decision->how == LB_HOW_BASE, result->base);
	assert_int_equal(decision->how == LB_HOW_REFUSED, result->refused);
}

void rig_explain_check(const struct rig_explain *explain, const struct result *explained,
		       const struct lb_decision *decision, const struct result *result)
{
	if (explained->action != result->action || explained->out.length != result->out.length ||
	    memcmp(explained->out.bytes, result->out.bytes, result->out.length)) {
		frame_show_difference(&explained->out, &result->out);
		fail_msg("explained as action %d, reason %u; then came action %d, reason %d",
			 explained->action, decision->reason, result->action, result->reason);
	}
	assert_int_equal(decision->reason, result->reason);
	if (result->backend < 0)
		return;
	assert_int_equal(decision->backend, result->backend);
	check_how(decision, result);
}
