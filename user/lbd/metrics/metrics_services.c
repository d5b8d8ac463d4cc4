// SPDX-License-Identifier: GPL-2.0-only
/*
 * /metrics/services and /metrics/backends: what is too much for one scrape, in shards of services. A backend
 * that was given another address is there twice for a while, under the same name: it is told of once.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/counts.h"
#include "lbd/clock.h"
#include "lbd/health/health.h"
#include "lbd/metrics/metrics.h"
#include "lbd/observe/observe_metrics.h"

#define BACKENDS_AT_ONCE 256u

static size_t pieces(const struct lbd *lbd)
{
	return 1 + lb_engine_services(lbd->engine) + 1;
}

/* --- services --------------------------------------------------------------------------------------------
 */

static void service_step(const struct rendering_step *step, const struct lb_service_view *view)
{
	const struct lb_tables *tables = &step->lbd->maps.tables;
	struct lb_totals sum;
	struct json *parts = step->parts;
	struct metric_labels labels;
	__u64 now_s = now_ms() / 1000;
	size_t draining = 0;

	lb_counts_gone(tables, view->id, &sum);
	for (size_t i = 0; i < view->n_backends; i++) {
		/* Where services share a ring, its backends are told of once. */
		if (view->lead)
			break;
		lb_counts_add(tables, view->backends[i].id, &sum);
		draining += view->backends[i].draining;
	}
	metric_labels_begin(&labels);
	metric_label(&labels, "service", view->name);
	metric_u64(parts, METRIC_SERVICE_FLOW_ENTRIES, &labels, view->entries);
#define X(A, total, TOTAL, unit, kept, metric, column, help)                                                 \
	metric_u64(parts, METRIC_SERVICE_##TOTAL, &labels, sum.total);
	LB_TOTALS_MORE(X, )
#undef X
	metric_u64(parts, METRIC_SERVICE_UNSETTLED_SECONDS, &labels,
		   view->unsettled_since_s && now_s > view->unsettled_since_s
			   ? now_s - view->unsettled_since_s
			   : 0);
	metric_u64(parts, METRIC_SERVICE_DRAINING, &labels, draining);
	health_metrics_detail(step->lbd, view->name, &labels, parts);
	if (view->config && view->config->protocol == IPPROTO_TCP)
		observe_metrics_service(step->lbd, view->name, &labels, parts);
}

static size_t step_services(const struct rendering_step *step)
{
	struct lb_service_view view;

	if (step->piece == 0)
		metric_heads(step->parts, METRIC_SCOPE_SERVICE_DETAIL, step->wish->openmetrics);
	else if (step->piece == pieces(step->lbd) - 1)
		metric_end(step->parts, step->wish->openmetrics);
	else if (metrics_service_at(step, 1, &view))
		service_step(step, &view);
	return 0;
}

const struct rendering_kind metrics_services = {
	.pieces = pieces,
	.step = step_services,
	.parts = METRIC_PARTS,
	.readers_max = METRICS_READERS_MAX,
};

/* --- backends --------------------------------------------------------------------------------------------
 */

/* By name; of the same name the configured one first. */
static int compare(const void *a, const void *b)
{
	const struct lb_backend_view *const *left = a, *const *right = b;
	int order = strcmp((*left)->name, (*right)->name);

	if (order)
		return order;
	if ((*left)->leaving != (*right)->leaving)
		return (*left)->leaving ? 1 : -1;
	return (*left)->index < (*right)->index ? -1 : 1;
}

/* Pointers to the views, so that those of one backend stand together. NULL: out of memory. */
static const struct lb_backend_view **sorted(const struct lb_service_view *view)
{
	const struct lb_backend_view **backends = calloc(view->n_backends + 1, sizeof(const void *));
	bool leaving = false;

	for (size_t i = 0; backends && i < view->n_backends; i++) {
		backends[i] = &view->backends[i];
		leaving |= view->backends[i].leaving;
	}
	if (leaving && backends)
		qsort(backends, view->n_backends, sizeof(const void *), compare);
	return backends;
}

static void write_info(const struct lb_backend_view *backend, struct metric_labels *labels,
		       struct json *parts)
{
	char address[LB_ADDRESS_TEXT_MAX];
	size_t length = labels->length;

	metric_label(labels, "address", lb_address_text(&backend->address, address));
	metric_label(labels, "leaving", backend->leaving ? "yes" : "no");
	metric_u64(parts, METRIC_BACKEND_INFO, labels, 1);
	metric_labels_cut(labels, length);
}

/* The n views of one backend: those behind the first are what it was at other addresses, and leaves. */
static void write_backend(const struct rendering_step *step, const struct lb_backend_view *const *views,
			  size_t n, struct metric_labels *labels)
{
	const struct lb_tables *tables = &step->lbd->maps.tables;
	__u64 slots = 0, entries = 0, draining_slots = 0;
	const struct lb_backend_view *draining = NULL;
	struct json *parts = step->parts;
	struct lb_totals sum = {};
	bool drained = true;

	for (size_t i = 0; i < n; i++) {
		lb_counts_add(tables, views[i]->id, &sum);
		slots += views[i]->slots_cur;
		entries += views[i]->entries;
		if (!views[i]->draining)
			continue;
		draining = draining && draining->draining_s > views[i]->draining_s ? draining : views[i];
		drained &= views[i]->drained;
		draining_slots += views[i]->slots_base;
	}
	write_info(views[0], labels, parts);
#define X(A, total, TOTAL, unit, kept, metric, column, help)                                                 \
	metric_u64(parts, METRIC_BACKEND_##TOTAL, labels, sum.total);
	LB_TOTALS(X, )
#undef X
	metric_u64(parts, METRIC_BACKEND_SLOTS, labels, slots);
	metric_u64(parts, METRIC_BACKEND_WEIGHT, labels, views[0]->weight);
	metric_u64(parts, METRIC_BACKEND_STATE, labels, views[0]->state);
	metric_u64(parts, METRIC_BACKEND_RESOLVED, labels, views[0]->nexthop.resolved);
	metric_u64(parts, METRIC_BACKEND_FLOW_ENTRIES, labels, entries);
	if (!draining)
		return;
	metric_u64(parts, METRIC_BACKEND_DRAINED, labels, drained);
	metric_u64(parts, METRIC_BACKEND_DRAINING_SLOTS, labels, draining_slots);
	metric_u64(parts, METRIC_BACKEND_DRAINING_SECONDS, labels, draining->draining_s);
}

static size_t backends_step(const struct rendering_step *step, const struct lb_service_view *view)
{
	_cleanup_(freep) const struct lb_backend_view **backends = sorted(view);
	size_t i = step->from, end = step->from + BACKENDS_AT_ONCE;
	struct metric_labels labels;
	size_t service;

	if (!backends) {
		step->parts[0].failed = true;
		return 0;
	}
	metric_labels_begin(&labels);
	metric_label(&labels, "service", view->name);
	service = labels.length;
	while (i < view->n_backends && i < end) {
		size_t n = 1;

		while (i + n < view->n_backends && strcmp(backends[i + n]->name, backends[i]->name) == 0)
			n++;
		metric_label(&labels, "backend", backends[i]->name);
		if (!view->lead)
			write_backend(step, &backends[i], n, &labels);
		observe_metrics_backend(step->lbd, view->name, backends[i]->name, &labels, step->parts);
		metric_labels_cut(&labels, service);
		i += n;
	}
	health_metrics_backends(step->lbd, view->name, step->from, i < view->n_backends ? i : SIZE_MAX,
				&labels, step->parts);
	return i < view->n_backends ? i : 0;
}

static size_t step_backends(const struct rendering_step *step)
{
	struct lb_service_view view;

	if (step->piece == 0)
		metric_heads(step->parts, METRIC_SCOPE_BACKEND, step->wish->openmetrics);
	else if (step->piece == pieces(step->lbd) - 1)
		metric_end(step->parts, step->wish->openmetrics);
	else if (metrics_service_at(step, 1, &view))
		return backends_step(step, &view);
	return 0;
}

const struct rendering_kind metrics_backends = {
	.pieces = pieces,
	.step = step_backends,
	.parts = METRIC_PARTS,
	.readers_max = METRICS_READERS_MAX,
};
