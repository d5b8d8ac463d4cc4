/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the load generator's two programs in the kernel share with load.c: the recipe of the packets, the
 * counters, and the histogram of the probe's times.
 */
#pragma once

#include <linux/types.h>

#define LOAD_VIP_V4       0xcb00710au /* 203.0.113.10, TCP and UDP 80 */
#define LOAD_VIP_V6_NET   0x20010db8u /* 2001:db8:113::10 */
#define LOAD_SOURCES      0x0b000000u /* 11.0.0.0 and on; IPv6: in the last 32 bits */
#define LOAD_PROBE_SOURCE 0xc6336409u /* 198.51.100.9 */
#define LOAD_PROBE_PORTS  16u
#define LOAD_BACKENDS     100u  /* 10.99.0.1 and on */
#define LOAD_FRAME        96u   /* bytes: any header, and the probe's time behind it */
#define LOAD_FRAME_LARGE  1400u /* an elephant's */

/* Shares are of 2^32. */
struct load_recipe {
	__u64 interval_ns;   /* between two packets; 0: as fast as it goes */
	__u64 on_ns, off_ns; /* bursts; off 0: none */
	__u32 flows;
	__u32 hot_share; /* packets of the hot flows */
	__u32 hot_flows;
	__u32 syn_share, udp_share, v6_share, fragment_share;
	__u32 large;       /* hot flows send LOAD_FRAME_LARGE, all others LOAD_FRAME */
	__u32 probe_every; /* one packet in so many is the probe's */
	__u32 ifindex;
	__u8 eth[12];
	__u32 plain; /* no tunnels: packets to port 80 come as they were sent, or with another destination */
	__u32 learning; /* flows one after the other; the sink keeps whose they are */
	__u32 n_hot;    /* 16: the hot flows, by number; 0: the first hot_flows ones */
	__u32 hot[16];
};

struct load_sent {
	__u64 packets, bytes, probes;
	__u64 next_ns, start_ns;
	__u64 random;
	__u64 count;
};

/* One backend that does not keep up: from a time on it takes a packet in so many nanoseconds, from another on
 * none. */
struct load_slow {
	__u32 backend; /* 0: all keep up */
	__u64 from_ns, stop_ns;
	__u64 interval_ns;
	__u64 next_ns;
};

/* Log-linear: 32 steps to an octave, so within 3 % of the value. */
#define LOAD_STEP_BITS 5
#define LOAD_STEPS     (1u << LOAD_STEP_BITS)
#define LOAD_BUCKETS   1280u

#define LOAD_LEARNT 4096u /* flows */

struct load_received {
	__u64 packets, strange;
	__u64 backend[LOAD_BACKENDS + 1];
	__u64 refused[LOAD_BACKENDS + 1]; /* by a backend that does not keep up */
	__u64 last_ns[LOAD_BACKENDS + 1]; /* last packet that came for it */
	__u64 histogram[LOAD_BUCKETS];
};

/* Position of the highest bit that is set; value > 0. */
static inline __u32 load_log2(__u64 value)
{
	__u32 r = 0;

	for (int step = 32; step; step /= 2) {
		if (value >> step) {
			value >>= step;
			r += (__u32)step;
		}
	}
	return r;
}

static inline __u32 load_bucket(__u64 value)
{
	__u32 octave, bucket;

	if (value < LOAD_STEPS)
		return (__u32)value;
	octave = load_log2(value) - LOAD_STEP_BITS;
	bucket = octave * LOAD_STEPS + (__u32)(value >> octave);
	return bucket < LOAD_BUCKETS ? bucket : LOAD_BUCKETS - 1;
}

/* The middle of a bucket. */
static inline __u64 load_value(__u32 bucket)
{
	__u32 octave = bucket / LOAD_STEPS;

	if (octave < 2)
		return bucket;
	octave--;
	return ((__u64)(bucket - octave * LOAD_STEPS) << octave) + (1ull << octave) / 2;
}
