// SPDX-License-Identifier: GPL-2.0-only
/*
 * service add|set|del, backend add|set|del: edits of the running configuration, key by key; with --save also
 * of the configuration file, by the agent. reload: the file as it is becomes what runs.
 */
#include <string.h>

#include "config/config.h"
#include "config/config_edit.h"
#include "lbctl/edit.h"
#include "lbctl/plan.h"

/* "weight=50" into the object. False after saying what is wrong. */
static bool add_member(const struct lbctl *c, bool of_backend, const char *word, cJSON *members)
{
	const char *equals = strchr(word, '=');
	_cleanup_(freep) char *key = equals ? strndup(word, (size_t)(equals - word)) : NULL;
	struct lb_error error = { 0 };
	cJSON *value;

	if (!equals || equals == word) {
		lbctl_usage(c, "'%s' is not KEY=VALUE, as in weight=50", word);
		return false;
	}
	if (!key)
		lbctl_memory();
	value = lb_config_typed(of_backend, key, equals + 1, &error);
	if (!value) {
		lbctl_usage(c, "%s", error.text);
		return false;
	}
	if (cJSON_GetObjectItemCaseSensitive(members, key)) {
		cJSON_Delete(value);
		lbctl_usage(c, "%s is given twice", key);
		return false;
	}
	cJSON_AddItemToObject(members, key, value);
	return true;
}

/* The body, from the arguments behind the names; NULL after saying what is wrong. Malloc'd. */
static char *make_body(const struct lbctl *c, unsigned int names)
{
	cJSON *members = cJSON_CreateObject();
	bool good = true;
	char *body;

	for (size_t i = names; good && i < c->n_arguments; i++)
		good = add_member(c, names == 2, c->argument[i], members);
	if (good && option_given(c, OPTION_WEIGHT)) {
		_cleanup_(freep) char *word = lbctl_format("weight=%s", c->option[OPTION_WEIGHT]);

		good = add_member(c, true, word, members);
	}
	if (good && option_given(c, OPTION_STATE)) {
		_cleanup_(freep) char *word = lbctl_format("state=%s", c->option[OPTION_STATE]);

		good = add_member(c, true, word, members);
	}
	body = good ? cJSON_PrintUnformatted(members) : NULL;
	cJSON_Delete(members);
	return body;
}

/* names: 1: a service, 2: a backend. how: parameter of the query, or NULL for DELETE. */
static int edit(struct lbctl *c, unsigned int names, const char *how, const char *done)
{
	_cleanup_(freep) char *service = agent_escape(c->argument[0]),
			      *backend = names == 2 ? agent_escape(c->argument[1]) : NULL;
	_cleanup_(freep) char *path = NULL, *body = how ? make_body(c, names) : NULL;
	struct request request = { .method = how ? "PUT" : "DELETE", .body = body, .key = "services" };

	if (how && !body)
		return EXIT_WRONG_USAGE;
	path = lbctl_format("/v1/services/%s%s%s?save=%d%s%s", service, backend ? "/backends/" : "",
			    backend ? backend : "", option_given(c, OPTION_SAVE), how ? "&" : "",
			    how ? how : "");
	request.path = path;
	request.length = body ? strlen(body) : 0;
	return plan_run(c, &request, done, lbctl_fail_with);
}

int verb_service_add(struct lbctl *c)
{
	return edit(c, 1, "add=1", "added");
}

int verb_service_set(struct lbctl *c)
{
	return edit(c, 1, "merge=1", "set");
}

int verb_service_del(struct lbctl *c)
{
	return edit(c, 1, NULL, "deleted");
}

int verb_backend_add(struct lbctl *c)
{
	return edit(c, 2, "add=1", "added");
}

int verb_backend_del(struct lbctl *c)
{
	return edit(c, 2, NULL, "deleted");
}

bool edits_configuration(const struct lbctl *c)
{
	return c->n_arguments > 2 || option_given(c, OPTION_SAVE);
}

int edit_backend(struct lbctl *c)
{
	if (option_given(c, OPTION_RESET))
		return lbctl_usage(c, "--reset takes back what was set by hand: it goes with no key and not "
				      "with --save");
	if (c->n_arguments == 2 && !option_given(c, OPTION_WEIGHT) && !option_given(c, OPTION_STATE))
		return lbctl_usage(c, "set what? KEY=VALUE, as in weight=50");
	return edit(c, 2, "merge=1", "set");
}

int verb_reload(struct lbctl *c)
{
	struct request request = { .method = "POST", .key = "services" };

	request.path =
		option_given(c, OPTION_ALLOW_RING_RESIZE) ? "/v1/reload?allow_ring_resize=1" : "/v1/reload";
	return plan_run(c, &request, "reloaded", lbctl_fail_with);
}
