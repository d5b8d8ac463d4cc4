/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ConfigMap of pools, as a resource brings it (pools.c).
 */
#pragma once

#include "lb-kubed/kubed.h"

/* As lb_kube_store_begin() and the others. What is no pool leaves those that there are, and is told of. */
void pools_begin(struct kubed *kubed);
int pools_put(struct kubed *kubed, const cJSON *object, struct lb_error *error);
void pools_remove(struct kubed *kubed, const char *name);
void pools_end(struct kubed *kubed);
