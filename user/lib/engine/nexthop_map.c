// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses in one array, with an index over it (open addressing, at most seven eighths full), and the table
 * of next hops that they name by number.
 */
#include "engine/nexthop_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SIZE_MIN 16u

int lb_nexthop_map_init(struct lb_nexthop_map *map)
{
	*map = (struct lb_nexthop_map){ .capacity = SIZE_MIN, .size = 2 * SIZE_MIN };
	map->at = calloc(map->capacity, sizeof(*map->at));
	map->index = calloc(map->size, sizeof(*map->index));
	if (!map->at || !map->index || lb_nexthop_table_init(&map->nexthops) < 0) {
		lb_nexthop_map_done(map);
		return -ENOMEM;
	}
	return 0;
}

void lb_nexthop_map_done(struct lb_nexthop_map *map)
{
	lb_nexthop_table_done(&map->nexthops);
	free(map->at);
	free(map->index);
	*map = (struct lb_nexthop_map){};
}

/* The place in the index of an address, or the free one where it would be. */
static __u32 place_of(const struct lb_nexthop_map *map, const struct lb_address *to)
{
	__u32 i = (__u32)XXH3_64bits(to, sizeof(*to)) & (map->size - 1);

	while (map->index[i] && memcmp(&map->at[map->index[i] - 1].to, to, sizeof(*to)) != 0)
		i = (i + 1) & (map->size - 1);
	return i;
}

static void fill_index(struct lb_nexthop_map *map)
{
	memset(map->index, 0, map->size * sizeof(*map->index));
	for (__u32 i = 0; i < map->n; i++)
		map->index[place_of(map, &map->at[i].to)] = i + 1;
}

static int make_room(struct lb_nexthop_map *map)
{
	if (map->n == map->capacity) {
		struct lb_nexthop_entry *at = realloc(map->at, 2 * (size_t)map->capacity * sizeof(*at));

		if (!at)
			return -ENOMEM;
		map->at = at;
		map->capacity *= 2;
	}
	if (map->n + 1 > map->size / 8 * 7) {
		__u32 *index = malloc(2 * (size_t)map->size * sizeof(*index));

		if (!index)
			return -ENOMEM;
		free(map->index);
		map->index = index;
		map->size *= 2;
		fill_index(map);
	}
	return 0;
}

void lb_nexthop_map_begin(struct lb_nexthop_map *map)
{
	map->pass++;
}

int lb_nexthop_map_put(struct lb_nexthop_map *map, const struct lb_address *to,
		       const struct lb_nexthop *nexthop)
{
	__u32 place = map->index[place_of(map, to)], number;
	struct lb_nexthop_entry *entry;

	if (lb_nexthop_table_get(&map->nexthops, nexthop, &number) < 0 || (!place && make_room(map) < 0))
		return -ENOMEM;
	if (!place) {
		map->at[map->n] = (struct lb_nexthop_entry){ .to = *to, .pass = map->pass, .number = number };
		map->index[place_of(map, to)] = ++map->n;
		return 0;
	}
	entry = &map->at[place - 1];
	map->revision += entry->number != number;
	entry->number = number;
	entry->pass = map->pass;
	return 0;
}

/* Forgets next hops that no address has any more; without memory they stay until the next time. */
static void trim(struct lb_nexthop_map *map)
{
	__u32 *used;

	if (!lb_nexthop_table_is_full(&map->nexthops))
		return;
	used = calloc(map->nexthops.n, sizeof(*used));
	if (!used)
		return;
	for (__u32 i = 0; i < map->n; i++)
		used[map->at[i].number] = 1;
	lb_nexthop_table_keep(&map->nexthops, used);
	for (__u32 i = 0; i < map->n; i++)
		map->at[i].number = used[map->at[i].number] - 1;
	free(used);
}

void lb_nexthop_map_end(struct lb_nexthop_map *map)
{
	__u32 kept = 0;

	for (__u32 i = 0; i < map->n; i++)
		if (map->at[i].pass == map->pass)
			map->at[kept++] = map->at[i];
	if (kept < map->n) {
		map->n = kept;
		map->revision++;
		fill_index(map);
	}
	trim(map);
}

const struct lb_nexthop *lb_nexthop_map_get(const struct lb_nexthop_map *map, const struct lb_address *to)
{
	static const struct lb_nexthop unknown;
	__u32 place = map ? map->index[place_of(map, to)] : 0;

	return place ? lb_nexthop_table_at(&map->nexthops, map->at[place - 1].number) : &unknown;
}
