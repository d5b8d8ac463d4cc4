// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table against a plain list of flows, single-threaded, with the engine's sweeper at work: what was
 * remembered is found until it may be forgotten, what may be forgotten goes, nothing established is ever
 * evicted, and an insertion is refused only when there is really no room. Threads: tests/property.
 */
#include "engine_fixture.h"

/* --- words --------------------------------------------------------------------------------------- */

static void test_words(void **state)
{
	__u64 word = lb_flow_word(0x3ffe, LB_FLOW_ESTABLISHED, 0xabcd, 0xfffe, 0x12345);

	(void)state;
	assert_int_equal(lb_flow_backend(word), 0x3ffe);
	assert_int_equal(lb_flow_state(word), LB_FLOW_ESTABLISHED);
	assert_int_equal(lb_flow_hash(word), 0xabcd);
	assert_int_equal(lb_flow_service(word), 0xfffe);
	assert_int_equal(lb_flow_age_s(word, 0x12345), 0);
	assert_int_equal(lb_flow_age_s(word, 0x12349), 4);
	/* The clock wraps in the word, the age does not. */
	assert_int_equal(lb_flow_age_s(lb_flow_word(0, 1, 0, 0, 0xffff), 0x10003), 4);
	assert_int_equal(lb_flow_identity(word), lb_flow_word(0, 0, 0xabcd, 0xfffe, 0));
	assert_int_equal(lb_flow_state(LB_FLOW_EMPTY) | lb_flow_state(LB_FLOW_TOMB) |
				 lb_flow_state(LB_FLOW_TOMB_OLD) | lb_flow_state(LB_FLOW_BUSY),
			 0);
	assert_int_equal(lb_flow_tag(0), 1);
}

/* A packet that read the clock before it moved on meets a handshake that is younger. */
static void test_evictable(void **state)
{
	__u64 word = lb_flow_word(0, LB_FLOW_EMBRYONIC, 0, 0, 0x10000);

	(void)state;
	for (int syn = 0; syn < 2; syn++) {
		assert_false(lb_flow_is_evictable(word, 0x10000, syn));
		assert_false(lb_flow_is_evictable(word, 0x10000 + LB_FLOW_EMBRYONIC_GRACE_S, syn));
		assert_true(lb_flow_is_evictable(word, 0x10001 + LB_FLOW_EMBRYONIC_GRACE_S, syn));
		assert_true(lb_flow_is_evictable(word, 0x10000 + 3600, syn));
		assert_false(lb_flow_is_evictable(word, 0xffff, syn));
		assert_false(lb_flow_is_evictable(word, 0x10000 - LB_ENGINE_CLOCK_STEP_MAX_S, syn));
	}
	/* What was seen once proves nothing: a handshake may take its place at any time. */
	word = lb_flow_word(0, LB_FLOW_ONCE, 0, 0, 0x10000);
	assert_true(lb_flow_is_evictable(word, 0x10000, 1));
	assert_false(lb_flow_is_evictable(word, 0x10000, 0));
	assert_true(lb_flow_is_evictable(word, 0x10001 + LB_FLOW_EMBRYONIC_GRACE_S, 0));
	word = lb_flow_word(0, LB_FLOW_ESTABLISHED, 0, 0, 0x10000);
	assert_false(lb_flow_is_evictable(word, 0x10000 + 3600, 1));
}

/* --- the oracle ---------------------------------------------------------------------------------- */

enum { BUCKETS = 64, FLOWS = 600, IDLE_S = 20 };

struct flow {
	__u64 tag;
	__u32 hash;
	bool remembered;
	__u32 state;
	__u32 seen; /* clock */
};

struct oracle {
	struct fixture f;
	struct flow flows[FLOWS];
	unsigned int seed;
	unsigned int inserted, refused, evicted, expired, found, elsewhere;
};

static __u32 clock_of(const struct oracle *o)
{
	return o->f.tables.control->clock_s;
}

static __u64 identity_of(const struct flow *flow)
{
	return lb_flow_word(0, 0, flow->hash, 0, 0);
}

/* The whole look-up; the one in the home bucket alone must agree with it. */
static int find(struct oracle *o, const struct flow *flow, struct lb_flow_place *place)
{
	__u32 home = (__u32)flow->tag & (BUCKETS - 1);
	struct lb_flow_place at_home;
	int found = lb_flow_find(o->f.tables.flows, BUCKETS - 1, flow->tag,
				 lb_flow_question(identity_of(flow), 0, clock_of(o)), 0, place);

	if (!lb_flow_find_home(o->f.tables.flows, BUCKETS - 1, flow->tag, identity_of(flow), 0, &at_home)) {
		assert_false(found && place->number / LB_FLOWS_PER_BUCKET == home);
		o->elsewhere += (unsigned int)found;
		return found;
	}
	assert_true(found && at_home.number == place->number && at_home.word == place->word);
	return found;
}

static __u32 timeout_of(const struct flow *flow)
{
	return flow->state == LB_FLOW_ESTABLISHED || IDLE_S < 60 ? IDLE_S : 60;
}

/* Is there a place within reach that an insertion could take? */
static bool has_room(struct oracle *o, const struct flow *flow)
{
	for (__u32 probe = 0; probe < LB_FLOW_PROBES; probe++) {
		struct lb_flow_bucket *bucket = &o->f.tables.flows[(flow->tag + probe) & (BUCKETS - 1)];

		for (int i = 0; i < 4; i++) {
			__u64 word = bucket->flow[i].word;

			if (word <= LB_FLOW_TOMB_OLD || lb_flow_is_evictable(word, clock_of(o), 0))
				return true;
		}
	}
	return false;
}

static struct flow *owner_of(struct oracle *o, __u64 tag)
{
	for (int i = 0; i < FLOWS; i++) {
		if (o->flows[i].tag == tag)
			return &o->flows[i];
	}
	return NULL;
}

static void insert(struct oracle *o, struct flow *flow, struct lb_flow_place *place)
{
	struct lb_flow *at;

	assert_int_equal(place->number != LB_FLOW_NOWHERE, has_room(o, flow));
	if (place->number == LB_FLOW_NOWHERE) {
		o->refused++;
		return;
	}
	at = lb_flow_at(o->f.tables.flows, place->number);
	if (lb_flow_state(place->word)) {
		struct flow *victim = owner_of(o, at->tag);

		assert_non_null(victim);
		assert_true(victim->remembered);
		assert_int_equal(victim->state, LB_FLOW_EMBRYONIC);
		assert_true(clock_of(o) - victim->seen > LB_FLOW_EMBRYONIC_GRACE_S);
		victim->remembered = false;
		o->evicted++;
	}
	assert_int_equal(
		lb_flow_claim(o->f.tables.flows, place, flow->tag,
			      identity_of(flow) | lb_flow_word(0, LB_FLOW_EMBRYONIC, 0, 0, clock_of(o)),
			      NULL),
		1);
	flow->remembered = true;
	flow->state = LB_FLOW_EMBRYONIC;
	flow->seen = clock_of(o);
	o->inserted++;
}

static void packet(struct oracle *o, struct flow *flow)
{
	bool again = rand_r(&o->seed) % 4 == 0;
	struct lb_flow_place place;
	int found = find(o, flow, &place);

	assert_int_equal(found, flow->remembered);
	if (!found) {
		insert(o, flow, &place);
		return;
	}
	assert_int_equal(lb_flow_state(place.word), flow->state);
	assert_int_equal(lb_flow_age_s(place.word, clock_of(o)), clock_of(o) - flow->seen);
	flow->state = again ? flow->state : LB_FLOW_ESTABLISHED;
	flow->seen = clock_of(o);
	lb_flow_touch(o->f.tables.flows, &place, flow->state, clock_of(o));
	o->found++;
}

/* Every flow that may not be forgotten is found, once; the table holds no other. */
static void check_all(struct oracle *o)
{
	unsigned int remembered = 0, present = 0;

	for (int i = 0; i < FLOWS; i++) {
		struct flow *flow = &o->flows[i];
		struct lb_flow_place place;
		int found = find(o, flow, &place);

		if (found != flow->remembered) {
			/* Only the sweeper may have done this, and only to what is too old. */
			assert_true(flow->remembered && clock_of(o) - flow->seen > timeout_of(flow));
			flow->remembered = false;
			o->expired++;
		}
		remembered += flow->remembered;
	}
	for (int b = 0; b < BUCKETS; b++) {
		for (int i = 0; i < 4; i++)
			present += lb_flow_state(o->f.tables.flows[b].flow[i].word) != 0;
	}
	assert_int_equal(present, remembered);
}

static void test_oracle(void **state)
{
	struct oracle *o = calloc(1, sizeof(*o));
	struct lb_config *config;

	(void)state;
	assert_non_null(o);
	o->seed = 7;
	fixture_init(&o->f);
	for (int i = 0; i < 2; i++) {
		config = POOL(&o->f, IPPROTO_TCP, i ? 0 : 100, i ? 100 : 0);
		config->services[0].idle_timeout_s = IDLE_S;
		fixture_apply(&o->f, config);
	}
	for (int i = 0; i < FLOWS; i++) {
		o->flows[i].tag = ((__u64)(i + 1) << 32) | (__u64)(rand_r(&o->seed) & 0xffff);
		o->flows[i].hash = (__u32)rand_r(&o->seed) & 0xffff;
	}
	for (int step = 0; step < 60000; step++) {
		/* Busy times and quiet times. */
		int active = step / 3000 % 3 == 0 ? FLOWS : step / 3000 % 3 == 1 ? 120 : 30;

		packet(o, &o->flows[rand_r(&o->seed) % active]);
		if (rand_r(&o->seed) % 20 == 0) {
			for (int s = 0; s < 64; s++)
				fixture_stamps(&o->f, "web")[s] = clock_of(o);
			lb_engine_tick(o->f.engine, o->f.now_s += (rand_r(&o->seed) % 4 == 0),
				       (size_t)rand_r(&o->seed) % 100);
			check_all(o);
		}
	}
	print_message(
		"# %u inserted, %u found, %u of all looks not at home, %u refused, %u evicted, %u expired\n",
		o->inserted, o->found, o->elsewhere, o->refused, o->evicted, o->expired);
	assert_true(o->refused > 100 && o->evicted > 100 && o->expired > 100 && o->elsewhere > 100);
	/* In the end the table is as empty as at the start: no tomb stays. */
	for (int s = 0; s < 40; s++)
		fixture_pass(&o->f, 1);
	for (int b = 0; b < BUCKETS; b++) {
		for (int i = 0; i < 4; i++)
			assert_int_equal(o->f.tables.flows[b].flow[i].word, LB_FLOW_EMPTY);
	}
	fixture_done(&o->f);
	free(o);
}

/* --- readers of what changes under them ---------------------------------------------------------- */

/* What both look-ups say of a flow that, if anywhere, is at home: -1 if they disagree. */
static int find_both(void *flows, __u64 tag, __u64 identity, struct lb_flow_place *place)
{
	struct lb_flow_place at_home = {};
	int found = lb_flow_find(flows, 63, tag, identity, 0, place);

	if (lb_flow_find_home(flows, 63, tag, identity, 0, &at_home) != found ||
	    (found && (at_home.number != place->number || at_home.word != place->word)))
		return -1;
	return found;
}

static void test_torn_places(void **state)
{
	struct lb_flow_place place;
	struct fixture f;
	struct lb_flow *flow;
	__u64 word;

	(void)state;
	fixture_init(&f);
	flow = fixture_remember(&f, 0x100000007ull, 3, 9, 5, LB_FLOW_ESTABLISHED);
	word = flow->word;
	/* Both look-ups, which must agree. */
#define FIND(tag, service, hash)                                                                             \
	find_both(f.tables.flows, (tag), lb_flow_word(0, 0, (hash), (service), 0), &place)
	assert_int_equal(FIND(0x100000007ull, 3, 9), 1);
	assert_int_equal(place.word, word);
	/* Another flow, service or slot under the same tag: absent. */
	assert_int_equal(FIND(0x200000007ull, 3, 9), 0);
	assert_int_equal(FIND(0x100000007ull, 4, 9), 0);
	assert_int_equal(FIND(0x100000007ull, 3, 8), 0);
	/* Claimed, and not yet published. */
	flow->word = LB_FLOW_BUSY;
	assert_int_equal(FIND(0x100000007ull, 3, 9), 0);
	/* Given up or claimed, and the tag still there: no flow, even where service and hash are 0, as they
	 * are in such words. */
	flow = fixture_remember(&f, 0x100000009ull, 0, 0, 5, LB_FLOW_ESTABLISHED);
	assert_int_equal(FIND(0x100000009ull, 0, 0), 1);
	for (flow->word = LB_FLOW_EMPTY; flow->word <= LB_FLOW_BUSY; flow->word++)
		assert_int_equal(FIND(0x100000009ull, 0, 0), 0);
	flow = lb_flow_at(f.tables.flows, 7 * 4);
	/* A claim against a word that has changed fails, and a touch does nothing. */
	flow->word = word;
	place = (struct lb_flow_place){ .number = 7 * 4, .word = word ^ 1 };
	assert_int_equal(lb_flow_claim(f.tables.flows, &place, 1, 1, NULL), 0);
	lb_flow_touch(f.tables.flows, &place, LB_FLOW_EMBRYONIC, 50);
	assert_int_equal(flow->word, word);
	fixture_done(&f);
}

/* How full a table of random flows is when the first one finds no place, and how many do not at 60 %. */
static void test_load_factor(void **state)
{
	enum { LARGE = 1 << 14, PLACES = LARGE * 4 };
	struct lb_table_sizes sizes = fixture_sizes();
	struct lb_flow_place place;
	struct fixture f;
	__u32 first = 0, refused = 0;

	(void)state;
	sizes.flow_buckets = LARGE;
	fixture_init_sizes(&f, &sizes);
	for (__u32 n = 0; n < PLACES * 6 / 10; n++) {
		__u64 tag = lb_mix64((n + 1) * LB_MIX_A);

		assert_int_equal(lb_flow_find(f.tables.flows, LARGE - 1, tag, 0, 0, &place), 0);
		if (place.number == LB_FLOW_NOWHERE) {
			first = first ? first : n;
			refused++;
			continue;
		}
		assert_int_equal(lb_flow_claim(f.tables.flows, &place, tag,
					       lb_flow_word(1, LB_FLOW_ESTABLISHED, 0, 0, 0), NULL),
				 1);
	}
	print_message("# first refusal at %.1f %% load; at 60 %% %u of %u refused\n", 100.0 * first / PLACES,
		      refused, PLACES * 6 / 10);
	assert_true(!first || first > PLACES * 4 / 10);
	assert_true(refused < PLACES / 1000);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),       cmocka_unit_test(test_evictable),
		cmocka_unit_test(test_oracle),      cmocka_unit_test(test_torn_places),
		cmocka_unit_test(test_load_factor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
