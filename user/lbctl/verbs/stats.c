// SPDX-License-Identifier: GPL-2.0-only
/*
 * stats: packets and bytes per service and backend: since the packet path was loaded, or (--delta) per second
 * within an interval. With -j and --interval, one object a line.
 */
#include "lbctl/agent.h"
#include "lbctl/delta.h"
#include "lbctl/format.h"
#include "lbctl/repeat.h"
#include "lbctl/table.h"
#include "lbctl/totals.h"

static void print_totals(const cJSON *totals, double scale, const char *unit)
{
	static const char *const keys[] = { "tx", "redirect", "pass", "drop" };

	printf("%s packets%s in, %s%s:", format_count(json_double(totals, "rx") * scale).text, unit,
	       format_bytes(json_double(totals, "bytes") * scale).text, unit);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		printf("%s %s %s", i ? "," : "", format_count(json_double(totals, keys[i]) * scale).text,
		       keys[i]);
	puts("\n");
}

#define FORMAT_PACKETS format_count
#define FORMAT_BYTES   format_bytes
#define FORMAT_FLOWS   format_count

static void row(struct table *table, const char *service, const char *backend, const cJSON *item,
		double (*total_of)(const cJSON *item, enum lb_total total), double scale)
{
	table_cell(table, "%s", service);
	table_cell(table, "%s", backend);
#define CELL(A, total, TOTAL, unit, kept, metric, column, help)                                              \
	table_cell(table, "%s", FORMAT_##unit(total_of(item, LB_TOTAL_##TOTAL) * scale).text);
	LB_TOTALS(CELL, )
}

/* scale: 1 for totals, 1 / seconds for rates. */
static void print_stats(const struct lbctl *c, const cJSON *stats, double scale, bool rates)
{
#define COLUMN(per, total, TOTAL, unit, kept, metric, column, help) { column per, COLUMN_RIGHT },
#define FILLED(per, total, TOTAL, unit, kept, metric, column, help)                                          \
	{ column per, COLUMN_RIGHT | COLUMN_FILLED },
	static const struct column columns[2][2 + LB_TOTAL_COUNT + 1] = {
		{ { "SERVICE", 0 },
		  { "BACKEND", 0 },
		  LB_TOTALS_FIRST(COLUMN, "") LB_TOTALS_MORE(FILLED, ""){ NULL, 0 } },
		{ { "SERVICE", 0 },
		  { "BACKEND", 0 },
		  LB_TOTALS_FIRST(COLUMN, "/S") LB_TOTALS_MORE(FILLED, "/S"){ NULL, 0 } },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns[rates], 0);
	const cJSON *service, *backend;

	print_totals(json_get(stats, "totals"), scale, rates ? "/s" : "");
	cJSON_ArrayForEach (service, json_get(stats, "services")) {
		row(table, json_text(service, "name"), "", service, totals_of_service, scale);
		/* Backends of a shared ring are told of once. */
		if (cJSON_IsString(json_get(service, "counted_with")))
			continue;
		cJSON_ArrayForEach (backend, json_get(service, "backends"))
			row(table, "", json_text(backend, "name"), backend, totals_of_backend, scale);
	}
	table_print(table, c);
}

static void print_delta(const struct lbctl *c, const struct repeat *repeat, const cJSON *before,
			const cJSON *now)
{
	_cleanup_(cjson_freep) cJSON *delta = delta_make(before, now);
	double ms = json_double(delta, "interval_ms");

	if (c->json) {
		json_print(delta);
		return;
	}
	repeat_heading(repeat);
	print_stats(c, delta, ms > 0 ? 1000 / ms : 0, true);
}

static void print_now(const struct lbctl *c, const struct repeat *repeat, const struct reply *reply)
{
	if (c->json && repeat->first && !repeat->left) {
		reply_print(reply);
	} else if (c->json) {
		json_print(reply->root);
	} else {
		repeat_heading(repeat);
		print_stats(c, reply->root, 1, false);
	}
}

int verb_stats(struct lbctl *c)
{
	bool delta = option_given(c, OPTION_DELTA);
	_cleanup_(reply_done) struct reply before = { 0 }, now = { 0 };
	struct repeat repeat;
	int r = repeat_init(&repeat, c);

	if (r != EXIT_DONE)
		return r;
	if (delta) {
		r = agent_get(c, "/v1/stats", "totals", &before);
		if (r != EXIT_DONE)
			return r;
		if (!lbctl_pace(repeat.interval_s, &repeat.next_ns))
			return EXIT_DONE;
	}
	while (repeat_next(&repeat)) {
		r = agent_get(c, "/v1/stats", "totals", &now);
		if (r != EXIT_DONE)
			return r;
		if (delta)
			print_delta(c, &repeat, before.root, now.root);
		else
			print_now(c, &repeat, &now);
		repeat.first = false;
		reply_done(&before);
		before = now;
		now = (struct reply){ 0 };
	}
	return EXIT_DONE;
}
