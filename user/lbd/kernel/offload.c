// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks a driver by the ethtool ioctl, which every kernel has.
 */
#include "lbd/kernel/offload.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

static __u32 ask(int fd, const char *interface, __u32 command)
{
	struct ethtool_value value = { .cmd = command };
	struct ifreq request = {};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	request.ifr_data = (char *)&value;
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? 0 : value.data;
}

bool offload_merges(const char *interface)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	return ask(fd, interface, ETHTOOL_GGRO) || (ask(fd, interface, ETHTOOL_GFLAGS) & ETH_FLAG_LRO);
}
