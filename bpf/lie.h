/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets whose headers lie: dropped with their reason if the addresses and ports that can be read name a
 * service of ours, left to the host if they do not. Off the fast path.
 */
#pragma once

#include "parse.h"
#include "service.h"

/* Reads addresses and ports wherever they would be in a sane packet; 0, or a reason to pass it. */
static __always_inline int read_liar(struct cursor *c, struct pkt *p)
{
	void *ip = c->pos + sizeof(struct ethhdr);
	__u32 header = sizeof(struct ipv6hdr);

	if (ip + sizeof(struct iphdr) > c->end)
		return LB_PASS_MALFORMED;
	if (SHORT(c->pos, 12) == bpf_htons(ETH_P_IP)) {
		header = (BYTE(ip, 0) & 15) * 4;
		if (header < sizeof(struct iphdr))
			header = sizeof(struct iphdr);
		p->family = LB_FAMILY_V4;
		p->protocol = BYTE(ip, 9);
		p->daddr[0] = HALF(ip, 16);
	} else {
		if (ip + sizeof(struct ipv6hdr) > c->end)
			return LB_PASS_MALFORMED;
		p->family = LB_FAMILY_V6;
		p->protocol = BYTE(ip, 6);
		p->daddr[0] = WORD(ip, 24);
		p->daddr[1] = WORD(ip, 32);
	}
	ip += header;
	if (ip + 4 > c->end)
		return LB_PASS_MALFORMED;
	p->dport = SHORT(ip, 2);
	return 0;
}

/* The reason of a packet that lies about itself by reason. */
static __noinline int judge_liar(struct xdp_md *ctx, int reason)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct pkt p = {};
	__u32 zero = 0;
	struct lb_control *control = bpf_map_lookup_elem(&lb_control, &zero);
	int pass = read_liar(&c, &p);

	if (pass || !control)
		return LB_PASS_MALFORMED;
	return service_find(&p, LB_LOAD(&control->active)) ? reason : LB_PASS_NO_SERVICE;
}
