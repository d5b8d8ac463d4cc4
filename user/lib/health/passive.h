/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What clients' handshakes say of the backends of one service. A backend is suspected when clients go on from
 * far fewer of the handshakes they begin with it than with its siblings, and try again: then it is checked at
 * once and often. Compared with siblings, because what all have in common (a flood of SYNs, a provider that
 * loses packets) is of the clients.
 *
 * It is ejected on this evidence alone only where that is asked for, and only while not one handshake with it
 * is completed: whoever forges packets can add handshakes that come to nothing, and repeat SYNs, but cannot
 * take completed ones of others away. One completed handshake clears it.
 *
 * Pure: counts of a second or so go in, each flow counted once for each kind; times are the caller's.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* Of one backend since the last turn: flows that were seen. */
struct lb_passive_counts {
	__u32 started;   /* handshakes begun */
	__u32 completed; /* that the client went on from */
	__u32 retried;   /* whose SYN was sent again */
	__u32 gave_up;   /* that the client gave up */
	__u32 resets;    /* that the client reset before it sent data */
};

struct lb_passive_config {
	bool eject;
	__u32 min_backends; /* that are judged beside each other, for an ejection */
	__u32 min_samples;  /* handshakes in a row that came to nothing, for an ejection */
	__u32 hold_ms;      /* a suspicion ends after so long without new evidence; an ejection, too */
};

enum lb_passive_state { LB_PASSIVE_FINE, LB_PASSIVE_SUSPECT, LB_PASSIVE_EJECTED };
const char *lb_passive_state_name(enum lb_passive_state state);

#define LB_PASSIVE_TURNS       3u /* that the window has: some seconds */
#define LB_PASSIVE_SAMPLES_MIN 8u /* handshakes in the window, below which nothing is said of a backend */
#define LB_PASSIVE_EVIDENCE_MIN                                                                              \
	2u /* handshakes that were tried again, given up or reset: others may only be slow */
#define LB_PASSIVE_FAILED_MIN                                                                                \
	0.5 /* share of handshakes that fail; and so much more than the siblings' median: */
#define LB_PASSIVE_ABOVE_MIN 0.4

/* Of the owner, zeroed at first. */
struct lb_passive {
	enum lb_passive_state state;
	__u64 since_ns;    /* of the state */
	__u64 evidence_ns; /* when there was something against it last */
	struct lb_passive_counts turns[LB_PASSIVE_TURNS];
	unsigned int turn;
	__u32 unanswered; /* handshakes in a row that came to nothing: since one was completed */
	double failed;    /* share in the window; below 0: too few to say */
	double siblings;  /* median of the others' */
};

/*
 * A turn, about once a second: counts[i] of passives[i], all of one service. Only what takes new flows is
 * among them. True: some state has changed.
 */
bool lb_passive_judge(const struct lb_passive_config *config, struct lb_passive *const *passives,
		      const struct lb_passive_counts *counts, size_t n, __u64 now_ns);

/* No counts: it takes no new flows, or is not observed. True as above: what was held against it may be over.
 */
bool lb_passive_tick(const struct lb_passive_config *config, struct lb_passive *passive, __u64 now_ns);

/* "12 of 12 handshakes came to nothing, 2 % at its siblings". Empty: nothing is held against it. */
#define LB_PASSIVE_TEXT_MAX 128
const char *lb_passive_text(const struct lb_passive *passive, char buffer[LB_PASSIVE_TEXT_MAX]);
