/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of the agent: start, reload, stop.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct json;
struct lbd;
struct lbd_options;

/* Starts everything: 0 when packets flow, or -errno with *error. lbd must be zeroed, options set. */
int lbd_start(struct lbd *lbd, struct lb_error *error);

/* Reads the configuration file again and makes it run (SIGHUP, POST /v1/reload). plan, error: may be NULL.
 * 0, or -errno: it is logged as well, and the old one stays. */
int lbd_reload(struct lbd *lbd, struct json *plan, struct lb_error *error);

/* Stops; packets go on unless detach. Frees everything. */
void lbd_stop(struct lbd *lbd, bool detach);

/* lbd --detach: takes the packet path off the machine. */
int lbd_detach(const struct lbd_options *options, struct lb_error *error);
