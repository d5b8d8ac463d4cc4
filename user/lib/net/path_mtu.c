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
	__u16 learned;    /* 0: not */
	__u64 learned_ms;
	bool in_table;
	UT_hash_handle hh;
};

void lb_path_mtus_done(struct lb_path_mtus *table)
{
	for (struct lb_path_mtu *entry = table->at; entry; entry = entry->hh.next)
		entry->learned = 0;
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

/* The entry of an address, made if need be; NULL: out of memory. */
static struct lb_path_mtu *get(struct lb_path_mtus *table, const struct lb_address *to)
{
	struct lb_path_mtu *entry = find(table, to);

	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->to = *to;
	entry->in_table = true;
	HASH_ADD(hh, table->at, to, sizeof(entry->to), entry);
	if (entry->in_table)
		return entry;
	free(entry);
	return NULL;
}

int lb_path_mtus_configure(struct lb_path_mtus *table, const struct lb_address *to, __u16 mtu)
{
	struct lb_path_mtu *entry = get(table, to);

	if (!entry)
		return -ENOMEM;
	if (!entry->configured || mtu < entry->configured)
		entry->configured = mtu;
	return 0;
}

int lb_path_mtus_learn(struct lb_path_mtus *table, const struct lb_address *to, __u32 mtu, __u64 now_ms)
{
	struct lb_path_mtu *entry;
	bool news;

	if (mtu < (to->family == LB_FAMILY_V4 ? LB_PATH_MTU_MIN_V4 : LB_PATH_MTU_MIN_V6) || mtu > UINT16_MAX)
		return 0;
	entry = get(table, to);
	if (!entry)
		return -ENOMEM;
	/* More than was learned: of a packet that was under way, or another way. It is tried in time. */
	if (entry->learned && mtu > entry->learned)
		return 0;
	news = entry->learned != mtu;
	table->n_learned += !entry->learned;
	entry->learned = (__u16)mtu;
	entry->learned_ms = now_ms;
	return news;
}

bool lb_path_mtus_age(struct lb_path_mtus *table, __u64 now_ms)
{
	struct lb_path_mtu *entry, *next;
	bool any = false;

	if (!table->n_learned)
		return false;
	HASH_ITER (hh, table->at, entry, next) {
		if (!entry->learned || now_ms - entry->learned_ms < LB_PATH_MTU_AGE_MS)
			continue;
		any = true;
		entry->learned = 0;
		table->n_learned--;
		if (entry->configured)
			continue;
		HASH_DEL(table->at, entry);
		free(entry);
	}
	return any;
}

void lb_path_mtus_end(struct lb_path_mtus *table)
{
	struct lb_path_mtu *entry, *next;

	HASH_ITER (hh, table->at, entry, next) {
		if (entry->configured || entry->learned)
			continue;
		HASH_DEL(table->at, entry);
		free(entry);
	}
}

__u16 lb_path_mtus_get(const struct lb_path_mtus *table, const struct lb_address *to, bool *ret_learned)
{
	const struct lb_path_mtu *entry = table->at ? find(table, to) : NULL;

	*ret_learned = entry && entry->learned && (!entry->configured || entry->learned < entry->configured);
	return !entry ? 0 : *ret_learned ? entry->learned : entry->configured;
}
