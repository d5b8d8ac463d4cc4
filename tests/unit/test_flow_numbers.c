// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a TCP segment is, and what it does to an entry's numbers (flow_numbers.h): what loss, reordering,
 * scaled windows and wrapping numbers bring, and what somebody who must guess can reach. The rules that the
 * arithmetic in docs/flow-table.md rests on are counted here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lb/flow_numbers.h"

struct entry {
	__u32 state;
	__u64 next_ack, rest;
};

static struct lb_segment segment(__u32 seq, __u32 ack, __u32 bytes, __u32 flags)
{
	return (struct lb_segment){ seq, ack, bytes, LB_SEGMENT_TCP | flags };
}

static struct entry begin(struct lb_segment s)
{
	struct entry entry = { .state = s.flags & LB_SEGMENT_SYN ? LB_FLOW_EMBRYONIC : LB_FLOW_ONCE };

	lb_numbers_begin(&s, &entry.next_ack, &entry.rest);
	return entry;
}

static __u32 rank(const struct entry *entry, struct lb_segment s)
{
	return lb_numbers_rank(entry->state, entry->next_ack, entry->rest, s.seq | (__u64)s.ack << 32,
			       s.flags);
}

static bool fits(const struct entry *entry, struct lb_segment s)
{
	return rank(entry, s) != LB_RANK_NONE;
}

/* A segment comes; whether it fits. */
static bool comes(struct entry *entry, struct lb_segment s)
{
	if (!fits(entry, s))
		return false;
	if (!(s.flags & LB_SEGMENT_SYN) &&
	    lb_numbers_follow(entry->state, &s, &entry->next_ack, &entry->rest) & LB_FOLLOW_CONFIRM)
		entry->state = LB_FLOW_ESTABLISHED;
	return true;
}

#define NEXT(e) lb_numbers_next((e).next_ack)

/* A connection that has carried so much, a segment at a time. */
static struct entry connected(__u32 isn, __u32 ack, __u64 bytes)
{
	struct entry entry = begin(segment(isn + 1, 0, 0, LB_SEGMENT_SYN));
	__u32 next = isn + 1;

	assert_true(comes(&entry, segment(next, ack, 0, 0)));
	for (; bytes >= 1460; bytes -= 1460, next += 1460)
		assert_true(comes(&entry, segment(next, ack, 1460, 0)));
	assert_int_equal(NEXT(entry), next);
	return entry;
}

static void a_handshake_is_confirmed_by_exactly_the_next_number(void **state)
{
	struct entry entry = begin(segment(1001, 0, 0, LB_SEGMENT_SYN));

	(void)state;
	assert_int_equal(rank(&entry, segment(1001, 0, 0, LB_SEGMENT_SYN)), 0);
	assert_false(fits(&entry, segment(1002, 0, 0, LB_SEGMENT_SYN)));
	assert_false(fits(&entry, segment(1000, 5, 0, 0)));
	assert_false(fits(&entry, segment(1001 + LB_NUMBERS_FLIGHT + 1, 5, 0, 0)));
	/* Of the first flight, the last comes first: it goes where the SYN went, and settles nothing. */
	assert_true(comes(&entry, segment(1001 + LB_NUMBERS_FLIGHT, 5, 1460, 0)));
	assert_int_equal(entry.state, LB_FLOW_EMBRYONIC);
	assert_int_equal(NEXT(entry), 1001);
	assert_true(comes(&entry, segment(1001, 5, 0, 0)));
	assert_int_equal(entry.state, LB_FLOW_ESTABLISHED);
}

static void a_first_flight_in_any_order(void **state)
{
	enum { N = 122 };

	(void)state;
	for (unsigned int seed = 1; seed <= 200; seed++) {
		struct entry entry = begin(segment(0xfffffff0, 0, 0, LB_SEGMENT_SYN));
		unsigned int order[N];

		srand(seed);
		for (unsigned int i = 0; i < N; i++) {
			unsigned int j = (unsigned int)rand() % (i + 1);

			order[i] = order[j];
			order[j] = i;
		}
		for (unsigned int i = 0; i < N; i++)
			assert_true(comes(&entry, segment(0xfffffff0 + order[i] * 1460, 7, 1460, 0)));
		/* What comes then is in order, and makes the numbers exact again. */
		assert_true(comes(&entry, segment(0xfffffff0 + N * 1460, 7, 1460, 0)));
		assert_true(comes(&entry, segment(0xfffffff0 + (N + 1) * 1460, 7, 0, 0)));
		assert_int_equal(entry.state, LB_FLOW_ESTABLISHED);
		assert_in_range(0xfffffff0 + (N + 1) * 1460 - NEXT(entry), 0, LB_NUMBERS_FLIGHT);
	}
}

static void an_upload_of_five_gibibytes(void **state)
{
	struct entry entry = connected(0xffff0000, 77, 0);
	__u32 next = 0xffff0001;

	(void)state;
	srand(5);
	for (__u64 carried = 0; carried < 5ull << 30; carried += 9000, next += 9000) {
		/* One in a thousand is lost on the way here and repeated a window later. */
		if (rand() % 1000 == 0) {
			for (__u32 i = 1; i < 100; i++)
				assert_true(comes(&entry, segment(next + i * 9000, 77, 9000, 0)));
			assert_true(comes(&entry, segment(next, 77, 9000, 0)));
			next += 99 * 9000;
			carried += 99 * 9000;
			continue;
		}
		assert_true(comes(&entry, segment(next, 77, 9000, 0)));
	}
	assert_true(comes(&entry, segment(next, 77, 0, LB_SEGMENT_FIN)));
	assert_int_equal(NEXT(entry), next + 1);
	assert_true(entry.rest & LB_NUMBERS_FIN);
	/* By now a whole scaled window may come again. */
	assert_true(fits(&entry, segment(next - (100u << 20), 77, 9000, 0)));
}

static void megabytes_behind_and_about_as_much_ahead(void **state)
{
	struct entry entry = connected(1000, 77, 8 << 20);

	(void)state;
	assert_true(fits(&entry, segment(NEXT(entry) - (8 << 20), 77, 1460, 0)));
	assert_true(fits(&entry, segment(NEXT(entry) + (8 << 20), 77, 1460, 0)));
	assert_false(fits(&entry, segment(NEXT(entry) + (9 << 20), 77, 1460, 0)));
	/* Far off and with an acknowledgement of somebody else's: not its own. */
	assert_false(fits(&entry, segment(NEXT(entry) + 40000, 77 + (5 << 20), 1460, 0)));
	assert_true(fits(&entry, segment(NEXT(entry) + 30000, 77 + (5 << 20), 1460, 0)));
}

static void downloads_and_keepalive_probes(void **state)
{
	struct entry entry = connected(1000, 77, 0);
	__u32 ack = 77;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		ack += 60000; /* 12 GB: they wrap */
		assert_true(comes(&entry, segment(1001, ack, 0, 0)));
		if (i % 1000 == 0)
			assert_true(comes(&entry, segment(1000, ack, (__u32)i / 1000 % 2, 0)));
	}
	/* Then it asks again. */
	assert_true(comes(&entry, segment(1001, ack, 700, 0)));
	assert_int_equal(NEXT(entry), 1701);
	assert_int_equal(lb_numbers_ack(entry.next_ack), ack);
}

static void fast_open(void **state)
{
	(void)state;
	for (int taken = 0; taken < 2; taken++) {
		struct entry entry = begin(segment(1001, 0, 500, LB_SEGMENT_SYN));

		assert_true(comes(&entry, segment(taken ? 1501 : 1001, 9, 0, 0)));
		assert_int_equal(entry.state, LB_FLOW_ESTABLISHED);
		assert_true(comes(&entry, segment(taken ? 1501 : 1001, 9, 10, 0)));
		assert_int_equal(NEXT(entry), taken ? 1511 : 1011);
	}
}

static void only_the_right_numbers_mark_an_end(void **state)
{
	struct entry entry = connected(1000, 77, 1460 * 5);
	__u32 next = NEXT(entry);

	(void)state;
	for (int off = -3000; off <= 3000; off++) {
		if (off) {
			comes(&entry, segment(next + (__u32)off, 77, 0, LB_SEGMENT_RST));
			assert_false(lb_numbers_marked(entry.rest));
		}
	}
	assert_int_equal(entry.next_ack, next | 77ull << 32);
	/* FIN with what nobody acknowledged, at another number. */
	comes(&entry, segment(next + 1, 77 + (1 << 20), 0, LB_SEGMENT_FIN));
	comes(&entry, segment(next - 10, 77, 0, LB_SEGMENT_FIN));
	assert_false(lb_numbers_marked(entry.rest));
	assert_true(comes(&entry, segment(next, 77, 0, LB_SEGMENT_FIN)));
	assert_true(entry.rest & LB_NUMBERS_FIN);
	/* It goes on, the mark stays; the same numbers are no SYN of its own any more. */
	assert_true(comes(&entry, segment(next + 1, 5000, 0, 0)));
	assert_true(entry.rest & LB_NUMBERS_FIN);
	assert_false(fits(&entry, segment(next, 0, 0, LB_SEGMENT_SYN)));
	assert_true(comes(&entry, segment(next + 1, 5000, 0, LB_SEGMENT_RST)));
	assert_true(entry.rest & LB_NUMBERS_RST);
}

/* How many of many guesses fit, or do something: no more than the arithmetic in docs/flow-table.md says. */
static void guesses(void **state)
{
	struct entry entry = connected(1000, 77, 0), before = entry;
	unsigned int fit = 0, did = 0;
	const unsigned int tries = 20000000;
	__u64 x = 88172645463325252ull;

	(void)state;
	for (unsigned int i = 0; i < tries; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		entry = before;
		fit += comes(&entry, segment((__u32)x, (__u32)(x >> 32), 1460, i % 3 ? 0 : LB_SEGMENT_FIN));
		did += NEXT(entry) != NEXT(before) || lb_numbers_marked(entry.rest);
	}
	print_message("# of %u guesses %u fit, %u did something\n", tries, fit, did);
	/* 2^16 within 32 KiB, and 2^18.2 of which one in 2^9 acknowledges what it must: of 2^32. */
	assert_in_range(fit, 150, 600);
	assert_int_equal(did, 0);
}

/* Somebody who guesses an idle connection's sequence number to within 2 KiB, again and again, moves what is
 * kept of its acknowledgements by 128 KiB each time; its next packet puts that right. */
static void what_was_moved_by_guesses_comes_back(void **state)
{
	struct entry entry = connected(1000, 77, 1460);
	__u32 next = NEXT(entry);

	(void)state;
	for (int i = 0; i < 1000; i++)
		comes(&entry, segment(next + 100, 0x80000000u, 1460, 0));
	assert_int_equal(NEXT(entry), next);
	assert_true(comes(&entry, segment(next, 80, 300, 0)));
	assert_int_equal(entry.next_ack, (__u64)next + 300 + (80ull << 32));
}

/* The first that is seen of an older connection may be a repetition. */
static void an_older_connection_is_learned(void **state)
{
	struct entry entry = begin(segment(5000, 77, 1460, 0));

	(void)state;
	assert_true(rank(&entry, segment(6460, 77, 0, 0)) >= LB_RANK_ONCE);
	assert_false(fits(&entry, segment(6460, 0, 0, LB_SEGMENT_SYN)));
	assert_true(comes(&entry, segment(60000, 90, 1460, 0)));
	assert_int_equal(entry.state, LB_FLOW_ESTABLISHED);
	assert_int_equal(NEXT(entry), 61460);
	/* A FIN that is seen first is one. */
	entry = begin(segment(5000, 77, 10, LB_SEGMENT_FIN));
	assert_true(entry.rest & LB_NUMBERS_FIN);
	assert_int_equal(NEXT(entry), 5011);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_is_confirmed_by_exactly_the_next_number),
		cmocka_unit_test(a_first_flight_in_any_order),
		cmocka_unit_test(an_upload_of_five_gibibytes),
		cmocka_unit_test(megabytes_behind_and_about_as_much_ahead),
		cmocka_unit_test(downloads_and_keepalive_probes),
		cmocka_unit_test(fast_open),
		cmocka_unit_test(only_the_right_numbers_mark_an_end),
		cmocka_unit_test(guesses),
		cmocka_unit_test(what_was_moved_by_guesses_comes_back),
		cmocka_unit_test(an_older_connection_is_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
