// SPDX-License-Identifier: GPL-2.0-only
/*
 * Health as metrics. Services without a check have none of these.
 */
#include "lbd/health/health_internal.h"

static const struct health_service *find_service(const struct lbd *lbd, const char *name)
{
	struct health_service *service = NULL;

	if (lbd->health)
		HASH_FIND(hh, lbd->health->services, name, strlen(name), service);
	return service;
}

static void write_outcomes(struct json *parts, enum metric metric, struct metric_labels *labels,
			   const __u64 outcomes[LB_OUTCOME_COUNT])
{
	for (int i = 0; i < LB_OUTCOME_COUNT; i++)
		metric_u64_of(parts, metric, labels, "outcome", lb_outcome_name((enum lb_outcome)i),
			      outcomes[i]);
}

void health_metrics_whole(struct lbd *lbd, struct json *parts)
{
	const struct health *health = lbd->health;
	struct metric_labels labels;

	if (!health)
		return;
	metric_u64(parts, METRIC_CHECKER_CONNECTED, NULL, health->link >= 0);
	metric_u64(parts, METRIC_CHECKER_TARGETS, NULL, HASH_COUNT(health->targets));
	metric_double(parts, METRIC_CHECKER_LATE, NULL, (double)health->checkd.late_ms / 1e3);
	metric_u64(parts, METRIC_HEALTH_STALE, NULL, health->stale && health->targets);
	metric_u64(parts, METRIC_HEALTH_FROZEN, NULL, health->suspect.state == LB_SUSPICION_FROZEN);
	metric_u64(parts, METRIC_HEALTH_FREEZES, NULL, health->froze);
	metric_u64(parts, METRIC_BREAKER_OPENS, NULL, health->opens);
	metric_labels_begin(&labels);
	write_outcomes(parts, METRIC_CHECKS, &labels, health->outcomes);
}

static void count_breakers(const struct health_service *service, __u64 breakers[LB_CIRCUIT_STATE_COUNT])
{
	for (size_t i = 0; i < service->n_members; i++)
		if (service->members[i].target)
			breakers[lb_circuit_state(&service->members[i].circuit)]++;
}

void health_metrics_service(struct lbd *lbd, const char *name, struct metric_labels *labels, __u64 *breakers,
			    struct json *parts)
{
	const struct health_service *service = find_service(lbd, name);
	double weight;

	if (!service)
		return;
	count_breakers(service, breakers);
	/* Where nobody has a weight there is nothing that health could leave or take. */
	weight = (double)service->summary.weight;
	metric_double(parts, METRIC_SERVICE_USABLE, labels,
		      weight > 0 ? (double)service->summary.usable / weight : 0);
	metric_double(parts, METRIC_SERVICE_EJECTED, labels,
		      weight > 0 ? (double)service->summary.ejected / weight : 0);
}

void health_metrics_detail(struct lbd *lbd, const char *name, struct metric_labels *labels,
			   struct json *parts)
{
	const struct health_service *service = find_service(lbd, name);
	__u64 breakers[LB_CIRCUIT_STATE_COUNT] = {};

	if (!service)
		return;
	count_breakers(service, breakers);
	for (int i = 0; i < LB_CIRCUIT_STATE_COUNT; i++)
		metric_u64_of(parts, METRIC_SERVICE_BREAKERS, labels, "state",
			      lb_circuit_state_name((enum lb_circuit_state)i), breakers[i]);
	write_outcomes(parts, METRIC_SERVICE_CHECKS, labels, service->outcomes);
	metric_histogram(parts, METRIC_SERVICE_CHECK_SECONDS, labels, &service->answered);
}

static void write_member(const struct health_member *member, __u64 now_ns, struct metric_labels *labels,
			 struct json *parts)
{
	const struct lb_circuit *circuit = &member->circuit;
	__u64 since_ns = circuit->since_ns && now_ns > circuit->since_ns ? now_ns - circuit->since_ns : 0;
	__u32 share = member->said.ret_state == LB_STATE_ACTIVE ? member->said.ret_share : 0;

	metric_u64(parts, METRIC_BACKEND_BREAKER, labels, lb_circuit_state(circuit));
	metric_double(parts, METRIC_BACKEND_BREAKER_SECONDS, labels, (double)since_ns / 1e9);
	metric_u64(parts, METRIC_BACKEND_OPENS, labels, circuit->opens);
	metric_double(parts, METRIC_BACKEND_SHARE, labels, (double)share / LB_SHARE_FULL);
	metric_u64(parts, METRIC_BACKEND_PASSIVE, labels, member->passive.state);
	write_outcomes(parts, METRIC_BACKEND_CHECKS, labels, member->target->outcomes);
	if (member->target->last_ns)
		metric_double(parts, METRIC_BACKEND_CHECK_SECONDS, labels,
			      (double)member->target->duration_ns / 1e9);
}

void health_metrics_backends(struct lbd *lbd, const char *name, size_t from, size_t to,
			     struct metric_labels *labels, struct json *parts)
{
	const struct health_service *service = find_service(lbd, name);
	__u64 now_ns = lb_now_ns();
	size_t length = labels->length;

	for (size_t i = from; service && i < service->n_members && i < to; i++) {
		if (!service->members[i].target)
			continue;
		metric_label(labels, "backend", service->members[i].name);
		write_member(&service->members[i], now_ns, labels, parts);
		metric_labels_cut(labels, length);
	}
}
