// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carrying records, counts, slots and the flow table from one set of tables to another (user/lib/carry).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "carry/carry.h"
#include "lb/slot.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

static struct lb_layout layout_of(const char *text)
{
	struct lb_error error = {};
	struct lb_layout layout;

	if (lb_layout_parse(text, strlen(text), &layout, &error) < 0)
		fail_msg("%s", error.text);
	return layout;
}

/* --- records ----------------------------------------------------------------------------------------------
 */

static const char old_text[] = "thing . 0 24 1 0\n"
			       "thing name 0 8 1 0\n"
			       "thing wide 8 4 1 0\n"
			       "thing gone 12 4 1 0\n"
			       "thing part.a 16 2 2 4\n"
			       "thing part.b 18 2 2 4\n";
/* One field more, others moved, one wider, an array longer; one of the old ones is gone. */
static const char new_text[] = "thing . 0 48 1 0\n"
			       "thing part.b 0 2 3 4\n"
			       "thing part.a 2 2 3 4\n"
			       "thing fresh 12 4 1 0\n"
			       "thing wide 16 8 1 0\n"
			       "thing name 24 16 1 0\n";

static void test_records_by_name(void **state)
{
	struct lb_layout old = layout_of(old_text), new = layout_of(new_text);
	struct lb_error error = {};
	struct lb_copy copy;
	__u8 from[24], to[48];
	__u16 halves[6];
	__u64 wide;
	__u32 fresh;

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (__u8)(i + 1);
	memset(to, 0xff, sizeof(to));
	assert_int_equal(lb_copy_init(&copy, &old, &new, "thing", &error), 0);
	assert_false(copy.same);
	assert_true(lb_copy_record(&copy, from, to));
	memcpy(halves, to, sizeof(halves));
	assert_int_equal(halves[0], 0x1413); /* part[0].b */
	assert_int_equal(halves[1], 0x1211);
	assert_int_equal(halves[2], 0x1817);
	assert_int_equal(halves[3], 0x1615);
	assert_int_equal(halves[4], 0);
	memcpy(&fresh, to + 12, 4);
	assert_int_equal(fresh, 0);
	memcpy(&wide, to + 16, 8);
	assert_int_equal(wide, 0x0c0b0a09);
	assert_memory_equal(to + 24, from, 8);
	assert_memory_equal(to + 32, "\0\0\0\0\0\0\0\0", 8);
	lb_copy_done(&copy);
	lb_layout_done(&old);
	lb_layout_done(&new);
}

static void test_value_without_room(void **state)
{
	struct lb_layout old = layout_of(new_text), new = layout_of(old_text);
	struct lb_error error = {};
	struct lb_copy copy;
	__u8 from[48] = {}, to[24];

	(void)state;
	assert_int_equal(lb_copy_init(&copy, &old, &new, "thing", &error), 0);
	from[16] = 9;
	assert_true(lb_copy_record(&copy, from, to));
	assert_int_equal(to[8], 9);
	from[21] = 1; /* beyond the four bytes that it has now */
	assert_false(lb_copy_record(&copy, from, to));
	lb_copy_done(&copy);
	lb_layout_done(&old);
	lb_layout_done(&new);
}

static void test_bad_descriptions(void **state)
{
	static const char *const bad[] = {
		"thing name 0 8 1 0\n",                 /* no size before it */
		"thing . 0 24 1 0\nthing a 20 8 1 0\n", /* beyond the end */
		"thing . 0 24 1 0\nthing a 0 8 4 8\n",  /* the last of an array is */
		"thing . 0 24 1 0\nthing a 0 0 1 0\n",  /* of no size */
		"thing . 0 24 1 0\nthing a 0 4 0 0\n",  /* there no times */
		"thing . 0 24 1 0\nthing a 0 4 1 0\nthing a 8 4 1 0\n",
		"thing . 0 24 1 0\nthing a 4294967295 4294967295 4294967295 4294967295\n",
		"thing . 0\n",
		"\n",
	};
	struct lb_layout old = layout_of(old_text), other = layout_of("other . 0 8 1 0\n");
	struct lb_error error;
	struct lb_layout layout;
	struct lb_copy copy;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error = (struct lb_error){};
		assert_int_equal(lb_layout_parse(bad[i], strlen(bad[i]), &layout, &error), -EPROTO);
		assert_true(strlen(error.text) > 0);
	}
	assert_int_equal(lb_copy_init(&copy, &old, &other, "thing", &error), -EPROTO);
	assert_non_null(strstr(error.text, "thing"));
	lb_layout_done(&old);
	lb_layout_done(&other);
}

/* --- counts, slots ----------------------------------------------------------------------------------------
 */

static void test_counts_lose_nothing(void **state)
{
	struct lb_counter old[4] = {}, new[6] = {}, then[6];
	struct lb_copy copy;

	(void)state;
	/* Two CPUs, two lines each; three in the new table. */
	old[0].tx_packets = 5;
	old[3].tx_bytes = 7;
	lb_copy_init_same(&copy, sizeof(old[0]));
	assert_true(lb_carry_blocks(&copy, old, 2, new, 3, 2));
	assert_int_equal(new[0].tx_packets, 5);
	assert_int_equal(new[4].tx_bytes, 7);
	memcpy(then, new, sizeof(new));
	old[0].tx_packets += 10;  /* the old program, still */
	new[0].tx_packets += 100; /* and the new one */
	new[2].tx_packets = 1;
	/* Twice, as after a kill. */
	for (int i = 0; i < 4; i++) {
		int cpu = i % 2;

		lb_carry_count_more(&copy, old + 2 * cpu, 2, then + 3 * cpu, new + 3 * cpu, 3);
	}
	assert_int_equal(new[0].tx_packets, 115);
	assert_int_equal(new[2].tx_packets, 1);
	assert_int_equal(new[4].tx_bytes, 7);
}

static void test_slots_are_held(void **state)
{
	__u32 slots[] = { lb_slot_make(1, 1, 0), lb_slot_make(2, 1, LB_SLOT_UNSETTLED),
			  lb_slot_make(2, 2, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING),
			  lb_slot_make(3, 1, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING) };
	__u32 before[4];
	struct lb_held_slots held;

	(void)state;
	memcpy(before, slots, sizeof(slots));
	assert_int_equal(lb_carry_hold(slots, 4, &held), 0);
	assert_int_equal(held.n, 2);
	assert_int_equal(slots[0], before[0]);
	assert_int_equal(slots[1], lb_slot_make(1, 1, LB_SLOT_UNSETTLED));
	assert_int_equal(slots[2], before[2]);
	assert_int_equal(slots[3], lb_slot_make(1, 1, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING));
	lb_carry_let_go(slots, &held);
	assert_memory_equal(slots, before, sizeof(slots));
}

static void test_stamps_grow_younger(void **state)
{
	__u32 old[] = { 5, 9, 0 }, new[] = { 7, 3, 1, 4 };
	static const __u32 expected[] = { 7, 9, 1, 4 };
	struct lb_copy copy;

	(void)state;
	lb_copy_init_same(&copy, sizeof(__u32));
	lb_carry_stamp_more(&copy, 3, old, 3, new, 4);
	assert_memory_equal(new, expected, sizeof(new));
}

/* Fewer stamps than before, and more: each slot's new one is at least as young as its old one. */
static void test_stamps_of_other_tables(void **state)
{
	__u32 many[] = { 5, 9, 0, 2, 6, 1, 0, 0 }, few[4] = { 1, 1, 1, 1 }, again[8] = {};
	static const __u32 folded[] = { 6, 9, 1, 2 }, unfolded[] = { 6, 9, 1, 2, 6, 9, 1, 2 };
	struct lb_copy copy;

	(void)state;
	lb_copy_init_same(&copy, sizeof(__u32));
	lb_carry_stamp_more(&copy, 8, many, 8, few, 4);
	assert_memory_equal(few, folded, sizeof(few));
	lb_carry_stamp_more(&copy, 8, few, 4, again, 8);
	assert_memory_equal(again, unfolded, sizeof(again));
}

/* --- the flow table ---------------------------------------------------------------------------------------
 */

#define FLOWS 3000u
#define NOW_S 100u

static __u64 random_state = 88172645463325252ull;

static __u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct flow_case {
	__u64 tag, identity;
	__u32 backend, seq;
};

static int look(struct lb_flow_bucket *table, __u32 mask, const struct flow_case *flow, __u32 flags,
		__u32 seq, struct lb_flow_place *place)
{
	return lb_flow_find(table, mask, flow->tag, lb_flow_question(flow->identity, flags, NOW_S), seq,
			    place);
}

static void learn(struct lb_flow_bucket *table, __u32 mask, struct flow_case *flow)
{
	struct lb_segment segment = { .seq = flow->seq, .flags = LB_SEGMENT_TCP | LB_SEGMENT_SYN };
	struct lb_flow_place place;

	assert_int_equal(look(table, mask, flow, segment.flags, flow->seq, &place), 0);
	assert_int_equal(lb_flow_claim(table, &place, flow->tag,
				       flow->identity | flow->backend | (__u64)LB_FLOW_EMBRYONIC << 14 |
					       (__u64)NOW_S << 48,
				       &segment),
			 1);
}

/* The next bytes of it: 1 if the table knows whose they are. */
static int send(struct lb_flow_bucket *table, __u32 mask, struct flow_case *flow, __u32 bytes)
{
	struct lb_segment segment = { .seq = flow->seq, .ack = 7, .bytes = bytes, .flags = LB_SEGMENT_TCP };
	struct lb_flow_place place;

	if (!look(table, mask, flow, LB_SEGMENT_TCP, flow->seq, &place))
		return 0;
	assert_int_equal(lb_flow_backend(place.word), flow->backend);
	assert_int_equal(lb_flow_follow(table, &place, &segment, NOW_S), 1);
	flow->seq += bytes;
	return 1;
}

static struct flow_case *make_flows(struct lb_flow_bucket *table, __u32 mask)
{
	struct flow_case *flows = calloc(FLOWS, sizeof(*flows));

	for (__u32 i = 0; i < FLOWS; i++) {
		flows[i] = (struct flow_case){ .tag = lb_flow_tag(random64()),
					       .identity = (random64() & 0xffff) << 16 | 3ull << 32,
					       .backend = i % 7,
					       .seq = (__u32)random64() };
		learn(table, mask, &flows[i]);
		if (i % 3)
			assert_int_equal(send(table, mask, &flows[i], 100), 1);
	}
	return flows;
}

static void carry_into(__u32 buckets)
{
	__u32 old_buckets = 2048;
	struct lb_flow_bucket *old = calloc(old_buckets, sizeof(*old)), *new = calloc(buckets, sizeof(*new));
	struct flow_case *flows = make_flows(old, old_buckets - 1);
	struct lb_copy copy;
	struct lb_carry_flows carry = {
		.copy = &copy, .from = old, .from_buckets = old_buckets, .to = new, .to_buckets = buckets
	};

	lb_copy_init_same(&copy, sizeof(*old));
	lb_carry_flows(&carry);
	assert_int_equal(carry.entries, FLOWS);
	assert_int_equal(carry.refused, 0);
	/* The old program goes on for a moment: an upload of 40 MB, handshakes that end, and a flow that is
	 * new although nobody should learn any more. */
	for (__u32 i = 0; i < 1000; i++)
		assert_int_equal(send(old, old_buckets - 1, &flows[1], 40000), 1);
	for (__u32 i = 0; i < FLOWS; i += 3)
		assert_int_equal(send(old, old_buckets - 1, &flows[i], 100), 1);
	/* Packets are with the new one; it is a little behind, and knows all the same whose they are. */
	for (__u32 i = 0; i < FLOWS; i++)
		assert_int_equal(send(new, buckets - 1, &flows[i], i % 2 ? 1400 : 0), 1);
	lb_carry_flows_again(&carry);
	assert_int_equal(carry.refused, 0);
	for (__u32 i = 0; i < FLOWS; i++) {
		struct lb_flow_place place;

		assert_int_equal(send(new, buckets - 1, &flows[i], 10), 1);
		assert_int_equal(look(new, buckets - 1, &flows[i], LB_SEGMENT_TCP, flows[i].seq, &place), 1);
		assert_int_equal(lb_flow_state(place.word), LB_FLOW_ESTABLISHED);
		/* It is lenient no more: what nobody carried is not the flow's. */
		if (i != 1)
			assert_int_equal(look(new, buckets - 1, &flows[i], LB_SEGMENT_TCP,
					      flows[i].seq + LB_NUMBERS_FLIGHT + 10000, &place),
					 0);
	}
	free(flows);
	free(old);
	free(new);
}

static void test_flows_into_a_larger_table(void **state)
{
	(void)state;
	carry_into(16384);
}

static void test_flows_into_a_smaller_table(void **state)
{
	(void)state;
	carry_into(1024);
}

static void test_flows_without_room_are_counted(void **state)
{
	struct lb_flow_bucket *old = calloc(2048, sizeof(*old)), new[64] = {};
	struct flow_case *flows = make_flows(old, 2047);
	struct lb_copy copy;
	struct lb_carry_flows carry = {
		.copy = &copy, .from = old, .from_buckets = 2048, .to = new, .to_buckets = 64
	};

	(void)state;
	lb_copy_init_same(&copy, sizeof(*old));
	lb_carry_flows(&carry);
	assert_int_equal(carry.refused, FLOWS - 64 * LB_FLOWS_PER_BUCKET);
	free(flows);
	free(old);
}

/* Two connections of the same addresses and ports stay two, each with its own numbers. */
static void test_lives_stay_apart(void **state)
{
	struct lb_flow_bucket old[64] = {}, new[128] = {};
	struct flow_case first = { .tag = 77, .identity = 5ull << 16, .backend = 1, .seq = 1000 };
	struct flow_case second = { .tag = 77, .identity = 5ull << 16, .backend = 2, .seq = 0x90000000u };
	struct lb_copy copy;
	struct lb_carry_flows carry = {
		.copy = &copy, .from = old, .from_buckets = 64, .to = new, .to_buckets = 128
	};

	(void)state;
	learn(old, 63, &first);
	learn(old, 63, &second);
	assert_int_equal(send(old, 63, &first, 10), 1);
	lb_copy_init_same(&copy, sizeof(old[0]));
	lb_carry_flows(&carry);
	assert_int_equal(send(old, 63, &first, 5000), 1);
	assert_int_equal(send(old, 63, &second, 7000), 1);
	lb_carry_flows_again(&carry);
	assert_int_equal(carry.entries, 2);
	assert_int_equal(send(new, 127, &first, 10), 1);
	assert_int_equal(send(new, 127, &second, 10), 1);
}

/* Buckets of another layout: numbers and flows have changed places. */
static void test_flows_of_another_layout(void **state)
{
	struct lb_layout old_layout = layout_of("lb_flow_bucket . 0 192 1 0\n"
						"lb_flow_bucket flow.numbers.rest 0 8 4 16\n"
						"lb_flow_bucket flow.numbers.next_ack 8 8 4 16\n"
						"lb_flow_bucket flow.word 64 8 4 32\n"
						"lb_flow_bucket flow.tag 72 8 4 32\n");
	struct lb_layout new_layout = layout_of("lb_flow_bucket . 0 128 1 0\n"
						"lb_flow_bucket flow.tag 0 8 4 32\n"
						"lb_flow_bucket flow.word 8 8 4 32\n"
						"lb_flow_bucket flow.numbers.next_ack 16 8 4 32\n"
						"lb_flow_bucket flow.numbers.rest 24 8 4 32\n");
	struct lb_flow_bucket source[64] = {}, new[64] = {};
	struct flow_case flow = { .tag = 99, .identity = 6ull << 16, .backend = 4, .seq = 5000 };
	struct lb_copy there, copy;
	struct lb_error error = {};
	__u8 old[64 * 192];
	struct lb_carry_flows carry = {
		.copy = &copy, .from = old, .from_buckets = 64, .to = new, .to_buckets = 64
	};

	(void)state;
	learn(source, 63, &flow);
	assert_int_equal(send(source, 63, &flow, 10), 1);
	assert_int_equal(lb_copy_init(&there, &new_layout, &old_layout, "lb_flow_bucket", &error), 0);
	assert_true(lb_carry_records(&there, source, 64, old, 64));
	assert_int_equal(lb_copy_init(&copy, &old_layout, &new_layout, "lb_flow_bucket", &error), 0);
	lb_carry_flows(&carry);
	assert_int_equal(carry.entries, 1);
	assert_int_equal(send(new, 63, &flow, 10), 1);
	lb_copy_done(&there);
	lb_copy_done(&copy);
	lb_layout_done(&old_layout);
	lb_layout_done(&new_layout);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_by_name),
		cmocka_unit_test(test_value_without_room),
		cmocka_unit_test(test_bad_descriptions),
		cmocka_unit_test(test_counts_lose_nothing),
		cmocka_unit_test(test_slots_are_held),
		cmocka_unit_test(test_stamps_grow_younger),
		cmocka_unit_test(test_stamps_of_other_tables),
		cmocka_unit_test(test_flows_into_a_larger_table),
		cmocka_unit_test(test_flows_into_a_smaller_table),
		cmocka_unit_test(test_flows_without_room_are_counted),
		cmocka_unit_test(test_lives_stay_apart),
		cmocka_unit_test(test_flows_of_another_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
