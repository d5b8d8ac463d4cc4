/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Drift: what runs is otherwise than the configuration file, because a request changed it, or somebody wrote
 * into the file and has not loaded it. Looked at when either has changed, and told for as long as it is so.
 */
#pragma once

#include <stddef.h>

#include "lbd/api/json.h"

struct lbd;

/* Keys that are named one by one. */
#define DRIFT_TOLD_MAX 20u

/* Every second: whether the file or what runs is another one. */
void drift_look(struct lbd *lbd);
void drift_done(struct lbd *lbd);

/* The member "drift" of the status: null where there is none. */
void drift_write(const struct lbd *lbd, struct json *json);

/* The warning, an element of an array, where there is one to give. */
void drift_warn(const struct lbd *lbd, struct json *json);

/* How many keys differ. */
size_t drift_keys(const struct lbd *lbd);
