/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has which name and which packets: hashed, so that a service is checked against thousands at once.
 * Internal to the intent layer.
 */
#pragma once

#include "config/config.h"

struct claims;

/* Room for so many services. NULL without memory. */
struct claims *claims_new(size_t room);
void claims_free(struct claims *claims);
static inline void claims_freep(struct claims **claims)
{
	claims_free(*claims);
}

#define CLAIM_WHY_MAX 256

/* Takes name and packets of a service (borrowed) unless another has them: NULL, or why not, in the buffer. */
const char *claims_take(struct claims *claims, const struct lb_config_service *service,
			char why[CLAIM_WHY_MAX]);
