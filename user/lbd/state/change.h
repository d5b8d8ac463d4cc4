/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes: the one way from something that is wanted to tables that packets see. Plan, record, commit.
 */
#pragma once

#include "lbd/lbd.h"
#include "lbd/state/configured.h"

struct json;

struct change {
	const char *cause;       /* for the record and the events: "apply", "rollback to 12", ... */
	const char *kind;        /* of the event: static */
	const char *who;         /* of the event: " uid=0 pid=7"; NULL: the agent itself */
	enum record_kind record; /* whose budget of the history it is of */
	__u64 rollback_to;       /* generation that it goes back to; 0: it does not */
	bool dry_run;
	bool allow_ring_resize;
	bool judged; /* what breaks connections wants allow_break */
	bool allow_break;
	const char *expect_plan; /* identity of the plan that was approved; NULL: none was */
	bool from_file;          /* what it takes back is told */
	bool logs_plan;          /* nobody has looked at it */
	bool background;         /* nobody waits for it: nor does it; interfaces stay as they are */
	bool starting;           /* interfaces may be missing, attachment is the caller's */
};

/*
 * Makes next the running state: checks it against the host, plans, records the generation, commits. On
 * success next is consumed (emptied) unless dry_run; on failure nothing changed and next is the caller's.
 * plan (may be NULL) gets the members of the answer's plan object; also with -ECANCELED: the word is missing,
 * or the plan is not the one that was expected.
 */
int change_make(struct lbd *lbd, struct desired *next, const struct change *change, struct json *plan,
		struct lb_error *error);

/* Notes what the newest record is. */
void lbd_recorded(struct lbd *lbd, const struct record *record);

void desired_done(struct desired *desired);

/* lb_config_parse(), beside the loop. */
int config_parse(const char *text, size_t length, struct lb_config **ret_config, struct lb_error *error);

/* A configuration from text (copied) with the running overrides that still fit. */
int desired_from_text(const struct lbd *lbd, const char *text, size_t length, struct desired *ret_desired,
		      struct lb_error *error);

/* The text of the configuration that runs, from the store; written anew if it is gone from there. The caller
 * frees *ret_text. 0, -ENOMEM, -EIO. */
int running_text(const struct lbd *lbd, char **ret_text, size_t *ret_length, struct lb_error *error);

/* What the configuration wants becomes what is to run: with the services of its sources. 0 or -ENOMEM. */
int desired_merge_sources(const struct lbd *lbd, struct desired *desired, struct lb_error *error);

/* What runs, with what its sources want now; of what has only changed within services at a cost of that. 0 or
 * -ENOMEM. */
int desired_from_sources(struct lbd *lbd, struct desired *ret_desired, struct lb_error *error);

/* The configuration without what sources brought. */
const struct lb_config *desired_file(const struct desired *desired);

/* A copy of what runs, to be changed. */
int desired_copy(const struct desired *from, struct desired *ret_desired, struct lb_error *error);

/* Something changed that a plan is made of (LB_CAUSE_*): one comes soon, or in a while, for all that has
 * changed by then. */
void change_wanted(struct lbd *lbd, unsigned int causes);
void change_wanted_later(struct lbd *lbd, unsigned int causes, __u64 delay_ms);

/* Whether one is wanted for any of these, or being made. */
bool change_is_wanted(const struct lbd *lbd, unsigned int causes);
