// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a plan does, told per service and backend before it is done: slots that move, flow entries that become
 * void, whether an established connection would break and why. Names are copied, so that effects outlive the
 * commit.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static __u64 entries_of(const struct lb_engine *engine, const struct lb_member *member)
{
	return lb_count_of(&member->entries, engine->sweep.done);
}

/* The backend at an index before the change, if it is the same one. */
static const struct lb_member *before_of(const struct lb_service_change *change, __u32 index)
{
	const struct lb_service *current = change->current;

	if (!current || current->leader || index >= current->vip.backend_count ||
	    !current->members[index].used || current->members[index].ghost)
		return NULL;
	return &current->members[index];
}

static enum lb_change change_of(const struct lb_service_change *change, const struct lb_member *before,
				const struct lb_member *after)
{
	if (!after)
		return LB_CHANGE_REMOVE;
	if (!before)
		return after->added ? LB_CHANGE_ADD : LB_CHANGE_MODIFY;
	if (after->leaving)
		return before->leaving ? LB_CHANGE_NONE : LB_CHANGE_REMOVE;
	if (before->leaving)
		return LB_CHANGE_ADD;
	if (before->state != after->state || (before->known && before->weight != after->weight) ||
	    before->nexthop != after->nexthop)
		return LB_CHANGE_MODIFY;
	return LB_CHANGE_NONE;
}

static int tell_backend(const struct lb_plan *plan, struct lb_service_change *change,
			struct lb_plan_service *effect, struct lb_plan_backend *view,
			const struct lb_member *before, const struct lb_member *after)
{
	bool dies = before && !lb_member_dead(before) && (!after || lb_member_dead(after));

	view->change = change_of(change, before, after);
	view->slots_before = before ? before->slots_cur : 0;
	view->slots_after = after ? after->slots_cur : 0;
	if (!dies)
		return 0;
	view->entries_at_risk = entries_of(plan->engine, before);
	view->flows_at_risk = before->slots_cur || before->slots_base || view->entries_at_risk;
	effect->entries_at_risk += view->entries_at_risk;
	if (after && view->flows_at_risk)
		return lb_plan_breaks(effect, change, "backend %s goes down: its connections are lost",
				      lb_plan_member_name(plan, before));
	return 0;
}

/* One view for every backend before or after; ghosts are nobody's business. */
static int tell_backends(struct lb_plan *plan, struct lb_service_change *change,
			 struct lb_plan_service *effect)
{
	const struct lb_service *current = change->current, *next = change->next;
	__u32 n_before = current && !current->leader ? current->vip.backend_count : 0,
	      n_after = next && !next->leader ? next->vip.backend_count : 0;
	__u32 n = n_before > n_after ? n_before : n_after;
	struct lb_plan_backend *views =
		lb_plan_memory(plan, (n + 1) * (sizeof(*views) + LB_NAME_MAX) + LB_NAME_MAX);
	char(*names)[LB_NAME_MAX];
	int r = 0;

	if (!views)
		return -ENOMEM;
	change->backends = views;
	names = (void *)(views + n + 1);
	memcpy(names[n], next ? next->name : current->name, LB_NAME_MAX);
	effect->name = names[n];
	effect->backends = views;
	for (__u32 i = 0; i < n && r == 0; i++) {
		const struct lb_member *before = before_of(change, i);
		const struct lb_member *after =
			i < n_after && next->members[i].used ? &next->members[i] : NULL;
		const struct lb_member *shown = after && !after->ghost ? after : before;

		/* A backend that returns under another index is told there. */
		if (!shown || (after && after->ghost))
			continue;
		snprintf(names[effect->n_backends], LB_NAME_MAX, "%s", lb_plan_member_name(plan, shown));
		views[effect->n_backends].name = names[effect->n_backends];
		r = tell_backend(plan, change, effect, &views[effect->n_backends++], before, after);
	}
	return r;
}

/* Of those that share a ring one tells of it. */
static int tell_lead(struct lb_plan *plan, const struct lb_service *service, struct lb_plan_service *effect)
{
	char *lead;

	if (!service->leader)
		return 0;
	lead = lb_plan_memory(plan, LB_NAME_MAX);
	if (!lead)
		return -ENOMEM;
	memcpy(lead, service->leader->name, LB_NAME_MAX);
	effect->lead = lead;
	return 0;
}

/* Why the connections of a service end: it goes, or what it was goes and it is made anew. */
static int tell_end(const struct lb_plan *plan, struct lb_service_change *change,
		    struct lb_plan_service *effect)
{
	const char *name = change->current->name;

	for (size_t i = 0; i < plan->config->n_services; i++) {
		if (strcmp(plan->config->services[i].name, name) == 0 &&
		    lb_service_key_equal(&plan->order[i]->key, &change->current->key))
			return lb_plan_breaks(effect, change,
					      "service %s takes another ring: its connections go where "
					      "that has their slots",
					      name);
	}
	return lb_plan_breaks(effect, change, "service %s goes away, and its connections with it", name);
}

static int tell_service(struct lb_plan *plan, struct lb_service_change *change,
			struct lb_plan_service *effect)
{
	const struct lb_service *current = change->current, *next = change->next;
	__u64 entries = current ? lb_count_of(&current->entries, plan->engine->sweep.done) : 0;
	__u16 affinity = LB_VIP_SOURCE | LB_VIP_QUIC;
	int r;

	effect->change = !current ? LB_CHANGE_ADD : !next ? LB_CHANGE_REMOVE : LB_CHANGE_MODIFY;
	effect->slots = lb_service_slots(next ? next : current);
	effect->slots_moved = change->slots_moved;
	r = tell_lead(plan, next ? next : current, effect);
	if (r < 0)
		return r;
	effect->idle_timeout_s = next && change->slots_moved ? next->config->idle_timeout_s : 0;
	r = tell_backends(plan, change, effect);
	if (r == 0)
		r = lb_plan_judge(plan, change, effect);
	if (r < 0 || !current)
		return r;
	if (!next) {
		effect->entries_at_risk = entries;
		return tell_end(plan, change, effect);
	}
	if ((current->vip.flags ^ next->vip.flags) & affinity) {
		effect->entries_at_risk = entries;
		return lb_plan_breaks(
			effect, change,
			"affinity changes: flows are hashed in another way, and most of them move");
	}
	if (change->slots_at_risk)
		r = lb_plan_breaks(effect, change, "a smaller ring: the flows of %u slots move",
				   change->slots_at_risk);
	if (r == 0 && change->slots_moved && next->key.protocol != IPPROTO_TCP &&
	    !next->config->learning_window_s)
		r = lb_plan_breaks(effect, change,
				   "learning_window_s is 0: the flows of %u slots move at once",
				   change->slots_moved);
	return r;
}

/* Fills plan->effects, in the order of the configuration, what is removed last. */
int lb_plan_effects(struct lb_plan *plan, struct lb_error *error)
{
	plan->effects = calloc(plan->n_changes + 1, sizeof(*plan->effects));
	if (!plan->effects)
		return lb_error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < plan->n_changes; i++) {
		struct lb_service_change *change = &plan->changes[i];

		if (!change->visible && !change->attributes)
			continue;
		if (tell_service(plan, change, &plan->effects[plan->n_effects++]) < 0)
			return lb_error_set(error, ENOMEM, "out of memory");
		lb_engine_pause(plan->engine);
	}
	lb_plan_identify(plan);
	return 0;
}
