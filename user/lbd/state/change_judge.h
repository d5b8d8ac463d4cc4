/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a change of what is wanted is, key by key: told with the plan, and judged for what no plan of services
 * sees (interfaces). Also the identity of the whole, by which what was approved is what is done.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "lbd/api/json.h"
#include "lbd/state/store_record.h"

struct desired;
struct lb_difference;
struct lb_error;
struct lb_plan;
struct lbd;
struct reverts;

/* Changes that are told one by one. */
#define JUDGEMENT_TOLD_MAX 1000u

struct judgement {
	struct json changes;  /* the told ones, elements of a JSON array; owned */
	size_t n;             /* of all */
	bool overrides;       /* they differ, too */
	char why_breaks[256]; /* a sentence; empty: nothing breaks besides what the plan of the services says
			       */
	char refused[384]; /* why the change itself would be refused, and what would do; empty: it would not
			    */
	char paths[192];   /* of the first ones, for the log */
	char set[256];     /* what the first ones were and are, for the record */
	size_t n_set;      /* so many are in there */
	char identity[17]; /* hexadecimal */
};

/* From what runs (without configuration nothing is compared) to what is wanted. reverts may be NULL. 0 or
 * -ENOMEM with *error; judgement_done(). */
int judgement_make(const struct lbd *lbd, const struct desired *to, const struct lb_plan *plan,
		   const struct reverts *reverts, struct judgement *ret, struct lb_error *error);
void judgement_done(struct judgement *judgement);

/* A cause with what was set, as it is recorded. Returns the buffer. */
const char *judgement_cause(const struct judgement *judgement, const char *cause,
			    char buffer[RECORD_CAUSE_MAX]);

/* Whether services run whose flows another hash_seed would move: it is told what else would change. */
bool judgement_reseeds(const struct lbd *lbd, const struct desired *to);

/* Whether something is recorded of the change that was not before. */
bool judgement_differs(const struct desired *from, const struct desired *to);

/* One difference as an element of an array: "path", "change", "from", "to", "effect", "when"; the object is
 * left open for more. */
void judgement_write_difference(const struct lb_difference *difference, struct json *json);

/* The members "plan", "changes", "changes_total", "why_breaks" and "refused" of the plan object; room they
 * need at most. */
void judgement_write(const struct judgement *judgement, struct json *json);
size_t judgement_bytes(const struct judgement *judgement);
