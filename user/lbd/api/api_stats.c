// SPDX-License-Identifier: GPL-2.0-only
/*
 * What moves: counters, drops, flows, events.
 */
#include "lbd/api/api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lbd/kernel/redirect.h"
#include "lbd/stats/cores.h"
#include "lbd/stats/samples.h"
#include "lbd/stats/stats.h"

static struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"
#include "lbd/api/rendering.h"
#include "lbd/clock.h"
#include "lbd/observe/observe.h"
#include "observe/places.h"

static void write_totals(struct lbd *lbd, struct json *json)
{
	const struct lb_tables *tables = &lbd->maps.tables;
	struct cores_sample cores = cores_sample(lbd);
	struct stats_totals sum = {}, one;

	stats_all(tables, &sum);
	json_object(json, "totals");
	stats_write_totals(json, &sum);
	json_u64(json, "bytes", sum.bytes);
	redirect_write_lost(lbd, json);
	json_object_end(json);
	json_array(json, "cpus");
	for (__u32 cpu = 0; cpu < tables->sizes.cpus; cpu++) {
		stats_cpu(tables, cpu, &one);
		json_object(json, NULL);
		json_u64(json, "cpu", cpu);
		stats_write_totals(json, &one);
		if (cores.n)
			cores_write(&cores, cpu, json);
		json_object_end(json);
	}
	json_array_end(json);
	cores_sample_free(&cores);
}

static void write_service(struct lbd *lbd, const struct lb_service_view *view, struct json *json)
{
	struct lb_counter sum = {}, one;
	struct lb_totals totals;

	json_object(json, NULL);
	json_string(json, "name", view->name);
	json_array(json, "backends");
	for (size_t i = 0; i < view->n_backends; i++) {
		stats_backend(&lbd->maps.tables, view->backends[i].id, &one);
		stats_add(&sum, &one);
		json_object(json, NULL);
		json_string(json, "name", view->backends[i].name);
		stats_write_words(json, &one);
		json_object_end(json);
	}
	json_array_end(json);
	totals = stats_totals_of(&sum);
	if (view->sharers) {
		stats_service(&lbd->maps.tables, view->id, &totals);
		json_string(json, "counted_with", view->lead);
	}
	stats_write_all(json, &totals);
	json_object_end(json);
}

static size_t stats_pieces(const struct lbd *lbd)
{
	return lb_engine_services(lbd->engine) + 2;
}

static void stats_piece(struct lbd *lbd, size_t at, struct json *json)
{
	struct lb_service_view view;

	if (at == 0) {
		json_object(json, NULL);
		json_u64(json, "time_ms", now_ms());
		write_totals(lbd, json);
		json_array(json, "services");
	} else if (at == stats_pieces(lbd) - 1) {
		json_array_end(json);
		json_object_end(json);
	} else if (lb_engine_service(lbd->engine, at - 1, &view) == 0) {
		write_service(lbd, &view, json);
	}
}

int api_stats(struct api_call *call, struct lb_error *error)
{
	static const struct rendering_kind kind = { stats_pieces, stats_piece };

	return rendering_join(call->lbd, &kind, &call->answer->stream, error);
}

int api_drops(struct api_call *call, struct lb_error *error)
{
	__u64 now_s = time(NULL);
	struct samples samples;

	samples_open(&call->lbd->maps, &samples);
	json_array(call->json, "reasons");
	for (const struct reason_text *text = reason_texts; text->name; text++) {
		struct lb_reason_counter sum;

		stats_reason(&call->lbd->maps.tables, text->number, &sum);
		json_object(call->json, NULL);
		json_string(call->json, "reason", text->name);
		json_string(call->json, "action", reason_action_name(text->action));
		json_string(call->json, "help", text->help);
		json_u64(call->json, "packets", sum.packets);
		samples_write(&samples, text->number, call->json);
		json_object_end(call->json);
	}
	json_array_end(call->json);
	samples_close(&samples);
	redirect_write(call->lbd, call->json);
	json_u64(call->json, "since_s",
		 call->lbd->maps.created_s && now_s > call->lbd->maps.created_s
			 ? now_s - call->lbd->maps.created_s
			 : 0);
	return 0;
}

/* --- flows -----------------------------------------------------------------------------------------------
 */

#define FLOWS_LIMIT_MAX 100000u

struct flow_search {
	struct api_call *call;
	const struct lb_service_view *services; /* by service id */
	struct lb_clients clients;              /* those that the observer knows */
	__u64 limit, told, known;
	__u32 only; /* service id; UINT32_MAX: all */
	__u32 now_s;
};

static const char *flow_state_name(__u32 state, __u64 rest)
{
	return state == LB_FLOW_ONCE        ? "seen once"
	       : state == LB_FLOW_EMBRYONIC ? "embryonic"
	       : !lb_numbers_marked(rest)   ? "established"
	       : rest & LB_NUMBERS_RST      ? "reset"
					    : "closing";
}

static const struct lb_backend_view *view_backend(const struct lb_service_view *view, __u32 index)
{
	for (size_t i = 0; i < view->n_backends; i++)
		if (view->backends[i].index == index)
			return &view->backends[i];
	return NULL;
}

/* Where the flow comes from, if the observer follows it. */
static void write_client(struct flow_search *search, __u64 tag)
{
	const struct lb_client *client = lb_clients_find(&search->clients, tag);
	char text[INET6_ADDRSTRLEN];

	if (!client) {
		json_null(search->call->json, "client");
		return;
	}
	inet_ntop(client->family == LB_FAMILY_V4 ? AF_INET : AF_INET6, client->address, text, sizeof(text));
	json_format(search->call->json, "client", client->family == LB_FAMILY_V4 ? "%s:%u" : "[%s]:%u", text,
		    ntohs(client->port));
	search->known++;
}

static void write_flow(struct flow_search *search, __u64 tag, __u64 word, __u64 rest)
{
	struct json *json = search->call->json;
	const struct lb_backend_view *backend;
	const struct lb_service_view *view;
	__u32 service = lb_flow_service(word);

	if (!lb_flow_state(word) || service >= search->call->lbd->maps.tables.sizes.services ||
	    (search->only != UINT32_MAX && search->only != service))
		return;
	view = &search->services[service];
	if (!view->name)
		return;
	backend = view_backend(view, lb_flow_backend(word));
	json_object(json, NULL);
	json_string(json, "service", view->name);
	json_string(json, "backend", backend ? backend->name : NULL);
	json_u64(json, "slot", lb_flow_hash(word) & (view->ring_slots - 1));
	json_string(json, "state", flow_state_name(lb_flow_state(word), rest));
	json_u64(json, "idle_s", lb_flow_age_s(word, search->now_s));
	write_client(search, tag);
	json_object_end(json);
	search->told++;
}

static bool search_flows(struct flow_search *search)
{
	const struct lb_tables *tables = &search->call->lbd->maps.tables;

	for (size_t i = 0; i < tables->sizes.flow_buckets; i++) {
		for (__u32 j = 0; j < LB_FLOWS_PER_BUCKET; j++) {
			__u64 word = LB_LOAD(&tables->flows[i].flow[j].word);

			if (!word)
				continue;
			if (search->told >= search->limit)
				return true;
			write_flow(search, LB_LOAD(&tables->flows[i].flow[j].tag), word,
				   LB_LOAD(&tables->flows[i].flow[j].numbers.rest));
		}
	}
	return false;
}

static int fill_services(struct api_call *call, struct lb_service_view *services)
{
	size_t n = lb_engine_services(call->lbd->engine);
	struct lb_service_view view;

	for (size_t i = 0; i < n; i++)
		if (lb_engine_service(call->lbd->engine, i, &view) == 0 &&
		    view.id < call->lbd->maps.tables.sizes.services)
			services[view.id] = view;
	return 0;
}

int api_flows(struct api_call *call, struct lb_error *error)
{
	const char *only = http_query(call->request, "service");
	struct lb_engine_usage usage;
	struct lb_service_view view = {};
	struct flow_search search = { .call = call, .only = UINT32_MAX };
	struct lb_service_view *services;
	bool truncated;
	int r = api_number(call, "limit", 1000, &search.limit, error);

	if (r < 0)
		return r;
	if (search.limit > FLOWS_LIMIT_MAX)
		search.limit = FLOWS_LIMIT_MAX;
	if (only && *only) {
		if (lb_engine_service_by_name(call->lbd->engine, only, &view) < 0)
			return lb_error_at(error, ESRCH, "service", only, "there is no service \"%s\"", only);
		search.only = view.id;
	}
	services = calloc(call->lbd->maps.tables.sizes.services, sizeof(*services));
	if (!services || observe_clients(call->lbd, &search.clients) < 0) {
		free(services);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	fill_services(call, services);
	search.services = services;
	search.now_s = LB_LOAD(&call->lbd->maps.tables.control->clock_s);
	json_array(call->json, "flows");
	truncated = search_flows(&search);
	json_array_end(call->json);
	lb_engine_get_usage(call->lbd->engine, &usage);
	json_u64(call->json, "total",
		 !truncated  ? search.told
		 : view.name ? view.entries
			     : usage.flow_entries);
	json_bool(call->json, "truncated", truncated);
	json_u64(call->json, "clients_known", search.known);
	lb_clients_done(&search.clients);
	free(services);
	return 0;
}

int api_events(struct api_call *call, struct lb_error *error)
{
	__u64 since;
	int r = api_number(call, "since", 0, &since, error);

	if (r < 0)
		return r;
	events_write(&call->lbd->events, since, call->json);
	return 0;
}
