/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What changes in the intent layer by itself: words that are over, verdicts that come.
 */
#pragma once

#include "intent/intent.h"

struct lbd;

/* From then on words that are over are dropped, by a change that is recorded. 0 or -errno. */
int intent_start(struct lbd *lbd);

/* Drops the words that are over, by a change. 0 or -errno. */
int intent_end_words(struct lbd *lbd, struct lb_error *error);

/*
 * The verdict of health or a breaker on a backend (lb_verdicts_set); a plan is made soon if it matters. 0 or
 * -errno.
 */
int intent_judge(struct lbd *lbd, enum lb_origin origin, const char *service, const char *backend,
		 const struct lb_verdict *verdict);
