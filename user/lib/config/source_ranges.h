/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sources a service lets in: what follows from its list of ranges.
 */
#pragma once

#include "config/config.h"

/* Whether some source is not let in: there are ranges, and none of them is everybody. */
bool lb_source_ranges_limit(const struct lb_config_service *service);

/*
 * The prefix lengths of a service's ranges, each once, in the order of the list: packets are compared in that
 * order. Returns how many there are, which may be more than there is room for.
 */
size_t lb_source_ranges_lengths(const struct lb_config_service *service, __u8 ret_bits[LB_RANGE_LENGTHS_MAX]);

/* Whether what before let in may not come in any more. */
bool lb_source_ranges_shrink(const struct lb_config_service *before, const struct lb_config_service *after);
