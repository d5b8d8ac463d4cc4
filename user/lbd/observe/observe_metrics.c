// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the observer tells Prometheus: all sums of services, and of backends, of which there are many more,
 * those that siblings are compared by.
 */
#include "lbd/observe/observe_metrics.h"

#include "lbd/observe/observe.h"

/* Of the buckets by powers of two each second one, from 66 microseconds to 17 seconds. */
#define BOUNDS      10u
#define BOUND_FIRST 2u
#define BOUND_STEP  2u

void observe_metrics_whole(const struct lbd *lbd, struct json *parts)
{
	struct metric_labels labels;
	struct observe_state state;

	observe_get_state(lbd, &state);
	metric_labels_begin(&labels);
	metric_double(parts, METRIC_OBSERVE_SAMPLED, NULL,
		      state.on ? 1.0 / (double)(1ull << state.level) : 0);
	metric_double(parts, METRIC_OBSERVE_COST, NULL, state.cost_ratio);
	metric_u64(parts, METRIC_OBSERVE_PACKETS, NULL, state.packets);
	metric_u64_of(parts, METRIC_OBSERVE_EVENTS, &labels, "fate", "taken", state.events);
	metric_u64_of(parts, METRIC_OBSERVE_EVENTS, &labels, "fate", "lost", state.events_lost);
	metric_u64_of(parts, METRIC_OBSERVE_REFUSED, &labels, "place", "handshake", state.handshakes_refused);
	metric_u64_of(parts, METRIC_OBSERVE_REFUSED, &labels, "place", "connection",
		      state.connections_refused);
}

static void write_handshakes(const struct lb_tally_histogram *histogram, struct metric_labels *labels,
			     struct json *parts)
{
	__u64 below[BOUNDS], count = 0;
	double bounds[BOUNDS];
	unsigned int from = 0;

	for (unsigned int i = 0; i < BOUNDS; i++) {
		unsigned int bucket = BOUND_FIRST + i * BOUND_STEP;

		for (; from <= bucket; from++)
			count += histogram->bucket[from];
		below[i] = count;
		bounds[i] = (double)lb_tally_bound_ns(bucket) / 1e9;
	}
	metric_histogram_of(parts, METRIC_SERVICE_HANDSHAKE_SECONDS, labels, bounds, below, BOUNDS,
			    lb_tally_histogram_count(histogram), histogram->sum_ns);
}
_Static_assert(BOUND_FIRST + (BOUNDS - 1) * BOUND_STEP < LB_TALLY_BUCKETS, "all bounds are buckets");

void observe_metrics_service(const struct lbd *lbd, const char *service, struct metric_labels *labels,
			     struct json *parts)
{
	static const struct lb_tally nothing;
	const struct lb_tally *seen = observe_service(lbd, service), *tally = seen ? seen : &nothing;

	metric_u64(parts, METRIC_SERVICE_OPEN, labels, seen ? observe_open_connections(lbd, seen) : 0);
	for (size_t i = 0; i < LB_TALLY_COUNT; i++)
		metric_u64_of(parts, METRIC_SERVICE_OBSERVED, labels, "what", lb_tally_names[i],
			      tally->sums[i]);
	write_handshakes(&tally->handshake, labels, parts);
}

void observe_metrics_backend(const struct lbd *lbd, const char *service, const char *backend,
			     struct metric_labels *labels, struct json *parts)
{
	static const enum lb_tally_sum sums[] = { LB_TALLY_STARTED,   LB_TALLY_COMPLETED,
						  LB_TALLY_GAVE_UP,   LB_TALLY_RETRIED,
						  LB_TALLY_RESENT,    LB_TALLY_RESET_EARLY,
						  LB_TALLY_RESET_LATE };
	const struct lb_tally *tally = observe_backend(lbd, service, backend);

	if (!tally)
		return;
	metric_u64(parts, METRIC_BACKEND_OPEN, labels, observe_open_connections(lbd, tally));
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		metric_u64_of(parts, METRIC_BACKEND_OBSERVED, labels, "what", lb_tally_names[sums[i]],
			      tally->sums[sums[i]]);
	metric_double(parts, METRIC_BACKEND_HANDSHAKE_SECONDS, labels, (double)tally->handshake.sum_ns / 1e9);
}
