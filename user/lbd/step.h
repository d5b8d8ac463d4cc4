/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kills the process where LBD_CRASH_AT_STEP says so: how tests prove that every step of a change is safe.
 */
#pragma once

/* step: a stable name. The signature is that of the hooks of the engine and the store; unused may be NULL. */
void step_reached(void *unused, const char *step);
