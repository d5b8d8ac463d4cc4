/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Digests of the rings, as balancers of a fleet are compared by (ring/digest.h).
 */
#pragma once

#include "lbd/api/json.h"

struct lbd;

/* Member "rings" of the status: one digest of all. */
void rings_write(struct lbd *lbd, struct json *json);

/* Members of an object: of each service. */
void rings_write_all(struct lbd *lbd, struct json *json);
