// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operator's words as a list, and what clocks that jump do to those that end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "intent/intent.h"

#define NOW 1000

static void say(struct lb_words *words, const char *backend, enum lb_word_key key, __u32 value, __s64 until_s)
{
	struct lb_word word = { .service = "web", .key = key, .value = value, .until_s = until_s, .pid = 12 };

	strcpy(word.backend, backend);
	strcpy(word.reason, "disk");
	assert_int_equal(lb_words_set(words, &word), 0);
}

/* The wall clock is set while words run, and while the agent is away. */
static void test_clocks_that_jump(void **state)
{
	struct lb_clock clock = {};
	struct lb_words words = {};

	(void)state;
	assert_int_equal(lb_clock_jump_s(&clock, 5000, 100), 0);
	assert_int_equal(lb_clock_jump_s(&clock, 6000, 1100), 0);
	assert_int_equal(lb_clock_jump_s(&clock, 8999, 2100), 0); /* slewed */
	assert_int_equal(lb_clock_jump_s(&clock, 3600000 + 9999, 3100), 3600);
	assert_int_equal(lb_clock_jump_s(&clock, 3600000 + 10999, 4100), 0);
	assert_int_equal(lb_clock_jump_s(&clock, 999, 5100), -3611);
	/* A suspended machine: both clocks went on. */
	assert_int_equal(lb_clock_jump_s(&clock, 999 + 7200000, 5100 + 7200000), 0);

	say(&words, "b0", LB_WORD_STATE, LB_STATE_DRAIN, NOW + 30);
	words.all[0].since_s = NOW;
	say(&words, "b1", LB_WORD_STATE, LB_STATE_DRAIN, 0);
	words.all[1].since_s = NOW;
	lb_words_move(&words, 3600);
	assert_int_equal(words.all[0].since_s, NOW + 3600);
	assert_int_equal(words.all[0].until_s, NOW + 3630);
	assert_int_equal(words.all[1].since_s, NOW);
	assert_int_equal(words.all[1].until_s, 0);
	/* After a boot into the past it lasts 30 s more, not an hour and 30 s. */
	lb_words_bound(&words, NOW);
	assert_int_equal(words.all[0].until_s, NOW + 30);
	/* Into the future it may be over. */
	lb_words_bound(&words, NOW + 29);
	assert_int_equal(words.all[0].until_s, NOW + 30);
	/* A clock that starts at 1970: what can be recorded stays so, and the rest of the time is kept. */
	lb_words_move(&words, -NOW);
	assert_int_equal(words.all[0].since_s, 0);
	assert_int_equal(words.all[0].until_s, 30);
	lb_words_move(&words, -29);
	lb_words_move(&words, -29);
	assert_int_equal(words.all[0].since_s, 0);
	assert_int_equal(words.all[0].until_s, 1);
	lb_words_done(&words);
}

/* Words keep their order, whatever the order in which they come; the last one on a thing counts. */
static void test_words(void **state)
{
	struct lb_words copy;
	struct lb_words words = {};
	size_t n;

	(void)state;
	for (int i = 99; i >= 0; i--) {
		char name[8];

		snprintf(name, sizeof(name), "n%02d", i);
		say(&words, name, LB_WORD_WEIGHT, i, 0);
		say(&words, name, LB_WORD_STATE, LB_STATE_DRAIN, 0);
	}
	say(&words, "n50", LB_WORD_WEIGHT, 1234, NOW);
	assert_int_equal(words.n, 200);
	assert_int_equal(lb_words_find(&words, "web", "n50", LB_WORD_WEIGHT)->value, 1234);
	assert_int_equal(lb_words_of(&words, "web", "n50", &n)[0].key, LB_WORD_STATE);
	assert_int_equal(n, 2);
	assert_null(lb_words_find(&words, "web", "n50", LB_WORD_BREAKER));
	assert_null(lb_words_find(&words, "wea", "n50", LB_WORD_STATE));
	lb_words_of(&words, "web", "n5", &n);
	assert_int_equal(n, 0);
	assert_int_equal(lb_words_copy(&words, &copy), 0);
	assert_true(lb_words_equal(&copy, &words));
	copy.all[7].reason[0] = 'D';
	assert_false(lb_words_equal(&copy, &words));
	lb_words_done(&copy);
	/* A word that is there may be set from where it is. */
	assert_int_equal(lb_words_set(&words, &words.all[3]), 0);
	assert_int_equal(words.n, 200);
	lb_words_done(&words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks_that_jump),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
