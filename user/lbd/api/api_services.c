// SPDX-License-Identifier: GPL-2.0-only
/*
 * Services, backends and rings as they are in the tables.
 */
#include "lbd/api/api.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lbd/api/rendering.h"
#include "lbd/api/uneven.h"
#include "lbd/health/health.h"
#include "lbd/state/change.h"
#include "base/cleanup.h"
#include "lb/slot.h"
#include "lbd/stats/drain.h"
#include "lbd/stats/stats.h"
#include "lbd/clock.h"
#include "lbd/state/intent.h"
#include "lbd/kernel/nexthops.h"

static int find_service(struct api_call *call, struct lb_service_view *ret_view, struct lb_error *error)
{
	if (lb_engine_service_by_name(call->lbd->engine, call->service, ret_view) == 0 && ret_view->config)
		return 0;
	return lb_error_at(error, ESRCH, "service", call->service, "there is no service \"%s\"",
			   call->service);
}

static void write_port(struct json *json, const struct lb_config_service *config)
{
	if (config->port_first == config->port_last)
		json_u64(json, "port", config->port_first);
	else if (config->port_first == 0 && config->port_last == 65535)
		json_string(json, "port", "any");
	else
		json_format(json, "port", "%u-%u", config->port_first, config->port_last);
}

/* Members of a service object. */
static void write_service(struct lbd *lbd, const struct lb_service_view *view, struct json *json)
{
	const struct lb_config_service *config = view->config;
	char vip[LB_PREFIX_TEXT_MAX];
	struct lb_totals totals;
	struct lb_counter sum = {};
	__u64 now_s = now_ms() / 1000;
	size_t active = 0;

	for (size_t i = 0; i < view->n_backends; i++) {
		struct lb_counter one;

		stats_backend(&lbd->maps.tables, view->backends[i].id, &one);
		stats_add(&sum, &one);
		active += backend_is_eligible(&view->backends[i]);
	}
	json_string(json, "name", view->name);
	json_string(json, "vip", lb_prefix_text(&config->vip, vip));
	json_string(json, "protocol", config->protocol == IPPROTO_UDP ? "udp" : "tcp");
	write_port(json, config);
	json_string(json, "forward", lb_forward_name(config->forward));
	json_string(json, "algorithm", lb_algorithm_name(config->algorithm));
	json_string(json, "affinity", lb_affinity_name(config->affinity));
	json_u64(json, "ring_size", view->ring_slots);
	if (config->ring[0]) {
		json_string(json, "ring", config->ring);
		json_u64(json, "ring_sharers", view->sharers);
		json_string(json, "counted_with", view->lead);
	}
	json_u64(json, "idle_timeout_s", config->idle_timeout_s);
	json_u64(json, "backends_total", view->n_backends);
	json_u64(json, "backends_active", active);
	json_u64(json, "unsettled_slots", view->unsettled_slots);
	if (view->unsettled_since_s)
		json_u64(json, "unsettled_since_s",
			 now_s > view->unsettled_since_s ? now_s - view->unsettled_since_s : 0);
	else
		json_null(json, "unsettled_since_s");
	json_u64(json, "entries", view->entries);
	totals = stats_totals_of(&sum);
	if (view->sharers)
		stats_service(&lbd->maps.tables, view->id, &totals);
	stats_write_first(json, &totals);
}

static const char *const mtu_from[] = {
	[LB_MTU_FROM_WAY] = "way",
	[LB_MTU_FROM_CONFIGURATION] = "configuration",
	[LB_MTU_FROM_ROUTER] = "router",
	[LB_MTU_FROM_PROBE] = "probe",
};

static void write_nexthop(struct lbd *lbd, const struct lb_service_view *view,
			  const struct lb_backend_view *backend, struct json *json)
{
	const struct lb_nexthop *nexthop = &backend->nexthop;
	struct lb_nexthop_state state;
	const char *why = nexthops_why(lbd, view, backend, &state);
	const struct lb_link *link;

	link = state.ifindex ? lb_nexthops_link(lbd->netlink.nexthops, state.ifindex) : NULL;
	json_object(json, "nexthop");
	json_bool(json, "resolved", nexthop->resolved);
	json_string(json, "interface", link ? link->name : NULL);
	if (nexthop->resolved && !nexthop->local)
		json_format(json, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", nexthop->destination[0],
			    nexthop->destination[1], nexthop->destination[2], nexthop->destination[3],
			    nexthop->destination[4], nexthop->destination[5]);
	else
		json_null(json, "mac");
	if (nexthop->tagged && state.vlan_tag)
		json_u64(json, "vlan", state.vlan_tag & 0xfff);
	json_u64(json, "mtu", nexthop->resolved ? nexthop->mtu : state.mtu);
	json_string(json, "mtu_from", mtu_from[state.mtu_from]);
	json_string(json, "action",
		    !nexthop->resolved        ? NULL
		    : nexthop->local          ? "local"
		    : nexthop->same_interface ? "tx"
					      : "redirect");
	if (!nexthop->resolved)
		json_string(json, "why", why);
	json_object_end(json);
}

/* A backend of the configuration by its name, looked for from *at on: both orders are mostly the same. */
static const struct lb_config_backend *find_configured(const struct lb_config_service *config, size_t *at,
						       const char *name)
{
	for (size_t i = 0; i < config->n_backends; i++) {
		const struct lb_config_backend *backend = &config->backends[(*at)++ % config->n_backends];

		if (strcmp(backend->name, name) == 0)
			return backend;
	}
	return NULL;
}

static void write_when(struct json *json, const char *key, __s64 time_s)
{
	const struct timespec time = { .tv_sec = time_s };

	if (time_s)
		json_time(json, key, &time);
}

/* service: of which it is said, if that is another one that shares the ring. */
static void write_reason(const struct lb_statement *statement, const char *service, struct json *json)
{
	json_object(json, NULL);
	json_string(json, "origin", lb_origin_name(statement->origin));
	if (service)
		json_string(json, "service", service);
	if (statement->source)
		json_string(json, "source", statement->source);
	if (statement->has_state)
		json_string(json, "state", lb_state_name(statement->state));
	if (statement->has_weight)
		json_u64(json, "weight", statement->weight);
	if (statement->has_breaker)
		json_string(json, "breaker", lb_breaker_name(statement->breaker));
	if (statement->has_share)
		json_u64(json, "share_permille", statement->share);
	json_bool(json, "holds", statement->holds);
	if (statement->stale)
		json_bool(json, "stale", true);
	json_string(json, "reason", statement->text);
	write_when(json, "since", statement->since_s);
	write_when(json, "until", statement->until_s);
	if (statement->pid) {
		json_u64(json, "uid", statement->uid);
		json_u64(json, "pid", statement->pid);
	}
	json_object_end(json);
}

/* What is said of the backend in the other services that share the ring, where it is worse off there. */
static void write_others(struct lbd *lbd, const struct lb_config_service *service, const char *backend,
			 const struct lb_effective *mine, struct json *json)
{
	const struct lb_config *config = lbd->running.config;
	struct lb_intent intent = intent_of(lbd, &lbd->running.words);

	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *other = &config->services[i];
		const struct lb_config_backend *configured;
		struct lb_effective theirs;
		size_t at = 0;

		if (other == service || !lb_config_same_ring(other, service))
			continue;
		configured = find_configured(other, &at, backend);
		if (!configured)
			continue;
		lb_intent_resolve(&intent, other, configured, &theirs);
		for (size_t k = 0; k < theirs.n_statements; k++) {
			if (theirs.state > mine->state || theirs.weight < mine->weight)
				write_reason(&theirs.statements[k], other->name, json);
		}
	}
}

/* Why the backend is what it is: everybody who says anything but that it takes its part. */
static void write_reasons(struct lbd *lbd, const struct lb_config_service *service,
			  const struct lb_config_backend *configured, const struct lb_backend_view *backend,
			  struct json *json)
{
	struct lb_intent intent = intent_of(lbd, &lbd->running.words);
	struct lb_effective effective;

	json_array(json, "reasons");
	if (configured) {
		lb_intent_resolve(&intent, service, configured, &effective);
		for (size_t i = 0; i < effective.n_statements; i++)
			write_reason(&effective.statements[i], NULL, json);
		if (backend->state != effective.state || backend->weight != effective.weight)
			write_others(lbd, service, backend->name, &effective, json);
	}
	json_array_end(json);
}

static void write_backend(struct lbd *lbd, const struct lb_service_view *view, size_t i,
			  size_t *configured_at, struct json *json)
{
	const struct lb_backend_view *backend = &view->backends[i];
	const struct lb_config_backend *configured =
		find_configured(view->config, configured_at, backend->name);
	char address[LB_ADDRESS_TEXT_MAX];
	struct lb_counter sum;
	struct lb_totals totals;

	stats_backend(&lbd->maps.tables, backend->id, &sum);
	json_object(json, NULL);
	json_string(json, "service", view->name);
	json_string(json, "name", backend->name);
	json_string(json, "address", lb_address_text(&backend->address, address));
	json_u64(json, "id", backend->id);
	json_u64(json, "index", backend->index);
	json_u64(json, "weight", backend->weight);
	json_string(json, "state", lb_state_name(backend->state));
	json_bool(json, "leaving", backend->leaving);
	drain_write(lbd, backend, view->config->drain_limit_s, json);
	if (configured) {
		json_object(json, "configured");
		json_u64(json, "weight", configured->weight);
		json_string(json, "state", lb_state_name(configured->state));
		json_object_end(json);
	} else {
		json_null(json, "configured");
	}
	write_reasons(lbd, view->config, configured, backend, json);
	write_nexthop(lbd, view, backend, json);
	json_u64(json, "slots", backend->slots_cur);
	json_double(json, "share", view->ring_slots ? (double)backend->slots_cur / view->ring_slots : 0);
	json_u64(json, "slots_base", backend->slots_base);
	json_u64(json, "entries", backend->entries);
	totals = stats_totals_of(&sum);
	stats_write_first(json, &totals);
	json_object_end(json);
}

/* The first piece opens a list, the last one closes it; the others are of one service each. */
static size_t pieces(const struct lbd *lbd)
{
	return lb_engine_services(lbd->engine) + 2;
}

static bool is_end(const struct lbd *lbd, size_t at, const char *list, struct json *json)
{
	if (at == 0) {
		json_object(json, NULL);
		json_array(json, list);
	} else if (at == pieces(lbd) - 1) {
		json_array_end(json);
		json_object_end(json);
	}
	return at == 0 || at == pieces(lbd) - 1;
}

static void services_piece(struct lbd *lbd, size_t at, struct json *json)
{
	struct lb_service_view view;

	if (is_end(lbd, at, "services", json) || lb_engine_service(lbd->engine, at - 1, &view) < 0 ||
	    !view.config)
		return;
	json_object(json, NULL);
	write_service(lbd, &view, json);
	json_object_end(json);
}

int api_services(struct api_call *call, struct lb_error *error)
{
	static const struct rendering_kind kind = { pieces, services_piece };

	return rendering_join(call->lbd, &kind, &call->answer->stream, error);
}

static void write_source_ranges(const struct lb_config_service *config, struct json *json)
{
	char text[LB_PREFIX_TEXT_MAX];

	json_array(json, "source_ranges");
	for (size_t i = 0; i < config->n_source_ranges; i++)
		json_string(json, NULL, lb_prefix_text(&config->source_ranges[i].prefix, text));
	json_array_end(json);
}

int api_service(struct api_call *call, struct lb_error *error)
{
	struct lb_service_view view;
	size_t configured_at = 0;
	int r = find_service(call, &view, error);

	if (r < 0)
		return r;
	write_service(call->lbd, &view, call->json);
	write_source_ranges(view.config, call->json);
	health_write_service(call->lbd, view.name, call->json);
	json_array(call->json, "backends");
	for (size_t i = 0; i < view.n_backends; i++)
		write_backend(call->lbd, &view, i, &configured_at, call->json);
	json_array_end(call->json);
	return 0;
}

static void backends_piece(struct lbd *lbd, size_t at, struct json *json)
{
	struct lb_service_view view;
	size_t configured_at = 0;

	if (is_end(lbd, at, "backends", json) || lb_engine_service(lbd->engine, at - 1, &view) < 0 ||
	    !view.config)
		return;
	for (size_t j = 0; j < view.n_backends; j++)
		write_backend(lbd, &view, j, &configured_at, json);
}

int api_backends(struct api_call *call, struct lb_error *error)
{
	static const struct rendering_kind kind = { pieces, backends_piece };

	return rendering_join(call->lbd, &kind, &call->answer->stream, error);
}

/* --- ring ------------------------------------------------------------------------------------------------
 */

static __u32 slot_word(const struct lbd *lbd, const struct lb_service_view *view, __u32 slot)
{
	const struct lb_ring_line *lines = &lbd->maps.tables.rings[view->ring_line];

	return __atomic_load_n(&lines[slot / LB_SLOTS_PER_LINE].slot[slot % LB_SLOTS_PER_LINE],
			       __ATOMIC_RELAXED);
}

static void write_owners(const struct lb_service_view *view, struct json *json)
{
	__u64 weights = 0, slots = 0;
	double most = 0;

	for (size_t i = 0; i < view->n_backends; i++) {
		weights += backend_is_eligible(&view->backends[i]) ? view->backends[i].weight : 0;
		slots += view->backends[i].slots_cur;
	}
	json_array(json, "owners");
	for (size_t i = 0; i < view->n_backends; i++) {
		const struct lb_backend_view *backend = &view->backends[i];
		double expected =
			backend_is_eligible(backend) && weights ? (double)backend->weight / weights : 0;
		double share = slots ? (double)backend->slots_cur / slots : 0;

		if (expected > 0 && share / expected > most)
			most = share / expected;
		json_object(json, NULL);
		json_string(json, "backend", backend->name);
		json_u64(json, "slots", backend->slots_cur);
		json_double(json, "share", share);
		json_double(json, "expected_share", expected);
		json_object_end(json);
	}
	json_array_end(json);
	json_double(json, "max_over_mean", most);
}

static void write_index(struct json *json, __u32 index)
{
	if (index == LB_INDEX_NONE)
		json_null(json, NULL);
	else
		json_u64(json, NULL, index);
}

static void write_slots(const struct lbd *lbd, const struct lb_service_view *view, struct json *json)
{
	json_array(json, "slots");
	for (__u32 i = 0; i < view->ring_slots; i++) {
		__u32 slot = slot_word(lbd, view, i);

		json_array(json, NULL);
		write_index(json, lb_slot_cur(slot));
		write_index(json, lb_slot_base(slot));
		json_u64(json, NULL, !lb_slot_settled(slot));
		json_array_end(json);
	}
	json_array_end(json);
}

int api_ring(struct api_call *call, struct lb_error *error)
{
	struct lb_service_view view;
	__u32 next = 0;
	int r = find_service(call, &view, error);

	if (r < 0)
		return r;
	json_string(call->json, "service", view.name);
	json_string(call->json, "algorithm", lb_algorithm_name(view.config->algorithm));
	json_u64(call->json, "size", view.ring_slots);
	json_u64(call->json, "generation", lb_engine_generation(call->lbd->engine));
	json_u64(call->json, "unsettled_slots", view.unsettled_slots);
	write_owners(&view, call->json);
	json_array(call->json, "backends");
	for (size_t i = 0; i < view.n_backends; i++) {
		while (next++ < view.backends[i].index)
			json_null(call->json, NULL);
		json_string(call->json, NULL, view.backends[i].name);
	}
	json_array_end(call->json);
	if (api_flag(call, "dump"))
		write_slots(call->lbd, &view, call->json);
	return 0;
}
