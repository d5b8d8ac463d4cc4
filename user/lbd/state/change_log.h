/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A plan in the log, for changes that nobody looked at before they are made.
 */
#pragma once

struct desired;
struct lb_plan;
struct lbd;
struct reverts;

/* From what runs to next, line by line as `lbctl reload` shows it; the first ones of each kind. kind: static.
 */
void change_log_plan(struct lbd *lbd, const char *kind, const struct desired *next,
		     const struct lb_plan *plan, const struct reverts *reverts);
