// SPDX-License-Identifier: GPL-2.0-only
/*
 * See vrrp.h.
 */
#include "announce/vrrp.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>

#define VRRP_ADVERTISEMENT 1
#define VRRP_TTL           255 /* RFC 5798 section 5.1.1.3: it has come through no router */
#define VRRP_HEADER        8

/* The header behind IP, as bytes. */
enum { VERSION_TYPE, ROUTER, PRIORITY, COUNT, INTERVAL_HIGH, INTERVAL_LOW };

static bool read_header(const __u8 *header, size_t length, struct lb_vrrp_advert *ret)
{
	__u8 version = header[VERSION_TYPE] >> 4;

	if (length < VRRP_HEADER || (header[VERSION_TYPE] & 15) != VRRP_ADVERTISEMENT || !header[ROUTER] ||
	    (version != 2 && version != 3))
		return false;
	*ret = (struct lb_vrrp_advert){ .version = version,
					.router = header[ROUTER],
					.priority = header[PRIORITY] };
	/* Version 3: hundredths of a second in 12 bits. Version 2: an authentication type, then seconds. */
	ret->interval_ms = version == 3 ? ((header[INTERVAL_HIGH] & 15u) << 8 | header[INTERVAL_LOW]) * 10u
					: header[INTERVAL_LOW] * 1000u;
	return true;
}

static bool read_v4(const __u8 *packet, size_t length, struct lb_vrrp_advert *ret)
{
	struct iphdr ip;
	size_t header;

	if (length < sizeof(ip))
		return false;
	memcpy(&ip, packet, sizeof(ip));
	header = ip.ihl * 4u;
	if (header < sizeof(ip) || length < header + VRRP_HEADER || ip.protocol != LB_VRRP_PROTOCOL ||
	    ip.ttl != VRRP_TTL)
		return false;
	return read_header(packet + header, length - header, ret);
}

static bool read_v6(const __u8 *packet, size_t length, struct lb_vrrp_advert *ret)
{
	struct ip6_hdr ip;

	if (length < sizeof(ip) + VRRP_HEADER)
		return false;
	memcpy(&ip, packet, sizeof(ip));
	if (ip.ip6_nxt != LB_VRRP_PROTOCOL || ip.ip6_hlim != VRRP_TTL)
		return false;
	return read_header(packet + sizeof(ip), length - sizeof(ip), ret);
}

bool lb_vrrp_read(const void *packet, size_t length, struct lb_vrrp_advert *ret_advert)
{
	const __u8 *bytes = packet;

	if (!length)
		return false;
	if (bytes[0] >> 4 == 4)
		return read_v4(bytes, length, ret_advert);
	return bytes[0] >> 4 == 6 && read_v6(bytes, length, ret_advert);
}
