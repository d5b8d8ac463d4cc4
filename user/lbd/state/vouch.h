/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What requests may say only as the configuration file does: the file as it is on the disk is asked, not the
 * one who asks.
 */
#pragma once

#include "config/config.h"

struct lbd;

/* A whole configuration. 0, -EPERM, -ENOMEM. */
int vouch_all(const struct lbd *lbd, const struct lb_config *next, struct lb_error *error);

/* One service of it, which was edited; what it says in runs at the same place is not of the request. */
int vouch_service(const struct lbd *lbd, const struct lb_config *next, const char *service,
		  const struct lb_config *runs, struct lb_error *error);
