/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), in the byte order of this machine, with time stamps in
 * nanoseconds: enough to write what tcpdump and Wireshark read, and to count what is in such a stream while
 * it passes by. Writers fill memory of the caller's and return the length of the block, or 0 if it has no
 * room.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define LB_PCAPNG_BLOCK_MAX 4096u /* enough for any block of ours with a packet of 2 KiB */

/* Section header: begins a file. application: who writes it. */
size_t lb_pcapng_section(void *to, size_t room, const char *application);

/* Interface description, of Ethernet frames; interfaces are numbered from 0 in the order of these blocks.
 * snap_bytes: kept of each packet at most. */
size_t lb_pcapng_interface(void *to, size_t room, const char *name, const char *description,
			   __u32 snap_bytes);

struct lb_pcapng_packet {
	__u32 interface;
	__u64 time_ns; /* since 1970 */
	const void *data;
	__u32 bytes;       /* of data */
	__u32 frame_bytes; /* of the whole frame */
	bool outbound;
	__u64 id;            /* the same for what is the same packet on several interfaces */
	int xdp_verdict;     /* enum xdp_action */
	const char *comment; /* or NULL */
};
/* Enhanced packet, with flags, packet id, verdict and comment. */
size_t lb_pcapng_packet(void *to, size_t room, const struct lb_pcapng_packet *packet);

struct lb_pcapng_statistics {
	__u32 interface;
	__u64 start_ns, end_ns; /* since 1970 */
	__u64 received;         /* packets that were to be recorded */
	__u64 dropped;          /* of them, those that were not, for lack of room */
};
size_t lb_pcapng_statistics(void *to, size_t room, const struct lb_pcapng_statistics *statistics);

/* What has passed by. Zeroed before the first use. */
struct lb_pcapng_scan {
	__u64 packets;   /* blocks with packets, on interface 0 */
	__u64 received;  /* of the newest statistics about interface 0 */
	__u64 dropped;   /* of the same */
	bool statistics; /* there were any */
	bool begun;      /* the stream begins as it should */
	size_t have;     /* of the block that is coming in: bytes seen, bytes kept */
	size_t kept;
	unsigned char block[256];
};

/* Takes the next bytes of a stream of blocks of this machine's byte order. 0, or -EINVAL: it is none. */
int lb_pcapng_scan(struct lb_pcapng_scan *scan, const void *data, size_t bytes);

/* Whether the stream ended where a block ends. */
static inline bool lb_pcapng_scan_complete(const struct lb_pcapng_scan *scan)
{
	return scan->have == 0;
}
