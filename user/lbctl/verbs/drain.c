// SPDX-License-Identifier: GPL-2.0-only
/*
 * backend drain, drain: take a backend, or a host in every service that has it, out of use without breaking a
 * connection, and see it end.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "lbctl/backends.h"
#include "lbctl/format.h"
#include "lbctl/plan.h"

/* Whom to wait for. */
struct wait {
	const char *path;    /* that tells of them */
	const char *backend; /* by name, or NULL: */
	const char *address; /* by address */
	const char *who;     /* for people */
	double begin_s;
	bool seen;
};

static double clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_meant(const struct wait *wait, const cJSON *backend)
{
	return wait->backend ? strcmp(json_text(backend, "name"), wait->backend) == 0
			     : strcmp(json_text(backend, "address"), wait->address) == 0;
}

/* What of all that are meant is left; the sums of what is told of each. */
struct left {
	unsigned int meant, waited_for, given_up; /* backends: given up by somebody else's word */
	unsigned long long slots, flows;
	bool packets;         /* there were some */
	double last_packet_s; /* ago */
};

static void add_left(struct left *left, const cJSON *backend)
{
	const cJSON *draining = json_get(backend, "draining"), *last;

	left->meant++;
	if (!cJSON_IsObject(draining)) {
		left->given_up++;
		return;
	}
	if (json_bool(draining, "drained"))
		return;
	left->waited_for++;
	left->slots += json_u64(backend, "slots_base") + json_u64(backend, "slots");
	left->flows += json_u64(backend, "entries");
	last = json_get(draining, "last_packet_s");
	if (cJSON_IsNumber(last) && (!left->packets || last->valuedouble < left->last_packet_s)) {
		left->packets = true;
		left->last_packet_s = last->valuedouble;
	}
}

/* "341 slots and 12 flows are left, the last packet was 3 s ago"; malloc'd. */
static char *left_text(const struct left *left)
{
	_cleanup_(freep) char *last = left->packets ? lbctl_format(", the last packet was %s ago",
								   format_duration(left->last_packet_s).text)
						    : lbctl_format(", no packet was seen");

	return lbctl_format("%llu slots and %llu flows are left%s", left->slots, left->flows, last);
}

static void show_progress(const struct lbctl *c, const struct wait *wait, const struct left *left)
{
	_cleanup_(freep) char *text = NULL;

	if (c->json || !isatty(STDERR_FILENO))
		return;
	text = left_text(left);
	fprintf(stderr, "\r\033[K%s: %s", wait->who, text);
	fflush(stderr);
}

static void clear_progress(const struct lbctl *c)
{
	if (!c->json && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* One look. EXIT_DONE with *ret_left, and the answer in *reply. */
static int look(struct lbctl *c, struct wait *wait, struct reply *reply, struct left *ret_left)
{
	const cJSON *backend;
	int r;

	*ret_left = (struct left){ 0 };
	reply_done(reply);
	r = agent_get(c, wait->path, "backends", reply);
	if (r != EXIT_DONE)
		return r;
	cJSON_ArrayForEach (backend, json_get(reply->root, "backends")) {
		if (is_meant(wait, backend))
			add_left(ret_left, backend);
	}
	wait->seen |= ret_left->meant > 0;
	return EXIT_DONE;
}

/* The backends that are meant, as JSON. */
static void print_meant(const struct wait *wait, cJSON *root)
{
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, "backends");
	const cJSON *backend;

	cJSON_ArrayForEach (backend, json_get(root, "backends")) {
		if (is_meant(wait, backend))
			cJSON_AddItemToArray(list, cJSON_Duplicate(backend, true));
	}
	cJSON_AddBoolToObject(out, "drained", true);
	json_print(out);
	cJSON_Delete(out);
}

static int say_drained(const struct lbctl *c, const struct wait *wait, const struct reply *reply)
{
	if (c->json)
		print_meant(wait, reply->root);
	else
		printf("%s has drained, after %s: no slot and no flow is left\n", wait->who,
		       format_duration(clock_s() - wait->begin_s).text);
	return EXIT_DONE;
}

/* Waits until all that are meant have drained. limit_s: 0: for as long as it takes. */
static int wait_for_end(struct lbctl *c, struct wait *wait, double limit_s)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	unsigned long long next_ns = 0;
	struct left left;

	wait->begin_s = clock_s();
	for (;;) {
		int r = look(c, wait, &reply, &left);

		if (r != EXIT_DONE || !left.waited_for)
			clear_progress(c);
		if (r != EXIT_DONE)
			return r;
		if (left.given_up)
			return lbctl_fail(c, "%s is no longer draining: somebody said otherwise", wait->who);
		if (!left.meant && !wait->seen)
			return lbctl_fail(c, "%s is not there any more", wait->who);
		if (!left.waited_for)
			return say_drained(c, wait, &reply);
		if (limit_s > 0 && clock_s() - wait->begin_s >= limit_s) {
			_cleanup_(freep) char *text = left_text(&left);

			clear_progress(c);
			return lbctl_fail(c, "%s has not drained within %s: %s", wait->who,
					  format_duration(limit_s).text, text);
		}
		show_progress(c, wait, &left);
		lbctl_pace(1, &next_ns);
	}
}

/* --timeout bounds the wait, not the answers. */
static bool wait_limit(struct lbctl *c, double *ret_limit_s)
{
	*ret_limit_s = 0;
	if (!option_given(c, OPTION_WAIT))
		return true;
	if (!option_seconds(c, OPTION_TIMEOUT, 0.1, ret_limit_s))
		return false;
	c->timeout_s = LBCTL_TIMEOUT_DEFAULT;
	return true;
}

/* Says the word under a path, and waits if that was asked for. undo: takes it back. */
static int drain(struct lbctl *c, struct wait *wait, const char *path, bool undo)
{
	bool dry_run = option_given(c, OPTION_DRY_RUN), waits = option_given(c, OPTION_WAIT) && !dry_run;
	_cleanup_(freep) char *body = NULL;
	struct request request = { .method = "PATCH", .path = path, .key = "services" };
	double limit_s;
	int r;

	if (!wait_limit(c, &limit_s))
		return EXIT_WRONG_USAGE;
	body = backend_state_body(c, undo ? NULL : "drain");
	if (!body)
		return EXIT_WRONG_USAGE;
	request.body = body;
	request.length = strlen(body);
	/* The wait will say more. */
	r = plan_run(c, &request, waits ? "" : "done", lbctl_fail_with);
	return r == EXIT_DONE && waits ? wait_for_end(c, wait, limit_s) : r;
}

int verb_backend_drain(struct lbctl *c)
{
	_cleanup_(freep) char *service = agent_escape(c->argument[0]),
			      *backend = agent_escape(c->argument[1]);
	_cleanup_(freep) char *who = lbctl_format("%s/%s", c->argument[0], c->argument[1]);
	_cleanup_(freep) char *path = lbctl_format("/v1/services/%s/backends/%s", service, backend);
	_cleanup_(freep) char *look_path = lbctl_format("/v1/services/%s", service);
	struct wait wait = { .path = look_path, .backend = c->argument[1], .who = who };

	return drain(c, &wait, path, false);
}

int verb_drain(struct lbctl *c)
{
	char text[LB_ADDRESS_TEXT_MAX];
	_cleanup_(freep) char *escaped = NULL, *path = NULL;
	struct wait wait = { .path = "/v1/backends", .address = text, .who = text };
	struct lb_address address;
	bool undo = option_given(c, OPTION_UNDO);

	if (lb_address_parse(c->argument[0], &address) < 0)
		return lbctl_usage(c, "'%s' is no IPv4 or IPv6 address", c->argument[0]);
	if (undo && option_given(c, OPTION_WAIT))
		return lbctl_usage(c, "there is nothing to wait for with --undo");
	lb_address_text(&address, text);
	escaped = agent_escape(text);
	path = lbctl_format("/v1/hosts/%s", escaped);
	return drain(c, &wait, path, undo);
}
