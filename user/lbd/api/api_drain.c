// SPDX-License-Identifier: GPL-2.0-only
/*
 * PATCH of a backend that is no longer configured: it is leaving, and can only be let go.
 */
#include "lbd/api/api.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/api/body.h"
#include "lbd/state/change.h"

bool api_is_leaving(const struct api_call *call)
{
	const struct lb_config *config = call->lbd->running.config;
	struct lb_service_view view;

	if (config_has_backend(config, call->service, call->backend) ||
	    lb_engine_service_by_name(call->lbd->engine, call->service, &view) < 0)
		return false;
	for (size_t i = 0; i < view.n_backends; i++)
		if (view.backends[i].leaving && strcmp(view.backends[i].name, call->backend) == 0)
			return true;
	return false;
}

/* The members of a plan that changes no generation: the sweeper does it. */
static void write_plan(const struct api_call *call, bool dry_run)
{
	__u64 generation = lb_engine_generation(call->lbd->engine);

	json_bool(call->json, "applied", !dry_run);
	json_bool(call->json, "dry_run", dry_run);
	json_u64(call->json, "from_generation", generation);
	json_u64(call->json, "generation", generation);
	json_bool(call->json, "breaks", false);
	json_array(call->json, "services");
	json_array_end(call->json);
	json_bool(call->json, "let_go", true);
}

int api_patch_leaving(struct api_call *call, struct lb_error *error)
{
	static const char *const keys[] = { "state", "weight", "breaker", "reason", "for_s", NULL };
	_cleanup_(cjson_freep) cJSON *body = NULL;
	bool dry_run = api_flag(call, "dry_run");
	const char *state;
	int r = body_read(call->request->body, call->request->length, keys, &body, error);

	if (r < 0)
		return r;
	state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "state"));
	if (!state || strcmp(state, "down") != 0 || cJSON_GetObjectItemCaseSensitive(body, "weight") ||
	    cJSON_GetObjectItemCaseSensitive(body, "breaker"))
		return lb_error_at(
			error, EINVAL, "state", NULL,
			"backend \"%s\" is leaving service \"%s\", it is no longer configured: all "
			"that it can be told is \"state\": \"down\"",
			call->backend, call->service);
	if (!dry_run && lb_engine_let_go(call->lbd->engine, call->service, call->backend) < 0)
		return lb_error_at(error, ESRCH, "backend", call->backend,
				   "backend \"%s\" of service \"%s\" is down and goes already", call->backend,
				   call->service);
	if (!dry_run)
		events_add(&call->lbd->events, LOG_LEVEL_INFO, "let_go", "service=%s backend=%s",
			   call->service, call->backend);
	write_plan(call, dry_run);
	return 0;
}
