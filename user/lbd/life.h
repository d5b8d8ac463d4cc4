/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of the agent: start, reload, stop.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct desired;
struct lbd;
struct lbd_options;
struct maps;

/*
 * Begins: 0 when the API listens and the rest is a task, or -errno with *error. If that fails it ends the
 * loop, with lbd->start_result and start_error; else lbd->starting is NULL once packets flow. lbd must be
 * zeroed, options set.
 */
int lbd_start(struct lbd *lbd, struct lb_error *error);

/* Reads the configuration file again and makes it run (SIGHUP), whatever breaks: a task. Errors are logged;
 * the old one stays. */
void lbd_reload(struct lbd *lbd);

/* What a reload comes to, for the log, status and systemd. r: 0 or -errno, with *error. who: of change.h. */
void lbd_reloaded(struct lbd *lbd, int r, const char *who, const struct lb_error *error);

/* What the configuration file says now. 0 or -errno with *error, which has line and column. */
int lbd_read_file(struct lbd *lbd, struct desired *ret_desired, struct lb_error *error);

/* Stops; packets go on unless detach. Frees everything. */
void lbd_stop(struct lbd *lbd, bool detach);

/* lbd --detach: takes the packet path off the machine. */
int lbd_detach(const struct lbd_options *options, struct lb_error *error);
/* The same by who holds maps_lock(), and gives it up thereby. */
int lbd_detach_locked(struct maps *maps, const struct lbd_options *options, struct lb_error *error);
