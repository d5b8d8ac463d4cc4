// SPDX-License-Identifier: GPL-2.0-only
/*
 * POST /v1/reload: the configuration file becomes what runs, as with SIGHUP, but judged.
 */
#include "lbd/api/api.h"

#include <errno.h>

#include "base/cleanup.h"
#include "lbd/lbd.h"
#include "lbd/life.h"
#include "lbd/state/change.h"

static void desired_donep(struct desired *desired)
{
	desired_done(desired);
}

static int reload(struct api_call *call, struct change *change, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	int r = lbd_read_file(call->lbd, &next, error);

	/* What is wrong with the file is the caller's to mend, whatever it is. */
	if (r == -ENOENT || r == -EACCES || r == -EPROTO || r == -EISDIR)
		return -EINVAL;
	return r < 0 ? r : api_make(call, &next, change, error);
}

int api_reload(struct api_call *call, struct lb_error *error)
{
	char who[API_WHO_MAX];
	struct change change = {
		.cause = "reload of the configuration file",
		.kind = "reload",
		.judged = true,
		.from_file = true,
		.dry_run = api_flag(call, "dry_run"),
		.allow_ring_resize = api_flag(call, "allow_ring_resize"),
	};
	int r = reload(call, &change, error);

	if (!change.dry_run && !api_refused(call))
		lbd_reloaded(call->lbd, r, api_who(call, who), error);
	return r;
}
