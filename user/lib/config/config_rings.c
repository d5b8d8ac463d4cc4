// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings that several services share, by name: which services those are, and what they must agree in. Rings of
 * a source are its own, whatever others call theirs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_diff.h"
#include "config/config_read.h"

static int compare_rings(const void *left, const void *right)
{
	const struct lb_config_service *a = *(const struct lb_config_service *const *)left;
	const struct lb_config_service *b = *(const struct lb_config_service *const *)right;
	int r = strcmp(a->ring, b->ring);

	if (r == 0)
		r = strcmp(a->source, b->source);
	return r ? r : (a > b) - (a < b);
}

bool lb_config_same_ring(const struct lb_config_service *a, const struct lb_config_service *b)
{
	return a->ring[0] && strcmp(a->ring, b->ring) == 0 && strcmp(a->source, b->source) == 0;
}

int lb_config_rings(const struct lb_config *config, __u32 **ret_first)
{
	_cleanup_(freep) const struct lb_config_service **sharing =
		calloc(config->n_services + 1, sizeof(*sharing));
	__u32 *first = malloc((config->n_services + 1) * sizeof(*first));
	size_t n = 0;

	if (!sharing || !first) {
		free(first);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_services; i++) {
		first[i] = (__u32)i;
		if (config->services[i].ring[0])
			sharing[n++] = &config->services[i];
	}
	qsort(sharing, n, sizeof(*sharing), compare_rings);
	for (size_t i = 1; i < n; i++) {
		if (lb_config_same_ring(sharing[i], sharing[i - 1]))
			first[sharing[i] - config->services] = first[sharing[i - 1] - config->services];
	}
	*ret_first = first;
	return 0;
}

struct lb_config_needs lb_config_needs(const struct lb_config *config)
{
	_cleanup_(freep) __u32 *first = NULL;
	struct lb_config_needs needs = {};
	bool known = lb_config_rings(config, &first) == 0;

	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		if (known && first[i] != i)
			continue;
		needs.backends += service->n_backends;
		needs.slots +=
			service->ring_size ? service->ring_size : lb_config_ring_size(service->n_backends);
	}
	return needs;
}

/* --- what they agree in ----------------------------------------------------------------------------------
 */

struct disagreement {
	struct lb_reading *reading;
	const struct lb_config *config;
	size_t service, first;
};

static const cJSON *child_of(const cJSON *node, const char *key)
{
	const cJSON *child;

	cJSON_ArrayForEach (child, node) {
		if (child->string && strcmp(child->string, key) == 0)
			return child;
	}
	return NULL;
}

/* An error about services[service].key. */
static int fail(const struct disagreement *of, const char *key, const char *what)
{
	const cJSON *object = cJSON_GetArrayItem(child_of(of->reading->root, "services"), (int)of->service);
	struct lb_place services = { .key = "services" };
	struct lb_place service = { .parent = &services, .index = of->service };
	struct lb_place place = { .parent = &service, .key = key };
	const cJSON *node = child_of(object, key);
	const struct lb_config_service *first = &of->config->services[of->first];

	return lb_reading_fail(
		of->reading, &place, node ? node : object, NULL,
		"%s services[%zu] \"%s\", with which it shares ring \"%s\"; services that share a "
		"ring have all in common that the ring and its flows are made of",
		what, of->first, first->name, first->ring);
}

/* The first key that belongs to the ring and differs. */
static int on_difference(void *context, const struct lb_difference *difference)
{
	const struct disagreement *of = context;
	char what[LB_CONFIG_VALUE_MAX];
	const char *list;

	if (!difference->key->of_ring)
		return 0;
	if (difference->kind == LB_DIFFERENCE_VALUE)
		snprintf(what, sizeof(what), "%.200s is %.100s, and %.100s in", difference->path,
			 difference->to, difference->from);
	else
		snprintf(what, sizeof(what), "%.200s is %s", difference->path,
			 difference->kind == LB_DIFFERENCE_ADDED ? "not in" : "missing here, and there in");
	list = strncmp(difference->path, "backends", 8) == 0 ? "backends" : difference->key->name;
	return fail(of, list, what);
}

/* Of two services that name one ring. */
static int check_agreement(const struct disagreement *of)
{
	const struct lb_config_service *service = &of->config->services[of->service];
	const struct lb_config_service *first = &of->config->services[of->first];

	if (service->affinity == LB_AFFINITY_QUIC || first->affinity == LB_AFFINITY_QUIC)
		return fail(
			of, "affinity",
			"affinity \"quic\" goes by IDs that are a service's own: it needs a ring of its own, "
			"here and in");
	if (service->vip.address.family != first->vip.address.family)
		return fail(of, "vip", "the vip is of another family than that of");
	return lb_config_diff_service(first, service, on_difference, (void *)of);
}

int lb_config_check_rings(struct lb_reading *reading, const struct lb_config *config)
{
	_cleanup_(freep) __u32 *first = NULL;
	int r = lb_config_rings(config, &first);

	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		const struct disagreement of = { reading, config, i, r == 0 ? first[i] : 0 };

		if (first[i] != i)
			r = check_agreement(&of);
	}
	return r;
}
