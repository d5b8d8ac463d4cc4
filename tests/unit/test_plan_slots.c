// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every transition of a slot, as a table, and the laws that hold for all of them. Indices: A, B, C are alive,
 * X and Y are dead, N is none.
 */
#include "engine_fixture.h"

enum { A, B, C, X, Y, INDICES, N = LB_INDEX_NONE };
#define U LB_SLOT_UNSETTLED
#define L LB_SLOT_LEARNING

static const __u8 dead[INDICES] = { [X] = 1, [Y] = 1 };
static const struct lb_slot_rules tcp = { .dead = dead, .n_dead = INDICES };
static const struct lb_slot_rules udp = { .dead = dead, .n_dead = INDICES, .learns = true };
static const struct lb_slot_rules udp_at_once = { .dead = dead, .n_dead = INDICES, .forgets = true };

struct row {
	const char *what;
	const struct lb_slot_rules *rules;
	__u32 cur, base, flags; /* before */
	__u32 target;
	__u32 new_cur, new_base, new_flags;
};

static const struct row rows[] = {
	{ "settled, same owner", &tcp, A, A, 0, A, A, A, 0 },
	{ "settled, moves", &tcp, A, A, 0, B, B, A, U },
	{ "settled, owner dies", &tcp, X, X, 0, B, B, B, 0 },
	{ "settled, owner drains and nobody is left", &tcp, A, A, 0, N, N, A, U },
	{ "settled, owner dies and nobody is left", &tcp, X, X, 0, N, N, N, 0 },
	{ "nobody, somebody comes", &tcp, N, N, 0, A, A, A, 0 },
	{ "nobody, still nobody", &tcp, N, N, 0, N, N, N, 0 },
	{ "drained away, somebody comes", &tcp, N, A, U, B, B, A, U },
	{ "drained away, the same comes back", &tcp, N, A, U, A, A, A, U },
	{ "drained away, then the old owner dies", &tcp, N, X, U, N, N, N, U },
	{ "drained away, old owner dies as somebody comes", &tcp, N, X, U, B, B, B, U },
	{ "moved, unchanged", &tcp, B, A, U, B, B, A, U },
	{ "moved, moves on", &tcp, B, A, U, C, C, A, U },
	{ "moved, moves back", &tcp, B, A, U, A, A, A, U },
	{ "moved, new owner dies", &tcp, X, A, U, C, C, A, U },
	{ "moved, new owner dies, back to the old", &tcp, X, A, U, A, A, A, U },
	{ "moved, new owner dies, nobody is left", &tcp, X, A, U, N, N, A, U },
	{ "moved, old owner dies, owner stays", &tcp, B, X, U, B, B, B, U },
	{ "moved, old owner dies, moves on", &tcp, B, X, U, C, C, C, U },
	{ "moved, both die", &tcp, X, Y, U, C, C, C, U },
	{ "moved, both die, nobody is left", &tcp, X, Y, U, N, N, N, U },
	{ "moved, old owner dies, owner drains", &tcp, B, X, U, N, N, N, U },
	{ "agreed but unsettled, same owner", &tcp, A, A, U, A, A, A, U },
	{ "agreed but unsettled, moves", &tcp, A, A, U, B, B, A, U },
	{ "agreed but unsettled, owner dies", &tcp, X, X, U, B, B, B, U },
	{ "index beyond the table is dead", &tcp, INDICES, INDICES, 0, A, A, A, 0 },

	{ "udp settled, same owner", &udp, A, A, 0, A, A, A, 0 },
	{ "udp settled, moves", &udp, A, A, 0, B, B, A, U | L },
	{ "udp settled, owner dies", &udp, X, X, 0, B, B, B, 0 },
	{ "udp settled, drains, nobody is left", &udp, A, A, 0, N, N, A, U | L },
	{ "udp learning, unchanged", &udp, B, A, U | L, B, B, A, U | L },
	{ "udp learning, moves on", &udp, B, A, U | L, C, C, A, U | L },
	{ "udp learning, moves back", &udp, B, A, U | L, A, A, A, U },
	{ "udp learning, new owner dies", &udp, X, A, U | L, C, C, A, U | L },
	{ "udp learning, old owner dies", &udp, B, X, U | L, B, B, B, U },
	{ "udp learned, moves on", &udp, B, B, U, C, C, B, U | L },
	{ "udp learned, unchanged", &udp, B, B, U, B, B, B, U },
	{ "udp nobody, somebody comes", &udp, N, N, 0, A, A, A, 0 },

	{ "udp at once, moves", &udp_at_once, A, A, 0, B, B, B, U },
	{ "udp at once, same owner", &udp_at_once, A, A, 0, A, A, A, 0 },
	{ "udp at once, owner dies", &udp_at_once, X, X, 0, B, B, B, 0 },
	{ "udp at once, unsettled, moves", &udp_at_once, A, A, U, B, B, B, U },
	{ "udp at once, nobody is left", &udp_at_once, A, A, 0, N, N, N, U },
};

static void test_transitions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		__u32 got =
			lb_slot_next(lb_slot_make(row->cur, row->base, row->flags), row->target, row->rules);
		__u32 expected = lb_slot_make(row->new_cur, row->new_base, row->new_flags);

		if (got != expected)
			print_error("%s: got cur %u base %u flags %#x\n", row->what, lb_slot_cur(got),
				    lb_slot_base(got), got & LB_SLOT_FLAGS);
		assert_int_equal(got, expected);
	}
}

static bool alive(__u32 index)
{
	return index < INDICES && !dead[index];
}

static void check_laws(__u32 old, __u32 target, const struct lb_slot_rules *rules)
{
	__u32 new = lb_slot_next(old, target, rules);
	__u32 base = lb_slot_base(old);

	assert_int_equal(lb_slot_cur(new), target);
	/* Flows without an entry stay wherever they can. */
	if (alive(base) && !rules->forgets)
		assert_int_equal(lb_slot_base(new), base);
	/* base never names what is dead, nor nobody while somebody is there. */
	assert_true(lb_slot_base(new) == target || alive(lb_slot_base(new)));
	/* Entries that disagree may exist until the sweeper says otherwise. */
	if (old & U)
		assert_true(new &U);
	if (lb_slot_cur(new) != lb_slot_base(new))
		assert_true(new &U);
	if (new &L)
		assert_true(lb_slot_cur(new) != lb_slot_base(new) && rules->learns);
	/* Doing it twice is doing it once. */
	assert_int_equal(lb_slot_next(new, target, rules), new);
	assert_int_equal(lb_slot_settled(new), !(new &U));
}

static void test_laws(void **state)
{
	static const __u32 halves[] = { A, B, C, X, Y, N }, targets[] = { A, B, C, N };
	const struct lb_slot_rules *all[] = { &tcp, &udp, &udp_at_once };

	(void)state;
	for (size_t r = 0; r < 3; r++) {
		for (size_t i = 0; i < 6 * 6 * 4; i++) {
			__u32 cur = halves[i % 6], base = halves[i / 6 % 6], target = targets[i / 36];
			bool differ = cur != base;

			if (!differ)
				check_laws(lb_slot_make(cur, base, 0), target, all[r]);
			check_laws(lb_slot_make(cur, base, U), target, all[r]);
			if (differ && all[r]->learns)
				check_laws(lb_slot_make(cur, base, U | L), target, all[r]);
		}
	}
}

static void test_merge(void **state)
{
	const __u32 same[] = { lb_slot_make(B, A, U), 0, lb_slot_make(B, A, U), 0 };
	const __u32 most[] = { lb_slot_make(B, B, 0), lb_slot_make(A, A, 0), lb_slot_make(A, A, 0),
			       lb_slot_make(X, X, 0) };
	const __u32 tie[] = { lb_slot_make(C, C, 0), lb_slot_make(B, B, 0) };
	const __u32 mixed[] = { lb_slot_make(C, B, U | L), lb_slot_make(B, B, 0) };
	const __u32 lost[] = { lb_slot_make(X, X, 0), lb_slot_make(Y, Y, 0) };

	(void)state;
	assert_int_equal(lb_slot_merge(same, 2, 2, &tcp), same[0]);
	assert_int_equal(lb_slot_merge(most, 4, 1, &tcp), lb_slot_make(A, A, 0));
	assert_int_equal(lb_slot_merge(tie, 2, 1, &tcp), lb_slot_make(B, B, 0));
	assert_int_equal(lb_slot_merge(mixed, 2, 1, &udp), lb_slot_make(C, B, U | L));
	assert_int_equal(lb_slot_next(lb_slot_merge(lost, 2, 1, &tcp), A, &tcp), lb_slot_make(A, A, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_laws),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
