// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions and ids: against a plain map of lines, under random allocation and release.
 */
#include "engine_fixture.h"
#include "engine/arena.h"

#define LINES 4096u
#define CHUNK 1024u

static void test_chunks(void **state)
{
	struct lb_arena arena;
	__u32 a, b, c;
	bool fresh;

	(void)state;
	assert_int_equal(lb_arena_init(&arena, LINES, CHUNK), 0);
	assert_int_equal(lb_arena_alloc(&arena, 1000, &a, &fresh), 0);
	assert_int_equal(a, 0);
	assert_int_equal(lb_arena_alloc(&arena, 100, &b, &fresh), 0);
	assert_int_equal(b, CHUNK); /* 24 lines are left in the first chunk */
	assert_int_equal(lb_arena_alloc(&arena, 24, &c, &fresh), 0);
	assert_int_equal(c, 1000);
	assert_int_equal(lb_arena_alloc(&arena, CHUNK + 1, &c, &fresh), -ENOSPC);
	assert_int_equal(lb_arena_alloc(&arena, 0, &c, &fresh), -ENOSPC);
	assert_int_equal(lb_arena_take(&arena, 2 * CHUNK - 1, 2), -ERANGE);
	assert_int_equal(lb_arena_take(&arena, LINES - 1, 2), -ERANGE);
	assert_int_equal(lb_arena_take(&arena, 1100, 50), -EEXIST);
	assert_int_equal(lb_arena_take(&arena, 2 * CHUNK, CHUNK), 0);
	assert_int_equal(arena.used, 1000 + 100 + 24 + CHUNK);
	lb_arena_done(&arena);
}

static void test_fresh(void **state)
{
	struct lb_arena arena;
	__u32 a, b, start;
	bool fresh;

	(void)state;
	assert_int_equal(lb_arena_init(&arena, CHUNK, CHUNK), 0);
	assert_int_equal(lb_arena_alloc(&arena, 400, &a, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(lb_arena_alloc(&arena, 400, &b, &fresh), 0);
	lb_arena_release(&arena, a, 400, true);
	/* What packets may still read serves last ... */
	assert_int_equal(lb_arena_alloc(&arena, 200, &start, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(start, 800);
	/* ... and says so. */
	assert_int_equal(lb_arena_alloc(&arena, 200, &start, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(start, 0);
	lb_arena_settle(&arena);
	assert_int_equal(lb_arena_alloc(&arena, 200, &start, &fresh), 0);
	assert_false(fresh);
	assert_int_equal(start, 200);
	lb_arena_release(&arena, b, 400, false);
	lb_arena_release(&arena, 0, 200, false);
	lb_arena_release(&arena, 200, 200, true);
	/* Pieces of both kinds together: only when nothing else fits. */
	assert_int_equal(lb_arena_alloc(&arena, 800, &start, &fresh), 0);
	assert_true(fresh);
	assert_int_equal(start, 0);
	lb_arena_done(&arena);
}

static void test_random(void **state)
{
	struct region {
		__u32 start, length;
	} regions[256];
	static __u8 map[LINES];
	struct lb_arena arena;
	unsigned int seed = 1, n = 0, refused = 0;

	(void)state;
	memset(map, 0, sizeof(map));
	assert_int_equal(lb_arena_init(&arena, LINES, CHUNK), 0);
	for (int turn = 0; turn < 50000; turn++) {
		bool fresh;

		if (rand_r(&seed) % 2 && n < 256) {
			struct region r = { .length = 1 + (__u32)rand_r(&seed) % 60 };
			int result = lb_arena_alloc(&arena, r.length, &r.start, &fresh);

			if (result == -ENOSPC) {
				refused++;
				continue;
			}
			assert_int_equal(result, 0);
			assert_int_equal(r.start / CHUNK, (r.start + r.length - 1) / CHUNK);
			for (__u32 i = 0; i < r.length; i++)
				assert_int_equal(map[r.start + i]++, 0);
			regions[n++] = r;
		} else if (n) {
			unsigned int k = (unsigned int)rand_r(&seed) % n;

			memset(map + regions[k].start, 0, regions[k].length);
			lb_arena_release(&arena, regions[k].start, regions[k].length, rand_r(&seed) % 2);
			regions[k] = regions[--n];
		}
		if (rand_r(&seed) % 50 == 0)
			lb_arena_settle(&arena);
	}
	assert_true(refused > 0);
	while (n--)
		lb_arena_release(&arena, regions[n].start, regions[n].length, true);
	lb_arena_settle(&arena);
	assert_int_equal(arena.used, 0);
	assert_int_equal(arena.n_free, 1);
	assert_int_equal(arena.free[0].length, LINES);
	lb_arena_done(&arena);
}

static void test_ids(void **state)
{
	struct lb_ids ids;
	__u32 id;

	(void)state;
	assert_int_equal(lb_ids_init(&ids, 70), 0);
	assert_int_equal(lb_ids_take(&ids, 2), 0);
	assert_int_equal(lb_ids_take(&ids, 2), -EEXIST);
	assert_int_equal(lb_ids_take(&ids, 70), -ERANGE);
	for (__u32 expected = 0; expected < 70; expected++) {
		if (expected == 2)
			continue;
		assert_int_equal(lb_ids_alloc(&ids, &id), 0);
		assert_int_equal(id, expected);
	}
	assert_int_equal(lb_ids_alloc(&ids, &id), -ENOSPC);
	lb_ids_release(&ids, 66);
	lb_ids_release(&ids, 3);
	assert_int_equal(lb_ids_alloc(&ids, &id), 0);
	assert_int_equal(id, 3);
	assert_int_equal(lb_ids_alloc(&ids, &id), 0);
	assert_int_equal(id, 66);
	assert_int_equal(ids.used, 70);
	lb_ids_done(&ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
