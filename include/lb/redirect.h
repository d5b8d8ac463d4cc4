/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb_redirect counts of redirected packets after they have left the packet path.
 */
#pragma once

#include <linux/types.h>

#define LB_REDIRECTS_MAX 1024u /* pairs of interfaces */

struct lb_redirect_key {
	__u32 from; /* ifindex that the packet came in on */
	__u32 to;   /* ifindex that it was to leave by; 0: not known */
};

/* Per CPU. */
struct lb_redirect_count {
	__u64 sent; /* taken by the driver */
	__u64 lost; /* refused by it: interface down, ring full, peer gone */
};
