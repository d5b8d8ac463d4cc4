// SPDX-License-Identifier: GPL-2.0-only
/*
 * An array of next hops and an index over it (open addressing, at most seven eighths full).
 */
#include "engine/nexthop_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SIZE_MIN 16u

int lb_nexthop_table_init(struct lb_nexthop_table *table)
{
	*table = (struct lb_nexthop_table){ .capacity = SIZE_MIN, .size = 2 * SIZE_MIN };
	table->at = calloc(table->capacity, sizeof(*table->at));
	table->index = calloc(table->size, sizeof(*table->index));
	if (!table->at || !table->index) {
		lb_nexthop_table_done(table);
		return -ENOMEM;
	}
	table->n = table->kept = 1;
	return 0;
}

void lb_nexthop_table_done(struct lb_nexthop_table *table)
{
	free(table->at);
	free(table->index);
	*table = (struct lb_nexthop_table){};
}

/* The place in the index of a next hop (all of its bytes count), or the free one where it would be. */
static __u32 place_of(const struct lb_nexthop_table *table, const struct lb_nexthop *nexthop)
{
	__u32 i = (__u32)XXH3_64bits(nexthop, sizeof(*nexthop)) & (table->size - 1);

	while (table->index[i] && memcmp(&table->at[table->index[i] - 1], nexthop, sizeof(*nexthop)) != 0)
		i = (i + 1) & (table->size - 1);
	return i;
}

/* Number 0 is not looked for. */
static void fill_index(struct lb_nexthop_table *table)
{
	memset(table->index, 0, table->size * sizeof(*table->index));
	for (__u32 i = 1; i < table->n; i++)
		table->index[place_of(table, &table->at[i])] = i + 1;
}

static int make_room(struct lb_nexthop_table *table)
{
	if (table->n == table->capacity) {
		struct lb_nexthop *at = realloc(table->at, 2 * (size_t)table->capacity * sizeof(*at));

		if (!at)
			return -ENOMEM;
		table->at = at;
		table->capacity *= 2;
	}
	if (table->n + 1 > table->size / 8 * 7) {
		__u32 *index = malloc(2 * (size_t)table->size * sizeof(*index));

		if (!index)
			return -ENOMEM;
		free(table->index);
		table->index = index;
		table->size *= 2;
		fill_index(table);
	}
	return 0;
}

int lb_nexthop_table_get(struct lb_nexthop_table *table, const struct lb_nexthop *nexthop, __u32 *ret_number)
{
	struct lb_nexthop key;
	__u32 place;

	if (!nexthop->resolved) {
		*ret_number = 0;
		return 0;
	}
	/* Bytes that belong to no field must not tell them apart. */
	memset(&key, 0, sizeof(key));
	key.resolved = true;
	key.local = nexthop->local;
	key.routed = nexthop->routed;
	key.same_interface = nexthop->same_interface;
	key.port = nexthop->port;
	key.tagged = nexthop->tagged;
	key.mtu = nexthop->mtu;
	memcpy(key.destination, nexthop->destination, sizeof(key.destination));
	memcpy(key.source, nexthop->source, sizeof(key.source));
	key.source_address = nexthop->source_address;
	place = place_of(table, &key);
	if (!table->index[place]) {
		if (make_room(table) < 0)
			return -ENOMEM;
		table->at[table->n] = key;
		table->index[place_of(table, &key)] = ++table->n;
		*ret_number = table->n - 1;
		return 0;
	}
	*ret_number = table->index[place] - 1;
	return 0;
}

bool lb_nexthop_table_is_full(const struct lb_nexthop_table *table)
{
	return table->n > 2 * table->kept + SIZE_MIN;
}

void lb_nexthop_table_keep(struct lb_nexthop_table *table, __u32 *used)
{
	__u32 kept = 1;

	used[0] = 1;
	for (__u32 i = 1; i < table->n; i++) {
		if (!used[i])
			continue;
		table->at[kept] = table->at[i];
		used[i] = ++kept;
	}
	table->n = table->kept = kept;
	fill_index(table);
}
