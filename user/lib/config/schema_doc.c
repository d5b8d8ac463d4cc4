// SPDX-License-Identifier: GPL-2.0-only
/*
 * The JSON schema (draft 2020-12), for editors and other programs, made from the schema table. What holds
 * between keys (config_check.c) cannot be said in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_read.h"

static cJSON *describe_object(const struct lb_schema_key *keys);

static void free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
}

/* cJSON's adders answer NULL without memory; the tree is then only good for being freed. */
static bool describe_strings(cJSON *node, const struct lb_schema_key *key)
{
	const struct lb_schema_format *format = key->format;
	cJSON *list, *string, *number;

	if (!format->read_number)
		return cJSON_AddStringToObject(node, "type", "string") &&
		       cJSON_AddStringToObject(node, "pattern", format->pattern) &&
		       (!key->text || cJSON_AddStringToObject(node, "default", key->text));
	list = cJSON_AddArrayToObject(node, "oneOf");
	number = cJSON_CreateObject();
	string = cJSON_CreateObject();
	cJSON_AddItemToArray(list, number);
	cJSON_AddItemToArray(list, string);
	return list && cJSON_AddStringToObject(number, "type", "integer") &&
	       cJSON_AddNumberToObject(number, "minimum", (double)key->minimum) &&
	       cJSON_AddNumberToObject(number, "maximum", (double)key->maximum) &&
	       cJSON_AddStringToObject(string, "type", "string") &&
	       cJSON_AddStringToObject(string, "pattern", format->pattern);
}

static bool describe_choices(cJSON *node, const struct lb_schema_key *key)
{
	cJSON *list = cJSON_AddArrayToObject(node, "enum");

	for (const struct lb_schema_choice *choice = key->choices; choice->name; choice++) {
		if (!cJSON_AddItemToArray(list, cJSON_CreateString(choice->name)))
			return false;
		if (lb_schema_has_default(key) && choice->value == key->value &&
		    !cJSON_AddStringToObject(node, "default", choice->name))
			return false;
	}
	return true;
}

static bool describe_integer(cJSON *node, const struct lb_schema_key *key)
{
	cJSON *list;

	if (!cJSON_AddStringToObject(node, "type", "integer"))
		return false;
	if (lb_schema_has_default(key) && !cJSON_AddNumberToObject(node, "default", (double)key->value))
		return false;
	if (!key->power_of_two)
		return cJSON_AddNumberToObject(node, "minimum", (double)key->minimum) &&
		       cJSON_AddNumberToObject(node, "maximum", (double)key->maximum);
	list = cJSON_AddArrayToObject(node, "enum");
	for (__s64 value = key->minimum; value <= key->maximum; value *= 2) {
		if (!cJSON_AddItemToArray(list, cJSON_CreateNumber((double)value)))
			return false;
	}
	return true;
}

static bool describe_array(cJSON *node, const struct lb_schema_key *key)
{
	return cJSON_AddStringToObject(node, "type", "array") &&
	       cJSON_AddItemToObject(node, "items", describe_object(key->object)) &&
	       cJSON_AddNumberToObject(node, "minItems", (double)key->minimum) &&
	       cJSON_AddNumberToObject(node, "maxItems", (double)key->maximum);
}

static cJSON *describe(const struct lb_schema_key *key)
{
	cJSON *node = key->type == LB_SCHEMA_OBJECT ? describe_object(key->object) : cJSON_CreateObject();
	char text[1024];
	bool done = true;

	snprintf(text, sizeof(text), "%s Takes effect %s.", key->help, lb_schema_effect_text(key->effect));
	done = cJSON_AddStringToObject(node, "description", text);
	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		done = done && describe_integer(node, key);
		break;
	case LB_SCHEMA_BOOLEAN:
		done = done && cJSON_AddStringToObject(node, "type", "boolean") &&
		       cJSON_AddBoolToObject(node, "default", key->value != 0);
		break;
	case LB_SCHEMA_CHOICE:
		done = done && describe_choices(node, key);
		break;
	case LB_SCHEMA_STRING:
		done = done && describe_strings(node, key);
		break;
	case LB_SCHEMA_OBJECT:
		break;
	case LB_SCHEMA_ARRAY:
		done = done && describe_array(node, key);
		break;
	}
	if (done)
		return node;
	cJSON_Delete(node);
	return NULL;
}

static cJSON *describe_object(const struct lb_schema_key *keys)
{
	_cleanup_(free_tree) cJSON *node = cJSON_CreateObject();
	cJSON *properties, *required, *taken;

	if (!cJSON_AddStringToObject(node, "type", "object") ||
	    !cJSON_AddBoolToObject(node, "additionalProperties", false))
		return NULL;
	properties = cJSON_AddObjectToObject(node, "properties");
	required = cJSON_CreateArray();
	if (!properties || !required)
		return NULL;
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		if (!cJSON_AddItemToObject(properties, key->name, describe(key)) ||
		    (key->required && !cJSON_AddItemToArray(required, cJSON_CreateString(key->name)))) {
			cJSON_Delete(required);
			return NULL;
		}
	}
	if (cJSON_GetArraySize(required) == 0)
		cJSON_Delete(required);
	else if (!cJSON_AddItemToObject(node, "required", required))
		return NULL;
	taken = node;
	node = NULL;
	return taken;
}

int lb_config_write_schema(FILE *out)
{
	_cleanup_(free_tree) cJSON *root = describe_object(lb_schema);
	char *text;

	if (!root ||
	    !cJSON_AddStringToObject(root, "$schema", "https://json-schema.org/draft/2020-12/schema") ||
	    !cJSON_AddStringToObject(root, "title", "Weir configuration, weir.json(5)"))
		return -ENOMEM;
	text = cJSON_Print(root);
	if (!text)
		return -ENOMEM;
	fprintf(out, "%s\n", text);
	cJSON_free(text);
	return ferror(out) ? -EIO : 0;
}
