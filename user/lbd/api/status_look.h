/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the status says of all services, gathered in one pass, a service at a time.
 */
#pragma once

#include "lbd/api/json.h"
#include "lbd/api/uneven.h"
#include "lbd/lbd.h"

/* Lists of warnings that are gathered, each written apart. */
enum status_list {
	STATUS_UNRESOLVED,
	STATUS_LOCAL,
	STATUS_NARROW,
	STATUS_EMPTY,
	STATUS_RING_SIZES,
	STATUS_LISTS,
};

struct status_look {
	__u64 backends, unsettled, since_s; /* since_s: of the slots that are unsettled longest; 0: none is */
	__u64 rings;                        /* digest of all of them */
	__u64 taken_over;                   /* lbd's, of all this */
	size_t told[STATUS_LISTS], all[STATUS_LISTS];
	/* The first service whose ring is larger than its pool is now. */
	char oversized[LB_NAME_MAX];
	__u32 have, fresh;
	struct uneven uneven;
};

/* Looks at services from this one on, for at most about so many backends: where to go on; 0: it was all. */
size_t status_look(struct lbd *lbd, struct status_look *look, size_t from, struct json lists[STATUS_LISTS]);
