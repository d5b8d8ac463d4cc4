// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks of what the driver of an interface does: native XDP, spreading over queues, receive buffers, large
 * receive offload. Asked by ethtool's calls; of a recorded host its answers are files, ethtool/DEV/QUESTION,
 * with the numbers that are named where they are read.
 */
#include "lbctl/doctor/doctor.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_MIN 512u
#define PAGE_MTU 3498u /* what is left of a page for one frame */
#define PORTS    (RXH_L4_B_0_1 | RXH_L4_B_2_3)

static bool ask(const char *name, void *command)
{
	struct ifreq request = { .ifr_data = command };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good;

	if (fd < 0)
		return false;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	good = ioctl(fd, SIOCETHTOOL, &request) == 0;
	close(fd);
	return good;
}

/* A recorded answer: up to two numbers. How many there are; -1: the host is not a recorded one. */
static int recorded(const struct doctor *doctor, const char *name, const char *question, long long numbers[2])
{
	char text[64];

	if (!doctor->root[0])
		return -1;
	if (!doctor_read(doctor, text, sizeof(text), "/ethtool/%s/%s", name, question))
		return 0;
	return sscanf(text, "%lli %lli", &numbers[0], &numbers[1]);
}

/* --- native XDP ------------------------------------------------------------------------------------------
 */

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

static void check_driver(struct doctor *doctor, const char *name)
{
	static const char *const without[] = { "be2net",    "bnx2", "bnx2x", "cxgb4",  "e1000", "e1000e",
					       "forcedeth", "enic", "r8169", "qlcnic", "tg3",   NULL };
	static const char *const one_page[] = { "igb", "ixgbe", "ixgbevf", "nicvf", "qede", NULL };
	char driver[64], text[16];
	unsigned long mtu = 0;

	if (!doctor_link(doctor, driver, sizeof(driver), "/sys/class/net/%s/device/driver", name))
		return;
	if (doctor_read(doctor, text, sizeof(text), "/sys/class/net/%s/mtu", name))
		mtu = strtoul(text, NULL, 10);
	if (is_one_of(driver, without))
		doctor_found(doctor,
			     "lbd does not start there, or, told to (--generic-ok), is some ten times as "
			     "slow",
			     "use an interface of another driver", "%s has driver %s, without native XDP",
			     name, driver);
	else if (is_one_of(driver, one_page) && mtu > PAGE_MTU)
		doctor_found(doctor, "the driver refuses XDP where a frame may be longer than a page holds",
			     "ip link set DEV mtu 1500, or as much as the driver takes (some 3000)",
			     "%s has an MTU of %lu, and driver %s", name, mtu, driver);
}

/* Drivers that are not there any more, or have no device behind them, say nothing. */
static void check_drivers(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++)
		if (doctor->config->interfaces[i].xdp_mode == LB_XDP_NATIVE)
			check_driver(doctor, doctor->config->interfaces[i].name);
}

/* --- spreading over queues -------------------------------------------------------------------------------
 */

static const struct kind {
	const char *name;
	__u32 type;
	__u8 family, protocol;
} kinds[] = {
	{ "tcp4", TCP_V4_FLOW, LB_FAMILY_V4, IPPROTO_TCP },
	{ "tcp6", TCP_V6_FLOW, LB_FAMILY_V6, IPPROTO_TCP },
	{ "udp4", UDP_V4_FLOW, LB_FAMILY_V4, IPPROTO_UDP },
	{ "udp6", UDP_V6_FLOW, LB_FAMILY_V6, IPPROTO_UDP },
};

static bool is_served(const struct lb_config *config, const struct kind *kind)
{
	for (size_t i = 0; i < config->n_services; i++)
		if (config->services[i].vip.address.family == kind->family &&
		    config->services[i].protocol == kind->protocol)
			return true;
	return false;
}

/* By which fields an interface spreads such packets. False: it does not say. */
static bool fields_of(const struct doctor *doctor, const char *name, const struct kind *kind,
		      __u64 *ret_fields)
{
	struct ethtool_rxnfc command = { .cmd = ETHTOOL_GRXFH, .flow_type = kind->type };
	long long numbers[2];
	char question[32];
	int n;

	snprintf(question, sizeof(question), "rx-flow-hash-%s", kind->name); /* RXH_* */
	n = recorded(doctor, name, question, numbers);
	if (n < 0 && !ask(name, &command))
		return false;
	*ret_fields = n < 0 ? command.data : (__u64)numbers[0];
	return n != 0 && *ret_fields;
}

static void check_spreading(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;

		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			__u64 fields;

			if (is_served(doctor->config, &kinds[k]) &&
			    fields_of(doctor, name, &kinds[k], &fields) && (fields & PORTS) != PORTS)
				doctor_found(doctor,
					     "all that one client sends to a VIP comes to one core, and a "
					     "flood of one too",
					     "ethtool -N DEV rx-flow-hash KIND sdfn",
					     "%s spreads %s by addresses alone, without ports (RSS)", name,
					     kinds[k].name);
		}
	}
}

/* --- buffers ---------------------------------------------------------------------------------------------
 */

static void check_offloads(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
		long long numbers[2];
		int n = recorded(doctor, name, "flags", numbers); /* ETH_FLAG_* */

		if (n > 0)
			flags.data = (__u32)numbers[0];
		if ((n < 0 ? ask(name, &flags) : n > 0) && flags.data & ETH_FLAG_LRO)
			doctor_found(doctor, "packets that were put together do not fit the way to a backend",
				     "ethtool -K DEV lro off", "%s puts packets together (LRO)", name);
	}
}

static void check_rings(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
		long long numbers[2];
		int n = recorded(doctor, name, "rings", numbers); /* in use, and at most */

		if (n == 2) {
			ring.rx_pending = (__u32)numbers[0];
			ring.rx_max_pending = (__u32)numbers[1];
		}
		if ((n < 0 ? ask(name, &ring) : n == 2) && ring.rx_pending && ring.rx_pending < RING_MIN &&
		    ring.rx_max_pending > ring.rx_pending)
			doctor_found(doctor, "a burst longer than the ring is lost before anybody counts it",
				     "ethtool -G DEV rx N", "%s has %u receive buffers, and may have %u",
				     name, ring.rx_pending, ring.rx_max_pending);
	}
}

const struct check doctor_nic_checks[] = {
	{ "driver", "native XDP, and the MTU that it bears", check_drivers, true, false },
	{ "spreading", "header fields by which packets go to queues (RSS)", check_spreading, true, false },
	{ "offloads", "large receive offload", check_offloads, true, false },
	{ "rings", "receive buffers of the NIC", check_rings, true, false },
	{ NULL, NULL, NULL, false, false },
};
