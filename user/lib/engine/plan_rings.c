// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which services of a desired configuration share a ring, and from which of the present ones each goes on. A
 * ring goes on with the first of its services that has one; those that have another ring now cannot take
 * their flows along, and are made anew. Nobody outside sees who leads, so that is put right before the plan.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The service that has this name and this key now. */
static struct lb_service *named(const struct lb_plan *plan, size_t i)
{
	const struct lb_engine *engine = plan->engine;
	const struct lb_config_service *config = &plan->config->services[i];
	struct lb_service_key key;
	struct lb_service *service;

	if (plan->config == engine->config)
		return engine->order[i];
	service = lb_engine_find(engine, config->name);
	lb_service_key_of(config, &key);
	return service && lb_service_key_equal(&service->key, &key) ? service : NULL;
}

static int find_all(struct lb_plan *plan, struct lb_error *error)
{
	for (size_t i = 0; i < plan->config->n_services; i++) {
		struct lb_service *service = named(plan, i);

		plan->places[i].current = service;
		if (!service)
			continue;
		if (service->wanted == plan->engine->plan_serial)
			return lb_error_set(error, EINVAL, "service %s is there twice",
					    plan->config->services[i].name);
		service->wanted = plan->engine->plan_serial;
	}
	return 0;
}

static bool is_free(const struct lb_plan *plan, const struct lb_service *service)
{
	return lb_service_lead_of(service)->ring_claimed != plan->engine->plan_serial;
}

/* The first service of a ring (by place) from which it can go on; LB_PLAN_NOWHERE: none. */
static __u32 heir_of(const struct lb_plan *plan, __u32 at)
{
	for (; at != LB_PLAN_NOWHERE; at = plan->places[at].after) {
		if (plan->places[at].current && is_free(plan, plan->places[at].current))
			return at;
	}
	return LB_PLAN_NOWHERE;
}

/* Puts a place at the head of a chain that it is in. */
static void put_first(struct lb_plan *plan, __u32 first, __u32 at)
{
	struct lb_plan_place *places = plan->places;
	__u32 before = first;

	if (at == first)
		return;
	while (places[before].after != at)
		before = places[before].after;
	places[before].after = places[at].after;
	places[at].after = first;
}

/* Settles a ring; first: of the chain of its services. */
static void settle(struct lb_plan *plan, __u32 first)
{
	__u32 lead = heir_of(plan, first);
	struct lb_service *leader = NULL;

	if (lead == LB_PLAN_NOWHERE) {
		lead = first;
	} else {
		leader = plan->places[lead].current;
		if (leader->leader)
			lb_engine_lead(plan->engine, leader);
		leader->ring_claimed = plan->engine->plan_serial;
		put_first(plan, first, lead);
	}
	for (__u32 at = lead; at != LB_PLAN_NOWHERE; at = plan->places[at].after) {
		struct lb_plan_place *place = &plan->places[at];

		place->lead = lead;
		if (place->current && (!leader || lb_service_lead(place->current) != leader))
			place->current = NULL;
	}
}

/* A service that leaves a ring takes it along if whoever leads it goes away. */
static void settle_alone(struct lb_plan *plan, __u32 at)
{
	struct lb_service *current = plan->places[at].current;

	if (current && current->leader && current->leader->wanted == plan->engine->plan_serial)
		plan->places[at].current = NULL;
	settle(plan, at);
}

int lb_plan_rings(struct lb_plan *plan, struct lb_error *error)
{
	size_t n = plan->config->n_services;
	__u32 *first;
	int r;

	plan->places = calloc(n + 1, sizeof(*plan->places));
	if (!plan->places || lb_config_rings(plan->config, &first) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = find_all(plan, error);
	for (size_t i = 0; i < n; i++)
		plan->places[i].after = LB_PLAN_NOWHERE;
	/* From the last one on, so that each comes behind the first in the order of the configuration. */
	for (size_t i = n; i-- > 0;) {
		if (first[i] == i)
			continue;
		plan->places[i].after = plan->places[first[i]].after;
		plan->places[first[i]].after = (__u32)i;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (first[i] == i && plan->config->services[i].ring[0])
			settle(plan, (__u32)i);
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!plan->config->services[i].ring[0])
			settle_alone(plan, (__u32)i);
	}
	free(first);
	plan->roles = plan->engine->roles;
	return r;
}
