/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between change.c (changes that somebody asks for) and wanted.c (what changes by itself).
 */
#pragma once

#include "lbd/state/change.h"

static inline void change_plan_freep(struct lb_plan **plan)
{
	lb_plan_free(*plan);
}

/* Plans for what is desired, with the next hops and verdicts of now. What runs is not borrowed: every next
 * hop is looked at. 0 or as lb_engine_plan(). */
int change_plan(struct lbd *lbd, const struct desired *next, const struct change *change,
		struct lb_plan **ret_plan, struct lb_error *error);

/* Opens the ports that it needs and makes it visible. As lb_engine_commit(). */
int change_commit_plan(struct lbd *lbd, struct lb_plan *plan, struct lb_error *error);
