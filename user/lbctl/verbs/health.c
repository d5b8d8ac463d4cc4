// SPDX-License-Identifier: GPL-2.0-only
/* health: what checks say of backends, what breakers make of it, and what follows. */
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

static void print_checker(const cJSON *root)
{
	const cJSON *checker = json_get(root, "checker"), *room = json_get(checker, "room");

	if (!json_bool(checker, "connected"))
		printf("lb-checkd is away: verdicts are those of before\n");
	else
		printf("lb-checkd has made %llu checks of %llu targets\n", json_u64(checker, "checks"),
		       json_u64(checker, "targets"));
	if (json_bool(room, "too_small"))
		printf("it has room for %llu checks at once (%llu through the packet path), and would need "
		       "it for %llu "
		       "(%llu) if no backend answered: they would begin late; see lb-checkd(8)\n",
		       json_u64(room, "checks"), json_u64(room, "ports"), json_u64(room, "checks_needed"),
		       json_u64(room, "ports_needed"));
	if (strcmp(json_text(checker, "suspicion"), "frozen") == 0)
		printf("the checker itself is suspected: verdicts are frozen\n");
	if (strcmp(json_text(json_get(checker, "canary"), "verdict"), "down") == 0)
		printf("the canary %s does not answer\n", json_text(json_get(checker, "canary"), "address"));
}

static void last_cell(struct table *table, const cJSON *check)
{
	_cleanup_(freep) char *age = NULL;

	if (!cJSON_IsObject(check)) {
		table_cell(table, "not checked");
	} else if (!cJSON_IsString(json_get(check, "last"))) {
		table_cell(table, "%s, not yet", json_text(check, "kind"));
	} else {
		age = lbctl_format("%s", format_duration(json_double(check, "last_age_s")).text);
		table_cell(table, "%s: %s, %s ago", json_text(check, "kind"), json_text(check, "last"), age);
	}
}

static void row(struct table *table, const cJSON *backend)
{
	const cJSON *breaker = json_get(backend, "breaker");
	const cJSON *trouble = json_get(json_get(backend, "check"), "path");
	const char *reason = json_text(backend, "reason");

	table_cell(table, "%s", json_text(backend, "service"));
	table_cell(table, "%s", json_text(backend, "backend"));
	table_cell(table, "%s", json_text(backend, "says"));
	table_cell(table, "%.1f %%", json_double(backend, "share_permille") / 10);
	if (cJSON_IsObject(breaker)) {
		table_cell(table, "%s", json_text(breaker, "state"));
		table_cell(table, "%s", format_duration(json_double(breaker, "since_s")).text);
		if (!reason[0])
			reason = json_text(breaker, "why");
	} else {
		table_cell(table, "-");
		table_cell(table, "-");
	}
	last_cell(table, json_get(backend, "check"));
	/* That a check says nothing is worse than what it said. */
	if (cJSON_IsString(trouble))
		reason = trouble->valuestring;
	table_cell(table, "%s", reason);
}

static void print_health(const struct lbctl *c, const cJSON *root)
{
	static const struct column columns[] = {
		{ "SERVICE", 0 }, { "BACKEND", 0 },          { "SAYS", 0 },  { "SHARE", COLUMN_RIGHT },
		{ "BREAKER", 0 }, { "SINCE", COLUMN_RIGHT }, { "CHECK", 0 }, { "WHY", 0 },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	const cJSON *one;

	print_checker(root);
	cJSON_ArrayForEach (one, json_get(root, "backends"))
		row(table, one);
	if (!table_rows(table))
		puts("no backend is checked");
	table_print(table, c);
	cJSON_ArrayForEach (one, json_get(root, "services")) {
		if (json_bool(one, "below_floor"))
			printf("%s: only %llu of %llu of its weight can serve, which is below the floor\n",
			       json_text(one, "service"), json_u64(one, "usable_weight"),
			       json_u64(one, "weight"));
	}
}

int verb_health(struct lbctl *c)
{
	_cleanup_(freep) char *service = c->n_arguments > 0 ? agent_escape(c->argument[0]) : NULL;
	_cleanup_(freep) char *backend = c->n_arguments > 1 ? agent_escape(c->argument[1]) : NULL;
	_cleanup_(freep) char *path =
		lbctl_format("/v1/health%s%s%s%s", service ? "/" : "", service ? service : "",
			     backend ? "/" : "", backend ? backend : "");
	_cleanup_(reply_done) struct reply reply = { 0 };
	int r = agent_get(c, path, "backends", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json)
		reply_print(&reply);
	else
		print_health(c, reply.root);
	return EXIT_DONE;
}
