/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the service manager shows of the agent: systemctl status.
 */
#pragma once

struct lbd;

/* The present generation and what is wrong, if anything is. */
void lbd_notify_status(const struct lbd *lbd);
