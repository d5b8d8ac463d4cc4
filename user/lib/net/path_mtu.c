// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hash table of the few addresses that have a limit of their own.
 */
#include "net/path_mtu.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

struct lb_path_mtu {
	struct lb_address to;
	__u16 configured; /* 0: not */
	bool in_table;
	UT_hash_handle hh;
};

void lb_path_mtus_done(struct lb_path_mtus *table)
{
	lb_path_mtus_begin(table);
	lb_path_mtus_end(table);
}

void lb_path_mtus_begin(struct lb_path_mtus *table)
{
	for (struct lb_path_mtu *entry = table->at; entry; entry = entry->hh.next)
		entry->configured = 0;
}

static struct lb_path_mtu *find(const struct lb_path_mtus *table, const struct lb_address *to)
{
	struct lb_path_mtu *entry;

	HASH_FIND(hh, table->at, to, sizeof(*to), entry);
	return entry;
}

int lb_path_mtus_configure(struct lb_path_mtus *table, const struct lb_address *to, __u16 mtu)
{
	struct lb_path_mtu *entry = find(table, to);

	if (entry) {
		if (!entry->configured || mtu < entry->configured)
			entry->configured = mtu;
		return 0;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->to = *to;
	entry->configured = mtu;
	entry->in_table = true;
	HASH_ADD(hh, table->at, to, sizeof(entry->to), entry);
	if (entry->in_table)
		return 0;
	free(entry);
	return -ENOMEM;
}

void lb_path_mtus_end(struct lb_path_mtus *table)
{
	struct lb_path_mtu *entry, *next;

	HASH_ITER (hh, table->at, entry, next) {
		if (entry->configured)
			continue;
		HASH_DEL(table->at, entry);
		free(entry);
	}
}

__u16 lb_path_mtus_get(const struct lb_path_mtus *table, const struct lb_address *to)
{
	const struct lb_path_mtu *entry = table->at ? find(table, to) : NULL;

	return entry ? entry->configured : 0;
}
