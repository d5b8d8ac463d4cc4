// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the observer saw: of all services, in a few words; of one, with its backends and histograms. Figures
 * are estimates: each flow that was seen stands for as many as were not.
 */
#include "lbd/api/api.h"

#include <errno.h>
#include <string.h>

#include "lbd/api/rendering.h"
#include "lbd/clock.h"
#include "lbd/observe/observe.h"

#define RECENT_S         60u
#define BACKENDS_AT_ONCE 64u

static void write_sampling(const struct lbd *lbd, struct json *json)
{
	struct observe_state state;

	observe_get_state(lbd, &state);
	json_object(json, "sampling");
	json_bool(json, "on", state.on);
	json_u64(json, "one_in", 1ull << state.level);
	json_bool(json, "estimated", state.level > 0);
	json_double(json, "cost_ratio", state.cost_ratio);
	json_u64(json, "agent_ns", state.agent_ns);
	json_u64(json, "packets", state.packets);
	json_u64(json, "events", state.events);
	json_u64(json, "events_lost", state.events_lost);
	json_u64(json, "handshakes_refused", state.handshakes_refused);
	json_u64(json, "handshakes_replaced", state.handshakes_replaced);
	json_u64(json, "connections_refused", state.connections_refused);
	json_u64(json, "events_unknown", state.unknown);
	json_u64(json, "events_malformed", state.malformed);
	json_object_end(json);
}

static void write_quantiles(struct json *json, const char *key, const struct lb_tally_histogram *histogram)
{
	json_object(json, key);
	json_u64(json, "p50", lb_tally_quantile(histogram, 0.5));
	json_u64(json, "p90", lb_tally_quantile(histogram, 0.9));
	json_u64(json, "p99", lb_tally_quantile(histogram, 0.99));
	json_object_end(json);
}

static void write_histogram(struct json *json, const char *key, const struct lb_tally_histogram *histogram)
{
	json_array(json, key);
	for (unsigned int i = 0; i < LB_TALLY_BUCKETS; i++) {
		if (!histogram->bucket[i])
			continue;
		json_object(json, NULL);
		json_u64(json, "below_ns", i == LB_TALLY_BUCKETS - 1 ? UINT64_MAX : lb_tally_bound_ns(i));
		json_u64(json, "flows", histogram->bucket[i]);
		json_object_end(json);
	}
	json_array_end(json);
}

static void write_recent(struct json *json, const struct lb_tally *tally)
{
	struct lb_tally_window window;

	lb_tally_recent(tally, now_ms() / 1000, RECENT_S, &window);
	json_object(json, "recent");
	json_u64(json, "seconds", RECENT_S);
	json_u64(json, "started", window.started);
	json_u64(json, "retried", window.retried);
	json_u64(json, "gave_up", window.gave_up);
	json_u64(json, "completed", window.completed);
	json_u64(json, "resets", window.resets);
	json_u64(json, "resent", window.resent);
	json_object_end(json);
}

/* Members; of what nothing was seen all is zero. */
static void write_tally(const struct lbd *lbd, const struct lb_tally *seen, bool whole, struct json *json)
{
	static const struct lb_tally nothing;
	const struct lb_tally *tally = seen ? seen : &nothing;

	json_u64(json, "sampled", tally->sampled);
	json_u64(json, "open", seen ? observe_open_connections(lbd, tally) : 0);
	for (size_t i = 0; i < LB_TALLY_COUNT; i++)
		json_u64(json, lb_tally_names[i], tally->sums[i]);
	write_quantiles(json, "handshake_ns", &tally->handshake);
	write_quantiles(json, "duration_ns", &tally->duration);
	write_recent(json, tally);
	if (!whole)
		return;
	write_histogram(json, "handshake_histogram", &tally->handshake);
	write_histogram(json, "duration_histogram", &tally->duration);
}

/* --- all services ----------------------------------------------------------------------------------------
 */

static size_t pieces(const struct lbd *lbd)
{
	return lb_engine_services(lbd->engine) + 2;
}

static void piece(struct lbd *lbd, size_t at, struct json *json)
{
	const char *name;

	if (at == 0) {
		json_object(json, NULL);
		write_sampling(lbd, json);
		json_array(json, "services");
	} else if (at == pieces(lbd) - 1) {
		json_array_end(json);
		json_object_end(json);
	} else if ((name = lb_engine_service_name(lbd->engine, at - 1))) {
		json_object(json, NULL);
		json_string(json, "name", name);
		write_tally(lbd, observe_service(lbd, name), false, json);
		json_object_end(json);
	}
}

/* --- one -------------------------------------------------------------------------------------------------
 */

static size_t one_piece(const struct lbd *lbd)
{
	return 1;
}

static void begin_service(const struct rendering_step *step, struct json *json)
{
	json_object(json, NULL);
	write_sampling(step->lbd, json);
	json_string(json, "service", step->wish->service);
	write_tally(step->lbd, observe_service(step->lbd, step->wish->service), true, json);
	json_array(json, "backends");
}

/* Backends from step->from on. One that leaves and returned under another address is there once. */
static size_t step_service(const struct rendering_step *step)
{
	struct json *json = &step->parts[0];
	struct lb_service_view view;
	size_t i = step->from;

	if (i == 0)
		begin_service(step, json);
	if (lb_engine_service_by_name(step->lbd->engine, step->wish->service, &view) < 0)
		view.n_backends = 0;
	for (; i < view.n_backends && i < step->from + BACKENDS_AT_ONCE; i++) {
		const char *name = view.backends[i].name;

		json_object(json, NULL);
		json_string(json, "name", name);
		json_bool(json, "leaving", view.backends[i].leaving);
		write_tally(step->lbd, observe_backend(step->lbd, view.name, name), false, json);
		json_object_end(json);
	}
	if (i < view.n_backends)
		return i;
	json_array_end(json);
	json_object_end(json);
	return 0;
}

int api_observe(struct api_call *call, struct lb_error *error)
{
	static const struct rendering_kind all = { .pieces = pieces, .piece = piece };
	static const struct rendering_kind one = { .pieces = one_piece, .step = step_service };
	struct rendering_wish wish = { .kind = &one };
	struct lb_service_view view;

	if (!call->service[0])
		return rendering_join(call->lbd, &all, &call->answer->stream, error);
	if (lb_engine_service_by_name(call->lbd->engine, call->service, &view) < 0)
		return lb_error_set(error, ESRCH, "there is no service \"%s\"", call->service);
	memcpy(wish.service, call->service, sizeof(wish.service));
	return rendering_join_wish(call->lbd, &wish, &call->answer->stream, error);
}
