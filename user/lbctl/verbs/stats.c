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

/* Both ways out of the machine together. */
static double packets_of(const cJSON *backend)
{
	return json_double(backend, "tx_packets") + json_double(backend, "redirect_packets");
}

static double bytes_of(const cJSON *backend)
{
	return json_double(backend, "tx_bytes") + json_double(backend, "redirect_bytes");
}

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

static void row(struct table *table, const char *service, const cJSON *item, double packets, double bytes,
		double scale)
{
	static const char *const keys[] = { "syns", "known", "base", "refused" };

	table_cell(table, "%s", service);
	table_cell(table, "%s", *service ? "" : json_text(item, "name"));
	table_cell(table, "%s", format_count(packets * scale).text);
	table_cell(table, "%s", format_bytes(bytes * scale).text);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		table_cell(table, "%s", format_count(json_double(item, keys[i]) * scale).text);
}

/* scale: 1 for totals, 1 / seconds for rates. */
static void print_stats(const struct lbctl *c, const cJSON *stats, double scale, bool rates)
{
	static const struct column columns[2][9] = {
		{ { "SERVICE", 0 },
		  { "BACKEND", 0 },
		  { "PACKETS", COLUMN_RIGHT },
		  { "BYTES", COLUMN_RIGHT },
		  { "SYNS", COLUMN_RIGHT },
		  { "KNOWN", COLUMN_RIGHT | COLUMN_FILLED },
		  { "TO BASE", COLUMN_RIGHT | COLUMN_FILLED },
		  { "REFUSED", COLUMN_RIGHT | COLUMN_FILLED },
		  { NULL, 0 } },
		{ { "SERVICE", 0 },
		  { "BACKEND", 0 },
		  { "PACKETS/S", COLUMN_RIGHT },
		  { "BYTES/S", COLUMN_RIGHT },
		  { "SYNS/S", COLUMN_RIGHT },
		  { "KNOWN/S", COLUMN_RIGHT | COLUMN_FILLED },
		  { "TO BASE/S", COLUMN_RIGHT | COLUMN_FILLED },
		  { "REFUSED/S", COLUMN_RIGHT | COLUMN_FILLED },
		  { NULL, 0 } },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns[rates], 0);
	const cJSON *service, *backend;

	print_totals(json_get(stats, "totals"), scale, rates ? "/s" : "");
	cJSON_ArrayForEach (service, json_get(stats, "services")) {
		row(table, json_text(service, "name"), service, json_double(service, "packets"),
		    json_double(service, "bytes"), scale);
		/* Backends of a shared ring are told of once. */
		if (cJSON_IsString(json_get(service, "counted_with")))
			continue;
		cJSON_ArrayForEach (backend, json_get(service, "backends"))
			row(table, "", backend, packets_of(backend), bytes_of(backend), scale);
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
