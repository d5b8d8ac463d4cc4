// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VIP table: linear probing in Robin Hood order (a key that is further from its home takes the place of
 * one that is nearer to its own), which keeps the longest distance short. Keys of one home are contiguous
 * from there, so that a look-up may stop at the first empty bucket. When a key does not come to lie within
 * LB_VIP_PROBES, the table doubles.
 */
#include "engine/vip_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/hash.h"
#include "lb/vip.h"

#define BUCKETS_MIN 64u

void lb_service_key_of(const struct lb_config_service *service, struct lb_service_key *ret_key)
{
	*ret_key = (struct lb_service_key){
		.vip = service->vip,
		.protocol = service->protocol,
		.port_first = service->port_first,
		.port_last = service->port_last,
	};
}

bool lb_service_key_equal(const struct lb_service_key *a, const struct lb_service_key *b)
{
	return lb_address_equal(&a->vip.address, &b->vip.address) && a->vip.length == b->vip.length &&
	       a->protocol == b->protocol && a->port_first == b->port_first && a->port_last == b->port_last;
}

static void address_words(const struct lb_address *address, __u64 words[2])
{
	__u32 v4;

	if (address->family == LB_FAMILY_V4) {
		memcpy(&v4, address->bytes, sizeof(v4));
		words[0] = v4;
		words[1] = 0;
	} else {
		memcpy(words, address->bytes, 16);
	}
}

size_t lb_vip_expand(const struct lb_service_key *key, __u64 ret_keys[LB_VIP_KEYS_MAX][3])
{
	const struct lb_address *address = &key->vip.address;
	bool whole = key->vip.length == (address->family == LB_FAMILY_V4 ? 32 : 128);
	__u32 first = key->port_first, last = key->port_last;
	__u64 words[2];
	size_t n = 0;

	address_words(address, words);
	if (whole && first == last) {
		memcpy(ret_keys[0], words, sizeof(words));
		ret_keys[0][2] = lb_vip_tail_word(htons((__u16)first), key->protocol, address->family, 0, 0);
		return 1;
	}
	while (first <= last && n < LB_VIP_KEYS_MAX) {
		__u32 bits = first ? (__u32)__builtin_ctz(first) : 16;
		struct lb_shape shape = { .family = address->family, .address_bits = key->vip.length };

		while (first + (1u << bits) - 1 > last)
			bits--;
		shape.port_bits = (__u8)(16 - bits);
		lb_vip_mask(&shape, words[0], words[1], htons((__u16)first), key->protocol, ret_keys[n++]);
		first += 1u << bits;
	}
	return n;
}

static struct lb_shape shape_of(const __u64 key[3])
{
	struct lb_vip_tail tail;

	memcpy(&tail, &key[2], sizeof(tail));
	return (struct lb_shape){ .family = tail.family,
				  .address_bits = tail.address_bits,
				  .port_bits = tail.port_bits,
				  .used = (tail.address_bits || tail.port_bits) &&
					  tail.address_bits < LB_VIP_BITS_RECORDS };
}

void lb_vip_address_key(const struct lb_address *address, __u8 protocol, __u64 ret_key[3])
{
	address_words(address, ret_key);
	ret_key[2] = lb_vip_tail_word(0, protocol, address->family, LB_VIP_BITS_ADDRESS, 0);
}

void lb_vip_prefix_key(const struct lb_prefix *prefix, __u8 protocol, __u64 ret_key[3])
{
	struct lb_shape shape = { .family = prefix->address.family, .address_bits = prefix->length };
	__u64 words[2];

	address_words(&prefix->address, words);
	lb_vip_mask(&shape, words[0], words[1], 0, protocol, ret_key);
	ret_key[2] = lb_vip_tail_word(htons(prefix->length), protocol, prefix->address.family,
				      LB_VIP_BITS_ADDRESS, 0);
}

void lb_vip_range_key(__u16 service, const struct lb_prefix *range, __u64 ret_key[3])
{
	address_words(&range->address, ret_key);
	ret_key[2] = lb_vip_range_tail(service, range->address.family, range->length);
}

void lb_vip_entry(const struct lb_vip_item *item, const struct lb_vip *service, struct lb_vip *ret_entry)
{
	struct lb_vip entry = { .service = service->service, .flags = item->flags };

	if (item->kind == LB_VIP_SERVICE) {
		entry = *service;
	} else if (item->kind == LB_VIP_QUIC_RECORD) {
		entry.backend_count = item->index;
	} else if (item->kind == LB_VIP_RANGE_LIST) {
		memcpy(entry.range_bits, item->range_bits, sizeof(entry.range_bits));
	} else if (item->flags & LB_VIP_SOURCE) {
		entry = *service;
		entry.flags = item->flags;
	}
	memcpy(entry.key, item->key, sizeof(entry.key));
	*ret_entry = entry;
}

void lb_vip_filter_build(const struct lb_vip_item *items, size_t n, struct lb_filter *ret_filter)
{
	memset(ret_filter, 0, sizeof(*ret_filter));
	for (size_t i = 0; i < n; i++) {
		__u32 bit = lb_vip_filter_bit(items[i].key[0], items[i].key[1]);

		if (items[i].kind == LB_VIP_HOST_RECORD || shape_of(items[i].key).used)
			ret_filter->bits[bit / 8] |= (__u8)(1 << bit % 8);
	}
}

bool lb_vip_is_service(const struct lb_vip *vip)
{
	struct lb_vip_tail tail;

	memcpy(&tail, &vip->key[2], sizeof(tail));
	return tail.address_bits < LB_VIP_BITS_RECORDS && !(vip->flags & LB_VIP_HELD);
}

/* The longer address prefix first (IPv4 counts as in IPv6), then the longer port prefix. */
static int compare_shapes(const void *a, const void *b)
{
	const struct lb_shape *x = a, *y = b;

	if (x->address_bits != y->address_bits)
		return y->address_bits - x->address_bits;
	if (x->port_bits != y->port_bits)
		return y->port_bits - x->port_bits;
	return y->family - x->family;
}

/* Whether services of the shape have an address each, not a prefix of addresses. */
static bool is_whole(const struct lb_shape *shape)
{
	return shape->address_bits == (shape->family == LB_FAMILY_V4 ? 32 : 128);
}

static int collect_shapes(struct lb_vip_layout *layout)
{
	size_t n = 0;

	for (size_t i = 0; i < layout->n_items; i++) {
		struct lb_shape shape = shape_of(layout->items[i].key);
		size_t k = 0;

		if (!shape.used)
			continue;
		while (k < n && memcmp(&layout->bank.shape[k], &shape, sizeof(shape)) != 0)
			k++;
		if (k < n)
			continue;
		if (n == LB_SHAPES_MAX)
			return -E2BIG;
		layout->bank.shape[n++] = shape;
	}
	qsort(layout->bank.shape, n, sizeof(layout->bank.shape[0]), compare_shapes);
	layout->wildcard = layout->filtered = n > 0;
	for (size_t i = 0; i < n; i++)
		layout->filtered &= is_whole(&layout->bank.shape[i]);
	return 0;
}

static __u32 home_of(const __u64 *seed, const __u64 key[3])
{
	return lb_hash_vip(seed, key[0], key[1], key[2]);
}

/* Robin Hood insertion. table: item numbers + 1. 0; -ENOSPC: does not fit; -EEXIST with the other item. */
static int place(const __u64 *seed, const struct lb_vip_item *items, __u32 *table, __u32 mask, __u32 item,
		 __u32 *ret_other)
{
	__u32 bucket = home_of(seed, items[item].key) & mask;

	for (__u32 distance = 0; distance < LB_VIP_PROBES; distance++, bucket = (bucket + 1) & mask) {
		__u32 other = table[bucket], other_distance;

		if (!other) {
			table[bucket] = item + 1;
			return 0;
		}
		other--;
		if (memcmp(items[item].key, items[other].key, sizeof(items[item].key)) == 0) {
			*ret_other = other;
			return -EEXIST;
		}
		other_distance = (bucket - home_of(seed, items[other].key)) & mask;
		if (other_distance < distance) {
			table[bucket] = item + 1;
			item = other;
			distance = other_distance;
		}
	}
	return -ENOSPC;
}

int lb_vip_layout_build(const __u64 seed[LB_HASH_WORDS], struct lb_vip_item *items, size_t n_items,
			__u32 max_buckets, struct lb_vip_layout *ret_layout, __u32 ret_clash[2])
{
	struct lb_vip_layout layout = { .items = items, .n_items = n_items };
	__u32 buckets = BUCKETS_MIN, other = 0;
	__u32 *table;
	int r;

	r = collect_shapes(&layout);
	if (r < 0)
		return r;
	while (buckets < max_buckets && buckets < 2 * n_items)
		buckets *= 2;
	if (buckets > max_buckets || n_items > buckets)
		return -ENOSPC;
	for (;; buckets *= 2) {
		size_t i;

		table = calloc(buckets, sizeof(*table));
		if (!table)
			return -ENOMEM;
		r = 0;
		for (i = 0; i < n_items && r == 0; i++)
			r = place(seed, items, table, buckets - 1, (__u32)i, &other);
		if (r == 0)
			break;
		free(table);
		if (r == -EEXIST) {
			ret_clash[0] = items[other].owner;
			ret_clash[1] = items[i - 1].owner;
			return r;
		}
		if (buckets >= max_buckets)
			return -ENOSPC;
	}
	for (__u32 bucket = 0; bucket < buckets; bucket++) {
		if (table[bucket])
			items[table[bucket] - 1].bucket = bucket;
	}
	free(table);
	layout.log2 = (__u32)__builtin_ctz(buckets);
	*ret_layout = layout;
	return 0;
}

__u32 lb_vip_lookup(const __u64 seed[LB_HASH_WORDS], const struct lb_vip *bank, __u32 log2,
		    const __u64 key[3])
{
	__u32 mask = (1u << log2) - 1, bucket = home_of(seed, key) & mask;

	for (__u32 i = 0; i < LB_VIP_PROBES; i++, bucket = (bucket + 1) & mask) {
		if (!(bank[bucket].flags & LB_VIP_USED))
			return LB_VIP_NOWHERE;
		if (memcmp(bank[bucket].key, key, sizeof(bank[bucket].key)) == 0)
			return bucket;
	}
	return LB_VIP_NOWHERE;
}

const struct lb_vip *lb_vip_resolve(const __u64 seed[LB_HASH_WORDS], const struct lb_vip *bank, __u32 log2,
				    const struct lb_bank *shapes, const struct lb_address *address,
				    __u8 protocol, __u16 port)
{
	__u64 words[2], key[3];
	__u32 bucket;

	address_words(address, words);
	memcpy(key, words, sizeof(words));
	key[2] = lb_vip_tail_word(htons(port), protocol, address->family, 0, 0);
	bucket = lb_vip_lookup(seed, bank, log2, key);
	for (size_t i = 0; bucket == LB_VIP_NOWHERE && shapes->shape[i].used; i++) {
		if (shapes->shape[i].family != address->family)
			continue;
		lb_vip_mask(&shapes->shape[i], words[0], words[1], htons(port), protocol, key);
		bucket = lb_vip_lookup(seed, bank, log2, key);
	}
	return bucket == LB_VIP_NOWHERE || bank[bucket].flags & LB_VIP_HELD ? NULL : &bank[bucket];
}
