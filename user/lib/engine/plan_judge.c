// SPDX-License-Identifier: GPL-2.0-only
/*
 * What somebody must want before a plan is made, and what nobody may have expected, in sentences: whether
 * established connections break is said where the change is told (plan_effects.c), and here for what is only
 * seen when before and after are laid side by side. Also the identity of a plan, by which what was approved
 * is known from what has become of it meanwhile.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "config/source_ranges.h"

/* The first reason is the one that is told. */
int lb_plan_breaks(struct lb_plan_service *effect, struct lb_service_change *change, const char *format, ...)
{
	va_list arguments;
	int r;

	effect->breaks = true;
	if (change->why)
		return 0;
	va_start(arguments, format);
	r = vasprintf(&change->why, format, arguments);
	va_end(arguments);
	if (r < 0) {
		change->why = NULL;
		return -ENOMEM;
	}
	effect->why_breaks = change->why;
	return 0;
}

/* --- what breaks -----------------------------------------------------------------------------------------
 */

static bool has_layout(const struct lb_vip *vip, __u8 layout)
{
	for (size_t i = 0; i < LB_QUIC_CONFIGS_MAX; i++) {
		if (vip->quic[i] == layout)
			return true;
	}
	return false;
}

/* Whether connection IDs that are in use now lead elsewhere: their layout goes, or the first one comes to
 * where they were hashed. One more beside those that stay is how they are rotated. */
static bool layouts_differ(const struct lb_vip *before, const struct lb_vip *after)
{
	bool had = false, has = false;

	for (size_t i = 0; i < LB_QUIC_CONFIGS_MAX; i++) {
		had |= before->quic[i] != 0;
		has |= after->quic[i] != 0;
		if (before->quic[i] && !has_layout(after, before->quic[i]))
			return true;
	}
	return !had && has;
}

static const char *server_id_that_differs(const struct lb_plan *plan, const struct lb_service_change *change)
{
	const struct lb_service *current = change->current, *next = change->next;

	for (__u32 i = 0; i < current->vip.backend_count && i < next->vip.backend_count; i++) {
		const struct lb_member *before = &current->members[i], *after = &next->members[i];

		if (!before->used || !after->used || before->ghost || after->ghost || after->leaving)
			continue;
		if (memcmp(lb_service_server_id(current, i), lb_service_server_id(next, i),
			   sizeof(struct lb_server_id)) != 0)
			return lb_plan_member_name(plan, after);
	}
	return NULL;
}

static int judge_quic(const struct lb_plan *plan, struct lb_service_change *change,
		      struct lb_plan_service *effect)
{
	const struct lb_vip *before = &change->current->vip, *after = &change->next->vip;
	const char *name;

	if (!(before->flags & after->flags & LB_VIP_QUIC))
		return 0;
	if (layouts_differ(before, after))
		return lb_plan_breaks(effect, change,
				      "what QUIC connection IDs mean changes: connections whose IDs follow a "
				      "layout that goes, or were hashed so far, may move");
	name = change->current->server_ids || change->next->server_ids ? server_id_that_differs(plan, change)
								       : NULL;
	return name ? lb_plan_breaks(
			      effect, change,
			      "the server_id of backend %s changes: connections whose IDs carry the old "
			      "one move",
			      name)
		    : 0;
}

/* After an adoption it is only known whether there were ranges. */
static int judge_ranges(struct lb_service_change *change, struct lb_plan_service *effect)
{
	const struct lb_service *current = change->current, *next = change->next;
	bool shrink = current->config ? lb_source_ranges_shrink(current->config, next->config)
				      : next->vip.flags & ~current->vip.flags & LB_VIP_RANGES;

	return shrink ? lb_plan_breaks(
				effect, change,
				"source_ranges let in less than before: connections of clients in none "
				"of them are lost")
		      : 0;
}

static __u32 takers_of(const struct lb_service *service)
{
	__u32 n = 0;

	for (__u32 i = 0; i < service->vip.backend_count; i++)
		n += lb_member_ring_weight(&service->members[i]) > 0;
	return n;
}

/* Nobody is left for new connections: it breaks none that there is, and is an outage all the same. */
static int judge_pool(struct lb_service_change *change, struct lb_plan_service *effect)
{
	if (takers_of(change->next))
		return 0;
	effect->warning = "no backend is active with a weight above 0: new connections will be dropped";
	if (!change->current || !takers_of(change->current))
		return 0;
	return lb_plan_breaks(effect, change,
			      "no backend is left that takes new connections: all of them will be dropped");
}

static bool is_reachable(const struct lb_engine *engine, const struct lb_member *member)
{
	return lb_nexthop_table_at(&engine->nexthops, member->nexthop)->resolved;
}

/* A backend that has flows and loses its way, without anybody having said that it is down. */
static int judge_ways(const struct lb_plan *plan, struct lb_service_change *change,
		      struct lb_plan_service *effect)
{
	const struct lb_service *current = change->current, *next = change->next;

	for (__u32 i = 0; i < current->vip.backend_count && i < next->vip.backend_count; i++) {
		const struct lb_member *before = &current->members[i], *after = &next->members[i];

		if (lb_member_dead(before) || lb_member_dead(after) || !is_reachable(plan->engine, before) ||
		    is_reachable(plan->engine, after))
			continue;
		if (before->slots_cur || before->slots_base || after->slots_cur)
			return lb_plan_breaks(
				effect, change,
				"backend %s cannot be reached any more as the service forwards: "
				"packets to it are dropped",
				lb_plan_member_name(plan, after));
	}
	return 0;
}

/* --- what is said beside ---------------------------------------------------------------------------------
 */

#define WARNING_BYTES 192

/* Backends that shall take flows and get none, because the ring is too coarse for them. */
static int judge_shares(struct lb_plan *plan, const struct lb_service_change *change,
			struct lb_plan_service *effect)
{
	const struct lb_service *next = change->next;
	__u32 takers = takers_of(next), without = 0;
	const char *name = "";
	char *warning;

	for (__u32 i = 0; i < next->vip.backend_count; i++) {
		const struct lb_member *member = &next->members[i];

		if (!lb_member_ring_weight(member) || member->slots_cur)
			continue;
		if (!without++)
			name = lb_plan_member_name(plan, member);
	}
	if (!without || effect->warning)
		return 0;
	warning = lb_plan_memory(plan, WARNING_BYTES);
	if (!warning)
		return -ENOMEM;
	snprintf(warning, WARNING_BYTES,
		 "%u of %u backends with a weight get no slot of %u (%.63s first): give more slots "
		 "(ring_size), "
		 "or weights that differ less",
		 without, takers, lb_service_slots(next), name);
	effect->warning = warning;
	return 0;
}

int lb_plan_judge(struct lb_plan *plan, struct lb_service_change *change, struct lb_plan_service *effect)
{
	int r;

	/* Of those that share a ring the one that leads is judged. */
	if (!change->next || change->next->leader)
		return 0;
	r = judge_pool(change, effect);
	if (r == 0)
		r = judge_shares(plan, change, effect);
	if (r == 0 && change->current)
		r = judge_ranges(change, effect);
	if (r == 0 && change->current)
		r = judge_quic(plan, change, effect);
	if (r == 0 && change->current)
		r = judge_ways(plan, change, effect);
	return r;
}

/* --- identity --------------------------------------------------------------------------------------------
 */

static __u64 mix(__u64 identity, const void *bytes, size_t length)
{
	return XXH3_64bits_withSeed(bytes, length, identity);
}

static __u64 mix_text(__u64 identity, const char *text)
{
	return text ? mix(identity, text, strlen(text) + 1) : mix(identity, "", 0);
}

static __u64 mix_effect(__u64 identity, const struct lb_plan_service *effect)
{
	const __u64 numbers[] = { effect->change, effect->slots, effect->slots_moved, effect->breaks };

	identity = mix(mix_text(identity, effect->name), numbers, sizeof(numbers));
	identity = mix_text(mix_text(identity, effect->why_breaks), effect->warning);
	identity = mix_text(identity, effect->lead);
	for (size_t i = 0; i < effect->n_backends; i++) {
		const struct lb_plan_backend *backend = &effect->backends[i];
		const __u64 of[] = { backend->change, backend->slots_before, backend->slots_after,
				     backend->flows_at_risk };

		identity = mix(mix_text(identity, backend->name), of, sizeof(of));
	}
	return identity;
}

/* All of a next hop but what only numbers it: the port differs from plan to plan. */
static __u64 mix_nexthop(__u64 identity, const struct lb_nexthop *nexthop)
{
	const __u32 numbers[] = { nexthop->resolved,       nexthop->local,  nexthop->routed,
				  nexthop->same_interface, nexthop->tagged, nexthop->mtu };

	identity = mix(identity, numbers, sizeof(numbers));
	identity = mix(identity, nexthop->destination, sizeof(nexthop->destination));
	identity = mix(identity, nexthop->source, sizeof(nexthop->source));
	return mix(identity, &nexthop->source_address, sizeof(nexthop->source_address));
}

/* Where packets will go, without what only numbers it. */
static __u64 mix_ways(__u64 identity, const struct lb_plan *plan, const struct lb_service *next)
{
	for (__u32 i = 0; next && !next->leader && i < next->vip.backend_count; i++) {
		const struct lb_member *member = &next->members[i];
		struct lb_address address;

		if (!member->used || member->ghost)
			continue;
		address = lb_plan_member_address(plan, member);
		identity = mix(identity, &address, sizeof(address));
		identity =
			mix_nexthop(identity, lb_nexthop_table_at(&plan->engine->nexthops, member->nexthop));
	}
	return identity;
}

__u64 lb_plan_identity(const struct lb_plan *plan)
{
	return plan->identity;
}

static __u64 mix_override(__u64 identity, const struct lb_override *override)
{
	const __u32 values[] = { override->has_weight, override->has_weight ? override->weight : 0,
				 override->has_state, override->has_state ? override->state : 0 };

	identity = mix_text(mix_text(identity, override->service), override->backend);
	return mix(identity, values, sizeof(values));
}

/* While what it is made of is still there: a commit takes it. */
void lb_plan_identify(struct lb_plan *plan)
{
	__u64 identity = mix(0, plan->hash_seed, sizeof(plan->hash_seed));

	for (size_t i = 0; i < plan->n_effects; i++)
		identity = mix_effect(identity, &plan->effects[i]);
	for (size_t i = 0; i < plan->n_changes; i++) {
		identity = mix_ways(identity, plan, plan->changes[i].next);
		lb_engine_pause(plan->engine);
	}
	for (size_t i = 0; i < plan->n_overrides; i++)
		identity = mix_override(identity, &plan->overrides[i]);
	plan->identity = identity;
}
