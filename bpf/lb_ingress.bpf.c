/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program that runs on the interfaces: ingress.h and nothing else. Who loads it says whether it is for
 * frames in several buffers: libbpf gives a program of a section "xdp.frags" that flag always, libxdp's
 * dispatcher never.
 */
#include "ingress.h"

SEC("xdp")
int lb_ingress(struct xdp_md *ctx)
{
	return ingress(ctx);
}

char LICENSE[] SEC("license") = "GPL";
