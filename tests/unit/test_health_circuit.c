// SPDX-License-Identifier: GPL-2.0-only
/*
 * The breaker as a table of sentences: what happens, in words, and what the circuit is then. A word is an
 * outcome of a check that begins now (refused), or began some ms ago (timeout<500); a pause in ms (+1000);
 * what the operator says (force, off, auto); lost and found (the next hop); hold and believe (the checker).
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "health/check.h"
#include "health/circuit.h"

static const struct lb_circuit_config config = {
	.rise = 2,
	.fall = 3,
	.rate_percent = 50,
	.window_ms = 10000,
	.min_samples = 8,
	.weight_percent = { [LB_OUTCOME_TIMEOUT] = 100,
			    [LB_OUTCOME_REFUSED] = 100,
			    [LB_OUTCOME_RESET] = 100,
			    [LB_OUTCOME_PROTOCOL] = 50,
			    [LB_OUTCOME_STATUS] = 20 },
	.wait_ms = 1000,
	.wait_max_ms = 8000,
	.first_share = 100,
	.ramp_ms = 1000,
	.dead_after_ms = 5000,
};

struct row {
	const char *what;
	const char *script;
	enum lb_circuit_state state;
	enum lb_state verdict;
	__u32 share;
};

#define OPENED   "refused refused refused "
#define SILENT   "timeout timeout timeout "
#define RETURNED OPENED "+1000 ok ok "
#define CLOSED   LB_CIRCUIT_CLOSED, LB_STATE_ACTIVE, 1000
#define OPEN     LB_CIRCUIT_OPEN, LB_STATE_DRAIN, 0
#define DEAD     LB_CIRCUIT_OPEN, LB_STATE_DOWN, 0
#define HALF(n)  LB_CIRCUIT_HALF_OPEN, LB_STATE_ACTIVE, n

static const struct row rows[] = {
	{ "before the first check it is in use", "", CLOSED },
	{ "one failure opens nothing", "refused", CLOSED },
	{ "two neither", "refused refused", CLOSED },
	{ "as many as fall do", OPENED, OPEN },
	{ "an answer between them starts the count anew", "refused refused ok refused refused", CLOSED },
	{ "different failures count together", "refused timeout status", OPEN },
	{ "no evidence counts neither way", "refused refused none none none", CLOSED },
	{ "no evidence does not interrupt a run", "refused none refused none refused", OPEN },
	{ "to be asked less often is no failure", "limited limited limited limited", CLOSED },

	{ "checks count in the order they began: the old one is late",
	  "ok timeout<900 timeout<800 timeout<700", CLOSED },
	{ "checks count in the order they began: an answer among them", "timeout<900 refused ok<500 refused",
	  CLOSED },
	{ "a late failure completes a run", "refused timeout<1 refused", OPEN },

	{ "failures spread over many answers open by their rate",
	  "ok refused ok refused ok refused ok refused refused", OPEN },
	{ "not below the minimum of samples", "ok refused ok refused ok refused", CLOSED },
	{ "a bad status weighs less in the rate", "ok status ok status ok status ok status ok status status",
	  CLOSED },
	{ "the rate is of the window only", "ok refused ok refused ok refused ok +12000 refused refused",
	  CLOSED },
	{ "an answer opens nothing, whatever the rate", "refused refused ok refused refused ok refused ok ok",
	  CLOSED },

	{ "open: answers before the wait is over change nothing", OPENED "ok ok ok", OPEN },
	{ "open: the wait alone changes nothing", OPENED "+60000", OPEN },
	{ "open: answers, then the wait is over", OPENED "ok ok +1000", HALF(100) },
	{ "open: the wait is over, then answers", OPENED "+1000 ok", OPEN },
	{ "open: as many answers as rise", RETURNED, HALF(100) },
	{ "open: a failure between them", OPENED "+1000 ok refused ok", OPEN },
	{ "open: answers to what began before it opened say nothing", OPENED "+1000 ok<1500 ok<1400 ok<1300",
	  OPEN },
	{ "open: failures after it opened do not matter", OPENED "+1000 refused refused ok ok", HALF(100) },

	{ "half-open: the share is doubled after a good window", RETURNED "ok +1000", HALF(200) },
	{ "half-open: and again", RETURNED "ok +1000 ok +1000 ok +1000", HALF(800) },
	{ "half-open: full is closed", RETURNED "ok +1000 ok +1000 ok +1000 ok +1000", CLOSED },
	{ "half-open: time alone does nothing", RETURNED "+60000", HALF(100) },
	{ "half-open: the answer may come late in a long window", RETURNED "+5000 ok", HALF(200) },
	{ "half-open: a window with a failure is not good", RETURNED "ok refused ok +1000", HALF(100) },
	{ "half-open: the next good one is", RETURNED "ok refused ok +1000 ok +1000", HALF(200) },
	{ "half-open: two failures in a row open again", RETURNED "refused refused", OPEN },
	{ "half-open: what began before opens nothing", RETURNED "+10 refused<500 refused<400 refused<300",
	  HALF(100) },
	{ "failing again waits longer", RETURNED "refused refused +1000 ok ok", OPEN },
	{ "twice as long", RETURNED "refused refused +2000 ok ok", HALF(100) },

	{ "silence drains first", SILENT, OPEN },
	{ "silence that lasts gives up old flows", SILENT "+4000 timeout +1100 timeout", DEAD },
	{ "also when no further check has ended", SILENT "+5000", DEAD },
	{ "silence, then refusal: the host is back, its flows are kept", SILENT "+2000 refused +5000", OPEN },
	{ "refusal keeps old flows for ever", OPENED "+60000 refused", OPEN },
	{ "refusal, then silence: the host has gone too", OPENED "timeout timeout +5000", DEAD },
	{ "given up is not undone by a failed check", SILENT "+5000 refused refused", DEAD },
	{ "given up is undone by the way back", SILENT "+5000 ok ok", HALF(100) },
	{ "a lost next hop gives up old flows at once", SILENT "lost", DEAD },
	{ "a lost next hop does not where the host refuses", OPENED "lost", OPEN },

	{ "forced open", "force", LB_CIRCUIT_FORCED_OPEN, LB_STATE_ACTIVE, 1000 },
	{ "disabled, whatever checks say", OPENED "off", LB_CIRCUIT_DISABLED, LB_STATE_DRAIN, 0 },
	{ "the operator's word erases nothing", OPENED "off auto", OPEN },
	{ "back from forced open, it comes gently", "force auto", HALF(100) },
	{ "back from forced open, open stays open", "force " OPENED "auto", OPEN },

	{ "a doubted checker opens nothing", "hold " OPENED, CLOSED },
	{ "a doubt that passes does not lose failures", "hold " OPENED "believe +1", OPEN },
	{ "what is forgotten does not count", "hold refused refused forget believe refused +1", CLOSED },
	{ "a failure before counts as ever", "refused hold refused refused forget believe +1 refused refused",
	  OPEN },
};

struct world {
	struct lb_circuit circuit;
	__u64 now_ns, held_ns;
	bool hold;
};

static enum lb_outcome outcome_of(const char *word, size_t length)
{
	for (int i = 0; i < LB_OUTCOME_COUNT; i++) {
		if (strlen(lb_outcome_name(i)) == length && memcmp(word, lb_outcome_name(i), length) == 0)
			return i;
	}
	fail_msg("no such outcome: %s", word);
	return LB_OUTCOME_NONE;
}

static void check_ends(struct world *world, const char *word)
{
	const char *ago = strchr(word, '<');
	size_t length = ago ? (size_t)(ago - word) : strlen(word);
	struct lb_result result = { .outcome = outcome_of(word, length) };

	world->now_ns += LB_NS_PER_MS;
	result.begin_ns = world->now_ns - (ago ? strtoull(ago + 1, NULL, 10) * LB_NS_PER_MS : 0);
	result.end_ns = world->now_ns;
	lb_circuit_result(&world->circuit, &config, &result, world->now_ns, world->hold);
}

/* As an owner does: it is told when to tick, and never else. */
static void pause_ms(struct world *world, __u64 ms)
{
	__u64 end = world->now_ns + ms * LB_NS_PER_MS, next;

	while ((next = lb_circuit_next_ns(&world->circuit, &config)) <= end) {
		world->now_ns = next > world->now_ns ? next : world->now_ns;
		if (!lb_circuit_tick(&world->circuit, &config, world->now_ns, world->hold))
			break;
	}
	world->now_ns = end;
	lb_circuit_tick(&world->circuit, &config, world->now_ns, world->hold);
}

static void say(struct world *world, const char *word)
{
	if (word[0] == '+')
		pause_ms(world, strtoull(word + 1, NULL, 10));
	else if (strcmp(word, "lost") == 0)
		world->circuit.nexthop_lost = true, pause_ms(world, 0);
	else if (strcmp(word, "force") == 0)
		lb_circuit_say(&world->circuit, &config, LB_CIRCUIT_FORCE_OPEN, world->now_ns);
	else if (strcmp(word, "off") == 0)
		lb_circuit_say(&world->circuit, &config, LB_CIRCUIT_OFF, world->now_ns);
	else if (strcmp(word, "auto") == 0)
		lb_circuit_say(&world->circuit, &config, LB_CIRCUIT_AUTO, world->now_ns);
	else if (strcmp(word, "hold") == 0)
		world->hold = true, world->held_ns = world->now_ns + 1;
	else if (strcmp(word, "believe") == 0)
		world->hold = false;
	else if (strcmp(word, "forget") == 0)
		lb_circuit_forget(&world->circuit, world->held_ns);
	else
		check_ends(world, word);
}

static void play(struct world *world, const char *script)
{
	char *text = strdup(script), *rest = text, *word;

	*world = (struct world){ .now_ns = 1000000 * LB_NS_PER_MS };
	lb_circuit_init(&world->circuit, &config, world->now_ns, false, 1);
	while ((word = strsep(&rest, " "))) {
		if (*word)
			say(world, word);
	}
	free(text);
}

static void test_sentences(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world world;
		enum lb_state verdict;
		__u32 share;

		play(&world, rows[i].script);
		verdict = lb_circuit_verdict(&world.circuit, &config, world.now_ns, &share);
		if (lb_circuit_state(&world.circuit) != rows[i].state || verdict != rows[i].verdict ||
		    share != rows[i].share)
			fail_msg("%s: %s, %s, %u permille", rows[i].what,
				 lb_circuit_state_name(lb_circuit_state(&world.circuit)),
				 lb_state_name(verdict), share);
	}
}

static void test_wait_grows_to_its_cap_and_shrinks_on_answers_alone(void **state)
{
	static const __u64 waits[] = { 1000, 2000, 4000, 8000, 8000 };
	struct world world;

	play(&world, OPENED);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal((world.circuit.retry_ns - world.circuit.since_ns) / LB_NS_PER_MS, waits[i]);
		pause_ms(&world, waits[i]);
		check_ends(&world, "ok");
		check_ends(&world, "ok");
		assert_int_equal(world.circuit.state, LB_CIRCUIT_HALF_OPEN);
		if (i < 4)
			check_ends(&world, "refused"), check_ends(&world, "refused");
	}
	for (int i = 0; i < 4; i++)
		check_ends(&world, "ok"), pause_ms(&world, 1000);
	assert_int_equal(world.circuit.state, LB_CIRCUIT_CLOSED);
	pause_ms(&world, 1000000);
	assert_int_equal(world.circuit.level, 5);
	check_ends(&world, "ok");
	assert_int_equal(world.circuit.level, 4);
	check_ends(&world, "ok");
	assert_int_equal(world.circuit.level, 4);
}

static void test_waits_of_a_fleet_differ(void **state)
{
	struct lb_circuit_config jittered = config;
	__u64 least = UINT64_MAX, most = 0;

	jittered.jitter_percent = 20;
	for (__u64 seed = 0; seed < 100; seed++) {
		struct lb_circuit circuit;
		__u64 wait;

		lb_circuit_init(&circuit, &jittered, 1, false, seed);
		for (__u64 i = 2; i < 5; i++) {
			struct lb_result result = { i, i, LB_OUTCOME_REFUSED };

			lb_circuit_result(&circuit, &jittered, &result, i, false);
		}
		wait = (circuit.retry_ns - circuit.since_ns) / LB_NS_PER_MS;
		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	assert_in_range(least, 800, 850);
	assert_in_range(most, 1150, 1200);
}

static void test_flows_of_one_that_refuses_are_given_up_if_asked_for(void **state)
{
	struct lb_circuit_config bounded = config;
	struct lb_circuit circuit;
	struct lb_result result = { .outcome = LB_OUTCOME_REFUSED };
	__u64 now = 1000000 * LB_NS_PER_MS, opened;

	bounded.drain_max_ms = 20000;
	lb_circuit_init(&circuit, &bounded, now, false, 1);
	for (unsigned int i = 0; i < config.fall; i++) {
		result.begin_ns = result.end_ns = now += LB_NS_PER_MS;
		lb_circuit_result(&circuit, &bounded, &result, now, false);
	}
	assert_int_equal(circuit.state, LB_CIRCUIT_OPEN);
	opened = circuit.since_ns;
	assert_int_equal(lb_circuit_next_ns(&circuit, &bounded), opened + 20000 * LB_NS_PER_MS);
	assert_false(lb_circuit_tick(&circuit, &bounded, opened + 19999 * LB_NS_PER_MS, false));
	/* One that answers again keeps them. */
	result.outcome = LB_OUTCOME_OK;
	result.begin_ns = result.end_ns = opened + 500 * LB_NS_PER_MS;
	lb_circuit_result(&circuit, &bounded, &result, result.end_ns, false);
	assert_false(lb_circuit_tick(&circuit, &bounded, opened + 20000 * LB_NS_PER_MS, false));
	result.outcome = LB_OUTCOME_STATUS;
	result.begin_ns = result.end_ns = opened + 20001 * LB_NS_PER_MS;
	assert_true(lb_circuit_result(&circuit, &bounded, &result, result.end_ns, false));
	assert_true(circuit.dead);
	assert_int_equal(lb_circuit_next_ns(&circuit, &bounded), UINT64_MAX);
}

static void test_slow_start_is_of_added_backends(void **state)
{
	struct lb_circuit_config slow = config;
	struct lb_circuit circuit;
	__u64 now = 1;
	__u32 share;

	slow.slow_start_ms = 10000;
	lb_circuit_init(&circuit, &slow, now, false, 1);
	lb_circuit_verdict(&circuit, &slow, now, &share);
	assert_int_equal(share, 1000);
	lb_circuit_init(&circuit, &slow, now, true, 1);
	for (__u32 step = 1; step <= 10; step++) {
		lb_circuit_verdict(&circuit, &slow, now, &share);
		assert_int_equal(share, step * 100);
		now += 1000 * LB_NS_PER_MS + 1;
	}
	lb_circuit_tick(&circuit, &slow, now, false);
	assert_int_equal(lb_circuit_next_ns(&circuit, &slow), UINT64_MAX);
}

static void test_texts_say_why(void **state)
{
	char text[LB_CIRCUIT_TEXT_MAX];
	struct world world;

	play(&world, OPENED);
	assert_string_equal(lb_circuit_text(&world.circuit, text), "refused, 3 checks in a row");
	play(&world, SILENT "+5000");
	assert_string_equal(lb_circuit_text(&world.circuit, text),
			    "timeout, 3 checks in a row; old flows given up");
	play(&world, RETURNED);
	assert_string_equal(lb_circuit_text(&world.circuit, text), "coming back: 10.0 % of its weight");
	play(&world, "ok");
	assert_string_equal(lb_circuit_text(&world.circuit, text), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_wait_grows_to_its_cap_and_shrinks_on_answers_alone),
		cmocka_unit_test(test_waits_of_a_fleet_differ),
		cmocka_unit_test(test_flows_of_one_that_refuses_are_given_up_if_asked_for),
		cmocka_unit_test(test_slow_start_is_of_added_backends),
		cmocka_unit_test(test_texts_say_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
