// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of the world, and what they mean for its flows: which addresses are alive, and when all flows of
 * one are lost. Everything goes through the engine's plan and commit; the packet path sees only the tables.
 */
#include "world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb/slot.h"
#include "engine/vip_table.h"
#include "nexthops.h"

static const char *const names[SERVICES] = { "web", "dns" };

__u32 world_random(struct world *world, __u32 n)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (__u32)((world->random * 0x2545f4914f6cdd1dull >> 32) * n >> 32);
}

__u32 world_vip(unsigned int service)
{
	return 0xcb00710a + service;
}

__u32 world_address(unsigned int service, unsigned int backend, unsigned int which)
{
	return 0x0a000000 | service << 16 | which << 8 | (backend + 1);
}

__u32 world_clock(const struct world *world)
{
	return world->tables.control->clock_s;
}

__u64 world_refused(const struct world *world)
{
	__u64 sum = 0;

	for (__u32 id = 0; id < world->tables.sizes.counters; id++)
		sum += world->tables.counters[id].refused_inserts;
	return sum;
}

__u64 world_base(const struct world *world)
{
	__u64 sum = 0;

	for (__u32 id = 0; id < world->tables.sizes.counters; id++)
		sum += world->tables.counters[id].base_packets;
	return sum;
}

__u32 world_entries(const struct world *world)
{
	__u32 n = 0;

	for (__u32 i = 0; i < WORLD_FLOW_BUCKETS * LB_FLOWS_PER_BUCKET; i++)
		n += world->tables.flows[i / LB_FLOWS_PER_BUCKET].flow[i % LB_FLOWS_PER_BUCKET].word > 3;
	return n;
}

/* --- hooks --------------------------------------------------------------------------------------- */

static int no_packets(void *context)
{
	return 0;
}

static void tick(struct world *world)
{
	__u32 kind = world_random(world, 10);

	/* Mostly a second at a time; sometimes the sweeper is slow, sometimes it has all the time there is.
	 */
	if (kind < 6)
		world->now_s++;
	lb_engine_tick(world->engine, world->now_s, kind == 9 ? 100000 : world_random(world, 60));
}

/* In the middle of a plan or a commit the sweeper goes on, as in the agent, where both take turns. */
static void meanwhile(void *context)
{
	struct world *world = context;

	/* While the world is made there is no engine yet. */
	if (world->engine && world_random(world, 8) == 0)
		tick(world);
}

/* The grace period that the sweeper needs comes later. */
static void await_later(void *context)
{
	((struct world *)context)->awaited = true;
}

static void nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	const struct world *world = context;

	*ret = (struct lb_nexthop){ .resolved = true, .same_interface = true, .mtu = 1500 };
	ret->destination[0] = 2;
	ret->destination[4] = (__u8)world->nexthop_salt;
	ret->source[0] = 2;
	ret->source_address = (struct lb_address){ LB_FAMILY_V4, { 10, 255, 0, 1 } };
}

/* --- configuration ------------------------------------------------------------------------------- */

static struct lb_address ipv4(__u32 address)
{
	__be32 network = htonl(address);
	struct lb_address result = { .family = LB_FAMILY_V4 };

	memcpy(result.bytes, &network, sizeof(network));
	return result;
}

/* Of the two that share a ring, who says what becomes of a backend: the configuration, or one or the other.
 */
static const char *speaker_of(unsigned int s, unsigned int b)
{
	static const char *const speakers[] = { NULL, "web", "tls" };

	return s == 0 ? speakers[b % 3] : NULL;
}

static void make_backends(const struct world *world, unsigned int s, struct lb_config_service *service)
{
	service->backends = calloc(BACKENDS, sizeof(*service->backends));
	for (unsigned int b = 0; b < BACKENDS; b++) {
		const struct world_backend *from = &world->services[s].backends[b];
		struct lb_config_backend *to = &service->backends[service->n_backends];

		if (!from->present)
			continue;
		service->n_backends++;
		snprintf(to->name, sizeof(to->name), "b%u", b);
		to->address = ipv4(world_address(s, b, from->address));
		to->weight = from->weight;
		to->state = speaker_of(s, b) ? LB_STATE_ACTIVE : from->state;
	}
}

static void make_service(const struct world *world, unsigned int s, const char *name, __u16 port,
			 struct lb_config_service *service)
{
	snprintf(service->name, sizeof(service->name), "%s", name);
	snprintf(service->ring, sizeof(service->ring), "%s", s == 0 ? "pool" : "");
	service->vip = (struct lb_prefix){ ipv4(world_vip(s)), 32 };
	service->protocol = world->services[s].protocol;
	service->port_first = service->port_last = port;
	service->forward = LB_FORWARD_IPIP;
	service->algorithm = LB_ALGORITHM_MAGLEV;
	service->ring_size = world->services[s].ring_size;
	service->idle_timeout_s = s ? WORLD_UDP_IDLE_S : WORLD_TCP_IDLE_S;
	service->learning_window_s = WORLD_LEARNING_S;
	service->drain_limit_s = 86400;
	make_backends(world, s, service);
}

static struct lb_config *make_config(struct world *world)
{
	struct lb_config *config = calloc(1, sizeof(*config));
	bool swapped = world_random(world, 4) == 0;

	strcpy(config->hash_seed, "property");
	config->services = calloc(SERVICES + 1, sizeof(*config->services));
	config->n_services = SERVICES + 1;
	make_service(world, 0, swapped ? "tls" : "web", swapped ? WORLD_SHARING_PORT : 80,
		     &config->services[0]);
	make_service(world, 0, swapped ? "web" : "tls", swapped ? 80 : WORLD_SHARING_PORT,
		     &config->services[1]);
	for (unsigned int s = 1; s < SERVICES; s++)
		make_service(world, s, names[s], 80, &config->services[s + 1]);
	return config;
}

/* What is said of backends beside the configuration. */
static size_t make_overrides(const struct world *world, struct lb_override overrides[BACKENDS])
{
	size_t n = 0;

	for (unsigned int b = 0; b < BACKENDS; b++) {
		const struct world_backend *backend = &world->services[0].backends[b];
		const char *speaker = speaker_of(0, b);

		if (!speaker || !backend->present || backend->state == LB_STATE_ACTIVE)
			continue;
		overrides[n] = (struct lb_override){ .has_state = true, .state = backend->state };
		snprintf(overrides[n].service, LB_NAME_MAX, "%s", speaker);
		snprintf(overrides[n++].backend, LB_NAME_MAX, "b%u", b);
	}
	return n;
}

static void give_up(const struct world *world, const char *what, const struct lb_error *error)
{
	fprintf(stderr, "# %s at commit %llu: %s\n", what, world->commits, error->text);
	abort();
}

/* Brings the oracle's view of a backend's addresses in line with what is wanted now. */
static void judge(struct world_service *service, unsigned int b)
{
	const struct world_backend *backend = &service->backends[b];

	for (unsigned int a = 0; a < ADDRESSES; a++) {
		struct world_address *address = &service->addresses[b][a];
		bool configured = backend->present && backend->address == a;

		if (!configured) {
			/* It leaves, and keeps its flows if it was alive. */
			address->leaving = address->alive;
			continue;
		}
		address->leaving = false;
		if (address->alive && backend->state == LB_STATE_DOWN)
			address->deaths++;
		address->alive = backend->state != LB_STATE_DOWN;
	}
}

static void commit(struct world *world)
{
	struct lb_override overrides[BACKENDS];
	struct lb_desired desired = { .config = make_config(world),
				      .nexthops = &world->nexthops,
				      .overrides = overrides };
	struct lb_plan *plan = NULL;
	struct lb_error error = {};

	desired.n_overrides = make_overrides(world, overrides);
	if (nexthops_fill(&world->nexthops, desired.config, world->engine, nexthop, world) < 0 ||
	    lb_engine_plan(world->engine, &desired, &plan, &error) < 0 ||
	    lb_engine_commit(world->engine, plan, &error) < 0)
		give_up(world, "no commit", &error);
	lb_plan_free(plan);
	for (unsigned int s = 0; s < SERVICES; s++) {
		for (unsigned int b = 0; b < BACKENDS; b++)
			judge(&world->services[s], b);
	}
	lb_config_free(world->config);
	world->config = (struct lb_config *)desired.config;
	world->commits++;
}

/* --- changes ------------------------------------------------------------------------------------- */

static void tell(const struct world *world, unsigned int s, unsigned int b)
{
	const struct world_backend *backend = &world->services[s].backends[b];

	if (world->verbose)
		fprintf(stderr, "#   %s b%u: %s weight %u %s address %u\n", names[s], b,
			backend->present ? "present" : "absent", backend->weight,
			lb_state_name(backend->state), backend->address);
}

static void change_backend(struct world *world, unsigned int s)
{
	static const __u32 weights[] = { 100, 100, 50, 10, 1, 0 };
	struct world_service *service = &world->services[s];
	unsigned int b = world_random(world, BACKENDS);
	struct world_backend *backend = &service->backends[b];

	switch (world_random(world, 10)) {
	case 0:
	case 1:
	case 2:
		backend->weight = weights[world_random(world, 6)];
		break;
	case 3:
		backend->state = LB_STATE_DRAIN;
		break;
	case 4:
	case 5:
		/* Health comes and goes. */
		backend->state = backend->state == LB_STATE_DOWN ? LB_STATE_ACTIVE : LB_STATE_DOWN;
		break;
	case 6:
		backend->state = LB_STATE_ACTIVE;
		backend->weight = 100;
		break;
	case 7:
	case 8:
		backend->present = !backend->present;
		break;
	default:
		backend->address = !backend->address;
		break;
	}
	tell(world, s, b);
}

/* Everybody away, or everybody back. */
static void change_all(struct world *world, unsigned int s)
{
	struct world_service *service = &world->services[s];
	bool drain = world_random(world, 3) == 0;

	for (unsigned int b = 0; b < BACKENDS; b++) {
		if (service->backends[b].state == LB_STATE_DOWN)
			continue;
		service->backends[b].state = drain ? LB_STATE_DRAIN : LB_STATE_ACTIVE;
		tell(world, s, b);
	}
}

void world_change(struct world *world)
{
	unsigned int s = world_random(world, SERVICES), kind = world_random(world, 100);
	unsigned int changes = world_random(world, 4) ? 1 : 1 + world_random(world, 3);

	if (kind == 0 && world->services[s].ring_size < 1024)
		world->services[s].ring_size *= 2;
	else if (kind < 4)
		world->nexthop_salt++;
	else if (kind < 8)
		change_all(world, s);
	else
		while (changes--)
			change_backend(world, world_random(world, SERVICES));
	commit(world);
}

void world_tick(struct world *world)
{
	/* Not within a commit: the agent waits in a turn of its own. */
	if (world->awaited && world_random(world, 2)) {
		world->awaited = false;
		lb_engine_await(world->engine);
	}
	tick(world);
}

void world_restart(struct world *world)
{
	struct lb_error error = {};

	lb_engine_free(world->engine);
	world->engine = NULL;
	if (lb_engine_new(&world->tables, &world->hooks, &world->engine, &error) < 0)
		give_up(world, "no adoption", &error);
	commit(world);
	world->restarts++;
}

/* --- life ---------------------------------------------------------------------------------------- */

void world_init(struct world *world, __u64 seed)
{
	const struct lb_table_sizes sizes = { .cpus = 1,
					      .vip_buckets = LB_VIP_BUCKETS,
					      .ring_lines = LB_CHUNK_LINES,
					      .stamp_lines = LB_CHUNK_LINES,
					      .backends = LB_CHUNK_LINES,
					      .counters = 256,
					      .services = 8,
					      .flow_buckets = WORLD_FLOW_BUCKETS };
	struct lb_error error = {};

	*world = (struct world){ .random = seed * 0x9e3779b97f4a7c15ull | 1 };
	world->hooks = (struct lb_engine_hooks){
		.context = world, .grace = no_packets, .pause = meanwhile, .await = await_later
	};
	if (lb_tables_new_memory(&sizes, &world->tables) < 0 || host_new(&world->tables, &world->host) < 0)
		abort();
	if (lb_engine_new(&world->tables, &world->hooks, &world->engine, &error) < 0)
		give_up(world, "no engine", &error);
	for (unsigned int s = 0; s < SERVICES; s++) {
		struct world_service *service = &world->services[s];

		service->protocol = s ? IPPROTO_UDP : IPPROTO_TCP;
		service->ring_size = 64;
		for (unsigned int b = 0; b < BACKENDS; b++) {
			service->backends[b] = (struct world_backend){ .present = b < 4, .weight = 100 };
		}
	}
	commit(world);
	/* The keys are random; a seed must replay. */
	for (unsigned int i = 0; i < LB_HASH_WORDS; i++)
		world->tables.control->flow_key[i] = (seed + i) * 0x243f6a8885a308d3ull;
	lb_engine_tick(world->engine, world->now_s = 1, 0);
}

void world_done(struct world *world)
{
	lb_engine_free(world->engine);
	lb_nexthop_map_done(&world->nexthops);
	host_free(world->host);
	lb_tables_free_memory(&world->tables);
	lb_config_free(world->config);
}

/* --- a look into the tables ---------------------------------------------------------------------- */

__u32 world_slot(const struct world *world, unsigned int service, __u64 hash)
{
	struct lb_service_view view;

	if (lb_engine_service_by_name(world->engine, names[service], &view) < 0)
		abort();
	return world->tables.rings[view.ring_line].slot[hash & (view.ring_slots - 1)];
}

__u32 world_index_address(struct world *world, unsigned int service, __u32 index)
{
	struct lb_service_view view;
	const struct lb_backend *record;
	__be32 address;

	if (lb_engine_service_by_name(world->engine, names[service], &view) < 0)
		abort();
	if (index == LB_INDEX_NONE)
		return 0;
	record = &world->tables.backends[view.backend_first + index];
	memcpy(&address, record->ip + 16, sizeof(address));
	return record->flags & LB_BACKEND_USED ? ntohl(address) : 0;
}
