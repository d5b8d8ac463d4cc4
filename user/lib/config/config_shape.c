// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a text the reader has to see. A tree costs thirty times its text where that is a list of ones,
 * so no tree is made of what the schema has no place for: at the first key, value or element that the reader
 * will refuse, the text ends, and what is open is closed. The reader then says what is wrong, where it is.
 * Relies on config_json.c having checked the syntax.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_read.h"

/* A value that is wrong is shown, if it is small. */
#define SHOWN_BYTES 1024

struct shape {
	const char *text;
	size_t length, at;
	char close[LB_JSON_DEPTH_MAX + 1]; /* what closes the containers that are open */
	size_t depth;
	size_t cut;   /* 0: nothing to cut; else what there is of the text... */
	char end[8];  /* ... and what follows it, before what is open is closed... */
	size_t zeros; /* ... or a list of so many */
};

static void skip_blanks(struct shape *shape)
{
	while (shape->at < shape->length && strchr(" \t\r\n", shape->text[shape->at]))
		shape->at++;
}

static void skip_string(struct shape *shape)
{
	for (shape->at++; shape->text[shape->at] != '"'; shape->at++)
		if (shape->text[shape->at] == '\\')
			shape->at++;
	shape->at++;
}

static void skip_value(struct shape *shape)
{
	size_t depth = 0;

	do {
		char c = shape->text[shape->at];

		if (c == '"') {
			skip_string(shape);
			continue;
		}
		depth += c == '{' || c == '[';
		depth -= (c == '}' || c == ']') && depth > 0;
		shape->at++;
	} while (shape->at < shape->length && (depth > 0 || !strchr(",]} \t\r\n", shape->text[shape->at])) &&
		 !(depth == 0 && strchr("]}\"", shape->text[shape->at - 1])));
}

/* The value at the position is the last that the reader needs to see. */
static int cut_at_value(struct shape *shape)
{
	size_t start = shape->at;
	char open = shape->text[start];

	skip_value(shape);
	shape->cut = shape->at;
	if (shape->at - start <= SHOWN_BYTES || (open != '{' && open != '['))
		return -EINTR;
	shape->cut = start;
	strcpy(shape->end, open == '{' ? "{}" : "[]");
	return -EINTR;
}

static int shape_object(struct shape *shape, const struct lb_schema_key *keys);

static void enter(struct shape *shape, char close)
{
	shape->close[shape->depth++] = close;
	shape->at++;
	skip_blanks(shape);
}

static void leave(struct shape *shape)
{
	shape->depth--;
	shape->at++;
}

/* Goes on to what follows; false: it is the closing bracket. */
static bool next(struct shape *shape)
{
	skip_blanks(shape);
	if (shape->text[shape->at] == ',')
		shape->at++;
	skip_blanks(shape);
	return shape->text[shape->at] != shape->close[shape->depth - 1];
}

/* Elements of the list at the position, which stays. */
static __s64 count_elements(struct shape *shape)
{
	size_t start = shape->at;
	__s64 count = 0;

	enter(shape, ']');
	while (next(shape)) {
		skip_value(shape);
		count++;
	}
	shape->depth--;
	shape->at = start;
	return count;
}

/* A list of too many: the reader counts them before it looks at any. */
static int cut_many(struct shape *shape, __s64 most)
{
	int r = cut_at_value(shape);

	if (shape->end[0])
		shape->zeros = most + 1;
	return r;
}

static int shape_array(struct shape *shape, const struct lb_schema_key *key)
{
	int r = 0;

	if (count_elements(shape) > key->maximum)
		return cut_many(shape, key->maximum);
	enter(shape, ']');
	while (r == 0 && next(shape)) {
		if (shape->text[shape->at] != '{')
			return cut_at_value(shape);
		r = shape_object(shape, key->object);
	}
	if (r == 0)
		leave(shape);
	return r;
}

static int shape_value(struct shape *shape, const struct lb_schema_key *key)
{
	char c = shape->text[shape->at];

	if (key->type == LB_SCHEMA_OBJECT && c == '{')
		return shape_object(shape, key->object);
	if (key->type == LB_SCHEMA_ARRAY && c == '[')
		return shape_array(shape, key);
	if (key->type == LB_SCHEMA_OBJECT || key->type == LB_SCHEMA_ARRAY || c == '{' || c == '[')
		return cut_at_value(shape);
	skip_value(shape);
	return 0;
}

static const struct lb_schema_key *named(const struct lb_schema_key *keys, const char *name, size_t length)
{
	for (; keys->name; keys++)
		if (strlen(keys->name) == length && memcmp(keys->name, name, length) == 0)
			return keys;
	return NULL;
}

/* A key that is written with escapes. */
static const struct lb_schema_key *escaped(const struct lb_schema_key *keys, const char *quoted,
					   size_t length)
{
	_cleanup_(cjson_freep) cJSON *string = NULL;

	if (length > SHOWN_BYTES)
		return NULL;
	string = cJSON_ParseWithLength(quoted, length);
	return string ? named(keys, string->valuestring, strlen(string->valuestring)) : NULL;
}

/* The schema's row of the key at the position, which moves to its value; NULL: there is none. */
static const struct lb_schema_key *find_key(struct shape *shape, const struct lb_schema_key *keys)
{
	const char *quoted = shape->text + shape->at;
	size_t length, start = shape->at;

	skip_string(shape);
	length = shape->at - start;
	skip_blanks(shape);
	shape->at++; /* the colon */
	skip_blanks(shape);
	if (memchr(quoted, '\\', length))
		return escaped(keys, quoted, length);
	return named(keys, quoted + 1, length - 2);
}

static int shape_object(struct shape *shape, const struct lb_schema_key *keys)
{
	__u32 seen = 0;
	int r = 0;

	enter(shape, '}');
	while (r == 0 && next(shape)) {
		const struct lb_schema_key *key = find_key(shape, keys);

		if (!key || seen & 1u << (key - keys))
			return cut_at_value(shape);
		seen |= 1u << (key - keys);
		r = shape_value(shape, key);
	}
	if (r < 0)
		return r;
	leave(shape);
	for (size_t i = 0; keys[i].name; i++) {
		if (keys[i].required && !(seen & 1u << i)) {
			shape->cut = shape->at;
			return -EINTR;
		}
	}
	return 0;
}

/* The text up to the cut, closed. */
static char *close_text(struct shape *shape, size_t *ret_length)
{
	size_t used = shape->cut;
	char *cut = malloc(used + 2 * shape->zeros + sizeof(shape->end) + shape->depth + 1);

	if (!cut)
		return NULL;
	memcpy(cut, shape->text, used);
	for (size_t i = 0; i < shape->zeros; i++, used += 2)
		memcpy(cut + used, i ? ",0" : "[0", 2);
	used += sprintf(cut + used, "%s", shape->zeros ? "]" : shape->end);
	while (shape->depth > 0)
		cut[used++] = shape->close[--shape->depth];
	cut[used] = '\0';
	*ret_length = used;
	return cut;
}

int lb_config_shape(const char *text, size_t length, char **ret_cut, size_t *ret_length)
{
	struct shape shape = { .text = text, .length = length };

	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		shape.at = 3;
	skip_blanks(&shape);
	*ret_cut = NULL;
	if (text[shape.at] != '{')
		(void)cut_at_value(&shape);
	else if (shape_object(&shape, lb_schema) == 0)
		return 0;
	*ret_cut = close_text(&shape, ret_length);
	return *ret_cut ? 0 : -ENOMEM;
}
