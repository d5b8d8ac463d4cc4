// SPDX-License-Identifier: GPL-2.0-only
/*
 * See gratuitous.h.
 */
#include "announce/gratuitous.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <string.h>

#define ARP_BYTES  28
#define NDISC_HOPS 255

static size_t write_arp(const struct lb_address *vip, const __u8 mac[6], __u8 *frame)
{
	static const __u8 header[] = { 0, ARPHRD_ETHER, ETH_P_IP >> 8, ETH_P_IP & 0xff, ETH_ALEN, 4,
				       0, ARPOP_REQUEST };
	__u8 *arp = frame + ETH_HLEN;

	memset(frame, 0xff, ETH_ALEN);
	memcpy(arp, header, sizeof(header));
	memcpy(arp + 8, mac, ETH_ALEN);
	memcpy(arp + 14, vip->bytes, 4);
	memset(arp + 18, 0, ETH_ALEN);
	memcpy(arp + 24, vip->bytes, 4);
	return ETH_HLEN + ARP_BYTES;
}

/* RFC 1071, of an even number of bytes. */
static __u32 sum_of(const void *bytes, size_t n, __u32 sum)
{
	for (size_t i = 0; i < n; i += 2) {
		__be16 word;

		memcpy(&word, (const __u8 *)bytes + i, sizeof(word));
		sum += ntohs(word);
	}
	return sum;
}

static __be16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((__u16) ~((sum & 0xffff) + (sum >> 16)));
}

static size_t write_advertisement(const struct lb_address *vip, const __u8 mac[6], __u8 *frame)
{
	struct {
		struct nd_neighbor_advert advert;
		struct nd_opt_hdr option;
		__u8 mac[ETH_ALEN];
	} message = { .advert.nd_na_type = ND_NEIGHBOR_ADVERT,
		      .advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE,
		      .option = { ND_OPT_TARGET_LINKADDR, 1 } };
	struct ip6_hdr ip = { .ip6_flow = htonl(6u << 28),
			      .ip6_plen = htons(sizeof(message)),
			      .ip6_nxt = IPPROTO_ICMPV6,
			      .ip6_hlim = NDISC_HOPS };

	memcpy(&ip.ip6_src, vip->bytes, sizeof(ip.ip6_src));
	inet_pton(AF_INET6, "ff02::1", &ip.ip6_dst);
	memcpy(&message.advert.nd_na_target, vip->bytes, sizeof(message.advert.nd_na_target));
	memcpy(message.mac, mac, ETH_ALEN);
	message.advert.nd_na_cksum = fold(
		sum_of(&message, sizeof(message), sum_of(&ip.ip6_src, 32, sizeof(message) + IPPROTO_ICMPV6)));
	memcpy(frame, "\x33\x33\x00\x00\x00\x01", ETH_ALEN);
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(frame + ETH_HLEN + sizeof(ip), &message, sizeof(message));
	return ETH_HLEN + sizeof(ip) + sizeof(message);
}

size_t lb_gratuitous_frame(const struct lb_address *vip, const __u8 mac[6], __u8 frame[LB_GRATUITOUS_MAX])
{
	bool v4 = vip->family == LB_FAMILY_V4;
	__be16 type = htons(v4 ? ETH_P_ARP : ETH_P_IPV6);

	memcpy(frame + ETH_ALEN, mac, ETH_ALEN);
	memcpy(frame + 2 * ETH_ALEN, &type, sizeof(type));
	return v4 ? write_arp(vip, mac, frame) : write_advertisement(vip, mac, frame);
}

void lb_solicited_node(const struct lb_address *vip, __u8 ret_group[16])
{
	inet_pton(AF_INET6, "ff02::1:ff00:0", ret_group);
	memcpy(ret_group + 13, vip->bytes + 13, 3);
}
