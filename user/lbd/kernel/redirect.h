/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is lost behind the packet path: packets that it redirected or sent back out (and counts as such) and
 * that the egress interface's driver then refused. And how packets come in: polls. The programs that count
 * are pinned, so that they count on without us.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "lbd/api/json.h"
#include "lb/polls.h"
#include "lb/redirect.h"

struct lbd;

/* How a packet leaves. */
enum redirect_way {
	REDIRECT_ON, /* redirected to another interface */
	REDIRECT_TX, /* sent back out by the one it came in on */
	REDIRECT_WAYS
};

#define REDIRECT_LINKS 5

struct redirect {
	int counts_fd, from_fd;       /* maps; -1 */
	int polls_fd;                 /* map; -1: nobody counts polls, for the reason of REDIRECT_ON */
	int link_fd[REDIRECT_LINKS];  /* -1 */
	char why[REDIRECT_WAYS][256]; /* why nobody counts; empty: it is counted */
};

/* Whether its pins are there; makes anew what is not. How many, or -errno. */
int redirect_verify(struct lbd *lbd);

/* Adopts what counts, or sets it up. What the kernel refuses, why[] tells of, and all goes on without. */
void redirect_open(struct lbd *lbd);
void redirect_close(struct lbd *lbd);

/* The packet path is attached to the interface: what comes in there counts from now on. */
void redirect_from(struct lbd *lbd, int ifindex);

/* Sums of one egress interface and way, over all CPUs and ingress interfaces. */
struct redirect_sum {
	__u32 ifindex; /* 0: not known */
	__u64 sent, lost;
};
/* Sums by egress interface, malloc'd; *ret_n may be 0 with NULL. */
struct redirect_sum *redirect_sums(const struct lbd *lbd, enum redirect_way way, size_t *ret_n);

/* The members "redirect_lost" and "tx_lost": packets lost in all. */
void redirect_write_lost(const struct lbd *lbd, struct json *json);

/* Packets that the driver refused, of those that each CPU sent, either way; adds to lost[]. */
void redirect_lost_by_cpu(const struct lbd *lbd, __u64 *lost, size_t cpus);

/* Polls of our interfaces by CPU. -ENODATA: they are not counted. */
int redirect_polls(const struct lbd *lbd, struct lb_polls *ret_polls, size_t cpus);

/* Its name, or "?" for an interface that is gone. */
const char *redirect_interface(const struct lbd *lbd, __u32 ifindex, char name[16]);

/* The members "redirects" and "sent_back" of status and drops. */
void redirect_write(const struct lbd *lbd, struct json *json);
