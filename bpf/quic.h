/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QUIC by connection ID: the plain-text form of QUIC-LB (draft-ietf-quic-load-balancers, section 5.1; packet
 * headers by RFC 9000 section 17). A server puts its server ID behind the first octet of the IDs it chooses;
 * the octet's first three bits name the configuration, so that two can be live while one replaces the other.
 * IDs that a client chose, or that name nobody, are routed by the flow hash, like any flow.
 *
 * An ICMP error quotes what a server sent, where the destination's ID is the client's. The server's own is in
 * long headers alone, behind it; an error about any other packet goes by the flow hash
 * (docs/reference-balancer.md).
 */
#pragma once

#include "packet.h"
#include "select.h"
#include "service.h"

#define QUIC_LONG_HEADER      0x80
#define QUIC_ID_AT_LONG       6 /* behind first byte, version and length */
#define QUIC_ID_AT_SHORT      1
#define QUIC_NAME_BYTES       9u /* of an ID that can matter: first octet and server ID */
#define QUIC_HEAD_BYTES       (QUIC_ID_AT_LONG + 1 + 8)
#define QUIC_ROTATION_OF(cid) ((cid) >> 5)

/* The key of the backend that a connection ID names, under one of the service's configurations. 0 or -1. */
static __always_inline int quic_key(const struct lb_vip *vip, const __u8 *id, __u32 id_bytes, __u64 key[3])
{
	__u32 rotation = QUIC_ROTATION_OF(id[0]), bytes = 0;

	if (vip->quic[0] && LB_QUIC_ROTATION(vip->quic[0]) == rotation)
		bytes = LB_QUIC_BYTES(vip->quic[0]);
	else if (vip->quic[1] && LB_QUIC_ROTATION(vip->quic[1]) == rotation)
		bytes = LB_QUIC_BYTES(vip->quic[1]);
	if (bytes == 0 || bytes > 8 || id_bytes < bytes + 1)
		return -1;
	key[0] = lb_quic_key_0(vip->service, rotation);
	__builtin_memcpy(&key[1], id + 1, 8); /* byte by byte: the stack must not be read unaligned */
	key[1] &= lb_vip_mask64(bytes * 8);
	key[2] = lb_vip_tail_word(0, IPPROTO_UDP, 0, LB_VIP_BITS_QUIC, 0);
	return 0;
}

/* The datagram's own beginning, which its length must cover: what a frame holds behind is not part of it. */
static __always_inline bool quic_load(struct xdp_md *ctx, __u32 payload, __u8 head[QUIC_HEAD_BYTES + 1])
{
	__be16 length;

	if (bpf_xdp_load_bytes(ctx, payload - 4, &length, sizeof(length)) ||
	    bpf_ntohs(length) < sizeof(struct udphdr) + QUIC_HEAD_BYTES)
		return false;
	return !bpf_xdp_load_bytes(ctx, payload, head, QUIC_HEAD_BYTES);
}

/* The backend index that a connection ID names, or LB_INDEX_NONE. QUIC_NAME_BYTES can be read at id. */
static __always_inline __u32 quic_named(struct lb_vip_bank *bank, __u64 active, const struct lb_vip *vip,
					const __u8 *id, __u32 id_bytes)
{
	struct lb_vip *record;
	__u64 key[3];
	__u32 index;

	if (quic_key(vip, id, id_bytes, key) < 0)
		return LB_INDEX_NONE;
	record = vip_find(bank, active, key[0], key[1], key[2]);
	if (!record)
		return LB_INDEX_NONE;
	index = record->backend_count;
	return backend_is_alive(vip, index) ? index : LB_INDEX_NONE;
}

/*
 * The backend index that a packet's connection ID names, or LB_INDEX_NONE. active, bucket: name the service's
 * VIP entry; payload: offset of the UDP payload in the frame.
 */
LB_SUBPROGRAM __u32 quic_backend(struct xdp_md *ctx, __u64 active, __u32 bucket, __u32 payload)
{
	struct lb_vip_bank *bank = active_bank(active);
	__u8 head[QUIC_HEAD_BYTES + 1] = {};
	struct lb_vip *vip;

	if (!bank || !quic_load(ctx, payload, head))
		return LB_INDEX_NONE;
	vip = &bank->bucket[bucket & (LB_VIP_BUCKETS - 1)];
	if (head[0] & QUIC_LONG_HEADER)
		return quic_named(bank, active, vip, head + QUIC_ID_AT_LONG, head[QUIC_ID_AT_LONG - 1]);
	return quic_named(bank, active, vip, head + QUIC_ID_AT_SHORT, QUIC_HEAD_BYTES);
}
