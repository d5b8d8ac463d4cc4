/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was seen of the flows of a backend, or of a service: sums, each flow with the weight of those that it
 * stands for, histograms, and what happened lately to the flows that were seen themselves. Pure; times are
 * the caller's.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "lb/observe.h"

/*
 * The one list of sums: API, metrics and lbctl are made from it. X(ID, "name", "what it counts")
 * Of flows unless it says what else.
 */
#define LB_TALLY_SUMS(X)                                                                                     \
	X(STARTED, "started", "handshakes begun; of UDP flows")                                              \
	X(COMPLETED, "completed", "handshakes that the client went on from")                                 \
	X(GAVE_UP, "gave_up", "handshakes that the client gave up")                                          \
	X(RETRIED, "retried", "handshakes whose SYN was sent again")                                         \
	X(SYNS_AGAIN, "syns_again", "SYNs sent again with the same number")                                  \
	X(SYNS_ANEW, "syns_anew", "SYNs sent again with a new number")                                       \
	X(RESENT, "resent", "connections on which data came again")                                          \
	X(SEGMENTS_RESENT, "segments_resent", "segments whose data had been here before")                    \
	X(RESET_EARLY, "reset_early", "flows that the client reset before it sent data")                     \
	X(RESET_LATE, "reset_late", "connections that the client reset after it sent data")                  \
	X(CLOSED, "closed", "connections that the client closed")                                            \
	X(SILENT, "silent", "connections that ended unseen, by silence")                                     \
	X(ENDED_BYTES, "ended_bytes", "bytes that clients sent on connections that ended")                   \
	X(TLS_HELLOS, "tls_hellos", "connections that began with a TLS hello")                               \
	X(TLS_RESUMPTIONS, "tls_resumptions", "TLS hellos that offer to resume a session")                   \
	X(TLS_13, "tls_1_3", "TLS hellos that offer TLS 1.3")                                                \
	X(TLS_12, "tls_1_2", "TLS hellos that offer TLS 1.2 at best")                                        \
	X(TLS_OLDER, "tls_older", "TLS hellos that offer less")                                              \
	X(TLS_H2, "tls_alpn_h2", "TLS hellos whose first protocol (ALPN) is h2")                             \
	X(TLS_HTTP_1_1, "tls_alpn_http_1_1", "the same, http/1.1")                                           \
	X(TLS_OTHER, "tls_alpn_other", "the same, another one")                                              \
	X(TLS_BAD, "tls_bad", "connections that began like TLS and were not well-formed")

enum lb_tally_sum {
#define X(id, name, help) LB_TALLY_##id,
	LB_TALLY_SUMS(X)
#undef X
		LB_TALLY_COUNT
};
extern const char *const lb_tally_names[LB_TALLY_COUNT];
extern const char *const lb_tally_helps[LB_TALLY_COUNT];

/* By powers of two: bucket i has what is below 2^(i + LB_TALLY_LOG2_FIRST) ns, and not below half of it. */
#define LB_TALLY_BUCKETS    28u
#define LB_TALLY_LOG2_FIRST 14u /* 16 microseconds; the last bucket has all from 1.1 hours on */
struct lb_tally_histogram {
	__u64 bucket[LB_TALLY_BUCKETS];
	__u64 sum_ns;
};

/* What happened in so many seconds, to flows that were seen: not scaled, for this is what there is to judge
 * by. Each flow counts once, whatever its client repeats. */
struct lb_tally_window {
	__u32 started, retried, gave_up, completed, resets, resent;
};
#define LB_TALLY_WINDOW_S 60u
#define LB_TALLY_PERIOD_S 5u
#define LB_TALLY_PERIODS  (LB_TALLY_WINDOW_S / LB_TALLY_PERIOD_S)

struct lb_tally {
	__u64 sums[LB_TALLY_COUNT]; /* estimates */
	__u64 sampled;              /* flows that were seen themselves: what the estimates stand on */
	__u64 open, open_next;      /* connections, estimated: of the last whole look, and of that one */
	__u64 open_round;           /* number of the look that open_next is of */
	struct lb_tally_histogram handshake, duration; /* of completed handshakes; of ended connections */
	struct lb_tally_window seen; /* the same since the beginning; differences count, it may go round */
	struct lb_tally_window periods[LB_TALLY_PERIODS];
	__u64 period; /* number of the latest one in it */
};

/* An event of the ring, of a flow that stands for weight. now_s: when. A hello is lb_tally_hello()'s. */
void lb_tally_event(struct lb_tally *tally, const struct lb_observe_event *event, __u64 weight, __u64 now_s);

/* What a look at the places finds: a handshake begun, given up; a connection that fell silent. */
void lb_tally_started(struct lb_tally *tally, __u64 weight, __u64 now_s);

/* A flow of datagrams began, of which nobody can tell whether it is answered: it is in no window. */
void lb_tally_datagrams(struct lb_tally *tally, __u64 weight);

void lb_tally_gave_up(struct lb_tally *tally, const struct lb_observed *flow, __u64 weight, __u64 now_s);
void lb_tally_silent(struct lb_tally *tally, const struct lb_observed *flow, __u64 weight);

/* A connection that is open, met in a look with this number; how many there were in the last whole look
 * before the one that is under way. */
void lb_tally_open(struct lb_tally *tally, __u64 round, __u64 weight);
__u64 lb_tally_open_now(const struct lb_tally *tally, __u64 round);

/* A TLS hello, as far as it came. NULL: it was none. */
struct lb_tls_hello;
void lb_tally_hello(struct lb_tally *tally, const struct lb_tls_hello *hello, __u64 weight);

/* What happened in the last seconds (whole periods, at most LB_TALLY_WINDOW_S) before now_s. */
void lb_tally_recent(const struct lb_tally *tally, __u64 now_s, unsigned int seconds,
		     struct lb_tally_window *ret_window);

void lb_tally_histogram_add(struct lb_tally_histogram *histogram, __u64 ns, __u64 weight);
/* Upper bound of the bucket that holds this share (0..1) of all: nanoseconds; 0: there is nothing. */
__u64 lb_tally_quantile(const struct lb_tally_histogram *histogram, double share);
__u64 lb_tally_histogram_count(const struct lb_tally_histogram *histogram);
/* Of bucket i, nanoseconds. */
__u64 lb_tally_bound_ns(unsigned int i);
