/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two sets of maps at once, while one takes over from the other: of other sizes, or of another layout. What
 * looks the same in both is the same map. Where the new set's pins are says how far it has come, so that an
 * agent that is killed at any step leaves one set or the other, whole:
 *
 *   next/   being made: no packet has seen it. Whoever starts removes it.
 *   swap/   it has everything, and packets are led to it, link by link. Whoever starts adopts this one, leads
 *           the rest there, and looks into the old set (in the directory itself) for what is newer there.
 *   done/   nobody needs the old set. Its pins are replaced, one by one; then this directory goes.
 */
#pragma once

#include "lbd/kernel/maps.h"

/* What begins so in a set's directory is no map of the set, and goes with the directory. */
#define MAPS_SET_THEN "then_"

/* At a start, before maps are looked for: maps->pins is where the set is that counts. 0 or -errno. */
int maps_set_recover(struct maps *maps, struct lb_error *error);

/*
 * A new set of these sizes beside old, in next/, with all that it has in common with it; maps of its own are
 * empty. shared[i]: whether map i is old's as well. like_old: whether a map's values look the same in both.
 * On failure nothing is left of it. *next has no lock; maps_set_drop().
 */
int maps_set_make(const struct maps *old, const struct lb_table_sizes *sizes, bool chunked,
		  bool (*like_old)(void *context, const char *map), void *context, struct maps *next,
		  bool shared[MAPS_MAX], struct lb_error *error);

/* Bytes of kernel memory that maps_set_make() would take at most, without what is shared; of this build's
 * layout. */
__u64 maps_set_bytes(const struct maps *old, const struct lb_table_sizes *sizes);

/* From next/ to swap/, and back if packets are not to be led to it after all. 0 or -errno. */
int maps_set_swap(struct maps *maps, struct lb_error *error);
int maps_set_unswap(struct maps *maps);

/* From swap/ to done/ and on, until the set is where the old one was. */
int maps_set_settle(struct maps *maps, struct lb_error *error);

/* Removes the pins of a set in next/. */
void maps_set_abandon(const struct maps *maps);

/* Of a set in whatever directory. */
void maps_set_remove_all(const struct maps *maps);

/* Gives up a set in next/: pins, maps, memory. */
void maps_set_drop(struct maps *next);

/* Opens the set that is pinned in the directory of maps itself, as it stands; values are read through its
 * description. It has no lock. 0 or -errno; maps_set_close(). */
int maps_set_look(const struct maps *maps, struct maps *ret_old, struct lb_error *error);
void maps_set_close(struct maps *set);
