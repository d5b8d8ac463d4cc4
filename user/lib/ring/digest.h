/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What balancers of a fleet compare, to know that they build the same rings without telling each other the
 * seed of these: keyed digests (SipHash-2-4) of what a ring depends on. The key comes from hash_seed, whose
 * guesses it lets others try: a seed of 16 random bytes withstands that, a word does not.
 *
 * What is operational, verdicts of checks above all, is left out: it differs from balancer to balancer for
 * moments.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "config/config.h"
#include "intent/intent.h"

struct lb_digest_key {
	__u64 word[2];
};

/* The key that a seed gives. */
void lb_digest_key(const char *hash_seed, struct lb_digest_key *ret_key);

/* SipHash-2-4 (Aumasson, Bernstein: SipHash: a fast short-input PRF, 2012). */
__u64 lb_siphash(const struct lb_digest_key *key, const void *bytes, size_t n);

/* Of the key alone: the same where hash_seed is. */
__u64 lb_digest_of_key(const struct lb_digest_key *key);

/* Of a service, with a ring of so many slots; the order of its backends does not matter. */
__u64 lb_digest_of_service(const struct lb_digest_key *key, const struct lb_config_service *service,
			   __u32 slots);

/* Of the operator's words that are not over. */
__u64 lb_digest_of_words(const struct lb_digest_key *key, const struct lb_words *words, __s64 now_s);
