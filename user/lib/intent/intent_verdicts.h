/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How verdicts are kept: one entry for each backend that there is a verdict on. Internal to the intent layer,
 * which goes over all of them.
 */
#pragma once

#include "intent/intent.h"

#include <uthash.h>

enum lb_verdict_layer { LB_LAYER_HEALTH, LB_LAYER_BREAKER, LB_LAYER_COUNT };

struct lb_judged_key {
	char service[LB_NAME_MAX]; /* zero behind the name: compared as bytes */
	char backend[LB_NAME_MAX];
};

struct lb_judged {
	struct lb_judged_key key;
	struct lb_verdict *verdict[LB_LAYER_COUNT]; /* owned; NULL: none. Not all are NULL */
	bool in_table;
	UT_hash_handle hh;
};

struct lb_verdicts {
	struct lb_judged *judged;
};

/* NULL: there is no verdict on the backend. verdicts may be NULL. */
const struct lb_judged *lb_verdicts_judged(const struct lb_verdicts *verdicts, const char *service,
					   const char *backend);
