// SPDX-License-Identifier: GPL-2.0-only
/*
 * Choosing addresses: what is asked for, then what others share, then the next free one of a pool.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/ledger.h"
#include "kube/ledger_internal.h"

struct choosing {
	const struct lb_kube_ledger *ledger;
	struct lb_kube_pools *pools;
	const char *key;
	const struct lb_kube_service *service;
	const struct lb_kube_wish *wish;
	struct lb_kube_notes *notes;
};

static const struct lb_address *of_family(const struct lb_address *list, size_t n, __u8 family)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].family == family)
			return &list[i];
	return NULL;
}

/* Whether a pool is one that the Service may have this from: by name where it names one. */
static bool may_use(const struct choosing *choosing, const struct lb_kube_pool *pool)
{
	if (choosing->wish->pool[0] && strcmp(choosing->wish->pool, pool->name) != 0)
		return false;
	return lb_kube_pool_admits(pool, choosing->service);
}

static bool is_free(const struct choosing *choosing, const struct lb_address *address)
{
	return lb_kube_ledger_is_free(choosing->ledger, choosing->key, choosing->service,
				      choosing->wish->share, address);
}

/* The address that it asks for. */
static bool choose_wanted(struct choosing *choosing, const struct lb_address *wanted,
			  struct lb_address *ret_address)
{
	char text[LB_ADDRESS_TEXT_MAX];
	bool allowed = false;

	for (size_t i = 0; i < choosing->pools->n; i++)
		allowed |= may_use(choosing, &choosing->pools->all[i]) &&
			   lb_kube_pool_contains(&choosing->pools->all[i], wanted);
	if (!allowed) {
		lb_kube_note(choosing->notes, LB_KUBE_REASON_AddressNotAllowed,
			     "%s is in no pool that the Service may use", lb_address_text(wanted, text));
		return false;
	}
	if (!is_free(choosing, wanted)) {
		const char *holder = lb_kube_ledger_holder(choosing->ledger, wanted);

		lb_kube_note(choosing->notes, LB_KUBE_REASON_AddressInUse,
			     "%s is %s's, which does not share it with this Service, or not this port",
			     lb_address_text(wanted, text), holder ? holder : "another");
		return false;
	}
	*ret_address = *wanted;
	return true;
}

/* An address that others have who name the same key: that is what sharing is for. */
static bool choose_shared(struct choosing *choosing, __u8 family, struct lb_address *ret_address)
{
	const char *share = choosing->wish->share;

	if (!share[0])
		return false;
	for (const struct record *at = choosing->ledger->records; at; at = at->hh.next) {
		bool may = false;

		if (at->address.family != family || strcmp(at->holders->share, share) != 0 ||
		    !is_free(choosing, &at->address))
			continue;
		for (size_t i = 0; i < choosing->pools->n; i++)
			may |= may_use(choosing, &choosing->pools->all[i]) &&
			       lb_kube_pool_contains(&choosing->pools->all[i], &at->address);
		if (!may)
			continue;
		*ret_address = at->address;
		return true;
	}
	return false;
}

/* From where the last search ended on, once around. So many addresses as there are records may be taken, at
 * most. */
static bool choose_of_range(struct choosing *choosing, struct lb_kube_range *range,
			    struct lb_address *ret_address)
{
	unsigned __int128 size = lb_kube_range_size(range);
	size_t tries = choosing->ledger->count[range->first.family == LB_FAMILY_V6] + 1;

	for (size_t i = 0; i < tries && (size == 0 || i < size); i++) {
		unsigned __int128 offset = size ? (range->next + i) % size : range->next + i;

		lb_kube_range_at(range, offset, ret_address);
		if (lb_kube_ledger_holder(choosing->ledger, ret_address))
			continue;
		range->next = offset + 1;
		return true;
	}
	return false;
}

static bool choose_free(struct choosing *choosing, __u8 family, struct lb_address *ret_address)
{
	bool any = false;

	for (size_t i = 0; i < choosing->pools->n; i++) {
		struct lb_kube_pool *pool = &choosing->pools->all[i];

		if (!may_use(choosing, pool) || (!pool->automatic && !choosing->wish->pool[0]))
			continue;
		for (size_t k = 0; k < pool->n_ranges; k++) {
			if (pool->ranges[k].first.family != family)
				continue;
			any = true;
			if (choose_of_range(choosing, &pool->ranges[k], ret_address))
				return true;
		}
	}
	if (any)
		lb_kube_note(choosing->notes, LB_KUBE_REASON_AddressesExhausted,
			     "no pool that the Service may use has an %s address left",
			     family == LB_FAMILY_V6 ? "IPv6" : "IPv4");
	else
		lb_kube_note(choosing->notes, LB_KUBE_REASON_NoPool,
			     "no pool with %s addresses%s%s is for it",
			     family == LB_FAMILY_V6 ? "IPv6" : "IPv4",
			     choosing->wish->pool[0] ? ", called " : "", choosing->wish->pool);
	return false;
}

static bool choose(struct choosing *choosing, __u8 family, const struct lb_address *held,
		   struct lb_address *ret_address)
{
	const struct lb_address *wanted =
		of_family(choosing->wish->addresses, choosing->wish->n_addresses, family);

	if (held && (!wanted || lb_address_equal(held, wanted))) {
		*ret_address = *held;
		return true;
	}
	if (wanted && choose_wanted(choosing, wanted, ret_address))
		return true;
	if (wanted) {
		/* What it asks for it cannot have: it keeps what it has. */
		if (held)
			*ret_address = *held;
		return held;
	}
	return choose_shared(choosing, family, ret_address) || choose_free(choosing, family, ret_address);
}

void lb_kube_allocate(const struct lb_kube_ledger *ledger, struct lb_kube_pools *pools, const char *key,
		      const struct lb_kube_service *service, const struct lb_kube_wish *wish,
		      const struct lb_address *held, size_t n_held,
		      struct lb_address ret_addresses[LB_KUBE_FAMILIES], size_t *ret_n,
		      struct lb_kube_notes *notes)
{
	struct lb_kube_notes missing = {};
	struct choosing choosing = {
		.ledger = ledger,
		.pools = pools,
		.key = key,
		.service = service,
		.wish = wish,
		.notes = &missing,
	};
	size_t n = 0;

	for (size_t i = 0; i < service->n_families; i++)
		n += choose(&choosing, service->families[i], of_family(held, n_held, service->families[i]),
			    &ret_addresses[n]);
	if (service->require_both && n < service->n_families)
		n = 0;
	*ret_n = n;
	/* Of two families that it would like, one is enough. */
	for (unsigned int i = 0; i < missing.n && (n == 0 || service->n_families == 1 || wish->n_addresses);
	     i++)
		lb_kube_note(notes, missing.all[i].reason, "%s", missing.all[i].text);
}
