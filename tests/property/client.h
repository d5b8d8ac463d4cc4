/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TCP numbers of the property test's clients, and of those who pretend to be them. A client sends what an
 * honest one may: in order, with gaps that are filled later (loss on the way to the balancer, reordering),
 * repetitions, keepalive probes, long downloads, handshakes with data, SYN again. A forger knows addresses
 * and ports; his numbers are somewhere else.
 */
#pragma once

#include "world.h"

struct client {
	__u32 next, ack;   /* of what it sends in order */
	__u32 sent;        /* bytes so far */
	__u32 gap_at, gap; /* bytes that were not sent yet, or are late; gap 0: none */
	bool syn_sent;     /* and nothing else */
};

/* What goes into a packet. */
struct client_segment {
	__u32 seq, ack, bytes;
	__u8 flags; /* of the TCP header */
};

enum { CLIENT_FIN = 0x01, CLIENT_SYN = 0x02, CLIENT_RST = 0x04, CLIENT_ACK = 0x10 };

/* A new connection's SYN. */
struct client_segment client_open(struct world *world, struct client *client);

/* The next packet; fin: the last, unless something is missing that goes first. */
struct client_segment client_send(struct world *world, struct client *client, bool fin);

/* Somebody else's, far from the client's numbers. flags: of the TCP header. */
struct client_segment client_forge(struct world *world, const struct client *client, __u8 flags);
