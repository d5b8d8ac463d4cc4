// SPDX-License-Identifier: GPL-2.0-only
/*
 * See uneven.h.
 */
#include "lbd/api/uneven.h"

#include <math.h>
#include <string.h>

#include "config/config.h"
#include "engine/engine.h"
#include "lbd/api/json.h"

#define OFF_LEAST 0.02

bool backend_is_eligible(const struct lb_backend_view *backend)
{
	return backend->state == LB_STATE_ACTIVE && backend->weight > 0 && !backend->leaving;
}

static const char *why_of(const struct lb_service_view *view, size_t n_eligible,
			  const struct uneven_backend *worst)
{
	if (view->config->algorithm == LB_ALGORITHM_RING ||
	    view->config->algorithm == LB_ALGORITHM_RENDEZVOUS)
		return "the algorithm places by chance";
	if (worst->expected * OFF_LEAST < 1)
		return "its share is few slots, and slots are whole: a larger ring_size brings it nearer";
	if (worst->off > 0 && view->ring_slots < lb_config_ring_size(n_eligible))
		return "the ring is smaller than usual for so many backends (ring_size)";
	return worst->off > 0 ? "so many backends are given more room, or each change would move much more"
			      : "only the highest load is bounded: the lowest is as chance has it";
}

/* The one that is furthest off, if that is more than a little. */
static bool find_worst(const struct lb_service_view *view, struct uneven_backend *ret)
{
	__u64 weights = 0;
	size_t n = 0;

	*ret = (struct uneven_backend){};
	for (size_t i = 0; i < view->n_backends; i++) {
		weights += backend_is_eligible(&view->backends[i]) ? view->backends[i].weight : 0;
		n += backend_is_eligible(&view->backends[i]);
	}
	for (size_t i = 0; i < view->n_backends; i++) {
		const struct lb_backend_view *backend = &view->backends[i];
		double expected = weights ? (double)view->ring_slots * backend->weight / (double)weights : 0;
		double off = expected > 0 ? backend->slots_cur / expected - 1 : 0;

		if (!backend_is_eligible(backend) || fabs(off) <= fabs(ret->off))
			continue;
		*ret = (struct uneven_backend){ .slots = backend->slots_cur,
						.expected = expected,
						.off = off };
		snprintf(ret->backend, sizeof(ret->backend), "%s", backend->name);
	}
	if (fabs(ret->off) <= OFF_LEAST)
		return false;
	snprintf(ret->service, sizeof(ret->service), "%s", view->name);
	ret->why = why_of(view, n, ret);
	return true;
}

/* Keeps the worst ones, the worst first. */
static void keep(struct uneven *uneven, const struct uneven_backend *one)
{
	size_t at = uneven->n;

	while (at > 0 && fabs(uneven->worst[at - 1].off) < fabs(one->off))
		at--;
	if (at == UNEVEN_LISTED)
		return;
	uneven->n += uneven->n < UNEVEN_LISTED;
	memmove(&uneven->worst[at + 1], &uneven->worst[at], (uneven->n - at - 1) * sizeof(*one));
	uneven->worst[at] = *one;
}

void uneven_look(struct uneven *uneven, const struct lb_service_view *view)
{
	struct uneven_backend one;

	if (!find_worst(view, &one))
		return;
	uneven->services++;
	keep(uneven, &one);
}

void uneven_write(const struct uneven *uneven, struct json *json)
{
	json_object(json, "uneven");
	json_u64(json, "services", uneven->services);
	json_array(json, "worst");
	for (size_t i = 0; i < uneven->n; i++) {
		const struct uneven_backend *one = &uneven->worst[i];

		json_object(json, NULL);
		json_string(json, "service", one->service);
		json_string(json, "backend", one->backend);
		json_u64(json, "slots", one->slots);
		json_double(json, "expected_slots", one->expected);
		json_double(json, "off", one->off);
		json_string(json, "why", one->why);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}
