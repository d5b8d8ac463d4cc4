/* SPDX-License-Identifier: GPL-2.0-only */
/* Between rig.c and rig_capture.c; not for tests. */
#pragma once

#include "rig.h"

struct rig_capture;

/* 0 or -1. */
int rig_capture_new(const struct rig *rig, int several, struct rig_capture **ret_capture);
void rig_capture_free(struct rig_capture *capture);
int rig_capture_fd(const struct rig_capture *capture);

/* Fails the test unless just one record was made since the last call, of this packet and what came of it. */
/* explain: the packet was one of lbctl explain, of which nothing must be kept. */
void rig_capture_check(struct rig_capture *capture, const struct frame *in, const struct result *result,
		       bool explain);
