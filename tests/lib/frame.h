/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames for tests, layer by layer:
 *
 *	frame(ETH(), IP4("198.51.100.7", "203.0.113.10", .ttl = 3), TCP(4000, 80, .flags = TCP_SYN), DATA(10))
 *
 * Lengths, types of what follows and checksums are filled in, the slow and obvious way; a field that is given
 * is taken as it is, so that headers can lie. Nothing here is shared with the code under test. A field that
 * is 0 has its default: say ZERO for a zero.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* Defaults in the macros below are there to be overridden. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

#define FRAME_MAX 20000
#define ZERO      (-1)

struct frame {
	__u8 bytes[FRAME_MAX];
	size_t length;
};

enum layer_kind {
	LAYER_END,
	LAYER_ETH,
	LAYER_VLAN,
	LAYER_IP4,
	LAYER_IP6,
	LAYER_EXTENSION,
	LAYER_TCP,
	LAYER_UDP,
	LAYER_ICMP,
	LAYER_DATA,
	LAYER_PAD, /* behind the IP packet: no length counts it */
};

struct layer {
	enum layer_kind kind;
	const char *from, *to; /* addresses; of ETH: MACs */
	int type;              /* of what follows; TPID of VLAN; ICMP type; own protocol of EXTENSION */
	int next;              /* of EXTENSION: protocol of what follows */
	int code;              /* ICMP */
	int version, ihl, length, id, ttl, tos, label;
	int df, mf, offset; /* offset: in bytes, multiple of 8 */
	int sport, dport, flags, doff, window;
	int vid;
	__u32 seq, ack;    /* TCP */
	__u32 word;        /* ICMP: the second four bytes (MTU, id and sequence); EXTENSION: likewise */
	int check;         /* given instead of computed */
	const void *bytes; /* options (IP4, TCP), content (EXTENSION), data (DATA) */
	int n;             /* how many; of DATA, PAD without bytes: counted up from seed */
	int seed;
};

#define MAC_CLIENT "02:00:00:00:00:c1"
#define MAC_LB     "02:00:00:00:00:1b"

#define ETH(...)       ((struct layer){ .kind = LAYER_ETH, .from = MAC_CLIENT, .to = MAC_LB, ##__VA_ARGS__ })
#define VLAN(id, ...)  ((struct layer){ .kind = LAYER_VLAN, .vid = (id), .type = 0x8100, ##__VA_ARGS__ })
#define IP4(f, t, ...) ((struct layer){ .kind = LAYER_IP4, .from = (f), .to = (t), ##__VA_ARGS__ })
#define IP6(f, t, ...) ((struct layer){ .kind = LAYER_IP6, .from = (f), .to = (t), ##__VA_ARGS__ })
#define EXTENSION(protocol, ...)                                                                             \
	((struct layer){ .kind = LAYER_EXTENSION, .type = (protocol), .n = 8, ##__VA_ARGS__ })
#define FRAGMENT6(at, more, identification, ...)                                                             \
	((struct layer){ .kind = LAYER_EXTENSION,                                                            \
			 .type = 44,                                                                         \
			 .offset = (at),                                                                     \
			 .mf = (more),                                                                       \
			 .word = (identification),                                                           \
			 .n = 8,                                                                             \
			 ##__VA_ARGS__ })
#define TCP(s, d, ...)                                                                                       \
	((struct layer){ .kind = LAYER_TCP, .sport = (s), .dport = (d), .flags = TCP_ACK, ##__VA_ARGS__ })
#define UDP(s, d, ...)   ((struct layer){ .kind = LAYER_UDP, .sport = (s), .dport = (d), ##__VA_ARGS__ })
#define ICMP(t, c, ...)  ((struct layer){ .kind = LAYER_ICMP, .type = (t), .code = (c), ##__VA_ARGS__ })
#define DATA(count, ...) ((struct layer){ .kind = LAYER_DATA, .n = (count), ##__VA_ARGS__ })
#define PAD(count, ...)  ((struct layer){ .kind = LAYER_PAD, .n = (count), .seed = 0xee, ##__VA_ARGS__ })

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* A frame of a small ring of static ones: valid until 32 more were made. */
#define frame(...) frame_build((struct layer[]){ __VA_ARGS__, { .kind = LAYER_END } })
struct frame *frame_build(const struct layer *layers);

/* A copy with one byte, one 16-bit field (host order) changed, or cut to a length. */
struct frame *frame_with8(const struct frame *from, size_t offset, __u8 value);
struct frame *frame_with16(const struct frame *from, size_t offset, __u16 value);
struct frame *frame_cut(const struct frame *from, size_t length);

/* Internet checksum (RFC 1071) of n bytes, over an unfolded sum; host order. */
__u16 frame_checksum(const __u8 *bytes, size_t n, __u32 sum);

/* Hex on TAP comment lines, both frames and where they differ first. */
void frame_show_difference(const struct frame *got, const struct frame *want);
