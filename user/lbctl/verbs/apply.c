// SPDX-License-Identifier: GPL-2.0-only
/* apply and diff: a configuration goes to the agent as it is; the agent judges it and makes the plan. */
#include <string.h>

#include "lbctl/input.h"
#include "lbctl/plan.h"

/*
 * Says what the agent found wrong with the text, which it got without a name. For people, the same is looked
 * up in the file when it can be, for its line and column.
 */
static int fail_about(const struct lbctl *c, cJSON *error)
{
	bool standard = strcmp(c->option[OPTION_FILE], "-") == 0;
	_cleanup_(lb_config_freep) struct lb_config *config = NULL;
	struct lb_error found = { 0 };

	if (!json_get(error, "path"))
		return lbctl_fail_with(c, error);
	if (!c->json && !standard && lb_config_load(c->option[OPTION_FILE], &config, &found) < 0 &&
	    strcmp(found.path, json_text(error, "path")) == 0) {
		cJSON_Delete(error);
		return lbctl_fail_with(c, input_error(&found, c->option[OPTION_FILE]));
	}
	if (!json_get(error, "file"))
		cJSON_AddStringToObject(error, "file", standard ? "standard input" : c->option[OPTION_FILE]);
	return lbctl_fail_with(c, error);
}

static int read_file(struct lbctl *c, char **ret_text, size_t *ret_length)
{
	if (!option_given(c, OPTION_FILE))
		return lbctl_usage(c, "%s needs -f FILE", c->verb->name);
	return input_read(c, c->option[OPTION_FILE], ret_text, ret_length);
}

int verb_apply(struct lbctl *c)
{
	_cleanup_(freep) char *text = NULL;
	struct request request = { .method = "POST", .key = "services" };
	int r;

	request.path =
		option_given(c, OPTION_ALLOW_RING_RESIZE) ? "/v1/apply?allow_ring_resize=1" : "/v1/apply";
	r = read_file(c, &text, &request.length);
	if (r != EXIT_DONE)
		return r;
	request.body = text;
	return plan_run(c, &request, "applied", fail_about);
}

int verb_diff(struct lbctl *c)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(reply_done) struct reply reply = { 0 };
	struct request request = { .method = "POST", .path = "/v1/diff", .key = "services" };
	cJSON *error = NULL;
	int r = read_file(c, &text, &request.length);

	if (r != EXIT_DONE)
		return r;
	request.body = text;
	if (agent_try(c, &request, &reply, &error) < 0)
		return fail_about(c, error);
	if (c->json) {
		reply_print(&reply);
	} else {
		plan_print(c, reply.root);
		plan_print_end(c, reply.root, "");
	}
	return plan_differs(reply.root) ? EXIT_DIFFERS : EXIT_DONE;
}
