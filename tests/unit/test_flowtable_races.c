// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow table's readers and writers, interleaved in every possible way: between any two loads of a look-up
 * another CPU takes any number of the steps by which a place changes hands. A model, exhaustive and
 * repeatable, of what threads would hit once in a blue moon (tests/property has the threads).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lb/access.h"

/* Called before every load of the look-up. */
static void interfere(void);
#undef LB_LOAD
#define LB_LOAD(p) (interfere(), __atomic_load_n((p), __ATOMIC_ACQUIRE))

#include "lb/types.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

enum { TAG_X = 8, TAG_Y = 16 }; /* both at home in bucket 0 */
#define STEPS_MAX 8

/* One store of another CPU. */
struct step {
	__u64 *to;
	__u64 value;
};

static struct {
	struct step steps[STEPS_MAX];
	unsigned int n_steps;
	unsigned int before_load[STEPS_MAX]; /* a step is taken before the load of this number */
	unsigned int taken, loads;
} other;

static void interfere(void)
{
	while (other.taken < other.n_steps && other.before_load[other.taken] <= other.loads) {
		__atomic_store_n(other.steps[other.taken].to, other.steps[other.taken].value,
				 __ATOMIC_SEQ_CST);
		other.taken++;
	}
	other.loads++;
}

static __u64 word_of(__u32 backend, __u32 state)
{
	/* X and Y have the same service and hash: only the tag tells them apart. */
	return lb_flow_word(backend, state, 3, 4, 100);
}

/* Advances to the next interleaving: non-decreasing positions 0..loads. False after the last one. */
static bool next_interleaving(unsigned int loads)
{
	for (unsigned int i = other.n_steps; i-- > 0;) {
		if (other.before_load[i] < loads) {
			unsigned int at = other.before_load[i] + 1;

			for (unsigned int k = i; k < other.n_steps; k++)
				other.before_load[k] = at;
			return true;
		}
	}
	return false;
}

/* The steps by which a place goes from one flow to another. */
static void recycle(struct lb_flow *flow, __u64 tag, __u64 word, bool tomb)
{
	if (tomb)
		other.steps[other.n_steps++] = (struct step){ &flow->word, LB_FLOW_TOMB };
	other.steps[other.n_steps++] = (struct step){ &flow->word, LB_FLOW_BUSY };
	other.steps[other.n_steps++] = (struct step){ &flow->tag, tag };
	other.steps[other.n_steps++] = (struct step){ &flow->word, word };
}

static void fill(struct lb_flow_bucket *bucket, unsigned int n)
{
	*bucket = (struct lb_flow_bucket){};
	for (unsigned int i = 0; i < n; i++)
		bucket->flow[i] = (struct lb_flow){ 1000 + i, word_of(9, LB_FLOW_ESTABLISHED) };
}

/* Either look-up. */
static int look_up(struct lb_flow_bucket *table, bool home, __u64 identity, struct lb_flow_place *got)
{
	return home ? lb_flow_find_home(table, 7, TAG_X, identity, 0, got)
		    : lb_flow_find(table, 7, TAG_X, lb_flow_question(identity, 0, 100), 0, got);
}

/*
 * A look-up for X while its place goes X -> Y -> X: it finds what X had before or after, or nothing; never
 * Y's backend. home: in the home bucket alone.
 */
static unsigned int look_up_under(const struct lb_flow_bucket *before, unsigned int place, bool home)
{
	__u64 first = word_of(1, LB_FLOW_ESTABLISHED), second = word_of(2, LB_FLOW_EMBRYONIC);
	unsigned int cases = 0, found = 0;
	struct lb_flow_bucket table[LB_FLOW_PROBES + 1];
	struct lb_flow_place got;

	other.n_steps = 0;
	recycle(&table[0].flow[place], TAG_Y, word_of(7, LB_FLOW_ESTABLISHED), true);
	recycle(&table[0].flow[place], TAG_X, second, true);
	memset(other.before_load, 0, sizeof(other.before_load));
	do {
		memset(table, 0, sizeof(table));
		table[0] = *before;
		table[0].flow[place] = (struct lb_flow){ TAG_X, first };
		other.taken = other.loads = 0;
		if (look_up(table, home, lb_flow_identity(first), &got)) {
			assert_int_equal(got.number, place);
			assert_true(got.word == first || got.word == second);
			found++;
		}
		cases++;
	} while (next_interleaving(12));
	assert_true(found > 0 && found < cases);
	return cases;
}

static void test_reader_of_a_recycled_place(void **state)
{
	struct lb_flow_bucket bucket;
	unsigned int cases = 0;

	(void)state;
	for (unsigned int place = 0; place < LB_FLOWS_PER_BUCKET; place++) {
		for (int home = 0; home < 2; home++) {
			fill(&bucket, 4);
			cases += look_up_under(&bucket, place, home);
			fill(&bucket, place);
			cases += look_up_under(&bucket, place, home);
		}
	}
	print_message("# %u interleavings\n", cases);
	assert_true(cases > 100000);
}

/*
 * An insertion of X while another CPU takes the place it had its eye on: it claims another place, or none,
 * but never one that is not free; and what the other CPU published is untouched.
 */
static void test_writer_against_writer(void **state)
{
	static const __u64 spares[] = { LB_FLOW_EMPTY, LB_FLOW_TOMB, LB_FLOW_TOMB_OLD };
	__u64 mine = word_of(1, LB_FLOW_EMBRYONIC), theirs = word_of(7, LB_FLOW_EMBRYONIC);
	struct lb_flow_bucket table[LB_FLOW_PROBES + 1];
	unsigned int won = 0, lost = 0;
	struct lb_flow_place got;

	(void)state;
	for (int s = 0; s < 3; s++) {
		other.n_steps = 0;
		recycle(&table[0].flow[3], TAG_Y, theirs, false);
		memset(other.before_load, 0, sizeof(other.before_load));
		do {
			int claimed;

			memset(table, 0, sizeof(table));
			fill(&table[0], 3);
			table[0].flow[3].word = spares[s];
			other.taken = other.loads = 0;
			assert_int_equal(lb_flow_find(table, 7, TAG_X,
						      lb_flow_question(lb_flow_identity(mine), 0, 100), 0,
						      &got),
					 0);
			claimed = lb_flow_claim(table, &got, TAG_X, mine, NULL);
			/* The other CPU's compare-and-swap would have failed had we been first: then it
			 * stops. */
			if (claimed && got.number == 3) {
				won++;
				assert_int_equal(other.taken, 0);
				assert_true(table[0].flow[3].tag == TAG_X && table[0].flow[3].word == mine);
				continue;
			}
			lost++;
			assert_true(other.taken > 0);
			if (claimed)
				assert_true(got.number >= LB_FLOWS_PER_BUCKET);
			if (other.taken == 3)
				assert_true(table[0].flow[3].tag == TAG_Y && table[0].flow[3].word == theirs);
		} while (next_interleaving(12));
	}
	assert_true(won > 0 && lost > 0);
}

/* A refresh that meets a place which has changed in the meantime does nothing. */
static void test_touch(void **state)
{
	struct lb_flow_bucket table[LB_FLOW_PROBES + 1] = {};
	__u64 first = word_of(1, LB_FLOW_ESTABLISHED);
	struct lb_flow_place got = { .number = 2, .word = first };
	const __u64 instead[] = { LB_FLOW_EMPTY, LB_FLOW_TOMB, LB_FLOW_BUSY,
				  word_of(2, LB_FLOW_ESTABLISHED) };

	(void)state;
	other.n_steps = 0;
	for (int i = 0; i < 4; i++) {
		table[0].flow[2].word = instead[i];
		lb_flow_touch(table, &got, LB_FLOW_ONCE, 200);
		assert_true(table[0].flow[2].word == instead[i]);
	}
	table[0].flow[2].word = first;
	lb_flow_touch(table, &got, LB_FLOW_ONCE, 200);
	assert_int_equal(lb_flow_state(table[0].flow[2].word), LB_FLOW_ONCE);
	assert_int_equal(lb_flow_age_s(table[0].flow[2].word, 203), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_of_a_recycled_place),
		cmocka_unit_test(test_writer_against_writer),
		cmocka_unit_test(test_touch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
