/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the checker is to blame rather than the fleet: its own canary fails, or more than half of the
 * addresses heard of within one window fail at once, of at least 10 in at least 2 services. Verdicts are then
 * frozen for a bounded time. Before ten have failed that much is only a doubt: openings are held back for one
 * window at most, so that what is checked first does not fall before the rest has been heard.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "health/outcome.h"

#define LB_SUSPECT_ADDRESSES_MIN 10u
#define LB_SUSPECT_SERVICES_MIN  2u
#define LB_SUSPECT_DOUBT_MIN     3u /* addresses that fail: below, no doubt */
#define LB_SUSPECT_BUCKETS       8u

enum lb_suspicion { LB_SUSPICION_NONE, LB_SUSPICION_DOUBT, LB_SUSPICION_FROZEN };
const char *lb_suspicion_name(enum lb_suspicion suspicion);

struct lb_suspect_config {
	__u32 window_ms;
	__u32 freeze_max_ms; /* verdicts are not frozen for longer; then they count, until the trouble is over
			      */
};

/* What is known of one address; of the owner, zeroed at first. */
struct lb_suspect_address {
	__u64 bucket; /* it was last heard of in; 0: never */
	bool failing;
};

struct lb_suspect {
	enum lb_suspicion state;
	__u64 since_ns;
	__u64 from_ns;           /* what began then or later is not believed */
	enum lb_suspicion spent; /* has lasted as long as it may: not said again until most are well again */
	bool canary_fails;
	size_t known;       /* addresses */
	__u64 services_all; /* a bit for each, by hash */
	struct {
		__u64 number;
		__u32 heard, failing;
		__u64 failing_services;
	} buckets[LB_SUSPECT_BUCKETS];
};

void lb_suspect_init(struct lb_suspect *suspect);

/*
 * Who is known is said anew, by lb_suspect_add() for each address; service: a number of the service that
 * names it, any. What was heard stays, and so does what is suspected and since when: a configuration that
 * changes all the time neither ends a suspicion nor makes it last.
 */
void lb_suspect_begin(struct lb_suspect *suspect);
void lb_suspect_add(struct lb_suspect *suspect, __u64 service);

/* An address is known no more, and what was heard of it does not count. */
void lb_suspect_forget(struct lb_suspect *suspect, struct lb_suspect_address *address);

/* A check has ended. True: the suspicion has changed. */
bool lb_suspect_result(struct lb_suspect *suspect, const struct lb_suspect_config *config,
		       struct lb_suspect_address *address, __u64 service, const struct lb_result *result,
		       __u64 now_ns);

/* The canary (the checker's own gateway, say) fails or does not. True as above. */
bool lb_suspect_canary(struct lb_suspect *suspect, const struct lb_suspect_config *config, bool fails,
		       __u64 now_ns);

/* Time has passed. True as above. */
bool lb_suspect_tick(struct lb_suspect *suspect, const struct lb_suspect_config *config, __u64 now_ns);

/* Whether a result counts at all, and whether openings are to be held back. */
bool lb_suspect_believes(const struct lb_suspect *suspect, const struct lb_result *result);
bool lb_suspect_holds(const struct lb_suspect *suspect);
