// SPDX-License-Identifier: GPL-2.0-only
/* Plans; see plan.h. The agent makes them, this file prints them and asks. */
#include "plan.h"

#include <string.h>
#include <unistd.h>

#include "format.h"
#include "table.h"

static const struct column backend_columns[] = {
	{ "BACKEND", 0 },
	{ "CHANGE", COLUMN_FILLED },
	{ "SLOTS", COLUMN_RIGHT },
	{ "AFTER", COLUMN_RIGHT },
	{ "GAIN", COLUMN_RIGHT },
	{ "AT RISK", COLUMN_WRAP | COLUMN_FILLED },
	{ NULL, 0 },
};

static const char *change_of(const cJSON *item)
{
	const char *change = json_text(item, "change");

	return strcmp(change, "none") == 0 ? "" : change;
}

static void backend_row(struct table *table, const cJSON *backend)
{
	unsigned long long before = json_u64(backend, "slots_before"),
			   after = json_u64(backend, "slots_after");
	unsigned long long entries = json_u64(backend, "entries_at_risk");
	bool flows = json_bool(backend, "flows_at_risk");

	if (before == after && !*change_of(backend) && !entries && !flows)
		return;
	table_cell(table, "%s", json_text(backend, "name"));
	table_cell(table, "%s", change_of(backend));
	table_cell(table, "%llu", before);
	table_cell(table, "%llu", after);
	table_cell(table, before == after ? "0" : "%+lld", (long long)(after - before));
	if (entries)
		table_cell(table, "%s%llu remembered flows", flows ? "its old flows, " : "", entries);
	else
		table_cell(table, "%s", flows ? "its old flows" : "");
}

static void print_service(const struct lbctl *c, const cJSON *service)
{
	static const char *const prefixes[][2] = { { "add", "+" }, { "remove", "-" }, { "modify", "~" } };
	_cleanup_(table_freep) struct table *table = table_new(backend_columns, 4);
	_cleanup_(freep) char *name = text_clean(json_text(service, "name"));
	_cleanup_(freep) char *change = text_clean(json_text(service, "change"));
	unsigned long long entries = json_u64(service, "entries_at_risk");
	const char *prefix = " ";
	const cJSON *shares = json_get(service, "shares_ring_of");
	const cJSON *backend;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strcmp(change, prefixes[i][0]) == 0)
			prefix = prefixes[i][1];
	if (cJSON_IsString(shares)) {
		_cleanup_(freep) char *lead = text_clean(shares->valuestring);

		printf("%s %s: %s, shares the ring of %s", prefix, name, change, lead);
	} else {
		printf("%s %s: %s, %llu of %llu slots move (%.1f %%)", prefix, name, change,
		       json_u64(service, "slots_moved"), json_u64(service, "slots"),
		       json_double(service, "slots_moved_percent"));
	}
	if (entries)
		printf(", %s remembered flows at risk", format_count((double)entries).text);
	putchar('\n');
	if (json_bool(service, "breaks")) {
		_cleanup_(freep) char *why =
			lbctl_format("BREAKS connections: %s", json_text(service, "why_breaks"));

		fputs("    ", stdout);
		print_folded(c, 6, why);
	}
	if (cJSON_IsString(json_get(service, "warning")))
		printf("    warning: %s\n", json_text(service, "warning"));
	cJSON_ArrayForEach (backend, json_get(service, "backends"))
		backend_row(table, backend);
	table_print(table, c);
}

/* A value of the answer, as JSON; "(secret)" and null as words. */
static char *value_text(const cJSON *value)
{
	char *text = cJSON_IsNull(value) || !value ? lbctl_format("not given")
		     : cJSON_IsString(value)       ? lbctl_format("%s", value->valuestring)
						   : cJSON_PrintUnformatted(value);
	char *clean;

	if (!text)
		lbctl_memory();
	clean = text_clean(text);
	free(text);
	return clean;
}

/* Whether a changed value is one that applying it does not put in force. */
static bool waits(const char *effect)
{
	return strcmp(effect, "service") == 0 || strcmp(effect, "start") == 0 || strcmp(effect, "maps") == 0;
}

static void print_change(const struct lbctl *c, const cJSON *change)
{
	const char *kind = json_text(change, "change");
	_cleanup_(freep) char *path = text_clean(json_text(change, "path"));
	_cleanup_(freep) char *line = NULL;
	bool value = strcmp(kind, "modify") == 0;

	if (value) {
		_cleanup_(freep) char *from = value_text(json_get(change, "from"));
		_cleanup_(freep) char *to = value_text(json_get(change, "to"));

		line = lbctl_format("%s: %s -> %s", path, from, to);
	} else {
		line = lbctl_format("%s: %s", path, strcmp(kind, "add") == 0 ? "added" : "removed");
	}
	fputs("  ", stdout);
	if (value && waits(json_text(change, "effect"))) {
		_cleanup_(freep) char *when =
			lbctl_format("%s (takes effect %s)", line, json_text(change, "when"));

		print_folded(c, 4, when);
	} else {
		print_folded(c, 4, line);
	}
	if (json_bool(change, "reverts"))
		puts("    taken back: a request changed it since the file was read");
	if (cJSON_IsString(json_get(change, "note")))
		printf("    %s\n", json_text(change, "note"));
}

/* Key by key, what is wanted otherwise than it was. */
static void print_changes(const struct lbctl *c, const cJSON *plan)
{
	const cJSON *changes = json_get(plan, "changes"), *change;
	unsigned long long total = json_u64(plan, "changes_total"), told = 0;

	cJSON_ArrayForEach (change, changes) {
		if (!told++)
			puts("changes:");
		print_change(c, change);
	}
	if (total > told)
		printf("  and %llu more\n", total - told);
}

/* Limits that change: which tables become larger or smaller, and what that takes for a moment. */
static void print_tables(const struct lbctl *c, const cJSON *tables)
{
	static const struct {
		const char *key, *name;
	} sizes[] = { { "services", "services" },
		      { "backends", "backends" },
		      { "ring_slots", "ring slots" },
		      { "flow_entries", "flow entries" } };
	const cJSON *from = json_get(tables, "from"), *to = json_get(tables, "to");
	_cleanup_(freep) char *text = NULL;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned long long then = json_u64(from, sizes[i].key), now = json_u64(to, sizes[i].key);
		char *before = text;

		if (then == now)
			continue;
		text = lbctl_format("%s%s room for %llu -> %llu %s", before ? before : "", before ? "," : "",
				    then, now, sizes[i].name);
		free(before);
		if (!text)
			lbctl_memory();
	}
	if (!text)
		return;
	fputs("tables of other sizes take over, and no packet notices:", stdout);
	print_folded(c, 4, text);
	printf("    until they have, both are there: %.1f MiB more\n",
	       (double)json_u64(tables, "bytes_beside") / (1 << 20));
}

void plan_print(const struct lbctl *c, const cJSON *plan)
{
	const cJSON *service;

	print_changes(c, plan);
	if (cJSON_IsString(json_get(plan, "why_breaks"))) {
		_cleanup_(freep) char *why =
			lbctl_format("BREAKS connections: %s", json_text(plan, "why_breaks"));

		print_folded(c, 4, why);
	}
	print_tables(c, json_get(plan, "tables"));
	if (cJSON_IsString(json_get(plan, "refused"))) {
		_cleanup_(freep) char *why = lbctl_format("REFUSED: %s", json_text(plan, "refused"));

		print_folded(c, 4, why);
	}
	cJSON_ArrayForEach (service, json_get(plan, "services"))
		print_service(c, service);
}

bool plan_differs(const cJSON *plan)
{
	return cJSON_GetArraySize(json_get(plan, "services")) > 0 || json_u64(plan, "changes_total") > 0;
}

/* The shortest silence that a connection of a service whose slots move must not exceed; 0: no slot moves. */
static unsigned long long shortest_idle_s(const cJSON *plan)
{
	unsigned long long shortest = 0, s;
	const cJSON *service;

	cJSON_ArrayForEach (service, json_get(plan, "services")) {
		s = json_u64(service, "idle_timeout_s");
		if (s && (!shortest || s < shortest))
			shortest = s;
	}
	return shortest;
}

static void print_would(const cJSON *plan, int n, unsigned long long from)
{
	unsigned long long idle_s = shortest_idle_s(plan);

	if (cJSON_IsString(json_get(plan, "refused"))) {
		puts("nothing was changed: this would be refused");
		return;
	}
	printf("nothing was changed: %d service%s of generation %llu would change", n, n == 1 ? "" : "s",
	       from);
	if (json_bool(plan, "breaks"))
		puts(", and connections would break");
	else if (idle_s)
		printf(", no connection would break that is never silent for longer than %llu s "
		       "(idle_timeout_s)\n",
		       idle_s);
	else
		puts(", no connection would break");
}

void plan_print_end(const struct lbctl *c, const cJSON *plan, const char *done)
{
	int n = cJSON_GetArraySize(json_get(plan, "services"));
	unsigned long long from = json_u64(plan, "from_generation"), to = json_u64(plan, "generation");

	if (json_bool(plan, "let_go")) {
		printf("the backend is leaving: it %s let go, what is left of it moves within seconds\n",
		       json_bool(plan, "applied") ? "is" : "would be");
		return;
	}
	if (!json_bool(plan, "applied") && plan_differs(plan))
		print_would(plan, n, from);
	else if (!json_bool(plan, "applied"))
		printf("nothing would change in generation %llu\n", from);
	else if (from == to)
		printf("%s: nothing had to change, generation %llu stays\n", done, to);
	else
		printf("%s: generation %llu (was %llu), %d service%s changed\n", done, to, from, n,
		       n == 1 ? "" : "s");
}

/* Whether the person at the terminal says yes. */
static bool ask(void)
{
	char answer[16];

	fputs("This breaks connections. Go on? [y/N] ", stdout);
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin)) {
		putchar('\n');
		return false;
	}
	return answer[0] == 'y' || answer[0] == 'Y';
}

static bool reads_stdin(const struct lbctl *c)
{
	return option_given(c, OPTION_FILE) && strcmp(c->option[OPTION_FILE], "-") == 0;
}

/* EXIT_DONE when the plan may be carried out. plan: moved into the error with -j. */
static int guard(const struct lbctl *c, cJSON **plan)
{
	bool word = c->verb->options & OPTION_BIT(OPTION_ALLOW_BREAK);
	cJSON *error;

	if (cJSON_IsString(json_get(*plan, "refused"))) {
		error = lbctl_error("nothing was changed: %s", json_text(*plan, "refused"));
		cJSON_AddItemToObject(error, "plan", *plan);
		*plan = NULL;
		return lbctl_fail_with(c, error);
	}
	if (!json_bool(*plan, "breaks") || option_given(c, OPTION_YES) || option_given(c, OPTION_ALLOW_BREAK))
		return EXIT_DONE;
	if (!c->json && c->terminal && isatty(STDIN_FILENO) && !reads_stdin(c)) {
		if (ask())
			return EXIT_DONE;
		return lbctl_fail(c, "nothing was changed");
	}
	error = lbctl_error("this would break connections, nothing was changed: add --%s to do it anyway",
			    word ? "allow-break" : "yes");
	cJSON_AddItemToObject(error, "plan", *plan);
	*plan = NULL;
	return lbctl_fail_with(c, error);
}

/* The request with what has been approved: this plan, and that it breaks connections if it does. */
static char *approved_path(const struct request *request, const cJSON *plan)
{
	const char *identity = json_text(plan, "plan");

	return lbctl_format("%s%cexpect_plan=%.32s%s", request->path, strchr(request->path, '?') ? '&' : '?',
			    identity, json_bool(plan, "breaks") ? "&allow_break=1" : "");
}

/* Times that a plan may have become another one while it was looked at. */
#define ATTEMPTS_MAX 10

/*
 * The change itself: EXIT_DONE; EXIT_FAILED, which has been said; -1: the plan has become another one, which
 * now is *plan.
 */
static int carry_out(struct lbctl *c, const struct request *request, const char *done,
		     int (*fail)(const struct lbctl *c, cJSON *error), cJSON **plan)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *path = approved_path(request, *plan);
	struct request approved = *request;
	cJSON *error = NULL;

	approved.path = path;
	if (isatty(STDERR_FILENO) && !c->json)
		c->progress = "changing";
	if (agent_try(c, &approved, &reply, &error) < 0) {
		cJSON *now = cJSON_DetachItemFromObjectCaseSensitive(error, "plan");

		if (!now)
			return fail(c, error);
		cJSON_Delete(error);
		cJSON_Delete(*plan);
		*plan = now;
		return -1;
	}
	if (c->json && *done)
		reply_print(&reply);
	else if (!c->json)
		plan_print_end(c, reply.root, *done ? done : "done");
	return EXIT_DONE;
}

/* What is printed has been approved, or is asked for: until the agent does it, or somebody says no. */
static int approve_and_do(struct lbctl *c, const struct request *request, const char *done,
			  int (*fail)(const struct lbctl *c, cJSON *error), cJSON **plan)
{
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		int r;

		if (i && !c->json)
			puts("\nthe plan has changed meanwhile; it is now:");
		if (!c->json)
			plan_print(c, *plan);
		r = guard(c, plan);
		if (r == EXIT_DONE)
			r = carry_out(c, request, done, fail, plan);
		if (r >= 0)
			return r;
	}
	return lbctl_fail(c, "the plan has changed %d times while it was looked at: nothing was changed",
			  ATTEMPTS_MAX);
}

int plan_run(struct lbctl *c, const struct request *request, const char *done,
	     int (*fail)(const struct lbctl *c, cJSON *error))
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *dry_path =
		lbctl_format("%s%cdry_run=1", request->path, strchr(request->path, '?') ? '&' : '?');
	struct request dry = *request;
	cJSON *error = NULL;

	dry.path = dry_path;
	if (isatty(STDERR_FILENO) && !c->json)
		c->progress = "planning";
	if (agent_try(c, &dry, &reply, &error) < 0)
		return fail(c, error);
	if (!option_given(c, OPTION_DRY_RUN))
		return approve_and_do(c, request, done, fail, &reply.root);
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	plan_print(c, reply.root);
	plan_print_end(c, reply.root, done);
	return EXIT_DONE;
}
