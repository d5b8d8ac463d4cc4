/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ring builders: who owns which slot. Each is a pure function of (seed, members, size): no history, no
 * order of arrival, so every balancer of a fleet builds the same ring.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "config/config.h"

#define LB_RING_NONE UINT32_MAX

struct lb_ring_member {
	__u64 id;     /* stable identity: lb_ring_member_id(backend name) */
	__u32 weight; /* > 0 */
};

/* Identity of a backend in a ring, from its name alone. */
__u64 lb_ring_member_id(const char *name);

/* Seed of a service's ring, from the fleet's seed and the service's name. */
__u64 lb_ring_seed(const char *hash_seed, const char *service_name);

/* A ring that is there already. */
struct lb_ring_previous {
	const struct lb_ring_member *members;
	size_t n_members;
	const __u32 *owner; /* indices into members */
};

struct lb_ring_builder {
	const char *name;
	/*
	 * Fills owner[0..size) with indices into members, in any order of members given (the result
	 * depends on the set alone). size: power of two, LB_RING_MIN..LB_RING_MAX. n_members may be 0:
	 * every owner is then LB_RING_NONE. previous may be NULL; otherwise it is what an earlier build by
	 * the same builder with the same seed and size gave, used to be quicker, never to get a different
	 * result. 0, -ENOMEM, or -EINVAL for a wrong size, more than LB_BACKENDS_PER_SERVICE_MAX members, a
	 * weight of 0, or two members of one id; on failure owner is untouched.
	 */
	int (*build)(__u64 seed, const struct lb_ring_member *members, size_t n_members, __u32 size,
		     const struct lb_ring_previous *previous, __u32 *owner);
};

const struct lb_ring_builder *lb_ring_builder_get(enum lb_algorithm algorithm);

/* Balance of a ring: highest slots/weight over the mean; 1.0 is perfect. 0.0 without members. */
double lb_ring_max_over_mean(const __u32 *owner, __u32 size, const struct lb_ring_member *members,
			     size_t n_members);
