/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What reading a state directory back is made of. Between store.c and store_recover.c alone.
 */
#pragma once

#include "lbd/state/store.h"

/* Whether a record in it is whole and of this version. */
bool store_is_ours(const struct store *store);

/* Every record that is whole, newest first; bad (may be NULL) hears of every other file with a record's name.
 */
int store_scan(const struct store *store, struct record **ret_records, size_t *ret_n,
	       void (*bad)(const struct store *store, const char *name, const char *why));

/* One record by its file's name. -EPROTO, -EINVAL: it is not whole, *error says why. */
int store_read_record(const struct store *store, const char *name, struct record *ret_record,
		      struct lb_error *error);

/* The time for a record that is written now: later than that of every one before, whatever the clock does. */
__u64 store_stamp(const struct store *store);
