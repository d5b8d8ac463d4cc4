/* SPDX-License-Identifier: GPL-2.0-only */
/* See bench_tables.h. Relies on the engine, the configuration parser and libbpf. */
#include "bench_tables.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb/slot.h"
#include "net/stations.h"
#include "nexthops.h"

static const char *const single_services[] = {
	"\"name\":\"tcp4\",\"vip\":\"203.0.113.10\",\"protocol\":\"tcp\",\"port\":80,\"forward\":\"ipip\"",
	"\"name\":\"udp4\",\"vip\":\"203.0.113.10\",\"protocol\":\"udp\",\"port\":80,\"forward\":\"ipip\"",
	"\"name\":\"tcp6\",\"vip\":\"2001:db8::cb00:710a\",\"protocol\":\"tcp\",\"port\":80,\"forward\":"
	"\"ipip\"",
	"\"name\":\"gue4\",\"vip\":\"203.0.113.11\",\"protocol\":\"tcp\",\"port\":80,\"forward\":\"gue\"",
	"\"name\":\"gue6\",\"vip\":\"2001:db8::cb00:710b\",\"protocol\":\"tcp\",\"port\":80,\"forward\":"
	"\"gue\"",
	"\"name\":\"l2\",\"vip\":\"203.0.113.12\",\"protocol\":\"tcp\",\"port\":80,\"forward\":\"l2\"",
	"\"name\":\"any\",\"vip\":\"203.0.113.13\",\"protocol\":\"tcp\",\"port\":\"any\",\"forward\":"
	"\"ipip\"",
	"\"name\":\"unsettled\",\"vip\":\"203.0.113.14\",\"protocol\":\"tcp\",\"port\":80,\"forward\":"
	"\"ipip\"",
};

static void nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	*ret = (struct lb_nexthop){ .resolved = true,
				    .same_interface = true,
				    .mtu = 9000,
				    .destination = { 2, 0, 0, 0, 0, to->bytes[3] },
				    .source = { 2, 0, 0, 0, 1, 1 } };
	ret->source_address = *to;
}

/* RCU grace periods are of no concern: nothing runs while tables change. */
static int grace(void *context)
{
	return 0;
}

static const struct lb_engine_hooks hooks = { .grace = grace };

static void write_service(FILE *out, const char *head, const char *format, const char *ring)
{
	fprintf(out, ",{%s,\"algorithm\":\"maglev\"%s,\"backends\":[", head, ring);
	for (int i = 0; i < BENCH_BACKENDS; i++) {
		fprintf(out, "%s{\"name\":\"b%d\",\"address\":\"", i ? "," : "", i);
		fprintf(out, format, i + 1);
		fputs("\"}", out);
	}
	fputs("]}", out);
}

/* The leading comma of the first service is the caller's to drop. */
static void write_services(FILE *out, int many)
{
	char head[256];

	for (size_t i = 0; i < sizeof(single_services) / sizeof(single_services[0]); i++) {
		int v6 = strstr(single_services[i], "2001:db8") != NULL;

		write_service(out, single_services[i], v6 ? "fd00:20::%d" : "172.20.0.%d",
			      ",\"ring_size\":65536");
	}
	for (int i = 0; many && i < BENCH_MANY_SERVICES; i++) {
		snprintf(head, sizeof(head),
			 "\"name\":\"many-%d\",\"vip\":\"10.128.%d.%d\",\"protocol\":\"tcp\",\"port\":80,"
			 "\"forward\":\"ipip\"",
			 i, i >> 8, i & 255);
		write_service(out, head, "172.20.0.%d", "");
	}
}

static int make_config(int many, struct lb_config **ret_config)
{
	struct lb_error error = {};
	char *text = NULL, *first;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	int r;

	if (!out)
		return -ENOMEM;
	fputs("{\"version\":1,\"hash_seed\":\"bench\",\"interfaces\":[{\"name\":\"bench0\"}],"
	      "\"tunnel_source\":{\"ipv4\":\"172.16.0.0/16\",\"ipv6\":\"fd00:77::/64\"},\"services\":[ ",
	      out);
	write_services(out, many);
	fputs("]}", out);
	fclose(out);
	first = strstr(text, "[ ,");
	first[2] = ' ';
	r = lb_config_parse(text, length, ret_config, &error);
	if (r < 0)
		fprintf(stderr, "Failed to parse the bench's configuration: %s\n", error.text);
	free(text);
	return r;
}

/* Frames of benches are for us, as lbd would have it: their destination is the interface's own address. */
static int know_stations(struct lb_stations *stations)
{
	const struct lb_station all[] = { { .ifindex = 1, .mac = { 2 }, .own = true } };

	stations->closed = 1;
	return lb_stations_build(all, 1, 1, 0, stations);
}

int bench_tables_open(struct bench_tables *tables, int many)
{
	struct lb_table_sizes sizes;
	struct lb_desired desired = {};
	struct lb_error error = {};
	struct lb_plan *plan = NULL;
	int r;

	memset(tables, 0, sizeof(*tables));
	r = make_config(many, &tables->config);
	if (r < 0)
		return r;
	lb_engine_sizes(tables->config, libbpf_num_possible_cpus(), 16ull << 30, &sizes);
	sizes.flow_buckets = 1u << 22; /* 512 MiB: 10 M flows, at 60 % load */
	r = packet_path_open(&sizes, 0, &tables->path);
	if (r == 0)
		r = know_stations(tables->path.stations);
	if (r == 0)
		r = lb_engine_new(&tables->path.tables, &hooks, &tables->engine, &error);
	desired.config = tables->config;
	desired.nexthops = &tables->nexthops;
	if (r == 0)
		r = nexthops_fill(&tables->nexthops, tables->config, tables->engine, nexthop, NULL);
	if (r == 0)
		r = lb_engine_plan(tables->engine, &desired, &plan, &error);
	if (r == 0)
		r = lb_engine_commit(tables->engine, plan, &error);
	lb_plan_free(plan);
	if (r < 0)
		fprintf(stderr, "Failed to fill the tables: %s (%s)\n", error.text, strerror(-r));
	return r;
}

void bench_tables_close(struct bench_tables *tables)
{
	lb_engine_free(tables->engine);
	lb_nexthop_map_done(&tables->nexthops);
	lb_config_free(tables->config);
	packet_path_close(&tables->path);
}

int bench_tables_unsettle(struct bench_tables *tables, const char *service)
{
	struct lb_service_view view;
	int r = lb_engine_service_by_name(tables->engine, service, &view);
	__u32 *slots;

	if (r < 0)
		return r;
	slots = tables->path.tables.rings[view.ring_line].slot;
	for (__u32 i = 0; i < view.ring_slots; i++) {
		__u32 base = lb_slot_base(slots[i]);

		slots[i] = lb_slot_make((base + 1) % BENCH_BACKENDS, base, LB_SLOT_UNSETTLED);
	}
	return 0;
}
