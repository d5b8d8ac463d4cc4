/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plan for one service while it is being made: shared by plan_service.c and plan_members.c alone.
 */
#pragma once

#include "engine/engine_internal.h"

struct lb_build {
	struct lb_plan *plan;
	struct lb_service_change *change;
	const struct lb_config_service *config;
	const struct lb_desired *desired;
	size_t number; /* in the configuration */
	struct lb_error *error;
	__u32 capacity, count, lowest; /* of next->members */
	bool ring_input;               /* what the ring is made of may have changed */
	bool deaths;                   /* some backend goes down */
};

int lb_build_out_of_memory(const struct lb_build *build);

/* Makes change->next with a member for every desired backend, and those that leave. */
int lb_build_members(struct lb_build *build);
