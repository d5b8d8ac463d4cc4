/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plans: what a change does to services, printed for people, and the rule about plans that break connections
 * (they need --yes, or a yes on the terminal).
 */
#pragma once

#include "agent.h"

/* Prints a plan: per service what changes, slots moved, gains and losses, what is at risk, what breaks. */
void plan_print(const struct lbctl *c, const cJSON *plan);

/* One closing line: what was done, or would be. done: "applied", "rolled back". */
void plan_print_end(const struct lbctl *c, const cJSON *plan, const char *done);

/* Whether it would change anything. */
bool plan_differs(const cJSON *plan);

/*
 * Dry run, print, guard, do: what is done is what was printed, or it is printed and asked for again. request:
 * without dry_run in its path. Honours --dry-run, --yes and --allow-break; done: what the closing line says
 * (empty: with -j nothing is printed, something else will be); fail: says errors of the agent
 * (lbctl_fail_with will do).
 */
int plan_run(struct lbctl *c, const struct request *request, const char *done,
	     int (*fail)(const struct lbctl *c, cJSON *error));
