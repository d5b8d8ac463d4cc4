/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The observer (bpf/observe.h): what is told of sampled flows, that nothing is changed by looking at them,
 * and what it bears. Packets run once, through lb_ingress on CPU 0, unless a test says otherwise; flows are
 * in the blocks that their tags say.
 */
#include "observed.h"

static void a_connection_is_told_of_when_it_is_made_and_when_it_ends(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_event *event;
	int backend;

	observing(rig, SERVICE, 0);
	segment(rig, 4000, TCP_SYN, ISN, 0);
	assert_int_equal(listen_now(rig), 0);
	backend = rig->last.backend;
	segment(rig, 4000, TCP_ACK, ISN + 1, 0);
	event = only(rig, LB_OBSERVE_COMPLETED);
	assert_int_equal(event->backend, backend);
	assert_int_equal(event->again + event->anew, 0);
	assert_true(event->time_ns > 0 && event->time_ns < 10000000000);
	segment(rig, 4000, TCP_ACK, ISN + 1, 300);
	segment(rig, 4000, TCP_ACK, ISN + 301, 700);
	segment(rig, 4000, TCP_ACK, ISN + 1001, 0);
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4000, TCP_ACK | TCP_FIN, ISN + 1001, 0);
	event = only(rig, LB_OBSERVE_CLOSED);
	assert_int_equal(event->bytes, 1000);
	assert_int_equal(event->packets, 6);
	assert_int_equal(event->resent, 0);
	/* What comes behind it is of no flow that is known. */
	segment(rig, 4000, TCP_ACK, ISN + 1002, 0);
	segment(rig, 4000, TCP_RST, ISN + 1002, 0);
	assert_int_equal(listen_now(rig), 0);
	assert_int_equal(rig->path.observed[0].counts.packets, 8);
	assert_int_equal(rig->path.observed[0].counts.events, 2);
}

static void a_syn_sent_again_is_told_of_once(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_event *event;

	observing(rig, SERVICE, 0);
	for (int i = 0; i < 5; i++)
		segment(rig, 4000, TCP_SYN, ISN, 0);
	event = only(rig, LB_OBSERVE_RETRY);
	assert_int_equal(event->again, 1);
	segment(rig, 4000, TCP_SYN, 77777, 0);
	segment(rig, 4000, TCP_ACK, ISN + 1, 0); /* of the number that it has given up */
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4000, TCP_ACK, 77778, 0);
	event = only(rig, LB_OBSERVE_COMPLETED);
	assert_int_equal(event->again, 4);
	assert_int_equal(event->anew, 1);
	/* A copy of the SYN that comes late is no attempt. */
	segment(rig, 4000, TCP_SYN, 77777, 0);
	assert_int_equal(listen_now(rig), 0);
	assert_int_equal(rig->path.observed[0].counts.handshakes, 1);
}

static void resets_tell_what_they_end(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_event *event;

	observing(rig, SERVICE, 0);
	segment(rig, 4000, TCP_SYN, ISN, 0);
	segment(rig, 4000, TCP_RST, ISN + 1, 0);
	event = only(rig, LB_OBSERVE_RESET);
	assert_false(event->completed);
	connect_from(rig, 4001);
	listen_now(rig);
	segment(rig, 4001, TCP_RST, ISN + 1, 0);
	event = only(rig, LB_OBSERVE_RESET);
	assert_true(event->completed);
	assert_int_equal(event->bytes, 0);
	connect_from(rig, 4002);
	segment(rig, 4002, TCP_ACK, ISN + 1, 100);
	listen_now(rig);
	/* One that is forged without knowing the numbers ends nothing. */
	segment(rig, 4002, TCP_RST, ISN + 1000000, 0);
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4002, TCP_RST | TCP_ACK, ISN + 101, 0);
	event = only(rig, LB_OBSERVE_RESET);
	assert_int_equal(event->bytes, 100);
}

static void data_that_comes_again_is_told_of_once(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_event *event;

	observing(rig, SERVICE, 0);
	connect_from(rig, 4000);
	segment(rig, 4000, TCP_ACK, ISN + 1, 100);
	listen_now(rig);
	/* Overtaken on its way, or lost before us: no fault of the backend. */
	segment(rig, 4000, TCP_ACK, ISN + 201, 100);
	segment(rig, 4000, TCP_ACK, ISN + 101, 100);
	/* It only asks whether somebody is still there. */
	segment(rig, 4000, TCP_ACK, ISN + 300, 1);
	segment(rig, 4000, TCP_ACK, ISN + 300, 0);
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4000, TCP_ACK, ISN + 201, 100);
	event = only(rig, LB_OBSERVE_RESENT);
	assert_int_equal(event->resent, 1);
	segment(rig, 4000, TCP_ACK, ISN + 201, 100);
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4000, TCP_ACK | TCP_FIN, ISN + 301, 0);
	assert_int_equal(only(rig, LB_OBSERVE_CLOSED)->resent, 2);
}

static void ports_used_again_end_what_was_there(void **state)
{
	struct rig *rig = *state;

	observing(rig, SERVICE, 0);
	connect_from(rig, 4000);
	segment(rig, 4000, TCP_ACK, ISN + 1, 100);
	segment(rig, 4000, TCP_SYN, 0x80000000, 0);
	assert_int_equal(only(rig, LB_OBSERVE_COMPLETED)->anew, 0);
	/* The old one is alive until the new one is. */
	segment(rig, 4000, TCP_ACK, ISN + 101, 50);
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4000, TCP_ACK, 0x80000001, 0);
	assert_int_equal(listen_now(rig), 2);
	assert_int_equal(told.event[0].kind, LB_OBSERVE_COMPLETED);
	assert_int_equal(told.event[1].kind, LB_OBSERVE_REPLACED);
	assert_int_equal(told.event[1].bytes, 150);
}

/* A record of a hello, of so many bytes behind its head. */
static const __u8 *hello(size_t bytes)
{
	static __u8 record[8192];

	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = (__u8)i;
	record[0] = 22;
	record[1] = 3;
	record[3] = (__u8)(bytes >> 8);
	record[4] = (__u8)bytes;
	return record;
}

static void data(struct rig *rig, int sport, __u32 seq, const __u8 *bytes, size_t n)
{
	expect_tx(rig,
		  frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80, .seq = seq), DATA((int)n, .bytes = bytes)),
		  NULL);
}

static void hellos_come_in_the_first_two_segments(void **state)
{
	struct rig *rig = *state;
	const __u8 *record = hello(1795);

	observing(rig, SERVICE, 0);
	connect_from(rig, 4000);
	listen_now(rig);
	data(rig, 4000, ISN + 1, record, 1400);
	data(rig, 4000, ISN + 1401, record + 1400, 400);
	data(rig, 4000, ISN + 1801, record, 100);
	assert_int_equal(listen_now(rig), 2);
	assert_int_equal(told.event[0].kind, LB_OBSERVE_HELLO);
	assert_int_equal(told.event[0].data_offset, 0);
	assert_int_equal(told.event[0].data_bytes, 1400);
	assert_memory_equal(told.data[0], record, 64);
	assert_int_equal(told.event[1].data_offset, 1400);
	assert_int_equal(told.event[1].data_bytes, 400);
	assert_memory_equal(told.data[1], record + 1400, 64);
	assert_memory_equal(&told.event[0].id, &told.event[1].id, sizeof(struct lb_observe_id));
}

static void what_is_no_hello_is_not_told(void **state)
{
	struct rig *rig = *state;
	const __u8 *record = hello(100);

	observing(rig, SERVICE, 0);
	connect_from(rig, 4000);
	connect_from(rig, 4001);
	connect_from(rig, 4002);
	connect_from(rig, 4003);
	listen_now(rig);
	data(rig, 4000, ISN + 1, (const __u8 *)"GET / HTTP/1.1\r\n\r\n", 18);
	data(rig, 4001, ISN + 1, record, 4);
	data(rig, 4001, ISN + 5, record + 4, 101);
	data(rig, 4002, ISN + 101, record, 105); /* not the first bytes */
	assert_int_equal(listen_now(rig), 0);
	/* More behind it than it has. */
	data(rig, 4003, ISN + 1, record, 1000);
	assert_int_equal(only(rig, LB_OBSERVE_HELLO)->data_bytes, 105);
}

/* All packets of a flow or none, and about as many flows as the level says. */
static void flows_are_sampled_whole(void **state)
{
	struct rig *rig = *state;
	unsigned int seen = 0;

	observing(rig, SERVICE, 2);
	for (int sport = 1024; sport < 1024 + 400; sport++) {
		__u64 before = rig->path.observed[0].counts.packets, packets;

		connect_from(rig, sport);
		segment(rig, sport, TCP_ACK, ISN + 1, 10);
		segment(rig, sport, TCP_ACK | TCP_FIN, ISN + 11, 0);
		packets = rig->path.observed[0].counts.packets - before;
		assert_true(packets == 0 || packets == 4);
		seen += packets == 4;
	}
	assert_true(seen > 400 / 4 / 2 && seen < 400 / 4 * 2);
	assert_int_equal(listen_now(rig), 2 * seen);
}

static void a_full_ring_is_counted_and_packets_go_on(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_counts *counts = &rig->path.observed[0].counts;

	observing(rig, SERVICE, 0);
	for (int i = 0; i < 12000 && !counts->events_lost; i++) {
		connect_from(rig, 1024 + i);
		segment(rig, 1024 + i, TCP_RST, ISN + 1, 0);
	}
	assert_true(counts->events_lost > 0);
	told.n = 0;
	/* They are not kept here: there are more than fit. */
	for (struct ring_buffer *ring = told.ring; ring; ring = NULL)
		ring_buffer__free(ring);
	told.ring = NULL;
}

static void every_way_is_observed_and_none_changed(void **state)
{
	struct rig *rig = *state;

	for (const struct way *w = all_ways; w < all_ways + N_WAYS; w++) {
		way_service(rig, w, "tcp", NULL);
		rig->alone = false;
		rig->path.observe->limit = LB_OBSERVE_LIMIT(0);
		for (int tags = 0; tags < 2; tags++) {
			__u64 before = rig->path.observed[0].counts.packets;

			if (tags) {
				EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7), way_ip(w),
					   TCP(4000, 80, .flags = TCP_SYN));
				EXPECT_WAY(rig, w, XDP_TX, ETH(), VLAN(7), way_ip(w), TCP(4000, 80, .seq = 1),
					   DATA(10));
			} else {
				EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80, .flags = TCP_SYN));
				EXPECT_WAY(rig, w, XDP_TX, ETH(), way_ip(w), TCP(4000, 80, .seq = 1),
					   DATA(10), PAD(9));
			}
			/* Each runs twice, by lb_ingress and by lb_capture; lb_explain leaves no trace. */
			assert_int_equal(rig->path.observed[0].counts.packets - before, 8);
		}
	}
	listen_now(rig);
}

/* Balanced by the client's address, sampled by it too: but each connection is one. */
static void flows_of_one_client_are_told_apart(void **state)
{
	struct rig *rig = *state;

	observing(rig, WEB(ipip, tcp, "'10.0.1.1','10.0.1.2'", "'affinity':'source'"), 0);
	connect_from(rig, 4000);
	connect_from(rig, 4001);
	segment(rig, 4000, TCP_ACK | TCP_FIN, ISN + 1, 0);
	assert_int_equal(listen_now(rig), 3);
	assert_int_equal(told.event[2].kind, LB_OBSERVE_CLOSED);
}

static void fragments_are_not_looked_at(void **state)
{
	struct rig *rig = *state;

	observing(rig, SERVICE, 0);
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4, .mf = 1), TCP(4000, 80, .flags = TCP_SYN), DATA(12)),
		  NULL);
	assert_int_equal(rig->path.observed[0].counts.packets, 0);
}

static void nothing_is_looked_at_without_a_level(void **state)
{
	struct rig *rig = *state;

	rig_services(rig, SERVICE);
	rig->alone = true;
	for (int sport = 1024; sport < 1224; sport++)
		connect_from(rig, sport);
	assert_int_equal(rig->path.observed[0].counts.packets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_connection_is_told_of_when_it_is_made_and_when_it_ends),
		RIG_TEST(a_syn_sent_again_is_told_of_once),
		RIG_TEST(resets_tell_what_they_end),
		RIG_TEST(data_that_comes_again_is_told_of_once),
		RIG_TEST(ports_used_again_end_what_was_there),
		RIG_TEST(hellos_come_in_the_first_two_segments),
		RIG_TEST(what_is_no_hello_is_not_told),
		RIG_TEST(flows_are_sampled_whole),
		RIG_TEST(every_way_is_observed_and_none_changed),
		RIG_TEST(flows_of_one_client_are_told_apart),
		RIG_TEST(fragments_are_not_looked_at),
		RIG_TEST(nothing_is_looked_at_without_a_level),
		RIG_TEST(a_full_ring_is_counted_and_packets_go_on),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
