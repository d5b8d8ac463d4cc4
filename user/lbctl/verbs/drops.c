// SPDX-License-Identifier: GPL-2.0-only
/*
 * drops: the reasons why packets were dropped, or passed to the host, that have occurred, with an example of
 * what was dropped; and what was lost behind the packet path.
 */
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/delta.h"
#include "lbctl/drops.h"
#include "lbctl/format.h"
#include "packet/frame_text.h"
#include "lbctl/repeat.h"
#include "lbctl/table.h"

#define EXAMPLE_BYTES_MAX 256u
#define EXAMPLE_INDENT    19 /* columns before the text */
#define BYTES_A_LINE      16u

static size_t read_hex(const char *hex, unsigned char *bytes)
{
	size_t n = 0;

	while (n < EXAMPLE_BYTES_MAX && hex[0] && hex[1] && sscanf(hex, "%2hhx", &bytes[n]) == 1) {
		hex += 2;
		n++;
	}
	return n;
}

static void print_bytes(const unsigned char *bytes, size_t n)
{
	for (size_t at = 0; at < n; at += BYTES_A_LINE) {
		printf("    %04zx", at);
		for (size_t i = at; i < at + BYTES_A_LINE && i < n; i++)
			printf("%s%02x", i % 8 ? " " : "  ", bytes[i]);
		putchar('\n');
	}
}

/* Of each reason that has one: what was dropped, in a line; with -v all bytes that were kept. */
static void print_examples(const struct lbctl *c, const cJSON *drops)
{
	const cJSON *reason;
	bool any = false;

	cJSON_ArrayForEach (reason, json_get(drops, "reasons")) {
		const cJSON *example = json_get(reason, "example");
		_cleanup_(freep) char *name = NULL, *line = NULL;
		unsigned char bytes[EXAMPLE_BYTES_MAX];
		char text[LB_FRAME_TEXT_MAX];
		size_t n;

		if (!example)
			continue;
		name = text_clean(json_text(reason, "reason"));
		n = read_hex(json_text(example, "hex"), bytes);
		line = lbctl_format("%s ago, %llu bytes: %s",
				    format_duration(json_double(example, "age_s")).text,
				    json_u64(example, "frame_bytes"),
				    lb_frame_text(bytes, n, json_u64(example, "frame_bytes"), text));
		printf("%s  %-16s ", any ? "" : "\nexamples\n", name);
		print_folded(c, EXAMPLE_INDENT, line);
		if (option_given(c, OPTION_VERBOSE))
			print_bytes(bytes, n);
		any = true;
	}
}

/* A way in which packets leave, by interface. */
static void print_way(const struct lbctl *c, const cJSON *drops, const char *member, const char *what)
{
	const cJSON *way = json_get(drops, member), *interface;
	bool any = false;

	cJSON_ArrayForEach (interface, json_get(way, "interfaces")) {
		_cleanup_(freep) char *name = text_clean(json_text(interface, "interface"));
		double lost = json_double(interface, "lost");

		if (!json_u64(interface, "lost"))
			continue;
		if (!any)
			printf("\nlost behind the packet path: %s\n", what);
		printf("  %-16s refused %s", name, format_count(lost).text);
		/* Not every driver tells what it took. */
		if (json_u64(interface, "sent"))
			printf(" of %s", format_count(lost + json_double(interface, "sent")).text);
		putchar('\n');
		any = true;
	}
	if (way && !json_bool(way, "counted")) {
		_cleanup_(freep) char *line = lbctl_format(
			"what is lost behind the packet path, %s an interface, is not counted: %s", what,
			json_text(way, "why"));

		putchar('\n');
		print_folded(c, 0, line);
	}
}

/* delta: the same since the answer before, or NULL. */
static void print_drops(const struct lbctl *c, const cJSON *drops, const cJSON *delta, double interval_s)
{
	static const struct column columns[] = {
		{ "ACTION", 0 },
		{ "REASON", 0 },
		{ "PACKETS", COLUMN_RIGHT },
		{ "PER S", COLUMN_RIGHT | COLUMN_FILLED },
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
			table_cell(table, "%s", json_text(reason, "help"));
		}
		rate = rate ? rate->next : NULL;
	}
	table_print(table, c);
	printf("%s%zu %sreason%s never occurred%s%s\n", table_rows(table) ? "\n" : "", silent,
	       table_rows(table) ? "other " : "", silent == 1 ? "" : "s",
	       json_get(drops, "since_s") ? "; counted for " : "",
	       json_get(drops, "since_s") ? format_duration(json_double(drops, "since_s")).text : "");
	print_examples(c, drops);
	print_way(c, drops, "redirects", "redirected to");
	print_way(c, drops, "sent_back", "sent back out by");
}

static int drops_of_all(struct lbctl *c)
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

int verb_drops(struct lbctl *c)
{
	if (c->n_arguments)
		return drops_of_service(c);
	if (option_given(c, OPTION_SECONDS))
		return lbctl_usage(c, "--seconds is for the drops of one SERVICE");
	return drops_of_all(c);
}
