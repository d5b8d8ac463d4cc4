/* SPDX-License-Identifier: GPL-2.0-only */
/* Between rig.c, rig_capture.c and rig_explain.c; not for tests. */
#pragma once

#include "lb/decision.h"
#include "rig.h"

struct bpf_object;
struct rig_capture;
struct rig_explain;

/* Gives another program the plain one's rates of answers. */
#define RIG_COPY_CONSTANTS(from, to)                                                                         \
	do {                                                                                                 \
		(to)->lb_echo_rate = (from)->lb_echo_rate;                                                   \
		(to)->lb_error_rate = (from)->lb_error_rate;                                                 \
		(to)->lb_reset_rate = (from)->lb_reset_rate;                                                 \
		(to)->lb_source_rate = (from)->lb_source_rate;                                               \
		(to)->lb_observe_on = (from)->lb_observe_on;                                                 \
	} while (0)

/* Gives another program the plain one's maps, but not what each program has for itself. 0 or -1. */
int rig_share_maps(const struct rig *rig, struct bpf_object *object);

/* 0 or -1. */
int rig_capture_new(const struct rig *rig, int several, struct rig_capture **ret_capture);
void rig_capture_free(struct rig_capture *capture);
int rig_capture_fd(const struct rig_capture *capture);

/* Fails the test unless just one record was made since the last call, of this packet and what came of it. */
void rig_capture_check(struct rig_capture *capture, const struct frame *in, const struct result *result);

/* 0 or -1. */
int rig_explain_new(const struct rig *rig, int several, struct rig_explain **ret_explain);
void rig_explain_free(struct rig_explain *explain);
int rig_explain_fd(const struct rig_explain *explain);

/* Of the packet that it has just run on. */
void rig_explain_decision(const struct rig_explain *explain, struct lb_decision *ret_decision);

/* Fails the test unless what was explained is what came of the packet. */
void rig_explain_check(const struct rig_explain *explain, const struct result *explained,
		       const struct lb_decision *decision, const struct result *result);
