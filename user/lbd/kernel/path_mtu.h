/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Path MTUs that routers tell of.
 */
#pragma once

struct json;
struct lbd;

/* Once a second: takes in what the packet path has kept, forgets what is too old. */
void path_mtu_tick(struct lbd *lbd);
void path_mtu_done(struct lbd *lbd);

/* Warns where a path may be narrower than it begins, and nobody would tell us. */
void path_mtu_warn(const struct lbd *lbd, struct json *json);
