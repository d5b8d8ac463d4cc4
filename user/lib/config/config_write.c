// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the structure back to JSON, by the schema table: every key with its value, also where it is the
 * default, so that the text says what is in force. Parsing the text gives an equal structure.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_read.h"

static void write_object(FILE *out, const struct lb_schema_key *keys, const void *base, int depth);

static void indent(FILE *out, int depth)
{
	fprintf(out, "\n%*s", 2 * depth, "");
}

static void write_array(FILE *out, const struct lb_schema_key *key, const void *base, int depth)
{
	size_t count = *(const size_t *)((const char *)base + key->count_offset);
	const char *elements = (const char *)base + key->offset;

	if (!key->in_place)
		elements = *(const char *const *)elements;
	fputc('[', out);
	for (size_t i = 0; i < count; i++) {
		if (i)
			fputc(',', out);
		indent(out, depth + 1);
		write_object(out, key->object, elements + i * key->size, depth + 1);
	}
	if (count)
		indent(out, depth);
	fputc(']', out);
}

static void write_choice(FILE *out, const struct lb_schema_key *key, const void *field)
{
	__s64 value = lb_schema_load(field, key->size);
	const struct lb_schema_choice *choice = key->choices;

	while (choice->name && choice->value != value)
		choice++;
	lb_json_quote(out, choice->name ? choice->name : "?");
}

static void write_string(FILE *out, const struct lb_schema_key *key, const void *field)
{
	char text[LB_SCHEMA_TEXT_MAX];

	if (key->format->print(field, text, sizeof(text)))
		fputs(text, out);
	else
		lb_json_quote(out, text);
}

/* Whether a key would be written; a key without default is left out when it was not given. */
static bool given(const struct lb_schema_key *key, const void *base)
{
	if (key->required || lb_schema_has_default(key) || key->type == LB_SCHEMA_ARRAY)
		return true;
	if (key->type != LB_SCHEMA_OBJECT || key->owned)
		return lb_schema_given(key, base);
	for (const struct lb_schema_key *inner = key->object; inner->name; inner++) {
		if (inner->type == LB_SCHEMA_ARRAY ? lb_schema_given(inner, (const char *)base + key->offset)
						   : given(inner, (const char *)base + key->offset))
			return true;
	}
	return false;
}

static void write_value(FILE *out, const struct lb_schema_key *key, const void *base, int depth)
{
	const void *field = (const char *)base + key->offset;

	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		/* A key without a field has one value. */
		fprintf(out, "%lld", key->size ? lb_schema_load(field, key->size) : key->minimum);
		break;
	case LB_SCHEMA_BOOLEAN:
		fputs(*(const bool *)field ? "true" : "false", out);
		break;
	case LB_SCHEMA_CHOICE:
		write_choice(out, key, field);
		break;
	case LB_SCHEMA_STRING:
		write_string(out, key, field);
		break;
	case LB_SCHEMA_OBJECT:
		write_object(out, key->object, key->owned ? *(const void *const *)field : field, depth);
		break;
	case LB_SCHEMA_ARRAY:
		write_array(out, key, base, depth);
		break;
	}
}

static void write_object(FILE *out, const struct lb_schema_key *keys, const void *base, int depth)
{
	const char *comma = "";

	fputc('{', out);
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		if (!given(key, base))
			continue;
		fputs(comma, out);
		comma = ",";
		indent(out, depth + 1);
		fprintf(out, "\"%s\": ", key->name);
		write_value(out, key, base, depth + 1);
	}
	if (*comma)
		indent(out, depth);
	fputc('}', out);
}

const char *lb_config_value(const struct lb_schema_key *key, const void *base,
			    char buffer[LB_CONFIG_VALUE_MAX])
{
	FILE *out;

	if (key->secret || !given(key, base))
		return strcpy(buffer, key->secret ? "\"(secret)\"" : "null");
	out = fmemopen(buffer, LB_CONFIG_VALUE_MAX, "w");
	if (!out)
		return strcpy(buffer, "\"(out of memory)\"");
	write_value(out, key, base, 0);
	fclose(out);
	buffer[LB_CONFIG_VALUE_MAX - 1] = '\0';
	return buffer;
}

int lb_config_write(const struct lb_config *config, FILE *out)
{
	write_object(out, lb_schema, config, 0);
	fputc('\n', out);
	return ferror(out) ? -EIO : 0;
}
