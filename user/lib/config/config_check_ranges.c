// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must hold between the source ranges of a service: of the VIP's family, each given once, and of no more
 * prefix lengths than packets are compared with.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_read.h"
#include "config/source_ranges.h"

/* services[service].source_ranges[range].prefix; SIZE_MAX: the list. */
static int fail(struct lb_reading *reading, size_t service, size_t range, const char *text)
{
	struct lb_place services = { .key = "services" };
	struct lb_place element = { .parent = &services, .index = service };
	struct lb_place list = { .parent = &element, .key = "source_ranges" };
	struct lb_place one = { .parent = &list, .index = range };
	struct lb_place prefix = { .parent = &one, .key = "prefix" };
	const cJSON *node = cJSON_GetObjectItemCaseSensitive(reading->root, "services");

	node = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(node, (int)service), "source_ranges");
	if (range == SIZE_MAX)
		return lb_reading_fail(reading, &list, node, NULL, "%s", text);
	node = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(node, (int)range), "prefix");
	return lb_reading_fail(reading, &prefix, node, node, "%s", text);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct lb_config_source_range *x = *(const struct lb_config_source_range *const *)a;
	const struct lb_config_source_range *y = *(const struct lb_config_source_range *const *)b;
	int r = memcmp(&x->prefix, &y->prefix, sizeof(x->prefix));

	return r ? r : x < y ? -1 : 1;
}

static int check_once(struct lb_reading *reading, const struct lb_config_service *service, size_t index)
{
	size_t n = service->n_source_ranges;
	const struct lb_config_source_range **sorted = calloc(n, sizeof(*sorted));
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &service->source_ranges[i];
	qsort(sorted, n, sizeof(*sorted), compare_ranges);
	for (size_t i = 1; r == 0 && i < n; i++) {
		if (memcmp(sorted[i], sorted[i - 1], sizeof(**sorted)) == 0)
			r = fail(reading, index, (size_t)(sorted[i] - service->source_ranges),
				 "the same range is in the list before; give each once");
	}
	free(sorted);
	return r;
}

static int check_service(struct lb_reading *reading, const struct lb_config_service *service, size_t index)
{
	__u8 bits[LB_RANGE_LENGTHS_MAX];
	char text[160];
	size_t lengths;

	for (size_t i = 0; i < service->n_source_ranges; i++) {
		__u8 family = service->vip.address.family;

		if (service->source_ranges[i].prefix.address.family == family)
			continue;
		snprintf(text, sizeof(text),
			 "the vip is of IPv%u, so its sources are as well; give ranges of IPv%u", family,
			 family);
		return fail(reading, index, i, text);
	}
	lengths = lb_source_ranges_lengths(service, bits);
	if (lengths > LB_RANGE_LENGTHS_MAX && lb_source_ranges_limit(service)) {
		snprintf(text, sizeof(text),
			 "%zu different prefix lengths; use at most %u, by splitting or joining ranges",
			 lengths, LB_RANGE_LENGTHS_MAX);
		return fail(reading, index, SIZE_MAX, text);
	}
	return check_once(reading, service, index);
}

int lb_config_check_ranges(struct lb_reading *reading, const struct lb_config *config)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		if (config->services[i].n_source_ranges)
			r = check_service(reading, &config->services[i], i);
	}
	return r;
}
