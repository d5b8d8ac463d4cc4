// SPDX-License-Identifier: GPL-2.0-only
/*
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics specification. The two
 * differ in heads alone: OpenMetrics calls a counter's family by its name without _total, and knows info.
 */
#include "lbd/metrics/exposition.h"

#include <stdio.h>
#include <string.h>

enum metric_type { COUNTER, GAUGE, HISTOGRAM, INFO };

static const struct description {
	const char *name, *help;
	enum metric_type type;
	enum metric_scope scope;
} descriptions[METRIC_COUNT] = {
#define WHOLE(id, type, name, help)   [METRIC_##id] = { name, help, type, METRIC_SCOPE_WHOLE },
#define SERVICE(id, type, name, help) [METRIC_##id] = { name, help, type, METRIC_SCOPE_SERVICE },
#define DETAIL(id, type, name, help)  [METRIC_##id] = { name, help, type, METRIC_SCOPE_SERVICE_DETAIL },
#define BACKEND(id, type, name, help) [METRIC_##id] = { name, help, type, METRIC_SCOPE_BACKEND },
	METRICS_WHOLE(WHOLE) METRICS_SERVICE(SERVICE) METRICS_SERVICE_DETAIL(DETAIL) METRICS_BACKEND(BACKEND)
};

#define ONE(id, type, name, help) +1
_Static_assert(0 METRICS_SERVICE(ONE) <= METRICS_SERVICE_MAX, "5,000 services stay below 50,000 series");

static void append(struct json *part, const char *text, size_t length)
{
	part->comma = false;
	json_raw(part, NULL, text, length);
}

static const char *type_name(enum metric_type type, bool openmetrics)
{
	return type == COUNTER               ? "counter"
	       : type == HISTOGRAM           ? "histogram"
	       : type == INFO && openmetrics ? "info"
					     : "gauge";
}

/* In OpenMetrics a family is called without what its type adds to the names of samples. */
static int family_length(const struct description *metric, bool openmetrics)
{
	static const char *const suffixes[] = { [COUNTER] = "_total", [INFO] = "_info" };
	size_t length = strlen(metric->name);

	if (openmetrics && (metric->type == COUNTER || metric->type == INFO))
		length -= strlen(suffixes[metric->type]);
	return (int)length;
}

void metric_heads(struct json *parts, enum metric_scope scope, bool openmetrics)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct description *metric = &descriptions[i];
		int length = family_length(metric, openmetrics);
		char text[512];
		int n;

		if (metric->scope != scope)
			continue;
		n = snprintf(text, sizeof(text), "# HELP %.*s %s\n# TYPE %.*s %s\n", length, metric->name,
			     metric->help, length, metric->name, type_name(metric->type, openmetrics));
		append(&parts[i], text, (size_t)n);
	}
}

void metric_end(struct json *parts, bool openmetrics)
{
	static const char end[] = "# EOF\n";

	if (openmetrics)
		append(&parts[METRIC_COUNT], end, sizeof(end) - 1);
}

/* --- labels ----------------------------------------------------------------------------------------------
 */

void metric_labels_begin(struct metric_labels *labels)
{
	labels->length = 0;
}

void metric_labels_cut(struct metric_labels *labels, size_t length)
{
	labels->length = length;
}

/* At most 3 bytes for one. Returns how many of the value were taken. */
static size_t escape(const char *value, char *to, size_t *ret_n)
{
	size_t taken = json_utf8_length(value);

	*ret_n = 2;
	if (taken == 0) {
		memcpy(to, "\xef\xbf\xbd", 3);
		*ret_n = 3;
		return 1;
	}
	if (*value == '\\' || *value == '"') {
		to[0] = '\\';
		to[1] = *value;
	} else if (*value == '\n') {
		memcpy(to, "\\n", 2);
	} else {
		memcpy(to, value, taken);
		*ret_n = taken;
	}
	return taken;
}

void metric_label(struct metric_labels *labels, const char *name, const char *value)
{
	size_t most = strlen(name) + 3 * strlen(value) + sizeof(",=\"\"");
	char *to = labels->text + labels->length;

	/* Names are short (LB_NAME_MAX, IF_NAMESIZE): this is a bug, and no reason to write over others. */
	if (most > sizeof(labels->text) - labels->length)
		return;
	to += sprintf(to, "%s%s=\"", labels->length ? "," : "", name);
	while (*value) {
		size_t n;

		value += escape(value, to, &n);
		to += n;
	}
	*to++ = '"';
	labels->length = (size_t)(to - labels->text);
}

/* --- samples ---------------------------------------------------------------------------------------------
 */

static void sample(struct json *parts, enum metric metric, const char *suffix,
		   const struct metric_labels *labels, const char *value)
{
	char text[METRIC_LABELS_MAX + 256], *to = text;

	to = stpcpy(to, descriptions[metric].name);
	to = stpcpy(to, suffix);
	if (labels && labels->length) {
		*to++ = '{';
		to = mempcpy(to, labels->text, labels->length);
		*to++ = '}';
	}
	*to++ = ' ';
	to = stpcpy(to, value);
	*to++ = '\n';
	append(&parts[metric], text, (size_t)(to - text));
}

static void sample_u64(struct json *parts, enum metric metric, const char *suffix,
		       const struct metric_labels *labels, __u64 value)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	sample(parts, metric, suffix, labels, at);
}

void metric_u64(struct json *parts, enum metric metric, const struct metric_labels *labels, __u64 value)
{
	sample_u64(parts, metric, "", labels, value);
}

void metric_double(struct json *parts, enum metric metric, const struct metric_labels *labels, double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.12g", value);
	sample(parts, metric, "", labels, text);
}

void metric_u64_of(struct json *parts, enum metric metric, struct metric_labels *labels, const char *label,
		   const char *of, __u64 value)
{
	size_t length = labels->length;

	metric_label(labels, label, of);
	metric_u64(parts, metric, labels, value);
	metric_labels_cut(labels, length);
}

/* --- histograms ------------------------------------------------------------------------------------------
 */

static const struct bound {
	__u64 ns;
	const char *text;
} bounds[METRIC_BUCKETS] = {
	{ 500000, "0.0005" },  { 1000000, "0.001" },  { 2500000, "0.0025" }, { 5000000, "0.005" },
	{ 10000000, "0.01" },  { 25000000, "0.025" }, { 50000000, "0.05" },  { 100000000, "0.1" },
	{ 250000000, "0.25" }, { 500000000, "0.5" },  { 1000000000, "1.0" }, { 5000000000, "5.0" },
};

void metric_histogram_add(struct metric_histogram *histogram, __u64 ns)
{
	size_t i = 0;

	while (i < METRIC_BUCKETS && ns > bounds[i].ns)
		i++;
	histogram->buckets[i]++;
	histogram->sum_ns += ns;
}

void metric_histogram(struct json *parts, enum metric metric, struct metric_labels *labels,
		      const struct metric_histogram *histogram)
{
	size_t length = labels->length;
	__u64 count = 0;
	char text[40];

	for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
		count += histogram->buckets[i];
		metric_label(labels, "le", i < METRIC_BUCKETS ? bounds[i].text : "+Inf");
		sample_u64(parts, metric, "_bucket", labels, count);
		metric_labels_cut(labels, length);
	}
	snprintf(text, sizeof(text), "%.12g", (double)histogram->sum_ns / 1e9);
	sample(parts, metric, "_sum", labels, text);
	sample_u64(parts, metric, "_count", labels, count);
}

void metric_histogram_of(struct json *parts, enum metric metric, struct metric_labels *labels,
			 const double *bound, const __u64 *below, size_t n, __u64 all, __u64 sum_ns)
{
	size_t length = labels->length;
	char text[40];

	for (size_t i = 0; i <= n; i++) {
		snprintf(text, sizeof(text), "%.12g", i < n ? bound[i] : 0.0);
		metric_label(labels, "le", i < n ? text : "+Inf");
		sample_u64(parts, metric, "_bucket", labels, i < n ? below[i] : all);
		metric_labels_cut(labels, length);
	}
	snprintf(text, sizeof(text), "%.12g", (double)sum_ns / 1e9);
	sample(parts, metric, "_sum", labels, text);
	sample_u64(parts, metric, "_count", labels, all);
}
