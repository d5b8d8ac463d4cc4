// SPDX-License-Identifier: GPL-2.0-only
/*
 * Skipping through JSON text.
 */
#include "config/json_text.h"

#include <cjson/cJSON.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_blank(const char *text, size_t length, size_t at)
{
	while (at < length && is_blank(text[at]))
		at++;
	return at;
}

static size_t skip_string(const char *text, size_t length, size_t at)
{
	for (at++; at < length && text[at] != '"'; at++)
		at += text[at] == '\\';
	return at < length ? at + 1 : length;
}

/* An object or an array, to behind its closing bracket. */
static size_t skip_nested(const char *text, size_t length, size_t at)
{
	size_t depth = 0;

	while (at < length) {
		char c = text[at];

		if (c == '"') {
			at = skip_string(text, length, at);
			continue;
		}
		at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			break;
	}
	return at;
}

struct lb_json_span lb_json_span_value(const char *text, size_t length, size_t at)
{
	struct lb_json_span span;

	at = skip_blank(text, length, at);
	span.begin = at;
	if (at < length && text[at] == '"')
		span.end = skip_string(text, length, at);
	else if (at < length && (text[at] == '{' || text[at] == '['))
		span.end = skip_nested(text, length, at);
	else {
		while (at < length && !is_blank(text[at]) && !strchr(",]}", text[at]))
			at++;
		span.end = at;
	}
	return span;
}

/* To the next member or element; false: there is none. */
static bool walk_on(struct lb_json_walk *walk)
{
	walk->at = skip_blank(walk->text, walk->length, walk->at);
	if (walk->at < walk->length && walk->text[walk->at] == ',')
		walk->at = skip_blank(walk->text, walk->length, walk->at + 1);
	return walk->at < walk->length && walk->text[walk->at] != '}' && walk->text[walk->at] != ']';
}

bool lb_json_walk_members(struct lb_json_walk *walk)
{
	if (!walk_on(walk))
		return false;
	walk->key = lb_json_span_value(walk->text, walk->length, walk->at);
	walk->at = skip_blank(walk->text, walk->length, walk->key.end);
	/* The colon. */
	walk->value = lb_json_span_value(walk->text, walk->length, walk->at + 1);
	walk->at = walk->value.end;
	return true;
}

bool lb_json_walk_elements(struct lb_json_walk *walk)
{
	if (!walk_on(walk))
		return false;
	walk->value = lb_json_span_value(walk->text, walk->length, walk->at);
	walk->at = walk->value.end;
	return true;
}

bool lb_json_span_is(const char *text, struct lb_json_span span, const char *string)
{
	size_t length = span.end - span.begin;
	cJSON *value;
	bool is;

	if (length < 2 || text[span.begin] != '"')
		return false;
	if (!memchr(text + span.begin, '\\', length))
		return length - 2 == strlen(string) && memcmp(text + span.begin + 1, string, length - 2) == 0;
	value = cJSON_ParseWithLength(text + span.begin, length);
	is = cJSON_IsString(value) && strcmp(value->valuestring, string) == 0;
	cJSON_Delete(value);
	return is;
}

bool lb_json_span_member(const char *text, size_t length, struct lb_json_span object, const char *key,
			 struct lb_json_span *ret_value, struct lb_json_span *ret_member)
{
	struct lb_json_walk walk = { .text = text, .length = length, .at = object.begin + 1 };

	while (lb_json_walk_members(&walk)) {
		if (!lb_json_span_is(text, walk.key, key))
			continue;
		*ret_value = walk.value;
		*ret_member = (struct lb_json_span){ walk.key.begin, walk.value.end };
		return true;
	}
	return false;
}

bool lb_json_span_named(const char *text, size_t length, struct lb_json_span array, const char *name,
			struct lb_json_span *ret_element)
{
	struct lb_json_walk walk = { .text = text, .length = length, .at = array.begin + 1 };

	while (lb_json_walk_elements(&walk)) {
		struct lb_json_span value, member;

		if (!lb_json_span_member(text, length, walk.value, "name", &value, &member) ||
		    !lb_json_span_is(text, value, name))
			continue;
		*ret_element = walk.value;
		return true;
	}
	return false;
}

struct lb_json_span lb_json_span_to_remove(const char *text, size_t length, struct lb_json_span part)
{
	size_t before = part.begin, after = skip_blank(text, length, part.end);

	/* With the comma behind it, up to where the next one begins. */
	if (after < length && text[after] == ',') {
		part.end = skip_blank(text, length, after + 1);
		return part;
	}
	while (before > 0 && is_blank(text[before - 1]))
		before--;
	if (before > 0 && text[before - 1] == ',')
		part.begin = before - 1;
	return part;
}
