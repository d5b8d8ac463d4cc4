/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is kept of the addresses that packets know as ours (interfaces_stations.h).
 */
#pragma once

#include "net/stations.h"

/* What was written last. */
struct stations {
	struct lb_station *at; /* n of them; owned */
	size_t n;
	int only;       /* the only interface; 0: there are several */
	char open[128]; /* why every unicast frame is taken for ours; empty: it is not */
};
