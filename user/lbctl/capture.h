/* SPDX-License-Identifier: GPL-2.0-only */
/* Captures for verbs that look at them themselves. */
#pragma once

#include <stdio.h>

#include "lbctl/lbctl.h"

/* Has the agent record what a query of /v1/capture says, as pcapng into a file that can be read again.
 * ret_lost: packets that there was no room for. EXIT_DONE, or another exit status after saying why. */
int capture_into(struct lbctl *c, const char *query, FILE *out, unsigned long long *ret_lost);
