/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The places of the observer (bpf/observe.h): whose flows they hold, who gets one where there are too few,
 * and that it does not matter which CPU a packet comes to. Packets run on CPU 0 unless a test says otherwise.
 */
#include <netinet/in.h>
#include <sched.h>
#include <time.h>

#include "observed.h"

/* How many flows are in places of a phase, and the last of them, or NULL. */
static unsigned int in_places(struct rig *rig, enum lb_observe_phase phase,
			      const struct lb_observed **ret_flow)
{
	__u32 n = phase == LB_OBSERVE_HANDSHAKE ? LB_OBSERVE_HANDSHAKES : LB_OBSERVE_CONNECTIONS;
	unsigned int found = 0;

	*ret_flow = NULL;
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
	__u64 replaced;

	observing(rig, SERVICE, 0);
	flood(rig, IPPROTO_TCP);
	all_handshakes_seen(rig, 1);
	replaced = counts->handshakes_replaced; /* a slow machine's flood has seen its first ones grow old */
	segment(rig, 4001, TCP_SYN, ISN, 0);
	assert_int_equal(counts->handshakes_replaced - replaced, 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_client_is_known_while_the_flow_is),
		RIG_TEST(a_flood_evicts_nobody),
		RIG_TEST(old_handshakes_give_way),
		RIG_TEST(more_connections_than_places),
		RIG_TEST(a_flow_goes_on_at_another_cpu),
		RIG_TEST(datagrams_are_flows_too),
		RIG_TEST(a_flood_of_datagrams_evicts_nobody),
		RIG_TEST(more_flows_of_datagrams_than_places),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
