/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters outlive what they count: an id serves again, a backend that was at another address goes, a service
 * loses a backend, and no total falls by it. What is carried is in the tables (lb/meta.h, lb/types.h), so
 * that the next agent has it as well.
 */
#pragma once

#include "engine/tables.h"

/* The line of an id begins at zero for a new backend. What it had counted stays in what its CPU has done. */
void lb_counts_begin(const struct lb_tables *tables, __u32 id);

/* Adds what one backend id has counted, over all CPUs, and what it carries. Read while packets write: each
 * word is whole. */
void lb_counts_add(const struct lb_tables *tables, __u32 id, struct lb_totals *sum);

/* What backends of a service have counted that are gone. */
void lb_counts_gone(const struct lb_tables *tables, __u32 service, struct lb_totals *ret_sum);

/* An id is about to be free: what it counted goes to heir, the same backend under another id, or to its
 * service where there is none (LB_NO_HEIR). Totals that a backend has no room for go to the service. */
#define LB_NO_HEIR ((__u32)-1)
void lb_counts_keep(const struct lb_tables *tables, __u32 id, __u32 heir);
