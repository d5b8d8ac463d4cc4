// SPDX-License-Identifier: GPL-2.0-only
/*
 * Totals by number.
 */
#include "lbctl/totals.h"

double totals_of_service(const cJSON *service, enum lb_total total)
{
	static const char *const names[] = {
#define X(A, total, TOTAL, unit, kept, metric, column, help) [LB_TOTAL_##TOTAL] = #total,
		LB_TOTALS(X, )
#undef X
	};

	return json_double(service, names[total]);
}

double totals_of_backend(const cJSON *backend, enum lb_total total)
{
	/* By name, which is how words name the total that they add to. */
	struct {
#define X(A, total, TOTAL, unit, kept, metric, column, help) double total;
		LB_TOTALS(X, )
#undef X
	} sum = { 0 };

#define X(word, total, name, help) sum.total += json_double(backend, name);
	LB_COUNTERS(X)
#undef X
	const double by_number[] = {
#define X(A, total, TOTAL, unit, kept, metric, column, help) [LB_TOTAL_##TOTAL] = sum.total,
		LB_TOTALS(X, )
#undef X
	};

	return by_number[total];
}
