// SPDX-License-Identifier: GPL-2.0-only
/*
 * The JSON writer (RFC 8259).
 */
#include "lbd/api/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(struct json *json, size_t capacity)
{
	char *text = realloc(json->text, capacity);

	if (!text) {
		json->failed = true;
		return false;
	}
	json->text = text;
	json->capacity = capacity;
	return true;
}

static bool reserve(struct json *json, size_t more)
{
	size_t capacity = json->capacity ? json->capacity : 512;

	if (json->failed)
		return false;
	while (capacity < json->length + more + 1)
		capacity *= 2;
	return capacity == json->capacity || grow(json, capacity);
}

bool json_reserve(struct json *json, size_t bytes)
{
	size_t capacity = json->length + bytes + 1;

	if (json->failed)
		return false;
	return capacity <= json->capacity || grow(json, capacity);
}

static void append(struct json *json, const char *text, size_t length)
{
	if (!reserve(json, length))
		return;
	memcpy(json->text + json->length, text, length);
	json->length += length;
	json->text[json->length] = '\0';
}

void json_done(struct json *json)
{
	free(json->text);
	memset(json, 0, sizeof(*json));
}

size_t json_utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] < 0xe0)
		return (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (s[0] >= 0xe0 && s[0] < 0xf0) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] < 0xf5) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
			return 0;
		return 4;
	}
	return 0;
}

static void append_string(struct json *json, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;

	append(json, "\"", 1);
	while (*s) {
		const unsigned char *plain = s;
		char escape[8];
		size_t n;

		while (*s >= ' ' && *s < 0x7f && *s != '"' && *s != '\\')
			s++;
		append(json, (const char *)plain, s - plain);
		if (!*s)
			break;
		n = json_utf8_length((const char *)s);
		if (n > 1) {
			append(json, (const char *)s, n);
		} else if (n == 0) {
			append(json, "\xef\xbf\xbd", 3);
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			escape[0] = '\\';
			escape[1] = *s;
			append(json, escape, 2);
		} else {
			append(json, escape, snprintf(escape, sizeof(escape), "\\u%04x", *s));
		}
		s += n;
	}
	append(json, "\"", 1);
}

static void start(struct json *json, const char *key)
{
	if (json->comma)
		append(json, ",", 1);
	json->comma = true;
	if (key) {
		append_string(json, key);
		append(json, ":", 1);
	}
}

void json_object(struct json *json, const char *key)
{
	start(json, key);
	append(json, "{", 1);
	json->comma = false;
}

void json_object_end(struct json *json)
{
	append(json, "}", 1);
	json->comma = true;
}

void json_array(struct json *json, const char *key)
{
	start(json, key);
	append(json, "[", 1);
	json->comma = false;
}

void json_array_end(struct json *json)
{
	append(json, "]", 1);
	json->comma = true;
}

void json_string(struct json *json, const char *key, const char *value)
{
	start(json, key);
	if (value)
		append_string(json, value);
	else
		append(json, "null", 4);
}

void json_format(struct json *json, const char *key, const char *format, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		json->failed = true;
		return;
	}
	json_string(json, key, text);
	free(text);
}

static void number(struct json *json, const char *key, const char *text, int length)
{
	start(json, key);
	append(json, text, length);
}

void json_u64(struct json *json, const char *key, __u64 value)
{
	char text[24];

	number(json, key, text, snprintf(text, sizeof(text), "%llu", value));
}

void json_s64(struct json *json, const char *key, __s64 value)
{
	char text[24];

	number(json, key, text, snprintf(text, sizeof(text), "%lld", value));
}

void json_double(struct json *json, const char *key, double value)
{
	char text[40];

	if (!isfinite(value)) {
		json_null(json, key);
		return;
	}
	number(json, key, text, snprintf(text, sizeof(text), "%.6g", value));
}

void json_bool(struct json *json, const char *key, bool value)
{
	start(json, key);
	append(json, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json *json, const char *key)
{
	start(json, key);
	append(json, "null", 4);
}

void json_hex(struct json *json, const char *key, const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = bytes;

	start(json, key);
	if (!reserve(json, 2 * length + 2))
		return;
	append(json, "\"", 1);
	for (size_t i = 0; i < length; i++)
		append(json, (char[2]){ digits[from[i] >> 4], digits[from[i] & 15] }, 2);
	append(json, "\"", 1);
}

void json_raw(struct json *json, const char *key, const char *text, size_t length)
{
	if (length == 0)
		return;
	start(json, key);
	append(json, text, length);
}
