// SPDX-License-Identifier: GPL-2.0-only
/* Why backends are what they are: the lines below a table of backends. */
#include <string.h>
#include <time.h>

#include "lbctl/backends.h"
#include "lbctl/format.h"
#include "lbctl/json.h"
#include "lbctl/table.h"

#define LINES_MAX 20u

/* Somebody else than who configured it says something, or what is configured does not hold. */
static bool is_worth_telling(const cJSON *reason)
{
	const char *origin = json_text(reason, "origin");

	return (strcmp(origin, "file") != 0 && strcmp(origin, "source") != 0) || !json_bool(reason, "holds");
}

bool reasons_given(const cJSON *backend)
{
	const cJSON *reason;

	cJSON_ArrayForEach (reason, json_get(backend, "reasons")) {
		if (is_worth_telling(reason))
			return true;
	}
	return false;
}

/* "drain", "weight 5", "breaker open", "10 % of its weight"; malloc'd. */
static char *what_is_said(const cJSON *reason)
{
	const cJSON *share = json_get(reason, "share_permille");
	_cleanup_(freep) char *parts =
		lbctl_format("%s%s", json_get(reason, "state") ? ", " : "",
			     json_get(reason, "state") ? json_text(reason, "state") : "");
	_cleanup_(freep) char *weight = NULL, *breaker = NULL, *part = NULL;
	char *all;

	weight = json_get(reason, "weight") ? lbctl_format(", weight %llu", json_u64(reason, "weight"))
					    : lbctl_format("%s", "");
	breaker = json_get(reason, "breaker") ? lbctl_format(", breaker %s", json_text(reason, "breaker"))
					      : lbctl_format("%s", "");
	part = share ? lbctl_format(", %.1f %% of its weight", json_double(reason, "share_permille") / 10)
		     : lbctl_format("%s", "");
	all = lbctl_format("%s%s%s%s", parts, weight, breaker, part);
	if (strncmp(all, ", ", 2) == 0)
		memmove(all, all + 2, strlen(all + 2) + 1);
	return all;
}

static void print_reason(const struct lbctl *c, const cJSON *backend, const cJSON *reason)
{
	_cleanup_(freep) char *what = what_is_said(reason), *who = NULL, *when = NULL, *line = NULL,
			      *clean = NULL, *where = NULL;
	const char *text = json_get(reason, "reason") ? json_text(reason, "reason") : "";

	if (json_get(reason, "uid"))
		who = lbctl_format(" (uid %llu, pid %llu)", json_u64(reason, "uid"), json_u64(reason, "pid"));
	else if (json_get(reason, "source"))
		who = lbctl_format(" %s", json_text(reason, "source"));
	when = lbctl_format("%s%s%s%s", json_get(reason, "since") ? " since " : "",
			    json_get(reason, "since") ? format_time(json_get(reason, "since")).text : "",
			    json_get(reason, "until") ? " until " : "",
			    json_get(reason, "until") ? format_time(json_get(reason, "until")).text : "");
	/* Of another service that shares the ring. */
	where = json_get(reason, "service") ? lbctl_format(" of %s", json_text(reason, "service")) : NULL;
	line = lbctl_format("* %s/%s: %s%s by %s%s%s%s%s%s%s", json_text(backend, "service"),
			    json_text(backend, "name"), what,
			    json_bool(reason, "holds") ? "" : " (overruled)", json_text(reason, "origin"),
			    where ? where : "", who ? who : "", when,
			    json_bool(reason, "stale") ? ", stale" : "", *text ? ": " : "", text);
	clean = text_clean(line);
	print_folded(c, 2, clean);
}

void reasons_print(const struct lbctl *c, const cJSON *backends)
{
	const cJSON *backend, *reason;
	bool by_hand = false;
	size_t lines = 0;

	cJSON_ArrayForEach (backend, backends) {
		cJSON_ArrayForEach (reason, json_get(backend, "reasons")) {
			by_hand |= strcmp(json_text(reason, "origin"), "operator") == 0;
			if (is_worth_telling(reason) && lines++ < LINES_MAX)
				print_reason(c, backend, reason);
		}
	}
	if (lines > LINES_MAX)
		printf("  and %zu more: lbctl -j backend list has all\n", lines - LINES_MAX);
	if (by_hand)
		print_folded(c, 2, "set by hand: lbctl backend set SERVICE BACKEND --reset takes it back");
}
