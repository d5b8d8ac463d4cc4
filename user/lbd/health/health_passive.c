// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the observer sees of backends becomes suspicion (health/passive.h), and suspicion checks: lb-checkd is
 * told to ask at its fast interval. Backends take turns, a bounded number of them in each tick, each once a
 * second at most; of a service of very many, as many as have their turn together are judged beside each
 * other: siblings enough.
 */
#include "lbd/health/health_internal.h"
#include "lbd/observe/observe.h"

#define TURN_NS      1000000000ull
#define MEMBERS_MAX  500u  /* in one tick, and judged beside each other */
#define SERVICES_MAX 2000u /* looked at in one tick */
#define TOLD_MAX     16u   /* events in one tick; the others have theirs in later turns */
#define HURRIED_MAX  64u   /* messages to lb-checkd in one tick */

/* What is left of them in this tick. */
struct budget {
	size_t members, services, told, hurried;
};

/* What happened since the last turn. False: nothing to compare with, or it takes no new flows. */
static bool take_counts(const struct health *health, struct health_member *member,
			struct lb_passive_counts *ret_counts)
{
	const struct lb_tally *tally =
		health->lbd->observe ? observe_backend(health->lbd, member->service->name, member->name)
				     : NULL;
	const struct lb_tally_window before = member->observed;
	bool known = member->was_observed;

	member->was_observed = tally;
	if (!tally)
		return false;
	member->observed = tally->seen;
	*ret_counts = (struct lb_passive_counts){
		.started = tally->seen.started - before.started,
		.completed = tally->seen.completed - before.completed,
		.retried = tally->seen.retried - before.retried,
		.gave_up = tally->seen.gave_up - before.gave_up,
	};
	return known && member->weight && member->said.ret_state == LB_STATE_ACTIVE;
}

static void tell(struct health *health, struct health_member *member)
{
	char text[LB_PASSIVE_TEXT_MAX];
	bool worse = member->passive.state > member->passive_told;

	events_add(&health->lbd->events, worse ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "health",
		   "service=%s backend=%s passive=%s from=%s%s%s%s", member->service->name, member->name,
		   lb_passive_state_name(member->passive.state), lb_passive_state_name(member->passive_told),
		   worse ? " cause=\"" : "", worse ? lb_passive_text(&member->passive, text) : "",
		   worse ? "\"" : "");
	member->passive_told = member->passive.state;
}

static void follow(struct health *health, struct health_member *member, struct budget *budget)
{
	if (member->passive.state != member->passive_told && budget->told) {
		budget->told--;
		tell(health, member);
	}
	if (member->passive.state != LB_PASSIVE_FINE && member->target && budget->hurried) {
		budget->hurried--;
		link_hurry(health, member->target);
	}
}

/* n members, beside each other. */
static void judge_members(struct health *health, struct health_service *service,
			  struct health_member *members, size_t n, __u64 now_ns)
{
	struct lb_passive *passives[MEMBERS_MAX];
	struct lb_passive_counts counts[MEMBERS_MAX];
	size_t judged = 0;
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		if (take_counts(health, &members[i], &counts[judged]))
			passives[judged++] = &members[i].passive;
		else
			changed |= lb_passive_tick(&service->passive, &members[i].passive, now_ns);
	}
	if (judged)
		changed |= lb_passive_judge(&service->passive, passives, counts, judged, now_ns);
	if (changed) {
		judge_mark(health, service);
		health->unsaved = true;
	}
}

/* How many members have a turn together: as even parts of the service as there must be. */
static size_t part_of(const struct health_service *service)
{
	size_t parts = (service->n_members + MEMBERS_MAX - 1) / MEMBERS_MAX;

	return parts ? (service->n_members + parts - 1) / parts : 0;
}

/* False: it does not fit in this tick any more. */
static bool take_part(struct health *health, struct health_service *service, size_t part,
		      struct budget *budget, __u64 now_ns)
{
	struct health_member *members = &service->members[health->passive_member];
	size_t n = service->n_members - health->passive_member;

	n = n < part ? n : part;
	if (n > budget->members)
		return false;
	budget->members -= n;
	health->passive_member += n;
	judge_members(health, service, members, n, now_ns);
	/* Not always the same first, where there are too many. */
	for (size_t i = 0; i < n; i++)
		follow(health, &members[(i + health->passive_round * HURRIED_MAX) % n], budget);
	return true;
}

static bool take_service(struct health *health, struct health_service *service, struct budget *budget,
			 __u64 now_ns)
{
	size_t part = part_of(service);

	while (service->passive_wanted && health->passive_member < service->n_members)
		if (!take_part(health, service, part, budget, now_ns))
			return false;
	return true;
}

void passive_tick(struct health *health, __u64 now_ns)
{
	struct budget budget = {
		.members = MEMBERS_MAX, .services = SERVICES_MAX, .told = TOLD_MAX, .hurried = HURRIED_MAX
	};

	if (!health->passive_turn) {
		if (now_ns < health->passive_ns + TURN_NS)
			return;
		health->passive_turn = health->services;
		health->passive_member = 0;
		health->passive_ns = now_ns;
		health->passive_round++;
	}
	while (health->passive_turn && budget.services--) {
		if (!take_service(health, health->passive_turn, &budget, now_ns))
			return;
		health->passive_turn = health->passive_turn->hh.next;
		health->passive_member = 0;
	}
}
