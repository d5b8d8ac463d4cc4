/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each core has to do with packets that come in: polls, backlog, packets lost behind it, and whether one
 * core has far more than its share (observe/cores.h), judged from the last ten seconds.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "lb/polls.h"
#include "lbd/api/json.h"
#include "observe/cores.h"

struct lbd;

/* Of all CPUs, at one moment. */
struct cores_sample {
	size_t n;
	bool polls_counted; /* false: polls[] is zero */
	struct lb_polls *polls;
	struct lb_softnet *softnet;
	__u64 *lost; /* packets that the CPU sent and a driver refused */
};

/* Owned by the caller, also when it failed: out of memory, with n == 0. */
struct cores_sample cores_sample(const struct lbd *lbd);
void cores_sample_free(struct cores_sample *sample);

/* Once a second: a window ends every ten. */
void cores_look(struct lbd *lbd);
void cores_close(struct lbd *lbd);

/* The busiest core against the mean in the last window; 0: not known. */
double cores_ratio(const struct lbd *lbd);

/* One of the status's warnings, or nothing. */
void cores_warn(const struct lbd *lbd, struct json *json);

/* The members of one CPU in /v1/stats. */
void cores_write(const struct cores_sample *sample, size_t cpu, struct json *json);
