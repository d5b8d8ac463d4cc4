// SPDX-License-Identifier: GPL-2.0-only
/* drops: the reasons why packets were dropped, or passed to the host, that have occurred. */
#include "agent.h"
#include "delta.h"
#include "format.h"
#include "repeat.h"
#include "table.h"

/* delta: the same since the answer before, or NULL. */
static void print_drops(const struct lbctl *c, const cJSON *drops, const cJSON *delta, double interval_s)
{
	static const struct column columns[] = {
		{ "ACTION", 0 },
		{ "REASON", 0 },
		{ "PACKETS", COLUMN_RIGHT },
		{ "PER S", COLUMN_RIGHT | COLUMN_FILLED },
		{ "BYTES", COLUMN_RIGHT },
		{ "MEANING", COLUMN_WRAP },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	const cJSON *reason, *list = json_get(delta, "reasons"), *rate = list ? list->child : NULL;
	size_t silent = 0;

	cJSON_ArrayForEach (reason, json_get(drops, "reasons")) {
		if (json_u64(reason, "packets") == 0) {
			silent++;
		} else {
			table_cell(table, "%s", json_text(reason, "action"));
			table_cell(table, "%s", json_text(reason, "reason"));
			table_cell(table, "%s", format_count(json_double(reason, "packets")).text);
			table_cell(table, rate ? "%.1f" : "", json_double(rate, "packets") / interval_s);
			table_cell(table, "%s", format_bytes(json_double(reason, "bytes")).text);
			table_cell(table, "%s", json_text(reason, "help"));
		}
		rate = rate ? rate->next : NULL;
	}
	table_print(table, c);
	printf("%s%zu %sreason%s never occurred%s%s\n", table_rows(table) ? "\n" : "", silent,
	       table_rows(table) ? "other " : "", silent == 1 ? "" : "s",
	       json_get(drops, "since_s") ? "; counted for " : "",
	       json_get(drops, "since_s") ? format_duration(json_double(drops, "since_s")).text : "");
}

int verb_drops(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply before = { 0 }, now = { 0 };
	struct repeat repeat;
	int r = repeat_init(&repeat, c);

	if (r != EXIT_DONE)
		return r;
	while (repeat_next(&repeat)) {
		_cleanup_(cjson_freep) cJSON *delta = NULL;

		r = agent_get(c, "/v1/drops", "reasons", &now);
		if (r != EXIT_DONE)
			return r;
		if (!c->json && before.root)
			delta = delta_make(before.root, now.root);
		if (!c->json) {
			repeat_heading(&repeat);
			print_drops(c, now.root, delta, repeat.interval_s);
		} else if (repeat.first && !repeat.left) {
			reply_print(&now);
		} else {
			json_print(now.root);
		}
		repeat.first = false;
		reply_done(&before);
		before = now;
		now = (struct reply){ 0 };
	}
	return EXIT_DONE;
}
