/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes JSON straight into a growing buffer: 64-bit integers stay exact, and an answer about 100,000
 * backends costs no tree. Errors of memory stick and are asked for once, at the end.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct json {
	char *text; /* owned; terminated when not NULL */
	size_t length, capacity;
	bool comma;  /* the next element needs one */
	bool failed; /* out of memory: text is of no use */
};

void json_done(struct json *json);

/* Makes room for so many bytes, that then need no more memory. False when there is none: text is of no use.
 */
bool json_reserve(struct json *json, size_t bytes);

/* key: NULL inside an array and at the top. Strings are escaped; what is not UTF-8 becomes U+FFFD. */
void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);
void json_string(struct json *json, const char *key, const char *value); /* NULL: null */
void json_format(struct json *json, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void json_u64(struct json *json, const char *key, __u64 value);
void json_s64(struct json *json, const char *key, __s64 value);
void json_double(struct json *json, const char *key, double value); /* NaN and infinity: null */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_hex(struct json *json, const char *key, const void *bytes, size_t length);

/* Length of the UTF-8 sequence at s, or 0 when it is none (RFC 3629). s: terminated, not empty. */
size_t json_utf8_length(const char *s);

/* Text that already is JSON: a whole value, or with key NULL and raw text, members to go into the object. */
void json_raw(struct json *json, const char *key, const char *text, size_t length);
