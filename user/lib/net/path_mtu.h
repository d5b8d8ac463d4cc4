/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What fits through to an address, where that is less than the link or the route says: as configured, since a
 * path may be narrower than its first hop and nobody tell.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "base/address.h"

struct lb_path_mtus {
	struct lb_path_mtu *at; /* by address; most have none */
};

void lb_path_mtus_done(struct lb_path_mtus *table);

/* What is configured from now on: begin, configure for each address that has a limit (bytes; the least one
 * counts), end. configure: 0 or -ENOMEM. */
void lb_path_mtus_begin(struct lb_path_mtus *table);
int lb_path_mtus_configure(struct lb_path_mtus *table, const struct lb_address *to, __u16 mtu);
void lb_path_mtus_end(struct lb_path_mtus *table);

/* Bytes, or 0: no limit is known. */
__u16 lb_path_mtus_get(const struct lb_path_mtus *table, const struct lb_address *to);
