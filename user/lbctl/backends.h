/* SPDX-License-Identifier: GPL-2.0-only */
/* What the verbs about backends share: their table, and the word that says a state. */
#pragma once

#include "lbctl.h"

/* Whether somebody overrules what is configured for a backend: a star, and a line below the table. */
bool reasons_given(const cJSON *backend);
void reasons_print(const struct lbctl *c, const cJSON *backends);

/* backends: an array; service: whether each row names its service. */
void backends_print(const struct lbctl *c, const cJSON *backends, bool service);

/* The body that says a state of a backend, with --reason and --for; state NULL: takes it back. Malloc'd; NULL
 * after saying what is wrong. */
char *backend_state_body(const struct lbctl *c, const char *state);
