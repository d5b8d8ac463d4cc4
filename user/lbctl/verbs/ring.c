// SPDX-License-Identifier: GPL-2.0-only
/* ring: who owns the slots of a service and how evenly; with --dump, each slot's cur and base. */
#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

static void print_owners(const struct lbctl *c, const cJSON *ring)
{
	static const struct column columns[] = {
		{ "BACKEND", 0 },
		{ "SLOTS", COLUMN_RIGHT },
		{ "SHARE", COLUMN_RIGHT },
		{ "EXPECTED", COLUMN_RIGHT },
		{ "OF EXPECTED", COLUMN_RIGHT },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	const cJSON *owner;

	cJSON_ArrayForEach (owner, json_get(ring, "owners")) {
		double share = json_double(owner, "share"), expected = json_double(owner, "expected_share");

		table_cell(table, "%s", json_text(owner, "backend"));
		table_cell(table, "%llu", json_u64(owner, "slots"));
		table_cell(table, "%.3f %%", share * 100);
		table_cell(table, "%.3f %%", expected * 100);
		table_cell(table, expected > 0 ? "%.3f" : "-", share / expected);
	}
	table_print(table, c);
}

static void print_ring(const struct lbctl *c, const cJSON *ring)
{
	_cleanup_(freep) char *name = text_clean(json_text(ring, "service"));
	unsigned long long unsettled = json_u64(ring, "unsettled_slots");

	printf("%s: %llu slots by %s, generation %llu, fullest over mean %.3f, ", name,
	       json_u64(ring, "size"), json_text(ring, "algorithm"), json_u64(ring, "generation"),
	       json_double(ring, "max_over_mean"));
	if (unsettled)
		printf("%llu unsettled\n\n", unsettled);
	else
		printf("all settled\n\n");
	print_owners(c, ring);
}

/* Names by index, so that 65536 slots do not walk the list each. names: n clean texts. */
static const char *name_of(char *const *names, size_t n, const cJSON *index)
{
	unsigned long long i;

	if (!json_is_integer(index))
		return "-";
	i = json_value_u64(index);
	return i < n && names[i] ? names[i] : "?";
}

static void print_slots(const cJSON *ring)
{
	const cJSON *backends = json_get(ring, "backends"), *slot, *backend;
	size_t n = (size_t)cJSON_GetArraySize(backends), i = 0;
	char **names = calloc(n + 1, sizeof(*names));
	unsigned long long number = 0;

	if (!names)
		lbctl_memory();
	cJSON_ArrayForEach (backend, backends) {
		names[i++] = cJSON_IsString(backend) ? text_clean(backend->valuestring) : NULL;
	}
	cJSON_ArrayForEach (slot, json_get(ring, "slots")) {
		const cJSON *cur = slot->child, *base = cur ? cur->next : NULL,
			    *unsettled = base ? base->next : NULL;

		printf("%llu %s %s %s\n", number++, name_of(names, n, cur), name_of(names, n, base),
		       json_value_u64(unsettled) ? "unsettled" : "settled");
	}
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

int verb_ring(struct lbctl *c)
{
	bool dump = option_given(c, OPTION_DUMP);
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(freep) char *name = agent_escape(c->argument[0]);
	_cleanup_(freep) char *path = lbctl_format("/v1/services/%s/ring%s", name, dump ? "?dump=1" : "");
	int r = agent_get(c, path, dump ? "slots" : "owners", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json)
		reply_print(&reply);
	else if (dump)
		print_slots(reply.root);
	else
		print_ring(c, reply.root);
	return EXIT_DONE;
}
