/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last results of one target in the order in which the checks began, however late each of them ended:
 * checks overlap, and one that timed out says less about now than a younger one that was answered.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "health/outcome.h"

#define LB_HISTORY_MAX 16u /* results; rise and fall are at most this */

struct lb_history {
	struct {
		__u64 begin_ns;
		enum lb_outcome outcome;
	} results[LB_HISTORY_MAX]; /* oldest first */
	unsigned int n;
	__u64 from_ns; /* what did not begin after it counts no more */
};

/* False: the result says nothing (no evidence, begun too early), and nothing has changed. */
bool lb_history_add(struct lb_history *history, const struct lb_result *result);

/* Forgets everything; what did not begin after from_ns will not count. */
void lb_history_restart(struct lb_history *history, __u64 from_ns);

/* Forgets what began at since_ns or later, and only that. */
void lb_history_forget(struct lb_history *history, __u64 since_ns);

/* How many of the youngest results are good (bad), without one of the other kind between them. */
unsigned int lb_history_good_run(const struct lb_history *history);
unsigned int lb_history_bad_run(const struct lb_history *history);

/* How many of the youngest are silence: no answer of any kind. *ret_since_ns: when the first of them began.
 */
unsigned int lb_history_silent_run(const struct lb_history *history, __u64 *ret_since_ns);

/* The youngest; LB_OUTCOME_NONE: there is none. */
enum lb_outcome lb_history_last(const struct lb_history *history);
