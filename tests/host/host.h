/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path compiled for the host: the sources of bpf/ unchanged, over a struct lb_tables in plain
 * memory (lb_tables_new_memory). For the property test, the fuzzers and anybody who wants millions of packets
 * under a sanitizer or in a debugger.
 *
 *	struct host *host;
 *	host_new(&tables, &host);
 *	length = make_frame(frame);
 *	action = host_packet(host, frame, &length, sizeof(frame));	// XDP_TX, frame and length are what
 *leaves
 *
 * Link with build/host/host.o (build/san/host/host.o for ASan and UBSan) and liblb. The packet lies in memory
 * of its own; under ASan every byte outside data..data_end is poisoned, so that one byte read too far ends
 * the program.
 *
 * The maps of the packet path are global: hosts with different tables may exist beside each other, and
 * host_packet() switches between them, but threads may run at the same time only over the same tables, each
 * with its own host and its own cpu (run one packet before they start). What the program remembers outside of
 * struct lb_tables (fragments, rate limits, samples) is forgotten at each switch.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/tables.h"
#include "lb/observe.h"
#include "lb/station.h"

#define HOST_HEADROOM  256u /* bytes in front of a packet, as drivers leave (XDP_PACKET_HEADROOM) */
#define HOST_FRAME_MAX 65536u
#define HOST_TAILROOM  320u
#define HOST_CPUS_MAX  64u

struct host_buffer; /* host.c */

struct host {
	const struct lb_tables *tables; /* borrowed */

	/* What the next packets come with; the caller may change these at any time. */
	__u32 cpu;                  /* below tables->sizes.cpus */
	__u32 ingress_ifindex;      /* 1 at first */
	bool several;               /* load-time constant lb_several_interfaces */
	bool unlimited;             /* rates of answers: none */
	size_t linear;              /* bytes in the linear part, the rest in fragments; 0: all of it */
	size_t headroom;            /* bytes, at most HOST_HEADROOM, which it is at first */
	__u64 now_ns;               /* what bpf_ktime_get_ns() and its kin say */
	__u32 devmap[LB_PORTS_MAX]; /* ifindex, 0: no such port */
	__u64 ports[LB_PORTS_MAX];
	struct lb_neighbors *neighbors;     /* borrowed; NULL, as at first: none of its own */
	const struct lb_stations *stations; /* borrowed; NULL, as at first: every unicast frame is taken */
	const struct lb_observe *observe;   /* the same; NULL: load-time constant lb_observe_on is 0 */

	/* Is given what packets put into a ring buffer; NULL: nobody. */
	void (*told)(const void *data, size_t bytes);

	/* What the last packet met. */
	__u32 egress_ifindex; /* after XDP_REDIRECT */
	__u32 helper_calls;   /* adjust_head and the like, redirect */

	struct host_buffer *buffer;
};

/* tables must outlive the host. 0 or -ENOMEM. */
int host_new(const struct lb_tables *tables, struct host **ret_host);
void host_free(struct host *host);

/* Forgets what the program remembers outside of struct lb_tables: fragments, rate limits, samples. */
void host_forget(struct host *host);

/*
 * Runs one packet. frame: the Ethernet frame, *length bytes in a buffer of capacity bytes (at least *length);
 * out: the frame as the program left it, which may be longer. Returns the XDP action; never fails: a frame
 * that outgrows capacity is cut, and *length says how long it was.
 */
int host_packet(struct host *host, __u8 *frame, size_t *length, size_t capacity);
