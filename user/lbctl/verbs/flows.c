// SPDX-License-Identifier: GPL-2.0-only
/* flows: what the flow table remembers while slots are unsettled. */
#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

/* The table knows flows by a hash: clients are known of those that the observer follows as well. */
static void say_of_clients(unsigned long long known, size_t flows)
{
	if (known < flows)
		printf("clients are known of %llu, which the observer follows (lbctl observe); others are "
		       "seen "
		       "as\n"
		       "their packets come: lbctl capture -w - [--service S] | tcpdump -nr -\n",
		       known);
}

static void print_flows(const struct lbctl *c, const cJSON *root)
{
	static const struct column columns[] = {
		{ "SERVICE", 0 }, { "BACKEND", 0 },         { "SLOT", COLUMN_RIGHT },
		{ "STATE", 0 },   { "IDLE", COLUMN_RIGHT }, { "CLIENT", 0 },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	const cJSON *flow;

	cJSON_ArrayForEach (flow, json_get(root, "flows")) {
		table_cell(table, "%s", json_text(flow, "service"));
		table_cell(table, "%s", json_text(flow, "backend"));
		table_cell(table, "%llu", json_u64(flow, "slot"));
		table_cell(table, "%s", json_text(flow, "state"));
		table_cell(table, "%s", format_duration(json_double(flow, "idle_s")).text);
		table_cell(table, "%s",
			   cJSON_IsString(json_get(flow, "client")) ? json_text(flow, "client") : "-");
	}
	table_print(table, c);
	if (json_bool(root, "truncated"))
		printf("%zu of %llu flows; more: --limit N\n", table_rows(table), json_u64(root, "total"));
	else
		printf("%zu flow%s remembered\n", table_rows(table), table_rows(table) == 1 ? "" : "s");
	say_of_clients(json_u64(root, "clients_known"), table_rows(table));
}

int verb_flows(struct lbctl *c)
{
	_cleanup_(freep) char *service = NULL, *of = NULL, *limit = NULL, *path = NULL;
	_cleanup_(reply_done) struct reply reply = { 0 };
	unsigned long long n = 0;
	int r;

	if (!option_number(c, OPTION_LIMIT, 1, 1u << 20, &n))
		return EXIT_WRONG_USAGE;
	if (c->n_arguments) {
		service = agent_escape(c->argument[0]);
		of = lbctl_format("service=%s", service);
	}
	if (n)
		limit = lbctl_format("limit=%llu", n);
	path = lbctl_format("/v1/flows%s%s%s%s", of || limit ? "?" : "", of ? of : "", of && limit ? "&" : "",
			    limit ? limit : "");
	r = agent_get(c, path, "flows", &reply);
	if (r != EXIT_DONE)
		return r;
	if (c->json)
		reply_print(&reply);
	else
		print_flows(c, reply.root);
	return EXIT_DONE;
}
