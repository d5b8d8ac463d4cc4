/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks through the packet path, as health sees them: health_path.c.
 */
#pragma once

#include "health/outcome.h"

struct health;
struct health_target;

/* Why a check that is to go through the packet path says nothing, the worst last. */
enum path_trouble {
	LB_PATH_WELL,
	LB_PATH_STRICT,       /* answers are dropped, perhaps */
	LB_PATH_ASTRAY,       /* its packets went another way */
	LB_PATH_MAY_NOT_MARK, /* from here on it is not asked */
	LB_PATH_MISSING,
	LB_PATH_IS_LOCAL,
};
/* A sentence; empty: none. Static. */
const char *path_trouble_text(enum path_trouble trouble);

/* After a commit, with the targets as they are then. */
void path_configure(struct health *health);

/* Looks at some of them again: addresses and next hops change without a commit, and others take rules away.
 */
void path_tick(struct health *health, __u64 now_ns);

/* Before a target is gone. */
void path_forget(struct health *health, struct health_target *target);

/* Takes away what the kernel has. */
void path_close(struct health *health);

/* What a result says, with regard to the way that the check's packets took. */
enum lb_outcome path_judge(const struct health *health, struct health_target *target,
			   const struct lb_result *result);
