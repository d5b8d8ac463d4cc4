/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted of forwarded packets (lb/counters.h), out of /v1/stats.
 */
#pragma once

#include "lb/types.h"
#include "lbctl/json.h"

/* Of a service, which has totals, or of a backend, whose words add up to them. */
double totals_of_service(const cJSON *service, enum lb_total total);
double totals_of_backend(const cJSON *backend, enum lb_total total);
