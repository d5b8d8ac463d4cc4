/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The observer (bpf/observe.h): what is told of sampled flows, that nothing is changed by looking at them,
 * and what it bears. Packets run once, through lb_ingress on CPU 0, unless a test says otherwise; flows are
 * in the blocks that their tags say.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <time.h>

#include "lb/observe.h"
#include "tunnel.h"

#define SERVICE WEB(ipip, tcp, "'10.0.1.1','10.0.1.2'")
#define ISN     1000u
#define EVENTS  4096

static struct {
	struct ring_buffer *ring;
	struct lb_observe_event event[EVENTS];
	__u8 data[EVENTS][64]; /* the first bytes */
	size_t n;
} told;

static int take(void *context, void *data, size_t bytes)
{
	const struct lb_observe_event *event = data;

	assert_true(bytes >= sizeof(*event));
	assert_int_equal(bytes, sizeof(*event) + event->data_bytes);
	assert_true(told.n < EVENTS);
	told.event[told.n] = *event;
	memcpy(told.data[told.n++], event + 1, event->data_bytes < 64 ? event->data_bytes : 64);
	return 0;
}

/* What has been told since the last call. */
static size_t listen_now(struct rig *rig)
{
	if (!told.ring)
		told.ring = ring_buffer__new(rig->path.observe_events, take, NULL, NULL);
	assert_non_null(told.ring);
	told.n = 0;
	assert_true(ring_buffer__consume(told.ring) >= 0);
	return told.n;
}

static void observing(struct rig *rig, const char *service, __u32 level)
{
	rig_services(rig, service);
	rig->alone = true;
	rig->path.observe->limit = LB_OBSERVE_LIMIT(level);
	listen_now(rig);
}

static void segment(struct rig *rig, int sport, int flags, __u32 seq, int bytes)
{
	expect_tx(rig,
		  frame(ETH(), IP4(CLIENT4, VIP4), TCP(sport, 80, .flags = flags, .seq = seq), DATA(bytes)),
		  NULL);
}

static void connect_from(struct rig *rig, int sport)
{
	segment(rig, sport, TCP_SYN, ISN, 0);
	segment(rig, sport, TCP_ACK, ISN + 1, 0);
}

/* The one event that is there. */
static const struct lb_observe_event *only(struct rig *rig, enum lb_observe_event_kind kind)
{
	assert_int_equal(listen_now(rig), 1);
	assert_int_equal(told.event[0].kind, kind);
	return &told.event[0];
}

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

/* How many flows are in places of a phase, and the last of them. */
static unsigned int in_places(struct rig *rig, enum lb_observe_phase phase,
			      const struct lb_observed **ret_flow)
{
	__u32 n = phase == LB_OBSERVE_HANDSHAKE ? LB_OBSERVE_HANDSHAKES : LB_OBSERVE_CONNECTIONS;
	unsigned int found = 0;

	for (__u32 block = 0; block < rig->path.tables.sizes.cpus; block++) {
		const struct lb_observe_cpu *home = &rig->path.observed[block];
		const struct lb_observed *set =
			phase == LB_OBSERVE_HANDSHAKE ? home->handshake : home->connection;

		for (__u32 i = 0; i < n; i++) {
			if (LB_OBSERVE_PHASE(set[i].state) != phase)
				continue;
			*ret_flow = &set[i];
			found++;
		}
	}
	return found;
}

static void the_client_is_known_while_the_flow_is(void **state)
{
	struct rig *rig = *state;
	const struct lb_observed *flow;

	observing(rig, SERVICE, 0);
	connect_from(rig, 4000);
	assert_int_equal(in_places(rig, LB_OBSERVE_CONNECTION, &flow), 1);
	assert_int_equal(flow->family, LB_FAMILY_V4);
	assert_int_equal(flow->client_port, htons(4000));
	assert_int_equal(flow->client[0], inet_addr(CLIENT4));
	assert_int_equal(flow->backend, rig->last.backend);
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

static void datagram(struct rig *rig, int sport, int bytes)
{
	expect_tx(rig, frame(ETH(), IP4(CLIENT4, VIP4), UDP(sport, 80), DATA(bytes)), NULL);
}

static void all_handshakes_seen(struct rig *rig, __u64 seen_ns)
{
	for (__u32 block = 0; block < rig->path.tables.sizes.cpus; block++)
		for (__u32 i = 0; i < LB_OBSERVE_HANDSHAKES; i++)
			rig->path.observed[block].handshake[i].seen_ns = seen_ns;
}

/* More than there are places for what begins, where ports suffice. */
#define BLOCKS(rig) ((rig)->path.tables.sizes.cpus)
#define AT_MOST(n)  ((n) < 50000 ? (n) : 50000)
#define FLOOD       AT_MOST(BLOCKS(rig) * LB_OBSERVE_HANDSHAKES * 4)

/* First packets of so many clients. However long that takes (an emulated machine is slow), nothing gets old.
 */
static void flood(struct rig *rig, int protocol)
{
	struct timespec now;

	for (int sport = 10000; sport < 10000 + (int)FLOOD; sport++) {
		if (protocol == IPPROTO_UDP)
			datagram(rig, sport, 10);
		else
			segment(rig, sport, TCP_SYN, ISN, 0);
		if (sport % 50)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		all_handshakes_seen(rig, (__u64)now.tv_sec * 1000000000ull + (__u64)now.tv_nsec);
	}
}

/* With handshakes that nobody completes, connections stay, and so do handshakes that are younger. */
static void a_flood_evicts_nobody(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_counts *counts = &rig->path.observed[0].counts;

	observing(rig, SERVICE, 0);
	connect_from(rig, 4000);
	segment(rig, 4001, TCP_SYN, ISN, 0);
	listen_now(rig);
	flood(rig, IPPROTO_TCP);
	assert_int_equal(counts->handshakes_replaced, 0);
	assert_true(counts->handshakes <= BLOCKS(rig) * LB_OBSERVE_HANDSHAKES + 1);
	assert_int_equal(counts->handshakes + counts->handshakes_refused, FLOOD + 2);
	assert_int_equal(listen_now(rig), 0);
	segment(rig, 4001, TCP_ACK, ISN + 1, 0);
	assert_int_equal(only(rig, LB_OBSERVE_COMPLETED)->kind, LB_OBSERVE_COMPLETED);
	segment(rig, 4000, TCP_ACK | TCP_FIN, ISN + 1, 0);
	only(rig, LB_OBSERVE_CLOSED);
}

static void old_handshakes_give_way(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_counts *counts = &rig->path.observed[0].counts;

	observing(rig, SERVICE, 0);
	flood(rig, IPPROTO_TCP);
	all_handshakes_seen(rig, 1);
	segment(rig, 4001, TCP_SYN, ISN, 0);
	assert_int_equal(counts->handshakes_replaced, 1);
	segment(rig, 4001, TCP_ACK, ISN + 1, 0);
	only(rig, LB_OBSERVE_COMPLETED);
}

/* There are as many connections as there is room for; the others are told of as far as they are made. */
static void more_connections_than_places(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_counts *counts = &rig->path.observed[0].counts;
	__u32 places = BLOCKS(rig) * LB_OBSERVE_CONNECTIONS;
	unsigned int n = AT_MOST(places + 1000), completed = 0;

	observing(rig, SERVICE, 0);
	for (unsigned int i = 0; i < n; i++) {
		connect_from(rig, 1024 + (int)i);
		completed += i % 1000 ? 0 : listen_now(rig);
	}
	assert_true(n <= places || counts->connections_refused >= n - places);
	assert_int_equal(counts->handshakes_refused, 0);
	assert_int_equal(completed + listen_now(rig), n);
}

/* As a flow does when the NIC is told to spread its packets otherwise. */
static void a_flow_goes_on_at_another_cpu(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_event *event;
	const struct lb_observed *flow;
	cpu_set_t was, other;

	sched_getaffinity(0, sizeof(was), &was);
	CPU_ZERO(&other);
	CPU_SET(1, &other);
	observing(rig, SERVICE, 0);
	segment(rig, 4000, TCP_SYN, ISN, 0);
	if (sched_setaffinity(0, sizeof(other), &other) < 0)
		skip(); /* there is no other */
	segment(rig, 4000, TCP_ACK, ISN + 1, 100);
	only(rig, LB_OBSERVE_COMPLETED);
	assert_int_equal(rig->path.observed[0].counts.packets, 1);
	assert_int_equal(rig->path.observed[1].counts.packets, 1);
	sched_setaffinity(0, sizeof(was), &was);
	segment(rig, 4000, TCP_ACK, ISN + 1, 100);
	only(rig, LB_OBSERVE_RESENT);
	assert_int_equal(in_places(rig, LB_OBSERVE_CONNECTION, &flow), 1);
	segment(rig, 4000, TCP_ACK | TCP_FIN, ISN + 101, 0);
	event = only(rig, LB_OBSERVE_CLOSED);
	assert_int_equal(event->bytes, 200);
	assert_int_equal(event->packets, 4);
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

/* The first one has a place among handshakes; that of a connection is for those that go on. */
static void datagrams_are_flows_too(void **state)
{
	struct rig *rig = *state;
	const struct lb_observed *flow;

	observing(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2'"), 0);
	datagram(rig, 4000, 10);
	assert_int_equal(in_places(rig, LB_OBSERVE_CONNECTION, &flow), 0);
	assert_int_equal(in_places(rig, LB_OBSERVE_HANDSHAKE, &flow), 1);
	assert_int_equal(flow->protocol, IPPROTO_UDP);
	assert_int_equal(flow->bytes, 10);
	assert_int_equal(flow->client_port, htons(4000));
	assert_int_equal(flow->client[0], inet_addr(CLIENT4));
	datagram(rig, 4000, 0);
	datagram(rig, 4000, 1000);
	assert_int_equal(in_places(rig, LB_OBSERVE_HANDSHAKE, &flow), 0);
	assert_int_equal(in_places(rig, LB_OBSERVE_CONNECTION, &flow), 1);
	assert_int_equal(flow->packets, 3);
	assert_int_equal(flow->bytes, 1010);
	assert_int_equal(flow->backend, rig->last.backend);
	datagram(rig, 4001, 10);
	assert_int_equal(in_places(rig, LB_OBSERVE_HANDSHAKE, &flow), 1);
	assert_int_equal(listen_now(rig), 0);
}

static void a_flood_of_datagrams_evicts_nobody(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_counts *counts = &rig->path.observed[0].counts;
	const struct lb_observed *flow;

	observing(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2'"), 0);
	datagram(rig, 4000, 10);
	datagram(rig, 4000, 10);
	flood(rig, IPPROTO_UDP);
	assert_int_equal(counts->handshakes_replaced, 0);
	assert_int_equal(counts->handshakes + counts->handshakes_refused, FLOOD + 1);
	assert_int_equal(in_places(rig, LB_OBSERVE_CONNECTION, &flow), 1);
	assert_int_equal(flow->client_port, htons(4000));
}

/* Whose second datagram finds no place stays where it is, one flow. */
static void more_flows_of_datagrams_than_places(void **state)
{
	struct rig *rig = *state;
	const struct lb_observe_counts *counts = &rig->path.observed[0].counts;
	const struct lb_observed *flow;

	observing(rig, WEB(ipip, udp, "'10.0.1.1','10.0.1.2'"), 0);
	for (__u32 block = 0; block < BLOCKS(rig); block++)
		for (__u32 i = 0; i < LB_OBSERVE_CONNECTIONS; i++)
			rig->path.observed[block].connection[i].state = LB_OBSERVE_CONNECTION;
	for (int i = 0; i < 3; i++)
		datagram(rig, 4000, 10);
	assert_int_equal(in_places(rig, LB_OBSERVE_HANDSHAKE, &flow), 1);
	assert_int_equal(flow->packets, 3);
	assert_int_equal(flow->bytes, 30);
	assert_int_equal(counts->handshakes, 1);
	assert_int_equal(counts->connections_refused, 2);
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
		RIG_TEST(the_client_is_known_while_the_flow_is),
		RIG_TEST(a_syn_sent_again_is_told_of_once),
		RIG_TEST(resets_tell_what_they_end),
		RIG_TEST(data_that_comes_again_is_told_of_once),
		RIG_TEST(ports_used_again_end_what_was_there),
		RIG_TEST(hellos_come_in_the_first_two_segments),
		RIG_TEST(what_is_no_hello_is_not_told),
		RIG_TEST(flows_are_sampled_whole),
		RIG_TEST(a_flood_evicts_nobody),
		RIG_TEST(old_handshakes_give_way),
		RIG_TEST(more_connections_than_places),
		RIG_TEST(every_way_is_observed_and_none_changed),
		RIG_TEST(flows_of_one_client_are_told_apart),
		RIG_TEST(a_flow_goes_on_at_another_cpu),
		RIG_TEST(datagrams_are_flows_too),
		RIG_TEST(a_flood_of_datagrams_evicts_nobody),
		RIG_TEST(more_flows_of_datagrams_than_places),
		RIG_TEST(fragments_are_not_looked_at),
		RIG_TEST(nothing_is_looked_at_without_a_level),
		RIG_TEST(a_full_ring_is_counted_and_packets_go_on),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
