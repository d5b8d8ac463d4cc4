// SPDX-License-Identifier: GPL-2.0-only
/* rollback and generations: what was running before, and the way back to it. */
#include "lbctl/format.h"
#include "lbctl/plan.h"
#include "lbctl/table.h"

int verb_rollback(struct lbctl *c)
{
	_cleanup_(freep) char *path = NULL, *query = NULL;
	struct request request = { .method = "POST", .key = "services" };
	const char *resize = option_given(c, OPTION_ALLOW_RING_RESIZE) ? "&allow_ring_resize=1" : "";
	const char *overrides = option_given(c, OPTION_OVERRIDES) ? "&overrides=1" : "";
	unsigned long long to = 0;

	if (!option_number(c, OPTION_TO, 1, (1ull << 40) - 1, &to))
		return EXIT_WRONG_USAGE;
	query = to ? lbctl_format("&to=%llu%s%s", to, resize, overrides)
		   : lbctl_format("%s%s", resize, overrides);
	path = lbctl_format("/v1/rollback%s%s", *query ? "?" : "", *query ? query + 1 : "");
	request.path = path;
	return plan_run(c, &request, "rolled back", lbctl_fail_with);
}

int verb_generations(struct lbctl *c)
{
	static const struct column columns[] = {
		{ "GENERATION", COLUMN_RIGHT }, { "", 0 },   { "TIME", 0 }, { "SERVICES", COLUMN_RIGHT },
		{ "CAUSE", COLUMN_WRAP },       { NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	_cleanup_(reply_done) struct reply reply = { 0 };
	const cJSON *item;
	int r = agent_get(c, "/v1/generations", "generations", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	cJSON_ArrayForEach (item, json_get(reply.root, "generations")) {
		table_cell(table, "%llu", json_u64(item, "generation"));
		table_cell(table, "%s", json_bool(item, "running") ? "running" : "");
		table_cell(table, "%s", format_time(json_get(item, "time")).text);
		table_cell(table, "%llu", json_u64(item, "services"));
		table_cell(table, "%s", json_text(item, "cause"));
	}
	if (!table_rows(table))
		puts("no configuration has been applied yet");
	table_print(table, c);
	return EXIT_DONE;
}
