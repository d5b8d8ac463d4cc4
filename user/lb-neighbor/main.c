// SPDX-License-Identifier: GPL-2.0-only
/*
 * lb-neighbor: options, and the verbs that another election than keepalived's uses.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "lb-neighbor/lb-neighbor.h"
#include "version.h"

#define GROUP_DEFAULT 51
#define SECONDS_MAX   3600

static int verb_lead(const struct options *options);
static int verb_follow(const struct options *options);
static int verb_status(const struct options *options);

static const struct verb {
	const char *name;
	int (*run)(const struct options *options);
	const char *arguments;
	const char *help;
} verbs[] = {
	{ "run", verb_run, "", "watch keepalived's election, announce VIPs, until it is told to end" },
	{ "lead", verb_lead, "--seconds S [--group N]",
	  "this balancer leads for so long: say it again before" },
	{ "follow", verb_follow, "[--group N]", "it does not" },
	{ "status", verb_status, "[-j]", "who leads, and what is answered for" },
};
#define VERBS (sizeof(verbs) / sizeof(*verbs))

static void usage(FILE *out)
{
	fprintf(out, "usage: lb-neighbor VERB [OPTION...]\n\nverbs:\n");
	for (size_t i = 0; i < VERBS; i++)
		fprintf(out, "  %-7s %-24s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	fprintf(out,
		"\noptions:\n"
		"  --group N        announce.group of weir.json (%d)\n"
		"  --seconds S      for how long; fractions are allowed\n"
		"  --bpffs DIR      where lbd pins the packet path (" BPFFS_DEFAULT ")\n"
		"  --run-dir DIR    where keepalived reads how fit this balancer is (" RUN_DEFAULT ")\n"
		"  -j, --json       machine-readable status\n"
		"  -h, --help, --version\n",
		GROUP_DEFAULT);
}

static int wrong(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "lb-neighbor: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (see lb-neighbor --help)\n");
	return 2;
}

void say(int level, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", level, text);
	else
		fprintf(stderr, "lb-neighbor: %s\n", text);
}

static int open_or_tell(struct table *table, const struct options *options)
{
	struct lb_error error = {};
	int r = table_open(table, options->bpffs, &error);

	if (r < 0)
		fprintf(stderr, "lb-neighbor: %s\n", error.text);
	return r;
}

static int verb_lead(const struct options *options)
{
	struct table table = {};
	__u64 now;

	if (options->seconds <= 0)
		return wrong("lead: --seconds says for how long, so that leadership ends when nobody says it "
			     "again");
	if (open_or_tell(&table, options) < 0)
		return 1;
	now = lb_now_ns();
	lb_neighbors_lead(table.all, (__u8)options->group, now + (__u64)(options->seconds * 1e9), now);
	table_close(&table);
	return 0;
}

static int verb_follow(const struct options *options)
{
	struct table table = {};

	if (open_or_tell(&table, options) < 0)
		return 1;
	lb_neighbors_follow(table.all, (__u8)options->group);
	table_close(&table);
	return 0;
}

static void print_group(const struct lb_neighbors *all, unsigned int number, bool json, bool first)
{
	const struct lb_neighbor_group *group = &all->group[number];
	const char *format =
		json ? "%s{\"group\":%u,\"interface\":\"%s\",\"leads\":%s,\"fitness\":%d,\"heard\":%llu}"
		     : "%sgroup %u on %s: leads %s, fitness %d, announced by others %llu times";
	char name[IF_NAMESIZE] = "";

	if (!if_indextoname(group->ifindex, name))
		snprintf(name, sizeof(name), "?");
	printf(format,
	       first  ? ""
	       : json ? ","
		      : "",
	       number, name,
	       lb_neighbor_leads(group, lb_now_ns()) ? (json ? "true" : "yes") : (json ? "false" : "no"),
	       lb_neighbors_fitness(all, (__u8)number), (unsigned long long)group->heard);
	if (!json)
		printf("\n");
}

static void print_vip(const struct lb_neighbor_vip *vip, bool json, bool first)
{
	struct lb_address address;
	char text[LB_ADDRESS_TEXT_MAX];

	lb_neighbor_address(vip, &address);
	printf(json ? "%s{\"vip\":\"%s\",\"group\":%u,\"state\":\"%s\",\"answered\":%llu}"
		    : "%s  %s (group %u): %s, answered %llu times\n",
	       json && !first ? "," : "", lb_address_text(&address, text), vip->group,
	       lb_announce_state_name(lb_neighbor_state(vip)), (unsigned long long)vip->answered);
}

static int verb_status(const struct options *options)
{
	struct table table = {};
	bool first = true;

	if (open_or_tell(&table, options) < 0)
		return 1;
	printf("%s", options->json ? "{\"groups\":[" : "");
	for (unsigned int i = 0; i < LB_NEIGHBOR_GROUPS; i++) {
		if (!table.all->group[i].ifindex)
			continue;
		print_group(table.all, i, options->json, first);
		first = false;
	}
	printf("%s", options->json ? "],\"vips\":[" : "");
	first = true;
	for (unsigned int i = 0; i < LB_NEIGHBOR_PLACES; i++) {
		if (!table.all->place[i].flags)
			continue;
		print_vip(&table.all->place[i], options->json, first);
		first = false;
	}
	printf("%s", options->json ? "]}\n" : "");
	table_close(&table);
	return 0;
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int parse_number(const char *option, const char *text, double least, double most, double *ret_number)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= least && number <= most))
		return wrong("%s %s: a number from %g to %g", option, text, least, most);
	*ret_number = number;
	return 0;
}

/* 0, or an exit status plus one: it is over. */
static int read_options(int argc, char **argv, struct options *options)
{
	enum { OPTION_GROUP = 256, OPTION_SECONDS, OPTION_BPFFS, OPTION_RUN_DIR, OPTION_VERSION };
	static const struct option known[] = { { "group", required_argument, NULL, OPTION_GROUP },
					       { "seconds", required_argument, NULL, OPTION_SECONDS },
					       { "bpffs", required_argument, NULL, OPTION_BPFFS },
					       { "run-dir", required_argument, NULL, OPTION_RUN_DIR },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, OPTION_VERSION },
					       {} };
	double number;
	int option;

	while ((option = getopt_long(argc, argv, "jh", known, NULL)) >= 0) {
		switch (option) {
		case OPTION_GROUP:
			if (parse_number("--group", optarg, 1, LB_NEIGHBOR_GROUPS - 1, &number))
				return 3;
			options->group = (unsigned int)number;
			break;
		case OPTION_SECONDS:
			if (parse_number("--seconds", optarg, 0.001, SECONDS_MAX, &options->seconds))
				return 3;
			break;
		case OPTION_BPFFS:
			options->bpffs = optarg;
			break;
		case OPTION_RUN_DIR:
			options->run_dir = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		case OPTION_VERSION:
			printf("lb-neighbor %s\n", LB_VERSION);
			return 1;
		default:
			fprintf(stderr, "(see lb-neighbor --help)\n");
			return 3;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = { .bpffs = BPFFS_DEFAULT, .run_dir = RUN_DEFAULT, .group = GROUP_DEFAULT };
	int over = read_options(argc, argv, &options);
	const struct verb *verb;

	if (over)
		return over - 1;
	if (optind == argc)
		return wrong("which verb?");
	verb = verb_find(argv[optind]);
	if (!verb)
		return wrong("unknown verb \"%s\"; there are run, lead, follow and status", argv[optind]);
	if (optind + 1 < argc)
		return wrong("%s takes no argument \"%s\"", verb->name, argv[optind + 1]);
	return verb->run(&options);
}
