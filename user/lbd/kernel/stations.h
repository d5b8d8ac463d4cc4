/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps what packets know of the interfaces they come in by (lb/station.h): the MAC addresses that are ours,
 * and the addresses that a router's answers come from.
 */
#pragma once

#include "lbd/api/json.h"
#include "net/stations.h"

struct lbd;

/* What was written last. */
struct stations {
	struct lb_station *at; /* n of them; owned */
	size_t n;
	int only;       /* the only interface; 0: there are several */
	char open[128]; /* why every unicast frame is taken for ours; empty: it is not */
};

/* Looks at the interfaces, and writes what has changed: before a program is attached to one of them, and
 * whenever links or addresses changed. */
void stations_update(struct lbd *lbd);
void stations_done(struct lbd *lbd);

/* Adds what is worth saying to a list of warnings. */
void stations_warn(const struct lbd *lbd, struct json *json);
