// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is checked, and how: built anew from each configuration. What is known of a backend is kept while its
 * address and its check are the same, and lapses otherwise.
 */
#include "lbd/health/health_internal.h"

/* --- targets ---------------------------------------------------------------------------------------------
 */

static bool take_id(struct health *health, __u32 *ret_id)
{
	if (health->n_free_ids)
		*ret_id = health->free_ids[--health->n_free_ids];
	else if (health->next_id < LB_TARGETS_MAX)
		*ret_id = health->next_id++;
	else
		return false;
	return true;
}

static void give_id(struct health *health, __u32 id)
{
	if (health->n_free_ids == health->room_free_ids) {
		size_t room = health->room_free_ids ? 2 * health->room_free_ids : 64;
		__u32 *ids = realloc(health->free_ids, room * sizeof(*ids));

		if (!ids)
			return; /* the number is lost */
		health->free_ids = ids;
		health->room_free_ids = room;
	}
	health->free_ids[health->n_free_ids++] = id;
}

static bool make_room(struct health *health, __u32 id)
{
	size_t room = health->room_ids ? health->room_ids : 64;
	struct health_target **by_id;

	while (room <= id)
		room *= 2;
	if (room == health->room_ids)
		return true;
	by_id = realloc(health->by_id, room * sizeof(struct health_target *));
	if (!by_id)
		return false;
	memset(by_id + health->room_ids, 0, (room - health->room_ids) * sizeof(struct health_target *));
	health->by_id = by_id;
	health->room_ids = room;
	return true;
}

void target_forget(struct health *health, struct health_target *target)
{
	path_forget(health, target);
	health->by_id[target->id] = NULL;
	HASH_DEL(health->targets, target);
	give_id(health, target->id);
	free(target);
}

static struct health_target *target_for(struct health *health, const struct lb_config_check *check,
					__u64 digest)
{
	struct health_target *target;
	__u32 id;

	HASH_FIND(hh, health->targets, &digest, sizeof(digest), target);
	if (target && target->removing) {
		/* It comes back before its removal was said. */
		target->removing = false;
		target->generation = ++health->generation;
		link_queue(health, target);
	}
	if (target || !take_id(health, &id) || !make_room(health, id))
		return target;
	target = calloc(1, sizeof(*target));
	if (!target)
		return NULL;
	target->digest = digest;
	target->id = id;
	target->generation = ++health->generation;
	target->check = *check;
	target->agent.percent = 100;
	HASH_ADD(hh, health->targets, digest, sizeof(target->digest), target);
	if (!target->hh.tbl) {
		free(target);
		return NULL;
	}
	health->by_id[id] = target;
	link_queue(health, target);
	return target;
}

static struct health_host *host_for(struct health *health, const struct lb_address *address)
{
	struct health_host *host;

	HASH_FIND(hh, health->hosts, address, sizeof(*address), host);
	if (host)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	host->address = *address;
	HASH_ADD(hh, health->hosts, address, sizeof(host->address), host);
	if (!host->hh.tbl) {
		free(host);
		return NULL;
	}
	return host;
}

/* --- members ---------------------------------------------------------------------------------------------
 */

static const struct health_member *find_member(const struct health_service *service, const char *name,
					       size_t near)
{
	if (!service)
		return NULL;
	if (near < service->n_members && strcmp(service->members[near].name, name) == 0)
		return &service->members[near];
	for (size_t i = 0; i < service->n_members; i++) {
		if (strcmp(service->members[i].name, name) == 0)
			return &service->members[i];
	}
	return NULL;
}

/* What is known of it, if it is the same. */
static void inherit(struct health *health, struct health_member *member, const struct health_service *before,
		    size_t near, __u64 now)
{
	const struct health_member *old = find_member(before, member->name, near);

	if (old && old->target == member->target &&
	    lb_address_equal(&old->host->address, &member->host->address)) {
		member->circuit = old->circuit;
		member->waits = old->waits;
		if (member->service->passive_wanted) {
			member->passive = old->passive;
			member->passive_told = old->passive_told;
			if (!member->service->passive.eject && member->passive.state == LB_PASSIVE_EJECTED)
				member->passive.state = LB_PASSIVE_SUSPECT;
			member->observed = old->observed;
			member->was_observed = old->was_observed;
		}
		member->said = old->said;
		member->said_s = old->said_s;
		memcpy(member->reason, old->reason, sizeof(member->reason));
		return;
	}
	lb_circuit_init(&member->circuit, &member->settings, now, before && !old,
			XXH3_64bits(member->name, strlen(member->name)) ^ now);
	member->circuit.nexthop_lost = member->host->nexthop_lost;
	member->waits = old                  ? HEALTH_WAITS_CHANGED
			: before             ? HEALTH_WAITS_ADDED
			: health->configured ? HEALTH_WAITS_SERVICE
					     : HEALTH_WAITS_BEGIN;
	if (!before)
		saved_restore(health, member, now);
}

static bool add_member(struct health *health, struct health_service *service,
		       const struct lb_config_backend *backend, const struct lb_config_check *check,
		       const struct lb_config_breaker *breaker)
{
	struct health_member *member = &service->members[service->n_members];
	__u64 digest = lb_config_check_digest(check);

	snprintf(member->name, sizeof(member->name), "%s", backend->name);
	member->service = service;
	member->weight = backend->state == LB_STATE_ACTIVE ? backend->weight : 0;
	member->tier = backend->tier;
	member->host = host_for(health, &backend->address);
	member->target = digest ? target_for(health, check, digest) : NULL;
	if (!member->host || (digest && !member->target))
		return false;
	lb_settings_circuit(check, breaker, &member->settings);
	member->next_of_host = member->host->members;
	member->host->members = member;
	if (member->target) {
		if (!member->next_of_host)
			lb_suspect_add(&health->suspect,
				       service->tenant + XXH3_64bits(service->name, strlen(service->name)));
		member->next_of_target = member->target->members;
		member->target->members = member;
	}
	service->n_members++;
	return true;
}

static bool wants_health(const struct lb_config *config, const struct lb_config_service *service)
{
	if (config->health.check || service->health.check)
		return true;
	for (size_t i = 0; i < service->n_backends; i++) {
		if (service->backends[i].check || service->backends[i].tier)
			return true;
	}
	return false;
}

static __u64 tenant_of(const struct lb_config_service *service)
{
	return service->source[0] ? XXH3_64bits(service->source, strlen(service->source)) | 1 : 0;
}

static struct health_service *build_service(struct health *health, const struct lb_config *config,
					    const struct lb_config_service *from,
					    const struct health_service *before)
{
	struct health_service *service = calloc(1, sizeof(*service));
	struct lb_config_backend none = {};
	struct lb_config_breaker breaker;
	struct lb_config_check common, own;
	__u64 now = lb_now_ns();

	if (service)
		service->members = calloc(from->n_backends + 1, sizeof(*service->members));
	if (!service || !service->members) {
		free(service);
		return NULL;
	}
	snprintf(service->name, sizeof(service->name), "%s", from->name);
	service->tenant = tenant_of(from);
	lb_config_breaker_of(config, from, &breaker);
	lb_settings_pool(&breaker, &service->pool);
	service->passive_wanted =
		lb_settings_passive(&breaker, &service->passive) && from->protocol == IPPROTO_TCP;
	lb_config_check_of(config, from, &none, &common);
	for (size_t i = 0; i < from->n_backends; i++) {
		const struct lb_config_backend *backend = &from->backends[i];

		own = common;
		if (backend->check)
			lb_config_check_of(config, from, backend, &own);
		else if (own.target == LB_CHECK_TARGET_VIP)
			own.via = backend->address;
		else if (!own.address.family)
			own.address = backend->address;
		if (add_member(health, service, backend, &own, &breaker))
			inherit(health, &service->members[service->n_members - 1], before,
				service->n_members - 1, now);
	}
	if (before) {
		service->summary = before->summary;
		service->answered = before->answered;
		memcpy(service->outcomes, before->outcomes, sizeof(service->outcomes));
	}
	return service;
}

/* --- all -------------------------------------------------------------------------------------------------
 */

static void free_services(struct health_service *services)
{
	struct health_service *service, *next;

	HASH_ITER (hh, services, service, next) {
		HASH_DEL(services, service);
		free(service->members);
		free(service);
	}
}

static void drop_service(struct health *health, struct health_service *service)
{
	/* They were put in front of the others, and nobody came since. */
	for (size_t i = service->n_members; i-- > 0;) {
		struct health_member *member = &service->members[i];

		member->host->members = member->next_of_host;
		if (member->target)
			member->target->members = member->next_of_target;
	}
	free(service->members);
	free(service);
}

static void unlink_members(struct health *health)
{
	for (struct health_target *target = health->targets; target; target = target->hh.next)
		target->members = NULL;
	for (struct health_host *host = health->hosts; host; host = host->hh.next)
		host->members = NULL;
}

/* What nobody asks for any more. */
static void drop_unused(struct health *health)
{
	struct health_target *target, *next;
	struct health_host *host, *next_host;

	HASH_ITER (hh, health->targets, target, next) {
		if (target->members || target->removing || target == health->canary)
			continue;
		target->removing = true;
		link_queue(health, target);
	}
	HASH_ITER (hh, health->hosts, host, next_host) {
		if (host->members)
			continue;
		lb_suspect_forget(&health->suspect, &host->suspect);
		HASH_DEL(health->hosts, host);
		free(host);
	}
}

/* Verdicts of backends that are not there any more, or not checked. */
static void take_back(struct health *health, const struct health_service *before)
{
	for (size_t i = 0; i < before->n_members; i++) {
		const char *name = before->members[i].name;
		struct health_service *service;

		HASH_FIND(hh, health->services, before->name, strlen(before->name), service);
		if (find_member(service, name, i))
			continue;
		health->judge(health->lbd, LB_ORIGIN_BREAKER, before->name, name, NULL);
		health->judge(health->lbd, LB_ORIGIN_HEALTH, before->name, name, NULL);
	}
}

/* Where nobody is checked, it is of no use. */
static void set_canary(struct health *health, const struct lb_config *config)
{
	struct health_target *target = NULL;
	struct lb_config_check check;

	if (health->services && canary_check(&config->checker, &check))
		target = target_for(health, &check, lb_config_check_digest(&check));
	canary_set(health, target);
}

void members_build(struct health *health, const struct lb_config *config)
{
	struct health_service *old = health->services, *service, *before;

	unlink_members(health);
	lb_suspect_begin(&health->suspect);
	lb_settings_suspect(&config->checker, &health->suspect_config);
	health->services = NULL;
	health->first_dirty = NULL;
	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *from = &config->services[i];

		if (!wants_health(config, from))
			continue;
		HASH_FIND(hh, old, from->name, strlen(from->name), before);
		service = build_service(health, config, from, before);
		if (!service)
			continue;
		HASH_ADD(hh, health->services, name, strlen(service->name), service);
		if (!service->hh.tbl) {
			/* Without memory there is no health for it: its backends are as configured. */
			drop_service(health, service);
			continue;
		}
		service->lively = true;
		judge_mark(health, service);
	}
	for (before = old; before; before = before->hh.next)
		take_back(health, before);
	free_services(old);
	set_canary(health, config);
	drop_unused(health);
	health->host_turn = health->mtu_turn = health->hosts;
	health->passive_turn = NULL;
	path_configure(health);
	room_judge(health);
	saved_take_back(health);
	saved_free(health);
	health->configured = true;
	judge_dirty(health);
}

void members_free(struct health *health)
{
	struct health_target *target, *next;
	struct health_host *host, *next_host;

	free_services(health->services);
	HASH_ITER (hh, health->targets, target, next)
		target_forget(health, target);
	HASH_ITER (hh, health->hosts, host, next_host) {
		HASH_DEL(health->hosts, host);
		free(host);
	}
	free(health->free_ids);
	free(health->by_id);
}
