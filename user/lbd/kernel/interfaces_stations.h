/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps what packets know of the interfaces they come in by (lb/station.h): the MAC addresses that are ours,
 * and the addresses that a router's answers come from.
 */
#pragma once

#include "lbd/api/json.h"
#include "lbd/kernel/stations_state.h"

struct lbd;

/* Looks at the interfaces, and writes what has changed: before a program is attached to one of them, and
 * whenever links or addresses changed. */
void stations_update(struct lbd *lbd);
void stations_done(struct lbd *lbd);

/* Adds what is worth saying to a list of warnings. */
void stations_warn(const struct lbd *lbd, struct json *json);
