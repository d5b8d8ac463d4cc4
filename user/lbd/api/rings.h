/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Digests of the rings, as balancers of a fleet are compared by (ring/digest.h).
 */
#pragma once

#include "lbd/api/json.h"
#include "lbd/lbd.h"

struct http_stream;

/* One digest of all rings: the sum of theirs, in no order. Known until something changes that it is made of.
 */
bool rings_known(const struct lbd *lbd, __u64 *ret_sum);
void rings_know(struct lbd *lbd, __u64 sum);
/* Of one service, which has a configuration. */
__u64 rings_digest(const struct lbd *lbd, const struct lb_service_view *view);

/* Member "rings" of the status. */
void rings_write(struct lbd *lbd, __u64 sum, struct json *json);

/* A stream of an object with the digest of each service. 0, -ENOMEM. */
int rings_join(struct lbd *lbd, struct http_stream **ret_stream, struct lb_error *error);
