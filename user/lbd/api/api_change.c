// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes the running state: apply, diff, rollback, PATCH of a backend; and what was and is running.
 */
#include "lbd/api/api.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#include "lbd/state/change.h"
#include "base/cleanup.h"
#include "lbd/api/body.h"

static void desired_donep(struct desired *desired)
{
	desired_done(desired);
}

static int make(struct api_call *call, const struct change *change, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	int r = desired_from_text(call->lbd, call->request->body, call->request->length, &next, error);

	return r < 0 ? r : change_make(call->lbd, &next, change, call->json, error);
}

int api_apply(struct api_call *call, struct lb_error *error)
{
	const struct change change = {
		.cause = "apply",
		.kind = "apply",
		.dry_run = api_flag(call, "dry_run"),
		.allow_ring_resize = api_flag(call, "allow_ring_resize"),
	};

	return make(call, &change, error);
}

int api_diff(struct api_call *call, struct lb_error *error)
{
	/* The word is given for free: the plan says what would break. */
	static const struct change change = { .cause = "diff", .dry_run = true, .allow_ring_resize = true };

	return make(call, &change, error);
}

/* Where to go back to: the named record, or the one before the newest. Error names what there is. */
static const struct record *choose(const struct record *records, size_t n, __u64 running, __u64 to,
				   struct lb_error *error)
{
	char have[256] = "none";
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		if (to ? records[i].generation == to : records[i].generation < running)
			return &records[i];
		if (at < sizeof(have))
			at += snprintf(have + at, sizeof(have) - at, "%s%llu", at ? ", " : "",
				       records[i].generation);
	}
	if (to)
		lb_error_set(error, ESRCH, "generation %llu is not kept: the last %u are, and there are %s",
			     to, STORE_GENERATIONS, have);
	else
		lb_error_set(error, ESRCH, "there is no earlier generation to go back to: there is %s", have);
	return NULL;
}

static int rollback_to(struct api_call *call, const struct record *record, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	_cleanup_(freep) char *text = NULL;
	char cause[64];
	const struct change change = {
		.cause = cause,
		.kind = "rollback",
		.dry_run = api_flag(call, "dry_run"),
		.allow_ring_resize = api_flag(call, "allow_ring_resize"),
	};
	size_t length;
	int r = store_get_config(&call->lbd->store, record->config, &text, &length, error);

	snprintf(cause, sizeof(cause), "rollback to %llu", record->generation);
	if (r == 0)
		r = desired_from_text(call->lbd, text, length, &next, error);
	if (r < 0)
		return r;
	free(next.overrides);
	next.n_overrides = 0;
	next.overrides = calloc(record->n_overrides + 1, sizeof(*next.overrides));
	if (!next.overrides)
		return lb_error_set(error, ENOMEM, "out of memory");
	if (record->n_overrides)
		memcpy(next.overrides, record->overrides, record->n_overrides * sizeof(*next.overrides));
	next.n_overrides = record->n_overrides;
	return change_make(call->lbd, &next, &change, call->json, error);
}

int api_rollback(struct api_call *call, struct lb_error *error)
{
	const struct record *record;
	struct record *records = NULL;
	size_t n = 0;
	__u64 to;
	int r = api_number(call, "to", 0, &to, error);

	if (r == 0)
		r = store_list(&call->lbd->store, &records, &n, error);
	if (r < 0)
		return r;
	record = choose(records, n, call->lbd->recorded_generation, to, error);
	r = record ? rollback_to(call, record, error) : -ESRCH;
	records_free(records, n);
	return r;
}

int api_generations(struct api_call *call, struct lb_error *error)
{
	struct record *records = NULL;
	size_t n = 0;
	int r = store_list(&call->lbd->store, &records, &n, error);

	if (r < 0)
		return r;
	json_array(call->json, "generations");
	for (size_t i = 0; i < n; i++) {
		const struct timespec time = { .tv_sec = records[i].time_s };

		json_object(call->json, NULL);
		json_u64(call->json, "generation", records[i].generation);
		json_time(call->json, "time", &time);
		json_string(call->json, "cause", records[i].cause);
		json_u64(call->json, "services", records[i].services);
		json_u64(call->json, "overrides", records[i].n_overrides);
		json_bool(call->json, "running", records[i].generation == call->lbd->recorded_generation);
		json_object_end(call->json);
	}
	json_array_end(call->json);
	records_free(records, n);
	return 0;
}

int api_config(struct api_call *call, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = running_text(call->lbd, &text, &length, error);

	if (r < 0)
		return r;
	/* The text is one JSON object, and so is the whole answer. */
	json_done(call->json);
	json_raw(call->json, NULL, text, length);
	call->whole = true;
	return 0;
}

/* Reads one member of a PATCH: 1: set, 0: absent, -EINVAL. *ret_null: back to the configuration's. */
static int patch_weight(const cJSON *body, __u32 *ret_weight, bool *ret_null, struct lb_error *error)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, "weight");
	_cleanup_(freep) char *value = NULL;

	*ret_null = cJSON_IsNull(item);
	if (!item || *ret_null)
		return item != NULL;
	if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= 65535 &&
	    item->valuedouble == (double)(__u32)item->valuedouble) {
		*ret_weight = item->valuedouble;
		return 1;
	}
	value = cJSON_PrintUnformatted(item);
	return lb_error_at(error, EINVAL, "weight", value,
			   "weight must be a whole number of 0 to 65535, or null for the configuration's");
}

static int patch_state(const cJSON *body, enum lb_state *ret_state, bool *ret_null, struct lb_error *error)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, "state");
	_cleanup_(freep) char *value = NULL;

	*ret_null = cJSON_IsNull(item);
	if (!item || *ret_null)
		return item != NULL;
	if (cJSON_IsString(item) && lb_state_parse(item->valuestring, ret_state) == 0)
		return 1;
	value = cJSON_PrintUnformatted(item);
	return lb_error_at(
		error, EINVAL, "state", value,
		"state must be \"active\", \"drain\" or \"down\", or null for the configuration's");
}

/* Puts what the body says into the overrides of next. */
static int patch(struct api_call *call, const cJSON *body, struct desired *next, struct lb_error *error)
{
	struct lb_override *override = desired_override(next, call->service, call->backend);
	bool weight_null, state_null;
	enum lb_state state = LB_STATE_ACTIVE;
	__u32 weight = 0;
	int has_weight = patch_weight(body, &weight, &weight_null, error), has_state;

	if (has_weight < 0)
		return has_weight;
	has_state = patch_state(body, &state, &state_null, error);
	if (has_state < 0)
		return has_state;
	if (!override) {
		override = &next->overrides[next->n_overrides++];
		memset(override, 0, sizeof(*override));
		memcpy(override->service, call->service, sizeof(override->service));
		memcpy(override->backend, call->backend, sizeof(override->backend));
	}
	if (has_weight) {
		override->has_weight = !weight_null;
		override->weight = weight;
	}
	if (has_state) {
		override->has_state = !state_null;
		override->state = state;
	}
	if (!override->has_weight && !override->has_state)
		*override = next->overrides[--next->n_overrides];
	return 0;
}

static const char *const patch_keys[] = { "weight", "state", NULL };

int api_patch(struct api_call *call, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	_cleanup_(cjson_freep) cJSON *body = NULL;
	char cause[2 * LB_NAME_MAX + 32];
	const struct change change = { .cause = cause,
				       .kind = "override",
				       .dry_run = api_flag(call, "dry_run") };
	int r;

	if (!config_find_service(call->lbd->running.config, call->service))
		return lb_error_at(error, ESRCH, "service", call->service, "there is no service \"%s\"",
				   call->service);
	if (!config_has_backend(call->lbd->running.config, call->service, call->backend))
		return lb_error_at(error, ESRCH, "backend", call->backend,
				   "service \"%s\" has no backend \"%s\"", call->service, call->backend);
	r = body_read(call->request->body, call->request->length, patch_keys, &body, error);
	if (r == 0 && !body->child)
		r = lb_error_set(error, EINVAL, "nothing to change: give \"weight\", \"state\" or both");
	if (r == 0)
		r = desired_copy(&call->lbd->running, &next, error);
	if (r == 0)
		r = patch(call, body, &next, error);
	if (r < 0)
		return r;
	snprintf(cause, sizeof(cause), "backend set %s/%s", call->service, call->backend);
	return change_make(call->lbd, &next, &change, call->json, error);
}
