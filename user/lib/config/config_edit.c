// SPDX-License-Identifier: GPL-2.0-only
/*
 * Editing the text: find the place, put something else there.
 */
#include "config/config_edit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "config/json_text.h"
#include "config/schema.h"

_Static_assert(LB_CONFIG_KEYS_MAX == LB_SCHEMA_KEYS_MAX, "room for all keys");

struct text {
	char *at; /* owned, terminated */
	size_t length;
};

static void text_done(struct text *text)
{
	free(text->at);
}

static struct lb_json_span root_of(const struct text *text)
{
	return lb_json_span_value(text->at, text->length, 0);
}

/* Puts something in place of a span. */
static int splice(struct text *text, struct lb_json_span span, const char *with)
{
	size_t n = strlen(with), rest = text->length - span.end;
	char *made = malloc(span.begin + n + rest + 1);

	if (!made)
		return -ENOMEM;
	memcpy(made, text->at, span.begin);
	memcpy(made + span.begin, with, n);
	memcpy(made + span.begin + n, text->at + span.end, rest + 1);
	free(text->at);
	text->at = made;
	text->length = span.begin + n + rest;
	return 0;
}

/* --- printing --------------------------------------------------------------------------------------------
 */

/* A key, with its quotes and its colon. */
static void print_key(FILE *out, const char *key)
{
	_cleanup_(cjson_freep) cJSON *string = cJSON_CreateStringReference(key);
	_cleanup_(freep) char *text = cJSON_PrintUnformatted(string);

	fprintf(out, "%s: ", text ? text : "\"\"");
}

/* As people write configurations: { "key": value, ... }; elements of arrays of objects have a line each. */
static void print(FILE *out, const cJSON *value, const char *indent)
{
	bool object = cJSON_IsObject(value), array = cJSON_IsArray(value);
	_cleanup_(freep) char *deeper = NULL, *text = NULL;
	const cJSON *item;
	bool lines = array && value->child && cJSON_IsObject(value->child);

	if (!object && !array) {
		text = cJSON_PrintUnformatted(value);
		fputs(text ? text : "null", out);
		return;
	}
	if (!value->child) {
		fputs(object ? "{}" : "[]", out);
		return;
	}
	if (asprintf(&deeper, "%s  ", indent) < 0) {
		deeper = NULL;
		return;
	}
	fputc(object ? '{' : '[', out);
	cJSON_ArrayForEach (item, value) {
		if (item != value->child)
			fputc(',', out);
		if (lines)
			fprintf(out, "\n%s", deeper);
		else
			fputc(' ', out);
		if (object)
			print_key(out, item->string);
		print(out, item, deeper);
	}
	if (lines)
		fprintf(out, "\n%s]", indent);
	else
		fputs(object ? " }" : " ]", out);
}

/* Malloc'd, or NULL. before: goes in front of it; key: of a member, or NULL. */
static char *printed(const char *before, const char *key, const cJSON *value, const char *indent)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fputs(before, out);
	if (key)
		print_key(out, key);
	print(out, value, indent);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- places ----------------------------------------------------------------------------------------------
 */

/* The blanks in front of a place: how what is put beside it is set off. Malloc'd. */
static char *blanks_before(const struct text *text, size_t at)
{
	size_t begin = at;

	while (begin > 0 && strchr(" \t\r\n", text->at[begin - 1]))
		begin--;
	return strndup(text->at + begin, at - begin);
}

/* Of these blanks, those of the last line. */
static const char *indent_of(const char *blanks)
{
	const char *line = strrchr(blanks, '\n');

	return line ? line + 1 : "";
}

/* Puts a value at the end of an object or an array. key: of the member, or NULL. */
static int append(struct text *text, struct lb_json_span into, const char *key, const cJSON *value)
{
	struct lb_json_walk walk = { .text = text->at, .length = text->length, .at = into.begin + 1 };
	_cleanup_(freep) char *blanks = NULL, *before = NULL, *with = NULL;
	struct lb_json_span last = { 0, 0 };

	while (key ? lb_json_walk_members(&walk) : lb_json_walk_elements(&walk))
		last = (struct lb_json_span){ key ? walk.key.begin : walk.value.begin, walk.value.end };
	blanks = last.end ? blanks_before(text, last.begin) : strdup(" ");
	if (!blanks || asprintf(&before, "%s%s", last.end ? "," : key ? "{" : "[", blanks) < 0) {
		before = NULL;
		return -ENOMEM;
	}
	with = printed(before, key, value, indent_of(blanks));
	if (!with)
		return -ENOMEM;
	if (last.end)
		return splice(text, (struct lb_json_span){ last.end, last.end }, with);
	free(before);
	if (asprintf(&before, "%s %c", with, key ? '}' : ']') < 0) {
		before = NULL;
		return -ENOMEM;
	}
	return splice(text, into, before);
}

static int set_member(struct text *text, struct lb_json_span object, const cJSON *member)
{
	_cleanup_(freep) char *blanks = NULL, *with = NULL;
	struct lb_json_span value, whole;

	if (!lb_json_span_member(text->at, text->length, object, member->string, &value, &whole))
		return cJSON_IsNull(member) ? 0 : append(text, object, member->string, member);
	if (cJSON_IsNull(member))
		return splice(text, lb_json_span_to_remove(text->at, text->length, whole), "");
	blanks = blanks_before(text, whole.begin);
	with = blanks ? printed("", NULL, member, indent_of(blanks)) : NULL;
	return with ? splice(text, value, with) : -ENOMEM;
}

static int missing(const char *what, const char *name, struct lb_error *error)
{
	return lb_error_at(error, ESRCH, what, name, "there is no %s \"%s\" in it", what, name);
}

/* The array that the edit is about ("services", or "backends" of the service). */
static int find_array(const struct text *text, const struct lb_config_edit *edit,
		      struct lb_json_span *ret_array, struct lb_error *error)
{
	struct lb_json_span services, service, member;

	if (!lb_json_span_member(text->at, text->length, root_of(text), "services", &services, &member))
		return lb_error_at(error, EINVAL, "services", NULL, "there are no services in it");
	*ret_array = services;
	if (!edit->backend)
		return 0;
	if (!lb_json_span_named(text->at, text->length, services, edit->service, &service))
		return missing("service", edit->service, error);
	if (!lb_json_span_member(text->at, text->length, service, "backends", ret_array, &member))
		return lb_error_at(error, EINVAL, "backends", NULL, "the service has no backends in it");
	return 0;
}

/* --- edits -----------------------------------------------------------------------------------------------
 */

/* The object as it will stand there: its name first; a service has an array of backends. */
static cJSON *whole_object(const struct lb_config_edit *edit, const char *name)
{
	cJSON *whole = cJSON_CreateObject();
	const cJSON *member;

	cJSON_AddStringToObject(whole, "name", name);
	cJSON_ArrayForEach (member, edit->members) {
		if (strcmp(member->string, "name") != 0 && !cJSON_IsNull(member))
			cJSON_AddItemToObject(whole, member->string, cJSON_Duplicate(member, true));
	}
	if (!edit->backend && !cJSON_GetObjectItemCaseSensitive(whole, "backends"))
		cJSON_AddArrayToObject(whole, "backends");
	return whole;
}

static int put(struct text *text, const struct lb_config_edit *edit, struct lb_json_span array,
	       const char *name, const struct lb_json_span *there)
{
	_cleanup_(cjson_freep) cJSON *whole = whole_object(edit, name);
	_cleanup_(freep) char *blanks = NULL, *with = NULL;

	if (!there)
		return append(text, array, NULL, whole);
	blanks = blanks_before(text, there->begin);
	with = blanks ? printed("", NULL, whole, indent_of(blanks)) : NULL;
	return with ? splice(text, *there, with) : -ENOMEM;
}

/* One member after the other; each finds its place anew. */
static int merge(struct text *text, const struct lb_config_edit *edit, const char *name,
		 struct lb_error *error)
{
	const cJSON *member;

	cJSON_ArrayForEach (member, edit->members) {
		struct lb_json_span array, object;
		int r;

		if (strcmp(member->string, "name") == 0)
			continue;
		r = find_array(text, edit, &array, error);
		if (r < 0)
			return r;
		if (!lb_json_span_named(text->at, text->length, array, name, &object))
			return missing(edit->backend ? "backend" : "service", name, error);
		r = set_member(text, object, member);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_name(const struct lb_config_edit *edit, const char *name, struct lb_error *error)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(edit->members, "name");

	if (edit->how != LB_EDIT_DELETE && !cJSON_IsObject(edit->members))
		return lb_error_set(error, EINVAL, "the body must be a JSON object");
	if (given && (!cJSON_IsString(given) || strcmp(given->valuestring, name) != 0))
		return lb_error_at(error, EINVAL, "name", cJSON_GetStringValue(given),
				   "the name must be \"%s\", as in the path: a name cannot be changed", name);
	return 0;
}

static int make_edit(struct text *text, const struct lb_config_edit *edit, struct lb_error *error)
{
	const char *what = edit->backend ? "backend" : "service";
	const char *name = edit->backend ? edit->backend : edit->service;
	struct lb_json_span array, there;
	bool found;
	int r = check_name(edit, name, error);

	if (r == 0)
		r = find_array(text, edit, &array, error);
	if (r < 0)
		return r;
	found = lb_json_span_named(text->at, text->length, array, name, &there);
	if (!found && (edit->how == LB_EDIT_MERGE || edit->how == LB_EDIT_DELETE))
		return missing(what, name, error);
	if (found && edit->how == LB_EDIT_ADD)
		return lb_error_at(error, EEXIST, what, name, "there is a %s \"%s\" already", what, name);
	if (edit->how == LB_EDIT_DELETE)
		return splice(text, lb_json_span_to_remove(text->at, text->length, there), "");
	if (edit->how == LB_EDIT_MERGE)
		return merge(text, edit, name, error);
	return put(text, edit, array, name, found ? &there : NULL);
}

int lb_config_edit(const char *text, size_t length, const struct lb_config_edit *edit, char **ret_text,
		   size_t *ret_length, struct lb_error *error)
{
	struct text copy = { .at = strndup(text, length), .length = length };
	int r = -ENOMEM;

	if (copy.at && strlen(copy.at) == length)
		r = make_edit(&copy, edit, error);
	if (r < 0) {
		text_done(&copy);
		return r == -ENOMEM ? lb_error_set(error, ENOMEM, "out of memory") : r;
	}
	*ret_text = copy.at;
	*ret_length = copy.length;
	return 0;
}

/* --- what people type ------------------------------------------------------------------------------------
 */

static const struct lb_schema_key *find_key(const struct lb_schema_key *keys, const char *name)
{
	for (; keys && keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static const struct lb_schema_key *keys_of(bool of_backend)
{
	const struct lb_schema_key *service = find_key(lb_schema, "services")->object;

	return of_backend ? find_key(service, "backends")->object : service;
}

void lb_config_keys(bool of_backend, const char *ret_keys[LB_CONFIG_KEYS_MAX + 1])
{
	const struct lb_schema_key *keys = keys_of(of_backend);
	size_t n = 0;

	for (; keys->name && n < LB_CONFIG_KEYS_MAX; keys++)
		ret_keys[n++] = keys->name;
	ret_keys[n] = NULL;
}

static cJSON *unknown_key(bool of_backend, const char *key, struct lb_error *error)
{
	const char *words[LB_CONFIG_KEYS_MAX + 1], *near;

	lb_config_keys(of_backend, words);
	near = lb_nearest(key, words);
	lb_error_at(error, EINVAL, key, NULL, "a %s has no key \"%.100s\"%s%s%s",
		    of_backend ? "backend" : "service", key, near ? ": did you mean " : "", near ? near : "",
		    near ? "?" : "");
	return NULL;
}

cJSON *lb_config_typed(bool of_backend, const char *key, const char *typed, struct lb_error *error)
{
	const struct lb_schema_key *row = find_key(keys_of(of_backend), key);
	cJSON *value;

	if (!row)
		return unknown_key(of_backend, key, error);
	if (!*typed)
		return cJSON_CreateNull();
	if (row->type == LB_SCHEMA_CHOICE || (row->type == LB_SCHEMA_STRING && !row->format->read_number))
		return cJSON_CreateString(typed);
	value = cJSON_ParseWithOpts(typed, NULL, true);
	if (value && (row->type != LB_SCHEMA_STRING || cJSON_IsNumber(value)))
		return value;
	cJSON_Delete(value);
	if (row->type == LB_SCHEMA_STRING)
		return cJSON_CreateString(typed);
	lb_error_at(error, EINVAL, key, typed, "the value of %s must be JSON", key);
	return NULL;
}
