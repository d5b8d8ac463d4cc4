// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of destinations (route_table.h). Its index is at most seven eighths full; nothing is ever taken
 * out singly.
 */
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include "net/route_table.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SIZE_MIN 64u

void lb_destinations_done(struct lb_destinations *table)
{
	struct lb_way *way, *next;

	HASH_ITER (hh, table->ways, way, next) {
		HASH_DEL(table->ways, way);
		free(way);
	}
	free(table->way_at);
	free(table->at);
	free(table->index);
}

/* The place in the index of an address, or the free one where it would be. The index is never full. */
static size_t place_of(const struct lb_destinations *table, const struct lb_address *to)
{
	size_t i = XXH3_64bits(to, sizeof(*to)) & (table->size - 1);

	while (table->index[i] && memcmp(&table->at[table->index[i] - 1].to, to, sizeof(*to)) != 0)
		i = (i + 1) & (table->size - 1);
	return i;
}

struct lb_destination *lb_destinations_find(struct lb_destinations *table, const struct lb_address *to)
{
	__u32 found;

	if (table->next < table->n && memcmp(&table->at[table->next].to, to, sizeof(*to)) == 0)
		return &table->at[table->next++];
	found = table->size ? table->index[place_of(table, to)] : 0;
	if (!found)
		return NULL;
	table->next = found;
	return &table->at[found - 1];
}

static void fill_index(struct lb_destinations *table)
{
	memset(table->index, 0, table->size * sizeof(*table->index));
	for (size_t i = 0; i < table->n; i++)
		table->index[place_of(table, &table->at[i].to)] = (__u32)i + 1;
}

static int grow_index(struct lb_destinations *table)
{
	size_t size = table->size ? 2 * table->size : SIZE_MIN;
	__u32 *index = malloc(size * sizeof(*index));

	if (!index)
		return -1;
	free(table->index);
	table->index = index;
	table->size = size;
	fill_index(table);
	return 0;
}

static int set_capacity(struct lb_destinations *table, size_t capacity)
{
	struct lb_destination *at = realloc(table->at, capacity * sizeof(*at));

	if (!at)
		return -1;
	table->at = at;
	table->capacity = capacity;
	return 0;
}

struct lb_destination *lb_destinations_add(struct lb_destinations *table, const struct lb_address *to)
{
	if (table->n + 1 > table->size * 7 / 8 && grow_index(table) < 0)
		return NULL;
	if (table->n == table->capacity && set_capacity(table, table->n + table->n / 2 + SIZE_MIN) < 0)
		return NULL;
	table->at[table->n] = (struct lb_destination){ .to = *to };
	table->index[place_of(table, to)] = (__u32)table->n + 1;
	return &table->at[table->n++];
}

const struct lb_way *lb_destinations_way(const struct lb_destinations *table,
					 const struct lb_destination *destination)
{
	return destination->way ? table->way_at[destination->way - 1] : NULL;
}

static void release(struct lb_destinations *table, __u32 number)
{
	struct lb_way *way = number ? table->way_at[number - 1] : NULL;

	if (!way || --way->users)
		return;
	table->way_at[number - 1] = NULL;
	if (number - 1 < table->lowest_way)
		table->lowest_way = number - 1;
	HASH_DEL(table->ways, way);
	free(way);
}

void lb_destinations_keep(struct lb_destinations *table, __u8 wanted,
			  void (*leave)(void *context, struct lb_destination *destination), void *context)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->n; i++) {
		struct lb_destination *destination = &table->at[i];

		if (destination->wanted == wanted) {
			table->at[kept++] = *destination;
			continue;
		}
		leave(context, destination);
		release(table, destination->way);
	}
	if (kept < table->n) {
		table->n = kept;
		fill_index(table);
	}
	/* No room for more than is there: it is made again when it is needed. */
	if (table->capacity > table->n + table->n / 8 + SIZE_MIN)
		set_capacity(table, table->n + SIZE_MIN);
}

/* Gives a way a number; 0 or -1. */
static int number_way(struct lb_destinations *table, struct lb_way *way)
{
	while (table->lowest_way < table->n_ways && table->way_at[table->lowest_way])
		table->lowest_way++;
	if (table->lowest_way == table->ways_capacity) {
		__u32 capacity = table->ways_capacity ? 2 * table->ways_capacity : 4;
		struct lb_way **at = realloc(table->way_at, capacity * sizeof(struct lb_way *));

		if (!at)
			return -1;
		table->way_at = at;
		table->ways_capacity = capacity;
	}
	if (table->lowest_way == table->n_ways)
		table->n_ways++;
	table->way_at[table->lowest_way++] = way;
	way->number = table->lowest_way;
	return 0;
}

/* Bytes of a key that mean something. */
static unsigned int key_bytes(const struct lb_way_key *key)
{
	return offsetof(struct lb_way_key, member) + key->n * sizeof(key->member[0]);
}

static struct lb_way *way_get(struct lb_destinations *table, const struct lb_way_key *key)
{
	struct lb_way *way;

	HASH_FIND(hh, table->ways, key, key_bytes(key), way);
	if (way)
		return way;
	way = calloc(1, sizeof(*way));
	if (!way)
		return NULL;
	memcpy(&way->key, key, key_bytes(key));
	way->in_table = true;
	HASH_ADD(hh, table->ways, key, key_bytes(key), way);
	if (way->in_table && number_way(table, way) == 0)
		return way;
	if (way->in_table)
		HASH_DEL(table->ways, way);
	free(way);
	return NULL;
}

static void take_way(struct lb_destinations *table, struct lb_destination *destination, struct lb_way *way)
{
	__u32 before = destination->way;

	if (way)
		way->users++;
	destination->way = way ? way->number : 0;
	release(table, before);
}

bool lb_destinations_set_way(struct lb_destinations *table, struct lb_destination *destination,
			     const struct lb_route *route)
{
	const struct lb_way *had = lb_destinations_way(table, destination);
	struct lb_way_key key = {};
	struct lb_way *way = NULL;
	bool same;

	if (route) {
		key.type = route->type;
		key.mtu = route->mtu;
		key.encapsulation = route->encapsulation;
		key.source = route->source;
		key.n = 1;
		key.member[0].ifindex = route->ifindex;
		key.member[0].gateway = route->gateway;
		way = way_get(table, &key);
	}
	same = (!way && !had) ||
	       (way && had && memcmp(&had->key, &key, offsetof(struct lb_way_key, n)) == 0 &&
		memcmp(&had->key.member[0], &key.member[0], sizeof(key.member[0])) == 0);
	take_way(table, destination, way);
	return !same;
}

void lb_destinations_set_group(struct lb_destinations *table, struct lb_destination *destination,
			       const struct lb_route_group *group)
{
	const struct lb_way *had = lb_destinations_way(table, destination);
	struct lb_way_key key;
	struct lb_way *way;

	if (!had)
		return;
	memcpy(&key, &had->key, offsetof(struct lb_way_key, member[1]));
	key.n = 1;
	for (__u32 i = 0; i < group->n; i++)
		if (memcmp(&group->member[i], &key.member[0], sizeof(key.member[0])) != 0)
			key.member[key.n++] = group->member[i];
	way = way_get(table, &key);
	if (way)
		take_way(table, destination, way);
}
