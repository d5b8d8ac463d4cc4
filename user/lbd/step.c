// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of the process at a step that a test names. Asked for in the environment alone, and read once.
 */
#include "lbd/step.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lbd/log.h"

void step_reached(void *unused, const char *step)
{
	static const char *crash_at;
	static bool known;

	if (!known)
		crash_at = getenv("LBD_CRASH_AT_STEP");
	known = true;
	if (!crash_at || strcmp(crash_at, step) != 0)
		return;
	log_warning("event=crash step=%s reason=LBD_CRASH_AT_STEP", step);
	kill(getpid(), SIGKILL);
}
