/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The observer apart from kernel and agent: what segments say of a flow, what is counted of it, how many
 * flows are sampled, and what a look at the places finds.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/observe_flow.h"
#include "observe/pace.h"
#include "observe/places.h"
#include "observe/tally.h"
#include "observe/tls_hello.h"

#define SECOND_NS 1000000000ull

/* --- segments --------------------------------------------------------------------------------------------
 */

static struct lb_observed flow_at(__u32 seq)
{
	struct lb_observed flow = {};

	lb_observed_begin(&flow, seq, SECOND_NS);
	return flow;
}

static __u32 sends(struct lb_observed *flow, __u32 seq, __u32 bytes)
{
	return lb_observed_segment(flow, &(struct lb_segment){ .seq = seq, .bytes = bytes }, 2 * SECOND_NS);
}

/* Numbers go round. */
static void data_in_order_is_no_repetition(void **state)
{
	struct lb_observed flow = flow_at(0xfffffff0);

	for (__u32 i = 0; i < 10; i++)
		assert_int_equal(sends(&flow, 0xfffffff0 + i * 10, 10), 0);
	assert_int_equal(flow.bytes, 100);
	assert_int_equal(flow.next, 0xfffffff0 + 100);
	assert_int_equal(sends(&flow, 0xfffffff0 + 50, 10), LB_OBSERVED_RESENT);
	assert_int_equal(sends(&flow, 0xfffffff0 + 50, 10), 0);
	assert_int_equal(flow.resent, 2);
}

/* Segments of one flight, in any order, each once: nothing was sent again. */
static void overtaking_is_no_repetition(void **state)
{
	srand(7);
	for (int turn = 0; turn < 2000; turn++) {
		struct lb_observed flow = flow_at(0xffffff00u + (__u32)rand() % 512);
		int order[8];

		for (int i = 0; i < 8; i++)
			order[i] = i;
		for (int i = 7; i > 0; i--) {
			int j = rand() % (i + 1), kept = order[i];

			order[i] = order[j];
			order[j] = kept;
		}
		for (int i = 0; i < 8; i++)
			sends(&flow, flow.first + (__u32)order[i] * 100, 100);
		assert_int_equal(flow.resent, 0);
		assert_int_equal(flow.next, flow.first + 800);
	}
}

static void what_was_lost_before_us_is_no_repetition(void **state)
{
	struct lb_observed flow = flow_at(100);

	sends(&flow, 100, 50);
	sends(&flow, 250, 50); /* [150, 250) is missing */
	assert_int_equal(sends(&flow, 150, 50), 0);
	assert_int_equal(sends(&flow, 200, 50), 0);
	/* Now all of it has been here. */
	assert_int_equal(sends(&flow, 150, 50), LB_OBSERVED_RESENT);
}

static void probes_are_no_repetition(void **state)
{
	struct lb_observed flow = flow_at(100);

	sends(&flow, 100, 50);
	assert_int_equal(sends(&flow, 149, 1), 0);
	assert_int_equal(sends(&flow, 149, 0), 0);
	assert_int_equal(flow.resent, 0);
	assert_int_equal(flow.bytes, 50);
}

/* The clock of segments is coarse: it may be behind that of the handshake. */
static void time_does_not_go_back(void **state)
{
	struct lb_observed flow = flow_at(100);

	lb_observed_segment(&flow, &(struct lb_segment){ .seq = 100 }, SECOND_NS - 3000000);
	assert_true(flow.seen_ns >= flow.started_ns);
}

static void only_what_follows_the_syn_completes_it(void **state)
{
	struct lb_observed flow = flow_at(1000);

	assert_true(lb_observed_completes(&flow, &(struct lb_segment){ .seq = 1000 }));
	assert_true(lb_observed_completes(&flow, &(struct lb_segment){ .seq = 1000 + 1460 }));
	assert_false(lb_observed_completes(&flow, &(struct lb_segment){ .seq = 999 }));
	assert_false(lb_observed_completes(&flow, &(struct lb_segment){ .seq = 0x80000000 }));
}

static void a_record_says_how_long_a_hello_is(void **state)
{
	assert_int_equal(lb_observed_hello_bytes((const __u8[]){ 22, 3, 1, 2, 0 }), 517);
	assert_int_equal(lb_observed_hello_bytes((const __u8[]){ 22, 3, 1, 0xff, 0xff }),
			 LB_OBSERVE_HELLO_MAX);
	assert_int_equal(lb_observed_hello_bytes((const __u8[]){ 23, 3, 3, 2, 0 }), 0);
	assert_int_equal(lb_observed_hello_bytes((const __u8[]){ 'G', 'E', 'T', ' ', '/' }), 0);
}

/* --- sums ------------------------------------------------------------------------------------------------
 */

static void a_flow_stands_for_those_that_were_not_sampled(void **state)
{
	struct lb_tally tally = {};

	lb_tally_event(&tally, &(struct lb_observe_event){ .kind = LB_OBSERVE_COMPLETED, .time_ns = 100000 },
		       64, 10);
	assert_int_equal(tally.sums[LB_TALLY_STARTED], 64);
	assert_int_equal(tally.sums[LB_TALLY_COMPLETED], 64);
	assert_int_equal(tally.sampled, 1);
	assert_int_equal(lb_tally_histogram_count(&tally.handshake), 64);
	assert_int_equal(lb_tally_quantile(&tally.handshake, 0.5), 131072);
	/* Its start was counted when its place was looked at. */
	lb_tally_event(&tally, &(struct lb_observe_event){ .kind = LB_OBSERVE_COMPLETED, .started = 1 }, 64,
		       10);
	assert_int_equal(tally.sums[LB_TALLY_STARTED], 64);
	assert_int_equal(tally.sums[LB_TALLY_COMPLETED], 128);
}

static void a_flow_counts_once_whatever_it_repeats(void **state)
{
	struct lb_tally tally = {};
	struct lb_observed flow = { .again = 200, .anew = 3 };
	struct lb_tally_window window;

	lb_tally_started(&tally, 1, 100);
	lb_tally_event(&tally, &(struct lb_observe_event){ .kind = LB_OBSERVE_RETRY, .again = 1 }, 1, 100);
	lb_tally_gave_up(&tally, &flow, 1, 103);
	lb_tally_recent(&tally, 104, 60, &window);
	assert_int_equal(window.started, 1);
	assert_int_equal(window.retried, 1);
	assert_int_equal(window.gave_up, 1);
	assert_int_equal(tally.sums[LB_TALLY_SYNS_AGAIN], 200);
	assert_int_equal(tally.sums[LB_TALLY_SYNS_ANEW], 3);
}

static void resets_are_told_apart_by_data(void **state)
{
	struct lb_tally tally = {};
	struct lb_observe_event event = { .kind = LB_OBSERVE_RESET };

	lb_tally_event(&tally, &event, 1, 10);
	assert_int_equal(tally.sums[LB_TALLY_RESET_EARLY], 1);
	assert_int_equal(tally.sums[LB_TALLY_STARTED], 1);
	assert_int_equal(lb_tally_histogram_count(&tally.duration), 0);
	event.completed = 1;
	event.bytes = 5;
	lb_tally_event(&tally, &event, 1, 10);
	assert_int_equal(tally.sums[LB_TALLY_RESET_LATE], 1);
	assert_int_equal(tally.sums[LB_TALLY_STARTED], 1);
	assert_int_equal(lb_tally_histogram_count(&tally.duration), 1);
}

static void what_is_long_ago_is_not_recent(void **state)
{
	struct lb_tally tally = {};
	struct lb_tally_window window;

	for (__u64 s = 1000; s < 1200; s++)
		lb_tally_started(&tally, 1, s);
	lb_tally_recent(&tally, 1199, 60, &window);
	assert_int_equal(window.started, 60);
	lb_tally_recent(&tally, 1199, 10, &window);
	assert_int_equal(window.started, 10);
	lb_tally_recent(&tally, 1199, 1000, &window);
	assert_int_equal(window.started, 60);
	lb_tally_recent(&tally, 1229, 60, &window);
	assert_int_equal(window.started, 30);
	lb_tally_recent(&tally, 1300, 60, &window);
	assert_int_equal(window.started, 0);
	/* After a long silence nothing of before comes back. */
	lb_tally_started(&tally, 1, 5000);
	lb_tally_recent(&tally, 5000, 60, &window);
	assert_int_equal(window.started, 1);
}

static void open_connections_are_those_of_the_last_whole_look(void **state)
{
	struct lb_tally tally = {};

	lb_tally_open(&tally, 7, 64);
	lb_tally_open(&tally, 7, 64);
	assert_int_equal(lb_tally_open_now(&tally, 7), 0);
	assert_int_equal(lb_tally_open_now(&tally, 8), 128);
	lb_tally_open(&tally, 8, 64);
	assert_int_equal(lb_tally_open_now(&tally, 8), 128);
	assert_int_equal(lb_tally_open_now(&tally, 9), 64);
	assert_int_equal(lb_tally_open_now(&tally, 10), 0);
	lb_tally_open(&tally, 10, 1);
	assert_int_equal(lb_tally_open_now(&tally, 10), 0);
}

static void hellos_are_counted_by_what_they_offer(void **state)
{
	struct lb_tally tally = {};

	lb_tally_hello(&tally, &(struct lb_tls_hello){ .version = 0x0304, .psk = true, .alpn = "h2" }, 2);
	lb_tally_hello(&tally,
		       &(struct lb_tls_hello){ .version = 0x0303, .ticket = true, .alpn = "http/1.1" }, 2);
	lb_tally_hello(&tally, &(struct lb_tls_hello){ .version = 0x0301, .alpn = "x" }, 2);
	lb_tally_hello(&tally, NULL, 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_HELLOS], 6);
	assert_int_equal(tally.sums[LB_TALLY_TLS_RESUMPTIONS], 4);
	assert_int_equal(tally.sums[LB_TALLY_TLS_13], 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_12], 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_OLDER], 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_H2], 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_HTTP_1_1], 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_OTHER], 2);
	assert_int_equal(tally.sums[LB_TALLY_TLS_BAD], 2);
}

/* --- pace ------------------------------------------------------------------------------------------------
 */

static __u64 load_cost_ns(__u64 packets, __u64 events)
{
	return packets * LB_PACE_PACKET_NS + events * LB_PACE_EVENT_NS;
}

/* Traffic of so many packets a second in even flows, for so long; the level at the end. *ret_over: seconds in
 * which more than a hundredth of a core was spent. */
static __u32 run(struct lb_pace *pace, __u64 *now_ns, __u64 packets_s, unsigned int seconds,
		 unsigned int *ret_over)
{
	*ret_over = 0;
	for (unsigned int i = 0; i < seconds * 4; i++) {
		__u64 packets = (packets_s >> pace->level) / 4;

		*ret_over += load_cost_ns(packets, packets / 100) > SECOND_NS / 4 / 100;
		*now_ns += SECOND_NS / 4;
		lb_pace_step(pace,
			     &(struct lb_pace_load){ .allowed_permille = 8,
						     .elapsed_ns = SECOND_NS / 4,
						     .packets = packets,
						     .events = packets / 100 },
			     *now_ns);
	}
	return pace->level;
}

static void few_flows_are_all_seen(void **state)
{
	__u64 now_ns = 0;
	unsigned int over;
	struct lb_pace pace;

	lb_pace_begin(&pace, now_ns);
	assert_int_equal(run(&pace, &now_ns, 1000, 20, &over), 0);
	assert_int_equal(over, 0);
}

static void many_packets_stay_below_a_hundredth_of_a_core(void **state)
{
	__u64 now_ns = 0;
	unsigned int over;
	struct lb_pace pace;
	__u32 level;

	lb_pace_begin(&pace, now_ns);
	run(&pace, &now_ns, 1000, 20, &over);
	level = run(&pace, &now_ns, 100000000, 1, &over);
	assert_int_equal(over, 1); /* the quarter of a second in which they came */
	assert_true(load_cost_ns(100000000 >> level, 0) < SECOND_NS / 100);
	run(&pace, &now_ns, 100000000, 600, &over);
	assert_true(over < 10);
	/* Not less than what is allowed bears, by more than the steps' width. */
	assert_true(load_cost_ns(100000000 >> pace.level, 0) > SECOND_NS / 100 / 16);
}

/* One flow that is too much by itself is not sampled again and again. */
static void a_large_flow_is_left_out_for_longer_each_time(void **state)
{
	__u64 now_ns = 0;
	struct lb_pace pace;
	unsigned int up = 0;

	lb_pace_begin(&pace, now_ns);
	for (unsigned int i = 0; i < 4 * 3600; i++) {
		/* Its hash is sampled up to level 3. */
		__u64 packets = pace.level <= 3 ? 1000000 : 0;

		up += packets != 0;
		now_ns += SECOND_NS / 4;
		lb_pace_step(&pace,
			     &(struct lb_pace_load){
				     .allowed_permille = 8, .elapsed_ns = SECOND_NS / 4, .packets = packets },
			     now_ns);
	}
	assert_true(up > 1 && up < 20);
}

static void refusals_raise_the_level(void **state)
{
	__u64 now_ns = 0;
	struct lb_pace pace;
	__u32 level;

	lb_pace_begin(&pace, now_ns);
	level = pace.level;
	assert_int_equal(lb_pace_step(&pace,
				      &(struct lb_pace_load){ .allowed_permille = 8,
							      .elapsed_ns = SECOND_NS / 4,
							      .claimed = 100,
							      .refused = 100 },
				      SECOND_NS),
			 level + 1);
	for (int i = 0; i < 100; i++)
		lb_pace_step(&pace,
			     &(struct lb_pace_load){ .allowed_permille = 8,
						     .elapsed_ns = SECOND_NS / 4,
						     .claimed = 0,
						     .refused = 1000000 },
			     2 * SECOND_NS);
	assert_int_equal(pace.level, LB_OBSERVE_LEVEL_MAX);
}

/* Connections that last need places, whatever little they cost. */
static void full_places_raise_the_level_and_keep_it(void **state)
{
	__u64 now_ns = 0;
	struct lb_pace pace;
	unsigned int changes = 0;
	__u32 level;

	lb_pace_begin(&pace, now_ns);
	pace.level = 0;
	for (int i = 0; i < 4 * 600; i++) {
		/* 20,000 connections on one CPU; what is over the number of places is refused one by one. */
		__u32 wanted = 20000 >> pace.level;
		__u32 used = wanted < LB_OBSERVE_CONNECTIONS ? wanted : LB_OBSERVE_CONNECTIONS;

		level = pace.level;
		now_ns += SECOND_NS / 4;
		lb_pace_step(&pace,
			     &(struct lb_pace_load){ .allowed_permille = 8,
						     .elapsed_ns = SECOND_NS / 4,
						     .looked = i % 2,
						     .used_permille = used * 1000 / LB_OBSERVE_CONNECTIONS },
			     now_ns);
		changes += i > 80 && pace.level != level;
	}
	assert_int_equal(pace.level, 5); /* 625 of 1,024 places */
	assert_int_equal(changes, 0);
}

static void a_flow_weighs_what_the_highest_level_since_makes_it(void **state)
{
	struct lb_levels levels = {};

	lb_levels_set(&levels, 6, 100);
	assert_int_equal(lb_levels_weight(&levels, 50), 64);
	lb_levels_set(&levels, 2, 200);
	lb_levels_set(&levels, 4, 300);
	lb_levels_set(&levels, 0, 400);
	assert_int_equal(lb_levels_weight(&levels, 150), 64);
	assert_int_equal(lb_levels_weight(&levels, 250), 16);
	assert_int_equal(lb_levels_weight(&levels, 400), 1);
	for (__u64 i = 0; i < 100; i++)
		lb_levels_set(&levels, 1 + i % 2, 500 + i);
	assert_int_equal(levels.n, LB_LEVELS_KEPT);
	assert_int_equal(lb_levels_weight(&levels, 250), 64); /* at least as much as it was */
	assert_int_equal(lb_levels_weight(&levels, 1000), 4);
}

/* --- places ----------------------------------------------------------------------------------------------
 */

struct found {
	unsigned int started, gave_up, silent, open;
};

static void on_started(void *context, const struct lb_observed *flow)
{
	((struct found *)context)->started++;
}

static void on_gave_up(void *context, const struct lb_observed *flow)
{
	((struct found *)context)->gave_up++;
}

static void on_silent(void *context, const struct lb_observed *flow)
{
	((struct found *)context)->silent++;
}

static void on_open(void *context, const struct lb_observed *flow)
{
	((struct found *)context)->open++;
}

static __u64 idle_ns(void *context, const struct lb_observed *flow)
{
	return 300 * SECOND_NS;
}

static struct found look(struct lb_observe_cpu *block, __u32 level, __u64 now_s)
{
	struct found found = {};
	const struct lb_places_hooks hooks = { &found, on_started, on_gave_up, on_silent, on_open, idle_ns };

	lb_places_look(block, level, now_s * SECOND_NS, &hooks);
	return found;
}

static int new_block(void **state)
{
	*state = calloc(1, sizeof(struct lb_observe_cpu));
	return *state ? 0 : -1;
}

static int free_block(void **state)
{
	free(*state);
	return 0;
}

static void put(struct lb_observed *place, __u64 tag, enum lb_observe_phase phase, __u64 started_s,
		__u64 seen_s)
{
	*place = (struct lb_observed){ .tag = tag,
				       .state = LB_OBSERVE_NEXT(0, phase),
				       .started_ns = started_s * SECOND_NS,
				       .seen_ns = seen_s * SECOND_NS };
}

static void a_start_is_found_once_and_its_end_too(void **state)
{
	struct lb_observe_cpu *block = *state;
	struct found found;

	put(&block->handshake[3], 3, LB_OBSERVE_HANDSHAKE, 100, 100);
	found = look(block, 0, 101);
	assert_int_equal(found.started, 1);
	assert_int_equal(found.gave_up, 0);
	assert_int_equal(look(block, 0, 105).started, 0);
	assert_int_equal(look(block, 0, 106).gave_up, 1);
	assert_int_equal(LB_OBSERVE_PHASE(block->handshake[3].state), LB_OBSERVE_FREE);
	assert_int_equal(look(block, 0, 107).gave_up, 0);
}

/* Clients wait twice as long each time. */
static void whoever_still_tries_has_not_given_up(void **state)
{
	struct lb_observe_cpu *block = *state;

	put(&block->handshake[3], 3, LB_OBSERVE_HANDSHAKE, 100, 100 + 15);
	assert_int_equal(look(block, 0, 100 + 31).gave_up, 0);
	assert_int_equal(look(block, 0, 100 + 48).gave_up, 1);
}

/* Of a flow of datagrams nothing tells the agent but its place. */
static void flows_of_datagrams_begin_and_end_in_their_places(void **state)
{
	struct lb_observe_cpu *block = *state;
	struct found found;

	put(&block->handshake[3], 3, LB_OBSERVE_HANDSHAKE, 100, 100);
	put(&block->connection[9], 9, LB_OBSERVE_CONNECTION, 100, 200);
	block->handshake[3].protocol = block->connection[9].protocol = IPPROTO_UDP;
	found = look(block, 0, 102);
	assert_int_equal(found.started, 2);
	assert_int_equal(found.open, 1);
	found = look(block, 0, 110);
	assert_int_equal(found.started + found.gave_up, 0);
	assert_int_equal(found.silent, 1); /* one datagram was all */
	assert_int_equal(look(block, 0, 501).silent, 1);
	assert_int_equal(look(block, 0, 502).silent, 0);
}

/* What a packet is about to claim is nobody's yet. */
static void places_under_way_are_left_alone(void **state)
{
	struct lb_observe_cpu *block = *state;
	struct found found;

	put(&block->handshake[3], 3, LB_OBSERVE_BUSY, 100, 100);
	put(&block->connection[9], 9, LB_OBSERVE_BUSY, 100, 100);
	found = look(block, LB_OBSERVE_LEVEL_NONE, 9999);
	assert_int_equal(found.started + found.gave_up + found.open + found.silent, 0);
	assert_int_equal(LB_OBSERVE_PHASE(block->handshake[3].state), LB_OBSERVE_BUSY);
	assert_int_equal(LB_OBSERVE_PHASE(block->connection[9].state), LB_OBSERVE_BUSY);
}

static void connections_are_open_until_they_are_silent_for_too_long(void **state)
{
	struct lb_observe_cpu *block = *state;

	put(&block->connection[9], 9, LB_OBSERVE_CONNECTION, 100, 200);
	assert_int_equal(look(block, 0, 500).open, 1);
	assert_int_equal(look(block, 0, 501).silent, 1);
	assert_int_equal(look(block, 0, 502).open + look(block, 0, 502).silent, 0);
}

static void what_is_no_longer_sampled_is_let_go(void **state)
{
	struct lb_observe_cpu *block = *state;
	struct found found;

	put(&block->connection[9], 9, LB_OBSERVE_CONNECTION, 100, 200);
	block->connection[9].hash = 0x3fffffff;
	assert_int_equal(look(block, 2, 201).open, 1);
	found = look(block, 3, 201);
	assert_int_equal(found.open + found.silent, 0);
	assert_int_equal(look(block, 0, 201).open, 0);
}

static void clients_are_found_by_the_tags_of_their_flows(void **state)
{
	struct lb_observe_cpu *block = *state;
	struct lb_clients clients;

	assert_int_equal(lb_clients_read(block, 1, &clients), 0);
	assert_null(lb_clients_find(&clients, 3));
	lb_clients_done(&clients);
	for (__u32 i = 0; i < 50; i++) {
		put(&block->connection[i * 7], 1000 - i, LB_OBSERVE_CONNECTION, 1, 1);
		block->connection[i * 7].client_port = (__be16)i;
	}
	put(&block->handshake[9], 5, LB_OBSERVE_HANDSHAKE, 1, 1);
	put(&block->handshake[10], 6, LB_OBSERVE_FREE, 1, 1);
	assert_int_equal(lb_clients_read(block, 1, &clients), 0);
	assert_int_equal(clients.n, 51);
	for (__u32 i = 0; i < 50; i++)
		assert_int_equal(lb_clients_find(&clients, 1000 - i)->port, i);
	assert_non_null(lb_clients_find(&clients, 5));
	assert_null(lb_clients_find(&clients, 6));
	assert_null(lb_clients_find(&clients, 1001));
	lb_clients_done(&clients);
}

#define BLOCK_TEST(function) cmocka_unit_test_setup_teardown(function, new_block, free_block)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_in_order_is_no_repetition),
		cmocka_unit_test(overtaking_is_no_repetition),
		cmocka_unit_test(what_was_lost_before_us_is_no_repetition),
		cmocka_unit_test(probes_are_no_repetition),
		cmocka_unit_test(time_does_not_go_back),
		cmocka_unit_test(only_what_follows_the_syn_completes_it),
		cmocka_unit_test(a_record_says_how_long_a_hello_is),
		cmocka_unit_test(a_flow_stands_for_those_that_were_not_sampled),
		cmocka_unit_test(a_flow_counts_once_whatever_it_repeats),
		cmocka_unit_test(resets_are_told_apart_by_data),
		cmocka_unit_test(what_is_long_ago_is_not_recent),
		cmocka_unit_test(open_connections_are_those_of_the_last_whole_look),
		cmocka_unit_test(hellos_are_counted_by_what_they_offer),
		cmocka_unit_test(few_flows_are_all_seen),
		cmocka_unit_test(many_packets_stay_below_a_hundredth_of_a_core),
		cmocka_unit_test(a_large_flow_is_left_out_for_longer_each_time),
		cmocka_unit_test(refusals_raise_the_level),
		cmocka_unit_test(full_places_raise_the_level_and_keep_it),
		cmocka_unit_test(a_flow_weighs_what_the_highest_level_since_makes_it),
		BLOCK_TEST(a_start_is_found_once_and_its_end_too),
		BLOCK_TEST(whoever_still_tries_has_not_given_up),
		BLOCK_TEST(flows_of_datagrams_begin_and_end_in_their_places),
		BLOCK_TEST(places_under_way_are_left_alone),
		BLOCK_TEST(connections_are_open_until_they_are_silent_for_too_long),
		BLOCK_TEST(what_is_no_longer_sampled_is_let_go),
		BLOCK_TEST(clients_are_found_by_the_tags_of_their_flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
