// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table from address to those who have it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->lost = true)
#include <xxhash.h>

#include "kube/ledger_internal.h"

struct lb_kube_ledger *lb_kube_ledger_new(void)
{
	return calloc(1, sizeof(struct lb_kube_ledger));
}

static void free_holder(struct holder *holder)
{
	free(holder->key);
	free(holder->share);
	free(holder->uid);
	free(holder->ports);
	free(holder);
}

void lb_kube_ledger_free(struct lb_kube_ledger *ledger)
{
	struct record *record, *next;

	if (!ledger)
		return;
	HASH_ITER (hh, ledger->records, record, next) {
		HASH_DELETE(hh, ledger->records, record);
		while (record->holders) {
			struct holder *holder = record->holders;

			record->holders = holder->next;
			free_holder(holder);
		}
		free(record);
	}
	free(ledger);
}

void lb_kube_ledger_on_loss(struct lb_kube_ledger *ledger, void (*lost)(void *context, const char *key),
			    void *context)
{
	ledger->lost = lost;
	ledger->context = context;
}

static struct record *find(const struct lb_kube_ledger *ledger, const struct lb_address *address)
{
	struct record *record;

	HASH_FIND(hh, ledger->records, address, sizeof(*address), record);
	return record;
}

/* --- who may -----------------------------------------------------------------------------------------------
 */

static bool clash(const struct holder *holder, const struct lb_kube_service *service)
{
	for (size_t i = 0; i < holder->n_ports; i++)
		for (size_t k = 0; k < service->n_ports; k++)
			if (holder->ports[i].port == service->ports[k].port &&
			    holder->ports[i].protocol == service->ports[k].protocol)
				return true;
	return false;
}

static bool stands_against(const struct holder *holder, const char *key,
			   const struct lb_kube_service *service, const char *share)
{
	if (strcmp(holder->key, key) == 0)
		return false;
	return !share[0] || strcmp(holder->share, share) != 0 || clash(holder, service);
}

/* The text of a time orders as times do; of two of one second the uid decides. */
static bool is_older(const struct lb_kube_service *service, const struct holder *than)
{
	int order = strcmp(service->meta.created, than->created);

	if (order == 0)
		order = strcmp(service->meta.uid ? service->meta.uid : "", than->uid);
	return order < 0;
}

bool lb_kube_ledger_is_free(const struct lb_kube_ledger *ledger, const char *key,
			    const struct lb_kube_service *service, const char *share,
			    const struct lb_address *address)
{
	const struct record *record = find(ledger, address);

	for (const struct holder *at = record ? record->holders : NULL; at; at = at->next)
		if (stands_against(at, key, service, share))
			return false;
	return true;
}

/* --- having and losing -------------------------------------------------------------------------------------
 */

static void forget_if_empty(struct lb_kube_ledger *ledger, struct record *record)
{
	if (record->holders)
		return;
	ledger->count[record->address.family == LB_FAMILY_V6]--;
	HASH_DELETE(hh, ledger->records, record);
	free(record);
}

static void take_off(struct record *record, struct holder *holder)
{
	struct holder **at = &record->holders;

	while (*at != holder)
		at = &(*at)->next;
	*at = holder->next;
	free_holder(holder);
}

static struct holder *make_holder(const char *key, const struct lb_kube_service *service, const char *share)
{
	struct holder *holder = calloc(1, sizeof(*holder));

	if (!holder)
		return NULL;
	holder->key = strdup(key);
	holder->share = strdup(share);
	holder->uid = strdup(service->meta.uid ? service->meta.uid : "");
	holder->ports = calloc(service->n_ports + 1, sizeof(*holder->ports));
	snprintf(holder->created, sizeof(holder->created), "%s", service->meta.created);
	if (!holder->key || !holder->share || !holder->uid || !holder->ports) {
		free_holder(holder);
		return NULL;
	}
	for (size_t i = 0; i < service->n_ports; i++)
		holder->ports[holder->n_ports++] = service->ports[i];
	return holder;
}

static struct record *make_record(struct lb_kube_ledger *ledger, const struct lb_address *address)
{
	struct record *record = find(ledger, address);

	if (record)
		return record;
	record = calloc(1, sizeof(*record));
	if (!record)
		return NULL;
	memcpy(&record->address, address, sizeof(*address));
	HASH_ADD(hh, ledger->records, address, sizeof(record->address), record);
	if (record->lost) {
		free(record);
		return NULL;
	}
	ledger->count[address->family == LB_FAMILY_V6]++;
	return record;
}

/* Those that stand against it, and the claimant's own earlier entry, go. */
static void make_way(struct lb_kube_ledger *ledger, struct record *record, const struct holder *claimant,
		     const struct lb_kube_service *service)
{
	struct holder *at, *next;

	for (at = record->holders; at; at = next) {
		bool own = strcmp(at->key, claimant->key) == 0;

		next = at->next;
		if (!own && !stands_against(at, claimant->key, service, claimant->share))
			continue;
		if (!own && ledger->lost)
			ledger->lost(ledger->context, at->key);
		take_off(record, at);
	}
}

int lb_kube_ledger_claim(struct lb_kube_ledger *ledger, const char *key,
			 const struct lb_kube_service *service, const char *share,
			 const struct lb_address *address)
{
	struct record *record = find(ledger, address);
	struct holder *holder;

	for (const struct holder *at = record ? record->holders : NULL; at; at = at->next)
		if (stands_against(at, key, service, share) && !is_older(service, at))
			return -EADDRINUSE;
	holder = make_holder(key, service, share);
	record = holder ? make_record(ledger, address) : NULL;
	if (!record) {
		if (holder)
			free_holder(holder);
		return -ENOMEM;
	}
	make_way(ledger, record, holder, service);
	holder->next = record->holders;
	record->holders = holder;
	return 0;
}

void lb_kube_ledger_release(struct lb_kube_ledger *ledger, const char *key, const struct lb_address *address)
{
	struct record *record = find(ledger, address);
	struct holder *holder = record ? record->holders : NULL;

	while (holder && strcmp(holder->key, key) != 0)
		holder = holder->next;
	if (!holder)
		return;
	take_off(record, holder);
	forget_if_empty(ledger, record);
}

const char *lb_kube_ledger_holder(const struct lb_kube_ledger *ledger, const struct lb_address *address)
{
	const struct record *record = find(ledger, address);

	return record ? record->holders->key : NULL;
}

size_t lb_kube_ledger_count(const struct lb_kube_ledger *ledger, __u8 family)
{
	return ledger->count[family == LB_FAMILY_V6];
}
