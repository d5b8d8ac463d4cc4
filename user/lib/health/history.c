// SPDX-License-Identifier: GPL-2.0-only
/*
 * Results sorted by when their checks began: a new one is put where it belongs, and runs are counted anew.
 */
#include "health/history.h"

#include <string.h>

bool lb_history_add(struct lb_history *history, const struct lb_result *result)
{
	unsigned int at = history->n;

	if (!lb_outcome_is_good(result->outcome) && !lb_outcome_is_bad(result->outcome))
		return false;
	if (result->begin_ns <= history->from_ns)
		return false;
	while (at > 0 && history->results[at - 1].begin_ns > result->begin_ns)
		at--;
	if (history->n == LB_HISTORY_MAX) {
		if (at == 0)
			return false; /* older than all that is known */
		memmove(&history->results[0], &history->results[1], (at - 1) * sizeof(history->results[0]));
		at--;
	} else {
		memmove(&history->results[at + 1], &history->results[at],
			(history->n - at) * sizeof(history->results[0]));
		history->n++;
	}
	history->results[at].begin_ns = result->begin_ns;
	history->results[at].outcome = result->outcome;
	return true;
}

void lb_history_restart(struct lb_history *history, __u64 from_ns)
{
	history->n = 0;
	history->from_ns = from_ns;
}

void lb_history_forget(struct lb_history *history, __u64 since_ns)
{
	while (history->n > 0 && history->results[history->n - 1].begin_ns >= since_ns)
		history->n--;
}

unsigned int lb_history_good_run(const struct lb_history *history)
{
	unsigned int n = 0;

	while (n < history->n && lb_outcome_is_good(history->results[history->n - 1 - n].outcome))
		n++;
	return n;
}

unsigned int lb_history_bad_run(const struct lb_history *history)
{
	unsigned int n = 0;

	while (n < history->n && lb_outcome_is_bad(history->results[history->n - 1 - n].outcome))
		n++;
	return n;
}

unsigned int lb_history_silent_run(const struct lb_history *history, __u64 *ret_since_ns)
{
	unsigned int n = 0;

	while (n < history->n && history->results[history->n - 1 - n].outcome == LB_OUTCOME_TIMEOUT)
		n++;
	*ret_since_ns = n ? history->results[history->n - n].begin_ns : 0;
	return n;
}

enum lb_outcome lb_history_last(const struct lb_history *history)
{
	return history->n ? history->results[history->n - 1].outcome : LB_OUTCOME_NONE;
}
