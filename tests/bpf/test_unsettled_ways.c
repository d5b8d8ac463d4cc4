/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unsettled slots by the less common ways: flows that do not live in their home bucket, places that only look
 * like the flow's, the shortest packets, packets in every form that the programs parse by other code, and
 * services that the fast path is too narrow for.
 */
#include "unsettled.h"

/* The flow of this port lives in the bucket behind its home, which others fill. Its place. */
static struct lb_flow *crowd_out(struct rig *rig, int sport)
{
	struct lb_flow_bucket *flows = rig->path.tables.flows;
	__u32 home, place;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(sport, TCP_SYN), SECOND);
	place = only_place(rig);
	home = place / LB_FLOWS_PER_BUCKET;
	flows[(home + 1) % RIG_BUCKETS].flow[2] = flows[home].flow[place % LB_FLOWS_PER_BUCKET];
	for (__u64 i = 0; i < LB_FLOWS_PER_BUCKET; i++)
		flows[home].flow[i] =
			(struct lb_flow){ i + 1, lb_flow_word(FIRST, LB_FLOW_ESTABLISHED, 1, 999, CLOCK_S) };
	return &flows[(home + 1) % RIG_BUCKETS].flow[2];
}

/* It is found there whatever its home holds by then, as long as that is not EMPTY. */
static void found_behind_home(struct rig *rig, int sport)
{
	static const __u64 in_between[] = { LB_FLOW_TOMB, LB_FLOW_TOMB_OLD, LB_FLOW_BUSY };
	struct lb_flow *place = crowd_out(rig, sport);
	struct lb_flow_bucket *home = &rig->path.tables.flows[place->tag % RIG_BUCKETS];

	GOES_TO(rig, packet(sport, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
	assert_int_equal(lb_flow_state(place->word), LB_FLOW_ESTABLISHED);
	for (unsigned int i = 0; i < 3; i++) {
		home->flow[i].word = in_between[i];
		GOES_TO(rig, packet(sport, TCP_ACK), SECOND);
		assert_int_equal(rig->last.known, 1);
		/* Nor does a SYN put it there a second time. */
		GOES_TO(rig, packet(sport, TCP_SYN), SECOND);
		assert_int_equal(rig->last.known, 1);
		assert_int_equal(remembered(rig, NULL), LB_FLOWS_PER_BUCKET - i);
	}
	rig->path.tables.control->clock_s = CLOCK_S + 9;
	GOES_TO(rig, packet(sport, TCP_FIN | TCP_ACK), SECOND);
	assert_int_equal(lb_flow_state(place->word), LB_FLOW_ESTABLISHED);
	assert_int_equal(lb_flow_age_s(place->word, CLOCK_S + 9), 0);
	home->flow[3].word = LB_FLOW_EMPTY;
	GOES_TO(rig, packet(sport, TCP_ACK), FIRST);
}

static void flows_behind_their_home_bucket(void **state)
{
	struct rig *rig = *state;
	int sport = 4000;

	found_behind_home(rig, sport);
	/* One whose home is the last bucket: the table goes on at its beginning. */
	do {
		assert_true(++sport < 6000);
		moving(rig, TCP_SERVICE);
		GOES_TO(rig, packet(sport, TCP_SYN), SECOND);
	} while (only_place(rig) / LB_FLOWS_PER_BUCKET != RIG_BUCKETS - 1);
	found_behind_home(rig, sport);
}

/* An ICMP error is no packet of the flow: nothing is refreshed. */
static void an_icmp_error_refreshes_nothing(void **state)
{
	struct rig *rig = *state;

	for (int behind = 0; behind < 2; behind++) {
		struct lb_flow *place = crowd_out(rig, 4000), before;

		if (!behind) {
			struct lb_flow *home = rig->path.tables.flows[place->tag % RIG_BUCKETS].flow;

			home[1] = *place;
			place->word = LB_FLOW_EMPTY;
			place = &home[1];
		}
		before = *place;
		rig->path.tables.control->clock_s = CLOCK_S + 9;
		GOES_TO(rig,
			frame(ETH(), IP4("192.0.2.77", VIP4), ICMP(3, 3), IP4(VIP4, CLIENT4), TCP(80, 4000)),
			SECOND);
		assert_int_equal(rig->last.known, 1);
		assert_memory_equal(place, &before, sizeof(before));
		assert_int_equal(newest_stamp(rig), 0);
	}
}

/* The home bucket holds what looks like the flow: the same tag, and another service, slot, or nothing yet. */
static void home_bucket_of_somebody_else(void **state)
{
	struct rig *rig = *state;
	struct lb_flow *place;
	__u64 mine;
	__u32 at;

	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	at = only_place(rig);
	place = &rig->path.tables.flows[at / LB_FLOWS_PER_BUCKET].flow[at % LB_FLOWS_PER_BUCKET];
	mine = place->word;
	for (int bit = 16; bit < 64; bit++) {
		bool other = bit < 48; /* of hash or service; behind them is the time */

		place->word = mine ^ 1ull << bit;
		GOES_TO(rig, packet(4000, TCP_RST), other ? FIRST : SECOND);
		assert_int_equal(rig->last.known, !other);
	}
	place->word = LB_FLOW_BUSY;
	GOES_TO(rig, packet(4000, TCP_RST), FIRST);
	place->word = mine;
	for (int bit = 0; bit < 64; bit++) {
		place->tag ^= 1ull << bit;
		GOES_TO(rig, packet(4000, TCP_RST), FIRST);
		place->tag ^= 1ull << bit;
	}
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
}

/* The shortest packets there are; datagrams are shorter than any other header that begins where theirs does.
 */
static void shortest_packets(void **state)
{
	struct rig *rig = *state;

	moving(rig, UDP_SERVICE);
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING);
	for (int n = 0; n < 16; n++) {
		GOES_TO(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(5000 + n, 80), DATA(n)), FIRST);
		assert_int_equal(rig->last.base, 1);
		GOES_TO(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(5000 + n, 80), DATA(n), PAD(18)), FIRST);
		assert_int_equal(rig->last.known, 1);
		/* A length that is not true is none of the flow's, settled or not. */
		expect_drop(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(5000 + n, 80, .length = 7), DATA(n)),
			    UDP_HEADER);
		expect_drop(rig,
			    frame(ETH(), IP4(CLIENT4, VIP4), UDP(5000 + n, 80, .length = 9 + n), DATA(n),
				  PAD(18)),
			    UDP_HEADER);
	}
	rig_services(rig, WEB6(ipip, udp, "'fd00::1','fd00::2'"));
	set_slots(rig, SECOND, FIRST, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING);
	for (int n = 0; n < 16; n++) {
		GOES_TO(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(5000 + n, 80), DATA(n)), FIRST);
		assert_int_equal(rig->last.base, 1);
		GOES_TO(rig, frame(ETH(), IP6(CLIENT6, VIP6), UDP(5000 + n, 80), DATA(n)), FIRST);
		assert_int_equal(rig->last.known, 1);
	}
	assert_int_equal(remembered(rig, NULL), 16);
}

/* The same packet, in every form that takes another way through the programs. n: which; NULL behind the last.
 */
static const struct frame *form(int n, int sport, int flags)
{
	static const __u8 nop[12] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

	switch (n) {
	case 0:
		return frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80, .flags = flags));
	case 1:
		return frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80, .flags = flags), PAD(6));
	case 2:
		return frame(ETH(), IP4(CLIENT4, VIP4),
			     TCP(sport, 80, .flags = flags, .bytes = nop, .n = 12));
	case 3:
		return frame(ETH(), IP4(CLIENT4, VIP4, .bytes = nop, .n = 4), TCP(sport, 80, .flags = flags));
	case 4:
		return frame(ETH(), IP4(CLIENT4, VIP4, .bytes = nop, .n = 12), TCP(sport, 80, .flags = flags),
			     DATA(9));
	case 5:
		return frame(ETH(), VLAN(7), IP4(CLIENT4, VIP4), TCP(sport, 80, .flags = flags));
	case 6:
		return frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1), TCP(sport, 80, .flags = flags), DATA(4));
	default:
		return NULL;
	}
}

/* Whatever form a flow's packets have, and however much of them the driver put into the linear part: one
 * flow. */
static void every_form_is_of_one_flow(void **state)
{
	struct rig *rig = *state;

	for (int first = 0; form(first, 4000, TCP_SYN); first++) {
		moving(rig, TCP_SERVICE);
		GOES_TO(rig, form(first, 4000, TCP_SYN), SECOND);
		assert_int_equal(rig->last.syn, 1);
		assert_int_equal(rig->last.known + rig->last.base + rig->last.refused, 0);
		for (int then = 0; form(then, 4000, TCP_ACK); then++) {
			GOES_TO(rig, form(then, 4000, TCP_ACK), SECOND);
			assert_int_equal(rig->last.known, 1);
			GOES_TO(rig, form(then, 4000, TCP_SYN), SECOND);
			assert_int_equal(rig->last.known, 1);
			GOES_TO(rig, form(then, 4001, TCP_RST), FIRST);
			assert_int_equal(rig->last.base, 1);
		}
		assert_int_equal(only_place(rig) % LB_FLOWS_PER_LINE, 0);
	}
	for (int n = 0; form(n, 4000, TCP_ACK); n++) {
		for (rig->linear = 14; rig->linear < form(n, 4000, TCP_ACK)->length; rig->linear++) {
			GOES_TO(rig, form(n, 4000, TCP_ACK), SECOND);
			assert_int_equal(rig->last.known, 1);
			GOES_TO(rig, form(n, 4001, TCP_RST), FIRST);
			assert_int_equal(rig->last.base, 1);
		}
	}
	assert_int_equal(remembered(rig, NULL), 1);
}

/* Services that the fast path leaves to the whole decision. */
static void unsettled_slots_of_a_wildcard(void **state)
{
	struct rig *rig = *state;

	moving(rig, "{'name':'web','vip':'203.0.113.0/28','protocol':'tcp','port':'any','ring_size':64,"
		    "'backends':[{'name':'b1','address':'10.0.1.1'},{'name':'b2','address':'10.0.1.2'}]}");
	GOES_TO(rig, packet(4000, TCP_ACK), FIRST);
	assert_int_equal(newest_stamp(rig), CLOCK_S);
	for (int n = 0; form(n, 4000, TCP_SYN); n++) {
		GOES_TO(rig, form(n, 4000 + n, TCP_SYN), SECOND);
		assert_int_equal(rig->last.syn, 1);
		GOES_TO(rig, form(n, 4000 + n, TCP_ACK), SECOND);
		assert_int_equal(rig->last.known, 1);
		GOES_TO(rig, packet(4000 + n, TCP_ACK), SECOND);
		assert_int_equal(rig->last.known, 1);
		assert_int_equal(remembered(rig, NULL), n + 2);
	}
}

/* What gets a VLAN tag is chosen once: who comes second has not come back. */
static void ways_with_a_tag(void **state)
{
	struct rig *rig = *state;

	rig_plug_tagged(rig, RIG_PORT, rig->peer_ifindex, 0x81000064);
	moving(rig, TCP_SERVICE);
	GOES_TO(rig, packet(4000, TCP_SYN), SECOND);
	assert_int_equal(rig->last.known, 0);
	GOES_TO(rig, packet(4000, TCP_ACK), SECOND);
	assert_int_equal(rig->last.known, 1);
	GOES_TO(rig, packet(4001, TCP_ACK), FIRST);
	assert_memory_equal(rig->last.out.bytes + 12, "\x81\x00\x00\x64\x08\x00", 6);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(ways_with_a_tag),
	RIG_TEST(flows_behind_their_home_bucket),
	RIG_TEST(an_icmp_error_refreshes_nothing),
	RIG_TEST(home_bucket_of_somebody_else),
	RIG_TEST(shortest_packets),
	RIG_TEST(every_form_is_of_one_flow),
	RIG_TEST(unsettled_slots_of_a_wildcard),
};

RIG_MAIN(tests, rig_setup)
