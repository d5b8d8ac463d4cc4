// SPDX-License-Identifier: GPL-2.0-only
/*
 * VIPs against the host's own addresses. Packets for a VIP never reach the host's stack: a VIP that is an
 * address of the host, or a prefix that covers one, cuts off ssh. Addresses of loopback and dummy devices are
 * there on purpose, as a backend has them.
 */
#include "lbd/kernel/host_addresses.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "lbd/api/json.h"
#include "lbd/lbd.h"
#include "lbd/log.h"

static bool counts(const struct lbd *lbd, const struct lb_host_address *address)
{
	const struct lb_link *link = lb_nexthops_link(lbd->netlink.nexthops, address->ifindex);

	return link && link->type != ARPHRD_LOOPBACK && strcmp(link->kind, "dummy") != 0;
}

const struct lb_host_address *host_address_of(const struct lbd *lbd, const struct lb_prefix *vip)
{
	size_t n;
	const struct lb_host_address *at = lb_nexthops_addresses(lbd->netlink.nexthops, &n);

	for (size_t i = 0; i < n; i++)
		if (lb_prefix_contains(vip, &at[i].address) && counts(lbd, &at[i]))
			return &at[i];
	return NULL;
}

int host_addresses_copy(const struct lbd *lbd, struct lb_address **ret_addresses, size_t *ret_n,
			size_t *ret_held)
{
	size_t n, held = 0, others;
	const struct lb_host_address *at = lb_nexthops_addresses(lbd->netlink.nexthops, &n);
	struct lb_address *addresses = calloc(n + 1, sizeof(*addresses));

	if (!addresses)
		return -ENOMEM;
	others = n;
	for (size_t i = 0; i < n; i++)
		addresses[counts(lbd, &at[i]) ? held++ : --others] = at[i].address;
	*ret_addresses = addresses;
	*ret_n = n;
	*ret_held = held;
	return 0;
}

bool host_lacks_address(const struct lbd *lbd, const struct lb_prefix *vip)
{
	size_t n;
	const struct lb_host_address *at = lb_nexthops_addresses(lbd->netlink.nexthops, &n);

	if (vip->length != lb_address_bytes(&vip->address) * 8)
		return false;
	for (size_t i = 0; i < n; i++)
		if (memcmp(&at[i].address, &vip->address, sizeof(vip->address)) == 0)
			return false;
	return true;
}

/* It ran before the host had the address, or was told to. */
static bool ran_before(const struct lbd *lbd, const struct lb_prefix *vip)
{
	const struct lb_config *config = lbd->running.config;

	for (size_t i = 0; config && i < config->n_services; i++)
		if (config->services[i].vip.length == vip->length &&
		    memcmp(&config->services[i].vip.address, &vip->address, sizeof(vip->address)) == 0)
			return true;
	return false;
}

static int refuse(const struct lbd *lbd, size_t service, const struct lb_prefix *vip,
		  const struct lb_host_address *taken, struct lb_error *error)
{
	const struct lb_link *link = lb_nexthops_link(lbd->netlink.nexthops, taken->ifindex);
	char path[64], value[LB_PREFIX_TEXT_MAX], quoted[LB_PREFIX_TEXT_MAX + 2];
	char address[LB_ADDRESS_TEXT_MAX];
	bool exact = vip->length == lb_address_bytes(&vip->address) * 8;

	snprintf(path, sizeof(path), "services[%zu].vip", service);
	snprintf(quoted, sizeof(quoted), "\"%s\"", lb_prefix_text(vip, value));
	if (exact)
		return lb_error_at(
			error, EADDRINUSE, path, quoted,
			"%s is this host's own address, on %s: the VIP must be an address that "
			"routers send here and that no interface but loopback has; or say "
			"\"host_addresses\": \"serve\" of the service, which then takes its port from "
			"the host",
			value, link->name);
	return lb_error_at(error, EADDRINUSE, path, quoted,
			   "%s covers this host's own address %s, on %s: name prefixes without it, or say "
			   "\"host_addresses\": \"pass\" of the service, and packets for it go to the host",
			   value, lb_address_text(&taken->address, address), link->name);
}

int host_addresses_check(const struct lbd *lbd, const struct lb_config *config, struct lb_error *error)
{
	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_prefix *vip = &config->services[i].vip;
		const struct lb_host_address *taken = host_address_of(lbd, vip);

		if (taken && config->services[i].host_addresses == LB_HOST_ADDRESSES_REFUSE &&
		    !ran_before(lbd, vip))
			return refuse(lbd, i, vip, taken, error);
	}
	return 0;
}

/* "203.0.113.10 of web is ...", into text. */
static void say(const struct lbd *lbd, const struct lb_config_service *service,
		const struct lb_host_address *taken, char *text, size_t size)
{
	const struct lb_link *link = lb_nexthops_link(lbd->netlink.nexthops, taken->ifindex);
	char vip[LB_PREFIX_TEXT_MAX], address[LB_ADDRESS_TEXT_MAX];

	if (service->vip.length == lb_address_bytes(&service->vip.address) * 8)
		snprintf(text, size,
			 "%s of %s is also an address of this host, on %s: packets for its port go to the "
			 "service, not to the host",
			 lb_prefix_text(&service->vip, vip), service->name, link->name);
	else
		snprintf(text, size,
			 "%s of %s covers %s, an address of this host, on %s: packets for it go to the host, "
			 "not to the "
			 "service",
			 lb_prefix_text(&service->vip, vip), service->name,
			 lb_address_text(&taken->address, address), link->name);
}

static bool was_told(const struct lbd *lbd, const struct host_taken *taken)
{
	for (size_t i = 0; i < lbd->n_host_taken; i++)
		if (memcmp(&lbd->host_taken[i], taken, sizeof(*taken)) == 0)
			return true;
	return false;
}

void host_addresses_update(struct lbd *lbd)
{
	const struct lb_config *config = lbd->running.config;
	struct host_taken *now = config ? calloc(config->n_services + 1, sizeof(*now)) : NULL;
	size_t n = 0;

	for (size_t i = 0; now && i < config->n_services; i++) {
		const struct lb_host_address *taken = host_address_of(lbd, &config->services[i].vip);
		char text[256];

		if (!taken)
			continue;
		now[n].ifindex = taken->ifindex;
		now[n].address = taken->address;
		snprintf(now[n].service, sizeof(now[n].service), "%s", config->services[i].name);
		/* It comes and goes with keepalived's master. */
		if (config->services[i].host_addresses != LB_HOST_ADDRESSES_SERVE &&
		    !was_told(lbd, &now[n])) {
			say(lbd, &config->services[i], taken, text, sizeof(text));
			events_told(&lbd->events, LOG_LEVEL_WARNING, "address", "text", text);
		}
		n++;
	}
	if (!now)
		return;
	host_addresses_done(lbd);
	lbd->host_taken = now;
	lbd->n_host_taken = n;
}

void host_addresses_done(struct lbd *lbd)
{
	free(lbd->host_taken);
	lbd->host_taken = NULL;
	lbd->n_host_taken = 0;
}

#define WARNINGS_MAX 20

void host_addresses_warn(const struct lbd *lbd, struct json *json)
{
	const struct lb_config *config = lbd->running.config;
	size_t told = 0;

	for (size_t i = 0; i < config->n_services && told < WARNINGS_MAX; i++) {
		const struct lb_host_address *taken = host_address_of(lbd, &config->services[i].vip);
		char text[256];

		if (!taken || config->services[i].host_addresses != LB_HOST_ADDRESSES_REFUSE)
			continue;
		say(lbd, &config->services[i], taken, text, sizeof(text));
		json_format(json, NULL, "%s", text);
		told++;
	}
}
