/* SPDX-License-Identifier: GPL-2.0-only */
/* What happened between two answers of /v1/stats or /v1/drops. */
#pragma once

#include <cjson/cJSON.h>

/*
 * A copy of now whose counters are the differences to before, and whose "interval_ms" tells the time between
 * them. Objects in arrays belong together by "name", "reason" or "cpu"; one that is new counts from 0, and so
 * does one that has fallen. Free with cJSON_Delete.
 */
cJSON *delta_make(const cJSON *before, const cJSON *now);
