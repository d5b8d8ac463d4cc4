// SPDX-License-Identifier: GPL-2.0-only
/* backend list, backend set: what the agent knows of backends, and the operator's word over the
 * configuration. */
#include <string.h>

#include "lbctl/backends.h"
#include "lbctl/edit.h"
#include "config/config.h"
#include "lbctl/format.h"
#include "lbctl/plan.h"
#include "lbctl/table.h"

/* The state, with a star where somebody has overruled the configuration. */
static void state_cell(struct table *table, const cJSON *backend)
{
	bool leaving = json_bool(backend, "leaving");

	table_cell(table, "%s%s", leaving ? "leaving" : json_text(backend, "state"),
		   !leaving && reasons_given(backend) ? "*" : "");
}

/* Two cells: how it leaves, and to which MAC; or why it cannot. */
static void nexthop_cells(struct table *table, const cJSON *nexthop)
{
	bool resolved = json_bool(nexthop, "resolved");

	if (resolved && strcmp(json_text(nexthop, "action"), "local") == 0) {
		table_cell(table, "local");
		table_cell(table, "this host");
		return;
	}
	if (!nexthop)
		table_cell(table, "-");
	else if (!resolved)
		table_cell(table, "UNRESOLVED");
	else if (json_get(nexthop, "mtu_from") && strcmp(json_text(nexthop, "mtu_from"), "way") != 0)
		table_cell(table, "%s %s, MTU %llu (%s)", json_text(nexthop, "action"),
			   json_text(nexthop, "interface"), json_u64(nexthop, "mtu"),
			   json_text(nexthop, "mtu_from"));
	else
		table_cell(table, "%s %s", json_text(nexthop, "action"), json_text(nexthop, "interface"));
	table_cell(table, "%s", json_text(nexthop, resolved ? "mac" : "why"));
}

static void backend_row(struct table *table, const cJSON *backend, bool service)
{
	if (service)
		table_cell(table, "%s", json_text(backend, "service"));
	table_cell(table, "%s", json_text(backend, "name"));
	table_cell(table, "%s", json_text(backend, "address"));
	state_cell(table, backend);
	table_cell(table, "%llu", json_u64(backend, "weight"));
	table_cell(table, "%.1f %%", json_double(backend, "share") * 100);
	table_cell(table, "%s", format_count(json_double(backend, "entries")).text);
	table_cell(table, "%s", format_count(json_double(backend, "packets")).text);
	table_cell(table, "%s", format_bytes(json_double(backend, "bytes")).text);
	table_cell(table, "%s", format_count(json_double(backend, "syns")).text);
	nexthop_cells(table, json_get(backend, "nexthop"));
}

/* "web/web-2 drains for 35 s: 341 slots and 12 flows are left, 40 packets within 1 s, the last 0 s ago" */
static void print_draining(const struct lbctl *c, const cJSON *backend)
{
	const cJSON *draining = json_get(backend, "draining"), *last = json_get(draining, "last_packet_s");
	_cleanup_(freep) char *name =
		lbctl_format("%s/%s", json_text(backend, "service"), json_text(backend, "name"));
	_cleanup_(freep) char *line = NULL;
	const char *word = json_bool(backend, "leaving") ? "leaves" : "drains";

	if (!cJSON_IsObject(draining))
		return;
	if (json_bool(draining, "drained"))
		line = lbctl_format("%s has drained: no slot and no flow is left", name);
	else
		line = lbctl_format(
			"%s %s for %s: %llu slots and %llu flows are left, %llu packets within %s, "
			"%s%s%s%s",
			name, word, format_duration(json_double(draining, "for_s")).text,
			json_u64(backend, "slots_base") + json_u64(backend, "slots"),
			json_u64(backend, "entries"), json_u64(draining, "packets"),
			format_duration(json_double(draining, "interval_ms") / 1000).text,
			cJSON_IsNumber(last) ? "the last " : "none was seen",
			cJSON_IsNumber(last) ? format_duration(last->valuedouble).text : "",
			cJSON_IsNumber(last) ? " ago" : "",
			json_bool(draining, "let_go") ? "; it is let go" : "");
	print_folded(c, 2, line);
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
	const cJSON *backend;

	cJSON_ArrayForEach (backend, backends)
		backend_row(table, backend, service);
	if (!table_rows(table))
		puts("no backends");
	table_print(table, c);
	cJSON_ArrayForEach (backend, backends)
		print_draining(c, backend);
	reasons_print(c, backends);
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

/* "90", "90s", "30m", "8h", "2d" as seconds, 1 to 366 days. */
static bool duration(const struct lbctl *c, const char *text, unsigned long long *ret_s)
{
	static const struct {
		const char *unit;
		unsigned long long s;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	for (size_t i = 0; *text >= '0' && *text <= '9' && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) == 0 && n >= 1 && n <= 366ull * 86400 / units[i].s) {
			*ret_s = n * units[i].s;
			return true;
		}
	}
	lbctl_usage(c, "--for is a time like 90s, 30m, 8h or 2d, at most 366d, not '%s'", text);
	return false;
}

/* A word: an option's value, or null with --reset. */
static void add_word(cJSON *body, const char *key, const char *value, bool reset)
{
	if (value)
		cJSON_AddStringToObject(body, key, value);
	else if (reset)
		cJSON_AddNullToObject(body, key);
}

static bool check_choice(const struct lbctl *c, enum option_id id, const char *const *choices)
{
	const char *value = c->option[id];
	char hint[128], all[64] = "";

	for (size_t i = 0; value && choices[i]; i++) {
		if (strcmp(value, choices[i]) == 0)
			return true;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
			 !i               ? ""
			 : choices[i + 1] ? ", "
					  : " or ",
			 choices[i]);
	}
	if (!value)
		return true;
	lbctl_usage(c, "--%s is %s, not '%s'%s", lbctl_options[id].name, all, value,
		    lbctl_did_you_mean(value, choices, "", hint));
	return false;
}

/* The body of the PATCH; NULL after saying what is wrong. */
static char *make_body(const struct lbctl *c)
{
	static const char *const states[] = { "active", "drain", "down", NULL };
	static const char *const breakers[] = { "auto", "open", "off", NULL };
	bool reset = option_given(c, OPTION_RESET);
	unsigned long long weight = 0, for_s = 0;
	cJSON *body;
	char *text;

	if (!option_given(c, OPTION_WEIGHT) && !option_given(c, OPTION_STATE) &&
	    !option_given(c, OPTION_BREAKER) && !reset) {
		lbctl_usage(c, "set what? --weight N, --state STATE, --breaker MODE or --reset");
		return NULL;
	}
	if (!option_number(c, OPTION_WEIGHT, 0, 65535, &weight) || !check_choice(c, OPTION_STATE, states) ||
	    !check_choice(c, OPTION_BREAKER, breakers) ||
	    (option_given(c, OPTION_FOR) && !duration(c, c->option[OPTION_FOR], &for_s)))
		return NULL;
	body = cJSON_CreateObject();
	if (option_given(c, OPTION_WEIGHT))
		cJSON_AddNumberToObject(body, "weight", (double)weight);
	else if (reset)
		cJSON_AddNullToObject(body, "weight");
	add_word(body, "state", c->option[OPTION_STATE], reset);
	add_word(body, "breaker", c->option[OPTION_BREAKER], reset);
	if (option_given(c, OPTION_REASON))
		cJSON_AddStringToObject(body, "reason", c->option[OPTION_REASON]);
	if (for_s)
		cJSON_AddNumberToObject(body, "for_s", (double)for_s);
	text = cJSON_PrintUnformatted(body);
	cJSON_Delete(body);
	if (!text)
		lbctl_memory();
	return text;
}

char *backend_state_body(const struct lbctl *c, const char *state)
{
	unsigned long long for_s = 0;
	cJSON *body;
	char *text;

	if (option_given(c, OPTION_FOR) && !duration(c, c->option[OPTION_FOR], &for_s))
		return NULL;
	body = cJSON_CreateObject();
	add_word(body, "state", state, true);
	if (option_given(c, OPTION_REASON))
		cJSON_AddStringToObject(body, "reason", c->option[OPTION_REASON]);
	if (for_s)
		cJSON_AddNumberToObject(body, "for_s", (double)for_s);
	text = cJSON_PrintUnformatted(body);
	cJSON_Delete(body);
	if (!text)
		lbctl_memory();
	return text;
}

int verb_backend_set(struct lbctl *c)
{
	_cleanup_(freep) char *body = NULL, *service = NULL, *backend = NULL, *path = NULL;
	struct request request = { .method = "PATCH", .key = "services" };

	if (edits_configuration(c))
		return edit_backend(c);
	body = make_body(c);
	request.body = body;
	if (!body)
		return EXIT_WRONG_USAGE;
	service = agent_escape(c->argument[0]);
	backend = agent_escape(c->argument[1]);
	path = lbctl_format("/v1/services/%s/backends/%s", service, backend);
	request.path = path;
	request.length = strlen(body);
	return plan_run(c, &request, "done", lbctl_fail_with);
}
