/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attachment through libxdp's dispatcher, which lets several XDP programs share an interface.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"

struct attachment;
struct capture_program;
struct maps;

/*
 * Puts the program into the interface's dispatcher, replacing an earlier version of ours that is there,
 * unless that one has known_id. capture: a copy of this program, sharing its maps; NULL: the ordinary one.
 * While one replaces the other both are there, and what the first passes the second sees as well. 0;
 * -EOPNOTSUPP: the kernel refuses the dispatcher, attachment->note says so, and nothing is attached; other
 * errnos with *error.
 */
int dispatcher_attach(struct attachment *attachment, const struct maps *maps, bool several_interfaces,
		      const struct capture_program *capture, __u32 known_id, int ifindex,
		      struct lb_error *error);

/* Takes programs that use the maps out of the dispatcher of one interface, or of all. How many, or -errno. */
int dispatcher_detach(int ifindex, const struct maps *maps);
int dispatcher_detach_all(const struct maps *maps);
