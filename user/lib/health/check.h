/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cadence and the verdict of one check of one target: when it is to be asked next, and whether it is up.
 * lb-checkd runs it to know when to ask; lbd runs it on the same results to know what to believe.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "health/history.h"

#define LB_NS_PER_MS 1000000ull

struct lb_check_timing {
	__u32 interval_ms;      /* start to start */
	__u32 fast_interval_ms; /* the same while the youngest results contradict the verdict */
	__u32 down_interval_ms; /* the same while it is down */
	__u32 timeout_ms;
	__u32 rise, fall; /* good (bad) results in a row; 1..LB_HISTORY_MAX */
};

enum lb_check_verdict { LB_CHECK_UNKNOWN, LB_CHECK_UP, LB_CHECK_DOWN };
const char *lb_check_verdict_name(enum lb_check_verdict verdict);

/* Checks of one target under way at once; more are not begun. */
#define LB_CHECK_PENDING_MAX 16u

struct lb_check {
	struct lb_history history;
	enum lb_check_verdict verdict;
	__u64 since_ns; /* of the verdict */
	__u64 last_begin_ns;
	__u64 first_ns;         /* when the first check is due */
	unsigned int pending;   /* begun and not ended */
	__u64 hurried_until_ns; /* others suspect it: checks before then are as when it is suspicious itself
				 */
	__u64 not_before_ns;    /* no check was due earlier: when others came to suspect it */
	unsigned int limited;   /* answers in a row that ask to be asked less often */
};

/* first_ns: when to ask first; spread it over the interval. */
void lb_check_init(struct lb_check *check, __u64 first_ns);

/* When the next check is to begin; UINT64_MAX: when one of those under way has ended. */
__u64 lb_check_next_ns(const struct lb_check *check, const struct lb_check_timing *timing);

/* Others suspect the target: it is asked at the fast interval until then; at once if it never was. Never is
 * it due before now_ns for that. */
void lb_check_hurry(struct lb_check *check, const struct lb_check_timing *timing, __u64 now_ns,
		    __u64 until_ns);

void lb_check_begun(struct lb_check *check, __u64 now_ns);

/* The end of a check that began; also of one without evidence. True: the verdict has changed. */
bool lb_check_ended(struct lb_check *check, const struct lb_check_timing *timing,
		    const struct lb_result *result);

/* Whether the youngest results contradict the verdict. */
bool lb_check_is_suspicious(const struct lb_check *check);
