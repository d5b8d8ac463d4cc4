/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of backends that backend list and service show share. */
#pragma once

#include "lbctl.h"

/* backends: an array; service: whether each row names its service. */
void backends_print(const struct lbctl *c, const cJSON *backends, bool service);
