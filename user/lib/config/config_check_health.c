// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks that can never work: said when the configuration is read, at the place where the culprit is written,
 * rather than by backends that are down for ever.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "config/config_levels.h"
#include "config/config_read.h"

/* Where a check comes from: a backend, its service, the top. SIZE_MAX leaves a part out. */
struct level {
	size_t service, backend;
};

static const cJSON *child_of(const cJSON *node, const char *key)
{
	const cJSON *child;

	cJSON_ArrayForEach (child, node) {
		if (child->string && strcmp(child->string, key) == 0)
			return child;
	}
	return NULL;
}

static const cJSON *node_of(const struct lb_reading *reading, struct level level)
{
	const cJSON *node = reading->root;

	if (level.service != SIZE_MAX)
		node = cJSON_GetArrayItem(child_of(node, "services"), (int)level.service);
	if (level.backend != SIZE_MAX)
		node = cJSON_GetArrayItem(child_of(node, "backends"), (int)level.backend);
	else
		node = child_of(node, "health");
	return child_of(node, "check");
}

/* An error about a key of the nearest level that gives it; if none does, about the nearest check. */
static int fail(struct lb_reading *reading, struct level level, const char *key, const char *text)
{
	const struct level levels[] = { level, { level.service, SIZE_MAX }, { SIZE_MAX, SIZE_MAX } };
	struct lb_place services = { .key = "services" }, service = { .parent = &services };
	struct lb_place backends = { .parent = &service, .key = "backends" },
			backend = { .parent = &backends };
	struct lb_place health = { .key = "health" }, check = { .key = "check" },
			place = { .parent = &check, .key = key };
	const cJSON *node = NULL, *at = NULL;
	struct level found = level;

	for (size_t i = level.backend == SIZE_MAX; i < 3 && !at; i++) {
		const cJSON *here = node_of(reading, levels[i]);

		at = child_of(here, key);
		if (here && (at || !node)) {
			node = here;
			found = levels[i];
		}
	}
	service.index = found.service;
	backend.index = found.backend;
	health.parent = found.service == SIZE_MAX ? NULL : &service;
	check.parent = found.backend == SIZE_MAX ? &health : &backend;
	return lb_reading_fail(reading, at ? &place : &check, at ? at : node, at, "%s", text);
}

static int check_times(struct lb_reading *reading, struct level level, const struct lb_config_check *check)
{
	char text[160];

	if (check->timeout_ms > check->interval_ms) {
		snprintf(text, sizeof(text),
			 "timeout_ms must be at most interval_ms, which is %u here; it is %u",
			 check->interval_ms, check->timeout_ms);
		return fail(reading, level, "timeout_ms", text);
	}
	if (check->fast_interval_ms > check->interval_ms) {
		snprintf(text, sizeof(text),
			 "fast_interval_ms must be at most interval_ms, which is %u here; it is %u",
			 check->interval_ms, check->fast_interval_ms);
		return fail(reading, level, "fast_interval_ms", text);
	}
	return 0;
}

static int check_one(struct lb_reading *reading, struct level level, const struct lb_config_check *check)
{
	if (check->kind == LB_CHECK_NONE)
		return 0;
	if (!check->port)
		return fail(reading, level, "kind",
			    "the check needs a port, because the service has more than one; give check.port");
	if (check->kind == LB_CHECK_HTTPS && check->tls != LB_CHECK_TLS_INSECURE && !check->ca[0])
		return fail(reading, level, "kind",
			    "an https check needs ca, the certificates that it trusts, or tls \"insecure\"");
	if (check->kind == LB_CHECK_UDP && !check->send[0])
		return fail(reading, level, "kind",
			    "a udp check needs send: without a datagram there is no answer");
	if (check->kind == LB_CHECK_EXEC && !check->command[0])
		return fail(reading, level, "kind", "an exec check needs command, the program that is run");
	if (check->kind == LB_CHECK_EXEC && check->target == LB_CHECK_TARGET_VIP)
		return fail(reading, level, "target",
			    "a command does not go through the packet path: an exec check needs target "
			    "\"address\"");
	return check_times(reading, level, check);
}

/* A check through the packet path asks what the service has. */
static int check_target(struct lb_reading *reading, struct level level,
			const struct lb_config_service *service, const struct lb_config_check *check)
{
	if (check->kind == LB_CHECK_NONE || check->target != LB_CHECK_TARGET_VIP)
		return 0;
	if (!check->address.family)
		return fail(reading, level, "target",
			    "the VIP is a prefix; give check.address, one of its addresses, or target "
			    "\"address\"");
	if (!lb_prefix_contains(&service->vip, &check->address))
		return fail(reading, level, "target",
			    "the address that is asked is not within the VIP; leave it out, or give target "
			    "\"address\"");
	return 0;
}

int lb_config_check_health(struct lb_reading *reading, const struct lb_config *config)
{
	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];
		struct lb_config_backend none = {};
		struct lb_config_check check;
		int r;

		/* Once for all that say nothing of their own. */
		lb_config_check_of(config, service, &none, &check);
		r = check_one(reading, (struct level){ i, SIZE_MAX }, &check);
		if (r == 0)
			r = check_target(reading, (struct level){ i, SIZE_MAX }, service, &check);
		for (size_t k = 0; r == 0 && k < service->n_backends; k++) {
			if (!service->backends[k].check)
				continue;
			lb_config_check_of(config, service, &service->backends[k], &check);
			r = check_one(reading, (struct level){ i, k }, &check);
			if (r == 0)
				r = check_target(reading, (struct level){ i, k }, service, &check);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
