// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names and meaning of outcomes, from their list.
 */
#include "health/outcome.h"

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

bool lb_outcome_is_good(enum lb_outcome outcome)
{
	return (unsigned int)outcome < LB_OUTCOME_COUNT && outcomes[outcome].evidence == G;
}

bool lb_outcome_is_bad(enum lb_outcome outcome)
{
	return (unsigned int)outcome < LB_OUTCOME_COUNT && outcomes[outcome].evidence == B;
}
