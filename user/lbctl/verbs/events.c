// SPDX-License-Identifier: GPL-2.0-only
/*
 * events: what happened lately, and with --follow what happens. Following outlives a restart of the agent. If
 * the last printed event is gone, so many others were that its answer says how many were missed; or the agent
 * has forgotten all, and counts from the start again.
 */
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

#define FOLLOW_INTERVAL_S 1.0
#define EVENT_INDENT      33 /* columns before the message */

struct following {
	unsigned long long last_id;
	char *last_line; /* that event as JSON: an id alone may come again after a restart */
};

static void print_event(const struct lbctl *c, const cJSON *event)
{
	_cleanup_(freep) char *kind = text_clean(json_text(event, "kind"));
	struct text time = format_time(json_get(event, "time"));

	if (c->json) {
		json_print(event);
		return;
	}
	printf("%s  %-10s  ", time.text, kind);
	print_folded(c, EVENT_INDENT, json_text(event, "message"));
}

static void remember(struct following *f, const cJSON *event)
{
	free(f->last_line);
	f->last_line = json_line(event);
	f->last_id = json_u64(event, "id");
}

/* Prints the events of an answer that are newer than the last one printed. */
static void print_news(const struct lbctl *c, struct following *f, const cJSON *root)
{
	const cJSON *event;

	cJSON_ArrayForEach (event, json_get(root, "events")) {
		if (f->last_line && json_u64(event, "id") <= f->last_id)
			continue;
		print_event(c, event);
		remember(f, event);
	}
	fflush(stdout);
}

static void print_missed(const struct lbctl *c, unsigned long long missed)
{
	_cleanup_(cjson_freep) cJSON *root = NULL;
	cJSON *item;

	if (!c->json) {
		printf("%llu event%s missed: the agent keeps no more\n", missed,
		       missed == 1 ? " was" : "s were");
		return;
	}
	root = cJSON_CreateObject();
	item = root ? cJSON_AddNumberToObject(root, "missed", 0) : NULL;
	if (!item)
		lbctl_memory();
	json_set_u64(item, missed);
	json_print(root);
}

/* How many events after the last printed one are gone from the agent, which is one of those that it has had.
 * 0: none, or that one is not known there. */
static unsigned long long missed(const struct following *f, const cJSON *root)
{
	unsigned long long oldest = json_u64(root, "oldest");

	return !json_bool(root, "ahead") && oldest > f->last_id + 1 ? oldest - f->last_id - 1 : 0;
}

/* Whether the agent still has the last printed event. If not, it has started anew (or forgot: all are newer).
 */
static bool still_there(const struct following *f, const cJSON *root)
{
	const cJSON *event;

	cJSON_ArrayForEach (event, json_get(root, "events")) {
		_cleanup_(freep) char *line = NULL;

		if (json_u64(event, "id") != f->last_id)
			continue;
		line = json_line(event);
		return strcmp(line, f->last_line) == 0;
	}
	return false;
}

/* One question. The last printed event is asked for again, to see that it is still there. */
static int ask(struct lbctl *c, struct following *f, cJSON **ret_error)
{
	_cleanup_(freep) char *path = lbctl_format("/v1/events?since=%llu", f->last_id ? f->last_id - 1 : 0);
	struct request request = { .method = "GET", .path = path, .key = "events" };
	_cleanup_(reply_done) struct reply reply = { 0 };

	if (agent_try(c, &request, &reply, ret_error) < 0)
		return -1;
	if (f->last_line && missed(f, reply.root)) {
		print_missed(c, missed(f, reply.root));
		print_news(c, f, reply.root);
		return 0;
	}
	if (f->last_line && json_u64(reply.root, "oldest") != f->last_id + 1 && !still_there(f, reply.root)) {
		free(f->last_line);
		*f = (struct following){ 0 }; /* from the start, the next time */
		return 0;
	}
	print_news(c, f, reply.root);
	return 0;
}

static int follow(struct lbctl *c, struct following *f)
{
	unsigned long long next_ns = 0;
	bool lost = false;

	while (!ferror(stdout)) {
		_cleanup_(cjson_freep) cJSON *error = NULL;

		if (!lbctl_pace(FOLLOW_INTERVAL_S, &next_ns))
			break;
		if (ask(c, f, &error) == 0) {
			lost = false;
			continue;
		}
		if (!lost)
			lbctl_warn("%s; waiting for it", json_text(error, "message"));
		lost = true;
	}
	return EXIT_FAILED;
}

int verb_events(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	struct following f = { 0 };
	int r = agent_get(c, "/v1/events", "events", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json && !option_given(c, OPTION_FOLLOW))
		reply_print(&reply);
	else
		print_news(c, &f, reply.root);
	if (option_given(c, OPTION_FOLLOW))
		r = follow(c, &f);
	free(f.last_line);
	return r;
}
