/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a packet passed to the host's stack or was dropped: the one list behind the enum, the counters, the
 * strings of lbctl and the labels of the metrics. Numbers are never reused; new reasons go at the end.
 *
 * LB_REASONS(X): X(number, NAME, action, "name", "what it means and what to look at")
 */
#pragma once

#define LB_REASONS(X)                                                                                        \
	X(1, PASS_NOT_IP, PASS, "not_ip", "not IPv4 or IPv6 (ARP, LLDP, ...): for the host")                 \
	X(2, PASS_PROTOCOL, PASS, "protocol", "an IP protocol that no service uses: for the host")           \
	X(3, PASS_NO_SERVICE, PASS, "no_service",                                                            \
	  "no service has this address, protocol and port: for the host")                                    \
	X(4, PASS_FRAGMENT, PASS, "fragment", "a fragment, left to the host")                                \
	X(5, PASS_IPV6_EXTENSION, PASS, "ipv6_extension", "an IPv6 extension header, left to the host")      \
	X(6, PASS_VLAN, PASS, "vlan", "more VLAN tags than we follow: for the host")                         \
	X(7, PASS_MALFORMED, PASS, "malformed",                                                              \
	  "cut short or inconsistent before a service could be found: for the host to judge")                \
	X(8, DROP_IP_HEADER, DROP, "ip_header",                                                              \
	  "IP header lies: version, header length or total length beyond the frame")                         \
	X(9, DROP_TCP_HEADER, DROP, "tcp_header",                                                            \
	  "TCP header cut short, or data offset below 5 or beyond the packet")                               \
	X(10, DROP_UDP_HEADER, DROP, "udp_header",                                                           \
	  "UDP header cut short, or length below 8 or beyond the packet")                                    \
	X(11, DROP_NO_BACKEND, DROP, "no_backend", "the service has no eligible backend")                    \
	X(12, DROP_NEXT_HOP, DROP, "next_hop",                                                               \
	  "the backend's next hop is not resolved: see lbctl backend list")                                  \
	X(13, DROP_TOO_BIG, DROP, "too_big", "would not fit the next hop's MTU after encapsulation")         \
	X(14, DROP_TTL, DROP, "ttl",                                                                         \
	  "TTL or hop limit would reach zero when forwarded (RFC 2003, RFC 2473)")                           \
	X(15, DROP_HEADROOM, DROP, "headroom", "the driver left no room for the outer header")               \
	X(16, DROP_EGRESS, DROP, "egress", "the egress interface is gone")                                   \
	X(17, DROP_INTERNAL, DROP, "internal", "a table names what does not exist: report this as a bug")

enum lb_reason {
	LB_REASON_NONE = 0,
#define X(number, name, action, text, help) LB_##name = number,
	LB_REASONS(X)
#undef X
};
