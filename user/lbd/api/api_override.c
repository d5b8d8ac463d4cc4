// SPDX-License-Identifier: GPL-2.0-only
/*
 * PATCH of a backend: the operator's words. Each member is a word of its own, with who said it, why and until
 * when; null takes it back.
 */
#include "lbd/api/api.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/api/body.h"
#include "lbd/state/change.h"
#include "lbd/state/intent.h"
#include "lbd/state/words.h"

#define FOR_MAX_S (366u * 24 * 3600)

static void desired_donep(struct desired *desired)
{
	desired_done(desired);
}

/* What the body says, checked. */
struct patch {
	bool given[LB_WORD_COUNT];
	bool taken_back[LB_WORD_COUNT];
	__u32 value[LB_WORD_COUNT];
	__u32 for_s; /* 0: no end */
	char reason[LB_WHY_MAX];
};

static int wrong(const cJSON *item, const char *what, struct lb_error *error)
{
	_cleanup_(freep) char *value = cJSON_PrintUnformatted(item);

	return lb_error_at(error, EINVAL, item->string, value, "%s must be %s", item->string, what);
}

static bool is_whole(const cJSON *item, double least, double most)
{
	return cJSON_IsNumber(item) && item->valuedouble >= least && item->valuedouble <= most &&
	       item->valuedouble == (double)(__u32)item->valuedouble;
}

static int read_weight(const cJSON *item, __u32 *ret_value, struct lb_error *error)
{
	if (!is_whole(item, 0, 65535))
		return wrong(item, "a whole number of 0 to 65535, or null for the configuration's", error);
	*ret_value = (__u32)item->valuedouble;
	return 0;
}

static int read_state(const cJSON *item, __u32 *ret_value, struct lb_error *error)
{
	enum lb_state state;

	if (!cJSON_IsString(item) || lb_state_parse(item->valuestring, &state) < 0)
		return wrong(item, "\"active\", \"drain\" or \"down\", or null for the configuration's",
			     error);
	*ret_value = state;
	return 0;
}

static int read_breaker(const cJSON *item, __u32 *ret_value, struct lb_error *error)
{
	enum lb_breaker breaker;

	if (!cJSON_IsString(item) || lb_breaker_parse(item->valuestring, &breaker) < 0)
		return wrong(item, "\"auto\" (or null), \"open\" or \"off\"", error);
	*ret_value = breaker;
	return 0;
}

static int (*const readers[LB_WORD_COUNT])(const cJSON *item, __u32 *ret_value, struct lb_error *error) = {
	[LB_WORD_STATE] = read_state,
	[LB_WORD_WEIGHT] = read_weight,
	[LB_WORD_BREAKER] = read_breaker,
};

/* A reason goes into logs, where a quote or a new line would end it. */
static int read_reason(const cJSON *item, struct patch *patch, struct lb_error *error)
{
	const char *text = cJSON_GetStringValue(item);

	if (!text || strlen(text) >= sizeof(patch->reason))
		return wrong(item, "a text of at most 127 bytes", error);
	for (size_t i = 0; text[i]; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return wrong(item, "one line without control characters", error);
		patch->reason[i] = text[i] == '"' ? '\'' : text[i];
	}
	return 0;
}

static int read_for(const cJSON *item, struct patch *patch, struct lb_error *error)
{
	if (!is_whole(item, 1, FOR_MAX_S))
		return wrong(item, "a whole number of seconds, 1 to 31622400 (366 days)", error);
	patch->for_s = (__u32)item->valuedouble;
	return 0;
}

static int read_member(const cJSON *item, struct patch *patch, struct lb_error *error)
{
	for (size_t key = 0; key < LB_WORD_COUNT; key++) {
		if (strcmp(item->string, lb_word_key_name((enum lb_word_key)key)) != 0)
			continue;
		patch->given[key] = true;
		patch->taken_back[key] = cJSON_IsNull(item);
		if (patch->taken_back[key])
			return 0;
		if (readers[key](item, &patch->value[key], error) < 0)
			return -EINVAL;
		patch->taken_back[key] = key == LB_WORD_BREAKER && patch->value[key] == LB_BREAKER_AUTO;
		return 0;
	}
	if (strcmp(item->string, "reason") == 0)
		return cJSON_IsNull(item) ? 0 : read_reason(item, patch, error);
	if (strcmp(item->string, "for_s") == 0)
		return cJSON_IsNull(item) ? 0 : read_for(item, patch, error);
	return -EINVAL;
}

static int read_patch(const cJSON *body, struct patch *ret_patch, struct lb_error *error)
{
	struct patch patch = {};
	const cJSON *item;
	bool any = false;

	cJSON_ArrayForEach (item, body) {
		int r = read_member(item, &patch, error);

		if (r < 0)
			return r;
	}
	for (size_t key = 0; key < LB_WORD_COUNT; key++)
		any |= patch.given[key];
	if (!any)
		return lb_error_set(error, EINVAL,
				    "nothing to change: give \"weight\", \"state\" or \"breaker\"");
	*ret_patch = patch;
	return 0;
}

/* Says one word, or takes it back. Saying the same again, without more, is nothing new. */
static int say(struct api_call *call, const struct patch *patch, enum lb_word_key key, __s64 now_s,
	       struct lb_words *words)
{
	const struct lb_word *old = lb_words_find(words, call->service, call->backend, key);
	struct lb_word word = {
		.key = key,
		.value = patch->value[key],
		.since_s = now_s,
		.until_s = patch->for_s ? now_s + patch->for_s : 0,
		.uid = call->request->peer.uid,
		.pid = call->request->peer.pid,
	};

	if (patch->taken_back[key]) {
		lb_words_clear(words, call->service, call->backend, key);
		return 0;
	}
	if (old && old->value == word.value && !word.until_s && !old->until_s &&
	    (!patch->reason[0] || strcmp(patch->reason, old->reason) == 0))
		return 0;
	memcpy(word.service, call->service, sizeof(word.service));
	memcpy(word.backend, call->backend, sizeof(word.backend));
	memcpy(word.reason, patch->reason, sizeof(word.reason));
	return lb_words_set(words, &word);
}

static int find_target(const struct api_call *call, struct lb_error *error)
{
	const struct lb_config *config = call->lbd->running.config;

	if (!config_find_service(config, call->service))
		return lb_error_at(error, ESRCH, "service", call->service, "there is no service \"%s\"",
				   call->service);
	if (!config_has_backend(config, call->service, call->backend))
		return lb_error_at(error, ESRCH, "backend", call->backend,
				   "service \"%s\" has no backend \"%s\"", call->service, call->backend);
	return 0;
}

/* Puts what the body says into the words of next, and into the cause. */
static int apply_patch(struct api_call *call, const struct patch *patch, struct desired *next, char *cause,
		       size_t size)
{
	__s64 now_s = intent_now_s(call->lbd);
	size_t used = 0;

	for (size_t i = 0; i < LB_WORD_COUNT; i++) {
		enum lb_word_key key = (enum lb_word_key)i;
		const struct lb_word *word;
		char text[RECORD_CAUSE_MAX];

		if (!patch->given[key])
			continue;
		if (say(call, patch, key, now_s, &next->words) < 0)
			return -ENOMEM;
		word = lb_words_find(&next->words, call->service, call->backend, key);
		word_cause(call->lbd, word, call->service, call->backend, key, text, sizeof(text));
		used += snprintf(cause + used, size - used, "%s%s", used ? "; " : "", text);
		if (used >= size)
			used = size - 1;
	}
	return 0;
}

/* A word on a backend of a shared ring is said in each of its services. */
static int apply_to_ring(struct api_call *call, const struct patch *patch, struct desired *next, char *cause,
			 size_t size)
{
	const struct lb_config *config = call->lbd->running.config;
	const struct lb_config_service *asked = config_find_service(config, call->service);
	int r = apply_patch(call, patch, next, cause, size);
	char also[RECORD_CAUSE_MAX];
	size_t n = 0;

	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		if (service == asked || !lb_config_same_ring(service, asked))
			continue;
		memcpy(call->service, service->name, sizeof(call->service));
		r = apply_patch(call, patch, next, also, sizeof(also));
		n++;
	}
	memcpy(call->service, asked->name, sizeof(call->service));
	if (r == 0 && n) {
		size_t used = strlen(cause);

		snprintf(cause + used, size - used, "; also in %zu services that share ring %s", n,
			 asked->ring);
	}
	return r;
}

static const char *const keys[] = { "weight", "state", "breaker", "reason", "for_s", NULL };

int api_patch(struct api_call *call, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	_cleanup_(cjson_freep) cJSON *body = NULL;
	char cause[RECORD_CAUSE_MAX] = "";
	struct change change = { .cause = cause,
				 .kind = "override",
				 .record = RECORD_OPERATOR,
				 .judged = true,
				 .dry_run = api_flag(call, "dry_run") };
	struct patch patch;
	int r;

	if (api_is_leaving(call))
		return api_patch_leaving(call, error);
	r = find_target(call, error);
	if (r < 0)
		return r;
	r = body_read(call->request->body, call->request->length, keys, &body, error);
	if (r == 0)
		r = read_patch(body, &patch, error);
	if (r == 0)
		r = desired_copy(&call->lbd->running, &next, error);
	if (r < 0)
		return r;
	if (apply_to_ring(call, &patch, &next, cause, sizeof(cause)) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	return api_make(call, &next, &change, error);
}

/* The same patch for every backend at an address. Returns how many there are, or -ENOMEM. */
static int patch_host(struct api_call *call, const struct lb_address *address, const struct patch *patch,
		      struct desired *next)
{
	const struct lb_config *config = call->lbd->running.config;
	int n = 0;

	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		for (size_t k = 0; k < service->n_backends; k++) {
			char cause[RECORD_CAUSE_MAX];

			if (!lb_address_equal(&service->backends[k].address, address))
				continue;
			memcpy(call->service, service->name, sizeof(call->service));
			memcpy(call->backend, service->backends[k].name, sizeof(call->backend));
			if (apply_patch(call, patch, next, cause, sizeof(cause)) < 0)
				return -ENOMEM;
			n++;
		}
	}
	return n;
}

int api_patch_host(struct api_call *call, struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	_cleanup_(cjson_freep) cJSON *body = NULL;
	char cause[RECORD_CAUSE_MAX], text[LB_NAME_MAX];
	struct change change = { .cause = cause,
				 .kind = "override",
				 .record = RECORD_OPERATOR,
				 .judged = true,
				 .dry_run = api_flag(call, "dry_run") };
	struct lb_address address;
	struct patch patch;
	int n, r;

	memcpy(text, call->service, sizeof(text));
	if (lb_address_parse(text, &address) < 0)
		return lb_error_at(error, EINVAL, "address", text, "\"%s\" is no IPv4 or IPv6 address", text);
	r = body_read(call->request->body, call->request->length, keys, &body, error);
	if (r == 0)
		r = read_patch(body, &patch, error);
	if (r == 0)
		r = desired_copy(&call->lbd->running, &next, error);
	if (r < 0)
		return r;
	n = patch_host(call, &address, &patch, &next);
	if (n < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	if (n == 0)
		return lb_error_at(error, ESRCH, "address", text, "no service has a backend at %s", text);
	snprintf(cause, sizeof(cause), "host %s, %d backends%s%s", text, n, patch.reason[0] ? ": " : "",
		 patch.reason);
	return api_make(call, &next, &change, error);
}
