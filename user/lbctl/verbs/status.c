// SPDX-License-Identifier: GPL-2.0-only
/* status: how the agent and the packet path are, on one screen. */
#include <stdarg.h>
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "lbctl/peer.h"
#include "lbctl/table.h"

#define LABEL 14 /* columns of the label before each line */

static void __attribute__((format(printf, 3, 4)))
line(const struct lbctl *c, const char *label, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		lbctl_memory();
	va_end(arguments);
	printf("%-*s", LABEL, label);
	print_folded(c, LABEL, text);
}

static void print_configuration(const struct lbctl *c, const cJSON *status)
{
	unsigned long long services = json_u64(status, "services"), backends = json_u64(status, "backends");

	line(c, "configuration", "generation %llu: %llu service%s, %llu backend%s; %s",
	     json_u64(status, "generation"), services, services == 1 ? "" : "s", backends,
	     backends == 1 ? "" : "s", json_text(status, "config_file"));
}

static void print_interfaces(const struct lbctl *c, const cJSON *status)
{
	const cJSON *interface;

	cJSON_ArrayForEach (interface, json_get(status, "interfaces")) {
		const cJSON *note = json_get(interface, "attach_note");
		bool noted = cJSON_IsString(note) && *note->valuestring;

		line(c, "interface", "%s: %s, XDP %s, %s, program %llu%s%s", json_text(interface, "name"),
		     json_bool(interface, "up") ? "up" : "DOWN", json_text(interface, "mode"),
		     json_text(interface, "attach"), json_u64(interface, "program_id"), noted ? "; " : "",
		     noted ? note->valuestring : "");
	}
}

static void print_announce(const struct lbctl *c, const cJSON *status)
{
	const cJSON *announce = json_get(status, "announce"), *vip;
	const char *fleet = json_text(announce, "fleet");

	if (strcmp(fleet, "joined") != 0 && announce)
		line(c, "fleet", "%s: see lbctl join", fleet);
	cJSON_ArrayForEach (vip, json_get(announce, "vips"))
		line(c, "announced", "%s: %s (%s)%s", json_text(vip, "vip"), json_text(vip, "state"),
		     json_text(vip, "why"), json_bool(vip, "told") ? "" : "; NOT YET in the routing table");
}

static void print_slots(const struct lbctl *c, const cJSON *status)
{
	unsigned long long unsettled = json_u64(status, "unsettled_slots");

	if (unsettled)
		line(c, "slots", "%s unsettled, for %s", format_count((double)unsettled).text,
		     format_duration(json_double(status, "unsettled_since_s")).text);
	else
		line(c, "slots", "all settled");
}

static void print_flow_table(const struct lbctl *c, const cJSON *table)
{
	if (!table)
		return;
	line(c, "flow table", "%s of %s entries, %s embryonic, %s",
	     format_count(json_double(table, "entries")).text,
	     format_count(json_double(table, "capacity")).text,
	     format_count(json_double(table, "embryonic")).text,
	     format_bytes(json_double(table, "bytes")).text);
}

static void print_tables(const struct lbctl *c, const cJSON *tables)
{
	static const struct {
		const char *key, *title;
	} names[] = { { "services", "services" },
		      { "backends", "backends" },
		      { "ring_slots", "ring slots" } };
	char text[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const cJSON *table = json_get(tables, names[i].key);

		if (table && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s of %s", n ? ", " : "",
					      names[i].title, format_count(json_double(table, "used")).text,
					      format_count(json_double(table, "size")).text);
	}
	if (n)
		line(c, "tables", "%s", text);
}

/* Shares that are not what weights say: of how many services, and the worst. */
static void print_uneven(const struct lbctl *c, const cJSON *uneven)
{
	const cJSON *worst = cJSON_GetArrayItem(json_get(uneven, "worst"), 0);
	double off = json_double(worst, "off");

	if (worst)
		line(c, "shares",
		     "more than 2 %% off in %llu services, most for %s/%s: %.1f %% too %s (%llu slots "
		     "instead of %.1f): %s",
		     json_u64(uneven, "services"), json_text(worst, "service"), json_text(worst, "backend"),
		     off < 0 ? -100 * off : 100 * off, off < 0 ? "few" : "many", json_u64(worst, "slots"),
		     json_double(worst, "expected_slots"), json_text(worst, "why"));
}

static void print_packets(const struct lbctl *c, const cJSON *packets)
{
	if (!packets)
		return;
	line(c, "packets", "%s in: %s tx, %s redirect, %s pass, %s drop",
	     format_count(json_double(packets, "rx")).text, format_count(json_double(packets, "tx")).text,
	     format_count(json_double(packets, "redirect")).text,
	     format_count(json_double(packets, "pass")).text,
	     format_count(json_double(packets, "drop")).text);
}

/* Packets of a way to leave that the egress interface refused. */
static void print_lost(const struct lbctl *c, const cJSON *way, unsigned long long lost, const char *which)
{
	if (lost)
		line(c, "lost", "%s of the %s were refused by the egress interface",
		     format_count((double)lost).text, which);
	if (way && !json_bool(way, "counted"))
		line(c, "lost", "%s that are lost are not counted: %s", which, json_text(way, "why"));
}

/* What the egress interfaces refused, and captures: only where there is something to say. */
static void print_behind(const struct lbctl *c, const cJSON *status)
{
	const cJSON *packets = json_get(status, "packets");
	unsigned long long captures = json_u64(status, "captures");

	print_lost(c, json_get(status, "redirects"), json_u64(packets, "redirect_lost"),
		   "redirected packets");
	print_lost(c, json_get(status, "sent_back"), json_u64(packets, "tx_lost"), "packets sent back out");
	if (captures)
		line(c, "captures", "%llu running: the packet path is slower meanwhile", captures);
}

/* What was set by hand, and until when: so that nobody forgets it. */
static void print_overrides(const struct lbctl *c, const cJSON *status)
{
	static const char *const keys[] = { "state", "breaker", "weight" };
	const cJSON *item, *list = json_get(status, "override_list");

	cJSON_ArrayForEach (item, list) {
		_cleanup_(freep) char *until = NULL, *weight = lbctl_format("%llu", json_u64(item, "weight"));
		size_t key = json_get(item, "state") ? 0 : json_get(item, "breaker") ? 1 : 2;
		const char *why = json_get(item, "reason") ? json_text(item, "reason") : "";

		if (json_get(item, "until"))
			until = lbctl_format(" until %s", format_time(json_get(item, "until")).text);
		line(c, "override", "%s/%s %s %s since %s%s%s%s", json_text(item, "service"),
		     json_text(item, "backend"), keys[key], key == 2 ? weight : json_text(item, keys[key]),
		     format_time(json_get(item, "since")).text, until ? until : "", *why ? ": " : "", why);
	}
	if (json_u64(status, "overrides") > (unsigned long long)cJSON_GetArraySize(list) && list)
		line(c, "override", "and %llu more: lbctl backend list",
		     json_u64(status, "overrides") - (unsigned long long)cJSON_GetArraySize(list));
}

static void print_troubles(const struct lbctl *c, const cJSON *status)
{
	const cJSON *error = json_get(status, "last_error"), *warning;

	if (error)
		line(c, "last error", "%s %s", format_time(json_get(error, "time")).text,
		     json_text(error, "message"));
	cJSON_ArrayForEach (warning, json_get(status, "warnings")) {
		if (cJSON_IsString(warning))
			line(c, "warning", "%s", warning->valuestring);
	}
}

int verb_status(struct lbctl *c)
{
	_cleanup_(reply_done) struct reply reply = { 0 };
	const cJSON *status;
	int r;

	if (option_given(c, OPTION_PEER))
		return peer_status(c, c->option[OPTION_PEER]);
	r = agent_get(c, "/v1/status", "generation", &reply);

	if (r != EXIT_DONE)
		return r;
	if (c->json) {
		reply_print(&reply);
		return EXIT_DONE;
	}
	status = reply.root;
	line(c, "lbd", "%s, version %s, pid %llu, for %s", json_text(status, "state"),
	     json_text(status, "version"), json_u64(status, "pid"),
	     format_duration(json_double(status, "uptime_s")).text);
	print_configuration(c, status);
	print_interfaces(c, status);
	print_announce(c, status);
	print_slots(c, status);
	print_uneven(c, json_get(status, "uneven"));
	print_flow_table(c, json_get(status, "flow_table"));
	print_tables(c, json_get(status, "tables"));
	print_packets(c, json_get(status, "packets"));
	print_behind(c, status);
	print_overrides(c, status);
	print_troubles(c, status);
	return EXIT_DONE;
}
