/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What became of packets that were not forwarded to a backend: the one list behind the enum, the counters,
 * the strings of lbctl and the labels of the metrics. Numbers are never reused; new reasons go at the end.
 *
 * Actions: PASS to the host's stack, DROP, or REPLY: the packet was turned into an answer of our own and sent
 * back by the interface it came in on (counted as tx).
 *
 * LB_REASONS(X): X(number, NAME, action, "name", "what it means and what to look at")
 */
#pragma once

#define LB_REASONS(X)                                                                                        \
	X(1, PASS_NOT_IP, PASS, "not_ip", "not IPv4 or IPv6 (ARP, LLDP, ...): for the host")                 \
	X(2, PASS_PROTOCOL, PASS, "protocol", "an IP protocol that no service uses: for the host")           \
	X(3, PASS_NO_SERVICE, PASS, "no_service",                                                            \
	  "no service has this address, protocol and port: for the host")                                    \
	X(4, PASS_FRAGMENT, PASS, "fragment",                                                                \
	  "a fragment of something that is no service of ours: for the host")                                \
	X(5, PASS_IPV6_EXTENSION, PASS, "ipv6_extension", "an IPv6 extension header, left to the host")      \
	X(6, PASS_VLAN, PASS, "vlan", "more VLAN tags than we follow: for the host")                         \
	X(7, PASS_MALFORMED, PASS, "malformed",                                                              \
	  "cut short or inconsistent before a service could be found: for the host to judge")                \
	X(8, DROP_IP_HEADER, DROP, "ip_header",                                                              \
	  "bad IP header: version, header length or total length beyond the frame")                          \
	X(9, DROP_TCP_HEADER, DROP, "tcp_header",                                                            \
	  "TCP header cut short, or data offset below 5 or beyond the packet")                               \
	X(10, DROP_UDP_HEADER, DROP, "udp_header",                                                           \
	  "UDP header cut short, or length below 8 or beyond the packet")                                    \
	X(11, DROP_NO_BACKEND, DROP, "no_backend", "the service has no eligible backend")                    \
	X(12, DROP_NEXTHOP, DROP, "nexthop",                                                                 \
	  "the backend's next hop is not resolved: see lbctl backend list")                                  \
	X(13, DROP_TOO_BIG, DROP, "too_big", "would not fit the next hop's MTU after encapsulation")         \
	X(14, DROP_TTL, DROP, "ttl",                                                                         \
	  "TTL or hop limit would reach zero when forwarded (RFC 2003, RFC 2473)")                           \
	X(15, DROP_HEADROOM, DROP, "headroom",                                                               \
	  "the driver left no room for the outer header, or only tags in the first buffer")                  \
	X(16, DROP_EGRESS, DROP, "egress", "the egress interface is gone")                                   \
	X(17, DROP_INTERNAL, DROP, "internal", "a table names what does not exist: report this as a bug")    \
	X(18, PASS_MULTICAST, PASS, "multicast", "an Ethernet multicast or broadcast frame: for the host")   \
	X(19, PASS_ICMP, PASS, "icmp", "an ICMP message that is not about a service of ours: for the host")  \
	X(20, REPLY_ECHO, REPLY, "echo", "an ICMP echo request to a VIP, answered")                          \
	X(21, DROP_ECHO_LIMIT, DROP, "echo_limit", "more ICMP echo requests than are answered in a second")  \
	X(22, REPLY_TOO_BIG, REPLY, "reply_too_big",                                                         \
	  "would not fit the next hop's MTU after encapsulation: the sender was told (RFC 1191, RFC 8201)")  \
	X(23, DROP_ICMP_MTU, DROP, "icmp_mtu",                                                               \
	  "a too-big message with an MTU of 1 to 551 (IPv4) or below 1280 (IPv6): a mistake or an attack")   \
	X(24, DROP_FRAGMENT, DROP, "fragment_unknown",                                                       \
	  "a fragment whose first fragment was not seen, to a service with fragments: drop")                 \
	X(25, PASS_FRAGMENT_UNKNOWN, PASS, "fragment_early",                                                 \
	  "a fragment whose first fragment was not seen, left to the host")                                  \
	X(26, PASS_LOCAL, PASS, "local", "for a backend that is this host: handed to its own stack")         \
	X(27, PASS_OTHER_HOST, PASS, "other_host",                                                           \
	  "a frame to the MAC address of another host, which a switch flooded: for nobody here")             \
	X(28, DROP_UNCLAIMED, DROP, "unclaimed",                                                             \
	  "to a VIP, but for no service of it: see unclaimed in weir.json")                                  \
	X(29, REPLY_UNCLAIMED, REPLY, "reply_unclaimed",                                                     \
	  "to a VIP, but for no service of it: the sender was told (unclaimed: reject)")                     \
	X(30, REPLY_NO_BACKEND, REPLY, "reply_no_backend",                                                   \
	  "the service has no eligible backend: the client was told (no_backend: reject)")                   \
	X(31, REPLY_TTL, REPLY, "reply_ttl",                                                                 \
	  "TTL or hop limit would reach zero when forwarded: the sender was told, as traceroute wants it")   \
	X(32, DROP_SOURCE, DROP, "source", "its sender is in none of the service's source_ranges")           \
	X(33, PASS_PATH_MTU, PASS, "path_mtu",                                                               \
	  "a router says that a packet of a tunnel was too big for the way to its backend: learned by lbd")  \
	X(34, REPLY_NEIGHBOR, REPLY, "neighbor",                                                             \
	  "ARP or a neighbour solicitation for a VIP that this balancer leads (announce: neighbor), "        \
	  "answered")                                                                                        \
	X(35, DROP_NEIGHBOR_LIMIT, DROP, "neighbor_limit",                                                   \
	  "more ARP requests and neighbour solicitations for VIPs than are answered in a second")

enum lb_reason {
	LB_REASON_NONE = 0, /* a bug if it is ever counted: dropped */
#define X(number, name, action, text, help) LB_##name = number,
	LB_REASONS(X)
#undef X
		LB_REASON_COUNT /* one above the highest */
};
