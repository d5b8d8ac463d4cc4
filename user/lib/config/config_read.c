// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the JSON tree to the structure, by the schema table alone: defaults, types, ranges, unknown and
 * duplicate keys. Children are walked in order (cJSON's own look-up ignores case and is linear). Relies on
 * config_json.c having checked the syntax, so that strings hold no zero bytes and depth is bounded.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_read.h"
#include "base/nearest.h"

static int read_object(struct lb_reading *reading, const struct lb_schema_key *keys,
		       const struct lb_place *place, const cJSON *node, void *base);

/* --- places and errors -----------------------------------------------------------------------------------
 */

static bool plain_key(const char *key)
{
	return *key &&
	       key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == 0;
}

/* Appends the path of a place; what does not fit is cut by lb_error_at. */
static void print_place(const struct lb_place *place, FILE *out)
{
	if (!place)
		return;
	print_place(place->parent, out);
	if (!place->key) {
		fprintf(out, "[%zu]", place->index);
	} else if (plain_key(place->key)) {
		fprintf(out, "%s%s", place->parent ? "." : "", place->key);
	} else {
		fputc('[', out);
		lb_json_quote(out, place->key);
		fputc(']', out);
	}
}

int lb_reading_fail(struct lb_reading *reading, const struct lb_place *place, const cJSON *node,
		    const cJSON *value, const char *format, ...)
{
	char path[sizeof(reading->error->path) + 1] = "";
	char shown[sizeof(reading->error->value)];
	char text[sizeof(reading->error->text) + 1];
	va_list arguments;
	FILE *out;

	reading->culprit = node;
	out = fmemopen(path, sizeof(path), "w");
	if (out) {
		print_place(place, out);
		fclose(out);
		path[sizeof(path) - 1] = 0;
	}
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return lb_error_at(reading->error, EINVAL, path, lb_json_value(value, shown, sizeof(shown)), "%s",
			   text);
}

static const char *type_name(const cJSON *node)
{
	if (cJSON_IsObject(node))
		return "an object";
	if (cJSON_IsArray(node))
		return "a list";
	if (cJSON_IsString(node))
		return "a string";
	if (cJSON_IsNumber(node))
		return "a number";
	if (cJSON_IsBool(node))
		return cJSON_IsTrue(node) ? "true" : "false";
	return "null";
}

static int wrong_type(struct lb_reading *reading, const struct lb_schema_key *key,
		      const struct lb_place *place, const cJSON *node)
{
	char accepted[LB_SCHEMA_ACCEPTED_MAX];

	return lb_reading_fail(reading, place, node, node, "%s must be %s, not %s", key->name,
			       lb_schema_accepted(key, accepted), type_name(node));
}

/* --- defaults --------------------------------------------------------------------------------------------
 */

static void set_default(const struct lb_schema_key *key, void *base)
{
	char *field = (char *)base + key->offset;

	if (key->inherits) {
		if (key->type == LB_SCHEMA_INTEGER)
			lb_schema_store(field, key->size, -1);
		return;
	}
	switch (key->type) {
	case LB_SCHEMA_INTEGER:
	case LB_SCHEMA_CHOICE:
		if (key->size)
			lb_schema_store(field, key->size, key->value);
		break;
	case LB_SCHEMA_BOOLEAN:
		*(bool *)field = key->value;
		break;
	case LB_SCHEMA_STRING:
		if (key->text)
			key->format->read(key, key->text, field, (char[LB_SCHEMA_REASON_MAX]){ 0 });
		break;
	case LB_SCHEMA_OBJECT:
		for (const struct lb_schema_key *inner = key->object; inner->name && !key->owned; inner++)
			set_default(inner, field);
		break;
	case LB_SCHEMA_ARRAY:
		break;
	}
}

/* --- values ----------------------------------------------------------------------------------------------
 */

/* A whole number minimum..maximum of the key. */
static int read_whole(struct lb_reading *reading, const struct lb_schema_key *key,
		      const struct lb_place *place, const cJSON *node, __s64 *ret_number)
{
	char accepted[LB_SCHEMA_ACCEPTED_MAX];
	double number = node->valuedouble;
	const char *more = "";
	__s64 whole = 0;

	if (number >= (double)key->minimum && number <= (double)key->maximum) {
		whole = (__s64)number;
		if ((double)whole != number)
			more = ", not a fraction";
		else if (!key->power_of_two || (whole & (whole - 1)) == 0)
			goto good;
	}
	return lb_reading_fail(reading, place, node, node, "%s must be %s%s", key->name,
			       lb_schema_accepted(key, accepted), more);
good:
	*ret_number = whole;
	return 0;
}

static int read_integer(struct lb_reading *reading, const struct lb_schema_key *key,
			const struct lb_place *place, const cJSON *node, void *field)
{
	__s64 number;
	int r;

	if (!cJSON_IsNumber(node))
		return wrong_type(reading, key, place, node);
	r = read_whole(reading, key, place, node, &number);
	if (r < 0)
		return r;
	if (key->size)
		lb_schema_store(field, key->size, number);
	return 0;
}

static int read_choice(struct lb_reading *reading, const struct lb_schema_key *key,
		       const struct lb_place *place, const cJSON *node, void *field)
{
	const char *names[LB_SCHEMA_KEYS_MAX + 1] = { NULL };
	char accepted[LB_SCHEMA_ACCEPTED_MAX];
	const char *nearest;

	if (!cJSON_IsString(node))
		return wrong_type(reading, key, place, node);
	for (size_t i = 0; key->choices[i].name; i++) {
		if (strcmp(key->choices[i].name, node->valuestring) == 0) {
			lb_schema_store(field, key->size, key->choices[i].value);
			return 0;
		}
		names[i] = key->choices[i].name;
	}
	nearest = lb_nearest(node->valuestring, names);
	return lb_reading_fail(reading, place, node, node, "%s must be %s%s%s%s", key->name,
			       lb_schema_accepted(key, accepted), nearest ? "; did you mean \"" : "",
			       nearest ? nearest : "", nearest ? "\"?" : "");
}

static int read_string(struct lb_reading *reading, const struct lb_schema_key *key,
		       const struct lb_place *place, const cJSON *node, void *field)
{
	char reason[LB_SCHEMA_REASON_MAX] = "";
	__s64 number;
	int r;

	if (cJSON_IsNumber(node) && key->format->read_number) {
		r = read_whole(reading, key, place, node, &number);
		if (r == 0)
			key->format->read_number(number, field);
		return r;
	}
	if (!cJSON_IsString(node))
		return wrong_type(reading, key, place, node);
	if (key->format->read(key, node->valuestring, field, reason) == 0)
		return 0;
	return lb_reading_fail(reading, place, node, node, "%s must be %s%s%s", key->name,
			       key->format->accepted, reason[0] ? "; " : "", reason);
}

/* Makes room for the elements and reads them. The count is set first: what is there can be freed. */
static int read_array(struct lb_reading *reading, const struct lb_schema_key *key,
		      const struct lb_place *place, const cJSON *node, void *base)
{
	char accepted[LB_SCHEMA_ACCEPTED_MAX];
	char *elements = (char *)base + key->offset;
	size_t count;
	const cJSON *child;
	int r;

	if (!cJSON_IsArray(node))
		return wrong_type(reading, key, place, node);
	count = (size_t)cJSON_GetArraySize(node);
	if ((__s64)count < key->minimum || (__s64)count > key->maximum)
		return lb_reading_fail(reading, place, node, node, "%s must be %s; it has %zu", key->name,
				       lb_schema_accepted(key, accepted), count);
	if (!key->in_place) {
		elements = calloc(count ? count : 1, key->size);
		if (!elements)
			return -ENOMEM;
		*(void **)((char *)base + key->offset) = elements;
	}
	*(size_t *)((char *)base + key->count_offset) = count;
	count = 0;
	cJSON_ArrayForEach (child, node) {
		struct lb_place here = { .parent = place, .index = count };

		r = read_object(reading, key->object, &here, child, elements + count++ * key->size);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_value(struct lb_reading *reading, const struct lb_schema_key *key,
		      const struct lb_place *place, const cJSON *node, void *base)
{
	void *field = (char *)base + key->offset;

	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		return read_integer(reading, key, place, node, field);
	case LB_SCHEMA_BOOLEAN:
		if (!cJSON_IsBool(node))
			return wrong_type(reading, key, place, node);
		*(bool *)field = cJSON_IsTrue(node);
		return 0;
	case LB_SCHEMA_CHOICE:
		return read_choice(reading, key, place, node, field);
	case LB_SCHEMA_STRING:
		return read_string(reading, key, place, node, field);
	case LB_SCHEMA_OBJECT:
		if (!cJSON_IsObject(node))
			return wrong_type(reading, key, place, node);
		if (key->owned) {
			void *object = calloc(1, key->size);

			if (!object)
				return -ENOMEM;
			*(void **)field = object; /* the key is read once: another time is an error */
			field = object;
		}
		return read_object(reading, key->object, place, node, field);
	case LB_SCHEMA_ARRAY:
		return read_array(reading, key, place, node, base);
	}
	return -EINVAL;
}

/* --- objects ---------------------------------------------------------------------------------------------
 */

static int unknown_key(struct lb_reading *reading, const struct lb_schema_key *keys,
		       const struct lb_place *place, const cJSON *node)
{
	const char *names[LB_SCHEMA_KEYS_MAX + 1] = { NULL };
	char list[400] = "", shown[72]; /* longer ones are cut */
	const char *nearest;

	for (size_t i = 0; keys[i].name; i++) {
		size_t used = strlen(list);

		names[i] = keys[i].name;
		snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", keys[i].name);
	}
	lb_json_string(node->string, shown, sizeof(shown));
	nearest = lb_nearest(node->string, names);
	if (nearest)
		return lb_reading_fail(reading, place, node, node, "unknown key %s; did you mean \"%s\"?",
				       shown, nearest);
	return lb_reading_fail(reading, place, node, node, "unknown key %s; the keys here are: %s", shown,
			       list);
}

static int missing_key(struct lb_reading *reading, const struct lb_schema_key *key,
		       const struct lb_place *parent, const cJSON *node)
{
	struct lb_place here = { .parent = parent, .key = key->name };
	char accepted[LB_SCHEMA_ACCEPTED_MAX];

	return lb_reading_fail(reading, &here, node, NULL, "%s is required; it must be %s", key->name,
			       lb_schema_accepted(key, accepted));
}

static int read_object(struct lb_reading *reading, const struct lb_schema_key *keys,
		       const struct lb_place *place, const cJSON *node, void *base)
{
	const struct lb_schema_key *key;
	const cJSON *child;
	__u32 seen = 0;
	int r;

	if (!cJSON_IsObject(node)) {
		if (!place)
			return lb_reading_fail(reading, place, node, node,
					       "the configuration must be an object, not %s",
					       type_name(node));
		return lb_reading_fail(reading, place, node, node,
				       "an element of %s must be an object, not %s", place->parent->key,
				       type_name(node));
	}
	for (key = keys; key->name; key++)
		set_default(key, base);
	cJSON_ArrayForEach (child, node) {
		struct lb_place here = { .parent = place, .key = child->string };

		for (key = keys; key->name && strcmp(key->name, child->string) != 0; key++)
			;
		if (!key->name)
			return unknown_key(reading, keys, &here, child);
		if (seen & 1u << (key - keys))
			return lb_reading_fail(reading, &here, child, child,
					       "%s is given twice in this object; give it once", key->name);
		seen |= 1u << (key - keys);
		r = read_value(reading, key, &here, child, base);
		if (r < 0)
			return r;
	}
	for (key = keys; key->name; key++) {
		if (key->required && !(seen & 1u << (key - keys)))
			return missing_key(reading, key, place, node);
	}
	return 0;
}

int lb_config_read(struct lb_reading *reading, struct lb_config *config)
{
	return read_object(reading, lb_schema, NULL, reading->root, config);
}
