/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The circuit breaker of one backend in one service. It opens by failures in a row or by their rate over a
 * window, waits (longer each time), lets a small share of new flows in, doubles it after each good window,
 * and is closed again when the share is full.
 *
 * Laws: what began before the last transition moves nothing; a failed check never improves a state; a share
 * grows, and a growing wait shrinks, on answers alone, never by time. The operator's word lies over the
 * automatic state and does not erase it.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "config/config.h"
#include "health/history.h"

/* X(NAME, number, "name"): numbers are what metrics show. */
#define LB_CIRCUIT_STATES(X)                                                                                 \
	X(CLOSED, 0, "closed")                                                                               \
	X(OPEN, 1, "open")                                                                                   \
	X(HALF_OPEN, 2, "half-open")                                                                         \
	X(FORCED_OPEN, 3, "forced-open")                                                                     \
	X(DISABLED, 4, "disabled")

enum lb_circuit_state {
#define X(name, number, text) LB_CIRCUIT_##name = (number),
	LB_CIRCUIT_STATES(X)
#undef X
};
#define LB_CIRCUIT_STATE_COUNT 5
const char *lb_circuit_state_name(enum lb_circuit_state state);

/* The operator's word on a breaker. */
enum lb_circuit_word { LB_CIRCUIT_AUTO, LB_CIRCUIT_FORCE_OPEN, LB_CIRCUIT_OFF };

#define LB_SHARE_FULL        1000u /* permille */
#define LB_CIRCUIT_BUCKETS   8u    /* that a window is cut into */
#define LB_CIRCUIT_LEVEL_MAX 16u
#define LB_DEAD_NEVER        0u

struct lb_circuit_config {
	__u32 rise, fall;                       /* results in a row; 1..LB_HISTORY_MAX */
	__u32 rate_percent;                     /* of weighted failures in the window that opens; 0: never */
	__u32 window_ms;                        /* that the rate is of */
	__u32 min_samples;                      /* below which there is no rate */
	__u16 weight_percent[LB_OUTCOME_COUNT]; /* what a failure counts for in the rate */
	__u32 wait_ms;        /* open for so long at first, twice as long each further time */
	__u32 wait_max_ms;    /* at most; and closed for so long, the wait shrinks by half */
	__u32 jitter_percent; /* 0..100: of the wait, more or less */
	__u32 first_share;    /* permille, of a half-open circuit at first */
	__u32 ramp_ms;        /* window after which a share is doubled */
	__u32 dead_after_ms;  /* of silence while open, after which old flows are given up; LB_DEAD_NEVER */
	__u32 drain_max_ms;   /* the same where it is not silent, but refuses or answers badly */
	__u32 slow_start_ms;  /* of a backend that was added; 0: none */
};

struct lb_circuit {
	enum lb_circuit_state state; /* automatic: closed, open or half-open */
	enum lb_circuit_word word;
	__u64 since_ns;            /* of the state */
	struct lb_history history; /* since the last transition */
	enum lb_outcome cause;     /* why it opened last */
	unsigned int cause_run;    /* so many in a row; 0: by rate */
	bool dead;                 /* open for so long that old flows are given up */
	bool nexthop_lost;         /* set by the owner */
	__u32 share;               /* permille */
	__u64 silent_since_ns;     /* begin of the unbroken silence; 0: none */
	__u64 retry_ns;            /* open: not half-open before */
	__u64 window_ns;           /* half-open: when the current window began */
	unsigned int window_good, window_bad;
	unsigned int level; /* of the wait */
	__u64 level_since_ns;
	__u64 slow_since_ns; /* 0: no slow start */
	__u64 opens;
	__u64 seed; /* of the jitter */
	enum lb_outcome last;
	__u64 last_ns; /* end of the last check that said anything */
	struct {
		__u64 number; /* of the bucket since the clock's zero */
		__u32 samples, bad_percent;
	} buckets[LB_CIRCUIT_BUCKETS];
};

/* added: new beside others, so a slow start applies. seed: any number that differs between balancers. */
void lb_circuit_init(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns,
		     bool added, __u64 seed);

/*
 * A check has ended. hold: remember the result, but do not open by it now (the checker itself is doubted);
 * lb_circuit_tick() will if the doubt passes. True: state, share or dead have changed.
 */
bool lb_circuit_result(struct lb_circuit *circuit, const struct lb_circuit_config *config,
		       const struct lb_result *result, __u64 now_ns, bool hold);

/* Time has passed, or nexthop_lost has changed. True as above. */
bool lb_circuit_tick(struct lb_circuit *circuit, const struct lb_circuit_config *config, __u64 now_ns,
		     bool hold);

/* When lb_circuit_tick() can have an effect without a result; UINT64_MAX: not at all. */
__u64 lb_circuit_next_ns(const struct lb_circuit *circuit, const struct lb_circuit_config *config);

/* What the operator says. Back to auto after force-open, a closed circuit is half-open first. */
bool lb_circuit_say(struct lb_circuit *circuit, const struct lb_circuit_config *config,
		    enum lb_circuit_word word, __u64 now_ns);

/* The checker is to blame for what began at since_ns and later: it is forgotten. */
void lb_circuit_forget(struct lb_circuit *circuit, __u64 since_ns);

/* One of the five. */
enum lb_circuit_state lb_circuit_state(const struct lb_circuit *circuit);

/* What the automatic state means for flows, and the share of new ones (permille). */
enum lb_state lb_circuit_verdict(const struct lb_circuit *circuit, const struct lb_circuit_config *config,
				 __u64 now_ns, __u32 *ret_share);

/* "refused 4 of 4 checks". Returns the buffer; empty: there is nothing to say. */
#define LB_CIRCUIT_TEXT_MAX 96
const char *lb_circuit_text(const struct lb_circuit *circuit, char buffer[LB_CIRCUIT_TEXT_MAX]);
