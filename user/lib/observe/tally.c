// SPDX-License-Identifier: GPL-2.0-only
/*
 * See tally.h. What counts in a window is counted once for each flow: what an attacker or a nervous client
 * repeats does not weigh more.
 */
#include "observe/tally.h"

#include <string.h>

#include "observe/tls_hello.h"

const char *const lb_tally_names[LB_TALLY_COUNT] = {
#define X(id, name, help) [LB_TALLY_##id] = name,
	LB_TALLY_SUMS(X)
#undef X
};

const char *const lb_tally_helps[LB_TALLY_COUNT] = {
#define X(id, name, help) [LB_TALLY_##id] = help,
	LB_TALLY_SUMS(X)
#undef X
};

__u64 lb_tally_bound_ns(unsigned int i)
{
	return 1ull << (i + LB_TALLY_LOG2_FIRST);
}

void lb_tally_histogram_add(struct lb_tally_histogram *histogram, __u64 ns, __u64 weight)
{
	unsigned int i = 0;

	while (i < LB_TALLY_BUCKETS - 1 && ns >= lb_tally_bound_ns(i))
		i++;
	histogram->bucket[i] += weight;
	histogram->sum_ns += ns * weight;
}

__u64 lb_tally_histogram_count(const struct lb_tally_histogram *histogram)
{
	__u64 count = 0;

	for (unsigned int i = 0; i < LB_TALLY_BUCKETS; i++)
		count += histogram->bucket[i];
	return count;
}

__u64 lb_tally_quantile(const struct lb_tally_histogram *histogram, double share)
{
	double wanted = (double)lb_tally_histogram_count(histogram) * share;
	__u64 below = 0;

	if (wanted <= 0)
		return 0;
	for (unsigned int i = 0; i < LB_TALLY_BUCKETS; i++) {
		below += histogram->bucket[i];
		if ((double)below >= wanted)
			return lb_tally_bound_ns(i);
	}
	return lb_tally_bound_ns(LB_TALLY_BUCKETS - 1);
}

/* The period of now, those in between emptied. */
static struct lb_tally_window *period_at(struct lb_tally *tally, __u64 now_s)
{
	__u64 period = now_s / LB_TALLY_PERIOD_S;

	if (period > tally->period) {
		__u64 passed = period - tally->period;

		for (__u64 i = 0; i < passed && i < LB_TALLY_PERIODS; i++)
			tally->periods[(period - i) % LB_TALLY_PERIODS] = (struct lb_tally_window){};
		tally->period = period;
	}
	return &tally->periods[tally->period % LB_TALLY_PERIODS];
}

/* Of a flow that was seen itself, once. */
#define HAPPENED(tally, now_s, what) (period_at(tally, now_s)->what++, (tally)->seen.what++)

void lb_tally_recent(const struct lb_tally *tally, __u64 now_s, unsigned int seconds,
		     struct lb_tally_window *ret_window)
{
	__u64 now = now_s / LB_TALLY_PERIOD_S,
	      periods = (seconds + LB_TALLY_PERIOD_S - 1) / LB_TALLY_PERIOD_S;

	*ret_window = (struct lb_tally_window){};
	if (periods > LB_TALLY_PERIODS)
		periods = LB_TALLY_PERIODS;
	for (__u64 i = 0; i < LB_TALLY_PERIODS && i <= tally->period; i++) {
		const struct lb_tally_window *from = &tally->periods[(tally->period - i) % LB_TALLY_PERIODS];

		if (tally->period - i + periods <= now)
			break;
		ret_window->started += from->started;
		ret_window->retried += from->retried;
		ret_window->gave_up += from->gave_up;
		ret_window->completed += from->completed;
		ret_window->resets += from->resets;
		ret_window->resent += from->resent;
	}
}

void lb_tally_datagrams(struct lb_tally *tally, __u64 weight)
{
	tally->sums[LB_TALLY_STARTED] += weight;
	tally->sampled++;
}

void lb_tally_started(struct lb_tally *tally, __u64 weight, __u64 now_s)
{
	lb_tally_datagrams(tally, weight);
	HAPPENED(tally, now_s, started);
}

static void add_syns(struct lb_tally *tally, __u8 again, __u8 anew, __u64 weight)
{
	tally->sums[LB_TALLY_SYNS_AGAIN] += again * weight;
	tally->sums[LB_TALLY_SYNS_ANEW] += anew * weight;
}

void lb_tally_gave_up(struct lb_tally *tally, const struct lb_observed *flow, __u64 weight, __u64 now_s)
{
	tally->sums[LB_TALLY_GAVE_UP] += weight;
	HAPPENED(tally, now_s, gave_up);
	add_syns(tally, flow->again, flow->anew, weight);
}

static void add_ended(struct lb_tally *tally, __u64 bytes, __u16 resent, __u64 ns, __u64 weight)
{
	tally->sums[LB_TALLY_ENDED_BYTES] += bytes * weight;
	tally->sums[LB_TALLY_SEGMENTS_RESENT] += resent * weight;
	lb_tally_histogram_add(&tally->duration, ns, weight);
}

void lb_tally_silent(struct lb_tally *tally, const struct lb_observed *flow, __u64 weight)
{
	tally->sums[LB_TALLY_SILENT] += weight;
	add_ended(tally, flow->bytes, flow->resent, flow->seen_ns - flow->started_ns, weight);
}

void lb_tally_open(struct lb_tally *tally, __u64 round, __u64 weight)
{
	if (tally->open_round != round) {
		tally->open = lb_tally_open_now(tally, round);
		tally->open_next = 0;
		tally->open_round = round;
	}
	tally->open_next += weight;
}

__u64 lb_tally_open_now(const struct lb_tally *tally, __u64 round)
{
	return tally->open_round == round       ? tally->open
	       : tally->open_round + 1 == round ? tally->open_next
						: 0;
}

static void completed(struct lb_tally *tally, const struct lb_observe_event *event, __u64 weight, __u64 now_s)
{
	tally->sums[LB_TALLY_COMPLETED] += weight;
	HAPPENED(tally, now_s, completed);
	add_syns(tally, event->again, event->anew, weight);
	lb_tally_histogram_add(&tally->handshake, event->time_ns, weight);
}

static void reset(struct lb_tally *tally, const struct lb_observe_event *event, __u64 weight, __u64 now_s)
{
	tally->sums[event->bytes ? LB_TALLY_RESET_LATE : LB_TALLY_RESET_EARLY] += weight;
	HAPPENED(tally, now_s, resets);
	if (event->completed)
		add_ended(tally, event->bytes, event->resent, event->time_ns, weight);
	else
		add_syns(tally, event->again, event->anew, weight);
}

void lb_tally_event(struct lb_tally *tally, const struct lb_observe_event *event, __u64 weight, __u64 now_s)
{
	switch (event->kind) {
	case LB_OBSERVE_RETRY:
		tally->sums[LB_TALLY_RETRIED] += weight;
		HAPPENED(tally, now_s, retried);
		return;
	case LB_OBSERVE_COMPLETED:
		if (!event->started)
			lb_tally_started(tally, weight, now_s);
		completed(tally, event, weight, now_s);
		return;
	case LB_OBSERVE_RESENT:
		tally->sums[LB_TALLY_RESENT] += weight;
		HAPPENED(tally, now_s, resent);
		return;
	case LB_OBSERVE_CLOSED:
		tally->sums[LB_TALLY_CLOSED] += weight;
		add_ended(tally, event->bytes, event->resent, event->time_ns, weight);
		return;
	case LB_OBSERVE_RESET:
		if (!event->completed && !event->started)
			lb_tally_started(tally, weight, now_s);
		reset(tally, event, weight, now_s);
		return;
	case LB_OBSERVE_REPLACED:
		tally->sums[LB_TALLY_SILENT] += weight;
		add_ended(tally, event->bytes, event->resent, event->time_ns, weight);
		return;
	}
}

static enum lb_tally_sum alpn_sum(const char *alpn)
{
	if (strcmp(alpn, "h2") == 0)
		return LB_TALLY_TLS_H2;
	return strcmp(alpn, "http/1.1") == 0 ? LB_TALLY_TLS_HTTP_1_1 : LB_TALLY_TLS_OTHER;
}

void lb_tally_hello(struct lb_tally *tally, const struct lb_tls_hello *hello, __u64 weight)
{
	if (!hello) {
		tally->sums[LB_TALLY_TLS_BAD] += weight;
		return;
	}
	tally->sums[LB_TALLY_TLS_HELLOS] += weight;
	tally->sums[hello->version >= 0x0304   ? LB_TALLY_TLS_13
		    : hello->version == 0x0303 ? LB_TALLY_TLS_12
					       : LB_TALLY_TLS_OLDER] += weight;
	if (hello->ticket || hello->psk)
		tally->sums[LB_TALLY_TLS_RESUMPTIONS] += weight;
	if (hello->alpn[0])
		tally->sums[alpn_sum(hello->alpn)] += weight;
}
