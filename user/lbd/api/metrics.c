// SPDX-License-Identifier: GPL-2.0-only
/*
 * The Prometheus text format, version 0.0.4.
 */
#include "lbd/api/metrics.h"

#include "lbd/api/rendering.h"

#include <net/if.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/health/health.h"
#include "lbd/kernel/redirect.h"
#include "lbd/state/drift.h"
#include "lbd/stats/stats.h"
#include "lbd/clock.h"

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

static void head(struct json *out, const char *name, const char *type, const char *help)
{
	line(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_totals(struct lbd *lbd, struct json *out)
{
	struct stats_totals totals;

	stats_all(&lbd->maps.tables, &totals);
	head(out, "weir_packets_total", "counter", "Packets by what became of them; rx is the sum.");
	line(out, "weir_packets_total{what=\"rx\"} %llu\n", totals.rx);
	line(out, "weir_packets_total{what=\"tx\"} %llu\n", totals.tx);
	line(out, "weir_packets_total{what=\"redirect\"} %llu\n", totals.redirect);
	line(out, "weir_packets_total{what=\"pass\"} %llu\n", totals.pass);
	line(out, "weir_packets_total{what=\"drop\"} %llu\n", totals.drop);
	head(out, "weir_reason_packets_total", "counter", "Packets that were not forwarded, by reason.");
	for (const struct reason_text *text = reason_texts; text->name; text++) {
		struct lb_reason_counter sum;

		stats_reason(&lbd->maps.tables, text->number, &sum);
		line(out, "weir_reason_packets_total{reason=\"%s\",action=\"%s\"} %llu\n", text->name,
		     reason_action_name(text->action), sum.packets);
	}
}

/* Behind the packet path: by interface, what its driver took, or refused. */
static void write_behind(struct lbd *lbd, struct json *out, enum redirect_way way, bool lost,
			 const char *metric, const char *help)
{
	size_t n;
	_cleanup_(freep) struct redirect_sum *sums = redirect_sums(lbd, way, &n);
	char name[IF_NAMESIZE];

	head(out, metric, "counter", help);
	for (size_t i = 0; i < n; i++)
		line(out, "%s{interface=\"%s\",ifindex=\"%u\"} %llu\n", metric,
		     redirect_interface(lbd, sums[i].ifindex, name), sums[i].ifindex,
		     lost ? sums[i].lost : sums[i].sent);
}

static void write_redirects(struct lbd *lbd, struct json *out)
{
	write_behind(lbd, out, REDIRECT_ON, false, "weir_redirect_sent_packets_total",
		     "Redirected packets that the egress interface took.");
	write_behind(lbd, out, REDIRECT_ON, true, "weir_redirect_lost_packets_total",
		     "Redirected packets that the egress interface refused; also counted as redirect.");
	write_behind(lbd, out, REDIRECT_TX, true, "weir_tx_lost_packets_total",
		     "Packets that the interface they were sent back out by refused; also counted as tx.");
}

/* Names are checked to be of letters that need no escape (weir.json(5)). */
typedef void backend_line(struct lbd *lbd, struct json *out, const struct lb_service_view *view,
			  const struct lb_backend_view *backend, const struct lb_counter *sum);

static void each_backend(struct lbd *lbd, struct json *out, size_t service, backend_line *write)
{
	struct lb_service_view view;

	if (lb_engine_service(lbd->engine, service, &view) < 0)
		return;
	for (size_t j = 0; j < view.n_backends; j++) {
		struct lb_counter sum;

		stats_backend(&lbd->maps.tables, view.backends[j].id, &sum);
		write(lbd, out, &view, &view.backends[j], &sum);
	}
}

#define BACKEND_LINE(function, metric, value)                                                                \
	static void function(struct lbd *lbd, struct json *out, const struct lb_service_view *view,          \
			     const struct lb_backend_view *backend, const struct lb_counter *sum)            \
	{                                                                                                    \
		line(out, metric "{service=\"%s\",backend=\"%s\"} %llu\n", view->name, backend->name,        \
		     (unsigned long long)(value));                                                           \
	}

BACKEND_LINE(write_packets, "weir_backend_packets_total", sum->tx_packets + sum->redirect_packets)
BACKEND_LINE(write_bytes, "weir_backend_bytes_total", sum->tx_bytes + sum->redirect_bytes)
BACKEND_LINE(write_syns, "weir_backend_syns_total", sum->syn_packets)
BACKEND_LINE(write_refused, "weir_backend_refused_inserts_total", sum->refused_inserts)
BACKEND_LINE(write_slots, "weir_backend_slots", backend->slots_cur)
BACKEND_LINE(write_weight, "weir_backend_weight", backend->weight)
BACKEND_LINE(write_resolved, "weir_backend_nexthop_resolved", backend->nexthop.resolved)
BACKEND_LINE(write_entries, "weir_backend_flow_entries", backend->entries)

/* Of backends that are draining alone: the others have nothing to say. */
#define DRAINING_LINE(function, metric, value)                                                               \
	static void function(struct lbd *lbd, struct json *out, const struct lb_service_view *view,          \
			     const struct lb_backend_view *backend, const struct lb_counter *sum)            \
	{                                                                                                    \
		if (backend->draining)                                                                       \
			line(out, metric "{service=\"%s\",backend=\"%s\"} %u\n", view->name, backend->name,  \
			     (unsigned int)(value));                                                         \
	}

DRAINING_LINE(write_drained, "weir_backend_drained", backend->drained)
DRAINING_LINE(write_draining_slots, "weir_backend_draining_slots", backend->slots_base)

static const struct family {
	const char *name, *type, *help;
	backend_line *write;
} families[] = {
	{ "weir_backend_packets_total", "counter", "Packets forwarded to a backend.", write_packets },
	{ "weir_backend_bytes_total", "counter", "Bytes of frames, as received, forwarded to a backend.",
	  write_bytes },
	{ "weir_backend_syns_total", "counter", "TCP connection attempts sent to a backend.", write_syns },
	{ "weir_backend_refused_inserts_total", "counter",
	  "New flows of moved slots that could not be remembered.", write_refused },
	{ "weir_backend_slots", "gauge", "Ring slots whose new flows go to the backend.", write_slots },
	{ "weir_backend_weight", "gauge", "Weight in force.", write_weight },
	{ "weir_backend_nexthop_resolved", "gauge", "1 if packets can be sent to the backend.",
	  write_resolved },
	{ "weir_backend_flow_entries", "gauge", "Flow table entries that name the backend.", write_entries },
	{ "weir_backend_drained", "gauge",
	  "Of backends that drain or leave: 1 when no slot and no flow entry names it any more.",
	  write_drained },
	{ "weir_backend_draining_slots", "gauge",
	  "Of backends that drain or leave: ring slots that are kept for their old flows.",
	  write_draining_slots },
};

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

static void write_gauges(struct lbd *lbd, struct json *out)
{
	const struct lb_table_sizes *sizes = &lbd->maps.tables.sizes;
	struct lb_engine_usage usage;

	lb_engine_get_usage(lbd->engine, &usage);
	head(out, "weir_build_info", "gauge", "1, with the version as a label.");
	line(out, "weir_build_info{version=\"%s\"} 1\n", lbd_version);
	head(out, "weir_generation", "gauge", "Number of the generation that packets see.");
	line(out, "weir_generation %llu\n", lb_engine_generation(lbd->engine));
	head(out, "weir_uptime_seconds", "gauge", "Age of the agent.");
	line(out, "weir_uptime_seconds %llu\n", (now_ms() - lbd->started_ms) / 1000);
	head(out, "weir_flow_entries", "gauge", "Entries of the flow table at the last complete sweep.");
	line(out, "weir_flow_entries %llu\n", usage.flow_entries);
	head(out, "weir_flow_capacity", "gauge", "Places in the flow table.");
	line(out, "weir_flow_capacity %llu\n", (__u64)sizes->flow_buckets * LB_FLOWS_PER_BUCKET);
	head(out, "weir_unresolved_backends", "gauge", "Backends without a next hop.");
	line(out, "weir_unresolved_backends %zu\n", lbd->n_unresolved);
	head(out, "weir_config_drift_keys", "gauge",
	     "Keys of the configuration file that are otherwise in what runs.");
	line(out, "weir_config_drift_keys %zu\n", drift_keys(lbd));
	head(out, "weir_interface_attached", "gauge", "1 if the packet path runs on the interface.");
	for (size_t i = 0; i < lbd->n_attachments; i++)
		line(out, "weir_interface_attached{interface=\"%s\"} %d\n", lbd->attachments[i].wanted.name,
		     lbd->attachments[i].by != ATTACHED_NOT);
}

/* What was found otherwise than it had been left, and made good. */
static void write_repairs(const struct lbd *lbd, struct json *out)
{
	head(out, "weir_repairs_total", "counter",
	     "Links, pins and sockets that somebody took away, made anew.");
	line(out, "weir_repairs_total{what=\"link\"} %llu\n", lbd->repairs.links);
	line(out, "weir_repairs_total{what=\"pin\"} %llu\n", lbd->repairs.pins);
	line(out, "weir_repairs_total{what=\"socket\"} %llu\n", lbd->repairs.sockets);
}

static const char *not_ready(const struct lbd *lbd)
{
	if (!lbd->running.config)
		return "no configuration is running\n";
	for (size_t i = 0; i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by == ATTACHED_NOT)
			return "an interface is not attached\n";
	return NULL;
}

/* The first piece is what there is one of; then come the families, by service: their heads with the first. */
static size_t pieces(const struct lbd *lbd)
{
	return 1 + N_FAMILIES * (lb_engine_services(lbd->engine) + 1);
}

static void piece(struct lbd *lbd, size_t at, struct json *out)
{
	size_t services = lb_engine_services(lbd->engine) + 1;
	const struct family *family;

	if (at == 0) {
		write_gauges(lbd, out);
		write_totals(lbd, out);
		write_redirects(lbd, out);
		write_repairs(lbd, out);
		health_metrics(lbd, out);
		return;
	}
	family = &families[(at - 1) / services];
	at = (at - 1) % services;
	if (at == 0)
		head(out, family->name, family->type, family->help);
	else
		each_backend(lbd, out, at - 1, family->write);
}

bool metrics_answer(struct lbd *lbd, const struct http_request *request, struct http_answer *answer)
{
	static const struct rendering_kind kind = { pieces, piece };
	const char *why;

	if (strcmp(request->method, "GET") != 0)
		return false;
	if (strcmp(request->path, "/metrics") == 0) {
		answer->type = "text/plain; version=0.0.4; charset=utf-8";
		/* Without memory there is neither a stream nor a body, which the server answers with 500. */
		(void)rendering_join(lbd, &kind, &answer->stream, NULL);
		return true;
	}
	if (strcmp(request->path, "/healthz") != 0 && strcmp(request->path, "/readyz") != 0)
		return false;
	answer->type = "text/plain; charset=utf-8";
	why = strcmp(request->path, "/readyz") == 0 ? not_ready(lbd) : NULL;
	answer->status = why ? 503 : 200;
	line(&answer->body, "%s", why ? why : "ok\n");
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
		line(&answer->body, "there are /metrics, /healthz and /readyz\n");
	}
}

static size_t body_limit(void *context, const char *method, const char *path)
{
	return 0;
}

void metrics_close(struct lbd *lbd)
{
	http_free(lbd->metrics);
	lbd->metrics = NULL;
	lbd->metrics_address[0] = '\0';
}

void metrics_update(struct lbd *lbd)
{
	const struct http_handler handler = { .handle = handle, .body_limit = body_limit, .context = lbd };
	const char *address = lbd->running.config->api.metrics;
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
		events_add(&lbd->events, LOG_LEVEL_ERROR, "metrics", "%s", error.text);
		snprintf(lbd->metrics_error, sizeof(lbd->metrics_error), "%s", error.text);
		return;
	}
	snprintf(lbd->metrics_address, sizeof(lbd->metrics_address), "%s", address);
	log_info("event=metrics address=%s", address);
}
