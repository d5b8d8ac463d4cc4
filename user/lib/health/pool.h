/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The backends of one service together: which tiers serve, what passive suspicion may take out, and what
 * happens when too few are left. Pure: what each backend's circuit says goes in, what is said of it comes
 * out.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

#define LB_TIERS_MAX 8u

enum lb_when_all_fail { LB_WHEN_ALL_FAIL_ALL, LB_WHEN_ALL_FAIL_NONE };

struct lb_pool_config {
	__u32 spill_percent; /* of the first tier's configured weight, that the tiers in use are to reach */
	__u32 floor_percent; /* usable weight of all tiers below which when_all_fail applies; 0: at the last
				death */
	__u32 max_ejected_percent; /* of weight, that passive suspicion may take out */
	enum lb_when_all_fail when_all_fail;
};

/* Why a backend is what it is, the strongest. */
enum lb_pool_reason {
	LB_POOL_OWN,      /* as its circuit says */
	LB_POOL_PASSIVE,  /* taken out on passive suspicion */
	LB_POOL_ALL_FAIL, /* too few are left: it serves as if it were healthy */
	LB_POOL_TIER,     /* its tier is not needed, or only in part */
};
/* Static; "" for OWN. */
const char *lb_pool_reason_text(enum lb_pool_reason reason);

struct lb_pool_member {
	/* in */
	__u32 weight;        /* administrative; 0 where the administrative state is not active */
	__u8 tier;           /* below LB_TIERS_MAX */
	enum lb_state state; /* what its circuit says */
	__u32 share;         /* of its weight, permille */
	bool suspect;        /* passive suspicion wants it out */
	/* out */
	enum lb_state ret_state;
	__u32 ret_share; /* permille */
	enum lb_pool_reason ret_reason;
};

struct lb_pool_summary {
	__u64 weight, usable; /* administrative, and what circuits leave of it; all tiers */
	__u64 ejected;        /* by passive suspicion */
	__u32 tiers;          /* a bit for each tier that serves */
	__u8 last_tier;       /* the highest that serves */
	__u32 last_share;     /* permille of it; less than all: it takes only what the others lack */
	bool all_fail;        /* usable weight is below the floor */
	struct {
		__u64 weight, usable; /* as above, of this tier */
		__u32 share;          /* permille that it serves with; 0: it does not */
	} tier[LB_TIERS_MAX];
};

/*
 * Which tiers serve, and why, in a sentence: "tier 0 has 100 of 300 of its weight, less than 50 %: tier 1
 * gives what is missing". Returns the buffer.
 */
#define LB_POOL_TEXT_MAX 256
const char *lb_pool_text(const struct lb_pool_config *config, const struct lb_pool_summary *summary,
			 char buffer[LB_POOL_TEXT_MAX]);

void lb_pool_resolve(const struct lb_pool_config *config, struct lb_pool_member *members, size_t n,
		     struct lb_pool_summary *ret_summary);
