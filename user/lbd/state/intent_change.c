// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes in the intent layer by itself: words that are over, verdicts that come.
 */
#include "lbd/state/intent_change.h"

#include "lbd/clock.h"
#include "lbd/lbd.h"
#include "lbd/state/change.h"
#include "lbd/state/intent.h"

#define TICK_MS 1000u

/* Removes what is over. What went first is *ret_first. Returns how many went. */
static size_t drop_over(struct lb_words *words, __s64 now_s, struct lb_word *ret_first)
{
	size_t kept = 0, n = words->n;

	for (size_t i = 0; i < n; i++) {
		if (!lb_word_is_over(&words->all[i], now_s))
			words->all[kept++] = words->all[i];
		else if (kept == i)
			*ret_first = words->all[i];
	}
	words->n = kept;
	return n - kept;
}

/* By a change as any other: planned, recorded, told. */
int intent_end_words(struct lbd *lbd, struct lb_error *error)
{
	char cause[RECORD_CAUSE_MAX], value[LB_WORD_TEXT_MAX];
	struct change change = { .cause = cause, .kind = "override", .record = RECORD_OPERATOR };
	struct desired next = {};
	struct lb_word first = {};
	size_t n;
	int r = desired_copy(&lbd->running, &next, error);

	if (r < 0)
		return r;
	n = drop_over(&next.words, intent_now_s(lbd), &first);
	snprintf(cause, sizeof(cause), "%s/%s %s %s is over%s", first.service, first.backend,
		 lb_word_key_name(first.key), lb_word_text(&first, value), n > 1 ? ", and others" : "");
	/* Somebody may have taken them back meanwhile. */
	r = n ? change_make(lbd, &next, &change, NULL, error) : 0;
	desired_done(&next);
	return r;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;
	__s64 now_s = intent_now_s(lbd), end_s = lb_words_next_end(&lbd->running.words);

	if (end_s && now_s >= end_s && !change_is_wanted(lbd, LB_CAUSE_OPERATOR))
		change_wanted(lbd, LB_CAUSE_OPERATOR);
	sd_event_source_set_time(source, (now_ms() + TICK_MS) * 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int intent_start(struct lbd *lbd)
{
	return sd_event_add_time(lbd->event, &lbd->intent.timer, CLOCK_MONOTONIC, now_ms() * 1000,
				 TICK_MS * 100, on_tick, lbd);
}

int intent_judge(struct lbd *lbd, enum lb_origin origin, const char *service, const char *backend,
		 const struct lb_verdict *verdict)
{
	int r = 0;

	if (!lbd->intent.verdicts)
		r = lb_verdicts_new(&lbd->intent.verdicts);
	if (r == 0)
		r = lb_verdicts_set(lbd->intent.verdicts, origin, service, backend, verdict);
	if (r > 0)
		change_wanted(lbd, LB_CAUSE_HEALTH);
	return r < 0 ? r : 0;
}
