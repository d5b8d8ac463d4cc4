// SPDX-License-Identifier: GPL-2.0-only
/*
 * Source ranges of a service.
 */
#include "config/source_ranges.h"

#include <string.h>

bool lb_source_ranges_limit(const struct lb_config_service *service)
{
	for (size_t i = 0; i < service->n_source_ranges; i++) {
		if (!service->source_ranges[i].prefix.length)
			return false;
	}
	return service->n_source_ranges;
}

size_t lb_source_ranges_lengths(const struct lb_config_service *service, __u8 ret_bits[LB_RANGE_LENGTHS_MAX])
{
	bool has[129] = { false };
	size_t n = 0;

	memset(ret_bits, 0, LB_RANGE_LENGTHS_MAX);
	for (size_t i = 0; i < service->n_source_ranges; i++) {
		__u8 bits = service->source_ranges[i].prefix.length;

		if (has[bits])
			continue;
		has[bits] = true;
		if (n < LB_RANGE_LENGTHS_MAX)
			ret_bits[n] = bits;
		n++;
	}
	return n;
}

/* Whether one of the ranges holds all of a prefix. */
static bool holds(const struct lb_config_service *service, const struct lb_prefix *prefix)
{
	for (size_t i = 0; i < service->n_source_ranges; i++) {
		const struct lb_prefix *range = &service->source_ranges[i].prefix;

		if (range->length <= prefix->length && lb_prefix_contains(range, &prefix->address))
			return true;
	}
	return false;
}

bool lb_source_ranges_shrink(const struct lb_config_service *before, const struct lb_config_service *after)
{
	if (!lb_source_ranges_limit(after))
		return false;
	if (!lb_source_ranges_limit(before))
		return true;
	for (size_t i = 0; i < before->n_source_ranges; i++) {
		if (!holds(after, &before->source_ranges[i].prefix))
			return true;
	}
	return false;
}
