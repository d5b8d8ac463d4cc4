/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a service to a backend index, for the fast and the slow path alike: affinity, ring slot, and the flow
 * table where the slot is unsettled.
 */
#pragma once

#include "quic.h"
#include "select.h"

/* One packet's decision. */
struct choice {
	__u64 hash;   /* of the flow under the service's affinity: picks the slot, varies the outer header */
	__u32 index;  /* in the service's backends; LB_INDEX_NONE */
	__u16 how;    /* enum lb_how */
	__u16 forget; /* in: an ICMP error, which says nothing about its flow's life: remember nothing */
};

/* What a TCP header says of its segment. room: bytes of the IP packet from it on. */
static __always_inline void segment_read_tcp(const struct tcphdr *tcp, __u8 flags, __u32 room,
					     struct lb_segment *ret_segment)
{
	__u32 header = tcp->doff * 4;

	*ret_segment = (struct lb_segment){ .seq = bpf_ntohl(tcp->seq),
					    .ack = bpf_ntohl(tcp->ack_seq),
					    .bytes = room > header ? room - header : 0,
					    .flags = LB_SEGMENT_TCP };
	if ((flags & (LB_TCP_SYN | LB_TCP_ACK | LB_TCP_RST | LB_TCP_FIN)) == LB_TCP_SYN) {
		ret_segment->flags |= LB_SEGMENT_SYN;
		ret_segment->seq++;
	} else if (flags & LB_TCP_SYN || !(flags & (LB_TCP_ACK | LB_TCP_RST))) {
		/* No client of ours sends that: neither a SYN nor of a connection. */
		ret_segment->flags |= LB_SEGMENT_FORGET;
	} else if (flags & LB_TCP_RST) {
		ret_segment->flags |= LB_SEGMENT_RST;
	} else if (flags & LB_TCP_FIN) {
		ret_segment->flags |= LB_SEGMENT_FIN;
	}
}

/*
 * The segment of a packet that is in the linear part of its frame, without extension headers: all that the
 * fast path's parser takes. Another protocol's is empty.
 */
static __always_inline void segment_read(struct xdp_md *ctx, const struct pkt *p,
					 struct lb_segment *ret_segment)
{
	void *end = (void *)(long)ctx->data_end, *tcp = p->ip;
	__u32 room;

	*ret_segment = (struct lb_segment){};
	if (p->protocol != IPPROTO_TCP)
		return;
	if (p->family == LB_FAMILY_V4) {
		const struct iphdr *ip = p->ip;
		__u32 header;

		if ((void *)(ip + 1) > end)
			return;
		header = ip->ihl * 4;
		room = bpf_ntohs(ip->tot_len) - header;
		tcp += header;
	} else {
		const struct ipv6hdr *ip = p->ip;

		if ((void *)(ip + 1) > end)
			return;
		room = bpf_ntohs(ip->payload_len);
		tcp += sizeof(*ip);
	}
	if (tcp + sizeof(struct tcphdr) > end)
		return;
	segment_read_tcp(tcp, p->tcp_flags, room, ret_segment);
}

/*
 * Asks the flow table. Nearly all that it knows lies in the flow's home bucket; only what is not there goes
 * through the whole look-up. known: the packet's segment; NULL: it is read from the packet.
 */
static __always_inline void choose_unsettled(struct xdp_md *ctx, const struct pkt *p,
					     const struct lb_control *control, __u64 active, __u32 bucket,
					     const struct lb_vip *vip, __u32 slot,
					     const struct lb_segment *known, struct choice *choice)
{
	__u64 tag = lb_flow_tag(flow_hash(p, control->flow_key, 0));
	struct lb_segment segment;
	__u64 what, numbers;
	__u32 selected;

	if (known)
		segment = *known;
	else
		segment_read(ctx, p, &segment);
	/* Whoever asks where a flow goes knows no numbers, and has none in his packet. */
	if (LB_TRACELESS && !segment.seq && !segment.ack)
		segment.flags |= LB_SEGMENT_ANY;
	if (choice->forget)
		segment.flags |= LB_SEGMENT_FORGET | LB_SEGMENT_ANY;
	what = select_what(choice->hash, &segment);
	numbers = lb_segment_numbers(&segment);
	selected = select_known(control, vip, tag, what, numbers);
	if (selected == LB_SELECTED_NOTHING)
		selected = select_unsettled(active, bucket, tag, what, numbers, slot);
	choice->index = LB_SELECTED_INDEX(selected);
	choice->how = LB_SELECTED_HOW(selected);
}

/* The owner of the slot that choice->hash names. 0, or a reason. segment: as known of choose_unsettled(). */
static __always_inline int choose_slot(struct xdp_md *ctx, const struct pkt *p,
				       const struct lb_control *control, __u64 active, __u32 bucket,
				       const struct lb_vip *vip, const struct lb_segment *segment,
				       struct choice *choice)
{
	__u32 slot, *ring = ring_slot(vip, choice->hash & vip->ring_mask);

	if (!ring)
		return LB_DROP_INTERNAL;
	slot = LB_LOAD(ring);
	choice->index = lb_slot_cur(slot);
	choice->how = LB_HOW_SETTLED;
	note_slot(vip, choice->hash, slot);
	if (!lb_slot_settled(slot))
		choose_unsettled(ctx, p, control, active, bucket, vip, slot, segment, choice);
	note_choice(choice->index, choice->how);
	return choice->index == LB_INDEX_NONE ? LB_DROP_NO_BACKEND : 0;
}

/*
 * 0, or a reason when there is nobody. payload: offset of the transport payload in the frame, for QUIC;
 * 0: there is none to look at. segment: as known of choose_unsettled().
 */
static __always_inline int choose(struct xdp_md *ctx, const struct pkt *p, const struct lb_control *control,
				  __u64 active, __u32 bucket, const struct lb_vip *vip, __u32 payload,
				  const struct lb_segment *segment, struct choice *choice)
{
	choice->hash = flow_hash(p, LB_AFTER(&control->hash_seed[0], active), vip->flags);
	if (vip->flags & LB_VIP_QUIC && payload) {
		choice->how = LB_HOW_SETTLED;
		choice->index = quic_backend(ctx, active, bucket, payload);
		if (choice->index != LB_INDEX_NONE)
			return 0;
	}
	return choose_slot(ctx, p, control, active, bucket, vip, segment, choice);
}
