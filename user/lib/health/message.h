/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lbd and lb-checkd say to each other over a UNIX socket that keeps message boundaries: every message
 * has a fixed size, each holds one or more records of one type. Both run on one machine and are of one build:
 * times are of CLOCK_MONOTONIC, and a version that differs ends the talk.
 *
 * lbd says which targets there are; lb-checkd says how checks ended, and that it is alive.
 */
#pragma once

#include <linux/types.h>

#include "config/config_health.h"
#include "health/outcome.h"

#define LB_MESSAGE_VERSION 4u

/* lb-checkd is taken for hung if it says nothing for so long; it says at least so often that it lives. */
#define LB_ALIVE_MS      500u
#define LB_ALIVE_LOST_MS 3000u

/* For so long after an LB_MESSAGE_HURRY. */
#define LB_HURRY_MS 3000u

enum lb_message_type {
	LB_MESSAGE_HELLO = 1, /* both: the first */
	LB_MESSAGE_SET,       /* to lb-checkd: a target; one with its number is replaced */
	LB_MESSAGE_REMOVE,
	LB_MESSAGE_RESULTS, /* to lbd */
	LB_MESSAGE_ALIVE,
	LB_MESSAGE_PATH,  /* to lb-checkd, with the descriptor of lb_check_ports (lb/check.h) */
	LB_MESSAGE_HURRY, /* to lb-checkd, as SET: others suspect the target; it is asked at its fast interval
			     for a while */
	LB_MESSAGE_ECHO,  /* to lb-checkd: is a packet of so many bytes answered, through the packet path of a
			     target? */
};

struct lb_message_head {
	__u32 type;
	__u32 n; /* records that follow */
};

/* HELLO and ALIVE. */
struct lb_message_state {
	struct lb_message_head head;
	__u32 version;
	__u32 targets;  /* of lb-checkd */
	__u32 pending;  /* checks under way */
	__u32 late_ms;  /* the longest that it was late since it last said so */
	__u64 begun;    /* checks in all */
	__u32 may_mark; /* lb-checkd may mark its packets */
	__u32 may_echo; /* and send echo requests */
	__u32 room;     /* checks that it can have under way at once */
	__u32 ports;    /* and of those through the packet path, of each family and protocol */
};

_Static_assert(sizeof(struct lb_message_state) == 48, "no hidden padding");

struct lb_message_target {
	struct lb_message_head head;
	__u32 id;         /* below LB_TARGETS_MAX; lbd's to choose, and to use again */
	__u32 generation; /* comes back with results, so that those of an earlier target are told apart */
	__u32 mark;       /* of its packets, that go through the packet path; 0: they go as others do */
	struct lb_address source; /* of its packets; family 0: the kernel's choice */
	__u8 pad0[3];
	struct lb_config_check check; /* resolved: address and port are what is asked */
};

struct lb_message_echo {
	struct lb_message_head head;
	__u32 id, generation; /* of the target */
	__u32 bytes;          /* of the IP packet, without a tunnel's header */
	__u32 timeout_ms;
};

struct lb_message_result {
	__u32 id, generation;
	__u64 begin_ns, end_ns;
	__u32 outcome; /* enum lb_outcome */
	__u32 detail;  /* HTTP status, errno, lb_agent_detail(); 0: nothing more to say */
	__u32 bytes;   /* it was an echo request of so many; 0: it was a check */
	__u32 pad;
};

#define LB_TARGETS_MAX         (1u << 20)
#define LB_ECHO_BYTES_MAX      9216u
#define LB_MESSAGE_RESULTS_MAX 64u
struct lb_message_results {
	struct lb_message_head head;
	struct lb_message_result results[LB_MESSAGE_RESULTS_MAX]; /* head.n of them are sent */
};
