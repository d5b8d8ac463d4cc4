/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-backend down: undoes what the state file says, in the opposite order, and nothing that somebody has
 * changed since. What is gone already is not an error.
 */
#include <errno.h>
#include <string.h>

#include "lb-backend.h"

int vip_down(struct work *work, const struct device_state *device, const struct lb_address *vip)
{
	char text[LB_ADDRESS_TEXT_MAX];
	int ret;

	if (!address_list_has(&work->state.added, vip) || state_vip_used(&work->state, vip, device))
		return 0;
	ret = network_vip_remove(&work->network, vip, &work->error);
	if (ret < 0 && ret != -EADDRNOTAVAIL)
		return ret;
	address_list_remove(&work->state.added, vip);
	say("lo: %s %s", lb_address_text(vip, text), ret < 0 ? "already gone" : "removed");
	return 0;
}

static int sysctl_down(struct work *work, const struct sysctl_state *sysctl)
{
	int now, ret = sysctl_read("ipv4", sysctl->device, sysctl->key, &now);

	if (ret == -ENOENT)
		return 0; /* with its device */
	if (ret == 0 && now == sysctl->previous)
		return 0;
	if (ret == 0 && now != sysctl->value) {
		say("net.ipv4.conf.%s.%s: somebody has set it to %d since: it stays", sysctl->device,
		    sysctl->key, now);
		return 0;
	}
	if (ret == 0)
		ret = sysctl_write("ipv4", sysctl->device, sysctl->key, sysctl->previous);
	if (ret < 0)
		return lb_error_set(&work->error, -ret, "cannot set net.ipv4.conf.%s.%s to %d: %s",
				    sysctl->device, sysctl->key, sysctl->previous, strerror(-ret));
	say("net.ipv4.conf.%s.%s: %d -> %d", sysctl->device, sysctl->key, now, sysctl->previous);
	return 0;
}

/* Those of a device, newest first. What could not be undone stays in the state. */
static int sysctls_down(struct work *work, const char *device)
{
	int first = 0;

	for (size_t i = work->state.n_sysctls; i-- > 0;) {
		struct sysctl_state *sysctl = &work->state.sysctls[i];
		int ret;

		if (strcmp(sysctl->device, device) != 0)
			continue;
		ret = sysctl_down(work, sysctl);
		if (ret == 0)
			state_sysctl_remove(&work->state, sysctl);
		first = first ?: ret;
	}
	return first;
}

int device_down(struct work *work, struct device_state *device)
{
	struct lb_error ignored;
	unsigned int index;
	int ret, first = 0;

	for (size_t i = device->vips.n; i-- > 0;) {
		ret = vip_down(work, device, &device->vips.items[i]);
		first = first ?: ret;
	}
	if (network_device(&work->network, device->name, &index, &ignored) == 0) {
		device->index = index;
		ret = programs_detach(work, device, HOOK_NONE, LB_XDP_NATIVE);
		first = first ?: ret;
	} else {
		say("%s: gone, and its program with it", device->name);
	}
	ret = sysctls_down(work, device->name);
	first = first ?: ret;
	if (work->state.n_devices == 1) {
		ret = sysctls_down(work, "all");
		first = first ?: ret;
	}
	if (first == 0)
		state_device_remove(&work->state, device);
	ret = state_save(&work->state, &work->error);
	return first ?: ret;
}

static int down(struct work *work)
{
	const char *name = work->options->device;
	int ret, first = 0;

	if (name) {
		struct device_state *device = state_device(&work->state, name);

		if (!device) {
			say("%s: nothing to undo", name);
			return 0;
		}
		return device_down(work, device);
	}
	if (work->state.n_devices == 0)
		say("nothing to undo");
	for (size_t i = work->state.n_devices; i-- > 0;) {
		ret = device_down(work, &work->state.devices[i]);
		first = first ?: ret;
	}
	return first;
}

int verb_down(const struct options *options)
{
	struct work work;
	int ret = work_begin(&work, options, false);

	if (ret == -ENOENT) {
		say("nothing to undo");
		ret = 0;
	} else if (ret == 0) {
		ret = down(&work);
	}
	if (ret < 0)
		fail(&work.error);
	work_end(&work);
	return ret < 0;
}
