/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How one check ended, and what that says about its target. Numbers are part of the messages between
 * lb-checkd and lbd and of saved verdicts: they are never used again for something else.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

/*
 * X(NAME, number, "name", evidence, "for people"). Evidence: G the target works, B it fails, N nothing about
 * the target.
 */
#define LB_OUTCOMES(X)                                                                                       \
	X(NONE, 0, "none", N, "no evidence")                                                                 \
	X(OK, 1, "ok", G, "answered")                                                                        \
	X(TIMEOUT, 2, "timeout", B, "no answer in time")                                                     \
	X(REFUSED, 3, "refused", B, "refused")                                                               \
	X(RESET, 4, "reset", B, "closed before it answered")                                                 \
	X(PROTOCOL, 5, "protocol", B, "answered wrongly")                                                    \
	X(STATUS, 6, "status", B, "answered that it cannot serve")                                           \
	X(LIMITED, 7, "limited", N, "asked to be asked less often")

enum lb_outcome {
#define X(name, number, text, evidence, help) LB_OUTCOME_##name = (number),
	LB_OUTCOMES(X)
#undef X
};
#define LB_OUTCOME_COUNT 8

/* "timeout"; "unknown" for a number that is none. Static. */
const char *lb_outcome_name(enum lb_outcome outcome);
/* "no answer in time" */
const char *lb_outcome_text(enum lb_outcome outcome);

/* What an errno of a socket says of the target; NONE for a shortage of our own, and for all others that are
 * not the target's. */
enum lb_outcome lb_outcome_of_errno(int error);

bool lb_outcome_is_good(enum lb_outcome outcome);
bool lb_outcome_is_bad(enum lb_outcome outcome);

/* One check: when it began and ended (ns of one monotonic clock), and how. */
struct lb_result {
	__u64 begin_ns;
	__u64 end_ns;
	enum lb_outcome outcome;
};
