/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who asks the LAN for a VIP that this balancer leads is answered here, with the interface's own address:
 * nobody else has to be alive for that (lb/neighbor.h). Only what is no packet of a client's comes this way.
 * Frames with VLAN tags are left to the host.
 */
#pragma once

#include "lb/neighbor.h"
#include "slow/answer.h"

/* Written by the agent and by lb-neighbor, see lb/neighbor.h. */
LB_ARRAY(lb_neighbors, struct lb_neighbors);

#define ARP_REQUEST        1
#define ARP_ETHERNET_IPV4  0x040600080100ull /* hardware 1, protocol 0x800, lengths: as they lie in memory */
#define ARP_HEADER         (~0ull >> 16)
#define NEIGHBOR_L3        14u /* sizeof(struct ethhdr), as a number that the verifier sees */
#define NEIGHBOR_ICMP      (NEIGHBOR_L3 + 40u)
#define SOLICITATION_BYTES 24u /* ICMPv6, without options */
#define SOLICITATION_MAX   88u /* with as many as anybody sends */
#define NDISC_HOPS         255 /* RFC 4861, section 7.1: it has come through no router */
#define NDISC_SOLICITED    0x40
#define NDISC_OVERRIDE     0x20
#define NDISC_TARGET_LINK  2 /* option: the target's link-layer address */
#define NEIGHBOR_SOLICIT   135
#define NEIGHBOR_ADVERT    136

/* IPv4 over Ethernet (RFC 826). */
struct arp_packet {
	__be16 hardware, protocol;
	__u8 hardware_bytes, protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

/* RFC 4861, sections 4.3 and 4.4, with the one option of an advertisement. */
struct ndisc_message {
	__u8 type, code;
	__sum16 check;
	__u8 flags, reserved[3];
	__u8 target[16];
	__u8 option, option_units;
	__u8 mac[6];
};

static __always_inline struct lb_neighbors *neighbors_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_neighbors, &zero);
}

static __always_inline struct lb_neighbor_vip *neighbor_find(struct lb_neighbors *all, __u64 address_0,
							     __u64 address_1, __u32 family)
{
	__u32 place = lb_neighbor_place(address_0, address_1);

	for (__u32 i = 0; i < LB_NEIGHBOR_PROBES; i++) {
		struct lb_neighbor_vip *vip = &all->place[(place + i) & (LB_NEIGHBOR_PLACES - 1)];

		if (!LB_LOAD(&vip->family))
			return NULL;
		if (LB_LOAD(&vip->flags) & LB_NEIGHBOR_USED && vip->family == family &&
		    vip->address[0] == address_0 && vip->address[1] == address_1)
			return vip;
	}
	return NULL;
}

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return HALF(a, 0) == HALF(b, 0) && SHORT(a, 4) == SHORT(b, 4);
}

/* Somebody announces the VIP as its own: leadership is in doubt. */
static __always_inline void stand_back(struct lb_neighbors *all, const struct lb_neighbor_vip *vip,
				       const __u8 *mac)
{
	struct lb_neighbor_group *group = &all->group[vip->group];

	if (LB_TRACELESS || same_mac(mac, group->mac))
		return;
	LB_STORE(&group->heard_ns, bpf_ktime_get_ns());
	__sync_fetch_and_add(&group->heard, 1);
}

/* Takes an answer out of this CPU's budget. */
static __always_inline bool neighbor_budget(struct lb_neighbors *all, __u64 now_ns)
{
	__u64 *empty_ns = &all->empty_ns[bpf_get_smp_processor_id() & (LB_NEIGHBOR_BUDGETS - 1)];
	__u64 at = *empty_ns > now_ns ? *empty_ns : now_ns;

	if (!lb_neighbor_rate || at - now_ns > BUDGET_BURST_NS)
		return false;
	if (!LB_TRACELESS)
		*empty_ns = at + NS_PER_S / lb_neighbor_rate;
	return true;
}

/* Whether we answer for a VIP: 0, or what becomes of the question; -1: it is not ours. */
static __always_inline int neighbor_judge(const struct xdp_md *ctx, struct lb_neighbors *all,
					  struct lb_neighbor_vip *vip)
{
	struct lb_neighbor_group *group = &all->group[vip->group];
	__u64 now_ns = bpf_ktime_get_ns();

	if (!(LB_LOAD(&vip->flags) & LB_NEIGHBOR_SERVING) || group->ifindex != ctx->ingress_ifindex ||
	    !lb_neighbor_leads(group, now_ns))
		return -1;
	if (!neighbor_budget(all, now_ns))
		return LB_DROP_NEIGHBOR_LIMIT;
	if (!LB_TRACELESS)
		__sync_fetch_and_add(&vip->answered, 1);
	return 0;
}

static __always_inline void put_mac(__u8 *to, const __u8 *mac)
{
	HALF(to, 0) = HALF(mac, 0);
	SHORT(to, 4) = SHORT(mac, 4);
}

static __always_inline int arp_packet(struct xdp_md *ctx, struct scratch *s, struct lb_neighbors *all)
{
	struct arp_packet *arp = (struct arp_packet *)(s->head + NEIGHBOR_L3);
	struct lb_neighbor_vip *vip;
	const __u8 *mac;
	int reason;

	if (s->head_bytes < NEIGHBOR_L3 + sizeof(*arp) || (WORD(arp, 0) & ARP_HEADER) != ARP_ETHERNET_IPV4)
		return 0;
	vip = neighbor_find(all, arp->target, 0, LB_FAMILY_V4);
	if (!vip)
		return 0;
	/* Gratuitous, as a request or as a reply (RFC 5227 section 3). */
	if (arp->sender == arp->target) {
		stand_back(all, vip, arp->sender_mac);
		return 0;
	}
	if (arp->operation != bpf_htons(ARP_REQUEST))
		return 0;
	reason = neighbor_judge(ctx, all, vip);
	if (reason)
		return reason < 0 ? 0 : reason;
	mac = all->group[vip->group].mac;
	arp->operation = bpf_htons(ARP_REQUEST + 1);
	put_mac(arp->target_mac, arp->sender_mac);
	put_mac(s->head, arp->sender_mac);
	put_mac(s->head + 6, mac);
	put_mac(arp->sender_mac, mac);
	arp->target = arp->sender;
	arp->sender = vip->address[0];
	return bpf_xdp_store_bytes(ctx, 0, s->head, NEIGHBOR_L3 + sizeof(*arp)) ? LB_DROP_INTERNAL
										: LB_REPLY_NEIGHBOR;
}

/* The advertisement of a VIP into scratch: IPv6 header and message. to_all: nobody in particular asked (RFC
 * 4861 section 7.2.4). */
static __always_inline void write_advertisement(struct scratch *s, const struct ipv6hdr *in,
						const __u8 *target, const __u8 *mac, bool to_all)
{
	struct ipv6hdr *out = (struct ipv6hdr *)s->answer;
	struct ndisc_message *message = (struct ndisc_message *)(out + 1);

	write_ip_v6(out, in, IPPROTO_ICMPV6, sizeof(*message));
	out->hop_limit = NDISC_HOPS;
	WORD(&out->saddr, 0) = WORD(target, 0);
	WORD(&out->saddr, 8) = WORD(target, 8);
	if (to_all) {
		WORD(&out->daddr, 0) = bpf_htons(0xff02);
		WORD(&out->daddr, 8) = bpf_cpu_to_be64(1);
	}
	__builtin_memset(message, 0, sizeof(*message));
	message->type = NEIGHBOR_ADVERT;
	message->flags = to_all ? NDISC_OVERRIDE : NDISC_SOLICITED | NDISC_OVERRIDE;
	WORD(message->target, 0) = WORD(target, 0);
	WORD(message->target, 8) = WORD(target, 8);
	message->option = NDISC_TARGET_LINK;
	message->option_units = 1;
	put_mac(message->mac, mac);
	message->check = checksum((__u8 *)&out->saddr, 2 * sizeof(out->saddr) + sizeof(*message),
				  bpf_htons(sizeof(*message)) + bpf_htons(IPPROTO_ICMPV6));
}

/* RFC 4861, section 7.1.1; hop limit and target were looked at before. */
static __always_inline bool is_good_solicitation(struct scratch *s, const struct ipv6hdr *ip, __u32 bytes)
{
	__u64 length = bytes;

	if (!is_within(&length, SOLICITATION_BYTES, SOLICITATION_MAX) || length & 7 ||
	    s->head_bytes < NEIGHBOR_ICMP + length)
		return false;
	return checksum(s->head + NEIGHBOR_L3 + offsetof(struct ipv6hdr, saddr),
			2 * sizeof(ip->saddr) + length, bpf_htons(length) + bpf_htons(IPPROTO_ICMPV6)) == 0;
}

static __always_inline int ndisc_packet(struct xdp_md *ctx, struct scratch *s, struct lb_neighbors *all)
{
	struct ipv6hdr *ip = (struct ipv6hdr *)(s->head + NEIGHBOR_L3);
	struct ndisc_message *in = (struct ndisc_message *)(s->head + NEIGHBOR_ICMP);
	struct lb_neighbor_vip *vip;
	const __u8 *mac;
	bool to_all;
	int reason;

	if (s->head_bytes < NEIGHBOR_ICMP + SOLICITATION_BYTES || IP_VERSION(ip) != 6 ||
	    ip->nexthdr != IPPROTO_ICMPV6 || ip->hop_limit != NDISC_HOPS || in->code)
		return 0;
	if (in->type != NEIGHBOR_SOLICIT && in->type != NEIGHBOR_ADVERT)
		return 0;
	vip = neighbor_find(all, WORD(in->target, 0), WORD(in->target, 8), LB_FAMILY_V6);
	if (!vip)
		return 0;
	if (in->type == NEIGHBOR_ADVERT) {
		if (!(in->flags & NDISC_SOLICITED))
			stand_back(all, vip, s->head + 6);
		return 0;
	}
	if (!is_good_solicitation(s, ip, bpf_ntohs(ip->payload_len)))
		return 0;
	reason = neighbor_judge(ctx, all, vip);
	if (reason)
		return reason < 0 ? 0 : reason;
	mac = all->group[vip->group].mac;
	to_all = !(WORD(&ip->saddr, 0) | WORD(&ip->saddr, 8));
	write_advertisement(s, ip, in->target, mac, to_all);
	put_mac(s->head, s->head + 6);
	if (to_all) {
		HALF(s->head, 0) = bpf_htonl(0x33330000);
		SHORT(s->head, 4) = bpf_htons(1);
	}
	put_mac(s->head + 6, mac);
	if (fit_frame(ctx, s, NEIGHBOR_ICMP + sizeof(*in)))
		return LB_DROP_HEADROOM;
	if (bpf_xdp_store_bytes(ctx, 0, s->head, NEIGHBOR_L3) ||
	    bpf_xdp_store_bytes(ctx, NEIGHBOR_L3, s->answer, sizeof(*ip) + sizeof(*in)))
		return LB_DROP_INTERNAL;
	return LB_REPLY_NEIGHBOR;
}

/* What becomes of a frame that may ask for, or announce, a VIP; 0: nothing of ours. Spoils scratch. */
LB_SUBPROGRAM int neighbor(struct xdp_md *ctx)
{
	struct lb_neighbors *all = neighbors_get();
	struct scratch *s = scratch_get();

	if (!all || !s || !LB_LOAD(&all->used) || slow_load(ctx, s))
		return 0;
	if (ETH_TYPE(s->head) == bpf_htons(ETH_P_ARP))
		return arp_packet(ctx, s, all);
	if (ETH_TYPE(s->head) == bpf_htons(ETH_P_IPV6))
		return ndisc_packet(ctx, s, all);
	return 0;
}

/* The end of a frame to a group, or that is not IP. */
LB_SUBPROGRAM int finish_neighbor(struct xdp_md *ctx, __u32 otherwise)
{
	int reason = neighbor(ctx);

	return finish_slow(ctx, reason ? reason : otherwise);
}
