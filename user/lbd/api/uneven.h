/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which backends' shares of the slots are more than 2 % off what their weights say, and why.
 */
#pragma once

#include "engine/engine.h"

struct json;

#define UNEVEN_LISTED 5u

struct uneven_backend {
	char service[LB_NAME_MAX], backend[LB_NAME_MAX];
	__u32 slots;
	double expected, off; /* slots; of expected: 0.03 is 3 % too many */
	const char *why;
};

/* Gathered service by service; begins zeroed. */
struct uneven {
	size_t services; /* that have such a backend */
	size_t n;
	struct uneven_backend worst[UNEVEN_LISTED]; /* of n services, the worst first */
};

/* Gets new flows: active, with a weight, and configured. */
bool backend_is_eligible(const struct lb_backend_view *backend);

/* Looks at a service that has a configuration; of those that share a ring, at the one that leads. */
void uneven_look(struct uneven *uneven, const struct lb_service_view *view);

/* Member "uneven" of the status. */
void uneven_write(const struct uneven *uneven, struct json *json);
