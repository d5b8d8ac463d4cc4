/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unsettled slots while somebody forges segments: he knows addresses and ports, not sequence numbers, and
 * moves, ends and holds up nothing (docs/flow-table.md). Likewise clients that behave oddly.
 */
#include "unsettled.h"

#define ISN    1000000u
#define FORGED 3000000000u
#define SERVER 77u

static const struct frame *tcp(int flags, __u32 seq, __u32 ack, int bytes)
{
	return frame(ETH(), IP4(CLIENT4, VIP4), TCP(4000, 80, .flags = flags, .seq = seq, .ack = ack),
		     DATA(bytes));
}

/* A handshake of the client's, to the new owner. */
static void connect_to(struct rig *rig, __u32 index)
{
	GOES_TO(rig, tcp(TCP_SYN, ISN, 0, 0), index);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 0), index);
}

/* Marks of all entries together. */
static __u64 marks(const struct rig *rig)
{
	__u64 rest = 0;

	for (__u32 i = 0; i < RIG_BUCKETS * LB_FLOWS_PER_BUCKET; i++)
		rest |= rig->path.tables.flows[i / LB_FLOWS_PER_BUCKET]
				.flow[i % LB_FLOWS_PER_BUCKET]
				.numbers.rest;
	return rest & (LB_NUMBERS_FIN | LB_NUMBERS_RST);
}

static void a_forged_syn_before_between_and_after_a_handshake(void **state)
{
	struct rig *rig = *state;

	/* Before: the client's own goes to base with all that follows. */
	moving(rig, TCP_SERVICE);
	GOES_TO(rig, tcp(TCP_SYN, FORGED, 0, 0), SECOND);
	connect_to(rig, FIRST);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 100), FIRST);
	/* Completed by him, it is as before. */
	GOES_TO(rig, tcp(TCP_ACK, FORGED + 1, 5, 0), SECOND);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 101, SERVER, 100), FIRST);

	/* Between. */
	moving(rig, TCP_SERVICE);
	GOES_TO(rig, tcp(TCP_SYN, ISN, 0, 0), SECOND);
	for (__u32 i = 0; i < 40; i++) {
		rig_run(rig, tcp(TCP_SYN, FORGED + i * 1000000, 0, 0));
		rig_run(rig, tcp(TCP_ACK, FORGED + i * 1000000 + 1, 5, 0));
	}
	GOES_TO(rig, tcp(TCP_SYN, ISN, 0, 0), SECOND);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 0), SECOND);

	/* After. */
	for (__u32 i = 0; i < 40; i++)
		rig_run(rig, tcp(TCP_SYN, FORGED + i * 1000000, 0, 0));
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 100), SECOND);
}

static void an_old_connection_beside_forged_ones(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, tcp(TCP_SYN, FORGED, 0, 0), SECOND);
	GOES_TO(rig, tcp(TCP_ACK, FORGED + 1, 5, 0), SECOND);
	GOES_TO(rig, tcp(TCP_ACK, ISN, SERVER, 100), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 100, SERVER, 100), FIRST);
	assert_int_equal(rig->last.known, 1);
	/* A forger who sends his way over the other's numbers takes nothing that is in order. */
	for (__u32 seq = FORGED + 1; seq - (FORGED + 1) < 20000000; seq += 1400)
		rig_run(rig, tcp(TCP_ACK, seq, 5, 1400));
	GOES_TO(rig, tcp(TCP_ACK, ISN + 200, SERVER, 100), FIRST);
	/* A late duplicate of its SYN, from before all this. */
	rig_run(rig, tcp(TCP_SYN, ISN - 1, 0, 0));
	GOES_TO(rig, tcp(TCP_ACK, ISN + 300, SERVER, 100), FIRST);
}

static void a_late_duplicate_of_the_opening_syn(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	connect_to(rig, SECOND);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 1000), SECOND);
	set_slots(rig, FIRST, FIRST, LB_SLOT_UNSETTLED);
	GOES_TO(rig, tcp(TCP_SYN, ISN, 0, 0), SECOND);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1001, SERVER, 0), SECOND);
	assert_int_equal(remembered(rig, NULL), 1);
}

static void forged_ends_end_nothing(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	connect_to(rig, SECOND);
	rig->path.tables.control->clock_s = CLOCK_S + 9;
	for (__u32 i = 1; i < 200; i++) {
		rig_run(rig, tcp(TCP_RST, ISN + 1 + i, 0, 0));
		rig_run(rig, tcp(TCP_RST | TCP_ACK, ISN + 1 - i, SERVER, 0));
		rig_run(rig, tcp(TCP_RST, ISN + 1 + (i << 20), 5, 0));
		rig_run(rig, tcp(TCP_FIN | TCP_ACK, ISN + 1 + i * 100, 0x70000000, 0));
		rig_run(rig, tcp(TCP_SYN | TCP_RST, ISN, 0, 0));
		rig_run(rig, tcp(TCP_SYN | TCP_FIN, ISN, 0, 0));
		rig_run(rig, tcp(TCP_SYN | TCP_ACK, ISN, SERVER, 0));
		rig_run(rig, tcp(0, ISN + 1, SERVER, 0));
		rig_run(rig, tcp(TCP_FIN, ISN + 1, SERVER, 0));
	}
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 0), SECOND);
	assert_int_equal(marks(rig), 0);
	/* Exactly the next number: the one thing that does. */
	GOES_TO(rig, tcp(TCP_RST, ISN + 1, 0, 0), SECOND);
	assert_true(marks(rig) & LB_NUMBERS_RST);
}

static void a_syn_with_rst_or_fin_is_no_syn(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	for (int i = 0; i < 2; i++) {
		GOES_TO(rig, tcp(TCP_SYN | (i ? TCP_RST : TCP_FIN), ISN, 0, 0), FIRST);
		GOES_TO(rig, tcp(TCP_SYN | (i ? TCP_RST : TCP_FIN) | TCP_ACK, ISN, 0, 0), FIRST);
	}
	assert_int_equal(remembered(rig, NULL), 0);
	assert_int_equal(newest_stamp(rig), 0);
}

static void a_half_closed_client_and_the_next_connection_of_its_port(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	/* An old one asks, closes its side, and waits. */
	GOES_TO(rig, tcp(TCP_ACK, ISN, SERVER, 100), FIRST);
	GOES_TO(rig, tcp(TCP_FIN | TCP_ACK, ISN + 100, SERVER, 0), FIRST);
	assert_true(marks(rig) & LB_NUMBERS_FIN);
	/* Somebody opens another, whoever it is, whatever its number. */
	GOES_TO(rig, tcp(TCP_SYN, ISN - 5000, 0, 0), SECOND);
	GOES_TO(rig, tcp(TCP_ACK, ISN - 4999, 9, 0), SECOND);
	/* The answer that the first waits for comes. */
	for (__u32 i = 0; i < 100; i++)
		GOES_TO(rig, tcp(TCP_ACK, ISN + 101, SERVER + i * 60000, 0), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, ISN - 4999, 9, 500), SECOND);
}

static void a_port_that_is_used_again_and_again(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	for (__u32 life = 0; life < 60; life++) {
		__u32 isn = ISN + life * 78125000u, owner = life ? SECOND : FIRST;

		rig->path.tables.control->clock_s = CLOCK_S + life * 5;
		if (life)
			GOES_TO(rig, tcp(TCP_SYN, isn, 0, 0), owner);
		GOES_TO(rig, tcp(TCP_ACK, isn + 1, SERVER, 0), owner);
		GOES_TO(rig, tcp(TCP_ACK, isn + 1, SERVER, 300), owner);
		GOES_TO(rig, tcp(TCP_FIN | TCP_ACK, isn + 301, SERVER + 2000, 0), owner);
		GOES_TO(rig, tcp(TCP_ACK, isn + 302, SERVER + 2001, 0), owner);
	}
	assert_int_equal(remembered(rig, NULL), LB_FLOW_LIVES);
}

static void without_a_mark_the_next_connection_goes_to_base_with_all_that_follows(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	connect_to(rig, SECOND);
	GOES_TO(rig, tcp(TCP_SYN, FORGED, 0, 0), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, FORGED + 1, 5, 0), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, FORGED + 1, 5, 500), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 1, SERVER, 10), SECOND);
	/* Also where the slot has moved back, and both halves are the same. */
	set_slots(rig, FIRST, FIRST, LB_SLOT_UNSETTLED);
	GOES_TO(rig, tcp(TCP_SYN, ISN + 5000, 0, 0), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 5001, 6, 0), FIRST);
	GOES_TO(rig, tcp(TCP_ACK, ISN + 11, SERVER, 10), SECOND);
}

/* Segments of no connection fill the table: a handshake takes the place of one. */
static void what_was_seen_once_refuses_no_handshake(void **state)
{
	struct rig *rig = *state;

	moving(rig, TCP_SERVICE);
	for (int sport = 10000; sport < 12000; sport++) {
		rig_run(rig, packet(sport, TCP_ACK));
		assert_int_equal(rig_backend_taken(rig), FIRST + 1);
	}
	for (int sport = 4000; sport < 4030; sport++) {
		GOES_TO(rig, packet(sport, TCP_SYN), SECOND);
		assert_int_equal(rig->last.refused, 0);
		GOES_TO(rig, packet(sport, TCP_ACK), SECOND);
		assert_int_equal(rig->last.known, 1);
	}
}

static void datagrams_that_find_no_room_leave_no_stamp(void **state)
{
	struct rig *rig = *state;

	moving(rig, UDP_SERVICE);
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING);
	for (int sport = 10000; sport < 12000; sport++)
		rig_run(rig, datagram(sport));
	assert_int_equal(rig->last.refused, 1);
	assert_int_equal(newest_stamp(rig), 0);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(a_forged_syn_before_between_and_after_a_handshake),
	RIG_TEST(an_old_connection_beside_forged_ones),
	RIG_TEST(a_late_duplicate_of_the_opening_syn),
	RIG_TEST(forged_ends_end_nothing),
	RIG_TEST(a_syn_with_rst_or_fin_is_no_syn),
	RIG_TEST(a_half_closed_client_and_the_next_connection_of_its_port),
	RIG_TEST(a_port_that_is_used_again_and_again),
	RIG_TEST(without_a_mark_the_next_connection_goes_to_base_with_all_that_follows),
	RIG_TEST(what_was_seen_once_refuses_no_handshake),
	RIG_TEST(datagrams_that_find_no_room_leave_no_stamp),
};

RIG_MAIN(tests, rig_setup)
