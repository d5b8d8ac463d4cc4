// SPDX-License-Identifier: GPL-2.0-only
/*
 * Levels of the health keys put together, by the schema's rows: whatever is given nearest counts.
 */
#include "config/config_levels.h"

#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#include "config/config_read.h"

static void merge(const struct lb_schema_key *keys, void *into, const void *from)
{
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		if (key->type == LB_SCHEMA_OBJECT)
			merge(key->object, (char *)into + key->offset, (const char *)from + key->offset);
		else if (!lb_schema_given(key, into) && lb_schema_given(key, from))
			memcpy((char *)into + key->offset, (const char *)from + key->offset, key->size);
	}
}

/* What nobody gave. */
static void finish(const struct lb_schema_key *keys, void *into)
{
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		void *field = (char *)into + key->offset;

		if (key->type == LB_SCHEMA_OBJECT)
			finish(key->object, field);
		else if (lb_schema_given(key, into))
			continue;
		else if (key->type == LB_SCHEMA_STRING && key->text)
			key->format->read(key, key->text, field, (char[LB_SCHEMA_REASON_MAX]){ 0 });
		else if (key->type != LB_SCHEMA_STRING)
			lb_schema_store(field, key->size,
					key->value < 0 ? 0 : key->value); /* < 0: it has none */
	}
}

/* Defaults, and no longer ones than the interval that was given has room for. */
static void fit(struct lb_config_check *check)
{
	struct lb_config_check given = *check;

	finish(lb_schema_check_keys, check);
	if (given.timeout_ms != check->timeout_ms && check->timeout_ms > check->interval_ms)
		check->timeout_ms = check->interval_ms;
	if (given.fast_interval_ms != check->fast_interval_ms && check->fast_interval_ms > check->interval_ms)
		check->fast_interval_ms = check->interval_ms;
}

/* What follows from the service and the backend. */
static void complete(const struct lb_config_service *service, const struct lb_config_backend *backend,
		     struct lb_config_check *check)
{
	const struct lb_prefix *vip = &service->vip;
	bool one = vip->length == (vip->address.family == LB_FAMILY_V4 ? 32 : 128);

	/* A command asks as it likes: not through the packet path. */
	if (!check->target && check->kind == LB_CHECK_EXEC)
		check->target = LB_CHECK_TARGET_ADDRESS;
	if (!check->target)
		check->target = (check->address.family ? lb_prefix_contains(vip, &check->address) : one)
					? LB_CHECK_TARGET_VIP
					: LB_CHECK_TARGET_ADDRESS;
	if (check->target == LB_CHECK_TARGET_VIP) {
		check->forward = service->forward;
		check->via = backend->address;
		if (!check->address.family && one)
			check->address = vip->address;
	} else if (!check->address.family) {
		check->address = backend->address;
	}
	if (!check->port && service->port_first == service->port_last)
		check->port = service->port_first;
}

void lb_config_check_of(const struct lb_config *config, const struct lb_config_service *service,
			const struct lb_config_backend *backend, struct lb_config_check *ret_check)
{
	memset(ret_check, 0, sizeof(*ret_check));
	lb_schema_clear(lb_schema_check_keys, ret_check);
	if (backend->check)
		merge(lb_schema_check_keys, ret_check, backend->check);
	if (service->health.check)
		merge(lb_schema_check_keys, ret_check, service->health.check);
	if (config->health.check)
		merge(lb_schema_check_keys, ret_check, config->health.check);
	fit(ret_check);
	complete(service, backend, ret_check);
}

void lb_config_breaker_of(const struct lb_config *config, const struct lb_config_service *service,
			  struct lb_config_breaker *ret_breaker)
{
	memset(ret_breaker, 0, sizeof(*ret_breaker));
	lb_schema_clear(lb_schema_breaker_keys, ret_breaker);
	if (service->health.breaker)
		merge(lb_schema_breaker_keys, ret_breaker, service->health.breaker);
	if (config->health.breaker)
		merge(lb_schema_breaker_keys, ret_breaker, config->health.breaker);
	finish(lb_schema_breaker_keys, ret_breaker);
}

__u64 lb_config_check_digest(const struct lb_config_check *check)
{
	__u64 digest;

	if (check->kind == LB_CHECK_NONE)
		return 0;
	digest = XXH3_64bits(check, check->kind == LB_CHECK_EXEC ? sizeof(*check)
								 : offsetof(struct lb_config_check, command));
	return digest ? digest : 1;
}

const char *lb_check_kind_name(enum lb_check_kind kind)
{
	for (const struct lb_schema_choice *choice = lb_schema_check_kind; choice->name; choice++) {
		if (choice->value == (int)kind)
			return choice->name;
	}
	return "?";
}
