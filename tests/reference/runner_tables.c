/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See runner_tables.h. Next hops are pure functions of the backend's address, so that a configuration file
 * says it all: the byte before the last picks the MTU, the last one the port, with three values of their own
 * below.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "lb/reasons.h"
#include "net/stations.h"
#include "runner_tables.h"

#include "lb/types.h"
#include "lb_ingress.skel.h"
#include "nexthops.h"

#define LAST_LOCAL      249 /* this host */
#define LAST_UNRESOLVED 250 /* no next hop */
#define LAST_NO_DEVICE  251 /* its port has no interface */
#define PORTS           3
#define WAYS            5 /* those beyond the ports are by a port again, with a tag */

/* lb_port(): IEEE 802.1Q with a priority, 802.1ad. */
static const __u32 tags[WAYS - PORTS] = { 0x8100a064, 0x88a80007 };

static const __u16 mtus[] = { 1500, 9000, 1400, 1320, 600 };

static void nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	const __u8 *end = to->bytes + (to->family == LB_FAMILY_V4 ? 4 : 16);
	__u8 last = end[-1];
	struct lb_nexthop hop = {
		.resolved = last != LAST_UNRESOLVED,
		.local = last == LAST_LOCAL,
		.port = last == LAST_NO_DEVICE ? WAYS : last % WAYS,
		.tagged = last != LAST_NO_DEVICE && last % WAYS >= PORTS,
		.mtu = mtus[end[-2] % (sizeof(mtus) / sizeof(mtus[0]))],
		.destination = { 0x02, 0xdd, to->family, end[-3], end[-2], last },
		.source = { 0x02, 0x55, 0, 0, 0, last % PORTS },
		.source_address.family = to->family,
	};

	hop.same_interface = hop.port == 0 || hop.port == PORTS;
	if (to->family == LB_FAMILY_V4)
		memcpy(hop.source_address.bytes, "\xc0\x00\x02\x01", 4);
	else
		memcpy(hop.source_address.bytes, "\x20\x01\x0d\xb8\xff\xff\0\0\0\0\0\0\0\0\0\1", 16);
	*ret = hop;
}

/* Nothing runs while tables change. */
static int grace(void *context)
{
	return 0;
}

static const struct lb_engine_hooks hooks = { .grace = grace };

/* lo is port 0, where test packets come in; a veth pair gives ports 1 and 2. */
static int make_interfaces(struct runner *runner)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	if (system("ip link add reference1 type veth peer name reference2") != 0)
		return -EIO;
	runner->ifindex[0] = (int)if_nametoindex("lo");
	runner->ifindex[1] = (int)if_nametoindex("reference1");
	runner->ifindex[2] = (int)if_nametoindex("reference2");
	return runner->ifindex[1] && runner->ifindex[2] ? 0 : -ENODEV;
}

static int fill_ports(struct runner *runner)
{
	struct lb_ingress_bpf *skeleton = runner->path.skeleton;

	for (__u32 port = 0; port < WAYS; port++) {
		__u32 device = (__u32)runner->ifindex[port % PORTS];
		__u64 number = lb_port(device, port < PORTS ? 0 : tags[port - PORTS]);

		if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.lb_devmap), &port, &device, BPF_ANY) < 0 ||
		    bpf_map_update_elem(bpf_map__fd(skeleton->maps.lb_ports), &port, &number, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

/* An address that all interfaces have, as most frames want it; a second one of all, as of a VRRP router; and
 * one more of each. */
static const __u8 macs[][6] = { { 2, 0xee, 0, 0, 0, 1 },
				{ 0, 0, 0x5e, 0, 1, 1 },
				{ 2, 0xee, 0, 0, 0, 0x10 } };
#define MACS (sizeof(macs) / sizeof(macs[0]))

/* Addresses of interfaces; the last one has none. */
static const char *const routers[PORTS][2] = { { "192.0.2.77", "2001:db8:77::1" },
					       { "192.0.2.78", "2001:db8:78::1" },
					       { "", "" } };

static struct lb_station station_of(const struct runner *runner, int port, size_t number)
{
	struct lb_station station = { .ifindex = runner->ifindex[port], .own = number == 0 };

	memcpy(station.mac, macs[number], sizeof(station.mac));
	if (number == MACS - 1)
		station.mac[5] += (__u8)port;
	return station;
}

static int fill_stations(struct runner *runner)
{
	struct lb_station all[PORTS * MACS];

	for (int port = 0; port < PORTS; port++)
		for (size_t i = 0; i < MACS; i++)
			all[(size_t)port * MACS + i] = station_of(runner, port, i);
	for (int port = 0; port < PORTS - 1; port++) {
		__u32 ifindex = (__u32)runner->ifindex[port];
		struct lb_station_interface *interface =
			&runner->path.stations->interface[ifindex & (LB_STATION_INTERFACES - 1)];

		interface->ifindex = ifindex;
		inet_pton(AF_INET, routers[port][0], &interface->ipv4);
		inet_pton(AF_INET6, routers[port][1], interface->ipv6);
	}
	runner->path.stations->closed = 1;
	return lb_stations_build(all, PORTS * MACS, runner->several ? 0 : runner->ifindex[0], 0,
				 runner->path.stations);
}

static int apply(struct runner *runner, const char *file)
{
	struct lb_config **config = &runner->configs[runner->n_configs];
	struct lb_desired desired = {};
	struct lb_error error = {};
	struct lb_plan *plan = NULL;
	int r;

	r = lb_config_load(file, config, &error);
	if (r == 0) {
		runner->n_configs++;
		desired.config = *config;
		desired.nexthops = &runner->nexthops;
		r = nexthops_fill(&runner->nexthops, *config, runner->engine, nexthop, NULL);
	}
	if (r == 0) {
		r = lb_engine_plan(runner->engine, &desired, &plan, &error);
	}
	if (r == 0)
		r = lb_engine_commit(runner->engine, plan, &error);
	lb_plan_free(plan);
	if (r < 0)
		fprintf(stderr, "%s: %s (%s)\n", file, error.text, strerror(-r));
	return r;
}

int runner_open(struct runner *runner, bool several, char **configs, int n_configs)
{
	const struct lb_table_sizes sizes = { .cpus = (__u32)libbpf_num_possible_cpus(),
					      .vip_buckets = LB_VIP_BUCKETS,
					      .ring_lines = 2 * LB_CHUNK_LINES,
					      .stamp_lines = 2 * LB_CHUNK_LINES,
					      .backends = LB_CHUNK_LINES,
					      .counters = 512,
					      .services = 64,
					      .flow_buckets = 1u << 16 };
	const struct packet_path_rates rates = PACKET_PATH_NO_LIMITS;
	struct lb_error error = {};
	int r;

	*runner = (struct runner){ .several = several };
	if (n_configs > RUNNER_CONFIGS_MAX)
		return -E2BIG;
	r = make_interfaces(runner);
	if (r == 0)
		r = packet_path_open_rates(&sizes, several, &rates, &runner->path);
	if (r == 0)
		r = fill_ports(runner);
	if (r == 0)
		r = fill_stations(runner);
	if (r == 0) {
		runner->path.tables.control->clock_s = 1000;
		r = lb_engine_new(&runner->path.tables, &hooks, &runner->engine, &error);
	}
	for (int i = 0; i < n_configs && r == 0; i++)
		r = apply(runner, configs[i]);
	if (r < 0)
		fprintf(stderr, "Failed to set up the packet path: %s\n", strerror(-r));
	return r;
}

void runner_close(struct runner *runner)
{
	lb_engine_free(runner->engine);
	lb_nexthop_map_done(&runner->nexthops);
	for (int i = 0; i < runner->n_configs; i++)
		lb_config_free(runner->configs[i]);
	packet_path_close(&runner->path);
}

/* --- JSON ------------------------------------------------------------------------------------------------
 */

static void dump_hex(FILE *out, const char *name, const __u8 *bytes, size_t n)
{
	fprintf(out, ",\"%s\":\"", name);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", bytes[i]);
	fputc('"', out);
}

static void dump_backend(const struct lb_backend_view *view, const struct lb_backend *record, FILE *out)
{
	char text[LB_ADDRESS_TEXT_MAX];

	fprintf(out, "{\"name\":\"%s\",\"id\":%u,\"index\":%u", view->name, view->id, view->index);
	fprintf(out, ",\"address\":\"%s\"", lb_address_text(&view->address, text));
	fprintf(out, ",\"state\":\"%s\",\"weight\":%u", lb_state_name(view->state), view->weight);
	fprintf(out, ",\"leaving\":%s", view->leaving ? "true" : "false");
	fprintf(out, ",\"dead\":%s", record->flags & LB_BACKEND_DEAD ? "true" : "false");
	fprintf(out, ",\"resolved\":%s", view->nexthop.resolved ? "true" : "false");
	fprintf(out, ",\"local\":%s", view->nexthop.local ? "true" : "false");
	fprintf(out, ",\"same_interface\":%s", view->nexthop.same_interface ? "true" : "false");
	fprintf(out, ",\"port\":%u,\"mtu\":%u", view->nexthop.port, view->nexthop.mtu);
	dump_hex(out, "destination", view->nexthop.destination, 6);
	dump_hex(out, "source", view->nexthop.source, 6);
	fprintf(out, ",\"source_address\":\"%s\"", lb_address_text(&view->nexthop.source_address, text));
	/* What the engine made of it, to be compared with what the reference makes of it. */
	fprintf(out, ",\"record\":{\"method\":%u,\"max_len\":%u", record->method, lb_backend_max_len(record));
	dump_hex(out, "eth", record->eth, sizeof(record->eth));
	dump_hex(out, "ip", record->ip, sizeof(record->ip));
	fputs("}}", out);
}

static void dump_service(struct runner *runner, const struct lb_service_view *view, FILE *out)
{
	const struct lb_tables *t = &runner->path.tables;
	const __u32 *slots = t->rings[view->ring_line].slot;

	fprintf(out, "{\"name\":\"%s\",\"id\":%u,\"ring\":[", view->name, view->id);
	for (__u32 i = 0; i < view->ring_slots; i++)
		fprintf(out, "%s%u", i ? "," : "", slots[i]);
	fputs("],\"backends\":[", out);
	for (size_t i = 0; i < view->n_backends; i++) {
		const struct lb_backend_view *backend = &view->backends[i];

		fputs(i ? "," : "", out);
		dump_backend(backend, &t->backends[view->backend_first + backend->index], out);
	}
	fputs("]}", out);
}

static void dump_config(const struct lb_config *config, FILE *out)
{
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);

	if (!memory)
		return;
	lb_config_write(config, memory);
	fclose(memory);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			text[i] = ' ';
	}
	fputs(text, out);
	free(text);
}

static void print_key(FILE *out, const char *name, const __u64 key[LB_HASH_WORDS])
{
	fprintf(out, ",\"%s\":[", name);
	for (unsigned int i = 0; i < LB_HASH_WORDS; i++)
		fprintf(out, "%s%llu", i ? "," : "", key[i]);
	fputc(']', out);
}

int runner_dump(struct runner *runner, FILE *out)
{
	const struct lb_control *control = runner->path.tables.control;
	size_t n = lb_engine_services(runner->engine);

	fputs("{\"config\":", out);
	dump_config(runner->configs[runner->n_configs - 1], out);
	print_key(out, "hash_seed", control->hash_seed);
	print_key(out, "flow_key", control->flow_key);
	fprintf(out, ",\"clock_s\":%u,\"several\":%s,\"ports\":{", control->clock_s,
		runner->several ? "true" : "false");
	for (int port = 0; port < WAYS; port++)
		fprintf(out, "%s\"%d\":%d", port ? "," : "", port, runner->ifindex[port % PORTS]);
	fputs("},\"tags\":{", out);
	for (int port = PORTS; port < WAYS; port++)
		fprintf(out, "%s\"%d\":\"%08x\"", port > PORTS ? "," : "", port, tags[port - PORTS]);
	fputs("},\"stations\":{", out);
	for (int port = 0; port < PORTS; port++) {
		fprintf(out, "%s\"%d\":[", port ? "," : "", port);
		for (size_t i = 0; i < MACS; i++) {
			const struct lb_station station = station_of(runner, port, i);

			fputs(i ? ",\"" : "\"", out);
			for (int byte = 0; byte < 6; byte++)
				fprintf(out, "%02x", station.mac[byte]);
			fputc('"', out);
		}
		fputc(']', out);
	}
	fputs("},\"routers\":{", out);
	for (int port = 0; port < PORTS; port++)
		fprintf(out, "%s\"%d\":[\"%s\",\"%s\"]", port ? "," : "", port, routers[port][0],
			routers[port][1]);
	fputs("},\"reasons\":{", out);
#define X(number, name, action, text, help)                                                                  \
	fprintf(out, "%s\"" #action " " text "\":%d", number > 1 ? "," : "", number);
	LB_REASONS(X)
#undef X
	fputs("},\"services\":[", out);
	for (size_t i = 0; i < n; i++) {
		struct lb_service_view view;

		if (lb_engine_service(runner->engine, i, &view) < 0)
			return -EIO;
		fputs(i ? "," : "", out);
		dump_service(runner, &view, out);
	}
	fputs("]}\n", out);
	return fflush(out) ? -EIO : 0;
}
