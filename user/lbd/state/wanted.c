// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes by itself: next hops, verdicts of health, what sources send. Causes are collected, and one
 * plan made for what has come together.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/clock.h"
#include "lbd/kernel/nexthops.h"
#include "lbd/log.h"
#include "lbd/state/change_internal.h"
#include "lbd/state/sources_store.h"
#include "lbd/state/words.h"
#include "lbd/sweeper.h"

int change_nexthops(struct lbd *lbd, struct lb_error *error)
{
	static const struct change change = { .cause = "next hops" };
	_cleanup_(change_plan_freep) struct lb_plan *plan = NULL;
	int r;

	r = change_plan(lbd, &lbd->running, &change, &plan, error);
	if (r < 0)
		return r;
	if (lb_plan_is_empty(plan))
		return 0;
	r = change_commit_plan(lbd, plan, error);
	if (r < 0)
		return r;
	nexthops_report(lbd);
	lbd->trim_s = TRIM_S;
	return 1;
}

/* --- what changed besides --------------------------------------------------------------------------------
 */

#define DEBOUNCE_MS 5u   /* in which verdicts of one burst come together */
#define SOURCE_MS   100u /* and what sources send */
#define RETRY_MS    2000u

static int on_wanted(sd_event_source *source, uint64_t usec, void *context);

static void wake_in(struct lbd *lbd, __u64 delay_ms)
{
	__u64 due_ms = now_ms() + delay_ms, due_us = due_ms * 1000;
	int r;

	if (lbd->wanted_due_ms && lbd->wanted_due_ms <= due_ms)
		return;
	lbd->wanted_due_ms = due_ms;

	if (!lbd->wanted) {
		r = sd_event_add_time(lbd->event, &lbd->wanted, CLOCK_MONOTONIC, due_us, 1000, on_wanted,
				      lbd);
	} else {
		r = sd_event_source_set_time(lbd->wanted, due_us);
		if (r >= 0)
			r = sd_event_source_set_enabled(lbd->wanted, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		log_error("event=timer error=\"%s\"", strerror(-r));
}

/* The same configuration, with what its sources want now. */
static int change_sources(struct lbd *lbd, struct lb_error *error)
{
	static const struct change change = {
		.cause = "sources", .kind = "source", .record = RECORD_OPERATOR, .background = true
	};
	struct desired next = {};
	int r = desired_from_sources(lbd, &next, error);

	if (r == 0)
		r = change_make(lbd, &next, &change, NULL, error);
	desired_done(&next);
	return r;
}

/* Plans what runs anew, with what has changed around it. */
static int change_health(struct lbd *lbd, struct lb_error *error)
{
	_cleanup_(change_plan_freep) struct lb_plan *plan = NULL;
	static const struct change change = { .cause = "health" };
	int r = change_plan(lbd, &lbd->running, &change, &plan, error);

	if (r < 0 || lb_plan_is_empty(plan))
		return r;
	r = change_commit_plan(lbd, plan, error);
	if (r == 0)
		events_add(&lbd->events, LOG_LEVEL_INFO, "health", "generation=%llu",
			   lb_engine_generation(lbd->engine));
	return r;
}

static int plan_wanted(struct lbd *lbd, unsigned int causes, struct lb_error *error)
{
	int r;

	if (!(causes & CAUSE_SOURCE))
		return change_health(lbd, error);
	sources_save(&lbd->store, &lbd->sources.list, lbd->sources.absent);
	lbd->sources.absent = false;
	r = change_sources(lbd, error);
	snprintf(lbd->sources.error, sizeof(lbd->sources.error), "%s", r < 0 ? error->text : "");
	lbd->sources.pending = r < 0;
	return r;
}

/* After one that took long, a longer pause: plans take at most a fifth of the time. */
#define COST_FACTOR 5u

static void plan_for_wanted(void *context)
{
	struct lbd *lbd = context;
	unsigned int causes = lbd->causes;
	struct lb_error error = {};
	__u64 begin = now_ms();
	int r;

	lbd->causes = 0;
	lbd->wanted_due_ms = 0;
	r = plan_wanted(lbd, causes, &error);
	lbd->wanted_cost_ms = now_ms() - begin;
	if (r == 0)
		return;
	events_add(&lbd->events, LOG_LEVEL_ERROR, causes & CAUSE_SOURCE ? "source" : "health", "%s",
		   error.text);
	lbd->causes |= causes;
	wake_in(lbd, RETRY_MS);
}

static int on_wanted(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;

	task_call(lbd->tasks, &lbd->task.wanted, plan_for_wanted, lbd);
	return 0;
}

void change_wanted(struct lbd *lbd, unsigned int causes)
{
	lbd->causes |= causes;
	wake_in(lbd, causes & CAUSE_SOURCE ? SOURCE_MS + COST_FACTOR * lbd->wanted_cost_ms : DEBOUNCE_MS);
}
