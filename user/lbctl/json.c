// SPDX-License-Identifier: GPL-2.0-only
/*
 * cJSON keeps numbers as doubles, which end being exact at 2^53. So that counters keep their digits, integers
 * of 16 digits or more are put into strings before parsing (with a mark in front that the agent never sends)
 * and turned into cJSON_Raw items, which print as they are, afterwards.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "lbctl.h"

#define MARK             '\x01'
#define DIGITS_IN_DOUBLE 15u

/* Length of the string that starts at text (a quote), with its quotes; the rest when it does not end. */
static size_t string_length(const char *text, size_t length)
{
	for (size_t i = 1; i < length; i++) {
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"')
			return i + 1;
	}
	return length;
}

/* Length of a non-negative integer, or 0 when it goes on as a fraction. */
static size_t integer_length(const char *text, size_t length)
{
	size_t n = 0;

	while (n < length && text[n] >= '0' && text[n] <= '9')
		n++;
	if (n < length && strchr(".eE+-", text[n]) && text[n])
		return 0;
	return n;
}

static bool in_number(char c)
{
	return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

/* Copies text with long integers quoted and marked. to: 4 bytes for each 16 of text more than it. */
static int quote_integers(const char *text, size_t length, char *to, size_t *ret_length)
{
	size_t out = 0, values = 0, n;

	for (size_t i = 0; i < length;) {
		if (text[i] == '"') {
			n = string_length(text + i, length - i);
		} else if (text[i] >= '0' && text[i] <= '9' && (i == 0 || !in_number(text[i - 1])) &&
			   (n = integer_length(text + i, length - i)) > DIGITS_IN_DOUBLE) {
			to[out++] = '"';
			to[out++] = MARK;
			memcpy(to + out, text + i, n);
			out += n;
			to[out++] = '"';
			i += n;
			continue;
		} else {
			values += text[i] == ',' || text[i] == '[' || text[i] == '{';
			n = 1;
		}
		if (n > length - i)
			n = length - i;
		memcpy(to + out, text + i, n);
		out += n;
		i += n;
	}
	*ret_length = out;
	return values > JSON_VALUES_MAX ? -E2BIG : 0;
}

static void unmark(cJSON *item)
{
	for (; item; item = item->next) {
		char *text = item->valuestring;

		if (item->child)
			unmark(item->child);
		if (!cJSON_IsString(item) || text[0] != MARK)
			continue;
		if (strlen(text + 1) == 0 || strspn(text + 1, "0123456789") != strlen(text + 1))
			continue;
		memmove(text, text + 1, strlen(text));
		item->type = cJSON_Raw;
	}
}

int json_parse(const char *text, size_t length, cJSON **ret_root)
{
	_cleanup_(freep) char *quoted = malloc(length + length / 5 + 8);
	const char *end = NULL;
	cJSON *root;
	size_t n;
	int r;

	if (!quoted)
		return -ENOMEM;
	r = quote_integers(text, length, quoted, &n);
	if (r < 0)
		return r;
	root = cJSON_ParseWithLengthOpts(quoted, n, &end, false);
	if (!root)
		return -EINVAL;
	/* Nothing but blanks may follow. */
	while (end < quoted + n && strchr(" \t\r\n", *end) && *end)
		end++;
	if (end < quoted + n) {
		cJSON_Delete(root);
		return -EINVAL;
	}
	unmark(root);
	*ret_root = root;
	return 0;
}

const cJSON *json_get(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNull(item) ? NULL : item;
}

bool json_is_integer(const cJSON *item)
{
	if (cJSON_IsRaw(item))
		return true;
	return cJSON_IsNumber(item) && item->valuedouble >= 0 &&
	       item->valuedouble == floor(item->valuedouble);
}

unsigned long long json_value_u64(const cJSON *item)
{
	if (cJSON_IsRaw(item))
		return strtoull(item->valuestring, NULL, 10);
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0))
		return 0;
	return item->valuedouble < 0x1p64 ? (unsigned long long)item->valuedouble : ~0ull;
}

void json_set_u64(cJSON *item, unsigned long long value)
{
	if (cJSON_IsRaw(item))
		cJSON_free(item->valuestring);
	item->type = cJSON_Raw;
	item->valuestring = lbctl_format("%llu", value);
}

unsigned long long json_u64(const cJSON *object, const char *key)
{
	return json_value_u64(json_get(object, key));
}

double json_double(const cJSON *object, const char *key)
{
	const cJSON *item = json_get(object, key);

	if (cJSON_IsRaw(item))
		return strtod(item->valuestring, NULL);
	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

bool json_bool(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(json_get(object, key));
}

const char *json_text(const cJSON *object, const char *key)
{
	const cJSON *item = json_get(object, key);

	return cJSON_IsString(item) ? item->valuestring : "-";
}

char *json_line(const cJSON *item)
{
	char *line = cJSON_PrintUnformatted(item);

	if (!line)
		lbctl_memory();
	return line;
}

void json_print(const cJSON *item)
{
	_cleanup_(freep) char *line = json_line(item);

	puts(line);
}
