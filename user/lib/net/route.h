/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Routes and links as rtnetlink tells them: messages in, plain structures out, and the questions the other
 * way round. Nothing here opens a socket, so all of it is tested on bytes.
 */
#pragma once

#include <linux/rtnetlink.h>
#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* What the kernel would do with a packet to an address. */
struct lb_route {
	struct lb_address to;
	__u8 type;                 /* RTN_*; only RTN_UNICAST leads to another host */
	int ifindex;               /* egress interface; 0: none */
	struct lb_address gateway; /* family 0: the destination is on the link */
	struct lb_address source;  /* family 0: not said */
	__u32 mtu;                 /* bytes; 0: the link's */
	__u32 object;              /* id of the nexthop object that it names; 0: none */
	__u16 encapsulation; /* LWTUNNEL_ENCAP_*: the kernel would put a header in front; 0: it would not */
};

/*
 * Reads a RTM_NEWROUTE or RTM_DELROUTE message, its length already known to be in the buffer. 0;
 * -EOPNOTSUPP: some other message or family; -EBADMSG: lengths inside that cannot be. *ret_route is
 * untouched on failure.
 */
int lb_route_parse(const struct nlmsghdr *message, struct lb_route *ret_route);

/* Writes RTM_GETROUTE for one address into buffer. Bytes written, or 0 when size does not suffice. */
size_t lb_route_request(const struct lb_address *to, __u32 sequence, void *buffer, size_t size);

/* Compared byte by byte: padding is zero. */
struct lb_link {
	int ifindex;
	char name[IF_NAMESIZE];
	char kind[16]; /* as "vlan"; empty: hardware, or the driver has no name */
	__u16 type;    /* ARPHRD_* */
	bool up;       /* administratively up, and has a carrier */
	bool removed;  /* RTM_DELLINK */
	bool has_mac;
	__u8 mac[6];
	__u32 mtu;            /* bytes */
	__u32 xdp_program_id; /* attached by whomever; 0: none */
	int lower;            /* of a stacked device: the one below; 0: none */
	bool lower_elsewhere; /* that is in another network namespace */
	bool backup;          /* of a bond's port: it does not send */
	int master;           /* bridge, bond, VRF that it belongs to; 0: none */
	int active_port;      /* of a bond: the port that sends; 0: not one alone */
	__u32 vlan_tag;       /* of a VLAN: protocol in the upper 16 bits, identifier in the lower; 0: none */
};

/* Reads RTM_NEWLINK or RTM_DELLINK; as lb_route_parse. */
int lb_link_parse(const struct nlmsghdr *message, struct lb_link *ret_link);

/* Address bytes of a netlink attribute in the given AF_*; 0 or -EBADMSG when the length is not the family's.
 */
int lb_address_from_attribute(const struct rtattr *attribute, int family, struct lb_address *ret_address);

/* One attribute of a route, or of one of its next hops, into *route. 0 or -EBADMSG. */
int lb_route_attribute_parse(const struct rtattr *attribute, int family, struct lb_route *route);

/* Payload of a message behind its fixed part; -EBADMSG when not even that is there. */
int lb_message_attributes(const struct nlmsghdr *message, size_t fixed, const void **ret_first,
			  size_t *ret_length);

/* A number of 32 bits; 0 or -EBADMSG. */
int lb_attribute_u32(const struct rtattr *attribute, __u32 *ret_value);

/* AF_INET or AF_INET6 of an address. */
int lb_address_af(const struct lb_address *address);

/* Bytes of an address of its family: 4 or 16. */
size_t lb_address_bytes(const struct lb_address *address);

/*
 * Walks attributes: *attribute is NULL at first; sets it to the next one and returns 1, 0 at the end,
 * -EBADMSG when one does not fit in what is left. first: first attribute; length: bytes of all of them.
 */
int lb_attribute_next(const void *first, size_t length, const struct rtattr **attribute);
