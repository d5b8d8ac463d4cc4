// SPDX-License-Identifier: GPL-2.0-only
/*
 * The packet that is explained.
 */
#include "lbd/capture/explain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "lb/checksum.h"

#define ETHERNET_BYTES 14u

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
			/* Of a flow that goes on none: nobody knows them (bpf/choose.h). */
			.seq = question->syn ? htonl(1) : 0,
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

const char *explain_verdict_name(__u32 verdict)
{
	static const char *const names[] = { "XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX",
					     "XDP_REDIRECT" };

	return verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "unknown";
}
