/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program that runs on the interfaces: ingress.h and nothing else.
 */
#include "ingress.h"

SEC("xdp.frags")
int lb_ingress(struct xdp_md *ctx)
{
	return ingress(ctx);
}

char LICENSE[] SEC("license") = "GPL";
