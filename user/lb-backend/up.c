/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-backend up: checks everything first, writes down what it is about to do, then does it in an order in
 * which no step does harm before the next: sysctls (so that the VIP is never announced by ARP), program,
 * VIPs.
 */
#include <errno.h>
#include <string.h>

#include "lb-backend.h"

const struct wanted_sysctl wanted_sysctls[WANTED_SYSCTLS] = {
	{ "arp_ignore", 1 },   /* answer ARP only for addresses of the device that is asked: not for VIPs */
	{ "arp_announce", 2 }, /* ask with an address of the device, never with a VIP */
	{ "rp_filter", 0 },    /* the client's packets come from the balancer, not by the way back to him */
};

static bool any_v4(const struct address_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].family == LB_FAMILY_V4)
			return true;
	}
	return false;
}

static bool usable_vip(const struct lb_address *vip)
{
	static const __u8 zero[16], loopback[16] = { [15] = 1 };
	const __u8 *b = vip->bytes;

	if (vip->family == LB_FAMILY_V4)
		return b[0] != 0 && b[0] != 127 && b[0] < 224;
	return memcmp(b, zero, 16) != 0 && memcmp(b, loopback, 16) != 0 && b[0] != 0xff &&
	       !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80) && !(memcmp(b, zero, 10) == 0 && b[10] == 0xff);
}

static int check_ipv6(struct work *work)
{
	const char *devices[] = { "lo", work->options->device };

	for (size_t i = 0; i < 2; i++) {
		int off, ret = sysctl_read("ipv6", devices[i], "disable_ipv6", &off);

		if (ret == -ENOENT)
			return lb_error_set(&work->error, EAFNOSUPPORT,
					    "this kernel has no IPv6, and a VIP is an IPv6 address");
		if (ret == 0 && off)
			return lb_error_set(
				&work->error, EAFNOSUPPORT,
				"IPv6 is off on %s (net.ipv6.conf.%s.disable_ipv6 = 1), and a VIP is an "
				"IPv6 address",
				devices[i], devices[i]);
	}
	return 0;
}

static int check_vip(struct work *work, const struct lb_address *vip)
{
	unsigned int owner = network_owner(&work->network, vip);
	char text[LB_ADDRESS_TEXT_MAX], name[IF_NAMESIZE] = "?";

	lb_address_text(vip, text);
	if (!usable_vip(vip))
		return lb_error_set(&work->error, EINVAL,
				    "%s cannot be a VIP: it is not a unicast address that others can reach",
				    text);
	if (owner == 0 || owner == work->network.lo || work->options->decap_only)
		return 0;
	if_indextoname(owner, name);
	return lb_error_set(
		&work->error, EADDRINUSE,
		"%s is an address of %s that lb-backend did not add: the host would answer ARP or ND for "
		"it, and take it from the balancer",
		text, name);
}

static int check(struct work *work)
{
	const struct address_list *vips = &work->options->vips;
	bool v6 = false;
	int ret = 0;

	for (size_t i = 0; i < vips->n && ret == 0; i++) {
		ret = check_vip(work, &vips->items[i]);
		v6 = v6 || vips->items[i].family == LB_FAMILY_V6;
	}
	/* Who only decapsulates needs no address: a node of IPv4 alone can have pools of both families. */
	return ret == 0 && v6 && !work->options->decap_only ? check_ipv6(work) : ret;
}

/* Notes what a sysctl is before we set it, unless we have it already. */
static int note_sysctl(struct work *work, const char *device, const struct wanted_sysctl *wanted)
{
	struct sysctl_state *sysctl = state_sysctl(&work->state, device, wanted->key);
	int ret, now;

	ret = sysctl_read("ipv4", device, wanted->key, &now);
	if (ret < 0)
		return lb_error_set(&work->error, -ret, "cannot read net.ipv4.conf.%s.%s: %s", device,
				    wanted->key, strerror(-ret));
	if (sysctl || now == wanted->value)
		return 0;
	sysctl = state_sysctl_add(&work->state, device, wanted->key);
	if (!sysctl)
		return lb_error_set(&work->error, ENOMEM, "out of memory");
	sysctl->previous = now;
	sysctl->value = wanted->value;
	return 0;
}

static int set_sysctl(struct work *work, const char *device, const struct wanted_sysctl *wanted)
{
	int ret, before, after = -1;

	ret = sysctl_read("ipv4", device, wanted->key, &before);
	if (ret == 0 && before == wanted->value) {
		say_same(work, "net.ipv4.conf.%s.%s: already %d", device, wanted->key, before);
		return 0;
	}
	if (ret == 0)
		ret = sysctl_write("ipv4", device, wanted->key, wanted->value);
	if (ret == 0)
		ret = sysctl_read("ipv4", device, wanted->key, &after);
	if (ret == 0 && after != wanted->value)
		ret = -EIO;
	if (ret < 0)
		return lb_error_set(&work->error, -ret, "cannot set net.ipv4.conf.%s.%s to %d: %s", device,
				    wanted->key, wanted->value, strerror(-ret));
	say("net.ipv4.conf.%s.%s: %d -> %d", device, wanted->key, before, after);
	return 0;
}

static int each_sysctl(struct work *work,
		       int (*act)(struct work *work, const char *device, const struct wanted_sysctl *wanted))
{
	const char *devices[] = { "all", work->options->device };
	int ret = 0;

	if (!any_v4(&work->options->vips) || work->options->decap_only)
		return 0;
	for (size_t i = 0; i < 2 && ret == 0; i++) {
		for (size_t j = 0; j < WANTED_SYSCTLS && ret == 0; j++)
			ret = act(work, devices[i], &wanted_sysctls[j]);
	}
	return ret;
}

/* Notes which addresses will be ours: those that nobody has. */
static int note_vips(struct work *work, struct device_state *device)
{
	const struct address_list *vips = &work->options->vips;

	for (size_t i = 0; i < vips->n; i++) {
		int ret = address_list_add(&device->vips, &vips->items[i]);

		if (ret == 0 && !work->options->decap_only &&
		    network_owner(&work->network, &vips->items[i]) == 0)
			ret = address_list_add(&work->state.added, &vips->items[i]);
		if (ret < 0)
			return lb_error_set(&work->error, ENOMEM, "out of memory");
	}
	return 0;
}

static int vips_up(struct work *work)
{
	const struct address_list *vips = &work->options->vips;
	char text[LB_ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < vips->n; i++) {
		lb_address_text(&vips->items[i], text);
		if (network_owner(&work->network, &vips->items[i]) == 0) {
			int ret = network_vip_add(&work->network, &vips->items[i], &work->error);

			if (ret < 0 && ret != -EEXIST)
				return ret;
			say("lo: %s added", text);
		} else if (address_list_has(&work->state.added, &vips->items[i])) {
			say_same(work, "lo: %s already there", text);
		} else {
			say_same(work, "lo: %s already there, not added by lb-backend: it will stay at down",
				 text);
		}
	}
	return 0;
}

/* An up before this one has put them on lo; this one leaves them to others. */
static int vips_leave(struct work *work, const struct device_state *device)
{
	int first = 0;

	for (size_t i = device->vips.n; i-- > 0;) {
		int ret = vip_down(work, device, &device->vips.items[i]);

		first = first ?: ret;
	}
	return first;
}

/* VIPs of an earlier up that this one does not name. */
static int vips_drop(struct work *work, struct device_state *device)
{
	int first = 0;

	for (size_t i = device->vips.n; i-- > 0;) {
		struct lb_address vip = device->vips.items[i];
		int ret;

		if (address_list_has(&work->options->vips, &vip))
			continue;
		ret = vip_down(work, device, &vip);
		first = first ?: ret;
		address_list_remove(&device->vips, &vip);
	}
	return first;
}

static int device_up(struct work *work, struct device_state *device)
{
	int ret;

	ret = each_sysctl(work, note_sysctl);
	if (ret == 0)
		ret = note_vips(work, device);
	if (ret == 0)
		ret = state_save(&work->state, &work->error);
	if (ret == 0)
		ret = each_sysctl(work, set_sysctl);
	if (ret == 0)
		ret = program_up(work, device);
	if (ret == 0)
		ret = work->options->decap_only ? vips_leave(work, device) : vips_up(work);
	if (ret == 0)
		ret = vips_drop(work, device);
	if (ret == 0)
		ret = state_save(&work->state, &work->error);
	return ret;
}

static int up(struct work *work)
{
	struct device_state *device;
	unsigned int index;
	bool fresh;
	int ret;

	ret = network_device(&work->network, work->options->device, &index, &work->error);
	if (ret == 0)
		ret = check(work);
	if (ret < 0)
		return ret;
	device = state_device(&work->state, work->options->device);
	fresh = !device;
	if (fresh)
		device = state_device_add(&work->state, work->options->device);
	if (!device)
		return lb_error_set(&work->error, ENOMEM, "out of memory");
	device->index = index;
	device->decap_only = work->options->decap_only;
	ret = device_up(work, device);
	if (ret < 0 && fresh) {
		struct lb_error error = work->error;

		say("undoing:");
		device_down(work, device);
		work->error = error;
	}
	return ret;
}

int backend_up(const struct options *options, struct lb_error *ret_error)
{
	struct work work;
	int ret = work_begin(&work, options, true);

	if (ret == 0)
		ret = up(&work);
	if (ret < 0)
		*ret_error = work.error;
	work_end(&work);
	return ret;
}

int verb_up(const struct options *options)
{
	struct lb_error error;

	return backend_up(options, &error) < 0 ? fail(&error) : 0;
}
