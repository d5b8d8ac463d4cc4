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

/* What is gathered of the counters: of all CPUs, and of the one that is being added up. What the kernel says
 * of all cores costs as much as they are many: it is asked once. */
struct stats_sum {
	struct stats_totals all, cpu;
	struct cores_sample cores;
};

/* Parts: what is written last stands first. */
enum { PART_TOTALS, PART_REST, STATS_PARTS };

static void write_totals(struct lbd *lbd, const struct stats_totals *sum, struct json *json)
{
	json_object(json, NULL);
	json_u64(json, "time_ms", now_ms());
	json_object(json, "totals");
	stats_write_totals(json, sum);
	json_u64(json, "bytes", sum->bytes);
	redirect_write_lost(lbd, json);
	json_object_end(json);
}

static void forget_cores(void *state)
{
	struct stats_sum *sum = state;

	cores_sample_free(&sum->cores);
}

static void write_cpu(const struct stats_sum *sum, __u32 cpu, struct json *json)
{
	json_object(json, NULL);
	json_u64(json, "cpu", cpu);
	stats_write_totals(json, &sum->cpu);
	if (sum->cores.n)
		cores_write(&sum->cores, cpu, json);
	json_object_end(json);
}

static size_t cpu_step(const struct rendering_step *step, __u32 cpu)
{
	struct stats_sum *sum = step->state;
	struct json *json = &step->parts[PART_REST];
	size_t next = stats_cpu_step(&step->lbd->maps.tables, cpu, step->from, &sum->cpu);

	if (next)
		return next;
	if (cpu == 0) {
		sum->cores = cores_sample(step->lbd);
		json->comma = true;
		json_array(json, "cpus");
	}
	write_cpu(sum, cpu, json);
	stats_add_totals(&sum->all, &sum->cpu);
	sum->cpu = (struct stats_totals){};
	if (cpu + 1 == step->lbd->maps.tables.sizes.cpus) {
		json_array_end(json);
		json_array(json, "services");
	}
	return 0;
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

/* Each CPU, each service, and the end. */
static size_t stats_pieces(const struct lbd *lbd)
{
	return lbd->maps.tables.sizes.cpus + lb_engine_services(lbd->engine) + 1;
}

static size_t stats_step(const struct rendering_step *step)
{
	size_t cpus = step->lbd->maps.tables.sizes.cpus;
	struct json *json = &step->parts[PART_REST];
	struct stats_sum *sum = step->state;
	struct lb_service_view view;

	if (step->piece < cpus)
		return cpu_step(step, (__u32)step->piece);
	if (step->piece == stats_pieces(step->lbd) - 1) {
		write_totals(step->lbd, &sum->all, &step->parts[PART_TOTALS]);
		json_array_end(json);
		json_object_end(json);
	} else if (lb_engine_service(step->lbd->engine, step->piece - cpus, &view) == 0) {
		write_service(step->lbd, &view, json);
	}
	return 0;
}

int api_stats(struct api_call *call, struct lb_error *error)
{
	static const struct rendering_kind kind = { .pieces = stats_pieces,
						    .step = stats_step,
						    .parts = STATS_PARTS,
						    .state_bytes = sizeof(struct stats_sum),
						    .forget = forget_cores };

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

/* A flow as it was met. */
struct met_flow {
	__u64 tag, word, rest;
};

struct flow_search {
	struct api_call *call;
	struct met_flow *flows; /* so many as there may be told */
	size_t n;
	__u64 limit, known;
	__u64 entries; /* that there are of what is searched, as of the last whole sweep */
	__u32 only;    /* service id; UINT32_MAX: all */
	__u32 now_s;
	struct lb_clients clients; /* those that the observer knows */
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

static void write_flow(struct flow_search *search, const struct met_flow *flow,
		       const struct lb_service_view *view)
{
	struct json *json = search->call->json;
	const struct lb_backend_view *backend = view_backend(view, lb_flow_backend(flow->word));

	json_object(json, NULL);
	json_string(json, "service", view->name);
	json_string(json, "backend", backend ? backend->name : NULL);
	json_u64(json, "slot", lb_flow_hash(flow->word) & (view->ring_slots - 1));
	json_string(json, "state", flow_state_name(lb_flow_state(flow->word), flow->rest));
	json_u64(json, "idle_s", lb_flow_age_s(flow->word, search->now_s));
	write_client(search, flow->tag);
	json_object_end(json);
}

static void meet(struct flow_search *search, const struct lb_flow *flow)
{
	__u64 word = LB_LOAD(&flow->word);

	if (!lb_flow_state(word) || (search->only != UINT32_MAX && search->only != lb_flow_service(word)))
		return;
	search->flows[search->n++] = (struct met_flow){ .tag = LB_LOAD(&flow->tag),
							.word = word,
							.rest = LB_LOAD(&flow->numbers.rest) };
}

#define BUCKETS_AT_ONCE 1024u

/* As many as there may be told; whether the table has more. */
static bool search_flows(struct flow_search *search)
{
	const struct lb_tables *tables = &search->call->lbd->maps.tables;

	for (size_t i = 0; i < tables->sizes.flow_buckets; i++) {
		for (__u32 j = 0; j < LB_FLOWS_PER_BUCKET; j++) {
			if (!LB_LOAD(&tables->flows[i].flow[j].word))
				continue;
			if (search->n >= search->limit)
				return true;
			meet(search, &tables->flows[i].flow[j]);
		}
		if (i % BUCKETS_AT_ONCE == 0)
			task_pause();
	}
	return false;
}

static int by_service(const void *a, const void *b)
{
	const struct met_flow *left = a, *right = b;
	__u32 left_service = lb_flow_service(left->word), right_service = lb_flow_service(right->word);

	if (left_service != right_service)
		return left_service < right_service ? -1 : 1;
	return (left->tag > right->tag) - (left->tag < right->tag);
}

/* The first flow of a service, in their order. */
static size_t first_of(const struct flow_search *search, __u32 service)
{
	size_t low = 0, high = search->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lb_flow_service(search->flows[middle].word) < service)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* In order of the services; those whose service is gone are not told. How many are. */
static size_t write_flows(struct flow_search *search)
{
	struct lb_engine *engine = search->call->lbd->engine;
	struct lb_service_view view;
	size_t told = 0;

	qsort(search->flows, search->n, sizeof(*search->flows), by_service);
	for (size_t i = 0; lb_engine_service(engine, i, &view) == 0; i++) {
		size_t at = first_of(search, view.id);

		for (; at < search->n && lb_flow_service(search->flows[at].word) == view.id; at++, told++)
			write_flow(search, &search->flows[at], &view);
		lb_engine_forget_views(engine);
		task_pause();
	}
	return told;
}

static int read_search(struct api_call *call, struct flow_search *search, struct lb_error *error)
{
	const char *only = http_query(call->request, "service");
	struct lb_service_view view;
	int r = api_number(call, "limit", 1000, &search->limit, error);

	if (r < 0)
		return r;
	if (search->limit > FLOWS_LIMIT_MAX)
		search->limit = FLOWS_LIMIT_MAX;
	if (!only || !*only)
		return 0;
	if (lb_engine_service_by_name(call->lbd->engine, only, &view) < 0)
		return lb_error_at(error, ESRCH, "service", only, "there is no service \"%s\"", only);
	search->only = view.id;
	search->entries = view.entries;
	return 0;
}

int api_flows(struct api_call *call, struct lb_error *error)
{
	struct flow_search search = { .call = call, .only = UINT32_MAX };
	struct lb_engine_usage usage;
	bool truncated;
	size_t told;
	int r;

	lb_engine_get_usage(call->lbd->engine, &usage);
	search.entries = usage.flow_entries;
	r = read_search(call, &search, error);
	if (r < 0)
		return r;
	search.flows = calloc(search.limit + 1, sizeof(*search.flows));
	if (!search.flows || observe_clients(call->lbd, &search.clients) < 0) {
		free(search.flows);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	search.now_s = LB_LOAD(&call->lbd->maps.tables.control->clock_s);
	truncated = search_flows(&search);
	json_array(call->json, "flows");
	told = write_flows(&search);
	json_array_end(call->json);
	json_u64(call->json, "total", truncated ? search.entries : told);
	json_bool(call->json, "truncated", truncated);
	json_u64(call->json, "clients_known", search.known);
	lb_clients_done(&search.clients);
	free(search.flows);
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
