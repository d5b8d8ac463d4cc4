/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of backends that backend list and service show share. */
#pragma once

#include "lbctl.h"

/* Whether somebody overrules what is configured for a backend: a star, and a line below the table. */
bool reasons_given(const cJSON *backend);
void reasons_print(const struct lbctl *c, const cJSON *backends);

/* backends: an array; service: whether each row names its service. */
void backends_print(const struct lbctl *c, const cJSON *backends, bool service);
