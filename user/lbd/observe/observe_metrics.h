/* SPDX-License-Identifier: GPL-2.0-only */
/* The observer's metrics. */
#pragma once

#include "lbd/metrics/exposition.h"

struct lbd;

void observe_metrics_whole(const struct lbd *lbd, struct json *parts);
/* Of a service: from the beginning, at 0. labels: the service's. */
void observe_metrics_service(const struct lbd *lbd, const char *service, struct metric_labels *labels,
			     struct json *parts);
/* Of a backend, once something was seen of it. labels: of service and backend. */
void observe_metrics_backend(const struct lbd *lbd, const char *service, const char *backend,
			     struct metric_labels *labels, struct json *parts);
