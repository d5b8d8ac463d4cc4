/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many packets a poll of an interface brings: one or two where it is quiet, as many as the budget allows
 * (64 as a rule) where more are waiting than a core can take.
 */
#pragma once

#include <linux/types.h>

/* None, 1, 2 to 3, 4 to 7, ... 32 to 63, 64 and more. */
#define LB_POLL_CLASSES 8u
#define LB_POLL_CLASS_NAMES                                                                                  \
	{                                                                                                    \
		"0", "1", "2-3", "4-7", "8-15", "16-31", "32-63", "64+"                                      \
	}

/* Per CPU, of all interfaces that the packet path is attached to. */
struct lb_polls {
	__u64 polls[LB_POLL_CLASSES];
	__u64 packets; /* that they brought */
	__u64 full;    /* polls that used up their budget: more was waiting */
};

static inline __u32 lb_poll_class(__u32 packets)
{
	__u32 class = 0;

	while (packets && class < LB_POLL_CLASSES - 1) {
		packets >>= 1;
		class ++;
	}
	return class;
}
