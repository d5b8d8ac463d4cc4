// SPDX-License-Identifier: GPL-2.0-only
/*
 * From method and path to a verb, and from -errno to a status.
 */
#include "lbd/api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lbd/api/body.h"
#include "lbd/api/metrics.h"
#include "lbd/log.h"
#include "lbd/state/change.h"

#define SMALL_BODY (64u << 10)
/* Of sources, whose helpers are trusted with less than operators. */
#define SERVICE_BODY (4u << 20)
#define WHOLE_BODY   (32u << 20)

/* What the helper of a source may ask: what only tells; nothing; what is of the source that the path names.
 */
enum access { ACCESS_BY_METHOD, ACCESS_NEVER, ACCESS_OWN };

/* Parameters of what is planned, looked at and approved; of what a configuration comes of; of edits. */
#define APPROVED "dry_run? allow_break? expect_plan"
#define JUDGED   APPROVED " allow_ring_resize?"
#define EDITS    "add? merge? save? " JUDGED

/* '*' stands for one part of the path: the service's name, then the backend's. */
static const struct route {
	const char *method;
	const char *path;
	size_t body_bytes;
	api_verb *verb;
	const char *query; /* see query_check(); NULL: nothing */
	bool monitor;      /* the monitor socket has it as well */
	bool heavy;        /* it is a task */
	bool early;        /* it has an answer before the first commit; what has none waits until then */
	enum access access;
} routes[] = {
	{ "GET", "/v1/version", 0, api_version, .monitor = true, .early = true },
	{ "GET", "/v1/status", 0, api_status, .monitor = true },
	{ "POST", "/v1/apply", LB_CONFIG_BYTES_MAX, api_apply, JUDGED, .heavy = true },
	{ "POST", "/v1/diff", LB_CONFIG_BYTES_MAX, api_diff, .heavy = true },
	{ "POST", "/v1/reload", 0, api_reload, JUDGED, .heavy = true },
	{ "POST", "/v1/rollback", 0, api_rollback, "to overrides? " JUDGED, .heavy = true },
	{ "POST", "/v1/leave", 0, api_leave, .heavy = true },
	{ "POST", "/v1/join", 0, api_join, .heavy = true },
	{ "GET", "/v1/generations", 0, api_generations, .heavy = true },               /* it reads the disk */
	{ "GET", "/v1/config", 0, api_config, .heavy = true, .access = ACCESS_NEVER }, /* it has hash_seed */
	{ "GET", "/v1/rings", 0, api_rings, .monitor = true },
	{ "GET", "/v1/services", 0, api_services, .monitor = true },
	{ "GET", "/v1/services/*", 0, api_service, .monitor = true },
	{ "PUT", "/v1/services/*", LB_CONFIG_BYTES_MAX, api_edit, EDITS, .heavy = true },
	{ "DELETE", "/v1/services/*", 0, api_edit, "save? " JUDGED, .heavy = true },
	{ "GET", "/v1/services/*/ring", 0, api_ring, "dump?", .heavy = true },
	{ "PATCH", "/v1/services/*/backends/*", SMALL_BODY, api_patch, APPROVED, .heavy = true },
	{ "PUT", "/v1/services/*/backends/*", SMALL_BODY, api_edit, EDITS, .heavy = true },
	{ "DELETE", "/v1/services/*/backends/*", 0, api_edit, "save? " JUDGED, .heavy = true },
	{ "PATCH", "/v1/hosts/*", SMALL_BODY, api_patch_host, APPROVED, .heavy = true },
	{ "GET", "/v1/backends", 0, api_backends, .monitor = true },
	{ "GET", "/v1/stats", 0, api_stats, .monitor = true },
	{ "GET", "/v1/drops", 0, api_drops },
	{ "GET", "/v1/flows", 0, api_flows, "service limit", .heavy = true },
	{ "GET", "/v1/events", 0, api_events, "since", .early = true },
	{ "GET", "/v1/observe", 0, api_observe, .monitor = true },
	{ "GET", "/v1/observe/*", 0, api_observe, .monitor = true },
	{ "GET", "/v1/health", 0, api_health, .heavy = true },
	{ "GET", "/v1/health/*", 0, api_health },
	{ "GET", "/v1/health/*/*", 0, api_health },
	{ "GET", "/v1/capture", 0, api_capture, "count seconds service backend flow drops?", .heavy = true,
	  .access = ACCESS_NEVER },
	{ "GET", "/v1/sources", 0, api_sources },
	{ "GET", "/v1/sources/*", 0, api_source, .heavy = true },
	{ "PUT", "/v1/sources/*", WHOLE_BODY, api_source_put_whole, "revision allow_loss?", .heavy = true,
	  .access = ACCESS_OWN },
	{ "PUT", "/v1/sources/*/services/*", SERVICE_BODY, api_source_put, "revision allow_loss?",
	  .heavy = true, .access = ACCESS_OWN },
	{ "DELETE", "/v1/sources/*/services/*", 0, api_source_delete, "revision allow_loss?", .heavy = true,
	  .access = ACCESS_OWN },
	{ "POST", "/v1/explain", SMALL_BODY, api_explain, .heavy = true },
};

#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

/* Whether a path has the pattern's form; names[0] and [1] get what stands for '*'. */
static bool match(const char *pattern, const char *path, char names[2][LB_NAME_MAX])
{
	size_t n = 0;

	while (*pattern) {
		size_t length;

		if (*pattern != '*') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		length = strcspn(path, "/");
		if (length == 0 || length >= LB_NAME_MAX || n == 2)
			return false;
		memset(names[n], 0, LB_NAME_MAX);
		memcpy(names[n++], path, length);
		path += length;
		pattern++;
	}
	return *path == '\0';
}

/* The route, or NULL with *ret_known: another method would do. */
static const struct route *find(const char *method, const char *path, char names[2][LB_NAME_MAX],
				bool *ret_known)
{
	*ret_known = false;
	for (size_t i = 0; i < N_ROUTES; i++) {
		if (!match(routes[i].path, path, names))
			continue;
		*ret_known = true;
		if (strcmp(routes[i].method, method) == 0)
			return &routes[i];
	}
	return NULL;
}

static unsigned int status_of(int code)
{
	switch (code) {
	case EINVAL:
	case EADDRINUSE:
	case ENODEV:
		return 400;
	case EPERM:
		return 403;
	case ESRCH:
		return 404;
	case EBUSY:
	case ESTALE:
	case EEXIST:
	case EOPNOTSUPP:
		return 409;
	case EREMCHG:
		return 412;
	case E2BIG:
		return 413;
	case EDQUOT: /* of what a source may take away */
		return 422;
	case ENOSPC:
		return 507;
	default:
		return 500;
	}
}

const char *api_who(const struct api_call *call, char buffer[API_WHO_MAX])
{
	const struct http_peer *peer = &call->request->peer;

	if (peer->uid == HTTP_NOBODY)
		snprintf(buffer, API_WHO_MAX, " uid=unknown");
	else
		snprintf(buffer, API_WHO_MAX, " uid=%u pid=%u", peer->uid, peer->pid);
	return buffer;
}

bool api_flag(const struct api_call *call, const char *name)
{
	const char *value = http_query(call->request, name);

	return value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

int api_number(const struct api_call *call, const char *name, __u64 fallback, __u64 *ret_value,
	       struct lb_error *error)
{
	const char *value = http_query(call->request, name);
	char *end;

	if (!value) {
		*ret_value = fallback;
		return 0;
	}
	errno = 0;
	*ret_value = strtoull(value, &end, 10);
	if (errno || *end || *value < '0' || *value > '9')
		return lb_error_at(error, EINVAL, name, value, "%s must be a number of 0 or more", name);
	return 0;
}

/* Bytes of a request or an answer whose memory is worth giving back. */
#define LARGE (1u << 20)

static void fail(struct api_call *call, int code, struct lb_error *error)
{
	char text[EVENTS_QUOTED_MAX], who[API_WHO_MAX];

	if (!error->text[0])
		lb_error_set(error, code, "%s", strerror(code));
	http_error(call->answer, status_of(code), error, NULL);
	if (status_of(code) >= 500)
		events_add(&call->lbd->events, LOG_LEVEL_ERROR, "api", "method=%s path=%s error=\"%s\"%s",
			   call->request->method, call->request->path, events_quoted(error->text, text),
			   api_who(call, who));
}

/*
 * The helper of a source may read, and write under its own name; the others may do all but speak for a
 * source: that is for root and for the agent's own user.
 */
static int authorise(const struct lbd *lbd, const struct http_request *request, const struct route *route,
		     const char *name, struct lb_error *error)
{
	__u32 uid = request->peer.uid;
	const struct lb_config *file = desired_file(&lbd->running);
	const struct lb_config_source *source = file ? lb_source_of_uid(file, uid) : NULL;

	/* Until something runs it is not known who is a source. */
	if (!file && uid != 0 && uid != geteuid() && strcmp(route->method, "GET") != 0)
		return lb_error_set(error, EPERM, "nothing runs yet: ask again");
	if (source) {
		if (route->access == ACCESS_OWN && strcmp(source->name, name) == 0)
			return 0;
		if (route->access == ACCESS_BY_METHOD && strcmp(route->method, "GET") == 0)
			return 0;
		return lb_error_set(error, EPERM,
				    "uid %u is source %s: it may read, and write under "
				    "/v1/sources/%s",
				    uid, source->name, source->name);
	}
	if (route->access != ACCESS_OWN || uid == 0 || uid == geteuid())
		return 0;
	return lb_error_set(error, EPERM, "uid %u is not source %s", uid, name);
}

static void answer_call(void *context, const struct http_request *request, struct http_answer *answer)
{
	struct api_call call = {
		.lbd = context, .request = request, .answer = answer, .json = &answer->body
	};
	char names[2][LB_NAME_MAX] = {};
	struct lb_error error = {};
	const struct route *route;
	bool known;
	int r;

	route = find(request->method, request->path, names, &known);
	if (!route) {
		if (known)
			lb_error_set(&error, EINVAL, "%s does not know the method %s", request->path,
				     request->method);
		else
			lb_error_set(&error, ESRCH, "there is nothing at %s: see docs/api.md", request->path);
		http_error(answer, known ? 405 : 404, &error, NULL);
		return;
	}
	if (authorise(call.lbd, request, route, names[0], &error) < 0) {
		fail(&call, EPERM, &error);
		return;
	}
	memcpy(call.service, names[0], sizeof(call.service));
	memcpy(call.backend, names[1], sizeof(call.backend));
	json_object(call.json, NULL);
	r = query_check(request, route->query ? route->query : "", &error);
	if (r == 0)
		r = route->verb(&call, &error);
	if (r < 0) {
		fail(&call, -r, &error);
		return;
	}
	if (!call.whole)
		json_object_end(call.json);
	log_debug("event=api method=%s path=%s status=%u bytes=%zu", request->method, request->path,
		  answer->status, call.json->length);
}

static void handle(void *context, const struct http_request *request, struct http_answer *answer)
{
	struct lbd *lbd = context;

	if (ready_answer(lbd, request, answer))
		return;
	answer_call(context, request, answer);
	if (request->length >= LARGE || answer->body.length >= LARGE)
		lbd->trim_s = TRIM_S;
}

static size_t body_limit(void *context, const char *method, const char *path)
{
	char names[2][LB_NAME_MAX];
	const struct route *route;
	bool known;

	route = find(method, path, names, &known);
	return route ? route->body_bytes : SMALL_BODY;
}

/* What changes something, reads it all, or has to wait for what is not there yet. */
static bool heavy(void *context, const char *method, const char *path)
{
	const struct lbd *lbd = context;
	char names[2][LB_NAME_MAX];
	const struct route *route;
	bool known;

	route = find(method, path, names, &known);
	return route && (route->heavy || (lbd->starting && !route->early));
}

void api_handler(struct lbd *lbd, struct http_handler *ret_handler)
{
	*ret_handler = (struct http_handler){ .handle = handle,
					      .body_limit = body_limit,
					      .heavy = heavy,
					      .context = lbd,
					      .tasks = lbd->tasks };
}

static void handle_monitor(void *context, const struct http_request *request, struct http_answer *answer)
{
	char names[2][LB_NAME_MAX];
	struct lb_error error = {};
	const struct route *route;
	bool known;

	if (metrics_answer(context, request, answer))
		return;
	route = find(request->method, request->path, names, &known);
	if (!route || route->monitor) {
		handle(context, request, answer);
		return;
	}
	lb_error_set(&error, EACCES, "%s %s is not for this socket, which only tells: use the agent's own",
		     request->method, request->path);
	http_error(answer, 403, &error, NULL);
}

static size_t no_body(void *context, const char *method, const char *path)
{
	return 0;
}

/* Nothing there is a task but what has to wait for the first commit. */
static bool heavy_monitor(void *context, const char *method, const char *path)
{
	const struct lbd *lbd = context;

	return lbd->starting && (metrics_is_scrape(path) || heavy(context, method, path));
}

void api_monitor_handler(struct lbd *lbd, struct http_handler *ret_handler)
{
	*ret_handler = (struct http_handler){ .handle = handle_monitor,
					      .body_limit = no_body,
					      .heavy = heavy_monitor,
					      .context = lbd,
					      .tasks = lbd->tasks };
}
