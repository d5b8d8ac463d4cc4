// SPDX-License-Identifier: GPL-2.0-only
/* reload: the agent reads its configuration file again; a bad one is an error, and changes nothing. */
#include "lbctl/plan.h"

int verb_reload(struct lbctl *c)
{
	struct request request = { .method = "POST", .path = "/v1/reload", .key = "services" };
	_cleanup_(reply_done) struct reply reply = { 0 };
	int r = agent_ask(c, &request, &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	plan_print(c, reply.root);
	plan_print_end(c, reply.root, "reloaded");
	return EXIT_DONE;
}
