/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes rtnetlink messages for tests, byte by byte as the kernel does.
 */
#pragma once

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

#include "config/config.h"

struct message {
	union {
		struct nlmsghdr header;
		char bytes[1024];
	};
};

static inline void message_begin(struct message *message, __u16 type, const void *fixed, size_t length)
{
	memset(message, 0, sizeof(*message));
	message->header.nlmsg_type = type;
	message->header.nlmsg_len = NLMSG_LENGTH(NLMSG_ALIGN(length));
	memcpy(NLMSG_DATA(&message->header), fixed, length);
}

/* Not inline: the compiler would take writes behind the header for writes beyond it. */
__attribute__((noinline, unused)) static void message_add(struct message *message, __u16 type,
							  const void *value, size_t length)
{
	struct rtattr *attribute = (struct rtattr *)(message->bytes + NLMSG_ALIGN(message->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = RTA_LENGTH(length);
	if (length)
		memcpy(RTA_DATA(attribute), value, length);
	message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len) + RTA_SPACE(length);
}

static inline void message_add_u32(struct message *message, __u16 type, __u32 value)
{
	message_add(message, type, &value, sizeof(value));
}

static inline struct lb_address address_of(const char *text)
{
	struct lb_address address = {};

	if (lb_address_parse(text, &address) < 0)
		memset(&address, 0xff, sizeof(address));
	return address;
}

static inline void message_add_address(struct message *message, __u16 type, const char *text)
{
	struct lb_address address = address_of(text);

	message_add(message, type, address.bytes, address.family == LB_FAMILY_V6 ? 16 : 4);
}

static inline int family_of(const char *text)
{
	return address_of(text).family == LB_FAMILY_V6 ? AF_INET6 : AF_INET;
}

/* A route; gateway, source: NULL for none. mtu: 0 for none. */
static inline void message_route(struct message *message, const char *to, int ifindex, const char *gateway,
				 const char *source, __u32 mtu)
{
	struct rtmsg fixed = { .rtm_family = family_of(to), .rtm_type = RTN_UNICAST };

	message_begin(message, RTM_NEWROUTE, &fixed, sizeof(fixed));
	message_add_address(message, RTA_DST, to);
	message_add_u32(message, RTA_OIF, ifindex);
	if (gateway)
		message_add_address(message, RTA_GATEWAY, gateway);
	if (source)
		message_add_address(message, RTA_PREFSRC, source);
	if (mtu) {
		struct message inner;

		message_begin(&inner, 0, "", 0);
		message_add_u32(&inner, RTAX_HOPLIMIT, 64);
		message_add_u32(&inner, RTAX_MTU, mtu);
		message_add(message, RTA_METRICS, NLMSG_DATA(&inner.header),
			    inner.header.nlmsg_len - NLMSG_HDRLEN);
	}
}

static inline void message_link(struct message *message, __u16 type, int ifindex, const char *name, bool up,
				__u32 mtu, const char *mac)
{
	struct ifinfomsg fixed = {
		.ifi_index = ifindex,
		.ifi_type = ARPHRD_ETHER,
		.ifi_flags = up ? IFF_UP | IFF_RUNNING | 0x10000 /* IFF_LOWER_UP */ : 0,
	};

	message_begin(message, type, &fixed, sizeof(fixed));
	message_add(message, IFLA_IFNAME, name, strlen(name) + 1);
	message_add_u32(message, IFLA_MTU, mtu);
	message_add(message, IFLA_ADDRESS, mac, 6);
}

static inline void message_neighbor(struct message *message, __u16 type, int ifindex, const char *address,
				    __u16 state, const char *mac)
{
	struct ndmsg fixed = { .ndm_family = family_of(address), .ndm_ifindex = ifindex, .ndm_state = state };

	message_begin(message, type, &fixed, sizeof(fixed));
	message_add_address(message, NDA_DST, address);
	if (mac)
		message_add(message, NDA_LLADDR, mac, 6);
}
