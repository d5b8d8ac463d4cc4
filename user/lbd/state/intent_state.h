/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent keeps for the intent layer; what is done with it is in intent.h.
 */
#pragma once

#include <systemd/sd-event.h>

#include "intent/intent.h"

struct lbd_intent {
	struct lb_verdicts *verdicts; /* owned; NULL: none yet */
	lb_check_of *check_of;        /* which check a backend has now; set by the health layer */
	sd_event_source *timer;
	struct lb_clock clock;
};
