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

/* The backend of the path, if it is no longer configured and not yet gone. Valid until the next tick. */
static const struct lb_backend_view *find_leaving(const struct api_call *call)
{
	const struct lb_config *config = call->lbd->running.config;
	struct lb_service_view view;

	if (config_has_backend(config, call->service, call->backend) ||
	    lb_engine_service_by_name(call->lbd->engine, call->service, &view) < 0)
		return NULL;
	for (const struct lb_backend_view *at = view.backends; at < view.backends + view.n_backends; at++)
		if (at->leaving && strcmp(at->name, call->backend) == 0)
			return at;
	return NULL;
}

bool api_is_leaving(const struct api_call *call)
{
	return find_leaving(call) != NULL;
}

/* What is approved: there is one such plan for a backend. */
#define IDENTITY "let-go"

/* The members of a plan that changes no generation: the sweeper does it. */
static void write_plan(const struct api_call *call, bool breaks, bool applied, bool dry_run)
{
	__u64 generation = lb_engine_generation(call->lbd->engine);

	json_bool(call->json, "applied", applied);
	json_bool(call->json, "dry_run", dry_run);
	json_u64(call->json, "from_generation", generation);
	json_u64(call->json, "generation", generation);
	json_bool(call->json, "breaks", breaks);
	json_string(call->json, "plan", IDENTITY);
	json_string(call->json, "why_breaks",
		    breaks ? "what is left of the backend moves: its connections are lost" : NULL);
	json_array(call->json, "services");
	json_array_end(call->json);
	json_bool(call->json, "let_go", true);
}

/* Whether it may not be done: then it has been refused. */
static bool refuse(struct api_call *call, bool breaks)
{
	const char *approved = http_query(call->request, "expect_plan");
	struct lb_error error = {};

	if (approved && strcmp(approved, IDENTITY) != 0)
		lb_error_set(&error, ECANCELED,
			     "the plan is no longer the one that was approved: backend \"%s\" is leaving",
			     call->backend);
	else if (breaks && !api_flag(call, "allow_break"))
		lb_error_set(&error, ECANCELED,
			     "this would break connections, nothing was changed: allow_break=1 says that it "
			     "may");
	if (!error.text[0])
		return false;
	write_plan(call, breaks, false, false);
	api_refuse(call, &error);
	return true;
}

/* All that can be said is that it is down. */
static int read_body(const struct api_call *call, struct lb_error *error)
{
	static const char *const keys[] = { "state", "weight", "breaker", "reason", "for_s", NULL };
	_cleanup_(cjson_freep) cJSON *body = NULL;
	const char *state;
	int r = body_read(call->request->body, call->request->length, keys, &body, error);

	if (r < 0)
		return r;
	state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "state"));
	if (state && strcmp(state, "down") == 0 && !cJSON_GetObjectItemCaseSensitive(body, "weight") &&
	    !cJSON_GetObjectItemCaseSensitive(body, "breaker"))
		return 0;
	return lb_error_at(error, EINVAL, "state", NULL,
			   "backend \"%s\" is leaving service \"%s\", it is no longer configured: all "
			   "that it can be told is \"state\": \"down\"",
			   call->backend, call->service);
}

int api_patch_leaving(struct api_call *call, struct lb_error *error)
{
	char who[API_WHO_MAX];
	const struct lb_backend_view *backend = find_leaving(call);
	bool breaks = backend->slots_cur || backend->slots_base || backend->entries;
	bool dry_run = api_flag(call, "dry_run");
	int r = read_body(call, error);

	if (r < 0 || (!dry_run && refuse(call, breaks)))
		return r;
	if (!dry_run && lb_engine_let_go(call->lbd->engine, call->service, call->backend) < 0)
		return lb_error_at(error, ESRCH, "backend", call->backend,
				   "backend \"%s\" of service \"%s\" is down and goes already", call->backend,
				   call->service);
	if (!dry_run)
		events_add(&call->lbd->events, LOG_LEVEL_INFO, "let_go", "service=%s backend=%s%s",
			   call->service, call->backend, api_who(call, who));
	write_plan(call, breaks, !dry_run, dry_run);
	return 0;
}
