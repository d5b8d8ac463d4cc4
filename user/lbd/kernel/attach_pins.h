/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pins of the bpf_links that hold the packet path on its interfaces. A pin is known by what it pins, never by
 * its name: interfaces are renamed while no agent runs.
 */
#pragma once

#include <linux/types.h>
#include <net/if.h>
#include <stddef.h>

struct maps;

#define ATTACH_PIN_MAX 64 /* bytes of a pin's name */

/* What a link, by its descriptor, attaches to what. 0 or -errno; *ret_ifindex 0: to nothing any more. */
int attach_link_info(int fd, __u32 *ret_id, int *ret_ifindex, __u32 *ret_program);

/* The pinned link to an interface: a descriptor and the pin's name, or -ENOENT. Pins of links to nothing are
 * removed on the way. */
int attach_pins_find(const struct maps *maps, int ifindex, char ret_pin[ATTACH_PIN_MAX]);

/* The interface that the link is attached to whose pin was named after this one; 0: there is none. */
int attach_pins_interface(const struct maps *maps, const char *interface);

/* Pins a link to the interface of that name and index. 0 or -errno. */
int attach_pins_make(const struct maps *maps, int fd, const char *interface, int ifindex,
		     char ret_pin[ATTACH_PIN_MAX]);

/* Names a pin after its interface, if that name is free. */
void attach_pins_rename(const struct maps *maps, const char *interface, char pin[ATTACH_PIN_MAX]);

/* Whether the pin is there and is of this link. */
int attach_pins_check(const struct maps *maps, const char *pin, int fd);

void attach_pins_remove(const struct maps *maps, const char *pin);

/* Descriptors of all pinned links, each to be closed, and the pins' names; number filled in. */
size_t attach_pins_list(const struct maps *maps, int *ret_fds, char (*ret_pins)[ATTACH_PIN_MAX],
			size_t capacity);
