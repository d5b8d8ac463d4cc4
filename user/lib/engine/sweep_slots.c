// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweeper's work on one line of a ring. At the start of a pass it lets base follow cur where no old flow
 * can be left (TCP: none was seen for the idle timeout, or the slot moved so long ago that each of them was
 * seen twice and has an entry; others: the learning window is over), and marks the slots whose halves agree
 * as ready. While the pass walks the flow table, an entry that disagrees unmarks its slot (sweep_flows.c).
 * What is still marked at the end is settled.
 *
 * Every change is one store of a word, by the only writer that slots have.
 */
#include "engine/engine_internal.h"

#include <netinet/in.h>

static void set_slot(struct lb_engine *engine, struct lb_service *service, __u32 *slot, __u32 word)
{
	__u32 base = lb_slot_base(*slot), now = lb_slot_base(word), count = service->vip.backend_count;

	__atomic_store_n(slot, word, __ATOMIC_RELEASE);
	if (base != now && base < count)
		service->members[base].slots_base--;
	if (base != now && now < count)
		service->members[now].slots_base++;
	engine->dirty = true;
}

/* Whether no flow without an entry can be left that base must be kept for. */
static bool is_over(const struct lb_engine *engine, const struct lb_service *service, __u32 number,
		    __u32 slot)
{
	const __u32 *stamps = lb_engine_stamps(engine, lb_vip_ring_line(&service->vip));
	__u32 stamp = __atomic_load_n(&stamps[number], __ATOMIC_RELAXED), now = lb_engine_clock(engine);

	if (!service->config)
		return false;
	if (lb_slot_base(slot) < service->vip.backend_count &&
	    lb_drain_let_go(engine, service, &service->members[lb_slot_base(slot)]))
		return true;
	if (service->key.protocol != IPPROTO_TCP)
		return !(slot & LB_SLOT_LEARNING) || !service->moved_s ||
		       now - service->moved_s[number] > service->config->learning_window_s;
	/* Whoever lives sends once in each of two idle timeouts, which proves it; others may not hold the
	 * slot. */
	return (__s32)(now - stamp) > (__s32)service->config->idle_timeout_s ||
	       (service->moved_s && now - service->moved_s[number] > 2 * service->config->idle_timeout_s);
}

void lb_sweep_begin_line(struct lb_engine *engine, struct lb_service *service, __u32 line)
{
	__u32 *ring = lb_engine_ring(engine, lb_vip_ring_line(&service->vip));

	for (__u32 s = line * LB_SLOTS_PER_LINE; s < (line + 1) * LB_SLOTS_PER_LINE; s++) {
		__u32 slot = ring[s], cur = lb_slot_cur(slot);

		if (lb_slot_settled(slot))
			continue;
		if (cur != lb_slot_base(slot) && is_over(engine, service, s, slot)) {
			slot = lb_slot_make(cur, cur, LB_SLOT_UNSETTLED);
			set_slot(engine, service, &ring[s], slot);
		}
		lb_ready_set(service->ready, s, cur == lb_slot_base(slot));
	}
}

void lb_sweep_finish_line(struct lb_engine *engine, struct lb_service *service, __u32 line)
{
	__u32 *ring = lb_engine_ring(engine, lb_vip_ring_line(&service->vip));

	for (__u32 s = line * LB_SLOTS_PER_LINE; s < (line + 1) * LB_SLOTS_PER_LINE; s++) {
		__u32 cur = lb_slot_cur(ring[s]);

		if (lb_slot_settled(ring[s]) || !lb_ready_get(service->ready, s) ||
		    cur != lb_slot_base(ring[s]))
			continue;
		set_slot(engine, service, &ring[s], lb_slot_make(cur, cur, 0));
		lb_ready_set(service->ready, s, false);
		service->unsettled--;
		engine->sweep.moved = true;
	}
}
