/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, devices and sysctls of the host, by netlink and /proc/sys. Changes nothing that it is not told
 * to. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "config/config.h"
#include "base/error.h"
#include "state.h"

struct nl_sock;
struct nl_cache;

struct network {
	struct nl_sock *socket;
	struct nl_cache *addresses; /* as of network_refresh */
	unsigned int lo;            /* index of the loopback device */
};

int network_open(struct network *ret_network, struct lb_error *error);
void network_close(struct network *network);
int network_refresh(struct network *network, struct lb_error *error);

/* -ENODEV and *error without such a device. */
int network_device(struct network *network, const char *name, unsigned int *ret_index,
		   struct lb_error *error);

/* Index of a device that has the address, another than lo first; 0: none has. */
unsigned int network_owner(const struct network *network, const struct lb_address *address);

/* Addresses that a tunnel may end at: all of the host but loopback ones and the VIPs. Adds to *list. */
int network_local_addresses(const struct network *network, const struct address_list *vips,
			    struct address_list *list);

/* One address (/32, /128) on lo: never chosen as a source by itself. -EEXIST, -EADDRNOTAVAIL: nothing to do.
 */
int network_vip_add(struct network *network, const struct lb_address *vip, struct lb_error *error);
int network_vip_remove(struct network *network, const struct lb_address *vip, struct lb_error *error);

/* Has the device a clsact or ingress qdisc? 1, 0 or a negative errno. */
int network_clsact_exists(struct network *network, unsigned int index);
/* Is there any filter at clsact of the device? 1, 0 or a negative errno. */
int network_filters_exist(struct network *network, unsigned int index);

/* net.FAMILY.conf.DEVICE.KEY; family: "ipv4", "ipv6". Negative errno: as open, read, write say. */
int sysctl_read(const char *family, const char *device, const char *key, int *ret_value);
int sysctl_write(const char *family, const char *device, const char *key, int value);
