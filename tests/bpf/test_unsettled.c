/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Choosing a backend: settled slots, and every way through an unsettled one (docs/architecture.md). Slots are
 * set by hand.
 */
#include "unsettled.h"

/* Every place of the table holds a flow of somebody else. */
static void fill_table(struct rig *rig, __u32 state, __u32 age_s)
{
	for (__u32 i = 0; i < RIG_BUCKETS * LB_FLOWS_PER_BUCKET; i++) {
		struct lb_flow *flow =
			&rig->path.tables.flows[i / LB_FLOWS_PER_BUCKET].flow[i % LB_FLOWS_PER_BUCKET];

		flow->tag = i + 1;
		flow->word = lb_flow_word(FIRST, state, i, 999, CLOCK_S - age_s);
	}
}

static void settled_slots_remember_nothing(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, TCP_SERVICE);
	rig->path.tables.control->clock_s = CLOCK_S;
	set_slots(rig, SECOND, SECOND, 0);
	for (int sport = 1; sport < 200; sport++) {
		GOES_TO(rig, packet(sport, TCP_SYN), SECOND);
		GOES_TO(rig, packet(sport, TCP_ACK), SECOND);
		GOES_TO(rig, packet(sport, TCP_FIN | TCP_ACK), SECOND);
	}
	assert_int_equal(remembered(rig, NULL), 0);
	assert_int_equal(newest_stamp(rig), 0);
}

static void old_flows_go_to_base_and_leave_a_stamp(void **state)
{
	struct rig *rig = *state;
	__u64 word = 0;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(rig->last.base, 1);
	assert_int_equal(newest_stamp(rig), CLOCK_S);
	assert_int_equal(remembered(rig, &word), 1);
	assert_int_equal(lb_flow_state(word), LB_FLOW_ONCE);
	assert_int_equal(lb_flow_backend(word), FIRST);
	/* What stays consistent over time is remembered as one that lives. */
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(rig->last.known, 1);
	remembered(rig, &word);
	assert_int_equal(lb_flow_state(word), LB_FLOW_ESTABLISHED);
	GOES_TO(rig, packet(4000, TCP_FIN | TCP_ACK), FIRST);
	GOES_TO(rig, packet(4000, TCP_RST), FIRST);
	GOES_TO(rig, packet(4000, TCP_SYN | TCP_ACK), FIRST);
}

/* Every ring has stamps of its own, wherever it lies in the tables. */
static void stamps_lie_beside_their_own_ring(void **state)
{
	struct rig *rig = *state;
	char services[2048];

	snprintf(services, sizeof(services),
		 "{'name':'first','vip':'203.0.113.9','protocol':'tcp','port':80,'ring_size':64,"
		 "'backends':[{'name':'b','address':'10.0.1.9'}]},%s",
		 TCP_SERVICE);
	moving(rig, services);
	assert_int_not_equal(lb_vip_ring_line(rig_vip(rig, "web")), 0);
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(newest_stamp(rig), CLOCK_S);
	assert_int_equal(newest_stamp_of(rig, "first"), 0);
}

/* There are fewer stamps than slots: those of a ring behind them are the ones of the first chunk. */
static void stamps_of_a_ring_behind_them(void **state)
{
	struct rig *rig = *state;
	struct lb_ring_line *rings = rig->path.tables.rings;
	__u32 line;
	struct lb_vip *vip;

	moving(rig, TCP_SERVICE);
	vip = rig_vip(rig, "web");
	line = lb_vip_ring_line(vip);
	memcpy(&rings[line + LB_CHUNK_LINES], &rings[line], 64 / LB_SLOTS_PER_LINE * sizeof(*rings));
	lb_vip_place(vip, line + LB_CHUNK_LINES, vip->backend_first);
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(newest_stamp(rig), CLOCK_S);
}

static void new_flows_go_to_cur_and_are_remembered(void **state)
{
	struct rig *rig = *state;
	__u64 word = 0;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	assert_int_equal(rig->last.syn, 1);
	assert_int_equal(rig->last.base + rig->last.known + rig->last.refused, 0);
	assert_int_equal(remembered(rig, &word), 1);
	assert_int_equal(lb_flow_state(word), LB_FLOW_EMBRYONIC);
	assert_int_equal(lb_flow_backend(word), SECOND);
	assert_int_equal(lb_flow_age_s(word, CLOCK_S), 0);
	assert_int_equal(newest_stamp(rig), 0);

	/* Again: where it went before, one entry. */
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	assert_int_equal(rig->last.known, 1);
	rig->path.tables.control->clock_s = CLOCK_S + 7;
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
	assert_int_equal(remembered(rig, &word), 1);
	assert_int_equal(lb_flow_state(word), LB_FLOW_ESTABLISHED);
	assert_int_equal(lb_flow_age_s(word, CLOCK_S + 7), 0);
	GOES_TO(rig, packet(4000, TCP_FIN | TCP_ACK), SECOND);
	remembered(rig, &word);
	assert_true(only_rest(rig) & LB_NUMBERS_FIN);
	/* The client opens the next connection of the same ports: it chooses anew. */
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	assert_int_equal(rig->last.known, 0);
	assert_int_equal(remembered(rig, &word), 2);
	/* The other flow is still old. */
	GOES_TO(rig, packet(4001, TCP_ACK), FIRST);
}

/* A -> B, flows open on B; then back to A: those of B stay, the slot's halves are equal again. */
static void entries_that_disagree_win_over_a_slot_that_moved_back(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	set_slots(rig, FIRST, FIRST, LB_SLOT_UNSETTLED);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
	/* Unknown ones have nowhere else to go: nothing to remember. */
	GOES_TO(rig, packet(4001, TCP_SYN), FIRST);
	GOES_TO(rig, packet(4002, TCP_ACK), FIRST);
	assert_int_equal(remembered(rig, NULL), 1);
	assert_int_equal(newest_stamp(rig), 0);
}

static void full_table_refuses_and_falls_back_to_base(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	fill_table(rig, LB_FLOW_ESTABLISHED, 60000);
	for (int sport = 1; sport < 40; sport++) {
		GOES_TO(rig, packet(sport, TCP_SYN), FIRST);
		assert_int_equal(rig->last.refused, 1);
		GOES_TO(rig, packet(sport, TCP_ACK), FIRST);
	}
	assert_int_equal(remembered(rig, NULL), RIG_BUCKETS * LB_FLOWS_PER_BUCKET);
	fill_table(rig, LB_FLOW_ESTABLISHED, 100);
	GOES_TO(rig, packet(1, TCP_SYN), FIRST);
	assert_int_equal(rig->last.refused, 1);
}

/* A SYN flood fills the table with handshakes that nobody completes: they make room, within their grace not.
 */
static void handshakes_make_room_after_their_grace(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	fill_table(rig, LB_FLOW_EMBRYONIC, LB_FLOW_EMBRYONIC_GRACE_S);
	GOES_TO(rig, packet(4000, TCP_SYN), FIRST);
	assert_int_equal(rig->last.refused, 1);
	fill_table(rig, LB_FLOW_EMBRYONIC, LB_FLOW_EMBRYONIC_GRACE_S + 1);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	assert_int_equal(rig->last.refused, 0);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
	assert_int_equal(remembered(rig, NULL), RIG_BUCKETS * LB_FLOWS_PER_BUCKET);
}

static void udp_learns_old_flows_while_the_window_is_open(void **state)
{
	struct rig *rig = *state;
	__u64 word = 0;

	moving(rig, UDP_SERVICE);
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING);
	GOES_TO(rig, datagram(4000), FIRST);
	assert_int_equal(remembered(rig, &word), 1);
	assert_int_equal(lb_flow_backend(word), FIRST);
	GOES_TO(rig, datagram(4000), FIRST);
	assert_int_equal(rig->last.known, 1);
	/* The window closes: unknown flows are new, known ones stay. */
	set_slots(rig, SECOND, SECOND, LB_SLOT_UNSETTLED);
	GOES_TO(rig, datagram(4000), FIRST);
	GOES_TO(rig, datagram(4001), SECOND);
	assert_int_equal(remembered(rig, NULL), 1);
}

static void udp_without_a_window_is_old(void **state)
{
	struct rig *rig = *state;

	moving(rig, UDP_SERVICE);
	GOES_TO(rig, datagram(4000), FIRST);
	assert_int_equal(rig->last.base, 1);
	assert_int_equal(remembered(rig, NULL), 0);
}

static void full_table_while_learning(void **state)
{
	struct rig *rig = *state;

	moving(rig, UDP_SERVICE);
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING);
	fill_table(rig, LB_FLOW_ESTABLISHED, 1);
	GOES_TO(rig, datagram(4000), FIRST);
	assert_int_equal(rig->last.refused, 1);
}

/* An entry that names a dead backend is void: the flow is treated as unknown, its place is used again. */
static void entry_of_a_dead_backend(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB(ipip, tcp, "'10.0.1.1','10.0.1.2','10.0.1.3'"));
	rig->path.tables.control->clock_s = CLOCK_S;
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	rig_backend(rig, "web", SECOND)->flags |= LB_BACKEND_DEAD;
	set_slots(rig, 2, FIRST, LB_SLOT_UNSETTLED);
	GOES_TO(rig, packet(4000, TCP_RST), FIRST);
	assert_int_equal(rig->last.known, 0);
	/* The client tries again. */
	assert_int_equal(remembered(rig, NULL), 1);
	GOES_TO(rig, packet(4000, TCP_SYN), 2);
	assert_int_equal(rig->last.known, 0);
	assert_int_equal(remembered(rig, NULL), 1);
	GOES_TO(rig, packet(4000, TCP_ACK), 2);
	assert_int_equal(rig->last.known, 1);
	/* Of no record at all. */
	rig_backend(rig, "web", 2)->flags = 0;
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(remembered(rig, NULL), 1);
}

/* An index beyond the service's backends may be a record of another service: never sent there. */
static void entry_of_an_index_beyond_the_service(void **state)
{
	struct rig *rig = *state;
	struct lb_flow_bucket *flows = rig->path.tables.flows;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	*rig_backend(rig, "web", 2) = *rig_backend(rig, "web", SECOND);
	for (__u32 i = 0; i < RIG_BUCKETS * LB_FLOWS_PER_BUCKET; i++) {
		__u64 *word = &flows[i / LB_FLOWS_PER_BUCKET].flow[i % LB_FLOWS_PER_BUCKET].word;

		if (lb_flow_state(*word))
			*word = (*word & ~(__u64)LB_INDEX_MASK) | 2;
	}
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(rig->last.known, 0);
}

static void no_owner(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	set_slots(rig, NONE, NONE, 0);
	expect_drop(rig, packet(4000, TCP_SYN), NO_BACKEND);
	expect_drop(rig, packet(4000, TCP_ACK), NO_BACKEND);
	/* All drain: old flows go on, new ones have nowhere to go. */
	set_slots(rig, NONE, FIRST, LB_SLOT_UNSETTLED);
	expect_drop(rig, packet(4000, TCP_SYN), NO_BACKEND);
	GOES_TO(rig, packet(4001, TCP_ACK), FIRST);
	assert_int_equal(remembered(rig, NULL), 1);
	/* The first one after an empty pool: there are no old flows. */
	set_slots(rig, SECOND, NONE, LB_SLOT_UNSETTLED);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	expect_drop(rig, packet(4003, TCP_ACK), NO_BACKEND);
	/* Out of room as well. */
	fill_table(rig, LB_FLOW_ESTABLISHED, 1);
	expect_drop(rig, packet(4002, TCP_SYN), NO_BACKEND);
}

static void ipv6_flows(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, WEB6(ipip, tcp, "'fd00::1','fd00::2'"));
	rig->path.tables.control->clock_s = CLOCK_S;
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED);
	GOES_TO(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80, .flags = TCP_SYN)), SECOND);
	GOES_TO(rig, frame(ETH(), IP6(CLIENT6, VIP6), TCP(4000, 80)), SECOND);
	GOES_TO(rig, frame(ETH(), IP6("2001:db8:c::8", VIP6), TCP(4000, 80)), FIRST);
	assert_int_equal(remembered(rig, NULL), 2);
}

/* Many flows at once: each is found again, none is taken for another. */
static void as_many_as_fit(void **state)
{
	struct rig *rig = *state;
	bool kept[200] = {};
	unsigned int n = 0;

	moving(rig, TCP_SERVICE);
	for (int i = 0; i < 200; i++) {
		rig_run(rig, packet(1000 + i, TCP_SYN));
		kept[i] = !rig->last.refused;
		n += kept[i];
		assert_int_equal(rig_backend_taken(rig), kept[i] ? 2 : 1);
	}
	assert_int_equal(remembered(rig, NULL), n);
	assert_true(n > 150); /* of 256 places */
	for (int i = 0; i < 200; i++)
		GOES_TO(rig, packet(1000 + i, TCP_ACK), kept[i] ? SECOND : FIRST);
}

/* The engine's own change: drain one of two while flows are open. */
static void drain_through_the_engine(void **state)
{
	struct rig *rig = *state;
	__u8 before[100];

	rig_services(rig, TCP_SERVICE);
	rig_tick(rig, 100);
	for (int i = 0; i < 100; i++) {
		rig_run(rig, packet(1000 + i, TCP_SYN));
		before[i] = rig_backend_taken(rig);
	}
	rig_change(rig,
		   "{'name':'web','vip':'" VIP4 "','protocol':'tcp','port':80,'ring_size':64,'backends':["
		   "{'name':'b1','address':'10.0.1.1','state':'drain'},{'name':'b2','address':'10.0.1.2'}]}");
	for (int i = 0; i < 100; i++) {
		GOES_TO(rig, packet(1000 + i, TCP_ACK), before[i] - 1u);
		GOES_TO(rig, packet(2000 + i, TCP_SYN), SECOND);
		GOES_TO(rig, packet(2000 + i, TCP_ACK), SECOND);
	}
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(settled_slots_remember_nothing),
	RIG_TEST(old_flows_go_to_base_and_leave_a_stamp),
	RIG_TEST(stamps_lie_beside_their_own_ring),
	RIG_TEST(stamps_of_a_ring_behind_them),
	RIG_TEST(new_flows_go_to_cur_and_are_remembered),
	RIG_TEST(entries_that_disagree_win_over_a_slot_that_moved_back),
	RIG_TEST(full_table_refuses_and_falls_back_to_base),
	RIG_TEST(handshakes_make_room_after_their_grace),
	RIG_TEST(udp_learns_old_flows_while_the_window_is_open),
	RIG_TEST(udp_without_a_window_is_old),
	RIG_TEST(full_table_while_learning),
	RIG_TEST(entry_of_a_dead_backend),
	RIG_TEST(entry_of_an_index_beyond_the_service),
	RIG_TEST(no_owner),
	RIG_TEST(ipv6_flows),
	RIG_TEST(as_many_as_fit),
	RIG_TEST(drain_through_the_engine),
};

RIG_MAIN(tests, rig_setup)
