// SPDX-License-Identifier: GPL-2.0-only
/* service list, service show. */
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/backends.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

/* "tcp 203.0.113.10:443", "udp [2001:db8::1]:any"; malloc'd. */
static char *service_address(const cJSON *service)
{
	const char *vip = json_text(service, "vip");
	const cJSON *port = json_get(service, "port");
	bool brackets = strchr(vip, ':') != NULL;
	_cleanup_(freep) char *text = cJSON_IsString(port) ? lbctl_format("%s", port->valuestring)
							   : lbctl_format("%llu", json_value_u64(port));

	return lbctl_format("%s %s%s%s:%s", json_text(service, "protocol"), brackets ? "[" : "", vip,
			    brackets ? "]" : "", text);
}

static void service_row(struct table *table, const cJSON *service)
{
	_cleanup_(freep) char *address = service_address(service);

	table_cell(table, "%s", json_text(service, "name"));
	table_cell(table, "%s", address);
	table_cell(table, "%s", json_text(service, "forward"));
	table_cell(table, "%s", json_text(service, "algorithm"));
	table_cell(table, "%llu/%llu", json_u64(service, "backends_active"),
		   json_u64(service, "backends_total"));
	table_cell(table, "%s", format_count(json_double(service, "unsettled_slots")).text);
	table_cell(table, "%s", format_count(json_double(service, "entries")).text);
	table_cell(table, "%s", format_count(json_double(service, "packets")).text);
	table_cell(table, "%s", format_bytes(json_double(service, "bytes")).text);
	table_cell(table, "%s", format_count(json_double(service, "syns")).text);
}

int verb_service_list(struct lbctl *c)
{
	static const struct column columns[] = {
		{ "SERVICE", 0 },
		{ "ADDRESS", 0 },
		{ "FORWARD", COLUMN_OPTIONAL },
		{ "ALGORITHM", COLUMN_OPTIONAL },
		{ "BACKENDS", COLUMN_RIGHT },
		{ "UNSETTLED", COLUMN_RIGHT | COLUMN_FILLED },
		{ "ENTRIES", COLUMN_RIGHT | COLUMN_FILLED },
		{ "PACKETS", COLUMN_RIGHT },
		{ "BYTES", COLUMN_RIGHT | COLUMN_OPTIONAL },
		{ "SYNS", COLUMN_RIGHT | COLUMN_OPTIONAL },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	_cleanup_(reply_done) struct reply reply = { 0 };
	const cJSON *service;
	int r = agent_get(c, "/v1/services", "services", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	cJSON_ArrayForEach (service, json_get(reply.root, "services"))
		service_row(table, service);
	if (!table_rows(table))
		puts("no services");
	table_print(table, c);
	return EXIT_DONE;
}

/* "0, 1 (50 %): tier 0 has 100 of 300 of its weight, ..."; nothing where nothing is checked. */
static void print_tiers(const cJSON *tiers)
{
	const char *separator = "";
	const cJSON *one;

	if (!cJSON_IsObject(tiers))
		return;
	printf("%-10s  ", "tiers");
	cJSON_ArrayForEach (one, json_get(tiers, "tiers")) {
		double share = json_double(one, "share_permille");

		if (!share)
			continue;
		printf("%s%llu", separator, json_u64(one, "tier"));
		if (share < 1000)
			printf(" (%.1f %%)", share / 10);
		separator = ", ";
	}
	printf("%s%s\n", *separator ? ": " : "none: ", json_text(tiers, "why"));
}

/* "pool-a, shared with 2 others: ". */
static void print_sharing(const cJSON *service)
{
	unsigned long long others = json_u64(service, "ring_sharers");
	_cleanup_(freep) char *ring = text_clean(json_text(service, "ring"));

	if (cJSON_IsString(json_get(service, "ring")))
		printf("%s, shared with %llu other%s: ", ring, others, others == 1 ? "" : "s");
}

/* Nothing where everybody is let in. */
static void print_source_ranges(const cJSON *ranges)
{
	const char *separator = "";
	const cJSON *range;

	if (!cJSON_GetArraySize(ranges))
		return;
	printf("%-10s  ", "sources");
	cJSON_ArrayForEach (range, ranges) {
		_cleanup_(freep) char *text = text_clean(cJSON_GetStringValue(range));

		printf("%s%s", separator, text);
		separator = ", ";
	}
	putchar('\n');
}

static void print_service(const struct lbctl *c, const cJSON *service)
{
	_cleanup_(freep) char *address = service_address(service),
			      *name = text_clean(json_text(service, "name"));
	_cleanup_(freep) char *clean = text_clean(address);
	unsigned long long unsettled = json_u64(service, "unsettled_slots");

	printf("%-10s  %s\n", "service", name);
	printf("%-10s  %s\n", "address", clean);
	printf("%-10s  %s, algorithm %s, affinity %s, idle timeout %s\n", "forward",
	       json_text(service, "forward"), json_text(service, "algorithm"), json_text(service, "affinity"),
	       format_duration(json_double(service, "idle_timeout_s")).text);
	print_source_ranges(json_get(service, "source_ranges"));
	printf("%-10s  ", "ring");
	print_sharing(service);
	printf("%llu slots, ", json_u64(service, "ring_size"));
	if (unsettled)
		printf("%llu unsettled, for %s\n", unsettled,
		       format_duration(json_double(service, "unsettled_since_s")).text);
	else
		printf("all settled\n");
	printf("%-10s  %s remembered\n", "flows", format_count(json_double(service, "entries")).text);
	printf("%-10s  %s packets, %s, %s SYNs\n", "traffic",
	       format_count(json_double(service, "packets")).text,
	       format_bytes(json_double(service, "bytes")).text,
	       format_count(json_double(service, "syns")).text);
	print_tiers(json_get(service, "tiers"));
	printf("%-10s  %llu active of %llu\n\n", "backends", json_u64(service, "backends_active"),
	       json_u64(service, "backends_total"));
	backends_print(c, json_get(service, "backends"), false);
}

int verb_service_show(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *name = agent_escape(c->argument[0]);
	_cleanup_(freep) char *path = lbctl_format("/v1/services/%s", name);
	int r = agent_get(c, path, "backends", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json)
		reply_print(&reply);
	else
		print_service(c, reply.root);
	return EXIT_DONE;
}
