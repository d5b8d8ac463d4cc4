// SPDX-License-Identifier: GPL-2.0-only
/* backend list, backend set: what the agent knows of backends, and the operator's word over the
 * configuration. */
#include <string.h>

#include "lbctl/backends.h"
#include "config/config.h"
#include "lbctl/format.h"
#include "lbctl/plan.h"
#include "lbctl/table.h"

/* The state, with a star when an operator has overruled the configuration. Returns whether. */
static bool state_cell(struct table *table, const cJSON *backend)
{
	const cJSON *configured = json_get(backend, "configured");
	bool overruled =
		configured && (strcmp(json_text(configured, "state"), json_text(backend, "state")) != 0 ||
			       json_u64(configured, "weight") != json_u64(backend, "weight"));

	if (json_bool(backend, "leaving"))
		overruled = false;
	table_cell(table, "%s%s", json_bool(backend, "leaving") ? "leaving" : json_text(backend, "state"),
		   overruled ? "*" : "");
	return overruled;
}

/* Two cells: how it leaves, and to which MAC; or why it cannot. */
static void nexthop_cells(struct table *table, const cJSON *nexthop)
{
	bool resolved = json_bool(nexthop, "resolved");

	if (!nexthop)
		table_cell(table, "-");
	else if (!resolved)
		table_cell(table, "UNRESOLVED");
	else
		table_cell(table, "%s %s", json_text(nexthop, "action"), json_text(nexthop, "interface"));
	table_cell(table, "%s", json_text(nexthop, resolved ? "mac" : "why"));
}

static bool backend_row(struct table *table, const cJSON *backend, bool service)
{
	bool overruled;

	if (service)
		table_cell(table, "%s", json_text(backend, "service"));
	table_cell(table, "%s", json_text(backend, "name"));
	table_cell(table, "%s", json_text(backend, "address"));
	overruled = state_cell(table, backend);
	table_cell(table, "%llu", json_u64(backend, "weight"));
	table_cell(table, "%.1f %%", json_double(backend, "share") * 100);
	table_cell(table, "%s", format_count(json_double(backend, "entries")).text);
	table_cell(table, "%s", format_count(json_double(backend, "packets")).text);
	table_cell(table, "%s", format_bytes(json_double(backend, "bytes")).text);
	table_cell(table, "%s", format_count(json_double(backend, "syns")).text);
	nexthop_cells(table, json_get(backend, "nexthop"));
	return overruled;
}

void backends_print(const struct lbctl *c, const cJSON *backends, bool service)
{
	static const struct column columns[] = {
		{ "SERVICE", 0 },
		{ "BACKEND", 0 },
		{ "ADDRESS", 0 },
		{ "STATE", 0 },
		{ "WEIGHT", COLUMN_RIGHT },
		{ "SLOTS", COLUMN_RIGHT },
		{ "ENTRIES", COLUMN_RIGHT | COLUMN_FILLED | COLUMN_OPTIONAL },
		{ "PACKETS", COLUMN_RIGHT },
		{ "BYTES", COLUMN_RIGHT | COLUMN_OPTIONAL },
		{ "SYNS", COLUMN_RIGHT | COLUMN_OPTIONAL },
		{ "NEXT HOP", 0 },
		{ "MAC", COLUMN_OPTIONAL | COLUMN_FILLED },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns + !service, 0);
	bool overruled = false;
	const cJSON *backend;

	cJSON_ArrayForEach (backend, backends)
		overruled |= backend_row(table, backend, service);
	if (!table_rows(table))
		puts("no backends");
	table_print(table, c);
	if (overruled)
		print_folded(c, 2, "* set by hand; undo: lbctl backend set SERVICE BACKEND --reset");
}

/* The backends of one service in the shape of all of them. */
static void print_json(cJSON *service)
{
	cJSON *root = cJSON_CreateObject(),
	      *list = cJSON_DetachItemFromObjectCaseSensitive(service, "backends");
	cJSON *backend;

	cJSON_ArrayForEach (backend, list) {
		if (cJSON_IsObject(backend) && !json_get(backend, "service"))
			cJSON_AddStringToObject(backend, "service", json_text(service, "name"));
	}
	cJSON_AddItemToObject(root, "backends", list);
	json_print(root);
	cJSON_Delete(root);
}

int verb_backend_list(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *name = NULL, *path = NULL;
	int r;

	if (c->n_arguments) {
		name = agent_escape(c->argument[0]);
		path = lbctl_format("/v1/services/%s", name);
	}
	r = agent_get(c, path ? path : "/v1/backends", "backends", &reply);
	if (r != EXIT_DONE)
		return r;
	if (!c->json)
		backends_print(c, json_get(reply.root, "backends"), !path);
	else if (path)
		print_json(reply.root);
	else
		reply_print(&reply);
	return EXIT_DONE;
}

/* The body of the PATCH; NULL after saying what is wrong. */
static char *make_body(const struct lbctl *c)
{
	static const char *const states[] = { "active", "drain", "down", NULL };
	_cleanup_(freep) char *weight = NULL, *state = NULL;
	bool reset = option_given(c, OPTION_RESET);
	unsigned long long n = 0;
	enum lb_state value;
	char hint[128];

	if (!option_given(c, OPTION_WEIGHT) && !option_given(c, OPTION_STATE) && !reset) {
		lbctl_usage(c, "set what? --weight N, --state STATE or --reset");
		return NULL;
	}
	if (!option_number(c, OPTION_WEIGHT, 0, 65535, &n))
		return NULL;
	if (option_given(c, OPTION_STATE) && lb_state_parse(c->option[OPTION_STATE], &value) < 0) {
		lbctl_usage(c, "--state is active, drain or down, not '%s'%s", c->option[OPTION_STATE],
			    lbctl_did_you_mean(c->option[OPTION_STATE], states, "", hint));
		return NULL;
	}
	if (option_given(c, OPTION_WEIGHT))
		weight = lbctl_format("\"weight\":%llu", n);
	else if (reset)
		weight = lbctl_format("\"weight\":null");
	if (option_given(c, OPTION_STATE))
		state = lbctl_format("\"state\":\"%s\"", lb_state_name(value));
	else if (reset)
		state = lbctl_format("\"state\":null");
	return lbctl_format("{%s%s%s}", weight ? weight : "", weight && state ? "," : "", state ? state : "");
}

int verb_backend_set(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *body = make_body(c), *service = NULL, *backend = NULL, *path = NULL;
	struct request request = { .method = "PATCH", .body = body, .key = "services" };
	int r;

	if (!body)
		return EXIT_WRONG_USAGE;
	service = agent_escape(c->argument[0]);
	backend = agent_escape(c->argument[1]);
	path = lbctl_format("/v1/services/%s/backends/%s%s", service, backend,
			    option_given(c, OPTION_DRY_RUN) ? "?dry_run=1" : "");
	request.path = path;
	request.length = strlen(body);
	r = agent_ask(c, &request, &reply);
	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	plan_print(c, reply.root);
	plan_print_end(c, reply.root, "done");
	return EXIT_DONE;
}
