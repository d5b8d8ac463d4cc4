// SPDX-License-Identifier: GPL-2.0-only
/*
 * Outer header templates. Pure: next hop and service in, 64 bytes out.
 */
#include "net/header.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "lb/checksum.h"

#define OUTER_TTL    64
#define IPV4_BYTES   20u
#define IPV6_BYTES   40u
#define GUE_OVERHEAD 8u /* UDP; variant 1 of GUE (RFC draft) has no header of its own */

__be32 lb_header_source_mask(const struct lb_prefix *source)
{
	unsigned int bits;

	if (!source->address.family)
		return 0;
	bits = (source->address.family == LB_FAMILY_V4 ? 32u : 128u) - source->length;
	return bits >= 32 ? 0xffffffffu : htonl((1u << bits) - 1);
}

static void fill_ipv4(__u8 ip[40], __u8 protocol, const struct lb_address *from, const struct lb_address *to)
{
	__u32 sum = 0;
	__u16 word;

	ip[0] = 0x45;
	ip[6] = 0x40; /* DF */
	ip[8] = OUTER_TTL;
	ip[9] = protocol;
	memcpy(ip + 12, from->bytes, 4);
	memcpy(ip + 16, to->bytes, 4);
	for (unsigned int i = 0; i < IPV4_BYTES; i += 2) {
		memcpy(&word, ip + i, 2);
		sum += word;
	}
	word = lb_csum_fold(sum);
	memcpy(ip + 10, &word, 2);
}

static void fill_ipv6(__u8 ip[40], __u8 next, const struct lb_address *from, const struct lb_address *to)
{
	ip[0] = 0x60;
	ip[6] = next;
	ip[7] = OUTER_TTL;
	memcpy(ip + 8, from->bytes, 16);
	memcpy(ip + 24, to->bytes, 16);
}

/* Protocol number of the outer header. */
static __u8 outer_protocol(const struct lb_header_rules *rules)
{
	if (rules->forward == LB_FORWARD_GUE)
		return IPPROTO_UDP;
	return rules->vip_family == LB_FAMILY_V4 ? IPPROTO_IPIP : IPPROTO_IPV6;
}

static void fill_ethernet(__u8 eth[14], const struct lb_nexthop *nexthop, __u8 family)
{
	__u16 type = htons(family == LB_FAMILY_V4 ? ETH_P_IP : ETH_P_IPV6);

	memcpy(eth, nexthop->destination, 6);
	memcpy(eth + 6, nexthop->source, 6);
	memcpy(eth + 12, &type, 2);
}

static __u16 room_in(__u16 mtu, unsigned int overhead)
{
	return (__u16)(mtu > overhead ? mtu - overhead : 0);
}

static void fill_tunnel(const struct lb_header_rules *rules, const struct lb_address *backend,
			const struct lb_nexthop *nexthop, struct lb_backend *record)
{
	bool v4 = backend->family == LB_FAMILY_V4, gue = rules->forward == LB_FORWARD_GUE;
	const struct lb_prefix *prefix = v4 ? rules->source_v4 : rules->source_v6;
	const struct lb_address *source = &nexthop->source_address;

	if (prefix && prefix->address.family == backend->family)
		source = &prefix->address;
	if (source->family != backend->family)
		return;
	if (v4)
		fill_ipv4(record->ip, outer_protocol(rules), source, backend);
	else
		fill_ipv6(record->ip, outer_protocol(rules), source, backend);
	record->max_len = room_in(nexthop->mtu, lb_header_overhead(rules->forward, backend->family));
	if (v4)
		record->method = gue ? LB_METHOD_GUE_V4 : LB_METHOD_IPIP_V4;
	else
		record->method = gue ? LB_METHOD_GUE_V6 : LB_METHOD_IPIP_V6;
}

/* The type makes room for what is not to be seen by the fast path. */
static void set_tagged(struct lb_backend *record)
{
	record->flags |= LB_BACKEND_TAGGED;
	memcpy(record->eth + LB_BACKEND_TYPE, &record->max_len, sizeof(record->max_len));
	record->max_len = 0;
}

void lb_header_build(const struct lb_header_rules *rules, const struct lb_address *backend,
		     const struct lb_nexthop *nexthop, __u32 id, bool dead, struct lb_backend *ret_record)
{
	struct lb_backend record = { .counter = id,
				     .flags = (__u8)(LB_BACKEND_USED | (dead ? LB_BACKEND_DEAD : 0)) };

	if (nexthop->resolved && nexthop->local) {
		record.method = LB_METHOD_LOCAL;
	} else if (nexthop->resolved && rules->forward == LB_FORWARD_L2) {
		/* The packet keeps its addresses: a router would send it back here. */
		record.method = nexthop->routed ? LB_METHOD_NONE : LB_METHOD_L2;
		record.max_len = nexthop->routed ? 0 : nexthop->mtu;
	} else if (nexthop->resolved) {
		fill_tunnel(rules, backend, nexthop, &record);
	}
	if (record.method != LB_METHOD_NONE && record.method != LB_METHOD_LOCAL) {
		fill_ethernet(record.eth, nexthop,
			      rules->forward == LB_FORWARD_L2 ? rules->vip_family : backend->family);
		record.port = nexthop->port;
		record.flags |= nexthop->same_interface ? LB_BACKEND_TX : 0;
		if (nexthop->tagged)
			set_tagged(&record);
	}
	*ret_record = record;
}

unsigned int lb_header_overhead(enum lb_forward forward, __u8 family)
{
	unsigned int ip = family == LB_FAMILY_V4 ? IPV4_BYTES : IPV6_BYTES;

	return forward == LB_FORWARD_L2 ? 0 : ip + (forward == LB_FORWARD_GUE ? GUE_OVERHEAD : 0);
}
