/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way of marked packets to lb_check: a rule by their mark, a routing table with one default route a
 * family, and a pair of veths at whose egress the program sits. The other end takes nothing: where the
 * program is not, packets end.
 */
#pragma once

#include <stdbool.h>

#include "config/config_health.h"

#define CHECK_DEVICE     "weir-check"
#define CHECK_DEVICE_END "weir-check-end"

struct nl_sock;

struct check_device {
	struct nl_sock *requests; /* NULL: not open */
	int ifindex;              /* 0: there is none */
	bool v4, v6;              /* led to it */
};

/* Makes whatever is not there; what others took away is put back. Cheap where nothing is missing. 0, 1: it is
 * another device than before, or -errno with *ret_step what failed. */
int check_device_up(struct check_device *device, const struct lb_config_checker *settings,
		    const char **ret_step);

/* Whether clsact of an interface has filters, whoever's. */
bool check_device_has_filters(struct check_device *device, int ifindex);

/* Lets go of it; what there is stays. */
void check_device_close(struct check_device *device);

/* Takes it all away. */
void check_device_down(struct check_device *device);
