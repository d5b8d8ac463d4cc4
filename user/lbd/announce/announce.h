/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VIPs as the network is told of them: what announce/announce.h decides, kept in the kernel's tables
 * (routes.h), and a balancer's leaving and joining. A stop or a crash of the agent withdraws nothing, because
 * packets flow on; a start changes nothing before the first commit.
 */
#pragma once

#include "base/error.h"
#include "lbd/api/json.h"

struct lbd;

/* After the first commit. 0 or -errno. */
int announce_open(struct lbd *lbd, struct lb_error *error);
void announce_close(struct lbd *lbd);

/* Something changed that may decide (a commit, an attachment, a configuration): looked at within this turn of
 * the loop, once for all that changed in it. */
void announce_changed(struct lbd *lbd);

/* Once a second: a balancer that leaves goes on. */
void announce_tick(struct lbd *lbd);

/* The operator's words; they last beyond restarts. 0, or -errno where that could not be written down. */
int announce_leave(struct lbd *lbd, struct lb_error *error);
int announce_join(struct lbd *lbd, struct lb_error *error);

/* Member "announce" of the status: the balancer's own state, and every VIP that is to be announced. */
void announce_write(struct lbd *lbd, struct json *json);

/* Samples of metrics_list.h; parts as there. */
void announce_metrics(struct lbd *lbd, struct json *parts);
