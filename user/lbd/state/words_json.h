/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The operator's words as JSON: in records, and for people.
 */
#pragma once

#include <cjson/cJSON.h>

#include "intent/intent.h"

struct json;

/* A list of words under a key; iso: times for people instead of seconds. */
void words_write(const struct lb_words *words, const char *key, bool iso, struct json *json);

/* Reads such a list, and those of lbd 0.3, which had a state and a weight in one. 0, -EINVAL, -ENOMEM. */
int words_read(const cJSON *list, struct lb_words *ret_words);
