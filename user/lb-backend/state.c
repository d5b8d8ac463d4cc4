/* SPDX-License-Identifier: GPL-2.0-only */
/* The record of what was done, in memory. Its file is read and written in state_file.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

static size_t address_list_find(const struct address_list *list, const struct lb_address *address)
{
	size_t i = 0;

	while (i < list->n && !lb_address_equal(&list->items[i], address))
		i++;
	return i;
}

bool address_list_has(const struct address_list *list, const struct lb_address *address)
{
	return address_list_find(list, address) < list->n;
}

int address_list_add(struct address_list *list, const struct lb_address *address)
{
	struct lb_address *items;

	if (address_list_has(list, address))
		return 0;
	items = reallocarray(list->items, list->n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	items[list->n++] = *address;
	list->items = items;
	return 0;
}

void address_list_remove(struct address_list *list, const struct lb_address *address)
{
	size_t i = address_list_find(list, address);

	if (i == list->n)
		return;
	list->n--;
	memmove(&list->items[i], &list->items[i + 1], (list->n - i) * sizeof(*list->items));
}

void address_list_done(struct address_list *list)
{
	free(list->items);
	*list = (struct address_list){};
}

int prefix_list_add(struct prefix_list *list, const struct lb_prefix *prefix)
{
	struct lb_prefix *items;

	for (size_t i = 0; i < list->n; i++)
		if (memcmp(&list->items[i], prefix, sizeof(*prefix)) == 0)
			return 0;
	items = reallocarray(list->items, list->n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	items[list->n++] = *prefix;
	list->items = items;
	return 0;
}

bool prefix_list_same(const struct prefix_list *a, const struct prefix_list *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->items, b->items, a->n * sizeof(*a->items)) == 0);
}

int prefix_list_copy(struct prefix_list *list, const struct prefix_list *from)
{
	struct prefix_list copy = {};

	for (size_t i = 0; i < from->n; i++) {
		if (prefix_list_add(&copy, &from->items[i]) < 0) {
			prefix_list_done(&copy);
			return -ENOMEM;
		}
	}
	prefix_list_done(list);
	*list = copy;
	return 0;
}

void prefix_list_done(struct prefix_list *list)
{
	free(list->items);
	*list = (struct prefix_list){};
}

static const char *const hook_names[] = {
	[HOOK_AUTO] = "auto", [HOOK_XDP] = "xdp", [HOOK_TC] = "tc", [HOOK_NONE] = "none"
};

const char *hook_name(enum hook hook)
{
	return hook_names[hook];
}

int hook_parse(const char *name, enum hook *ret_hook)
{
	for (size_t i = 0; i < sizeof(hook_names) / sizeof(*hook_names); i++) {
		if (strcmp(name, hook_names[i]) == 0) {
			*ret_hook = i;
			return 0;
		}
	}
	return -EINVAL;
}

struct device_state *state_device(struct state *state, const char *name)
{
	for (size_t i = 0; i < state->n_devices; i++) {
		if (strcmp(state->devices[i].name, name) == 0)
			return &state->devices[i];
	}
	return NULL;
}

struct device_state *state_device_add(struct state *state, const char *name)
{
	struct device_state *devices = reallocarray(state->devices, state->n_devices + 1, sizeof(*devices));

	if (!devices)
		return NULL;
	state->devices = devices;
	devices += state->n_devices++;
	*devices = (struct device_state){ .hook = HOOK_NONE };
	strncpy(devices->name, name, sizeof(devices->name) - 1);
	return devices;
}

void state_device_remove(struct state *state, struct device_state *device)
{
	size_t i = device - state->devices;

	address_list_done(&device->vips);
	prefix_list_done(&device->from);
	state->n_devices--;
	memmove(device, device + 1, (state->n_devices - i) * sizeof(*device));
}

bool state_vip_used(const struct state *state, const struct lb_address *vip,
		    const struct device_state *except)
{
	for (size_t i = 0; i < state->n_devices; i++) {
		if (&state->devices[i] != except && address_list_has(&state->devices[i].vips, vip))
			return true;
	}
	return false;
}

struct sysctl_state *state_sysctl(struct state *state, const char *device, const char *key)
{
	for (size_t i = 0; i < state->n_sysctls; i++) {
		if (strcmp(state->sysctls[i].device, device) == 0 && strcmp(state->sysctls[i].key, key) == 0)
			return &state->sysctls[i];
	}
	return NULL;
}

struct sysctl_state *state_sysctl_add(struct state *state, const char *device, const char *key)
{
	struct sysctl_state *sysctls = reallocarray(state->sysctls, state->n_sysctls + 1, sizeof(*sysctls));

	if (!sysctls)
		return NULL;
	state->sysctls = sysctls;
	sysctls += state->n_sysctls++;
	*sysctls = (struct sysctl_state){};
	strncpy(sysctls->device, device, sizeof(sysctls->device) - 1);
	strncpy(sysctls->key, key, sizeof(sysctls->key) - 1);
	return sysctls;
}

void state_sysctl_remove(struct state *state, struct sysctl_state *sysctl)
{
	size_t i = sysctl - state->sysctls;

	state->n_sysctls--;
	memmove(sysctl, sysctl + 1, (state->n_sysctls - i) * sizeof(*sysctl));
}

void state_done(struct state *state)
{
	for (size_t i = 0; i < state->n_devices; i++) {
		address_list_done(&state->devices[i].vips);
		prefix_list_done(&state->devices[i].from);
	}
	free(state->devices);
	free(state->sysctls);
	address_list_done(&state->added);
	if (state->lock_fd >= 0)
		close(state->lock_fd);
	*state = (struct state){ .lock_fd = -1 };
}
