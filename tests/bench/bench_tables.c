/* SPDX-License-Identifier: GPL-2.0-only */
/* See bench_tables.h. Relies on the engine, the configuration parser and libbpf. */
#include "bench_tables.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/vip_table.h"
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

/* network: the addresses of its backends are those that follow it; 16 numbers of the third and fourth byte.
 */
static void write_service(FILE *out, const char *head, bool v6, __u32 network, const char *more)
{
	fprintf(out, ",{%s,\"algorithm\":\"maglev\"%s,\"backends\":[", head, more);
	for (__u32 i = 0; i < BENCH_BACKENDS; i++) {
		__u32 address = network + i + 1;

		fprintf(out, "%s{\"name\":\"b%u\",\"address\":\"", i ? "," : "", i);
		if (v6)
			fprintf(out, "fd00:20::%u", i + 1);
		else
			fprintf(out, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
				address & 255);
		fputs("\"}", out);
	}
	fputs("]}", out);
}

#define NETWORK      0xac140000u /* 172.20.0.0 */
#define NETWORKS     0x0a000000u /* 10.0.0.0, 128 addresses for each service */
#define NETWORK_BITS 7
_Static_assert(BENCH_BACKENDS < 1 << NETWORK_BITS, "all have an address");

static void write_many(FILE *out, const struct bench_many *many)
{
	char head[256], more[64] = "";

	if (many->ring_size)
		snprintf(more, sizeof(more), ",\"ring_size\":%u", many->ring_size);
	if (many->sharing)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ",\"ring\":\"many\"");
	for (__u32 i = 0; i < many->services; i++) {
		snprintf(head, sizeof(head),
			 "\"name\":\"many-%u\",\"vip\":\"10.128.%u.%u\",\"protocol\":\"tcp\",\"port\":80,"
			 "\"forward\":\"ipip\"",
			 i, i >> 8, i & 255);
		write_service(out, head, false, many->different ? NETWORKS + (i << NETWORK_BITS) : NETWORK,
			      more);
	}
}

/* The leading comma of the first service is the caller's to drop. */
static void write_services(FILE *out, const struct bench_many *many)
{
	for (size_t i = 0; i < sizeof(single_services) / sizeof(single_services[0]); i++)
		write_service(out, single_services[i], strstr(single_services[i], "2001:db8") != NULL,
			      NETWORK, ",\"ring_size\":65536");
	write_many(out, many);
}

static int make_config(const struct bench_many *many, struct lb_config **ret_config)
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

static struct lb_vip *entry_of(struct bench_tables *tables, __u32 service)
{
	const struct lb_tables *all = &tables->path.tables;
	__u64 active = all->control->active;
	struct lb_vip *bank = &all->vips[(size_t)LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS];

	for (__u32 i = 0; i <= LB_ACTIVE_MASK(active); i++) {
		if (bank[i].service == service && bank[i].flags & LB_VIP_USED && lb_vip_is_service(&bank[i]))
			return &bank[i];
	}
	return NULL;
}

/* What one of many services has becomes what all of them have; the same indices mean the same in all. */
static void point_to_one(struct bench_tables *tables, const struct bench_many *many)
{
	struct lb_backend *records = tables->path.tables.backends;
	const struct lb_vip *first = NULL;

	for (__u32 i = 0; i < many->services; i++) {
		struct lb_service_view view;
		char name[LB_NAME_MAX];
		struct lb_vip *vip;

		snprintf(name, sizeof(name), "many-%u", i);
		vip = lb_engine_service_by_name(tables->engine, name, &view) == 0 ? entry_of(tables, view.id)
										  : NULL;
		if (!vip)
			continue;
		first = first ? first : vip;
		for (__u32 k = 0; many->one_counter && k < vip->backend_count; k++)
			tables->path.tables.backend_ids[vip->backend_first + k] =
				records[vip->backend_first + k].counter =
					records[first->backend_first + k].counter;
		lb_vip_place(vip, lb_vip_ring_line(many->one_ring ? first : vip),
			     (many->one_region ? first : vip)->backend_first);
	}
}

int bench_tables_open(struct bench_tables *tables, const struct bench_many *many)
{
	struct lb_table_sizes sizes;
	struct lb_desired desired = {};
	struct lb_error error = {};
	static const struct bench_many none = {};
	struct lb_plan *plan = NULL;
	int r;

	many = many ? many : &none;
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
	else
		point_to_one(tables, many);
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
