// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tallies by service and backend. An event names a backend by its id; ids are given to others after a while
 * (engine/engine.h), so what an id leads to is checked against the generation in which it was given.
 */
#include "lbd/observe/observe_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_S 600u /* a backend that is gone may come back, at another address */

int tallies_init(struct tallies *tallies, const struct lb_tables *tables)
{
	*tallies = (struct tallies){ .tables = tables, .epoch = 1, .n_places = tables->sizes.counters };
	tallies->places = calloc(tallies->n_places, sizeof(*tallies->places));
	return tallies->places ? 0 : -ENOMEM;
}

void tallies_resize(struct tallies *tallies)
{
	__u32 had = tallies->n_places, n = tallies->tables->sizes.counters;
	struct tally_place *places;

	if (n > had) {
		places = realloc(tallies->places, n * sizeof(*places));
		if (!places)
			return;
		memset(places + had, 0, (n - had) * sizeof(*places));
		tallies->places = places;
	}
	tallies->n_places = n;
}

static void free_service(struct tallies *tallies, struct service_tally *service)
{
	struct backend_tally *backend, *next;

	HASH_ITER (hh, service->backends, backend, next) {
		HASH_DEL(service->backends, backend);
		free(backend);
	}
	HASH_DEL(tallies->services, service);
	free(service);
}

void tallies_done(struct tallies *tallies)
{
	struct service_tally *service, *next;

	HASH_ITER (hh, tallies->services, service, next)
		free_service(tallies, service);
	free(tallies->places);
	tallies->places = NULL;
}

static struct service_tally *service_of(struct tallies *tallies, const char *name)
{
	struct service_tally *service = NULL;

	HASH_FIND_STR(tallies->services, name, service);
	if (service)
		return service;
	service = calloc(1, sizeof(*service));
	if (!service)
		return NULL;
	memcpy(service->name, name, LB_NAME_MAX - 1);
	HASH_ADD_STR(tallies->services, name, service);
	return service;
}

static struct backend_tally *backend_of(struct service_tally *service, const char *name)
{
	struct backend_tally *backend = NULL;

	HASH_FIND_STR(service->backends, name, backend);
	if (backend)
		return backend;
	backend = calloc(1, sizeof(*backend));
	if (!backend)
		return NULL;
	memcpy(backend->name, name, LB_NAME_MAX - 1);
	HASH_ADD_STR(service->backends, name, backend);
	return backend;
}

struct tally_place *tallies_of(struct tallies *tallies, __u32 id, __u64 now_s)
{
	const struct lb_tables *tables = tallies->tables;
	const struct lb_backend_meta *meta;
	const struct lb_service_meta *service;
	struct tally_place *place;

	if (id >= tallies->n_places)
		return NULL;
	meta = &tables->backend_meta[id];
	place = &tallies->places[id];
	if (!meta->used || meta->service >= tables->sizes.services)
		return NULL;
	if (place->epoch != tallies->epoch || place->generation != meta->created_generation) {
		service = &tables->service_meta[meta->service];
		place->epoch = 0;
		if (!service->used)
			return NULL;
		place->service = service_of(tallies, service->name);
		place->backend = place->service ? backend_of(place->service, meta->name) : NULL;
		if (!place->backend)
			return NULL;
		place->generation = meta->created_generation;
		place->epoch = tallies->epoch;
		place->backend->id = id;
		place->backend->generation = place->generation;
	}
	place->backend->seen_s = now_s;
	return place;
}

static bool is_gone(const struct tallies *tallies, const struct backend_tally *backend, __u64 now_s)
{
	const struct lb_backend_meta *meta = &tallies->tables->backend_meta[backend->id];

	return now_s > backend->seen_s + KEEP_S &&
	       (!meta->used || meta->created_generation != backend->generation);
}

void tallies_tidy(struct tallies *tallies, __u64 now_s)
{
	struct backend_tally *backend, *next;
	struct service_tally *service = NULL;

	HASH_FIND_STR(tallies->services, tallies->cursor, service);
	service = service ? service->hh.next : tallies->services;
	if (!service) {
		tallies->cursor[0] = '\0';
		return;
	}
	memcpy(tallies->cursor, service->name, LB_NAME_MAX);
	HASH_ITER (hh, service->backends, backend, next) {
		if (!is_gone(tallies, backend, now_s))
			continue;
		HASH_DEL(service->backends, backend);
		free(backend);
		tallies->epoch++;
	}
	if (!service->backends) {
		free_service(tallies, service);
		tallies->epoch++;
	}
}
