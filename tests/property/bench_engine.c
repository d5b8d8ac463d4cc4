// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the engine costs at scale, on plain memory with next hops that cost nothing: many services, first
 *load, adoption, and one small change in each of the ways in which changes come. `make bench-engine`.
 *
 *	bench_engine [SERVICES [BACKENDS [RING_SIZE [ALGORITHM]]]]
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/engine.h"
#include "nexthops.h"

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* other work on the machine must not count */
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static long memory_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss / 1024;
}

static int no_wait(void *context)
{
	return 0;
}

static void some_nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	*ret = (struct lb_nexthop){ .resolved = true, .mtu = 1500 };
	ret->destination[5] = *(int *)context ? to->bytes[3] : to->bytes[2];
	ret->source_address = *to;
}

static struct lb_config *make_config(size_t services, size_t backends, __u32 ring_size, int algorithm)
{
	struct lb_config *config = calloc(1, sizeof(*config));

	strcpy(config->hash_seed, "bench");
	config->services = calloc(services, sizeof(*config->services));
	config->n_services = services;
	for (size_t i = 0; i < services; i++) {
		struct lb_config_service *s = &config->services[i];

		snprintf(s->name, sizeof(s->name), "service-%zu", i);
		s->vip = (struct lb_prefix){ { LB_FAMILY_V4, { 203, (__u8)(i >> 8), (__u8)i, 10 } }, 32 };
		s->protocol = IPPROTO_TCP;
		s->port_first = s->port_last = 443;
		s->forward = LB_FORWARD_IPIP;
		s->algorithm = (enum lb_algorithm)algorithm;
		s->ring_size = ring_size;
		s->idle_timeout_s = 900;
		s->drain_limit_s = 86400;
		s->echo = true;
		s->n_backends = backends;
		s->backends = calloc(backends, sizeof(*s->backends));
		for (size_t b = 0; b < backends; b++) {
			snprintf(s->backends[b].name, sizeof(s->backends[b].name), "backend-%zu-%zu", i, b);
			s->backends[b].address =
				(struct lb_address){ LB_FAMILY_V4,
						     { 10, (__u8)(i >> 8), (__u8)i, (__u8)(b + 1) } };
			s->backends[b].weight = 100;
		}
	}
	return config;
}

static void free_config(struct lb_config *config)
{
	for (size_t i = 0; i < config->n_services; i++)
		free(config->services[i].backends);
	free(config->services);
	free(config);
}

static void apply(struct lb_engine *engine, const struct lb_desired *desired, const char *what)
{
	struct lb_error error = {};
	struct lb_plan *plan = NULL;
	double start = now_ms(), planned;
	int r = lb_engine_plan(engine, desired, &plan, &error);

	planned = now_ms();
	if (r == 0)
		r = lb_engine_commit(engine, plan, &error);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, error.text);
		exit(1);
	}
	printf("%-44s plan %9.2f ms   commit %8.2f ms   %s\n", what, planned - start, now_ms() - planned,
	       lb_plan_is_empty(plan) ? "(empty)" : "");
	lb_plan_free(plan);
}

static void look_up(struct lb_nexthop_map *nexthops, const struct lb_config *config,
		    const struct lb_engine *engine, int *salt)
{
	double start = now_ms();

	if (nexthops_fill(nexthops, config, engine, some_nexthop, salt) < 0)
		exit(1);
	printf("%-44s %14.2f ms\n", "next hops of all backends", now_ms() - start);
}

int main(int argc, char **argv)
{
	size_t services = argc > 1 ? strtoul(argv[1], NULL, 0) : 5000;
	size_t backends = argc > 2 ? strtoul(argv[2], NULL, 0) : 20;
	__u32 ring_size = argc > 3 ? (__u32)strtoul(argv[3], NULL, 0) : 8192;
	int algorithm = argc > 4 ? atoi(argv[4]) : LB_ALGORITHM_MAGLEV, salt = 0;
	struct lb_engine_hooks hooks = { .grace = no_wait };
	struct lb_nexthop_map nexthops = {};
	struct lb_config *config[3];
	struct lb_table_sizes sizes;
	struct lb_tables tables;
	struct lb_engine *engine;
	struct lb_error error = {};
	struct lb_override override = { .service = "service-7",
					.backend = "backend-7-3",
					.has_weight = true };
	struct lb_desired desired = {};
	double start;
	__u64 now_s = 0;

	for (int i = 0; i < 3; i++)
		config[i] = make_config(services, backends, ring_size, algorithm);
	lb_engine_sizes(config[0], 2, 1ull << 30, &sizes);
	if (lb_tables_new_memory(&sizes, &tables) < 0 ||
	    lb_engine_new(&tables, &hooks, &engine, &error) < 0) {
		fprintf(stderr, "cannot start: %s\n", error.text);
		return 1;
	}
	printf("%zu services x %zu backends, rings of %u, %s\n", services, backends, ring_size,
	       lb_algorithm_name((enum lb_algorithm)algorithm));
	look_up(&nexthops, config[0], engine, &salt);
	desired.config = config[0];
	desired.nexthops = &nexthops;
	apply(engine, &desired, "first load");
	printf("%-44s %ld MiB\n", "memory, tables included", memory_mib());
	salt = 1;
	look_up(&nexthops, config[0], engine, &salt);
	apply(engine, &desired, "same configuration, every next hop changes");
	apply(engine, &desired, "same configuration, same next hops");
	desired.overrides = &override;
	desired.n_overrides = 1;
	for (__u32 weight = 10; weight <= 40; weight += 10) {
		override.weight = weight;
		apply(engine, &desired, "one weight by an override");
	}
	override.has_state = true;
	override.state = LB_STATE_DOWN;
	apply(engine, &desired, "one backend down");
	config[1]->services[9].n_backends--;
	desired.config = config[1];
	apply(engine, &desired, "another configuration, one backend less");
	config[2]->services[9].n_backends--;
	config[2]->services[8].port_first = config[2]->services[8].port_last = 80;
	desired.config = config[2];
	apply(engine, &desired, "another configuration, another key");
	salt = 0;
	look_up(&nexthops, config[2], engine, &salt);
	apply(engine, &desired, "every next hop changes back");
	start = now_ms();
	lb_engine_free(engine);
	if (lb_engine_new(&tables, &hooks, &engine, &error) < 0) {
		fprintf(stderr, "cannot adopt: %s\n", error.text);
		return 1;
	}
	printf("%-44s %14.2f ms\n", "adoption", now_ms() - start);
	apply(engine, &desired, "the running configuration after adoption");
	start = now_ms();
	while (lb_engine_tick(engine, ++now_s, 1000000) == 1000000)
		;
	lb_engine_tick(engine, ++now_s, 100000000);
	printf("%-44s %14.2f ms\n", "a pass of the sweeper", now_ms() - start);
	printf("%-44s %ld MiB\n", "memory at most, tables included", memory_mib());
	lb_engine_free(engine);
	lb_nexthop_map_done(&nexthops);
	lb_tables_free_memory(&tables);
	for (int i = 0; i < 3; i++)
		free_config(config[i]);
	return 0;
}
