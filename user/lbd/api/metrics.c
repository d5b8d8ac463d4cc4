// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scrapes over HTTP: which of the renderings, in which form.
 */
#include "lbd/api/metrics.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "lbd/api/body.h"
#include "lbd/api/rings.h"
#include "lbd/metrics/metrics.h"

#define TEXT_TYPE        "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS      "application/openmetrics-text"
#define OPENMETRICS_TYPE OPENMETRICS "; version=1.0.0; charset=utf-8"

static void line(struct json *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct json *out, const char *format, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	out->comma = false;
	if (n > 0)
		json_raw(out, NULL, text, n < (int)sizeof(text) ? n : (int)sizeof(text) - 1);
}

static const char *not_ready(const struct lbd *lbd)
{
	if (lbd->starting)
		return lbd->starting;
	if (!lbd->running.config)
		return "no configuration is running";
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by == ATTACHED_NOT)
			return "an interface is not attached";
	return NULL;
}

/* --- in which form ---------------------------------------------------------------------------------------
 */

/* How much a client wants one of the things that its header lists (RFC 9110, 12.4.2): 0 to 1; 0: it does not
 * name it. */
static double quality(const struct http_request *request, const char *header, const char *name)
{
	const char *list = http_header(request, header), *at;
	size_t length = strlen(name);
	double best = 0;

	for (at = list; at; at = (at = strchr(at, ',')) ? at + 1 : NULL) {
		size_t element;
		const char *q;
		double value;

		at += strspn(at, " \t");
		element = strcspn(at, ",");
		if (strncasecmp(at, name, length) != 0 || !strchr(" \t;,", at[length]))
			continue;
		q = memmem(at, element, "q=", 2);
		value = q ? strtod(q + 2, NULL) : 1;
		best = value > best ? value : best;
	}
	return best;
}

static bool wants_openmetrics(const struct http_request *request)
{
	double openmetrics = quality(request, "Accept", OPENMETRICS);

	return openmetrics > 0 && openmetrics >= quality(request, "Accept", "text/plain");
}

/* --- which of them ---------------------------------------------------------------------------------------
 */

static const struct {
	const char *path, *query;
	const struct rendering_kind *kind;
} scrapes[] = {
	{ "/metrics", "", &metrics_whole },
	{ "/metrics/services", "shard service", &metrics_services },
	{ "/metrics/backends", "shard service", &metrics_backends },
};

static bool find_scrape(const char *path, size_t *ret_i)
{
	for (*ret_i = 0; *ret_i < sizeof(scrapes) / sizeof(scrapes[0]); (*ret_i)++)
		if (strcmp(path, scrapes[*ret_i].path) == 0)
			return true;
	return false;
}

bool metrics_is_scrape(const char *path)
{
	size_t which;

	return find_scrape(path, &which);
}

/* "0/16" is the first of 16. */
static int parse_shard(const char *text, struct rendering_wish *wish, struct lb_error *error)
{
	unsigned long shard, shards = 0;
	char *end;

	if (!text)
		return 0;
	shard = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '/' && end[1] >= '1' && end[1] <= '9')
		shards = strtoul(end + 1, &end, 10);
	if (*end || !shards || shards > METRICS_SHARDS_MAX || shard >= shards)
		return lb_error_at(error, EINVAL, "shard", text,
				   "shard must be K/N, as 0/16 to 15/16; N at most %u", METRICS_SHARDS_MAX);
	wish->shard = (__u32)shard;
	wish->shards = (__u32)shards;
	return 0;
}

static int parse_service(struct lbd *lbd, const char *name, struct rendering_wish *wish,
			 struct lb_error *error)
{
	struct lb_service_view view;

	if (!name)
		return 0;
	if (!*name || lb_engine_service_by_name(lbd->engine, name, &view) < 0)
		return lb_error_at(error, ESRCH, "service", name, "there is no service \"%s\"", name);
	snprintf(wish->service, sizeof(wish->service), "%s", name);
	return 0;
}

static int scrape(struct lbd *lbd, const struct http_request *request, size_t which,
		  struct http_answer *answer, struct lb_error *error)
{
	struct rendering_wish wish = { .kind = scrapes[which].kind };
	int r = query_check(request, scrapes[which].query, error);

	if (r == 0)
		r = parse_shard(http_query(request, "shard"), &wish, error);
	if (r == 0)
		r = parse_service(lbd, http_query(request, "service"), &wish, error);
	if (r < 0)
		return r;
	wish.openmetrics = wants_openmetrics(request);
	wish.gzip = quality(request, "Accept-Encoding", "gzip") > 0;
	answer->type = wish.openmetrics ? OPENMETRICS_TYPE : TEXT_TYPE;
	answer->encoding = wish.gzip ? "gzip" : NULL;
	return rendering_join_wish(lbd, &wish, &answer->stream, error);
}

static void answer_scrape(struct lbd *lbd, const struct http_request *request, size_t which,
			  struct http_answer *answer)
{
	struct lb_error error = {};
	int r = scrape(lbd, request, which, answer, &error);

	if (r == 0)
		return;
	lbd->scrapes_refused += r == -EBUSY;
	answer->type = "text/plain; charset=utf-8";
	answer->encoding = NULL;
	answer->status = r == -EINVAL ? 400 : r == -ESRCH ? 404 : r == -EBUSY ? 503 : 500;
	line(&answer->body, "%s\n", error.text);
}

/* What balancers of a fleet compare: nothing that is not the same on all of them, and nothing secret. */
static void answer_rings(struct lbd *lbd, struct http_answer *answer)
{
	struct lb_error error = {};

	answer->type = "application/json";
	if (rings_join(lbd, &answer->stream, &error) < 0)
		http_error(answer, 500, &error, NULL);
}

bool metrics_answer(struct lbd *lbd, const struct http_request *request, struct http_answer *answer)
{
	size_t which;

	if (strcmp(request->method, "GET") != 0)
		return false;
	if (find_scrape(request->path, &which)) {
		answer_scrape(lbd, request, which, answer);
		return true;
	}
	if (strcmp(request->path, "/rings") == 0 && !lbd->starting) {
		answer_rings(lbd, answer);
		return true;
	}
	return ready_answer(lbd, request, answer);
}

bool ready_answer(const struct lbd *lbd, const struct http_request *request, struct http_answer *answer)
{
	const char *why;

	if (strcmp(request->method, "GET") != 0 ||
	    (strcmp(request->path, "/healthz") != 0 && strcmp(request->path, "/readyz") != 0))
		return false;
	answer->type = "text/plain; charset=utf-8";
	why = strcmp(request->path, "/readyz") == 0 ? not_ready(lbd) : NULL;
	answer->status = why ? 503 : 200;
	if (why && lbd->starting)
		line(&answer->body, "starting: %s\n", why);
	else
		line(&answer->body, "%s\n", why ? why : "ok");
	return true;
}

static void handle(void *context, const struct http_request *request, struct http_answer *answer)
{
	if (metrics_answer(context, request, answer))
		return;
	answer->type = "text/plain; charset=utf-8";
	if (strcmp(request->method, "GET") != 0) {
		answer->status = 405;
		line(&answer->body, "only GET\n");
	} else {
		answer->status = 404;
		line(&answer->body, "there are /metrics, /metrics/services, /metrics/backends, /rings, "
				    "/healthz and /readyz\n");
	}
}

static size_t body_limit(void *context, const char *method, const char *path)
{
	return 0;
}

/* While the agent starts there is nothing to tell yet: answered when it is ready. */
static bool heavy(void *context, const char *method, const char *path)
{
	return ((struct lbd *)context)->starting && metrics_is_scrape(path);
}

void metrics_close(struct lbd *lbd)
{
	http_free(lbd->metrics);
	lbd->metrics = NULL;
	lbd->metrics_address[0] = '\0';
}

void metrics_update(struct lbd *lbd, const char *address)
{
	const struct http_handler handler = { .handle = handle,
					      .body_limit = body_limit,
					      .heavy = heavy,
					      .context = lbd,
					      .tasks = lbd->tasks };
	char text[EVENTS_QUOTED_MAX];
	struct lb_error error = {};
	int fd, r;

	if (strcmp(address, lbd->metrics_address) == 0)
		return;
	metrics_close(lbd);
	lbd->metrics_error[0] = '\0';
	if (!address[0])
		return;
	fd = http_listen_tcp(address, &error);
	r = fd < 0 ? fd : http_new(lbd->event, fd, &handler, &lbd->metrics, &error);
	if (r < 0) {
		events_add(&lbd->events, LOG_LEVEL_ERROR, "metrics", "address=%s error=\"%s\"", address,
			   events_quoted(error.text, text));
		snprintf(lbd->metrics_error, sizeof(lbd->metrics_error), "%s", error.text);
		return;
	}
	snprintf(lbd->metrics_address, sizeof(lbd->metrics_address), "%s", address);
	log_info("event=metrics address=%s", address);
}
