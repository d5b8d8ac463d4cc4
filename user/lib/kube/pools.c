// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading pools, and ranges as numbers.
 */
#include "kube/pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_json.h"
#include "kube/object_meta.h"

#define POOLS_MAX  256
#define RANGES_MAX 1024 /* of a pool */

/* --- ranges ----------------------------------------------------------------------------------------------
 */

static size_t bytes_of(const struct lb_address *address)
{
	return address->family == LB_FAMILY_V6 ? 16 : 4;
}

static unsigned __int128 number_of(const struct lb_address *address)
{
	unsigned __int128 number = 0;

	for (size_t i = 0; i < bytes_of(address); i++)
		number = number << 8 | address->bytes[i];
	return number;
}

unsigned __int128 lb_kube_range_size(const struct lb_kube_range *range)
{
	return number_of(&range->last) - number_of(&range->first) + 1;
}

void lb_kube_range_at(const struct lb_kube_range *range, unsigned __int128 offset,
		      struct lb_address *ret_address)
{
	unsigned __int128 number = number_of(&range->first) + offset;

	*ret_address = (struct lb_address){ .family = range->first.family };
	for (size_t i = bytes_of(ret_address); i-- > 0; number >>= 8)
		ret_address->bytes[i] = (__u8)number;
}

static void last_of_prefix(const struct lb_prefix *prefix, struct lb_address *ret_last)
{
	*ret_last = prefix->address;
	for (unsigned int bit = prefix->length; bit < 8 * bytes_of(ret_last); bit++)
		ret_last->bytes[bit / 8] |= (__u8)(0x80u >> bit % 8);
}

/* "203.0.113.0/28", "203.0.113.7", "203.0.113.10-203.0.113.20". */
static int read_range(const char *text, struct lb_kube_range *range)
{
	char first[LB_ADDRESS_TEXT_MAX];
	const char *dash = strchr(text, '-');
	struct lb_prefix prefix;

	if (!dash) {
		if (lb_prefix_parse(text, &prefix) < 0)
			return -EINVAL;
		range->first = prefix.address;
		last_of_prefix(&prefix, &range->last);
		return 0;
	}
	if ((size_t)(dash - text) >= sizeof(first))
		return -EINVAL;
	snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
	if (lb_address_parse(first, &range->first) < 0 || lb_address_parse(dash + 1, &range->last) < 0 ||
	    range->first.family != range->last.family)
		return -EINVAL;
	return number_of(&range->first) <= number_of(&range->last) ? 0 : -EINVAL;
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

static void read_ranges(struct lb_kube_reader *reader, const cJSON *list, struct lb_kube_pool *pool)
{
	int n = cJSON_GetArraySize(list);
	const cJSON *item;

	if (n < 1 || n > RANGES_MAX) {
		lb_kube_wrong(reader, "addresses", "a list of 1 to 1024 prefixes or ranges");
		return;
	}
	pool->ranges = lb_kube_room(reader, n, sizeof(*pool->ranges));
	if (!pool->ranges)
		return;
	cJSON_ArrayForEach (item, list) {
		const char *text = lb_kube_element_text(reader, item);

		if (text && read_range(text, &pool->ranges[pool->n_ranges++]) < 0 && !reader->failed)
			reader->failed = lb_error_at(reader->error, EINVAL, "addresses", text,
						     "\"%.80s\" is no address, prefix or range", text);
	}
}

static void check_keys(struct lb_kube_reader *reader, const cJSON *object, const char *const *known)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, object) {
		size_t i = 0;

		while (known[i] && strcmp(known[i], item->string) != 0)
			i++;
		if (!known[i] && !reader->failed)
			reader->failed = lb_error_at(reader->error, EINVAL, item->string, NULL,
						     "key \"%.80s\" is not known", item->string);
		/* The first of two keys of one name is the one that is found. */
		if (cJSON_GetObjectItemCaseSensitive(object, item->string) != item)
			lb_kube_wrong(reader, item->string, "given once");
	}
}

static void read_pool(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_pool *pool)
{
	static const char *const keys[] = { "name", "addresses", "automatic", "namespaces", "labels", NULL };
	const char *name = lb_kube_text(reader, json, "name");

	check_keys(reader, json, keys);
	if (!name || !name[0] || strlen(name) >= sizeof(pool->name))
		lb_kube_wrong(reader, "name", "a name of 1 to 63 characters");
	else
		memcpy(pool->name, name, strlen(name) + 1);
	pool->automatic = lb_kube_bool(reader, json, "automatic", true);
	read_ranges(reader, lb_kube_array(reader, json, "addresses"), pool);
	lb_kube_read_texts(reader, lb_kube_array(reader, json, "namespaces"), &pool->namespaces,
			   &pool->n_namespaces);
	lb_kube_read_pairs(reader, lb_kube_object(reader, json, "labels"), "", &pool->labels);
}

static void read_pools(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_pools *pools)
{
	static const char *const keys[] = { "pools", NULL };
	const cJSON *list = lb_kube_array(reader, json, "pools"), *item;
	int n = cJSON_GetArraySize(list);

	check_keys(reader, json, keys);
	if (!list || n > POOLS_MAX)
		lb_kube_wrong(reader, "pools", "a list of at most 256 pools");
	if (reader->failed)
		return;
	pools->all = lb_kube_room(reader, n, sizeof(*pools->all));
	if (!pools->all)
		return;
	cJSON_ArrayForEach (item, list) {
		struct lb_kube_pool *pool = &pools->all[pools->n++];

		read_pool(reader, lb_kube_element(reader, item), pool);
		for (size_t i = 0; i + 1 < pools->n; i++)
			if (strcmp(pools->all[i].name, pool->name) == 0)
				lb_kube_wrong(reader, "name", "another than that of every other pool");
	}
}

int lb_kube_pools_parse(const char *text, struct lb_kube_pools *ret_pools, struct lb_error *error)
{
	struct lb_kube_reader reader = { .error = error };
	char problem[LB_JSON_PROBLEM_MAX];
	_cleanup_(cjson_freep) cJSON *json = NULL;
	struct lb_kube_pools pools = {};
	size_t offset, line, column;

	if (lb_json_check(text, strlen(text), &offset, problem) < 0) {
		lb_json_position(text, offset, &line, &column);
		return lb_error_set(error, EINVAL, "line %zu, column %zu: %s", line, column, problem);
	}
	json = cJSON_Parse(text);
	if (!json)
		return lb_error_set(error, ENOMEM, "out of memory");
	if (!cJSON_IsObject(json))
		return lb_error_set(error, EINVAL, "it must be an object with a list \"pools\"");
	read_pools(&reader, json, &pools);
	if (reader.failed)
		lb_kube_pools_done(&pools);
	else
		*ret_pools = pools;
	return reader.failed;
}

void lb_kube_pools_done(struct lb_kube_pools *pools)
{
	for (size_t i = 0; i < pools->n; i++) {
		free(pools->all[i].ranges);
		lb_kube_texts_done(pools->all[i].namespaces, pools->all[i].n_namespaces);
		lb_kube_pairs_done(&pools->all[i].labels);
	}
	free(pools->all);
	memset(pools, 0, sizeof(*pools));
}

/* --- asking ----------------------------------------------------------------------------------------------
 */

bool lb_kube_pool_admits(const struct lb_kube_pool *pool, const struct lb_kube_service *service)
{
	bool named = pool->n_namespaces == 0;

	for (size_t i = 0; i < pool->n_namespaces; i++)
		named |= strcmp(pool->namespaces[i], service->meta.namespace) == 0;
	for (size_t i = 0; i < pool->labels.n && named; i++) {
		const char *value = lb_kube_pair_value(&service->labels, pool->labels.all[i].key);

		named = value && strcmp(value, pool->labels.all[i].value) == 0;
	}
	return named;
}

bool lb_kube_pool_contains(const struct lb_kube_pool *pool, const struct lb_address *address)
{
	unsigned __int128 number = number_of(address);

	for (size_t i = 0; i < pool->n_ranges; i++) {
		const struct lb_kube_range *range = &pool->ranges[i];

		if (range->first.family == address->family && number >= number_of(&range->first) &&
		    number <= number_of(&range->last))
			return true;
	}
	return false;
}

bool lb_kube_pools_contain(const struct lb_kube_pools *pools, const struct lb_address *address)
{
	for (size_t i = 0; i < pools->n; i++)
		if (lb_kube_pool_contains(&pools->all[i], address))
			return true;
	return false;
}

__u64 lb_kube_pools_size(const struct lb_kube_pools *pools, __u8 family)
{
	const __u64 most = 1ull << 53;
	__u64 sum = 0;

	for (size_t i = 0; i < pools->n; i++)
		for (size_t k = 0; k < pools->all[i].n_ranges; k++) {
			const struct lb_kube_range *range = &pools->all[i].ranges[k];
			unsigned __int128 size = lb_kube_range_size(range);

			if (range->first.family != family)
				continue;
			if (size == 0 || size > most - sum)
				return most;
			sum += (__u64)size;
		}
	return sum;
}
