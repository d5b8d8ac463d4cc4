// SPDX-License-Identifier: GPL-2.0-only
/*
 * When lb-kubed lists and when it watches, under virtual time; and objects out of streams.
 */
#include "kube_fixture.h"

#include "kube/split.h"
#include "kube/watch.h"

struct fixture {
	struct lb_kube_watch watch;
	__u64 now;
};

static void setup(struct fixture *f)
{
	f->now = 5000;
	lb_kube_watch_init(&f->watch, 42);
}

static void expect_query(struct fixture *f, const char *expected)
{
	char *query = NULL;

	assert_int_equal(lb_kube_watch_query(&f->watch, &query), 0);
	assert_string_equal(query, expected);
	free(query);
}

/* Time passes until something is to be done. */
static enum lb_kube_watch_turn next(struct fixture *f)
{
	enum lb_kube_watch_turn turn = lb_kube_watch_turn(&f->watch, f->now);

	while (turn == LB_KUBE_TURN_NOTHING) {
		assert_true(lb_kube_watch_due_ms(&f->watch) > f->now);
		f->now = lb_kube_watch_due_ms(&f->watch);
		turn = lb_kube_watch_turn(&f->watch, f->now);
	}
	return turn;
}

static void end(struct fixture *f, struct lb_kube_ending ending)
{
	lb_kube_watch_ended(&f->watch, &ending, f->now);
}

/* To the point where a watch runs. */
static void begin(struct fixture *f)
{
	assert_int_equal(next(f), LB_KUBE_TURN_LIST);
	assert_int_equal(lb_kube_watch_page(&f->watch, "100", "", f->now), 0);
	assert_int_equal(next(f), LB_KUBE_TURN_WATCH);
}

static void test_pages_then_a_watch_from_the_list(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	expect_query(&f, "limit=500");
	assert_int_equal(lb_kube_watch_page(&f.watch, "90", "to/ken=", f.now), 0);
	assert_false(f.watch.listed);
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	expect_query(&f, "limit=500&continue=to%2Fken%3D");
	assert_int_equal(lb_kube_watch_page(&f.watch, "not a number", NULL, f.now), 0);
	assert_true(f.watch.listed);
	assert_int_equal(next(&f), LB_KUBE_TURN_WATCH);
	expect_query(&f,
		     "watch=1&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion=not%20a%20number");
	assert_int_equal(f.now, 5000);
	lb_kube_watch_done(&f.watch);
}

static void test_a_watch_that_said_something_goes_on_from_there(void **state)
{
	struct fixture f;

	setup(&f);
	begin(&f);
	assert_int_equal(lb_kube_watch_event(&f.watch, "101", f.now), 0);
	f.now += 600000;
	end(&f, (struct lb_kube_ending){ .status = 200 });
	assert_int_equal(lb_kube_watch_turn(&f.watch, f.now), LB_KUBE_TURN_WATCH);
	expect_query(&f, "watch=1&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion=101");
	/* Broken off in the middle: another server may answer, which knows less. */
	assert_int_equal(lb_kube_watch_event(&f.watch, "102", f.now), 0);
	end(&f, (struct lb_kube_ending){ .status = 0 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	lb_kube_watch_done(&f.watch);
}

static void test_there_is_a_list_once_an_hour(void **state)
{
	struct fixture f;
	int watches = 0;

	setup(&f);
	begin(&f);
	do {
		watches++;
		assert_int_equal(lb_kube_watch_event(&f.watch, "101", f.now), 0);
		f.now += 600000;
		end(&f, (struct lb_kube_ending){ .status = 200 });
	} while (next(&f) == LB_KUBE_TURN_WATCH);
	assert_int_equal(watches, 6);
	lb_kube_watch_done(&f.watch);
}

static void test_a_watch_that_said_nothing_is_followed_by_a_list(void **state)
{
	struct fixture f;

	setup(&f);
	begin(&f);
	f.now += 600000;
	end(&f, (struct lb_kube_ending){ .status = 200 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	expect_query(&f, "limit=500");
	lb_kube_watch_done(&f.watch);
}

static void test_a_silent_stream_is_ended_and_followed_by_a_list(void **state)
{
	struct fixture f;
	__u64 heard;

	setup(&f);
	begin(&f);
	f.now += 60000;
	assert_int_equal(lb_kube_watch_event(&f.watch, "101", f.now), 0);
	heard = f.now;
	assert_int_equal(next(&f), LB_KUBE_TURN_ABORT);
	assert_int_equal(f.now - heard, lb_kube_watch_limits.silence_ms);
	end(&f, (struct lb_kube_ending){ .silent = true });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	assert_int_equal(f.watch.counts.silent, 1);
	lb_kube_watch_done(&f.watch);
}

static void test_410_as_a_status_and_as_an_event(void **state)
{
	struct fixture f;

	setup(&f);
	begin(&f);
	end(&f, (struct lb_kube_ending){ .status = 410 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	/* In the middle of the pages: from the first one. */
	assert_int_equal(lb_kube_watch_page(&f.watch, "1", "token", f.now), 0);
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	end(&f, (struct lb_kube_ending){ .status = 410 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	expect_query(&f, "limit=500");
	assert_int_equal(lb_kube_watch_page(&f.watch, "200", "", f.now), 0);
	assert_int_equal(next(&f), LB_KUBE_TURN_WATCH);
	/* As an event, after others. */
	assert_int_equal(lb_kube_watch_event(&f.watch, "201", f.now), 0);
	end(&f, (struct lb_kube_ending){ .status = 410 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	assert_int_equal(f.watch.counts.gone, 3);
	lb_kube_watch_done(&f.watch);
}

static void test_what_is_not_understood_is_read_anew(void **state)
{
	struct fixture f;

	setup(&f);
	begin(&f);
	assert_int_equal(lb_kube_watch_event(&f.watch, "101", f.now), 0);
	end(&f, (struct lb_kube_ending){ .status = 200, .bad = true });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	lb_kube_watch_done(&f.watch);
}

static void test_work_is_bounded_whatever_fails(void **state)
{
	struct fixture f;
	__u64 begin_ms;
	int requests = 0;

	setup(&f);
	begin_ms = f.now;
	/* Lists succeed, and every watch is gone at once. */
	while (f.now - begin_ms < 600000) {
		requests++;
		if (next(&f) == LB_KUBE_TURN_LIST)
			assert_int_equal(lb_kube_watch_page(&f.watch, "1", "", f.now), 0);
		else
			end(&f, (struct lb_kube_ending){ .status = 410 });
	}
	assert_in_range(requests, 60, 300);
	lb_kube_watch_done(&f.watch);
}

static void test_a_watch_that_stood_is_no_failure_any_more(void **state)
{
	struct fixture f;
	__u64 before;

	setup(&f);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
		end(&f, (struct lb_kube_ending){ .status = 500 });
	}
	begin(&f);
	f.now += 20000;
	before = f.now;
	end(&f, (struct lb_kube_ending){ .status = 0 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	assert_in_range(f.now - before, 50, 100);
	lb_kube_watch_done(&f.watch);
}

static void test_waits_grow_to_a_cap_and_differ(void **state)
{
	__u64 one = 1, two = 2;
	__u32 wait = 0;
	bool differ = false;

	assert_int_equal(lb_kube_backoff_ms(0, 100, 30000, &one), 0);
	for (unsigned int failures = 1; failures < 40; failures++) {
		wait = lb_kube_backoff_ms(failures, 100, 30000, &one);
		assert_in_range(wait,
				failures < 10 ? 50u << (failures - 1) > 15000 ? 15000 : 50u << (failures - 1)
					      : 15000,
				30000);
		differ |= wait != lb_kube_backoff_ms(failures, 100, 30000, &two);
	}
	assert_true(differ);
}

static void test_retry_after(void **state)
{
	struct fixture f;
	__u64 before;

	setup(&f);
	begin(&f);
	before = f.now;
	end(&f, (struct lb_kube_ending){ .status = 429, .retry_after_s = 7 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	assert_in_range(f.now - before, 7000, 7500);
	/* Whoever says a day is not believed. */
	before = f.now;
	end(&f, (struct lb_kube_ending){ .status = 503, .retry_after_s = 86400 });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	assert_in_range(f.now - before, 300000, 300500);
	lb_kube_watch_done(&f.watch);
}

static void test_a_silent_page_is_ended(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	f.now += 50000;
	lb_kube_watch_alive(&f.watch, f.now);
	assert_int_equal(next(&f), LB_KUBE_TURN_ABORT);
	end(&f, (struct lb_kube_ending){ .silent = true });
	assert_int_equal(next(&f), LB_KUBE_TURN_LIST);
	lb_kube_watch_done(&f.watch);
}

/* --- objects out of streams ------------------------------------------------------------------------------
 */

static char seen[1024];

static int collect(void *context, char *text, size_t length)
{
	assert_int_equal(strlen(text), length);
	strcat(strcat(seen, text), ";");
	return 0;
}

static int feed_by(struct lb_kube_split *split, const char *text, size_t step)
{
	int r = 0;

	seen[0] = 0;
	for (size_t at = 0; at < strlen(text) && r == 0; at += step)
		r = lb_kube_split_feed(split, text + at, strlen(text + at) < step ? strlen(text + at) : step);
	return r;
}

static void test_items_of_a_list(void **state)
{
	static const char text[] = "{\"kind\":\"L\",\"metadata\":{\"continue\":\"x\",\"items\":[1]},"
				   "\"items\": [ {\"a\":\"}]\\\"{\"} ,\n{\"items\":[{}]}],\"z\":\"items\"}\n";
	struct lb_kube_split split = { .list = true, .object = collect };

	for (size_t step = 1; step < sizeof(text); step++) {
		assert_int_equal(feed_by(&split, text, step), 0);
		assert_string_equal(seen, "{\"a\":\"}]\\\"{\"};{\"items\":[{}]};");
		assert_true(lb_kube_split_whole(&split));
		assert_string_equal(
			lb_kube_split_rest(&split),
			"{\"kind\":\"L\",\"metadata\":{\"continue\":\"x\",\"items\":[1]},\"items\": [],"
			"\"z\":\"items\"}");
		lb_kube_split_reset(&split);
	}
	lb_kube_split_done(&split);
}

static void test_events_of_a_watch(void **state)
{
	struct lb_kube_split split = { .object = collect };

	assert_int_equal(
		feed_by(&split, "{\"type\":\"ADDED\",\"object\":{\"a\":[{}]}}\n{\"b\":1}{\"half\"", 3), 0);
	assert_string_equal(seen, "{\"type\":\"ADDED\",\"object\":{\"a\":[{}]}};{\"b\":1};");
	assert_false(lb_kube_split_whole(&split));
	lb_kube_split_done(&split);
}

static void bad_stream(bool list, const char *text)
{
	struct lb_kube_split split = { .list = list, .object = collect };

	if (feed_by(&split, text, strlen(text)) != -EBADMSG && lb_kube_split_whole(&split))
		fail_msg("taken: %s", text);
	lb_kube_split_done(&split);
}

static void test_streams_that_are_none(void **state)
{
	bad_stream(false, "<html>no</html>");
	bad_stream(true, "<html>no</html>");
	bad_stream(true, "[]");
	bad_stream(true, "{}{}");
	bad_stream(false, "}");
	bad_stream(true, "{\"items\":[3]}");
	bad_stream(true, "{\"items\":[\"a\"]}");
	bad_stream(true, "{\"items\":[{}");
	bad_stream(true, "");
}

static void test_an_object_too_large(void **state)
{
	struct lb_kube_split split = { .object = collect };
	size_t n = LB_KUBE_OBJECT_BYTES_MAX + 100;
	char *text = malloc(n);

	memset(text, 'x', n);
	memcpy(text, "{\"a\":\"", 6);
	assert_int_equal(lb_kube_split_feed(&split, text, n), -EMSGSIZE);
	free(text);
	lb_kube_split_done(&split);
}

static void test_depth_is_bounded(void **state)
{
	struct lb_kube_split split = { .object = collect };
	char text[2000];

	memset(text, '[', sizeof(text));
	memcpy(text, "{\"a\":", 5);
	assert_int_equal(lb_kube_split_feed(&split, text, sizeof(text)), -EBADMSG);
	lb_kube_split_done(&split);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_then_a_watch_from_the_list),
		cmocka_unit_test(test_a_watch_that_said_something_goes_on_from_there),
		cmocka_unit_test(test_there_is_a_list_once_an_hour),
		cmocka_unit_test(test_a_watch_that_said_nothing_is_followed_by_a_list),
		cmocka_unit_test(test_a_silent_stream_is_ended_and_followed_by_a_list),
		cmocka_unit_test(test_410_as_a_status_and_as_an_event),
		cmocka_unit_test(test_what_is_not_understood_is_read_anew),
		cmocka_unit_test(test_work_is_bounded_whatever_fails),
		cmocka_unit_test(test_a_watch_that_stood_is_no_failure_any_more),
		cmocka_unit_test(test_waits_grow_to_a_cap_and_differ),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_a_silent_page_is_ended),
		cmocka_unit_test(test_items_of_a_list),
		cmocka_unit_test(test_events_of_a_watch),
		cmocka_unit_test(test_streams_that_are_none),
		cmocka_unit_test(test_an_object_too_large),
		cmocka_unit_test(test_depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
