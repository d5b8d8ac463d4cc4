// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names and packets that are taken. Services of one VIP and protocol hang together in a list: there are few
 * of them, whatever the number of services.
 */
#include "intent/claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->in_table = false)
#include <uthash.h>
#include <xxhash.h>

struct packets {
	struct lb_prefix vip;
	__u8 protocol;
};

struct claim {
	const struct lb_config_service *service;
	struct packets packets;
	struct claim *next; /* of the same VIP and protocol */
	bool in_table;
	UT_hash_handle by_name, by_packets;
};

struct claims {
	struct claim *names, *groups;
	size_t n, room;
	struct claim claim[];
};

struct claims *claims_new(size_t room)
{
	struct claims *claims = calloc(1, sizeof(*claims) + room * sizeof(struct claim));

	if (claims)
		claims->room = room;
	return claims;
}

void claims_free(struct claims *claims)
{
	if (!claims)
		return;
	HASH_CLEAR(by_name, claims->names);
	HASH_CLEAR(by_packets, claims->groups);
	free(claims);
}

static const char *owner(const struct lb_config_service *service)
{
	return service->source[0] ? service->source : "the configuration file";
}

/* One may lie in the other, but they may neither be the same nor overlap otherwise (config_check.c). */
static bool collide(const struct lb_config_service *a, const struct lb_config_service *b)
{
	bool apart = a->port_last < b->port_first || b->port_last < a->port_first;
	bool same = a->port_first == b->port_first && a->port_last == b->port_last;
	bool a_in_b = a->port_first >= b->port_first && a->port_last <= b->port_last;
	bool b_in_a = b->port_first >= a->port_first && b->port_last <= a->port_last;

	return same || !(apart || a_in_b || b_in_a);
}

static const char *insert(struct claims *claims, struct claim *claim, struct claim *group)
{
	claim->in_table = true;
	HASH_ADD_KEYPTR(by_name, claims->names, claim->service->name, strlen(claim->service->name), claim);
	if (!claim->in_table)
		return "out of memory";
	if (group) {
		claim->next = group->next;
		group->next = claim;
		return NULL;
	}
	HASH_ADD(by_packets, claims->groups, packets, sizeof(claim->packets), claim);
	return claim->in_table ? NULL : "out of memory";
}

const char *claims_take(struct claims *claims, const struct lb_config_service *service,
			char why[CLAIM_WHY_MAX])
{
	struct claim *claim = &claims->claim[claims->n], *other = NULL, *group = NULL;

	if (claims->n == claims->room)
		return "out of memory";
	memset(claim, 0, sizeof(*claim));
	claim->service = service;
	claim->packets.vip = service->vip;
	claim->packets.protocol = service->protocol;
	HASH_FIND(by_name, claims->names, service->name, strlen(service->name), other);
	if (other) {
		snprintf(why, CLAIM_WHY_MAX, "%s has a service of that name", owner(other->service));
		return why;
	}
	HASH_FIND(by_packets, claims->groups, &claim->packets, sizeof(claim->packets), group);
	for (other = group; other; other = other->next) {
		if (!collide(other->service, service))
			continue;
		snprintf(why, CLAIM_WHY_MAX, "service \"%s\" of %s has its vip, protocol and port",
			 other->service->name, owner(other->service));
		return why;
	}
	claims->n++;
	return insert(claims, claim, group);
}
