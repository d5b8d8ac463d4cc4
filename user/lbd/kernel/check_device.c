// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device, routes and rules, by netlink. The kernel answers each request at once.
 */
#include "lbd/kernel/check_device.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#include "health/message.h"

#define PROTOCOL      203  /* of our routes and rules; see announce/routes.h for its neighbours */
#define RULES_MAX     16   /* of ours, in one family */
#define NO_LINK_LOCAL 1    /* IN6_ADDR_GEN_MODE_NONE */
#define ROUTE_MTU     1500 /* of connections; the device takes what echo requests ask for (health/message.h) */

static int result(int r)
{
	switch (-r) {
	case NLE_EXIST:
		return -EEXIST;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_OPNOTSUPP:
	case NLE_AF_NOSUPPORT:
		return -EOPNOTSUPP;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return r < 0 ? -EIO : 0;
	}
}

/* Sends and frees it, and waits for the answer. */
static int ask(struct check_device *device, struct nl_msg *message)
{
	return message ? result(nl_send_sync(device->requests, message)) : -ENOMEM;
}

/* That it is there already is as good. */
static int unless_there(int r)
{
	return r == -EEXIST ? 0 : r;
}

/* --- the device ------------------------------------------------------------------------------------------
 */

static struct nl_msg *link_message(int type, int flags, int ifindex, unsigned int set)
{
	struct ifinfomsg link = { .ifi_index = ifindex, .ifi_flags = set, .ifi_change = set };
	struct nl_msg *message = nlmsg_alloc_simple(type, flags);

	if (message && nlmsg_append(message, &link, sizeof(link), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

static int make_pair(struct check_device *device)
{
	struct nl_msg *message = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0);
	struct ifinfomsg end = {};
	struct nlattr *info, *data, *peer;

	if (!message)
		return -ENOMEM;
	nla_put_string(message, IFLA_IFNAME, CHECK_DEVICE);
	info = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(message, IFLA_INFO_DATA);
	peer = nla_nest_start(message, VETH_INFO_PEER);
	if (!info || !data || !peer || nlmsg_append(message, &end, sizeof(end), NLMSG_ALIGNTO) < 0 ||
	    nla_put_string(message, IFLA_IFNAME, CHECK_DEVICE_END) < 0) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	nla_nest_end(message, peer);
	nla_nest_end(message, data);
	nla_nest_end(message, info);
	return unless_there(ask(device, message));
}

/* No address of its own, in the family that would give itself one: nobody is to be told of the device. */
static void keep_silent(struct check_device *device, int ifindex)
{
	struct nl_msg *message = link_message(RTM_NEWLINK, 0, ifindex, 0);
	struct nlattr *families, *v6;

	if (!message)
		return;
	families = nla_nest_start(message, IFLA_AF_SPEC);
	v6 = nla_nest_start(message, AF_INET6);
	if (!families || !v6) {
		nlmsg_free(message);
		return;
	}
	nla_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, NO_LINK_LOCAL);
	nla_nest_end(message, v6);
	nla_nest_end(message, families);
	(void)ask(device, message); /* a kernel without IPv6 */
}

/* Up, and without neighbours to ask for. */
static int bring_up(struct check_device *device, const char *name)
{
	int ifindex = (int)if_nametoindex(name);
	struct nl_msg *message;

	if (!ifindex)
		return -ENODEV;
	keep_silent(device, ifindex);
	message = link_message(RTM_NEWLINK, 0, ifindex, IFF_UP | IFF_NOARP);
	if (message)
		nla_put_u32(message, IFLA_MTU, LB_ECHO_BYTES_MAX);
	return ask(device, message);
}

static int device_up(struct check_device *device)
{
	int r = if_nametoindex(CHECK_DEVICE) ? 0 : make_pair(device);

	if (r == 0)
		r = bring_up(device, CHECK_DEVICE_END);
	return r == 0 ? bring_up(device, CHECK_DEVICE) : r;
}

/* --- routes and rules ------------------------------------------------------------------------------------
 */

/* To whatever address, with the MTU of connections. */
static struct nl_msg *route_message(int family, __u32 table, int ifindex)
{
	struct rtmsg route = {
		.rtm_family = (unsigned char)family,
		.rtm_protocol = PROTOCOL,
		.rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *metrics;

	if (!message || nlmsg_append(message, &route, sizeof(route), NLMSG_ALIGNTO) < 0 ||
	    nla_put_u32(message, RTA_TABLE, table) < 0 || nla_put_u32(message, RTA_OIF, (__u32)ifindex) < 0 ||
	    !(metrics = nla_nest_start(message, RTA_METRICS)) ||
	    nla_put_u32(message, RTAX_MTU, ROUTE_MTU) < 0) {
		nlmsg_free(message);
		return NULL;
	}
	nla_nest_end(message, metrics);
	return message;
}

static struct nl_msg *rule_message(int type, int flags, int family, const struct lb_config_checker *settings)
{
	struct fib_rule_hdr rule = { .family = (__u8)family, .action = FR_ACT_TO_TBL };
	struct nl_msg *message = nlmsg_alloc_simple(type, flags);

	if (!message || nlmsg_append(message, &rule, sizeof(rule), NLMSG_ALIGNTO) < 0 ||
	    nla_put_u32(message, FRA_TABLE, settings->table) < 0 ||
	    nla_put_u32(message, FRA_PRIORITY, settings->rule_priority) < 0 ||
	    nla_put_u32(message, FRA_FWMARK, settings->mark.value) < 0 ||
	    nla_put_u32(message, FRA_FWMASK, settings->mark.mask) < 0 ||
	    nla_put_u8(message, FRA_PROTOCOL, PROTOCOL) < 0) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

/* The rule last: without the route it would lead on to the ordinary ones. */
static int lead(struct check_device *device, int family, const struct lb_config_checker *settings)
{
	int r = unless_there(ask(device, route_message(family, settings->table, device->ifindex)));

	if (r == 0)
		r = unless_there(
			ask(device, rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, settings)));
	return r;
}

static int open_socket(struct check_device *device)
{
	int r;

	if (device->requests)
		return 0;
	device->requests = nl_socket_alloc();
	if (!device->requests)
		return -ENOMEM;
	r = result(nl_connect(device->requests, NETLINK_ROUTE));
	if (r < 0) {
		nl_socket_free(device->requests);
		device->requests = NULL;
	}
	return r;
}

/* --- rules of ours that there are ------------------------------------------------------------------------
 */

struct rules {
	size_t n;
	struct lb_config_checker of[RULES_MAX];
	int family[RULES_MAX];
};

static int visit_rule(struct nl_msg *message, void *context)
{
	const struct fib_rule_hdr *rule = nlmsg_data(nlmsg_hdr(message));
	struct nlattr *attributes[FRA_MAX + 1];
	struct rules *rules = context;
	struct lb_config_checker found = {};

	if (nlmsg_parse(nlmsg_hdr(message), sizeof(*rule), attributes, FRA_MAX, NULL) < 0 ||
	    rules->n == RULES_MAX || !attributes[FRA_PROTOCOL] ||
	    nla_get_u8(attributes[FRA_PROTOCOL]) != PROTOCOL || !attributes[FRA_PRIORITY] ||
	    !attributes[FRA_TABLE] || !attributes[FRA_FWMARK] || !attributes[FRA_FWMASK])
		return NL_OK;
	found.rule_priority = nla_get_u32(attributes[FRA_PRIORITY]);
	found.table = nla_get_u32(attributes[FRA_TABLE]);
	found.mark.value = nla_get_u32(attributes[FRA_FWMARK]);
	found.mark.mask = nla_get_u32(attributes[FRA_FWMASK]);
	rules->family[rules->n] = rule->family;
	rules->of[rules->n++] = found;
	return NL_OK;
}

/* Whatever mark and table they have: an agent before may have been configured otherwise. Each is deleted as a
 * whole: by less, the kernel takes the first that fits. */
static void drop_rules(struct check_device *device)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct rules rules = {};

	nl_socket_modify_cb(device->requests, NL_CB_VALID, NL_CB_CUSTOM, visit_rule, &rules);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct fib_rule_hdr all = { .family = (__u8)families[i] };

		if (nl_send_simple(device->requests, RTM_GETRULE, NLM_F_DUMP, &all, sizeof(all)) >= 0)
			(void)nl_recvmsgs_default(device->requests);
	}
	nl_socket_modify_cb(device->requests, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
	for (size_t i = 0; i < rules.n; i++)
		(void)ask(device, rule_message(RTM_DELRULE, 0, rules.family[i], &rules.of[i]));
}

/* --- all -------------------------------------------------------------------------------------------------
 */

int check_device_up(struct check_device *device, const struct lb_config_checker *settings,
		    const char **ret_step)
{
	int had = device->ifindex, r4, r6, r = open_socket(device);

	*ret_step = "make the device " CHECK_DEVICE;
	if (r == 0 && (!had || (int)if_nametoindex(CHECK_DEVICE) != had))
		r = device_up(device);
	if (r < 0)
		return r;
	if (!had)
		drop_rules(device);
	device->ifindex = (int)if_nametoindex(CHECK_DEVICE);
	if (!device->ifindex)
		return -ENODEV;
	r4 = lead(device, AF_INET, settings);
	r6 = lead(device, AF_INET6, settings);
	device->v4 = r4 == 0;
	device->v6 = r6 == 0;
	*ret_step = "route to the device " CHECK_DEVICE;
	if (r4 < 0 && r6 < 0)
		return r4;
	return device->ifindex != had;
}

static int visit_filter(struct nl_msg *message, void *context)
{
	bool *some = context;

	*some = true;
	return NL_OK;
}

bool check_device_has_filters(struct check_device *device, int ifindex)
{
	static const __u32 parents[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };
	bool some = false;

	nl_socket_modify_cb(device->requests, NL_CB_VALID, NL_CB_CUSTOM, visit_filter, &some);
	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		struct tcmsg which = { .tcm_ifindex = ifindex,
				       .tcm_parent = TC_H_MAKE(TC_H_CLSACT, parents[i]) };

		if (nl_send_simple(device->requests, RTM_GETTFILTER, NLM_F_DUMP, &which, sizeof(which)) < 0 ||
		    nl_recvmsgs_default(device->requests) < 0)
			some = true; /* not known: it stays */
	}
	nl_socket_modify_cb(device->requests, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
	return some;
}

void check_device_close(struct check_device *device)
{
	if (device->requests)
		nl_socket_free(device->requests);
	*device = (struct check_device){};
}

void check_device_down(struct check_device *device)
{
	int ifindex = (int)if_nametoindex(CHECK_DEVICE);

	if (open_socket(device) < 0)
		return;
	drop_rules(device);
	/* Its routes and its program go with it. */
	if (ifindex)
		(void)ask(device, link_message(RTM_DELLINK, 0, ifindex, 0));
	check_device_close(device);
}
