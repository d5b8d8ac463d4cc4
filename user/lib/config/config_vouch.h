/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a request may not say unless the configuration file says it already: keys that name files and programs
 * (rows with .vouched), and targets of checks that are not the service's own backends. Whoever may change how
 * packets go is not by that allowed to have files read and strangers asked.
 */
#pragma once

#include "config/config.h"

/*
 * Whether the file says everything of that kind that a whole configuration says; defaults need nobody. file
 * NULL: it says nothing. 0; -EPERM with *error naming the place; -ENOMEM.
 */
int lb_config_vouch(const struct lb_config *next, const struct lb_config *file, struct lb_error *error);

/* The same for one service of next alone: what it says in runs (may be NULL) at the same place is not of the
 * request. A service that is not in next says nothing. */
int lb_config_vouch_service(const struct lb_config *next, const char *service, const struct lb_config *runs,
			    const struct lb_config *file, struct lb_error *error);
