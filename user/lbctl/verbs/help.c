// SPDX-License-Identifier: GPL-2.0-only
/* The help, printed from the tables in verbs.c. */
#include <string.h>

#include "lbctl/lbctl.h"

static void print_options(unsigned long long options, FILE *out)
{
	for (int i = 0; i < OPTIONS_MAX; i++) {
		const struct option *option = &lbctl_options[i];
		char letter[8] = "    ", name[48];

		if (!(options & OPTION_BIT(i)))
			continue;
		if (option->letter)
			snprintf(letter, sizeof(letter), "-%c, ", option->letter);
		snprintf(name, sizeof(name), "%s--%s%s%s", letter, option->name, option->value ? " " : "",
			 option->value ? option->value : "");
		fprintf(out, "  %-25s %s\n", name, option->help);
	}
}

static void print_verb(const struct verb *verb, FILE *out)
{
	fprintf(out, "lbctl %s%s%s\n\n%s\n", verb->name, *verb->arguments ? " " : "", verb->arguments,
		verb->help);
	if (verb->more)
		fprintf(out, "\n%s", verb->more);
	fputs("\nOptions:\n", out);
	print_options(verb->options, out);
	print_options(OPTIONS_GLOBAL, out);
}

void lbctl_help(const struct lbctl *c, const struct verb *verb, FILE *out)
{
	if (verb) {
		print_verb(verb, out);
		return;
	}
	fputs("lbctl [OPTION...] [VERB ...]: drive the load balancer's agent, lbd\n\nVerbs:\n", out);
	for (verb = lbctl_verbs; verb->name; verb++)
		fprintf(out, "  %-13s %s\n", verb->name, verb->help);
	fputs("\nOptions of every verb:\n", out);
	print_options(OPTIONS_GLOBAL | OPTION_BIT(OPTION_VERSION), out);
	fputs("\nlbctl VERB --help tells more. Exit status: 0 done, 1 failed, 2 wrong usage, 3 (diff) "
	      "something differs.\n",
	      out);
}

int verb_help(struct lbctl *c)
{
	char name[80];

	if (!c->n_arguments) {
		lbctl_help(c, NULL, stdout);
		return EXIT_DONE;
	}
	snprintf(name, sizeof(name), "%s%s%s", c->argument[0], c->n_arguments > 1 ? " " : "",
		 c->n_arguments > 1 ? c->argument[1] : "");
	for (const struct verb *verb = lbctl_verbs; verb->name; verb++) {
		if (strcmp(verb->name, name) == 0) {
			lbctl_help(c, verb, stdout);
			return EXIT_DONE;
		}
	}
	return lbctl_usage(c, "there is no verb '%s'", name);
}
