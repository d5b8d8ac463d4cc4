// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes the running state: apply, diff, rollback, PATCH of a backend; and what was and is running.
 */
#include "lbd/api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/state/change.h"
#include "lbd/state/intent.h"
#include "lbd/state/store_record.h"
#include "lbd/state/vouch.h"
#include "lbd/state/words.h"
#include "base/cleanup.h"

static void desired_donep(struct desired *desired)
{
	desired_done(desired);
}

/* If-Match: the generation that the client has looked at. -EREMCHG when it is another by now. */
static int check_generation(struct api_call *call, struct lb_error *error)
{
	const char *wanted = http_header(call->request, "If-Match");
	__u64 generation = lb_engine_generation(call->lbd->engine);
	char *end;

	if (!wanted || strcmp(wanted, "*") == 0)
		return 0;
	wanted += *wanted == '"';
	if (*wanted >= '0' && *wanted <= '9' && strtoull(wanted, &end, 10) == generation &&
	    (!*end || strcmp(end, "\"") == 0))
		return 0;
	return lb_error_set(error, EREMCHG,
			    "generation %llu runs, and If-Match wants %.40s: nothing was changed", generation,
			    wanted);
}

void api_refuse(struct api_call *call, const struct lb_error *error)
{
	struct json members = *call->json;

	*call->json = (struct json){};
	json_object_end(&members);
	call->answer->status = 409;
	json_object(call->json, NULL);
	json_object(call->json, "error");
	json_string(call->json, "message", error->text);
	json_object_end(call->json);
	json_raw(call->json, "plan", members.text, members.length);
	call->json->failed |= members.failed;
	json_done(&members);
}

int api_make(struct api_call *call, struct desired *next, struct change *change, struct lb_error *error)
{
	char who[API_WHO_MAX];
	int r = check_generation(call, error);

	change->who = api_who(call, who);
	change->expect_plan = http_query(call->request, "expect_plan");
	change->allow_break = api_flag(call, "allow_break");
	if (r == 0)
		r = change_make(call->lbd, next, change, call->json, error);
	change->who = NULL;
	if (r != -ECANCELED)
		return r;
	api_refuse(call, error);
	return 0;
}

bool api_refused(const struct api_call *call)
{
	return call->answer->status == 409;
}

static int make_text(struct api_call *call, struct change *change, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	int r = desired_from_text(call->lbd, call->request->body, call->request->length, &next, error);

	/* A comparison alone makes nothing of it. */
	if (r == 0 && change->judged)
		r = vouch_all(call->lbd, desired_file(&next), error);
	return r < 0 ? r : api_make(call, &next, change, error);
}

int api_apply(struct api_call *call, struct lb_error *error)
{
	struct change change = {
		.cause = "apply",
		.kind = "apply",
		.judged = true,
		.dry_run = api_flag(call, "dry_run"),
		.allow_ring_resize = api_flag(call, "allow_ring_resize"),
	};

	return make_text(call, &change, error);
}

int api_diff(struct api_call *call, struct lb_error *error)
{
	/* The word is given for free: the plan says what would break. */
	struct change change = { .cause = "diff", .dry_run = true, .allow_ring_resize = true };

	return make_text(call, &change, error);
}

static const struct record *find(const struct record *records, size_t n, __u64 generation)
{
	for (size_t i = 0; i < n; i++)
		if (records[i].generation == generation)
			return &records[i];
	return NULL;
}

/* The generation that what runs was first made by: past the operator's words, and rollbacks. */
static __u64 origin_of(const struct record *records, size_t n, const struct lbd *lbd)
{
	__u64 generation = lbd->recorded_generation;
	const struct record *record;

	for (size_t i = 0; i < n; i++) {
		if (records[i].generation > generation || records[i].kind != RECORD_CONFIG ||
		    strcmp(records[i].config, lbd->running.digest) != 0)
			continue;
		generation = records[i].generation;
		break;
	}
	while ((record = find(records, n, generation)) && record->rollback_to &&
	       record->rollback_to < generation)
		generation = record->rollback_to;
	return generation;
}

/* Where to go back to: the named record, or the newest one with another configuration than what runs that is
 * older than that. Error names what there is. */
static const struct record *choose(const struct record *records, size_t n, const struct lbd *lbd, __u64 to,
				   struct lb_error *error)
{
	__u64 origin = origin_of(records, n, lbd);
	char have[256] = "none";
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		if (to ? records[i].generation == to
		       : records[i].generation < origin &&
				    strcmp(records[i].config, lbd->running.digest) != 0)
			return &records[i];
		if (at < sizeof(have))
			at += snprintf(have + at, sizeof(have) - at, "%s%llu", at ? ", " : "",
				       records[i].generation);
	}
	if (to)
		lb_error_set(error, ESRCH,
			     "generation %llu is not kept: the last %u configurations and %u overrides are, "
			     "and there are %s",
			     to, STORE_CONFIGS, STORE_OPERATORS, have);
	else
		lb_error_set(error, ESRCH, "there is no earlier configuration to go back to: there is %s",
			     have);
	return NULL;
}

/* The operator's words as they were, too: only where that was asked for. */
static int take_words(struct lbd *lbd, const struct record *record, struct desired *next,
		      struct lb_error *error)
{
	struct lb_words words;

	if (lb_words_copy(&record->words, &words) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	lb_words_done(&next->words);
	next->words = words;
	lb_words_bound(&next->words, intent_now_s(lbd));
	words_filter(&next->words, next->config);
	return 0;
}

static int rollback_to(struct api_call *call, const struct record *record, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	_cleanup_(freep) char *text = NULL;
	char cause[96];
	struct change change = {
		.cause = cause,
		.kind = "rollback",
		.judged = true,
		.rollback_to = record->generation,
		.dry_run = api_flag(call, "dry_run"),
		.allow_ring_resize = api_flag(call, "allow_ring_resize"),
	};
	size_t length;
	int r = store_get_config(&call->lbd->store, record->config, &text, &length, error);

	snprintf(cause, sizeof(cause), "rollback to %llu%s", record->generation,
		 api_flag(call, "overrides") ? " with its overrides" : "");
	if (r == 0)
		r = desired_from_text(call->lbd, text, length, &next, error);
	if (r < 0)
		return r;
	if (api_flag(call, "overrides"))
		r = take_words(call->lbd, record, &next, error);
	if (r < 0)
		return r;
	return api_make(call, &next, &change, error);
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
	record = choose(records, n, call->lbd, to, error);
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
		json_string(call->json, "kind", record_kind_name(records[i].kind));
		json_string(call->json, "cause", records[i].cause);
		json_u64(call->json, "services", records[i].services);
		json_u64(call->json, "overrides", records[i].words.n);
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
