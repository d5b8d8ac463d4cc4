// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plan, record, commit. The record is on disk before packets see the generation: a crash in between comes
 * back as the new state, a crash before as the old one.
 */
#include "lbd/state/change.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lbd/health/health.h"
#include "lbd/state/change_plan.h"
#include "lbd/kernel/host_addresses.h"
#include "base/cleanup.h"
#include "lbd/announce/announce.h"
#include "lbd/api/metrics.h"
#include "lbd/clock.h"
#include "lbd/step.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/kernel/nexthops.h"
#include "lbd/log.h"
#include "lbd/state/intent.h"
#include "lbd/state/sources_store.h"
#include "lbd/state/words.h"
#include "lbd/notify.h"
#include "lbd/state/change_internal.h"
#include "lbd/state/change_judge.h"
#include "lbd/state/change_log.h"
#include "lbd/state/change_reverts.h"
#include "lbd/state/resize.h"

#define PATCHES   64u  /* after so many changes of services of sources the next hops are gone through */
#define SETTLE_MS 300u /* for new next hops to be resolved, before packets are sent there */

/* Waits a moment for neighbours that have just come to be needed, so that a new backend is reachable when the
 * first packets go to it. replan.c wakes it. */
static void settle(struct lbd *lbd)
{
	struct lb_nexthops *nexthops = lbd->netlink.nexthops;
	__u64 end = now_ms() + SETTLE_MS;

	while (lb_nexthops_fresh(nexthops, false) > 0 && task_wait(end))
		;
	lb_nexthops_fresh(nexthops, true);
}

/* The stored text of what runs is gone from the state directory: another one comes in its place. */
static int restore_config(struct lbd *lbd, struct desired *next, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	int r = running_text(lbd, &text, &next->length, error);

	if (r < 0)
		return r;
	store_digest(text, next->length, next->digest);
	r = store_put_config(&lbd->store, text, next->length, next->digest, error);
	if (r < 0)
		return r;
	lbd->running.length = next->length;
	memcpy(lbd->running.digest, next->digest, sizeof(next->digest));
	return 0;
}

void lbd_recorded(struct lbd *lbd, const struct record *record)
{
	lbd->recorded_generation = record->generation;
	lbd->recorded_kind = record->kind;
	lbd->recorded_rollback_to = record->rollback_to;
	memcpy(lbd->recorded_config, record->config, sizeof(lbd->recorded_config));
	memcpy(lbd->recorded_cause, record->cause, sizeof(lbd->recorded_cause));
}

/* What took the place of the newest record, of the same generation, leaves its kind and its cause. */
static void merge_newest(const struct lbd *lbd, struct record *record)
{
	char cause[RECORD_CAUSE_MAX];
	size_t length;

	if (record->generation != lbd->recorded_generation || lbd->recorded_kind != RECORD_CONFIG ||
	    record->kind == RECORD_CONFIG || strcmp(record->config, lbd->recorded_config) != 0)
		return;
	record->kind = RECORD_CONFIG;
	record->rollback_to = lbd->recorded_rollback_to;
	memcpy(cause, record->cause, sizeof(cause));
	snprintf(record->cause, sizeof(record->cause), "%s", lbd->recorded_cause);
	length = strlen(record->cause);
	strncat(record->cause, "; ", sizeof(record->cause) - 1 - length);
	length = strlen(record->cause);
	strncat(record->cause, cause, sizeof(record->cause) - 1 - length);
}

static int record_write(struct lbd *lbd, const struct desired *next, const struct change *change,
			__u64 generation, struct record *ret_record, struct lb_error *error)
{
	struct record record = {
		.generation = generation,
		.kind = change->record,
		.rollback_to = change->rollback_to,
		.time_s = time(NULL),
		.services = desired_file(next)->n_services,
		.words = next->words,
	};
	int r;

	snprintf(record.cause, sizeof(record.cause), "%s", change->cause);
	memcpy(record.config, next->digest, sizeof(record.config));
	memcpy(record.file_digest, next->file_digest, sizeof(record.file_digest));
	merge_newest(lbd, &record);
	r = store_put_record(&lbd->store, &record, error);
	record.words = (struct lb_words){}; /* of next */
	*ret_record = record;
	return r;
}

/* Writes down what is about to be made visible. ret_record->generation: number of the record; 0: none was
 * needed. */
static int record_next(struct lbd *lbd, struct desired *next, const struct change *change, bool empty,
		       struct record *ret_record, struct lb_error *error)
{
	__u64 generation = lb_engine_generation(lbd->engine) + !empty;
	bool recorded = lbd->recorded_generation && strcmp(next->digest, lbd->recorded_config) == 0;
	int r = 0;

	memset(ret_record, 0, sizeof(*ret_record));
	/* The text is the same: what sources bring is kept with them, and is no history. */
	if (recorded && lb_words_equal(&lbd->running.words, &next->words) &&
	    strcmp(next->file_digest, lbd->running.file_digest) == 0)
		return 0;
	if (!recorded || !store_has_config(&lbd->store, next->digest))
		r = next->text ? store_put_config(&lbd->store, next->text, next->length, next->digest, error)
			       : restore_config(lbd, next, error);
	step_reached(NULL, "config_stored");
	if (r == 0)
		r = record_write(lbd, next, change, generation, ret_record, error);
	step_reached(NULL, "recorded");
	return r;
}

/* The disk does not take what runs from the start on: it runs, and the next change will try again. */
static bool record_may_wait(struct lbd *lbd, int code, const struct lb_error *error)
{
	if (code == -ENOMEM)
		return false;
	events_add(&lbd->events, LOG_LEVEL_ERROR, "state",
		   "%s: what runs is not recorded, and changes will be refused", error->text);
	return true;
}

int change_commit_plan(struct lbd *lbd, struct lb_plan *plan, struct lb_error *error)
{
	int r = nexthops_open_ports(lbd, error);

	if (r == 0)
		r = lb_engine_commit(lbd->engine, plan, error);
	if (r == 0)
		announce_changed(lbd);
	return r;
}

/* *ret_recorded: what was written down. */
static int commit(struct lbd *lbd, struct desired *next, const struct change *change, struct lb_plan *plan,
		  struct record *ret_recorded, struct lb_error *error)
{
	bool empty = lb_plan_is_empty(plan);
	/* All that can fail comes before the record: that of an empty plan takes the place of the last one.
	 */
	int r = lb_engine_prepare(lbd->engine, plan, error);

	if (r == 0)
		r = nexthops_open_ports(lbd, error);
	if (r == 0)
		r = record_next(lbd, next, change, empty, ret_recorded, error);
	/* A full disk keeps nobody from starting. */
	if (r < 0 && change->starting && record_may_wait(lbd, r, error))
		r = 0;
	if (r == 0)
		r = change_commit_plan(lbd, plan, error);
	return r;
}

/* What runs is written down: once more, and what is too old goes. */
static void keep_record(struct lbd *lbd, const struct record *recorded)
{
	if (!recorded->generation)
		return;
	step_reached(NULL, "committed");
	lbd_recorded(lbd, recorded);
	store_copy(&lbd->store);
	step_reached(NULL, "copied");
	store_prune(&lbd->store);
}

/* The configuration may list other sources now, or leave their services less room. */
static void settle_sources(struct lbd *lbd)
{
	size_t gone = lb_sources_forget(&lbd->sources.list, desired_file(&lbd->running), NULL, NULL);
	size_t hidden = lb_sources_mark(&lbd->sources.list, lbd->running.config);

	if (gone)
		sources_remove_absent(&lbd->store, &lbd->sources.list);
	if (gone)
		events_add(&lbd->events, LOG_LEVEL_NOTICE, "source",
			   "services=%zu are forgotten: the configuration does not list their source", gone);
	if (hidden != lbd->sources.n_hidden)
		events_add(&lbd->events, LOG_LEVEL_WARNING, "source",
			   "hidden=%zu services of sources: the configuration leaves them no room", hidden);
	lbd->sources.n_hidden = hidden;
}

/* next becomes what runs; the engine no longer refers to what ran. */
static void take_over(struct lbd *lbd, struct desired *next)
{
	struct desired before = {};

	lbd->taken_over++;
	if (next->shares) {
		lb_config_unshare(lbd->running.config, next->config);
		lbd->running.config = next->config;
	}
	if (next->borrowed || next->shares) {
		lb_words_done(&lbd->running.words);
		lbd->running.words = next->words;
		memcpy(lbd->running.file_digest, next->file_digest, sizeof(next->file_digest));
	} else {
		before = lbd->running;
		lbd->running = *next;
	}
	if (!next->borrowed)
		lb_sources_planned(&lbd->sources.list);
	free(lbd->running.text);
	lbd->running.text = NULL;
	memset(next, 0, sizeof(*next));
	settle_sources(lbd);
	desired_done(&before);
}

/* What is not of services may have changed, too. */
static bool is_other(const struct desired *next)
{
	return !next->borrowed && !next->shares;
}

static int check(struct lbd *lbd, const struct desired *next, const struct change *change,
		 struct lb_error *error)
{
	int r;

	if (!is_other(next) && !change->starting)
		return 0;
	r = host_addresses_check(lbd, next->config, error);
	if (r == 0 && !change->starting)
		r = interfaces_check(lbd, next->config, error);
	return r;
}

int change_plan(struct lbd *lbd, const struct desired *next, const struct change *change,
		struct lb_plan **ret_plan, struct lb_error *error)
{
	struct lb_intent intent = intent_of(lbd, &next->words);
	_cleanup_(freep) struct lb_override *overrides = NULL;
	_cleanup_(freep) struct lb_address *addresses = NULL;
	bool interfaces = nexthops_set_interfaces(lbd, next->config);
	bool known = (next == &lbd->running || !is_other(next)) && !change->starting && !interfaces &&
		     !change_is_wanted(lbd, LB_CAUSE_WAYS);
	struct lb_desired desired = {
		.config = next->config,
		.allow_ring_resize = change->allow_ring_resize,
		.differs = next != &lbd->running && judgement_differs(&lbd->running, next),
		.nexthops = &lbd->nexthops,
	};
	int r = nexthops_take(lbd, next->config, known ? lbd->running.config : NULL, error);

	if (r < 0)
		return r;
	if (lb_intent_overrides(&intent, next->config, &overrides, &desired.n_overrides) < 0 ||
	    host_addresses_copy(lbd, &addresses, &desired.n_host_addresses, &desired.n_held) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	desired.overrides = overrides;
	desired.host_addresses = addresses;
	return lb_engine_plan(lbd->engine, &desired, ret_plan, error);
}

/* For a log line, where the text stands in quotes. Returns the buffer. */
static const char *quotable(const char *text, char buffer[RECORD_CAUSE_MAX])
{
	snprintf(buffer, RECORD_CAUSE_MAX, "%s", text);
	for (char *c = buffer; *c; c++)
		*c = *c == '"' ? '\'' : *c;
	return buffer;
}

/* Why a plan is not made although it could be. 0 or -ECANCELED. */
static int approve(const struct change *change, const struct judgement *judgement,
		   const struct plan_summary *summary, struct lb_error *error)
{
	if (change->dry_run)
		return 0;
	if (change->expect_plan && strcmp(change->expect_plan, judgement->identity) != 0)
		return lb_error_set(
			error, ECANCELED,
			"the plan is no longer the one that was approved: it is %s now; nothing was "
			"changed",
			judgement->identity);
	if (change->judged && !change->allow_break && summary->breaks)
		return lb_error_set(
			error, ECANCELED,
			"this would break connections, nothing was changed: allow_break=1 says that it "
			"may");
	return 0;
}

/* Neighbours that come to be needed, and a moment for them to answer. */
static int prepare_nexthops(struct lbd *lbd, const struct desired *next, const struct change *change,
			    struct lb_error *error)
{
	int r = 0;

	if (next->shares)
		r = netlink_want_changed(&lbd->netlink, next->config, next->shares, error);
	else if (!next->borrowed || change->starting)
		r = netlink_want(&lbd->netlink, next->config, lbd->engine, error);
	if (r == 0 && !change->dry_run && !change->background) {
		netlink_keep(&lbd->netlink);
		settle(lbd);
	}
	return r;
}

/* Attaches, records, commits; what was not made leaves nothing behind. */
static int carry_out(struct lbd *lbd, struct desired *next, const struct change *change, struct lb_plan *plan,
		     struct lb_error *error)
{
	bool interfaces = is_other(next) && !change->starting && !change->background;
	struct record recorded = {};
	int r = interfaces ? interfaces_attach(lbd, next->config, error) : 0;

	if (r == 0)
		r = commit(lbd, next, change, plan, &recorded, error);
	/* Until it is taken over the loop must not turn: what it looks at has to fit together. */
	if (r == 0) {
		words_tell(lbd, &lbd->running, next);
		take_over(lbd, next);
		keep_record(lbd, &recorded);
	}
	if (interfaces)
		interfaces_trim(lbd, lbd->running.config);
	return r;
}

/* What a plan is told by. */
struct telling {
	struct plan_summary summary;
	struct judgement judgement;
	struct reverts reverts;
	struct resize resize;
	__u64 from, to; /* generations */
};

static void tell(const struct lb_plan *plan, const struct telling *telling, bool applied, bool dry_run,
		 struct json *json)
{
	if (!json)
		return;
	plan_write(plan, applied, dry_run, telling->from, telling->to, &telling->summary, json);
	judgement_write(&telling->judgement, json);
	resize_write(&telling->resize, json);
}

static void log_change(struct lbd *lbd, const struct change *change, const struct telling *telling,
		       const __u64 times_ms[4])
{
	const struct judgement *judgement = &telling->judgement;
	const struct plan_summary *summary = &telling->summary;
	char cause[RECORD_CAUSE_MAX];

	events_add(&lbd->events, LOG_LEVEL_INFO, change->kind,
		   "cause=\"%s\" generation=%llu from=%llu services_changed=%zu slots_moved=%llu breaks=%s "
		   "nexthops_ms=%llu plan_ms=%llu commit_ms=%llu keys_changed=%zu%s%s%s%s",
		   quotable(change->cause, cause), lb_engine_generation(lbd->engine), telling->from,
		   summary->services, summary->slots_moved, summary->breaks ? "yes" : "no",
		   times_ms[1] - times_ms[0], times_ms[2] - times_ms[1], times_ms[3] - times_ms[2],
		   judgement->n, judgement->n ? " keys=\"" : "", judgement->paths, judgement->n ? "\"" : "",
		   change->who ? change->who : "");
}

static int make_planned(struct lbd *lbd, struct desired *next, const struct change *change,
			struct lb_plan *plan, struct telling *telling, __u64 times_ms[4],
			struct json *plan_json, struct lb_error *error)
{
	bool other = is_other(next) || change->starting; /* services and backends may come or go */
	bool patched = next->shares;
	struct change recorded = *change;
	char cause[RECORD_CAUSE_MAX];
	int r;

	plan_summarise(plan, &telling->summary);
	telling->summary.breaks |= telling->judgement.why_breaks[0] != '\0';
	telling->to = telling->from + !lb_plan_is_empty(plan);
	/* Before the change: once it is made it must be told. */
	if (plan_json && !json_reserve(plan_json, plan_bytes(plan) + judgement_bytes(&telling->judgement)))
		return lb_error_set(error, ENOMEM, "out of memory");
	r = approve(change, &telling->judgement, &telling->summary, error);
	if (r < 0 || change->dry_run) {
		tell(plan, telling, false, change->dry_run, plan_json);
		return r;
	}
	if (change->logs_plan)
		change_log_plan(lbd, change->kind, next, plan, &telling->reverts);
	if (change->record == RECORD_CONFIG)
		recorded.cause = judgement_cause(&telling->judgement, change->cause, cause);
	r = resize_make(lbd, next, &telling->resize, error);
	if (r < 0)
		return r;
	r = carry_out(lbd, next, &recorded, plan, error);
	if (r < 0)
		return r;
	times_ms[3] = now_ms();
	if (other || (patched && ++lbd->sources.patches % PATCHES == 0))
		netlink_want(&lbd->netlink, lbd->running.config, lbd->engine, NULL);
	/* Who is not checked, and has no tier, is none of its business. */
	if (other || (patched && lbd->running.config->health.check))
		health_configure(lbd);
	health_heed(lbd);
	/* The ring of a large service alone takes some MiB to make. */
	lbd->trim_s = TRIM_S;
	netlink_keep(&lbd->netlink);
	if (!change->background || !lb_plan_is_empty(plan))
		log_change(lbd, change, telling, times_ms);
	lbd_notify_status(lbd);
	/* Last: packets see the change the sooner. */
	tell(plan, telling, true, false, plan_json);
	return 0;
}

/* What would change, were it not for a hash_seed that cannot: asked for, all else is told. */
static int plan_told(struct lbd *lbd, struct desired *next, const struct change *change,
		     struct lb_plan **ret_plan, struct lb_error *error)
{
	char *seed = next->config->hash_seed, wanted[sizeof(next->config->hash_seed)];
	int r;

	if (!change->dry_run || !judgement_reseeds(lbd, next))
		return change_plan(lbd, next, change, ret_plan, error);
	memcpy(wanted, seed, sizeof(wanted));
	memcpy(seed, lbd->running.config->hash_seed, sizeof(wanted));
	r = change_plan(lbd, next, change, ret_plan, error);
	memcpy(seed, wanted, sizeof(wanted));
	return r;
}

/* With tables of the sizes that it wants. */
static int make_sized(struct lbd *lbd, struct desired *next, const struct change *change,
		      struct telling *telling, __u64 times_ms[4], struct json *plan_json,
		      struct lb_error *error)
{
	_cleanup_(change_plan_freep) struct lb_plan *plan = NULL;
	int r = plan_told(lbd, next, change, &plan, error);

	times_ms[2] = now_ms();
	if (r < 0)
		return r;
	if (change->from_file)
		reverts_make(lbd, next, &telling->reverts);
	r = judgement_make(lbd, next, plan, &telling->reverts, &telling->judgement, error);
	if (r == 0)
		r = make_planned(lbd, next, change, plan, telling, times_ms, plan_json, error);
	judgement_done(&telling->judgement);
	reverts_done(&telling->reverts);
	return r;
}

static int make(struct lbd *lbd, struct desired *next, const struct change *change, struct json *plan_json,
		struct lb_error *error)
{
	bool nexthops = !next->borrowed || change->starting ||
			change_is_wanted(lbd, LB_CAUSE_WAYS); /* looked up anew */
	bool sizes = is_other(next) || change->starting;
	struct telling telling = { .from = lb_engine_generation(lbd->engine) };
	__u64 times_ms[4] = { now_ms() };
	int r = check(lbd, next, change, error);

	if (r == 0)
		r = prepare_nexthops(lbd, next, change, error);
	times_ms[1] = now_ms();
	if (r == 0 && sizes)
		r = resize_begin(lbd, next, change->starting, &telling.resize, error);
	if (r < 0)
		return r;
	r = make_sized(lbd, next, change, &telling, times_ms, plan_json, error);
	resize_end(lbd, &telling.resize);
	/* A start goes on with the tables that there are. */
	if (r < 0 && change->starting && resize_failed(lbd, &telling.resize, error)) {
		telling.resize = (struct resize){};
		r = make_sized(lbd, next, change, &telling, times_ms, plan_json, error);
	}
	if (r == 0 && nexthops && !change->dry_run)
		nexthops_report(lbd);
	return r;
}

int change_make(struct lbd *lbd, struct desired *next, const struct change *change, struct json *plan_json,
		struct lb_error *error)
{
	bool other = is_other(next) && !change->starting;
	/* Verdicts are part of every plan. */
	bool health = lbd->schedule.wanted & LB_CAUSE_HEALTH;
	int r;

	lb_schedule_cover(&lbd->schedule, LB_CAUSE_HEALTH);
	r = make(lbd, next, change, plan_json, error);
	if (health && (r < 0 || change->dry_run))
		change_wanted(lbd, LB_CAUSE_HEALTH);
	if (lbd->running.config)
		nexthops_set_interfaces(lbd, lbd->running.config);
	/* What was not made leaves nothing behind: no neighbour is kept for it. */
	if (other && (r < 0 || change->dry_run))
		netlink_want(&lbd->netlink, lbd->running.config, lbd->engine, NULL);
	else if (other)
		metrics_update(lbd, lbd->running.config->api.metrics);
	return r;
}
