// SPDX-License-Identifier: GPL-2.0-only
/*
 * The manual page weir.json(5), man(7) source: what the file is, every key out of the schema table, an
 * example, what errors look like.
 */
#include <errno.h>
#include <string.h>

#include "config/config.h"
#include "config/schema.h"

/* The checks of tests/unit parse it, so that the page cannot show what is not accepted. */
const char lb_schema_example[] =
	"{\n"
	"  \"version\": 1,\n"
	"  \"hash_seed\": \"the same secret on every balancer\",\n"
	"  \"interfaces\": [ { \"name\": \"eth0\" } ],\n"
	"  \"services\": [\n"
	"    { \"name\": \"web\", \"vip\": \"203.0.113.10\", \"protocol\": \"tcp\", \"port\": 443,\n"
	"      \"backends\": [\n"
	"        { \"name\": \"web-1\", \"address\": \"10.0.1.11\" },\n"
	"        { \"name\": \"web-2\", \"address\": \"10.0.1.12\", \"weight\": 50 } ] } ]\n"
	"}\n";

/* Text with what roff would take as a command made harmless. */
static void write_text(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\n' && (text[1] == '.' || text[1] == '\''))
			fputs("\n\\&", out);
		else
			fputc(*text, out);
	}
}

static const char *choice_name(const struct lb_schema_key *key)
{
	const struct lb_schema_choice *choice = key->choices;

	while (choice->name && choice->value != key->value)
		choice++;
	return choice->name ? choice->name : "?";
}

static void write_default(FILE *out, const struct lb_schema_key *key)
{
	if (key->required) {
		fputs("Required.", out);
		return;
	}
	if (key->inherits)
		fputs("If it is not given: as the level above says. ", out);
	if (!lb_schema_has_default(key) && (!key->inherits || key->without)) {
		fputs(key->without ? "Default: " : "Optional", out);
		write_text(out, key->without ? key->without : "");
		fputc('.', out);
		return;
	}
	fputs("Default: ", out);
	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		fprintf(out, "%lld", key->value);
		break;
	case LB_SCHEMA_BOOLEAN:
		fputs(key->value ? "true" : "false", out);
		break;
	case LB_SCHEMA_CHOICE:
		fputc('"', out);
		write_text(out, choice_name(key));
		fputc('"', out);
		break;
	default:
		fputc('"', out);
		write_text(out, key->text);
		fputc('"', out);
	}
	fputc('.', out);
}

static void write_choices(FILE *out, const struct lb_schema_key *key)
{
	if (!key->choices[0].help)
		return;
	fputs(".RS\n", out);
	for (const struct lb_schema_choice *choice = key->choices; choice->name; choice++) {
		fputs(".TP\n.B ", out);
		write_text(out, choice->name);
		fputc('\n', out);
		write_text(out, choice->help);
		fputc('\n', out);
	}
	fputs(".RE\n", out);
}

static void write_key(FILE *out, const struct lb_schema_key *key)
{
	char accepted[LB_SCHEMA_ACCEPTED_MAX];

	fputs(".TP\n.B ", out);
	write_text(out, key->name);
	fputc('\n', out);
	write_text(out, key->help);
	fputs("\n.br\nAccepted: ", out);
	write_text(out, lb_schema_accepted(key, accepted));
	fputs(".\n", out);
	write_default(out, key);
	fputs("\nTakes effect ", out);
	write_text(out, lb_schema_effect_text(key->effect));
	fputs(".\n", out);
	if (key->vouched)
		fputs("A request may say it only as the file does already.\n", out);
	if (key->type == LB_SCHEMA_CHOICE)
		write_choices(out, key);
}

static void write_elsewhere(FILE *out, const struct lb_schema_key *key, const char *path)
{
	fputs(".SS ", out);
	write_text(out, path);
	fprintf(out, ".%s\nThe keys of health.%s.\n", key->name, key->name);
}

/* A section for the object, then one for each object in it. */
static void write_section(FILE *out, const struct lb_schema_key *keys, const char *path)
{
	fputs(".SS ", out);
	write_text(out, path[0] ? path : "The whole file");
	fputc('\n', out);
	for (const struct lb_schema_key *key = keys; key->name; key++)
		write_key(out, key);
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		char inner[128];

		if (!key->object)
			continue;
		/* The same at every level: described once, at the top. */
		if (key->owned && strcmp(path, "health") != 0) {
			write_elsewhere(out, key, path);
			continue;
		}
		snprintf(inner, sizeof(inner), "%s%s%s%s", path, path[0] ? "." : "", key->name,
			 key->type == LB_SCHEMA_ARRAY ? "[]" : "");
		write_section(out, key->object, inner);
	}
}

static const char intro[] =
	".\\\" Made from the schema table in user/lib/config/schema.c by `make config-docs`: change it "
	"there.\n"
	".TH WEIR.JSON 5 \"\" Weir \"Weir Manual\"\n"
	".SH NAME\n"
	"weir.json \\- configuration of the Weir load balancer\n"
	".SH SYNOPSIS\n"
	".I /etc/weir/weir.json\n"
	".SH DESCRIPTION\n"
	"One JSON file (RFC 8259, UTF\\-8, at most 64 MiB) says what\n"
	".BR lbd (8)\n"
	"balances: the interfaces, the services and their backends.\n"
	"It is read when\n"
	".BR lbd (8)\n"
	"starts, on SIGHUP, and by\n"
	".BR \"lbctl apply\" .\n"
	".PP\n"
	"A file is taken as a whole or not at all.\n"
	"Unknown keys, keys given twice, values out of range and combinations that cannot work are errors.\n"
	"An error names file, line and column, the JSON path of the place, the value, and what would be "
	"accepted;\n"
	"whatever was running before keeps running.\n"
	".B lbctl validate\n"
	".I FILE\n"
	"checks a file without a running\n"
	".BR lbd (8).\n"
	".PP\n"
	"The file\n"
	".I schema.json\n"
	"that comes with Weir is a JSON schema (draft 2020\\-12) of the format, for editors.\n"
	".SH KEYS\n"
	"Names of backends and services are what rings are made of: two balancers with the same\n"
	".BR hash_seed ,\n"
	"names and weights send every flow to the same backend.\n";

static const char outro[] = ".SH ERRORS\n"
			    "A misspelt key is reported by\n"
			    ".B lbctl validate weir.json\n"
			    "as\n"
			    ".PP\n"
			    ".nf\n"
			    ".RS\n"
			    "lbctl: weir.json:9:62: unknown key \"wieght\"; did you mean \"weight\"?\n"
			    "  at services[0].backends[1].wieght: 50\n"
			    ".RE\n"
			    ".fi\n"
			    ".SH FILES\n"
			    ".TP\n"
			    ".I /etc/weir/weir.json\n"
			    "The configuration.\n"
			    ".SH SEE ALSO\n"
			    ".BR lbd (8),\n"
			    ".BR lbctl (8)\n";

int lb_config_write_man(FILE *out)
{
	fputs(intro, out);
	write_section(out, lb_schema, "");
	fputs(".SH EXAMPLE\n"
	      "The least that does something: one service, two backends, packets sent in IP tunnels.\n"
	      ".PP\n.nf\n.RS\n",
	      out);
	write_text(out, lb_schema_example);
	fputs(".RE\n.fi\n", out);
	fputs(outro, out);
	return ferror(out) ? -EIO : 0;
}
