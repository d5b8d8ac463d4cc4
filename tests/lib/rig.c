/* SPDX-License-Identifier: GPL-2.0-only */
/* See rig.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"
#include "rig_internal.h"
#include "lb/hash.h"
#include "lb/types.h"
#include "lb_ingress.skel.h"
#include "lb_pass.skel.h"
#include "nexthops.h"

/* --- set-up ----------------------------------------------------------------------------------------------
 */

static int grace(void *context)
{
	return 0;
}

static void nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	struct rig *rig = context;
	bool v4 = to->family == LB_FAMILY_V4;

	*ret = rig->hop;
	memcpy(ret->destination, "\x02\x00\x00\x00\xbe", 5);
	ret->destination[5] = to->bytes[v4 ? 3 : 15];
	memcpy(ret->source, "\x02\x00\x00\x00\x00\x1b", 6);
	if (lb_address_parse(v4 ? SOURCE4 : SOURCE6, &ret->source_address))
		abort();
}

/* A namespace of our own, and a veth pair in it with a program at both ends, which gives them receive queues.
 */
static int make_network(struct rig *rig)
{
	struct lb_pass_bpf *pass;
	int fd, r = -1;

	if (unshare(CLONE_NEWNET) ||
	    system("ip link set lo up && ip link add rig0 type veth peer name rig1 && "
		   "ip link set rig0 up && ip link set rig1 up"))
		return -1;
	rig->ifindex = (int)if_nametoindex("rig0");
	rig->peer_ifindex = (int)if_nametoindex("rig1");
	pass = lb_pass_bpf__open_and_load();
	fd = pass ? bpf_program__fd(pass->progs.lb_pass) : -1;
	if (fd >= 0 && bpf_xdp_attach(rig->ifindex, fd, XDP_FLAGS_DRV_MODE, NULL) >= 0 &&
	    bpf_xdp_attach(rig->peer_ifindex, fd, XDP_FLAGS_DRV_MODE, NULL) >= 0)
		r = 0;
	lb_pass_bpf__destroy(pass);
	return r;
}

int rig_share_maps(const struct rig *rig, struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, rig->path.skeleton->obj)
	{
		const char *name = bpf_map__name(map);
		struct bpf_map *same = bpf_object__find_map_by_name(object, name);

		if (!same || strstr(name, "rodata") || !strcmp(name, "slow_scratch") ||
		    !strcmp(name, "lb_search"))
			continue;
		if (bpf_map__reuse_fd(same, bpf_map__fd(map)))
			return -1;
	}
	return 0;
}

/* The packet path that explains and the one that captures. RIG_PLAIN in the environment leaves them out: an
 * emulated processor verifies the plain one alone in a third of the time.
 */
static int others_new(struct rig *rig, bool several)
{
	return rig_capture_new(rig, several, &rig->capture) < 0
		       ? -1
		       : rig_explain_new(rig, several, &rig->explain);
}

static int set_up(void **state, bool several, bool limited)
{
	struct lb_table_sizes sizes = { .cpus = (__u32)libbpf_num_possible_cpus(),
					.vip_buckets = LB_VIP_BUCKETS,
					.ring_lines = 2 * LB_CHUNK_LINES, /* with half as many stamps */
					.stamp_lines = LB_CHUNK_LINES,
					.backends = LB_CHUNK_LINES,
					.counters = 256,
					.services = 64,
					.flow_buckets = RIG_BUCKETS };
	const struct packet_path_rates rates = PACKET_PATH_NO_LIMITS;
	static struct rig rig;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	rig = (struct rig){ .hooks = { .grace = grace } };
	if (packet_path_open_rates(&sizes, several, limited ? NULL : &rates, &rig.path) < 0 ||
	    make_network(&rig) < 0 || host_new(&rig.path.tables, &rig.host) < 0 ||
	    (!getenv("RIG_PLAIN") && others_new(&rig, several) < 0)) {
		fprintf(stderr, "# cannot load the packet path, or make a veth pair: is this root?\n");
		return -1;
	}
	rig.host->several = several;
	rig.host->observe = rig.path.observe;
	rig.host->unlimited = !limited;
	*state = &rig;
	return 0;
}

int rig_setup(void **state)
{
	return set_up(state, false, false);
}

int rig_setup_several(void **state)
{
	return set_up(state, true, false);
}

int rig_setup_limited(void **state)
{
	return set_up(state, false, true);
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	lb_engine_free(rig->engine);
	lb_nexthop_map_done(&rig->nexthops);
	lb_config_free(rig->config);
	host_free(rig->host);
	rig_capture_free(rig->capture);
	rig_explain_free(rig->explain);
	packet_path_close(&rig->path);
	return 0;
}

void rig_plug(struct rig *rig, __u32 port, int index)
{
	rig_plug_tagged(rig, port, index, 0);
}

void rig_plug_tagged(struct rig *rig, __u32 port, int index, __u32 tag)
{
	__u32 ifindex = (__u32)index;
	__u64 wide = lb_port(ifindex, tag);

	if (ifindex)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(rig->path.skeleton->maps.lb_devmap), &port,
						     &ifindex, 0),
				 0);
	else
		(void)bpf_map_delete_elem(bpf_map__fd(rig->path.skeleton->maps.lb_devmap), &port);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(rig->path.skeleton->maps.lb_ports), &port, &wide, 0),
			 0);
	rig->host->devmap[port] = ifindex;
	rig->host->ports[port] = wide;
	rig->hop.tagged = tag != 0;
	rig->tag = tag;
}

/* The tables as they were made. */
static void clear_tables(struct rig *rig)
{
	struct lb_tables *t = &rig->path.tables;
	const struct lb_table_sizes *s = &t->sizes;

	lb_engine_free(rig->engine);
	rig->engine = NULL;
	lb_config_free(rig->config);
	rig->config = NULL;
	memset(t->control, 0, sizeof(*t->control));
	memset(t->vips, 0, (size_t)LB_BANKS * s->vip_buckets * sizeof(*t->vips));
	memset(t->banks, 0, LB_BANKS * sizeof(*t->banks));
	memset(t->filters, 0, LB_BANKS * sizeof(*t->filters));
	memset(t->rings, 0, s->ring_lines * sizeof(*t->rings));
	memset(t->stamps, 0, s->stamp_lines * sizeof(*t->stamps));
	memset(t->backends, 0, s->backends * sizeof(*t->backends));
	memset(t->backend_ids, 0, s->backends * sizeof(*t->backend_ids));
	memset(t->counters, 0, (size_t)s->cpus * s->counters * sizeof(*t->counters));
	memset(t->reasons, 0, s->cpus * sizeof(*t->reasons));
	memset(t->flows, 0, s->flow_buckets * sizeof(*t->flows));
	memset(t->service_meta, 0, s->services * sizeof(*t->service_meta));
	memset(t->backend_meta, 0, s->counters * sizeof(*t->backend_meta));
	memset(rig->path.observe, 0, sizeof(*rig->path.observe));
	memset(rig->path.observed, 0, s->cpus * sizeof(*rig->path.observed));
	memset(rig->path.neighbors, 0, sizeof(*rig->path.neighbors));
	rig->host->neighbors = rig->path.neighbors;
	rig->host->now_ns = 0;
	lb_tables_init_control(s, t->control);
	for (unsigned int i = 0; i < LB_HASH_WORDS; i++)
		t->control->flow_key[i] = (i + 1) * 0x243f6a8885a308d3ull;
}

/* MAC_LB, whatever interface a frame comes in by: the loopback device (1) if none is said. */
static void stations_default(struct rig *rig)
{
	const int ifindexes[] = { 1, rig->ifindex, rig->peer_ifindex };
	struct lb_station all[3];

	for (int i = 0; i < 3; i++)
		all[i] = (struct lb_station){ ifindexes[i], "\x02\x00\x00\x00\x00\x1b", true, 0 };
	rig_stations(rig, all, 3, 1);
}

void rig_stations(struct rig *rig, const struct lb_station *all, size_t n, int only)
{
	struct lb_stations *stations = rig->path.stations;

	memset(stations, 0, sizeof(*stations));
	assert_int_equal(lb_stations_build(all, n, only, 1, stations), 0);
	stations->list = 1;
	stations->closed = 1;
	rig->host->stations = stations;
}

int rig_reset(void **state)
{
	struct rig *rig = *state;
	struct lb_error error = {};

	clear_tables(rig);
	for (__u32 port = 0; port < LB_PORTS_MAX; port++)
		rig_plug(rig, port, 0);
	rig_plug(rig, RIG_PORT, rig->peer_ifindex);
	stations_default(rig);
	rig->hop = (struct lb_nexthop){
		.resolved = true, .same_interface = true, .port = RIG_PORT, .mtu = 1500
	};
	rig->tunnel_source = NULL;
	rig->n_held = 0;
	rig->unclaimed = ",'unclaimed':'pass'";
	rig->alone = false;
	rig->linear = 0;
	rig->ingress_ifindex = 0;
	rig->program_fd = -1;
	if (lb_engine_new(&rig->path.tables, &rig->hooks, &rig->engine, &error) < 0) {
		fprintf(stderr, "# engine: %s\n", error.text);
		return -1;
	}
	return 0;
}

/* --- configuration ---------------------------------------------------------------------------------------
 */

const char *rig_web(const char *forward, const char *protocol, const char *vip, const char *addresses, ...)
{
	static char texts[8][4096];
	static int next;
	char *text = texts[next++ % 8];
	int n = snprintf(text, sizeof(texts[0]),
			 "{'name':'web','vip':'%s','protocol':'%s','port':80,'forward':'%s','ring_size':64",
			 vip, protocol, forward);
	const char *more, *address = addresses;
	va_list list;

	va_start(list, addresses);
	while ((more = va_arg(list, const char *)))
		n += snprintf(text + n, sizeof(texts[0]) - (size_t)n, ",%s", more);
	va_end(list);
	n += snprintf(text + n, sizeof(texts[0]) - (size_t)n, ",'backends':[");
	for (int i = 1; *address; i++) {
		int length = (int)strcspn(address, ",");

		n += snprintf(text + n, sizeof(texts[0]) - (size_t)n, "%s{'name':'b%d','address':%.*s}",
			      i > 1 ? "," : "", i, length, address);
		address += length;
		address += *address == ',';
	}
	snprintf(text + n, sizeof(texts[0]) - (size_t)n, "]}");
	return text;
}

static struct lb_config *parse(const struct rig *rig, const char *services)
{
	struct lb_error error = {};
	struct lb_config *config = NULL;
	char *text;

	assert_true(asprintf(&text,
			     "{'version':1,'hash_seed':'the "
			     "rig','interfaces':[{'name':'rig0'}]%s%s%s,'services':[%s]}",
			     rig->unclaimed ? rig->unclaimed : "",
			     rig->tunnel_source ? ",'tunnel_source':" : "",
			     rig->tunnel_source ? rig->tunnel_source : "", services) > 0);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	if (lb_config_parse(text, strlen(text), &config, &error) < 0)
		printf("# %s\n", text);
	free(text);
	if (!config)
		fail_msg("configuration: %s", error.text);
	return config;
}

void rig_change(struct rig *rig, const char *services)
{
	struct lb_config *config = parse(rig, services), *before = rig->config;
	struct lb_desired desired = { .config = config,
				      .nexthops = &rig->nexthops,
				      .host_addresses = rig->held,
				      .n_host_addresses = rig->n_held,
				      .n_held = rig->n_held };
	struct lb_error error = {};
	struct lb_plan *plan = NULL;

	if (nexthops_fill(&rig->nexthops, config, rig->engine, nexthop, rig) < 0 ||
	    lb_engine_plan(rig->engine, &desired, &plan, &error) < 0 ||
	    lb_engine_commit(rig->engine, plan, &error) < 0)
		fail_msg("commit: %s", error.text);
	lb_plan_free(plan);
	rig->config = config;
	lb_config_free(before);
}

void rig_services(struct rig *rig, const char *services)
{
	struct lb_error error = {};

	clear_tables(rig);
	if (lb_engine_new(&rig->path.tables, &rig->hooks, &rig->engine, &error) < 0)
		fail_msg("engine: %s", error.text);
	rig_change(rig, services);
}

void rig_tick(struct rig *rig, __u64 now_s)
{
	lb_engine_tick(rig->engine, now_s, 1u << 20);
}

static void view(struct rig *rig, const char *service, struct lb_service_view *ret_view)
{
	if (lb_engine_service_by_name(rig->engine, service, ret_view))
		fail_msg("no service %s", service);
}

struct lb_vip *rig_vip(struct rig *rig, const char *service)
{
	__u64 active = rig->path.tables.control->active;
	struct lb_vip *bank = rig->path.tables.vips + (size_t)LB_ACTIVE_BANK(active) * LB_VIP_BUCKETS;
	struct lb_service_view v;

	view(rig, service, &v);
	for (__u32 i = 0; i < 1u << LB_ACTIVE_LOG2(active); i++)
		if (bank[i].flags & LB_VIP_USED && bank[i].service == v.id && bank[i].key[2] & 0xffff)
			return &bank[i];
	fail_msg("%s is not in the VIP table", service);
	return NULL;
}

__u32 *rig_slot(struct rig *rig, const char *service, __u32 number)
{
	struct lb_service_view v;

	view(rig, service, &v);
	assert_true(number < v.ring_slots);
	return &rig->path.tables.rings[v.ring_line + number / LB_SLOTS_PER_LINE]
			.slot[number % LB_SLOTS_PER_LINE];
}

void rig_fill_slots(struct rig *rig, const char *service, __u32 slot)
{
	struct lb_service_view v;

	view(rig, service, &v);
	for (__u32 i = 0; i < v.ring_slots; i++)
		*rig_slot(rig, service, i) = slot;
}

struct lb_backend *rig_backend(struct rig *rig, const char *service, __u32 index)
{
	struct lb_service_view v;

	view(rig, service, &v);
	return &rig->path.tables.backends[v.backend_first + index];
}
