// SPDX-License-Identifier: GPL-2.0-only
/*
 * The comparison of what runs with the file as it is now. Texts that are the same need none, and what was
 * compared is not compared again.
 */
#include "lbd/state/drift.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "config/config_diff.h"
#include "lbd/lbd.h"
#include "lbd/state/change.h"
#include "lbd/state/change_judge.h"
#include "lbd/state/config_file.h"

static void forget(struct lbd_drift *drift)
{
	json_done(&drift->changes);
	drift->changes = (struct json){};
	drift->n = 0;
	drift->text[0] = drift->error[0] = '\0';
}

/* "services[web].idle_timeout_s is 60 and 900 in the file" */
static void say(struct lbd_drift *drift, const struct lb_difference *difference)
{
	size_t at = strlen(drift->text), room = sizeof(drift->text) - at;
	const char *comma = at ? ", " : "";
	int n;

	if (difference->kind == LB_DIFFERENCE_VALUE)
		n = snprintf(drift->text + at, room, "%s%s (%.40s, in the file %.40s)", comma,
			     difference->path, difference->from, difference->to);
	else
		n = snprintf(drift->text + at, room, "%s%s (%s)", comma, difference->path,
			     difference->kind == LB_DIFFERENCE_ADDED ? "only in the file"
								     : "not in the file");
	if (n < 0 || (size_t)n >= room)
		drift->text[at] = '\0';
}

/* From what runs to what the file would make run. */
static int on_difference(void *context, const struct lb_difference *difference)
{
	struct lbd_drift *drift = context;

	if (drift->n++ >= DRIFT_TOLD_MAX)
		return 0;
	judgement_write_difference(difference, &drift->changes);
	json_object_end(&drift->changes);
	say(drift, difference);
	return 0;
}

/* Beside the loop: what is found goes to a drift of its own. */
struct comparing {
	const struct lbd *lbd;
	struct lbd_drift found;
	int r;
	struct lb_error *error;
};

static int compare(const struct lbd *lbd, struct lbd_drift *drift, struct lb_error *error)
{
	_cleanup_(lb_config_freep) struct lb_config *file = NULL;
	_cleanup_(freep) char *text = NULL;
	char digest[STORE_DIGEST];
	size_t length;
	int r = config_file_read(lbd->options.config_file, &text, &length, error);

	if (r < 0)
		return r;
	store_digest(text, length, digest);
	if (strcmp(digest, lbd->running.digest) == 0)
		return 0;
	r = lb_config_parse_file(lbd->options.config_file, text, length, &file, error);
	if (r < 0)
		return r;
	r = lb_config_diff(desired_file(&lbd->running), file, on_difference, drift);
	return r < 0 || drift->changes.failed ? lb_error_set(error, ENOMEM, "out of memory") : 0;
}

static void compare_beside(void *context)
{
	struct comparing *comparing = context;

	comparing->r = compare(comparing->lbd, &comparing->found, comparing->error);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Once for as long as it lasts. */
static void tell(struct lbd *lbd, bool before)
{
	struct lbd_drift *drift = &lbd->drift;

	if (drift->error[0])
		events_told(&lbd->events, LOG_LEVEL_WARNING, "drift", "text", drift->error);
	if (drift->n && !before)
		events_add(&lbd->events, LOG_LEVEL_NOTICE, "drift", "file=%s keys=%zu what=\"%s\"",
			   lbd->options.config_file, drift->n, drift->text);
	else if (!drift->n && before && !drift->error[0])
		events_add(&lbd->events, LOG_LEVEL_INFO, "drift", "file=%s keys=0", lbd->options.config_file);
}

void drift_look(struct lbd *lbd)
{
	struct lbd_drift *drift = &lbd->drift;
	struct comparing comparing;
	struct lb_error error = {};
	struct stat file = {};
	bool before = drift->n > 0;

	/* One that is not there has no size and no time either. */
	if (stat(lbd->options.config_file, &file) < 0)
		memset(&file, 0, sizeof(file));
	if (drift->looked && same_file(&file, &drift->file) &&
	    strcmp(drift->running, lbd->running.digest) == 0)
		return;
	drift->file = file;
	memcpy(drift->running, lbd->running.digest, sizeof(drift->running));
	drift->looked = true;
	comparing = (struct comparing){ .lbd = lbd, .error = &error };
	task_beside(compare_beside, &comparing);
	forget(drift);
	if (comparing.r == 0) {
		drift->changes = comparing.found.changes;
		drift->n = comparing.found.n;
		memcpy(drift->text, comparing.found.text, sizeof(drift->text));
	} else {
		forget(&comparing.found);
		snprintf(drift->error, sizeof(drift->error), "%s%s%s", error.text,
			 error.path[0] ? " at " : "", error.path);
	}
	if (!drift->n && !drift->error[0])
		drift->since_s = 0;
	else if (!drift->since_s)
		drift->since_s = time(NULL);
	tell(lbd, before);
}

void drift_done(struct lbd *lbd)
{
	forget(&lbd->drift);
}

void drift_write(const struct lbd *lbd, struct json *json)
{
	const struct lbd_drift *drift = &lbd->drift;
	const struct timespec since = { .tv_sec = drift->since_s };

	if (!drift->since_s) {
		json_null(json, "drift");
		return;
	}
	json_object(json, "drift");
	json_time(json, "since", &since);
	json_string(json, "error", drift->error[0] ? drift->error : NULL);
	json_u64(json, "changes_total", drift->n);
	json_array(json, "changes");
	if (drift->changes.length)
		json_raw(json, NULL, drift->changes.text, drift->changes.length);
	json_array_end(json);
	json_object_end(json);
}

void drift_warn(const struct lbd *lbd, struct json *json)
{
	const struct lbd_drift *drift = &lbd->drift;
	const char *path = lbd->options.config_file;

	if (drift->error[0] && !lbd->degraded)
		json_format(json, NULL, "the configuration file cannot be loaded: %s", drift->error);
	if (drift->n)
		json_format(json, NULL,
			    "running differs from %s in %zu key%s: %s%s; lbctl reload makes the file run",
			    path, drift->n, drift->n == 1 ? "" : "s", drift->text,
			    drift->n > DRIFT_TOLD_MAX ? ", ..." : "");
}

size_t drift_keys(const struct lbd *lbd)
{
	return lbd->drift.n;
}
