/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prometheus's text format 0.0.4 and OpenMetrics 1.0: heads, labels, samples. Samples of a metric must stand
 * together: each metric has a part of the answer of its own, and what writes may write in any order.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "lbd/api/json.h"
#include "lbd/metrics/metrics_list.h"

/* The last part is the end of the answer. */
#define METRIC_PARTS (METRIC_COUNT + 1)

/* Which of the lists: heads are written for all of its metrics, whether or not they have samples. */
enum metric_scope {
	METRIC_SCOPE_WHOLE,
	METRIC_SCOPE_SERVICE,
	METRIC_SCOPE_SERVICE_DETAIL,
	METRIC_SCOPE_BACKEND
};

/* Before the samples. openmetrics: heads and end as that wants them. */
void metric_heads(struct json *parts, enum metric_scope scope, bool openmetrics);
void metric_end(struct json *parts, bool openmetrics);

/* Of a sample, as they are written. Values are escaped; what is not UTF-8 becomes U+FFFD. */
#define METRIC_LABELS_MAX 2048u
struct metric_labels {
	size_t length;
	char text[METRIC_LABELS_MAX];
};
void metric_labels_begin(struct metric_labels *labels);
void metric_label(struct metric_labels *labels, const char *name, const char *value);
/* Back to so many bytes: for a series of samples that differ in their last labels. */
void metric_labels_cut(struct metric_labels *labels, size_t length);

/* labels: NULL: none. */
void metric_u64(struct json *parts, enum metric metric, const struct metric_labels *labels, __u64 value);
void metric_double(struct json *parts, enum metric metric, const struct metric_labels *labels, double value);

/* One sample that has this label more. */
void metric_u64_of(struct json *parts, enum metric metric, struct metric_labels *labels, const char *label,
		   const char *of, __u64 value);

/* Seconds, by upper bounds. */
#define METRIC_BUCKETS 12u
struct metric_histogram {
	__u64 buckets[METRIC_BUCKETS + 1]; /* the last one: above all bounds */
	__u64 sum_ns;
};
void metric_histogram_add(struct metric_histogram *histogram, __u64 ns);
/* One of other bounds, ascending and in seconds; below: of each the number of what is not above it, in all
 * where there is no bound. */
void metric_histogram_of(struct json *parts, enum metric metric, struct metric_labels *labels,
			 const double *bound, const __u64 *below, size_t n, __u64 all, __u64 sum_ns);
void metric_histogram(struct json *parts, enum metric metric, struct metric_labels *labels,
		      const struct metric_histogram *histogram);
