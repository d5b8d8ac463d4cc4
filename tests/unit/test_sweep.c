// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweeper: what it expires and when, how slots settle, tombs, counts, and when what left is freed.
 */
#include "engine_fixture.h"

#define CLOCK(f) ((f)->tables.control->clock_s)

/* A slot whose owner is (cur, base); the pool must have been moved so that one exists. */
static __u32 find_slot(struct fixture *f, __u32 cur, __u32 base)
{
	struct lb_service_view view = fixture_view(f, "web");
	const __u32 *ring = fixture_ring(f, "web");

	for (__u32 s = 0; s < view.ring_slots; s++) {
		if (lb_slot_cur(ring[s]) == cur && lb_slot_base(ring[s]) == base)
			return s;
	}
	fail_msg("no slot has cur %u and base %u", cur, base);
	return 0;
}

static __u32 slot(struct fixture *f, __u32 number)
{
	return fixture_ring(f, "web")[number];
}

/* b0 alone, then b1 in its place: every slot is (1, 0). */
static void moved_pool(struct fixture *f, __u8 protocol)
{
	fixture_init(f);
	fixture_apply(f, POOL(f, protocol, 100, 0));
	fixture_apply(f, POOL(f, protocol, 0, 100));
	assert_int_equal(fixture_view(f, "web").unsettled_slots, 64);
}

static void test_clock(void **state)
{
	struct fixture f;
	__u32 clock;

	(void)state;
	fixture_init(&f);
	lb_engine_tick(f.engine, 5000, 1);
	clock = CLOCK(&f);
	assert_int_equal(clock, 1);
	lb_engine_tick(f.engine, 5001, 1);
	assert_int_equal(CLOCK(&f), clock + 1);
	lb_engine_tick(f.engine, 5001, 1);
	assert_int_equal(CLOCK(&f), clock + 1);
	/* Standing still for a while makes nobody look old. */
	lb_engine_tick(f.engine, 9000, 1);
	assert_int_equal(CLOCK(&f), clock + 1 + LB_ENGINE_CLOCK_STEP_MAX_S);
	lb_engine_tick(f.engine, 8000, 1);
	lb_engine_tick(f.engine, 9001, 1);
	assert_int_equal(CLOCK(&f), clock + 2 + LB_ENGINE_CLOCK_STEP_MAX_S);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100));
	/* It goes on from where it was, whenever the next agent comes. */
	assert_int_equal(fixture_restart(&f), 0);
	lb_engine_tick(f.engine, 77, 1);
	assert_int_equal(CLOCK(&f), clock + 2 + LB_ENGINE_CLOCK_STEP_MAX_S);
	lb_engine_tick(f.engine, 78, 1);
	assert_int_equal(CLOCK(&f), clock + 3 + LB_ENGINE_CLOCK_STEP_MAX_S);
	fixture_done(&f);
}

/* How many passes-and-seconds an entry of a state survives. */
static unsigned int lifetime(__u8 protocol, __u32 state, __u64 marks, __u32 idle_timeout_s,
			     __u32 half_closed_timeout_s)
{
	struct fixture f;
	struct lb_config *config[2];
	struct lb_flow *flow;
	unsigned int seconds = 0;

	fixture_init(&f);
	for (int i = 0; i < 2; i++) {
		config[i] = POOL(&f, protocol, i ? 0 : 100, i ? 100 : 0);
		config[i]->services[0].idle_timeout_s = idle_timeout_s;
		config[i]->services[0].half_closed_timeout_s = half_closed_timeout_s;
		config[i]->services[0].learning_window_s = 3600;
		fixture_apply(&f, config[i]);
	}
	fixture_pass(&f, 1);
	flow = fixture_remember(&f, 1, 0, 5, 1, state);
	f.tables.flows[1].flow[0].numbers.rest = marks;
	while (lb_flow_state(flow->word)) {
		/* Old flows keep the slots as they are. */
		for (int s = 0; s < 64; s++)
			fixture_stamps(&f, "web")[s] = CLOCK(&f);
		fixture_pass(&f, 1);
		seconds++;
	}
	fixture_done(&f);
	return seconds;
}

static void test_expiry(void **state)
{
	(void)state;
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, 0, 100, 0), 101);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ONCE, 0, 100, 0), 101);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_EMBRYONIC, 0, 100, 0), 61);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_EMBRYONIC, 0, 10, 0), 11);
	/* A reset one is over; one that is half closed may be waiting. */
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, LB_NUMBERS_RST, 100, 0), 61);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, LB_NUMBERS_RST, 10, 0), 11);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, LB_NUMBERS_FIN | LB_NUMBERS_RST, 100, 90),
			 61);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, LB_NUMBERS_FIN, 100, 0), 101);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, LB_NUMBERS_FIN, 100, 30), 31);
	assert_int_equal(lifetime(IPPROTO_TCP, LB_FLOW_ESTABLISHED, LB_NUMBERS_FIN, 100, 150), 151);
	/* One packet a minute is a living UDP flow. */
	assert_int_equal(lifetime(IPPROTO_UDP, LB_FLOW_ONCE, 0, 100, 0), 101);
}

static void test_void_entries(void **state)
{
	struct fixture f;
	struct lb_flow *unknown, *index, *dead, *redundant, *alive;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 50, 100, 1000));
	unknown = fixture_remember(&f, 1, 33, 5, 1, LB_FLOW_ESTABLISHED);
	index = fixture_remember(&f, 2, 0, 5, 77, LB_FLOW_ESTABLISHED);
	dead = fixture_remember(&f, 3, 0, 5, 2, LB_FLOW_ESTABLISHED);
	redundant = fixture_remember(&f, 4, 0, find_slot(&f, 0, 0), 0, LB_FLOW_ESTABLISHED);
	alive = fixture_remember(&f, 5, 0, find_slot(&f, 1, 0), 1, LB_FLOW_ESTABLISHED);
	fixture_pass(&f, 2);
	assert_int_equal(lb_flow_state(unknown->word), 0);
	assert_int_equal(lb_flow_state(index->word), 0);
	assert_int_equal(lb_flow_state(dead->word), 0);
	assert_int_equal(lb_flow_state(redundant->word), 0);
	assert_int_equal(lb_flow_state(alive->word), LB_FLOW_ESTABLISHED);
	assert_int_equal(fixture_view(&f, "web").entries, 1);
	assert_int_equal(fixture_find_backend(&f, "b1")->entries, 1);
	assert_int_equal(fixture_find_backend(&f, "b0")->entries, 0);
	fixture_done(&f);
}

/* TCP: base follows cur once no packet of an old flow was seen for the idle timeout. */
static void test_settling_tcp(void **state)
{
	struct fixture f;
	struct lb_flow *flow;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 0, LB_SLOT_UNSETTLED));
	assert_int_equal(fixture_view(&f, "web").unsettled_since_s != 0, 1);
	/* A new flow, remembered; and an old one that keeps sending until second 8. */
	flow = fixture_remember(&f, 1, 0, 7, 1, LB_FLOW_ESTABLISHED);
	for (int i = 0; i < 8; i++) {
		fixture_pass(&f, 1);
		fixture_stamps(&f, "web")[5] = CLOCK(&f);
	}
	fixture_pass(&f, 5);
	assert_int_equal(slot(&f, 6), lb_slot_make(1, 1, 0));
	/* Its entry says the same as base now. */
	assert_int_equal(lb_flow_state(flow->word), 0);
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 0, LB_SLOT_UNSETTLED));
	assert_int_equal(fixture_view(&f, "web").unsettled_slots, 1);
	fixture_pass(&f, 7);
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 1, 0));
	assert_int_equal(fixture_view(&f, "web").unsettled_slots, 0);
	assert_int_equal(fixture_view(&f, "web").unsettled_since_s, 0);
	fixture_done(&f);
}

/* An entry that disagrees keeps the slot unsettled for as long as it lives. */
static void test_disagreement(void **state)
{
	struct fixture f;
	struct lb_flow *flow;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 0, 0));
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 0, 100, 0));
	flow = fixture_remember(&f, 1, 0, 7 + 64, 1, LB_FLOW_ESTABLISHED);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 0, 0, 100));
	assert_int_equal(slot(&f, 7), lb_slot_make(2, 0, LB_SLOT_UNSETTLED));
	for (int i = 0; i < 30; i++) {
		fixture_pass(&f, 1);
		flow->word = lb_flow_word(1, LB_FLOW_ESTABLISHED, 7 + 64, 0, CLOCK(&f));
	}
	assert_int_equal(slot(&f, 6), lb_slot_make(2, 2, 0));
	assert_int_equal(slot(&f, 7), lb_slot_make(2, 2, LB_SLOT_UNSETTLED));
	assert_int_equal(fixture_view(&f, "web").unsettled_slots, 1);
	fixture_pass(&f, 15);
	assert_int_equal(lb_flow_state(flow->word), 0);
	assert_int_equal(slot(&f, 7), lb_slot_make(2, 2, 0));
	fixture_done(&f);
}

/* UDP: unknown flows are old until the window ends; then base follows cur, and the remembered ones stay. */
static void test_learning(void **state)
{
	struct fixture f;
	struct lb_flow *flow;

	(void)state;
	moved_pool(&f, IPPROTO_UDP);
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 0, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING));
	flow = fixture_remember(&f, 1, 0, 7, 0, LB_FLOW_ESTABLISHED);
	fixture_pass(&f, 5);
	assert_true(slot(&f, 5) & LB_SLOT_LEARNING);
	for (int i = 0; i < 10; i++) {
		fixture_pass(&f, 1);
		flow->word = lb_flow_word(0, LB_FLOW_ESTABLISHED, 7, 0, CLOCK(&f));
	}
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 1, 0));
	assert_int_equal(slot(&f, 7), lb_slot_make(1, 1, LB_SLOT_UNSETTLED));
	/* Moved again while the first move's entry lives: another window, from now. */
	fixture_apply(&f, POOL(&f, IPPROTO_UDP, 100, 0));
	assert_int_equal(slot(&f, 7), lb_slot_make(0, 1, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING));
	fixture_pass(&f, 4);
	assert_true(slot(&f, 7) & LB_SLOT_LEARNING);
	fixture_pass(&f, 4);
	assert_int_equal(slot(&f, 7), lb_slot_make(0, 0, 0));
	fixture_done(&f);
}

/* UDP: the window ends when it says, whatever finds no place in the flow table: anybody can send that. */
static void test_learning_refused(void **state)
{
	struct fixture f;

	(void)state;
	moved_pool(&f, IPPROTO_UDP);
	for (int i = 0; i < 8; i++) {
		fixture_pass(&f, 1);
		fixture_stamps(&f, "web")[5] = CLOCK(&f);
	}
	assert_int_equal(slot(&f, 6), lb_slot_make(1, 1, 0));
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 1, 0));
	fixture_done(&f);
}

/* TCP: what proves nothing holds a slot for twice the idle timeout in all; a flow that lives, for as long as
 * it does. */
static void test_what_proves_nothing(void **state)
{
	struct lb_flow *lives, *once;
	unsigned int held = 0;
	struct fixture f;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	lives = fixture_remember(&f, 1, 0, 7, 0, LB_FLOW_ESTABLISHED);
	once = fixture_remember(&f, 2, 0, 6, 0, LB_FLOW_ONCE);
	while (lb_slot_base(slot(&f, 5)) == 0 && held < 100) {
		for (int s = 0; s < 64; s++)
			fixture_stamps(&f, "web")[s] = CLOCK(&f);
		lives->word = lb_flow_word(0, LB_FLOW_ESTABLISHED, 7, 0, CLOCK(&f));
		once->word = lb_flow_word(0, LB_FLOW_ONCE, 6, 0, CLOCK(&f));
		fixture_pass(&f, 1);
		held++;
	}
	assert_in_range(held, 20, 22);
	for (int i = 0; i < 30; i++) {
		fixture_pass(&f, 1);
		lives->word = lb_flow_word(0, LB_FLOW_ESTABLISHED, 7, 0, CLOCK(&f));
	}
	assert_int_equal(slot(&f, 5), lb_slot_make(1, 1, 0));
	assert_int_equal(slot(&f, 6), lb_slot_make(1, 1, 0));
	assert_int_equal(slot(&f, 7), lb_slot_make(1, 1, LB_SLOT_UNSETTLED));
	assert_int_equal(once->word, LB_FLOW_EMPTY);
	fixture_pass(&f, 12);
	assert_int_equal(slot(&f, 7), lb_slot_make(1, 1, 0));
	fixture_done(&f);
}

/* A given-up place: a tomb where a look-up may have to step over it, empty where not. */
static void test_tombs(void **state)
{
	struct lb_flow *home[4], *further, *other;
	struct fixture f;
	struct lb_config *config;
	unsigned int graces;

	(void)state;
	fixture_init(&f);
	config = POOL(&f, IPPROTO_TCP, 100, 0);
	config->services[0].idle_timeout_s = 1000;
	fixture_apply(&f, config);
	config = POOL(&f, IPPROTO_TCP, 0, 100);
	config->services[0].idle_timeout_s = 1000;
	fixture_apply(&f, config);
	/* Five flows of bucket 10, so one lies in 11; one of bucket 20 with room beside it. */
	for (__u32 i = 0; i < 4; i++)
		home[i] = fixture_remember(&f, 10 + 64 * i, 0, 5, 1,
					   i ? LB_FLOW_ESTABLISHED : LB_FLOW_EMBRYONIC);
	further = fixture_remember(&f, 10 + 64 * 4, 0, 5, 1, LB_FLOW_ESTABLISHED);
	other = fixture_remember(&f, 20, 0, 5, 1, LB_FLOW_EMBRYONIC);
	assert_ptr_equal(further, &f.tables.flows[11].flow[0]);
	fixture_pass(&f, 60);
	graces = f.graces;
	while (lb_flow_state(home[0]->word))
		fixture_pass(&f, 1);
	assert_int_equal(home[0]->word, LB_FLOW_TOMB);
	assert_int_equal(other->word, LB_FLOW_EMPTY);
	/* It ages, but stays while the one further on could not be found without it. */
	fixture_pass(&f, 1);
	assert_int_equal(home[0]->word, LB_FLOW_TOMB_OLD);
	assert_true(f.graces > graces);
	fixture_pass(&f, 5);
	assert_int_equal(home[0]->word, LB_FLOW_TOMB_OLD);
	further->word = LB_FLOW_BUSY;
	fixture_pass(&f, 5);
	assert_int_equal(home[0]->word, LB_FLOW_TOMB_OLD);
	further->word = LB_FLOW_EMPTY;
	fixture_pass(&f, 2);
	assert_int_equal(home[0]->word, LB_FLOW_EMPTY);
	fixture_done(&f);
}

static void test_leaving(void **state)
{
	struct fixture f;
	struct lb_flow *flow;
	struct lb_plan *plan;
	__u32 id, record;

	(void)state;
	fixture_init(&f);
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 100));
	id = fixture_find_backend(&f, "b1")->id;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1));
	record = fixture_view(&f, "web").backend_first + 1;
	/* An entry keeps it, whatever its slots say; so does a plan that may refer to it. */
	flow = fixture_remember(&f, 1, 0, 7, 1, LB_FLOW_ESTABLISHED);
	for (int i = 0; i < 30; i++) {
		fixture_pass(&f, 1);
		flow->word = lb_flow_word(1, LB_FLOW_ESTABLISHED, 7, 0, CLOCK(&f));
	}
	assert_true(fixture_find_backend(&f, "b1")->leaving);
	assert_int_equal(fixture_find_backend(&f, "b1")->slots_base, 0);
	assert_int_equal(fixture_find_backend(&f, "b1")->entries, 1);
	assert_int_equal(fixture_plan(&f, POOL(&f, IPPROTO_TCP, 100, -1, 1), &plan), 0);
	fixture_pass(&f, 30);
	assert_int_equal(lb_flow_state(flow->word), 0);
	assert_non_null(fixture_find_backend(&f, "b1"));
	lb_plan_free(plan);
	assert_int_equal(f.tables.backends[record].flags & LB_BACKEND_USED, LB_BACKEND_USED);
	fixture_pass(&f, 1);
	assert_null(fixture_find_backend(&f, "b1"));
	assert_int_equal(f.tables.backends[record].flags, 0);
	assert_int_equal(f.tables.backend_meta[id].used, 0);
	assert_true(fixture_is_empty(&f, POOL(&f, IPPROTO_TCP, 100, -1)));
	/* Its index and id serve again, with counters from zero. */
	f.tables.counters[id].tx_packets = 9;
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, -1, 100));
	assert_int_equal(fixture_find_backend(&f, "b2")->index, 1);
	assert_int_equal(fixture_find_backend(&f, "b2")->id, id);
	assert_int_equal(f.tables.counters[id].tx_packets, 0);
	fixture_done(&f);
}

/* A removed service's id waits for its entries, which go at once, and for two passes more. */
static void test_removed_service(void **state)
{
	struct lb_engine_usage usage;
	struct lb_flow *flow;
	struct lb_config *config;
	struct fixture f;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	flow = fixture_remember(&f, 1, 0, 7, 1, LB_FLOW_ESTABLISHED);
	fixture_pass(&f, 1);
	config = fixture_config(&f);
	fixture_backend(fixture_service(config, "dns", "203.0.113.11", 53), "d0", "10.1.0.1", 1);
	fixture_apply(&f, config);
	assert_int_not_equal(fixture_view(&f, "dns").id, 0);
	lb_engine_get_usage(f.engine, &usage);
	assert_int_equal(usage.services, 2);
	assert_int_equal(usage.backends, 3);
	fixture_pass(&f, 1);
	assert_int_equal(lb_flow_state(flow->word), 0);
	assert_int_equal(f.tables.service_meta[0].used, 1);
	fixture_pass(&f, 3);
	assert_int_equal(f.tables.service_meta[0].used, 0);
	lb_engine_get_usage(f.engine, &usage);
	assert_int_equal(usage.services, 1);
	assert_int_equal(usage.backends, 1);
	fixture_done(&f);
}

/* Stamps that packets in flight write beside the old ring after the commit are not lost. */
static void test_stamps_in_flight(void **state)
{
	struct fixture f;
	__u32 *old_stamps;
	__u32 seen, moved_at;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	moved_at = CLOCK(&f);
	fixture_pass(&f, 9);
	old_stamps = fixture_stamps(&f, "web");
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 10, 100));
	assert_ptr_not_equal(fixture_stamps(&f, "web"), old_stamps);
	seen = find_slot(&f, 1, 0);
	assert_int_equal(fixture_stamps(&f, "web")[seen], moved_at);
	old_stamps[seen] = CLOCK(&f);
	fixture_pass(&f, 1);
	assert_int_equal(fixture_stamps(&f, "web")[seen], CLOCK(&f) - 1);
	fixture_pass(&f, 7);
	assert_int_equal(slot(&f, seen), lb_slot_make(1, 0, LB_SLOT_UNSETTLED));
	fixture_pass(&f, 7);
	assert_int_equal(slot(&f, seen), lb_slot_make(1, 1, 0));
	fixture_done(&f);
}

/* Work is bounded, however small the piece; and there is none when nothing is unsettled. */
static void test_bounded_work(void **state)
{
	struct lb_engine_usage usage;
	struct fixture f;
	unsigned int ticks = 0;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	f.now_s++;
	do {
		size_t did = lb_engine_tick(f.engine, f.now_s, 3);

		assert_true(did <= 3 + LB_FLOW_PROBES);
		lb_engine_get_usage(f.engine, &usage);
		assert_true(++ticks < 1000);
	} while (!usage.sweeps);
	assert_in_range(ticks, 64 / 3, 64);
	fixture_pass(&f, 40);
	assert_int_equal(fixture_view(&f, "web").unsettled_slots, 0);
	lb_engine_get_usage(f.engine, &usage);
	ticks = (unsigned int)usage.sweeps;
	for (int i = 0; i < 10; i++)
		assert_int_equal(lb_engine_tick(f.engine, ++f.now_s, 1000), 0);
	lb_engine_get_usage(f.engine, &usage);
	assert_int_equal(usage.sweeps, ticks);
	fixture_done(&f);
}

/* A commit in the middle of a pass: what moved is not settled by what the pass saw before. */
static void test_commit_in_mid_pass(void **state)
{
	struct fixture f;
	struct lb_flow *flow;

	(void)state;
	moved_pool(&f, IPPROTO_TCP);
	fixture_pass(&f, 9);
	/* The pass that would settle: stop it halfway through the flow table. */
	f.now_s += 2;
	lb_engine_tick(f.engine, f.now_s, 4 + 2 + 32);
	flow = fixture_remember(&f, 3, 0, 7, 1, LB_FLOW_ESTABLISHED); /* behind the cursor */
	fixture_apply(&f, POOL(&f, IPPROTO_TCP, 100, 0));
	assert_true(slot(&f, 7) & LB_SLOT_UNSETTLED);
	lb_engine_tick(f.engine, f.now_s, 1000);
	assert_true(slot(&f, 7) & LB_SLOT_UNSETTLED);
	fixture_pass(&f, 3);
	assert_int_equal(lb_flow_state(flow->word), LB_FLOW_ESTABLISHED);
	assert_true(slot(&f, 7) & LB_SLOT_UNSETTLED);
	fixture_done(&f);
}

/* web as in moved_pool(), and rings that fill all of the first chunk but for web's, and some of the second,
 * whose stamps are the same. */
static struct lb_config *beside_others(struct fixture *f, int first, int second)
{
	struct lb_config *config = POOL(f, IPPROTO_TCP, first, second);

	for (int i = 0; i < 4; i++) {
		char name[16], vip[32];
		struct lb_config_service *service;

		snprintf(name, sizeof(name), "big%d", i);
		snprintf(vip, sizeof(vip), "203.0.113.%d", 100 + i);
		service = fixture_service(config, name, vip, 80);
		service->ring_size = LB_RING_MAX;
		fixture_backend(service, "b0", "10.9.0.1", 100);
	}
	return config;
}

/* Where slots of two rings have one stamp, a change of one ring takes nothing from the other's. */
static void test_shared_stamps(void **state)
{
	struct lb_table_sizes sizes = fixture_sizes();
	__u32 first, seen, lines = LB_RING_MAX / LB_SLOTS_PER_LINE;
	struct lb_service_view web, big;
	struct fixture f;

	(void)state;
	sizes.ring_lines = 2 * LB_CHUNK_LINES;
	fixture_init_sizes(&f, &sizes);
	fixture_apply(&f, beside_others(&f, 100, 0));
	fixture_apply(&f, beside_others(&f, 0, 100));
	web = fixture_view(&f, "web");
	big = fixture_view(&f, "big3");
	assert_int_equal(big.ring_line, LB_CHUNK_LINES);
	assert_int_equal(web.unsettled_slots, 64);
	fixture_pass(&f, 9);
	/* Packets of the other ring, in all slots but those that have the stamps of web as it lies now. */
	for (__u32 s = 0; s < lines * LB_SLOTS_PER_LINE; s++)
		if (s / LB_SLOTS_PER_LINE < web.ring_line || s / LB_SLOTS_PER_LINE >= web.ring_line + 4)
			fixture_stamps(&f, "big3")[s] = CLOCK(&f);
	first = CLOCK(&f);
	fixture_pass(&f, 1);
	fixture_apply(&f, beside_others(&f, 10, 100));
	assert_int_not_equal(fixture_view(&f, "web").ring_line, web.ring_line);
	seen = find_slot(&f, 1, 0);
	assert_int_equal(fixture_stamps(&f, "web")[seen], first);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_void_entries),
		cmocka_unit_test(test_settling_tcp),
		cmocka_unit_test(test_disagreement),
		cmocka_unit_test(test_learning),
		cmocka_unit_test(test_learning_refused),
		cmocka_unit_test(test_what_proves_nothing),
		cmocka_unit_test(test_tombs),
		cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_removed_service),
		cmocka_unit_test(test_stamps_in_flight),
		cmocka_unit_test(test_shared_stamps),
		cmocka_unit_test(test_bounded_work),
		cmocka_unit_test(test_commit_in_mid_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
