/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VIPs and the host's own addresses.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"
#include "net/addresses.h"

struct lbd;

/* An address of the host that a VIP is, or covers; those of loopback and dummy devices do not count. NULL:
 * none. */
const struct lb_host_address *host_address_of(const struct lbd *lbd, const struct lb_prefix *vip);

/* All addresses of the host, on whatever interface, as they are now, first those that count (so many:
 * *ret_held); to be freed. 0 or -ENOMEM. */
int host_addresses_copy(const struct lbd *lbd, struct lb_address **ret_addresses, size_t *ret_n,
			size_t *ret_held);

/* Whether a VIP is one address, and no interface has it, loopback and dummy devices counted. */
bool host_lacks_address(const struct lbd *lbd, const struct lb_prefix *vip);

/* Tells of running services whose address, or one under whose prefix, the host has now and did not have
 * before. They run on. */
void host_addresses_update(struct lbd *lbd);
void host_addresses_done(struct lbd *lbd);

struct json;
/* The same as warnings. */
void host_addresses_warn(const struct lbd *lbd, struct json *json);

/* Whether some VIP of the configuration that does not run yet is, or covers, an address of this host:
 * -EADDRINUSE and *error with the place, the address and the interface. */
int host_addresses_check(const struct lbd *lbd, const struct lb_config *config, struct lb_error *error);
