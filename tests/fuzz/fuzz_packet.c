/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of any bytes through the host-compiled packet path, over tables that hold services of every kind
 * and slots in every state. Whatever comes: nothing is read or written outside of the packet (ASan), exactly
 * one packet is counted, what passes is unchanged, what is forwarded goes to a backend of its own service
 * inside a valid outer header with the packet that came in.
 *
 * An input is a sequence of packets: two bytes of length, one of circumstances, the frame.
 */
#include <arpa/inet.h>
#include <string.h>

#include "fuzz.h"
#include "engine/engine.h"
#include "host.h"
#include "lb/reasons.h"
#include "lb/slot.h"
#include "nexthops.h"
#include "observe/hellos.h"
#include "observe/tally.h"

#define FRAME_ROOM   9216
#define COUNTERS     64
#define FLOW_BUCKETS 16
#define HOP_BYTES    6

/* Circumstances of a packet. */
#define WITH_OBSERVED 0x01 /* every flow is sampled */
#define WITH_LINEAR   0x02 /* only part of the headers in the linear part */
#define WITH_HEADROOM 0x04 /* little of it */
#define WITH_SECONDS  0x08 /* time goes on */

static const char configuration[] =
	"{'version':1,'hash_seed':'fuzz','interfaces':[{'name':'eth0'}],'unclaimed':'reject',"
	"'tunnel_source':{'ipv4':'172.16.0.0/16','ipv6':'fd00:77::/64'},'services':["
	"{'name':'a','vip':'203.0.113.10','protocol':'tcp','port':80,'ring_size':64,'forward':'ipip',"
	"'backends':[{'name':'1','address':'10.0.1.1'},{'name':'2','address':'fd00::2'},{'name':'3','address'"
	":'10.0.1.3'}]},"
	"{'name':'b','vip':'2001:db8:113::10','protocol':'tcp','port':80,'ring_size':64,'forward':'ipip',"
	"'backends':[{'name':'1','address':'fd00::1'},{'name':'2','address':'fd00::2'}]},"
	"{'name':'c','vip':'203.0.113.10','protocol':'udp','port':80,'ring_size':64,'forward':'gue','"
	"affinity':'source',"
	"'backends':[{'name':'1','address':'10.0.1.1'},{'name':'2','address':'fd00::2'}]},"
	"{'name':'d','vip':'2001:db8:113::10','protocol':'udp','port':443,'ring_size':64,'forward':'gue',"
	"'affinity':'quic','quic':{'configs':[{'rotation':0,'server_id_bytes':2},{'rotation':1,'server_id_"
	"bytes':2}]},"
	"'backends':[{'name':'1','address':'10.0.1.1','server_id':'0001'},"
	"{'name':'2','address':'fd00::2','server_id':'0002'}]},"
	"{'name':'e','vip':'203.0.113.20','protocol':'udp','port':'any','ring_size':64,'forward':'l2','"
	"fragments':'drop',"
	"'backends':[{'name':'1','address':'10.0.1.1'},{'name':'2','address':'10.0.1.2'}]},"
	"{'name':'f','vip':'2001:db8:200::/"
	"40','protocol':'tcp','port':'1000-2047','ring_size':64,'forward':'l2',"
	"'echo':false,'backends':[{'name':'1','address':'fd00::1'}]},"
	"{'name':'g','vip':'203.0.113.30','protocol':'tcp','port':80,'ring_size':64,'no_backend':'reject',"
	"'backends':[{'name':'1','address':'10.0.1.1','state':'down'}]}]}";

static struct lb_tables tables;
static struct host *host;
static struct lb_engine *engine; /* kept, so that what it owns is reachable to the end */
static struct lb_config *config;
static struct lb_observe observe;
static struct lb_tally tally;
static struct lb_hellos *hellos;

static int grace(void *context)
{
	return 0;
}

static void nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	__u8 last = to->bytes[to->family == LB_FAMILY_V4 ? 3 : 15];

	/* Odd ones leave by the same interface, even ones by another. */
	*ret = (struct lb_nexthop){ .resolved = true, .same_interface = last & 1, .port = last, .mtu = 1500 };
	memcpy(ret->destination, "\x02\xbe\xbe\xbe\xbe", 5);
	ret->destination[5] = last;
	memcpy(ret->source, "\x02\x1b\x1b\x1b\x1b\x1b", 6);
	FUZZ_CHECK(!lb_address_parse(to->family == LB_FAMILY_V4 ? "192.0.2.1" : "2001:db8:ffff::1",
				     &ret->source_address),
		   "address");
}

/* Slots of every kind, beside each other. */
static void unsettle(void)
{
	for (__u32 line = 0; line < tables.sizes.ring_lines; line++) {
		for (__u32 i = 0; i < LB_SLOTS_PER_LINE; i++) {
			__u32 *slot = &tables.rings[line].slot[i];
			__u32 cur = lb_slot_cur(*slot);

			if (!*slot && line > 64)
				continue;
			switch (i % 6) {
			case 1:
				*slot = lb_slot_make(cur, 0, LB_SLOT_UNSETTLED);
				break;
			case 2:
				*slot = lb_slot_make(0, cur, LB_SLOT_UNSETTLED | LB_SLOT_LEARNING);
				break;
			case 3:
				*slot = lb_slot_make(cur, cur, LB_SLOT_UNSETTLED);
				break;
			case 4:
				*slot = lb_slot_make(cur, LB_INDEX_NONE, LB_SLOT_UNSETTLED);
				break;
			}
		}
	}
}

/* What the agent makes of what the packet path tells. */
static void told(const void *data, size_t bytes)
{
	const struct lb_observe_event *event = data;
	struct lb_tls_hello hello;
	enum lb_tls_result result;

	FUZZ_CHECK(bytes == sizeof(*event) + event->data_bytes, "an event of %zu bytes", bytes);
	FUZZ_CHECK(event->data_bytes <= LB_OBSERVE_HELLO_MAX, "%u bytes of a hello", event->data_bytes);
	FUZZ_CHECK(event->id.place < LB_OBSERVE_CONNECTIONS, "place %u", event->id.place);
	if (event->kind != LB_OBSERVE_HELLO)
		lb_tally_event(&tally, event, 1, tables.control->clock_s);
	else if (lb_hellos_take(hellos, event, (const __u8 *)(event + 1), &hello, &result))
		lb_tally_hello(&tally, result == LB_TLS_BAD ? NULL : &hello, 1);
}

static void set_up(void)
{
	const struct lb_table_sizes sizes = { .cpus = 1,
					      .vip_buckets = LB_VIP_BUCKETS,
					      .ring_lines = LB_CHUNK_LINES,
					      .stamp_lines = LB_CHUNK_LINES,
					      .backends = LB_CHUNK_LINES,
					      .counters = COUNTERS,
					      .services = 16,
					      .flow_buckets = FLOW_BUCKETS };
	static const struct lb_engine_hooks hooks = { .grace = grace };
	static struct lb_nexthop_map nexthops;
	struct lb_desired desired = {};
	struct lb_error error = {};
	struct lb_plan *plan = NULL;
	static char text[sizeof(configuration)];

	memcpy(text, configuration, sizeof(text));
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	FUZZ_CHECK(!lb_config_parse(text, strlen(text), &config, &error), "configuration: %s", error.text);
	FUZZ_CHECK(!lb_tables_new_memory(&sizes, &tables), "memory");
	FUZZ_CHECK(!lb_engine_new(&tables, &hooks, &engine, &error), "engine: %s", error.text);
	FUZZ_CHECK(!nexthops_fill(&nexthops, config, engine, nexthop, NULL), "memory");
	desired.config = config;
	desired.nexthops = &nexthops;
	FUZZ_CHECK(!lb_engine_plan(engine, &desired, &plan, &error) &&
			   !lb_engine_commit(engine, plan, &error),
		   "commit: %s", error.text);
	lb_plan_free(plan);
	unsettle();
	FUZZ_CHECK(!host_new(&tables, &host) && !lb_hellos_new(&hellos), "memory");
	host->observe = &observe;
	host->told = told;
	host->devmap[2] = 7;
}

/* What was counted since the last call: the reason, or -1 - backend id. Exactly one packet. */
static int counted_one(int action)
{
	__u64 n = 0;
	int what = 0;

	for (int i = 0; i < (int)LB_REASONS_MAX; i++) {
		if (tables.reasons->reason[i].packets)
			what = i;
		n += tables.reasons->reason[i].packets;
	}
	for (int i = 0; i < COUNTERS; i++) {
		const struct lb_counter *c = &tables.counters[i];

		if (c->tx_packets + c->redirect_packets) {
			what = -1 - i;
			FUZZ_CHECK(c->tx_packets == (action == XDP_TX), "tx is counted wrong");
		}
		n += c->tx_packets + c->redirect_packets;
	}
	FUZZ_CHECK(n == 1, "%llu packets were counted for one", (unsigned long long)n);
	memset(tables.reasons, 0, sizeof(*tables.reasons));
	memset(tables.counters, 0, COUNTERS * sizeof(*tables.counters));
	return what;
}

static int action_of(int reason)
{
	switch (reason) {
#define LB_IS_PASS  XDP_PASS
#define LB_IS_DROP  XDP_DROP
#define LB_IS_REPLY XDP_TX
#define X(number, name, action, text, help)                                                                  \
	case number:                                                                                         \
		return LB_IS_##action;
		LB_REASONS(X)
#undef X
	}
	return -1;
}

static __u16 word_at(const __u8 *at)
{
	return (__u16)(at[0] << 8 | at[1]);
}

/* Where the IP header is: behind at most two tags. */
static size_t ip_offset(const __u8 *frame)
{
	size_t at = 12;

	while (at < 20 && (word_at(frame + at) == 0x8100 || word_at(frame + at) == 0x88a8))
		at += 4;
	return at + 2;
}

static __u32 sum_of(const __u8 *at, size_t n)
{
	__u32 sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += word_at(at + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* A packet leaves with the tag of its route, here none, whatever it came with. Bytes of tags that are gone.
 */
static size_t tags_gone(const __u8 *in)
{
	return ip_offset(in) - 14;
}

/* The outer header is right, and behind it is the packet that came in with one hop less. */
static void check_tunnel(const __u8 *in, size_t in_length, const __u8 *out, size_t out_length,
			 const struct lb_backend *backend)
{
	size_t at = ip_offset(out), in_at = ip_offset(in), tags = tags_gone(in);
	const __u8 *outer = out + at, *ip = in + in_at;
	bool v4 = backend->method == LB_METHOD_IPIP_V4 || backend->method == LB_METHOD_GUE_V4;
	bool gue = backend->method == LB_METHOD_GUE_V4 || backend->method == LB_METHOD_GUE_V6;
	size_t header = (v4 ? 20u : 40u) + (gue ? 8u : 0u);
	size_t inner = ip[0] >> 4 == 4 ? word_at(ip + 2) : word_at(ip + 4) + 40u;

	FUZZ_CHECK(at == in_at - tags && !memcmp(in + 12, out + 12, at - 14), "tags are not kept");
	FUZZ_CHECK(out_length == in_length - tags + header, "%zu bytes became %zu", in_length, out_length);
	if (v4) {
		FUZZ_CHECK(outer[0] == 0x45 && sum_of(outer, 20) == 0xffff, "outer checksum");
		FUZZ_CHECK(word_at(outer + 2) == inner + header, "outer length");
	} else {
		FUZZ_CHECK(outer[0] >> 4 == 6 && word_at(outer + 4) == inner + header - 40, "outer length");
	}
	FUZZ_CHECK(!gue || word_at(outer + header - 4) == inner + 8, "UDP length");
	for (size_t i = 0; i < inner; i++) {
		bool hops = ip[0] >> 4 == 4 ? i == 8 || i == 10 || i == 11 : i == 7;

		FUZZ_CHECK(hops || outer[header + i] == ip[i], "byte %zu of the inner packet changed", i);
	}
}

static void check_forwarded(const __u8 *in, size_t in_length, const __u8 *out, size_t out_length, __u32 id)
{
	for (__u32 i = 0; i < 64; i++) {
		const struct lb_backend *backend = &tables.backends[i];

		if (!(backend->flags & LB_BACKEND_USED) || backend->counter != id)
			continue;
		FUZZ_CHECK(!memcmp(out, backend->eth, 2 * HOP_BYTES), "left for another next hop");
		if (backend->method != LB_METHOD_L2)
			check_tunnel(in, in_length, out, out_length, backend);
		else
			FUZZ_CHECK(in_length - tags_gone(in) == out_length &&
					   !memcmp(in + 12 + tags_gone(in), out + 12, out_length - 12),
				   "changed");
		return;
	}
	FUZZ_CHECK(false, "backend id %u is nobody's", id);
}

static void run(const __u8 *in, size_t in_length, __u8 with)
{
	static __u8 out[FRAME_ROOM + 256];
	size_t out_length = in_length;
	int action, what;

	memcpy(out, in, in_length);
	observe.limit = with & WITH_OBSERVED ? LB_OBSERVE_LIMIT(0) : 0;
	host->linear = with & WITH_LINEAR ? 14u + (with >> 4) * 3u : 0;
	host->headroom = with & WITH_HEADROOM ? 40u + (with >> 4) * 4u : HOST_HEADROOM;
	if (with & WITH_SECONDS) {
		host->now_ns += 700000000;
		tables.control->clock_s += with >> 4;
	}
	action = host_packet(host, out, &out_length, sizeof(out));
	what = counted_one(action);
	if (what < 0) {
		FUZZ_CHECK(action == (host->egress_ifindex ? XDP_REDIRECT : XDP_TX), "action %d", action);
		check_forwarded(in, in_length, out, out_length, (__u32)(-1 - what));
		return;
	}
	FUZZ_CHECK(action == action_of(what), "reason %d, action %d", what, action);
	FUZZ_CHECK(what != LB_DROP_INTERNAL, "internal error");
	if (action == XDP_PASS)
		FUZZ_CHECK(out_length == in_length && !memcmp(in, out, in_length), "passed and changed");
	if (action == XDP_TX)
		FUZZ_CHECK(!memcmp(out, in + HOP_BYTES, HOP_BYTES) && !memcmp(out + HOP_BYTES, in, HOP_BYTES),
			   "an answer to somebody else");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!host)
		set_up();
	memset(tables.flows, 0, FLOW_BUCKETS * sizeof(*tables.flows));
	host_forget(host);
	host->now_ns = 1000000000;
	tables.control->clock_s = 1000;
	while (size >= 3) {
		size_t length = word_at(data);
		__u8 with = data[2];

		data += 3;
		size -= 3;
		length = length < size ? length : size;
		if (length < 14 || length > FRAME_ROOM)
			break;
		run(data, length, with);
		data += length;
		size -= length;
	}
	return 0;
}
