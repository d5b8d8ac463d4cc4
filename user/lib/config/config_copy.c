// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of configurations.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

/* NULL without memory; never for nothing. */
static void *copy_array(const void *from, size_t n, size_t size)
{
	void *to = calloc(n + 1, size);

	if (to && n)
		memcpy(to, from, n * size);
	return to;
}

/* What *field points to becomes a copy. False without memory; *field is then NULL. */
static bool copy_one(void *field, size_t size)
{
	void *from = *(void **)field, *to;

	if (!from)
		return true;
	to = malloc(size);
	if (to)
		memcpy(to, from, size);
	*(void **)field = to;
	return to;
}

/* All are copied, also where memory ran out: nothing is shared then either. */
static bool copy_health(struct lb_config_health *health)
{
	bool check = copy_one(&health->check, sizeof(*health->check));
	bool breaker = copy_one(&health->breaker, sizeof(*health->breaker));

	return check && breaker;
}

/* The same. */
static bool copy_service(struct lb_config_service *service)
{
	bool whole = copy_health(&service->health);

	service->source_ranges =
		copy_array(service->source_ranges, service->n_source_ranges, sizeof(*service->source_ranges));
	whole &= service->source_ranges != NULL;
	service->backends = copy_array(service->backends, service->n_backends, sizeof(*service->backends));
	for (size_t i = 0; service->backends && i < service->n_backends; i++)
		whole &= copy_one(&service->backends[i].check, sizeof(*service->backends[i].check));
	return whole && service->backends;
}

int lb_config_service_copy(const struct lb_config_service *service, struct lb_config_service *ret_copy)
{
	struct lb_config_service copy = *service;

	if (!copy_service(&copy)) {
		lb_config_service_done(&copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

static int copy_services(const struct lb_config *from, struct lb_config *to)
{
	to->services = calloc(from->n_services + 1, sizeof(*to->services));
	if (!to->services)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_services; i++) {
		to->services[i] = from->services[i];
		to->n_services++;
		if (!copy_service(&to->services[i]))
			return -ENOMEM;
	}
	return 0;
}

static int copy_sources(const struct lb_config *from, struct lb_config *to)
{
	to->sources = calloc(from->n_sources + 1, sizeof(*to->sources));
	if (!to->sources)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_sources; i++) {
		struct lb_config_source *source = &to->sources[i];

		*source = from->sources[i];
		source->vips = copy_array(source->vips, source->n_vips, sizeof(*source->vips));
		to->n_sources++;
		if (!source->vips)
			return -ENOMEM;
	}
	return 0;
}

void lb_config_service_moved(struct lb_config_service *service)
{
	service->backends = NULL;
	service->source_ranges = NULL;
	service->n_backends = service->n_source_ranges = 0;
	service->health.check = NULL;
	service->health.breaker = NULL;
}

int lb_config_copy(const struct lb_config *config, struct lb_config **ret_config)
{
	struct lb_config *copy = malloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *config;
	copy->services = NULL;
	copy->sources = NULL;
	copy->n_services = copy->n_sources = 0;
	copy->interfaces = copy_array(config->interfaces, config->n_interfaces, sizeof(*copy->interfaces));
	if (!copy_health(&copy->health) || !copy->interfaces || copy_services(config, copy) < 0 ||
	    copy_sources(config, copy) < 0) {
		lb_config_free(copy);
		return -ENOMEM;
	}
	*ret_config = copy;
	return 0;
}

int lb_config_share(const struct lb_config *config, struct lb_config **ret_config)
{
	struct lb_config *share = malloc(sizeof(*share));
	struct lb_config_service *services =
		copy_array(config->services, config->n_services, sizeof(*services));

	if (!share || !services) {
		free(share);
		free(services);
		return -ENOMEM;
	}
	*share = *config;
	share->services = services;
	*ret_config = share;
	return 0;
}

void lb_config_unshare(struct lb_config *gone, const struct lb_config *stays)
{
	for (size_t i = 0; i < gone->n_services; i++) {
		/* What a service owns hangs together; there always are backends, if only room for none. */
		if (i >= stays->n_services || gone->services[i].backends != stays->services[i].backends)
			lb_config_service_done(&gone->services[i]);
	}
	free(gone->services);
	free(gone);
}
