/* SPDX-License-Identifier: GPL-2.0-only */
/* See frame.h. One pass writes the layers, a second one, last layer first, fills lengths and checksums in. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

#define FRAMES     32
#define LAYERS_MAX 24

static void put16(__u8 *at, unsigned int value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

static void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

/* A field that was given, or its default. */
static unsigned int or_default(int given, unsigned int otherwise)
{
	return given == ZERO ? 0 : given ? (unsigned int)given : otherwise;
}

static void bad(const char *what, const char *text)
{
	fprintf(stderr, "frame: %s: %s\n", what, text ? text : "(none)");
	abort();
}

static void put_mac(__u8 *at, const char *text)
{
	unsigned int b[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		bad("not a MAC", text);
	for (int i = 0; i < 6; i++)
		at[i] = (__u8)b[i];
}

static void put_address(__u8 *at, int family, const char *text)
{
	if (!text || inet_pton(family, text, at) != 1)
		bad("not an address", text);
}

__u16 frame_checksum(const __u8 *bytes, size_t n, __u32 sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? bytes[i] : (__u32)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* Bytes of a layer's header, with options. */
static size_t layer_bytes(const struct layer *l)
{
	int options = (l->n + 3) / 4 * 4;

	switch (l->kind) {
	case LAYER_ETH:
		return 14;
	case LAYER_VLAN:
		return 4;
	case LAYER_IP4:
		return 20 + (size_t)options;
	case LAYER_IP6:
		return 40;
	case LAYER_TCP:
		return 20 + (size_t)options;
	case LAYER_UDP:
	case LAYER_ICMP:
		return 8;
	default:
		return (size_t)l->n;
	}
}

/* What the header in front says follows. */
static unsigned int protocol_of(const struct layer *l, int family)
{
	switch (l->kind) {
	case LAYER_IP4:
		return 4;
	case LAYER_IP6:
		return 41;
	case LAYER_TCP:
		return 6;
	case LAYER_UDP:
		return 17;
	case LAYER_ICMP:
		return family == 4 ? 1 : 58;
	case LAYER_EXTENSION:
		return (unsigned int)l->type & 0xff; /* hop-by-hop, protocol 0, is given as 0x100 */
	default:
		return 59;
	}
}

static unsigned int ethertype_of(const struct layer *l)
{
	switch (l->kind) {
	case LAYER_IP4:
		return 0x0800;
	case LAYER_IP6:
		return 0x86dd;
	case LAYER_VLAN:
		return (unsigned int)l->type;
	default:
		return 0x88b5; /* for experiments (IEEE 802) */
	}
}

static void put_content(__u8 *at, const struct layer *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = l->bytes ? ((const __u8 *)l->bytes)[i] : (__u8)((size_t)l->seed + i);
}

static void put_ip4(__u8 *at, const struct layer *l, const struct layer *next, size_t length)
{
	unsigned int offset = (unsigned int)(l->offset == ZERO ? 0 : l->offset) / 8;
	size_t header = layer_bytes(l);

	at[0] = (__u8)(or_default(l->version, 4) << 4 | or_default(l->ihl, (unsigned int)header / 4));
	at[1] = (__u8)or_default(l->tos, 0);
	put16(at + 2, or_default(l->length, (unsigned int)length));
	put16(at + 4, or_default(l->id, 0));
	put16(at + 10, 0);
	put16(at + 6, (l->df ? 0x4000u : 0) | (l->mf ? 0x2000u : 0) | offset);
	at[8] = (__u8)or_default(l->ttl, 64);
	at[9] = (__u8)or_default(l->type, protocol_of(next, 4));
	put_address(at + 12, AF_INET, l->from);
	put_address(at + 16, AF_INET, l->to);
	if (header > 20) {
		memset(at + 20, 0, header - 20);
		put_content(at + 20, l, (size_t)l->n);
	}
	put16(at + 10, or_default(l->check, frame_checksum(at, header, 0)));
}

static void put_ip6(__u8 *at, const struct layer *l, const struct layer *next, size_t length)
{
	put32(at, or_default(l->version, 6) << 28 | or_default(l->tos, 0) << 20 |
			  (or_default(l->label, 0) & 0xfffff));
	put16(at + 4, or_default(l->length, (unsigned int)length - 40));
	at[6] = (__u8)or_default(l->type, protocol_of(next, 6));
	at[7] = (__u8)or_default(l->ttl, 64);
	put_address(at + 8, AF_INET6, l->from);
	put_address(at + 24, AF_INET6, l->to);
}

static void put_extension(__u8 *at, const struct layer *l, const struct layer *next)
{
	put_content(at, l, (size_t)l->n);
	at[0] = (__u8)or_default(l->next, protocol_of(next, 6));
	at[1] = (__u8)or_default(l->length, (unsigned int)l->n / 8 - 1);
	if (l->type == 44) {
		at[1] = 0;
		put16(at + 2, (unsigned int)l->offset | (l->mf ? 1 : 0));
		put32(at + 4, l->word);
	}
}

/* The sum over the pseudo-header (RFC 9293, RFC 8200 section 8.1) of the IP layer in front; 0: there is none.
 */
static __u32 pseudo_sum(const __u8 *ip, const struct layer *l, unsigned int protocol, size_t length)
{
	__u32 sum = 0;

	if (!l)
		return 0;
	for (int i = l->kind == LAYER_IP4 ? 12 : 8; i < (l->kind == LAYER_IP4 ? 20 : 40); i += 2)
		sum += (__u32)ip[i] << 8 | ip[i + 1];
	return sum + protocol + (__u32)length;
}

static void put_transport(__u8 *at, const struct layer *l, const __u8 *ip, const struct layer *ip_layer,
			  size_t length)
{
	unsigned int protocol = protocol_of(l, ip_layer ? (ip_layer->kind == LAYER_IP4 ? 4 : 6) : 4);
	__u32 sum = protocol == 1 ? 0 : pseudo_sum(ip, ip_layer, protocol, length);
	size_t at_check = l->kind == LAYER_TCP ? 16 : l->kind == LAYER_UDP ? 6 : 2, header = layer_bytes(l);
	__u16 check;

	memset(at, 0, header);
	if (l->kind == LAYER_ICMP) {
		at[0] = (__u8)l->type;
		at[1] = (__u8)l->code;
		put32(at + 4, l->word);
	} else {
		put16(at, (unsigned int)l->sport);
		put16(at + 2, (unsigned int)l->dport);
	}
	if (l->kind == LAYER_UDP)
		put16(at + 4, or_default(l->length, (unsigned int)length));
	if (l->kind == LAYER_TCP) {
		/* Of one connection: its SYN, and what follows it. */
		put32(at + 4, l->seq                                        ? l->seq
			      : (l->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN ? 0x01020304
									    : 0x01020305);
		put32(at + 8, l->ack);
		at[12] = (__u8)(or_default(l->doff, (unsigned int)header / 4) << 4);
		at[13] = (__u8)l->flags;
		put16(at + 14, 0xffff);
		put_content(at + 20, l, (size_t)l->n);
	}
	check = frame_checksum(at, length, sum);
	if (l->kind == LAYER_UDP && check == 0)
		check = 0xffff;
	put16(at + at_check, or_default(l->check, check));
}

/* Writes layer i, whose content behind it is complete. end: of what its lengths count. */
static void put_layer(struct frame *f, const struct layer *layers, const size_t *at, int i, size_t end)
{
	const struct layer *l = &layers[i], *next = l + 1, *ip = NULL;
	__u8 *here = f->bytes + at[i];
	int j = i;

	switch (l->kind) {
	case LAYER_ETH:
		put_mac(here, l->to);
		put_mac(here + 6, l->from);
		put16(here + 12, or_default(l->type, ethertype_of(next)));
		break;
	case LAYER_VLAN:
		put16(here, (unsigned int)l->vid);
		put16(here + 2, or_default(l->next, ethertype_of(next)));
		break;
	case LAYER_IP4:
		put_ip4(here, l, next, end - at[i]);
		break;
	case LAYER_IP6:
		put_ip6(here, l, next, end - at[i]);
		break;
	case LAYER_EXTENSION:
		put_extension(here, l, next);
		break;
	case LAYER_TCP:
	case LAYER_UDP:
	case LAYER_ICMP:
		while (--j >= 0 && !ip)
			if (layers[j].kind == LAYER_IP4 || layers[j].kind == LAYER_IP6)
				ip = &layers[j];
		/* The checksum covers the IP header's addresses, which are not there yet. */
		if (ip) {
			size_t k = (size_t)(ip - layers);
			int family = ip->kind == LAYER_IP4 ? AF_INET : AF_INET6;

			put_address(f->bytes + at[k] + (family == AF_INET ? 12 : 8), family, ip->from);
			put_address(f->bytes + at[k] + (family == AF_INET ? 16 : 24), family, ip->to);
			put_transport(here, l, f->bytes + at[k], ip, end - at[i]);
		} else {
			put_transport(here, l, NULL, NULL, end - at[i]);
		}
		break;
	default:
		put_content(here, l, (size_t)l->n);
	}
}

static struct frame *frame_new(void)
{
	static struct frame frames[FRAMES];
	static int next;

	return &frames[next++ % FRAMES];
}

struct frame *frame_build(const struct layer *layers)
{
	struct frame *f = frame_new();
	size_t at[LAYERS_MAX], length = 0, end = 0;
	int n = 0;

	for (; layers[n].kind != LAYER_END; n++) {
		if (n == LAYERS_MAX - 1 || length + layer_bytes(&layers[n]) > FRAME_MAX)
			bad("too much", "layers or bytes");
		at[n] = length;
		length += layer_bytes(&layers[n]);
		if (layers[n].kind != LAYER_PAD)
			end = length;
	}
	for (int i = n - 1; i >= 0; i--)
		put_layer(f, layers, at, i, end);
	f->length = length;
	return f;
}

static struct frame *frame_copy(const struct frame *from)
{
	struct frame *f = frame_new();

	memcpy(f->bytes, from->bytes, from->length);
	f->length = from->length;
	return f;
}

struct frame *frame_with8(const struct frame *from, size_t offset, __u8 value)
{
	struct frame *f = frame_copy(from);

	f->bytes[offset] = value;
	return f;
}

struct frame *frame_with16(const struct frame *from, size_t offset, __u16 value)
{
	struct frame *f = frame_copy(from);

	put16(f->bytes + offset, value);
	return f;
}

struct frame *frame_cut(const struct frame *from, size_t length)
{
	struct frame *f = frame_copy(from);

	if (length < f->length)
		f->length = length;
	return f;
}

/* The beginning, and what lies around a place. */
static void show(const char *name, const struct frame *f, size_t place)
{
	printf("# %s, %zu bytes:", name, f->length);
	for (size_t i = 0; i < f->length; i++) {
		if (i >= 96 && (i + 32 < place || i > place + 32))
			continue;
		if (i % 16 == 0)
			printf("\n#   %04zx ", i);
		printf("%s%02x", i % 2 ? "" : " ", f->bytes[i]);
	}
	printf("\n");
}

void frame_show_difference(const struct frame *got, const struct frame *want)
{
	size_t i = 0;

	while (i < got->length && i < want->length && got->bytes[i] == want->bytes[i])
		i++;
	show("got", got, i);
	show("wanted", want, i);
	printf("# first difference at %#zx\n", i);
}
