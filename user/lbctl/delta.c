// SPDX-License-Identifier: GPL-2.0-only
/* Differences of counters in JSON trees; see delta.h. Exact in 64 bits. */
#include "delta.h"

#include <string.h>

#include "json.h"
#include "lbctl.h"

static const char *const identities[] = { "name", "reason", "cpu" };

static bool same(const cJSON *a, const cJSON *b)
{
	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
		const cJSON *x = json_get(a, identities[i]), *y = json_get(b, identities[i]);

		if (!x && !y)
			continue;
		return x && y && cJSON_Compare(x, y, true);
	}
	return false;
}

/* The object of an array that belongs to item; at: where it most likely is. */
static const cJSON *partner(const cJSON *array, const cJSON *item, const cJSON *at)
{
	const cJSON *candidate;

	if (at && same(at, item))
		return at;
	cJSON_ArrayForEach (candidate, array) {
		if (same(candidate, item))
			return candidate;
	}
	return NULL;
}

static void subtract(const cJSON *before, cJSON *now)
{
	const cJSON *at = before ? before->child : NULL;
	cJSON *item;

	cJSON_ArrayForEach (item, now) {
		const cJSON *old = cJSON_IsArray(now)
					   ? partner(before, item, at)
					   : cJSON_GetObjectItemCaseSensitive(before, item->string);

		if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
			subtract(old, item);
		} else if (json_is_integer(item) && !(item->string && strcmp(item->string, "cpu") == 0)) {
			unsigned long long x = json_value_u64(old), y = json_value_u64(item);

			json_set_u64(item, y >= x ? y - x : y);
		}
		at = at ? at->next : NULL;
	}
}

cJSON *delta_make(const cJSON *before, const cJSON *now)
{
	unsigned long long from_ms = json_u64(before, "time_ms"), to_ms = json_u64(now, "time_ms");
	cJSON *delta = cJSON_Duplicate(now, true), *time;

	if (!delta)
		lbctl_memory();
	subtract(before, delta);
	time = cJSON_GetObjectItemCaseSensitive(delta, "time_ms");
	if (time)
		json_set_u64(time, to_ms);
	if (!cJSON_AddNumberToObject(delta, "interval_ms", to_ms > from_ms ? (double)(to_ms - from_ms) : 0))
		lbctl_memory();
	return delta;
}
