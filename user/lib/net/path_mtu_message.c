// SPDX-License-Identifier: GPL-2.0-only
/*
 * ICMP messages "too big" (RFC 1191 section 4, RFC 4443 section 3.2) about packets of tunnels, as the packet
 * path keeps them. It has looked at them; what is read here is checked nevertheless.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "lb/types.h"
#include "net/path_mtu.h"

#define TAGS_MAX 2

/* Moves forward over what was there to be copied. */
struct reading {
	const __u8 *at, *end;
};

static bool skip(struct reading *reading, size_t n)
{
	if (n > (size_t)(reading->end - reading->at))
		return false;
	reading->at += n;
	return true;
}

static bool take(struct reading *reading, void *to, size_t n)
{
	const __u8 *from = reading->at;

	if (!skip(reading, n))
		return false;
	memcpy(to, from, n);
	return true;
}

/* The type behind Ethernet addresses and tags; 0: the frame ends before. */
static __u16 ether_type(struct reading *reading)
{
	struct ethhdr eth;
	__be16 tag[2];
	__u16 type = take(reading, &eth, sizeof(eth)) ? ntohs(eth.h_proto) : 0;

	for (int i = 0; i < TAGS_MAX && (type == ETH_P_8021Q || type == ETH_P_8021AD); i++)
		type = take(reading, tag, sizeof(tag)) ? ntohs(tag[1]) : 0;
	return type;
}

static void set_address(struct lb_address *address, __u8 family, const void *bytes)
{
	memset(address, 0, sizeof(*address));
	address->family = family;
	memcpy(address->bytes, bytes, family == LB_FAMILY_V4 ? 4 : 16);
}

static int read_v4(struct reading *reading, struct lb_path_mtu_told *told)
{
	struct iphdr ip, about;
	struct icmphdr icmp;

	if (!take(reading, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5 || ip.protocol != IPPROTO_ICMP ||
	    !skip(reading, ip.ihl * 4u - sizeof(ip)) || !take(reading, &icmp, sizeof(icmp)) ||
	    !take(reading, &about, sizeof(about)))
		return -EBADMSG;
	if (icmp.type != ICMP_DEST_UNREACH || icmp.code != ICMP_FRAG_NEEDED || about.version != 4)
		return -EBADMSG;
	told->mtu = ntohs(icmp.un.frag.mtu);
	told->gue = about.protocol == IPPROTO_UDP;
	set_address(&told->router, LB_FAMILY_V4, &ip.saddr);
	set_address(&told->source, LB_FAMILY_V4, &about.saddr);
	set_address(&told->to, LB_FAMILY_V4, &about.daddr);
	return 0;
}

static int read_v6(struct reading *reading, struct lb_path_mtu_told *told)
{
	struct ipv6hdr ip, about;
	struct icmp6hdr icmp;

	if (!take(reading, &ip, sizeof(ip)) || ip.version != 6 || ip.nexthdr != IPPROTO_ICMPV6 ||
	    !take(reading, &icmp, sizeof(icmp)) || !take(reading, &about, sizeof(about)))
		return -EBADMSG;
	if (icmp.icmp6_type != ICMPV6_PKT_TOOBIG || about.version != 6)
		return -EBADMSG;
	told->mtu = ntohl(icmp.icmp6_mtu);
	told->gue = about.nexthdr == IPPROTO_UDP;
	set_address(&told->router, LB_FAMILY_V6, &ip.saddr);
	set_address(&told->source, LB_FAMILY_V6, &about.saddr);
	set_address(&told->to, LB_FAMILY_V6, &about.daddr);
	return 0;
}

int lb_path_mtu_parse(const __u8 *frame, size_t n, struct lb_path_mtu_told *ret_told)
{
	struct reading reading = { frame, frame + n };
	struct lb_path_mtu_told told = {};
	__u16 type = ether_type(&reading);
	int r = type == ETH_P_IP     ? read_v4(&reading, &told)
		: type == ETH_P_IPV6 ? read_v6(&reading, &told)
				     : -EBADMSG;

	if (r == 0)
		*ret_told = told;
	return r;
}
