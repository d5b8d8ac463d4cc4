// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sources: helpers bring services, one by one or all of them, and everybody sees what they brought. What they
 * send is judged at once and planned for soon, together with what else comes until then.
 */
#include "lbd/api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_json.h"
#include "lbd/clock.h"
#include "lbd/kernel/netlink.h"
#include "lbd/log.h"
#include "lbd/kernel/host_addresses.h"
#include "lbd/state/change.h"
#include "lbd/state/sources.h"
#include "lbd/state/sources_store.h"

/* A service is checked as a part of a configuration; the rest of that is not looked at again. */
#define BEFORE "{\"version\":1,\"hash_seed\":\"none\",\"interfaces\":[{\"name\":\"lo\"}],\"services\":"
#define AFTER  "}"

/* The body has to be one JSON value: what is put around it must stay around it. */
static int check_body(const struct http_request *request, char opening, struct lb_error *error)
{
	char problem[LB_JSON_PROBLEM_MAX];
	size_t offset, line, column;
	const char *text = request->body;

	if (text[strspn(text, " \t\r\n")] != opening)
		return lb_error_set(error, EINVAL, "the body must be %s",
				    opening == '[' ? "a list of services" : "one service: an object");
	if (lb_json_check(text, request->length, &offset, problem) == 0)
		return 0;
	lb_json_position(text, offset, &line, &column);
	return lb_error_set(error, EINVAL, "the body's line %zu, column %zu: %s", line, column, problem);
}

/* Places are those of the body: "services[0].vip" of one service is "vip". */
static void place_in_body(bool whole, struct lb_error *error)
{
	static const char before[] = "services[0].";

	if (!whole && strncmp(error->path, before, strlen(before)) == 0)
		memmove(error->path, error->path + strlen(before), strlen(error->path + strlen(before)) + 1);
}

static int parse(const struct http_request *request, bool whole, struct lb_config **ret_services,
		 struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	int n, r = check_body(request, whole ? '[' : '{', error);

	if (r < 0)
		return r;
	n = asprintf(&text, BEFORE "%s%s%s" AFTER, whole ? "" : "[", request->body, whole ? "" : "]");
	if (n < 0) {
		text = NULL;
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	r = config_parse(text, (size_t)n, ret_services, error);
	if (r < 0)
		place_in_body(whole, error);
	return r;
}

/* A check names files and hosts, and is made with another's rights: what is checked is for the file to say.
 */
static int check_no_checks(const struct lb_config *services, struct lb_error *error)
{
	for (size_t i = 0; i < services->n_services; i++) {
		const struct lb_config_service *service = &services->services[i];
		bool any = service->health.check || service->health.breaker;

		for (size_t k = 0; k < service->n_backends; k++)
			any |= service->backends[k].check != NULL;
		if (any)
			return lb_error_at(error, EPERM, service->name, NULL,
					   "service \"%s\": a source may not say how backends are checked; "
					   "the configuration file's defaults hold",
					   service->name);
	}
	return 0;
}

static int find_source(struct api_call *call, struct lb_source_put *put, struct lb_error *error)
{
	put->file = desired_file(&call->lbd->running);
	put->source = lb_source_named(put->file, call->service);
	put->exceed = api_flag(call, "allow_loss");
	put->now_s = (__s64)(now_ms() / 1000);
	if (!put->source)
		return lb_error_at(error, ESRCH, "source", call->service,
				   "the configuration file lists no source \"%s\"", call->service);
	return 0;
}

/* Numbers above are not exact everywhere. */
#define REVISION_MAX (1ull << 53)

static int read_revision(const struct api_call *call, __u64 *ret_revision, struct lb_error *error)
{
	int r;

	if (!http_query(call->request, "revision"))
		return lb_error_at(error, EINVAL, "revision", NULL, "revision=N is required");
	r = api_number(call, "revision", 0, ret_revision, error);
	if (r == 0 && *ret_revision > REVISION_MAX)
		r = lb_error_at(error, EINVAL, "revision", NULL, "revision must be at most 2^53");
	return r;
}

static void answer(struct api_call *call, const struct lb_source_put *put, size_t changed)
{
	json_string(call->json, "source", put->source->name);
	json_u64(call->json, "revision", put->revision);
	json_u64(call->json, "changed", changed);
	json_bool(call->json, "pending", call->lbd->sources.pending);
}

static int put_services(struct api_call *call, struct lb_source_put *put, struct lb_error *error)
{
	struct lbd_sources *sources = &call->lbd->sources;
	size_t before = sources->list.n;
	int r = check_no_checks(put->services, error), changed;

	if (r == 0)
		r = host_addresses_check(call->lbd, put->services, error);
	if (r == 0)
		r = lb_sources_judge(&sources->list, put, error);
	if (r < 0)
		return r;
	changed = lb_sources_put(&sources->list, put);
	if (changed < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	sources->absent |= put->whole && before > 0;
	if (changed)
		sources_changed(call->lbd);
	answer(call, put, (size_t)changed);
	return 0;
}

int api_source_put(struct api_call *call, struct lb_error *error)
{
	_cleanup_(lb_config_freep) struct lb_config *services = NULL;
	struct lb_source_put put = {};
	int r = find_source(call, &put, error);

	if (r == 0)
		r = read_revision(call, &put.revision, error);
	if (r == 0)
		r = parse(call->request, false, &services, error);
	if (r < 0)
		return r;
	if (strcmp(services->services[0].name, call->backend) != 0)
		return lb_error_at(error, EINVAL, "name", services->services[0].name,
				   "the path says service \"%s\"", call->backend);
	put.services = services;
	r = put_services(call, &put, error);
	if (r == 0)
		sources_heard(call->lbd, put.source->name, put.revision, NULL);
	return r;
}

/* What is sent again and again as it was costs no more than reading it. */
int api_source_put_whole(struct api_call *call, struct lb_error *error)
{
	_cleanup_(lb_config_freep) struct lb_config *services = NULL;
	struct lb_source_put put = { .whole = true };
	char digest[STORE_DIGEST];
	int r = find_source(call, &put, error);

	if (r == 0)
		r = read_revision(call, &put.revision, error);
	if (r < 0)
		return r;
	store_digest(call->request->body, call->request->length, digest);
	if (!sources_is_last_whole(call->lbd, put.source->name, digest)) {
		r = parse(call->request, true, &services, error);
		if (r < 0)
			return r;
		put.services = services;
		r = put_services(call, &put, error);
	} else {
		answer(call, &put, 0);
	}
	if (r == 0)
		sources_heard(call->lbd, put.source->name, put.revision, digest);
	return r;
}

int api_source_delete(struct api_call *call, struct lb_error *error)
{
	struct lb_source_put put = {};
	int r = find_source(call, &put, error);

	if (r == 0)
		r = read_revision(call, &put.revision, error);
	if (r == 0)
		r = lb_sources_judge_delete(&call->lbd->sources.list, &put, call->backend, error);
	if (r < 0)
		return r;
	lb_sources_delete(&call->lbd->sources.list, put.source->name, call->backend);
	sources_remove_file(&call->lbd->store, put.source->name, call->backend);
	sources_changed(call->lbd);
	sources_heard(call->lbd, put.source->name, put.revision, NULL);
	answer(call, &put, 1);
	return 0;
}

int api_sources(struct api_call *call, struct lb_error *error)
{
	sources_write(call->lbd, call->json);
	return 0;
}

int api_source(struct api_call *call, struct lb_error *error)
{
	struct lb_source_put put = {};
	int r = find_source(call, &put, error);

	if (r < 0)
		return r;
	if (call->request->peer.uid == put.source->uid)
		sources_heard(call->lbd, put.source->name, 0, NULL);
	source_write(call->lbd, put.source, true, call->json);
	return 0;
}
