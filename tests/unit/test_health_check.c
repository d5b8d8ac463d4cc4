// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cadence of checks and rise and fall; the suspicion of the checker; the breaker of a host across
 * services.
 */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "health/check.h"
#include "health/host.h"
#include "health/suspect.h"

#define MS LB_NS_PER_MS

/* --- cadence ---------------------------------------------------------------------------------------------
 */

static const struct lb_check_timing timing = {
	.interval_ms = 1000,
	.fast_interval_ms = 250,
	.down_interval_ms = 2000,
	.timeout_ms = 1000,
	.rise = 2,
	.fall = 3,
};

static bool ends(struct lb_check *check, __u64 begin_ms, __u64 end_ms, enum lb_outcome outcome)
{
	struct lb_result result = { begin_ms * MS, end_ms * MS, outcome };

	return lb_check_ended(check, &timing, &result);
}

static __u64 next_ms(const struct lb_check *check)
{
	return lb_check_next_ns(check, &timing) / MS;
}

static void test_killed_process_is_found_in_interval_and_two_fast_ones(void **state)
{
	struct lb_check check;

	lb_check_init(&check, 1000 * MS);
	assert_int_equal(next_ms(&check), 1000);
	lb_check_begun(&check, 1000 * MS);
	assert_true(ends(&check, 1000, 1001, LB_OUTCOME_OK));
	assert_int_equal(check.verdict, LB_CHECK_UP);
	assert_int_equal(next_ms(&check), 2000);
	lb_check_begun(&check, 2000 * MS);
	assert_false(ends(&check, 2000, 2001, LB_OUTCOME_REFUSED));
	assert_int_equal(next_ms(&check), 2250);
	lb_check_begun(&check, 2250 * MS);
	assert_false(ends(&check, 2250, 2251, LB_OUTCOME_REFUSED));
	lb_check_begun(&check, 2500 * MS);
	assert_true(ends(&check, 2500, 2501, LB_OUTCOME_REFUSED));
	assert_int_equal(check.verdict, LB_CHECK_DOWN);
	assert_int_equal(next_ms(&check), 4500);
	lb_check_begun(&check, 4500 * MS);
	assert_false(ends(&check, 4500, 4501, LB_OUTCOME_OK));
	assert_int_equal(next_ms(&check), 4750);
	lb_check_begun(&check, 4750 * MS);
	assert_true(ends(&check, 4750, 4751, LB_OUTCOME_OK));
	assert_int_equal(next_ms(&check), 5750);
}

static void test_a_target_that_others_suspect_is_asked_often_for_a_while(void **state)
{
	struct lb_check check;

	lb_check_init(&check, 1000 * MS);
	lb_check_begun(&check, 1000 * MS);
	assert_true(ends(&check, 1000, 1001, LB_OUTCOME_OK));
	assert_int_equal(next_ms(&check), 2000);
	lb_check_hurry(&check, &timing, 1100 * MS, 1600 * MS);
	assert_int_equal(next_ms(&check), 1250);
	lb_check_begun(&check, 1250 * MS);
	assert_false(ends(&check, 1250, 1251, LB_OUTCOME_OK));
	assert_int_equal(next_ms(&check), 1500);
	lb_check_hurry(&check, &timing, 1300 * MS, 1400 * MS); /* a shorter one takes nothing away */
	assert_int_equal(next_ms(&check), 1500);
	lb_check_begun(&check, 1500 * MS);
	assert_int_equal(next_ms(&check), 1750);
	lb_check_begun(&check, 1750 * MS);
	assert_int_equal(next_ms(&check), 2750); /* over, and nothing was found */
}

static void test_a_target_that_others_suspect_is_asked_at_once_the_first_time(void **state)
{
	struct lb_check check;

	lb_check_init(&check, 9000 * MS);
	assert_int_equal(next_ms(&check), 9000);
	lb_check_hurry(&check, &timing, 90 * MS, 3000 * MS);
	assert_int_equal(next_ms(&check), 90); /* at once, and not before */
	lb_check_hurry(&check, &timing, 95 * MS, 3005 * MS);
	assert_int_equal(next_ms(&check), 90);
	lb_check_begun(&check, 100 * MS);
	assert_int_equal(next_ms(&check), 350);
}

static void test_a_target_that_others_suspect_is_not_late_for_that(void **state)
{
	struct lb_check check;

	lb_check_init(&check, 1000 * MS);
	lb_check_begun(&check, 1000 * MS);
	assert_true(ends(&check, 1000, 1001, LB_OUTCOME_OK));
	lb_check_hurry(&check, &timing, 1900 * MS, 4900 * MS);
	assert_int_equal(next_ms(&check), 1900);
	lb_check_begun(&check, 1900 * MS);
	assert_false(ends(&check, 1900, 1901, LB_OUTCOME_OK));
	lb_check_hurry(&check, &timing, 2500 * MS, 5500 * MS);
	assert_int_equal(next_ms(&check), 2150); /* it was due then */
}

static void test_checks_overlap_but_not_without_bound(void **state)
{
	struct lb_check check;

	lb_check_init(&check, 1);
	for (unsigned int i = 0; i < LB_CHECK_PENDING_MAX; i++)
		lb_check_begun(&check, (i + 1) * MS);
	assert_true(lb_check_next_ns(&check, &timing) == UINT64_MAX);
	ends(&check, 1, 1001, LB_OUTCOME_NONE);
	assert_true(lb_check_next_ns(&check, &timing) != UINT64_MAX);
	assert_int_equal(check.verdict, LB_CHECK_UNKNOWN);
}

static void test_target_that_asks_for_it_is_left_alone(void **state)
{
	struct lb_check check;

	lb_check_init(&check, 1);
	lb_check_begun(&check, 1000 * MS);
	ends(&check, 1000, 1001, LB_OUTCOME_LIMITED);
	assert_int_equal(next_ms(&check), 3000);
	for (int i = 0; i < 10; i++)
		ends(&check, 1000, 1001, LB_OUTCOME_LIMITED);
	assert_int_equal(next_ms(&check), 33000);
	ends(&check, 1000, 1002, LB_OUTCOME_OK);
	assert_int_equal(next_ms(&check), 2000);
}

static void test_errors_of_sockets_are_the_targets_or_ours(void **state)
{
	static const struct {
		int error;
		enum lb_outcome says;
	} rows[] = {
		{ ECONNREFUSED, LB_OUTCOME_REFUSED }, { ECONNRESET, LB_OUTCOME_RESET },
		{ EPIPE, LB_OUTCOME_RESET },          { ETIMEDOUT, LB_OUTCOME_TIMEOUT },
		{ EHOSTUNREACH, LB_OUTCOME_TIMEOUT }, { EMFILE, LB_OUTCOME_NONE },
		{ ENFILE, LB_OUTCOME_NONE },          { ENOBUFS, LB_OUTCOME_NONE },
		{ ENOMEM, LB_OUTCOME_NONE },          { EADDRNOTAVAIL, LB_OUTCOME_NONE },
		{ EADDRINUSE, LB_OUTCOME_NONE },      { EPERM, LB_OUTCOME_NONE },
		{ EACCES, LB_OUTCOME_NONE },          { ENETUNREACH, LB_OUTCOME_NONE },
		{ ENETDOWN, LB_OUTCOME_NONE },        { 0, LB_OUTCOME_NONE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (lb_outcome_of_errno(rows[i].error) != rows[i].says)
			fail_msg("%s", strerror(rows[i].error));
	}
}

static void test_history_keeps_the_order_of_beginnings(void **state)
{
	struct lb_history history = {};
	__u64 since;

	for (__u64 i = 0; i < 40; i++) {
		/* Pairs that end in the wrong order: the younger one, which is answered, first. */
		__u64 begin = 10 + (i ^ 1);

		lb_history_add(&history, &(struct lb_result){ begin, 100 + i,
							      i % 2 ? LB_OUTCOME_TIMEOUT : LB_OUTCOME_OK });
	}
	assert_int_equal(history.n, LB_HISTORY_MAX);
	for (unsigned int i = 1; i < history.n; i++)
		assert_true(history.results[i - 1].begin_ns < history.results[i].begin_ns);
	assert_int_equal(lb_history_good_run(&history), 1);
	/* Older than all that is kept. */
	assert_false(lb_history_add(&history, &(struct lb_result){ 11, 200, LB_OUTCOME_TIMEOUT }));
	lb_history_forget(&history, history.results[history.n - 1].begin_ns);
	assert_int_equal(lb_history_silent_run(&history, &since), 1);
	lb_history_restart(&history, 100);
	assert_false(lb_history_add(&history, &(struct lb_result){ 100, 101, LB_OUTCOME_OK }));
	assert_true(lb_history_add(&history, &(struct lb_result){ 101, 102, LB_OUTCOME_OK }));
}

/* --- suspicion -------------------------------------------------------------------------------------------
 */

static const struct lb_suspect_config suspect_config = { .window_ms = 2000, .freeze_max_ms = 30000 };

#define ADDRESSES 40
struct fleet {
	struct lb_suspect suspect;
	struct lb_suspect_address addresses[ADDRESSES];
	unsigned int n, services;
	__u64 round_ms, now_ns;
};

/* As lbd says it with each configuration. */
static void say_who_is_known(struct fleet *fleet, unsigned int n)
{
	lb_suspect_begin(&fleet->suspect);
	for (unsigned int i = 0; i < n; i++)
		lb_suspect_add(&fleet->suspect, i % fleet->services);
}

static void fleet_init(struct fleet *fleet, unsigned int n, unsigned int services)
{
	memset(fleet, 0, sizeof(*fleet));
	fleet->n = n;
	fleet->services = services;
	fleet->round_ms = 1000;
	fleet->now_ns = 100000 * MS;
	say_who_is_known(fleet, n);
}

/* One round of checks, of which the first bad ones fail. */
static void round_of(struct fleet *fleet, unsigned int bad)
{
	for (unsigned int i = 0; i < fleet->n; i++) {
		struct lb_result result = { fleet->now_ns, fleet->now_ns,
					    i < bad ? LB_OUTCOME_REFUSED : LB_OUTCOME_OK };

		lb_suspect_result(&fleet->suspect, &suspect_config, &fleet->addresses[i], i % fleet->services,
				  &result, fleet->now_ns);
		fleet->now_ns += fleet->round_ms * MS / fleet->n;
	}
}

static enum lb_suspicion after(unsigned int n, unsigned int services, unsigned int bad)
{
	struct fleet fleet;

	fleet_init(&fleet, n, services);
	round_of(&fleet, 0);
	round_of(&fleet, bad);
	return fleet.suspect.state;
}

static void test_checker_is_suspected_if_more_than_half_fail(void **state)
{
	assert_int_equal(after(10, 2, 5), LB_SUSPICION_NONE);
	assert_int_equal(after(10, 2, 6), LB_SUSPICION_FROZEN);
	assert_int_equal(after(40, 7, 20), LB_SUSPICION_NONE);
	assert_int_equal(after(40, 7, 21), LB_SUSPICION_FROZEN);
	/* Too few, or of one service: that is the service's trouble. */
	assert_int_equal(after(9, 2, 9), LB_SUSPICION_NONE);
	assert_int_equal(after(40, 1, 40), LB_SUSPICION_NONE);
}

static void test_freeze_is_bounded_and_not_repeated(void **state)
{
	struct fleet fleet;
	unsigned int frozen = 0;

	fleet_init(&fleet, 20, 4);
	round_of(&fleet, 0);
	for (unsigned int second = 0; second < 120; second++) {
		round_of(&fleet, 20);
		frozen += fleet.suspect.state == LB_SUSPICION_FROZEN;
	}
	assert_in_range(frozen, 29, 31);
	/* Over: the next time counts as the first did. */
	round_of(&fleet, 0);
	round_of(&fleet, 0);
	round_of(&fleet, 20);
	assert_int_equal(fleet.suspect.state, LB_SUSPICION_FROZEN);
	round_of(&fleet, 0);
	round_of(&fleet, 0);
	assert_int_equal(fleet.suspect.state, LB_SUSPICION_NONE);
}

/* Elsewhere, services come and go every second. */
static void test_other_configurations_neither_end_a_freeze_nor_make_it_last(void **state)
{
	struct fleet fleet;
	unsigned int frozen = 0;
	__u64 since_ns = 0;

	fleet_init(&fleet, 20, 4);
	round_of(&fleet, 0);
	for (unsigned int second = 0; second < 120; second++) {
		say_who_is_known(&fleet, 20);
		round_of(&fleet, 20);
		frozen += fleet.suspect.state == LB_SUSPICION_FROZEN;
		if (frozen == 1)
			since_ns = fleet.suspect.since_ns;
		if (fleet.suspect.state == LB_SUSPICION_FROZEN)
			assert_int_equal(fleet.suspect.since_ns, since_ns);
	}
	assert_in_range(frozen, 29, 31);
}

static void test_first_of_many_do_not_fall_before_the_rest_is_heard(void **state)
{
	struct fleet fleet;

	/* All known, three heard, all three fail: held back, for a window at most. */
	fleet_init(&fleet, 20, 4);
	fleet.n = 3;
	fleet.round_ms = 300;
	round_of(&fleet, 3);
	assert_int_equal(fleet.suspect.state, LB_SUSPICION_DOUBT);
	assert_true(lb_suspect_holds(&fleet.suspect));
	assert_true(
		lb_suspect_believes(&fleet.suspect, &(struct lb_result){ fleet.now_ns, fleet.now_ns, 0 }));
	for (int i = 0; i < 10; i++)
		round_of(&fleet, 3);
	assert_int_equal(fleet.suspect.state, LB_SUSPICION_NONE);
	/* A doubt that is over does not stand in the way of a freeze. */
	fleet.n = 20;
	fleet.round_ms = 1000;
	round_of(&fleet, 20);
	assert_int_equal(fleet.suspect.state, LB_SUSPICION_FROZEN);
}

static void test_canary_freezes_and_older_results_count(void **state)
{
	struct fleet fleet;
	struct lb_result old, now;

	fleet_init(&fleet, 2, 1);
	now = (struct lb_result){ fleet.now_ns, fleet.now_ns, LB_OUTCOME_REFUSED };
	old = (struct lb_result){ fleet.now_ns - 5000 * MS, fleet.now_ns, LB_OUTCOME_REFUSED };
	assert_true(lb_suspect_canary(&fleet.suspect, &suspect_config, true, fleet.now_ns));
	assert_false(lb_suspect_believes(&fleet.suspect, &now));
	assert_true(lb_suspect_believes(&fleet.suspect, &old));
	assert_true(lb_suspect_canary(&fleet.suspect, &suspect_config, false, fleet.now_ns));
	assert_true(lb_suspect_believes(&fleet.suspect, &now));
	assert_false(lb_suspect_holds(&fleet.suspect));
}

static void test_addresses_that_go_do_not_count(void **state)
{
	struct fleet fleet;

	fleet_init(&fleet, 10, 2);
	round_of(&fleet, 5);
	say_who_is_known(&fleet, 6);
	for (unsigned int i = 0; i < 4; i++)
		lb_suspect_forget(&fleet.suspect, &fleet.addresses[9 - i]);
	lb_suspect_tick(&fleet.suspect, &suspect_config, fleet.now_ns);
	assert_int_equal(fleet.suspect.state, LB_SUSPICION_NONE);
}

/* --- hosts -----------------------------------------------------------------------------------------------
 */

struct host_row {
	const char *what;
	struct lb_host_witness witnesses[5];
	size_t n;
	bool nexthop_lost;
	enum lb_host_verdict verdict;
};
#define SILENT(t)                                                                                            \
	{                                                                                                    \
		.tenant = (t), .silent = true                                                                \
	}
#define ANSWERS(t)                                                                                           \
	{                                                                                                    \
		.tenant = (t), .answers = true                                                               \
	}

static const struct host_row host_rows[] = {
	{ "nobody asks", {}, 0, false, LB_HOST_IN_USE },
	{ "its next hop is lost", { ANSWERS(1) }, 1, true, LB_HOST_NEXTHOP_LOST },
	{ "one tenant cannot take it from others",
	  { SILENT(1), SILENT(1), SILENT(1), SILENT(1) },
	  4,
	  false,
	  LB_HOST_IN_USE },
	{ "nor two", { SILENT(1), SILENT(2), SILENT(1), SILENT(2) }, 4, false, LB_HOST_IN_USE },
	{ "three can", { SILENT(1), SILENT(2), SILENT(1), SILENT(3) }, 4, false, LB_HOST_TENANTS_SAY },
	{ "not while it answers a fourth",
	  { SILENT(1), SILENT(2), SILENT(3), ANSWERS(4) },
	  4,
	  false,
	  LB_HOST_IN_USE },
	{ "nor one of their own", { SILENT(1), SILENT(2), SILENT(3), ANSWERS(1) }, 4, false, LB_HOST_IN_USE },
	{ "who says nothing does not count",
	  { SILENT(1), SILENT(2), { .tenant = 3 } },
	  3,
	  false,
	  LB_HOST_IN_USE },
	{ "a check of the host speaks alone",
	  { { .silent = true, .for_host = true }, ANSWERS(4) },
	  2,
	  false,
	  LB_HOST_CHECK_SAYS },
	{ "if it fails by silence", { { .for_host = true }, SILENT(4) }, 2, false, LB_HOST_IN_USE },
};

static void test_hosts(void **state)
{
	for (size_t i = 0; i < sizeof(host_rows) / sizeof(host_rows[0]); i++) {
		const struct host_row *row = &host_rows[i];
		enum lb_host_verdict verdict = lb_host_judge(row->witnesses, row->n, row->nexthop_lost);

		if (verdict != row->verdict)
			fail_msg("%s: %s", row->what, lb_host_text(verdict));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_process_is_found_in_interval_and_two_fast_ones),
		cmocka_unit_test(test_a_target_that_others_suspect_is_asked_often_for_a_while),
		cmocka_unit_test(test_a_target_that_others_suspect_is_asked_at_once_the_first_time),
		cmocka_unit_test(test_a_target_that_others_suspect_is_not_late_for_that),
		cmocka_unit_test(test_checks_overlap_but_not_without_bound),
		cmocka_unit_test(test_target_that_asks_for_it_is_left_alone),
		cmocka_unit_test(test_errors_of_sockets_are_the_targets_or_ours),
		cmocka_unit_test(test_history_keeps_the_order_of_beginnings),
		cmocka_unit_test(test_checker_is_suspected_if_more_than_half_fail),
		cmocka_unit_test(test_freeze_is_bounded_and_not_repeated),
		cmocka_unit_test(test_other_configurations_neither_end_a_freeze_nor_make_it_last),
		cmocka_unit_test(test_first_of_many_do_not_fall_before_the_rest_is_heard),
		cmocka_unit_test(test_canary_freezes_and_older_results_count),
		cmocka_unit_test(test_addresses_that_go_do_not_count),
		cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
