/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The breaker of an address across services: whether the host is gone, as against one of its services. Only
 * silence speaks against a host (one that refuses is there), any answer speaks for it, and nobody can take a
 * shared host from others by services of his own that fail: it takes three tenants, or a check that the file
 * asks for, or the loss of the next hop.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define LB_HOST_TENANTS_MIN 3u

/* What one service hears of the host. */
struct lb_host_witness {
	__u64 tenant;  /* whose service it is: a source's namespace, or the file; any number that tells them
			  apart */
	bool silent;   /* its circuit is open because nothing answers */
	bool answers;  /* its circuit is closed, and its last check was answered */
	bool for_host; /* the file says that its check speaks for the host */
};

enum lb_host_verdict { LB_HOST_IN_USE, LB_HOST_NEXTHOP_LOST, LB_HOST_CHECK_SAYS, LB_HOST_TENANTS_SAY };

/* "its next hop is lost"; "" for a host in use. Static. */
const char *lb_host_text(enum lb_host_verdict verdict);

enum lb_host_verdict lb_host_judge(const struct lb_host_witness *witnesses, size_t n, bool nexthop_lost);
