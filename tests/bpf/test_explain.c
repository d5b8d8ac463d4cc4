/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb_explain says. That it does as the packet path and changes nothing, the rig checks of every packet
 * of all tests; here are the ways to a decision, one by one.
 */
#include "unsettled.h"

static struct lb_decision decide(struct rig *rig, const struct frame *in)
{
	static struct result result;
	struct lb_decision decision;

	rig_explain(rig, in, &result, &decision);
	return decision;
}

static void settled(void **state)
{
	struct rig *rig = *state;
	struct lb_decision decision;

	rig_services(rig, TCP_SERVICE);
	decision = decide(rig, packet(4000, TCP_ACK));
	assert_int_equal(decision.decided, LB_DECIDED_SLOT | LB_DECIDED_INDEX);
	assert_int_equal(decision.generation, LB_ACTIVE_GENERATION(rig->path.tables.control->active));
	assert_int_equal(decision.service, rig_vip(rig, "web")->service);
	assert_int_equal(decision.slot, decision.hash & 63);
	assert_int_equal(decision.word, *rig_slot(rig, "web", decision.slot));
	assert_int_equal(decision.index, lb_slot_cur(decision.word));
	assert_int_equal(decision.how, LB_HOW_SETTLED);
	assert_int_equal(decision.backend, rig_backend(rig, "web", decision.index)->counter);
	assert_int_equal(decision.reason, LB_REASON_NONE);
}

static void unsettled(void **state)
{
	struct rig *rig = *state;
	const struct frame *none;
	struct lb_decision decision;

	moving(rig, TCP_SERVICE);
	decision = decide(rig, packet(4000, TCP_SYN));
	assert_int_equal(decision.how, LB_HOW_NEW);
	assert_int_equal(decision.index, SECOND);
	decision = decide(rig, packet(4000, TCP_ACK));
	assert_int_equal(decision.how, LB_HOW_BASE);
	assert_int_equal(decision.index, FIRST);
	assert_int_equal(remembered(rig, NULL), 0);
	assert_int_equal(newest_stamp(rig), 0);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	rig->path.tables.control->clock_s = CLOCK_S + 9;
	decision = decide(rig, packet(4000, TCP_FIN | TCP_ACK));
	assert_int_equal(decision.how, LB_HOW_KNOWN);
	assert_int_equal(decision.index, SECOND);
	assert_int_equal(decision.flow, SECOND);
	assert_true(decision.decided & LB_DECIDED_FLOW);
	/* Whoever asks and knows no sequence numbers. */
	none = frame_with16(frame_with16(packet(4000, TCP_ACK), 38, 0), 40, 0);
	decision = decide(rig, none);
	assert_int_equal(decision.how, LB_HOW_KNOWN);
	assert_int_equal(decision.index, SECOND);
}

/* The flow's entry names a backend that is dead: it is told, and that it decides nothing. */
static void void_entry(void **state)
{
	struct rig *rig = *state;
	struct lb_decision decision;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	rig_backend(rig, "web", SECOND)->flags |= LB_BACKEND_DEAD;
	decision = decide(rig, packet(4000, TCP_ACK));
	assert_true(decision.decided & LB_DECIDED_FLOW);
	assert_int_equal(decision.flow, SECOND);
	assert_int_equal(decision.how, LB_HOW_BASE);
	assert_int_equal(decision.index, FIRST);
}

static void nobody(void **state)
{
	struct rig *rig = *state;
	struct lb_decision decision;

	rig_services(rig, TCP_SERVICE);
	decision = decide(rig, frame(ETH(), IP4(CLIENT4, "203.0.113.99"), TCP(4000, 80)));
	assert_int_equal(decision.service, LB_DECISION_NOBODY);
	assert_int_equal(decision.decided, 0);
	assert_int_equal(decision.reason, LB_PASS_NO_SERVICE);
	set_slots(rig, NONE, NONE, 0);
	decision = decide(rig, packet(4000, TCP_SYN));
	assert_int_equal(decision.index, LB_INDEX_NONE);
	assert_int_equal(decision.backend, LB_DECISION_NOBODY);
	assert_int_equal(decision.reason, LB_DROP_NO_BACKEND);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(settled),
	RIG_TEST(unsettled),
	RIG_TEST(void_entry),
	RIG_TEST(nobody),
};

RIG_MAIN(tests, rig_setup)
