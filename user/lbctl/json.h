/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * JSON of the agent, read through cJSON without losing digits: integers too long for a double are kept as raw
 * text, and printed as they came. Accessors accept a missing object or key and then give nothing (0, "-").
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* Values in one answer at most: bounds memory at about 1 GB when the peer is not what it seems. */
#define JSON_VALUES_MAX (8u << 20)

/* 0 and the tree (cJSON_Delete), -EINVAL: no JSON, -E2BIG: more values than JSON_VALUES_MAX, -ENOMEM. */
int json_parse(const char *text, size_t length, cJSON **ret_root);

const cJSON *json_get(const cJSON *object, const char *key); /* NULL: not there, or null */
unsigned long long json_u64(const cJSON *object, const char *key);
double json_double(const cJSON *object, const char *key);
bool json_bool(const cJSON *object, const char *key);
const char *json_text(const cJSON *object, const char *key); /* "-" when there is no string */

bool json_is_integer(const cJSON *item);
unsigned long long json_value_u64(const cJSON *item);
void json_set_u64(cJSON *item, unsigned long long value);

/* One line, without blanks; malloc'd. */
char *json_line(const cJSON *item);
/* Prints it with a newline to stdout. */
void json_print(const cJSON *item);
