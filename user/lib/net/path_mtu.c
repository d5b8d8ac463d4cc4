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
	__u16 learned;    /* from a router; 0: not */
	__u16 found;      /* by trying; 0: not */
	__u64 learned_ms, found_ms;
	bool in_table;
	UT_hash_handle hh;
};

void lb_path_mtus_done(struct lb_path_mtus *table)
{
	for (struct lb_path_mtu *entry = table->at; entry; entry = entry->hh.next)
		entry->learned = entry->found = 0;
	table->n_learned = 0;
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
	if (!entry->learned)
		table->n_learned++;
	entry->learned = (__u16)mtu;
	entry->learned_ms = now_ms;
	return news;
}

static void drop(struct lb_path_mtus *table, struct lb_path_mtu *entry)
{
	HASH_DEL(table->at, entry);
	free(entry);
}

static __u16 effective(const struct lb_path_mtu *entry, enum lb_mtu_from *ret_from)
{
	const __u16 says[] = { [LB_MTU_FROM_CONFIGURATION] = entry->configured,
			       [LB_MTU_FROM_ROUTER] = entry->learned,
			       [LB_MTU_FROM_PROBE] = entry->found };
	enum lb_mtu_from from = LB_MTU_FROM_WAY;

	for (enum lb_mtu_from i = LB_MTU_FROM_CONFIGURATION; i <= LB_MTU_FROM_PROBE; i++) {
		if (says[i] && (!from || says[i] < says[from]))
			from = i;
	}
	*ret_from = from;
	return says[from];
}

static void set(struct lb_path_mtus *table, __u16 *field, __u16 mtu)
{
	if (!*field && mtu)
		table->n_learned++;
	else if (*field && !mtu)
		table->n_learned--;
	*field = mtu;
}

bool lb_path_mtus_found(struct lb_path_mtus *table, const struct lb_address *to, __u16 mtu, __u64 now_ms)
{
	struct lb_path_mtu *entry = mtu ? get(table, to) : find(table, to);
	enum lb_mtu_from from;
	__u16 before;

	if (!entry)
		return false;
	before = effective(entry, &from);
	set(table, &entry->found, mtu);
	entry->found_ms = now_ms;
	if (!mtu || entry->learned < mtu)
		set(table, &entry->learned, 0);
	if (!entry->configured && !entry->learned && !entry->found) {
		drop(table, entry);
		return before != 0;
	}
	return effective(entry, &from) != before;
}

bool lb_path_mtus_age(struct lb_path_mtus *table, __u64 now_ms)
{
	struct lb_path_mtu *entry, *next;
	bool any = false;

	if (!table->n_learned)
		return false;
	HASH_ITER (hh, table->at, entry, next) {
		bool learned = entry->learned && now_ms - entry->learned_ms >= LB_PATH_MTU_AGE_MS;
		bool found = entry->found && now_ms - entry->found_ms >= LB_PATH_MTU_AGE_MS;

		if (!learned && !found)
			continue;
		any = true;
		if (learned)
			set(table, &entry->learned, 0);
		if (found)
			set(table, &entry->found, 0);
		if (!entry->configured && !entry->learned && !entry->found)
			drop(table, entry);
	}
	return any;
}

void lb_path_mtus_end(struct lb_path_mtus *table)
{
	struct lb_path_mtu *entry, *next;

	HASH_ITER (hh, table->at, entry, next) {
		if (!entry->configured && !entry->learned && !entry->found)
			drop(table, entry);
	}
}

__u16 lb_path_mtus_get(const struct lb_path_mtus *table, const struct lb_address *to,
		       enum lb_mtu_from *ret_from, __u16 *ret_configured)
{
	const struct lb_path_mtu *entry = table->at ? find(table, to) : NULL;

	*ret_from = LB_MTU_FROM_WAY;
	*ret_configured = entry ? entry->configured : 0;
	return entry ? effective(entry, ret_from) : 0;
}
