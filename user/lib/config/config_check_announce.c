// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must hold for VIPs to be announced: tables that are nobody else's, an interface that the packet path
 * runs on, addresses that a LAN can be asked for.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/config_read.h"

static const cJSON *child_of(const cJSON *node, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(node, key);
}

/* An error at a key of announce. */
__attribute__((format(printf, 3, 4))) static int fail(struct lb_reading *reading, const char *key,
						      const char *format, ...)
{
	const cJSON *node = child_of(child_of(reading->root, "announce"), key);
	struct lb_place parent = { .key = "announce" };
	struct lb_place place = { .parent = &parent, .key = key };
	char text[160];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return lb_reading_fail(reading, &place, node, node, "%s %s", key, text);
}

/* Tables that the kernel or the host itself uses. */
static bool is_common_table(__u32 table)
{
	return table >= 253 && table <= 255;
}

static int check_tables(struct lb_reading *reading, const struct lb_config *config)
{
	__u32 table = config->announce.table, draining = config->announce.draining_table;

	if (is_common_table(table) || is_common_table(draining))
		return fail(
			reading, is_common_table(table) ? "table" : "draining_table",
			"must be a routing table of its own: 253 (default), 254 (main) and 255 (local) are "
			"the host's");
	if (table == draining)
		return fail(reading, "draining_table",
			    "must be another table than announce.table, which is %u as well", table);
	return 0;
}

static int check_interface(struct lb_reading *reading, const struct lb_config *config)
{
	const char *name = config->announce.interface;

	for (size_t i = 0; name[0] && i < config->n_interfaces; i++)
		if (strcmp(config->interfaces[i].name, name) == 0)
			return 0;
	return name[0] ? fail(reading, "interface",
			      "must be one of interfaces: elsewhere the packet path does not run")
		       : 0;
}

static bool is_single(const struct lb_prefix *vip)
{
	return vip->length == (vip->address.family == LB_FAMILY_V4 ? 32 : 128);
}

/* What is said of a VIP as a whole, and fits only one address, or only a prefix. */
static const char *unfit(const struct lb_config_service *service, const char **ret_key)
{
	bool single = is_single(&service->vip);

	if (service->announce == LB_ANNOUNCE_BY_NEIGHBOR && !single) {
		*ret_key = "announce"; /* nobody asks a LAN for a prefix */
		return "neighbor is for single addresses, and vip is a prefix: announce it by route";
	}
	if (service->host_addresses == LB_HOST_ADDRESSES_PASS && single) {
		*ret_key = "host_addresses"; /* nothing would be left of it */
		return "pass is for prefixes, and vip is one address: say serve, or leave it out";
	}
	if (service->host_addresses == LB_HOST_ADDRESSES_SERVE && !single) {
		*ret_key = "host_addresses";
		return "serve is for one address, and vip is a prefix: say pass";
	}
	if (service->host_addresses == LB_HOST_ADDRESSES_SERVE &&
	    service->announce == LB_ANNOUNCE_BY_NEIGHBOR) {
		*ret_key = "host_addresses"; /* both would answer, whoever leads */
		return "serve is for an address that the host answers for by itself, and announce neighbor "
		       "for one that is no host's: leave one out";
	}
	return NULL;
}

static int check_vip_kinds(struct lb_reading *reading, const struct lb_config *config)
{
	struct lb_place services = { .key = "services" }, service = { .parent = &services };

	for (size_t i = 0; i < config->n_services; i++) {
		struct lb_place place = { .parent = &service };
		const char *why = unfit(&config->services[i], &place.key);
		const cJSON *node;

		if (!why)
			continue;
		service.index = i;
		node = child_of(cJSON_GetArrayItem(child_of(reading->root, "services"), (int)i), place.key);
		return lb_reading_fail(reading, &place, node, node, "%s", why);
	}
	return 0;
}

int lb_config_check_announce(struct lb_reading *reading, const struct lb_config *config)
{
	int r = check_tables(reading, config);

	if (r == 0)
		r = check_interface(reading, config);
	return r < 0 ? r : check_vip_kinds(reading, config);
}
