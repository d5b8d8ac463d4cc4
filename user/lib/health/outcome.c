// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names and meaning of outcomes, from their list; and how the errors of sockets are read.
 */
#include "health/outcome.h"

#include <errno.h>

enum evidence { N, G, B };

static const struct {
	const char *name, *text;
	enum evidence evidence;
} outcomes[LB_OUTCOME_COUNT] = {
#define X(name, number, text, evidence, help) [number] = { text, help, evidence },
	LB_OUTCOMES(X)
#undef X
};

const char *lb_outcome_name(enum lb_outcome outcome)
{
	return (unsigned int)outcome < LB_OUTCOME_COUNT ? outcomes[outcome].name : "unknown";
}

const char *lb_outcome_text(enum lb_outcome outcome)
{
	return (unsigned int)outcome < LB_OUTCOME_COUNT ? outcomes[outcome].text : "unknown";
}

enum lb_outcome lb_outcome_of_errno(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return LB_OUTCOME_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return LB_OUTCOME_RESET;
	case ETIMEDOUT:
	case EHOSTUNREACH: /* nobody answers for the address on its network */
		return LB_OUTCOME_TIMEOUT;
	default: /* EMFILE, ENOBUFS, EADDRNOTAVAIL, EPERM, ENETUNREACH, ...: ours */
		return LB_OUTCOME_NONE;
	}
}

bool lb_outcome_is_good(enum lb_outcome outcome)
{
	return (unsigned int)outcome < LB_OUTCOME_COUNT && outcomes[outcome].evidence == G;
}

bool lb_outcome_is_bad(enum lb_outcome outcome)
{
	return (unsigned int)outcome < LB_OUTCOME_COUNT && outcomes[outcome].evidence == B;
}
