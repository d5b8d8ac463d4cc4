// SPDX-License-Identifier: GPL-2.0-only
/*
 * Four times a second: takes what is in the ring, looks at some blocks of places, and sets the pace. What
 * is in the ring was written by the packet path, from packets of anybody: lengths are checked, and nothing
 * of it is kept but sums.
 */
#include "lbd/observe/observe_internal.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lb/access.h"
#include "lbd/lbd.h"
#include "observe/places.h"

#define TICK_NS        250000000ull
#define ROUND_TICKS    8u   /* all blocks are looked at within so many ticks */
#define IDLE_DEFAULT_S 900u /* where a service has just gone */

static __u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
}

static __u64 now_s_of(const struct observe *observe)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000000;
}

/* --- what packets tell -----------------------------------------------------------------------------------
 */

static void take_hello(struct observe *observe, const struct tally_place *place,
		       const struct lb_observe_event *event, __u64 weight)
{
	const uint8_t *data = (const uint8_t *)(event + 1);
	enum lb_tls_result result;
	struct lb_tls_hello hello;
	const struct lb_tls_hello *seen;

	if (!lb_hellos_take(observe->hellos, event, data, &hello, &result) || result == LB_TLS_NOT_TLS)
		return;
	seen = result != LB_TLS_BAD && hello.hello ? &hello : NULL;
	lb_tally_hello(&place->service->tally, seen, weight);
	lb_tally_hello(&place->backend->tally, seen, weight);
}

static bool is_well_formed(const struct lb_observe_event *event, size_t bytes)
{
	return bytes >= sizeof(*event) && bytes == sizeof(*event) + event->data_bytes &&
	       event->data_bytes <= LB_OBSERVE_HELLO_MAX && event->data_offset <= LB_OBSERVE_HELLO_MAX &&
	       (event->kind == LB_OBSERVE_HELLO || !event->data_bytes);
}

static int take_event(void *context, void *data, size_t bytes)
{
	struct observe *observe = context;
	const struct lb_observe_event *event = data;
	__u64 now_s = now_s_of(observe), weight;
	struct tally_place *place;

	if (!is_well_formed(event, bytes)) {
		observe->malformed++;
		return 0;
	}
	place = tallies_of(&observe->tallies, event->backend, now_s);
	if (!place) {
		observe->unknown++;
		return 0;
	}
	weight = lb_levels_weight(&observe->levels, event->started_ns);
	if (event->kind == LB_OBSERVE_HELLO) {
		take_hello(observe, place, event, weight);
		return 0;
	}
	lb_tally_event(&place->service->tally, event, weight, now_s);
	lb_tally_event(&place->backend->tally, event, weight, now_s);
	return 0;
}

/* --- what is in the places -------------------------------------------------------------------------------
 */

static struct tally_place *place_of(struct observe *observe, const struct lb_observed *flow,
				    __u64 *ret_weight)
{
	*ret_weight = lb_levels_weight(&observe->levels, flow->started_ns);
	return tallies_of(&observe->tallies, flow->backend, now_s_of(observe));
}

static void on_started(void *context, const struct lb_observed *flow)
{
	struct observe *observe = context;
	__u64 weight, now_s = now_s_of(observe);
	struct tally_place *place = place_of(observe, flow, &weight);

	if (!place)
		return;
	if (flow->protocol == IPPROTO_UDP) {
		lb_tally_datagrams(&place->service->tally, weight);
		lb_tally_datagrams(&place->backend->tally, weight);
		return;
	}
	lb_tally_started(&place->service->tally, weight, now_s);
	lb_tally_started(&place->backend->tally, weight, now_s);
}

static void on_gave_up(void *context, const struct lb_observed *flow)
{
	struct observe *observe = context;
	__u64 weight, now_s = now_s_of(observe);
	struct tally_place *place = place_of(observe, flow, &weight);

	if (!place)
		return;
	lb_tally_gave_up(&place->service->tally, flow, weight, now_s);
	lb_tally_gave_up(&place->backend->tally, flow, weight, now_s);
}

static void on_silent(void *context, const struct lb_observed *flow)
{
	__u64 weight;
	struct tally_place *place = place_of(context, flow, &weight);

	if (!place)
		return;
	lb_tally_silent(&place->service->tally, flow, weight);
	lb_tally_silent(&place->backend->tally, flow, weight);
}

static void on_open(void *context, const struct lb_observed *flow)
{
	struct observe *observe = context;
	__u64 weight;
	struct tally_place *place = place_of(observe, flow, &weight);

	if (!place)
		return;
	lb_tally_open(&place->service->tally, observe->round, weight);
	lb_tally_open(&place->backend->tally, observe->round, weight);
}

static __u64 idle_ns(void *context, const struct lb_observed *flow)
{
	struct observe *observe = context;
	__u64 weight;
	struct tally_place *place = place_of(observe, flow, &weight);
	struct service_tally *service = place ? place->service : NULL;
	struct lb_service_view view;

	if (!service)
		return IDLE_DEFAULT_S * 1000000000ull;
	if (service->idle_round != observe->round || !service->idle_s) {
		service->idle_round = observe->round;
		service->idle_s =
			lb_engine_service_by_name(observe->lbd->engine, service->name, &view) == 0 &&
					view.config
				? view.config->idle_timeout_s
				: IDLE_DEFAULT_S;
	}
	return service->idle_s * 1000000000ull;
}

/* 0: nothing is to be observed. */
static __u32 allowed_permille(const struct observe *observe)
{
	return observe->lbd->running.config->observer.cpu_permille;
}

static void look(struct observe *observe)
{
	const struct lb_places_hooks hooks = { .context = observe,
					       .started = on_started,
					       .gave_up = on_gave_up,
					       .silent = on_silent,
					       .open = on_open,
					       .idle_ns = idle_ns };
	__u32 n = (observe->cpus + ROUND_TICKS - 1) / ROUND_TICKS;

	for (__u32 i = 0; i < n; i++) {
		/* Where nothing is observed, places are freed. */
		__u32 level = allowed_permille(observe) ? observe->pace.level : LB_OBSERVE_LEVEL_NONE;
		__u32 used = lb_places_look(&observe->blocks[observe->next_block], level,
					    clock_ns(CLOCK_MONOTONIC), &hooks);

		if (used > observe->used_permille)
			observe->used_permille = used;
		if (++observe->next_block < observe->cpus)
			continue;
		observe->next_block = 0;
		observe->round++;
		observe->looked = true;
		return;
	}
}

/* --- the pace --------------------------------------------------------------------------------------------
 */

static void read_counts(const struct observe *observe, struct lb_observe_counts *ret_sum)
{
	__u64 *to = (__u64 *)ret_sum;

	*ret_sum = (struct lb_observe_counts){};
	for (__u32 cpu = 0; cpu < observe->cpus; cpu++) {
		const __u64 *from = (const __u64 *)&observe->blocks[cpu].counts;

		for (size_t i = 0; i < sizeof(*ret_sum) / sizeof(__u64); i++)
			to[i] += LB_LOAD(&from[i]);
	}
}

static void set_level(struct observe *observe, __u64 now_ns)
{
	if (!allowed_permille(observe)) {
		LB_STORE(&observe->control->limit, 0);
		return;
	}
	lb_levels_set(&observe->levels, observe->pace.level, now_ns);
	LB_STORE(&observe->control->limit, LB_OBSERVE_LIMIT(observe->pace.level));
}

static void set_pace(struct observe *observe)
{
	__u64 now_ns = clock_ns(CLOCK_MONOTONIC);
	struct lb_observe_counts now, *before = &observe->counts;
	struct lb_pace_load load;

	read_counts(observe, &now);
	load = (struct lb_pace_load){
		.allowed_permille = allowed_permille(observe),
		.elapsed_ns = now_ns - observe->paced_ns,
		.packets = now.packets - before->packets,
		.events = now.events - before->events,
		.agent_ns = observe->drained_ns,
		.claimed = now.handshakes - before->handshakes,
		.refused = now.handshakes_refused - before->handshakes_refused + now.connections_refused -
			   before->connections_refused + now.events_lost - before->events_lost,
		.looked = observe->looked,
		.used_permille = observe->used_permille,
	};
	if (observe->looked)
		observe->used_permille = 0;
	observe->looked = false;
	observe->counts = now;
	observe->paced_ns = now_ns;
	observe->drained_ns = 0;
	lb_pace_step(&observe->pace, &load, now_ns);
	set_level(observe, now_ns);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *context)
{
	struct observe *observe = context;
	__u64 begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), drained_ns;

	(void)ring_buffer__consume(observe->ring);
	drained_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	observe->drained_ns += drained_ns - begin_ns;
	look(observe);
	set_pace(observe);
	tallies_tidy(&observe->tallies, now_s_of(observe));
	observe->agent_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
	sd_event_source_set_time_relative(source, TICK_NS / 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- life ------------------------------------------------------------------------------------------------
 */

static void free_observe(struct observe *observe)
{
	if (!observe)
		return;
	sd_event_source_disable_unref(observe->timer);
	ring_buffer__free(observe->ring);
	lb_hellos_free(observe->hellos);
	tallies_done(&observe->tallies);
	free(observe);
}

/* Goes on at the level that the last agent left, so that what it saw begin keeps its weight. */
static void begin(struct observe *observe)
{
	__u64 now_ns = clock_ns(CLOCK_MONOTONIC), limit = LB_LOAD(&observe->control->limit);

	lb_pace_begin(&observe->pace, now_ns);
	if (limit)
		observe->pace.level = __builtin_clzll(limit);
	if (observe->pace.level > LB_OBSERVE_LEVEL_MAX)
		observe->pace.level = LB_OBSERVE_LEVEL_MAX;
	read_counts(observe, &observe->base);
	observe->counts = observe->base;
	observe->paced_ns = now_ns;
	set_level(observe, now_ns);
}

int observe_open(struct lbd *lbd, struct lb_error *error)
{
	struct observe *observe = calloc(1, sizeof(*observe));
	int r;

	if (!observe)
		return lb_error_set(error, ENOMEM, "out of memory");
	observe->lbd = lbd;
	observe->control = lbd->maps.observe;
	observe->blocks = lbd->maps.observed;
	observe->cpus = lbd->maps.tables.sizes.cpus;
	r = lb_hellos_new(&observe->hellos);
	if (r == 0)
		r = tallies_init(&observe->tallies, &lbd->maps.tables);
	if (r == 0) {
		observe->ring = ring_buffer__new(lbd->maps.fd[MAP_OBSERVE_EVENTS], take_event, observe, NULL);
		r = observe->ring ? 0 : -errno;
	}
	if (r == 0)
		r = sd_event_add_time_relative(lbd->event, &observe->timer, CLOCK_MONOTONIC, TICK_NS / 1000,
					       10000, on_tick, observe);
	if (r < 0) {
		free_observe(observe);
		return lb_error_set(error, -r, "Failed to start the observer: %s", strerror(-r));
	}
	begin(observe);
	lbd->observe = observe;
	return 0;
}

void observe_tables_changed(struct lbd *lbd)
{
	struct observe *observe = lbd->observe;

	if (!observe)
		return;
	observe->control = lbd->maps.observe;
	observe->blocks = lbd->maps.observed;
	tallies_resize(&observe->tallies);
}

void observe_close(struct lbd *lbd)
{
	free_observe(lbd->observe);
	lbd->observe = NULL;
}

/* --- what others ask -------------------------------------------------------------------------------------
 */

void observe_get_state(const struct lbd *lbd, struct observe_state *ret_state)
{
	const struct observe *observe = lbd->observe;
	struct lb_observe_counts now;

	*ret_state = (struct observe_state){};
	if (!observe)
		return;
	read_counts(observe, &now);
	*ret_state = (struct observe_state){
		.on = LB_LOAD(&observe->control->limit) != 0, /* from the next tick on, as configured */
		.level = observe->pace.level,
		.cost_ratio = observe->pace.permille10 / 10000.0,
		.agent_ns = observe->agent_ns,
		.packets = now.packets - observe->base.packets,
		.events = now.events - observe->base.events,
		.events_lost = now.events_lost - observe->base.events_lost,
		.handshakes_refused = now.handshakes_refused - observe->base.handshakes_refused,
		.handshakes_replaced = now.handshakes_replaced - observe->base.handshakes_replaced,
		.connections_refused = now.connections_refused - observe->base.connections_refused,
		.unknown = observe->unknown,
		.malformed = observe->malformed,
	};
}

static struct service_tally *find_service(const struct lbd *lbd, const char *name)
{
	struct service_tally *service = NULL;

	if (lbd->observe)
		HASH_FIND_STR(lbd->observe->tallies.services, name, service);
	return service;
}

const struct lb_tally *observe_service(const struct lbd *lbd, const char *service)
{
	const struct service_tally *found = find_service(lbd, service);

	return found ? &found->tally : NULL;
}

const struct lb_tally *observe_backend(const struct lbd *lbd, const char *service, const char *backend)
{
	const struct service_tally *of = find_service(lbd, service);
	struct backend_tally *found = NULL;

	if (of)
		HASH_FIND_STR(of->backends, backend, found);
	return found ? &found->tally : NULL;
}

bool observe_recent(const struct lbd *lbd, const char *service, const char *backend, unsigned int seconds,
		    struct lb_tally_window *ret_window)
{
	const struct lb_tally *tally = observe_backend(lbd, service, backend);

	*ret_window = (struct lb_tally_window){};
	if (tally)
		lb_tally_recent(tally, now_s_of(lbd->observe), seconds, ret_window);
	return tally != NULL;
}

__u64 observe_open_connections(const struct lbd *lbd, const struct lb_tally *tally)
{
	return lb_tally_open_now(tally, lbd->observe->round);
}

int observe_clients(const struct lbd *lbd, struct lb_clients *ret_clients)
{
	return lb_clients_read(lbd->maps.observed, lbd->maps.tables.sizes.cpus, ret_clients);
}
