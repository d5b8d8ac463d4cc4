/* SPDX-License-Identifier: GPL-2.0-only */
/* See rig.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"
#include "rig_internal.h"
#include "lb/hash.h"
#include "lb/types.h"
#include "lb_ingress.skel.h"
#include "lb_pass.skel.h"
#include "nexthops.h"

#define STAMPS_KEPT 256u /* lines of stamps that are compared */

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
					.ring_lines = LB_CHUNK_LINES,
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
	memset(t->stamps, 0, s->ring_lines * sizeof(*t->stamps));
	memset(t->backends, 0, s->backends * sizeof(*t->backends));
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

/* --- packets ---------------------------------------------------------------------------------------------
 */

/* All that packets count, over all CPUs; and what they remember. */
struct totals {
	__u64 reason[LB_REASONS_MAX];
	struct lb_counter backend[256];
	struct lb_flow_bucket flows[RIG_BUCKETS];
	struct lb_stamp_line stamps[STAMPS_KEPT];
};

static void take_totals(const struct rig *rig, struct totals *ret)
{
	const struct lb_tables *t = &rig->path.tables;

	memset(ret, 0, sizeof(*ret));
	for (__u32 cpu = 0; cpu < t->sizes.cpus; cpu++) {
		for (__u32 i = 0; i < LB_REASONS_MAX; i++)
			ret->reason[i] += t->reasons[cpu].reason[i].packets;
		for (__u32 i = 0; i < t->sizes.counters; i++) {
			const __u64 *from = (const __u64 *)&t->counters[cpu * t->sizes.counters + i];
			__u64 *to = (__u64 *)&ret->backend[i];

			for (size_t k = 0; k < sizeof(struct lb_counter) / 8; k++)
				to[k] += from[k];
		}
	}
	memcpy(ret->flows, t->flows, sizeof(ret->flows));
	memcpy(ret->stamps, t->stamps, sizeof(ret->stamps));
}

static void put_back(struct rig *rig, const struct totals *totals)
{
	memcpy(rig->path.tables.flows, totals->flows, sizeof(totals->flows));
	memcpy(rig->path.tables.stamps, totals->stamps, sizeof(totals->stamps));
}

/* What was counted between two totals; fails unless it is exactly one packet. */
static void read_result(const struct totals *before, const struct totals *after, struct result *ret)
{
	__u64 counted = 0;

	ret->reason = 0;
	ret->backend = -1;
	ret->bytes = ret->syn = ret->known = ret->base = ret->refused = 0;
	for (int i = 0; i < (int)LB_REASONS_MAX; i++) {
		if (after->reason[i] == before->reason[i])
			continue;
		counted += after->reason[i] - before->reason[i];
		ret->reason = i;
	}
	for (int i = 0; i < 256; i++) {
		const struct lb_counter *a = &after->backend[i], *b = &before->backend[i];
		__u64 packets = a->tx_packets - b->tx_packets + a->redirect_packets - b->redirect_packets;

		if (!packets && !memcmp(a, b, sizeof(*a)))
			continue;
		counted += packets;
		ret->backend = i;
		ret->bytes = a->tx_bytes - b->tx_bytes + a->redirect_bytes - b->redirect_bytes;
		ret->syn = a->syn_packets - b->syn_packets;
		ret->known = a->known_packets - b->known_packets;
		ret->base = a->base_packets - b->base_packets;
		ret->refused = a->refused_inserts - b->refused_inserts;
		if (ret->action == XDP_TX)
			assert_int_equal(a->tx_packets - b->tx_packets, 1);
		else
			assert_int_equal(a->redirect_packets - b->redirect_packets, 1);
	}
	if (counted != 1)
		fail_msg("%llu packets were counted for one", (unsigned long long)counted);
}

static void run_kernel(struct rig *rig, int fd, const struct frame *in, struct result *ret)
{
	static __u8 data_in[FRAME_MAX + 64], data_out[FRAME_MAX + 1024];
	size_t linear = rig->linear && rig->linear < in->length ? rig->linear : in->length;
	struct xdp_md context_in = { .data_end = (__u32)linear,
				     .ingress_ifindex = (__u32)rig->ingress_ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data_in, .data_size_in = (__u32)in->length,
		    .data_out = data_out, .data_size_out = sizeof(data_out), .repeat = 1);

	memcpy(data_in, in->bytes, in->length);
	if (rig->ingress_ifindex || linear != in->length) {
		opts.ctx_in = &context_in;
		opts.ctx_size_in = sizeof(context_in);
	}
	if (bpf_prog_test_run_opts(fd, &opts) < 0)
		fail_msg("BPF_PROG_TEST_RUN of %zu bytes (%zu linear): %s", in->length, linear,
			 strerror(errno));
	ret->action = (int)opts.retval;
	ret->out.length = opts.data_size_out;
	assert_true(ret->out.length <= FRAME_MAX);
	memcpy(ret->out.bytes, data_out, ret->out.length);
}

static void run_host(struct rig *rig, const struct frame *in, struct result *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	rig->host->now_ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
	rig->host->linear = rig->linear;
	rig->host->ingress_ifindex = (__u32)(rig->ingress_ifindex ? rig->ingress_ifindex : 1);
	ret->out.length = in->length;
	memcpy(ret->out.bytes, in->bytes, in->length);
	ret->action = host_packet(rig->host, ret->out.bytes, &ret->out.length, FRAME_MAX);
}

static bool results_agree(const struct result *a, const struct result *b)
{
	if (a->action == b->action && a->reason == b->reason && a->backend == b->backend &&
	    a->bytes == b->bytes && a->syn == b->syn && a->known == b->known && a->base == b->base &&
	    a->refused == b->refused && a->out.length == b->out.length &&
	    !memcmp(a->out.bytes, b->out.bytes, a->out.length))
		return true;
	printf("# loaded: action %d, reason %d, backend %d; other: action %d, reason %d, backend %d\n",
	       a->action, a->reason, a->backend, b->action, b->reason, b->backend);
	frame_show_difference(&b->out, &a->out);
	return false;
}

/* Fails unless another program, that ran from the same state, did the same and remembers the same. */
static void compare(struct rig *rig, const char *who, const struct totals *after, struct result *other)
{
	static struct totals other_after;

	take_totals(rig, &other_after);
	read_result(after, &other_after, other);
	if (!results_agree(&rig->last, other))
		fail_msg("the loaded program and the %s one disagree", who);
	if (memcmp(after->flows, other_after.flows, sizeof(after->flows)) ||
	    memcmp(after->stamps, other_after.stamps, sizeof(after->stamps)))
		fail_msg("the loaded program and the %s one remember different things", who);
}

void rig_explain(struct rig *rig, const struct frame *in, struct result *ret,
		 struct lb_decision *ret_decision)
{
	run_kernel(rig, rig_explain_fd(rig->explain), in, ret);
	rig_explain_decision(rig->explain, ret_decision);
}

/* Explains a packet, and fails if that left a trace. */
static void explain_first(struct rig *rig, const struct frame *in, struct result *ret_explained,
			  struct lb_decision *ret_decision)
{
	static struct totals before, after;

	take_totals(rig, &before);
	rig_explain(rig, in, ret_explained, ret_decision);
	take_totals(rig, &after);
	if (memcmp(&before, &after, sizeof(before)))
		fail_msg("the explaining program counted or remembered something");
}

static void capture_again(struct rig *rig, const struct frame *in, const struct totals *before,
			  const struct totals *after)
{
	static struct result other;

	put_back(rig, before);
	run_kernel(rig, rig_capture_fd(rig->capture), in, &other);
	compare(rig, "capturing", after, &other);
	rig_capture_check(rig->capture, in, &rig->last);
}

void rig_run(struct rig *rig, const struct frame *in)
{
	static struct totals before, after, counted;
	static struct result other, explained;
	struct lb_decision decision;

	if (rig->explain)
		explain_first(rig, in, &explained, &decision);
	take_totals(rig, &before);
	run_kernel(rig, rig->program_fd < 0 ? rig->path.program_fd : rig->program_fd, in, &rig->last);
	take_totals(rig, &after);
	read_result(&before, &after, &rig->last);
	if (rig->alone)
		return;
	if (rig->explain)
		rig_explain_check(rig->explain, &explained, &decision, &rig->last);
	if (rig->capture)
		capture_again(rig, in, &before, &after);
	put_back(rig, &before);
	take_totals(rig, &counted);
	memcpy(counted.flows, after.flows, sizeof(after.flows));
	memcpy(counted.stamps, after.stamps, sizeof(after.stamps));
	run_host(rig, in, &other);
	compare(rig, "host-compiled", &counted, &other);
}

static const char *reason_name(int reason)
{
	switch (reason) {
#define X(number, name, action, text, help)                                                                  \
	case number:                                                                                         \
		return #name;
		LB_REASONS(X)
#undef X
	default:
		return "none: forwarded";
	}
}

void rig_expect(struct rig *rig, const struct frame *in, int action, int reason, const struct frame *want,
		const char *file, int line)
{
	const struct result *r = &rig->last;
	bool same;

	rig_run(rig, in);
	if (r->action != action || r->reason != reason) {
		printf("# got action %d (%s), wanted %d (%s)\n", r->action, reason_name(r->reason), action,
		       reason_name(reason));
		frame_show_difference(&r->out, want ? want : in);
		_fail(file, line);
	}
	if ((reason == 0) != (r->backend >= 0)) {
		printf("# backend %d was counted\n", r->backend);
		_fail(file, line);
	}
	same = !want || (r->out.length == want->length && !memcmp(r->out.bytes, want->bytes, want->length));
	if (!same) {
		frame_show_difference(&r->out, want);
		_fail(file, line);
	}
}

void rig_expect_same(struct rig *rig, const struct frame *in, int action, int reason, const char *file,
		     int line)
{
	rig_expect(rig, in, action, reason, in, file, line);
}
