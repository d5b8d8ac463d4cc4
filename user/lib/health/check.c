// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rise and fall over the order in which checks began. The first answer is believed at once: before it nothing
 * is known, and a backend that was just added must not wait for "rise" answers to be known to be up.
 */
#include "health/check.h"

#include <stdint.h>

#define LIMITED_SHIFT_MAX 5u /* a target that asks for it is left alone for up to 32 intervals */

static const char *const names[] = {
	[LB_CHECK_UNKNOWN] = "unknown",
	[LB_CHECK_UP] = "up",
	[LB_CHECK_DOWN] = "down",
};

const char *lb_check_verdict_name(enum lb_check_verdict verdict)
{
	return names[verdict];
}

void lb_check_init(struct lb_check *check, __u64 first_ns)
{
	*check = (struct lb_check){ .first_ns = first_ns };
}

bool lb_check_is_suspicious(const struct lb_check *check)
{
	if (check->verdict == LB_CHECK_DOWN)
		return lb_history_good_run(&check->history) > 0;
	return lb_history_bad_run(&check->history) > 0;
}

static __u64 interval_ns(const struct lb_check *check, const struct lb_check_timing *timing)
{
	__u64 interval_ms = timing->interval_ms;

	if (check->limited)
		return interval_ms * LB_NS_PER_MS
		       << (check->limited < LIMITED_SHIFT_MAX ? check->limited : LIMITED_SHIFT_MAX);
	if (lb_check_is_suspicious(check) || check->last_begin_ns < check->hurried_until_ns)
		interval_ms = timing->fast_interval_ms;
	else if (check->verdict == LB_CHECK_DOWN)
		interval_ms = timing->down_interval_ms;
	return interval_ms * LB_NS_PER_MS;
}

__u64 lb_check_next_ns(const struct lb_check *check, const struct lb_check_timing *timing)
{
	__u64 due_ns;

	if (check->pending >= LB_CHECK_PENDING_MAX)
		return UINT64_MAX;
	if (!check->last_begin_ns)
		return check->hurried_until_ns ? check->not_before_ns : check->first_ns;
	due_ns = check->last_begin_ns + interval_ns(check, timing);
	return due_ns > check->not_before_ns ? due_ns : check->not_before_ns;
}

/* What was due keeps its time; what is due only now is not late for that. */
void lb_check_hurry(struct lb_check *check, const struct lb_check_timing *timing, __u64 now_ns,
		    __u64 until_ns)
{
	__u64 due_ns = lb_check_next_ns(check, timing);

	check->not_before_ns = due_ns < now_ns ? due_ns : now_ns;
	if (until_ns > check->hurried_until_ns)
		check->hurried_until_ns = until_ns;
}

void lb_check_begun(struct lb_check *check, __u64 now_ns)
{
	check->last_begin_ns = now_ns;
	check->pending++;
}

static bool turn(struct lb_check *check, enum lb_check_verdict verdict, __u64 now_ns)
{
	check->verdict = verdict;
	check->since_ns = now_ns;
	lb_history_restart(&check->history, now_ns);
	return true;
}

bool lb_check_ended(struct lb_check *check, const struct lb_check_timing *timing,
		    const struct lb_result *result)
{
	if (check->pending)
		check->pending--;
	if (result->outcome == LB_OUTCOME_LIMITED)
		check->limited++;
	else if (result->outcome != LB_OUTCOME_NONE)
		check->limited = 0;
	if (!lb_history_add(&check->history, result))
		return false;
	if (check->verdict == LB_CHECK_UNKNOWN && lb_history_good_run(&check->history) > 0)
		return turn(check, LB_CHECK_UP, result->end_ns);
	if (check->verdict == LB_CHECK_DOWN && lb_history_good_run(&check->history) >= timing->rise)
		return turn(check, LB_CHECK_UP, result->end_ns);
	if (check->verdict != LB_CHECK_DOWN && lb_history_bad_run(&check->history) >= timing->fall)
		return turn(check, LB_CHECK_DOWN, result->end_ns);
	return false;
}
