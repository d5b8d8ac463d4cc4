// SPDX-License-Identifier: GPL-2.0-only
/* config prints the running configuration; validate checks one without an agent. */
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/input.h"

int verb_config(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	int r = agent_get(c, "/v1/config", NULL, &reply);

	if (r == EXIT_DONE)
		reply_print(&reply);
	return r;
}

int verb_validate(struct lbctl *c)
{
	_cleanup_(lb_config_freep) struct lb_config *config = NULL;
	_cleanup_(freep) char *text = NULL;
	const char *path = c->argument[0];
	struct lb_error error = { 0 };
	size_t n_backends = 0, length;
	int r;

	if (strcmp(path, "-") == 0) {
		r = input_read(c, path, &text, &length);
		if (r != EXIT_DONE)
			return r;
		path = "standard input";
		r = lb_config_parse(text, length, &config, &error);
	} else {
		r = lb_config_load(path, &config, &error);
	}
	if (r < 0)
		return lbctl_fail_with(c, input_error(&error, path));
	for (size_t i = 0; i < config->n_services; i++)
		n_backends += config->services[i].n_backends;
	if (c->json)
		printf("{\"valid\":true,\"interfaces\":%zu,\"services\":%zu,\"backends\":%zu}\n",
		       config->n_interfaces, config->n_services, n_backends);
	else
		printf("%s is valid: %zu interface%s, %zu service%s, %zu backend%s\n", path,
		       config->n_interfaces, config->n_interfaces == 1 ? "" : "s", config->n_services,
		       config->n_services == 1 ? "" : "s", n_backends, n_backends == 1 ? "" : "s");
	return EXIT_DONE;
}
