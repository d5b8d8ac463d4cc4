// SPDX-License-Identifier: GPL-2.0-only
/*
 * Health's place in the agent: its clock, its plans, and what it adds to those of others.
 */
#include "lbd/health/health.h"

#include "base/cleanup.h"
#include "lbd/health/health_internal.h"

#define TICK_US  100000u
#define RETRY_US 1000000u
#define SAVE_NS  (500 * LB_NS_PER_MS)

/* --- the operator's words --------------------------------------------------------------------------------
 */

static enum lb_circuit_word word_of(const struct lb_words *words, const struct health_member *member)
{
	const struct lb_word *word =
		lb_words_find(words, member->service->name, member->name, LB_WORD_BREAKER);

	if (!word || word->value == LB_BREAKER_AUTO)
		return LB_CIRCUIT_AUTO;
	return word->value == LB_BREAKER_OPEN ? LB_CIRCUIT_FORCE_OPEN : LB_CIRCUIT_OFF;
}

void health_heed(struct lbd *lbd)
{
	struct health *health = lbd->health;
	__u64 now_ns = lb_now_ns();

	for (struct health_service *service = health->services; service; service = service->hh.next) {
		for (size_t i = 0; i < service->n_members; i++) {
			struct health_member *member = &service->members[i];
			enum lb_circuit_word word = word_of(&lbd->running.words, member);

			if (!lb_circuit_say(&member->circuit, &member->settings, word, now_ns))
				continue;
			service->lively = true;
			judge_mark(health, service);
		}
	}
	judge_dirty(health);
}

/* --- time ------------------------------------------------------------------------------------------------
 */

/* Unless there is nothing to be kept any more. */
static void save(void *context)
{
	struct health *health = context;

	if (health->unsaved)
		saved_write(health);
}

static int on_tick(sd_event_source *source, uint64_t now, void *context)
{
	struct health *health = context;
	__u64 now_ns = lb_now_ns();

	link_watch(health, now_ns);
	judge_tick(health, now_ns);
	if (health->unsaved && now_ns > health->saved_ns + SAVE_NS)
		task_call(health->lbd->tasks, &health->save, save, health);
	if (health->services || health->targets) {
		sd_event_source_set_time_relative(source, TICK_US);
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	return 0;
}

/* --- life ------------------------------------------------------------------------------------------------
 */

int health_open(struct lbd *lbd, health_judge *judge, struct lb_error *error)
{
	struct health *health = calloc(1, sizeof(*health));
	int r;

	if (!health) {
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	health->lbd = lbd;
	health->judge = judge;
	health->listener = health->link = -1;
	health->stale = true;
	lbd->health = health;
	r = sd_event_add_time_relative(lbd->event, &health->tick, CLOCK_MONOTONIC, 0, 1000, on_tick, health);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to start health's clock: %s", strerror(-r));
	sd_event_source_set_enabled(health->tick, SD_EVENT_OFF);
	saved_read(health);
	return 0;
}

void health_configure(struct lbd *lbd)
{
	struct health *health = lbd->health;

	health->building = true;
	members_build(health, lbd->running.config);
	health->building = false;
	link_listen(health);
	link_flush(health);
	if (!health->services && !health->targets) {
		saved_forget(health);
		return;
	}
	health->unsaved = true;
	sd_event_source_set_time_relative(health->tick, TICK_US);
	sd_event_source_set_enabled(health->tick, SD_EVENT_ONESHOT);
}

void health_close(struct lbd *lbd)
{
	struct health *health = lbd->health;

	if (!health)
		return;
	if (health->unsaved)
		saved_write(health);
	health->tick = sd_event_source_disable_unref(health->tick);
	link_close(health);
	path_close(health);
	members_free(health);
	saved_free(health);
	free(health);
	lbd->health = NULL;
}
