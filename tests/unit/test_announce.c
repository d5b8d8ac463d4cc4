// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VIPs are announced, as a table of sentences; and how a balancer leaves its fleet, under virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "announce/announce.h"

#define W LB_ANNOUNCE_WITHDRAWN
#define S LB_ANNOUNCE_SERVING
#define D LB_ANNOUNCE_DRAINING

static const struct sentence {
	const char *text;
	enum lb_announce_state before, after;
	struct lb_announce_host host;
	struct lb_announce_service services[2];
	size_t n;
} sentences[] = {
	{ "what nobody asks to be announced is withdrawn", S, W, { .attached = true }, {}, 0 },
	{ "one active backend is enough by default", W, S, { .attached = true }, { { 1, 1 } }, 1 },
	{ "fewer than min_active are not", S, W, { .attached = true }, { { 1, 2 } }, 1 },
	{ "min_active 0 still wants one that is active", W, W, { .attached = true }, { { 0, 0 } }, 1 },
	{ "without XDP nothing is announced", S, W, { .attached = false }, { { 3, 1 } }, 1 },
	{ "an empty service keeps what was announced", S, S, { .attached = true }, { { 0, 1 } }, 1 },
	{ "but starts no announcement", W, W, { .attached = true }, { { 0, 1 } }, 1 },
	{ "unless it is told to withdraw",
	  S,
	  W,
	  { .attached = true },
	  { { 0, 1, LB_ON_EMPTY_WITHDRAW } },
	  1 },
	{ "any of two services is enough",
	  W,
	  S,
	  { .attached = true },
	  { { 0, 1, LB_ON_EMPTY_WITHDRAW }, { 1, 1 } },
	  2 },
	{ "all of two are asked for, one serves",
	  S,
	  W,
	  { .attached = true, .serve_if = LB_SERVE_IF_ALL },
	  { { 0, 1, LB_ON_EMPTY_WITHDRAW }, { 1, 1 } },
	  2 },
	{ "all of two are asked for, the other is empty and keeps",
	  S,
	  S,
	  { .attached = true, .serve_if = LB_SERVE_IF_ALL },
	  { { 0, 1 }, { 1, 1 } },
	  2 },
	{ "all of two are asked for, both serve",
	  W,
	  S,
	  { .attached = true, .serve_if = LB_SERVE_IF_ALL },
	  { { 2, 1 }, { 1, 1 } },
	  2 },
	{ "who is leaving says so",
	  S,
	  D,
	  { .attached = true, .member = LB_FLEET_DRAINING },
	  { { 1, 1 } },
	  1 },
	{ "who is leaving and empty says so as well",
	  S,
	  D,
	  { .attached = true, .member = LB_FLEET_DRAINING },
	  { { 0, 1 } },
	  1 },
	{ "who is leaving and cannot serve is withdrawn",
	  D,
	  W,
	  { .attached = true, .member = LB_FLEET_DRAINING },
	  { { 1, 2 } },
	  1 },
	{ "who has withdrawn announces nothing",
	  D,
	  W,
	  { .attached = true, .member = LB_FLEET_WITHDRAWN },
	  { { 5, 1 } },
	  1 },
	{ "who has left announces nothing",
	  W,
	  W,
	  { .attached = true, .member = LB_FLEET_LEFT },
	  { { 5, 1 } },
	  1 },
	{ "who joins again serves", W, S, { .attached = true }, { { 5, 1 } }, 1 },
};

static void decides(void **state)
{
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		const struct sentence *s = &sentences[i];
		struct lb_announce_vip vip = { .state = s->before };
		__u64 again;
		bool changed = lb_announce_decide(&vip, &s->host, s->services, s->n, 1000, &again);

		if (vip.state != s->after || changed != (s->before != s->after) || !vip.why)
			fail_msg("%s: %s, changed %d", s->text, lb_announce_state_name(vip.state), changed);
	}
}

static void holds_down_what_flaps(void **state)
{
	struct lb_announce_host host = { .attached = true, .hold_down_ms = 5000 };
	struct lb_announce_service good = { 1, 1 }, bad = { 0, 1, LB_ON_EMPTY_WITHDRAW };
	struct lb_announce_vip vip = {};
	__u64 again;

	assert_true(lb_announce_decide(&vip, &host, &good, 1, 1000, &again));
	assert_true(lb_announce_decide(&vip, &host, &bad, 1, 2000, &again));
	assert_int_equal(again, 0);
	assert_false(lb_announce_decide(&vip, &host, &good, 1, 6999, &again));
	assert_int_equal(again, 7000);
	assert_true(lb_announce_decide(&vip, &host, &good, 1, 7000, &again));
	assert_int_equal(vip.state, S);
	/* Leaving and joining is no flapping: nothing is held down. */
	host.member = LB_FLEET_WITHDRAWN;
	assert_true(lb_announce_decide(&vip, &host, &good, 1, 8000, &again));
	host.member = LB_FLEET_JOINED;
	assert_true(lb_announce_decide(&vip, &host, &good, 1, 8001, &again));
	assert_int_equal(vip.state, S);
}

static const struct lb_leave_limits limits = {
	.drain_ms = 10000, .settle_ms = 900000, .quiet_ms = 5000, .withdrawn_ms = 60000
};

static void leaves_when_settled_and_quiet(void **state)
{
	struct lb_leave leave = {};

	assert_false(lb_leave_step(&leave, &limits, 0, 0, 500000));
	assert_int_equal(leave.member, LB_FLEET_JOINED);
	lb_leave_begin(&leave, 1000);
	assert_int_equal(leave.member, LB_FLEET_DRAINING);
	assert_false(lb_leave_step(&leave, &limits, 0, 10, 10999)); /* peers need their time */
	assert_false(lb_leave_step(&leave, &limits, 3, 20, 11000)); /* slots are unsettled */
	assert_true(lb_leave_step(&leave, &limits, 0, 30, 50000));
	assert_int_equal(leave.member, LB_FLEET_WITHDRAWN);
	assert_false(leave.gave_up);
	assert_false(lb_leave_step(&leave, &limits, 0, 31, 54000)); /* a packet */
	assert_false(lb_leave_step(&leave, &limits, 0, 31, 58999));
	assert_true(lb_leave_step(&leave, &limits, 0, 31, 59000));
	assert_int_equal(leave.member, LB_FLEET_LEFT);
	assert_false(leave.gave_up);
	lb_leave_begin(&leave, 60000); /* left is left */
	assert_int_equal(leave.member, LB_FLEET_LEFT);
	assert_false(lb_leave_step(&leave, &limits, 0, 99, 990000));
	lb_leave_join(&leave, 990001);
	assert_int_equal(leave.member, LB_FLEET_JOINED);
}

static void leaves_in_bounded_time(void **state)
{
	struct lb_leave leave = {};
	__u64 now = 1000, packets = 0;

	lb_leave_begin(&leave, now);
	for (; leave.member == LB_FLEET_DRAINING; now += 1000) {
		bool changed = lb_leave_step(&leave, &limits, 7, ++packets, now);

		assert_int_equal(changed, leave.member == LB_FLEET_WITHDRAWN);
	}
	assert_true(leave.gave_up);
	assert_int_equal(now, 1000 + 900000 + 1000);
	while (leave.member == LB_FLEET_WITHDRAWN)
		lb_leave_step(&leave, &limits, 7, ++packets, now += 1000);
	assert_true(leave.gave_up);
	assert_true(now <= 1000 + 900000 + 60000 + 2000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides),
		cmocka_unit_test(holds_down_what_flaps),
		cmocka_unit_test(leaves_when_settled_and_quiet),
		cmocka_unit_test(leaves_in_bounded_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
