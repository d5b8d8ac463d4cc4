// SPDX-License-Identifier: GPL-2.0-only
/*
 * A check is a TCP connect as Linux does it: SYNs at 0, 1, 3 and 7 s, each lost or not, each answer lost or
 * not. A server that sends its SYN-ACK again is left out, which makes losses count for more than they do.
 */
#include "world.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_levels.h"

void settings_read(struct settings *settings, const char *check_json)
{
	struct lb_config *config = NULL;
	struct lb_config_backend backend = {};
	struct lb_error error = {};
	char text[1024];

	snprintf(text, sizeof(text),
		 "{ \"version\": 1, \"hash_seed\": \"s\", \"interfaces\": [ { \"name\": \"e\" } ], "
		 "\"health\": { \"check\": {"
		 " \"kind\": \"tcp\"%s%s } }, \"services\": [ { \"name\": \"s\", \"vip\": \"203.0.113.1\", "
		 "\"protocol\": \"tcp\","
		 " \"port\": 80, \"backends\": [] } ] }",
		 check_json[0] ? ", " : "", check_json);
	if (lb_config_parse(text, strlen(text), &config, &error) < 0) {
		fprintf(stderr, "simulate: %s at %s\n", error.text, error.path);
		exit(1);
	}
	lb_config_check_of(config, &config->services[0], &backend, &settings->check);
	lb_config_breaker_of(config, &config->services[0], &settings->breaker);
	lb_settings_timing(&settings->check, &settings->timing);
	lb_settings_circuit(&settings->check, &settings->breaker, &settings->circuit);
	lb_settings_suspect(&config->checker, &settings->suspect);
	lb_config_free(config);
}

/* xorshift64*: fixed seeds give the same world on every machine. */
__u64 random_next(struct random *random)
{
	__u64 x = random->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return x * 0x2545f4914f6cdd1dull;
}

static bool lost(struct world *world)
{
	return world->loss_ppm && random_next(&world->random) % 1000000 < world->loss_ppm;
}

static enum fault fault_at(const struct trouble *trouble, __u64 now_ns)
{
	return now_ns >= trouble->from_ns && now_ns < trouble->until_ns ? trouble->fault : FAULT_NONE;
}

/* --- checks ----------------------------------------------------------------------------------------------
 */

static struct lb_result connect_at(struct world *world, const struct backend *backend, __u64 begin_ns)
{
	static const __u64 syns_ns[] = { 0, S_NS, 3 * S_NS, 7 * S_NS };
	__u64 timeout_ns = world->settings->timing.timeout_ms * LB_NS_PER_MS;
	bool there, back;

	for (size_t i = 0; i < sizeof(syns_ns) / sizeof(syns_ns[0]); i++) {
		__u64 at = begin_ns + syns_ns[i], end = at + world->round_trip_ns;
		enum fault fault = fault_at(&backend->trouble, at);

		if (end - begin_ns >= timeout_ns)
			break;
		/* Both are drawn, so that the sequence does not depend on the first. */
		there = !lost(world);
		back = !lost(world);
		if (!there || !back)
			continue;
		if (fault == FAULT_SILENT || fault_at(&world->link, at) == FAULT_SILENT)
			continue;
		if (fault_at(&world->link, at) == FAULT_REFUSES)
			fault = FAULT_REFUSES;
		return (struct lb_result){ begin_ns, end,
					   fault == FAULT_REFUSES ? LB_OUTCOME_REFUSED : LB_OUTCOME_OK };
	}
	return (struct lb_result){ begin_ns, begin_ns + timeout_ns, LB_OUTCOME_TIMEOUT };
}

static void begin(struct backend *backend, struct world *world, __u64 now_ns)
{
	struct lb_result result = connect_at(world, backend, now_ns);
	unsigned int at = backend->n_pending++;

	lb_check_begun(&backend->check, now_ns);
	backend->checks++;
	while (at > 0 && backend->pending[at - 1].end_ns > result.end_ns) {
		backend->pending[at] = backend->pending[at - 1];
		at--;
	}
	backend->pending[at] = result;
}

static void note(struct backend *backend, enum lb_circuit_state before, __u64 now_ns)
{
	if (backend->circuit.state == LB_CIRCUIT_OPEN && before != LB_CIRCUIT_OPEN) {
		backend->opens++;
		backend->opened_ns = now_ns;
	}
	if (backend->circuit.state == LB_CIRCUIT_CLOSED && before == LB_CIRCUIT_HALF_OPEN)
		backend->full_ns = now_ns;
}

/* As lbd does. False: the result is not believed. */
static bool doubt(struct backend *backend, struct world *world, const struct lb_result *result, __u64 now_ns)
{
	struct lb_suspect *suspect = world->suspect;

	if (!suspect)
		return true;
	if (lb_suspect_result(suspect, &world->settings->suspect, &backend->address, backend->service, result,
			      now_ns) &&
	    suspect->state == LB_SUSPICION_FROZEN) {
		for (size_t i = 0; i < world->n_backends; i++)
			lb_circuit_forget(&world->backends[i].circuit, suspect->from_ns);
	}
	return lb_suspect_believes(suspect, result);
}

static void end(struct backend *backend, struct world *world, __u64 now_ns)
{
	struct lb_result result = backend->pending[0];
	enum lb_circuit_state before = backend->circuit.state;

	memmove(&backend->pending[0], &backend->pending[1], --backend->n_pending * sizeof(result));
	lb_check_ended(&backend->check, &world->settings->timing, &result);
	if (doubt(backend, world, &result, now_ns))
		lb_circuit_result(&backend->circuit, &world->settings->circuit, &result, now_ns,
				  world->suspect && lb_suspect_holds(world->suspect));
	note(backend, before, now_ns);
}

/* --- time ------------------------------------------------------------------------------------------------
 */

void backend_init(struct backend *backend, struct world *world, __u64 now_ns)
{
	struct trouble trouble = backend->trouble;
	__u64 service = backend->service;

	memset(backend, 0, sizeof(*backend));
	backend->trouble = trouble;
	backend->service = service;
	lb_check_init(&backend->check, now_ns + random_next(&world->random) %
							(world->settings->timing.interval_ms * LB_NS_PER_MS));
	lb_circuit_init(&backend->circuit, &world->settings->circuit, now_ns, false,
			random_next(&world->random));
	if (world->suspect)
		lb_suspect_add(world->suspect, service);
}

__u64 backend_next_ns(const struct backend *backend, const struct world *world)
{
	__u64 next = lb_check_next_ns(&backend->check, &world->settings->timing);
	__u64 tick = lb_circuit_next_ns(&backend->circuit, &world->settings->circuit);

	if (backend->n_pending && backend->pending[0].end_ns < next)
		next = backend->pending[0].end_ns;
	return tick < next ? tick : next;
}

void backend_step(struct backend *backend, struct world *world, __u64 now_ns)
{
	enum lb_circuit_state before = backend->circuit.state;

	if (backend->n_pending && backend->pending[0].end_ns <= now_ns) {
		end(backend, world, now_ns);
		return;
	}
	lb_circuit_tick(&backend->circuit, &world->settings->circuit, now_ns,
			world->suspect && lb_suspect_holds(world->suspect));
	note(backend, before, now_ns);
	if (lb_check_next_ns(&backend->check, &world->settings->timing) <= now_ns)
		begin(backend, world, now_ns);
}

/* What is due and does not happen, because openings are held back, waits for a millisecond. */
static __u64 later(__u64 next_ns, __u64 now_ns)
{
	return next_ns > now_ns ? next_ns : now_ns + LB_NS_PER_MS;
}

void backend_run(struct backend *backend, struct world *world, __u64 until_ns)
{
	__u64 now_ns = 0;

	for (;;) {
		now_ns = later(backend_next_ns(backend, world), now_ns);
		if (now_ns >= until_ns)
			return;
		backend_step(backend, world, now_ns);
	}
}

void world_run(struct world *world, __u64 until_ns)
{
	__u64 now_ns = 0;

	for (;;) {
		struct backend *next = NULL;
		__u64 at = UINT64_MAX;

		for (size_t i = 0; i < world->n_backends; i++) {
			__u64 its = backend_next_ns(&world->backends[i], world);

			if (its < at) {
				at = its;
				next = &world->backends[i];
			}
		}
		now_ns = later(at, now_ns);
		if (now_ns >= until_ns || !next)
			return;
		backend_step(next, world, now_ns);
	}
}
