/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock of the agent and its sweeper.
 */
#pragma once

struct lbd;

int sweeper_start(struct lbd *lbd);
/* What it waited for is there: its next tick is now. */
void sweeper_hurry(struct lbd *lbd);
void sweeper_stop(struct lbd *lbd);
