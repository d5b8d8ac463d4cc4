/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sums over the CPUs' own counters, read straight from the memory-mapped arrays: no system call, no lock.
 * Each word is read whole; a sum is of words read at slightly different moments.
 */
#pragma once

#include "lbd/api/json.h"
#include "engine/tables.h"

struct stats_totals {
	__u64 rx, tx, redirect, pass, drop; /* packets; rx is the sum of the others */
	__u64 bytes;                        /* of what was forwarded, as it came in */
	__u64 refused;                      /* inserts that the flow table had no room for */
};

/* Of one backend id, over all CPUs. */
void stats_backend(const struct lb_tables *tables, __u32 id, struct lb_counter *ret_sum);
/* What came in for a service that shares a ring, of all CPUs: in the place of the first ones of *totals. */
void stats_service(const struct lb_tables *tables, __u32 id, struct lb_totals *totals);

void stats_add(struct lb_counter *sum, const struct lb_counter *more);
struct lb_totals stats_totals_of(const struct lb_counter *counter);

/* Members of the list of lb/counters.h: each word; each total; the totals that are told everywhere. */
void stats_write_words(struct json *json, const struct lb_counter *counter);
void stats_write_all(struct json *json, const struct lb_totals *totals);
void stats_write_first(struct json *json, const struct lb_totals *totals);

/* Of one CPU; of all of them. What removed backends had counted is in it (engine/counts.h). */
void stats_cpu(const struct lb_tables *tables, __u32 cpu, struct stats_totals *ret_totals);
void stats_all(const struct lb_tables *tables, struct stats_totals *ret_totals);

/* The same in parts, added to *totals: n lines of backends; then what there is one of, and rx. */
void stats_cpu_lines(const struct lb_tables *tables, __u32 cpu, __u32 first, __u32 n,
		     struct stats_totals *totals);
void stats_cpu_rest(const struct lb_tables *tables, __u32 cpu, struct stats_totals *totals);
/* Both, some lines at a time: where to go on; 0: it is all of that CPU. */
size_t stats_cpu_step(const struct lb_tables *tables, __u32 cpu, size_t line, struct stats_totals *totals);
void stats_add_totals(struct stats_totals *sum, const struct stats_totals *more);

/* Of one reason, over all CPUs. */
void stats_reason(const struct lb_tables *tables, __u32 reason, struct lb_reason_counter *ret_sum);

/* The list of reasons.h: number 1..count. NULL at the end. */
enum reason_action { REASON_PASS, REASON_DROP, REASON_REPLY /* we answered: counts as tx */ };
const char *reason_action_name(enum reason_action action);
struct reason_text {
	__u32 number;
	enum reason_action action;
	const char *name, *help;
};
extern const struct reason_text reason_texts[]; /* ends with name NULL */
const struct reason_text *reason_find(__u32 number);

/* Members rx, tx, redirect, pass, drop. */
void stats_write_totals(struct json *json, const struct stats_totals *totals);
