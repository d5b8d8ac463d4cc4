/* SPDX-License-Identifier: GPL-2.0-only */
/* Netlink through libnl-route: each call asks the kernel anew, except for the list of addresses. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/classifier.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "network.h"

static int errno_of_nl(int nl_error)
{
	switch (-nl_error) {
	case NLE_EXIST:
		return EEXIST;
	case NLE_NOADDR:
		return EADDRNOTAVAIL;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return ENODEV;
	case NLE_PERM:
		return EPERM;
	case NLE_NOACCESS:
		return EACCES;
	case NLE_NOMEM:
		return ENOMEM;
	case NLE_OPNOTSUPP:
		return EOPNOTSUPP;
	default:
		return EIO;
	}
}

int network_open(struct network *ret_network, struct lb_error *error)
{
	struct network network = {};
	int ret;

	network.socket = nl_socket_alloc();
	if (!network.socket)
		return lb_error_set(error, ENOMEM, "out of memory");
	ret = nl_connect(network.socket, NETLINK_ROUTE);
	if (ret < 0) {
		nl_socket_free(network.socket);
		return lb_error_set(error, errno_of_nl(ret), "cannot open a netlink socket: %s",
				    nl_geterror(ret));
	}
	ret = network_device(&network, "lo", &network.lo, error);
	if (ret == 0)
		ret = network_refresh(&network, error);
	if (ret < 0) {
		network_close(&network);
		return ret;
	}
	*ret_network = network;
	return 0;
}

void network_close(struct network *network)
{
	nl_cache_free(network->addresses);
	nl_socket_free(network->socket);
	*network = (struct network){};
}

int network_refresh(struct network *network, struct lb_error *error)
{
	struct nl_cache *addresses;
	int ret = rtnl_addr_alloc_cache(network->socket, &addresses);

	if (ret < 0)
		return lb_error_set(error, errno_of_nl(ret), "cannot list the host's addresses: %s",
				    nl_geterror(ret));
	nl_cache_free(network->addresses);
	network->addresses = addresses;
	return 0;
}

int network_device(struct network *network, const char *name, unsigned int *ret_index, struct lb_error *error)
{
	struct rtnl_link *link;
	int ret = rtnl_link_get_kernel(network->socket, 0, name, &link);

	if (ret < 0)
		return lb_error_set(error, ENODEV, "there is no device %s (ip link shows those that exist)",
				    name);
	*ret_index = rtnl_link_get_ifindex(link);
	rtnl_link_put(link);
	return 0;
}

static bool address_from_nl(struct nl_addr *nl, struct lb_address *ret_address)
{
	struct lb_address address = {};

	if (!nl)
		return false;
	if (nl_addr_get_family(nl) == AF_INET && nl_addr_get_len(nl) == 4)
		address.family = LB_FAMILY_V4;
	else if (nl_addr_get_family(nl) == AF_INET6 && nl_addr_get_len(nl) == 16)
		address.family = LB_FAMILY_V6;
	else
		return false;
	memcpy(address.bytes, nl_addr_get_binary_addr(nl), nl_addr_get_len(nl));
	*ret_address = address;
	return true;
}

unsigned int network_owner(const struct network *network, const struct lb_address *address)
{
	unsigned int owner = 0;

	for (struct nl_object *o = nl_cache_get_first(network->addresses); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *entry = (struct rtnl_addr *)o;
		struct lb_address have;

		if (!address_from_nl(rtnl_addr_get_local(entry), &have) || !lb_address_equal(&have, address))
			continue;
		if (owner == 0 || owner == network->lo)
			owner = rtnl_addr_get_ifindex(entry);
	}
	return owner;
}

static bool is_loopback(const struct lb_address *address)
{
	static const __u8 loopback_v6[16] = { [15] = 1 };

	return address->family == LB_FAMILY_V4 ? address->bytes[0] == 127
					       : memcmp(address->bytes, loopback_v6, 16) == 0;
}

int network_local_addresses(const struct network *network, const struct address_list *vips,
			    struct address_list *list)
{
	for (struct nl_object *o = nl_cache_get_first(network->addresses); o; o = nl_cache_get_next(o)) {
		struct lb_address address;
		int ret;

		if (!address_from_nl(rtnl_addr_get_local((struct rtnl_addr *)o), &address))
			continue;
		if (is_loopback(&address) || address_list_has(vips, &address))
			continue;
		ret = address_list_add(list, &address);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static struct rtnl_addr *vip_to_nl(const struct network *network, const struct lb_address *vip)
{
	bool v4 = vip->family == LB_FAMILY_V4;
	struct nl_addr *local = nl_addr_build(v4 ? AF_INET : AF_INET6, vip->bytes, v4 ? 4 : 16);
	struct rtnl_addr *entry = rtnl_addr_alloc();

	if (!local || !entry)
		goto fail;
	nl_addr_set_prefixlen(local, v4 ? 32 : 128);
	rtnl_addr_set_ifindex(entry, network->lo);
	if (rtnl_addr_set_local(entry, local) < 0)
		goto fail;
	nl_addr_put(local);
	return entry;
fail:
	nl_addr_put(local);
	rtnl_addr_put(entry);
	return NULL;
}

int network_vip_add(struct network *network, const struct lb_address *vip, struct lb_error *error)
{
	struct rtnl_addr *entry = vip_to_nl(network, vip);
	char text[LB_ADDRESS_TEXT_MAX];
	int ret;

	if (!entry)
		return lb_error_set(error, ENOMEM, "out of memory");
	/*
	 * Neither must become the source of connections that the host opens itself: an IPv4 address of scope
	 * host is not chosen for other devices, nor is a deprecated IPv6 address. Both take packets and
	 * answer them.
	 */
	if (vip->family == LB_FAMILY_V4) {
		rtnl_addr_set_scope(entry, RT_SCOPE_HOST);
	} else {
		rtnl_addr_set_flags(entry, IFA_F_NODAD);
		rtnl_addr_set_valid_lifetime(entry, UINT32_MAX);
		rtnl_addr_set_preferred_lifetime(entry, 0);
	}
	ret = rtnl_addr_add(network->socket, entry, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_addr_put(entry);
	if (ret < 0)
		return lb_error_set(error, errno_of_nl(ret), "cannot add %s to lo: %s",
				    lb_address_text(vip, text), nl_geterror(ret));
	return 0;
}

int network_vip_remove(struct network *network, const struct lb_address *vip, struct lb_error *error)
{
	struct rtnl_addr *entry = vip_to_nl(network, vip);
	char text[LB_ADDRESS_TEXT_MAX];
	int ret;

	if (!entry)
		return lb_error_set(error, ENOMEM, "out of memory");
	ret = rtnl_addr_delete(network->socket, entry, 0);
	rtnl_addr_put(entry);
	if (ret < 0)
		return lb_error_set(error, errno_of_nl(ret), "cannot remove %s from lo: %s",
				    lb_address_text(vip, text), nl_geterror(ret));
	return 0;
}

int network_clsact_exists(struct network *network, unsigned int index)
{
	struct rtnl_qdisc *qdisc;
	struct nl_cache *qdiscs;
	int ret = rtnl_qdisc_alloc_cache(network->socket, &qdiscs);

	if (ret < 0)
		return -errno_of_nl(ret);
	qdisc = rtnl_qdisc_get(qdiscs, index, TC_H_MAKE(TC_H_CLSACT, 0));
	ret = qdisc != NULL;
	rtnl_qdisc_put(qdisc);
	nl_cache_free(qdiscs);
	return ret;
}

int network_filters_exist(struct network *network, unsigned int index)
{
	static const __u32 parents[] = { TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
					 TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS) };

	for (size_t i = 0; i < 2; i++) {
		struct nl_cache *filters;
		int ret = rtnl_cls_alloc_cache(network->socket, index, parents[i], &filters);
		bool any;

		if (ret < 0)
			return -errno_of_nl(ret);
		any = nl_cache_nitems(filters) > 0;
		nl_cache_free(filters);
		if (any)
			return 1;
	}
	return 0;
}

static void sysctl_path(char path[256], const char *family, const char *device, const char *key)
{
	snprintf(path, 256, "/proc/sys/net/%s/conf/%s/%s", family, device, key);
}

int sysctl_read(const char *family, const char *device, const char *key, int *ret_value)
{
	_cleanup_(closep) int fd = -1;
	char path[256], text[32] = "", *end;
	long value;

	sysctl_path(path, family, device, key);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -errno;
	value = strtol(text, &end, 10);
	if (end == text)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int sysctl_write(const char *family, const char *device, const char *key, int value)
{
	_cleanup_(closep) int fd = -1;
	char path[256], text[16];
	int length = snprintf(text, sizeof(text), "%d\n", value);

	sysctl_path(path, family, device, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, length) != length)
		return -errno;
	return 0;
}
