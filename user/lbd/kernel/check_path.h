/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks through the packet path, in the kernel: lb_check, its maps, and the device that marked packets are
 * led to. There while some check goes that way; it does not outlive the agent, whom lb-checkd needs anyway.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "lb/check.h"

struct check_path;
struct lbd;

/*
 * What there is not, is made; what others took away is put back. Where *path has no room for so many targets,
 * looks into maps that others took over from, or is NULL, it is another one afterwards, which no target is
 * set in. 0 or -errno; then *path is as before.
 */
int check_path_up(const struct lbd *lbd, size_t room, struct check_path **path, struct lb_error *error);
/* Takes all of it away; with NULL, what an agent that was killed has left behind. */
void check_path_down(struct check_path *path);

/* Whether packets of a family are led to it. */
bool check_path_leads(const struct check_path *path, __u8 family);

/* lb_check_ports, for lb-checkd; ours. */
int check_path_ports(const struct check_path *path);

/* number: of a target, below its room. 0 or -errno. */
int check_path_set(struct check_path *path, __u32 number, const struct lb_check_target *target);
void check_path_unset(struct check_path *path, __u32 number);

/* Whether a packet of the target was sent through the packet path at or after this time (CLOCK_MONOTONIC). */
bool check_path_saw(const struct check_path *path, __u32 number, __u64 since_ns);

/* Packets by enum lb_check_count, since it is there. */
void check_path_counts(const struct check_path *path, __u64 counts[LB_CHECK_COUNT]);
