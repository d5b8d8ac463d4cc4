// SPDX-License-Identifier: GPL-2.0-only
/*
 * See carry.h: everything but the flow table.
 */
#include "carry/carry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/access.h"
#include "lb/slot.h"

const struct lb_carry_map lb_carry_maps[LB_CARRIED_COUNT] = {
#define X(map, structure, how) { #map, #structure, LB_CARRY_##how },
	LB_CARRIED_MAPS(X)
#undef X
};

const struct lb_carry_map *lb_carry_find(const char *map)
{
	for (size_t i = 0; i < LB_CARRIED_COUNT; i++)
		if (strcmp(lb_carry_maps[i].map, map) == 0)
			return &lb_carry_maps[i];
	return NULL;
}

bool lb_carry_records(const struct lb_copy *copy, const void *from, __u64 n_from, void *to, __u64 n_to)
{
	__u64 n = n_from < n_to ? n_from : n_to;
	bool fits = true;

	if (copy->same) {
		memcpy(to, from, n * copy->new_size);
		return true;
	}
	for (__u64 i = 0; i < n; i++)
		fits &= lb_copy_record(copy, (const char *)from + i * copy->old_size,
				       (char *)to + i * copy->new_size);
	return fits;
}

bool lb_carry_blocks(const struct lb_copy *copy, const void *from, __u64 per_cpu_from, void *to,
		     __u64 per_cpu_to, __u32 cpus)
{
	bool fits = true;

	for (__u32 cpu = 0; cpu < cpus; cpu++)
		fits &= lb_carry_records(copy, (const char *)from + cpu * per_cpu_from * copy->old_size,
					 per_cpu_from, (char *)to + cpu * per_cpu_to * copy->new_size,
					 per_cpu_to);
	return fits;
}

#define WORDS_MAX (4096u / 8)

void lb_carry_count_more(const struct lb_copy *copy, const void *from, __u64 n_from, void *then, void *to,
			 __u64 n_to)
{
	__u64 now[WORDS_MAX], n = n_from < n_to ? n_from : n_to;
	size_t words = copy->new_size / sizeof(__u64);

	for (__u64 i = 0; i < n && words <= WORDS_MAX; i++) {
		__u64 *before = (__u64 *)((char *)then + i * copy->new_size);
		__u64 *after = (__u64 *)((char *)to + i * copy->new_size);

		lb_copy_record(copy, (const char *)from + i * copy->old_size, now);
		for (size_t w = 0; w < words; w++) {
			if (now[w] == before[w])
				continue;
			(void)__sync_fetch_and_add(&after[w], now[w] - before[w]);
			LB_STORE(&before[w], now[w]);
		}
	}
}

void lb_carry_stamp_more(const struct lb_copy *copy, __u64 n, const void *from, __u64 n_from, void *to,
			 __u64 n_to)
{
	__u32 now[WORDS_MAX];
	size_t words = copy->new_size / sizeof(__u32);

	for (__u64 i = 0; i < n && n_from && n_to && words <= WORDS_MAX; i++) {
		__u32 *after = (__u32 *)((char *)to + i % n_to * copy->new_size);

		lb_copy_record(copy, (const char *)from + i % n_from * copy->old_size, now);
		for (size_t w = 0; w < words; w++)
			if (LB_LOAD(&after[w]) < now[w])
				LB_STORE(&after[w], now[w]);
	}
}

/* --- slots ------------------------------------------------------------------------------------------------
 */

static bool is_to_be_held(__u32 word)
{
	return !lb_slot_settled(word) && lb_slot_cur(word) != lb_slot_base(word);
}

int lb_carry_hold(__u32 *slots, __u64 n, struct lb_held_slots *ret_held)
{
	struct lb_held_slots held = {};
	size_t count = 0;

	for (__u64 i = 0; i < n; i++)
		count += is_to_be_held(slots[i]);
	held.slots = calloc(count + 1, sizeof(*held.slots));
	if (!held.slots)
		return -ENOMEM;
	for (__u64 i = 0; i < n && held.n < count; i++) {
		__u32 word = slots[i], base = lb_slot_base(word);

		if (!is_to_be_held(word))
			continue;
		held.slots[held.n] = (struct lb_held_slot){
			.number = i,
			.word = word,
			.as = lb_slot_make(base, base, word & LB_SLOT_FLAGS),
		};
		LB_STORE(&slots[i], held.slots[held.n++].as);
	}
	*ret_held = held;
	return 0;
}

void lb_carry_let_go(__u32 *slots, struct lb_held_slots *held)
{
	for (size_t i = 0; i < held->n; i++) {
		const struct lb_held_slot *slot = &held->slots[i];

		if (slots[slot->number] == slot->as)
			LB_STORE(&slots[slot->number], slot->word);
	}
	free(held->slots);
	*held = (struct lb_held_slots){};
}
