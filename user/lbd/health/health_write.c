// SPDX-License-Identifier: GPL-2.0-only
/*
 * Health for people: what the check says, what the breaker makes of it, what follows, and
 * when it will be asked again, side by side.
 */
#include "lbd/health/health_internal.h"
#include "lbd/kernel/check_path.h"

static double seconds_since(__u64 then_ns, __u64 now_ns)
{
	return then_ns && now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

/* --- GET /v1/health --------------------------------------------------------------------------------------
 */

static void write_check(const struct health_target *target, __u64 now_ns, struct json *json)
{
	char address[LB_ADDRESS_TEXT_MAX];

	if (!target) {
		json_null(json, "check");
		return;
	}
	json_object(json, "check");
	json_string(json, "kind", lb_check_kind_name((enum lb_check_kind)target->check.kind));
	json_string(json, "address", lb_address_text(&target->check.address, address));
	json_u64(json, "port", target->check.port);
	json_string(json, "target", target->check.target == LB_CHECK_TARGET_VIP ? "vip" : "address");
	json_string(json, "via",
		    target->check.via.family ? lb_address_text(&target->check.via, address) : NULL);
	json_string(json, "path",
		    path_trouble_of(target) ? path_trouble_text(path_trouble_of(target)) : NULL);
	json_u64(json, "interval_ms", target->check.interval_ms);
	if (target->last_ns) {
		json_string(json, "last", lb_outcome_name(target->last));
		json_string(json, "last_text", lb_outcome_text(target->last));
		json_u64(json, "detail",
			 target->check.kind == LB_CHECK_AGENT && target->last == LB_OUTCOME_OK
				 ? 0
				 : target->detail);
		json_double(json, "last_age_s", seconds_since(target->last_ns, now_ns));
		json_double(json, "duration_ms", (double)target->duration_ns / 1e6);
	} else {
		json_null(json, "last");
	}
	if (target->check.kind == LB_CHECK_AGENT) {
		json_object(json, "agent");
		json_bool(json, "drain", target->agent.drain);
		json_u64(json, "weight_percent", target->agent.percent);
		json_object_end(json);
	}
	json_object(json, "outcomes");
	for (int i = 0; i < LB_OUTCOME_COUNT; i++)
		json_u64(json, lb_outcome_name((enum lb_outcome)i), target->outcomes[i]);
	json_object_end(json);
	json_object_end(json);
}

/* What a backend is taken for before its first verdict, and since when. */
static const char *waits_text(const struct health *health, const struct health_member *member,
			      char text[LB_CIRCUIT_TEXT_MAX])
{
	static const char *const since[] = {
#define X(name, text) [HEALTH_WAITS_##name] = (text),
		HEALTH_WAITS(X)
#undef X
	};

	snprintf(text, LB_CIRCUIT_TEXT_MAX, "not yet checked %s: taken to be well",
		 health->link < 0 ? "(lb-checkd is away)" : since[member->waits]);
	return text;
}

static void write_breaker(const struct health *health, const struct health_member *member, __u64 now_ns,
			  struct json *json)
{
	const struct lb_circuit *circuit = &member->circuit;
	char text[LB_CIRCUIT_TEXT_MAX];

	if (!member->target) {
		json_null(json, "breaker");
		return;
	}
	json_object(json, "breaker");
	json_string(json, "state", lb_circuit_state_name(lb_circuit_state(circuit)));
	json_string(json, "why",
		    circuit->state == LB_CIRCUIT_CLOSED && !circuit->last_ns
			    ? waits_text(health, member, text)
			    : lb_circuit_text(circuit, text));
	json_double(json, "since_s", seconds_since(circuit->since_ns, now_ns));
	json_u64(json, "share_permille", circuit->share);
	json_u64(json, "failures_in_a_row", lb_history_bad_run(&circuit->history));
	json_u64(json, "fall", member->settings.fall);
	json_u64(json, "opens", circuit->opens);
	if (circuit->state == LB_CIRCUIT_OPEN)
		json_double(json, "retry_s",
			    circuit->retry_ns > now_ns ? (double)(circuit->retry_ns - now_ns) / 1e9 : 0);
	json_object_end(json);
}

static void write_passive(const struct health_member *member, __u64 now_ns, struct json *json)
{
	char text[LB_PASSIVE_TEXT_MAX];

	if (!member->service->passive_wanted || !member->was_observed) {
		json_null(json, "passive");
		return;
	}
	json_object(json, "passive");
	json_string(json, "state", lb_passive_state_name(member->passive.state));
	json_string(json, "why", lb_passive_text(&member->passive, text));
	json_double(json, "since_s", seconds_since(member->passive.since_ns, now_ns));
	json_object_end(json);
}

/* How large a packet gets through, as far as that was asked. */
static void write_path_mtu(const struct health_host *host, struct json *json)
{
	if (!host->search.most) {
		json_null(json, "path_mtu");
		return;
	}
	json_object(json, "path_mtu");
	if (host->search.found)
		json_u64(json, "bytes", host->search.found);
	else
		json_null(json, "bytes");
	json_bool(json, "answers", !host->search.silent);
	json_object_end(json);
}

static void write_member(const struct health *health, const struct health_member *member, __u64 now_ns,
			 struct json *json)
{
	char address[LB_ADDRESS_TEXT_MAX];

	json_object(json, NULL);
	json_string(json, "service", member->service->name);
	json_string(json, "backend", member->name);
	json_string(json, "address", lb_address_text(&member->host->address, address));
	json_u64(json, "tier", member->tier);
	json_string(json, "says", lb_state_name(member->said.ret_state));
	json_u64(json, "share_permille",
		 member->said.ret_state == LB_STATE_ACTIVE ? member->said.ret_share : 0);
	json_string(json, "reason", member->reason);
	write_breaker(health, member, now_ns, json);
	write_check(member->target, now_ns, json);
	write_passive(member, now_ns, json);
	write_path_mtu(member->host, json);
	json_object_end(json);
}

/* Packets of checks through the packet path. */
static void write_path(const struct health *health, struct json *json)
{
	static const char *const names[] = {
#define X(number, name, text) [number] = (text),
		LB_CHECK_COUNTS(X)
#undef X
	};
	__u64 counts[LB_CHECK_COUNT];

	if (!health->path) {
		json_null(json, "path");
		return;
	}
	check_path_counts(health->path, counts);
	json_object(json, "path");
	for (int i = 0; i < LB_CHECK_COUNT; i++)
		json_u64(json, names[i], counts[i]);
	json_object_end(json);
}

static void write_canary(const struct health *health, struct json *json)
{
	char address[LB_ADDRESS_TEXT_MAX];

	if (!health->canary) {
		json_null(json, "canary");
		return;
	}
	json_object(json, "canary");
	json_string(json, "address", lb_address_text(&health->canary->check.address, address));
	json_u64(json, "port", health->canary->check.port);
	json_string(json, "verdict", lb_check_verdict_name(health->canary_state.verdict));
	json_string(json, "last", health->canary->last_ns ? lb_outcome_name(health->canary->last) : NULL);
	json_object_end(json);
}

static void write_checker(const struct health *health, __u64 now_ns, struct json *json)
{
	json_object(json, "checker");
	json_bool(json, "connected", health->link >= 0);
	json_bool(json, "stale", health->stale);
	json_string(json, "suspicion", lb_suspicion_name(health->suspect.state));
	json_u64(json, "targets", HASH_COUNT(health->targets));
	json_u64(json, "checks", health->checkd.begun);
	json_u64(json, "pending", health->checkd.pending);
	json_u64(json, "late_ms", health->checkd.late_ms);
	json_object(json, "room"); /* for checks at once, and what is needed if no backend answers */
	json_u64(json, "checks", health->checkd.room);
	json_u64(json, "checks_needed", health->room.checks);
	json_u64(json, "ports", health->checkd.ports);
	json_u64(json, "ports_needed", health->room.ports);
	json_bool(json, "too_small", health->room.too_small);
	json_object_end(json);
	json_u64(json, "frozen_times", health->froze);
	write_canary(health, json);
	write_path(health, json);
	json_object_end(json);
}

static size_t write_service(const struct health *health, const struct health_service *service,
			    const char *backend, __u64 now_ns, struct json *json)
{
	size_t n = 0;

	for (size_t i = 0; i < service->n_members; i++) {
		if (backend && backend[0] && strcmp(backend, service->members[i].name) != 0)
			continue;
		write_member(health, &service->members[i], now_ns, json);
		n++;
	}
	return n;
}

static void write_pool(const struct health_service *service, struct json *json)
{
	json_object(json, NULL);
	json_string(json, "service", service->name);
	json_u64(json, "weight", service->summary.weight);
	json_u64(json, "usable_weight", service->summary.usable);
	json_u64(json, "tiers", service->summary.tiers);
	json_u64(json, "last_tier", service->summary.last_tier);
	json_u64(json, "last_tier_share_permille", service->summary.last_share);
	json_bool(json, "below_floor", service->summary.all_fail);
	json_object_end(json);
}

void health_write_service(struct lbd *lbd, const char *name, struct json *json)
{
	const struct health *health = lbd->health;
	const struct health_service *service = NULL;
	char text[LB_POOL_TEXT_MAX];

	if (health)
		HASH_FIND(hh, health->services, name, strlen(name), service);
	if (!service) {
		json_null(json, "tiers");
		return;
	}
	json_object(json, "tiers");
	json_string(json, "why", lb_pool_text(&service->pool, &service->summary, text));
	json_bool(json, "below_floor", service->summary.all_fail);
	json_array(json, "tiers");
	for (unsigned int tier = 0; tier < LB_TIERS_MAX; tier++) {
		if (!service->summary.tier[tier].weight)
			continue;
		json_object(json, NULL);
		json_u64(json, "tier", tier);
		json_u64(json, "weight", service->summary.tier[tier].weight);
		json_u64(json, "usable_weight", service->summary.tier[tier].usable);
		json_u64(json, "share_permille", service->summary.tier[tier].share);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}

int health_write(struct lbd *lbd, const char *service, const char *backend, struct json *json,
		 struct lb_error *error)
{
	const struct health *health = lbd->health;
	__u64 now_ns = lb_now_ns();
	size_t n = 0;

	write_checker(health, now_ns, json);
	json_array(json, "backends");
	for (const struct health_service *one = health->services; one; one = one->hh.next) {
		if (!service || !service[0] || strcmp(service, one->name) == 0)
			n += write_service(health, one, backend, now_ns, json);
		task_pause();
	}
	json_array_end(json);
	json_array(json, "services");
	for (const struct health_service *one = health->services; one; one = one->hh.next) {
		if (!service || !service[0] || strcmp(service, one->name) == 0)
			write_pool(one, json);
		task_pause();
	}
	json_array_end(json);
	if (n || ((!service || !service[0]) && (!backend || !backend[0])))
		return 0;
	return lb_error_set(error, ESRCH, "no backend of that name is checked: %s%s%s",
			    service ? service : "", backend && backend[0] ? "/" : "", backend ? backend : "");
}
