// SPDX-License-Identifier: GPL-2.0-only
/* observe: what the flows of a service's clients tell of its backends. */
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "lbctl/table.h"

/* "~" in front of what is scaled up from a sample. */
static void count_cell(struct table *table, const cJSON *of, const char *key, bool estimated)
{
	double n = json_double(of, key);

	table_cell(table, "%s%s", estimated && n > 0 ? "~" : "", format_count(n).text);
}

/* The same with its share of the flows that were begun. */
static void share_cell(struct table *table, const cJSON *of, const char *key, bool estimated)
{
	double n = json_double(of, key), all = json_double(of, "started");

	if (n > 0 && all > 0)
		table_cell(table, "%s%s (%.1f %%)", estimated ? "~" : "", format_count(n).text,
			   n < all ? 100 * n / all : 100.0);
	else
		table_cell(table, "%s", format_count(n).text);
}

/* Histograms have buckets by powers of two: a time is below what is shown. */
static void time_cell(struct table *table, const cJSON *quantiles, const char *key)
{
	double ns = json_double(quantiles, key);

	if (ns <= 0)
		table_cell(table, "-");
	else if (ns < 1e6)
		table_cell(table, "< %.0f us", ns / 1e3);
	else if (ns < 1e9)
		table_cell(table, "< %.1f ms", ns / 1e6);
	else
		table_cell(table, "< %.1f s", ns / 1e9);
}

static void row(struct table *table, const cJSON *of, bool estimated)
{
	const cJSON *handshake = json_get(of, "handshake_ns");

	table_cell(table, "%s", json_text(of, "name"));
	count_cell(table, of, "open", estimated);
	count_cell(table, of, "started", estimated);
	time_cell(table, handshake, "p50");
	time_cell(table, handshake, "p99");
	share_cell(table, of, "retried", estimated);
	share_cell(table, of, "gave_up", estimated);
	share_cell(table, of, "resent", estimated);
	share_cell(table, of, "reset_early", estimated);
	share_cell(table, of, "reset_late", estimated);
	count_cell(table, of, "tls_hellos", estimated);
}

static void print_rows(const struct lbctl *c, const char *title, const cJSON *list, bool estimated)
{
	const struct column columns[] = {
		{ title, 0 },
		{ "OPEN", COLUMN_RIGHT },
		{ "STARTED", COLUMN_RIGHT },
		{ "SYN-ACK", COLUMN_RIGHT },
		{ "99 %", COLUMN_RIGHT },
		{ "RETRIED", COLUMN_RIGHT },
		{ "GAVE UP", COLUMN_RIGHT },
		{ "RESENT", COLUMN_RIGHT },
		{ "RESET", COLUMN_RIGHT },
		{ "AFTER DATA", COLUMN_RIGHT | COLUMN_OPTIONAL },
		{ "TLS", COLUMN_RIGHT | COLUMN_OPTIONAL | COLUMN_FILLED },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);
	const cJSON *one;

	cJSON_ArrayForEach (one, list)
		row(table, one, estimated);
	table_print(table, c);
}

static void print_sampling(const cJSON *sampling)
{
	double lost = json_double(sampling, "events_lost");

	if (!json_bool(sampling, "on")) {
		printf("observation is off (observer.cpu_permille is 0 in the configuration): figures are of "
		       "before\n");
		return;
	}
	if (json_bool(sampling, "estimated"))
		printf("1 flow in %llu is sampled: figures are estimates", json_u64(sampling, "one_in"));
	else
		printf("every flow is looked at");
	printf("; it takes %.2f %% of a core\n", 100 * json_double(sampling, "cost_ratio"));
	if (lost > 0)
		printf("%s events were lost, for the agent was too slow to take them\n",
		       format_count(lost).text);
}

static void print_tls(const cJSON *root)
{
	static const struct {
		const char *key, *text;
	} parts[] = {
		{ "tls_resumptions", "offer to resume a session" },
		{ "tls_1_3", "TLS 1.3" },
		{ "tls_1_2", "TLS 1.2 at best" },
		{ "tls_older", "older" },
		{ "tls_alpn_h2", "h2" },
		{ "tls_alpn_http_1_1", "http/1.1" },
		{ "tls_alpn_other", "another protocol" },
		{ "tls_bad", "not well-formed" },
	};
	double all = json_double(root, "tls_hellos");

	if (all <= 0)
		return;
	printf("TLS hellos: %s", format_count(all).text);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (json_double(root, parts[i].key) > 0)
			printf(", %.0f %% %s", 100 * json_double(root, parts[i].key) / all, parts[i].text);
	putchar('\n');
}

static void print_ended(const cJSON *root)
{
	double ended =
		json_double(root, "closed") + json_double(root, "reset_late") + json_double(root, "silent");
	double bytes = json_double(root, "ended_bytes"), p50;

	if (ended <= 0)
		return;
	p50 = json_double(json_get(root, "duration_ns"), "p50") / 1e9;
	printf("connections ended: %s, of %s from the client on average", format_count(ended).text,
	       format_bytes(bytes / ended).text);
	printf(", half of them within %s\n", format_duration(p50).text);
}

int verb_observe(struct lbctl *c)
{
	_cleanup_(freep) char *service = c->n_arguments ? agent_escape(c->argument[0]) : NULL;
	_cleanup_(freep) char *path =
		lbctl_format("/v1/observe%s%s", service ? "/" : "", service ? service : "");
	_cleanup_(reply_done) struct reply reply = { 0 };
	int r = agent_get(c, path, service ? "backends" : "services", &reply);
	bool estimated;

	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	estimated = json_bool(json_get(reply.root, "sampling"), "estimated");
	print_sampling(json_get(reply.root, "sampling"));
	if (service) {
		print_ended(reply.root);
		print_tls(reply.root);
	}
	print_rows(c, service ? "BACKEND" : "SERVICE",
		   json_get(reply.root, service ? "backends" : "services"), estimated);
	return EXIT_DONE;
}
