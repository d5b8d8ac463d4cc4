// SPDX-License-Identifier: GPL-2.0-only
/*
 * The search for a path's MTU, against paths that are narrow, lossy, silent, or change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/path_search.h"

#define FLOOR 552
#define MOST  9000

struct path {
	__u16 mtu;          /* 0: nobody answers */
	unsigned int lost;  /* percent of what fits, besides */
	unsigned int asked; /* in all */
	__u64 now_ms;
};

/* Until it rests. True: something was found. */
static bool search_once(struct lb_path_search *search, struct path *path)
{
	bool found = false;
	__u16 bytes;

	for (int i = 0; i < 200 && (bytes = lb_path_search_ask(search, FLOOR, MOST, path->now_ms)); i++) {
		bool answered = bytes <= path->mtu && (unsigned int)rand() % 100 >= path->lost;

		path->asked++;
		path->now_ms += answered ? 1 : LB_PATH_SEARCH_TIMEOUT_MS;
		found |= lb_path_search_heard(search, answered, path->now_ms);
	}
	assert_int_equal(lb_path_search_ask(search, FLOOR, MOST, path->now_ms), 0);
	return found;
}

static void every_width_is_found(void **state)
{
	for (unsigned int mtu = FLOOR; mtu <= MOST + 10; mtu++) {
		struct lb_path_search search = {};
		struct path path = { .mtu = (__u16)mtu };

		assert_true(search_once(&search, &path));
		assert_int_equal(search.found, mtu < MOST ? mtu : MOST);
		assert_in_range(path.asked, 2, 60);
	}
}

static void a_wide_path_costs_two_packets_and_one_a_minute(void **state)
{
	struct lb_path_search search = {};
	struct path path = { .mtu = MOST };

	assert_true(search_once(&search, &path));
	assert_int_equal(path.asked, 2);
	path.now_ms += LB_PATH_SEARCH_AGAIN_MS - 10;
	assert_int_equal(lb_path_search_ask(&search, FLOOR, MOST, path.now_ms), 0);
	path.now_ms += 10;
	assert_true(search_once(&search, &path));
	assert_int_equal(path.asked, 3);
}

static void silence_says_nothing(void **state)
{
	struct lb_path_search search = {};
	struct path path = {};

	for (int i = 0; i < 20; i++) {
		assert_false(search_once(&search, &path));
		assert_int_equal(search.found, 0);
		path.now_ms += LB_PATH_SEARCH_AGAIN_MS;
	}
	assert_int_equal(path.asked, 20 * 3);
}

/* Whoever answers no more in the middle of a search has no narrow path. */
static void an_outage_is_no_narrow_path(void **state)
{
	for (unsigned int end = 1; end < 40; end++) {
		struct lb_path_search search = {};
		struct path path = { .mtu = 1400 };
		__u16 bytes;

		for (unsigned int i = 0;
		     i < 200 && (bytes = lb_path_search_ask(&search, FLOOR, MOST, path.now_ms)); i++) {
			path.now_ms += 100;
			lb_path_search_heard(&search, i < end && bytes <= path.mtu, path.now_ms);
		}
		assert_true(search.found == 0 || search.found == 1400);
	}
}

static void losses_do_not_narrow_it_for_long(void **state)
{
	unsigned int wrong = 0;

	srand(1);
	for (int i = 0; i < 1000; i++) {
		struct lb_path_search search = {};
		struct path path = { .mtu = 1450, .lost = 5 };

		search_once(&search, &path);
		wrong += search.found && search.found != 1450;
	}
	assert_in_range(wrong, 0, 10);
}

static void a_path_that_changes_is_searched_again(void **state)
{
	struct lb_path_search search = {};
	struct path path = { .mtu = MOST };

	search_once(&search, &path);
	path.mtu = 1400;
	path.now_ms += LB_PATH_SEARCH_AGAIN_MS;
	assert_true(search_once(&search, &path));
	assert_int_equal(search.found, 1400);
	/* Wider again: noticed in ten minutes, or when somebody says so. */
	path.mtu = MOST;
	for (unsigned int i = 0; i < LB_PATH_SEARCH_WIDER_MS / LB_PATH_SEARCH_AGAIN_MS - 1; i++) {
		path.now_ms += LB_PATH_SEARCH_AGAIN_MS;
		search_once(&search, &path);
		assert_int_equal(search.found, 1400);
	}
	path.now_ms += LB_PATH_SEARCH_AGAIN_MS;
	search_once(&search, &path);
	assert_int_equal(search.found, MOST);
	path.mtu = 1300;
	lb_path_search_again(&search);
	search_once(&search, &path);
	assert_int_equal(search.found, 1300);
}

static void other_bounds_begin_another_search(void **state)
{
	struct lb_path_search search = {};
	struct path path = { .mtu = 1400 };

	search_once(&search, &path);
	assert_int_equal(lb_path_search_ask(&search, FLOOR, 1500, path.now_ms), FLOOR);
	assert_int_equal(search.found, 0);
	assert_int_equal(lb_path_search_ask(&search, 1280, 1200, path.now_ms), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_width_is_found),
		cmocka_unit_test(a_wide_path_costs_two_packets_and_one_a_minute),
		cmocka_unit_test(silence_says_nothing),
		cmocka_unit_test(an_outage_is_no_narrow_path),
		cmocka_unit_test(losses_do_not_narrow_it_for_long),
		cmocka_unit_test(a_path_that_changes_is_searched_again),
		cmocka_unit_test(other_bounds_begin_another_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
