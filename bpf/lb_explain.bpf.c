/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path as lbctl explain runs it, by BPF_PROG_TEST_RUN: the very same pipeline as lb_ingress over
 * the same tables, which keeps its decision and leaves no other trace. It is attached nowhere.
 */
#define LB_NOTES     1
#define LB_TRACELESS 1
#include "ingress.h"

SEC("xdp")
int lb_explain(struct xdp_md *ctx)
{
	decision_begin();
	return ingress(ctx);
}

char LICENSE[] SEC("license") = "GPL";
