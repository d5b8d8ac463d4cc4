/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is lost behind the packet path: packets that it redirected (and counts as such) and that the egress
 * interface's driver then refused. The programs that count are pinned, so that they count on without us.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "json.h"
#include "lb/redirect.h"

struct lbd;

struct redirect {
	int counts_fd, from_fd; /* maps; -1 */
	int link_fd[2];         /* -1 */
	char why[256];          /* why nobody counts; empty: it is counted */
};

/* Adopts what counts, or sets it up. Where the kernel refuses, *why says so and all goes on without. */
void redirect_open(struct lbd *lbd);
void redirect_close(struct lbd *lbd);

/* The packet path is attached to the interface: what comes in there counts from now on. */
void redirect_from(struct lbd *lbd, int ifindex);

/* Sums of one egress interface, over all CPUs and ingress interfaces. */
struct redirect_sum {
	__u32 ifindex; /* 0: not known */
	__u64 sent, lost;
};
/* Sums by egress interface, malloc'd; *ret_n may be 0 with NULL. */
struct redirect_sum *redirect_sums(const struct lbd *lbd, size_t *ret_n);

/* Packets lost in all. */
__u64 redirect_lost(const struct lbd *lbd);

/* Its name, or "?" for an interface that is gone. */
const char *redirect_interface(const struct lbd *lbd, __u32 ifindex, char name[16]);

/* The member "redirects" of status and drops. */
void redirect_write(const struct lbd *lbd, struct json *json);
