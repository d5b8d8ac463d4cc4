// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is said of packets that are spread unevenly over cores, as a table; and the kernel's files that it is
 * read from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lb/polls.h"
#include "observe/cores.h"
#include "observe/cpu_time.h"

#define CORES_MAX 8

static void causes_are_told_apart(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		__u64 packets[CORES_MAX]; /* thousands, in 10 seconds */
		unsigned int queues, interrupts, interrupt_cpus;
		enum lb_cores_cause cause;
	} cases[] = {
		{ "even", 4, { 1000, 1100, 900, 1000 }, 4, 4, 4, LB_CORES_EVEN },
		{ "somewhat uneven", 4, { 1900, 700, 700, 700 }, 4, 4, 4, LB_CORES_EVEN },
		{ "nothing comes in", 4, { 0 }, 1, 1, 1, LB_CORES_EVEN },
		{ "too little to matter", 4, { 199, 0, 0, 0 }, 1, 1, 1, LB_CORES_EVEN },
		{ "just enough to matter", 4, { 201, 0, 0, 0 }, 1, 1, 1, LB_CORES_QUEUES },
		{ "a single core", 1, { 5000 }, 1, 1, 1, LB_CORES_EVEN },
		{ "two cores, one has three quarters", 2, { 3000, 1000 }, 2, 2, 2, LB_CORES_EVEN },
		{ "two cores, one has all", 2, { 3000, 0 }, 1, 0, 0, LB_CORES_QUEUES },
		{ "eight queues, all interrupts on one core",
		  8,
		  { 0, 0, 0, 9000 },
		  8,
		  8,
		  1,
		  LB_CORES_INTERRUPTS },
		{ "eight queues, interrupts on two cores", 8, { 9000, 8000 }, 8, 8, 2, LB_CORES_INTERRUPTS },
		{ "two queues for eight cores", 8, { 9000, 8000 }, 2, 2, 2, LB_CORES_QUEUES },
		{ "two queues for eight cores, interrupts unknown",
		  8,
		  { 9000, 8000 },
		  2,
		  0,
		  0,
		  LB_CORES_QUEUES },
		{ "two queues, interrupts of both on one core", 8, { 9000 }, 2, 2, 1, LB_CORES_INTERRUPTS },
		{ "one flow above the rest",
		  8,
		  { 900, 1000, 9000, 1100, 800, 1000, 1000, 900 },
		  8,
		  8,
		  8,
		  LB_CORES_ONE_FLOW },
		{ "one flow, the NIC unknown", 4, { 9000, 900, 1000, 800 }, 0, 0, 0, LB_CORES_ONE_FLOW },
		{ "eight queues, three of which are filled",
		  8,
		  { 9000, 8000, 0, 0, 7000 },
		  8,
		  8,
		  8,
		  LB_CORES_DISTRIBUTION },
		{ "eight queues, one of which is filled", 8, { 0, 9000 }, 8, 8, 8, LB_CORES_DISTRIBUTION },
		{ "few queues, yet more cores than those are busy (packets are steered on)",
		  4,
		  { 9000, 2000, 2000, 2000 },
		  1,
		  1,
		  1,
		  LB_CORES_ONE_FLOW },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lb_cores cores = { .n = cases[i].n,
					  .seconds = 10,
					  .queues = cases[i].queues,
					  .interrupts = cases[i].interrupts,
					  .interrupt_cpus = cases[i].interrupt_cpus };
		__u64 packets[CORES_MAX];
		struct lb_cores_verdict verdict;

		for (size_t k = 0; k < CORES_MAX; k++)
			packets[k] = cases[i].packets[k] * 1000;
		cores.packets = packets;
		lb_cores_judge(&cores, &verdict);
		if (verdict.cause != cases[i].cause)
			fail_msg("%s: cause %d, not %d (ratio %.2f, %zu busy)", cases[i].name, verdict.cause,
				 cases[i].cause, verdict.ratio, verdict.busy);
		assert_int_equal(lb_cores_cause_text(verdict.cause) == NULL, verdict.cause == LB_CORES_EVEN);
	}
}

static void the_busiest_is_named_with_its_figures(void **state)
{
	static const __u64 packets[] = { 100000, 700000, 100000, 100000 };
	const struct lb_cores cores = { .packets = packets, .n = 4, .seconds = 10 };
	struct lb_cores_verdict verdict;

	lb_cores_judge(&cores, &verdict);
	assert_int_equal(verdict.busiest, 1);
	assert_true(verdict.ratio > 2.79 && verdict.ratio < 2.81);
	assert_true(verdict.packets_s > 69999 && verdict.packets_s < 70001);
	assert_int_equal(verdict.busy, 4);
}

/* As Linux 6.1 and 6.18 print it: 13 columns and 15; CPU 1 is offline. */
static void softnet_stat_is_read_by_cpu(void **state)
{
	static const char old[] = "000a1b2c 00000003 0000000f 00000000 00000000 00000000 00000000 00000000 "
				  "00000000 00000000 00000000 00000000 00000000\n"
				  "00000001 00000000 00000010 00000000 00000000 00000000 00000000 00000000 "
				  "00000000 00000000 00000000 00000000 00000002\n";
	static const char new[] = "0000ffff 00000000 00000001 00000000 00000000 00000000 00000000 00000000 "
				  "00000000 00000000 00000000 00000000 00000000 00000000 00000000\n"
				  "nonsense\n"
				  "0000ffff 00000002 00000000\n"
				  "0000ffff 00000007 00000001 00000000 00000000 00000000 00000000 00000000 "
				  "00000000 00000000 00000000 00000000 000000ff 00000000 00000000\n";
	struct lb_softnet cpus[3];

	lb_softnet_parse(old, cpus, 3);
	assert_int_equal(cpus[0].backlog_dropped, 3);
	assert_int_equal(cpus[0].squeezed, 15);
	assert_int_equal(cpus[1].squeezed, 0);
	assert_int_equal(cpus[2].squeezed, 16);
	lb_softnet_parse(new, cpus, 3);
	assert_int_equal(cpus[0].squeezed, 1);
	assert_int_equal(cpus[2].backlog_dropped, 0);
	lb_softnet_parse("", cpus, 3);
	assert_int_equal(cpus[0].squeezed, 0);
}

static void lists_of_cpus_are_counted(void **state)
{
	bool seen[10] = {};

	assert_int_equal(lb_cpu_list("0-3,8", seen, 10), 5);
	assert_true(seen[0] && seen[3] && seen[8] && !seen[4] && !seen[9]);
	assert_int_equal(lb_cpu_list("7\n", NULL, 0), 1);
	assert_int_equal(lb_cpu_list("", NULL, 0), 0);
	assert_int_equal(lb_cpu_list("3-1", NULL, 0), 0);
	assert_int_equal(lb_cpu_list("0-1000000", seen, 10), 1000001);
}

static void polls_are_classed_by_what_they_bring(void **state)
{
	static const char *const names[LB_POLL_CLASSES] = LB_POLL_CLASS_NAMES;
	static const struct {
		__u32 packets;
		const char *name;
	} cases[] = {
		{ 0, "0" },      { 1, "1" },      { 2, "2-3" },    { 3, "2-3" },  { 4, "4-7" },
		{ 31, "16-31" }, { 32, "32-63" }, { 63, "32-63" }, { 64, "64+" }, { 4000000000u, "64+" }
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(names[lb_poll_class(cases[i].packets)], cases[i].name);
}

static void time_of_cpus_is_read_by_kind(void **state)
{
	static const char before[] = "cpu  30 0 0 900 0 0 20 0 0 0\n"
				     "cpu0 10 1 2 400 5 6 7 8 0 0\n"
				     "cpu2 1 1 1\n"
				     "cpu3 20 0 0 500 9 0 13 0 0 0\n"
				     "intr 12345 cpu1 1 1 1 1 1 1 1 1\n";
	static const char after[] = "cpu  30 0 0 900 0 0 20 0 0 0\n"
				    "cpu0 11 1 2 450 4 6 57 8 0 0\n"
				    "cpu3 20 0 0 500 9 0 13 0";
	struct lb_cpu_time then[4], now[4], passed;

	lb_cpu_time_parse(before, then, 4);
	assert_true(then[0].online && then[3].online && !then[1].online && !then[2].online);
	assert_int_equal(then[3].softirq, 13);
	lb_cpu_time_parse(after, now, 4);
	passed = lb_cpu_time_between(&then[0], &now[0]);
	assert_int_equal(passed.softirq, 50);
	assert_int_equal(passed.iowait, 0); /* it went back by one */
	assert_int_equal(lb_cpu_time_all(&passed), 101);
	assert_false(lb_cpu_time_between(&then[1], &now[1]).online);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes_are_told_apart),
		cmocka_unit_test(the_busiest_is_named_with_its_figures),
		cmocka_unit_test(softnet_stat_is_read_by_cpu),
		cmocka_unit_test(lists_of_cpus_are_counted),
		cmocka_unit_test(polls_are_classed_by_what_they_bring),
		cmocka_unit_test(time_of_cpus_is_read_by_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
