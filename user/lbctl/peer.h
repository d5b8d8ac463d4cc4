/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two balancers of a fleet compared: whether they build the same rings, so that a flow that moves from one to
 * the other finds its backend (user/lib/ring/digest.h).
 */
#pragma once

#include "lbctl/lbctl.h"

/* Sentences on what differs between this balancer and the one at a URL. Owned by the caller (cJSON array of
 * strings); NULL: one of them did not answer, and *ret_error says why. *ret_services: how many this one has.
 */
cJSON *peer_differences(struct lbctl *c, const char *url, size_t *ret_services, cJSON **ret_error);

/* lbctl status --peer: EXIT_DONE, EXIT_DIFFERS or EXIT_FAILED. */
int peer_status(struct lbctl *c, const char *url);
