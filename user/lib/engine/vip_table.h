/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Building a bank of the VIP table: which keys a service has, and in which bucket each key lies so that a
 * packet finds it within LB_VIP_PROBES buckets and may stop at the first empty one.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "base/error.h"
#include "lb/types.h"

/* What a service answers to. */
struct lb_service_key {
	struct lb_prefix vip;
	__u8 protocol;
	__u16 port_first, port_last; /* host byte order */
};

void lb_service_key_of(const struct lb_config_service *service, struct lb_service_key *ret_key);
bool lb_service_key_equal(const struct lb_service_key *a, const struct lb_service_key *b);

/* A port range falls into at most this many aligned power-of-two blocks. */
#define LB_VIP_KEYS_MAX 30u

/* The table keys of a service, in port order; returns how many. */
size_t lb_vip_expand(const struct lb_service_key *key, __u64 ret_keys[LB_VIP_KEYS_MAX][3]);

/* What an entry of a bank is (types.h): a service's key, or a record that no packet's own key equals. */
enum lb_vip_kind {
	LB_VIP_SERVICE,
	LB_VIP_ADDRESS,
	LB_VIP_HOST_RECORD,
	LB_VIP_QUIC_RECORD,
	LB_VIP_RANGE_LIST,
	LB_VIP_RANGE_RECORD,
	LB_VIP_HELD_ADDRESS
};

/* One entry of a bank before it has a place. */
struct lb_vip_item {
	__u64 key[3];
	__u32 owner;                           /* the caller's number of the service */
	__u32 bucket;                          /* out */
	__u32 flags;                           /* of a record */
	__u16 index;                           /* of the backend that a QUIC record names */
	__u8 kind;                             /* enum lb_vip_kind */
	__u8 range_bits[LB_RANGE_LENGTHS_MAX]; /* of a range list */
};

/* An address and a protocol as the key of the record that speaks for it; IPPROTO_ICMP or IPPROTO_ICMPV6:
 * its host record. */
void lb_vip_address_key(const struct lb_address *address, __u8 protocol, __u64 ret_key[3]);

/* The same of a prefix, for its host record (types.h). */
void lb_vip_prefix_key(const struct lb_prefix *prefix, __u8 protocol, __u64 ret_key[3]);

/* A service's range record for a prefix of sources. */
void lb_vip_range_key(__u16 service, const struct lb_prefix *range, __u64 ret_key[3]);

/* What the bank holds for an item. service: what the VIP entries of its service hold. */
void lb_vip_entry(const struct lb_vip_item *item, const struct lb_vip *service, struct lb_vip *ret_entry);

/* Fills in the filter of a bank: addresses of host records and of services that are no exact match. */
void lb_vip_filter_build(const struct lb_vip_item *items, size_t n, struct lb_filter *ret_filter);

/* Whether a bucket in use is a service's key. */
bool lb_vip_is_service(const struct lb_vip *vip);

struct lb_vip_layout {
	struct lb_vip_item *items; /* the caller's */
	size_t n_items;
	__u32 log2; /* buckets: 1 << log2 */
	bool wildcard;
	bool filtered;       /* and all that are not exact are of whole addresses: LB_ACTIVE_FILTERED */
	struct lb_bank bank; /* shapes, most specific first */
};

/*
 * Places items (theirs remain; bucket is filled) in at most max_buckets buckets (power of two), as packets
 * look for them under the seed (lb_control.hash_seed).
 * 0; -ENOMEM; -EEXIST: two items have one key, *ret_clash are their owners; -ENOSPC: too many items;
 * -E2BIG: more than LB_SHAPES_MAX shapes.
 */
int lb_vip_layout_build(const __u64 seed[LB_HASH_WORDS], struct lb_vip_item *items, size_t n_items,
			__u32 max_buckets, struct lb_vip_layout *ret_layout, __u32 ret_clash[2]);

/* The bucket of a key in a bank, or LB_VIP_NOWHERE. */
#define LB_VIP_NOWHERE 0xffffffffu
__u32 lb_vip_lookup(const __u64 seed[LB_HASH_WORDS], const struct lb_vip *bank, __u32 log2,
		    const __u64 key[3]);

/* What a packet to an address and port finds: exact, then the shapes in order; NULL when nothing. port: host
 * byte order. */
const struct lb_vip *lb_vip_resolve(const __u64 seed[LB_HASH_WORDS], const struct lb_vip *bank, __u32 log2,
				    const struct lb_bank *shapes, const struct lb_address *address,
				    __u8 protocol, __u16 port);
