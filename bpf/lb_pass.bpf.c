/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Passes every packet. veth delivers what its peer transmits by XDP_TX only if it has an XDP program itself,
 * and what is redirected to its peer only if it has NAPI, which a program switches on: the lab puts this one
 * on the far ends of the balancer's links. Real NICs need nothing of the kind.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int lb_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
