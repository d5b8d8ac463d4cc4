/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Other tables take over from running ones (maps_set.h, maps_carry.h), and no packet notices: of other sizes,
 * while the agent runs; of this build's layout, at the start of an agent that finds older ones.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "engine/tables.h"

struct lb_config;
struct lbd;

/*
 * Tables of these sizes in place of those that run. In a task, with the engine resized (lb_engine_resize())
 * and held. 0, or -errno: the old ones run on. The old ones' memory stays until migration_forget(): what was
 * planned before may refer to it.
 */
int migrate(struct lbd *lbd, const struct lb_table_sizes *sizes, struct lb_error *error);
void migration_forget(struct lbd *lbd);

/* Bytes that it would need for a moment, and whether there are so many: -ENOSPC says what would help. */
int migrate_check_memory(const struct lbd *lbd, const struct lb_table_sizes *sizes, __u64 *ret_bytes,
			 struct lb_error *error);

/*
 * At a start, beside the loop. migrate_older() instead of maps_open() where what is pinned has an older
 * layout: the maps are then of ours, beside it. 0: there is nothing of the kind; 1; or -errno. sizes: what
 * this build would choose, for what the older one did not know. Once the engine has adopted them
 * migrate_attach() instead of interfaces_attach() leads packets there; also where an agent was killed halfway
 * (maps->swapping). migrate_undo(): the start failed before that.
 */
int migrate_older(struct lbd *lbd, const struct lb_table_sizes *sizes, struct lb_error *error);
int migrate_attach(struct lbd *lbd, const struct lb_config *config, struct lb_error *error);
void migrate_undo(struct lbd *lbd);
