/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lbd --purge: what --detach takes away, and all else that an agent leaves on a host: routes by which VIPs
 * are announced, and what is kept in the state directory.
 */
#pragma once

#include "lbd/lbd.h"

/* 0 or -errno and *error; -EBUSY and the like: an agent runs, and nothing was taken away. */
int lbd_purge(const struct lbd_options *options, struct lb_error *error);
