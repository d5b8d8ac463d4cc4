/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Services that share a ring: with affinity source a client meets one backend on all their ports; what comes
 * in is counted for each of them, and for no service that has a ring of its own.
 */
#include "rig.h"

#include "lb/slot.h"

#define SHARING(name, port, more)                                                                            \
	"{'name':'" name "','vip':'" VIP4 "','protocol':'tcp','port':" #port ",'ring_size':64," more         \
	"'backends':[{'name':'b1','address':'10.0.1.1'},{'name':'b2','address':'10.0.1.2'},"                 \
	"{'name':'b3','address':'10.0.1.3'}]}"
#define OF_SOURCE "'ring':'pool','affinity':'source',"
#define OF_FLOW   "'ring':'pool',"

static struct lb_service_counter came_in(struct rig *rig, const char *service)
{
	const struct lb_tables *tables = &rig->path.tables;
	struct lb_service_counter sum = {};

	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		const struct lb_service_counter *line =
			&tables->service_counters[cpu * tables->sizes.services +
						  rig_vip(rig, service)->service];

		sum.packets += line->packets;
		sum.bytes += line->bytes;
		sum.syns += line->syns;
	}
	return sum;
}

static void send_one(struct rig *rig, __u32 client, __u16 port, bool syn)
{
	char address[32];

	snprintf(address, sizeof(address), "198.51.100.%u", client);
	expect_tx(rig,
		  frame(ETH(), IP4(address, VIP4),
			TCP((int)(1000 + client * 7), port, .flags = syn ? TCP_SYN : TCP_ACK), DATA(30)),
		  NULL);
}

static void one_backend_for_all_ports(void **state)
{
	struct rig *rig = *state;
	bool seen[4] = {};

	rig_services(rig, SHARING("web", 80, OF_SOURCE) "," SHARING("tls", 443, OF_SOURCE));
	for (__u32 client = 1; client < 60; client++) {
		int taken;

		send_one(rig, client, 80, false);
		taken = rig_backend_taken(rig);
		send_one(rig, client, 443, false);
		assert_int_equal(rig_backend_taken(rig), taken);
		seen[taken & 3] = true;
	}
	assert_true(seen[1] && seen[2] && seen[3]);
	/* Not so with rings of their own. */
	rig_reset(state);
	rig_services(rig, SHARING("web", 80, "'affinity':'source',") "," SHARING("tls", 443,
										 "'affinity':'source',"));
	for (__u32 client = 1, differ = 0; !differ; client++) {
		int taken;

		assert_in_range(client, 1, 60);
		send_one(rig, client, 80, false);
		taken = rig_backend_taken(rig);
		send_one(rig, client, 443, false);
		differ = rig_backend_taken(rig) != taken;
	}
}

/* Every packet runs more than once here, so what counts is that all of it is of the one service. */
static void counted_for_each(void **state)
{
	struct lb_service_counter web, tls;
	struct rig *rig = *state;

	rig_services(rig,
		     SHARING("web", 80, OF_FLOW) "," SHARING("tls", 443, OF_FLOW) "," SHARING("own", 81, ""));
	send_one(rig, 1, 80, true);
	web = came_in(rig, "web");
	tls = came_in(rig, "tls");
	assert_true(web.packets > 0);
	assert_int_equal(web.syns, web.packets);
	assert_int_equal(web.bytes, web.packets * (14 + 20 + 20 + 30));
	assert_int_equal(tls.packets + tls.bytes + tls.syns, 0);
	send_one(rig, 1, 443, false);
	tls = came_in(rig, "tls");
	assert_int_equal(tls.packets, web.packets);
	assert_int_equal(tls.syns, 0);
	assert_int_equal(came_in(rig, "web").packets, web.packets);
	/* By the slow path as well. */
	expect_tx(rig, frame(ETH(), VLAN(5), IP4(CLIENT4, VIP4), TCP(4000, 443), DATA(30)), NULL);
	assert_int_equal(came_in(rig, "tls").packets, 2 * web.packets);
	send_one(rig, 1, 81, true);
	assert_int_equal(came_in(rig, "own").packets, 0);
	assert_int_equal(came_in(rig, "web").packets, web.packets);
}

/* While a slot is unsettled, too: what is remembered of a flow is of its own service. */
static void unsettled(void **state)
{
	struct rig *rig = *state;
	int old;

	rig_services(rig, SHARING("web", 80, OF_FLOW) "," SHARING("tls", 443, OF_FLOW));
	rig_fill_slots(rig, "web", lb_slot_make(1, 0, LB_SLOT_UNSETTLED));
	send_one(rig, 1, 443, false);
	old = rig_backend_taken(rig);
	send_one(rig, 2, 443, true);
	assert_int_not_equal(rig_backend_taken(rig), old);
	send_one(rig, 2, 80, false);
	assert_int_equal(rig_backend_taken(rig), old);
}

static const struct CMUnitTest tests[] = {
	RIG_TEST(one_backend_for_all_ports),
	RIG_TEST(counted_for_each),
	RIG_TEST(unsettled),
};

RIG_MAIN(tests, rig_setup)
