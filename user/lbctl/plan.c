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
	const cJSON *backend;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strcmp(change, prefixes[i][0]) == 0)
			prefix = prefixes[i][1];
	printf("%s %s: %s, %llu of %llu slots move (%.1f %%)", prefix, name, change,
	       json_u64(service, "slots_moved"), json_u64(service, "slots"),
	       json_double(service, "slots_moved_percent"));
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

void plan_print(const struct lbctl *c, const cJSON *plan)
{
	const cJSON *service;

	cJSON_ArrayForEach (service, json_get(plan, "services"))
		print_service(c, service);
}

void plan_print_end(const struct lbctl *c, const cJSON *plan, const char *done)
{
	int n = cJSON_GetArraySize(json_get(plan, "services"));
	unsigned long long from = json_u64(plan, "from_generation"), to = json_u64(plan, "generation");

	if (!json_bool(plan, "applied")) {
		if (n)
			printf("nothing was changed: %d service%s of generation %llu would change%s\n", n,
			       n == 1 ? "" : "s", from,
			       json_bool(plan, "breaks") ? ", and connections would break"
							 : ", no connection would break");
		else
			printf("nothing would change in generation %llu\n", from);
	} else if (from == to) {
		printf("%s: nothing had to change, generation %llu stays\n", done, to);
	} else {
		printf("%s: generation %llu (was %llu), %d service%s changed\n", done, to, from, n,
		       n == 1 ? "" : "s");
	}
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
	static const char refusal[] =
		"this would break connections, nothing was changed: add --yes to do it anyway";
	cJSON *error;

	if (!json_bool(*plan, "breaks") || option_given(c, OPTION_YES))
		return EXIT_DONE;
	if (!c->json && c->terminal && isatty(STDIN_FILENO) && !reads_stdin(c)) {
		if (ask())
			return EXIT_DONE;
		return lbctl_fail(c, "nothing was changed");
	}
	error = lbctl_error(refusal);
	cJSON_AddItemToObject(error, "plan", *plan);
	*plan = NULL;
	return lbctl_fail_with(c, error);
}

/* The change itself. expected: the generation that was looked at in the dry run. */
static int carry_out(struct lbctl *c, const struct request *request, const char *done,
		     int (*fail)(const struct lbctl *c, cJSON *error), unsigned long long expected)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	cJSON *error = NULL;

	if (isatty(STDERR_FILENO) && !c->json)
		c->progress = "changing";
	if (agent_try(c, request, &reply, &error) < 0)
		return fail(c, error);
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	if (json_u64(reply.root, "from_generation") != expected) {
		printf("\ngeneration %llu had become %llu meanwhile; what was done is:\n", expected,
		       json_u64(reply.root, "from_generation"));
		plan_print(c, reply.root);
	}
	plan_print_end(c, reply.root, done);
	return EXIT_DONE;
}

int plan_run(struct lbctl *c, const struct request *request, const char *done,
	     int (*fail)(const struct lbctl *c, cJSON *error))
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *dry_path =
		lbctl_format("%s%cdry_run=1", request->path, strchr(request->path, '?') ? '&' : '?');
	struct request dry = *request;
	cJSON *error = NULL;
	int r;

	dry.path = dry_path;
	if (isatty(STDERR_FILENO) && !c->json)
		c->progress = "planning";
	if (agent_try(c, &dry, &reply, &error) < 0)
		return fail(c, error);
	if (c->json && option_given(c, OPTION_DRY_RUN)) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	if (!c->json)
		plan_print(c, reply.root);
	if (option_given(c, OPTION_DRY_RUN)) {
		plan_print_end(c, reply.root, done);
		return EXIT_DONE;
	}
	r = guard(c, &reply.root);
	if (r != EXIT_DONE)
		return r;
	return carry_out(c, request, done, fail, json_u64(reply.root, "from_generation"));
}
