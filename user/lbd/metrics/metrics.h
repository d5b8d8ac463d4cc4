/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a scrape is answered with, as renderings: the whole with its services; more of each service; backends.
 */
#pragma once

#include "lbd/api/rendering.h"
#include "lbd/metrics/exposition.h"

#define METRICS_READERS_MAX 32u /* of each, at once */
#define METRICS_SHARDS_MAX  4096u

extern const struct rendering_kind metrics_whole, metrics_services, metrics_backends;

/* --- between the files of metrics ------------------------------------------------------------------------
 */

/* Whether a step is to tell of this service. */
bool metrics_wants(const struct rendering_wish *wish, const char *service);

/* The service of a step, the first of which is at piece first; false: there is none, or it is not wanted. */
bool metrics_service_at(const struct rendering_step *step, size_t first, struct lb_service_view *ret_view);
