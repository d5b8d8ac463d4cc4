/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of the engine share: tables in memory, hooks that do what the test says, and configurations made
 * by hand from a few words. One struct fixture per test; a configuration lives until the fixture goes.
 */
#pragma once

#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "engine/engine_internal.h"
#include "net/header.h"
#include "nexthops.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"
#include "lb/vip.h"

#define FIXTURE_CONFIGS 256

struct fixture {
	struct lb_tables tables;
	struct lb_engine_hooks hooks;
	struct lb_engine *engine;
	struct lb_config *configs[FIXTURE_CONFIGS];
	size_t n_configs;
	struct lb_override overrides[8];
	size_t n_overrides;
	bool allow_ring_resize;
	struct lb_nexthop_map nexthops;
	bool same_nexthops; /* plans are given what the last one was given */
	const struct lb_address *host_addresses;
	size_t n_host_addresses, n_held;
	bool routed; /* backends are behind a router */
	__u64 now_s;
	unsigned int graces, steps;
	unsigned int nexthop_salt; /* changes every next hop */
	bool unresolved;
	int grace_result;
	int stop_at_step; /* longjmp here; 0: never */
	jmp_buf stopped;
	struct lb_error error;
};

static inline int fixture_grace(void *context)
{
	struct fixture *f = context;

	f->graces++;
	return f->grace_result;
}

static inline void fixture_nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	struct fixture *f = context;

	*ret = (struct lb_nexthop){ .resolved = !f->unresolved, .routed = f->routed, .port = 3, .mtu = 1500 };
	memcpy(ret->destination, "\x02\xdd\x00\x00\x00\x00", 6);
	memcpy(ret->destination + 3, to->bytes + (to->family == LB_FAMILY_V4 ? 1 : 13), 3);
	ret->destination[2] = (__u8)f->nexthop_salt;
	memcpy(ret->source, "\x02\x55\x00\x00\x00\x01", 6);
	ret->source_address.family = to->family;
	ret->source_address.bytes[0] = 192;
	ret->source_address.bytes[3] = 7;
}

static inline void fixture_step(void *context, const char *step)
{
	struct fixture *f = context;

	f->steps++;
	if (f->stop_at_step && f->steps == (unsigned int)f->stop_at_step)
		longjmp(f->stopped, 1);
}

static inline struct lb_table_sizes fixture_sizes(void)
{
	return (struct lb_table_sizes){ .cpus = 2,
					.vip_buckets = LB_VIP_BUCKETS,
					.ring_lines = LB_CHUNK_LINES,
					.stamp_lines = LB_CHUNK_LINES,
					.backends = LB_CHUNK_LINES,
					.counters = 512,
					.services = 64,
					.flow_buckets = 64 };
}

static inline void fixture_init_sizes(struct fixture *f, const struct lb_table_sizes *sizes)
{
	memset(f, 0, sizeof(*f));
	f->now_s = 1000;
	f->hooks = (struct lb_engine_hooks){ .context = f, .grace = fixture_grace, .step = fixture_step };
	assert_int_equal(lb_tables_new_memory(sizes, &f->tables), 0);
	assert_int_equal(lb_engine_new(&f->tables, &f->hooks, &f->engine, &f->error), 0);
}

static inline void fixture_init(struct fixture *f)
{
	struct lb_table_sizes sizes = fixture_sizes();

	fixture_init_sizes(f, &sizes);
}

static inline void fixture_free_config(struct lb_config *config)
{
	for (size_t i = 0; config && i < config->n_services; i++) {
		free(config->services[i].backends);
		free(config->services[i].source_ranges);
	}
	if (config)
		free(config->services);
	free(config);
}

static inline void fixture_done(struct fixture *f)
{
	lb_engine_free(f->engine);
	lb_nexthop_map_done(&f->nexthops);
	lb_tables_free_memory(&f->tables);
	for (size_t i = 0; i < f->n_configs; i++)
		fixture_free_config(f->configs[i]);
}

/* Another engine on the same tables, as after kill -9. */
static inline int fixture_restart(struct fixture *f)
{
	lb_engine_free(f->engine);
	f->engine = NULL;
	return lb_engine_new(&f->tables, &f->hooks, &f->engine, &f->error);
}

static inline struct lb_address fixture_address(const char *text)
{
	struct lb_address address;

	assert_int_equal(lb_address_parse(text, &address), 0);
	return address;
}

static inline struct lb_config *fixture_config(struct fixture *f)
{
	struct lb_config *config = calloc(1, sizeof(*config));

	assert_non_null(config);
	assert_true(f->n_configs < FIXTURE_CONFIGS);
	f->configs[f->n_configs++] = config;
	strcpy(config->hash_seed, "seed");
	config->unclaimed = LB_UNCLAIMED_PASS; /* no records but those that a test asks for */
	config->sweeper.cpu_permille = 10;
	config->observer.cpu_permille = 8;
	return config;
}

/* TCP, 64 slots, ipip, maglev; change what the test is about. */
static inline struct lb_config_service *fixture_service(struct lb_config *config, const char *name,
							const char *vip, __u16 port)
{
	struct lb_config_service *service;

	config->services = realloc(config->services, (config->n_services + 1) * sizeof(*service));
	assert_non_null(config->services);
	service = &config->services[config->n_services++];
	memset(service, 0, sizeof(*service));
	snprintf(service->name, sizeof(service->name), "%s", name);
	assert_int_equal(lb_prefix_parse(vip, &service->vip), 0);
	service->protocol = IPPROTO_TCP;
	service->port_first = service->port_last = port;
	service->forward = LB_FORWARD_IPIP;
	service->ring_size = 64;
	service->idle_timeout_s = 10;
	service->drain_limit_s = 86400;
	service->learning_window_s = 5;
	return service;
}

/* One more source that the service lets in. */
static inline void fixture_range(struct lb_config_service *service, const char *prefix)
{
	size_t n = service->n_source_ranges++;

	service->source_ranges = realloc(service->source_ranges, (n + 1) * sizeof(*service->source_ranges));
	assert_non_null(service->source_ranges);
	memset(&service->source_ranges[n], 0, sizeof(*service->source_ranges));
	assert_int_equal(lb_prefix_parse(prefix, &service->source_ranges[n].prefix), 0);
}

static inline struct lb_config_backend *fixture_backend(struct lb_config_service *service, const char *name,
							const char *address, __u32 weight)
{
	struct lb_config_backend *backend;

	service->backends = realloc(service->backends, (service->n_backends + 1) * sizeof(*backend));
	assert_non_null(service->backends);
	backend = &service->backends[service->n_backends++];
	memset(backend, 0, sizeof(*backend));
	snprintf(backend->name, sizeof(backend->name), "%s", name);
	backend->address = fixture_address(address);
	backend->weight = weight;
	return backend;
}

/* One service "web" with backends b0, b1, ... of the given weights; negative: not there; 1000: down. */
static inline struct lb_config *fixture_pool_of(struct fixture *f, __u8 protocol, size_t n,
						const int *weights)
{
	struct lb_config *config = fixture_config(f);
	struct lb_config_service *service = fixture_service(config, "web", "203.0.113.10", 80);

	service->protocol = protocol;
	for (size_t i = 0; i < n; i++) {
		char name[32], address[40];

		snprintf(name, sizeof(name), "b%zu", i);
		snprintf(address, sizeof(address), "10.0.0.%zu", i + 1);
		if (weights[i] == 1000)
			fixture_backend(service, name, address, 100)->state = LB_STATE_DOWN;
		else if (weights[i] >= 0)
			fixture_backend(service, name, address, (__u32)weights[i]);
	}
	return config;
}
#define POOL(f, protocol, ...)                                                                               \
	fixture_pool_of((f), (protocol), sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[]){ __VA_ARGS__ })

static inline int fixture_plan(struct fixture *f, const struct lb_config *config, struct lb_plan **ret_plan)
{
	struct lb_desired desired = { .config = config,
				      .overrides = f->overrides,
				      .n_overrides = f->n_overrides,
				      .allow_ring_resize = f->allow_ring_resize,
				      .nexthops = &f->nexthops,
				      .host_addresses = f->host_addresses,
				      .n_host_addresses = f->n_host_addresses,
				      .n_held = f->n_held };

	if (!f->same_nexthops && nexthops_fill(&f->nexthops, config, f->engine, fixture_nexthop, f) < 0)
		return -ENOMEM;
	return lb_engine_plan(f->engine, &desired, ret_plan, &f->error);
}

/* Plans and commits; 0 or the errno of either. */
static inline int fixture_try(struct fixture *f, const struct lb_config *config)
{
	struct lb_plan *plan = NULL;
	int r = fixture_plan(f, config, &plan);

	if (r == 0)
		r = lb_engine_commit(f->engine, plan, &f->error);
	lb_plan_free(plan);
	return r;
}

static inline void fixture_apply(struct fixture *f, const struct lb_config *config)
{
	int r = fixture_try(f, config);

	if (r < 0)
		print_error("apply: %d: %s\n", r, f->error.text);
	assert_int_equal(r, 0);
}

static inline bool fixture_is_empty(struct fixture *f, const struct lb_config *config)
{
	struct lb_plan *plan = NULL;
	bool empty;
	int r = fixture_plan(f, config, &plan);

	if (r < 0)
		print_error("plan: %d: %s\n", r, f->error.text);
	assert_int_equal(r, 0);
	empty = lb_plan_is_empty(plan);
	lb_plan_free(plan);
	return empty;
}

/* Time passes, second by second, with a whole pass of the sweeper in each. */
static inline void fixture_pass(struct fixture *f, unsigned int seconds)
{
	while (seconds--)
		lb_engine_tick(f->engine, ++f->now_s, SIZE_MAX / 2);
}

static inline struct lb_service_view fixture_view(struct fixture *f, const char *name)
{
	struct lb_service_view view;

	assert_int_equal(lb_engine_service_by_name(f->engine, name, &view), 0);
	return view;
}

static inline const struct lb_backend_view *fixture_find_backend(struct fixture *f, const char *name)
{
	struct lb_service_view view = fixture_view(f, "web");

	for (size_t i = 0; i < view.n_backends; i++) {
		if (strcmp(view.backends[i].name, name) == 0)
			return &view.backends[i];
	}
	return NULL;
}

static inline __u32 *fixture_ring(struct fixture *f, const char *name)
{
	return f->tables.rings[fixture_view(f, name).ring_line].slot;
}

static inline __u32 *fixture_stamps(struct fixture *f, const char *name)
{
	return f->tables.stamps[fixture_view(f, name).ring_line & (f->tables.sizes.stamp_lines - 1)].stamp_s;
}

/* The entry of a flow, as a packet would leave it. tag names the home bucket. */
static inline struct lb_flow *fixture_remember(struct fixture *f, __u64 tag, __u32 service, __u32 hash,
					       __u32 index, __u32 state)
{
	__u32 now = f->tables.control->clock_s;
	struct lb_flow_place place;
	int found;

	found = lb_flow_find(f->tables.flows, f->tables.control->flow_mask, tag,
			     lb_flow_question(lb_flow_word(0, 0, hash, service, 0), 0, now), 0, &place);
	assert_int_equal(found, 0);
	assert_int_not_equal(place.number, LB_FLOW_NOWHERE);
	assert_int_equal(lb_flow_claim(f->tables.flows, &place, tag,
				       lb_flow_word(index, state, hash, service, now), NULL),
			 1);
	return lb_flow_at(f->tables.flows, place.number);
}
