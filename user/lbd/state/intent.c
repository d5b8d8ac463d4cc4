// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two clocks: the wall clock is what is recorded, as it alone outlives
 * the machine's boot; how long something has lasted is measured by CLOCK_BOOTTIME, which nobody sets.
 */
#include "lbd/state/intent.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lbd/lbd.h"
#include "lbd/log.h"

static __s64 clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (__s64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__s64 intent_now_s(struct lbd *lbd)
{
	__s64 wall_ms = clock_ms(CLOCK_REALTIME);
	__s64 jump_s = lb_clock_jump_s(&lbd->intent.clock, wall_ms, clock_ms(CLOCK_BOOTTIME));

	/* The record on the disk follows with the next change; until then lb_words_bound() keeps the worst
	 * away. */
	lb_words_move(&lbd->running.words, jump_s);
	if (jump_s && lbd->running.words.n)
		events_add(&lbd->events, LOG_LEVEL_NOTICE, "clock",
			   "the wall clock was set by %lld s; overrides last as long as they were to",
			   jump_s);
	return wall_ms / 1000;
}

struct lb_intent intent_of(struct lbd *lbd, const struct lb_words *words)
{
	return (struct lb_intent){ .words = words,
				   .verdicts = lbd->intent.verdicts,
				   .check_of = lbd->intent.check_of,
				   .now_s = intent_now_s(lbd) };
}

void intent_done(struct lbd *lbd)
{
	lbd->intent.timer = sd_event_source_disable_unref(lbd->intent.timer);
	lb_verdicts_free(lbd->intent.verdicts);
	lbd->intent.verdicts = NULL;
}
