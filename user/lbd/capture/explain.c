// SPDX-License-Identifier: GPL-2.0-only
/*
 * Explaining a packet. The decision is read from the tables with the very inline functions of the packet path
 * (hash.h, slot.h, flowtable.h, vip.h).
 */
#include "lbd/capture/explain.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "lb/checksum.h"
#include "lb/explain.h"
#include "lb/hash.h"
#include "lb/reasons.h"
#include "lb/slot.h"
#include "engine/vip_table.h"

static struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

#define ETHERNET_BYTES 14u

/* --- the tables ------------------------------------------------------------------------------------------
 */

static void address_words(const struct lb_address *address, __u64 words[2])
{
	words[0] = words[1] = 0;
	memcpy(words, address->bytes, address->family == LB_FAMILY_V4 ? 4 : 16);
}

/* As flow_hash() of bpf/select.h. */
static __u64 flow_hash(const struct explain_question *question, const __u64 *key, __u32 flags)
{
	__u32 ports = (__u32)htons(question->source_port) << 16 | htons(question->destination_port);
	__u32 protocol = question->protocol;
	__u64 source[2], destination[2];

	address_words(&question->source, source);
	address_words(&question->destination, destination);
	if (flags & LB_VIP_SOURCE) {
		ports = protocol = 0;
		destination[0] = destination[1] = 0;
	}
	if (question->source.family == LB_FAMILY_V4)
		return lb_hash_v4(key, source[0], destination[0], ports, protocol);
	return lb_hash_v6(key, source, destination, ports, protocol);
}

static const struct lb_backend *record(const struct lb_tables *tables, const struct lb_vip *vip, __u32 index)
{
	return &tables->backends[vip->backend_first + index];
}

static bool is_alive(const struct lb_tables *tables, const struct lb_vip *vip, __u32 index)
{
	return index < vip->backend_count &&
	       (record(tables, vip, index)->flags & (LB_BACKEND_USED | LB_BACKEND_DEAD)) == LB_BACKEND_USED;
}

/* As select_unsettled() of bpf/select.h, remembering nothing. */
static __u32 choose_unsettled(const struct lb_tables *tables, const struct explain_question *question,
			      struct explain_decision *decision)
{
	__u32 cur = lb_slot_cur(decision->word), base = lb_slot_base(decision->word);
	__u64 identity = lb_flow_word(0, 0, (__u32)decision->hash, decision->vip->service, 0);
	bool syn = question->syn && question->protocol == IPPROTO_TCP;
	bool learning = decision->word & LB_SLOT_LEARNING;
	struct lb_flow_place place;

	decision->asked = true;
	if (lb_flow_find(tables->flows, tables->control->flow_mask,
			 lb_flow_tag(flow_hash(question, tables->control->flow_key, 0)), identity,
			 LB_LOAD(&tables->control->clock_s), &place)) {
		decision->found = true;
		decision->entry = place.word;
		if (is_alive(tables, decision->vip, lb_flow_backend(place.word)))
			return lb_flow_backend(place.word);
		decision->void_entry = true;
	}
	if (cur == base || !(syn || learning))
		return base;
	return syn ? cur : base;
}

void explain_decide(const struct lb_tables *tables, const struct explain_question *question,
		    __u32 packet_bytes, struct explain_decision *ret)
{
	__u64 active = LB_LOAD(&tables->control->active);
	__u32 bank = LB_ACTIVE_BANK(active);
	const __u32 *slots;

	*ret = (struct explain_decision){ .generation = LB_ACTIVE_GENERATION(active),
					  .index = LB_INDEX_NONE };
	ret->vip = lb_vip_resolve(tables->control->hash_seed,
				  tables->vips + (size_t)bank * tables->sizes.vip_buckets,
				  LB_ACTIVE_LOG2(active), &tables->banks[bank], &question->destination,
				  question->protocol, question->destination_port);
	if (!ret->vip) {
		ret->reason = LB_PASS_NO_SERVICE;
		return;
	}
	ret->hash = flow_hash(question, tables->control->hash_seed, ret->vip->flags);
	ret->slot = ret->hash & ret->vip->ring_mask;
	slots = tables->rings[lb_vip_ring_line(ret->vip)].slot;
	ret->word = LB_LOAD(&slots[ret->slot]);
	ret->index =
		lb_slot_settled(ret->word) ? lb_slot_cur(ret->word) : choose_unsettled(tables, question, ret);
	if (ret->index == LB_INDEX_NONE) {
		ret->reason = LB_DROP_NO_BACKEND;
		return;
	}
	ret->backend = record(tables, ret->vip, ret->index);
	if (ret->backend->method == LB_METHOD_NONE)
		ret->reason = LB_DROP_NEXTHOP;
	else if (packet_bytes - ETHERNET_BYTES > ret->backend->max_len)
		ret->reason = LB_DROP_TOO_BIG;
}

/* --- the packet ------------------------------------------------------------------------------------------
 */

static __u32 sum_bytes(const void *bytes, size_t n, __u32 sum)
{
	const __u8 *from = bytes;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += from[i] | (__u32)from[i + 1] << 8;
	return n & 1 ? sum + from[n - 1] : sum;
}

static __u16 transport_check(const struct explain_question *question, const void *transport, __u32 bytes)
{
	size_t address_bytes = question->source.family == LB_FAMILY_V4 ? 4 : 16;
	__u32 sum = sum_bytes(transport, bytes, 0);

	sum = sum_bytes(question->source.bytes, address_bytes, sum);
	sum = sum_bytes(question->destination.bytes, address_bytes, sum);
	return (__u16)~lb_csum_fold(sum + htons(question->protocol) + htons(bytes));
}

static __u32 make_transport(const struct explain_question *question, void *at)
{
	if (question->protocol == IPPROTO_TCP) {
		struct tcphdr tcp = {
			.source = htons(question->source_port),
			.dest = htons(question->destination_port),
			.seq = htonl(1),
			.ack_seq = question->syn ? 0 : htonl(1),
			.doff = sizeof(tcp) / 4,
			.syn = question->syn,
			.ack = !question->syn,
			.window = htons(65535),
		};

		tcp.check = transport_check(question, &tcp, sizeof(tcp));
		memcpy(at, &tcp, sizeof(tcp));
		return sizeof(tcp);
	}
	struct udphdr udp = {
		.source = htons(question->source_port),
		.dest = htons(question->destination_port),
		.len = htons(sizeof(udp)),
	};

	udp.check = transport_check(question, &udp, sizeof(udp));
	memcpy(at, &udp, sizeof(udp));
	return sizeof(udp);
}

__u32 explain_packet(const struct explain_question *question, const __u8 destination_mac[6],
		     __u8 packet[EXPLAIN_PACKET_MAX])
{
	static const __u8 source_mac[6] = { 0x02, 0, 0, 0, 0, 0x01 };
	bool v4 = question->source.family == LB_FAMILY_V4;
	__u32 header = v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	__u32 transport;

	memset(packet, 0, EXPLAIN_PACKET_MAX);
	memcpy(packet, destination_mac, 6);
	memcpy(packet + 6, source_mac, 6);
	packet[12] = v4 ? 0x08 : 0x86;
	packet[13] = v4 ? 0x00 : 0xdd;
	transport = make_transport(question, packet + ETHERNET_BYTES + header);
	if (v4) {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = question->protocol };

		ip.tot_len = htons(header + transport);
		memcpy(&ip.saddr, question->source.bytes, 4);
		memcpy(&ip.daddr, question->destination.bytes, 4);
		ip.check = (__u16)~lb_csum_fold(sum_bytes(&ip, sizeof(ip), 0));
		memcpy(packet + ETHERNET_BYTES, &ip, sizeof(ip));
	} else {
		struct ip6_hdr ip = {};

		ip.ip6_flow = htonl(6u << 28);
		ip.ip6_plen = htons(transport);
		ip.ip6_nxt = question->protocol;
		ip.ip6_hlim = 64;
		memcpy(&ip.ip6_src, question->source.bytes, 16);
		memcpy(&ip.ip6_dst, question->destination.bytes, 16);
		memcpy(packet + ETHERNET_BYTES, &ip, sizeof(ip));
	}
	return ETHERNET_BYTES + header + transport;
}

/* --- the program -----------------------------------------------------------------------------------------
 */

int explain_run_program(int program_fd, int ifindex, const __u8 *packet, __u32 bytes,
			struct explain_run *ret_run, struct lb_error *error)
{
	static const __u64 magic = LB_EXPLAIN_MAGIC;
	__u8 in[sizeof(magic) + EXPLAIN_PACKET_MAX], out[sizeof(magic) + sizeof(ret_run->packet)];
	struct xdp_md context_in = {
		.data = sizeof(magic),
		.data_end = sizeof(magic) + bytes,
		.ingress_ifindex = ifindex,
	};
	struct xdp_md context_out = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in, .data_size_in = sizeof(magic) + bytes,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &context_in,
		    .ctx_size_in = sizeof(context_in), .ctx_out = &context_out,
		    .ctx_size_out = sizeof(context_out), .repeat = 1);
	__u32 skip;

	memcpy(in, &magic, sizeof(magic));
	memcpy(in + sizeof(magic), packet, bytes);
	if (bpf_prog_test_run_opts(program_fd, &run) < 0)
		return lb_error_set(error, errno, "Failed to run the loaded program: %m");
	/* What comes back begins with the metadata, if it is still there. */
	skip = context_out.data - context_out.data_meta;
	if (skip > run.data_size_out)
		skip = run.data_size_out;
	ret_run->verdict = run.retval;
	ret_run->bytes = run.data_size_out - skip;
	if (ret_run->bytes > sizeof(ret_run->packet))
		ret_run->bytes = sizeof(ret_run->packet);
	memcpy(ret_run->packet, out + skip, ret_run->bytes);
	return 0;
}

const char *explain_verdict_name(__u32 verdict)
{
	static const char *const names[] = { "XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX",
					     "XDP_REDIRECT" };

	return verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "unknown";
}
