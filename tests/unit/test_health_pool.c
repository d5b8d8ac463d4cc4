// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools as a table of sentences. A pool is written one backend a word: its weight, then letters for its tier
 * (a: 0, b: 1, c: 2), and for what is wrong with it: x open, X given up, h half-open at 10 %, s suspected on
 * passive evidence. What is said of it: 1000 and so on: the share; - drain; ! down.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "health/circuit.h"
#include "health/pool.h"

static const struct lb_pool_config all = { .spill_percent = 50,
					   .floor_percent = 20,
					   .max_ejected_percent = 50 };
static const struct lb_pool_config none = { .spill_percent = 50,
					    .floor_percent = 20,
					    .max_ejected_percent = 50,
					    .when_all_fail = LB_WHEN_ALL_FAIL_NONE };
static const struct lb_pool_config at_last = { .spill_percent = 50, .max_ejected_percent = 50 };

struct row {
	const char *what;
	const struct lb_pool_config *config;
	const char *pool, *says;
	__u32 tiers;
};

static const struct row rows[] = {
	{ "an empty pool", &all, "", "", 0 },
	{ "all well", &all, "100a 100a", "1000 1000", 1 },
	{ "one is open", &all, "100a 100ax", "1000 -", 1 },
	{ "one is given up", &all, "100a 100aX", "1000 !", 1 },
	{ "one comes back", &all, "100a 100ah", "1000 100", 1 },
	{ "one of five is left: enough", &all, "1a 1ax 1ax 1ax 1ax", "1000 - - - -", 1 },
	{ "one of six is left: its death would be next", &all, "1a 1ax 1ax 1ax 1ax 1aX",
	  "1000 1000 1000 1000 1000 1000", 1 },
	{ "none is left", &all, "1ax 1aX", "1000 1000", 1 },
	{ "none is left, and nobody is to serve then", &none, "1ax 1aX", "- !", 0 },
	{ "a floor of zero waits for the last death", &at_last, "1a 1ax 1ax 1ax 1ax 1ax", "1000 - - - - -",
	  1 },
	{ "a lone one that comes back does not get everything", &all, "1ah 1ax 1ax", "1000 1000 1000", 1 },
	{ "weight counts, not number", &all, "10a 10ax 10ax 1000a", "1000 - - 1000", 1 },
	{ "without weight there is nothing to lose", &all, "0ax 0a", "- 1000", 0 },

	{ "tiers: the first alone", &all, "1a 1a 1b 1b", "1000 1000 - -", 1 },
	{ "tiers: half of the first is enough", &all, "1a 1ax 1b 1b", "1000 - - -", 1 },
	{ "tiers: less is not: the second gives what is missing", &all, "1a 1ax 1ax 1ax 1b 1b",
	  "1000 - - - 500 500", 3 },
	{ "tiers: half-open counts by its share", &all, "1ah 1ah 1b 1b", "100 100 500 500", 3 },
	{ "tiers: the first is gone", &all, "1ax 1ax 1b 1b", "- - 500 500", 2 },
	{ "tiers: the second is too small", &all, "10ax 1b 10c", "- 1000 500", 6 },
	{ "tiers: the second is gone, too", &all, "1ax 1bx 1c 1c", "- - 250 250", 4 },
	{ "tiers: a first tier that nobody is in", &all, "1b 1c", "1000 -", 2 },
	{ "tiers: nothing is left anywhere", &all, "1ax 1bx", "1000 -", 1 },
	{ "tiers: a share is never nothing", &all, "49a 51ax 1000b", "1000 - 125", 3 },

	{ "passive: within the limit", &all, "1as 1a 1a 1a", "- 1000 1000 1000", 1 },
	{ "passive: the limit is counted after the ejection", &all, "1as 1as 1as 1a", "- - 1000 1000", 1 },
	{ "passive: of weight", &all, "60as 40a", "1000 1000", 1 },
	{ "passive: does not limit failed checks", &all, "1ax 1ax 1ax 1a", "- - - 1000", 1 },
};

static size_t read_pool(const char *text, struct lb_pool_member *members)
{
	size_t n = 0;

	while (*text) {
		struct lb_pool_member *member = &members[n++];
		char *end;

		*member =
			(struct lb_pool_member){ .weight = strtoul(text, &end, 10), .share = LB_SHARE_FULL };
		for (text = end; *text && *text != ' '; text++) {
			if (*text >= 'a' && *text <= 'c')
				member->tier = *text - 'a';
			else if (*text == 'x' || *text == 'X')
				member->state = *text == 'x' ? LB_STATE_DRAIN : LB_STATE_DOWN;
			else if (*text == 'h')
				member->share = 100;
			else
				member->suspect = true;
		}
		text += *text == ' ';
	}
	return n;
}

static void write_pool(const struct lb_pool_member *members, size_t n, char *text)
{
	text[0] = 0;
	for (size_t i = 0; i < n; i++) {
		text += sprintf(text, "%s", i ? " " : "");
		if (members[i].ret_state == LB_STATE_ACTIVE)
			text += sprintf(text, "%u", members[i].ret_share);
		else
			text += sprintf(text, "%s", members[i].ret_state == LB_STATE_DRAIN ? "-" : "!");
	}
}

static void test_sentences(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lb_pool_member members[16] = {};
		struct lb_pool_summary summary;
		size_t n = read_pool(rows[i].pool, members);
		char says[256];

		lb_pool_resolve(rows[i].config, members, n, &summary);
		write_pool(members, n, says);
		if (strcmp(says, rows[i].says) != 0 || summary.tiers != rows[i].tiers)
			fail_msg("%s: %s, tiers %#x", rows[i].what, says, summary.tiers);
	}
}

static void test_reasons_are_said(void **state)
{
	struct lb_pool_member members[16] = {};
	struct lb_pool_summary summary;
	size_t n = read_pool("1ax 1ax 1ax 1b", members);

	lb_pool_resolve(&all, members, n, &summary);
	assert_int_equal(members[0].ret_reason, LB_POOL_OWN);
	assert_int_equal(members[3].ret_reason, LB_POOL_OWN);
	assert_false(summary.all_fail);
	n = read_pool("1a 1b", members);
	lb_pool_resolve(&all, members, n, &summary);
	assert_int_equal(members[1].ret_reason, LB_POOL_TIER);
	n = read_pool("1ax 1ax", members);
	lb_pool_resolve(&all, members, n, &summary);
	assert_int_equal(members[1].ret_reason, LB_POOL_ALL_FAIL);
	assert_true(summary.all_fail);
}

static void test_which_tiers_serve_is_said_in_a_sentence(void **state)
{
	static const struct {
		const struct lb_pool_config *config;
		const char *pool, *says;
	} sentences[] = {
		{ &all, "", "no backend has a weight" },
		{ &all, "0a", "no backend has a weight" },
		{ &all, "1a 1a 1b", "tier 0 has 2 of 2 of its weight, at least 50 %: it is enough" },
		{ &all, "1a 1ax 1b", "tier 0 has 1 of 2 of its weight, at least 50 %: it is enough" },
		{ &all, "1a 1ax 1ax 1b 1b",
		  "tier 0 has 1 of 3 of its weight, less than 50 %: tier 1 gives what is missing" },
		{ &all, "10ax 1b 10c",
		  "tier 0 has 0 of 10 of its weight, less than 50 %: tier 1 and 2 give what is missing" },
		{ &all, "2a 3ax",
		  "tier 0 has 2 of 5 of its weight, less than 50 %: no other tier can give what is missing" },
		{ &all, "1b 1c", "tier 1 has 1 of 1 of its weight, at least 50 %: it is enough" },
		{ &all, "1ax 1aX",
		  "0 of 2 of the pool's weight can serve, less than 20 %: all serve as if they were "
		  "healthy" },
		{ &none, "1a 9ax",
		  "1 of 10 of the pool's weight can serve, less than 20 %: what is left serves" },
	};

	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		struct lb_pool_member members[16];
		size_t n = read_pool(sentences[i].pool, members);
		struct lb_pool_summary summary;
		char text[LB_POOL_TEXT_MAX];

		lb_pool_resolve(sentences[i].config, members, n, &summary);
		assert_string_equal(lb_pool_text(sentences[i].config, &summary, text), sentences[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_reasons_are_said),
		cmocka_unit_test(test_which_tiers_serve_is_said_in_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
