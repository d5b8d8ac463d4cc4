/* SPDX-License-Identifier: GPL-2.0-only */
/* Verbs that print again and again: --interval and --count. */
#pragma once

#include "lbctl.h"

struct repeat {
	double interval_s;
	unsigned long long left; /* times still to print */
	unsigned long long next_ns;
	bool first;
};

/* Reads the options. Without --interval and --count: once. EXIT_DONE, or EXIT_WRONG_USAGE after saying why.
 */
int repeat_init(struct repeat *repeat, const struct lbctl *c);

/* Waits for the next turn (not before the first); false: there is none, or stdout is gone. */
bool repeat_next(struct repeat *repeat);

/* Between two human outputs: an empty line and the time of day. */
void repeat_heading(const struct repeat *repeat);
