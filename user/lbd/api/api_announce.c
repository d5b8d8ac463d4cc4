// SPDX-License-Identifier: GPL-2.0-only
/*
 * A balancer that leaves its fleet, and joins it again.
 */
#include "lbd/announce/announce.h"
#include "lbd/api/api.h"

int api_leave(struct api_call *call, struct lb_error *error)
{
	int r = announce_leave(call->lbd, error);

	if (r == 0)
		announce_write(call->lbd, call->json);
	return r;
}

int api_join(struct api_call *call, struct lb_error *error)
{
	int r = announce_join(call->lbd, error);

	if (r == 0)
		announce_write(call->lbd, call->json);
	return r;
}
