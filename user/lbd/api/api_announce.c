// SPDX-License-Identifier: GPL-2.0-only
/*
 * A balancer that leaves its fleet, and joins it again.
 */
#include "lbd/announce/announce.h"
#include "lbd/api/api.h"

static void tell(const struct api_call *call, const char *what)
{
	char who[API_WHO_MAX];

	events_add(&call->lbd->events, LOG_LEVEL_NOTICE, "fleet", "asked=%s%s", what, api_who(call, who));
}

int api_leave(struct api_call *call, struct lb_error *error)
{
	int r = announce_leave(call->lbd, error);

	if (r < 0)
		return r;
	tell(call, "leave");
	announce_write(call->lbd, call->json);
	return 0;
}

int api_join(struct api_call *call, struct lb_error *error)
{
	int r = announce_join(call->lbd, error);

	if (r < 0)
		return r;
	tell(call, "join");
	announce_write(call->lbd, call->json);
	return 0;
}
