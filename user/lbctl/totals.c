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
	double sum[LB_TOTAL_COUNT] = { 0 };
	/* By name, which is how words name the total that they add to. */
	struct {
#define X(A, total, TOTAL, unit, kept, metric, column, help) double *total;
		LB_TOTALS(X, )
#undef X
	} by_name = {
#define X(A, total, TOTAL, unit, kept, metric, column, help) .total = &sum[LB_TOTAL_##TOTAL],
		LB_TOTALS(X, )
#undef X
	};

#define X(word, total, name, help) *by_name.total += json_double(backend, name);
	LB_COUNTERS(X)
#undef X
	return sum[total];
}
