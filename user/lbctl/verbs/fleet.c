// SPDX-License-Identifier: GPL-2.0-only
/* leave and join: take this balancer out of its fleet, and bring it back. */
#include <string.h>
#include <time.h>

#include "lbctl/agent.h"
#include "lbctl/format.h"

#define WAIT_DEFAULT_S 3600
#define POLL_MS        500

static const char *fleet_of(const struct reply *reply)
{
	return json_text(json_get(reply->root, "announce"), "fleet");
}

static void print_state(const struct lbctl *c, const struct reply *reply)
{
	const cJSON *vip;

	if (c->json) {
		reply_print(reply);
		return;
	}
	printf("this balancer: %s\n", fleet_of(reply));
	cJSON_ArrayForEach (vip, json_get(json_get(reply->root, "announce"), "vips"))
		printf("  %s: %s (%s)\n", json_text(vip, "vip"), json_text(vip, "state"),
		       json_text(vip, "why"));
}

/* What another balancer would not know: flows of slots that a change has unsettled. */
static int print_at_stake(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	int r = agent_get(c, "/v1/services", "services", &reply);
	const cJSON *service;
	bool any = false;

	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return r;
	}
	cJSON_ArrayForEach (service, json_get(reply.root, "services")) {
		unsigned long long slots = json_u64(service, "unsettled_slots");

		if (!slots)
			continue;
		any = true;
		printf("  %s: %llu of %llu slots are unsettled; of %llu remembered connections those would "
		       "break "
		       "that another balancer takes over now\n",
		       json_text(service, "name"), slots, json_u64(service, "ring_size"),
		       json_u64(service, "entries"));
	}
	if (!any)
		printf("  all slots are settled: no connection would break on a balancer of the same "
		       "configuration\n");
	return r;
}

static int ask(struct lbctl *c, const char *path)
{
	const struct request request = { .method = "POST", .path = path, .key = "announce" };
	_cleanup_(reply_done) struct reply reply = { 0 };
	int r = agent_ask(c, &request, &reply);

	if (r == EXIT_DONE)
		print_state(c, &reply);
	return r;
}

/* Until it has left. The status tells; a second of delay does no harm here. */
static int wait_until_left(struct lbctl *c, unsigned long long limit_s)
{
	static const struct timespec pause = { .tv_nsec = POLL_MS * 1000000l };
	unsigned long long polls = limit_s * 1000 / POLL_MS;

	for (unsigned long long i = 0; i <= polls; i++) {
		_cleanup_(reply_done) struct reply reply = { 0 };
		int r = agent_get(c, "/v1/status", "announce", &reply);

		if (r != EXIT_DONE)
			return r;
		if (strcmp(fleet_of(&reply), "left") == 0) {
			if (!c->json)
				print_state(c, &reply);
			return EXIT_DONE;
		}
		if (strcmp(fleet_of(&reply), "joined") == 0)
			return lbctl_fail(c, "it has been told to join meanwhile");
		nanosleep(&pause, NULL);
	}
	if (!c->json)
		print_at_stake(c);
	return lbctl_fail(c, "it has not left within %llu s; it goes on: see lbctl status", limit_s);
}

int verb_leave(struct lbctl *c)
{
	unsigned long long limit_s = WAIT_DEFAULT_S;
	int r;

	if (!option_number(c, OPTION_SECONDS, 1, 86400, &limit_s))
		return EXIT_WRONG_USAGE;
	if (option_given(c, OPTION_DRY_RUN))
		return print_at_stake(c);
	r = ask(c, "/v1/leave");
	return r == EXIT_DONE && option_given(c, OPTION_WAIT) ? wait_until_left(c, limit_s) : r;
}

int verb_join(struct lbctl *c)
{
	return ask(c, "/v1/join");
}
