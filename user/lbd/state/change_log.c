// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys first, then services. The rest is counted: a new file of thousands of services is no reason for as
 * many lines.
 */
#include "lbd/state/change_log.h"

#include "config/config_diff.h"
#include "lbd/lbd.h"
#include "lbd/state/change_plan.h"
#include "lbd/state/change_reverts.h"

#define TOLD_MAX 50u

struct telling {
	struct lbd *lbd;
	const char *kind;
	const struct reverts *reverts;
	size_t n;
};

static int tell_key(void *context, const struct lb_difference *difference)
{
	struct telling *telling = context;
	const char *reverts = reverts_has(telling->reverts, difference->path) ? " reverts=yes" : "";
	const char *effect = lb_schema_effect_name(difference->effect);
	struct events *events = &telling->lbd->events;

	task_pause();
	if (telling->n++ >= TOLD_MAX)
		return 0;
	if (difference->kind == LB_DIFFERENCE_VALUE)
		events_add(events, LOG_LEVEL_INFO, telling->kind, "plan=yes key=%s from=%s to=%s effect=%s%s",
			   difference->path, difference->from, difference->to, effect, reverts);
	else
		events_add(events, LOG_LEVEL_INFO, telling->kind, "plan=yes key=%s change=%s effect=%s%s",
			   difference->path, difference->kind == LB_DIFFERENCE_ADDED ? "add" : "remove",
			   effect, reverts);
	return 0;
}

static void tell_service(const struct telling *telling, const struct lb_plan_service *service)
{
	events_add(&telling->lbd->events, LOG_LEVEL_INFO, telling->kind,
		   "plan=yes service=%s change=%s slots_moved=%u slots=%u breaks=%s%s%s%s", service->name,
		   plan_change_name(service->change), service->slots_moved, service->slots,
		   service->breaks ? "yes" : "no", service->why_breaks ? " why=\"" : "",
		   service->why_breaks ? service->why_breaks : "", service->why_breaks ? "\"" : "");
}

static void tell_more(const struct telling *telling, size_t n, const char *what)
{
	if (n > TOLD_MAX)
		events_add(&telling->lbd->events, LOG_LEVEL_INFO, telling->kind, "plan=yes more_%s=%zu", what,
			   n - TOLD_MAX);
}

void change_log_plan(struct lbd *lbd, const char *kind, const struct desired *next,
		     const struct lb_plan *plan, const struct reverts *reverts)
{
	struct telling telling = { lbd, kind, reverts, 0 };
	const struct lb_plan_service *services;
	size_t n = lb_plan_services(plan, &services);

	if (!lbd->running.config)
		return;
	/* Only told: what is not is seen in what runs then. */
	(void)lb_config_diff(lbd->running.config, next->config, tell_key, &telling);
	tell_more(&telling, telling.n, "keys");
	for (size_t i = 0; i < n && i < TOLD_MAX; i++)
		tell_service(&telling, &services[i]);
	tell_more(&telling, n, "services");
}
