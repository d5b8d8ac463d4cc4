// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames in words. One function per header; each checks that what it reads is at hand.
 */
#include "packet/frame_text.h"

#include <arpa/inet.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define VLAN_TAGS      4u
#define EXTENSIONS_MAX 8u

struct frame {
	const unsigned char *data;
	size_t bytes; /* at hand */
	size_t at;    /* of the header to come */
	size_t frame_bytes;
	char *text;
	size_t length;
};

static void __attribute__((format(printf, 2, 3))) say(struct frame *f, const char *format, ...)
{
	size_t room = LB_FRAME_TEXT_MAX - f->length;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(f->text + f->length, room, format, ap);
	va_end(ap);
	if (n > 0)
		f->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* n bytes of the header to come, or NULL. */
static const unsigned char *look(const struct frame *f, size_t n)
{
	return f->at + n <= f->bytes ? f->data + f->at : NULL;
}

static unsigned int be16(const unsigned char *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static unsigned int be32(const unsigned char *p)
{
	return be16(p) << 16 | be16(p + 2);
}

struct addresses {
	char source[INET6_ADDRSTRLEN + 2], destination[INET6_ADDRSTRLEN + 2];
	bool v6;
};

static void say_flow(struct frame *f, const struct addresses *a, const char *name, const unsigned char *ports)
{
	const char *open = a->v6 ? "[" : "", *close = a->v6 ? "]" : "";

	if (ports)
		say(f, "%s %s%s%s:%u > %s%s%s:%u", name, open, a->source, close, be16(ports), open,
		    a->destination, close, be16(ports + 2));
	else
		say(f, "%s %s > %s", name, a->source, a->destination);
}

static void say_tcp(struct frame *f, const struct addresses *a)
{
	static const char letters[] = "FSRPAUEC";
	const unsigned char *tcp = look(f, 20);

	say_flow(f, a, "TCP", look(f, 4));
	if (!tcp) {
		say(f, ", cut short");
		return;
	}
	say(f, " [");
	for (int i = 0; i < 8; i++)
		if (tcp[13] >> i & 1)
			say(f, "%c", letters[i] == 'A' ? '.' : letters[i]);
	say(f, "%s]", tcp[13] ? "" : "none");
	if (tcp[12] >> 4 < 5)
		say(f, ", data offset %u", tcp[12] >> 4);
}

static void say_udp(struct frame *f, const struct addresses *a)
{
	const unsigned char *udp = look(f, 8);

	say_flow(f, a, "UDP", look(f, 4));
	if (udp)
		say(f, ", length %u", be16(udp + 4));
	else
		say(f, ", cut short");
}

static void say_icmp(struct frame *f, const struct addresses *a)
{
	const unsigned char *icmp = look(f, 8);
	const char *what = NULL;
	unsigned int mtu = 0;

	say_flow(f, a, a->v6 ? "ICMPv6" : "ICMP", NULL);
	if (!icmp) {
		say(f, ", cut short");
		return;
	}
	if (icmp[0] == (a->v6 ? 128 : 8))
		what = "echo request";
	else if (icmp[0] == (a->v6 ? 129 : 0))
		what = "echo reply";
	else if (icmp[0] == (a->v6 ? 1 : 3) && !(icmp[0] == 3 && icmp[1] == 4))
		what = "unreachable";
	else if (icmp[0] == (a->v6 ? 3 : 11))
		what = "time exceeded";
	else if (icmp[0] == (a->v6 ? 2 : 3))
		what = a->v6 ? "packet too big" : "fragmentation needed";
	if (what && (icmp[0] == 2 || icmp[0] == 3) && icmp[1] == (a->v6 ? 0 : 4))
		mtu = a->v6 ? (icmp[0] == 2 ? be32(icmp + 4) : 0) : be16(icmp + 6);
	if (what)
		say(f, ", %s", what);
	else
		say(f, ", type %u code %u", icmp[0], icmp[1]);
	if (mtu)
		say(f, ", MTU %u", mtu);
}

static void say_transport(struct frame *f, const struct addresses *a, unsigned int protocol)
{
	char name[16];

	switch (protocol) {
	case IPPROTO_TCP:
		say_tcp(f, a);
		break;
	case IPPROTO_UDP:
		say_udp(f, a);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (a->v6 == (protocol == IPPROTO_ICMPV6)) {
			say_icmp(f, a);
			break;
		}
		/* fall through */
	default:
		snprintf(name, sizeof(name), "protocol %u", protocol);
		say_flow(f, a, name, NULL);
	}
}

static void say_length(struct frame *f, size_t l3, size_t length)
{
	if (l3 + length > f->frame_bytes)
		say(f, ", IP length %zu in a frame of %zu", length, f->frame_bytes);
}

static void say_ipv4(struct frame *f)
{
	const unsigned char *ip = look(f, 20);
	struct addresses a = {};
	size_t l3 = f->at, header;
	unsigned int fragment;

	if (!ip) {
		say(f, "IPv4, cut short");
		return;
	}
	inet_ntop(AF_INET, ip + 12, a.source, sizeof(a.source));
	inet_ntop(AF_INET, ip + 16, a.destination, sizeof(a.destination));
	header = (ip[0] & 15) * 4;
	fragment = be16(ip + 6);
	f->at += header < 20 ? 20 : header;
	if (fragment & 0x1fff)
		say(f, "protocol %u %s > %s", ip[9], a.source, a.destination);
	else
		say_transport(f, &a, ip[9]);
	if (fragment & 0x3fff)
		say(f, ", fragment at %u%s", (fragment & 0x1fff) * 8, fragment & 0x2000 ? "+" : "");
	if (ip[0] >> 4 != 4)
		say(f, ", IP version %u", ip[0] >> 4);
	if (header < 20)
		say(f, ", IP header length %zu", header);
	if (be16(ip + 2) < header)
		say(f, ", IP length %u", be16(ip + 2));
	if (ip[8] <= 1)
		say(f, ", TTL %u", ip[8]);
	say_length(f, l3, be16(ip + 2));
}

/* Steps over extension headers; the number of what follows. fragment: of a fragment header, or -1. */
static unsigned int skip_extensions(struct frame *f, unsigned int next, int *fragment)
{
	for (unsigned int i = 0; i < EXTENSIONS_MAX; i++) {
		const unsigned char *header = look(f, 8);

		if (!header || (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
				next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT))
			break;
		if (next == IPPROTO_FRAGMENT) {
			*fragment = (int)be16(header + 2);
			f->at += 8;
		} else {
			f->at += 8 + header[1] * 8u;
		}
		next = header[0];
		if (*fragment > 0 && *fragment & 0xfff8)
			break;
	}
	return next;
}

static void say_ipv6(struct frame *f)
{
	const unsigned char *ip = look(f, 40);
	struct addresses a = { .v6 = true };
	size_t l3 = f->at;
	unsigned int next;
	int fragment = -1;

	if (!ip) {
		say(f, "IPv6, cut short");
		return;
	}
	inet_ntop(AF_INET6, ip + 8, a.source, sizeof(a.source));
	inet_ntop(AF_INET6, ip + 24, a.destination, sizeof(a.destination));
	f->at += 40;
	next = skip_extensions(f, ip[6], &fragment);
	if (fragment > 0 && fragment & 0xfff8)
		say(f, "protocol %u %s > %s", next, a.source, a.destination);
	else
		say_transport(f, &a, next);
	if (fragment >= 0)
		say(f, ", fragment at %d%s", fragment & 0xfff8, fragment & 1 ? "+" : "");
	if (ip[0] >> 4 != 6)
		say(f, ", IP version %u", ip[0] >> 4);
	if (ip[7] <= 1)
		say(f, ", hop limit %u", ip[7]);
	say_length(f, l3, be16(ip + 4) + 40u);
}

char *lb_frame_text(const void *frame, size_t bytes, size_t frame_bytes, char text[LB_FRAME_TEXT_MAX])
{
	struct frame f = { .data = frame, .bytes = bytes, .frame_bytes = frame_bytes, .text = text };
	const unsigned char *eth = look(&f, 14);
	unsigned int type;

	text[0] = '\0';
	if (!eth) {
		say(&f, "%zu bytes: no Ethernet header", frame_bytes);
		return text;
	}
	type = be16(eth + 12);
	f.at = 14;
	for (unsigned int i = 0; i < VLAN_TAGS && (type == 0x8100 || type == 0x88a8) && look(&f, 4); i++) {
		say(&f, "VLAN %u ", be16(f.data + f.at) & 0xfff);
		type = be16(f.data + f.at + 2);
		f.at += 4;
	}
	if (type == 0x0800)
		say_ipv4(&f);
	else if (type == 0x86dd)
		say_ipv6(&f);
	else
		say(&f, "Ethernet type 0x%04x, %zu bytes", type, frame_bytes);
	return text;
}
