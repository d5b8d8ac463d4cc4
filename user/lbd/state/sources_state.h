/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent keeps of sources; what is done with it is in sources.h.
 */
#pragma once

#include "intent/sources.h"
#include "lbd/state/store_record.h"

/* When a source was heard. */
struct source_heard {
	char name[LB_NAME_MAX];   /* empty: free */
	__u64 heard_ms;           /* CLOCK_MONOTONIC; of the start, until it is heard */
	__s64 heard_s;            /* wall clock; 0: not since the start */
	__u64 revision;           /* the last one that it sent */
	char whole[STORE_DIGEST]; /* of the last whole that it sent, as long as nothing else has come */
};

struct lbd_sources {
	struct lb_sources list;
	struct source_heard heard[LB_SOURCES_MAX];
	bool absent; /* a whole took services away: their files are still there */
	size_t n_hidden;
	unsigned int patches; /* changes within services since all next hops were gone through */
	bool pending;         /* something is yet to be planned for */
	char error[512];      /* why what they want does not run; empty: it does */
};
