/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services that let some sources in only (source_ranges): one look-up for each prefix length in use, in the
 * bank of the decision, so that ranges change with everything else. Only what is of such a service comes
 * here.
 */
#pragma once

#include "service.h"

/* Whether the source of a packet may use the service; both in the generation of this active word. */
LB_SUBPROGRAM int is_in_range(__u64 active, __u32 service, __u64 address_0, __u64 address_1, __u32 family)
{
	__u64 exact = active & ~LB_ACTIVE_WILDCARD;
	struct lb_vip *list =
		vip_at(active, service_bucket(exact, 0, 0, lb_vip_range_tail(service, family, 0)));

	if (!list)
		return 0;
	LB_HIDE_POINTER(list);
	for (__u32 i = 0; i < LB_RANGE_LENGTHS_MAX; i++) {
		struct lb_shape shape = { .family = family, .address_bits = list->range_bits[i] };
		__u64 key[3];

		if (!shape.address_bits)
			break;
		lb_vip_mask(&shape, address_0, address_1, 0, 0, key);
		if (service_bucket(exact, key[0], key[1],
				   lb_vip_range_tail(service, family, shape.address_bits)) != LB_BUCKET_NONE)
			return 1;
	}
	return 0;
}

/* An ICMP error's source is the client of the flow that it is about. */
static __always_inline bool source_is_refused(const struct pkt *p, __u64 active, const struct lb_vip *vip)
{
	return vip->flags & LB_VIP_RANGES &&
	       !is_in_range(active, vip->service, p->saddr[0], p->saddr[1], p->family);
}
