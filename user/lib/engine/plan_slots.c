// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a slot (docs/architecture.md): what its two halves become when its owner changes. Pure
 * functions of words; tests/unit/test_plan_slots.c has every combination as a table.
 *
 *   cur   becomes the target: the owner that the new ring gives to the slot.
 *   base  stays, so that flows without an entry stay where they are; unless it is dead or none, when there
 *         are no flows to keep and it becomes the target as well.
 *   UNSETTLED is set when the halves differ, and is never cleared here: entries that disagree may exist.
 *   LEARNING  is set when the owner changes and the protocol has no SYN; the halves differ then.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "engine/engine_internal.h"

static bool alive(__u32 index, const struct lb_slot_rules *rules)
{
	return index != LB_INDEX_NONE && index < rules->n_dead && !rules->dead[index];
}

__u32 lb_slot_next(__u32 old, __u32 target, const struct lb_slot_rules *rules)
{
	__u32 cur = lb_slot_cur(old), base = lb_slot_base(old);
	__u32 flags = old & LB_SLOT_UNSETTLED, learning = old & LB_SLOT_LEARNING;
	bool moved = target != cur;

	if (!alive(base, rules)) {
		base = target;
	} else if (moved && rules->forgets) {
		/* Entries for the old owner may be left and now disagree. */
		base = target;
		flags = LB_SLOT_UNSETTLED;
	}
	if (base != target) {
		flags = LB_SLOT_UNSETTLED;
		if (rules->learns && (moved || learning))
			flags |= LB_SLOT_LEARNING;
	}
	return lb_slot_make(target, base, flags);
}

static int compare_words(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/*
 * A smaller ring: slots words[0], words[stride], ... become one. The base that most of them have stays; the
 * flows of the others that have no entry move (the plan says how many slots that are). Among equals the
 * lowest index, so that the result does not depend on the order.
 */
__u32 lb_slot_merge(const __u32 *words, __u32 n, __u32 stride, const struct lb_slot_rules *rules)
{
	__u32 bases[LB_RING_MAX / LB_RING_MIN], n_bases = 0, flags = 0;
	__u32 best = LB_INDEX_NONE, best_count = 0;
	bool same = true;

	for (__u32 i = 0; i < n; i++) {
		__u32 word = words[(size_t)i * stride];

		same &= word == words[0];
		flags |= word & LB_SLOT_FLAGS;
		if (alive(lb_slot_base(word), rules))
			bases[n_bases++] = lb_slot_base(word);
	}
	if (same)
		return words[0];
	qsort(bases, n_bases, sizeof(bases[0]), compare_words);
	for (__u32 i = 0, run = 0; i < n_bases; i++) {
		run = i && bases[i] == bases[i - 1] ? run + 1 : 1;
		if (run > best_count) {
			best_count = run;
			best = bases[i];
		}
	}
	return lb_slot_make(flags ? lb_slot_cur(words[0]) : best, best, flags);
}

int lb_slot_step_init(const struct lb_engine *engine, const struct lb_service_change *change, __u8 *dead,
		      struct lb_slot_step *ret_step)
{
	const struct lb_service *next = change->next, *current = change->current;
	bool syn = next->key.protocol == IPPROTO_TCP;
	__u32 window = next->config ? next->config->learning_window_s : 0;

	for (__u32 i = 0; i < next->vip.backend_count; i++)
		dead[i] = lb_member_dead(&next->members[i]);
	*ret_step = (struct lb_slot_step){
		.change = change,
		.old = current ? lb_engine_ring(engine, lb_vip_ring_line(&current->vip)) : NULL,
		.old_slots = current ? lb_service_slots(current) : 0,
		.slots = lb_service_slots(next),
		.rules = { .dead = dead,
			   .n_dead = next->vip.backend_count,
			   .learns = !syn && window,
			   .forgets = !syn && !window },
	};
	return 0;
}

/* What a slot of the new ring inherits. A larger ring: the slot that its flows had; a smaller one: a merge.
 */
__u32 lb_slot_step_old(const struct lb_slot_step *step, __u32 slot)
{
	if (!step->old)
		return lb_slot_make(LB_INDEX_NONE, LB_INDEX_NONE, 0);
	if (step->slots >= step->old_slots)
		return step->old[slot & (step->old_slots - 1)];
	return lb_slot_merge(step->old + slot, step->old_slots / step->slots, step->slots, &step->rules);
}
