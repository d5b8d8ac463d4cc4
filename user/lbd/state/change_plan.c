// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plans in JSON.
 */
#include "lbd/state/change_plan.h"

#include <string.h>

#include "lbd/task.h"

const char *plan_change_name(enum lb_change change)
{
	switch (change) {
	case LB_CHANGE_ADD:
		return "add";
	case LB_CHANGE_REMOVE:
		return "remove";
	case LB_CHANGE_MODIFY:
		return "modify";
	case LB_CHANGE_NONE:
		break;
	}
	return "none";
}

void plan_summarise(const struct lb_plan *plan, struct plan_summary *ret_summary)
{
	const struct lb_plan_service *services;

	*ret_summary = (struct plan_summary){ .services = lb_plan_services(plan, &services) };
	for (size_t i = 0; i < ret_summary->services; i++) {
		ret_summary->slots_moved += services[i].slots_moved;
		ret_summary->breaks |= services[i].breaks;
	}
}

/* Of a service, a backend and what is around them, without texts that differ. */
#define SERVICE_BYTES 384
#define BACKEND_BYTES 192
#define AROUND_BYTES  512

size_t plan_bytes(const struct lb_plan *plan)
{
	const struct lb_plan_service *services;
	size_t n = lb_plan_services(plan, &services), bytes = AROUND_BYTES;

	for (size_t i = 0; i < n; i++) {
		bytes += SERVICE_BYTES + 2 * LB_NAME_MAX;
		bytes += services[i].why_breaks ? strlen(services[i].why_breaks) : 0;
		bytes += services[i].warning ? strlen(services[i].warning) : 0;
		bytes += services[i].n_backends * (BACKEND_BYTES + LB_NAME_MAX);
	}
	return bytes;
}

static void write_service(const struct lb_plan_service *service, struct json *json)
{
	json_object(json, NULL);
	json_string(json, "name", service->name);
	json_string(json, "change", plan_change_name(service->change));
	if (service->lead)
		json_string(json, "shares_ring_of", service->lead);
	json_u64(json, "slots", service->slots);
	json_u64(json, "slots_moved", service->slots_moved);
	json_double(json, "slots_moved_percent",
		    service->slots ? 100.0 * service->slots_moved / service->slots : 0);
	json_u64(json, "entries_at_risk", service->entries_at_risk);
	json_bool(json, "breaks", service->breaks);
	json_string(json, "why_breaks", service->why_breaks);
	if (service->idle_timeout_s)
		json_u64(json, "idle_timeout_s", service->idle_timeout_s);
	json_string(json, "warning", service->warning);
	json_array(json, "backends");
	for (size_t i = 0; i < service->n_backends; i++) {
		const struct lb_plan_backend *backend = &service->backends[i];

		json_object(json, NULL);
		json_string(json, "name", backend->name);
		json_string(json, "change", plan_change_name(backend->change));
		json_u64(json, "slots_before", backend->slots_before);
		json_u64(json, "slots_after", backend->slots_after);
		json_bool(json, "flows_at_risk", backend->flows_at_risk);
		json_u64(json, "entries_at_risk", backend->entries_at_risk);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}

void plan_write(const struct lb_plan *plan, bool applied, bool dry_run, __u64 from, __u64 to,
		const struct plan_summary *summary, struct json *json)
{
	const struct lb_plan_service *services;
	size_t n = lb_plan_services(plan, &services);

	json_bool(json, "applied", applied);
	json_bool(json, "dry_run", dry_run);
	json_u64(json, "generation", to);
	json_u64(json, "from_generation", from);
	json_bool(json, "breaks", summary->breaks);
	json_array(json, "services");
	for (size_t i = 0; i < n; i++) {
		write_service(&services[i], json);
		task_pause();
	}
	json_array_end(json);
}
