// SPDX-License-Identifier: GPL-2.0-only
/* See stations.h. Every store is of one word, for packets read meanwhile. */
#include "net/stations.h"

#include <errno.h>
#include <string.h>

#include "lb/access.h"

__u64 lb_station_word(const __u8 mac[6])
{
	__u64 first_8_bytes = 0;

	memcpy(&first_8_bytes, mac, 6);
	return LB_STATION_WORD(first_8_bytes);
}

static int put(struct lb_stations *stations, __u32 list, __u64 key)
{
	__u32 place = lb_station_place(key);

	for (__u32 i = 0; i < LB_STATION_PROBES; i++) {
		__u64 *at = &stations->place[list][(place + i) & (LB_STATION_PLACES - 1)];

		if (*at && *at != key)
			continue;
		LB_STORE(at, key);
		return 0;
	}
	return -ENOSPC;
}

/* The own address of the interface whose place this is; two that share it are found in the list. */
static __u64 first_of(const struct lb_station *all, size_t n, __u32 place)
{
	__u64 word = LB_STATION_NONE;

	for (size_t i = 0; i < n; i++) {
		if (!all[i].own || ((__u32)all[i].ifindex & (LB_STATION_INTERFACES - 1)) != place)
			continue;
		if (word != LB_STATION_NONE)
			return LB_STATION_NONE;
		word = lb_station_word(all[i].mac);
	}
	return word;
}

int lb_stations_build(const struct lb_station *all, size_t n, int only, __u32 list,
		      struct lb_stations *stations)
{
	__u64 word = LB_STATION_NONE;
	int r = 0;

	memset(stations->place[list], 0, sizeof(stations->place[list]));
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = put(stations, list, LB_STATION_KEY(lb_station_word(all[i].mac), (__u32)all[i].ifindex));
		if (all[i].own && all[i].ifindex == only)
			word = lb_station_word(all[i].mac);
	}
	if (r < 0)
		return r;
	LB_STORE(&stations->only, word);
	for (__u32 i = 0; i < LB_STATION_INTERFACES; i++)
		LB_STORE(&stations->first[i], first_of(all, n, i));
	return 0;
}

bool lb_stations_find(const struct lb_stations *stations, int ifindex, const __u8 mac[6])
{
	__u64 key = LB_STATION_KEY(lb_station_word(mac), (__u32)ifindex);
	__u32 place = lb_station_place(key);

	if (!stations->closed)
		return !(mac[0] & 1);
	for (__u32 i = 0; i < LB_STATION_PROBES; i++)
		if (stations->place[stations->list & 1][(place + i) & (LB_STATION_PLACES - 1)] == key)
			return true;
	return false;
}
