/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The intent layer of the running agent: what is said besides its configuration, and the clock of that. What
 * follows from it is user/lib/intent's business.
 */
#pragma once

#include "lbd/state/intent_state.h"

struct lbd;

/*
 * The wall clock in seconds, for words. Where it was set since the last call (NTP after a boot without a
 * clock, a hand), what was to last so much longer still does: the words of what runs are moved with it.
 */
__s64 intent_now_s(struct lbd *lbd);

/* What is said besides a configuration: the given words, and the verdicts. Valid until either changes. */
struct lb_intent intent_of(struct lbd *lbd, const struct lb_words *words);

void intent_done(struct lbd *lbd);
