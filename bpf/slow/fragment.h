/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments (RFC 791, RFC 8200 section 4.5). The first has ports and is balanced like any packet; where it
 * went is remembered under (source, destination, protocol, id), so that later ones follow. The table is
 * small, shared by all CPUs, and forgets by age or when its bucket is needed: a flood costs fragments their
 * memory, never a flow. A place is read twice around its tag; one that changes in between is no match.
 */
#pragma once

#include "slow/slow.h"

#define LB_FRAGMENT_AHEAD_S 4
#define FRAGMENT_OF_ECHO    0xffffu /* is no service's id: the first was an echo request, and answered */

static __always_inline __u64 fragment_tag(const struct scratch *s, const struct lb_control *control)
{
	__u64 hash;

	if (s->p.family == LB_FAMILY_V4)
		hash = lb_hash_v4(control->flow_key, s->p.saddr[0], s->p.daddr[0], s->fragment_id,
				  s->fragment_protocol);
	else
		hash = lb_hash_v6(control->flow_key, s->p.saddr, s->p.daddr, s->fragment_id,
				  s->fragment_protocol);
	return hash | 1;
}

static __always_inline __u64 fragment_word(__u32 index, __u32 bucket, __u32 service, __u32 now_s)
{
	return (__u64)(index & LB_INDEX_MASK) | (__u64)(bucket & (LB_VIP_BUCKETS - 1)) << 14 |
	       (__u64)service << 32 | (__u64)(now_s & 0xffff) << 48;
}

static __always_inline struct lb_fragment_bucket *fragment_bucket(__u64 tag)
{
	__u32 key = (tag >> 8) & (LB_FRAGMENT_BUCKETS - 1);

	return bpf_map_lookup_elem(&lb_fragments, &key);
}

/* Another CPU may have read a clock that is a tick ahead of ours: a little below zero is no age. */
static __always_inline bool fragment_is_old(__u64 word, __u32 now_s)
{
	__u32 age = (now_s - (__u32)(word >> 48)) & 0xffff;

	return age > LB_FRAGMENT_AGE_S && age < 0x10000 - LB_FRAGMENT_AHEAD_S;
}

/* Remembers where a first fragment went: in its own place, a free or old one, or one chosen by the tag. */
static __always_inline void fragment_remember(const struct scratch *s, const struct lb_control *control,
					      __u32 index, __u32 vip_bucket, __u32 service)
{
	__u64 tag = fragment_tag(s, control);
	struct lb_fragment_bucket *bucket = fragment_bucket(tag);
	__u32 now_s = LB_LOAD(&control->clock_s);
	__u32 place = tag >> 40 & 3;

	if (LB_TRACELESS || !bucket)
		return;
	LB_UNROLL
	for (__u32 i = 0; i < 4; i++) {
		__u64 other = LB_LOAD(&bucket->fragment[i].tag);

		if (other == tag) {
			place = i;
			break;
		}
		if (!other || fragment_is_old(LB_LOAD(&bucket->fragment[i].word), now_s))
			place = i;
	}
	place &= 3;
	(void)LB_EXCHANGE(&bucket->fragment[place].tag, 0);
	(void)LB_EXCHANGE(&bucket->fragment[place].word, fragment_word(index, vip_bucket, service, now_s));
	(void)LB_EXCHANGE(&bucket->fragment[place].tag, tag);
}

/* Where the first fragment of a later one went; 0 and *word, or -1. */
static __always_inline int fragment_find(__u64 tag, __u32 now_s, __u64 *word)
{
	struct lb_fragment_bucket *bucket = fragment_bucket(tag);

	if (!bucket)
		return -1;
	LB_UNROLL
	for (__u32 i = 0; i < 4; i++) {
		__u64 found, owner = LB_LOAD(&bucket->fragment[i].tag);

		if (owner != tag)
			continue;
		found = LB_LOAD(LB_AFTER(&bucket->fragment[i].word, owner));
		if (LB_LOAD(LB_AFTER(&bucket->fragment[i].tag, found)) != tag ||
		    fragment_is_old(found, now_s))
			return -1;
		*word = found;
		return 0;
	}
	return -1;
}
