/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A plan as the API tells it.
 */
#pragma once

#include "engine/engine.h"
#include "lbd/api/json.h"

struct plan_summary {
	size_t services; /* changed */
	__u64 slots_moved;
	bool breaks;
};
void plan_summarise(const struct lb_plan *plan, struct plan_summary *ret_summary);

/* "add", "remove", "modify", "none". */
const char *plan_change_name(enum lb_change change);

/* Room that plan_write() needs at most. */
size_t plan_bytes(const struct lb_plan *plan);

/* Members of the plan object of docs/api.md. */
void plan_write(const struct lb_plan *plan, bool applied, bool dry_run, __u64 from, __u64 to,
		const struct plan_summary *summary, struct json *json);
