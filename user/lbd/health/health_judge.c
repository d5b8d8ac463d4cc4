// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the end of a check to what is said of backends: the target's result moves the circuits of all that
 * asked for it; circuits that changed make their hosts and pools be judged anew; what changes there is said
 * to the intent layer, and a plan is made if it matters.
 */
#include "lbd/announce/announce.h"
#include "lbd/health/health_internal.h"

/* --- circuits --------------------------------------------------------------------------------------------
 */

void judge_mark(struct health *health, struct health_service *service)
{
	if (service->dirty)
		return;
	service->dirty = true;
	service->next_dirty = health->first_dirty;
	health->first_dirty = service;
}

static void tell_circuit(struct health *health, const struct health_member *member,
			 enum lb_circuit_state before)
{
	const struct lb_circuit *circuit = &member->circuit;
	char text[LB_CIRCUIT_TEXT_MAX];
	enum log_level level = circuit->state == LB_CIRCUIT_OPEN ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;

	health->opens += circuit->state == LB_CIRCUIT_OPEN && before != LB_CIRCUIT_OPEN;
	events_add(&health->lbd->events, level, "health", "service=%s backend=%s from=%s to=%s cause=\"%s\"",
		   member->service->name, member->name, lb_circuit_state_name(before),
		   lb_circuit_state_name(circuit->state),
		   circuit->state == LB_CIRCUIT_CLOSED ? "its checks are answered"
						       : lb_circuit_text(circuit, text));
}

static void changed(struct health *health, struct health_member *member, enum lb_circuit_state before,
		    bool was_dead)
{
	if (member->circuit.state != before || (member->circuit.dead && !was_dead))
		tell_circuit(health, member, before);
	judge_mark(health, member->service);
	member->host->dirty = true;
	health->unsaved = true;
	member->service->lively = true;
}

/* The checker is to blame for what was heard lately. */
static void forget_all(struct health *health)
{
	for (struct health_service *service = health->services; service; service = service->hh.next) {
		for (size_t i = 0; i < service->n_members; i++)
			lb_circuit_forget(&service->members[i].circuit, health->suspect.from_ns);
	}
}

static void tell_suspicion(struct health *health)
{
	bool frozen = health->suspect.state == LB_SUSPICION_FROZEN;
	const char *cause = canary_fails(health)
				    ? " cause=\"the canary does not answer: verdicts are frozen\""
				    : " cause=\"most addresses fail at once: verdicts are frozen\"";

	if (frozen) {
		health->froze++;
		forget_all(health);
	}
	/* What was held back may happen now. */
	for (struct health_service *service = health->services; service; service = service->hh.next)
		service->lively = true;
	events_add(&health->lbd->events, frozen ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "health", "checker=%s%s",
		   lb_suspicion_name(health->suspect.state), frozen ? cause : "");
}

/* In steps of 5 %: what goes up and down all the time moves no flows. Something is never nothing. */
static __u32 agent_share(const struct lb_agent_says *agent)
{
	__u32 steps = (agent->percent + 2) / 5;

	return agent->percent && !steps ? LB_SHARE_FULL / 20 : steps * (LB_SHARE_FULL / 20);
}

/* An agent's line: what it says besides that the backend serves. */
static void heed_agent(struct health *health, struct health_target *target, const struct lb_result *result,
		       __u32 detail)
{
	struct lb_agent_says before = target->agent;

	if (target->check.kind != LB_CHECK_AGENT || result->outcome != LB_OUTCOME_OK)
		return;
	lb_agent_of_detail(detail, &target->agent);
	if (target->agent.percent > 100)
		target->agent = before; /* lb-checkd is taken for a stranger */
	if (target->agent.drain == before.drain && agent_share(&target->agent) == agent_share(&before))
		return;
	for (struct health_member *member = target->members; member; member = member->next_of_target) {
		events_add(&health->lbd->events, LOG_LEVEL_INFO, "health",
			   "service=%s backend=%s agent=%s weight_percent=%u", member->service->name,
			   member->name, target->agent.drain ? "drain" : "up",
			   agent_share(&target->agent) / 10);
		judge_mark(health, member->service);
	}
}

/* For whoever asked: a service in which several backends share a check counts it for each. */
static void count(struct health *health, struct health_target *target, const struct lb_result *result)
{
	target->outcomes[result->outcome]++;
	health->outcomes[result->outcome]++;
	for (struct health_member *member = target->members; member; member = member->next_of_target) {
		member->service->outcomes[result->outcome]++;
		if (lb_outcome_is_good(result->outcome))
			metric_histogram_add(&member->service->answered, result->end_ns - result->begin_ns);
	}
}

void judge_result(struct health *health, struct health_target *target,
		  const struct lb_message_result *message)
{
	struct lb_result result = { message->begin_ns, message->end_ns, (enum lb_outcome)message->outcome };
	struct health_member *first = target->members;
	__u64 now = lb_now_ns();

	result.outcome = path_judge(health, target, &result);
	count(health, target, &result);
	if (result.outcome != LB_OUTCOME_NONE) {
		target->last = result.outcome;
		target->detail = message->detail;
		target->last_ns = result.end_ns;
		target->duration_ns = result.end_ns - result.begin_ns;
	}
	if (target == health->canary && canary_result(health, &result))
		tell_suspicion(health);
	if (first && lb_suspect_result(&health->suspect, &health->suspect_config, &first->host->suspect,
				       first->service->tenant + first->service->hh.hashv, &result, now))
		tell_suspicion(health);
	if (!lb_suspect_believes(&health->suspect, &result))
		return;
	heed_agent(health, target, &result, message->detail);
	for (struct health_member *member = first; member; member = member->next_of_target) {
		enum lb_circuit_state before = member->circuit.state;
		bool dead = member->circuit.dead;

		if (lb_circuit_result(&member->circuit, &member->settings, &result, now,
				      lb_suspect_holds(&health->suspect)))
			changed(health, member, before, dead);
	}
}

static void tick_service(struct health *health, struct health_service *service, __u64 now_ns)
{
	service->lively = lb_suspect_holds(&health->suspect);
	for (size_t i = 0; i < service->n_members; i++) {
		struct health_member *member = &service->members[i];
		enum lb_circuit_state before = member->circuit.state;
		bool dead = member->circuit.dead, slow = member->circuit.slow_since_ns;

		if (member->target && lb_circuit_tick(&member->circuit, &member->settings, now_ns,
						      lb_suspect_holds(&health->suspect)))
			changed(health, member, before, dead);
		else if (slow)
			judge_mark(health, service);
		service->lively |= member->circuit.state != LB_CIRCUIT_CLOSED || slow;
	}
}

void judge_tick(struct health *health, __u64 now_ns)
{
	if (lb_suspect_tick(&health->suspect, &health->suspect_config, now_ns))
		tell_suspicion(health);
	for (struct health_service *service = health->services; service; service = service->hh.next) {
		if (service->lively)
			tick_service(health, service, now_ns);
	}
	passive_tick(health, now_ns);
	path_tick(health, now_ns);
	hosts_tick(health);
	mtu_tick(health);
	judge_dirty(health);
}

/* --- hosts -----------------------------------------------------------------------------------------------
 */

static struct lb_host_witness witness_of(const struct health_member *member)
{
	const struct lb_circuit *circuit = &member->circuit;

	return (struct lb_host_witness){
		.tenant = member->service->tenant,
		.silent = member->target && circuit->state == LB_CIRCUIT_OPEN &&
			  circuit->cause == LB_OUTCOME_TIMEOUT && circuit->silent_since_ns,
		.answers = member->target && circuit->state == LB_CIRCUIT_CLOSED &&
			   lb_outcome_is_good(circuit->last),
		.for_host = member->target && member->target->check.scope == LB_CHECK_SCOPE_HOST &&
			    member->service->tenant == 0,
	};
}

static void judge_host(struct health *health, struct health_host *host)
{
	struct lb_host_witness *witnesses;
	enum lb_host_verdict before = host->verdict;
	char text[LB_ADDRESS_TEXT_MAX];
	size_t n = 0;

	host->dirty = false;
	for (struct health_member *member = host->members; member; member = member->next_of_host)
		n++;
	witnesses = calloc(n + 1, sizeof(*witnesses));
	if (!witnesses)
		return; /* stays what it was */
	n = 0;
	for (struct health_member *member = host->members; member; member = member->next_of_host)
		witnesses[n++] = witness_of(member);
	host->verdict = lb_host_judge(witnesses, n, host->nexthop_lost);
	free(witnesses);
	if (host->verdict == before)
		return;
	events_add(&health->lbd->events, LOG_LEVEL_WARNING, "health", "host=%s %s%s%s",
		   lb_address_text(&host->address, text), host->verdict ? "to=open cause=\"" : "to=closed",
		   lb_host_text(host->verdict), host->verdict ? "\"" : "");
	for (struct health_member *member = host->members; member; member = member->next_of_host)
		judge_mark(health, member->service);
}

/* --- pools -----------------------------------------------------------------------------------------------
 */

static bool says_less(const struct health_target *target)
{
	return target && (target->agent.drain || target->agent.percent < 100);
}

static void reason_of(const struct health_member *member, const struct lb_pool_member *says, char *reason,
		      size_t size)
{
	char text[LB_CIRCUIT_TEXT_MAX];

	if (says->ret_reason != LB_POOL_OWN)
		snprintf(reason, size, "%s", lb_pool_reason_text(says->ret_reason));
	else if (member->circuit.state == LB_CIRCUIT_CLOSED && member->host->verdict)
		snprintf(reason, size, "%s", lb_host_text(member->host->verdict));
	else if (member->circuit.state == LB_CIRCUIT_CLOSED && says_less(member->target))
		snprintf(reason, size, "its agent says: %s%u %% of its weight",
			 member->target->agent.drain ? "drain, " : "", member->target->agent.percent);
	else
		snprintf(reason, size, "%s", lb_circuit_text(&member->circuit, text));
}

/* To the intent layer, which has a plan made if it matters. */
static void publish(struct health *health, struct health_member *member)
{
	const struct lb_pool_member *said = &member->said;
	bool breaker = said->ret_reason == LB_POOL_OWN, nothing;
	struct lb_verdict verdict = {
		.state = said->ret_state,
		.share = said->ret_share,
		.stale = health->stale,
		.address = member->host->address,
		.since_s = member->said_s,
	};

	nothing = said->ret_state == LB_STATE_ACTIVE && said->ret_share == LB_SHARE_FULL;
	snprintf(verdict.reason, sizeof(verdict.reason), "%s", member->reason);
	health->judge(health->lbd, LB_ORIGIN_BREAKER, member->service->name, member->name,
		      breaker && !nothing ? &verdict : NULL);
	health->judge(health->lbd, LB_ORIGIN_HEALTH, member->service->name, member->name,
		      !breaker && !nothing ? &verdict : NULL);
}

static void tell_pool(struct health *health, const struct health_service *service,
		      const struct lb_pool_summary *before)
{
	const struct lb_pool_summary *now = &service->summary;

	if (now->all_fail != before->all_fail)
		events_add(&health->lbd->events, now->all_fail ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "health",
			   "service=%s usable_weight=%llu of=%llu %s", service->name, now->usable,
			   now->weight,
			   now->all_fail ? "cause=\"below the floor\"" : "cause=\"enough again\"");
	if (now->tiers != before->tiers && before->tiers)
		events_add(&health->lbd->events, LOG_LEVEL_INFO, "health",
			   "service=%s tiers=%#x last_tier=%u share=%u", service->name, now->tiers,
			   now->last_tier, now->last_share);
}

static void fill(const struct health_member *member, struct lb_pool_member *ret_member, __u64 now_ns)
{
	*ret_member = (struct lb_pool_member){ .weight = member->weight,
					       .tier = member->tier,
					       .share = LB_SHARE_FULL,
					       .suspect = member->service->passive.eject &&
							  member->service->passive_wanted &&
							  member->passive.state == LB_PASSIVE_EJECTED };
	if (member->target)
		ret_member->state =
			lb_circuit_verdict(&member->circuit, &member->settings, now_ns, &ret_member->share);
	if (member->target && ret_member->state == LB_STATE_ACTIVE) {
		__u32 share = agent_share(&member->target->agent);

		ret_member->share = ret_member->share * share / LB_SHARE_FULL;
		if (member->target->agent.drain || !share)
			ret_member->state = LB_STATE_DRAIN;
	}
	if (member->host->verdict && ret_member->state == LB_STATE_ACTIVE)
		ret_member->state = LB_STATE_DRAIN;
}

__u32 health_passing(const struct lbd *lbd, const char *service)
{
	const struct health_service *found = NULL;
	__u32 passing = 0;

	if (lbd->health)
		HASH_FIND_STR(lbd->health->services, service, found);
	if (!found || !found->summary.all_fail)
		return UINT32_MAX;
	for (size_t i = 0; i < found->n_members; i++)
		passing += found->members[i].weight && found->members[i].said.state == LB_STATE_ACTIVE;
	return passing;
}

static void judge_service(struct health *health, struct health_service *service, __u64 now_ns)
{
	struct lb_pool_member *pool = calloc(service->n_members + 1, sizeof(*pool));
	struct lb_pool_summary before = service->summary;

	if (!pool)
		return; /* stays what it was */
	for (size_t i = 0; i < service->n_members; i++)
		fill(&service->members[i], &pool[i], now_ns);
	lb_pool_resolve(&service->pool, pool, service->n_members, &service->summary);
	for (size_t i = 0; i < service->n_members; i++) {
		struct health_member *member = &service->members[i];

		if (member->said.ret_state != pool[i].ret_state ||
		    member->said.ret_share != pool[i].ret_share)
			member->said_s = time(NULL);
		member->said = pool[i];
		reason_of(member, &pool[i], member->reason, sizeof(member->reason));
		publish(health, member);
	}
	free(pool);
	tell_pool(health, service, &before);
	/* Where all serve, no plan need come of it. */
	if (before.all_fail || service->summary.all_fail)
		announce_changed(health->lbd);
}

void judge_dirty(struct health *health)
{
	__u64 now = lb_now_ns();

	if (!health->first_dirty)
		return;
	for (struct health_host *host = health->hosts; host; host = host->hh.next) {
		if (host->dirty)
			judge_host(health, host);
	}
	while (health->first_dirty) {
		struct health_service *service = health->first_dirty;

		health->first_dirty = service->next_dirty;
		service->dirty = false;
		judge_service(health, service, now);
	}
}

void judge_stale(struct health *health, bool stale)
{
	if (health->stale == stale)
		return;
	health->stale = stale;
	for (struct health_service *service = health->services; service; service = service->hh.next) {
		for (size_t i = 0; i < service->n_members; i++)
			publish(health, &service->members[i]);
	}
}
