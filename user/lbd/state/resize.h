/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Limits that a change says otherwise than what runs: tables of other sizes take over (kernel/migrate.h), as
 * a step of the plan. Sizes that nobody changed stay as they are.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "engine/tables.h"

struct desired;
struct json;
struct lbd;

struct resize {
	bool wanted, made;
	struct lb_table_sizes from, to;
	__u64 bytes; /* of memory, while both are there */
};

/*
 * What the tables would be for next; plans are made for that until resize_end(). -ENOSPC, -EBUSY: it cannot
 * be, and why; when starting that is told, and the tables stay as they are.
 */
int resize_begin(struct lbd *lbd, const struct desired *next, bool starting, struct resize *ret_resize,
		 struct lb_error *error);
/* After the last word on the plan, before anything of it is carried out. */
int resize_make(struct lbd *lbd, const struct desired *next, struct resize *resize, struct lb_error *error);
/* When the plan is freed. */
void resize_end(struct lbd *lbd, struct resize *resize);

/* At a start: whether it is the tables that failed; that is told, and tried again with the next change. */
bool resize_failed(struct lbd *lbd, const struct resize *resize, const struct lb_error *error);

/* The member "tables" of the plan object; nothing where they stay. */
void resize_write(const struct resize *resize, struct json *json);
