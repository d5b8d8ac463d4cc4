/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is draining: looked at once a second, so that people see it end. What the engine does not know
 * (packets) is sampled from the counters here; a backend that has drained is told of once.
 */
#pragma once

#include <linux/types.h>

#include "engine/engine.h"
#include "lbd/api/json.h"

struct lbd;
struct drain; /* one backend that is draining or leaving; a table of them */

/* Once a second. */
void drain_look(struct lbd *lbd);
void drain_forget_all(struct lbd *lbd);

/* What is known of the packets of a backend that is draining. */
struct drain_packets {
	__u64 packets, interval_ms; /* in the last interval; 0, 0: it was not looked at twice yet */
	__s64 last_packet_ms;       /* so long ago; -1: none since it began, or since the agent started */
};
void drain_packets(const struct lbd *lbd, __u32 id, struct drain_packets *ret_packets);

/* The member "draining" of a backend: null where it is not draining. limit_s: of its service. */
void drain_write(const struct lbd *lbd, const struct lb_backend_view *backend, __u32 limit_s,
		 struct json *json);
