// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the next bank of the VIP table holds besides the services' own entries (types.h): records that speak
 * for an address where a packet has no port, that find a backend by its QUIC server id, or a source. They
 * depend on all services of an address, so they are made for the whole configuration, and only when something
 * that they depend on has changed: every service has a digest of that.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "config/source_ranges.h"
#include "lb/hash.h"
#include "lb/vip.h"

static bool is_one_address(const struct lb_service_key *key)
{
	return key->vip.length == (key->vip.address.family == LB_FAMILY_V4 ? 32 : 128);
}

static bool answers_echo(const struct lb_service *service)
{
	const struct lb_service *lead = lb_service_lead_of(service);

	if (!(service->vip.flags & LB_VIP_ECHO))
		return false;
	for (__u32 i = 0; i < lead->vip.backend_count; i++) {
		const struct lb_member *member = &lead->members[i];

		if (member->used && !member->leaving && !lb_member_dead(member) &&
		    member->state == LB_STATE_ACTIVE && member->weight)
			return true;
	}
	return false;
}

/* What a service says of packets to its VIP that no service takes: flags of a host record. */
static __u32 host_flags(const struct lb_service *service)
{
	return (service->vip.flags & LB_VIP_UNCLAIMED) | (answers_echo(service) ? LB_VIP_ECHO : 0);
}

/* The same of two services of one VIP. */
static __u32 merge_host_flags(__u32 a, __u32 b)
{
	__u32 flags = (a | b) & LB_VIP_ECHO;

	if (!(a & LB_VIP_UNCLAIMED) || !(b & LB_VIP_UNCLAIMED))
		return flags; /* one wants them passed */
	return flags | ((a | b) & LB_VIP_UNCLAIMED_REJECT ? LB_VIP_UNCLAIMED_REJECT : LB_VIP_UNCLAIMED_DROP);
}

/* Whether a member has QUIC records: it is the one that its server id means. */
static bool is_named_by_server_id(const struct lb_service *service, __u32 index)
{
	const struct lb_server_id *mine = lb_service_server_id(service, index);
	const struct lb_member *member = &service->members[index];

	if (!member->used || member->ghost || !mine->bytes)
		return false;
	for (__u32 i = 0; member->leaving && i < service->vip.backend_count; i++) {
		const struct lb_member *other = &service->members[i];

		if (i != index && other->used && !other->ghost && (!other->leaving || i < index) &&
		    memcmp(lb_service_server_id(service, i)->id, mine->id, sizeof(mine->id)) == 0)
			return false;
	}
	return true;
}

__u64 lb_plan_records_digest(const struct lb_service *service, const struct lb_config_service *config)
{
	__u64 digest = (__u64)service->vip.flags << 1 | (__u64)answers_echo(service);

	if (lb_source_ranges_limit(config))
		digest = XXH3_64bits_withSeed(config->source_ranges,
					      config->n_source_ranges * sizeof(*config->source_ranges),
					      digest);
	digest = lb_mix64(digest ^ (__u64)service->vip.quic[0] << 32 ^ (__u64)service->vip.quic[1] << 40);
	for (__u32 i = 0; service->vip.quic[0] && i < service->vip.backend_count; i++) {
		if (is_named_by_server_id(service, i))
			digest = XXH3_64bits_withSeed(lb_service_server_id(service, i)->id,
						      LB_QUIC_SERVER_ID_MAX, digest + i);
	}
	return digest | 1;
}

/* --- items --------------------------------------------------------------------------------------- */

static struct lb_vip_item *add_item(struct lb_plan *plan, size_t *capacity, const __u64 key[3], __u32 owner,
				    enum lb_vip_kind kind)
{
	struct lb_vip_item *item;

	if (plan->layout.n_items == *capacity) {
		size_t larger = 2 * *capacity + LB_VIP_KEYS_MAX;
		struct lb_vip_item *items = realloc(plan->items, larger * sizeof(*items));

		if (!items)
			return NULL;
		plan->items = items;
		*capacity = larger;
	}
	item = &plan->items[plan->layout.n_items++];
	*item = (struct lb_vip_item){ .owner = owner, .kind = (__u8)kind, .flags = LB_VIP_USED };
	memcpy(item->key, key, sizeof(item->key));
	return item;
}

static int add_services(struct lb_plan *plan, size_t *capacity)
{
	__u64 keys[LB_VIP_KEYS_MAX][3];

	for (size_t i = 0; i < plan->config->n_services; i++) {
		size_t n = lb_vip_expand(&plan->order[i]->key, keys);

		for (size_t k = 0; k < n; k++) {
			if (!add_item(plan, capacity, keys[k], (__u32)i, LB_VIP_SERVICE))
				return -ENOMEM;
		}
	}
	return 0;
}

/* Whom a service lets in, where that is not everybody. */
static int add_ranges(struct lb_plan *plan, size_t *capacity, __u32 owner)
{
	const struct lb_config_service *config = &plan->config->services[owner];
	__u16 service = plan->order[owner]->vip.service;
	__u64 key[3] = { 0, 0, lb_vip_range_tail(service, config->vip.address.family, 0) };
	struct lb_vip_item *item;

	if (!lb_source_ranges_limit(config))
		return 0;
	item = add_item(plan, capacity, key, owner, LB_VIP_RANGE_LIST);
	if (!item)
		return -ENOMEM;
	lb_source_ranges_lengths(config, item->range_bits);
	for (size_t i = 0; i < config->n_source_ranges; i++) {
		lb_vip_range_key(service, &config->source_ranges[i].prefix, key);
		if (!add_item(plan, capacity, key, owner, LB_VIP_RANGE_RECORD))
			return -ENOMEM;
	}
	return 0;
}

static int add_quic(struct lb_plan *plan, size_t *capacity, __u32 owner)
{
	const struct lb_service *service = plan->order[owner];

	for (int q = 0; q < LB_QUIC_CONFIGS_MAX; q++) {
		__u8 quic = service->vip.quic[q];
		__u64 key[3] = { lb_quic_key_0(service->vip.service, LB_QUIC_ROTATION(quic)), 0,
				 lb_vip_tail_word(0, IPPROTO_UDP, 0, LB_VIP_BITS_QUIC, 0) };

		for (__u32 i = 0; quic && i < service->vip.backend_count; i++) {
			struct lb_vip_item *item;

			if (!is_named_by_server_id(service, i))
				continue;
			memcpy(&key[1], lb_service_server_id(service, i)->id, sizeof(key[1]));
			item = add_item(plan, capacity, key, owner, LB_VIP_QUIC_RECORD);
			if (!item)
				return -ENOMEM;
			item->index = (__u16)i;
		}
	}
	return 0;
}

/* Services by address and protocol, to find those that share an address. */
struct by_address {
	const struct lb_service *service;
	__u32 owner;
};

static int compare_addresses(const void *a, const void *b)
{
	const struct lb_service_key *x = &((const struct by_address *)a)->service->key;
	const struct lb_service_key *y = &((const struct by_address *)b)->service->key;
	int r = memcmp(&x->vip.address, &y->vip.address, sizeof(x->vip.address));

	if (r == 0)
		r = x->protocol - y->protocol;
	return r ? r
		 : (int)((const struct by_address *)a)->owner - (int)((const struct by_address *)b)->owner;
}

static bool same_address(const struct by_address *a, const struct by_address *b)
{
	return lb_address_equal(&a->service->key.vip.address, &b->service->key.vip.address);
}

/* Whether a service of a whole prefix may have packets to the address as well. */
static bool is_under_prefix(const struct lb_plan *plan, const struct lb_service_key *key)
{
	for (size_t i = 0; i < plan->config->n_services; i++) {
		const struct lb_service_key *other = &plan->order[i]->key;

		if (other->protocol == key->protocol && !is_one_address(other) &&
		    lb_prefix_contains(&other->vip, &key->vip.address))
			return true;
	}
	return false;
}

/* The record of one address and protocol; first..last share both. */
static int add_address(struct lb_plan *plan, size_t *capacity, const struct by_address *first, size_t n)
{
	const struct lb_service_key *key = &first->service->key;
	struct lb_vip_item *item;
	__u64 words[3];

	lb_vip_address_key(&key->vip.address, key->protocol, words);
	item = add_item(plan, capacity, words, first->owner, LB_VIP_ADDRESS);
	if (!item)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		item->flags |= first[i].service->vip.flags & LB_VIP_FRAG_DROP;
	if (n == 1 && first->service->vip.flags & LB_VIP_SOURCE && !is_under_prefix(plan, key))
		item->flags |= first->service->vip.flags & (LB_VIP_SOURCE | LB_VIP_RANGES);
	return 0;
}

static __u8 host_protocol(const struct lb_prefix *vip)
{
	return vip->address.family == LB_FAMILY_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static int add_host_item(struct lb_plan *plan, size_t *capacity, const __u64 key[3], __u32 owner, __u32 flags)
{
	struct lb_vip_item *item = add_item(plan, capacity, key, owner, LB_VIP_HOST_RECORD);

	if (!item)
		return -ENOMEM;
	item->flags |= flags;
	return 0;
}

/* The record of one address. Without: nothing is answered and all is passed, unless for a prefix above
 * (add_host_prefixes()). */
static int add_host(struct lb_plan *plan, size_t *capacity, const struct by_address *first, size_t n)
{
	const struct lb_prefix *vip = &first->service->key.vip;
	__u32 flags = host_flags(first->service);
	__u64 words[3];

	for (size_t i = 1; i < n; i++)
		flags = merge_host_flags(flags, host_flags(first[i].service));
	if (!flags)
		return 0;
	lb_vip_address_key(&vip->address, host_protocol(vip), words);
	return add_host_item(plan, capacity, words, first->owner, flags);
}

static int add_addresses(struct lb_plan *plan, size_t *capacity)
{
	size_t n = 0, group, same;
	struct by_address *all = calloc(plan->config->n_services + 1, sizeof(*all));
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; all && i < plan->config->n_services; i++) {
		if (is_one_address(&plan->order[i]->key))
			all[n++] = (struct by_address){ plan->order[i], (__u32)i };
	}
	if (all)
		qsort(all, n, sizeof(*all), compare_addresses);
	for (size_t i = 0; r == 0 && i < n; i += group) {
		for (group = 1; i + group < n && same_address(&all[i], &all[i + group]); group++)
			;
		r = add_host(plan, capacity, &all[i], group);
		for (size_t k = i; r == 0 && k < i + group; k += same) {
			for (same = 1; k + same < i + group &&
				       all[k + same].service->key.protocol == all[k].service->key.protocol;
			     same++)
				;
			r = add_address(plan, capacity, &all[k], same);
		}
	}
	free(all);
	return r;
}

/* What a service wants of packets to its VIP that no service takes. */
struct host_wish {
	const struct lb_prefix *vip;
	__u32 owner;
	__u32 flags; /* of a host record */
};

/* Those of one prefix one after the other. */
static int compare_wishes(const void *a, const void *b)
{
	const struct host_wish *x = a, *y = b;
	int r = memcmp(&x->vip->address, &y->vip->address, sizeof(x->vip->address));

	if (r == 0)
		r = x->vip->length - y->vip->length;
	return r ? r : (int)x->owner - (int)y->owner;
}

static bool same_vip(const struct host_wish *a, const struct host_wish *b)
{
	return a->vip->length == b->vip->length && lb_address_equal(&a->vip->address, &b->vip->address);
}

/* Whether a shorter prefix says something, so that this one must speak for itself. */
static bool is_under_wish(const struct host_wish *prefixes, size_t n, const struct lb_prefix *vip)
{
	for (size_t i = 0; i < n; i++)
		if (prefixes[i].vip->length < vip->length &&
		    lb_prefix_contains(prefixes[i].vip, &vip->address))
			return true;
	return false;
}

/* Records of the prefixes that say something, and of what lies under them and says nothing. */
static int add_wishes(struct lb_plan *plan, size_t *capacity, const struct host_wish *wishes, size_t n,
		      const struct host_wish *prefixes, size_t n_prefixes)
{
	size_t same;

	for (size_t i = 0; i < n; i += same) {
		const struct lb_prefix *vip = wishes[i].vip;
		bool one = is_one_address(&plan->order[wishes[i].owner]->key);
		__u32 flags = wishes[i].flags;
		__u64 key[3];
		int r;

		for (same = 1; i + same < n && same_vip(&wishes[i], &wishes[i + same]); same++)
			flags = merge_host_flags(flags, wishes[i + same].flags);
		/* Addresses that say something have records of their own. */
		if (flags ? one : !is_under_wish(prefixes, n_prefixes, vip))
			continue;
		lb_vip_prefix_key(vip, host_protocol(vip), key);
		r = add_host_item(plan, capacity, key, wishes[i].owner, flags);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_host_prefixes(struct lb_plan *plan, size_t *capacity)
{
	size_t n = plan->config->n_services, n_prefixes = 0;
	struct host_wish *wishes = calloc(2 * n + 1, sizeof(*wishes)), *prefixes;
	int r = 0;

	if (!wishes)
		return -ENOMEM;
	prefixes = wishes + n;
	for (size_t i = 0; i < n; i++) {
		const struct lb_service *service = plan->order[i];

		wishes[i] = (struct host_wish){ &service->key.vip, (__u32)i, host_flags(service) };
		if (wishes[i].flags && !is_one_address(&service->key))
			prefixes[n_prefixes++] = wishes[i];
	}
	if (n_prefixes) {
		qsort(wishes, n, sizeof(*wishes), compare_wishes);
		r = add_wishes(plan, capacity, wishes, n, prefixes, n_prefixes);
	}
	free(wishes);
	return r;
}

/* --- the host's own addresses --------------------------------------------------------------------- */

/* Calls visit for each of them that a prefix of a service covers, until it returns something else than 0. */
static int visit_held(struct lb_plan *plan,
		      int (*visit)(struct lb_plan *, void *, __u32, const struct lb_address *), void *context)
{
	int r = 0;

	for (size_t i = 0; plan->n_held && r == 0 && i < plan->config->n_services; i++) {
		const struct lb_service_key *key = &plan->order[i]->key;

		if (is_one_address(key))
			continue;
		for (size_t k = 0; r == 0 && k < plan->n_held; k++)
			if (lb_prefix_contains(&key->vip, &plan->held[k]))
				r = visit(plan, context, (__u32)i, &plan->held[k]);
	}
	return r;
}

static int sum_held(struct lb_plan *plan, void *context, __u32 owner, const struct lb_address *address)
{
	plan->held_digest +=
		XXH3_64bits_withSeed(address, sizeof(*address), plan->order[owner]->key.protocol);
	return 0;
}

static bool has_item(const struct lb_plan *plan, const __u64 key[3])
{
	for (size_t i = 0; i < plan->layout.n_items; i++)
		if (memcmp(plan->items[i].key, key, sizeof(plan->items[i].key)) == 0)
			return true;
	return false;
}

/*
 * Of a prefix, one address is the host's: of all its ports no service has packets, and nothing is answered or
 * dropped there. Services of that very address are found before, and what is there already says more.
 */
static int add_held_address(struct lb_plan *plan, void *context, __u32 owner,
			    const struct lb_address *address)
{
	const struct lb_prefix one = { *address, address->family == LB_FAMILY_V4 ? 32 : 128 };
	struct lb_service_key all = { one, plan->order[owner]->key.protocol, 0, UINT16_MAX };
	__u64 keys[LB_VIP_KEYS_MAX][3], host[3];
	struct lb_vip_item *item;

	lb_vip_expand(&all, keys);
	lb_vip_prefix_key(&one, host_protocol(&one), host);
	if (!has_item(plan, keys[0])) {
		item = add_item(plan, context, keys[0], owner, LB_VIP_HELD_ADDRESS);
		if (!item)
			return -ENOMEM;
		item->flags |= LB_VIP_HELD;
	}
	if (!host_flags(plan->order[owner]) || has_item(plan, host))
		return 0;
	return add_host_item(plan, context, host, owner, 0);
}

/* A record that says no more than that the address is ours: packets do as well without. */
static bool is_plain(const struct lb_vip_item *item)
{
	return item->kind == LB_VIP_ADDRESS && item->flags == LB_VIP_USED;
}

/* The host's own addresses must not keep services from being changed. */
static bool is_held(const struct lb_vip_item *item)
{
	return item->kind == LB_VIP_HELD_ADDRESS;
}

static void drop_items(struct lb_plan *plan, bool (*drop)(const struct lb_vip_item *item))
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->layout.n_items; i++)
		if (!drop(&plan->items[i]))
			plan->items[kept++] = plan->items[i];
	plan->layout.n_items = kept;
}

/* --- the layout ---------------------------------------------------------------------------------- */

static int layout_failed(const struct lb_plan *plan, int r, const __u32 clash[2], struct lb_error *error)
{
	char path[64];

	switch (r) {
	case -EEXIST:
		snprintf(path, sizeof(path), "services[%u].vip", clash[1]);
		return lb_error_at(error, EINVAL, path, NULL,
				   "services %s and %s answer to the same address, protocol and port",
				   plan->config->services[clash[0]].name,
				   plan->config->services[clash[1]].name);
	case -E2BIG:
		return lb_error_at(
			error, ENOSPC, "services", NULL,
			"address prefixes and port ranges have more than %u different shapes; use "
			"fewer different prefix lengths, and ranges that are aligned powers of two",
			LB_SHAPES_MAX);
	case -ENOSPC:
		return lb_error_at(
			error, ENOSPC, "services", NULL,
			"the service table is full: %zu keys of %zu services do not fit its %u buckets",
			plan->layout.n_items, plan->config->n_services,
			plan->engine->tables->sizes.vip_buckets);
	default:
		return lb_error_set(error, -r, "out of memory");
	}
}

/* Whether the visible bank is what the layout would make, to the last byte. */
static bool is_visible(const struct lb_plan *plan)
{
	const struct lb_engine *engine = plan->engine;
	const struct lb_vip *bank = &engine->tables->vips[(size_t)engine->bank * LB_VIP_BUCKETS];
	struct lb_filter filter;
	size_t entries = 0;

	lb_vip_filter_build(plan->items, plan->layout.n_items, &filter);
	if (memcmp(&filter, &engine->tables->filters[engine->bank], sizeof(filter)) != 0)
		return false;
	for (size_t i = 0; i < plan->layout.n_items; i++) {
		__u32 bucket = lb_vip_lookup(plan->hash_seed, bank, engine->log2, plan->items[i].key);
		struct lb_vip entry;

		if (bucket == LB_VIP_NOWHERE)
			return false;
		lb_vip_entry(&plan->items[i], &plan->order[plan->items[i].owner]->vip, &entry);
		if (memcmp(&entry, &bank[bucket], sizeof(entry)) != 0)
			return false;
	}
	for (__u32 bucket = 0; bucket < 1u << engine->log2; bucket++)
		entries += bank[bucket].flags & LB_VIP_USED;
	return entries == plan->layout.n_items;
}

/* Whether what the bank holds besides the entries of services that are there anyway may be another now. */
static bool needs_layout(const struct lb_plan *plan)
{
	bool visible = false;

	if (plan->held_digest != plan->engine->held_digest)
		return true;
	for (size_t i = 0; i < plan->n_changes; i++) {
		const struct lb_service_change *change = &plan->changes[i];

		if (!change->current || !change->next || change->current->records != change->next->records)
			return true;
		visible |= change->visible;
	}
	/* After adoption it is not known which entries there are. */
	return visible && !plan->engine->items;
}

struct layout_work {
	struct lb_plan *plan;
	__u32 *clash;
	int r;
};

static void run_layout(void *context)
{
	struct layout_work *work = context;
	struct lb_plan *plan = work->plan;

	work->r = lb_vip_layout_build(plan->hash_seed, plan->items, plan->layout.n_items,
				      plan->engine->tables->sizes.vip_buckets, &plan->layout, work->clash);
}

/* Some milliseconds for thousands of services: of the plan's own items alone. */
static int build_layout(struct lb_plan *plan, __u32 clash[2])
{
	struct layout_work work = { plan, clash, 0 };

	lb_engine_beside(plan->engine, run_layout, &work);
	return work.r;
}

int lb_plan_layout(struct lb_plan *plan, struct lb_error *error)
{
	bool visible = false;
	size_t capacity = 0;
	__u32 clash[2] = {};
	int r;

	plan->held_digest = LB_HELD_NONE;
	visit_held(plan, sum_held, NULL);
	if (!needs_layout(plan))
		return 0;
	r = add_services(plan, &capacity);
	for (size_t i = 0; r == 0 && i < plan->config->n_services; i++) {
		r = add_quic(plan, &capacity, (__u32)i);
		if (r == 0)
			r = add_ranges(plan, &capacity, (__u32)i);
	}
	if (r == 0)
		r = add_addresses(plan, &capacity);
	if (r == 0)
		r = add_host_prefixes(plan, &capacity);
	if (r == 0)
		r = visit_held(plan, add_held_address, &capacity);
	if (r == 0)
		r = build_layout(plan, clash);
	if (r == -ENOSPC) {
		drop_items(plan, is_plain);
		r = build_layout(plan, clash);
	}
	if (r == -ENOSPC || r == -E2BIG) {
		drop_items(plan, is_held);
		r = build_layout(plan, clash);
	}
	if (r < 0)
		return layout_failed(plan, r, clash, error);
	for (size_t i = 0; i < plan->n_changes; i++)
		visible |= plan->changes[i].visible;
	plan->new_layout = visible || !is_visible(plan);
	for (size_t i = 0; plan->new_layout && i < plan->n_changes; i++) {
		struct lb_service_change *change = &plan->changes[i];

		if (change->current && change->next && change->current->records != change->next->records)
			change->attributes = true;
	}
	return 0;
}
