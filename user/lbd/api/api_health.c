// SPDX-License-Identifier: GPL-2.0-only
/*
 * GET /v1/health: checks, breakers and what follows.
 */
#include "lbd/api/api.h"
#include "lbd/health/health.h"

int api_health(struct api_call *call, struct lb_error *error)
{
	return health_write(call->lbd, call->service, call->backend, call->json, error);
}
