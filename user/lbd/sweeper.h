/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clock of the agent and its sweeper.
 */
#pragma once

struct lbd;

/* By then an answer has gone out, and what the engine had to say for it is forgotten. */
#define TRIM_S 2u

int sweeper_start(struct lbd *lbd);
/* What it waited for is there: its next tick is now. */
void sweeper_hurry(struct lbd *lbd);
void sweeper_stop(struct lbd *lbd);
